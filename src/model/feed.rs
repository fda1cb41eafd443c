//! Live load: what says how busy an endpoint is, and what it said.
//!
//! A [`Feed`] is what an operator wrote: one signal, and what it means. A [`FeedTarget`] is one endpoint
//! under one feed. [`Load`] is what all feeds of an endpoint said, on the one scale of [`Utilisation`].
//! How it is asked is `feed`'s business; what follows from it is `steer`'s.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::json_path::JsonPath;
use super::topology::EndpointAt;
use super::{Endpoint, EndpointId, Name, TargetHost, Time, Zone};

// ---- What was said ----

/// A load in fixed point, 1/1000: of a limit, where there is one (1.0 is full, more is overload), or
/// of a bare unit (connections, bits a second). An integer, so that nodes which compare it agree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Utilisation(u64);

impl Utilisation {
    /// None.
    pub const ZERO: Self = Self(0);
    /// As much as may be.
    pub const ONE: Self = Self(1000);

    /// So many thousandths.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// In thousandths.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// `value` in parts of `limit`, rounded to thousandths; as large as can be when it is too large.
    /// `None` when that makes no number, or a negative one.
    #[must_use]
    pub fn ratio(value: f64, limit: f64) -> Option<Self> {
        let millis = value / limit * 1000.0;
        if !(0.0..).contains(&millis) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        Some(Self(millis.round() as u64))
    }

    /// As a number, for those who read it.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "thousandths beyond 2^53 are nobody's load")]
        let millis = self.0 as f64;
        millis / 1000.0
    }

    /// In parts of `whole`, which is in thousandths as well; as large as can be when it is too large.
    #[must_use]
    pub fn per(self, whole: NonZeroU64) -> Self {
        let millis = u128::from(self.0) * 1000 / u128::from(whole.get());
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// So much of `capacity`, in thousandths of its unit.
    #[must_use]
    pub fn of(self, capacity: u32) -> u64 {
        self.0.saturating_mul(u64::from(capacity))
    }
}

/// `0.850`.
impl fmt::Display for Utilisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// What was last reported of a pool or endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// How busy it is.
    pub value: Utilisation,
    /// How many of its answers are errors, in parts of what is tolerated; zero while that is not
    /// exceeded. Kept apart from `value`, as what fails at once looks idle.
    pub errors: Utilisation,
    /// How long ago it was received.
    pub age: Duration,
    /// How many reports in a row, up to this one, told of overload: a value above its limit, or errors
    /// beyond what is tolerated.
    pub highs: u8,
}

/// One signal of one report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// How busy it is.
    Load(Utilisation),
    /// Its errors, in parts of what is tolerated; zero while that is not exceeded.
    Errors(Utilisation),
}

/// What was reported of one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadReport {
    /// Of what.
    pub target: FeedTarget,
    /// When it was received.
    pub at: Time,
    /// What.
    pub signal: Signal,
}

// ---- What is asked ----

/// A named source of load of a zone file (`[feeds.NAME]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    /// The name it is called by.
    pub name: String,
    /// What it does. Shared, so that targets of many pools hold the same one.
    pub spec: Arc<FeedSpec>,
}

/// How one signal is got and what it means.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FeedSpec {
    /// Where it comes from.
    pub source: FeedSource,
    /// What it measures.
    pub measure: Measure,
    /// The time between two reports.
    pub interval: Duration,
    /// Asking takes no longer than this. Never longer than `interval`.
    pub timeout: Duration,
}

impl FeedSpec {
    /// What `value`, in the signal's own unit, means. `None` when it is no number or a negative one.
    #[must_use]
    pub fn signal(&self, value: f64) -> Option<Signal> {
        let unit = Utilisation::ratio(value, 1.0)?;
        Some(match self.measure {
            Measure::Load { limit: None } => Signal::Load(unit),
            Measure::Load { limit: Some(limit) } => Signal::Load(unit.per(limit)),
            Measure::Errors { budget } if unit.as_millis() <= budget.get() => {
                Signal::Errors(Utilisation::ZERO)
            }
            Measure::Errors { budget } => Signal::Errors(unit.per(budget)),
        })
    }

    /// Whether it says how busy something is.
    #[must_use]
    pub const fn measures_load(&self) -> bool {
        matches!(self.measure, Measure::Load { .. })
    }

    /// Whether its loads are parts of what is full, so that 1.0 is full.
    #[must_use]
    pub fn has_scale(&self) -> bool {
        match self.measure {
            Measure::Load { limit: None } => self.source == FeedSource::ResponseTime,
            Measure::Load { limit: Some(_) } | Measure::Errors { .. } => true,
        }
    }
}

/// What a signal measures.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Measure {
    /// How busy something is.
    Load {
        /// What is full, in thousandths of the signal's unit. Without it values are compared as they are.
        limit: Option<NonZeroU64>,
    },
    /// The share of its answers that are errors.
    Errors {
        /// The share that is tolerated, in thousandths.
        budget: NonZeroU64,
    },
}

/// Where a signal comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FeedSource {
    /// Metrics in Prometheus' text format.
    Prometheus {
        /// Where they are.
        scrape: Scrape,
        /// Which of them.
        query: MetricQuery,
    },
    /// A number in a JSON document.
    Json {
        /// Where it is.
        scrape: Scrape,
        /// Where in it the number is.
        path: JsonPath,
    },
    /// Whoever knows it says so at the admin endpoint.
    Push,
    /// How long the check's probes take, beside how long they take when nothing is the matter.
    ResponseTime,
}

/// A document that is fetched.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scrape {
    /// Its URL.
    pub url: FeedUrl,
    /// Whether the certificate of an `https` URL is verified.
    pub verify: bool,
}

/// Which metrics, and what becomes of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MetricQuery {
    /// What is looked at.
    pub of: Selector,
    /// What it is divided by.
    pub per: Option<Selector>,
    /// Whether values are taken as they are.
    pub value: MetricValue,
    /// What becomes of several series.
    pub series: Combine,
}

/// The series of one metric.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selector {
    /// The metric.
    pub metric: String,
    /// What labels must be; all of these.
    pub labels: Vec<LabelMatch>,
}

/// What one label must be.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelMatch {
    /// The label.
    pub label: String,
    /// Any of these. One that ends with `*` stands for all that begin as it does.
    pub any_of: Vec<String>,
}

impl LabelMatch {
    /// Whether `value` is one of those.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.any_of.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(start) => value.starts_with(start),
            None => value == wanted,
        })
    }
}

/// How a metric's values are taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MetricValue {
    /// As they are.
    Gauge,
    /// Their growth a second: they are counters.
    Rate,
}

/// What becomes of several series.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Combine {
    /// Their sum.
    Sum,
    /// The largest.
    Max,
}

// ---- Where it is asked ----

/// The URL of a feed, in which `{address}` stands for the endpoint's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FeedUrl {
    before: String,
    /// What follows the address; `None` when none is written.
    behind: Option<String>,
}

/// What stands for the endpoint's address.
const PLACEHOLDER: &str = "{address}";

impl FeedUrl {
    /// Whether every endpoint has one of its own.
    #[must_use]
    pub const fn has_address(&self) -> bool {
        self.behind.is_some()
    }

    /// Whether it is fetched over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.before.starts_with("https://")
    }

    /// The URL for an endpoint at `host`.
    #[must_use]
    pub fn at(&self, host: &TargetHost) -> String {
        let Some(behind) = &self.behind else { return self.before.clone() };
        let host = match host {
            TargetHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
            TargetHost::Address(address) => address.to_string(),
            TargetHost::Name(name) => name.to_string().trim_end_matches('.').to_owned(),
        };
        format!("{}{host}{behind}", self.before)
    }
}

impl FromStr for FeedUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let rest = rest.ok_or("it must begin with `http://` or `https://`")?;
        if text.contains(|c: char| !c.is_ascii_graphic() || c == '#') {
            return Err("characters beside printable ASCII, and `#`, must be percent-encoded");
        }
        let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
        if authority.is_empty() || authority.starts_with(':') {
            return Err("a host is missing");
        }
        let (before, behind) = match text.split_once(PLACEHOLDER) {
            None => (text, None),
            Some((before, behind)) => (before, Some(behind)),
        };
        let has_brace = |part: &str| part.contains(['{', '}']);
        if has_brace(before) || behind.is_some_and(has_brace) {
            return Err("braces stand around `{address}` only, and once");
        }
        let port = authority.strip_prefix(PLACEHOLDER).map(|port| port.strip_prefix(':'));
        match port {
            None if behind.is_some() => return Err("`{address}` stands where the host does"),
            Some(None) if authority != PLACEHOLDER => {
                return Err("only a port may follow `{address}`");
            }
            _ => {}
        }
        Ok(Self { before: before.to_owned(), behind: behind.map(str::to_owned) })
    }
}

/// As it was written.
impl fmt::Display for FeedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.before)?;
        self.behind.as_ref().map_or(Ok(()), |behind| write!(f, "{PLACEHOLDER}{behind}"))
    }
}

/// What one report is about: reported once, however many pools share it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FeedTarget {
    /// What is asked.
    pub spec: Arc<FeedSpec>,
    /// Where.
    pub of: FeedOf,
}

/// Which of the things that a feed reports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FeedOf {
    /// The only one: the URL names no address.
    All,
    /// The endpoint at this host.
    Host(TargetHost),
    /// The endpoint of this name: somebody says so.
    Named {
        /// The zone.
        zone: Name,
        /// The feed; two of one zone may be alike but for their names.
        feed: String,
        /// Its pool.
        pool: String,
        /// It.
        endpoint: String,
    },
}

impl FeedTarget {
    /// Where it is fetched from, if it is fetched.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let (FeedSource::Prometheus { scrape, .. } | FeedSource::Json { scrape, .. }) =
            &self.spec.source
        else {
            return None;
        };
        Some(match &self.of {
            FeedOf::Host(host) => scrape.url.at(host),
            FeedOf::All | FeedOf::Named { .. } => scrape.url.to_string(),
        })
    }
}

/// `http://192.0.2.10:9101/metrics`, or whose load is pushed.
impl fmt::Display for FeedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.of, &self.spec.source) {
            (FeedOf::Named { zone, feed, pool, endpoint }, _) => {
                write!(f, "{pool}/{endpoint} of {zone} by feed {feed}")
            }
            (
                FeedOf::Host(host),
                FeedSource::Prometheus { scrape, .. } | FeedSource::Json { scrape, .. },
            ) => f.write_str(&scrape.url.at(host)),
            (FeedOf::Host(host), _) => write!(f, "response time of {host}"),
            (
                FeedOf::All,
                FeedSource::Prometheus { scrape, .. } | FeedSource::Json { scrape, .. },
            ) => scrape.url.fmt(f),
            (FeedOf::All, _) => f.write_str("a feed of its own"),
        }
    }
}

impl Zone {
    /// The feed targets of an endpoint: one for each feed of its pool.
    pub fn feed_targets_of(&self, endpoint: EndpointId) -> impl Iterator<Item = FeedTarget> {
        let endpoint = &self.endpoints[endpoint.index()];
        let pool = &self.pools[endpoint.pool.index()];
        pool.feeds.iter().map(move |feed| {
            let feed = &self.feeds[feed.index()];
            let of = match &feed.spec.source {
                FeedSource::Prometheus { scrape, .. } | FeedSource::Json { scrape, .. }
                    if !scrape.url.has_address() =>
                {
                    FeedOf::All
                }
                FeedSource::Prometheus { .. }
                | FeedSource::Json { .. }
                | FeedSource::ResponseTime => FeedOf::Host(probed_at(endpoint)),
                FeedSource::Push => FeedOf::Named {
                    zone: self.apex.clone(),
                    feed: feed.name.clone(),
                    pool: pool.name.clone(),
                    endpoint: endpoint.name.clone(),
                },
            };
            FeedTarget { spec: feed.spec.clone(), of }
        })
    }
}

/// Where an endpoint is asked: where its check asks, at the first of its addresses.
fn probed_at(endpoint: &Endpoint) -> TargetHost {
    let of_either = |v4: &Option<Ipv4Addr>, v6: &Option<Ipv6Addr>| {
        let address = v4.map(IpAddr::from).or_else(|| v6.map(IpAddr::from));
        address.expect("an endpoint has an address or is a host")
    };
    match &endpoint.at {
        EndpointAt::Addresses { v4, v6 } => {
            TargetHost::Address(endpoint.probed_for(of_either(v4, v6)))
        }
        EndpointAt::Host(name) | EndpointAt::Alias(name) => endpoint.probed_for_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_rounded_and_saturate_and_are_never_negative() {
        let millis = |value, limit| Utilisation::ratio(value, limit).map(Utilisation::as_millis);
        for (value, limit, expected) in [
            (1.0, 2.0, Some(500)),
            (2.0, 3.0, Some(667)),
            (0.0, 1.0, Some(0)),
            (f64::MAX, 1.0, Some(u64::MAX)),
            (1.0, 0.0, Some(u64::MAX)),
            (0.0, 0.0, None),
            (-1.0, 1.0, None),
            (f64::NAN, 1.0, None),
        ] {
            assert_eq!(millis(value, limit), expected, "{value} of {limit}");
        }
        assert_eq!(Utilisation::from_millis(1050).to_string(), "1.050");
    }

    #[test]
    fn urls_are_filled_with_the_endpoint_s_address() {
        let host = |text: &str| match text.parse() {
            Ok(address) => TargetHost::Address(address),
            Err(_) => TargetHost::Name(text.parse().unwrap()),
        };
        for (url, at, expected) in [
            ("http://{address}:9101/metrics", "192.0.2.1", "http://192.0.2.1:9101/metrics"),
            ("http://{address}:9101/metrics", "2001:db8::1", "http://[2001:db8::1]:9101/metrics"),
            ("https://{address}/", "lb.example.net.", "https://lb.example.net/"),
            ("http://{address}?a", "192.0.2.1", "http://192.0.2.1?a"),
            ("http://prometheus:9090/x", "192.0.2.1", "http://prometheus:9090/x"),
        ] {
            let parsed: FeedUrl = url.parse().unwrap();
            assert_eq!(parsed.at(&host(at)), expected);
            assert_eq!(parsed.to_string(), url);
            assert_eq!(parsed.has_address(), url.contains('{'));
        }
    }

    #[test]
    fn what_is_no_url_of_a_feed_is_refused_with_a_reason() {
        for (url, reason) in [
            ("{address}:9101", "it must begin with `http://` or `https://`"),
            ("http://", "a host is missing"),
            ("http:///metrics", "a host is missing"),
            ("http://:9101/", "a host is missing"),
            ("http://host/{address}", "`{address}` stands where the host does"),
            ("http://x{address}/", "`{address}` stands where the host does"),
            ("http://{address}9101/", "only a port may follow `{address}`"),
            ("http://{addres}/", "braces stand around `{address}` only, and once"),
            ("http://{address}/{address}", "braces stand around `{address}` only, and once"),
            ("http://a b/", "characters beside printable ASCII, and `#`, must be percent-encoded"),
        ] {
            assert_eq!(url.parse::<FeedUrl>(), Err(reason), "{url}");
        }
    }

    #[test]
    fn labels_match_a_word_or_a_beginning() {
        let label = LabelMatch { label: "code".into(), any_of: vec!["5*".into(), "429".into()] };
        for (value, expected) in [("500", true), ("5", true), ("429", true), ("4290", false)] {
            assert_eq!(label.matches(value), expected, "{value}");
        }
    }
}
