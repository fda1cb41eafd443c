//! The world inside of the namespace: a root, top-level domains and leaf zones, all served by windrose, and
//! the endpoints that it probes.
//!
//! Nothing here is reached from outside, so addresses are taken where the database knows a place.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::ask::Asker;
use crate::program::run;
use crate::server::{Server, pause};
use windrose::model::RecordType;

/// A windrose: what it is called, its zones' directory, and its addresses.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    zones: &'static str,
    pub(crate) addresses: &'static [&'static str],
    /// The port of loopback where its metrics are.
    admin: u16,
}

pub(crate) const NODES: [Node; 4] = [
    Node {
        name: "root",
        zones: "root",
        addresses: &["5.1.0.1", "2a05:1::1", "5.2.0.1", "2a05:2::1"],
        admin: 5381,
    },
    Node {
        name: "tld",
        zones: "tld",
        addresses: &["5.3.0.1", "2a05:3::1", "5.4.0.1", "2a05:4::1", "5.7.0.1", "2a05:7::1"],
        admin: 5382,
    },
    Node { name: "ns1", zones: "leaf", addresses: &["5.5.0.1", "2a05:5::1"], admin: 5383 },
    Node { name: "ns2", zones: "leaf", addresses: &["5.6.0.1", "2a05:6::1"], admin: 5384 },
];

/// The root's servers as a file of hints.
pub(crate) const HINTS: &str = "\
. 3600000 IN NS a.root-servers.test.
. 3600000 IN NS b.root-servers.test.
a.root-servers.test. 3600000 IN A 5.1.0.1
a.root-servers.test. 3600000 IN AAAA 2a05:1::1
b.root-servers.test. 3600000 IN A 5.2.0.1
b.root-servers.test. 3600000 IN AAAA 2a05:2::1
";

/// Where clients are, and the region that they are sent to. Resolvers stand in the first.
pub(crate) struct Place {
    pub(crate) region: &'static str,
    /// The network of each family; clients differ in the last part.
    pub(crate) v4: [u8; 3],
}

pub(crate) const PLACES: [Place; 3] = [
    Place { region: "eu-west", v4: [81, 2, 69] },
    Place { region: "us-east", v4: [8, 8, 8] },
    Place { region: "ap-south", v4: [49, 36, 0] },
];

/// What resolvers ask from by IPv6, in the same country as by IPv4.
pub(crate) const RESOLVER_V6: &str = "2a02:c7f::";

/// Clients in each place that have an address, from here on.
pub(crate) const CLIENT_FIRST: u8 = 200;
pub(crate) const CLIENTS: u8 = 20;

/// The region that an address in an answer belongs to.
pub(crate) fn region_of(rdata: &[u8]) -> Option<&'static str> {
    const V6: [u8; 5] = [0x20, 0x01, 0x0d, 0xb8, 0];
    match rdata {
        [192, 0, 2, 10 | 11] => Some("eu-west"),
        [198, 51, 100, 10 | 11] => Some("us-east"),
        [203, 0, 113, 10] => Some("ap-south"),
        v6 if v6.len() == 16 && v6.starts_with(&V6) && matches!(v6[15], 0x10 | 0x11) => {
            [None, Some("eu-west"), Some("us-east"), Some("ap-south")]
                .get(usize::from(v6[5]))?
                .as_ref()
                .copied()
        }
        _ => None,
    }
}

/// Everything that resolvers find.
pub(crate) struct World {
    pub(crate) endpoints: Endpoints,
    nodes: Vec<Server>,
}

impl World {
    /// Gives addresses to the namespace and starts all nodes in `directory`.
    pub(crate) fn start(directory: &Path, resolvers: u8) -> io::Result<Self> {
        give_addresses(resolvers)?;
        let endpoints = Endpoints::start()?;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
        let database = "windrose-city.mmdb.gz";
        fs::create_dir_all(directory.join("geoip"))?;
        fs::copy(shipped.join("geoip").join(database), directory.join("geoip").join(database))?;
        fs::write(directory.join("hints"), HINTS)?;
        write_certificate(directory)?;
        let mut world = Self { endpoints, nodes: Vec::new() };
        for zones in ["root", "tld", "leaf"] {
            lay_out(&shipped.join("tests/data/resolvers").join(zones), &directory.join(zones))?;
        }
        for node in &NODES {
            let config = directory.join(format!("{}.toml", node.name));
            fs::write(&config, node.config())?;
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("serve").arg("--config").arg(config);
            let mut server = Server::start(node.name, command, directory)?;
            let address = node.addresses[0].parse().expect("an address above");
            let asker = Asker::new(Ipv4Addr::from([81, 2, 69, CLIENT_FIRST]).into());
            server.wait_until(|| asker.ask(address, &[0], RecordType::SOA, true).len > 0)?;
            world.nodes.push(server);
        }
        Ok(world)
    }

    /// Lines of the nodes' logs that are warnings or worse.
    pub(crate) fn complaints(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for (node, server) in NODES.iter().zip(&self.nodes) {
            let log = server.log()?;
            let is_bad =
                |line: &&str| ["WARN", "ERROR", "panic"].iter().any(|word| line.contains(word));
            let lines = log.lines().filter(is_bad);
            found.extend(lines.map(|line| format!("{}: {line}", node.name)));
        }
        Ok(found)
    }
}

impl Node {
    fn config(&self) -> String {
        let listen = |port: u16| {
            let addresses: Vec<String> = (self.addresses.iter())
                .map(|address| {
                    format!(
                        "{:?}",
                        SocketAddr::new(address.parse().expect("an address"), port).to_string()
                    )
                })
                .collect();
            addresses.join(", ")
        };
        let Self { name, zones, admin, .. } = self;
        let (plain, tls, https) = (listen(53), listen(853), listen(443));
        let certificate = "certificate = \"cert.pem\"\nkey = \"key.pem\"";
        format!(
            "version = 1\n[dns]\nlisten = [{plain}]\nthreads = 1\nserver-id = \"{name}\"\n\
             [dns.tls]\nlisten = [{tls}]\n{certificate}\n[dns.https]\nlisten = [{https}]\n{certificate}\n\
             [zones]\ndirectory = \"{zones}\"\n[geoip]\ndirectory = \"geoip\"\n\
             [admin]\nlisten = [\"127.0.0.1:{admin}\"]\n[state]\ndirectory = \"{name}-state\"\n"
        )
    }

    /// Answers that it gave so far, by kind.
    pub(crate) fn answers(&self) -> io::Result<BTreeMap<String, u64>> {
        let text = crate::ask::get("/metrics", self.admin)?;
        let mut kinds = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("windrose_answers_total")) {
            let kind = line.split("kind=\"").nth(1).and_then(|rest| rest.split('"').next());
            let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
            if let (Some(kind), Some(count)) = (kind, count) {
                *kinds.entry(kind.to_owned()).or_default() += count;
            }
        }
        Ok(kinds)
    }
}

/// The zones of a node, the root's file under the name that windrose wants.
fn lay_out(source: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = if name == "root.zone" { "..zone".into() } else { name };
        fs::copy(entry.path(), directory.join(name))?;
    }
    Ok(())
}

fn write_certificate(directory: &Path) -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(["ns1.example.test".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.map_err(io::Error::other)?;
    fs::write(directory.join("cert.pem"), cert.pem())?;
    fs::write(directory.join("key.pem"), signing_key.serialize_pem())
}

/// All addresses are on loopback, each alone, so that whoever sends from one is seen as that one.
fn give_addresses(resolvers: u8) -> io::Result<()> {
    let nodes = NODES.iter().flat_map(|node| node.addresses).map(|address| (*address).to_owned());
    let clients = PLACES.iter().flat_map(|place| {
        let [a, b, c] = place.v4;
        (0..CLIENTS).flat_map(move |n| {
            [
                format!("{a}.{b}.{c}.{}", CLIENT_FIRST + n),
                format!("{a}.{b}.{}.{CLIENT_FIRST}", n + 100),
            ]
        })
    });
    let resolvers = (0..resolvers).flat_map(|n| [resolver_v4(n).to_string(), resolver_v6(n)]);
    run("ip", &["link", "set", "lo", "up"])?;
    for address in nodes.chain(clients).chain(resolvers) {
        let (text, is_done) = if address.contains(':') {
            run("ip", &["-6", "address", "add", &format!("{address}/128"), "dev", "lo", "nodad"])?
        } else {
            run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"])?
        };
        if !is_done {
            return Err(io::Error::other(format!("{address}: {text}")));
        }
    }
    Ok(())
}

/// Where the n-th resolver is asked, and whence it asks.
pub(crate) fn resolver_v4(n: u8) -> Ipv4Addr {
    let [a, b, c] = PLACES[0].v4;
    Ipv4Addr::new(a, b, c, 10 + n)
}

/// Whence it asks by IPv6.
pub(crate) fn resolver_v6(n: u8) -> String {
    format!("{RESOLVER_V6}{:x}", 16 + n)
}

/// What is probed: one listener for each region.
#[derive(Clone)]
pub(crate) struct Endpoints(Arc<Mutex<Vec<Option<TcpListener>>>>);

impl Endpoints {
    fn start() -> io::Result<Self> {
        let listeners = (0..PLACES.len()).map(|region| Ok(Some(listen(region)?)));
        let endpoints = Self(Arc::new(Mutex::new(listeners.collect::<io::Result<_>>()?)));
        let shared = endpoints.clone();
        thread::spawn(move || {
            loop {
                for listener in shared.all().iter().flatten() {
                    // Whoever was let in is let go at once: a check wants no more than a connection.
                    while listener.accept().is_ok() {}
                }
                pause(Duration::from_millis(10));
            }
        });
        Ok(endpoints)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Option<TcpListener>>> {
        self.0.lock().expect("nobody panics with it")
    }

    /// From now on connections to a region are refused.
    pub(crate) fn kill(&self, region: usize) {
        self.all()[region] = None;
    }

    /// From now on they are taken.
    pub(crate) fn revive(&self, region: usize) -> io::Result<()> {
        let listener = listen(region)?;
        self.all()[region] = Some(listener);
        Ok(())
    }
}

fn listen(region: usize) -> io::Result<TcpListener> {
    let third = u8::try_from(region + 1).expect("few regions");
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, third, 1), 8080))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
