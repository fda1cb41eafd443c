//! What goes wrong, and when: drawn from a seed.

use std::time::Duration;

use super::machine::group_of;
use super::served::ENDPOINTS;
use super::world::{GROUPS, MACHINES};
use crate::random::Random;

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// Which machine; of [`Kind::is_of_endpoint`], which endpoint; of [`Kind::PathCut`], see there; of the broker
    /// nothing.
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
    /// The machines of a group do not reach an endpoint: the group's number, times the number of endpoints, and
    /// the endpoint's.
    PathCut,
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
    /// The same, and it comes back with its data of up to two minutes before it went.
    BrokerRolledBack,
    /// The broker loses, repeats and delays much of what it carries.
    BrokerPoor,
    /// Half of the machines have another broker than the others.
    Split,
}

impl Kind {
    pub(super) const fn is_of_endpoint(self) -> bool {
        matches!(self, Self::Refusing | Self::Silent | Self::Flapping)
    }

    pub(super) const fn is_of_all(self) -> bool {
        matches!(self, Self::BrokerAway | Self::BrokerRolledBack | Self::BrokerPoor | Self::Split)
    }
}

/// How a probe ends.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub(super) enum Probed {
    Success(Duration),
    Timeout,
    Refused,
    /// The machine did not look in time.
    Late,
}

/// What goes wrong, by what it is of.
pub(super) struct Faults {
    pub(super) all: Vec<Fault>,
    /// By kind, then by machine, endpoint or path.
    of: Vec<Vec<Vec<(Duration, Duration)>>>,
}

impl Faults {
    pub(super) fn new(all: Vec<Fault>) -> Self {
        let mut of = vec![vec![Vec::new(); GROUPS * ENDPOINTS]; KINDS.len()];
        for Fault { kind, machine, from, until } in &all {
            let machine = if kind.is_of_all() { 0 } else { *machine };
            of[*kind as usize][machine].push((*from, *until));
        }
        Self { all, of }
    }

    /// Until when something is wrong, if it is wrong at a moment.
    pub(super) fn until(&self, kind: Kind, of: usize, at: Duration) -> Option<Duration> {
        let own = self.of[kind as usize][of].iter();
        own.filter(|(from, until)| (*from..*until).contains(&at)).map(|(_, until)| *until).max()
    }

    pub(super) fn had(&self, kind: Kind, of: usize, at: Duration) -> bool {
        self.until(kind, of, at).is_some()
    }

    /// Whether something begins to be wrong soon.
    pub(super) fn begins_within(
        &self,
        kind: Kind,
        of: usize,
        at: Duration,
        within: Duration,
    ) -> bool {
        let own = &self.of[kind as usize][of];
        own.iter().any(|(from, _)| (at..at + within).contains(from))
    }

    /// How an endpoint fails at a moment, if it does.
    pub(super) fn death(&self, endpoint: usize, at: Duration) -> Option<Probed> {
        if self.had(Kind::Silent, endpoint, at) {
            return Some(Probed::Timeout);
        }
        let is_in_spell = (at.as_secs() / 7).is_multiple_of(2);
        let is_refusing = self.had(Kind::Refusing, endpoint, at)
            || self.had(Kind::Flapping, endpoint, at) && is_in_spell;
        is_refusing.then_some(Probed::Refused)
    }

    pub(super) fn is_path_cut(&self, machine: usize, endpoint: usize, at: Duration) -> bool {
        self.had(Kind::PathCut, group_of(machine) * ENDPOINTS + endpoint, at)
    }

    /// Whether a machine can be believed to see an endpoint that is alive: it could, and did for long enough to
    /// hold it for up again.
    pub(super) fn could_see(&self, machine: usize, endpoint: usize, at: Duration) -> bool {
        let ill = [Kind::Isolated, Kind::Blind, Kind::Stopped, Kind::Starved, Kind::Restarted];
        let path = group_of(machine) * ENDPOINTS + endpoint;
        let was = |kind, of| self.had_within(kind, of, at.saturating_sub(RECOVERED), at);
        !ill.into_iter().any(|kind| was(kind, machine)) && !was(Kind::PathCut, path)
    }

    fn had_within(&self, kind: Kind, of: usize, from: Duration, to: Duration) -> bool {
        let own = &self.of[kind as usize][of];
        own.iter().any(|(began, ended)| *began <= to && from < *ended)
    }
}

/// As long as three successes take, half an interval apart, and what may pass before the first.
const RECOVERED: Duration = Duration::from_secs(20);

const KINDS: [(Kind, u64); 16] = [
    (Kind::Refusing, 6),
    (Kind::Silent, 6),
    (Kind::Flapping, 3),
    (Kind::PathCut, 3),
    (Kind::Isolated, 3),
    (Kind::Blind, 2),
    (Kind::Muted, 2),
    (Kind::Deaf, 2),
    (Kind::Stopped, 3),
    (Kind::Starved, 2),
    (Kind::Restarted, 3),
    (Kind::ClockSet, 2),
    (Kind::BrokerAway, 1),
    (Kind::BrokerRolledBack, 2),
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
        let of = match kind {
            Kind::PathCut => GROUPS * ENDPOINTS,
            kind if kind.is_of_endpoint() => ENDPOINTS,
            _ => MACHINES,
        };
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
