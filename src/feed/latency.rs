//! How busy an endpoint is by how long its probes take.
//!
//! Times differ between endpoints by distance and by what they do, so each is measured against itself:
//! `u = 1 − L₀ / L`, where `L` is the median of the last few probes and `L₀` what that is in the best tenth of
//! the last hours. An endpoint that takes twice as long as in quiet hours is at 0.5.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::model::feed::{FeedOf, FeedSource, FeedTarget, LoadReport, Signal, Utilisation};
use crate::model::health::ProbeOutcome;
use crate::model::{Observation, TargetHost, Time};

/// `L` is the median of so many.
const RECENT_MAX: usize = 9;
/// So many medians are remembered, one an interval: two hours of ten seconds.
const MEDIANS_MAX: usize = 720;

/// The response times of all hosts that some feed goes by.
#[derive(Debug, Default)]
pub(super) struct ResponseTimes {
    hosts: HashMap<TargetHost, Vec<Followed>>,
}

/// One feed of one host.
#[derive(Debug)]
struct Followed {
    target: FeedTarget,
    times: Times,
}

#[derive(Debug, Default)]
struct Times {
    /// In microseconds.
    recent: VecDeque<u64>,
    medians: VecDeque<u64>,
    reported_at: Option<Time>,
}

impl ResponseTimes {
    /// Makes `targets` the ones in use; those of other feeds are passed over. What is remembered of those
    /// that stay is kept. Returns whether there are any.
    pub(super) fn track(&mut self, targets: impl IntoIterator<Item = FeedTarget>) -> bool {
        let mut before = std::mem::take(&mut self.hosts);
        for target in targets {
            let FeedOf::Host(host) = &target.of else { continue };
            if target.spec.source != FeedSource::ResponseTime {
                continue;
            }
            let followed = self.hosts.entry(host.clone()).or_default();
            if followed.iter().any(|followed| followed.target == target) {
                continue;
            }
            let known = before.get_mut(host).and_then(|known| {
                let at = known.iter().position(|known| known.target == target)?;
                Some(known.swap_remove(at).times)
            });
            followed.push(Followed { target, times: known.unwrap_or_default() });
        }
        !self.hosts.is_empty()
    }

    /// Takes note of a probe's result. Returns the reports that are due. Failures say nothing about how
    /// busy a target is.
    pub(super) fn observe(&mut self, observation: &Observation) -> Vec<LoadReport> {
        let (ProbeOutcome::Success(took) | ProbeOutcome::Flawed(took, _)) = observation.outcome
        else {
            return Vec::new();
        };
        let Some(followed) = self.hosts.get_mut(&observation.target.host) else {
            return Vec::new();
        };
        let at = observation.at;
        let report = |followed: &mut Followed| {
            let load = followed.times.observe(at, took, followed.target.spec.interval)?;
            Some(LoadReport { target: followed.target.clone(), at, signal: Signal::Load(load) })
        };
        followed.iter_mut().filter_map(report).collect()
    }
}

impl Times {
    fn observe(&mut self, at: Time, took: Duration, interval: Duration) -> Option<Utilisation> {
        // A probe that took no measurable time must not make all others look slow.
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        push(&mut self.recent, took, RECENT_MAX);
        if self.reported_at.is_some_and(|reported| at.since(reported) < interval) {
            return None;
        }
        self.reported_at = Some(at);
        let median = part(&self.recent, 2);
        push(&mut self.medians, median, MEDIANS_MAX);
        let best = part(&self.medians, 10).min(median);
        let millis = 1000 - u128::from(best) * 1000 / u128::from(median);
        Some(Utilisation::from_millis(u64::try_from(millis).unwrap_or(0)))
    }
}

fn push(ring: &mut VecDeque<u64>, value: u64, max: usize) {
    if ring.len() == max {
        ring.pop_front();
    }
    ring.push_back(value);
}

/// What stands at the `n`th part of the values in order: the median for 2. There is at least one value.
fn part(values: &VecDeque<u64>, n: usize) -> u64 {
    let mut values: Vec<u64> = values.iter().copied().collect();
    let at = values.len() / n;
    *values.select_nth_unstable(at).1
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::feed::Measure;
    use crate::model::health::LocalError;
    use crate::model::{CheckKind, CheckSpec, FailureReason, FeedSpec, Target};

    const TEN: Duration = Duration::from_secs(10);

    fn followed(host: &str) -> FeedTarget {
        let measure = Measure::Load { limit: None };
        let source = FeedSource::ResponseTime;
        let spec = FeedSpec { source, measure, interval: TEN, timeout: TEN };
        let of = FeedOf::Host(TargetHost::Address(host.parse().unwrap()));
        FeedTarget { spec: Arc::new(spec), of }
    }

    fn probe(host: &str, secs: u64, outcome: ProbeOutcome) -> Observation {
        let spec = CheckSpec { timeout: TEN, ..CheckSpec::new(CheckKind::Tcp, 80) };
        let host = TargetHost::Address(host.parse().unwrap());
        let target = Target { host, spec: Arc::new(spec) };
        Observation { target, at: Time::from_secs(secs), outcome, round_trip: None }
    }

    /// The loads reported of a host whose probes take so many milliseconds, one every ten seconds.
    fn loads(millis: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut times = ResponseTimes::default();
        times.track([followed("192.0.2.1")]);
        let mut loads = Vec::new();
        for (n, millis) in (1..).zip(millis) {
            let outcome = ProbeOutcome::Success(Duration::from_millis(millis));
            for report in times.observe(&probe("192.0.2.1", 10 * n, outcome)) {
                let Signal::Load(load) = report.signal else { panic!("{report:?}") };
                loads.push(load.as_millis());
            }
        }
        loads
    }

    #[test]
    fn a_host_is_measured_against_its_own_quiet_hours() {
        let quiet = [20; 60];
        assert_eq!(*loads(quiet).last().unwrap(), 0);
        let busy = quiet.into_iter().chain([40; 10]);
        assert_eq!(*loads(busy).last().unwrap(), 500);
        let far = [200; 60].into_iter().chain([400; 10]);
        assert_eq!(*loads(far).last().unwrap(), 500);
        let one_slow_probe = quiet.into_iter().chain([2000, 20]);
        assert_eq!(*loads(one_slow_probe).last().unwrap(), 0);
    }

    #[test]
    fn after_a_while_slow_is_the_new_normal() {
        let moved = [20; 60].into_iter().chain([40; MEDIANS_MAX]);
        assert_eq!(*loads(moved).last().unwrap(), 0);
    }

    #[test]
    fn failures_others_and_what_comes_too_soon_give_no_report() {
        let mut times = ResponseTimes::default();
        times.track([followed("192.0.2.1")]);
        let success = ProbeOutcome::Success(Duration::ZERO);
        let mut count = |host, secs, outcome| times.observe(&probe(host, secs, outcome)).len();
        assert_eq!(count("192.0.2.1", 10, success), 1);
        assert_eq!(count("192.0.2.1", 15, success), 0);
        assert_eq!(count("192.0.2.1", 20, success), 1);
        assert_eq!(count("192.0.2.2", 30, success), 0);
        assert_eq!(count("192.0.2.1", 30, ProbeOutcome::Failure(FailureReason::Timeout)), 0);
        assert_eq!(count("192.0.2.1", 30, ProbeOutcome::LocalError(LocalError::Other)), 0);
    }

    #[test]
    fn what_stays_in_use_keeps_its_memory() {
        let mut times = ResponseTimes::default();
        times.track([followed("192.0.2.1")]);
        let took = |millis| ProbeOutcome::Success(Duration::from_millis(millis));
        (1..20).for_each(|n| drop(times.observe(&probe("192.0.2.1", 10 * n, took(10)))));
        times.track([followed("192.0.2.2"), followed("192.0.2.1"), followed("192.0.2.1")]);
        let loads: Vec<LoadReport> =
            (20..30).flat_map(|n| times.observe(&probe("192.0.2.1", 10 * n, took(20)))).collect();
        assert_eq!(loads.len(), 10);
        assert_eq!(loads[9].signal, Signal::Load(Utilisation::from_millis(500)));
    }
}
