//! Policies that go by load, and the feeds that they go by.
//!
//! Every pool below such a policy must have a feed that says how busy it is, and what is compared must be
//! comparable. `least-response-time` needs none: the check's own probes are timed anyway.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::branches::{SteerEntry, own_pools, pools_below};
use super::reader::{Key, Table};
use crate::model::feed::{FeedSource, Measure};
use crate::model::topology::LoadPolicy;
use crate::model::{Diagnostic, Feed, FeedId, FeedSpec, Pool, PoolId, Steer};

/// What the feed is called that `least-response-time` brings along.
const IMPLIED: &str = "response-time";
const INTERVAL: Duration = Duration::from_secs(10);

/// Judges the load-driven policies of `entries`; gives pools the feed that a policy implies.
pub(super) fn judge(
    root: &Table<'_>,
    entries: &[SteerEntry<'_>],
    pool_keys: &[Key<'_>],
    pools: &mut [Pool],
    feeds: &mut Vec<Feed>,
) {
    let mut gone_by: HashSet<PoolId> = HashSet::new();
    for entry in entries {
        let Steer { policy, pick, .. } = &entry.steer;
        let below: Vec<PoolId> = pools_below(entries, &entry.steer).into_iter().collect();
        let own = own_pools(&entry.steer).collect();
        let uses = [(policy.load(), below.clone()), (pick.policy.load(), own)];
        for (policy, used) in uses {
            let Some(policy) = policy else { continue };
            imply(policy, &used, pools, feeds);
            judge_feeds(root, entry, &used, pools, feeds);
            gone_by.extend(used);
        }
        if policy.load().is_some() {
            judge_scales(root, entry, &below, pools, feeds);
        }
    }
    for (n, (pool, key)) in pools.iter().zip(pool_keys).enumerate() {
        let is_gone_by = gone_by.contains(&PoolId::new(n)) || pool.capacity.is_some();
        if !pool.feeds.is_empty() && !is_gone_by {
            let message = format!("no steer goes by the load of pool `{}`", pool.name);
            let hint = "use a policy that does, such as `least-load`, give the pool a `capacity`, or remove \
                        its `feed`";
            root.push(Diagnostic::warning(key.span, message).hint(hint));
        }
    }
}

/// Has the probes of pools without a feed of load be timed, if that is what the policy goes by.
fn imply(policy: LoadPolicy, used: &[PoolId], pools: &mut [Pool], feeds: &mut Vec<Feed>) {
    if policy != LoadPolicy::LeastResponseTime {
        return;
    }
    for pool in used {
        let pool = &mut pools[pool.index()];
        if pool.check.is_none() || has_load(pool, feeds) {
            continue;
        }
        let is_timed = |feed: &Feed| {
            feed.spec.source == FeedSource::ResponseTime && feed.spec.interval == INTERVAL
        };
        let place = feeds.iter().position(is_timed).unwrap_or_else(|| {
            let spec = FeedSpec {
                source: FeedSource::ResponseTime,
                measure: Measure::Load { limit: None },
                interval: INTERVAL,
                timeout: INTERVAL,
            };
            feeds.push(Feed { name: IMPLIED.to_owned(), spec: Arc::new(spec) });
            feeds.len() - 1
        });
        pool.feeds.push(FeedId::new(place));
    }
}

fn loads<'a>(pool: &'a Pool, feeds: &'a [Feed]) -> impl Iterator<Item = &'a Feed> {
    let feeds = pool.feeds.iter().map(|feed| &feeds[feed.index()]);
    feeds.filter(|feed| matches!(feed.spec.measure, Measure::Load { .. }))
}

fn has_load(pool: &Pool, feeds: &[Feed]) -> bool {
    loads(pool, feeds).next().is_some()
}

fn judge_feeds(
    root: &Table<'_>,
    entry: &SteerEntry<'_>,
    used: &[PoolId],
    pools: &[Pool],
    feeds: &[Feed],
) {
    let steer = entry.key.text;
    for pool in used.iter().map(|pool| &pools[pool.index()]).filter(|pool| !has_load(pool, feeds)) {
        let message =
            format!("steer `{steer}` goes by load, which nothing tells of `{}`", pool.name);
        let error = Diagnostic::error(entry.key.span, message);
        let hint = if pool.feeds.is_empty() {
            format!(
                "give pool `{}` a `feed`; `least-response-time` needs a `check` only",
                pool.name
            )
        } else {
            format!("the feeds of pool `{}` tell of errors; add one of load", pool.name)
        };
        root.push(error.hint(hint));
    }
}

/// Between pools, loads are compared: parts of a limit with parts of a limit, bare numbers with such.
fn judge_scales(
    root: &Table<'_>,
    entry: &SteerEntry<'_>,
    used: &[PoolId],
    pools: &[Pool],
    feeds: &[Feed],
) {
    let has_scale = |pool: &&Pool| loads(pool, feeds).all(|feed| feed.spec.has_scale());
    let known = || used.iter().map(|pool| &pools[pool.index()]).filter(|p| has_load(p, feeds));
    let (scaled, bare) = (known().find(has_scale), known().find(|pool| !has_scale(pool)));
    if let (Some(scaled), Some(bare)) = (scaled, bare) {
        let message = format!(
            "steer `{}` compares pool `{}`, whose load is a part of a limit, with `{}`, whose is not",
            entry.key.text, scaled.name, bare.name
        );
        let hint = format!("give the feed of pool `{}` a `limit`", bare.name);
        root.push(Diagnostic::error(entry.key.span, message).hint(hint));
    }
}
