//! `round-robin` and `all`: each in turn.

use crate::steer::draw::Picks;

/// `count` of `len` things in their order, beginning with the next one.
pub(super) fn pick(len: usize, count: usize, turn: u32) -> Picks {
    let mut picks = Picks::EMPTY;
    let start = turn as usize % len.max(1);
    for step in 0..count {
        picks.push((start + step) % len);
    }
    picks
}
