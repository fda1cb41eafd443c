//! The weights of a zone that follow load.
//!
//! A [`LoadControl`] has a [`Controller`](super::controller::Controller) for everything that is split by
//! load: the branches of a steer, the endpoints of a pool. What they come to is a [`LoadWeights`], which a
//! scene carries: a walk looks weights up there and knows nothing of loads.
//!
//! ```text
//!   loads of endpoints ─┐
//!   who is usable ──────┴─▶ LoadControl::step ─▶ LoadWeights ─▶ Scene ─▶ walk, grow
//! ```
//!
//! Controllers step at moments of the clock that all nodes share, so nodes that hear the same reports give
//! the same answers.

mod control;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use control::{LoadControl, SavedControl, Split, SplitPart};

use super::controller::Aim;
use crate::model::topology::{BranchTo, LoadPolicy, Policy};
use crate::model::{Load, PoolId, Steer, SteerId, Utilisation, Zone};

/// What load leaves of the weights of one zone. Where it says nothing, weights are static.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LoadWeights {
    /// Of the branches of steers, by place.
    branches: HashMap<SteerId, Box<[u32]>>,
    /// Of the endpoints of pools, by place in the pool.
    endpoints: HashMap<(PoolId, Aim), Box<[u32]>>,
}

impl LoadWeights {
    /// The weights of a steer's branches, by place.
    #[must_use]
    pub fn of_branches(&self, steer: SteerId) -> Option<&[u32]> {
        self.branches.get(&steer).map(|weights| &**weights)
    }

    /// The weights of a pool's endpoints under a policy, by place in the pool.
    #[must_use]
    pub fn of_endpoints(&self, pool: PoolId, policy: LoadPolicy) -> Option<&[u32]> {
        self.endpoints.get(&(pool, aim_of(policy))).map(|weights| &**weights)
    }
}

/// What the branches of a steer strive for; `None` where they do not go by load.
#[must_use]
pub fn aim_between(zone: &Zone, steer: &Steer) -> Option<Aim> {
    let is_measured =
        |pool: PoolId| zone.pools[pool.index()].capacity.is_some() && zone.is_by_load(pool);
    match steer.policy {
        Policy::Load(policy) => Some(aim_of(policy)),
        // Static weights, as long as nobody is asked for more than he can carry.
        Policy::Weighted | Policy::Sticky if all_below(zone, steer, &is_measured) => {
            Some(Aim::Below)
        }
        Policy::Weighted
        | Policy::Sticky
        | Policy::Nearest
        | Policy::Latency
        | Policy::Map
        | Policy::Failover
        | Policy::RoundRobin
        | Policy::Random
        | Policy::All => None,
    }
}

/// Whether something is true of all pools below a steer. Steers are trees by now.
fn all_below(zone: &Zone, steer: &Steer, is: &dyn Fn(PoolId) -> bool) -> bool {
    steer.branches.iter().all(|branch| match branch.to {
        BranchTo::Pool(pool) => is(pool),
        BranchTo::Steer(below) => all_below(zone, &zone.steers[below.index()], is),
    })
}

/// What a policy strives for.
#[must_use]
pub const fn aim_of(policy: LoadPolicy) -> Aim {
    match policy {
        LoadPolicy::WeightedLeastConnections => Aim::EqualPerWeight,
        LoadPolicy::LeastConnections
        | LoadPolicy::LeastBandwidth
        | LoadPolicy::LeastPackets
        | LoadPolicy::LeastResponseTime
        | LoadPolicy::LeastLoad => Aim::Equal,
    }
}

/// The static weight that counts under a policy: only one asks for more than whether there is any.
pub(super) const fn static_weight(policy: Option<LoadPolicy>, weight: u32) -> u32 {
    match policy {
        None | Some(LoadPolicy::WeightedLeastConnections) => weight,
        Some(_) if weight == 0 => 0,
        Some(_) => 1,
    }
}

/// What several things report together, each with its weight: the mean of loads that are parts of a limit
/// (`has_scale`), the sum of those that are not. What has no report is left out; `None` when all is.
#[must_use]
pub fn pooled(loads: &[(u32, Option<Load>)], has_scale: bool) -> Option<Load> {
    let known = || loads.iter().filter_map(|(weight, load)| Some((*weight, (*load)?)));
    let weights: u64 = known().map(|(weight, _)| u64::from(weight)).sum();
    let mean = |of: fn(Load) -> Utilisation| {
        let weighted =
            known().map(|(weight, load)| u128::from(weight) * u128::from(of(load).as_millis()));
        let mean = weighted.sum::<u128>() / u128::from(weights.max(1));
        Utilisation::from_millis(u64::try_from(mean).unwrap_or(u64::MAX))
    };
    let sum = || {
        let millis = known().map(|(_, load)| load.value.as_millis());
        Utilisation::from_millis(millis.fold(0, u64::saturating_add))
    };
    Some(Load {
        value: if has_scale { mean(|load| load.value) } else { sum() },
        errors: mean(|load| load.errors),
        age: known().map(|(_, load)| load.age).max()?,
        // All of it is in trouble when each part is.
        highs: known().map(|(_, load)| load.highs).min()?,
    })
}
