//! How far away regions are from here, in round trips.
//!
//! A round trip is how long a connection took to open, or an echo to come back: a matter of the network, and not
//! of what runs at its other end. Most of what makes one longer than another passes; so what is told of a region
//! is seldom another, and only when that lasts.
//!
//! ```text
//! each target    the least of its last 5 round trips      once there are 3, and the last is no older than 10 min
//! each region    the median over its targets, the lower of two
//! what is told   that, when it has been off by more than a tenth and 2 ms for 1 min (longer) or 5 min (shorter)
//! ```
//!
//! So who is told of it moves away from what has become far within two minutes, and comes back when it has been
//! near for five.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::model::{RegionKey, TargetId, Time};

/// Round trips of a target that are remembered.
const RECENT: usize = 5;
/// Fewer tell nothing.
const ENOUGH: usize = 3;
/// What was seen longer ago tells nothing.
const AGE_MAX: Duration = Duration::from_secs(600);
/// What is less off than this, or than a tenth, is the same.
const SAME: Duration = Duration::from_millis(2);
/// For so long a region must have been farther away than is told of it ...
const LONGER_FOR: Duration = Duration::from_secs(60);
/// ... or nearer.
const SHORTER_FOR: Duration = Duration::from_secs(300);

/// What is known of the regions of some zones.
#[derive(Debug, Default)]
pub struct Survey {
    targets: HashMap<TargetId, Recent>,
    regions: BTreeMap<RegionKey, Region>,
}

#[derive(Clone, Debug, Default)]
struct Region {
    targets: Vec<TargetId>,
    told: Option<Duration>,
    /// What is seen is off: whether it is longer, and since when.
    off: Option<(bool, Time)>,
}

/// The last round trips of a target.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    took: [Duration; RECENT],
    /// How many there have been.
    count: usize,
    last: Time,
}

impl Survey {
    /// Makes `regions`, with the targets in each, those that are surveyed. What is known of those that were
    /// before stays.
    pub fn use_regions(&mut self, regions: &[(RegionKey, Vec<TargetId>)]) {
        let mut before = std::mem::take(&mut self.regions);
        let targets = regions.iter().flat_map(|(_, targets)| targets);
        let known = |id: &TargetId| (*id, self.targets.get(id).copied().unwrap_or_default());
        self.targets = targets.map(known).collect();
        for (key, targets) in regions {
            let known = before.remove(key).unwrap_or_default();
            self.regions.insert(*key, Region { targets: targets.clone(), ..known });
        }
    }

    /// Whether nobody wants to know of any region.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Takes in how long a round trip to a target took.
    pub fn note(&mut self, target: TargetId, took: Duration, now: Time) {
        let Some(recent) = self.targets.get_mut(&target) else { return };
        if now.since(recent.last) > AGE_MAX {
            recent.count = 0;
        }
        recent.took[recent.count % RECENT] = took;
        (recent.count, recent.last) = (recent.count + 1, now);
    }

    /// What there is to tell of each region. To be asked often, by the same clock as `note`.
    pub fn tell(&mut self, now: Time) -> Vec<(RegionKey, Duration)> {
        let targets = &self.targets;
        let told = self.regions.iter_mut().filter_map(|(key, region)| {
            let seen = region.targets.iter().filter_map(|id| targets.get(id)?.least(now));
            region.look(median(seen.collect()), now);
            Some((*key, region.told?))
        });
        told.collect()
    }
}

impl Region {
    fn look(&mut self, seen: Option<Duration>, now: Time) {
        let (Some(seen), Some(told)) = (seen, self.told) else {
            (self.told, self.off) = (seen, None);
            return;
        };
        let is_longer = seen > told;
        let since = match self.off {
            _ if seen.abs_diff(told) <= SAME.max(told / 10) => {
                self.off = None;
                return;
            }
            Some((was_longer, since)) if was_longer == is_longer => since,
            Some(_) | None => now,
        };
        self.off = Some((is_longer, since));
        if now.since(since) >= (if is_longer { LONGER_FOR } else { SHORTER_FOR }) {
            (self.told, self.off) = (Some(seen), None);
        }
    }
}

impl Recent {
    fn least(&self, now: Time) -> Option<Duration> {
        let took = &self.took[..self.count.min(RECENT)];
        let is_known = took.len() >= ENOUGH && now.since(self.last) <= AGE_MAX;
        took.iter().min().copied().filter(|_| is_known)
    }
}

/// The middle one, or the lower of the two in the middle.
pub(super) fn median(mut all: Vec<Duration>) -> Option<Duration> {
    all.sort_unstable();
    let middle = all.len().checked_sub(1)? / 2;
    Some(all[middle])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REGION: RegionKey = RegionKey(1);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A survey of one region with targets 0, 1 and 2.
    fn survey() -> Survey {
        let mut survey = Survey::default();
        survey.use_regions(&[(REGION, (0..3).map(TargetId).collect())]);
        survey
    }

    /// Probes all three every ten seconds, `from` to `to`; when another figure was told, and which.
    fn play(
        survey: &mut Survey,
        from: u64,
        to: u64,
        took: impl Fn(u64, u64) -> u64,
    ) -> Vec<(u64, u64)> {
        let (mut told, mut before) = (Vec::new(), survey.regions[&REGION].told);
        for secs in (from..to).step_by(10) {
            let now = Time::from_secs(secs);
            (0..3).for_each(|id| survey.note(TargetId(id), millis(took(id, secs)), now));
            let found = survey.tell(now).first().map(|(_, figure)| *figure);
            if found != before {
                told.push((
                    secs,
                    found.map_or(0, |found| u64::try_from(found.as_millis()).unwrap()),
                ));
                before = found;
            }
        }
        told
    }

    #[test]
    fn the_median_of_the_least_is_told_once_there_is_enough() {
        let mut survey = survey();
        let took = |id: u64, secs: u64| [20, 25, 90][usize::try_from(id).unwrap()] + secs % 20;
        assert_eq!(play(&mut survey, 1000, 1100, took), [(1020, 25)]);
    }

    #[test]
    fn a_path_that_becomes_slow_is_told_of_after_a_minute_and_one_that_recovers_after_five() {
        let mut survey = survey();
        assert_eq!(play(&mut survey, 0, 100, |_, _| 20), [(20, 20)]);
        // Five probes until none of the last five was quick, then a minute.
        assert_eq!(play(&mut survey, 100, 400, |_, _| 300), [(200, 300)]);
        assert_eq!(play(&mut survey, 400, 1000, |_, _| 20), [(700, 20)]);
    }

    #[test]
    fn what_does_not_last_or_is_little_is_not_told() {
        let mut survey = survey();
        assert_eq!(play(&mut survey, 0, 100, |_, _| 20).len(), 1);
        let is_burst = |secs: u64| secs % 200 < 90;
        let bursts = |_, secs| if is_burst(secs) { 300 } else { 20 };
        assert_eq!(
            play(&mut survey, 100, 5000, bursts),
            [],
            "slow for a minute and a half at a time"
        );
        assert_eq!(play(&mut survey, 5000, 6000, |_, secs| 18 + secs / 10 % 5), []);
        assert_eq!(
            play(&mut survey, 6000, 7000, |id, _| if id == 0 { 900 } else { 20 }),
            [],
            "one of three"
        );
    }

    #[test]
    fn what_nobody_has_seen_for_long_is_told_no_more_and_begins_anew() {
        let mut survey = survey();
        assert_eq!(play(&mut survey, 0, 100, |_, _| 20).len(), 1);
        assert_eq!(survey.tell(Time::from_secs(690)).len(), 1);
        assert_eq!(survey.tell(Time::from_secs(691)), []);
        assert_eq!(play(&mut survey, 800, 900, |_, _| 80), [(820, 80)]);
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_what_is_still_wanted() {
        let mut survey = survey();
        play(&mut survey, 0, 100, |_, _| 20);
        survey.use_regions(&[(RegionKey(2), vec![TargetId(2)]), (REGION, vec![TargetId(1)])]);
        let told = survey.tell(Time::from_secs(100));
        assert_eq!(told, [(REGION, millis(20)), (RegionKey(2), millis(20))]);
        assert!(!survey.targets.contains_key(&TargetId(0)));
        survey.use_regions(&[]);
        assert!(survey.is_empty() && survey.tell(Time::from_secs(100)).is_empty());
    }

    proptest! {
        /// Whatever comes, what is told changes at most once a minute, and is within a tenth of what was seen.
        #[test]
        fn what_is_told_is_calm(took in prop::collection::vec(1_u64..1000, 300)) {
            let mut survey = survey();
            let at = |secs: u64| took[usize::try_from(secs / 10).unwrap()];
            let told = play(&mut survey, 0, 3000, |_, secs| at(secs));
            for two in told.windows(2) {
                prop_assert!(two[1].0 - two[0].0 >= 60, "{:?}", told);
            }
            for (secs, figure) in told {
                prop_assert!((0..RECENT as u64).any(|n| secs >= n * 10 && at(secs - n * 10) == figure));
            }
        }
    }
}
