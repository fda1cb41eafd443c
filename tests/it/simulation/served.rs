//! What the fleet serves: one zone in several editions, and what it is asked.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use windrose::config::{self, ZoneFiles};
use windrose::fleet::bundle::{Files, pack};
use windrose::geo::Atlas;
use windrose::health::Board;
use windrose::health::fleet::{Keys, hash_of_targets};
use windrose::model::{EndpointId, Report, Target, TargetHost, TargetId, Zone};
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

use super::world::START;

pub(super) const ENDPOINTS: usize = 20;
pub(super) const NAMES: [&str; 3] = ["www", "first", "sticky"];
pub(super) const REGIONS: [&str; 4] = ["eu", "us", "ap", "sa"];
pub(super) const ZONE: &str = "sim.test";
const FILE: &str = "sim.test.toml";

/// Editions of the zone that can be served; the one after them cannot.
pub(super) const EDITIONS: usize = 4;

/// What all machines know.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) keys: Keys,
    pub(super) targets: Arc<[Target]>,
    pub(super) ids: Arc<[TargetId]>,
    pub(super) targets_hash: u64,
    pub(super) editions: Arc<[Edition]>,
    pub(super) atlas: Arc<Atlas>,
}

/// One that can be pushed.
pub(super) struct Edition {
    /// Its files as they are pushed.
    pub(super) bundle: Vec<u8>,
    /// What is read of them, unless they are wrong.
    pub(super) zones: Option<Vec<Arc<Zone>>>,
    /// Its answers while nothing is known.
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

/// The same for all seeds.
pub(super) fn common() -> Common {
    static COMMON: OnceLock<Common> = OnceLock::new();
    COMMON.get_or_init(make).clone()
}

/// Five endpoints in each of four regions; endpoint `n` is 192.0.2.`n`. Editions differ in what they answer, and
/// not in what is probed.
fn text(edition: usize) -> String {
    let ttl = 20 + edition;
    let mut zone = format!(
        "zone = '{ZONE}'\nnameservers = ['ns1.example.net.']\nttl = '{ttl}s'\n\
         [checks.web]\nkind = 'tcp'\nport = 443\ninterval = '10s'\ntimeout = '2s'\nrise = 3\nfall = 3\n"
    );
    let places = [(53.3, -6.2), (38.9, -77.4), (19.0, 72.8), (-23.5, -46.6)];
    for (place, (name, (latitude, longitude))) in REGIONS.into_iter().zip(places).enumerate() {
        let endpoints: Vec<String> = (0..5)
            .map(|n| format!("{{ name = 'e{0}', address = '192.0.2.{0}' }}", 5 * place + n))
            .collect();
        zone += &format!(
            "[regions.{name}]\nlocation = [{latitude:?}, {longitude:?}]\n\
             [pools.{name}]\nregion = '{name}'\ncheck = 'web'\nendpoints = [{}]\n",
            endpoints.join(", ")
        );
    }
    let mut pools: Vec<String> = REGIONS.map(|name| format!("'{name}'")).to_vec();
    pools.rotate_left(edition % REGIONS.len());
    let pools = format!("pools = [{}]", pools.join(", "));
    for (name, policy, pick) in [
        ("www", "nearest", "weighted"),
        ("first", "failover", "failover"),
        ("sticky", "sticky", "sticky"),
    ] {
        zone += &format!(
            "[steer.{name}]\npolicy = '{policy}'\n{pools}\npick = {{ policy = '{pick}' }}\n"
        );
    }
    if edition < EDITIONS { zone } else { zone + "[steer.torn\n" }
}

struct OneFile(String);

impl ZoneFiles for OneFile {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec![FILE.to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(self.0.as_str().into())
    }
}

fn make() -> Common {
    let atlas = Arc::new(Atlas::empty());
    let edition = |edition| {
        let text = text(edition);
        let files = Files::from([(FILE.to_owned(), text.clone().into_bytes())]);
        let mut report = Report::new();
        let zones = config::read_zones(&mut report, &OneFile(text));
        assert_eq!(report.has_errors(), edition >= EDITIONS, "{report}");
        let zones = (edition < EDITIONS).then_some(zones);
        let snapshot = zones.clone().map(|zones| {
            let blueprint = Blueprint { zones, atlas: Arc::clone(&atlas) };
            let unknown = |target: &Target| Board::new().health(target);
            let conditions = Conditions::new(START, &unknown);
            Arc::new(Snapshot::compile(blueprint, 1, &conditions).unwrap())
        });
        Edition { bundle: pack(&files).unwrap(), zones, snapshot }
    };
    let editions: Vec<_> = (0..=EDITIONS).map(edition).collect();
    let zone = &editions[0].zones.as_ref().unwrap()[0];
    let of = |n| zone.targets_of(EndpointId::new(n)).iter().cloned().collect::<Vec<_>>();
    let mut targets: Vec<Target> = (0..zone.endpoints.len()).flat_map(of).collect();
    targets.sort_by_key(|target| match target.host {
        TargetHost::Address(IpAddr::V4(address)) => address.octets()[3],
        TargetHost::Address(IpAddr::V6(_)) | TargetHost::Name(_) => unreachable!("there are none"),
    });
    assert_eq!(targets.len(), ENDPOINTS);
    let ids: Arc<[TargetId]> = targets.iter().map(Target::id).collect();
    let targets_hash = hash_of_targets(ids.iter().copied());
    let keys = Keys::new(&[[7; 32]], "simulation");
    Common { keys, targets: targets.into(), ids, targets_hash, editions: editions.into(), atlas }
}

/// A for a name, for one of some clients.
pub(super) fn packet(name: &str, client: u8) -> Vec<u8> {
    let mut packet = vec![0xca, 0xfe, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.push(u8::try_from(name.len()).unwrap());
    packet.extend_from_slice(name.as_bytes());
    packet.extend_from_slice(b"\x03sim\x04test\x00\x00\x01\x00\x01");
    packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
    packet.extend_from_slice(&[20, 30 * client, client]);
    packet
}

/// The last octet of the first address in an answer, if it is one.
pub(super) fn first_address(reply: &[u8]) -> Option<usize> {
    const QUESTION: usize = 12;
    let count = u16::from_be_bytes([*reply.get(6)?, *reply.get(7)?]);
    if reply[3] & 15 != 0 || count == 0 {
        return None;
    }
    // The name asked for, type and class; then a pointer to it, type, class, TTL and length.
    let name = reply[QUESTION..].iter().position(|octet| *octet == 0)? + 1;
    let record = reply.get(QUESTION + name + 4..)?;
    let is_address = record.get(..4)? == [0xc0, 0x0c, 0, 1] && record.get(10..12)? == [0, 4];
    is_address.then(|| record.get(15).map(|octet| usize::from(*octet)))?
}
