//! Flap damping: what comes and goes is not trusted when it comes back.
//!
//! Each fall of a target costs it a penalty that halves every five minutes (RFC 2439). Who has gathered
//! too much of it is held back at the next rise until little is left. Only the way up is ever delayed.
//! The limits are those that RFC 7196 learned from routers: lower ones punish who fell twice.
//!
//! ```text
//! 16000 ┤ never more: at most 20 min from the last fall
//!  3500 ┤ ─ ─ held from here: four falls in quick succession
//!  1000 ┤ ─ ─ released here    (from 4000: after 10 min)
//! ```

use std::time::Duration;

use crate::model::Time;

/// What one fall costs.
const PENALTY: f64 = 1000.0;
/// A penalty that holds a target back.
const HOLD: f64 = 3500.0;
/// A penalty that is forgiven.
const RELEASE: f64 = 1000.0;
/// No penalty is larger, so that nobody is held for longer than 20 minutes after its last fall.
const PENALTY_MAX: f64 = 16_000.0;
const HALF_LIFE: Duration = Duration::from_secs(5 * 60);

/// The penalty of one target.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Damping {
    /// As it was at `at`.
    penalty: f64,
    at: Time,
    is_held: bool,
}

impl Damping {
    /// The target fell.
    pub(super) fn fall(&mut self, at: Time) {
        self.penalty = (self.penalty_at(at) + PENALTY).min(PENALTY_MAX);
        self.at = at;
        // Whoever was released by now, and nobody asked, starts anew.
        self.is_held = self.penalty >= HOLD || (self.is_held && self.penalty > PENALTY + RELEASE);
    }

    /// Until when the target is not to rise, if that is not over at `at`.
    pub(super) fn held_until(&self, at: Time) -> Option<Time> {
        let until = self.at + HALF_LIFE.mul_f64((self.penalty / RELEASE).log2().max(0.0));
        (self.is_held && at < until).then_some(until)
    }

    fn penalty_at(&self, at: Time) -> f64 {
        self.penalty * (-at.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Falls at these seconds.
    fn after(falls: &[u64]) -> Damping {
        let mut damping = Damping::default();
        falls.iter().for_each(|secs| damping.fall(Time::from_secs(*secs)));
        damping
    }

    #[test]
    fn three_falls_are_forgiven_and_a_fourth_is_not() {
        let now = Time::from_secs(40);
        assert_eq!(after(&[10, 20, 30]).held_until(now), None);
        let until = after(&[10, 20, 30, 40]).held_until(now).unwrap();
        let minutes = until.since(now).as_secs_f64() / 60.0;
        assert!((9.0..10.0).contains(&minutes), "{minutes} min");
        assert_eq!(after(&[10, 20, 30, 40]).held_until(until), None, "then it is over");
    }

    #[test]
    fn falls_far_apart_are_no_flapping() {
        let falls: Vec<u64> = (0..100).map(|n| n * 600).collect();
        assert_eq!(after(&falls).held_until(Time::from_secs(99 * 600)), None);
    }

    #[test]
    fn nobody_is_held_for_longer_than_twenty_minutes() {
        let falls: Vec<u64> = (0..1000).collect();
        let until = after(&falls).held_until(Time::from_secs(999)).unwrap();
        assert_eq!(until.since(Time::from_secs(999)), Duration::from_secs(20 * 60));
    }

    #[test]
    fn after_its_release_a_target_is_not_held_for_one_more_fall() {
        let held = after(&[10, 20, 30, 40]);
        let until = held.held_until(Time::from_secs(40)).unwrap();
        let mut damping = held;
        damping.fall(until + Duration::from_secs(30));
        assert_eq!(damping.held_until(until + Duration::from_secs(40)), None);
    }
}
