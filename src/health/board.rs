//! Every target in use and what is known of it.
//!
//! The write side of health: many probes report at once, each takes the lock of its own target's
//! shard and no other. Readers take what they need for the next snapshot and are never on the way
//! of a query. The board keeps what it knows of a target for as long as any zone names it, through
//! every reload.
//!
//! The verdict is what the tracker here holds, or in a fleet what the votes of many come to: then the
//! tracker's is one vote among them, and `agreed` has the verdict.

mod agreed;
mod calculated;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::{DashMap, Entry as Slot};

use super::fleet::Dissent;
use super::{Impairment, SelfState, Survey, Tracker};
use crate::model::health::{Flaw, Pace, ProbeOutcome};
use crate::model::{
    FailureReason, Observation, RegionKey, Target, TargetHealth, TargetId, Time, Transition,
    Verdict,
};
use agreed::{Agreed, Records};
pub use agreed::{Recount, Recounted, Turn};
use calculated::Calculated;
pub use calculated::CalculatedStatus;

/// Every target in use and what is known of it.
#[derive(Debug)]
pub struct Board {
    entries: DashMap<Target, Entry>,
    /// Those that nobody probes.
    calculated: Calculated,
    /// Whether anybody reports to it.
    is_observed: bool,
    /// In a fleet, which targets the names of zones depend on.
    fleet: Option<Records>,
    /// How far away regions are from here, where anybody wants to know.
    survey: Mutex<Survey>,
    is_surveying: AtomicBool,
    /// Whether this vantage trusts itself: 0, or the place of its impairment from 1.
    self_state: AtomicU8,
    /// How many entries are still [waiting](Entry::is_waiting). Moves under the lock of the entry
    /// that it counts.
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Entry {
    id: TargetId,
    tracker: Tracker,
    /// What votes have come to, in a fleet.
    agreed: Option<Agreed>,
    /// Groups that say otherwise.
    dissent: Dissent,
    /// When the verdict came to be.
    since: Time,
    /// When a result last bore on the verdict.
    seen: Option<Time>,
    last: Option<(Time, ProbeOutcome)>,
    local_errors: u64,
    /// Failures since the last success, whatever the tracker makes of them.
    failures_in_a_row: u32,
    /// The last of all failures, and how long the last success took.
    failure: Option<FailureReason>,
    took: Option<Duration>,
    /// When the tracker here last went down.
    fell: Option<Time>,
    /// The verdict comes from an earlier life and no result has borne on it yet.
    is_restored: bool,
}

/// What an observation brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// The change of verdict, if there is one.
    pub transition: Option<Transition>,
    /// Whether the verdict or the time to its next change moved: answers that depend on it are to
    /// be compiled anew.
    pub is_changed: bool,
    /// Whether it is the first failure that is remembered of a target that is up.
    pub is_doubt: bool,
    /// Whether this vantage thinks otherwise of the target than before.
    pub is_turn: bool,
    /// When the next probes are wanted.
    pub pace: Pace,
}

/// A verdict as an earlier life of this node knew it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// The verdict.
    pub verdict: Verdict,
    /// Since when.
    pub since: Time,
    /// When a result last bore on it.
    pub seen: Time,
    /// How long the target usually took to answer.
    pub usual: Option<Duration>,
}

/// All that is known of one target, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetStatus {
    /// Which.
    pub target: Target,
    /// The verdict, since when, and how soon it could change.
    pub health: TargetHealth,
    /// The groups of vantages that it is down from, though it is not.
    pub down_from: Vec<String>,
    /// When a result last bore on the verdict; before this life if it is restored.
    pub seen: Option<Time>,
    /// When the last probe ended, and how.
    pub last: Option<(Time, ProbeOutcome)>,
    /// Failures that are remembered against a target that is up.
    pub failures: u32,
    /// Successes in a row of a target that is down.
    pub successes: u32,
    /// Answers in a row of a target that is up that were slow, or of one that is degraded that were not.
    pub off_pace: u32,
    /// How long the target usually takes to answer, once that is known.
    pub usual: Option<Duration>,
    /// Whether a target that is up is slow.
    pub is_slow: bool,
    /// What is wrong with a target that is up, if that is held against it.
    pub flaw: Option<Flaw>,
    /// Until when a target that is down is held back for flapping; may be over.
    pub held_until: Option<Time>,
    /// Probes that our own machine could not make.
    pub local_errors: u64,
    /// Whether the verdict comes from an earlier life and no result has borne on it yet.
    pub is_restored: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

impl Board {
    /// A board of no targets.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: DashMap::new(),
            calculated: Calculated::default(),
            is_observed: true,
            fleet: None,
            survey: Mutex::default(),
            is_surveying: AtomicBool::new(false),
            self_state: AtomicU8::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A board that nobody reports to: what it remembers stays as it is, and no change is on its way.
    #[must_use]
    pub fn unobserved() -> Self {
        Self { is_observed: false, ..Self::new() }
    }

    /// Makes `targets` the ones in use: takes in those that are new, forgets those that are no
    /// longer named, keeps what is known of the others.
    pub fn track<'a>(&self, targets: impl IntoIterator<Item = &'a Target>, now: Time) {
        let (named, made): (HashSet<&Target>, HashSet<&Target>) =
            targets.into_iter().partition(|target| target.spec.kind.is_probed());
        self.entries.retain(|target, entry| {
            let is_named = named.contains(target);
            if !is_named && entry.is_waiting() {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
            }
            is_named
        });
        for target in named {
            if let Slot::Vacant(slot) = self.entries.entry(target.clone()) {
                slot.insert(self.entry(target, Tracker::new(&target.spec), now));
                self.waiting.fetch_add(1, Ordering::AcqRel);
            }
        }
        self.track_calculated(&made, now);
    }

    /// Gives every target that nobody has looked at yet the verdict that `recall` remembers of it,
    /// and returns how many there were.
    pub fn restore(&self, recall: impl Fn(&Target) -> Option<Remembered>) -> usize {
        let mut restored = 0;
        for mut slot in self.entries.iter_mut() {
            let (target, entry) = slot.pair_mut();
            if !entry.is_waiting() {
                continue;
            }
            let Some(remembered) = recall(target) else { continue };
            let tracker = Tracker::resumed(&target.spec, remembered.verdict, remembered.usual);
            if tracker.verdict() == Verdict::Unknown {
                continue;
            }
            let agreed = entry.agreed.map(|_| Agreed::restored(remembered.verdict));
            *entry = Entry {
                agreed,
                seen: Some(remembered.seen),
                is_restored: true,
                ..self.entry(target, tracker, remembered.since)
            };
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            restored += 1;
        }
        self.follow_all();
        restored
    }

    /// Whether what this vantage sees is believed here.
    #[must_use]
    pub fn self_state(&self) -> SelfState {
        let place = usize::from(self.self_state.load(Ordering::Relaxed));
        let why = place.checked_sub(1).and_then(|place| Impairment::ALL.get(place));
        why.map_or(SelfState::Fine, |why| SelfState::Impaired(*why))
    }

    /// Says whether what this vantage sees is to be believed from now on. While it is not, what speaks
    /// against a target is not counted: verdicts stay, or become better.
    pub fn set_self_state(&self, state: SelfState) {
        let place = |why| Impairment::ALL.iter().position(|one| *one == why);
        let place = state.impairment().and_then(place).map_or(0, |place| place + 1);
        self.self_state.store(u8::try_from(place).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Takes an observation in. One of a target that is no longer in use changes nothing.
    pub fn observe(&self, observation: &Observation) -> Observed {
        let target = &observation.target;
        let Some(mut entry) = self.entries.get_mut(target) else {
            let pace = Pace { next: target.spec.interval, beside: None };
            return Observed {
                transition: None,
                is_changed: false,
                is_doubt: false,
                is_turn: false,
                pace,
            };
        };
        let was_waiting = entry.is_waiting();
        let vantage = self.self_state();
        let observed = entry.observe(observation, vantage);
        self.count_waiting(was_waiting, &entry);
        let id = entry.id;
        drop(entry);
        if let Some(took) = observation.round_trip
            && self.is_surveying.load(Ordering::Relaxed)
            && !vantage.is_impaired()
        {
            self.lock_survey().note(id, took, observation.at);
        }
        observed
    }

    /// Says of which regions, with the targets in each, somebody wants to know how far away they are.
    pub fn survey(&self, regions: &[(RegionKey, Vec<TargetId>)]) {
        self.lock_survey().use_regions(regions);
        self.is_surveying.store(!regions.is_empty(), Ordering::Relaxed);
    }

    /// How far away these regions are from here, as far as that is known.
    #[must_use]
    pub fn round_trips(&self, now: Time) -> Vec<(RegionKey, Duration)> {
        self.lock_survey().tell(now)
    }

    fn lock_survey(&self) -> MutexGuard<'_, Survey> {
        self.survey.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called under the lock of an entry that may have ceased to wait.
    fn count_waiting(&self, was_waiting: bool, entry: &Entry) {
        if was_waiting && !entry.is_waiting() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn entry(&self, target: &Target, tracker: Tracker, since: Time) -> Entry {
        Entry {
            id: target.id(),
            tracker,
            agreed: self.fleet.is_some().then(Agreed::default),
            dissent: Dissent::default(),
            since,
            seen: None,
            last: None,
            local_errors: 0,
            failures_in_a_row: 0,
            failure: None,
            took: None,
            fell: None,
            is_restored: false,
        }
    }

    /// What is known of a target: of one that is not in use, nothing.
    #[must_use]
    pub fn health(&self, target: &Target) -> TargetHealth {
        const NOTHING: TargetHealth = TargetHealth {
            verdict: Verdict::Unknown,
            since: Time::ZERO,
            next_change: Duration::ZERO,
            agreed_by: 1,
            is_answering: false,
        };
        let health = match target.spec.kind.is_probed() {
            true => self.entries.get(target).map(|entry| entry.health()),
            false => self.calculated.health(target),
        };
        let health = health.unwrap_or(NOTHING);
        if self.is_observed {
            health
        } else {
            TargetHealth { next_change: Duration::MAX, ..health }
        }
    }

    /// All that is known of every target that is probed, in no order.
    #[must_use]
    pub fn entries(&self) -> Vec<TargetStatus> {
        self.entries.iter().map(|slot| slot.value().status(slot.key())).collect()
    }

    /// How many targets are probed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many targets nobody has looked at yet: no probe has ended and nothing was restored. Zero
    /// means that the first round is over, whatever it brought.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

impl Entry {
    /// A local error counts as having looked: a machine without IPv6 must not keep its first
    /// answers waiting for what it will never see. In a fleet others may know more by then.
    fn is_waiting(&self) -> bool {
        let is_known = match &self.agreed {
            Some(agreed) => agreed.verdict != Verdict::Unknown,
            None => self.last.is_some(),
        };
        !is_known && !self.is_restored
    }

    fn observe(&mut self, observation: &Observation, vantage: SelfState) -> Observed {
        let Observation { target, at, outcome, .. } = observation;
        let (before, failures) = (self.health(), self.tracker.failures());
        self.last = Some((*at, *outcome));
        // A check that wants failures finds them wherever a machine is cut off.
        let is_answer = matches!(outcome, ProbeOutcome::Success(_) | ProbeOutcome::Flawed(..))
            && !target.spec.invert;
        let is_believed = !vantage.is_impaired() || is_answer;
        match outcome {
            ProbeOutcome::LocalError(_) => self.local_errors += 1,
            ProbeOutcome::Failure(_) if !is_believed => {}
            ProbeOutcome::Success(took) | ProbeOutcome::Flawed(took, _) => {
                (self.took, self.failures_in_a_row) = (Some(*took), 0);
            }
            ProbeOutcome::Failure(reason) => {
                self.failure = Some(*reason);
                self.failures_in_a_row += 1;
            }
        }
        if is_believed && !matches!(outcome, ProbeOutcome::LocalError(_)) {
            self.seen = Some(*at);
            self.is_restored = false;
        }
        let change = match vantage {
            SelfState::Fine => self.tracker.observe(*outcome, *at),
            SelfState::Impaired(_) if is_believed => self.tracker.observe_impaired(*outcome, *at),
            SelfState::Impaired(_) => None,
        };
        if change.is_some_and(|change| change.to == Verdict::Down) {
            self.fell = Some(*at);
        }
        let is_turn = change.is_some();
        // Alone, its vote is the verdict. In a fleet it is one of several, which are counted elsewhere.
        let change = change.filter(|_| self.agreed.is_none());
        let transition = change.map(|change| Transition {
            target: target.clone(),
            from: change.from,
            to: change.to,
            at: *at,
            why: change.cause.to_string(),
        });
        if transition.is_some() {
            self.since = *at;
        }
        let is_changed = self.health() != before;
        let is_doubt = failures == 0 && self.tracker.failures() > 0;
        Observed { transition, is_changed, is_doubt, is_turn, pace: self.tracker.pace() }
    }

    fn health(&self) -> TargetHealth {
        let agreed = self.agreed.unwrap_or_else(|| Agreed {
            verdict: self.tracker.verdict(),
            next_change: self.tracker.next_change(),
            agreed_by: 1,
            is_answering: self.tracker.is_held_back(),
        });
        let Agreed { verdict, next_change, agreed_by, is_answering } = agreed;
        TargetHealth { verdict, since: self.since, next_change, agreed_by, is_answering }
    }

    fn status(&self, target: &Target) -> TargetStatus {
        TargetStatus {
            target: target.clone(),
            health: self.health(),
            down_from: self.dissent.down_from().map(|from| from.group).collect(),
            seen: self.seen,
            last: self.last,
            failures: self.tracker.failures(),
            successes: self.tracker.successes(),
            off_pace: self.tracker.off_pace(),
            usual: self.tracker.usual(),
            is_slow: self.tracker.is_slow(),
            flaw: self.tracker.flaw(),
            held_until: self.seen.and_then(|seen| self.tracker.held_until(seen)),
            local_errors: self.local_errors,
            is_restored: self.is_restored,
        }
    }
}

#[cfg(test)]
mod tests;
