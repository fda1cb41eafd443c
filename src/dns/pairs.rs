//! One draw for all types that a client asks for together.
//!
//! Resolvers ask for A, AAAA and HTTPS of a name within milliseconds, from ports of their own, so that the
//! queries come to different threads. Where answers are drawn for each query, the types of one client would
//! come from different regions. So the first of them leaves its draw here, and the others take it, each
//! type once: whoever asks for A again has it drawn again, and shares stay what they are.
//!
//! All threads share [`Pairs`]. There are as many places as there are, whatever is asked: a client whose
//! place another takes has its types drawn apart, as they would be without.
//!
//! ```text
//! place: tag 24 bits │ time 16 bits, in seconds │ types 8 bits, those that took it │ turn 16 bits
//! ```

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::Prefix;
use crate::steer::{Draw, GOLDEN_GAMMA, mix};

/// Places: 128 KiB of them.
const PLACES: usize = 1 << 14;
const TAG_SHIFT: u32 = 40;
/// How many seconds of the clock may turn between the first type and the last.
const LIFE: u16 = 1;

/// Draws that were just made.
#[derive(Debug)]
pub struct Pairs {
    places: Box<[AtomicU64]>,
    /// Nobody outside knows who shares a place, nor what is drawn next.
    seed: u64,
}

impl Pairs {
    /// None yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), seed }
    }

    /// The draw of `client` for a rule: the one that it made for another type just now, or the next
    /// one of the rule, which has that turn. `column` is the place of the type among the rule's.
    pub(super) fn draw(
        &self,
        (rule, column): (u32, usize),
        client: Prefix,
        unix_secs: u32,
        next_turn: impl FnOnce() -> u32,
    ) -> Draw {
        let who = self.hash(rule, client);
        #[expect(clippy::cast_possible_truncation, reason = "some bits of a hash")]
        let place = &self.places[who as usize % PLACES];
        let (tag, own) = (who >> TAG_SHIFT, 1 << (column % 8));
        #[expect(clippy::cast_possible_truncation, reason = "they wrap")]
        let fresh = Slot { tag, at: unix_secs as u16, types: own, turn: 0 };
        let mut next_turn = Some(next_turn);
        let mut slot = fresh;
        let follow = |bits| {
            let known = Slot::of(bits);
            let is_shared = known.tag == tag
                && fresh.at.wrapping_sub(known.at) <= LIFE
                && known.types != 0
                && known.types & own == 0;
            if is_shared {
                slot = Slot { types: known.types | own, ..known };
            } else if let Some(next_turn) = next_turn.take() {
                #[expect(clippy::cast_possible_truncation, reason = "it wraps")]
                let turn = next_turn() as u16;
                slot = Slot { turn, ..fresh };
            }
            Some(slot.bits())
        };
        // Types that come at the very same time to several threads follow the first of them.
        let order = Ordering::Relaxed;
        let _ = place.fetch_update(order, order, follow);
        let turn = u32::from(slot.turn);
        let random = mix(who.wrapping_add(u64::from(turn).wrapping_mul(GOLDEN_GAMMA)));
        Draw { random, turn, key: 0 }
    }

    fn hash(&self, rule: u32, client: Prefix) -> u64 {
        let address = match client.address() {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96 | 4,
            IpAddr::V6(address) => u128::from(address) ^ 6,
        };
        #[expect(clippy::cast_possible_truncation, reason = "its two halves")]
        let (high, low) = ((address >> 64) as u64, address as u64);
        mix(mix(mix(self.seed ^ high) ^ low) ^ u64::from(rule))
    }
}

/// What a place holds.
#[derive(Clone, Copy)]
struct Slot {
    tag: u64,
    at: u16,
    types: u8,
    turn: u16,
}

impl Slot {
    #[expect(clippy::cast_possible_truncation, reason = "fields")]
    const fn of(bits: u64) -> Self {
        Self {
            tag: bits >> TAG_SHIFT,
            at: (bits >> 24) as u16,
            types: (bits >> 16) as u8,
            turn: bits as u16,
        }
    }

    fn bits(self) -> u64 {
        let Self { tag, at, types, turn } = self;
        tag << TAG_SHIFT | u64::from(at) << 24 | u64::from(types) << 16 | u64::from(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> Prefix {
        Prefix::host(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn the_types_of_a_client_share_a_draw_and_the_next_round_has_another() {
        let pairs = Pairs::new(7);
        let draw = |column, secs, turn| pairs.draw((3, column), client(9), secs, || turn);
        let first = draw(0, 100, 1);
        assert_eq!(draw(1, 100, 2), first, "AAAA follows A");
        assert_eq!(draw(2, 101, 3), first, "and HTTPS a second later");
        let second = draw(0, 101, 4);
        assert_ne!(second.random, first.random, "A again is another answer");
        assert_eq!(draw(2, 101, 5), second);
        assert_ne!(draw(1, 103, 6), second, "what comes later is no part of it");
    }

    #[test]
    fn clients_and_rules_are_told_apart_and_times_wrap() {
        let pairs = Pairs::new(7);
        let of = |rule, n, column, secs| pairs.draw((rule, column), client(n), secs, || n);
        let first = of(1, 1, 0, 0xffff);
        assert_ne!(of(2, 1, 1, 0xffff).random, first.random);
        assert_ne!(of(1, 2, 1, 0xffff).random, first.random);
        assert_eq!(of(1, 1, 1, 0x1_0000), first);
    }

    #[test]
    fn draws_of_one_client_are_spread_evenly() {
        let pairs = Pairs::new(7);
        let draws = (0..20_000).map(|turn| pairs.draw((1, 0), client(5), 100, || turn).random);
        let low = draws.filter(|random| *random < u64::MAX / 10 * 3).count();
        assert!((5700..=6300).contains(&low), "{low} of 20,000 in the lowest three tenths");
    }
}
