//! The policies as draws: which of some weighted things, in which order. One file a policy.
//!
//! The same words work between pools and between the endpoints of a pool, because both are
//! [`Weighted`]. Who is among the candidates, and in which order, was settled by `select`.

mod random;
mod rotate;
mod sticky;
mod weighted;

use super::draw::{Draw, Item, Picks};
use crate::model::topology::Policy;

/// Something with a share and a lasting identity.
pub(super) trait Weighted {
    /// Its share; at least 1.
    fn weight(&self) -> u32;
    /// What makes its place in a sticky choice.
    fn seed(&self) -> u64;
}

impl<T> Weighted for Item<T> {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}

/// Draws `count` of `items` (all, when there are fewer), in the order in which an answer names them.
pub(super) fn pick(policy: Policy, items: &[impl Weighted], count: usize, dice: Draw) -> Picks {
    let count = count.min(items.len());
    match policy {
        // The candidates stand in the order of preference already.
        Policy::Nearest | Policy::Latency | Policy::Failover | Policy::Map => first(count),
        Policy::Weighted | Policy::Load(_) => weighted::pick(items, count, dice.random),
        Policy::Sticky => sticky::pick(items, count, dice.key),
        Policy::RoundRobin | Policy::All => rotate::pick(items.len(), count, dice.turn),
        Policy::Random => random::pick(items.len(), count, dice.random),
    }
}

/// [`pick`] of one item: its place. There is at least one, and all their weights come to `weight`.
#[inline]
pub(super) fn pick_one(policy: Policy, items: &[impl Weighted], weight: u64, dice: Draw) -> usize {
    match policy {
        _ if items.len() <= 1 => 0,
        Policy::Nearest | Policy::Latency | Policy::Failover | Policy::Map => 0,
        Policy::Weighted | Policy::Load(_) => weighted::pick_one(items, weight, dice.random),
        Policy::Sticky => sticky::pick_one(items, dice.key),
        Policy::RoundRobin | Policy::All => dice.turn as usize % items.len(),
        Policy::Random => usize::try_from(below(dice.random, items.len() as u64)).unwrap_or(0),
    }
}

/// The parts in which each of `items` is the first that is drawn.
pub(super) fn shares(policy: Policy, items: &[impl Weighted]) -> Vec<u64> {
    match policy {
        Policy::Nearest | Policy::Latency | Policy::Failover | Policy::Map => {
            (0..items.len()).map(|place| u64::from(place == 0)).collect()
        }
        Policy::Weighted | Policy::Load(_) | Policy::Sticky => {
            items.iter().map(|item| item.weight().into()).collect()
        }
        Policy::RoundRobin | Policy::All | Policy::Random => vec![1; items.len()],
    }
}

fn first(count: usize) -> Picks {
    let mut picks = Picks::EMPTY;
    (0..count).for_each(|index| picks.push(index));
    picks
}

/// What SplitMix64 (Steele et al. 2014) adds to its state for each number.
pub(crate) const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that has nothing to do with `seed` any more, but is always the same: the one that SplitMix64
/// makes in that state.
pub(crate) const fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(GOLDEN_GAMMA);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number below `bound` from a random one (Lemire's multiplication; the bias is below
/// `bound` / 2⁶⁴).
pub(super) fn below(random: u64, bound: u64) -> u64 {
    let product = u128::from(random) * u128::from(bound);
    u64::try_from(product >> 64).expect("the high half of a product of two 64-bit numbers")
}
