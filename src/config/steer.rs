//! `[steer.NAME]`: how one name chooses among pools.

use std::num::NonZeroU8;
use std::time::Duration;

use super::names::Names;
use super::pool::Families;
use super::reader::{Key, Keys, Table, Value, list_words};
use super::text;
use super::wheres::WhereReader;
use crate::model::topology::{
    ANSWERS_MAX, AllDown, KeyBits, Pick, Policy, WEIGHT_MAX, WeightedPool,
};
use crate::model::{Diagnostic, Name, PoolId, Steer};

pub(super) const KEYS: Keys = Keys {
    place: "steer.NAME",
    known: &[
        "policy", "pools", "weights", "pick", "all-down", "ttl", "ttl-min", "key-bits", "where",
    ],
    unbuilt: &["map", "bias", "default", "sticky"],
};
pub(super) const PICK_KEYS: Keys =
    Keys { place: "steer.NAME.pick", known: &["policy", "answers"], unbuilt: &["sticky"] };
pub(super) const KEY_BITS_KEYS: Keys =
    Keys { place: "steer.NAME.key-bits", known: &["v4", "v6"], unbuilt: &[] };

const POLICIES_UNBUILT: [&str; 8] = [
    "map",
    "latency",
    "least-connections",
    "weighted-least-connections",
    "least-bandwidth",
    "least-packets",
    "least-response-time",
    "least-load",
];

const ALL_DOWN: [(&str, AllDown); 4] = [
    ("as-up", AllDown::AsUp),
    ("last-good", AllDown::LastGood),
    ("nodata", AllDown::NoData),
    ("servfail", AllDown::ServFail),
];

/// The longest that any answer may live: RFC 8767 §4 has resolvers cap at a week.
const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const TTL_MIN: Duration = Duration::from_secs(5);
const KEY_BITS: KeyBits = KeyBits { v4: 24, v6: 56 };

/// What steers refer to.
pub(super) struct SteerReader<'a, 'd> {
    /// Completes owners.
    pub(super) apex: &'a Name,
    /// All pools.
    pub(super) pools: &'a Names<'d, PoolId>,
    /// The address families of each.
    pub(super) families: &'a [Families],
    /// The zone's `ttl`.
    pub(super) ttl: Duration,
}

/// Reads a TTL of the zone or of a steer.
pub(super) fn read_ttl(value: Value<'_>) -> Option<Duration> {
    value.seconds(Duration::ZERO..=TTL_MAX)
}

impl<'d> SteerReader<'_, 'd> {
    /// Reads one steer; `None` when it cannot even be told which name it steers. After a finding
    /// the result is only good for going on.
    pub(super) fn read(&self, (key, value): (Key<'d>, Value<'d>)) -> Option<Steer> {
        let what = format!("steer `{}`", key.text);
        let table = value.table(what, &KEYS)?;
        let owner = self.read_owner(&table, key);
        let policy = table.require("policy", "\"nearest\"");
        let policy = policy.and_then(|value| value.choice(&Policy::WORDS, &POLICIES_UNBUILT));
        let pools = self.read_pools(&table);
        judge_weights(&table, policy, &pools);
        let mut steer = Steer {
            owner: owner?,
            policy: policy.unwrap_or(Policy::Failover),
            pick: read_pick(&table),
            wheres: Vec::new(),
            key_bits: read_key_bits(&table),
            all_down: AllDown::AsUp,
            ttl: self.ttl,
            ttl_min: TTL_MIN,
            pools,
        };
        if let Some(list) = table.get("where") {
            let reader = WhereReader {
                steer: &table.what,
                own: &steer.pools,
                pools: self.pools,
                families: self.families,
            };
            steer.wheres = reader.read_all(list);
        }
        table.read_into("all-down", &mut steer.all_down, |value| {
            self.read_all_down(&table.what, value)
        });
        table.read_into("ttl", &mut steer.ttl, read_ttl);
        steer.ttl_min = read_ttl_min(&table, steer.ttl);
        warn_key_bits(&table, &steer);
        Some(steer)
    }

    fn read_owner(&self, table: &Table<'_>, key: Key<'_>) -> Option<Name> {
        let owner = match text::name(key.text, self.apex) {
            Ok(owner) => owner,
            Err(error) => {
                table.push(error.at(key.span));
                return None;
            }
        };
        if !owner.is_at_or_below(self.apex) {
            let message = format!("{} lies outside the zone `{}`", table.what, self.apex);
            let relative = key.text.trim_end_matches('.');
            let hint = format!("without a dot at its end the name is relative: `{relative}`");
            table.push(Diagnostic::error(key.span, message).hint(hint));
        }
        Some(owner)
    }

    fn read_pools(&self, table: &Table<'d>) -> Vec<WeightedPool> {
        let Some(list) = table.require("pools", "[\"web-eu\"]") else { return Vec::new() };
        let mut pools: Vec<WeightedPool> = Vec::new();
        let items = list.list("pools");
        if items.is_empty() && list.as_list().is_some() {
            list.push(list.error(format!("{} has no pools to choose from", table.what)));
        }
        for item in items {
            if item.as_text().is_some_and(|text| text.starts_with("steer:")) {
                let error = item.error("a steer among the pools of another is not built yet");
                item.push(error.hint("name the pools themselves"));
                continue;
            }
            let Some(pool) = self.pools.use_by(&table.what, item) else { continue };
            if pools.iter().any(|known| known.pool == pool) {
                item.push(item.error(format!("{} names this pool twice", table.what)));
            } else {
                pools.push(WeightedPool { pool, weight: 1 });
            }
        }
        self.read_weights(table, &mut pools);
        pools
    }

    /// Overwrites weights of 1 with those that are written.
    fn read_weights(&self, table: &Table<'d>, pools: &mut [WeightedPool]) {
        for (Key { text: name, span }, value) in table.named("weights", "{ web-eu = 3 }") {
            let weight = value.integer(0..=WEIGHT_MAX).unwrap_or(1);
            let Some(pool) = self.pools.use_name(&table.what, value.at(span), name) else {
                continue;
            };
            match pools.iter_mut().find(|known| known.pool == pool) {
                Some(known) => known.weight = weight,
                None => {
                    let message = format!("pool `{name}` is not among the pools of {}", table.what);
                    table.push(Diagnostic::error(span, message));
                }
            }
        }
    }

    fn read_all_down(&self, steer: &str, value: Value<'d>) -> Option<AllDown> {
        let expected = "what to answer when no pool is usable";
        let written = value.text(expected)?;
        if let Some((_, all_down)) = ALL_DOWN.iter().find(|(word, _)| *word == written) {
            return Some(all_down.clone());
        }
        match written.split_once(':') {
            Some(("pool", name)) => self.pools.use_name(steer, value, name).map(AllDown::Pool),
            Some(("host", name)) => {
                let host = text::name(name, self.apex);
                host.map_err(|error| value.push(error.at(value.span))).ok().map(AllDown::Host)
            }
            _ => {
                let words =
                    ALL_DOWN.iter().map(|(word, _)| *word).chain(["pool:NAME", "host:NAME"]);
                let error = value.error(format!("`{written}` is not an `all-down`"));
                value.push(error.hint(format!("known are {}", list_words(words))));
                None
            }
        }
    }
}

/// Weights must leave something to choose, and a policy that looks at them.
fn judge_weights(table: &Table<'_>, policy: Option<Policy>, pools: &[WeightedPool]) {
    let Some(value) = table.get("weights") else { return };
    if !pools.is_empty() && pools.iter().all(|pool| pool.weight == 0) {
        let error = value.error(format!("all pools of {} have weight 0", table.what));
        value.push(error.hint("weight 0 is for pools that only stand in for others"));
    }
    if let Some(policy) = policy.filter(|p| !matches!(p, Policy::Weighted | Policy::Sticky)) {
        let message = format!("`weights` mean nothing under policy `{}`", policy.word());
        value.push(value.warning(message).hint("`weighted` and `sticky` look at them"));
    }
}

/// How a pool's endpoints are chosen: one of them, the same for the same client, unless told.
fn read_pick(table: &Table<'_>) -> Pick {
    const ONE: NonZeroU8 = NonZeroU8::MIN;
    const ALL: NonZeroU8 = NonZeroU8::new(ANSWERS_MAX).expect("some answers are allowed");
    let mut pick = Pick { policy: Policy::Sticky, answers: ONE };
    let Some(table) = table.table("pick", &PICK_KEYS) else { return pick };
    table.read_into("policy", &mut pick.policy, read_pick_policy);
    if pick.policy == Policy::All {
        pick.answers = ALL;
    }
    let answers = |value: Value<'_>| value.small(1..=ANSWERS_MAX).and_then(NonZeroU8::new);
    table.read_into("answers", &mut pick.answers, answers);
    pick
}

fn read_pick_policy(value: Value<'_>) -> Option<Policy> {
    if value.as_text() == Some(Policy::Nearest.word()) {
        let error = value.error("the endpoints of a pool are all in one place");
        value.push(error.hint("`nearest` chooses between pools; inside one use `sticky`"));
        return None;
    }
    let words: Vec<_> =
        Policy::WORDS.into_iter().filter(|(_, policy)| *policy != Policy::Nearest).collect();
    value.choice(&words, &POLICIES_UNBUILT)
}

fn read_key_bits(table: &Table<'_>) -> KeyBits {
    let mut bits = KEY_BITS;
    let Some(table) = table.table("key-bits", &KEY_BITS_KEYS) else { return bits };
    table.read_into("v4", &mut bits.v4, |value| value.small(1..=KEY_BITS.v4));
    table.read_into("v6", &mut bits.v6, |value| value.small(1..=KEY_BITS.v6));
    bits
}

/// A key that nothing is chosen by is probably a slip.
fn warn_key_bits(table: &Table<'_>, steer: &Steer) {
    let is_sticky = [steer.policy, steer.pick.policy].contains(&Policy::Sticky);
    if let Some(value) = table.get("key-bits").filter(|_| !is_sticky) {
        let warning = value.warning(format!("nothing in {} is `sticky`", table.what));
        value.push(warning.label("no client has a key here"));
    }
}

/// The shortest TTL, never above the longest; the default gives way to that.
fn read_ttl_min(table: &Table<'_>, ttl: Duration) -> Duration {
    let Some(value) = table.get("ttl-min") else { return TTL_MIN.min(ttl) };
    let Some(ttl_min) = read_ttl(value) else { return TTL_MIN.min(ttl) };
    if ttl_min > ttl {
        let (ttl_min, ttl) = (text::show(ttl_min), text::show(ttl));
        let error = value.error(format!("{} has a `ttl-min` above its `ttl`", table.what));
        value.push(error.label(format!("{ttl_min} is longer than {ttl}")));
    }
    ttl_min
}
