//! When a vantage stops trusting itself, and when it does again.
//!
//! A vantage whose network is gone, or whose machine does not get to run, sees dead targets everywhere, and its
//! own failures look like theirs. So once a second it looks at itself:
//!
//! ```text
//! sign                                                            it is
//! less than 60 % of its anchors answered, two rounds in a row     isolated
//! one look came more than 1 s late, or 10 looks 2 s in all        late
//! half of its probes in 10 s, and 5 at least, could not be made   starved
//! its wall clock moved by 1 s against its steady clock            clock step
//! a fifth of its targets, and 3 at least, went down within 30 s,
//!   and for 5 s others have said of most of them that they are up   mass change
//! ```
//!
//! Each holds until 10 s have passed without a sign; a mass change only for as long as it is one, so that a
//! region that really failed is believed as soon as others see it, too. What follows from it stands in
//! [`Tracker`](super::Tracker), for what is counted here, and in `fleet`, for what others make of it.

use std::time::Duration;

use super::vantage::{Impairment, SelfState};
use crate::model::Time;

/// How often a vantage looks at itself.
pub const LOOK: Duration = Duration::from_secs(1);
/// So long without a sign make it trust itself again.
const CLEAN: Duration = Duration::from_secs(10);
/// Of a hundred anchors so many must answer.
const ANCHORS_PERCENT: usize = 60;
/// Rounds of anchors in a row that must be bad.
const ANCHORS_ROUNDS: u32 = 2;
/// One look that comes so late, or all of the last ones together by twice as much.
const LATE: Duration = Duration::from_secs(1);
/// How many looks are looked back at.
const LOOKS: usize = 10;
/// Probes in these that could not be made.
const LOCAL_ERRORS: u64 = 5;
/// By so much a wall clock may move against a steady one.
const STEP: Duration = Duration::from_secs(1);
/// For so long others must contradict.
const CONTRADICTED: Duration = Duration::from_secs(5);
/// How far back a fall is a fall at once with others.
pub const AT_ONCE: Duration = Duration::from_secs(30);
/// Fewer falls are no mass, whatever their share.
const FALLS: usize = 3;

/// What a vantage sees of itself at one look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Signs {
    /// How many anchors answered in the last round, of how many; nobody asks without.
    pub anchors: Option<(usize, usize)>,
    /// Probes that have ended since the start of the process, and those of them that could not be made.
    pub probes: u64,
    /// See `probes`. An address family that a machine does not have is none of these.
    pub local_errors: u64,
    /// What fell at once.
    pub falls: Falls,
}

/// Targets that went down for a vantage of late, and what others say of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Falls {
    /// On how many targets it votes.
    pub votes: usize,
    /// How many of them went down within [`AT_ONCE`].
    pub fallen: usize,
    /// Of how many of those another vantage says that they are up, and none that they are down.
    pub contradicted: usize,
}

impl Falls {
    fn are_contradicted(&self) -> bool {
        let Self { votes, fallen, contradicted } = *self;
        fallen >= FALLS && fallen * 5 >= votes && contradicted * 2 > fallen
    }
}

/// A vantage that watches itself.
#[derive(Clone, Debug, Default)]
pub struct SelfWatch {
    last: Option<Look>,
    bad_rounds: u32,
    /// How late the last looks came, and what each had seen of probes; the oldest is overwritten.
    looks: [Glance; LOOKS],
    next: usize,
    contradicted_since: Option<Time>,
    /// What was seen last, and when.
    sign: Option<(Impairment, Time)>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Time,
    unix: Duration,
    probes: u64,
    local_errors: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Glance {
    late: Duration,
    probes: u64,
    local_errors: u64,
}

impl SelfWatch {
    /// Looks, at `now` by the steady clock and `unix` by that on the wall: whether it may be believed.
    pub fn look(&mut self, now: Time, unix: Duration, signs: &Signs) -> SelfState {
        let sign = self.sign_at(now, unix, signs);
        let Signs { probes, local_errors, .. } = *signs;
        self.last = Some(Look { at: now, unix, probes, local_errors });
        if let Some(sign) = sign {
            self.sign = Some((sign, now));
        }
        self.state(now)
    }

    /// Whether it may be believed, by what was seen last.
    #[must_use]
    pub fn state(&self, now: Time) -> SelfState {
        match self.sign {
            Some((Impairment::MassChange, at)) if at < now => SelfState::Fine,
            Some((sign, at)) if now.since(at) < CLEAN => SelfState::Impaired(sign),
            _ => SelfState::Fine,
        }
    }

    /// The sign of one look; of several the one that explains the others.
    fn sign_at(&mut self, now: Time, unix: Duration, signs: &Signs) -> Option<Impairment> {
        let is_late = self.is_late(now, signs);
        let is_stepped = self.last.is_some_and(|last| {
            let (steady, wall) = (now.since(last.at), unix.checked_sub(last.unix));
            wall.is_none_or(|wall| wall.abs_diff(steady) > STEP)
        });
        let is_isolated = self.is_isolated(signs);
        let is_starved = self.is_starved();
        let is_contradicted = self.is_contradicted(now, signs.falls);
        [
            (is_stepped, Impairment::ClockStep),
            (is_late, Impairment::Late),
            (is_starved, Impairment::Starved),
            (is_isolated, Impairment::Isolated),
            (is_contradicted, Impairment::MassChange),
        ]
        .into_iter()
        .find_map(|(is_so, sign)| is_so.then_some(sign))
    }

    fn is_late(&mut self, now: Time, signs: &Signs) -> bool {
        let Some(last) = self.last else { return false };
        let late = now.since(last.at).saturating_sub(LOOK);
        self.looks[self.next] = Glance {
            late,
            probes: signs.probes.saturating_sub(last.probes),
            local_errors: signs.local_errors.saturating_sub(last.local_errors),
        };
        self.next = (self.next + 1) % LOOKS;
        late > LATE || self.looks.iter().map(|look| look.late).sum::<Duration>() > LATE * 2
    }

    fn is_starved(&self) -> bool {
        let sum = |count: fn(&Glance) -> u64| self.looks.iter().map(count).sum::<u64>();
        let (probes, errors) = (sum(|look| look.probes), sum(|look| look.local_errors));
        errors >= LOCAL_ERRORS && errors * 2 >= probes
    }

    fn is_isolated(&mut self, signs: &Signs) -> bool {
        let is_bad =
            signs.anchors.is_some_and(|(answered, asked)| answered * 100 < asked * ANCHORS_PERCENT);
        self.bad_rounds = if is_bad { self.bad_rounds.saturating_add(1) } else { 0 };
        self.bad_rounds >= ANCHORS_ROUNDS
    }

    fn is_contradicted(&mut self, now: Time, falls: Falls) -> bool {
        if !falls.are_contradicted() {
            self.contradicted_since = None;
            return false;
        }
        let since = *self.contradicted_since.get_or_insert(now);
        now.since(since) >= CONTRADICTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: Duration = Duration::from_secs(1_800_000_000);

    /// What comes of looks, a second apart unless `late`; one word each: `-` for fine.
    fn played(signs: impl IntoIterator<Item = (Signs, Duration, Duration)>) -> Vec<&'static str> {
        let mut watch = SelfWatch::default();
        let (mut now, mut unix) = (Time::from_secs(50), UNIX);
        let word = |state| match state {
            SelfState::Fine => "-",
            SelfState::Impaired(why) => why.word(),
        };
        let look = |(signs, late, step): (Signs, Duration, Duration)| {
            now = now + LOOK + late;
            unix += LOOK + late + step;
            word(watch.look(now, unix, &signs))
        };
        signs.into_iter().map(look).collect()
    }

    fn count(words: &[&str], word: &str) -> usize {
        words.iter().filter(|one| **one == word).count()
    }

    const NONE: (Signs, Duration, Duration) = (QUIET, Duration::ZERO, Duration::ZERO);
    const QUIET: Signs = Signs {
        anchors: None,
        probes: 0,
        local_errors: 0,
        falls: Falls { votes: 0, fallen: 0, contradicted: 0 },
    };

    #[test]
    fn nothing_seen_is_nothing_wrong() {
        assert!(played([NONE; 30]).iter().all(|word| *word == "-"));
    }

    #[test]
    fn anchors_that_do_not_answer_twice_isolate_until_ten_seconds_after() {
        let round = |answered| (Signs { anchors: Some((answered, 3)), ..QUIET }, NONE.1, NONE.2);
        assert!(
            played([round(3), round(1), round(2), round(1), round(3)]).iter().all(|w| *w == "-")
        );
        let words = played([3, 1, 0, 0].map(round).into_iter().chain([round(2); 12]));
        assert_eq!(words[..4], ["-", "-", "isolated", "isolated"]);
        assert_eq!(words[4..13], ["isolated"; 9]);
        assert_eq!(words[13..], ["-"; 3]);
    }

    #[test]
    fn a_machine_that_stood_still_or_limps_is_late() {
        let late = |millis| (QUIET, Duration::from_millis(millis), NONE.2);
        assert_eq!(played([NONE, NONE, late(1500), NONE])[2..], ["late", "late"]);
        // The first look has nothing to be late against.
        assert_eq!(played([late(5000), NONE]), ["-", "-"]);
        // A tenth of a second each is what a busy machine does; a quarter is not.
        assert_eq!(count(&played([late(150); 60]), "late"), 0);
        assert_eq!(
            played([late(250); 12])[..10],
            ["-", "-", "-", "-", "-", "-", "-", "-", "-", "late"]
        );
    }

    #[test]
    fn a_clock_that_is_set_is_a_step_whichever_way() {
        let ahead = (QUIET, NONE.1, Duration::from_secs(3));
        assert_eq!(played([NONE, NONE, ahead, NONE])[1..], ["-", "clock-step", "clock-step"]);
        let mut watch = SelfWatch::default();
        watch.look(Time::from_secs(1), UNIX, &QUIET);
        let back = watch.look(Time::from_secs(2), UNIX - Duration::from_secs(9), &QUIET);
        assert_eq!(back, SelfState::Impaired(Impairment::ClockStep));
    }

    #[test]
    fn probes_that_cannot_be_made_starve_it_if_they_are_many() {
        let of = |probes, local_errors| (Signs { probes, local_errors, ..QUIET }, NONE.1, NONE.2);
        assert_eq!(played([of(100, 40), of(200, 80)]), ["-", "-"], "an address family is missing");
        assert_eq!(played([of(100, 0), of(104, 4)]), ["-", "-"], "few");
        assert_eq!(played([of(100, 0), of(110, 8)]), ["-", "starved"]);
    }

    #[test]
    fn a_mass_that_others_see_alive_is_its_own_fault_until_they_see_it_too() {
        let of = |fallen, contradicted| {
            let falls = Falls { votes: 20, fallen, contradicted };
            (Signs { falls, ..QUIET }, NONE.1, NONE.2)
        };
        assert_eq!(count(&played([of(2, 2); 20]), "mass-change"), 0, "few");
        assert_eq!(count(&played([of(3, 3); 20]), "mass-change"), 0, "less than a fifth");
        assert_eq!(count(&played([of(8, 4); 20]), "mass-change"), 0, "half is confirmed");
        let words = played([of(8, 8); 8].into_iter().chain([of(8, 2); 2]));
        assert_eq!(words[..5], ["-"; 5]);
        assert_eq!(words[5..], ["mass-change", "mass-change", "mass-change", "-", "-"]);
    }
}
