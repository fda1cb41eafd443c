//! A `nats-server` of our own: on a port of the loopback, with JetStream in a directory that goes away.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use tokio::net::{TcpListener, TcpStream};

use crate::node::until;

pub(crate) struct Engine {
    port: u16,
    store: PathBuf,
    server: Option<Child>,
}

impl Engine {
    pub(crate) async fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let store = env::temp_dir().join(format!("windrose-engine-{}-{count}", process::id()));
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut engine = Self { port, store, server: None };
        engine.restart().await;
        engine
    }

    /// Starts it again, with what is in its directory.
    pub(crate) async fn restart(&mut self) {
        let path = format!("{}:/usr/sbin:/usr/local/sbin", env::var("PATH").unwrap_or_default());
        let mut server = Command::new("nats-server");
        server.env("PATH", path).args([
            "-a",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-js",
            "-sd",
        ]);
        server.arg(&self.store).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().unwrap_or_else(|error| {
            panic!("nats-server cannot be run ({error}): install it (Debian: apt-get install nats-server)")
        });
        self.server = Some(server);
        let address = ("127.0.0.1", self.port);
        until("the engine listens", async || TcpStream::connect(address).await.ok().map(drop))
            .await;
    }

    /// Ends it as a power failure does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Has it forget everything; to be called while it does not run.
    pub(crate) fn forget(&self) {
        fs::remove_dir_all(&self.store).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.store);
    }
}
