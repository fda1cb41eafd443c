//! The zones, the databases and the packets that are measured with: the same for the same arguments.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use windrose::config::{self, ZoneFiles};
use windrose::geo::writer::{Value, Writer};
use windrose::geo::{Atlas, Database};
use windrose::model::{Name, Prefix, RecordType, Report, Target, TargetHealth, TargetHost, Time};
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

use crate::chance::Chance;

/// Packets of a case, asked one after the other.
const PACKETS: usize = 4096;
/// Networks of the database, each a /16 with a place of its own.
const NETWORKS: u32 = 4000;

/// A zone directory in memory.
pub(crate) struct Files(Vec<(&'static str, Arc<str>)>);

impl Files {
    /// A zone of so many names, an A and an AAAA record each, and some aliases.
    pub(crate) fn of_static(names: usize) -> Self {
        let mut text =
            "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 604800 300\n@ NS ns1\nns1 A 127.0.0.1\n"
                .to_owned();
        for n in 0..names {
            let [_, b, c, d] = u32::try_from(n).expect("few names").to_be_bytes();
            writeln!(text, "h{n:06} A 10.{b}.{c}.{d}\nh{n:06} AAAA 2001:db8::{b:x}:{c:x}:{d:x}")
                .expect("a String takes all");
        }
        for n in 0..names.min(100) {
            writeln!(text, "alias{n} CNAME h{n:06}").expect("a String takes all");
        }
        Self(vec![("bench.test.zone", text.into())])
    }

    /// The same, and a zone of steered names: eight regions of three endpoints each.
    fn of_all(names: usize) -> Self {
        let mut files = Self::of_static(names);
        files.0.push(("gslb.test.toml", gslb().into()));
        files
    }
}

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

fn gslb() -> String {
    let mut text = "zone = \"gslb.test\"\nnameservers = [\"ns1.example.net.\"]\nttl = \"30s\"\n\
                    [checks.web]\nkind = \"tcp\"\nport = 80\n"
        .to_owned();
    let mut pools = Vec::new();
    for (n, (latitude, longitude)) in REGIONS.into_iter().enumerate() {
        write!(
            text,
            "[regions.r{n}]\nlocation = [{latitude:?}, {longitude:?}]\n\
             [pools.p{n}]\nregion = \"r{n}\"\ncheck = \"web\"\nendpoints = [\n"
        )
        .expect("a String takes all");
        for endpoint in 1..=3 {
            writeln!(
                text,
                "{{ name = \"e{endpoint}\", address = \"127.1.{}.{endpoint}\", weight = {endpoint} }},",
                n + 1
            )
            .expect("a String takes all");
        }
        text += "]\n";
        pools.push(format!("\"p{n}\""));
    }
    let pools = pools.join(", ");
    for (name, pick) in [("weighted", "weighted"), ("sticky", "sticky")] {
        write!(
            text,
            "[steer.{name}]\npolicy = \"nearest\"\npools = [{pools}]\npick = {{ policy = \"{pick}\" }}\n"
        )
        .expect("a String takes all");
    }
    text
}

/// Many rules over the same eight regions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Names with a TTL of their own over the same pools.
    SharingPools,
    /// Names with pools of their own, of one endpoint in each region.
    WithOwnPools,
}

/// A zone of so many names that are steered by rules of their own.
fn many_rules(count: usize, rules: Rules) -> String {
    let mut text = "zone = \"many.test\"\nnameservers = [\"ns1.example.net.\"]\n\
                    [checks.web]\nkind = \"tcp\"\nport = 80\n"
        .to_owned();
    for (n, (latitude, longitude)) in REGIONS.into_iter().enumerate() {
        writeln!(text, "[regions.r{n}]\nlocation = [{latitude:?}, {longitude:?}]")
            .expect("a String takes all");
    }
    let pool = |text: &mut String, name: &str, region: usize, address: Ipv4Addr| {
        writeln!(
            text,
            "[pools.{name}]\nregion = \"r{region}\"\ncheck = \"web\"\n\
             endpoints = [{{ address = \"{address}\" }}]"
        )
        .expect("a String takes all");
    };
    if rules == Rules::SharingPools {
        for region in 0..REGIONS.len() {
            let third = u8::try_from(region + 1).expect("few regions");
            pool(&mut text, &format!("p{region}"), region, Ipv4Addr::new(127, 1, third, 1));
        }
    }
    for n in 0..count {
        let [_, _, high, low] = u32::try_from(n).expect("few names").to_be_bytes();
        let mut names = Vec::new();
        for region in 0..REGIONS.len() {
            let third = u8::try_from(region + 1).expect("few regions");
            let name = match rules {
                Rules::SharingPools => format!("p{region}"),
                Rules::WithOwnPools => format!("p{region}-{n}"),
            };
            if rules == Rules::WithOwnPools {
                pool(&mut text, &name, region, Ipv4Addr::new(high, low, third, 1));
            }
            names.push(format!("\"{name}\""));
        }
        let (names, ttl) = (names.join(", "), 30 + n);
        writeln!(text, "[steer.n{n}]\npolicy = \"nearest\"\nttl = \"{ttl}s\"\npools = [{names}]")
            .expect("a String takes all");
    }
    text
}

/// So many rules, compiled with every endpoint up.
pub(crate) fn snapshot_of_rules(count: usize, rules: Rules) -> Snapshot {
    let mut report = Report::new();
    let files = Files(vec![("many.test.toml", many_rules(count, rules).into())]);
    let zones = config::read_zones(&mut report, &files);
    assert!(!report.has_errors(), "{report}");
    let blueprint = Blueprint { zones, atlas: Arc::new(atlas()) };
    let all_up = Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED);
    Snapshot::compile(blueprint, 1, &all_up).expect("few classes")
}

impl ZoneFiles for Files {
    fn directory(&self) -> &'static str {
        ""
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let file = self.0.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| Arc::clone(text)).ok_or_else(|| "no such file".to_owned())
    }
}

/// Whether a target is one of the first region's endpoints.
pub(crate) fn is_in_first_region(target: &Target) -> bool {
    matches!(target.host, TargetHost::Address(IpAddr::V4(address)) if address.octets()[2] == 1)
}

/// Whether a target is one of the first name's own.
pub(crate) fn is_of_first_name(target: &Target) -> bool {
    matches!(target.host, TargetHost::Address(IpAddr::V4(address)) if address.octets()[..2] == [0, 0])
}

/// Networks all over the world.
pub(crate) fn atlas() -> Atlas {
    let mut writer = Writer::v4("Bench-City");
    let mut chance = Chance(3);
    for n in 0..NETWORKS {
        let network = Ipv4Addr::from((n * 13 + 256) << 16);
        let degrees =
            |n: usize, span: i32| f64::from(i32::try_from(n).expect("few degrees") - span / 2);
        let place = Value::from([
            ("latitude", degrees(chance.below(120), 120).into()),
            ("longitude", degrees(chance.below(360), 360).into()),
        ]);
        let country = ["US", "DE", "JP", "BR", "AU", "ZA", "IN", "GB"][chance.below(8)];
        let record = Value::from([
            ("country", Value::from([("iso_code", country.into())])),
            ("location", place),
        ]);
        writer.insert(Prefix::new(network.into(), 16), &record);
    }
    let database = Database::open("bench.mmdb", writer.finish()).expect("we wrote it");
    Atlas::build(vec![database]).expect("we wrote it")
}

/// All zones, compiled with every endpoint up.
pub(crate) fn snapshot(names: usize) -> Snapshot {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, &Files::of_all(names));
    assert!(!report.has_errors(), "{report}");
    let blueprint = Blueprint { zones, atlas: Arc::new(atlas()) };
    let all_up = Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED);
    Snapshot::compile(blueprint, 1, &all_up).expect("few classes")
}

/// Queries.
pub(crate) struct Packets(Vec<Vec<u8>>);

impl Packets {
    /// The `n`th, from the first again behind the last.
    pub(crate) fn at(&self, n: usize) -> &[u8] {
        &self.0[n % self.0.len()]
    }

    fn of(mut one: impl FnMut(&mut Chance) -> (String, RecordType, bool)) -> Self {
        let mut chance = Chance(5);
        let packets = (0..PACKETS).map(|_| {
            let (name, qtype, has_subnet) = one(&mut chance);
            packet(&name, qtype, has_subnet.then(|| chance.next_u32()))
        });
        Self(packets.collect())
    }
}

/// Names that are there, seven in ten asked for A, the others for AAAA.
pub(crate) fn there(names: usize) -> Packets {
    Packets::of(|chance| {
        let qtype = if chance.below(10) < 7 { RecordType::A } else { RecordType::AAAA };
        (format!("h{:06}.bench.test.", chance.below(names)), qtype, false)
    })
}

/// Names that are there, asked for what they have not.
pub(crate) fn without_data(names: usize) -> Packets {
    Packets::of(|chance| {
        (format!("h{:06}.bench.test.", chance.below(names)), RecordType::TXT, false)
    })
}

/// Names that are not there.
pub(crate) fn missing(names: usize) -> Packets {
    Packets::of(|chance| (format!("x{:06}.bench.test.", chance.below(names)), RecordType::A, false))
}

/// Names that are aliases of others in the zone.
pub(crate) fn aliases(names: usize) -> Packets {
    let count = names.min(100);
    Packets::of(|chance| {
        (format!("alias{}.bench.test.", chance.below(count)), RecordType::A, false)
    })
}

/// The name that draws by weight, each time from another network.
pub(crate) fn weighted() -> Packets {
    Packets::of(|_| ("weighted.gslb.test.".to_owned(), RecordType::A, true))
}

/// The name that is sticky, each time from another network.
pub(crate) fn sticky() -> Packets {
    Packets::of(|_| ("sticky.gslb.test.".to_owned(), RecordType::A, true))
}

/// A query with EDNS, and with the /24 of `client` as its subnet if there is one.
fn packet(name: &str, qtype: RecordType, client: Option<u32>) -> Vec<u8> {
    let name: Name = name.parse().expect("a name");
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name.as_wire());
    packet.extend_from_slice(&qtype.0.to_be_bytes());
    packet.extend_from_slice(&[0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
    match client {
        None => packet.extend_from_slice(&[0, 0]),
        Some(client) => {
            let [a, b, c, _] = client.to_be_bytes();
            packet.extend_from_slice(&[0, 11, 0, 8, 0, 7, 0, 1, 24, 0, a, b, c]);
        }
    }
    packet
}
