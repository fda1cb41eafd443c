//! What `capacity` asks of the steers that lead to a pool.
//!
//! Pools that may take over from each other must be measured alike, and by something that their steers
//! look at. What one pool says of itself is `pool`'s to judge.

use std::collections::{BTreeSet, HashSet};

use super::branches::SteerEntry;
use super::reader::{Table, list_words};
use crate::model::topology::{BranchTo, Policy};
use crate::model::{Diagnostic, Feed, Pool, PoolId};

/// Finds steers under which the capacities of their pools mean nothing, or cannot be compared.
pub(super) fn judge(root: &Table<'_>, entries: &[SteerEntry<'_>], pools: &[Pool], feeds: &[Feed]) {
    let judge = Judge { root, entries, pools, feeds };
    for place in 0..entries.len() {
        judge.judge_policy(place);
        judge.judge_units(place);
    }
}

struct Judge<'a, 'd> {
    root: &'a Table<'d>,
    entries: &'a [SteerEntry<'d>],
    pools: &'a [Pool],
    feeds: &'a [Feed],
}

impl Judge<'_, '_> {
    /// Of the policies that draw for each answer, only those with weights can be made to draw less.
    fn judge_policy(&self, place: usize) {
        let SteerEntry { key, steer, spans, .. } = &self.entries[place];
        let word = steer.policy.word();
        for (branch, span) in steer.branches.iter().zip(spans) {
            let BranchTo::Pool(pool) = branch.to else { continue };
            let Pool { name, capacity: Some(_), .. } = &self.pools[pool.index()] else { continue };
            match steer.policy {
                Policy::Nearest | Policy::Latency | Policy::Failover | Policy::Map => {}
                Policy::Load(_) => {}
                Policy::Weighted | Policy::Sticky if self.is_by_load(pool) => {}
                Policy::Weighted | Policy::Sticky => {
                    let message = format!("`{word}` does not look at the capacity of `{name}`");
                    let hint = "its weights follow what a `feed` says, and this pool has none";
                    self.root.push(Diagnostic::warning(*span, message).hint(hint));
                }
                Policy::RoundRobin | Policy::Random | Policy::All => {
                    let message = format!(
                        "steer `{}` is `{word}`, which gives no pool less than another",
                        key.text
                    );
                    let label = format!("pool `{name}` has a capacity");
                    let hint = "`nearest`, `failover` and `map` send on what does not fit, \
                                `weighted` and `sticky` follow the load";
                    self.root.push(Diagnostic::error(*span, message).label(label).hint(hint));
                }
            }
        }
    }

    /// What is measured by load and what by answers has no unit in common.
    fn judge_units(&self, place: usize) {
        let SteerEntry { key, .. } = &self.entries[place];
        let mut own = BTreeSet::new();
        self.add_pools_with_capacity(place, &mut HashSet::new(), &mut own);
        let (by_load, by_answers): (Vec<PoolId>, Vec<PoolId>) =
            own.into_iter().partition(|pool| self.is_by_load(*pool));
        if by_load.is_empty() || by_answers.is_empty() {
            return;
        }
        let names =
            |pools: &[PoolId]| list_words(pools.iter().map(|pool| &*self.pools[pool.index()].name));
        let message = format!("the capacities in steer `{}` are of two kinds", key.text);
        let (by_load, by_answers) = (names(&by_load), names(&by_answers));
        let label = format!("by load: {by_load}; by answers a second: {by_answers}");
        let hint = "give all of these pools a feed with a `limit`, or none of them";
        self.root.push(Diagnostic::error(key.span, message).label(label).hint(hint));
    }

    /// Adds the pools with a capacity that a steer may lead to. Steers in `seen` were looked at: several
    /// may lead to one, so that there may be far more ways than steers.
    fn add_pools_with_capacity(
        &self,
        place: usize,
        seen: &mut HashSet<usize>,
        found: &mut BTreeSet<PoolId>,
    ) {
        if !seen.insert(place) {
            return;
        }
        for branch in &self.entries[place].steer.branches {
            match branch.to {
                BranchTo::Pool(pool) if self.pools[pool.index()].capacity.is_some() => {
                    found.insert(pool);
                }
                BranchTo::Pool(_) => {}
                BranchTo::Steer(below) => self.add_pools_with_capacity(below.index(), seen, found),
            }
        }
    }

    fn is_by_load(&self, pool: PoolId) -> bool {
        self.pools[pool.index()].is_by_load(self.feeds)
    }
}
