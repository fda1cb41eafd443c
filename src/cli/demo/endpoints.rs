//! The endpoints of the zone, played on loopback addresses.
//!
//! A region's endpoints run on a runtime of their own, and killing the region ends that runtime:
//! listeners are closed and connections dropped at once, as when the power fails. Nothing is said to
//! the node: it has to find out.

use std::io;
use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::routing::get;
use tokio::runtime::{Builder, Runtime};

/// The endpoints of one region.
#[derive(Debug)]
pub(super) struct Endpoints {
    addresses: Vec<SocketAddr>,
    /// While they are alive.
    runtime: Option<Runtime>,
}

impl Endpoints {
    /// Starts them on listeners that are bound already.
    pub(super) fn start(listeners: Vec<TcpListener>) -> io::Result<Self> {
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        Ok(Self { addresses, runtime: Some(serve(listeners)?) })
    }

    /// Ends them without a word to anybody.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Starts them again at the same addresses.
    pub(super) fn revive(&mut self) -> io::Result<()> {
        let listeners = self.addresses.iter().map(TcpListener::bind).collect::<io::Result<_>>()?;
        self.runtime = Some(serve(listeners)?);
        Ok(())
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        // A runtime may not simply be dropped where this happens: inside another one.
        self.kill();
    }
}

fn serve(listeners: Vec<TcpListener>) -> io::Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let router = Router::new().route("/healthz", get(async || "ok"));
        let guard = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(guard);
        runtime.spawn(async { axum::serve(listener, router).await });
    }
    Ok(runtime)
}
