//! `sticky`: in proportion to weights, the same for the same client.
//!
//! Weighted rendezvous hashing (Thaler & Ravishankar 1998; the weighted form by Schindelhauer &
//! Schomaker 2005): each item draws a number of its own for the client, u in (0, 1), and the least
//! −log(u) / weight wins. An item that leaves moves only its own clients, and a weight that changes
//! moves the least that it must. All in integers, so that every node agrees for ever: −log₂ in 32.32
//! fixed point, fractions compared by cross multiplication.

use super::{Weighted, mix};
use crate::steer::draw::Picks;

/// The item that scores best for `key`: the first of [`pick`].
#[inline]
pub(super) fn pick_one(items: &[impl Weighted], key: u64) -> usize {
    let score = |item: &_| score(item, key);
    let Some((first, others)) = items.split_first() else { return 0 };
    let (mut best, mut best_score) = (0, score(first));
    for (item, place) in others.iter().zip(1..) {
        let score = score(item);
        if score.is_better_than(best_score) {
            (best, best_score) = (place, score);
        }
    }
    best
}

/// The `count` items that score best for `key`, best first; the earlier of equals.
pub(super) fn pick(items: &[impl Weighted], count: usize, key: u64) -> Picks {
    let mut picks = Picks::EMPTY;
    for _ in 0..count {
        let left = items.iter().enumerate().filter(|(place, _)| !picks.contains(*place));
        let scores = left.map(|(place, item)| (place, score(item, key)));
        let best =
            scores.reduce(|best, other| if other.1.is_better_than(best.1) { other } else { best });
        if let Some((place, _)) = best {
            picks.push(place);
        }
    }
    picks
}

/// What an item draws for a key: −log₂(u), and its weight.
#[derive(Clone, Copy)]
struct Score {
    cost: u64,
    weight: u64,
}

impl Score {
    /// cost / weight < other.cost / other.weight; both products stay below 2⁶³.
    fn is_better_than(self, other: Self) -> bool {
        self.cost * other.weight < other.cost * self.weight
    }
}

#[inline]
fn score(item: &impl Weighted, key: u64) -> Score {
    Score { cost: neg_log2(mix(key ^ item.seed())), weight: item.weight().into() }
}

/// Bits of a mantissa that choose a table entry; between entries it is interpolated.
const TABLE_BITS: u32 = 8;
/// log₂(1 + n / 256) in 0.32 fixed point, for n in 0..=256.
const LOG2: [u64; (1 << TABLE_BITS) + 1] = log2_table();

/// −log₂(random / 2⁶⁴) in 32.32 fixed point: 0 ..= 64 · 2³², thus below 2³⁹.
fn neg_log2(random: u64) -> u64 {
    let random = random | 1; // 0 has no logarithm.
    let zeros = random.leading_zeros();
    let mantissa = random << zeros << 1; // What follows the leading one, left-aligned.
    let entry = usize::try_from(mantissa >> (64 - TABLE_BITS)).expect("eight bits");
    let between = (mantissa << TABLE_BITS) >> 40; // The next 24 bits.
    let (low, high) = (LOG2[entry], LOG2[entry + 1]);
    let log = low + (((high - low) * between) >> 24);
    (u64::from(zeros + 1) << 32) - log
}

const fn log2_table() -> [u64; (1 << TABLE_BITS) + 1] {
    let mut table = [0; (1 << TABLE_BITS) + 1];
    let mut n = 0;
    while n < 1 << TABLE_BITS {
        table[n] = log2_of((1 << 62) + ((n as u64) << (62 - TABLE_BITS)));
        n += 1;
    }
    table[1 << TABLE_BITS] = 1 << 32;
    table
}

/// log₂ of `x` / 2⁶², which is in [1, 2), in 0.32 fixed point, a bit at a time: squaring doubles the
/// logarithm, and a square of 2 or more means that the next bit is set.
const fn log2_of(x: u64) -> u64 {
    let (mut x, mut log, mut bit) = (x as u128, 0, 1_u64 << 31);
    while bit != 0 {
        x = (x * x) >> 62;
        if x >= 1 << 63 {
            x >>= 1;
            log |= bit;
        }
        bit >>= 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right_to_five_digits() {
        for shift in 0..64 {
            for odd in [1_u64, 3, 0xdead_beef, u64::MAX] {
                let random = (odd << shift) | 1;
                #[expect(clippy::cast_precision_loss, reason = "compared to five digits only")]
                let (exact, ours) =
                    (64.0 - (random as f64).log2(), neg_log2(random) as f64 / 2_f64.powi(32));
                assert!((exact - ours).abs() < 1e-5, "{random}: {exact} {ours}");
            }
        }
    }
}
