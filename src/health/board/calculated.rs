//! Targets that nobody probes: their verdicts follow from those of others.
//!
//! Each is judged anew when one changes that it is made of. What is known of it is kept all the same, so that a
//! change of it is known for one, and told like any other.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use super::{Board, Recounted};
use crate::model::{CheckKind, Target, TargetHealth, Time, Transition};

/// What is known of targets that nobody probes.
#[derive(Debug, Default)]
pub(super) struct Calculated {
    known: DashMap<Target, TargetHealth>,
    /// By target that is probed: those whose verdicts are made of it.
    users: Mutex<Arc<HashMap<Target, Vec<Target>>>>,
}

/// What is known of one target that nobody probes, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CalculatedStatus {
    /// Which.
    pub target: Target,
    /// The verdict, since when, and how soon it could change.
    pub health: TargetHealth,
    /// What it is made of, in words: `1 of 2 hold, 2 needed: web up, database down`.
    pub evidence: String,
}

impl Calculated {
    pub(super) fn health(&self, target: &Target) -> Option<TargetHealth> {
        self.known.get(target).map(|health| *health)
    }

    fn users(&self) -> Arc<HashMap<Target, Vec<Target>>> {
        Arc::clone(&self.users.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Board {
    /// Makes `targets`, which nobody probes, the ones in use.
    pub(super) fn track_calculated(&self, targets: &HashSet<&Target>, now: Time) {
        let Calculated { known, users } = &self.calculated;
        let mut by_probed: HashMap<Target, Vec<Target>> = HashMap::new();
        for &target in targets {
            for probed in target.probed().into_iter().collect::<HashSet<_>>() {
                by_probed.entry(probed).or_default().push(target.clone());
            }
        }
        *users.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(by_probed);
        known.retain(|target, _| targets.contains(target));
        for &target in targets {
            let health = self.judge(target);
            let since = if health.since == Time::ZERO { now } else { health.since };
            known.entry(target.clone()).or_insert(TargetHealth { since, ..health });
        }
        self.recalculate(targets.iter().copied());
    }

    /// Judges anew what is made of any of `changed`, and says what has changed by that.
    pub fn follow<'a>(&self, changed: impl IntoIterator<Item = &'a Target>) -> Vec<Recounted> {
        let users = self.calculated.users();
        if users.is_empty() {
            return Vec::new();
        }
        let used = changed.into_iter().filter_map(|target| users.get(target)).flatten();
        self.recalculate(used.collect::<HashSet<_>>())
    }

    /// Judges all of them anew.
    pub(super) fn follow_all(&self) -> Vec<Recounted> {
        let all: Vec<Target> =
            self.calculated.known.iter().map(|slot| slot.key().clone()).collect();
        self.recalculate(&all)
    }

    fn recalculate<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Vec<Recounted> {
        let one = |target: &'a Target| {
            // Under its lock, so that whoever judges last has seen the latest.
            let mut slot = self.calculated.known.get_mut(target)?;
            let (before, now) = (*slot, self.judge(target));
            let (from, to) = (before.verdict, now.verdict);
            let since = if from == to { before.since } else { now.since };
            let health = TargetHealth { since, ..now };
            *slot = health;
            drop(slot);
            let transition = (from != to).then(|| {
                let why = self.evidence(target);
                Transition { target: target.clone(), from, to, at: since, why }
            });
            (health != before).then(|| Recounted { target: target.clone(), transition })
        };
        targets.into_iter().filter_map(one).collect()
    }

    fn judge(&self, target: &Target) -> TargetHealth {
        target.health_by(&|probed| self.health(probed))
    }

    fn evidence(&self, target: &Target) -> String {
        match &target.spec.kind {
            CheckKind::Calculated(formula) => {
                formula.evidence(&target.host, &|probed| self.health(probed)).to_string()
            }
            _ => "fixed by the zone file".to_owned(),
        }
    }

    /// All that is known of targets that nobody probes, in no order.
    #[must_use]
    pub fn calculated(&self) -> Vec<CalculatedStatus> {
        let all = self.calculated.known.iter().map(|slot| (slot.key().clone(), *slot));
        // Not while it holds any lock.
        let all: Vec<(Target, TargetHealth)> = all.collect();
        let status = |(target, health)| {
            let evidence = self.evidence(&target);
            CalculatedStatus { target, health, evidence }
        };
        all.into_iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests;
