//! The last report of each target, and what they mean together.
//!
//! A plain value: who writes to it, and under which lock, is the caller's business. It holds targets that
//! somebody named and no others, one report of each, so it is as large as the zone files are.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::model::Time;
use crate::model::feed::{FeedTarget, Load, LoadReport, Signal, Utilisation};

/// A signal is stale after this many of its intervals.
const STALE_INTERVALS: u32 = 3;

/// The last report of each target in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports {
    latest: HashMap<FeedTarget, Option<Latest>>,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    at: Time,
    signal: Signal,
    highs: u8,
}

impl Reports {
    /// Makes `targets` the ones in use. Reports of those that stay are kept.
    pub(super) fn track(&mut self, targets: impl IntoIterator<Item = FeedTarget>) {
        let targets: HashSet<FeedTarget> = targets.into_iter().collect();
        self.latest.retain(|target, _| targets.contains(target));
        for target in targets {
            self.latest.entry(target).or_default();
        }
    }

    /// Takes note of a report. Returns whether its target is in use; a report of another is dropped.
    pub(super) fn note(&mut self, report: &LoadReport) -> bool {
        let Some(slot) = self.latest.get_mut(&report.target) else { return false };
        let is_high = match report.signal {
            Signal::Load(value) => report.target.spec.has_scale() && value > Utilisation::ONE,
            Signal::Errors(errors) => errors > Utilisation::ZERO,
        };
        let before = slot.map_or(0, |latest| latest.highs);
        let highs = if is_high { before.saturating_add(1) } else { 0 };
        *slot = Some(Latest { at: report.at, signal: report.signal, highs });
        true
    }

    /// What the feeds of one endpoint say together: the largest load and the largest errors of the signals
    /// that are not stale, or of all when all are. `None` when there was no report of any load.
    pub(super) fn load(
        &self,
        targets: impl IntoIterator<Item = FeedTarget>,
        now: Time,
    ) -> Option<Load> {
        let latest = |target: FeedTarget| {
            let latest = (*self.latest.get(&target)?)?;
            let age = now.since(latest.at);
            Some((latest, age, age > target.spec.interval * STALE_INTERVALS))
        };
        let mut all: Vec<(Latest, Duration, bool)> =
            targets.into_iter().filter_map(latest).collect();
        if all.iter().any(|(latest, _, is_stale)| !is_stale && is_load(*latest)) {
            all.retain(|(_, _, is_stale)| !is_stale);
        }
        let loads = || all.iter().filter(|(latest, ..)| is_load(*latest));
        let value = loads().map(|(latest, ..)| value(*latest)).max()?;
        let errors = all.iter().filter(|(latest, ..)| !is_load(*latest));
        Some(Load {
            value,
            errors: errors.map(|(latest, ..)| self::value(*latest)).max().unwrap_or_default(),
            age: loads().map(|(_, age, _)| *age).min().unwrap_or_default(),
            highs: all.iter().map(|(latest, ..)| latest.highs).max().unwrap_or(0),
        })
    }
}

const fn is_load(latest: Latest) -> bool {
    matches!(latest.signal, Signal::Load(_))
}

const fn value(latest: Latest) -> Utilisation {
    match latest.signal {
        Signal::Load(value) | Signal::Errors(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::Arc;

    use super::*;
    use crate::model::feed::{FeedOf, FeedSource, Measure};
    use crate::model::{FeedSpec, Name};

    fn target(feed: &str, measure: Measure) -> FeedTarget {
        let spec = FeedSpec {
            source: FeedSource::Push,
            measure,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
        };
        let [feed, pool, endpoint] = [feed, "eu", "eu-1"].map(str::to_owned);
        FeedTarget {
            spec: Arc::new(spec),
            of: FeedOf::Named { zone: Name::root(), feed, pool, endpoint },
        }
    }

    fn load_feed(name: &str) -> FeedTarget {
        target(name, Measure::Load { limit: NonZeroU64::new(1000) })
    }

    fn error_feed() -> FeedTarget {
        target("errors", Measure::Errors { budget: NonZeroU64::new(10).unwrap() })
    }

    /// Tells `reports` what `target` measured at a second.
    fn tell(reports: &mut Reports, target: &FeedTarget, secs: u64, value: f64) -> bool {
        let signal = target.spec.signal(value).unwrap();
        reports.note(&LoadReport { target: target.clone(), at: Time::from_secs(secs), signal })
    }

    fn millis(load: Option<Load>) -> Option<(u64, u64, u64, u8)> {
        let of = |load: Load| {
            (load.value.as_millis(), load.errors.as_millis(), load.age.as_secs(), load.highs)
        };
        load.map(of)
    }

    #[test]
    fn the_largest_signal_that_is_not_stale_counts() {
        let (a, b, errors) = (load_feed("a"), load_feed("b"), error_feed());
        let all = [a.clone(), b.clone(), errors.clone()];
        let mut reports = Reports::default();
        reports.track(all.clone());
        let load =
            |reports: &Reports, secs| millis(reports.load(all.clone(), Time::from_secs(secs)));
        assert_eq!(load(&reports, 100), None);
        tell(&mut reports, &errors, 100, 0.05);
        assert_eq!(load(&reports, 100), None, "errors alone are no load");
        tell(&mut reports, &a, 100, 0.5);
        tell(&mut reports, &b, 105, 0.7);
        assert_eq!(load(&reports, 110), Some((700, 5000, 5, 1)));
        tell(&mut reports, &a, 130, 0.4);
        assert_eq!(load(&reports, 137), Some((400, 0, 7, 0)), "b and the errors are stale");
        assert_eq!(load(&reports, 200), Some((700, 5000, 70, 1)), "all are");
    }

    #[test]
    fn reports_of_overload_are_counted_in_a_row() {
        let feed = load_feed("a");
        let mut reports = Reports::default();
        reports.track([feed.clone()]);
        let highs = [1.2, 1.1, 1.0, 1.3].map(|value| {
            tell(&mut reports, &feed, 100, value);
            reports.load([feed.clone()], Time::from_secs(100)).unwrap().highs
        });
        assert_eq!(highs, [1, 2, 0, 1]);
        let bare = target("bare", Measure::Load { limit: None });
        reports.track([bare.clone()]);
        tell(&mut reports, &bare, 100, 500.0);
        let load = reports.load([bare], Time::from_secs(100));
        assert_eq!(millis(load), Some((500_000, 0, 0, 0)), "there is no limit to be above");
    }

    #[test]
    fn only_targets_in_use_are_held() {
        let (a, b) = (load_feed("a"), load_feed("b"));
        let mut reports = Reports::default();
        assert!(!tell(&mut reports, &a, 100, 0.5));
        reports.track([a.clone(), b.clone()]);
        assert!(tell(&mut reports, &a, 100, 0.5));
        reports.track([a.clone()]);
        assert!(!tell(&mut reports, &b, 100, 0.5));
        assert_eq!(reports.latest.len(), 1);
        assert!(reports.load([a], Time::from_secs(100)).is_some());
    }
}
