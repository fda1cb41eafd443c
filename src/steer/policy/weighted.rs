//! `weighted`: in proportion to weights, drawn for each answer.

use super::{Weighted, below, mix};
use crate::steer::draw::Picks;

/// One item, drawn in proportion to its weight: the first of [`pick`].
pub(super) fn pick_one(items: &[impl Weighted], random: u64) -> usize {
    let mut point = below(random, items.iter().map(|item| u64::from(item.weight())).sum());
    let is_drawn = |item: &_| {
        let weight = u64::from(Weighted::weight(item));
        let is_drawn = point < weight;
        point = point.wrapping_sub(weight);
        is_drawn
    };
    items.iter().position(is_drawn).unwrap_or(0)
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
