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

use crate::geo::ClassMap;
use crate::model::diagnostic::closest;
use crate::model::names::NameRecord;
use crate::model::topology::Outage;
use crate::model::{EndpointHealth, EndpointId, Name, PoolId, Target, TargetHealth, Time, Zone};
use crate::steer::select::Leaves;
use crate::steer::{PoolPast, Scene};
use compile::{Carried, Fixed};
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
    /// Of which of them it may be new.
    pub news: News<'a>,
    /// What pools have been through, by zone and name, where somebody knows better than the snapshot.
    pub past: Option<&'a Past<'a>>,
}

/// Tells what a pool has been through, by the zone's apex and its own name.
pub type Past<'a> = dyn Fn(&Name, &str) -> PoolPast + 'a;

impl<'a> Conditions<'a> {
    /// The health of targets at a moment.
    #[must_use]
    pub fn new(now: Time, of_target: &'a dyn Fn(&Target) -> TargetHealth) -> Self {
        Self { now, of_target, news: News::OfAll, past: None }
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
    /// What is known of each target, by place.
    target_health: Arc<Vec<TargetHealth>>,
    /// What is known of the pools of each zone.
    scenes: Vec<Arc<Scene>>,
    rules: Vec<Arc<CompiledRule>>,
    due: Option<Time>,
}

/// Of which targets something is known that a snapshot has not heard.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// Of any.
    OfAll,
    /// Of these at most.
    Of(&'a [Target]),
}

/// What is known of one zone, for those who decide outside of queries.
pub(crate) struct ZoneState {
    /// Of its endpoints, by id.
    pub(crate) health: Vec<EndpointHealth>,
    /// Of its pools, by id.
    pub(crate) past: Vec<PoolPast>,
    /// The moment.
    pub(crate) now: Time,
}

impl ZoneState {
    /// That of a zone of which nothing is known yet, so that all is taken for up.
    fn all_up(zone: &Zone) -> Self {
        let up = |target: Option<Target>| target.map(|_| TargetHealth::UNCHECKED);
        let of_endpoint = |n| {
            let own = zone.targets_of(EndpointId::new(n));
            let (v4, v6, host) = (up(own.v4), up(own.v6), up(own.host));
            EndpointHealth { v4, v6, host, is_drained: false }
        };
        let health = (0..zone.endpoints.len()).map(of_endpoint).collect();
        Self { health, past: Vec::new(), now: Time::ZERO }
    }
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
        let fixed = Fixed::new(blueprint, None)?;
        let target_health = fixed.targets.health(conditions.of_target);
        let scene = |place| Arc::new(scene_of(&fixed, place, &target_health, conditions));
        let scenes: Vec<_> = (0..fixed.blueprint.zones.len()).map(scene).collect();
        let rules = fixed.rules.iter().map(|source| compile_rule(&fixed, source, &scenes));
        let rules: Vec<_> = rules.collect();
        Ok(Self {
            generation,
            gate: Arc::default(),
            due: due_of(&rules),
            fixed: Arc::new(fixed),
            target_health: Arc::new(target_health),
            scenes,
            rules,
        })
    }

    /// Compiles a blueprint that comes after this snapshot's. Zones that are the same, in memory, stay as
    /// they are, compiled for what was known then; `conditions` tell of what was not there before.
    ///
    /// # Errors
    /// When it holds more than the tables can.
    pub fn compile_next(
        &self,
        blueprint: Blueprint,
        conditions: &Conditions<'_>,
    ) -> Result<Self, CompileError> {
        let carried = Carried::new(&blueprint, &self.fixed.blueprint);
        let carried = carried.as_ref();
        let fixed = Fixed::new(blueprint, carried.map(|carried| (&*self.fixed, carried)))?;
        let place_before = |place| carried.and_then(|carried| carried.place(place));
        let of_target = |target: &Target| match self.fixed.targets.place(target) {
            Some(place) => self.target_health[place],
            None => (conditions.of_target)(target),
        };
        let target_health = fixed.targets.health(&of_target);
        let scene = |place| match place_before(place) {
            Some(old) => Arc::clone(&self.scenes[old]),
            None => Arc::new(scene_of(&fixed, place, &target_health, conditions)),
        };
        let scenes: Vec<_> = (0..fixed.blueprint.zones.len()).map(scene).collect();
        let mut rules = Vec::with_capacity(fixed.rules.len());
        for own in fixed.rules.chunk_by(|a, b| a.zone == b.zone) {
            match place_before(own[0].zone) {
                Some(old) => {
                    let before = self.rules[self.fixed.rules_of(old)].iter();
                    rules.extend(before.zip(own).map(|(rule, source)| rule.of_source(source)));
                }
                None => {
                    rules.extend(own.iter().map(|source| compile_rule(&fixed, source, &scenes)))
                }
            }
        }
        Ok(Self {
            generation: self.generation + 1,
            gate: Arc::clone(&self.gate),
            due: due_of(&rules),
            fixed: Arc::new(fixed),
            target_health: Arc::new(target_health),
            scenes,
            rules,
        })
    }

    /// The next snapshot, for these conditions; `None` when nothing has changed. Answers that depend on
    /// nothing that has changed are shared.
    #[must_use]
    pub fn next(&self, conditions: &Conditions<'_>) -> Option<Self> {
        let (target_health, changed_targets) = self.next_health(conditions);
        let changed = self.changed_pools(&changed_targets, conditions);
        let is_due = self.due.is_some_and(|due| due <= conditions.now);
        if changed.is_empty() && !is_due {
            return None;
        }
        let scenes = self.next_scenes(&changed, &target_health, conditions);
        let mut rules = self.rules.clone();
        for place in self.rules_to_see(&changed, conditions.now) {
            let rule = &mut rules[place as usize];
            let source = &rule.source;
            let zone = &self.fixed.blueprint.zones[source.zone];
            let pools = changed.get(&source.zone);
            let mut leaves = Leaves::default();
            for (leaf, pool) in source.outline.pools_in_play(zone).enumerate() {
                if pools.is_some_and(|pools| pools.contains(&pool)) {
                    leaves.add(leaf);
                }
            }
            if let Some(next) = rule.next(zone, &scenes[source.zone], leaves) {
                *rule = Arc::new(next);
            }
        }
        Some(Self {
            generation: self.generation + 1,
            gate: Arc::clone(&self.gate),
            fixed: Arc::clone(&self.fixed),
            due: due_of(&rules),
            target_health,
            scenes,
            rules,
        })
    }

    /// What is known of each target now, and the places of those of which that is new.
    fn next_health(&self, conditions: &Conditions<'_>) -> (Arc<Vec<TargetHealth>>, Vec<usize>) {
        let targets = &self.fixed.targets;
        let mut next: Option<Vec<TargetHealth>> = None;
        let mut changed = Vec::new();
        let mut look_at = |target: &Target, place: usize| {
            let health = (conditions.of_target)(target);
            if self.target_health[place] != health {
                next.get_or_insert_with(|| self.target_health.to_vec())[place] = health;
                changed.push(place);
            }
        };
        match conditions.news {
            News::OfAll => targets.iter().for_each(|(target, place)| look_at(target, place)),
            News::Of(some) => {
                let known = some.iter().filter_map(|target| Some((target, targets.place(target)?)));
                known.for_each(|(target, place)| look_at(target, place));
            }
        }
        (next.map_or_else(|| Arc::clone(&self.target_health), Arc::new), changed)
    }

    /// The rules that a change of these pools, or time, may matter to.
    fn rules_to_see(&self, changed: &HashMap<usize, HashSet<PoolId>>, now: Time) -> Vec<u32> {
        let of_zone = |(zone, pools): (&usize, &HashSet<PoolId>)| {
            let by_pool = &self.fixed.rules_by_pool[*zone];
            pools.iter().flat_map(|pool| by_pool[pool.index()].iter().copied()).collect::<Vec<_>>()
        };
        let mut rules: Vec<u32> = changed.iter().flat_map(of_zone).collect();
        if self.due.is_some_and(|due| due <= now) {
            let is_due = |rule: &CompiledRule| rule.due.is_some_and(|due| due <= now);
            let due = (0..).zip(&self.rules).filter(|(_, rule)| is_due(rule));
            rules.extend(due.map(|(place, _)| place));
        }
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// The pools of which something is not as it was, by zone.
    fn changed_pools(
        &self,
        changed_targets: &[usize],
        conditions: &Conditions<'_>,
    ) -> HashMap<usize, HashSet<PoolId>> {
        let mut changed: HashMap<usize, HashSet<PoolId>> = HashMap::new();
        for target in changed_targets {
            for (zone, endpoint) in self.fixed.targets.endpoints(*target) {
                let pool = self.fixed.blueprint.zones[zone].endpoints[endpoint.index()].pool;
                changed.entry(zone).or_default().insert(pool);
            }
        }
        for (place, (zone, scene)) in self.zones().iter().zip(&self.scenes).enumerate() {
            let Some(past) = conditions.past(zone) else { break };
            let both = past.iter().zip(scene.past()).enumerate();
            let differing = both.filter(|(_, (new, old))| *new != old).map(|(n, _)| n);
            let differing: Vec<PoolId> = differing.map(PoolId::new).collect();
            if !differing.is_empty() {
                changed.entry(place).or_default().extend(differing);
            }
        }
        changed
    }

    fn next_scenes(
        &self,
        changed: &HashMap<usize, HashSet<PoolId>>,
        target_health: &[TargetHealth],
        conditions: &Conditions<'_>,
    ) -> Vec<Arc<Scene>> {
        let mut scenes = self.scenes.clone();
        for (place, scene) in scenes.iter_mut().enumerate() {
            let pools = changed.get(&place);
            if pools.is_none() && self.due.is_none() {
                continue;
            }
            let zone = &self.fixed.blueprint.zones[place];
            let health = |id| self.fixed.targets.endpoint_health(place, id, target_health);
            let past = conditions.past(zone);
            let pools = pools.into_iter().flatten().copied();
            *scene = Arc::new(scene.next(zone, &health, past.as_deref(), pools, conditions.now));
        }
        scenes
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
        self.next(&Conditions { past: Some(&past), ..Conditions::new(now, of_target) })
    }

    /// What a pool of a zone has been through.
    #[must_use]
    pub fn past(&self, apex: &Name, pool: &str) -> PoolPast {
        // Asked for every pool of all zones, so not by going through these.
        let zone = self.names().get(apex.as_wire()).map(NameRecord::zone);
        let found = zone.filter(|zone| self.zone(*zone).apex == *apex).and_then(|zone| {
            let place = self.zone(zone).pools.iter().position(|own| own.name == pool)?;
            self.scenes[zone].past().nth(place)
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
    pub fn zones(&self) -> &[Arc<Zone>] {
        &self.fixed.blueprint.zones
    }

    /// The geo data that it was compiled from.
    #[must_use]
    pub fn atlas(&self) -> &Arc<crate::geo::Atlas> {
        &self.fixed.blueprint.atlas
    }

    /// What it took for known of the endpoints of a zone.
    #[must_use]
    pub fn endpoint_health(&self, zone: usize) -> Vec<EndpointHealth> {
        let ids = (0..self.zones()[zone].endpoints.len()).map(EndpointId::new);
        let health = |id| self.fixed.targets.endpoint_health(zone, id, &self.target_health);
        ids.map(health).collect()
    }

    /// What it took for known of a zone.
    pub(crate) fn state(&self, zone: usize) -> ZoneState {
        let scene = self.scene(zone);
        let (health, past) = (self.endpoint_health(zone), scene.past().collect());
        ZoneState { health, past, now: scene.now }
    }

    /// What is known of the pools of a zone.
    pub(crate) fn scene(&self, zone: usize) -> &Scene {
        &self.scenes[zone]
    }

    /// Every target that some endpoint asks for, each once.
    #[must_use]
    pub fn targets(&self) -> HashSet<Target> {
        self.fixed.targets.iter().map(|(target, _)| target.clone()).collect()
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

    /// The class maps of its rules, each once.
    pub fn class_maps(&self) -> impl Iterator<Item = &ClassMap> {
        let mut known = HashSet::new();
        let maps = self.fixed.rules.iter().map(|rule| &rule.map);
        maps.filter(move |map| known.insert(Arc::as_ptr(map)))
            .filter_map(|map| map.classes.as_ref())
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
        self.rules[self.fixed.rules_of(zone)].iter().map(|rule| &**rule)
    }
}

fn compile_rule(
    fixed: &Fixed,
    source: &Arc<RuleSource>,
    scenes: &[Arc<Scene>],
) -> Arc<CompiledRule> {
    let zone = &fixed.blueprint.zones[source.zone];
    Arc::new(CompiledRule::new(zone, source, &scenes[source.zone]))
}

/// What is known of the pools of a zone when this is known of the targets.
fn scene_of(
    fixed: &Fixed,
    place: usize,
    target_health: &[TargetHealth],
    conditions: &Conditions<'_>,
) -> Scene {
    let zone = &fixed.blueprint.zones[place];
    let health = |id| fixed.targets.endpoint_health(place, id, target_health);
    let past = conditions.past(zone).unwrap_or_default();
    Scene::new(zone, &health, &past, conditions.now)
}

fn due_of(rules: &[Arc<CompiledRule>]) -> Option<Time> {
    rules.iter().filter_map(|rule| rule.due).min()
}

/// Every target that some endpoint of `zones` asks for, each once.
#[must_use]
pub fn targets_of(zones: &[Arc<Zone>]) -> HashSet<Target> {
    let of_zone = |zone: &Arc<Zone>| {
        let endpoints = (0..zone.endpoints.len()).map(EndpointId::new);
        endpoints
            .flat_map(|id| zone.targets_of(id).iter().cloned().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    zones.iter().flat_map(of_zone).collect()
}
