//! When each target is probed.
//!
//! Every target has a task of its own that sleeps, probes and reports, and is told at each report
//! after which pace to go on. A task holds about 2 KiB while it sleeps, and an HTTPS target's client
//! 4 KiB more: ten thousand targets fit into 60 MB.
//!
//! Targets of one interval are spread over it evenly by a hash of the target, the same in every run,
//! so that the work of each moment is about equal. A new target's first probe comes within a second,
//! so that verdicts come soon; afterwards it falls into its place.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::Prober;
use crate::model::{Observation, Target, Time};

/// The first round of probes takes no longer to start than this.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// Probes targets, each at its own time. Dropping it ends all probing at once.
#[derive(Debug)]
pub struct Schedule {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    running: HashMap<Target, AbortHandle>,
}

struct Shared {
    prober: Prober,
    in_flight: Semaphore,
    report: Box<dyn Fn(Observation) -> Duration + Send + Sync>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl Schedule {
    /// A schedule of nothing. At most `in_flight_max` probes run at once; one that has to wait for its
    /// turn loses none of its timeout.
    ///
    /// `report` is called with each result and says after how long, from the start of that probe,
    /// the next one is due. It must not block.
    #[must_use]
    pub fn new(
        prober: Prober,
        in_flight_max: usize,
        report: impl Fn(Observation) -> Duration + Send + Sync + 'static,
    ) -> Self {
        let in_flight = Semaphore::new(in_flight_max.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Shared { prober, in_flight, report: Box::new(report) };
        Self { shared: Arc::new(shared), tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// Makes `targets` the ones that are probed. Those that stay keep their rhythm. Must be called
    /// inside a tokio runtime.
    pub fn set_targets(&mut self, targets: &HashSet<Target>) {
        self.reap();
        self.running.retain(|target, task| {
            let is_named = targets.contains(target);
            if !is_named {
                task.abort();
            }
            is_named
        });
        for target in targets {
            if !self.running.contains_key(target) {
                let task = self.tasks.spawn(keep_probing(self.shared.clone(), target.clone()));
                self.running.insert(target.clone(), task);
            }
        }
    }

    /// Ends all probing and returns when nothing runs any more. Probes on their way are abandoned
    /// without a report.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Forgets tasks that have ended. None does but by a panic; its target then starts afresh.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!("a probe panicked: {error}");
            }
        }
        self.running.retain(|_, task| !task.is_finished());
    }
}

async fn keep_probing(shared: Arc<Shared>, target: Target) {
    let clock = shared.prober.clock;
    let place = Place::of(&target, target.spec.interval);
    let mut probe = shared.prober.prepare(target.clone());
    sleep(place.first_delay()).await;
    loop {
        let turn = shared.in_flight.acquire().await;
        let started = clock.now();
        let outcome = probe.run().await;
        drop(turn);
        let pace =
            (shared.report)(Observation { target: target.clone(), at: clock.now(), outcome });
        let next = place.next_start(started, pace);
        sleep(next.since(clock.now())).await;
    }
}

/// The place of a target, or of whatever is asked regularly, among those of its interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    interval: Duration,
    hash: u64,
}

impl Place {
    pub(crate) fn of(target: &impl Hash, interval: Duration) -> Self {
        // Keys of zero, unlike `RandomState`'s: the same targets have the same places in every run.
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        Self { interval, hash: hasher.finish() }
    }

    /// How long after it was named a target is first probed.
    pub(crate) fn first_delay(self) -> Duration {
        Duration::from_nanos(self.hash % nanos(self.interval.min(FIRST_ROUND)))
    }

    /// When the probe after the one of `started` begins. A pace of the whole interval leads to the
    /// target's own place, half an interval away or one and a half when it comes from elsewhere: a
    /// burst or the first round. Any other pace is taken literally.
    pub(crate) fn next_start(self, started: Time, pace: Duration) -> Time {
        if pace != self.interval {
            return started + pace;
        }
        let interval = nanos(self.interval);
        let earliest = started + self.interval / 2;
        let phase = self.hash % interval;
        let behind = earliest.as_nanos() % interval;
        let wait = if phase >= behind { phase - behind } else { phase + interval - behind };
        earliest + Duration::from_nanos(wait)
    }
}

/// At least 1, so that it can be divided by.
fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
