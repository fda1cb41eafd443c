//! Everything that a query may look at, compiled ahead and never changed.
//!
//! A [`Snapshot`] is made from a [`Blueprint`] (zones and geo data) and from health. When health
//! changes, [`Snapshot::next`] makes the next one, which shares all that has not changed. The
//! shell swaps one for the other behind one pointer, so a query sees either all of a change or none.
//!
//! Reading order: `names` (the table of all names) → `find` (RFC 1034 §4.3.2) → `rules` (answers by
//! class) → `compile` → `next`.

mod compile;
pub mod demand;
pub mod expect;
pub mod explain;
pub(crate) mod find;
pub mod gate;
pub(crate) mod names;
mod next;
mod quickest;
pub(crate) mod record;
pub(crate) mod regional;
pub(crate) mod rules;
pub mod subjects;
pub mod tally;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use compile::{Blueprint, CompileError};

use crate::geo::ClassMap;
use crate::model::names::NameRecord;
use crate::model::topology::EndpointAt;
use crate::model::{
    AliasHealth, Aliases, Endpoint, EndpointHealth, EndpointId, Name, Override, Overrides, Pool,
    PoolId, Reach, Target, TargetHealth, Time, Zone,
};
use crate::steer::capacity::estimate::SavedGroup;
use crate::steer::capacity::{self, Demand, Plan, PoolLoad, Setup};
use crate::steer::overrides::{by_endpoint, overridden};
use crate::steer::{Freeze, LoadWeights, Pasts, PoolPast, Scene};
use compile::{Carried, Fixed};
use demand::Demands;
use gate::Gate;
use names::NameTable;
use quickest::Orders;
use regional::{Acted, Known, Regional, Regionals};
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
    /// What operators say over that.
    pub overrides: &'a Overrides,
    /// What pools and endpoints have been through, where somebody knows better than the snapshot.
    pub past: Option<&'a Past<'a>>,
    /// What clients ask for, zone by zone, where somebody knows better than the snapshot.
    pub demands: Option<&'a Demands>,
    /// What was found of the hosts of aliases, where somebody knows better than the snapshot. A first one
    /// takes them for found where nobody does.
    pub aliases: Option<&'a Arc<Aliases>>,
    /// What some groups of vantages do not reach while others do, where somebody knows better than the snapshot.
    pub reach: Option<&'a Arc<Reach>>,
    /// Called between one rule and the next, so that whoever compiles keeps no processor from others.
    pub breathe: &'a (dyn Fn() + Sync),
    /// Who helps, where there is much to compile.
    pub helpers: Helpers<'a>,
}

/// Does the part of a work that has this number.
pub type Part<'a> = dyn Fn(usize) + Sync + 'a;

/// Those among whom work may be shared.
#[derive(Clone, Copy)]
pub struct Helpers<'a> {
    /// Into so many parts it is cut at most.
    pub parts: usize,
    /// Is given how many parts there are and what to do with each by its number, and returns when all are done, in
    /// whatever order.
    pub work: &'a dyn Fn(usize, &Part<'_>),
}

impl Helpers<'_> {
    /// Nobody.
    pub const NONE: Self = Self { parts: 1, work: &|parts, part| (0..parts).for_each(part) };
}

/// Tells what a pool has been through, by the zone's apex and its own name, or what one of its endpoints
/// has, by that name as well.
pub type Past<'a> = dyn Fn(&Name, &str, Option<&str>) -> PoolPast + 'a;

impl<'a> Conditions<'a> {
    /// The health of targets at a moment, of which no operator has said anything.
    #[must_use]
    pub fn new(now: Time, of_target: &'a dyn Fn(&Target) -> TargetHealth) -> Self {
        Self {
            now,
            of_target,
            news: News::OfAll,
            overrides: Overrides::NONE,
            past: None,
            demands: None,
            aliases: None,
            reach: None,
            breathe: &|| {},
            helpers: Helpers::NONE,
        }
    }

    /// The same under the words of operators.
    #[must_use]
    pub const fn with_overrides(self, overrides: &'a Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// The same when clients ask for so much, zone by zone of the snapshot that is made from.
    #[must_use]
    pub const fn with_demands(self, demands: &'a Demands) -> Self {
        Self { demands: Some(demands), ..self }
    }

    /// The same when this was found of the hosts of aliases.
    #[must_use]
    pub const fn with_aliases(self, aliases: &'a Arc<Aliases>) -> Self {
        Self { aliases: Some(aliases), ..self }
    }

    fn freeze(&self) -> Option<Freeze> {
        let said = self.overrides.freeze_at(self.now)?;
        Some(Freeze { since: said.at, until: said.until })
    }

    fn past(&self, zone: &Zone) -> Option<Pasts> {
        let past = self.past?;
        let of_pool = |pool: &Pool| past(&zone.apex, &pool.name, None);
        let of_endpoint = |endpoint: &Endpoint| {
            let Pool { name, slow_start, .. } = &zone.pools[endpoint.pool.index()];
            if slow_start.is_zero() {
                return PoolPast::New;
            }
            past(&zone.apex, name, Some(&endpoint.name))
        };
        Some(Pasts {
            pools: zone.pools.iter().map(of_pool).collect(),
            endpoints: zone.endpoints.iter().map(of_endpoint).collect(),
            degraded: Vec::new(),
        })
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
    /// What was found of the hosts of aliases.
    aliases: Option<Arc<Aliases>>,
    /// What some groups of vantages do not reach while others do.
    reach: Arc<Reach>,
    /// What operators say over that.
    overrides: Arc<Overrides>,
    /// The moment by which they counted: no scene is younger, and those that did not change are older.
    as_of: Time,
    freeze: Option<Freeze>,
    /// What is known of the pools of each zone.
    scenes: Vec<Arc<Scene>>,
    /// What rules see that only observe health: what operators say, and else that all is up. Only where
    /// a zone has such rules.
    observed: Vec<Option<Arc<Scene>>>,
    /// What is seen near groups that do not reach all of a zone. Nearly always there is none.
    regional: Regionals,
    /// What classes prefer by what vantages measure, rule by rule, where that is something else.
    orders: Orders,
    /// What clients ask for, by zone, where pools can carry only so much.
    demands: Vec<Option<Arc<Demand>>>,
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
pub(crate) struct ZoneState<'a> {
    /// What counts of its endpoints, by id.
    pub(crate) health: Vec<EndpointHealth>,
    /// What probes say of them.
    pub(crate) real: Vec<EndpointHealth>,
    /// What operators say of them.
    pub(crate) said: Vec<Option<&'a Override>>,
    /// Under a freeze: by whom and why.
    pub(crate) frozen: Option<String>,
    /// The freeze.
    pub(crate) freeze: Option<Freeze>,
    /// What rules see that only observe health, where a zone has such rules.
    pub(crate) observed: Option<Arc<Scene>>,
    /// What is seen near groups that do not reach all of it.
    pub(crate) regional: Option<Arc<Regional>>,
    /// What vantages find of the ways to its regions; what a zone expects of itself goes without.
    pub(crate) reach: Option<&'a Reach>,
    /// Of the hosts of aliases.
    pub(crate) aliases: Option<Arc<Aliases>>,
    /// Of its pools and their endpoints.
    pub(crate) past: Pasts,
    /// The weights that follow load.
    pub(crate) loads: Option<Arc<LoadWeights>>,
    /// Where its clients go while pools can carry only so much.
    pub(crate) plan: Option<Arc<Plan>>,
    /// The moment.
    pub(crate) now: Time,
}

impl ZoneState<'_> {
    /// That of a zone of which nothing is known yet, so that all is taken for up.
    fn all_up(zone: &Zone) -> Self {
        let health = vec![EndpointHealth::default(); zone.endpoints.len()];
        Self {
            real: health.clone(),
            said: vec![None; health.len()],
            health,
            frozen: None,
            freeze: None,
            observed: None,
            regional: None,
            reach: None,
            aliases: None,
            past: Pasts::default(),
            loads: None,
            plan: None,
            now: Time::ZERO,
        }
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
        let reach = conditions.reach.unwrap_or_else(|| Reach::whole());
        let orders = quickest::orders(&fixed, reach, &Orders::new());
        let target_health = fixed.targets.health(conditions.of_target);
        let scene = |place| {
            let scene = scene_of(&fixed, place, &target_health, conditions);
            let plan = plan_of(&fixed, place, &scene, &orders, None);
            Arc::new(scene.with_plan(plan))
        };
        let scenes: Vec<_> = (0..fixed.blueprint.zones.len()).map(scene).collect();
        let zones = fixed.blueprint.zones.iter();
        let observed = zones.map(|zone| observed_scene(zone, conditions).map(Arc::new));
        let observed: Vec<_> = observed.collect();
        let known = Known { fixed: &fixed, target_health: &target_health, conditions };
        let regional = regionals(known, reach, &scenes, |_| (None, false));
        let ground =
            Grounds { scenes: &scenes, observed: &observed, regional: &regional, orders: &orders };
        let compile = |(place, source)| compile_rule(&fixed, place, source, ground);
        let rules: Vec<_> = (0..).zip(&fixed.rules).map(compile).collect();
        Ok(Self {
            reach: Arc::clone(reach),
            generation,
            gate: Arc::default(),
            due: due_of(&rules, conditions.overrides.next_end(conditions.now)),
            overrides: Arc::new(conditions.overrides.clone()),
            as_of: conditions.now,
            freeze: conditions.freeze(),
            demands: vec![None; fixed.blueprint.zones.len()],
            fixed: Arc::new(fixed),
            target_health: Arc::new(target_health),
            aliases: conditions.aliases.cloned(),
            scenes,
            observed,
            regional,
            orders,
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
        let orders = quickest::orders(&fixed, &self.reach, &Orders::new());
        let overrides = Arc::clone(&self.overrides);
        let aliases = self.aliases.as_ref();
        let conditions =
            Conditions { now: self.as_of, overrides: &overrides, aliases, ..*conditions };
        let conditions = &conditions;
        let scene = |place| match place_before(place) {
            Some(old) => Arc::clone(&self.scenes[old]),
            None => {
                let scene = scene_of(&fixed, place, &target_health, conditions);
                let plan = plan_of(&fixed, place, &scene, &orders, None);
                Arc::new(scene.with_plan(plan))
            }
        };
        let scenes: Vec<_> = (0..fixed.blueprint.zones.len()).map(scene).collect();
        let observed = |(place, zone): (usize, &Arc<Zone>)| match place_before(place) {
            Some(old) => self.observed[old].clone(),
            None => observed_scene(zone, conditions).map(Arc::new),
        };
        let observed: Vec<_> = fixed.blueprint.zones.iter().enumerate().map(observed).collect();
        let demand = |place| place_before(place).and_then(|old| self.demands[old].clone());
        let demands = (0..fixed.blueprint.zones.len()).map(demand).collect();
        let known = Known { fixed: &fixed, target_health: &target_health, conditions };
        let regional = regionals(known, &self.reach, &scenes, |place| match place_before(place) {
            Some(old) => (self.regional.get(&old).cloned(), true),
            None => (None, false),
        });
        let ground =
            Grounds { scenes: &scenes, observed: &observed, regional: &regional, orders: &orders };
        let mut rules = Vec::with_capacity(fixed.rules.len());
        for own in fixed.rules.chunk_by(|a, b| a.zone == b.zone) {
            match place_before(own[0].zone) {
                Some(old) => {
                    let before = self.rules[self.fixed.rules_of(old)].iter();
                    rules.extend(before.zip(own).map(|(rule, source)| rule.of_source(source)));
                }
                None => {
                    let first = u32::try_from(rules.len()).map_err(|_| CompileError::TooLarge)?;
                    let compile = |(place, source)| compile_rule(&fixed, place, source, ground);
                    rules.extend((first..).zip(own).map(compile));
                }
            }
        }
        Ok(Self {
            generation: self.generation + 1,
            gate: Arc::clone(&self.gate),
            due: due_of(&rules, conditions.overrides.next_end(conditions.now)),
            fixed: Arc::new(fixed),
            target_health: Arc::new(target_health),
            aliases: self.aliases.clone(),
            reach: Arc::clone(&self.reach),
            overrides: Arc::clone(&self.overrides),
            as_of: self.as_of,
            freeze: self.freeze,
            scenes,
            observed,
            regional,
            orders,
            demands,
            rules,
        })
    }

    /// When it is to be compiled anew though no health has changed: pools fail back and ramp up as
    /// time goes on.
    #[must_use]
    pub const fn due(&self) -> Option<Time> {
        self.due
    }

    /// What each pool of each zone has been through, and each endpoint of those that start slowly, which is
    /// named besides.
    pub fn pasts(&self) -> impl Iterator<Item = (&Name, &str, Option<&str>, PoolPast)> {
        self.zones().iter().zip(&self.scenes).flat_map(|(zone, scene)| {
            let pools = zone.pools.iter().zip(scene.past());
            let pools = pools.map(|(pool, past)| (&zone.apex, &*pool.name, None, past));
            let endpoints = zone.endpoints.iter().zip(scene.pasts().endpoints);
            let endpoints = endpoints.map(|(endpoint, past)| {
                let pool = &*zone.pools[endpoint.pool.index()].name;
                (&zone.apex, pool, Some(&*endpoint.name), past)
            });
            pools.chain(endpoints)
        })
    }

    /// What a pool of a zone has been through, or the endpoint of it that is named.
    #[must_use]
    pub fn past(&self, apex: &Name, pool: &str, endpoint: Option<&str>) -> PoolPast {
        let found = self.place_of(apex).and_then(|place| {
            let zone = self.zone(place);
            let pool = zone.pools.iter().position(|own| own.name == pool)?;
            let scene = &self.scenes[place];
            let Some(endpoint) = endpoint else { return scene.past().nth(pool) };
            let mut own = zone.endpoints_of(PoolId::new(pool));
            let (id, _) = own.find(|(_, own)| own.name == endpoint)?;
            Some(scene.endpoint_past(PoolId::new(pool), id))
        });
        found.unwrap_or_default()
    }

    /// The place of the zone with this apex.
    #[must_use]
    pub fn place_of(&self, apex: &Name) -> Option<usize> {
        // Asked for every pool of all zones, so not by going through these.
        let zone = self.names().get(apex.as_wire()).map(NameRecord::zone);
        zone.filter(|zone| self.zone(*zone).apex == *apex)
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

    /// The hosts that endpoints are aliases of, each once.
    #[must_use]
    pub fn alias_hosts(&self) -> HashSet<Name> {
        let hosts = self.fixed.aliases.iter().map(|(zone, id)| alias_host(self.zone(*zone), *id));
        hosts.flatten().cloned().collect()
    }

    /// What it took for known of the endpoints of a zone, operators' words included.
    #[must_use]
    pub fn endpoint_health(&self, zone: usize) -> Vec<EndpointHealth> {
        let said = self.said_of(zone);
        let ids = (0..said.len()).map(EndpointId::new);
        let aliases = self.aliases.as_deref();
        let health =
            |id| counting_health(&self.fixed, zone, id, &self.target_health, aliases, &said);
        ids.map(health).collect()
    }

    /// What it took for known of a zone.
    pub(crate) fn state(&self, zone: usize) -> ZoneState<'_> {
        let scene = self.scene(zone);
        let ids = (0..self.zone(zone).endpoints.len()).map(EndpointId::new);
        let of_target = |target: usize| self.target_health[target];
        let real = |id| self.fixed.targets.endpoint_health(zone, id, of_target);
        ZoneState {
            health: self.endpoint_health(zone),
            real: ids.map(real).collect(),
            said: self.said_of(zone),
            frozen: self.overrides.freeze_at(self.as_of).map(ToString::to_string),
            freeze: self.freeze,
            observed: self.observed[zone].clone(),
            regional: self.regional.get(&zone).cloned(),
            reach: Some(&self.reach),
            aliases: scene.aliases.clone(),
            past: scene.pasts(),
            loads: scene.loads.clone(),
            plan: scene.plan().cloned(),
            now: scene.now,
        }
    }

    /// What operators said when it was made.
    #[must_use]
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Which rules share pools with a capacity, by zone.
    pub(crate) fn setups(&self) -> &[Option<Arc<Setup>>] {
        &self.fixed.setups
    }

    /// What the clients of zones ask for, to be written down, where pools have a capacity and anything is known.
    pub fn demanded(&self) -> impl Iterator<Item = (&Name, Vec<SavedGroup>)> {
        let known = self.zones().iter().zip(self.setups()).zip(&self.demands);
        known.filter_map(|((zone, setup), demand)| {
            Some((&zone.apex, demand.as_ref()?.saved(setup.as_ref()?)))
        })
    }

    /// In which time demand is to be estimated, where any pool has a capacity. `unix` is now, since 1970.
    #[must_use]
    pub fn demand_due_in(&self, unix: Duration) -> Option<Duration> {
        let left = |step: &Duration| {
            let gone = unix.as_nanos() % step.as_nanos().max(1);
            step.saturating_sub(Duration::from_nanos_u128(gone))
        };
        self.fixed.demand_steps.iter().map(left).min()
    }

    /// What comes to each pool with a capacity, with its zone.
    pub fn pool_loads(&self) -> impl Iterator<Item = (&Zone, PoolLoad)> {
        self.zones().iter().zip(&self.scenes).flat_map(|(zone, scene)| {
            let loads = scene.plan().into_iter().flat_map(|plan| plan.loads(zone));
            loads.map(|load| (&**zone, load))
        })
    }

    /// Where the clients of a zone would go in another scene.
    pub(crate) fn planned(&self, zone: usize, scene: Scene) -> Scene {
        let before = self.scenes[zone].plan().map(|plan| (&**plan, self.demands[zone].as_deref()));
        let plan = plan_of(&self.fixed, zone, &scene, &self.orders, before);
        scene.with_plan(plan)
    }

    /// What operators said of each endpoint of a zone when it was made, by id.
    fn said_of(&self, zone: usize) -> Vec<Option<&Override>> {
        by_endpoint(self.zone(zone), &self.overrides, self.as_of)
    }

    /// What is known of the pools of a zone.
    #[must_use]
    pub fn scene(&self, zone: usize) -> &Scene {
        &self.scenes[zone]
    }

    /// Every target that some endpoint asks for, and those that their verdicts are made of, each once.
    #[must_use]
    pub fn targets(&self) -> HashSet<Target> {
        let mut targets = HashSet::new();
        for (target, _) in self.fixed.targets.iter() {
            add_with_probed(target, &mut targets);
        }
        targets
    }

    /// Which endpoints ask for each target: `ZONE POOL/ENDPOINT`.
    #[must_use]
    pub fn owners_of_targets(&self) -> HashMap<Target, Vec<String>> {
        let mut owners: HashMap<Target, Vec<String>> = HashMap::new();
        for zone in self.zones() {
            for id in (0..zone.endpoints.len()).map(EndpointId::new) {
                let owner = owner(zone, id);
                for target in zone.targets_of(id).iter() {
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

    /// Which endpoints are aliases of a host: `ZONE POOL/ENDPOINT`.
    #[must_use]
    pub fn owners_of_aliases(&self) -> HashMap<Name, Vec<String>> {
        let mut owners: HashMap<Name, Vec<String>> = HashMap::new();
        for &(place, id) in &self.fixed.aliases {
            let zone = self.zone(place);
            let Some(host) = alias_host(zone, id) else { continue };
            owners.entry(host.clone()).or_default().push(owner(zone, id));
        }
        owners
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

/// On what the rules of all zones act.
#[derive(Clone, Copy)]
struct Grounds<'a> {
    scenes: &'a [Arc<Scene>],
    observed: &'a [Option<Arc<Scene>>],
    regional: &'a Regionals,
    orders: &'a Orders,
}

fn compile_rule(
    fixed: &Fixed,
    place: u32,
    source: &Arc<RuleSource>,
    grounds: Grounds<'_>,
) -> Arc<CompiledRule> {
    let zone = &fixed.blueprint.zones[source.zone];
    Arc::new(CompiledRule::new(zone, source, acted((place, source), zone, grounds)))
}

/// What is known of the pools of a zone when this is known of the targets.
fn scene_of(
    fixed: &Fixed,
    place: usize,
    target_health: &[TargetHealth],
    conditions: &Conditions<'_>,
) -> Scene {
    let zone = &fixed.blueprint.zones[place];
    let said = by_endpoint(zone, conditions.overrides, conditions.now);
    let aliases = conditions.aliases;
    let found = aliases.map(|aliases| &**aliases);
    let health = |id| counting_health(fixed, place, id, target_health, found, &said);
    let past = conditions.past(zone).unwrap_or_default();
    let scene = Scene::new(zone, &health, &past, conditions.now);
    scene.with_freeze(conditions.freeze()).with_aliases(aliases.cloned())
}

/// Where the clients of a zone go, if its pools can carry only so much. `before` is where they went, and
/// what they ask for, if that is known.
fn plan_of(
    fixed: &Fixed,
    place: usize,
    scene: &Scene,
    orders: &Orders,
    before: Option<(&Plan, Option<&Demand>)>,
) -> Option<Arc<Plan>> {
    let setup = fixed.setups[place].as_ref()?;
    let rules = fixed.rules_of(place).map(|n| {
        let source = &fixed.rules[n];
        let own = u32::try_from(n).ok().and_then(|n| orders.get(&n));
        source.as_rule(own.unwrap_or(&source.map.preferences))
    });
    let (zone, rules) = (&fixed.blueprint.zones[place], rules.collect::<Vec<_>>());
    let (before, demand) = before.unzip();
    Some(Arc::new(capacity::plan(zone, setup, &rules, scene, demand.flatten(), before)))
}

/// What a rule of `zone`, at `place`, acts on.
fn acted<'a>(
    (place, rule): (u32, &'a RuleSource),
    zone: &Zone,
    Grounds { scenes, observed, regional, orders }: Grounds<'a>,
) -> Acted<'a> {
    let preferences = orders.get(&place).unwrap_or(&rule.map.preferences);
    let observed = observed[rule.zone].as_ref().filter(|_| rule.is_observe_only(zone));
    match observed {
        Some(scene) => Acted { preferences, scene, regional: None },
        None => {
            let regional = regional.get(&rule.zone).map(|regional| &**regional);
            Acted { preferences, scene: &scenes[rule.zone], regional }
        }
    }
}

/// What is seen near groups that do not reach all of a zone, by zone. `before` tells what was seen there, and
/// whether that stays.
fn regionals(
    known: Known<'_>,
    reach: &Reach,
    scenes: &[Arc<Scene>],
    before: impl Fn(usize) -> (Option<Arc<Regional>>, bool),
) -> Regionals {
    let zones = regional::by_zone(known.fixed, reach);
    let regional = |(place, by_group): (&usize, _)| {
        let own = match before(*place) {
            (before, true) => before,
            (before, false) => {
                let by_group = (&reach.places, by_group);
                let scene = &scenes[*place];
                Regional::new(known, *place, by_group, scene, before.as_deref()).map(Arc::new)
            }
        };
        Some((*place, own?))
    };
    zones.iter().filter_map(regional).collect()
}

/// What counts for known of an endpoint: what is known, under what is said.
fn counting_health(
    fixed: &Fixed,
    zone: usize,
    endpoint: EndpointId,
    target_health: &[TargetHealth],
    aliases: Option<&Aliases>,
    said: &[Option<&Override>],
) -> EndpointHealth {
    let real = fixed.targets.endpoint_health(zone, endpoint, |target| target_health[target]);
    let alias = alias_health(&fixed.blueprint.zones[zone], endpoint, aliases);
    overridden(EndpointHealth { alias, ..real }, said[endpoint.index()])
}

/// What was found of an endpoint's host, if it is an alias.
fn alias_health(zone: &Zone, endpoint: EndpointId, aliases: Option<&Aliases>) -> AliasHealth {
    let host = alias_host(zone, endpoint);
    host.map_or_else(AliasHealth::default, |host| AliasHealth::of(host, aliases))
}

/// `ZONE POOL/ENDPOINT`
fn owner(zone: &Zone, id: EndpointId) -> String {
    let endpoint = &zone.endpoints[id.index()];
    let pool = &zone.pools[endpoint.pool.index()].name;
    format!("{} {pool}/{}", zone.apex, endpoint.name)
}

/// The host that an endpoint is an alias of.
fn alias_host(zone: &Zone, endpoint: EndpointId) -> Option<&Name> {
    match &zone.endpoints[endpoint.index()].at {
        EndpointAt::Alias(host) => Some(host),
        EndpointAt::Addresses { .. } | EndpointAt::Host(_) => None,
    }
}

/// What rules see that only observe health.
fn observed_scene(zone: &Zone, conditions: &Conditions<'_>) -> Option<Scene> {
    if !zone.steers.iter().any(|steer| steer.is_observe_only) {
        return None;
    }
    let said = by_endpoint(zone, conditions.overrides, conditions.now);
    let aliases = conditions.aliases;
    let health = |id: EndpointId| {
        let alias = alias_health(zone, id, aliases.map(|aliases| &**aliases));
        overridden(EndpointHealth { alias, ..EndpointHealth::default() }, said[id.index()])
    };
    let scene = Scene::new(zone, &health, &Pasts::default(), conditions.now);
    Some(scene.with_aliases(aliases.cloned()))
}

/// When the first of these rules is due, or what operators say ends.
fn due_of(rules: &[Arc<CompiledRule>], next_end: Option<Time>) -> Option<Time> {
    rules.iter().filter_map(|rule| rule.due).chain(next_end).min()
}

/// Every target that some endpoint of `zones` asks for, and those that their verdicts are made of, each once.
#[must_use]
pub fn targets_of(zones: &[Arc<Zone>]) -> HashSet<Target> {
    let mut targets = HashSet::new();
    for zone in zones {
        for id in (0..zone.endpoints.len()).map(EndpointId::new) {
            zone.targets_of(id).iter().for_each(|target| add_with_probed(target, &mut targets));
        }
    }
    targets
}

fn add_with_probed(target: &Target, targets: &mut HashSet<Target>) {
    if !target.spec.kind.is_probed() {
        targets.extend(target.probed());
    }
    targets.insert(target.clone());
}
