//! The world that is measured: the shipped zone and database, and endpoints in this process that answer,
//! refuse, or say nothing.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A region of the shipped zone.
pub(crate) struct Region {
    pub(crate) name: &'static str,
    /// Where its endpoints are probed.
    checked_at: &'static [Ipv4Addr],
    /// What its addresses begin with.
    v4: [u8; 3],
    v6: [u16; 3],
}

pub(crate) const REGIONS: [Region; 3] = [
    Region {
        name: "eu-west",
        checked_at: &[Ipv4Addr::new(127, 0, 1, 10), Ipv4Addr::new(127, 0, 1, 11)],
        v4: [192, 0, 2],
        v6: [0x2001, 0xdb8, 1],
    },
    Region {
        name: "us-east",
        checked_at: &[Ipv4Addr::new(127, 0, 2, 10), Ipv4Addr::new(127, 0, 2, 11)],
        v4: [198, 51, 100],
        v6: [0x2001, 0xdb8, 2],
    },
    Region {
        name: "ap-south",
        checked_at: &[Ipv4Addr::new(127, 0, 3, 10)],
        v4: [203, 0, 113],
        v6: [0x2001, 0xdb8, 3],
    },
];

/// Where clients are: a subnet, and the regions they are sent to while all is well and while that one
/// is dead, as places in [`REGIONS`].
pub(crate) struct Place {
    pub(crate) subnet: [u8; 3],
    pub(crate) home: usize,
    pub(crate) next: usize,
}

/// One for each region, in the same order: London, Mountain View, Mumbai.
pub(crate) const PLACES: [Place; 3] = [
    Place { subnet: [81, 2, 69], home: 0, next: 1 },
    Place { subnet: [8, 8, 8], home: 1, next: 0 },
    Place { subnet: [49, 36, 0], home: 2, next: 0 },
];

/// Which region an answered address belongs to.
pub(crate) fn region_of(address: IpAddr) -> Option<usize> {
    REGIONS.iter().position(|region| match address {
        IpAddr::V4(v4) => v4.octets().starts_with(&region.v4),
        IpAddr::V6(v6) => v6.segments().starts_with(&region.v6),
    })
}

/// How endpoints can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// They answer.
    Alive,
    /// Their port is closed: whoever connects is refused at once.
    Refusing,
    /// They accept and never say anything, as behind a broken network.
    Silent,
}

/// The endpoints of all regions.
pub(crate) struct Endpoints {
    port: u16,
    running: Vec<Vec<JoinHandle<()>>>,
}

impl Endpoints {
    /// All alive.
    pub(crate) async fn new() -> io::Result<Self> {
        let port = TcpListener::bind((REGIONS[0].checked_at[0], 0)).await?.local_addr()?.port();
        let mut endpoints = Self { port, running: REGIONS.iter().map(|_| Vec::new()).collect() };
        for region in 0..REGIONS.len() {
            endpoints.set(region, State::Alive).await?;
        }
        Ok(endpoints)
    }

    /// Makes all endpoints of a region be so from now on.
    pub(crate) async fn set(&mut self, region: usize, state: State) -> io::Result<()> {
        for task in self.running[region].drain(..) {
            task.abort();
            // It was aborted, and that is what this says.
            let _ = task.await;
        }
        for address in REGIONS[region].checked_at {
            let address = SocketAddr::from((*address, self.port));
            match state {
                State::Alive => {
                    let listener = TcpListener::bind(address).await?;
                    self.running[region].push(tokio::spawn(answer(listener)));
                }
                State::Silent => {
                    let listener = TcpListener::bind(address).await?;
                    self.running[region].push(tokio::spawn(say_nothing(listener)));
                }
                State::Refusing => {}
            }
        }
        Ok(())
    }
}

async fn answer(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer_one(stream));
    }
}

async fn answer_one(mut stream: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await
}

async fn say_nothing(listener: TcpListener) {
    let mut held = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        held.push(stream);
    }
}

/// The directory that the node runs from; goes away with this.
pub(crate) struct Files(PathBuf);

const SERVER: &str = r#"
version = 1
[dns]
listen = ["127.0.0.1:0"]
[admin]
listen = ["127.0.0.1:0"]
[state]
directory = "state"
[geoip]
directory = "geoip"
"#;

impl Files {
    /// The shipped zone with its checks on the endpoints' port, and the shipped database.
    pub(crate) fn new(endpoints: &Endpoints) -> io::Result<Self> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = std::env::temp_dir().join(format!("windrose-failover-{}", std::process::id()));
        let files = Self(path);
        for directory in ["zones", "geoip"] {
            fs::create_dir_all(files.path(directory))?;
        }
        let database = "geoip/windrose-city.mmdb.gz";
        fs::copy(shipped.join(database), files.path(database))?;
        fs::copy(shipped.join("zones/example.com.zone"), files.path("zones/example.com.zone"))?;
        let zone = fs::read_to_string(shipped.join("zones/example.com.toml"))?;
        let zone = zone.replace("8080", &endpoints.port.to_string());
        fs::write(files.path("zones/example.com.toml"), zone)?;
        fs::write(files.path("windrose.toml"), SERVER)?;
        Ok(files)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What is left in a temporary directory is the system's to clean.
        let _ = fs::remove_dir_all(&self.0);
    }
}
