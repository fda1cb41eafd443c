//! What goes wrong, and when: drawn from a seed.

use std::time::Duration;

use super::world::{ENDPOINTS, MACHINES};
use crate::random::Random;

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// Which machine; of [`Kind::is_of_endpoint`], which endpoint; of the broker nothing.
    pub(super) machine: usize,
    pub(super) from: Duration,
    pub(super) until: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An endpoint refuses connections.
    Refusing,
    /// An endpoint is not heard of any more.
    Silent,
    /// An endpoint is dead every other spell of some seconds.
    Flapping,
    /// A machine reaches neither endpoints nor the broker.
    Isolated,
    /// A machine reaches no endpoint.
    Blind,
    /// A machine is heard by nobody, and hears.
    Muted,
    /// A machine hears nobody, and is heard.
    Deaf,
    /// A machine stands still (SIGSTOP) and goes on afterwards as if nothing had been.
    Stopped,
    /// A machine has so little to run on that its probes come late and time out.
    Starved,
    /// A machine is off, and starts again with what it had on disk a second before.
    Restarted,
    /// A machine's wall clock is set by up to 5 s, this way or that, and set right again.
    ClockSet,
    /// Nobody reaches the broker.
    BrokerAway,
    /// The broker loses, repeats and delays much of what it carries.
    BrokerPoor,
    /// Half of the machines have another broker than the others.
    Split,
}

impl Kind {
    pub(super) const fn is_of_endpoint(self) -> bool {
        matches!(self, Self::Refusing | Self::Silent | Self::Flapping)
    }
}

const KINDS: [(Kind, u64); 14] = [
    (Kind::Refusing, 6),
    (Kind::Silent, 6),
    (Kind::Flapping, 3),
    (Kind::Isolated, 3),
    (Kind::Blind, 2),
    (Kind::Muted, 2),
    (Kind::Deaf, 2),
    (Kind::Stopped, 3),
    (Kind::Starved, 2),
    (Kind::Restarted, 3),
    (Kind::ClockSet, 2),
    (Kind::BrokerAway, 2),
    (Kind::BrokerPoor, 2),
    (Kind::Split, 1),
];

/// The faults of a seed, all over before `end`.
pub(super) fn of_seed(seed: u64, end: Duration) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let weights: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
    let count = 4 + random.below(14);
    let fault = |_| {
        let mut left = random.below(weights);
        let mut kinds = KINDS.iter();
        let kind = loop {
            let (kind, weight) = kinds.next().unwrap();
            match left.checked_sub(*weight) {
                Some(after) => left = after,
                None => break *kind,
            }
        };
        let of = if kind.is_of_endpoint() { ENDPOINTS } else { MACHINES };
        let machine = usize::try_from(random.below(of as u64)).unwrap();
        let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap();
        let from = 40_000 + random.below(millis(end) - 60_000);
        // Some are over at once, some take long.
        let share = Duration::from_mins(4).mul_f64(random.fraction().powi(3));
        let length = 1000 + millis(share);
        let until = (from + length).min(millis(end));
        Fault {
            kind,
            machine,
            from: Duration::from_millis(from),
            until: Duration::from_millis(until),
        }
    };
    (0..count).map(fault).collect()
}
