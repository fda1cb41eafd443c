//! What the demo plays on: the zone files in a directory of their own, the endpoints, and the node.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::endpoints::Endpoints;
use crate::config::{self, ServerConfig};
use crate::files::ZoneDirectory;
use crate::load::Place;
use crate::model::{Report, Zone};
use crate::server::{Node, StartError};

const ZONE: &str = include_str!("../../../zones/example.com.toml");
const RECORDS: &str = include_str!("../../../zones/example.com.zone");
/// Where the zone has its endpoints checked, and how it says so.
pub(super) const CHECK_PORT: u16 = 8080;
const CHECK_PORT_LINE: &str = "port     = 8080";
/// Where the example says that a node answers, and where its admin endpoint is.
const DNS_PORT: u16 = 5300;
const ADMIN_PORT: u16 = 5380;
/// Tries to find a port that is free at the addresses of all endpoints.
const PORT_TRIES: usize = 20;

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    /// The zone that is played.
    pub(super) zone: Arc<Zone>,
    /// The endpoints of each region, by its number in the zone.
    pub(super) endpoints: Vec<Endpoints>,
    /// Where they are checked.
    pub(super) check_port: u16,
    /// Removed last.
    directory: TempDir,
}

impl Stage {
    /// Writes the files and starts the endpoints, at the port of the zone if that is free.
    pub(super) fn set() -> io::Result<Self> {
        let directory = TempDir::new()?;
        let zone = write_zone(directory.path(), CHECK_PORT)?;
        let mut listeners = bind_endpoints(&zone, CHECK_PORT);
        for _ in 0..PORT_TRIES {
            if !is_taken(&listeners) {
                break;
            }
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            listeners = bind_endpoints(&zone, free);
        }
        let listeners = listeners?;
        let of_any = listeners.iter().flatten().next();
        let check_port = of_any.map_or(Ok(CHECK_PORT), |l| l.local_addr().map(|a| a.port()))?;
        let zone = write_zone(directory.path(), check_port)?;
        let endpoints = listeners.into_iter().map(Endpoints::start).collect::<io::Result<_>>()?;
        Ok(Self { zone, endpoints, check_port, directory })
    }

    /// Starts a node that serves the zone, at the ports of the example where these are free.
    pub(super) async fn start_node(&self) -> Result<Node, StartError> {
        let mut config = ServerConfig::default();
        config.fixed.dns.listen = vec![free_or_any(DNS_PORT)];
        config.fixed.dns.threads = 1;
        config.fixed.admin.listen = vec![free_or_any(ADMIN_PORT)];
        let place = Place { file: None, base: self.directory.path().to_owned() };
        Node::start(place, &config).await
    }

    /// The endpoints of the region of this name.
    pub(super) fn endpoints_of(&mut self, region: &str) -> Option<&mut Endpoints> {
        let at = self.zone.regions.iter().position(|known| known.name == region)?;
        self.endpoints.get_mut(at)
    }
}

/// Writes the zone with its endpoints checked at `port`, and reads it as a node does.
fn write_zone(base: &Path, port: u16) -> io::Result<Arc<Zone>> {
    let directory = base.join("zones");
    fs::create_dir_all(&directory)?;
    let zone = ZONE.replace(CHECK_PORT_LINE, &format!("port     = {port}"));
    fs::write(directory.join("example.com.toml"), zone)?;
    fs::write(directory.join("example.com.zone"), RECORDS)?;
    let mut report = Report::new();
    let mut zones = config::read_zones(&mut report, &ZoneDirectory::new(&directory));
    zones.pop().ok_or_else(|| io::Error::other(report.to_string()))
}

/// Listeners for the endpoints of each region.
fn bind_endpoints(zone: &Zone, port: u16) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut listeners: Vec<Vec<TcpListener>> = Vec::new();
    listeners.resize_with(zone.regions.len(), Vec::new);
    for endpoint in &zone.endpoints {
        let region = zone.pools[endpoint.pool.index()].region;
        let address = endpoint.probed_for(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let address = SocketAddr::new(address, port);
        let listener = TcpListener::bind(address).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?;
        listeners[region.index()].push(listener);
    }
    Ok(listeners)
}

fn is_taken<T>(bound: &io::Result<T>) -> bool {
    bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// That port of the loopback, or one that the system chooses.
fn free_or_any(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // A node shares its UDP port with whoever asks to share it. These sockets do not ask.
    let is_free = UdpSocket::bind(wanted).is_ok() && TcpListener::bind(wanted).is_ok();
    if is_free { wanted } else { SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) }
}

/// A directory that only we can read, removed when dropped.
#[derive(Debug)]
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> io::Result<Self> {
        let base = std::env::temp_dir();
        let mut last = None;
        // A run that was killed may have left its directory behind, under our process id.
        for n in 0..100 {
            let path = base.join(format!("windrose-demo-{}-{n}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into());
        let words = format!("cannot make a directory in {}: {error}", base.display());
        Err(io::Error::new(error.kind(), words))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own tidying.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_check_can_be_another_one() {
        let directory = TempDir::new().unwrap();
        for port in [CHECK_PORT, 18080] {
            let zone = write_zone(directory.path(), port).unwrap();
            assert!(zone.checks.iter().all(|check| check.spec.port == port));
            assert!(zone.endpoints.iter().all(|endpoint| endpoint.check_address.is_some()));
        }
    }

    #[test]
    fn the_directory_goes_with_its_owner() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().to_owned();
        fs::write(path.join("file"), "").unwrap();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_port_that_is_taken_is_left_alone() {
        let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(free_or_any(port).port(), 0);
    }
}
