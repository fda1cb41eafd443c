//! What tests of a whole node need: a directory of files, endpoints that live and die, a client.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

pub(crate) mod client;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use windrose::load::{Place, read_server};
use windrose::model::Report;
use windrose::server::Node;

/// Longer than anything here takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what no event tells: looks again and again until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut again = interval(Duration::from_millis(10));
    let seen = timeout(PATIENCE, async {
        loop {
            again.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    });
    seen.await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A directory with a node's files, which goes away with it.
pub(crate) struct Files(PathBuf);

impl Files {
    /// A server file with `server` added to what all tests want, and no zones yet.
    pub(crate) fn new(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("windrose-it-{}-{count}", process::id()));
        fs::create_dir_all(path.join("zones")).unwrap();
        let files = Self(path);
        files.write("windrose.toml", format!("version = 1\n{server}"));
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts a file in its place as a deployment does: whole, or not at all.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Beside the directory that may be watched, so that only the rename is seen.
        let new = self.path("new");
        fs::write(&new, content).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Starts a node on these files.
    pub(crate) async fn start(&self) -> Node {
        let place = Place::new(Some(self.path("windrose.toml")));
        let mut report = Report::new();
        let config = read_server(&place, &mut report).unwrap_or_else(|| panic!("{report}"));
        Node::start(place, &config).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Something to probe: accepts connections for as long as it lives.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn new() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Self { address, accepting }
    }

    /// Closes it; where it was, connections are refused. Returns where it was.
    pub(crate) async fn kill(self) -> SocketAddr {
        self.accepting.abort();
        let _ = self.accepting.await;
        self.address
    }
}

/// The zone `example.com`: `www` leads to 192.0.2.1, or 192.0.2.2 when the first is down; `version`
/// says `text`.
pub(crate) fn zone(text: &str, first: SocketAddr, second: SocketAddr) -> String {
    let pool = |name: &str, n: u8, at: SocketAddr| {
        format!(
            r#"
[regions.{name}]
location = [{n}, {n}]
[checks.{name}]
kind = "tcp"
port = {port}
interval = "200ms"
timeout = "200ms"
rise = 2
fall = 2
[pools.{name}]
region = "{name}"
check = "{name}"
endpoints = [{{ name = "{name}", address = ["192.0.2.{n}", "2001:db8::{n}"], check-address = "{address}" }}]
"#,
            port = at.port(),
            address = at.ip(),
        )
    };
    let (first, second) = (pool("first", 1, first), pool("second", 2, second));
    format!(
        r#"
# {text}
zone = "example.com"
nameservers = ["ns1.example.net."]
records = "example.com.zone"
ttl = "30s"
{first}
{second}
[steer.www]
policy = "failover"
pools = ["first", "second"]
"#
    )
}

/// The master file of that zone.
pub(crate) fn records(version: &str) -> String {
    format!("$TTL 1h\nversion TXT \"{version}\"\n")
}

/// A server file that leaves every port to the system.
pub(crate) const SERVER: &str = r#"
[dns]
listen = ["127.0.0.1:0"]
threads = 1
[admin]
listen = ["127.0.0.1:0"]
"#;

pub(crate) const ZONE: &str = "zones/example.com.toml";
pub(crate) const RECORDS: &str = "zones/example.com.zone";

/// A node's files, with the two endpoints that the zone leads to.
pub(crate) async fn served() -> (Files, Endpoint, Endpoint) {
    let files = Files::new(SERVER);
    let (first, second) = (Endpoint::new().await, Endpoint::new().await);
    files.write(RECORDS, records("one"));
    files.write(ZONE, zone("", first.address, second.address));
    (files, first, second)
}

pub(crate) async fn www(node: &Node) -> String {
    client::ask(node.addresses.dns[0], "www.example.com", client::A).await
}

/// Waits until `www` is answered so. Probes and publishing tell nobody outside when they are done.
pub(crate) async fn www_becomes(node: &Node, expected: &str) {
    let look = async || (www(node).await == expected).then_some(());
    until(&format!("www becomes {expected}"), look).await;
}
