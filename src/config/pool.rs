//! `[pools.NAME]`: endpoints of one region that serve the same thing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::failback::RAMP;
use super::names::Names;
use super::reader::{Key, Keys, Table, Value};
use super::text;
use crate::model::feed::{FeedSource, Measure};
use crate::model::topology::{CheckAddress, EndpointAt, Facts, MinHealthy, WEIGHT_MAX};
use crate::model::{
    Check, CheckId, Diagnostic, Endpoint, Feed, FeedId, Name, Pool, PoolId, RegionId, Span,
};

pub(super) const KEYS: Keys = Keys {
    place: "pools.NAME",
    known: &["region", "check", "feed", "capacity", "min-healthy", "slow-start", "endpoints"],
    unbuilt: &[],
};
pub(super) const ENDPOINT_KEYS: Keys = Keys {
    place: "pools.NAME.endpoints",
    known: &[
        "name",
        "address",
        "host",
        "alias",
        "weight",
        "check-address",
        "port",
        "priority",
        "text",
    ],
    unbuilt: &["capacity"],
};

pub(super) const CHECK_ADDRESS_KEYS: Keys =
    Keys { place: "pools.NAME.endpoints.check-address", known: &["v4", "v6"], unbuilt: &[] };

/// What pools refer to.
pub(super) struct PoolReader<'a, 'd> {
    /// Completes host names.
    pub(super) apex: &'a Name,
    /// All regions.
    pub(super) regions: &'a Names<'d, RegionId>,
    /// All checks.
    pub(super) checks: &'a Names<'d, CheckId>,
    /// All feeds.
    pub(super) feeds: &'a Names<'d, FeedId>,
    /// What those are.
    pub(super) feed_specs: &'a [Feed],
    /// Feeds that go by the times of checks, and where pools name them.
    pub(super) timed: &'a RefCell<Vec<(FeedId, CheckId, Span)>>,
    /// Where the addresses of endpoints were written.
    pub(super) places: &'a RefCell<Vec<Span>>,
}

impl<'d> PoolReader<'_, 'd> {
    /// Reads one pool and adds its endpoints to `endpoints`. After a finding the result is only
    /// good for going on.
    pub(super) fn read(
        &self,
        (key, value): (Key<'d>, Value<'d>),
        id: PoolId,
        endpoints: &mut Vec<Endpoint>,
    ) -> Pool {
        let first = endpoints.len();
        let mut pool = Pool {
            name: key.text.to_owned(),
            region: RegionId::new(0),
            check: None,
            feeds: Vec::new(),
            capacity: None,
            min_healthy: MinHealthy::Count(1),
            slow_start: Duration::ZERO,
            endpoints: first..first,
        };
        let Some(table) = value.table(format!("pool `{}`", key.text), &KEYS) else { return pool };
        if let Some(region) = table.require("region", "\"eu-west\"") {
            pool.region = self.regions.use_by(&table.what, region).unwrap_or(pool.region);
        }
        pool.check = table.get("check").and_then(|check| self.checks.use_by(&table.what, check));
        if let Some(value) = table.get("feed") {
            pool.feeds = self.read_feeds(&table, value, pool.check);
        }
        pool.capacity = table.get("capacity").and_then(|value| self.read_capacity(value, &pool));
        if let Some(list) = table.require("endpoints", "[{ address = \"192.0.2.10\" }]") {
            endpoints.extend(self.read_endpoints(&table, list, id));
        }
        pool.endpoints = first..endpoints.len();
        table.read_into("min-healthy", &mut pool.min_healthy, |value| {
            read_min_healthy(&table.what, value, pool.endpoints.len())
        });
        table.read_into("slow-start", &mut pool.slow_start, |value| value.seconds(RAMP));
        if let (Some(value), 1) = (table.get("slow-start"), pool.endpoints.len()) {
            let message = format!("{} has one endpoint only, which gets all there is", table.what);
            value.push(value.error(message).hint("`ramp` is for pools that come back"));
        }
        pool
    }

    /// One feed or several, whose signals can be compared.
    fn read_feeds(
        &self,
        pool: &Table<'d>,
        value: Value<'d>,
        check: Option<CheckId>,
    ) -> Vec<FeedId> {
        let items = value.as_list().unwrap_or_else(|| vec![value]);
        if items.is_empty() {
            value.push(value.error("the list of feeds is empty").hint("remove it"));
        }
        let mut feeds: Vec<FeedId> = Vec::new();
        for item in items {
            let Some(feed) = self.feeds.use_by(&pool.what, item) else { continue };
            if feeds.contains(&feed) {
                item.push(item.error(format!("{} names this feed twice", pool.what)));
            }
            let Feed { name, spec } = &self.feed_specs[feed.index()];
            if spec.source == FeedSource::ResponseTime {
                match check {
                    Some(check) => self.timed.borrow_mut().push((feed, check, item.span)),
                    // That it is not defined has been said.
                    None if pool.get("check").is_some() => {}
                    None => {
                        let message =
                            format!("feed `{name}` goes by the check, but {} has none", pool.what);
                        item.push(item.error(message).hint("add `check`, or use another feed"));
                    }
                }
            }
            feeds.push(feed);
        }
        let is_load = |feed: &&FeedId| {
            matches!(self.feed_specs[feed.index()].spec.measure, Measure::Load { .. })
        };
        let loads: Vec<&FeedId> = feeds.iter().filter(is_load).collect();
        let has_limit = |feed: &&FeedId| self.feed_specs[feed.index()].spec.has_scale();
        if let Some(bare) = loads.iter().find(|feed| !has_limit(feed)).filter(|_| loads.len() > 1) {
            let name = &self.feed_specs[bare.index()].name;
            let message = format!("feed `{name}` has no limit to measure it by beside other feeds");
            value.push(value.error(message).hint("give it a `limit`: the larger load counts"));
        }
        feeds
    }

    /// What a pool can carry; its feeds, if it has any, must say how much of that is used.
    fn read_capacity(&self, value: Value<'d>, pool: &Pool) -> Option<NonZeroU32> {
        let capacity = value.integer(1..=u32::MAX).and_then(NonZeroU32::new);
        let specs = || pool.feeds.iter().map(|feed| &self.feed_specs[feed.index()]);
        let bare = specs().find(|feed| feed.spec.measures_load() && !feed.spec.has_scale());
        if let Some(Feed { name, .. }) = bare {
            let message = format!("feed `{name}` has no limit to measure the capacity by");
            let hint = "give it a `limit`: what it says then is taken to be the whole capacity";
            value.push(value.error(message).hint(hint));
        }
        capacity
    }

    fn read_endpoints(&self, pool: &Table<'d>, list: Value<'d>, id: PoolId) -> Vec<Endpoint> {
        let what = |number| format!("endpoint {number} of {}", pool.what);
        let tables = list.tables("[{ address = \"192.0.2.10\" }]", &ENDPOINT_KEYS, what);
        if list.as_list().is_some_and(|list| list.is_empty()) {
            list.push(list.error(format!("{} has no endpoints", pool.what)));
        }
        let mut places: HashMap<String, Span> = HashMap::new();
        let mut endpoints = Vec::with_capacity(tables.len());
        for table in &tables {
            if let Some(value) = table.get("check-address").filter(|_| pool.get("check").is_none())
            {
                let message = format!("{} is not probed: {} has no `check`", table.what, pool.what);
                value.push(value.warning(message));
            }
            let (endpoint, place) = self.read_endpoint(table, id);
            if let Some(first) = places.get(&endpoint.name).copied() {
                let message = format!("{} has two endpoints `{}`", pool.what, endpoint.name);
                let error = Diagnostic::error(place, message);
                table.push(error.also(first, "the first one"));
            } else if !endpoint.name.is_empty() {
                places.insert(endpoint.name.clone(), place);
            }
            endpoints.push(endpoint);
        }
        if !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.weight == 0) {
            let error = list.error(format!("all endpoints of {} have weight 0", pool.what));
            list.push(error.hint("weight 0 is for endpoints that only stand in for others"));
        }
        endpoints
    }

    /// One endpoint, and where its name stands.
    fn read_endpoint(&self, table: &Table<'d>, pool: PoolId) -> (Endpoint, Span) {
        let at = self.read_at(table);
        let facts = self.read_facts(table, &at);
        let named = table.get("name");
        let name = named.and_then(read_name);
        let name = name.unwrap_or_else(|| default_name(&at));
        let mut weight = 1;
        table.read_into("weight", &mut weight, |value| value.integer(0..=WEIGHT_MAX));
        let place = named.map_or(table.span, |value| value.span);
        let mut addresses = ["check-address", "address", "host", "alias"].into_iter();
        let address = addresses.find_map(|key| table.get(key));
        self.places.borrow_mut().push(address.map_or(table.span, |value| value.span));
        let check_address = read_check_address(table, &at);
        (Endpoint { name, pool, at, check_address, weight, facts }, place)
    }

    /// What other records than addresses say of it. A host beside addresses is one of these.
    fn read_facts(&self, table: &Table<'d>, at: &EndpointAt) -> Facts {
        let is_addressed = matches!(at, EndpointAt::Addresses { .. });
        let host = table.get("host").filter(|_| is_addressed && table.get("address").is_some());
        let number = |key| table.get(key).and_then(|value| value.short(0..=u16::MAX));
        Facts {
            host: host.and_then(|host| self.read_host(host)),
            port: number("port"),
            priority: number("priority"),
            text: table.get("text").and_then(|value| value.text("a text")).map(str::to_owned),
        }
    }

    fn read_host(&self, host: Value<'d>) -> Option<Name> {
        let text = host.text("a host name")?;
        if text.parse::<IpAddr>().is_ok() {
            let hint = format!("write `address = \"{text}\"`");
            host.push(host.error(format!("`{}` is an address", host.key)).hint(hint));
            return None;
        }
        host.name(self.apex)
    }

    fn read_at(&self, table: &Table<'d>) -> EndpointAt {
        let nowhere = EndpointAt::Addresses { v4: None, v6: None };
        if let Some(alias) = table.get("alias") {
            if let Some(other) = table.get("address").or_else(|| table.get("host")) {
                let error = alias.error(format!("{} has `alias` and `{}`", table.what, other.key));
                alias
                    .push(error.hint(
                        "keep one: `alias` answers the addresses of a host, `host` its name",
                    ));
            }
            return self.read_host(alias).map_or(nowhere, EndpointAt::Alias);
        }
        match (table.get("address"), table.get("host")) {
            (Some(address), _) => read_addresses(table, address),
            (None, Some(host)) => self.read_host(host).map_or(nowhere, EndpointAt::Host),
            (None, None) => {
                if ["address", "host", "alias"].iter().any(|key| table.is_misspelt(key)) {
                    return nowhere;
                }
                let message = format!("{} has neither `address` nor `host`", table.what);
                table.push(table.error(message).hint("add `address = \"192.0.2.10\"`"));
                nowhere
            }
        }
    }
}

fn read_name(value: Value<'_>) -> Option<String> {
    let name = value.text("a name")?;
    match text::word(name) {
        Ok(name) => Some(name.to_owned()),
        Err(reason) => {
            let message = format!("`{name}` cannot be the name of an endpoint");
            value.push(value.error(message).label(reason));
            None
        }
    }
}

/// One address, or one of each family.
fn read_addresses(table: &Table<'_>, value: Value<'_>) -> EndpointAt {
    let items = value.as_list().unwrap_or_else(|| vec![value]);
    if items.is_empty() {
        value.push(value.error(format!("{} has no address", table.what)));
    }
    let (mut v4, mut v6) = (None, None);
    for item in items {
        let expected = "an IPv4 or IPv6 address, or one of each";
        let (is_second, family) = match item.parsed(expected, read_address) {
            Some(IpAddr::V4(address)) => (v4.replace(address).is_some(), "IPv4"),
            Some(IpAddr::V6(address)) => (v6.replace(address).is_some(), "IPv6"),
            None => continue,
        };
        if is_second {
            let error = item.error(format!("{} has two {family} addresses", table.what));
            item.push(error.hint("an endpoint is one machine: make two endpoints of them"));
        }
    }
    EndpointAt::Addresses { v4, v6 }
}

/// Where it is probed: at one address, or for each family at one of its own.
fn read_check_address(table: &Table<'_>, at: &EndpointAt) -> Option<CheckAddress> {
    const EXPECTED: &str = "the address that is probed, or one for each family: \
                            `{ v4 = \"10.0.0.1\", v6 = \"fd00::1\" }`";
    let value = table.get("check-address")?;
    if !value.is_table() {
        return value.parsed(EXPECTED, read_address).map(CheckAddress::One);
    }
    let each = value.table(format!("`check-address` of {}", table.what), &CHECK_ADDRESS_KEYS)?;
    let EndpointAt::Addresses { v4: own_v4, v6: own_v6 } = at else {
        let error = value.error(format!("{} has no addresses to tell apart", table.what));
        value.push(error.hint("what is found by a name is probed at one address"));
        return None;
    };
    let families = [("v4", "IPv4", own_v4.is_some()), ("v6", "IPv6", own_v6.is_some())];
    for (key, family, is_there) in families {
        if let Some(value) = each.get(key).filter(|_| !is_there) {
            let message = format!("{} has no {family} address that is probed there", table.what);
            value.push(value.error(message).hint("remove it, or add the `address`"));
        }
    }
    if families.iter().all(|(key, ..)| each.get(key).is_none() && !each.is_misspelt(key)) {
        value.push(each.error(format!("{} names no address", each.what)).hint("remove it"));
    }
    let v4 = each.get("v4");
    let v4 = v4.and_then(|value| value.parsed("the IPv4 address that is probed", read_v4));
    let v6 = each.get("v6");
    let v6 = v6.and_then(|value| value.parsed("the IPv6 address that is probed", read_v6));
    Some(CheckAddress::Each { v4, v6 })
}

fn read_v4(text: &str) -> Result<Ipv4Addr, &'static str> {
    match read_address(text)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err("an IPv6 address"),
    }
}

fn read_v6(text: &str) -> Result<Ipv6Addr, &'static str> {
    match read_address(text)? {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(_) => Err("an IPv4 address"),
    }
}

/// An address that an answer may name.
fn read_address(text: &str) -> Result<IpAddr, &'static str> {
    let address: IpAddr = text.parse().map_err(|_| match text {
        _ if text.contains('/') => "a single address, not a subnet",
        _ if text.parse::<std::net::SocketAddr>().is_ok() => "without a port: that is the check's",
        _ if text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') => {
            "not an address; a name is given by `host`"
        }
        _ => "not an address",
    })?;
    possible(address)
}

/// The address, if a machine may have it.
pub(super) fn possible(address: IpAddr) -> Result<IpAddr, &'static str> {
    match address.is_unspecified() || address.is_multicast() {
        true => Err("no machine can have this address"),
        false => Ok(address),
    }
}

fn default_name(at: &EndpointAt) -> String {
    match at {
        EndpointAt::Addresses { v4: Some(address), .. } => address.to_string(),
        EndpointAt::Addresses { v4: None, v6: Some(address) } => address.to_string(),
        EndpointAt::Addresses { v4: None, v6: None } => String::new(),
        EndpointAt::Host(name) | EndpointAt::Alias(name) => name.to_string(),
    }
}

fn read_min_healthy(pool: &str, value: Value<'_>, total: usize) -> Option<MinHealthy> {
    if value.as_text().is_some() {
        return value.parsed("a count such as `1` or a share such as `\"50%\"`", text::percent);
    }
    if !value.is_integer() {
        value.wrong_type("a count such as `1` or a share such as `\"50%\"`");
        return None;
    }
    let count = value.integer(1..=u32::MAX)?;
    if total > 0 && usize::try_from(count).is_ok_and(|count| count > total) {
        let error = value.error(format!("{pool} could never be usable"));
        value.push(error.label(format!("it has {total} endpoints")));
    }
    Some(MinHealthy::Count(count))
}

/// Finds fault with feeds that go by the times of checks which take none.
pub(super) fn judge_timed(
    root: &Table<'_>,
    timed: Vec<(FeedId, CheckId, Span)>,
    feeds: &[Feed],
    checks: &[Check],
) {
    for (feed, check, span) in timed {
        let (feed, Check { name, spec }) = (&feeds[feed.index()].name, &checks[check.index()]);
        if spec.measures_time() {
            continue;
        }
        let why = match &spec.kind {
            _ if spec.invert => "is inverted".to_owned(),
            kind => format!("is of kind `{}`", kind.word()),
        };
        let message =
            format!("feed `{feed}` goes by times, and check `{name}` takes none: it {why}");
        let hint = "use another feed, or a check that asks the endpoints and wants an answer";
        root.push(Diagnostic::error(span, message).hint(hint));
    }
}

/// The address families that a pool's endpoints have.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Families {
    /// Some endpoint has an IPv4 address, or is a host name or an alias that may.
    pub(super) v4: bool,
    /// Some endpoint has an IPv6 address, or is a host name or an alias that may.
    pub(super) v6: bool,
    /// Some endpoint is a host name.
    pub(super) host: bool,
}

impl Families {
    /// Those of any of `endpoints`.
    pub(super) fn of(endpoints: &[Endpoint]) -> Self {
        let mut families = Self::default();
        for endpoint in endpoints {
            match &endpoint.at {
                EndpointAt::Addresses { v4, v6 } => {
                    families.v4 |= v4.is_some();
                    families.v6 |= v6.is_some();
                }
                EndpointAt::Host(_) => families = Self { v4: true, v6: true, host: true },
                EndpointAt::Alias(_) => (families.v4, families.v6) = (true, true),
            }
        }
        families
    }

    /// Those of either.
    pub(super) const fn or(self, other: Self) -> Self {
        Self { v4: self.v4 || other.v4, v6: self.v6 || other.v6, host: self.host || other.host }
    }
}
