//! `[steer.NAME]`: how one name chooses among pools.

use std::num::NonZeroU8;
use std::time::Duration;

use super::branches::{BranchReader, Branches, SteerEntry, SteerNames, judge_weights};
use super::client_map;
use super::failback::{read_failback, read_velocity};
use super::forms::FormValues;
use super::names::Names;
use super::reader::{Key, Keys, Table, Value, list_words};
use super::region::BIAS;
use super::text;
use super::wheres::WhereReader;
use crate::model::topology::{ANSWERS_MAX, AllDown, ClientMap, KeyBits, Pick, Policy, TtlJitter};
use crate::model::{Diagnostic, Name, PoolId, RegionId, Steer};

pub(super) const KEYS: Keys = Keys {
    place: "steer.NAME",
    known: &[
        "policy",
        "pools",
        "weights",
        "pick",
        "map",
        "bias",
        "addresses",
        "https",
        "svcb",
        "records",
        "all-down",
        "ttl",
        "ttl-min",
        "ttl-jitter",
        "key-bits",
        "affinity",
        "sticky",
        "failback",
        "hold-down",
        "ramp",
        "trickle",
        "velocity",
        "observe-only",
        "branch-only",
        "where",
    ],
    unbuilt: &[],
};
pub(super) const PICK_KEYS: Keys =
    Keys { place: "steer.NAME.pick", known: &["policy", "answers", "sticky"], unbuilt: &[] };
pub(super) const KEY_BITS_KEYS: Keys =
    Keys { place: "steer.NAME.key-bits", known: &["v4", "v6"], unbuilt: &[] };

/// Keys that only a name that is asked for can have a use for.
const NAME_KEYS: [&str; 11] = [
    "all-down",
    "ttl",
    "ttl-min",
    "ttl-jitter",
    "key-bits",
    "velocity",
    "observe-only",
    "addresses",
    "https",
    "svcb",
    "records",
];

const ALL_DOWN: [(&str, AllDown); 4] = [
    ("as-up", AllDown::AsUp),
    ("last-good", AllDown::LastGood),
    ("nodata", AllDown::NoData),
    ("servfail", AllDown::ServFail),
];

/// The longest that any answer may live: RFC 8767 §4 has resolvers cap at a week.
const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What steers refer to.
pub(super) struct SteerReader<'a, 'd> {
    /// Completes owners.
    pub(super) apex: &'a Name,
    /// All pools.
    pub(super) pools: &'a Names<'d, PoolId>,
    /// All steers.
    pub(super) steers: &'a SteerNames<'d>,
    /// All regions.
    pub(super) regions: &'a Names<'d, RegionId>,
    /// The bias of each region that has one.
    pub(super) biases: &'a [(RegionId, i8)],
    /// The zone's `ttl`.
    pub(super) ttl: Duration,
    /// The zone's `ttl-jitter`.
    pub(super) ttl_jitter: TtlJitter,
}

/// Reads a TTL of the zone or of a steer.
pub(super) fn read_ttl(value: Value<'_>) -> Option<Duration> {
    value.seconds(Duration::ZERO..=TTL_MAX)
}

/// Reads how much shorter TTLs of the zone or of a steer are made. What is asked for is done always.
pub(super) fn read_ttl_jitter(value: Value<'_>) -> Option<TtlJitter> {
    let share = value.parsed("a share such as `\"10%\"`, or `\"0%\"`", |text| match text {
        "0%" => Ok(0),
        _ => text::per_mille(text),
    })?;
    Some(TtlJitter { share, is_always: true })
}

impl<'d> SteerReader<'_, 'd> {
    /// Reads one steer. After a finding the result is only good for going on.
    pub(super) fn read(&self, (key, value): (Key<'d>, Value<'d>)) -> SteerEntry<'d> {
        let what = format!("steer `{}`", key.text);
        let Some(table) = value.table(what, &KEYS) else {
            let steer = self.blank(None, Policy::Failover);
            let (spans, where_spans) = (Vec::new(), Vec::new());
            let (key_bits_span, has_owner, forms) = (None, false, FormValues::default());
            return SteerEntry { key, steer, spans, where_spans, key_bits_span, has_owner, forms };
        };
        let owner = self.read_owner(&table, key);
        let has_owner = owner.is_some();
        let policy = table.require("policy", "\"nearest\"");
        let policy = policy.and_then(|value| value.choice(&Policy::WORDS, &[]));
        let reader = BranchReader { steer: &table.what, pools: self.pools, steers: self.steers };
        let pools = table.require("pools", "[\"web-eu\"]");
        let Branches { list, spans } = reader.read(&table, pools);
        judge_weights(&table, policy, &list);
        let mut steer = self.blank(owner, policy.unwrap_or(Policy::Failover));
        steer.branches = list;
        steer.pick = read_pick(&table);
        steer.map = read_map(key.text, &table, policy, &reader, &steer);
        steer.bias = self.read_bias(&table, policy);
        let mut where_spans = Vec::new();
        if let Some(list) = table.get("where") {
            let reader = WhereReader { reader: &reader, own: &steer.branches };
            (steer.wheres, where_spans) = reader.read_all(list).into_iter().unzip();
        }
        self.read_name_keys(&table, &mut steer);
        read_failback(&table, policy, &mut steer);
        read_affinity(&table, policy, &mut steer);
        steer.is_sticky = read_sticky(&table, policy);
        let key_bits_span = table.get("key-bits").map(|value| value.span);
        let forms = FormValues::of(&table);
        SteerEntry { key, steer, spans, where_spans, key_bits_span, has_owner, forms }
    }

    /// A steer that says nothing yet. Without an owner it is no name.
    fn blank(&self, owner: Option<Name>, policy: Policy) -> Steer {
        Steer {
            is_branch_only: owner.is_none(),
            ttl: self.ttl,
            ttl_min: Steer::TTL_MIN.min(self.ttl),
            ttl_jitter: self.ttl_jitter,
            ..Steer::new(owner.unwrap_or_else(Name::root), policy)
        }
    }

    /// What counts only for a name that is asked for.
    fn read_name_keys(&self, table: &Table<'d>, steer: &mut Steer) {
        let mut is_branch_only = false;
        table.read_into("branch-only", &mut is_branch_only, Value::boolean);
        steer.is_branch_only |= is_branch_only;
        if is_branch_only {
            for value in NAME_KEYS.iter().filter_map(|key| table.get(key)) {
                let message =
                    format!("`{}` means nothing in a steer that is `branch-only`", value.key);
                let hint = "it belongs to the steer whose name is asked for";
                value.push(value.error(message).hint(hint));
            }
        }
        steer.key_bits = read_key_bits(table);
        table.read_into("all-down", &mut steer.all_down, |value| {
            self.read_all_down(&table.what, value)
        });
        table.read_into("ttl", &mut steer.ttl, read_ttl);
        steer.ttl_min = read_ttl_min(table, steer.ttl);
        table.read_into("ttl-jitter", &mut steer.ttl_jitter, read_ttl_jitter);
        steer.velocity = read_velocity(table);
        table.read_into("observe-only", &mut steer.is_observe_only, Value::boolean);
    }

    /// The bias of each region for this steer: its own word, or else the region's.
    fn read_bias(&self, table: &Table<'d>, policy: Option<Policy>) -> Vec<(RegionId, i8)> {
        let mut bias = self.biases.to_vec();
        for (Key { text: name, span }, value) in table.named("bias", "{ eu-west = 20 }") {
            let percent = value.signed(BIAS).unwrap_or(0);
            let Some(region) = self.regions.use_name(&table.what, value.at(span), name) else {
                continue;
            };
            bias.retain(|(known, _)| *known != region);
            bias.push((region, percent));
        }
        bias.retain(|(_, percent)| *percent != 0);
        if let (Some(value), Some(policy)) = (table.get("bias"), policy)
            && policy != Policy::Nearest
        {
            let message = format!("`bias` means nothing under policy `{}`", policy.word());
            value.push(value.error(message).hint("`nearest` goes by distance"));
        }
        if policy == Some(Policy::Nearest) { bias } else { Vec::new() }
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

/// The map, which goes with its policy.
fn read_map<'d>(
    name: &str,
    table: &Table<'d>,
    policy: Option<Policy>,
    reader: &BranchReader<'_, 'd>,
    steer: &Steer,
) -> ClientMap {
    match (policy, table.get("map")) {
        (Some(Policy::Map), None) if !table.is_misspelt("map") => {
            let error = table.error(format!("{} has no `map`", table.what));
            let hint = format!("add a table `[steer.{name}.map]` with a `default`");
            table.push(error.hint(hint));
        }
        (Some(policy), Some(value)) if policy != Policy::Map => {
            let message = format!("`map` means nothing under policy `{}`", policy.word());
            value.push(value.error(message).hint("write `policy = \"map\"`"));
        }
        _ => {}
    }
    let what = format!("the map of {}", table.what);
    let map = table.get("map").and_then(|value| value.table(what, &client_map::KEYS));
    map.map(|map| client_map::read(&map, reader, &steer.branches)).unwrap_or_default()
}

/// The group of names that send a client to one region.
fn read_affinity(table: &Table<'_>, policy: Option<Policy>, steer: &mut Steer) {
    let Some(value) = table.get("affinity") else { return };
    steer.affinity = value.parsed("the name of a group", text::word).map(str::to_owned);
    if let Some(policy) = policy.filter(|policy| *policy != Policy::Sticky) {
        let message = format!("`affinity` means nothing under policy `{}`", policy.word());
        let hint = "it is for names that are `sticky` between their pools";
        value.push(value.error(message).hint(hint));
    }
}

/// Whether a load-driven policy tells clients apart.
fn read_sticky(table: &Table<'_>, policy: Option<Policy>) -> bool {
    let mut is_sticky = false;
    table.read_into("sticky", &mut is_sticky, Value::boolean);
    let Some(value) = table.get("sticky") else { return is_sticky };
    if let Some(policy) = policy.filter(|policy| policy.load().is_none()) {
        let message = format!("`sticky` means nothing under policy `{}`", policy.word());
        let hint = match policy {
            Policy::Sticky => "remove it: the policy is sticky by itself",
            _ => "it is for policies that go by load; write `policy = \"sticky\"`",
        };
        value.push(value.error(message).hint(hint));
    }
    is_sticky
}

/// How a pool's endpoints are chosen: one of them, the same for the same client, unless told.
fn read_pick(table: &Table<'_>) -> Pick {
    const ONE: NonZeroU8 = NonZeroU8::MIN;
    const ALL: NonZeroU8 = NonZeroU8::new(ANSWERS_MAX).expect("some answers are allowed");
    let mut pick = Pick { policy: Policy::Sticky, is_sticky: false, answers: ONE };
    let Some(table) = table.table("pick", &PICK_KEYS) else { return pick };
    let policy = table.get("policy").and_then(read_pick_policy);
    pick.policy = policy.unwrap_or(pick.policy);
    let is_known = policy.is_some() || table.get("policy").is_none();
    pick.is_sticky = read_sticky(&table, is_known.then_some(pick.policy));
    if pick.policy == Policy::All {
        pick.answers = ALL;
    }
    let answers = |value: Value<'_>| value.small(1..=ANSWERS_MAX).and_then(NonZeroU8::new);
    table.read_into("answers", &mut pick.answers, answers);
    pick
}

fn read_pick_policy(value: Value<'_>) -> Option<Policy> {
    let between_only = [Policy::Nearest, Policy::Latency, Policy::Map];
    if let Some(policy) = between_only.iter().find(|own| value.as_text() == Some(own.word())) {
        let error = value.error("the endpoints of a pool are all in one place");
        let hint = format!("`{}` chooses between pools; inside one use `sticky`", policy.word());
        value.push(error.hint(hint));
        return None;
    }
    let words: Vec<_> =
        Policy::WORDS.into_iter().filter(|(_, policy)| !between_only.contains(policy)).collect();
    value.choice(&words, &[])
}

fn read_key_bits(table: &Table<'_>) -> KeyBits {
    let mut bits = Steer::KEY_BITS;
    let Some(table) = table.table("key-bits", &KEY_BITS_KEYS) else { return bits };
    table.read_into("v4", &mut bits.v4, |value| value.small(1..=Steer::KEY_BITS.v4));
    table.read_into("v6", &mut bits.v6, |value| value.small(1..=Steer::KEY_BITS.v6));
    bits
}

/// The shortest TTL, never above the longest; the default gives way to that.
fn read_ttl_min(table: &Table<'_>, ttl: Duration) -> Duration {
    let Some(value) = table.get("ttl-min") else { return Steer::TTL_MIN.min(ttl) };
    let Some(ttl_min) = read_ttl(value) else { return Steer::TTL_MIN.min(ttl) };
    if ttl_min > ttl {
        let (ttl_min, ttl) = (text::show(ttl_min), text::show(ttl));
        let error = value.error(format!("{} has a `ttl-min` above its `ttl`", table.what));
        value.push(error.label(format!("{ttl_min} is longer than {ttl}")));
    }
    ttl_min
}
