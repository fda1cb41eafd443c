//! Where each target stands in its interval.
//!
//! Targets of one interval are spread over it evenly by a hash, the same on every machine, so that the work of
//! each moment is about equal. Vantages that watch the same target take turns: each stands its share of the
//! interval after the one before it, by the wall clock that they have in common.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::clock::Moment;
use crate::model::health::Turn;
use crate::model::{Target, Time, whole_nanos};

/// The first round of probes takes no longer to start than this, unless it would be too many at once.
pub(crate) const FIRST_ROUND: Duration = Duration::from_secs(1);

/// The place of a target, or of whatever is asked regularly, among those of its interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(super) interval: Duration,
    pub(super) hash: u64,
}

impl Place {
    pub(crate) fn of(what: &impl Hash, interval: Duration) -> Self {
        // Keys of zero, unlike `RandomState`'s: the same targets have the same places in every run.
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self { interval, hash: hasher.finish() }
    }

    /// The place of a target for one of the vantages that watch it.
    pub(super) fn staggered(target: &Target, turn: Turn, moment: Moment) -> Self {
        let length = nanos(target.spec.interval);
        let phase = u128::from(target.id().0)
            + u128::from(length) * u128::from(turn.rank) / u128::from(turn.of.max(1));
        // The phase is one of the wall clock; places are told by the other.
        let ahead = moment.unix.as_nanos() % u128::from(length);
        let here = u128::from(moment.time.as_nanos() % length);
        let phase = phase + here + u128::from(length) - ahead;
        let hash = u64::try_from(phase % u128::from(length)).expect("less than an interval");
        Self { interval: target.spec.interval, hash }
    }

    /// How long after it was named a target is first probed, when all of them are within `round`.
    pub(crate) fn first_delay(self, round: Duration) -> Duration {
        Duration::from_nanos(self.hash % nanos(self.interval.min(round)))
    }

    /// When the probe after the one of `started` begins. A pace of the whole interval leads to the
    /// target's own place, half an interval away or one and a half when it comes from elsewhere: a
    /// burst or the first round. Any other pace is taken literally.
    pub(crate) fn next_start(self, started: Time, pace: Duration) -> Time {
        if pace != self.interval {
            return started + pace;
        }
        let interval = nanos(self.interval);
        let earliest = started + self.interval / 2;
        let phase = self.hash % interval;
        let behind = earliest.as_nanos() % interval;
        let wait = if phase >= behind { phase - behind } else { phase + interval - behind };
        earliest + Duration::from_nanos(wait)
    }
}

/// At least 1, so that it can be divided by.
pub(super) fn nanos(length: Duration) -> u64 {
    whole_nanos(length).max(1)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{CheckKind, CheckSpec, TargetHost};

    const INTERVAL: Duration = Duration::from_secs(10);

    fn place(hash: u64) -> Place {
        Place { interval: INTERVAL, hash }
    }

    proptest! {
        #[test]
        fn probes_at_the_ordinary_pace_fall_into_their_place(hash: u64, start in 0_u64..1 << 50) {
            let place = place(hash);
            let next = place.next_start(Time::from_nanos(start), INTERVAL);
            let gap = Duration::from_nanos(next.as_nanos() - start);
            prop_assert!(gap >= INTERVAL / 2 && gap < INTERVAL * 3 / 2, "a gap of {gap:?}");
            prop_assert_eq!(next.as_nanos() % nanos(INTERVAL), hash % nanos(INTERVAL));
        }

        #[test]
        fn a_late_start_does_not_move_the_next(hash: u64, late_millis in 0_u64..4000) {
            let place = place(hash);
            let on_time = place.next_start(Time::from_secs(1000), INTERVAL);
            let late = on_time + Duration::from_millis(late_millis);
            prop_assert_eq!(place.next_start(late, INTERVAL), on_time + INTERVAL);
        }

        #[test]
        fn any_other_pace_is_taken_literally(hash: u64, start in 0_u64..1 << 50, millis in 1_u64..9999) {
            let (start, pace) = (Time::from_nanos(start), Duration::from_millis(millis));
            prop_assert_eq!(place(hash).next_start(start, pace), start + pace);
        }
    }

    #[test]
    fn targets_are_spread_evenly_over_first_round_and_interval() {
        let spec = Arc::new(CheckSpec { interval: INTERVAL, ..CheckSpec::new(CheckKind::Tcp, 80) });
        let moment =
            Moment { time: Time::from_secs(77), unix: Duration::from_millis(1_700_000_123_456) };
        let places: Vec<Place> = (0..5000_u32)
            .map(|n| {
                let host = TargetHost::Address(Ipv4Addr::from(0x0a00_0000 + n).into());
                let target = Target { host, spec: spec.clone() };
                Place::staggered(&target, Turn::ALONE, moment)
            })
            .collect();
        let mut first = [0; 10];
        let mut later = [0; 10];
        for place in places {
            let delay = place.first_delay(FIRST_ROUND);
            assert!(delay < FIRST_ROUND);
            first[usize::try_from(delay.as_millis() / 100).unwrap()] += 1;
            let next = place.next_start(Time::from_secs(100), INTERVAL).as_nanos();
            later[usize::try_from(next / 1_000_000_000 % 10).unwrap()] += 1;
        }
        for count in first.into_iter().chain(later) {
            assert!((400..=600).contains(&count), "{first:?} {later:?}");
        }
    }

    #[test]
    fn vantages_take_turns_by_the_wall_clock() {
        let host = TargetHost::Address(Ipv4Addr::new(192, 0, 2, 1).into());
        let target = Target { host, spec: Arc::new(CheckSpec::new(CheckKind::Tcp, 80)) };
        // Machines that were started at different times.
        let starts = (0..5_u32).map(|rank| {
            let time = Time::from_secs(1000 + 37 * u64::from(rank));
            let moment = Moment { time, unix: Duration::from_secs(1_700_000_000) };
            let place = Place::staggered(&target, Turn { rank, of: 5 }, moment);
            moment.unix_at(place.next_start(time, INTERVAL)).as_millis() % 10_000
        });
        let mut starts: Vec<u128> = starts.collect();
        starts.sort_unstable();
        for pair in starts.windows(2) {
            assert_eq!(pair[1] - pair[0], 2000, "{starts:?}");
        }
    }
}
