//! Whom an answer is for: what RFC 7871 has a cache do with scopes, over whole rules.
//!
//! A resolver keeps an answer for everybody within its scope (§7.3.1), so everybody there must get the same
//! decision, and no two scopes may overlap (§7.2.1). Worlds are made at random: zone files with policies
//! between pools and inside them, clauses, maps, round-trip times, trees and capacities; databases; what is
//! down and what operators say. Random clients with sources of random lengths ask through `handle`. Where a
//! policy draws for each answer, equal dice must draw the same: one draw tree then, and one key.
//!
//! `PROPTEST_CASES` sets the number of worlds, each with 200 clients.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use windrose::config::{self, ZoneFiles};
use windrose::dns::{Arrival, Dice, handle};
use windrose::geo::writer::{Value, Writer};
use windrose::geo::{Atlas, Database};
use windrose::model::{
    Name, Override, OverrideKind, Overrides, Prefix, Report, Said, Subject, Target, TargetHealth,
    Time, Verdict, Zone,
};
use windrose::snapshot::demand::Estimator;
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

/// Clients of each world.
const CLIENTS: usize = 200;
/// Others within the scope of each answer.
const OTHERS: usize = 4;
/// Worlds, unless told otherwise.
const WORLDS: u32 = 25;

const POOLS: [&str; 5] = ["p0", "p1", "p2", "p3", "p4"];
const COUNTRIES: [(&str, &str, f64, f64); 6] = [
    ("GB", "EU", 51.5, -0.1),
    ("DE", "EU", 50.1, 8.7),
    ("US", "NA", 40.7, -74.0),
    ("BR", "SA", -23.6, -46.6),
    ("IN", "AS", 19.1, 72.9),
    ("JP", "AS", 35.7, 139.7),
];
const ASNS: [u32; 4] = [64500, 64501, 64502, 64503];

/// Random choices that follow from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One or more of `of`, in a random order, as an array in TOML.
    fn some(&mut self, of: &[&str]) -> String {
        let mut of = of.to_vec();
        for n in (1..of.len()).rev() {
            of.swap(n, self.below(n + 1));
        }
        of.truncate(1 + self.below(of.len()));
        format!("{of:?}")
    }

    /// A network of some length from `lens`.
    fn network(&mut self, is_v4: bool, lens: std::ops::Range<usize>) -> Prefix {
        let len = u8::try_from(lens.start + self.below(lens.len())).unwrap();
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        // Few first octets, so that networks lie in one another; some of them private.
        let address = if is_v4 {
            let first = self.pick(&[10_u128, 80, 81, 192]);
            let second = if first == 192 { 168 } else { bits >> 16 & 3 };
            let address = first << 24 | second << 16 | bits & 0x07ff;
            IpAddr::from(u32::try_from(address).unwrap().to_be_bytes())
        } else {
            let first = self.pick(&[0x2a00_u128, 0x2a01, 0xfd00]);
            let below = (bits & 3) << 94 | (bits >> 2 & 3) << 78 | (bits >> 4 & 0xff) << 64;
            IpAddr::from((first << 112 | below).to_be_bytes())
        };
        Prefix::new(address, len)
    }

    /// Somebody inside `network`, who tells `len` bits of the address.
    fn inside(&mut self, network: Prefix, len: u8) -> Prefix {
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        match network.address() {
            IpAddr::V4(address) => {
                let free = u32::MAX.checked_shr(network.len().into()).unwrap_or(0);
                let bits = u32::try_from(bits & u128::from(u32::MAX)).unwrap() & free;
                Prefix::new(IpAddr::from((u32::from(address) | bits).to_be_bytes()), len)
            }
            IpAddr::V6(address) => {
                let free = u128::MAX.checked_shr(network.len().into()).unwrap_or(0);
                Prefix::new(IpAddr::from((u128::from(address) | bits & free).to_be_bytes()), len)
            }
        }
    }
}

/// A zone, what is known of where clients are, and the networks that either names.
struct World {
    zone: String,
    rows: Vec<(Prefix, usize, u32)>,
    networks: Vec<Prefix>,
    names: Vec<String>,
}

impl World {
    fn new(chance: &mut Chance) -> Self {
        let networks = |chance: &mut Chance, count: usize, [v4, v6]: [usize; 2]| -> Vec<Prefix> {
            let one = |_| match chance.one_in(3) {
                true => chance.network(false, 12..v6),
                false => chance.network(true, 6..v4),
            };
            (0..count).map(one).collect()
        };
        let count = 1 + chance.below(40);
        let of_rows = networks(chance, count, [31, 65]);
        let row = |network| (network, chance.below(COUNTRIES.len()), chance.pick(&ASNS));
        let rows: Vec<_> = of_rows.iter().copied().map(row).collect();
        // A zone file tells no smaller ones apart.
        let subnets = networks(chance, 4, [25, 57]);
        let (zone, names) = zone(chance, &subnets);
        Self { zone, rows, networks: [of_rows, subnets].concat(), names }
    }

    fn atlas(&self) -> Atlas {
        let mut writer = Writer::v6("Clients");
        // Shorter networks first, so that longer ones are cut out of them.
        let mut rows = self.rows.clone();
        rows.sort_by_key(|(network, ..)| {
            network.len() + if network.address().is_ipv4() { 96 } else { 0 }
        });
        for (network, place, asn) in rows {
            let (country, continent, latitude, longitude) = COUNTRIES[place];
            let record = Value::from([
                ("country_code", country.into()),
                ("continent_code", continent.into()),
                ("latitude", Value::Double(latitude)),
                ("longitude", Value::Double(longitude)),
                ("autonomous_system_number", asn.into()),
            ]);
            writer.insert(network, &record);
        }
        Atlas::build(vec![Database::open("clients", writer.finish()).unwrap()]).unwrap()
    }

    /// The world as it is at first, and as it is after `ask` was done with that: what clients ask for is
    /// known then, so that full pools send some on.
    fn snapshots(
        &self,
        chance: &mut Chance,
        mut ask: impl FnMut(&Snapshot) -> Result<(), TestCaseError>,
    ) -> Result<(), TestCaseError> {
        let mut report = Report::new();
        let zones = config::read_zones(&mut report, &OneFile(self.zone.clone()));
        assert!(!zones.is_empty(), "{report}\n{}", self.zone);
        let atlas = Arc::new(self.atlas());
        let seed = chance.next();
        let is_quiet = chance.one_in(3);
        let of_target = |target: &Target| {
            let place = target.host.to_string().bytes().fold(seed, |sum, octet| {
                (sum ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            let verdict =
                if is_quiet || place >> 40 & 3 != 0 { Verdict::Up } else { Verdict::Down };
            TargetHealth { verdict, ..TargetHealth::UNCHECKED }
        };
        let overrides = overrides(chance);
        let at = |secs| Conditions {
            now: Time::from_secs(secs),
            ..Conditions::new(Time::ZERO, &of_target).with_overrides(&overrides)
        };
        let snapshot = Snapshot::compile(Blueprint { zones, atlas }, 1, &at(100)).unwrap();
        let mut estimator = Estimator::default();
        let mut step = |secs: u64| {
            let unix = Duration::from_secs(1_800_000_000 + secs);
            estimator.step(&snapshot, Time::from_secs(secs), unix, &|_: &Zone, _| None)
        };
        step(100);
        ask(&snapshot)?;
        let demands = step(160);
        let next = demands.and_then(|demands| snapshot.next(&at(160).with_demands(&demands)));
        ask(next.as_ref().unwrap_or(&snapshot))
    }
}

fn overrides(chance: &mut Chance) -> Overrides {
    let mut all = BTreeMap::new();
    for _ in 0..chance.below(3) {
        all.insert(chance.pick(&POOLS), chance.pick(&OverrideKind::ALL));
    }
    let said = Said {
        author: "ann".to_owned(),
        reason: String::new(),
        at: Time::from_secs(90),
        until: None,
    };
    let one = |(pool, kind): (&str, OverrideKind)| Override {
        zone: "t.".parse().unwrap(),
        what: Subject::Pool(pool.to_owned()),
        kind,
        said: said.clone(),
    };
    Overrides { all: all.into_iter().map(one).collect(), freeze: None }
}

/// A random zone file, and the names that it steers.
fn zone(chance: &mut Chance, subnets: &[Prefix]) -> (String, Vec<String>) {
    let mut text = "zone = 't'\nnameservers = ['ns.example.net.']\n".to_owned();
    let at = [(53.3, -6.3), (39.0, -77.5), (19.1, 72.9), (-23.5, -46.6), (48.1, 11.6)];
    for (n, (latitude, longitude)) in at.into_iter().enumerate() {
        let bias =
            if chance.one_in(4) { i32::try_from(chance.below(199)).unwrap() - 99 } else { 0 };
        write!(text, "[regions.r{n}]\nlocation = [{latitude}, {longitude}]\nbias = {bias}\n")
            .unwrap();
        if chance.one_in(4) {
            writeln!(text, "fallback = ['r{}']", (n + 1 + chance.below(4)) % 5).unwrap();
        }
    }
    text.push_str("[checks.web]\nkind = 'tcp'\nport = 80\n");
    let has_capacity = chance.one_in(3);
    for (n, pool) in POOLS.iter().enumerate() {
        write!(text, "[pools.{pool}]\nregion = 'r{n}'\ncheck = 'web'\nendpoints = [").unwrap();
        for endpoint in 0..=chance.below(3) {
            let (v4, v6) =
                (format!("192.0.2.{}", 10 * n + endpoint), format!("2001:db8::{n}{endpoint}"));
            let weight = 1 + chance.below(4);
            let address = match chance.below(4) {
                0 => format!("'{v4}'"),
                _ => format!("['{v4}', '{v6}']"),
            };
            write!(text, "{{ address = {address}, weight = {weight} }}, ").unwrap();
        }
        text.push_str("]\n");
        if has_capacity && chance.one_in(2) {
            writeln!(text, "capacity = {}", 1 + chance.below(50)).unwrap();
        }
    }
    text.push_str(
        "[rtt.country]\nGB = { r1 = '5ms', r2 = '9ms' }\n[rtt.asn]\n64501 = { r2 = '1ms' }\n",
    );
    write!(text, "[rtt.subnet]\n'{}' = {{ r3 = '2ms', r0 = '80ms' }}\n", subnets[0]).unwrap();
    let names: Vec<String> = (0..6).map(|n| format!("n{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        steer(chance, &mut text, subnets, name, n, has_capacity);
    }
    (text, names)
}

fn steer(
    chance: &mut Chance,
    text: &mut String,
    subnets: &[Prefix],
    name: &str,
    n: usize,
    has_capacity: bool,
) {
    let ordered = ["nearest", "latency", "map", "failover"];
    let drawn = ["weighted", "sticky", "round-robin", "random", "all"];
    let all = [&ordered[..], &drawn].concat();
    // Pools with a capacity are for policies that can send on.
    let policy = chance.pick(if has_capacity { &ordered } else { &all });
    let mut pools: Vec<String> = POOLS.iter().map(|pool| format!("'{pool}'")).collect();
    if n > 0 && chance.one_in(3) {
        pools.push(format!("'steer:n{}'", chance.below(n)));
    }
    write!(text, "[steer.{name}]\npolicy = '{policy}'\npools = [{}]\n", pools.join(", ")).unwrap();
    let inside = chance.pick(&["failover", "weighted", "sticky", "round-robin", "random", "all"]);
    writeln!(text, "pick = {{ policy = '{inside}', answers = {} }}", 1 + chance.below(3)).unwrap();
    if chance.one_in(2) {
        let (v4, v6) = (8 + chance.below(17), 16 + chance.below(41));
        writeln!(text, "key-bits = {{ v4 = {v4}, v6 = {v6} }}").unwrap();
    }
    if ordered.contains(&policy) && chance.one_in(3) {
        text.push_str("trickle = '5%'\n");
    }
    writeln!(text, "all-down = '{}'", chance.pick(&["as-up", "nodata", "pool:p2"])).unwrap();
    if policy == "map" {
        let mut lists = || chance.some(&POOLS);
        writeln!(text, "[steer.{name}.map]\ndefault = {}", lists()).unwrap();
        writeln!(text, "continent = {{ EU = {}, AS = {} }}", lists(), lists()).unwrap();
        writeln!(text, "country = {{ DE = {} }}\nasn = {{ 64502 = {} }}", lists(), lists())
            .unwrap();
        writeln!(text, "subnet = {{ '{}' = {} }}", subnets[1], lists()).unwrap();
    }
    for _ in 0..chance.below(3) {
        let clients = match chance.below(4) {
            0 => format!("subnet = ['{}', '{}']", subnets[2], subnets[3]),
            1 => format!("country = ['{}']", chance.pick(&COUNTRIES).0),
            2 => format!("asn = [{}]", chance.pick(&ASNS)),
            _ => "continent = ['AS']".to_owned(),
        };
        let (pools, only) = (chance.some(&POOLS), chance.one_in(2));
        write!(text, "[[steer.{name}.where]]\n{clients}\npools = {pools}\nonly = {only}\n")
            .unwrap();
    }
}

/// A directory with the one zone.
struct OneFile(String);

impl ZoneFiles for OneFile {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["t.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(self.0.as_str().into())
    }
}

// ---- Asking ----

/// Asks for a name on behalf of a client: the reply but for its OPT record, and its scope.
fn ask(snapshot: &Snapshot, name: &Name, qtype: u8, client: Prefix, dice: u64) -> (Vec<u8>, u8) {
    let (family, octets) = match client.address() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let octets = &octets[..usize::from(client.len()).div_ceil(8)];
    let len = u8::try_from(octets.len()).unwrap();
    let mut packet = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name.as_wire());
    packet.extend_from_slice(&[0, qtype, 0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 8 + len]);
    packet.extend_from_slice(&[0, 8, 0, 4 + len, 0, family, client.len(), 0]);
    packet.extend_from_slice(octets);
    let resolver = "198.51.100.53".parse().unwrap();
    let arrival = Arrival { client: resolver, is_udp: true, unix_secs: 1_800_000_000 };
    let mut reply = [0; 1232];
    let outcome = handle(snapshot, &packet, arrival, &mut Dice::new(dice), &mut reply);
    // The OPT record comes last, and begins with the client subnet.
    let (reply, subnet) = (&reply[..outcome.len], &packet[packet.len() - octets.len() - 8..]);
    let at = reply.windows(7).rposition(|octets| *octets == subnet[..7]).unwrap();
    (reply[..at - 11].to_vec(), reply[at + 7])
}

/// What a client is decided, as far as some dice can tell, and for whom besides.
fn decided(snapshot: &Snapshot, name: &Name, qtype: u8, client: Prefix) -> (Vec<Vec<u8>>, u8) {
    let replies = [1, 0x8000_0000_0000_0001, 0x0123_4567_89ab_cdef];
    let replies = replies.map(|dice| ask(snapshot, name, qtype, client, dice));
    let scope = replies[0].1;
    assert!(replies.iter().all(|(_, own)| *own == scope), "chance has no say in scopes");
    (replies.map(|(reply, _)| reply).into(), scope)
}

/// A client near the border of a network that the world names, and how much of it is told.
fn client(chance: &mut Chance, world: &World) -> Prefix {
    let network = chance.pick(&world.networks);
    let width: usize = if network.address().is_ipv4() { 32 } else { 128 };
    // Mostly what resolvers send, and every other length as well.
    let len = match (chance.below(4), width) {
        (0 | 1, 32) => 24,
        (0 | 1, _) => 56,
        _ => 1 + chance.below(width),
    };
    let around = network.len().saturating_sub(u8::try_from(chance.below(4)).unwrap());
    let around = Prefix::new(network.address(), around);
    chance.inside(around, u8::try_from(len).unwrap())
}

/// The scopes of one name and type, so that none overlaps another.
#[derive(Default)]
struct Scopes(HashSet<Prefix>);

impl Scopes {
    /// Takes one in; another that it overlaps.
    fn add(&mut self, scope: Prefix) -> Option<Prefix> {
        let is_other =
            |known: &&Prefix| **known != scope && (known.covers(scope) || scope.covers(**known));
        let other = self.0.iter().find(is_other).copied();
        self.0.insert(scope);
        other
    }
}

/// Asks for `CLIENTS` clients of a random world; how many answers had a scope that others share.
fn check_world(seed: u64) -> Result<usize, TestCaseError> {
    let mut chance = Chance(seed);
    let world = World::new(&mut chance);
    let mut scopes: HashMap<(usize, u8), Scopes> = HashMap::new();
    let mut shared = 0;
    let mut clients = Chance(chance.next());
    world.snapshots(&mut chance, |snapshot| {
        shared += check_some(&world, snapshot, &mut clients, &mut scopes)?;
        Ok(())
    })?;
    Ok(shared)
}

/// The same for half of the clients, with the scopes that were seen before: they stay as they are whatever
/// becomes of pools.
fn check_some(
    world: &World,
    snapshot: &Snapshot,
    chance: &mut Chance,
    scopes: &mut HashMap<(usize, u8), Scopes>,
) -> Result<usize, TestCaseError> {
    let mut shared = 0;
    for _ in 0..CLIENTS / 2 {
        let client = client(chance, world);
        let (place, qtype) = (chance.below(world.names.len()), chance.pick(&[1, 28]));
        let name: Name = format!("{}.t.", world.names[place]).parse().unwrap();
        let (decision, scope) = decided(snapshot, &name, qtype, client);
        // A source too short to tell is for nobody else (§7.2.1), and 0 is told to all by no client.
        if scope > client.len() {
            continue;
        }
        shared += 1;
        let within = Prefix::new(client.address(), scope);
        if scope > 0 {
            let other = scopes.entry((place, qtype)).or_default().add(within);
            prop_assert_eq!(other, None, "overlaps {} for {}\n{}", within, name, world.zone);
        }
        let width = if client.address().is_ipv4() { 32 } else { 128 };
        for _ in 0..OTHERS {
            let len = usize::from(scope).max(1);
            let len = u8::try_from(len + chance.below(width + 1 - len)).unwrap();
            let other = chance.inside(within, len);
            let (theirs, their_scope) = decided(snapshot, &name, qtype, other);
            let case =
                format!("{name} {qtype} {client} scope {scope}, {other} scope {their_scope}");
            prop_assert!(theirs == decision, "{}\n{}", case, world.zone);
        }
    }
    Ok(shared)
}

fn worlds() -> ProptestConfig {
    let told = std::env::var("PROPTEST_CASES").is_ok();
    if told { ProptestConfig::default() } else { ProptestConfig::with_cases(WORLDS) }
}

proptest! {
    #![proptest_config(worlds())]

    #[test]
    fn everybody_within_a_scope_gets_the_same_decision(seed in any::<u64>()) {
        let shared = check_world(seed)?;
        // The clients must be such that there is something to share.
        prop_assert!(shared > CLIENTS / 4, "{shared}");
    }
}
