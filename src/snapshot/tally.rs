//! How many answers each class of a rule has been given.
//!
//! Only rules whose pools have a capacity are counted. Whoever answers takes a [seat](SEATS) and adds to
//! memory that others seldom write; whoever estimates demand takes all of it out. The counters belong to
//! the rule and not to a snapshot, so that they go on counting under every change of health and under
//! reloads that leave the rule as it is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Who may count without getting into another's way: a thread of UDP each, and the first for all others.
pub const SEATS: usize = 8;

/// Classes that are counted side by side.
const LINE: usize = 16;

/// The answers to one rule.
#[derive(Debug)]
pub(crate) struct Tally {
    /// By sixteen classes, then by seat.
    lines: Box<[[Line; SEATS]]>,
}

/// Counters of one seat, in cache lines that no other seat has a part of.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

impl Tally {
    /// Counters for so many classes.
    pub(crate) fn new(classes: usize) -> Self {
        let lines = 0..classes.div_ceil(LINE);
        Self { lines: lines.map(|_| Default::default()).collect() }
    }

    /// Counts an answer to a class.
    pub(crate) fn count(&self, seat: usize, class: usize) {
        if let Some(line) = self.lines.get(class / LINE) {
            line[seat % SEATS].0[class % LINE].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes out what was counted since the last call, and adds it to `classes`.
    pub(crate) fn take(&self, classes: &mut [u64]) {
        for (classes, line) in classes.chunks_mut(LINE).zip(&self.lines) {
            for counters in line {
                for (class, counter) in classes.iter_mut().zip(&counters.0) {
                    // Most are zero, and writing would take the line from whoever counts in it.
                    if counter.load(Ordering::Relaxed) > 0 {
                        *class += counter.swap(0, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_seats_have_counted_is_taken_out_once() {
        let tally = Tally::new(20);
        for seat in 0..2 * SEATS {
            tally.count(seat, 0);
            tally.count(seat, 19);
        }
        tally.count(0, 1000);
        let mut classes = [1; 20];
        tally.take(&mut classes);
        assert_eq!((classes[0], classes[1], classes[19]), (17, 1, 17));
        tally.take(&mut classes);
        assert_eq!(classes[0], 17);
    }

    #[test]
    fn seats_share_no_cache_line() {
        assert_eq!(size_of::<Line>() % 128, 0);
    }
}
