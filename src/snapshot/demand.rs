//! What clients ask for, zone by zone, where pools can carry only so much.
//!
//! An [`Estimator`] lives beside the snapshots, as what it knows grows over minutes. Every now and then it
//! looks at what was answered and reported; what it comes to goes into the next snapshot as one of its
//! [`Conditions`](super::Conditions).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Snapshot;
use crate::model::feed::Load;
use crate::model::{EndpointId, Name, Time, Zone};
use crate::steer::capacity::estimate::{Estimate, SavedGroup, Signals};
use crate::steer::capacity::{Demand, Setup};

/// What the clients of each zone of a snapshot ask for, as far as it matters.
#[derive(Clone, Debug)]
pub struct Demands(pub(super) Vec<Option<Arc<Demand>>>);

/// Tells what was last reported of an endpoint.
pub type LoadOf<'a> = dyn Fn(&Zone, EndpointId) -> Option<Load> + 'a;

/// Estimates demand, snapshot after snapshot.
#[derive(Debug, Default)]
pub struct Estimator {
    zones: HashMap<Name, ZoneEstimate>,
}

#[derive(Debug)]
struct ZoneEstimate {
    setup: Arc<Setup>,
    estimate: Estimate,
    demand: Option<Arc<Demand>>,
}

impl Estimator {
    /// What an earlier life knew of the zones of a snapshot, as far as they are what they were.
    #[must_use]
    pub fn restored(snapshot: &Snapshot, demanded: &HashMap<Name, Vec<SavedGroup>>) -> Self {
        let zones = snapshot.zones().iter().zip(snapshot.setups());
        let known = zones.filter_map(|(zone, setup)| {
            let (saved, setup) = (demanded.get(&zone.apex)?, setup.as_ref()?);
            let estimate = Estimate::restored(setup, saved)?;
            let demand = Some(Arc::new(estimate.demand(setup)));
            let setup = Arc::clone(setup);
            Some((zone.apex.clone(), ZoneEstimate { setup, estimate, demand }))
        });
        Self { zones: known.collect() }
    }

    /// Looks at what was answered since the last time and at what `load_of` says, zone by zone, where that
    /// is due. `unix` is `now` since 1970. Returns what is known then; `None` when that is nothing new.
    pub fn step(
        &mut self,
        snapshot: &Snapshot,
        now: Time,
        unix: Duration,
        load_of: &LoadOf<'_>,
    ) -> Option<Demands> {
        self.adopt(snapshot);
        let mut is_any_new = false;
        for (place, zone) in snapshot.zones().iter().enumerate() {
            let Some(own) = self.zones.get_mut(&zone.apex) else { continue };
            let rules: Vec<_> = snapshot.rules_of(place).collect();
            let mut signals = Signals {
                now,
                unix,
                take_answers: &mut |rule: usize, classes: &mut [u64]| {
                    if let Some(tally) = &rules[rule].source.tally {
                        tally.take(classes);
                    }
                },
                load: &|endpoint| load_of(zone, endpoint),
            };
            let views: Vec<_> = rules.iter().map(|rule| rule.as_rule()).collect();
            let scene = snapshot.scene(place);
            if own.estimate.step(zone, &own.setup, &views, scene, &mut signals) {
                let demand = own.estimate.demand(&own.setup);
                if own.demand.as_deref() != Some(&demand) {
                    own.demand = Some(Arc::new(demand));
                    is_any_new = true;
                }
            }
        }
        is_any_new.then(|| self.demands(snapshot))
    }

    /// What is known of the zones of a snapshot. Where its zones are others than before, what was known of
    /// them is taken over as far as they are alike.
    pub fn demands(&mut self, snapshot: &Snapshot) -> Demands {
        self.adopt(snapshot);
        let known =
            |zone: &Arc<Zone>| self.zones.get(&zone.apex).and_then(|own| own.demand.clone());
        Demands(snapshot.zones().iter().map(known).collect())
    }

    fn adopt(&mut self, snapshot: &Snapshot) {
        let setups = snapshot.setups().iter();
        let zones = snapshot.zones().iter().zip(setups);
        let mut before = std::mem::take(&mut self.zones);
        for (zone, setup) in zones {
            let Some(setup) = setup else { continue };
            let next = match before.remove(&zone.apex) {
                Some(own) if Arc::ptr_eq(&own.setup, setup) => own,
                Some(own) => {
                    let estimate = own.estimate.carried(&own.setup, setup);
                    let demand = Some(Arc::new(estimate.demand(setup)));
                    ZoneEstimate { setup: Arc::clone(setup), estimate, demand }
                }
                None => ZoneEstimate {
                    setup: Arc::clone(setup),
                    estimate: Estimate::new(setup),
                    demand: None,
                },
            };
            self.zones.insert(zone.apex.clone(), next);
        }
    }
}
