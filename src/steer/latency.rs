//! Regions by round-trip times: those that somebody has imported, those that distance makes likely, and what
//! groups of vantages find beside.
//!
//! | a region | takes, of a client near a group |
//! |---|---|
//! | of which an entry of `[rtt]` that names the client tells | what the entry says |
//! | that the group has measured | what distance makes likely for the client, and as much more or less as the group finds for itself |
//! | any other | what distance makes likely, and as much more as the group finds at the median over those that it has measured; never less |
//!
//! The group's figure is not taken as it is, with the way from client to group before it. Most clients do not
//! lie behind their group: that way would count twice for a region on their own side, and all that tells two
//! regions apart would be what tells them apart for the group. What carries over to clients around it is by how
//! much the network is better or worse than distance says: a path that is overloaded, or leads around.
//!
//! A region that nobody has measured must not look better for that, so it is taken to be no better than
//! distance, and as bad as the group's others usually are.

use std::time::Duration;

use super::outline::{Outline, rtts_of};
use super::prefer::{Evidence, specificity};
use crate::model::topology::{Policy, RttEntry};
use crate::model::{RegionId, Zone};

/// One region is put before another that is nearer by distance, or by `[rtt]`, when it takes less by this ...
const GAIN: Duration = Duration::from_millis(10);
/// ... and by so many percent of the other's: less is noise, and costs connections and caches.
const GAIN_PERCENT: u128 = 15;

/// What is taken for the round-trip time to a region, and the entry that says so; `None` for one that is
/// worked out from the distance.
pub type Rtt = (Duration, Option<usize>);

/// What distance makes likely: a millisecond for 65 kilometres, as it is on average between large cities.
#[must_use]
pub fn likely(kilometres: f64) -> Duration {
    const MICROS_PER_KM: f64 = 1000.0 / 65.0;
    Duration::from_secs_f64(kilometres * MICROS_PER_KM / 1e6)
}

/// The round-trip times between a client and the regions of a zone, as far as the rule goes by any: none
/// where no steer does.
#[must_use]
pub fn times_of(zone: &Zone, outline: &Outline, evidence: &Evidence<'_>) -> Vec<Option<Rtt>> {
    let both = outline.nodes().iter().zip(outline.steers(zone));
    let first = { both }.find(|(_, steer)| steer.policy == Policy::Latency);
    let Some((node, steer)) = first else { return Vec::new() };
    let subnets = node.subnets(steer, evidence.subnets).of_rtts;
    rtts(rtts_of(zone, steer), evidence, subnets, zone.regions.len())
}

/// The round-trip time between a client and each region, as far as anything is known. The most specific
/// entry that names client and region counts; what is not measured is what distance makes [`likely`].
#[must_use]
pub(crate) fn rtts(
    entries: &[RttEntry],
    evidence: &Evidence<'_>,
    subnets: &[bool],
    regions: usize,
) -> Vec<Option<Rtt>> {
    let by_distance = |n: usize| Some((likely(*evidence.kilometres.get(n)?), None));
    let mut times: Vec<Option<Rtt>> = (0..regions).map(by_distance).collect();
    let mut best: Vec<Option<(u8, u8)>> = vec![None; regions];
    for (n, entry) in entries.iter().enumerate() {
        let is_within = subnets.get(n).copied().unwrap_or(false);
        let Some(own) = specificity(&entry.clients, evidence.location, is_within) else { continue };
        for (region, time) in &entry.times {
            if best[region.index()].is_none_or(|best| best < own) {
                best[region.index()] = Some(own);
                times[region.index()] = Some((*time, Some(n)));
            }
        }
    }
    times
}

/// The trip to a region, as far as it is known without vantages: a client's, or a class's on average.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trip {
    /// How long a round trip takes.
    pub time: Duration,
    /// Whether `[rtt]` says so.
    pub is_told: bool,
}

/// What a group of vantages finds of the trips to the regions of a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// By region, in nanoseconds: by how much more, or less, a round trip takes from the group than distance
    /// makes likely. None where it has not measured it.
    beside: Vec<Option<i64>>,
    /// The same of the others.
    elsewhere: i64,
}

impl Found {
    /// What a group finds that is so far from each region and has `measured` so much; `None` when it has measured
    /// nothing.
    #[must_use]
    pub fn new(kilometres: &[f64], measured: &[Option<Duration>]) -> Option<Self> {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let both = kilometres.iter().zip(measured);
        let beside: Vec<Option<i64>> =
            both.map(|(km, took)| Some(nanos((*took)?) - nanos(likely(*km)))).collect();
        let mut known: Vec<i64> = beside.iter().flatten().copied().collect();
        known.sort_unstable();
        let median = known.get(known.len().checked_sub(1)? / 2)?;
        Some(Self { elsewhere: (*median).max(0), beside })
    }

    /// Whether the group has measured a region.
    #[must_use]
    pub fn has_measured(&self, region: RegionId) -> bool {
        self.beside.get(region.index()).is_some_and(Option::is_some)
    }

    /// How long a round trip to a region takes that of itself is `trip`.
    #[must_use]
    pub fn time(&self, region: RegionId, trip: Trip) -> Duration {
        if trip.is_told {
            return trip.time;
        }
        let beside = self.beside.get(region.index()).copied().flatten().unwrap_or(self.elsewhere);
        let size = Duration::from_nanos(beside.unsigned_abs());
        if beside < 0 { trip.time.saturating_sub(size) } else { trip.time + size }
    }

    /// Regions in the order in which clients want them, who have these `trips`, by region. A region that was
    /// behind another comes before it when that is worth it.
    #[must_use]
    pub fn quickest_first(&self, trips: &[Trip]) -> Vec<RegionId> {
        let mut left: Vec<RegionId> = (0..trips.len()).map(RegionId::new).collect();
        left.sort_by_key(|region| trips[region.index()].time);
        let time = |region: RegionId| self.time(region, trips[region.index()]);
        let mut order = Vec::with_capacity(left.len());
        while let Some(first) = left.first().copied() {
            let quickest = left.iter().copied().min_by_key(|region| time(*region)).unwrap_or(first);
            let gain = time(first).saturating_sub(time(quickest));
            let is_worth_it =
                gain >= GAIN && gain.as_nanos() * 100 >= time(first).as_nanos() * GAIN_PERCENT;
            let next = if is_worth_it { quickest } else { first };
            left.retain(|region| *region != next);
            order.push(next);
        }
        order
    }
}
