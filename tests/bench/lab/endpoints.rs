//! The endpoints: one small HTTP server with many addresses, in the endpoints' namespace, which may behave badly
//! at each of them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

/// Where they listen.
pub(crate) const PORT: u16 = 80;
/// What a good one says.
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
/// Connections that wait to be taken.
const BACKLOG: u32 = 128;

/// How an endpoint behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// As it should.
    Good,
    /// It takes connections, and says nothing.
    Stalling,
    /// It says what it should, an octet each 100 ms, and never comes to an end.
    Dripping,
    /// Its answer has no end.
    Endless,
    /// What it says is not HTTP.
    Garbled,
}

struct Order {
    address: Ipv4Addr,
    /// Closed when `None`.
    manner: Option<Manner>,
    done: std_mpsc::Sender<io::Result<()>>,
}

/// All endpoints. They end with this.
pub(crate) struct Endpoints {
    orders: mpsc::UnboundedSender<Order>,
    taken: Arc<Mutex<HashMap<Ipv4Addr, u64>>>,
}

impl Endpoints {
    /// Starts a server of no address in the namespace of that name.
    pub(crate) fn start(namespace: &str) -> io::Result<Self> {
        let namespace = File::open(Path::new("/run/netns").join(namespace))?;
        let (orders, wanted) = mpsc::unbounded_channel();
        let (ready, is_ready) = std_mpsc::channel();
        let taken = Arc::default();
        let counts = Arc::clone(&taken);
        thread::spawn(move || {
            let entered = enter(&namespace);
            let (runtime, outcome) = match entered {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Whoever started this waits for it.
            let _ = ready.send(outcome);
            if let Some(runtime) = runtime {
                runtime.block_on(obey(wanted, counts));
            }
        });
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { orders, taken })
    }

    /// From now on an endpoint behaves so, or refuses connections.
    pub(crate) fn set(&self, address: Ipv4Addr, manner: Option<Manner>) -> io::Result<()> {
        let (done, is_done) = std_mpsc::channel();
        self.orders.send(Order { address, manner, done }).map_err(io::Error::other)?;
        is_done.recv().map_err(io::Error::other)?
    }

    /// How many connections it has taken.
    pub(crate) fn taken(&self, address: Ipv4Addr) -> u64 {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&address).copied().unwrap_or_default()
    }
}

/// Has this thread, and what it opens, be in a namespace.
fn enter(namespace: &File) -> io::Result<tokio::runtime::Runtime> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn obey(
    mut wanted: mpsc::UnboundedReceiver<Order>,
    counts: Arc<Mutex<HashMap<Ipv4Addr, u64>>>,
) {
    let mut running: HashMap<Ipv4Addr, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    while let Some(Order { address, manner, done }) = wanted.recv().await {
        if let Some(task) = running.remove(&address) {
            task.abort();
            // No other ends: its listener and its connections are closed with it.
            tasks.join_next().await;
        }
        let outcome = manner.map_or(Ok(()), |manner| {
            let listener = listen(address)?;
            let counts = Arc::clone(&counts);
            running.insert(address, tasks.spawn(serve(address, listener, manner, counts)));
            Ok(())
        });
        // Whoever ordered may have gone.
        let _ = done.send(outcome);
    }
}

fn listen(address: Ipv4Addr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address.into(), PORT))?;
    socket.listen(BACKLOG)
}

async fn serve(
    address: Ipv4Addr,
    listener: TcpListener,
    manner: Manner,
    counts: Arc<Mutex<HashMap<Ipv4Addr, u64>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = taken else { continue };
        *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default() += 1;
        connections.spawn(talk(stream, manner));
    }
}

/// Answers a request. How it ends is the client's affair.
async fn talk(mut stream: TcpStream, manner: Manner) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    match manner {
        Manner::Good => stream.write_all(GOOD).await?,
        Manner::Stalling => std::future::pending().await,
        Manner::Dripping => {
            let text = GOOD.strip_suffix(b"ok").unwrap_or(GOOD);
            for octet in text.iter().chain([b' '; 10_000].iter()) {
                stream.write_all(&[*octet]).await?;
                sleep(Duration::from_millis(100)).await;
            }
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'o'; 65_536]).await?;
            }
        }
        Manner::Garbled => stream.write_all(&[0xff; 512]).await?,
    }
    stream.shutdown().await
}
