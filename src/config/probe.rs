//! `[probe]`: how endpoints are watched, and from where.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::pool::possible;
use super::reader::{Keys, Table, Value};
use super::server::{path, read_subnets};
use crate::model::Prefix;

/// `[probe]`: how endpoints are watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Whether this machine probes at all. When not, every endpoint stays as it was last known.
    pub enabled: bool,
    /// How long the first answer may wait for first verdicts after a start.
    pub first_verdicts: Duration,
    /// Probes that may be under way at once; when it is not given, by the files that the process may open.
    pub in_flight: Option<u32>,
    /// Probes a second; when it is not given, what the targets ask for and a quarter more.
    pub budget: Option<u32>,
    /// The directory of the programs that checks may run; none may be run without.
    pub programs: Option<String>,
    /// Where no probe goes.
    pub deny: Vec<Prefix>,
    /// What answers whenever this machine's own network is well.
    pub anchors: Vec<Anchor>,
    /// Where probes come from.
    pub source: Source,
}

/// The addresses of this machine that probes come from, one of each family at most; the system chooses where
/// there is none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Source {
    /// To IPv4 addresses.
    pub v4: Option<Ipv4Addr>,
    /// To IPv6 addresses.
    pub v6: Option<Ipv6Addr>,
}

impl Source {
    /// Where probes of `target` come from.
    #[must_use]
    pub fn towards(self, target: IpAddr) -> Option<IpAddr> {
        match target {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    /// All of them.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

impl Probe {
    /// No more probes are ever under way at once.
    pub const IN_FLIGHT_MAX: u32 = 100_000;
}

/// What answers whenever a machine's own network is well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anchor {
    /// It answers pings.
    Ping(IpAddr),
    /// It accepts or refuses TCP connections.
    Tcp(SocketAddr),
}

impl Default for Probe {
    fn default() -> Self {
        let first_verdicts = Duration::from_secs(5);
        let prefix = |text: &&str| text.parse().expect("a prefix as it should be");
        let deny = DENY.iter().map(prefix).collect();
        let (anchors, source) = (Vec::new(), Source::default());
        let (enabled, in_flight, budget, programs) = (true, None, None, None);
        Self { enabled, first_verdicts, in_flight, budget, programs, deny, anchors, source }
    }
}

/// Where no probe goes unless an operator says so: to nobody (RFC 1122 §3.2.1.3), to links and with them to
/// the metadata of most clouds, to groups and to everybody, to reserved space, and to the metadata and
/// agents of clouds that have them elsewhere.
const DENY: [&str; 11] = [
    "0.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "::/128",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::254/128",
];

/// Its keys.
pub(super) const PROBE: Keys = Keys {
    place: "probe",
    known: &[
        "enabled",
        "first-verdicts",
        "in-flight",
        "budget",
        "programs",
        "deny",
        "anchors",
        "source",
    ],
    unbuilt: &[],
};

/// Reads `[probe]`.
pub(super) fn read_probe(table: &Table<'_>) -> Probe {
    let wait: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(300);
    let mut probe = Probe::default();
    table.read_into("enabled", &mut probe.enabled, Value::boolean);
    table.read_into("first-verdicts", &mut probe.first_verdicts, |value| value.duration(wait));
    let in_flight = table.get("in-flight");
    probe.in_flight = in_flight.and_then(|value| value.integer(1..=Probe::IN_FLIGHT_MAX));
    let budget = table.get("budget");
    probe.budget = budget.and_then(|value| value.integer(1..=10_000_000));
    probe.programs = table.get("programs").and_then(path);
    table.read_into("deny", &mut probe.deny, read_subnets);
    table.read_into("anchors", &mut probe.anchors, |value| Some(read_anchors(value)));
    table.read_into("source", &mut probe.source, |value| Some(read_source(value)));
    probe
}

fn read_anchors(value: Value<'_>) -> Vec<Anchor> {
    let expected = "an address, or one with a port, such as `192.0.2.1` or `192.0.2.1:443`";
    let mut anchors: Vec<Anchor> = Vec::new();
    for item in value.list("addresses") {
        let Some(anchor) = item.parsed(expected, read_anchor) else { continue };
        if anchors.contains(&anchor) {
            item.push(item.error("this anchor is listed twice"));
        }
        anchors.push(anchor);
    }
    anchors
}

fn read_anchor(text: &str) -> Result<Anchor, &'static str> {
    match text.parse() {
        Ok(address) => Ok(Anchor::Tcp(address)),
        Err(_) => read_ip(text).map(Anchor::Ping),
    }
}

fn read_ip(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map_err(|_| "not an address").and_then(possible)
}

/// One address, or one of each family.
fn read_source(value: Value<'_>) -> Source {
    let mut source = Source::default();
    let items = value.as_list().unwrap_or_else(|| vec![value]);
    if items.is_empty() {
        value.push(value.error("there is no address in `source`").hint("remove it"));
    }
    for item in items {
        let expected = "an IPv4 or IPv6 address of this machine, or one of each";
        let (is_second, family) = match item.parsed(expected, read_ip) {
            Some(IpAddr::V4(address)) => (source.v4.replace(address).is_some(), "IPv4"),
            Some(IpAddr::V6(address)) => (source.v6.replace(address).is_some(), "IPv6"),
            None => continue,
        };
        if is_second {
            let error = item.error(format!("probes come from one {family} address"));
            item.push(error.hint("run a vantage for each address"));
        }
    }
    source
}
