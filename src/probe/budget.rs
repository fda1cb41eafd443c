//! How many probes may start: constant work, with a reserve.
//!
//! The ordinary probe of each target is always made: its number is known beforehand. What comes on top when
//! things go wrong, to confirm failures and to watch for recoveries, lives on a reserve of a quarter of
//! that. So an outage of everything costs no more than a quarter above a quiet day, when it hurts most.
//! What finds the reserve empty is not lost: it waits for the target's ordinary probe.

use crate::model::Time;

/// Small installations need not be thrifty: their reserve is no less, in probes a second.
const RESERVE_MIN: f64 = 100.0;
/// What of the ordinary probes the reserve is.
const RESERVE: f64 = 0.25;

/// A bucket of extra probes that fills at the rate of the reserve, up to a second's worth.
#[derive(Debug)]
pub(super) struct Budget {
    /// Of all probes, in probes a second, as it was written.
    written: Option<u32>,
    ordinary: f64,
    left: f64,
    at: Time,
}

impl Budget {
    /// A full reserve for no targets.
    pub(super) fn new(written: Option<u32>, now: Time) -> Self {
        let mut budget = Self { written, ordinary: 0.0, left: 0.0, at: now };
        budget.left = budget.reserve();
        budget
    }

    /// So many ordinary probes a second come from the targets that there are now.
    pub(super) fn set_ordinary(&mut self, ordinary: f64) {
        self.ordinary = ordinary;
    }

    pub(super) const fn ordinary(&self) -> f64 {
        self.ordinary
    }

    /// Probes a second on top of the ordinary ones; none if those are all that was written.
    pub(super) fn reserve(&self) -> f64 {
        match self.written {
            Some(all) => (f64::from(all) - self.ordinary).max(0.0),
            None => (self.ordinary * RESERVE).max(RESERVE_MIN),
        }
    }

    /// Takes one extra probe out, if there is one.
    pub(super) fn spend(&mut self, now: Time) -> bool {
        let reserve = self.reserve();
        let gained = reserve * now.since(self.at).as_secs_f64();
        self.left = (self.left + gained).min(reserve);
        self.at = now;
        let is_enough = self.left >= 1.0;
        if is_enough {
            self.left -= 1.0;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand extra probes a second are made in ten seconds.
    fn made(written: Option<u32>, ordinary: f64) -> usize {
        let mut budget = Budget::new(written, Time::ZERO);
        budget.set_ordinary(ordinary);
        (1..=10_000).filter(|millis| budget.spend(Time::from_millis(*millis))).count()
    }

    #[test]
    fn extra_probes_are_a_quarter_of_the_ordinary_ones() {
        assert!((1090..=1110).contains(&made(None, 40.0)), "100 a second, and 100 to begin with");
        assert!((5000..=5110).contains(&made(None, 2000.0)));
    }

    #[test]
    fn a_written_budget_leaves_to_extra_probes_what_it_leaves() {
        assert!((2000..=2210).contains(&made(Some(2200), 2000.0)));
        assert!(made(Some(1000), 2000.0) <= 1000, "what was saved before, and nothing after");
        assert_eq!(made(Some(0), 0.0), 0);
    }
}
