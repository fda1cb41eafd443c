//! Everything that a query may look at, compiled ahead and never changed.
//!
//! A [`Snapshot`] is made from a [`Blueprint`] (zones and geo data) and from health. When health
//! changes, [`Snapshot::with_health`] makes the next one, which shares all that has not changed. The
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
use crate::model::{EndpointHealth, EndpointId, Name, Target, TargetHealth, Zone};
use compile::Fixed;
use gate::Gate;
use names::NameTable;
use rules::CompiledRule;

/// Everything that a query may look at.
#[derive(Clone, Debug)]
pub struct Snapshot {
    generation: u64,
    gate: Arc<Gate>,
    fixed: Arc<Fixed>,
    health: Arc<Vec<Vec<EndpointHealth>>>,
    rules: Vec<Arc<CompiledRule>>,
}

impl Snapshot {
    /// Compiles a blueprint for the health that `of_target` tells.
    ///
    /// # Errors
    /// When it holds more than the tables can.
    pub fn compile(
        blueprint: Blueprint,
        generation: u64,
        of_target: &dyn Fn(&Target) -> TargetHealth,
    ) -> Result<Self, CompileError> {
        let fixed = Fixed::new(blueprint)?;
        let health = fixed.health(of_target);
        let rules = fixed.rules.iter().map(|source| fixed.compile_rule(source, &health)).collect();
        let gate = Arc::default();
        Ok(Self { generation, gate, fixed: Arc::new(fixed), health: Arc::new(health), rules })
    }

    /// The next snapshot, for what `of_target` tells now; `None` when nothing that an answer depends
    /// on has changed.
    #[must_use]
    pub fn with_health(&self, of_target: &dyn Fn(&Target) -> TargetHealth) -> Option<Self> {
        let health = self.fixed.health(of_target);
        let mut rules = self.rules.clone();
        let mut has_changed = false;
        for (rule, source) in rules.iter_mut().zip(&self.fixed.rules) {
            let zone = &self.fixed.blueprint.zones[source.zone];
            let (old, new) = (&self.health[source.zone], &health[source.zone]);
            let pools = zone.steers[source.steer].pools_in_play();
            let mut endpoints = pools.flat_map(|pool| zone.pools[pool.index()].endpoints.clone());
            if endpoints.any(|endpoint| old[endpoint] != new[endpoint]) {
                *rule = self.fixed.compile_rule(source, &health);
                has_changed = true;
            }
        }
        has_changed.then(|| Self {
            generation: self.generation + 1,
            gate: Arc::clone(&self.gate),
            fixed: Arc::clone(&self.fixed),
            health: Arc::new(health),
            rules,
        })
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
        &self.health[zone]
    }

    /// Every target that some endpoint asks for, each once.
    #[must_use]
    pub fn targets(&self) -> HashSet<Target> {
        targets_of(self.zones())
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

    /// The different rules of a zone, each with the place of a steer that says what it says.
    pub(crate) fn rules_of(&self, zone: usize) -> impl Iterator<Item = (usize, &CompiledRule)> {
        let all = self.fixed.rules.iter().zip(&self.rules);
        let own = all.filter(move |(source, _)| source.zone == zone);
        own.map(|(source, rule)| (source.steer, &**rule))
    }

    pub(crate) fn steer_of(&self, place: u32) -> (usize, usize) {
        let source = &self.fixed.rules[place as usize];
        (source.zone, source.steer)
    }
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
