//! How much shorter a TTL is made, so that answers do not expire in step.
//!
//! What shortens a TTL does so for all that depends on it at once: while a region is down, or is being
//! drained until eleven, every answer that has to do with it lives equally long, whoever gets it and under
//! whichever name. So each name gets a TTL of its own, shorter by up to the rule's [`TtlJitter`]; and where
//! an operator asks for jitter, each class of its clients as well:
//!
//! ```text
//! spare = the whole seconds in the share of the TTL, but none below `ttl-min`
//! TTL   = TTL − ⌊(spare + 1) · u⌋        u in [0, 1), the same for ever for a name (and a class)
//! ```
//!
//! It only takes away: a TTL is a promise about the next change and about what an operator asked for. Of
//! what is shorter than a second nothing is left in a TTL, so at 10 % those below ten seconds stay as they
//! are; they are short because something is about to change, and over soon.
//!
//! Names come in [`SLOTS`] slots, whose `u` are equally far apart. More would spread them no further, as
//! there are but a few whole seconds to go by; and rules that say the same are compiled once for each slot
//! that their names are in. Classes have no part in it by default, since what else is alike for many of
//! them would be compiled once for each TTL.

use super::grow::fnv;
use super::policy::{below, mix};
use super::prefer::{NamedBy, Order, Preference};
use crate::model::topology::TtlJitter;
use crate::model::{Name, Steer};

/// In how many slots names come.
pub const SLOTS: usize = 8;

/// The slot of a name.
#[must_use]
pub fn slot_of(owner: &Name) -> usize {
    let octets = owner.as_wire().iter().map(u8::to_ascii_lowercase);
    usize::try_from(mix(fnv(octets)) % SLOTS as u64).expect("there are few slots")
}

/// How many seconds a TTL of the rule is made shorter for a class that may have one of its own; without it
/// for everybody, as NODATA is. `ttl` is within the rule's bounds.
pub(super) fn cut(rule: &Steer, class: Option<&Preference>, ttl: u32) -> u32 {
    let TtlJitter { share, is_always } = rule.ttl_jitter;
    let [longest, shortest] = [rule.ttl, rule.ttl_min].map(|bound| bound.as_secs());
    if share == 0 || (u64::from(ttl) >= longest && !is_always) {
        return 0;
    }
    let spare = u64::from(ttl) * u64::from(share) / 1000;
    let spare = spare.min(u64::from(ttl).saturating_sub(shortest));
    let step = u64::MAX / SLOTS as u64 + 1;
    let class = class.filter(|_| is_always).map_or(0, class_place);
    let place = class.wrapping_add(step.wrapping_mul(slot_of(&rule.owner) as u64));
    u32::try_from(below(place, spare + 1)).unwrap_or(0)
}

/// Where a class begins to count slots. A class is what it prefers, whichever number it has.
fn class_place(preference: &Preference) -> u64 {
    let numbers = |order: &Order| {
        let (kind, clause) = match order.named {
            NamedBy::Policy => (0, 0),
            NamedBy::Where(n) => (1, n),
            NamedBy::Map(n) => (2, n),
            NamedBy::MapDefault => (3, 0),
        };
        let head = [kind, clause, order.preferred];
        head.into_iter().chain(order.branches.to_vec()).flat_map(u16::to_be_bytes)
    };
    mix(fnv(preference.orders.iter().flat_map(numbers)))
}
