//! `[[steer.NAME.where]]`: clauses that override a rule's pools for some clients.

use super::names::Names;
use super::places;
use super::pool::Families;
use super::reader::{Keys, Table, Value, list_words};
use crate::model::topology::{WeightedPool, Where};
use crate::model::{Continent, PoolId, Prefix};

pub(super) const KEYS: Keys = Keys {
    place: "steer.NAME.where",
    known: &["continent", "country", "asn", "subnet", "pools", "only"],
    unbuilt: &["subdivision"],
};

/// The keys that say which clients are meant.
const CRITERIA: [&str; 4] = ["continent", "country", "asn", "subnet"];

/// The longest subnets that clients are told apart by: what is finer identifies people, and no
/// resolver that follows RFC 7871 §11.1 sends it.
const SUBNET_V4_MAX: u8 = 24;
const SUBNET_V6_MAX: u8 = 56;

/// What the clauses of one steer refer to.
pub(super) struct WhereReader<'a, 'd> {
    /// What messages call the steer.
    pub(super) steer: &'a str,
    /// Its pools.
    pub(super) own: &'a [WeightedPool],
    /// All pools of the zone.
    pub(super) pools: &'a Names<'d, PoolId>,
    /// The address families of each.
    pub(super) families: &'a [Families],
}

impl<'d> WhereReader<'_, 'd> {
    /// Reads all clauses of the steer.
    pub(super) fn read_all(&self, list: Value<'d>) -> Vec<Where> {
        let what = |number| format!("`where` {number} of {}", self.steer);
        list.tables("[[steer.NAME.where]]", &KEYS, what)
            .iter()
            .map(|table| self.read(table))
            .collect()
    }

    fn read(&self, table: &Table<'d>) -> Where {
        let mut clause = Where {
            continents: read_list(table, "continent", "continents", read_continent),
            countries: read_list(table, "country", "countries", |item| {
                item.parsed("a country such as `\"IE\"`", places::country)
            }),
            asns: read_list(table, "asn", "numbers", read_asn),
            subnets: read_list(table, "subnet", "subnets", read_subnet),
            pools: self.read_pools(table),
            is_strict: false,
        };
        table.read_into("only", &mut clause.is_strict, Value::boolean);
        if CRITERIA.iter().all(|key| table.get(key).is_none() && !table.is_misspelt(key)) {
            let error = table.error(format!("{} matches no client", table.what));
            let hint = "add `continent`, `country`, `asn` or `subnet`; \
                        a clause for everybody is what the rule itself is";
            table.push(error.hint(hint));
        }
        self.warn_families(table, &clause);
        clause
    }

    fn read_pools(&self, table: &Table<'d>) -> Vec<PoolId> {
        let Some(list) = table.require("pools", "[\"web-eu\"]") else { return Vec::new() };
        let items = list.list("pools");
        if items.is_empty() && list.as_list().is_some() {
            list.push(list.error(format!("{} has no pools to choose from", table.what)));
        }
        let mut pools = Vec::with_capacity(items.len());
        for item in items {
            let Some(pool) = self.pools.use_by(&table.what, item) else { continue };
            if !self.own.is_empty() && self.own.iter().all(|own| own.pool != pool) {
                let error = item.error(format!("this pool is not among those of {}", self.steer));
                item.push(error.hint("add it to the `pools` of the steer"));
            } else if pools.contains(&pool) {
                item.push(item.error(format!("{} names this pool twice", table.what)));
            } else {
                pools.push(pool);
            }
        }
        pools
    }

    /// Clients of a clause whose pools lack a family that the rule has are sent elsewhere for it.
    fn warn_families(&self, table: &Table<'d>, clause: &Where) {
        let Some(value) = table.get("pools").filter(|_| !clause.pools.is_empty()) else { return };
        let of = |pool: PoolId| self.families.get(pool.index()).copied().unwrap_or_default();
        let has = clause.pools.iter().map(|pool| of(*pool)).fold(Families::default(), Families::or);
        let own = self.own.iter().map(|own| of(own.pool)).fold(Families::default(), Families::or);
        for (family, has, own) in [("IPv4", has.v4, own.v4), ("IPv6", has.v6, own.v6)] {
            if own && !has {
                let message = format!("no pool of {} has an {family} address", table.what);
                let hint = format!("other pools of {} have: clients may be sent there", self.steer);
                value.push(value.warning(message).hint(hint));
            }
        }
    }
}

/// The list below `key`, if it was written; an empty one is a finding.
fn read_list<'d, T>(
    table: &Table<'d>,
    key: &'static str,
    what: &str,
    read: impl Fn(Value<'d>) -> Option<T>,
) -> Vec<T> {
    let Some(value) = table.get(key) else { return Vec::new() };
    let items = value.list(what);
    if items.is_empty() && value.as_list().is_some() {
        value.push(value.error(format!("an empty `{key}` matches no client")).hint("remove it"));
    }
    items.into_iter().filter_map(read).collect()
}

/// The number of an autonomous system. It is often written with `AS` before it.
fn read_asn(item: Value<'_>) -> Option<u32> {
    let number = item.as_text().and_then(|text| text.trim_start_matches(['A', 'S']).parse().ok());
    let Some(number): Option<u32> = number else { return item.integer(1..=u32::MAX) };
    let error = item.error("the number of an autonomous system is written without quotes");
    item.push(error.hint(format!("did you mean {number}?")));
    None
}

fn read_continent(item: Value<'_>) -> Option<Continent> {
    let codes = || list_words(Continent::ALL.iter().map(|continent| continent.code()));
    let parse = |text| Continent::new(text).ok_or("no such code");
    item.parsed(&format!("one of {}", codes()), parse)
}

fn read_subnet(item: Value<'_>) -> Option<Prefix> {
    let prefix: Prefix = item.parsed("a subnet such as `\"192.0.2.0/24\"`", str::parse)?;
    let len_max = if prefix.address().is_ipv4() { SUBNET_V4_MAX } else { SUBNET_V6_MAX };
    if prefix.len() > len_max {
        let wider = Prefix::new(prefix.address(), len_max);
        let error = item.error(format!("clients are not told apart below /{len_max}"));
        item.push(error.hint(format!("did you mean {wider}?")));
        return None;
    }
    Some(prefix)
}
