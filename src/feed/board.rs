//! Everything that is known of load, and the weights that follow from it: shared by those who report, who
//! compile answers, who write down what is known and who ask for it.
//!
//! Locks are held for a moment and never by the query path.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::latency::ResponseTimes;
use super::reports::Reports;
use crate::clock::Moment;
use crate::model::feed::{FeedTarget, Load, LoadReport};
use crate::model::{EndpointId, Name, Observation, Time, Zone};
use crate::snapshot::Snapshot;
use crate::steer::{LoadControl, LoadWeights, SavedControl, Split};

/// What is known of load.
#[derive(Debug, Default)]
pub struct LoadBoard {
    heard: Mutex<Heard>,
    /// Whether any feed goes by the probes' own times: most nodes need not take the lock for each probe.
    is_timing: AtomicBool,
    controls: Mutex<Controls>,
}

#[derive(Debug, Default)]
struct Heard {
    reports: Reports,
    times: ResponseTimes,
}

#[derive(Debug, Default)]
struct Controls {
    /// By the zone's apex; the zone is the one that it was made for.
    by_zone: HashMap<Name, (Arc<Zone>, LoadControl)>,
    /// From an earlier life, for zones that are not there yet.
    saved: HashMap<Name, Vec<SavedControl>>,
}

impl LoadBoard {
    /// Takes over the controllers of an earlier life.
    #[must_use]
    pub fn restored(saved: HashMap<Name, Vec<SavedControl>>) -> Self {
        let board = Self::default();
        lock(&board.controls).saved = saved;
        board
    }

    /// Makes the feeds of `zones` the ones in use and returns their targets. What is known of feeds and
    /// controllers that stay is kept.
    pub fn use_zones(&self, zones: &[Arc<Zone>]) -> HashSet<FeedTarget> {
        let targets: HashSet<FeedTarget> = zones.iter().flat_map(|zone| targets_of(zone)).collect();
        let mut heard = lock(&self.heard);
        heard.reports.track(targets.iter().cloned());
        let is_timing = heard.times.track(targets.iter().cloned());
        self.is_timing.store(is_timing, Ordering::Relaxed);
        drop(heard);
        lock(&self.controls).use_zones(zones);
        targets
    }

    /// Takes note of how long a probe took.
    pub fn observe(&self, observation: &Observation) {
        if self.is_timing.load(Ordering::Relaxed) {
            let mut heard = lock(&self.heard);
            for report in heard.times.observe(observation) {
                heard.reports.note(&report);
            }
        }
    }

    /// Takes note of a report. Returns whether anything goes by it.
    pub fn note(&self, report: &LoadReport) -> bool {
        lock(&self.heard).reports.note(report)
    }

    /// What is known of an endpoint's load.
    #[must_use]
    pub fn load(&self, zone: &Zone, endpoint: EndpointId, now: Time) -> Option<Load> {
        lock(&self.heard).reports.load(zone.feed_targets_of(endpoint), now)
    }

    /// Takes the steps that are due and returns the weights of zones, by place, for which `snapshot` has
    /// others.
    pub fn step(&self, snapshot: &Snapshot, now: Moment) -> Vec<(usize, Arc<LoadWeights>)> {
        let mut others = Vec::new();
        for (apex, (zone, control)) in &mut lock(&self.controls).by_zone {
            let Some(place) = snapshot.place_of(apex) else { continue };
            // Between a load and its taking over the answers are still those of the zone before.
            if !Arc::ptr_eq(zone, &snapshot.zones()[place]) {
                continue;
            }
            let scene = snapshot.scene(place);
            control.step(zone, scene, &|id| self.load(zone, id, now.time), now.unix);
            if scene.loads.as_ref() != Some(control.weights()) {
                others.push((place, Arc::clone(control.weights())));
            }
        }
        others
    }

    /// What each zone splits by load, in the eyes of `snapshot`.
    #[must_use]
    pub fn splits(&self, snapshot: &Snapshot, now: Time) -> Vec<(Name, Split)> {
        let controls = lock(&self.controls);
        let of_zone = |(apex, (zone, control)): (&Name, &(Arc<Zone>, LoadControl))| {
            let place = snapshot.place_of(apex)?;
            let own = Arc::ptr_eq(zone, &snapshot.zones()[place]).then(|| {
                control.splits(zone, snapshot.scene(place), &|id| self.load(zone, id, now))
            })?;
            Some(own.into_iter().map(|split| (apex.clone(), split)).collect::<Vec<_>>())
        };
        let mut all: Vec<_> = controls.by_zone.iter().filter_map(of_zone).flatten().collect();
        all.sort_by(|a, b| (&a.0, &a.1.of).cmp(&(&b.0, &b.1.of)));
        all
    }

    /// In which time a step is due; `None` when nothing goes by load.
    #[must_use]
    pub fn due_in(&self, unix: Duration) -> Option<Duration> {
        let controls = lock(&self.controls);
        controls.by_zone.values().map(|(_, control)| control.due_in(unix)).min()
    }

    /// Every controller with its zone, to be written down.
    #[must_use]
    pub fn saved(&self) -> Vec<(Name, SavedControl)> {
        let controls = lock(&self.controls);
        let of_zone = |(apex, (_, control)): (&Name, &(Arc<Zone>, LoadControl))| {
            control.saved().map(|saved| (apex.clone(), saved)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = controls.by_zone.iter().flat_map(of_zone).collect();
        all.sort_by(|a, b| (&a.0, &a.1.of).cmp(&(&b.0, &b.1.of)));
        all
    }
}

impl Controls {
    fn use_zones(&mut self, zones: &[Arc<Zone>]) {
        let mut before = std::mem::take(&mut self.by_zone);
        for zone in zones {
            let known = before.remove(&zone.apex);
            if let Some((known, control)) = known.as_ref().filter(|(own, _)| Arc::ptr_eq(own, zone))
            {
                self.by_zone.insert(zone.apex.clone(), (Arc::clone(known), control.clone()));
                continue;
            }
            let Some(control) = LoadControl::new(zone) else { continue };
            let saved: Vec<SavedControl> = match known {
                Some((_, control)) => control.saved().collect(),
                None => self.saved.remove(&zone.apex).unwrap_or_default(),
            };
            let control = control.resumed(&saved);
            self.by_zone.insert(zone.apex.clone(), (Arc::clone(zone), control));
        }
    }
}

fn targets_of(zone: &Zone) -> Vec<FeedTarget> {
    if zone.feeds.is_empty() {
        return Vec::new();
    }
    let endpoints = (0..zone.endpoints.len()).map(EndpointId::new);
    endpoints.flat_map(|id| zone.feed_targets_of(id)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is made whole before anything in it can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
