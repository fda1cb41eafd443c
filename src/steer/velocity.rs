//! How fast a rule gives pools up by itself.
//!
//! Checks that are wrong are wrong everywhere at once, and then every answer would be moved by them. With
//! `velocity` a rule gives up at most one pool, or a share of its pools, in a window of time; what is
//! lost beyond that goes on to be served as if it were up, until the window has room. It is a function of
//! the moments at which pools were lost and of nothing else, so that every node and every restart comes
//! to the same.
//!
//! ```text
//! lost        given up                                  share = "34%" of four pools, per = "60s": one
//! eu   10 s   at 10 s
//! us   12 s   at 70 s: the one before was at 10 s
//! ap   90 s   at 130 s: the one before was at 70 s
//! ```
//!
//! Not held: what operators force down, what two vantages or more agree on, and what was never known to be
//! usable. The first and the last do not fill the window either.

use super::outline::Outline;
use super::scene::Scene;
use crate::model::{PoolId, Time, Zone};

/// The pools that a rule does not give up yet though they are lost, each with the moment when it will.
pub(super) fn held(zone: &Zone, outline: &Outline, scene: &Scene) -> Vec<(PoolId, Time)> {
    let Some(velocity) = outline.rule(zone).velocity else { return Vec::new() };
    let mut pools: Vec<PoolId> = Vec::new();
    for pool in outline.leaves() {
        if !pools.contains(pool) {
            pools.push(*pool);
        }
    }
    let room = (pools.len() * usize::from(velocity.share) / 100).max(1);
    let lost = |pool: PoolId| {
        let view = scene.pool(pool);
        Some((view.lost_by_checks_since()?, view.is_agreed, pool))
    };
    let mut lost: Vec<(Time, bool, PoolId)> = pools.into_iter().filter_map(lost).collect();
    // What was lost at one moment is given up in the rule's order.
    lost.sort_by_key(|(since, ..)| *since);
    // The latest last.
    let mut given_up: Vec<Time> = Vec::new();
    let mut held = Vec::new();
    for (since, is_agreed, pool) in lost {
        let is_full = given_up.len() >= room && !is_agreed;
        let at =
            if is_full { since.max(given_up[given_up.len() - room] + velocity.per) } else { since };
        let place = given_up.partition_point(|earlier| *earlier <= at);
        given_up.insert(place, at);
        if at > scene.stage_time() {
            held.push((pool, at));
        }
    }
    held
}
