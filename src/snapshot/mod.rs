//! Everything that a query may look at, compiled ahead and never changed.
//!
//! A [`Snapshot`] is made from a [`Blueprint`] (zones and geo data) and from health. When health
//! changes, [`Snapshot::next`] makes the next one, which shares all that has not changed. The
//! shell swaps one for the other behind one pointer, so a query sees either all of a change or none.
//!
//! Reading order: `names` (the table of all names) → `find` (RFC 1034 §4.3.2) → `rules` (answers by
//! class) → `compile`.

mod compile;
pub mod expect;
pub mod explain;
pub(crate) mod find;
pub mod gate;
pub(crate) mod names;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use compile::{Blueprint, CompileError};

use crate::model::diagnostic::closest;
use crate::model::names::NameRecord;
use crate::model::topology::Outage;
use crate::model::{EndpointHealth, EndpointId, Name, PoolId, Target, TargetHealth, Time, Zone};
use crate::steer::select::Leaves;
use crate::steer::{PoolPast, Scene};
use compile::Fixed;
use gate::Gate;
use names::NameTable;
use rules::{CompiledRule, RuleSource};

/// What a snapshot is compiled for, besides its blueprint: the state of the world.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    /// The moment.
    pub now: Time,
    /// What is known of each target.
    pub of_target: &'a dyn Fn(&Target) -> TargetHealth,
    /// What pools have been through, by zone and name, where somebody knows better than the snapshot.
    pub past: Option<&'a Past<'a>>,
}

/// Tells what a pool has been through, by the zone's apex and its own name.
pub type Past<'a> = dyn Fn(&Name, &str) -> PoolPast + 'a;

impl<'a> Conditions<'a> {
    /// The health of targets at a moment.
    #[must_use]
    pub fn new(now: Time, of_target: &'a dyn Fn(&Target) -> TargetHealth) -> Self {
        Self { now, of_target, past: None }
    }

    fn past(&self, zone: &Zone) -> Option<Vec<PoolPast>> {
        let past = self.past?;
        Some(zone.pools.iter().map(|pool| past(&zone.apex, &pool.name)).collect())
    }
}

/// Everything that a query may look at.
#[derive(Clone, Debug)]
pub struct Snapshot {
    generation: u64,
    gate: Arc<Gate>,
    fixed: Arc<Fixed>,
    /// What is known of each of the targets.
    target_health: Arc<Vec<TargetHealth>>,
    zones: Vec<Arc<ZoneState>>,
    rules: Vec<Arc<CompiledRule>>,
    due: Option<Time>,
}

/// The state of one zone.
#[derive(Clone, Debug)]
struct ZoneState {
    health: Vec<EndpointHealth>,
    scene: Scene,
}

impl Snapshot {
    /// Compiles a blueprint for these conditions.
    ///
    /// # Errors
    /// When it holds more than the tables can.
    pub fn compile(
        blueprint: Blueprint,
        generation: u64,
        conditions: &Conditions<'_>,
    ) -> Result<Self, CompileError> {
        let fixed = Fixed::new(blueprint)?;
        let target_health = fixed.targets.health(conditions.of_target);
        let state = |(place, zone): (usize, &Zone)| {
            let ids = (0..zone.endpoints.len()).map(EndpointId::new);
            let health: Vec<EndpointHealth> =
                ids.map(|id| fixed.targets.endpoint_health(place, id, &target_health)).collect();
            let past = conditions.past(zone).unwrap_or_default();
            let scene = Scene::new(zone, &health, &past, conditions.now);
            Arc::new(ZoneState { health, scene })
        };
        let zones: Vec<_> = fixed.blueprint.zones.iter().enumerate().map(state).collect();
        let rule = |source: &Arc<RuleSource>| {
            let zone = &fixed.blueprint.zones[source.zone];
            Arc::new(CompiledRule::new(zone, source, &zones[source.zone].scene))
        };
        let rules: Vec<_> = fixed.rules.iter().map(rule).collect();
        Ok(Self {
            generation,
            gate: Arc::default(),
            due: due_of(&rules),
            fixed: Arc::new(fixed),
            target_health: Arc::new(target_health),
            zones,
            rules,
        })
    }

    /// The next snapshot, for these conditions; `None` when nothing has changed. Answers that depend on
    /// nothing that has changed are shared.
    #[must_use]
    pub fn next(&self, conditions: &Conditions<'_>) -> Option<Self> {
        let target_health = self.fixed.targets.health(conditions.of_target);
        let changed = self.changed_pools(&target_health, conditions);
        let is_due = self.due.is_some_and(|due| due <= conditions.now);
        if changed.is_empty() && !is_due {
            return None;
        }
        let zones = self.next_zones(&changed, &target_health, conditions);
        let mut rules = self.rules.clone();
        for rule in &mut rules {
            let source = &rule.source;
            let of_zone = changed.get(&source.zone);
            let is_due = rule.due.is_some_and(|due| due <= conditions.now);
            if of_zone.is_none() && !is_due {
                continue;
            }
            let zone = &self.fixed.blueprint.zones[source.zone];
            let mut leaves = Leaves::default();
            for (leaf, pool) in source.outline.pools_in_play(zone).enumerate() {
                if of_zone.is_some_and(|pools| pools.contains(&pool)) {
                    leaves.add(leaf);
                }
            }
            if let Some(next) = rule.next(zone, &zones[source.zone].scene, leaves) {
                *rule = Arc::new(next);
            }
        }
        Some(Self {
            generation: self.generation + 1,
            gate: Arc::clone(&self.gate),
            fixed: Arc::clone(&self.fixed),
            due: due_of(&rules),
            target_health: Arc::new(target_health),
            zones,
            rules,
        })
    }

    /// The pools of which something is not as it was, by zone.
    fn changed_pools(
        &self,
        target_health: &[TargetHealth],
        conditions: &Conditions<'_>,
    ) -> HashMap<usize, HashSet<PoolId>> {
        let mut changed: HashMap<usize, HashSet<PoolId>> = HashMap::new();
        let both = self.target_health.iter().zip(target_health).enumerate();
        for (target, _) in both.filter(|(_, (old, new))| old != new) {
            for (zone, endpoint) in self.fixed.targets.endpoints(target) {
                let pool = self.fixed.blueprint.zones[zone].endpoints[endpoint.index()].pool;
                changed.entry(zone).or_default().insert(pool);
            }
        }
        for (place, (zone, state)) in self.zones().iter().zip(&self.zones).enumerate() {
            let Some(past) = conditions.past(zone) else { break };
            let both = past.iter().zip(state.scene.past()).enumerate();
            let differing = both.filter(|(_, (new, old))| *new != old).map(|(n, _)| n);
            let differing: Vec<PoolId> = differing.map(PoolId::new).collect();
            if !differing.is_empty() {
                changed.entry(place).or_default().extend(differing);
            }
        }
        changed
    }

    fn next_zones(
        &self,
        changed: &HashMap<usize, HashSet<PoolId>>,
        target_health: &[TargetHealth],
        conditions: &Conditions<'_>,
    ) -> Vec<Arc<ZoneState>> {
        let mut zones = self.zones.clone();
        for (place, state) in zones.iter_mut().enumerate() {
            let pools = changed.get(&place);
            if pools.is_none() && self.due.is_none() {
                continue;
            }
            let zone = &self.fixed.blueprint.zones[place];
            let mut health = state.health.clone();
            for pool in pools.into_iter().flatten() {
                for (id, _) in zone.endpoints_of(*pool) {
                    health[id.index()] =
                        self.fixed.targets.endpoint_health(place, id, target_health);
                }
            }
            let past = conditions.past(zone);
            let past = past.unwrap_or_else(|| state.scene.past().collect());
            let is_changed = |pool| pools.is_some_and(|pools| pools.contains(&pool));
            let scene = state.scene.next(zone, &health, &past, &is_changed, conditions.now);
            *state = Arc::new(ZoneState { health, scene });
        }
        zones
    }

    /// When it is to be compiled anew though no health has changed: pools fail back and ramp up as
    /// time goes on.
    #[must_use]
    pub const fn due(&self) -> Option<Time> {
        self.due
    }

    /// The next snapshot, in which a pool that waits to fail back is used; `None` when it does not wait.
    #[must_use]
    pub fn released(
        &self,
        zone: &Name,
        pool: &str,
        now: Time,
        of_target: &dyn Fn(&Target) -> TargetHealth,
    ) -> Option<Self> {
        let before = self.past(zone, pool);
        if !matches!(before, PoolPast::Back { is_released: false, .. }) {
            return None;
        }
        let past = |apex: &Name, name: &str| {
            if apex == zone && name == pool {
                PoolPast::Back { since: now, is_released: true }
            } else {
                self.past(apex, name)
            }
        };
        self.next(&Conditions { now, of_target, past: Some(&past) })
    }

    /// What a pool of a zone has been through.
    #[must_use]
    pub fn past(&self, apex: &Name, pool: &str) -> PoolPast {
        let zones = self.zones().iter().zip(&self.zones);
        let found = { zones }.find(|(zone, _)| zone.apex == *apex).and_then(|(zone, state)| {
            let place = zone.pools.iter().position(|own| own.name == pool)?;
            state.scene.past().nth(place)
        });
        found.unwrap_or_default()
    }

    /// Its number: each snapshot of a process has a higher one than those before.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The same under another number.
    #[must_use]
    pub const fn numbered(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// The same with other settings of the answering code.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = Arc::new(gate);
        self
    }

    /// What a node says of itself and by which secrets it knows its clients.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The zones that it was compiled from.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.fixed.blueprint.zones
    }

    /// The geo data that it was compiled from.
    #[must_use]
    pub fn atlas(&self) -> &Arc<crate::geo::Atlas> {
        &self.fixed.blueprint.atlas
    }

    /// What it took for known of the endpoints of a zone.
    #[must_use]
    pub fn endpoint_health(&self, zone: usize) -> &[EndpointHealth] {
        &self.zones[zone].health
    }

    /// What is known of the pools of a zone.
    pub(crate) fn scene(&self, zone: usize) -> &Scene {
        &self.zones[zone].scene
    }

    /// Every target that some endpoint asks for, each once.
    #[must_use]
    pub fn targets(&self) -> HashSet<Target> {
        self.fixed.targets.all.iter().cloned().collect()
    }

    /// Which endpoints ask for each target: `ZONE POOL/ENDPOINT`.
    #[must_use]
    pub fn owners_of_targets(&self) -> HashMap<Target, Vec<String>> {
        let mut owners: HashMap<Target, Vec<String>> = HashMap::new();
        for zone in self.zones() {
            for (n, endpoint) in zone.endpoints.iter().enumerate() {
                let pool = &zone.pools[endpoint.pool.index()].name;
                let owner = format!("{} {pool}/{}", zone.apex, endpoint.name);
                for target in zone.targets_of(EndpointId::new(n)).iter() {
                    let owners = owners.entry(target.clone()).or_default();
                    // Both families may be probed at one check address.
                    if owners.last() != Some(&owner) {
                        owners.push(owner.clone());
                    }
                }
            }
        }
        owners
    }

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
        if !outages.is_empty() {
            return Ok(outages);
        }
        let regions = zone.regions.iter().map(|region| region.name.as_str());
        let pools = zone.pools.iter().map(|pool| pool.name.as_str());
        let endpoints = zone.endpoints.iter().map(|endpoint| endpoint.name.as_str());
        let meant = closest(word, regions.chain(pools).chain(endpoints));
        let hint = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        Err(format!("`{word}` is no region, pool or endpoint of {}{hint}", zone.apex))
    }

    /// The slots of the table of names.
    #[must_use]
    pub fn name_slots(&self) -> &[(u32, u32)] {
        self.fixed.names.slots()
    }

    pub(crate) fn names(&self) -> &NameTable {
        &self.fixed.names
    }

    pub(crate) fn zone(&self, place: usize) -> &Zone {
        &self.fixed.blueprint.zones[place]
    }

    /// Whether any rule tells clients apart by where they are.
    #[must_use]
    pub fn has_classes(&self) -> bool {
        self.fixed.has_classes
    }

    /// The place of the rule that steers a name.
    pub(crate) fn rule_of(&self, record: NameRecord<'_>) -> u32 {
        self.fixed.rules_by_zone[record.zone()][record.link() as usize]
    }

    pub(crate) fn rule(&self, place: u32) -> &CompiledRule {
        &self.rules[place as usize]
    }

    /// The different rules of a zone.
    pub(crate) fn rules_of(&self, zone: usize) -> impl Iterator<Item = &CompiledRule> {
        let own = self.rules.iter().filter(move |rule| rule.source.zone == zone);
        own.map(|rule| &**rule)
    }
}

fn due_of(rules: &[Arc<CompiledRule>]) -> Option<Time> {
    rules.iter().filter_map(|rule| rule.due).min()
}

/// Every target that some endpoint of `zones` asks for, each once.
#[must_use]
pub fn targets_of(zones: &[Zone]) -> HashSet<Target> {
    let of_zone = |zone: &Zone| {
        let endpoints = (0..zone.endpoints.len()).map(EndpointId::new);
        endpoints
            .flat_map(|id| zone.targets_of(id).iter().cloned().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    zones.iter().flat_map(of_zone).collect()
}
