//! What `slow-start` asks of the steers that lead to a pool: a policy inside it that gives some endpoints
//! less than others.

use super::branches::SteerEntry;
use super::reader::Table;
use crate::model::topology::{BranchTo, Policy};
use crate::model::{Diagnostic, Pool};

/// Finds steers under which the slow start of a pool means nothing.
pub(super) fn judge(root: &Table<'_>, entries: &[SteerEntry<'_>], pools: &[Pool]) {
    for SteerEntry { key, steer, spans, .. } in entries {
        let names = match steer.pick.policy {
            Policy::All => "all endpoints alike",
            Policy::Failover => "the first endpoint that is usable",
            // `config` lets none of the next three be in a `pick`.
            Policy::Nearest | Policy::Latency | Policy::Map => continue,
            Policy::Weighted | Policy::Sticky | Policy::Load(_) => continue,
            Policy::RoundRobin | Policy::Random => continue,
        };
        let word = steer.pick.policy.word();
        for (branch, span) in steer.branches.iter().zip(spans) {
            let BranchTo::Pool(pool) = branch.to else { continue };
            let Pool { name, slow_start, .. } = &pools[pool.index()];
            if slow_start.is_zero() {
                continue;
            }
            let message = format!("steer `{}` picks by `{word}`, which names {names}", key.text);
            let label = format!("pool `{name}` has a `slow-start`");
            let hint = "pick by `sticky`, `weighted`, `round-robin`, `random` or by load";
            root.push(Diagnostic::error(*span, message).label(label).hint(hint));
        }
    }
}
