//! `weighted`: in proportion to weights, drawn for each answer.

use super::{Weighted, below, mix};
use crate::steer::draw::Picks;

/// One item, drawn in proportion to its weight out of `total`: the first of [`pick`].
#[inline]
pub(super) fn pick_one(items: &[impl Weighted], total: u64, random: u64) -> usize {
    let point = below(random, total);
    let (mut place, mut end) = (0, 0);
    // To stop at the right one would be a branch that nobody can foretell.
    for item in &items[..items.len() - 1] {
        end += u64::from(item.weight());
        place += usize::from(end <= point);
    }
    place
}

/// `count` different items, each drawn in proportion to its weight among those that are left.
pub(super) fn pick(items: &[impl Weighted], count: usize, random: u64) -> Picks {
    let mut picks = Picks::EMPTY;
    let mut total: u64 = items.iter().map(|item| u64::from(item.weight())).sum();
    let mut random = random;
    for _ in 0..count {
        let mut point = below(random, total);
        for (index, item) in items.iter().enumerate() {
            if picks.contains(index) {
                continue;
            }
            let weight = u64::from(item.weight());
            if point < weight {
                picks.push(index);
                total -= weight;
                break;
            }
            point -= weight;
        }
        random = mix(random);
    }
    picks
}
