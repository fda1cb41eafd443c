//! From what operators wrote and what probes saw to what queries look at.
//!
//! Two steps of very different rhythm: [`Blueprint`] → names and maps, on a reload or a new database;
//! health → rules, on every change of a verdict. The second shares everything that the first made,
//! and recompiles only rules whose endpoints have changed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::names::{NameTable, TableError};
use super::rules::{CompiledRule, RuleMap};
use crate::geo::{Atlas, ClassId, ClassMap, ClassMapError, Place, distance};
use crate::model::topology::{Policy, Where};
use crate::model::{
    Coordinates, EndpointHealth, EndpointId, Name, RegionId, Steer, Target, TargetHealth, Zone,
};
use crate::steer::{Preference, clause_of, prefer};

/// What a snapshot is compiled from: zones and geo data.
#[derive(Debug)]
pub struct Blueprint {
    /// The zones, in any order; no two of one apex.
    pub zones: Vec<Zone>,
    /// What the databases say.
    pub atlas: Arc<Atlas>,
}

/// Why a blueprint cannot be compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompileError {
    /// More names or records than fit into a table.
    TooLarge,
    /// The clients of a rule fall into more classes than can be told apart.
    Classes {
        /// The rule's name.
        owner: Name,
        /// What the class table says.
        error: ClassMapError,
    },
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the records of all zones together pass 16 GiB"),
            Self::Classes { owner, error } => write!(f, "steer {owner}: {error}"),
        }
    }
}

impl From<TableError> for CompileError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::TooLarge => Self::TooLarge,
        }
    }
}

/// Everything that does not depend on health.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) blueprint: Blueprint,
    pub(crate) names: NameTable,
    /// By zone and place of a steer in it, its rule.
    pub(crate) rules_by_zone: Vec<Box<[u32]>>,
    /// Different rules, each once.
    pub(crate) rules: Vec<RuleSource>,
    /// Whether any of them has a class map.
    pub(crate) has_classes: bool,
}

/// Where a compiled rule comes from.
#[derive(Debug)]
pub(crate) struct RuleSource {
    /// The zone, by place in the blueprint.
    pub(crate) zone: usize,
    /// A steer that says what the rule says.
    pub(crate) steer: usize,
    pub(crate) map: Arc<RuleMap>,
}

impl Fixed {
    pub(crate) fn new(blueprint: Blueprint) -> Result<Self, CompileError> {
        let mut rules = RuleTable::default();
        let mut rules_by_zone = Vec::with_capacity(blueprint.zones.len());
        for (place, zone) in blueprint.zones.iter().enumerate() {
            let of_steer = |n| rules.place_of(&blueprint.atlas, zone, place, n);
            rules_by_zone.push((0..zone.steers.len()).map(of_steer).collect::<Result<_, _>>()?);
        }
        let names = NameTable::new(&blueprint.zones)?;
        let has_classes = rules.sources.iter().any(|rule| rule.map.classes.is_some());
        Ok(Self { names, rules_by_zone, rules: rules.sources, has_classes, blueprint })
    }

    /// What is known of the endpoints of each zone.
    pub(crate) fn health(
        &self,
        of_target: &dyn Fn(&Target) -> TargetHealth,
    ) -> Vec<Vec<EndpointHealth>> {
        let of_zone = |zone: &Zone| {
            (0..zone.endpoints.len())
                .map(|n| health_of(zone, EndpointId::new(n), of_target))
                .collect()
        };
        self.blueprint.zones.iter().map(of_zone).collect()
    }

    pub(crate) fn compile_rule(
        &self,
        source: &RuleSource,
        health: &[Vec<EndpointHealth>],
    ) -> Arc<CompiledRule> {
        let zone = &self.blueprint.zones[source.zone];
        let map = Arc::clone(&source.map);
        let steer = &zone.steers[source.steer];
        Arc::new(CompiledRule::new(zone, steer, map, &health[source.zone]))
    }
}

fn health_of(
    zone: &Zone,
    endpoint: EndpointId,
    of_target: &dyn Fn(&Target) -> TargetHealth,
) -> EndpointHealth {
    let targets = zone.targets_of(endpoint);
    EndpointHealth {
        v4: targets.v4.as_ref().map(of_target),
        v6: targets.v6.as_ref().map(of_target),
        host: targets.host.as_ref().map(of_target),
    }
}

/// The rules met so far. Rules that say the same share one entry, and rules that order the same
/// pools by the same evidence share one map.
#[derive(Default)]
struct RuleTable {
    sources: Vec<RuleSource>,
    by_content: HashMap<(usize, Steer), u32>,
    maps: HashMap<MapKey, Arc<RuleMap>>,
}

/// What a map depends on.
#[derive(PartialEq, Eq, Hash)]
struct MapKey {
    zone: usize,
    is_nearest: bool,
    pools: Vec<usize>,
    wheres: Vec<Where>,
}

impl RuleTable {
    fn place_of(
        &mut self,
        atlas: &Atlas,
        zone: &Zone,
        zone_place: usize,
        steer_place: usize,
    ) -> Result<u32, CompileError> {
        let steer = &zone.steers[steer_place];
        let content = (zone_place, Steer { owner: Name::root(), ..steer.clone() });
        if let Some(place) = self.by_content.get(&content) {
            return Ok(*place);
        }
        let key = MapKey {
            zone: zone_place,
            is_nearest: steer.policy == Policy::Nearest,
            pools: steer.pools.iter().map(|pool| pool.pool.index()).collect(),
            wheres: steer.wheres.clone(),
        };
        let map = match self.maps.get(&key) {
            Some(map) => Arc::clone(map),
            None => {
                let map = map_of(atlas, zone, steer);
                let map = map
                    .map_err(|error| CompileError::Classes { owner: steer.owner.clone(), error })?;
                Arc::clone(self.maps.entry(key).or_insert_with(|| Arc::new(map)))
            }
        };
        let place = u32::try_from(self.sources.len()).map_err(|_| CompileError::TooLarge)?;
        self.sources.push(RuleSource { zone: zone_place, steer: steer_place, map });
        self.by_content.insert(content, place);
        Ok(place)
    }
}

/// Splits a rule's clients into classes of equal preference.
fn map_of(atlas: &Atlas, zone: &Zone, steer: &Steer) -> Result<RuleMap, ClassMapError> {
    if steer.policy != Policy::Nearest && steer.wheres.is_empty() {
        return Ok(RuleMap { preferences: vec![prefer(zone, steer, None, None)], classes: None });
    }
    let subnets: Vec<_> = steer.wheres.iter().map(|clause| clause.subnets.clone()).collect();
    let asns: Vec<u32> = steer.wheres.iter().flat_map(|clause| &clause.asns).copied().collect();
    let coordinates: Vec<Coordinates> = zone.regions.iter().map(|r| r.coordinates).collect();
    let mut preferences: Vec<Preference> = Vec::new();
    let mut places: HashMap<Preference, ClassId> = HashMap::new();
    let mut classify = |place: &Place<'_>| {
        let preference = preference_at(zone, steer, place, &coordinates);
        *places.entry(preference).or_insert_with_key(|preference| {
            preferences.push(preference.clone());
            // Too many for the table's ids is the table's error to report, so stop at the last.
            ClassId(u16::try_from(preferences.len() - 1).unwrap_or(u16::MAX))
        })
    };
    let classes = ClassMap::compile(atlas, &subnets, &asns, &mut classify)?;
    Ok(RuleMap { preferences, classes: Some(classes) })
}

/// What clients at a place prefer.
pub(crate) fn preference_at(
    zone: &Zone,
    steer: &Steer,
    place: &Place<'_>,
    regions: &[Coordinates],
) -> Preference {
    let clause = clause_of(steer, place.location, place.subnets);
    let nearest: Option<Vec<RegionId>> = place
        .location
        .coordinates
        .map(|from| distance::order(from, regions).into_iter().map(RegionId::new).collect());
    prefer(zone, steer, clause, nearest.as_deref())
}
