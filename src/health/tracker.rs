//! One target seen from one vantage.
//!
//! A [`Tracker`] turns single results into a steady opinion, and says at which pace it wants the
//! next ones. It never reads a clock and knows nothing of other vantages.
//!
//! ```text
//!  state  result        next   why and what follows
//!  Init   success       Up     the first result decides, so that nothing is unknown for long
//!  Init   failure       Down   for now: others follow after the confirm gap
//!  first  success       Up     what was down by first failures alone, fewer than `fall` of them
//!  Up     failure       Up     remembered; the next probe comes after the confirm gap
//!  Up     failure       Down   `fall` of them are remembered, or 12 of the last 20 results failed
//!  Up     success       Up     2 in a row end the confirm gaps, `fall` in a row forget the failures
//!  Down   success       Down   counted
//!  Down   success       Up     `rise` in a row, unless it is held back for flapping
//!  Down   failure       Down   the count of successes starts again
//!  any    local error   same   says nothing about the target; nothing is counted, nothing forgotten
//! ```
//!
//! Failures need not stand in a row: a success only forgets them once `fall` successes did, as in
//! gdnsd's `mon.c`. So with `fall = 3` a target that fails one probe in three goes down, and one that
//! fails now and then does not. The slow path (12 of 20) catches what a `fall` of 7 or more would
//! let pass: long bad spells between long good ones.
//!
//! A target that is up is `degraded` instead of `up` while its answers are [slow](super::speed), or something
//! else is wrong with them: `fall` in a row make it so, `rise` without end it. Such answers are successes: they
//! never take a target down. A target that fell again and again is
//! [held back](super::damping) at its next rise: it stays down although it answers.
//!
//! | state | pace: from the start of one probe to the start of the next |
//! |---|---|
//! | Init, Up | `interval` |
//! | Up, in doubt | the confirm gap: half of `interval`, at most 500 ms |
//! | Down, by less than `fall` first results | the confirm gap |
//! | Down | half of `interval`, but not below 1 s unless `interval` is |
//!
//! A target that does not answer would be found `fall` timeouts later. So a probe of one that is up and takes
//! three times as long as usual, and at least 250 ms, is not waited for: others begin [beside](Beside) it, the
//! confirm gap apart, as many as failures are still needed. All keep their whole timeout, and each result counts
//! for itself.

use std::fmt;
use std::time::Duration;

use super::damping::Damping;
use super::speed::Speed;
use crate::model::check::Slow;
use crate::model::health::{Beside, Flaw, Pace, ProbeOutcome};
use crate::model::{CheckKind, CheckSpec, FailureReason, Time, Verdict};

/// The longest gap between the probes that confirm a first failure.
const CONFIRM_GAP_MAX: Duration = Duration::from_millis(500);
/// Successes in a row that end a confirm burst.
const CONFIRM_SUCCESSES: u32 = 2;
/// A probe is not waited for alone when it takes so many times the usual time ...
const LATE_FACTOR: u32 = 3;
/// ... and no less than this.
const LATE_MIN: Duration = Duration::from_millis(250);
/// Probes of one target that may be under way at once.
const BESIDE_MAX: u32 = 3;
/// Half an interval is not worth less than this while a target is down.
const RECOVERY_GAP_MIN: Duration = Duration::from_secs(1);
/// How many results the slow path looks at.
const WINDOW: u32 = 20;
/// How many of them must have failed. A larger `fall` raises it: no target goes down on fewer
/// failures than its check asks for.
const WINDOW_FAILURES: u32 = 12;

/// One target seen from one vantage.
#[derive(Clone, Debug)]
pub struct Tracker {
    rise: u32,
    fall: u32,
    interval: Duration,
    /// Whether several probes may be under way at once.
    is_repeatable: bool,
    slow: Option<Slow>,
    /// None when nobody is held back.
    damping: Option<Damping>,
    state: State,
    window: Window,
    speed: Speed,
    flaws: Flaws,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No result yet.
    Init,
    /// Up, with the failures that are not forgotten yet.
    Up {
        failures: u32,
        /// In a row, since the last failure.
        successes: u32,
        /// Since the first of `failures`, and with it.
        probes: u32,
    },
    /// Down.
    Down {
        /// In a row, since the last failure.
        successes: u32,
        /// Failures that are wanting until the first result is confirmed; none if it is, or was another.
        wanting: u32,
    },
}

impl State {
    const UP: Self = Self::Up { failures: 0, successes: 0, probes: 0 };
    const DOWN: Self = Self::Down { successes: 0, wanting: 0 };
}

/// A tracker that changed its mind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// What it held before.
    pub from: Verdict,
    /// What it holds now.
    pub to: Verdict,
    /// What made it change.
    pub cause: Cause,
}

/// Why a tracker changed its mind. Prints as a fragment for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The first result was a success.
    FirstSuccess,
    /// The first result was this failure.
    FirstFailure(FailureReason),
    /// `fall` failures were remembered.
    Failures {
        /// How many.
        count: u32,
        /// Among how many results; the same as `count` when they stand in a row.
        probes: u32,
        /// The last of them.
        last: FailureReason,
    },
    /// Too many of the latest results failed.
    Window {
        /// How many.
        failures: u32,
        /// The last of them.
        last: FailureReason,
    },
    /// So many successes in a row.
    Successes(u32),
    /// So many slow answers in a row.
    Slow {
        /// How many.
        count: u32,
        /// How long the last of them took.
        last: Duration,
        /// How long it usually takes, if that is known.
        usual: Option<Duration>,
    },
    /// So many answers in a row that were not slow any more.
    Quick {
        /// How many.
        count: u32,
        /// How long the last of them took.
        last: Duration,
    },
    /// So many answers in a row with which something was wrong.
    Flawed {
        /// How many.
        count: u32,
        /// What was wrong with the last of them.
        last: Flaw,
    },
    /// So many answers in a row with which nothing was wrong any more.
    Flawless(u32),
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(spec: &CheckSpec) -> Self {
        Self {
            rise: u32::from(spec.rise.get()),
            fall: u32::from(spec.fall.get()),
            interval: spec.interval,
            // A program may well hold what the next run of it waits for, and silence may be what is wanted.
            is_repeatable: !matches!(spec.kind, CheckKind::Exec(_)) && !spec.invert,
            slow: spec.slow,
            damping: spec.damping.then(Damping::default),
            state: State::Init,
            window: Window::default(),
            speed: Speed::default(),
            flaws: Flaws::default(),
        }
    }

    /// A tracker that goes on from a verdict remembered from an earlier life, as if its last
    /// results had all confirmed it, and from what was its usual time to answer. That nothing was known
    /// is as good as nothing. One that was degraded is so by all that could have made it so, until answers
    /// say otherwise.
    #[must_use]
    pub fn resumed(spec: &CheckSpec, verdict: Verdict, usual: Option<Duration>) -> Self {
        let (state, is_slow) = match verdict {
            Verdict::Up => (State::UP, false),
            Verdict::Degraded => (State::UP, spec.slow.is_some()),
            Verdict::Down => (State::DOWN, false),
            Verdict::Unknown => (State::Init, false),
        };
        let has_margin = spec.tls.as_ref().is_some_and(|terms| terms.margin.is_some());
        let is_held = verdict == Verdict::Degraded && has_margin;
        let flaws = Flaws { is_held, ..Flaws::default() };
        Self { state, speed: Speed::resumed(usual, is_slow), flaws, ..Self::new(spec) }
    }

    /// Takes in a result that came at `at`; the change that it brings, if it does.
    pub fn observe(&mut self, outcome: ProbeOutcome, at: Time) -> Option<Change> {
        let from = self.verdict();
        let cause = match outcome {
            ProbeOutcome::Success(took) => self.answer(took, None, at),
            ProbeOutcome::Flawed(took, flaw) => self.answer(took, Some(flaw), at),
            ProbeOutcome::Failure(reason) => self.fail(reason, at),
            ProbeOutcome::LocalError(_) => None,
        }?;
        let to = self.verdict();
        Some(Change { from, to, cause }).filter(|_| from != to)
    }

    /// Takes in a result of a vantage that does not trust itself: what speaks against the target does not
    /// count, and neither does how long it took.
    pub fn observe_impaired(&mut self, outcome: ProbeOutcome, at: Time) -> Option<Change> {
        let from = self.verdict();
        let (ProbeOutcome::Success(_) | ProbeOutcome::Flawed(..)) = outcome else { return None };
        let cause = self.succeed(at)?;
        Some(Change { from, to: self.verdict(), cause })
    }

    /// Takes in an answer as it should be, or nearly so.
    fn answer(&mut self, took: Duration, flaw: Option<Flaw>, at: Time) -> Option<Cause> {
        let pace = self.note_pace(took);
        let flaw = self.flaws.observe(flaw, self.fall, self.rise);
        self.succeed(at).or(pace).or(flaw)
    }

    /// Why the target is slow from now on, or no longer is.
    fn note_pace(&mut self, took: Duration) -> Option<Cause> {
        let Some(slow) = self.slow else {
            self.speed.follow(took);
            return None;
        };
        let usual = self.speed.usual();
        if !self.speed.observe(took, slow, self.fall, self.rise) {
            return None;
        }
        Some(match self.speed.is_slow() {
            true => Cause::Slow { count: self.fall, last: took, usual },
            false => Cause::Quick { count: self.rise, last: took },
        })
    }

    fn succeed(&mut self, at: Time) -> Option<Cause> {
        self.window.push(false);
        match &mut self.state {
            State::Init => Some(self.enter(State::UP, Cause::FirstSuccess)),
            State::Up { failures: 0, .. } => None,
            State::Up { successes, probes, .. } => {
                *successes += 1;
                *probes += 1;
                if *successes >= self.fall {
                    self.state = State::UP;
                }
                None
            }
            State::Down { successes, wanting } => {
                *successes = successes.saturating_add(1);
                let (count, is_first) = (*successes, *wanting > 0);
                let is_up = is_first || count >= self.rise && self.held_until(at).is_none();
                is_up.then(|| self.enter(State::UP, Cause::Successes(count)))
            }
        }
    }

    fn fail(&mut self, last: FailureReason, at: Time) -> Option<Cause> {
        self.window.push(true);
        let cause = match &mut self.state {
            State::Init => Cause::FirstFailure(last),
            State::Up { failures, successes, probes } => {
                *failures += 1;
                *successes = 0;
                *probes += 1;
                let (count, probes) = (*failures, *probes);
                if count >= self.fall {
                    Cause::Failures { count, probes, last }
                } else if self.window.failures() >= self.window_failures() {
                    Cause::Window { failures: self.window.failures(), last }
                } else {
                    return None;
                }
            }
            State::Down { successes, wanting } => {
                *wanting = wanting.saturating_sub(1);
                // It would be up if it were not held back, and has fallen again.
                let has_fallen = *successes >= self.rise;
                *successes = 0;
                if has_fallen {
                    self.note_fall(at);
                }
                return None;
            }
        };
        if matches!(self.state, State::Init) {
            let first = State::Down { successes: 0, wanting: self.fall - 1 };
            return Some(self.enter(first, cause));
        }
        self.note_fall(at);
        Some(self.enter(State::DOWN, cause))
    }

    /// The window judges one spell of being up; what led here is not held against the next.
    fn enter(&mut self, state: State, cause: Cause) -> Cause {
        self.state = state;
        self.window = Window::default();
        cause
    }

    fn note_fall(&mut self, at: Time) {
        if let Some(damping) = &mut self.damping {
            damping.fall(at);
        }
    }

    /// What it holds of the target: `Unknown` before the first result.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self.state {
            State::Init => Verdict::Unknown,
            State::Up { .. } if self.speed.is_slow() || self.flaws.is_held => Verdict::Degraded,
            State::Up { .. } => Verdict::Up,
            State::Down { .. } => Verdict::Down,
        }
    }

    /// Whether it is down by its first results alone, and fewer than `fall` of them: enough for who knows nothing
    /// else, and too little to speak against others.
    #[must_use]
    pub const fn is_down_for_now(&self) -> bool {
        matches!(self.state, State::Down { wanting: 1.., .. })
    }

    /// Until when a target that is down is held back although it may answer, if that is not over at `at`.
    #[must_use]
    pub fn held_until(&self, at: Time) -> Option<Time> {
        let State::Down { .. } = self.state else { return None };
        self.damping.as_ref()?.held_until(at)
    }

    /// Whether it is down for no other reason than having been lost too often: it answers.
    #[must_use]
    pub const fn is_held_back(&self) -> bool {
        matches!(self.state, State::Down { successes, .. } if successes >= self.rise)
    }

    /// How long the target usually takes to answer, once that is known.
    #[must_use]
    pub fn usual(&self) -> Option<Duration> {
        self.speed.usual()
    }

    /// Answers in a row of a target that is up that were slow, or of one that is degraded that were not.
    #[must_use]
    pub const fn off_pace(&self) -> u32 {
        match self.state {
            State::Up { .. } => self.speed.against(),
            State::Init | State::Down { .. } => 0,
        }
    }

    /// Whether a target that is up is slow.
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        matches!(self.state, State::Up { .. }) && self.speed.is_slow()
    }

    /// What is wrong with a target that is up, once that is held against it.
    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        let is_up = matches!(self.state, State::Up { .. });
        self.flaws.last.filter(|_| is_up && self.flaws.is_held)
    }

    /// The failures that are remembered against a target that is up.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        match self.state {
            State::Up { failures, .. } => failures,
            State::Init | State::Down { .. } => 0,
        }
    }

    /// The successes in a row of a target that is down.
    #[must_use]
    pub const fn successes(&self) -> u32 {
        match self.state {
            State::Down { successes, .. } => successes,
            State::Init | State::Up { .. } => 0,
        }
    }

    /// When the next probe is due: so long after the start of the last one, or as soon as that one
    /// has ended if it takes longer.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace { next: self.gap(), beside: self.beside() }
    }

    fn gap(&self) -> Duration {
        match self.state {
            State::Init | State::Up { failures: 0, .. } => self.interval,
            State::Up { successes: CONFIRM_SUCCESSES.., .. } => self.interval,
            State::Up { .. } => self.confirm_gap(),
            State::Down { wanting: 1.., .. } => self.confirm_gap(),
            State::Down { .. } => self.recovery_gap(),
        }
    }

    /// What to do while a probe is not answered. Before anything is usual nothing is late.
    fn beside(&self) -> Option<Beside> {
        let State::Up { failures, .. } = self.state else { return None };
        let most = self.fall.saturating_sub(failures).min(BESIDE_MAX);
        let after = self.usual()?.saturating_mul(LATE_FACTOR).max(LATE_MIN);
        let gap = after.max(self.confirm_gap());
        (self.is_repeatable && most > 1).then_some(Beside { after, gap, most })
    }

    /// The shortest time in which the verdict could change, counted in whole probes: those that
    /// are still needed, times the gap at which they come.
    ///
    /// While nothing is wrong no change is on its way, and answers may live as long as the zone file
    /// says. The first failure shortens that, for new answers, before the verdict can change.
    #[must_use]
    pub fn next_change(&self) -> Duration {
        match self.state {
            State::Init => Duration::ZERO,
            State::Up { failures: 0, .. } => self.next_change_of_pace(self.interval),
            State::Up { failures, .. } => {
                let by_memory = self.fall - failures;
                let by_window = self.window_failures().saturating_sub(self.window.failures());
                let by_failures =
                    self.confirm_gap().saturating_mul(by_memory.min(by_window.max(1)));
                by_failures.min(self.next_change_of_pace(self.confirm_gap()))
            }
            State::Down { wanting: 1.., .. } => self.confirm_gap(),
            // One that is held back could be released before its next probe.
            State::Down { successes, .. } => {
                self.recovery_gap().saturating_mul(self.rise.saturating_sub(successes).max(1))
            }
        }
    }

    /// When it could become degraded, or stop to be, if results come at such a gap.
    fn next_change_of_pace(&self, gap: Duration) -> Duration {
        let needed = |is_held: bool, against: u32| match (is_held, against) {
            (false, 0) => None,
            (false, against) => Some(self.fall - against),
            (true, against) => Some(self.rise - against),
        };
        let speed = needed(self.speed.is_slow(), self.speed.against());
        let flaws = needed(self.flaws.is_held, self.flaws.against);
        let soonest = speed.into_iter().chain(flaws).min();
        soonest.map_or(Duration::MAX, |probes| gap.saturating_mul(probes))
    }

    fn confirm_gap(&self) -> Duration {
        CONFIRM_GAP_MAX.min(self.interval / 2)
    }

    fn recovery_gap(&self) -> Duration {
        (self.interval / 2).max(RECOVERY_GAP_MIN.min(self.interval))
    }

    fn window_failures(&self) -> u32 {
        WINDOW_FAILURES.max(self.fall)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstSuccess => f.write_str("first probe: success"),
            Self::FirstFailure(reason) => write!(f, "first probe: {reason}"),
            Self::Failures { count: 1, last, .. } => write!(f, "1 failure: {last}"),
            Self::Failures { count, probes, last } if count == probes => {
                write!(f, "{count} failures in a row, last: {last}")
            }
            Self::Failures { count, probes, last } => {
                write!(f, "{count} failures in {probes} probes, last: {last}")
            }
            Self::Window { failures, last } => {
                write!(f, "{failures} of the last {WINDOW} probes failed, last: {last}")
            }
            Self::Successes(1) => f.write_str("1 success"),
            Self::Successes(count) => write!(f, "{count} successes in a row"),
            Self::Slow { count, last, usual } => {
                write!(f, "{} in a row, last: {}", Answers(*count, "slow"), Millis(*last))?;
                match usual {
                    Some(usual) => write!(f, ", usually: {}", Millis(*usual)),
                    None => Ok(()),
                }
            }
            Self::Quick { count, last } => {
                write!(f, "{} in a row, last: {}", Answers(*count, "quick"), Millis(*last))
            }
            Self::Flawed { count: 1, last } => last.fmt(f),
            Self::Flawed { count, last } => write!(f, "{count} times in a row: {last}"),
            Self::Flawless(count) => write!(f, "{} in a row", Answers(*count, "flawless")),
        }
    }
}

/// Whether something is wrong with answers, which `fall` in a row say and `rise` in a row end.
#[derive(Clone, Copy, Default, Debug)]
struct Flaws {
    is_held: bool,
    /// Answers in a row that speak against `is_held`.
    against: u32,
    /// What was wrong with the last answer with which something was.
    last: Option<Flaw>,
}

impl Flaws {
    /// Takes in what was wrong with an answer; why `is_held` has moved, if it has.
    fn observe(&mut self, flaw: Option<Flaw>, fall: u32, rise: u32) -> Option<Cause> {
        self.last = flaw.or(self.last);
        self.against = if flaw.is_some() == self.is_held { 0 } else { self.against + 1 };
        let count = self.against;
        if count < if self.is_held { rise } else { fall } {
            return None;
        }
        self.is_held = !self.is_held;
        self.against = 0;
        Some(match flaw {
            Some(last) => Cause::Flawed { count, last },
            None => Cause::Flawless(count),
        })
    }
}

/// `3 slow answers`
struct Answers(u32, &'static str);

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        write!(f, "{count} {what} answer{}", if *count == 1 { "" } else { "s" })
    }
}

/// `12.3 ms`
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1e3)
    }
}

/// Which of the last [`WINDOW`] results failed: one bit each, the latest lowest.
#[derive(Clone, Copy, Default, Debug)]
struct Window(u32);

impl Window {
    fn push(&mut self, is_failure: bool) {
        self.0 = (self.0 << 1 | u32::from(is_failure)) & ((1 << WINDOW) - 1);
    }

    const fn failures(self) -> u32 {
        self.0.count_ones()
    }
}

#[cfg(test)]
mod tests;
