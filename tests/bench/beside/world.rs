//! What windrose serves when it is measured beside the echo: zones, databases, and endpoints that are
//! checked.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use windrose::geo::writer::{Value, Writer};
use windrose::model::Prefix;

use crate::chance::Chance;
use crate::database::{self, COUNTRIES, Made};
use crate::queries::{Queries, zone_name};
use crate::work::{FEW_NETWORKS, Holding, STEERED_NAMES};

/// Endpoints of each region.
const ENDPOINTS: u8 = 3;
/// Clients of a database, at most.
const CLIENTS_MAX: usize = 100_000;
/// Of ten clients, how many are in one of the networks of the database.
const CLIENTS_KNOWN: usize = 9;
/// How long all endpoints may take to be checked.
const CHECKED_WITHIN: Duration = Duration::from_secs(30);
/// First octets of IPv4 that nobody announces.
const RESERVED: [u8; 9] = [0, 10, 100, 127, 169, 172, 192, 198, 203];

/// Where the regions are.
const REGIONS: [(f64, f64); 8] = [
    (39.0, -77.5),
    (37.4, -122.1),
    (53.3, -6.3),
    (50.1, 8.7),
    (35.7, 139.7),
    (1.35, 103.8),
    (-23.5, -46.6),
    (-33.9, 151.2),
];

/// A directory that goes away with this.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("windrose-beside-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left in a temporary directory is the system's to clean.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is served, what is asked of it, and the endpoints if there are any.
pub(crate) struct World {
    pub(crate) queries: Queries,
    pub(crate) endpoints: Option<Endpoints>,
}

impl World {
    /// Writes all that windrose needs to serve at `port` into `directory`.
    pub(crate) fn new(holding: Holding, directory: &Path, port: u16) -> io::Result<Self> {
        let zones = directory.join("zones");
        fs::create_dir_all(&zones)?;
        fs::create_dir_all(directory.join("geoip"))?;
        fs::write(
            directory.join("windrose.toml"),
            format!(
                "version = 1\n[dns]\nlisten = [\"127.0.0.1:{port}\"]\nthreads = 1\n\
                 [zones]\ndirectory = \"zones\"\n[geoip]\ndirectory = \"geoip\"\n\
                 [admin]\nlisten = []\n[state]\ndirectory = \"state\"\n"
            ),
        )?;
        match holding {
            Holding::Static { zones: count, names } => {
                for n in 0..count {
                    write_zone(&zones.join(format!("{}.zone", zone_name(n, count))), names)?;
                }
                Ok(Self { queries: Queries::of_static(count, names), endpoints: None })
            }
            Holding::Steered { networks } => {
                let Made { file, networks } = database_of(networks);
                fs::write(directory.join("geoip/made.mmdb"), file)?;
                let endpoints = Endpoints::new()?;
                fs::write(zones.join("gslb.test.toml"), steered_zone(endpoints.port))?;
                let queries = Queries::of_steered(&clients(&networks));
                Ok(Self { queries, endpoints: Some(endpoints) })
            }
        }
    }
}

/// A zone of so many names, an A and an AAAA record each.
fn write_zone(path: &Path, names: usize) -> io::Result<()> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    out.write_all(
        b"$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 604800 300\n@ NS ns1\nns1 A 127.0.0.1\n",
    )?;
    for n in 0..names {
        let [_, b, c, d] = u32::try_from(n).map_err(io::Error::other)?.to_be_bytes();
        writeln!(out, "h{n:06} A 10.{b}.{c}.{d}\nh{n:06} AAAA 2001:db8::{b:x}:{c:x}:{d:x}")?;
    }
    out.flush()
}

/// Names that are steered to the nearest region whose endpoints are alive, and to one of them by weight.
fn steered_zone(port: u16) -> String {
    let mut zone = format!(
        "zone = \"gslb.test\"\nnameservers = [\"ns1.example.net.\"]\nttl = \"30s\"\n\
         [checks.tcp]\nkind = \"tcp\"\nport = {port}\ninterval = \"8s\"\ntimeout = \"3s\"\n"
    );
    let mut pools = Vec::new();
    for (region, (latitude, longitude)) in (0..).zip(REGIONS) {
        let endpoints = (0..ENDPOINTS).map(|n| {
            format!(
                "{{ name = \"e{n}\", address = \"{}\", weight = 10 }}",
                endpoint_address(region, n)
            )
        });
        let endpoints = endpoints.collect::<Vec<_>>().join(", ");
        write!(
            zone,
            "[regions.r{region}]\nlocation = [{latitude:?}, {longitude:?}]\n\
             [pools.p{region}]\nregion = \"r{region}\"\ncheck = \"tcp\"\nendpoints = [{endpoints}]\n"
        )
        .expect("a String takes all");
        pools.push(format!("\"p{region}\""));
    }
    let pools = pools.join(", ");
    for n in 0..STEERED_NAMES {
        write!(
            zone,
            "[steer.w{n:06}]\npolicy = \"nearest\"\npools = [{pools}]\n\
             pick = {{ policy = \"weighted\", answers = 1 }}\n"
        )
        .expect("a String takes all");
    }
    zone
}

const fn endpoint_address(region: u8, n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, region + 1, n + 1)
}

/// The endpoints of all regions. They take connections and close them as long as the process lives.
pub(crate) struct Endpoints {
    port: u16,
    /// Every connection that was taken, by the place of its endpoint.
    taken: Receiver<usize>,
}

impl Endpoints {
    fn new() -> io::Result<Self> {
        let regions = 0..u8::try_from(REGIONS.len()).map_err(io::Error::other)?;
        let addresses =
            regions.flat_map(|region| (0..ENDPOINTS).map(move |n| endpoint_address(region, n)));
        let (sender, taken) = mpsc::channel();
        let mut port = 0;
        for (place, address) in addresses.enumerate() {
            let listener = TcpListener::bind((address, port))?;
            port = listener.local_addr()?.port();
            let sender = sender.clone();
            thread::Builder::new().name("endpoint".to_owned()).spawn(move || {
                for _ in listener.incoming().flatten() {
                    // Whoever waited for all of them may have gone.
                    let _ = sender.send(place);
                }
            })?;
        }
        Ok(Self { port, taken })
    }

    /// Waits until every endpoint has been checked.
    pub(crate) fn wait_for_checks(&self) -> io::Result<()> {
        let mut is_checked = [false; REGIONS.len() * ENDPOINTS as usize];
        while is_checked.contains(&false) {
            let place = self
                .taken
                .recv_timeout(CHECKED_WITHIN)
                .map_err(|_| io::Error::other("windrose does not check its endpoints"))?;
            is_checked[place] = true;
        }
        Ok(())
    }
}

// ---- Databases ----

/// A City database of so many networks.
pub(crate) fn database_of(networks: usize) -> Made {
    if networks > FEW_NETWORKS { database::make(networks, 1) } else { small_database(networks) }
}

/// A database of few networks, from /16 to /24, each in one of the countries.
fn small_database(count: usize) -> Made {
    let mut chance = Chance(1);
    let mut writer = Writer::v4("GeoLite2-City").description("made up, for measuring");
    let firsts = (1..224_u8).filter(|first| !RESERVED.contains(first));
    let mut blocks: Vec<[u8; 2]> =
        firsts.flat_map(|first| (0..=255).map(move |second| [first, second])).collect();
    for n in (1..blocks.len()).rev() {
        blocks.swap(n, chance.below(n + 1));
    }
    // One /16 whole, four /20s of the next, eight /24s of the one after that.
    let networks = (0..).zip(blocks).flat_map(|(n, [a, b]): (usize, _)| {
        let (parts, len, apart) = [(1, 16, 0), (4, 20, 64), (8, 24, 32)][n % 3];
        (0..parts)
            .map(move |part: u8| Prefix::new(Ipv4Addr::new(a, b, part * apart, 0).into(), len))
    });
    let networks: Vec<Prefix> = networks.take(count).collect();
    for network in &networks {
        let (code, continent, (latitude, longitude), ..) = COUNTRIES[chance.below(COUNTRIES.len())];
        let mut near = |middle: f64| middle + f64::from(chance.next_u32() % 9) - 4.0;
        let record = Value::from([
            ("continent", [("code", continent.into())].into()),
            ("country", [("iso_code", code.into())].into()),
            (
                "location",
                [
                    ("accuracy_radius", Value::Uint16(20)),
                    ("latitude", near(latitude).into()),
                    ("longitude", near(longitude).into()),
                ]
                .into(),
            ),
        ]);
        writer.insert(*network, &record);
    }
    Made { file: writer.finish(), networks }
}

/// Clients' /24s, most of them in networks of the database.
fn clients(networks: &[Prefix]) -> Vec<[u8; 3]> {
    let mut chance = Chance(3);
    let networks: Vec<(u32, u8)> = networks
        .iter()
        .filter_map(|network| match network.address() {
            IpAddr::V4(v4) => Some((u32::from(v4), network.len())),
            IpAddr::V6(_) => None,
        })
        .collect();
    let client = |_| {
        let any = chance.next_u32();
        let (network, len) = networks[chance.below(networks.len())];
        let host = any & u32::MAX.checked_shr(len.into()).unwrap_or(0);
        let address = if chance.below(10) < CLIENTS_KNOWN { network | host } else { any };
        let [a, b, c, _] = address.to_be_bytes();
        [a, b, c]
    };
    (0..networks.len().min(CLIENTS_MAX)).map(client).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_database_has_its_networks_and_nine_of_ten_clients() {
        let Made { file, networks } = small_database(FEW_NETWORKS);
        assert_eq!(networks.len(), FEW_NETWORKS);
        let reader = maxminddb::Reader::from_source(file).unwrap();
        for network in &networks {
            let found = reader.lookup(network.address()).unwrap();
            assert_eq!(found.network().unwrap().to_string(), network.to_string());
        }
        let clients = clients(&networks);
        let known = clients.iter().filter(|[a, b, c]| {
            reader.lookup(Ipv4Addr::new(*a, *b, *c, 1).into()).unwrap().has_data()
        });
        let share = known.count() * 100 / clients.len();
        // Some of the others are in a network by chance.
        assert!((90..94).contains(&share), "{share} of a hundred");
    }
}
