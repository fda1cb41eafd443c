//! What operators mean by the names of regions, pools and endpoints, which pools wait for them, what names
//! depend on, and to which regions round trips matter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Snapshot;
use crate::model::diagnostic::closest;
use crate::model::topology::{BranchTo, Failback, Outage, Policy};
use crate::model::{
    Name, PoolId, RegionId, RegionKey, Steer, SteerId, Subject, Target, TargetId, Time, Zone,
};
use crate::steer::{Outline, PoolPast};

/// A pool that is usable again and not used yet by some steers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingPool {
    /// The apex of its zone.
    pub zone: Name,
    /// Its name.
    pub pool: String,
    /// Since when it has been usable.
    pub since: Time,
    /// The names that wait for it, and for how long still; `None` for an operator.
    pub steers: Vec<(Name, Option<Duration>)>,
}

impl Snapshot {
    /// What a word means in the zone that answers for `name`: see [`Zone::outages_named`].
    ///
    /// # Errors
    /// When it means nothing there, with what it might have meant.
    pub fn outages_named(&self, name: &Name, word: &str) -> Result<Vec<Outage>, String> {
        let own = self.zones().iter().filter(|zone| name.is_at_or_below(&zone.apex));
        let Some(zone) = own.max_by_key(|zone| zone.apex.label_count()) else {
            return Err(format!("no zone here answers for {name}"));
        };
        let outages = zone.outages_named(word);
        if outages.is_empty() { Err(means_nothing(&[zone], word)) } else { Ok(outages) }
    }

    /// What a word means in `zone`, or in whichever zones it means something. A region is meant in all
    /// zones that have it; a pool or an endpoint must be in one.
    ///
    /// # Errors
    /// When it means nothing, with what it might have meant, or more than one thing.
    pub fn subjects_named(
        &self,
        zone: Option<&Name>,
        word: &str,
    ) -> Result<Vec<(Name, Subject)>, String> {
        let zones = self.zones_named(zone)?;
        let mut meant = Vec::new();
        for zone in &zones {
            let outages = zone.outages_named(word);
            let subjects = outages.iter().map(|outage| Subject::named(zone, *outage));
            let subjects: Vec<Subject> = subjects.collect();
            if let [_, _, ..] = subjects[..] {
                let all = subjects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(format!("`{word}` is in several pools: say which of {all}"));
            }
            meant.extend(subjects.into_iter().map(|subject| (zone.apex.clone(), subject)));
        }
        if meant.is_empty() {
            return Err(means_nothing(&zones, word));
        }
        one_zone_unless_region(word, &meant)?;
        Ok(meant)
    }

    fn zones_named(&self, zone: Option<&Name>) -> Result<Vec<&Zone>, String> {
        let Some(apex) = zone else { return Ok(self.zones().iter().map(|zone| &**zone).collect()) };
        if let Some(zone) = self.zones().iter().find(|zone| zone.apex == *apex) {
            return Ok(vec![zone]);
        }
        let apexes: Vec<String> = self.zones().iter().map(|zone| zone.apex.to_string()).collect();
        let hint = did_you_mean(&apex.to_string(), apexes.iter().map(String::as_str));
        Err(format!("no zone here is `{apex}`{hint}"))
    }

    /// How far away regions are from groups of vantages, as answers go by it: group, zone, region and round trip.
    pub fn round_trips(&self) -> impl Iterator<Item = (&str, &Name, &str, Duration)> {
        let by_latency =
            |zone: &&Arc<Zone>| zone.steers.iter().any(|steer| steer.policy == Policy::Latency);
        let zones = self.zones().iter().filter(by_latency);
        let named: HashMap<RegionKey, (&Name, &str)> =
            zones.flat_map(|zone| keyed_regions(zone)).collect();
        let groups = self.reach.round_trips.iter();
        let all = groups.flat_map(|(group, all)| {
            all.iter().map(move |(region, took)| (&**group, *region, *took))
        });
        all.filter_map(move |(group, region, took)| {
            let (zone, region) = *named.get(&region)?;
            Some((group, zone, region, took))
        })
    }

    /// The pools that are usable again while some steers do not use them yet.
    #[must_use]
    pub fn waiting(&self, now: Time) -> Vec<WaitingPool> {
        let of_zone = |(place, zone): (usize, &Arc<Zone>)| {
            let past: Vec<PoolPast> = self.scene(place).past().collect();
            let waiting = past.into_iter().enumerate().filter_map(|(n, past)| {
                let PoolPast::Back { since, is_released: false } = past else { return None };
                let steers = steers_waiting(zone, PoolId::new(n), now.since(since));
                let (zone, pool) = (zone.apex.clone(), zone.pools[n].name.clone());
                (!steers.is_empty()).then_some(WaitingPool { zone, pool, since, steers })
            });
            waiting.collect::<Vec<_>>()
        };
        self.zones().iter().enumerate().flat_map(of_zone).collect()
    }
}

fn keyed_regions(zone: &Zone) -> impl Iterator<Item = (RegionKey, (&Name, &str))> {
    let key = |region| (RegionKey::new(&zone.apex, region), (&zone.apex, region));
    zone.regions.iter().map(|region| region.name.as_str()).map(key)
}

/// What is meant in several zones must be a region.
///
/// # Errors
/// When it is not, with the zones.
pub fn one_zone_unless_region(word: &str, meant: &[(Name, Subject)]) -> Result<(), String> {
    let are_regions = meant.iter().all(|(_, subject)| matches!(subject, Subject::Region(_)));
    if meant.len() <= 1 || are_regions {
        return Ok(());
    }
    let zones = meant.iter().map(|(zone, _)| zone.to_string()).collect::<Vec<_>>().join(", ");
    Err(format!("`{word}` is in several zones: say which of {zones}"))
}

fn means_nothing(zones: &[&Zone], word: &str) -> String {
    let regions = zones.iter().flat_map(|zone| &zone.regions).map(|region| &*region.name);
    let pools = zones.iter().flat_map(|zone| &zone.pools).map(|pool| &*pool.name);
    let endpoints = zones.iter().flat_map(|zone| &zone.endpoints).map(|one| &*one.name);
    let hint = did_you_mean(word, regions.chain(pools).chain(endpoints));
    let place = if let [zone] = zones { zone.apex.to_string() } else { "any zone".to_owned() };
    format!("`{word}` is no region, pool or endpoint of {place}{hint}")
}

fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let meant = closest(word, known);
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

/// The steers that do not use a pool yet which has been usable for `gone`, and for how long still.
fn steers_waiting(zone: &Zone, pool: PoolId, gone: Duration) -> Vec<(Name, Option<Duration>)> {
    let leads_there =
        |steer: &&Steer| steer.branches.iter().any(|branch| branch.to == BranchTo::Pool(pool));
    let waits = |steer: &Steer| match steer.failback {
        Failback::Auto => None,
        Failback::Delayed(hold) if gone >= hold => None,
        Failback::Delayed(hold) => Some((steer.owner.clone(), Some(hold - gone))),
        Failback::Manual => Some((steer.owner.clone(), None)),
    };
    zone.steers.iter().filter(leads_there).filter_map(waits).collect()
}

/// The regions between which the steers of some zones choose by round trips, with the targets in each by their
/// ids.
#[must_use]
pub fn surveyed_regions(zones: &[Arc<Zone>]) -> Vec<(RegionKey, Vec<TargetId>)> {
    let of_zone = |zone: &Arc<Zone>| {
        let steers = zone.steers.iter().enumerate();
        let by_latency = steers.filter(|(_, steer)| steer.policy == Policy::Latency);
        let pools = by_latency.flat_map(|(n, _)| {
            let outline = Outline::new(zone, SteerId::new(n));
            outline.leaves().to_vec()
        });
        let mut regions: BTreeMap<RegionId, BTreeSet<TargetId>> = BTreeMap::new();
        for pool in pools.collect::<BTreeSet<_>>() {
            let own = regions.entry(zone.pools[pool.index()].region).or_default();
            for (id, _) in zone.endpoints_of(pool) {
                own.extend(zone.targets_of(id).probed().iter().map(Target::id));
            }
        }
        let key = |id: RegionId| RegionKey::new(&zone.apex, &zone.regions[id.index()].name);
        let all = regions.into_iter().map(|(id, own)| (key(id), own.into_iter().collect()));
        all.collect::<Vec<_>>()
    };
    zones.iter().flat_map(of_zone).collect()
}

/// The targets that each steered name of some zones depends on, by their ids.
#[must_use]
pub fn records_of(zones: &[Arc<Zone>]) -> Vec<Vec<TargetId>> {
    let of_steer = |zone: &Zone, place: usize| {
        let outline = Outline::new(zone, SteerId::new(place));
        let endpoints = outline.pools_in_play(zone).flat_map(|pool| zone.endpoints_of(pool));
        let mut ids = Vec::new();
        for (id, _) in endpoints {
            ids.extend(zone.targets_of(id).probed().iter().map(Target::id));
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let of_zone = |zone: &Arc<Zone>| {
        let steered = zone.steered().map(|(place, _)| of_steer(zone, place));
        steered.collect::<Vec<_>>()
    };
    zones.iter().flat_map(of_zone).collect()
}
