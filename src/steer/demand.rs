//! How much each class of a rule asks for, estimated from the answers that it was given.
//!
//! An authoritative server sees renewals, not users: a resolver asks once a TTL, for one user or for a
//! million (Colajanni, Yu and Cardellini 1998: "hidden load"). Answers a second times the TTL is the
//! number of caches that keep the answer alive, and that is all that can be known here. It is a fair
//! measure between classes whose resolvers are of about one size, and too small for a class behind few
//! large ones that send no client subnet. What all classes make together is known better where pools
//! report their load: [`DemandTable::scaled`] splits that total.
//!
//! Each class's rate is smoothed over a minute, so that a burst is no trend and a flash crowd is seen
//! within one. The counters themselves belong to whoever answers.

use std::time::Duration;

use super::flow::apportion;
use crate::model::Time;

/// A rate follows a lasting change by two thirds in such a time.
const SMOOTHING: Duration = Duration::from_secs(60);
/// A shorter window would be more noise than rate; its answers count in the next.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// What each class of one rule asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DemandTable {
    /// Answers in a thousand seconds, smoothed.
    rates: Vec<u64>,
    /// The counters at the end of the last window, and when that was.
    counted: Vec<u64>,
    at: Option<Time>,
    has_rates: bool,
}

impl DemandTable {
    /// A table of `classes` classes of which nothing is known.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        let zeros = vec![0; classes];
        Self { rates: zeros.clone(), counted: zeros, at: None, has_rates: false }
    }

    /// A table of which an earlier life knew these rates. The first window is believed instead, unless they are
    /// `lasting`: then it is smoothed into them.
    #[must_use]
    pub fn restored(rates: &[u64], lasting: bool) -> Self {
        Self { rates: rates.to_vec(), has_rates: lasting, ..Self::new(rates.len()) }
    }

    /// Takes note of how many answers each class has been given until `now`, since whenever the counters
    /// began. A counter that has gone back began anew.
    pub fn observe(&mut self, now: Time, answers: &[u64]) {
        let window = self.at.map(|at| now.since(at));
        if window.is_some_and(|window| window < WINDOW_MIN) {
            return;
        }
        let answers = answers.iter().copied().chain(std::iter::repeat(0));
        let classes = self.rates.iter_mut().zip(&mut self.counted).zip(answers);
        for ((rate, counted), answers) in classes {
            let new = answers.checked_sub(*counted).unwrap_or(answers);
            *counted = answers;
            let Some(window) = window else { continue };
            let measured = per_1000_secs(new, window);
            *rate = if self.has_rates { smoothed(*rate, measured, window) } else { measured };
        }
        self.has_rates |= window.is_some();
        self.at = Some(now);
    }

    /// What is known of classes that were, by these places, classes of this table: their rates, with
    /// counters that begin where theirs are. Of the others nothing is known.
    #[must_use]
    pub fn carried(&self, places: &[Option<usize>]) -> Self {
        let of = |values: &[u64]| {
            places.iter().map(|place| place.map_or(0, |place| values[place])).collect()
        };
        let (rates, counted) = (of(&self.rates), of(&self.counted));
        Self { rates, counted, at: self.at, has_rates: self.has_rates }
    }

    /// Answers to each class in a thousand seconds, smoothed.
    #[must_use]
    pub fn rates(&self) -> &[u64] {
        &self.rates
    }

    /// How many caches of each class keep an answer of `ttl` alive, in thousandths.
    pub fn caches(&self, ttl: Duration) -> impl Iterator<Item = u64> {
        let secs = ttl.as_secs();
        self.rates.iter().map(move |rate| rate.saturating_mul(secs))
    }

    /// `total`, in whatever unit, split among the classes as they ask. The parts add up to it exactly,
    /// or are all 0 while nobody has asked.
    #[must_use]
    pub fn scaled(&self, total: u64) -> Vec<u64> {
        if self.rates.iter().all(|rate| *rate == 0) {
            return self.rates.clone();
        }
        apportion(&self.rates, total)
    }
}

fn per_1000_secs(count: u64, window: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000 / window.as_millis().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// `rate` after a window in which it was `measured`.
fn smoothed(rate: u64, measured: u64, window: Duration) -> u64 {
    let (new, old) = (window.as_millis(), SMOOTHING.as_millis());
    let mean = (u128::from(rate) * old + u128::from(measured) * new) / (old + new);
    u64::try_from(mean).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: u64 = 10;

    /// A table that was told these counts every ten seconds.
    fn told(counts: &[[u64; 2]]) -> DemandTable {
        let mut table = DemandTable::new(2);
        for (n, counts) in (0..).zip(counts) {
            table.observe(Time::from_secs(1000 + n * TEN), counts);
        }
        table
    }

    #[test]
    fn the_first_window_is_believed_and_later_ones_are_smoothed() {
        let first = told(&[[500, 0], [600, 50]]);
        assert_eq!(first.rates, [10_000, 5000]);
        let second = told(&[[500, 0], [600, 50], [770, 50]]);
        // A seventh of the way: ten seconds beside sixty.
        assert_eq!(second.rates, [11_000, 4285]);
    }

    #[test]
    fn a_lasting_change_is_followed_and_a_burst_is_not() {
        let mut table = told(&[[0, 0], [100, 100]]);
        let (mut count, before) = (100, table.rates.clone());
        for n in 2..20 {
            count += 1000;
            table.observe(Time::from_secs(1000 + n * TEN), &[count, 100 * n]);
        }
        assert!(table.rates[0] > 90_000, "{:?}", table.rates);
        assert_eq!(table.rates[1], before[1]);
    }

    #[test]
    fn caches_are_rate_times_ttl() {
        let table = told(&[[0, 0], [20, 10]]);
        let caches: Vec<u64> = table.caches(Duration::from_secs(30)).collect();
        assert_eq!(caches, [60_000, 30_000]);
    }

    #[test]
    fn counters_that_begin_anew_count_from_zero() {
        let table = told(&[[500, 500], [100, 510]]);
        assert_eq!(table.rates, [10_000, 1000]);
    }

    #[test]
    fn windows_too_short_to_tell_are_left_open() {
        let mut table = told(&[[0, 0], [100, 100]]);
        let before = table.clone();
        table.observe(Time::from_secs(1010) + Duration::from_millis(10), &[200, 100]);
        assert_eq!(table, before);
    }

    #[test]
    fn a_total_is_split_exactly() {
        let table = told(&[[0, 0], [200, 100]]);
        assert_eq!(table.scaled(1000), [667, 333]);
        assert_eq!(told(&[[0, 0], [0, 0]]).scaled(1000), [0, 0]);
        assert_eq!(DemandTable::new(0).scaled(5), Vec::<u64>::new());
    }
}
