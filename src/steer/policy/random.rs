//! `random`: any, drawn for each answer.

use super::{below, mix};
use crate::steer::draw::Picks;

/// `count` different ones of `len`, every such set and order as likely as any other.
pub(super) fn pick(len: usize, count: usize, random: u64) -> Picks {
    let mut picks = Picks::EMPTY;
    let mut random = random;
    for taken in 0..count {
        // The nth of those that are left.
        let nth = below(random, (len - taken) as u64);
        let left = (0..len).filter(|index| !picks.contains(*index));
        let index = left.zip(0..).find(|(_, n)| *n == nth).map(|(index, _)| index);
        picks.push(index.expect("nth is below the number of those left"));
        random = mix(random);
    }
    picks
}
