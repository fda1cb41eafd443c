//! The one route by which observations reach the board, and the words of operators the answers.
//!
//! Each change of verdict is logged in one line. Whoever compiles answers, or writes what is known to
//! disk, waits on [`Intake::dirty`] or [`Intake::transitions`] and looks here: a signal says that
//! something changed, and many changes at once are one signal.

mod operators;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::health::fleet::{Member, REGIONS_MAX};
use crate::health::{Board, Observed, Recount, Recounted, Remembered, Turn};
use crate::model::health::{LocalError, Pace, ProbeOutcome};
use crate::model::{Observation, Reach, RegionKey, Target, TargetId, Time, Transition, Verdict};
pub use operators::Held;
use operators::Operators;

/// Trouble of our own machine is logged once in such a time, however many probes it costs.
const LOCAL_ERROR_LOG_GAP: Duration = Duration::from_secs(60);

/// The way to the board.
#[derive(Debug)]
pub struct Intake {
    board: Arc<Board>,
    operators: Operators,
    dirty: watch::Sender<()>,
    /// What has changed since somebody took it.
    news: Mutex<Unheard>,
    /// What groups of a fleet see that is not the same from everywhere.
    reach: Mutex<Arc<Reach>>,
    transitions: watch::Sender<()>,
    /// Targets that have failed for a first time since somebody took them, in a fleet.
    doubted: Mutex<Vec<(TargetId, Duration)>>,
    doubts: watch::Sender<()>,
    turns: watch::Sender<()>,
    /// The board's count of targets that nobody has looked at.
    waiting: watch::Sender<usize>,
    counters: Counters,
    /// In nanoseconds of [`Time`]: local errors before it are counted only.
    local_error_log_from: AtomicU64,
}

/// Of which targets something has changed.
#[derive(Debug)]
pub enum Unheard {
    /// Of any.
    OfAll,
    /// Of these.
    Of(HashSet<Target>),
}

impl Default for Unheard {
    fn default() -> Self {
        Self::Of(HashSet::new())
    }
}

#[derive(Debug, Default)]
struct Counters {
    successes: AtomicU64,
    failures: AtomicU64,
    local_errors: AtomicU64,
    scarcities: AtomicU64,
    transitions: AtomicU64,
}

/// How much has come in since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntakeCounts {
    /// Probes that succeeded.
    pub successes: u64,
    /// Probes that failed.
    pub failures: u64,
    /// Probes that our own machine could not make.
    pub local_errors: u64,
    /// Those of them for which the machine had too little of something.
    pub scarcities: u64,
    /// Changes of verdict.
    pub transitions: u64,
}

impl Intake {
    /// The way to `board`.
    #[must_use]
    pub fn new(board: Arc<Board>) -> Self {
        let waiting = board.waiting();
        Self {
            board,
            operators: Operators::default(),
            dirty: watch::Sender::default(),
            news: Mutex::default(),
            reach: Mutex::new(Arc::clone(Reach::whole())),
            transitions: watch::Sender::default(),
            doubted: Mutex::default(),
            doubts: watch::Sender::default(),
            turns: watch::Sender::default(),
            waiting: watch::Sender::new(waiting),
            counters: Counters::default(),
            local_error_log_from: AtomicU64::new(0),
        }
    }

    /// The board, to look at.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Makes `targets` the ones in use: see [`Board::track`]. Whoever calls this has answers to
    /// compile anyway, so it does not signal [`dirty`](Self::dirty).
    pub fn track<'a>(&self, targets: impl IntoIterator<Item = &'a Target>, now: Time) {
        self.board.track(targets, now);
        self.count_waiting();
    }

    /// Says of which regions, with the targets in each, members of the fleet want to know how far away they are.
    pub fn survey(&self, regions: &[(RegionKey, Vec<TargetId>)]) {
        if regions.len() > REGIONS_MAX {
            let count = regions.len();
            tracing::warn!(
                "round trips matter to {count} regions; those to {REGIONS_MAX} of them are measured"
            );
        }
        self.board.survey(&regions[..regions.len().min(REGIONS_MAX)]);
    }

    /// Gives targets that nobody has looked at yet a remembered verdict, and returns how many there
    /// were: see [`Board::restore`].
    pub fn restore(&self, recall: impl Fn(&Target) -> Option<Remembered>) -> usize {
        let restored = self.board.restore(recall);
        if restored > 0 {
            *self.lock_news() = Unheard::OfAll;
            self.dirty.send_replace(());
            self.count_waiting();
        }
        restored
    }

    /// Takes an observation in and returns when the next ones are wanted.
    pub fn observe(&self, observation: &Observation) -> Pace {
        self.count(observation);
        let observed = self.board.observe(observation);
        if observed.is_doubt && self.doubts.receiver_count() > 0 {
            let target = &observation.target;
            lock(&self.doubted).push((target.id(), target.spec.interval));
            self.doubts.send_replace(());
        }
        if observed.is_turn {
            self.turns.send_replace(());
        }
        if observed.is_changed {
            let Observed { transition, .. } = &observed;
            let target = observation.target.clone();
            let mut changed = vec![Recounted { transition: transition.clone(), target }];
            changed.extend(self.board.follow([&observation.target]));
            self.tell(changed);
        }
        if *self.waiting.borrow() > 0 {
            self.count_waiting();
        }
        observed.pace
    }

    /// Makes verdicts of what `member` has heard: see [`Board::recount`]. While it has only just woken they stay.
    pub fn recount(&self, member: &mut Member, now: Time) {
        if member.has_stood_still(now) {
            return;
        }
        let Recount { changed: mut recounted, turns, reach } = self.board.recount(member, now);
        turns.iter().for_each(log_turn);
        self.set_reach(reach);
        if recounted.is_empty() {
            return;
        }
        recounted.extend(self.board.follow(recounted.iter().map(|one| &one.target)));
        self.tell(recounted);
        self.count_waiting();
    }

    /// Tells of changes whoever waits for them.
    fn tell(&self, changed: Vec<Recounted>) {
        let transitions = changed.iter().filter_map(|one| one.transition.as_ref());
        let count = transitions.inspect(|transition| log(transition)).count();
        if count > 0 {
            self.counters.transitions.fetch_add(count as u64, Ordering::Relaxed);
            self.transitions.send_replace(());
        }
        if let Unheard::Of(targets) = &mut *self.lock_news() {
            targets.extend(changed.into_iter().map(|one| one.target));
        }
        self.dirty.send_replace(());
    }

    /// Says what groups of a fleet see that is not the same from everywhere.
    pub fn set_reach(&self, reach: Reach) {
        let mut own = lock(&self.reach);
        if **own != reach {
            *own = Arc::new(reach);
            self.dirty.send_replace(());
        }
    }

    /// What groups of a fleet see that is not the same from everywhere; `None` while answers are frozen, for
    /// then what they went by stays.
    #[must_use]
    pub fn reach(&self) -> Option<Arc<Reach>> {
        self.held().is_none().then(|| Arc::clone(&lock(&self.reach)))
    }

    /// What has changed since this was last called.
    pub fn take_news(&self) -> Unheard {
        std::mem::take(&mut *self.lock_news())
    }

    /// Whoever takes the news next must look at everything: those taken came to nothing, or what counts
    /// for known is another now.
    pub fn return_news(&self) {
        *self.lock_news() = Unheard::OfAll;
        self.dirty.send_replace(());
    }

    fn lock_news(&self) -> MutexGuard<'_, Unheard> {
        lock(&self.news)
    }

    /// Signals that answers are to be compiled anew: the board or what operators say has changed.
    #[must_use]
    pub fn dirty(&self) -> watch::Receiver<()> {
        self.dirty.subscribe()
    }

    /// Signals what is worth remembering: changes of verdict and the words of operators.
    #[must_use]
    pub fn transitions(&self) -> watch::Receiver<()> {
        self.transitions.subscribe()
    }

    /// Signals that this machine thinks otherwise of a target than before.
    #[must_use]
    pub fn turns(&self) -> watch::Receiver<()> {
        self.turns.subscribe()
    }

    /// Signals that a target has failed for a first time: others might look, too.
    #[must_use]
    pub fn doubts(&self) -> watch::Receiver<()> {
        self.doubts.subscribe()
    }

    /// The targets that this was about, with their intervals, since it was last asked.
    #[must_use]
    pub fn take_doubted(&self) -> Vec<(TargetId, Duration)> {
        std::mem::take(&mut *lock(&self.doubted))
    }

    /// Returns when every target in use was looked at once: probed, whatever came of it, or
    /// restored. May take as long as the slowest timeout; give it a deadline.
    pub async fn first_round(&self) {
        let mut waiting = self.waiting.subscribe();
        let over = waiting.wait_for(|waiting| *waiting == 0).await;
        over.map(drop).expect("`self` holds the sender");
    }

    /// How much has come in since the start.
    #[must_use]
    pub fn counts(&self) -> IntakeCounts {
        let Counters { successes, failures, local_errors, scarcities, transitions } =
            &self.counters;
        IntakeCounts {
            successes: successes.load(Ordering::Relaxed),
            failures: failures.load(Ordering::Relaxed),
            local_errors: local_errors.load(Ordering::Relaxed),
            scarcities: scarcities.load(Ordering::Relaxed),
            transitions: transitions.load(Ordering::Relaxed),
        }
    }

    fn count(&self, observation: &Observation) {
        let counter = match observation.outcome {
            ProbeOutcome::Success(_) | ProbeOutcome::Flawed(..) => &self.counters.successes,
            ProbeOutcome::Failure(_) => &self.counters.failures,
            ProbeOutcome::LocalError(error) => {
                // That nobody has reported yet is no trouble of ours.
                if error != LocalError::Unheard {
                    self.log_local_error(observation, error);
                }
                if error.is_scarcity() {
                    self.counters.scarcities.fetch_add(1, Ordering::Relaxed);
                }
                &self.counters.local_errors
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn count_waiting(&self) {
        // Read inside, so that the last to write has read last.
        self.waiting.send_if_modified(|waiting| {
            let before = std::mem::replace(waiting, self.board.waiting());
            before != *waiting
        });
    }

    fn log_local_error(&self, observation: &Observation, error: LocalError) {
        let now = observation.at;
        let from = self.local_error_log_from.load(Ordering::Relaxed);
        let next = (now + LOCAL_ERROR_LOG_GAP).as_nanos();
        let is_due = now.as_nanos() >= from;
        let exchange = |from, next| {
            let order = Ordering::Relaxed;
            self.local_error_log_from.compare_exchange(from, next, order, order)
        };
        if is_due && exchange(from, next).is_ok() {
            let target = &observation.target;
            tracing::warn!(%error, "this machine cannot probe {target}: {error}; not counted against it");
        }
    }
}

/// What is in there is whole at any moment.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log(transition: &Transition) {
    let Transition { target, from, to, why, .. } = transition;
    let host = &target.host;
    match (from, to) {
        // Good news of a start: thousands of lines that nobody needs.
        (Verdict::Unknown, Verdict::Up) => {
            tracing::debug!(%host, %from, %to, "{target} is up: {why}");
        }
        (Verdict::Unknown, _) => tracing::info!(%host, %from, %to, "{target} is {to}: {why}"),
        (_, Verdict::Up) => tracing::info!(%host, %from, %to, "{target} came back up: {why}"),
        (_, Verdict::Down) => tracing::info!(%host, %from, %to, "{target} went down: {why}"),
        (_, Verdict::Degraded | Verdict::Unknown) => {
            tracing::info!(%host, %from, %to, "{target} became {to}: {why}");
        }
    }
}

fn log_turn(turn: &Turn) {
    let Turn { target, turned, why } = turn;
    let (host, group) = (&target.host, &turned.group);
    if turned.is_down {
        tracing::info!(%host, group, "{target} is down from {group}: {why}; others reach it");
    } else {
        tracing::info!(%host, group, "{target} is no longer down from {group}");
    }
}

#[cfg(test)]
mod tests;
