//! When endpoints last reported that they live.
//!
//! A check of kind `heartbeat` asks nobody: each probe looks here whether the last report is younger than the
//! period. Reports come in by the admin endpoint, and in a fleet from the other members, which tell each other what
//! came to them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::Fault;
use crate::model::check::HeartbeatCheck;
use crate::model::health::LocalError;
use crate::model::{FailureReason, TargetId, Time};

/// Reports of so many targets are kept before old ones are looked for.
const KEPT: usize = 1024;

/// The last report of each target.
#[derive(Debug, Default)]
pub struct Heartbeats {
    last: Mutex<Reports>,
}

#[derive(Debug, Default)]
struct Reports {
    of: HashMap<TargetId, Report>,
    /// When there are more than this, old ones are dropped.
    full_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    at: Time,
    /// When it came to this machine itself, if it ever did: others are to be told.
    own: Option<Time>,
}

impl Heartbeats {
    /// A target has reported to this machine.
    pub fn note(&self, target: TargetId, now: Time) {
        self.insert(target, now, true, now);
    }

    /// A target has reported at `at` to another machine, which is heard of at `now`.
    pub fn hear(&self, target: TargetId, at: Time, now: Time) {
        self.insert(target, at.min(now), false, now);
    }

    fn insert(&self, target: TargetId, at: Time, is_own: bool, now: Time) {
        let mut last = self.lock();
        let report = last.of.entry(target).or_insert(Report { at, own: None });
        report.at = report.at.max(at);
        if is_own {
            report.own = Some(at);
        }
        if last.of.len() > last.full_at.max(KEPT) {
            last.of.retain(|_, report| now.since(report.at) <= HeartbeatCheck::PERIOD_MAX);
            last.full_at = last.of.len() * 2;
        }
    }

    /// When a target last reported to anybody.
    #[must_use]
    pub fn last(&self, target: TargetId) -> Option<Time> {
        self.lock().of.get(&target).map(|report| report.at)
    }

    /// What was reported to this machine itself since `since`.
    #[must_use]
    pub fn own_since(&self, since: Time) -> Vec<(TargetId, Time)> {
        let last = self.lock();
        let own = last.of.iter().filter_map(|(target, report)| Some((*target, report.own?)));
        own.filter(|(_, at)| *at >= since).collect()
    }

    /// Judges a target that has been looked after since `begun`. Until a first period is over, silence says
    /// nothing: whoever reports may not know yet that we are there.
    pub(super) fn judge(
        &self,
        check: &HeartbeatCheck,
        target: TargetId,
        begun: Time,
        now: Time,
    ) -> Result<(), Fault> {
        match self.last(target) {
            Some(at) if now.since(at) <= check.period => Ok(()),
            None if now.since(begun) <= check.period => Err(Fault::Local(LocalError::Unheard)),
            Some(_) | None => Err(Fault::Failure(FailureReason::Missing)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TARGET: TargetId = TargetId(7);
    const CHECK: HeartbeatCheck = HeartbeatCheck { period: Duration::from_secs(30), token: None };

    fn at(secs: u64) -> Time {
        Time::from_secs(secs)
    }

    #[test]
    fn silence_counts_once_a_period_is_over() {
        let heartbeats = Heartbeats::default();
        let missing = Err(Fault::Failure(FailureReason::Missing));
        let judge = |now| heartbeats.judge(&CHECK, TARGET, at(100), at(now));
        assert_eq!(judge(130), Err(Fault::Local(LocalError::Unheard)), "a period of grace");
        assert_eq!(judge(131), missing);
        heartbeats.note(TARGET, at(140));
        assert_eq!((judge(140), judge(170)), (Ok(()), Ok(())));
        assert_eq!(judge(171), missing);
        heartbeats.hear(TARGET, at(160), at(171));
        assert_eq!(judge(171), Ok(()), "others count as well");
        heartbeats.hear(TARGET, at(150), at(172));
        assert_eq!(judge(190), Ok(()), "what is old changes nothing");
    }

    #[test]
    fn nobody_reports_from_the_future() {
        let heartbeats = Heartbeats::default();
        heartbeats.hear(TARGET, at(900), at(200));
        assert_eq!(heartbeats.last(TARGET), Some(at(200)));
    }

    #[test]
    fn others_are_told_what_came_to_this_machine_itself() {
        let heartbeats = Heartbeats::default();
        heartbeats.note(TARGET, at(10));
        heartbeats.hear(TARGET, at(12), at(12));
        heartbeats.hear(TargetId(8), at(12), at(12));
        assert_eq!(heartbeats.own_since(at(10)), [(TARGET, at(10))]);
        assert_eq!(heartbeats.own_since(at(11)), []);
    }

    #[test]
    fn what_nobody_can_use_any_more_is_dropped() {
        let heartbeats = Heartbeats::default();
        let late = at(0) + HeartbeatCheck::PERIOD_MAX + Duration::from_secs(60);
        for id in 0..=KEPT as u64 {
            let now = if id < 1000 { at(0) } else { late };
            heartbeats.note(TargetId(id), now);
        }
        assert_eq!(heartbeats.lock().of.len(), KEPT + 1 - 1000);
    }
}
