//! What a schedule does, in numbers that others may look at while they move.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bounds of the histogram of lags, in milliseconds.
pub const LAG_MILLIS: [u64; 10] = [10, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000];

/// What a schedule does.
#[derive(Debug, Default)]
pub struct Figures {
    room: u64,
    targets: AtomicU64,
    /// In thousandths of a probe a second.
    ordinary: AtomicU64,
    reserve: AtomicU64,
    in_flight: AtomicU64,
    waiting: AtomicU64,
    started: AtomicU64,
    dropped: AtomicU64,
    /// Starts by how late they were: one count a bound, and those beyond.
    lags: [AtomicU64; LAG_MILLIS.len() + 1],
}

/// The same at one moment.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Reading {
    /// Targets that are probed.
    pub targets: u64,
    /// Ordinary probes a second that they ask for.
    pub ordinary: f64,
    /// Probes a second that may come on top.
    pub reserve: f64,
    /// Probes that may be under way.
    pub room: u64,
    /// Probes under way.
    pub in_flight: u64,
    /// Probes that are due, and wait for room.
    pub waiting: u64,
    /// Probes started.
    pub started: u64,
    /// Extra probes that were left to the ordinary ones.
    pub dropped: u64,
    /// Starts by how late they were: within each of [`LAG_MILLIS`], and those beyond.
    pub lags: [u64; LAG_MILLIS.len() + 1],
}

impl Figures {
    /// Of a schedule that may have so many probes under way.
    pub(super) fn with_room(room: usize) -> Self {
        Self { room: room as u64, ..Self::default() }
    }

    pub(super) fn plan(&self, targets: usize, ordinary: f64, reserve: f64) {
        self.targets.store(targets as u64, Ordering::Relaxed);
        for (cell, rate) in [(&self.ordinary, ordinary), (&self.reserve, reserve)] {
            cell.store(thousandths(rate), Ordering::Relaxed);
        }
    }

    pub(super) fn set_load(&self, in_flight: usize, waiting: usize) {
        self.in_flight.store(in_flight as u64, Ordering::Relaxed);
        self.waiting.store(waiting as u64, Ordering::Relaxed);
    }

    /// A probe starts, so much later than it was due.
    pub(super) fn start(&self, lag: Duration) {
        self.started.fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        let bound = LAG_MILLIS.partition_point(|bound| *bound <= millis);
        self.lags[bound].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them, now.
    #[must_use]
    pub fn read(&self) -> Reading {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Reading {
            targets: read(&self.targets),
            ordinary: rate(read(&self.ordinary)),
            reserve: rate(read(&self.reserve)),
            room: self.room,
            in_flight: read(&self.in_flight),
            waiting: read(&self.waiting),
            started: read(&self.started),
            dropped: read(&self.dropped),
            lags: std::array::from_fn(|n| read(&self.lags[n])),
        }
    }
}

impl Reading {
    /// The bound within which such a share of the starts since `before` were, in milliseconds; none when they
    /// were beyond the last, or none were made.
    #[must_use]
    pub fn lag_since(&self, before: &Self, share: f64) -> Option<u64> {
        let counts = self.lags.iter().zip(&before.lags).map(|(now, then)| now - then);
        let needed = share * counts.clone().sum::<u64>() as f64;
        let mut seen = 0;
        for (count, bound) in counts.zip(LAG_MILLIS) {
            seen += count;
            if seen > 0 && seen as f64 >= needed {
                return Some(bound);
            }
        }
        None
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are small and not negative"
)]
fn thousandths(rate: f64) -> u64 {
    (rate * 1000.0) as u64
}

fn rate(thousandths: u64) -> f64 {
    thousandths as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_told_by_the_bound_that_holds_enough_of_them() {
        let figures = Figures::default();
        for millis in [0, 3, 9, 12, 700] {
            figures.start(Duration::from_millis(millis));
        }
        let (none, now) = (Reading::default(), figures.read());
        assert_eq!(now.started, 5);
        assert_eq!(now.lag_since(&none, 0.5), Some(10));
        assert_eq!(now.lag_since(&none, 0.8), Some(20));
        assert_eq!(now.lag_since(&none, 0.99), Some(1000));
        assert_eq!(now.lag_since(&now, 0.99), None, "no start, no lag");
    }
}
