//! A timer wheel: what is due, by ticks of 10 ms.
//!
//! A slot holds what is due at its tick, and at the same tick of later turns of the wheel. Adding and taking
//! cost the same whether ten or a million things wait.

use crate::model::Time;

/// What is due within one tick, 10 ms, is due together.
const TICK_NANOS: u64 = 10_000_000;
/// One turn: 41 s.
const SLOTS: u64 = 4096;

/// Things of kind `T` that are due at some time.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// The first tick that is not taken yet.
    at: u64,
    len: usize,
}

impl<T> Wheel<T> {
    /// An empty wheel that begins at `now`.
    pub(super) fn new(now: Time) -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { slots, at: now.as_nanos() / TICK_NANOS, len: 0 }
    }

    /// Adds what is due at `due`, or at once if that is over. Never taken before.
    pub(super) fn add(&mut self, due: Time, what: T) {
        let tick = due.as_nanos().div_ceil(TICK_NANOS).max(self.at);
        self.slots[slot(tick)].push((tick, what));
        self.len += 1;
    }

    /// Takes all that is due by `now`.
    pub(super) fn take(&mut self, now: Time, mut take: impl FnMut(T)) {
        let last = now.as_nanos() / TICK_NANOS;
        // After a long sleep each slot is looked at once.
        for tick in self.at..=last.min(self.at + SLOTS - 1) {
            let slot = &mut self.slots[slot(tick)];
            for (_, what) in slot.extract_if(.., |(tick, _)| *tick <= last) {
                self.len -= 1;
                take(what);
            }
        }
        self.at = self.at.max(last + 1);
    }

    /// When to look next: no later than the first thing is due.
    pub(super) fn next(&self) -> Option<Time> {
        if self.len == 0 {
            return None;
        }
        let is_due = |tick: &u64| self.slots[slot(*tick)].iter().any(|(due, _)| due == tick);
        let tick = (self.at..self.at + SLOTS).find(is_due).unwrap_or(self.at + SLOTS);
        Some(Time::from_nanos(tick.saturating_mul(TICK_NANOS)))
    }
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS).expect("less than SLOTS")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everything_is_taken_once_at_its_tick(
            dues in prop::collection::vec(0_u64..200_000, 1..60),
            steps in prop::collection::vec(1_u64..60_000, 1..60),
        ) {
            let mut wheel = Wheel::new(Time::from_millis(1000));
            dues.iter().for_each(|due| wheel.add(Time::from_millis(*due), *due));
            let mut now = 1000;
            let mut taken = Vec::new();
            for step in steps.into_iter().chain([400_000]) {
                let next = wheel.next();
                let (before, from) = (now, taken.len());
                now += step;
                wheel.take(Time::from_millis(now), |due| taken.push(due));
                for due in &taken[from..] {
                    prop_assert!(*due <= now, "never early");
                    prop_assert!((*due).max(1000) + 10 > before, "{due} was due before {before}");
                    prop_assert!(next.unwrap() <= Time::from_millis((*due).max(before) + 10));
                }
            }
            prop_assert_eq!(wheel.next(), None);
            let mut all = dues;
            all.sort_unstable();
            taken.sort_unstable();
            prop_assert_eq!(taken, all);
        }
    }
}
