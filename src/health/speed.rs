//! How long a target takes to answer, beside how long it usually does.
//!
//! ```text
//! quick  slower than the limit   `fall` in a row      slow
//! slow   below 2/3 of the limit  `rise` in a row      quick
//! ```
//!
//! The limit is `factor` times what is usual, but never below the floor, so that what takes four
//! milliseconds instead of one is nobody's matter. What is usual is an average that follows quick
//! answers within some 16 probes and slow ones within a thousand: a target is slow while that is news,
//! and what lasts for hours becomes usual.

use std::time::Duration;

use crate::model::check::Slow;

/// Before so many answers nothing is usual.
const LEARNED: u16 = 8;
/// An answer moves the average by the 16th part of the difference ...
const FOLLOW: u16 = 16;
/// ... and by so little while the target is slow.
const FOLLOW_SLOWLY: u16 = 1024;

/// The pace of one target's answers.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Speed {
    usual_secs: f32,
    /// Answers that the average is of, up to [`FOLLOW`].
    answers: u16,
    is_slow: bool,
    /// Answers in a row that speak against `is_slow`.
    against: u32,
}

impl Speed {
    /// What is usual is known from an earlier life; so is whether it was slow.
    pub(super) fn resumed(usual: Option<Duration>, is_slow: bool) -> Self {
        let answers = if usual.is_some() { FOLLOW } else { 0 };
        let usual_secs = usual.unwrap_or_default().as_secs_f32();
        Self { usual_secs, answers, is_slow, against: 0 }
    }

    pub(super) const fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Answers in a row that speak against what is held of it.
    pub(super) const fn against(&self) -> u32 {
        self.against
    }

    /// How long answers usually take, once that is known.
    pub(super) fn usual(&self) -> Option<Duration> {
        let usual = Duration::try_from_secs_f32(self.usual_secs).ok()?;
        (self.answers >= LEARNED).then_some(usual)
    }

    /// Takes in how long an answer took; whether it moved [`is_slow`](Self::is_slow). So many answers
    /// in a row do: `fall` to slow, `rise` back.
    pub(super) fn observe(&mut self, took: Duration, slow: Slow, fall: u32, rise: u32) -> bool {
        let took = took.as_secs_f32();
        let Some(limit) = self.limit(slow) else {
            self.learn(took, FOLLOW);
            return false;
        };
        let speaks_against = if self.is_slow { took < limit * 2.0 / 3.0 } else { took > limit };
        if self.is_slow {
            self.learn(took, FOLLOW_SLOWLY);
        } else if !speaks_against {
            self.learn(took, FOLLOW);
        }
        self.against = if speaks_against { self.against + 1 } else { 0 };
        let needed = if self.is_slow { rise } else { fall };
        if self.against < needed {
            return false;
        }
        self.is_slow = !self.is_slow;
        self.against = 0;
        true
    }

    /// Takes in how long an answer took where nothing is slow.
    pub(super) fn follow(&mut self, took: Duration) {
        self.learn(took.as_secs_f32(), FOLLOW);
    }

    /// In seconds; none before something is usual, unless that does not matter.
    fn limit(&self, slow: Slow) -> Option<f32> {
        let floor = slow.floor.as_secs_f32();
        match slow.factor {
            0 => Some(floor),
            factor if self.answers >= LEARNED => {
                Some((f32::from(factor) * self.usual_secs).max(floor))
            }
            _ => None,
        }
    }

    fn learn(&mut self, took: f32, follow: u16) {
        self.answers = (self.answers + 1).min(FOLLOW);
        // Of the first answers the average is their mean.
        let part = f32::from(if self.answers < FOLLOW { self.answers } else { follow });
        self.usual_secs += (took - self.usual_secs) / part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Slow = Slow { factor: 3, floor: Duration::from_millis(250) };

    /// Takes in `count` answers of `millis`; at which of them it moved.
    fn observe(speed: &mut Speed, millis: u64, count: usize) -> Option<usize> {
        let took = Duration::from_millis(millis);
        (1..=count).find(|_| speed.observe(took, SLOW, 3, 2))
    }

    /// A target that usually takes so many milliseconds.
    fn usual(millis: u64) -> Speed {
        let mut speed = Speed::default();
        assert_eq!(observe(&mut speed, millis, 30), None);
        speed
    }

    #[test]
    fn three_slow_answers_in_a_row_are_slow_and_two_quick_ones_the_end_of_it() {
        let mut speed = usual(100);
        assert_eq!(observe(&mut speed, 350, 2), None);
        assert_eq!(observe(&mut speed, 100, 1), None, "not in a row");
        assert_eq!(observe(&mut speed, 350, 3), Some(3));
        assert!(speed.is_slow());
        assert_eq!(observe(&mut speed, 250, 50), None, "not slow enough to begin, too slow to end");
        assert_eq!(observe(&mut speed, 150, 5), Some(2));
        assert!(!speed.is_slow());
    }

    #[test]
    fn below_the_floor_nothing_is_slow() {
        let mut speed = usual(1);
        assert_eq!(observe(&mut speed, 240, 100), None);
        assert_eq!(observe(&mut usual(1), 260, 100), Some(3), "above it the usual counts");
    }

    #[test]
    fn nothing_is_slow_before_something_is_usual() {
        assert_eq!(observe(&mut Speed::default(), 1900, 100), None);
        let absolute = Slow { factor: 0, ..SLOW };
        let mut speed = Speed::default();
        let moved = |_: &usize| speed.observe(Duration::from_millis(300), absolute, 3, 2);
        assert_eq!((1..9).find(moved), Some(3), "unless the floor alone counts");
    }

    #[test]
    fn what_lasts_becomes_usual() {
        let mut speed = usual(100);
        assert_eq!(observe(&mut speed, 600, 3), Some(3));
        let probes = observe(&mut speed, 600, 5000).expect("it ends");
        assert!((200..1000).contains(&probes), "{probes} probes");
    }

    #[test]
    fn what_was_usual_is_usual_after_a_restart() {
        let mut speed = Speed::resumed(usual(100).usual(), false);
        assert_eq!(observe(&mut speed, 350, 3), Some(3));
        let speed = Speed::resumed(speed.usual(), speed.is_slow());
        assert!(speed.is_slow());
    }
}
