//! From what operators wrote and what probes saw to what queries look at.
//!
//! Two steps of very different rhythm: [`Blueprint`] → names and maps, on a reload or a new database;
//! health → rules, on every change of a verdict. The second shares everything that the first made,
//! and recompiles only rules whose endpoints have changed.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::names::{NameTable, TableError};
use super::rules::{RuleMap, RuleSource};
use super::tally::Tally;
use crate::geo::distance::Ranking;
use crate::geo::{Atlas, ClassId, ClassMap, ClassMapError, Place, distance};
use crate::model::topology::{ClientMap, EndpointAt, Policy, Region, RttEntry, Where};
use crate::model::{
    Coordinates, Endpoint, EndpointHealth, EndpointId, Location, Name, RegionId, Steer, SteerId,
    Target, TargetHealth, Zone,
};
use crate::steer::capacity::Setup;
use crate::steer::jitter::{SLOTS, slot_of};
use crate::steer::latency::{Rtt, Trip, times_of};
use crate::steer::outline::{Node, To};
use crate::steer::prefer::{Seen, Sight, nearest_region, prefer_seen};
use crate::steer::{Evidence, Outline, Preference};

/// What a snapshot is compiled from: zones and geo data.
#[derive(Debug)]
pub struct Blueprint {
    /// The zones, in any order; no two of one apex.
    pub zones: Vec<Arc<Zone>>,
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
    pub(crate) rules: Vec<Arc<RuleSource>>,
    /// What is probed, and whose it is.
    pub(crate) targets: Targets,
    /// The endpoints that are aliases, by zone.
    pub(crate) aliases: Vec<(usize, EndpointId)>,
    /// The rules with steers that go by round trips.
    pub(crate) rules_by_round_trip: Vec<u32>,
    /// By zone and pool: the rules that it may matter to.
    pub(crate) rules_by_pool: Vec<Vec<Vec<u32>>>,
    /// Whether any rule has a class map.
    pub(crate) has_classes: bool,
    /// By zone: which of its rules share pools with a capacity, where any has such.
    pub(crate) setups: Vec<Option<Arc<Setup>>>,
    /// How often demand is to be estimated there, each once.
    pub(crate) demand_steps: BTreeSet<Duration>,
}

impl Fixed {
    /// Compiles a blueprint. Rules of zones that were in the blueprint `before` are taken from there.
    pub(crate) fn new(
        blueprint: Blueprint,
        before: Option<(&Self, &Carried)>,
    ) -> Result<Self, CompileError> {
        let mut rules =
            RuleTable { before: before.map(|(before, _)| before), ..RuleTable::default() };
        let mut rules_by_zone = Vec::with_capacity(blueprint.zones.len());
        for (place, zone) in blueprint.zones.iter().enumerate() {
            let carried =
                before.and_then(|(before, carried)| Some((before, carried.place(place)?)));
            rules_by_zone.push(match carried {
                Some((before, old)) => rules.carry(before, old, place)?,
                None => {
                    let ids = (0..zone.steers.len()).map(SteerId::new);
                    let of_steer = |id| rules.place_of(&blueprint.atlas, zone, place, id);
                    ids.map(of_steer).collect::<Result<_, _>>()?
                }
            });
        }
        let names = NameTable::new(&blueprint.zones)?;
        let has_classes = rules.sources.iter().any(|rule| rule.map.classes.is_some());
        let targets = Targets::new(&blueprint.zones);
        let aliases = aliases_of(&blueprint.zones);
        let rules = rules.sources;
        let rules_by_pool = rules_by_pool(&blueprint.zones, &rules);
        let has_trips = |(_, rule): &(u32, &Arc<RuleSource>)| !rule.map.trips.is_empty();
        let by_round_trip = (0..).zip(&rules).filter(has_trips).map(|(place, _)| place);
        let rules_by_round_trip = by_round_trip.collect();
        let setups = Vec::new();
        let mut fixed = Self {
            names,
            rules_by_zone,
            rules,
            targets,
            aliases,
            rules_by_round_trip,
            rules_by_pool,
            has_classes,
            blueprint,
            setups,
            demand_steps: BTreeSet::new(),
        };
        let setup = |place| match before.map(|(before, carried)| (before, carried.place(place))) {
            Some((before, Some(old))) => before.setups[old].clone(),
            _ => fixed.setup(place).map(Arc::new),
        };
        fixed.setups = (0..fixed.blueprint.zones.len()).map(setup).collect();
        let setups = fixed.setups.iter().flatten();
        fixed.demand_steps = setups.flat_map(|setup| setup.step_times()).collect();
        Ok(fixed)
    }

    fn setup(&self, place: usize) -> Option<Setup> {
        let zone = &self.blueprint.zones[place];
        if zone.pools.iter().all(|pool| pool.capacity.is_none()) {
            return None;
        }
        let rules = self.rules[self.rules_of(place)].iter();
        let rules = rules.map(|source| source.as_rule(&source.map.preferences));
        let at = |region: RegionId| zone.regions[region.index()].coordinates;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 20,016 km"
        )]
        let far = |from, to| distance::kilometres(at(from), at(to)).round() as u32;
        Setup::new(zone, &rules.collect::<Vec<_>>(), &far)
    }

    /// Where the rules of a zone are in `rules`: together, for those of one zone follow on another's.
    pub(crate) fn rules_of(&self, zone: usize) -> Range<usize> {
        let first = |zone| self.rules.partition_point(|source| source.zone < zone);
        first(zone)..first(zone + 1)
    }
}

/// What of a blueprint was in the one before as well, so that it need not be compiled again.
pub(crate) struct Carried {
    /// By the place of a zone, the place that it had.
    places: Vec<Option<usize>>,
    /// Whether zones have the same names as before: where one ends and another begins.
    pub(crate) has_same_names: bool,
}

impl Carried {
    /// What `blueprint` has of `before`; nothing when the geo data is other. A zone is the same when it is
    /// the very same, in memory. Both have their zones in the order of names; in another order less would
    /// be found.
    pub(crate) fn new(blueprint: &Blueprint, before: &Blueprint) -> Option<Self> {
        if !Arc::ptr_eq(&blueprint.atlas, &before.atlas) {
            return None;
        }
        let (zones, old_zones) = (&blueprint.zones, &before.zones);
        let is_same_name = |(new, old): (&Arc<Zone>, &Arc<Zone>)| {
            // Where the very zone stands, its name need not be looked at.
            Arc::ptr_eq(new, old) || new.apex == old.apex
        };
        let has_same_names =
            zones.len() == old_zones.len() && zones.iter().zip(old_zones).all(is_same_name);
        let mut old_zones = old_zones.iter().enumerate().peekable();
        let place = |zone: &Arc<Zone>| {
            let is_gone = |old: &Arc<Zone>| !Arc::ptr_eq(old, zone) && old.apex < zone.apex;
            while old_zones.next_if(|(_, old)| is_gone(old)).is_some() {}
            let (place, old) =
                old_zones.next_if(|(_, old)| Arc::ptr_eq(old, zone) || old.apex <= zone.apex)?;
            Arc::ptr_eq(old, zone).then_some(place)
        };
        let places = zones.iter().map(place).collect();
        Some(Self { places, has_same_names })
    }

    /// The place that a zone had, if it was there.
    pub(crate) fn place(&self, zone: usize) -> Option<usize> {
        self.places[zone]
    }
}

fn aliases_of(zones: &[Arc<Zone>]) -> Vec<(usize, EndpointId)> {
    let is_alias = |endpoint: &Endpoint| matches!(endpoint.at, EndpointAt::Alias(_));
    let of_zone = |(place, zone): (usize, &Arc<Zone>)| {
        let own = zone.endpoints.iter().enumerate().filter(|(_, endpoint)| is_alias(endpoint));
        own.map(move |(n, _)| (place, EndpointId::new(n))).collect::<Vec<_>>()
    };
    zones.iter().enumerate().flat_map(of_zone).collect()
}

fn rules_by_pool(zones: &[Arc<Zone>], rules: &[Arc<RuleSource>]) -> Vec<Vec<Vec<u32>>> {
    let mut by_pool: Vec<Vec<Vec<u32>>> =
        zones.iter().map(|zone| vec![Vec::new(); zone.pools.len()]).collect();
    for (place, rule) in (0..).zip(rules) {
        for pool in rule.outline.pools_in_play(&zones[rule.zone]) {
            let rules = &mut by_pool[rule.zone][pool.index()];
            if rules.last() != Some(&place) {
                rules.push(place);
            }
        }
    }
    by_pool
}

/// Every target, once, and which endpoints it tells of.
#[derive(Debug)]
pub(crate) struct Targets {
    /// Each with its place.
    places: HashMap<Target, u32>,
    /// By zone and endpoint: the places of its targets by address family.
    by_endpoint: Vec<Vec<[Option<u32>; 3]>>,
    /// By target: zones and endpoints.
    endpoints: Vec<Vec<(u32, EndpointId)>>,
}

impl Targets {
    fn new(zones: &[Arc<Zone>]) -> Self {
        let mut places: HashMap<Target, u32> = HashMap::new();
        let mut endpoints: Vec<Vec<(u32, EndpointId)>> = Vec::new();
        let mut by_endpoint = Vec::with_capacity(zones.len());
        for (zone_place, zone) in (0..).zip(zones) {
            let ids = (0..zone.endpoints.len()).map(EndpointId::new);
            let of_endpoint = ids.map(|id| {
                let own = zone.targets_of(id);
                [own.v4, own.v6, own.host].map(|target| {
                    let next = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
                    let place = *places.entry(target?).or_insert(next);
                    if place == next {
                        endpoints.push(Vec::new());
                    }
                    endpoints[place as usize].push((zone_place, id));
                    Some(place)
                })
            });
            by_endpoint.push(of_endpoint.collect());
        }
        Self { places, by_endpoint, endpoints }
    }

    /// All of them with their places, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Target, usize)> {
        self.places.iter().map(|(target, place)| (target, *place as usize))
    }

    /// The place of a target, if any endpoint asks for it.
    pub(crate) fn place(&self, target: &Target) -> Option<usize> {
        self.places.get(target).map(|place| *place as usize)
    }

    /// The health of each target, by place.
    pub(crate) fn health(&self, of_target: &dyn Fn(&Target) -> TargetHealth) -> Vec<TargetHealth> {
        let mut health = vec![TargetHealth::UNCHECKED; self.places.len()];
        for (target, place) in &self.places {
            health[*place as usize] = of_target(target);
        }
        health
    }

    /// The health of a zone's endpoint when this is that of targets, by place.
    pub(crate) fn endpoint_health(
        &self,
        zone: usize,
        endpoint: EndpointId,
        of_target: impl Fn(usize) -> TargetHealth,
    ) -> EndpointHealth {
        let known = |place: Option<u32>| place.map(|place| of_target(place as usize));
        let [v4, v6, host] = self.by_endpoint[zone][endpoint.index()];
        EndpointHealth { v4: known(v4), v6: known(v6), host: known(host), ..Default::default() }
    }

    /// The endpoints that a target tells of, with their zones.
    pub(crate) fn endpoints(&self, target: usize) -> impl Iterator<Item = (usize, EndpointId)> {
        self.endpoints[target].iter().map(|(zone, endpoint)| (*zone as usize, *endpoint))
    }
}

/// The rules met so far. Rules that say the same of names in the same slot share one entry, and rules
/// that order branches in the same places by the same evidence share one map.
#[derive(Default)]
struct RuleTable<'b> {
    sources: Vec<Arc<RuleSource>>,
    /// By the slot of a name.
    by_content: HashMap<(usize, Steer), [Option<u32>; SLOTS]>,
    maps: HashMap<MapKey, Arc<RuleMap>>,
    /// Has maps, of the same geo data, that are not among `maps` yet.
    before: Option<&'b Fixed>,
}

/// What a map depends on.
#[derive(PartialEq, Eq, Hash)]
struct MapKey {
    regions: Vec<RegionKey>,
    nodes: Vec<NodeKey>,
    /// Only if any node goes by them.
    rtts: Option<Arc<[RttEntry]>>,
}

/// A region: its coordinates as bits, and whom it falls back to.
type RegionKey = (u64, u64, Vec<RegionId>);

#[derive(PartialEq, Eq, Hash)]
struct NodeKey {
    policy: Option<Policy>,
    branches: Vec<To>,
    regions: Vec<Vec<RegionId>>,
    wheres: Vec<Where>,
    map: ClientMap,
    bias: Vec<(RegionId, i8)>,
}

impl MapKey {
    fn new(zone: &Zone, outline: &Outline) -> Self {
        let region = |region: &Region| {
            let Coordinates { latitude, longitude } = region.coordinates;
            (latitude.to_bits(), longitude.to_bits(), region.fallback.clone())
        };
        let node = |(node, steer): (&Node, &Steer)| NodeKey {
            policy: steer.policy.tells_places_apart().then_some(steer.policy),
            branches: node.branches.clone(),
            regions: node.regions.clone(),
            wheres: steer.wheres.clone(),
            map: steer.map.clone(),
            bias: steer.bias.clone(),
        };
        let goes_by_rtts = outline.steers(zone).any(|steer| steer.policy == Policy::Latency);
        Self {
            rtts: goes_by_rtts.then(|| Arc::clone(&zone.rtts)),
            regions: zone.regions.iter().map(region).collect(),
            nodes: outline.nodes().iter().zip(outline.steers(zone)).map(node).collect(),
        }
    }
}

impl RuleTable<'_> {
    /// Takes over the rules of a zone that was at `old` and is at `place`.
    fn carry(
        &mut self,
        before: &Fixed,
        old: usize,
        place: usize,
    ) -> Result<Box<[u32]>, CompileError> {
        let own = before.rules_of(old);
        let number = |count: usize| u32::try_from(count).map_err(|_| CompileError::TooLarge);
        let (old_first, first) = (number(own.start)?, number(self.sources.len())?);
        self.sources.extend(before.rules[own].iter().map(|source| match place == old {
            true => Arc::clone(source),
            false => Arc::new(RuleSource { zone: place, ..(**source).clone() }),
        }));
        Ok(before.rules_by_zone[old].iter().map(|rule| rule - old_first + first).collect())
    }

    /// The map of a rule, made unless there is one already.
    fn map(
        &mut self,
        atlas: &Atlas,
        zone: &Zone,
        outline: &Outline,
    ) -> Result<Arc<RuleMap>, ClassMapError> {
        if let Some(before) = self.before.take() {
            let key = |source: &RuleSource| {
                MapKey::new(&before.blueprint.zones[source.zone], &source.outline)
            };
            let maps = before.rules.iter().map(|source| (key(source), Arc::clone(&source.map)));
            self.maps.extend(maps);
        }
        let key = MapKey::new(zone, outline);
        if let Some(map) = self.maps.get(&key) {
            return Ok(Arc::clone(map));
        }
        let map = Arc::new(map_of(atlas, zone, outline)?);
        Ok(Arc::clone(self.maps.entry(key).or_insert(map)))
    }

    fn place_of(
        &mut self,
        atlas: &Atlas,
        zone: &Zone,
        zone_place: usize,
        steer_id: SteerId,
    ) -> Result<u32, CompileError> {
        let steer = &zone.steers[steer_id.index()];
        let content = (zone_place, Steer { owner: Name::root(), ..steer.clone() });
        let slot = slot_of(&steer.owner);
        if let Some(place) = self.by_content.get(&content).and_then(|places| places[slot]) {
            return Ok(place);
        }
        let outline = Outline::new(zone, steer_id);
        let map = self.map(atlas, zone, &outline);
        let map =
            map.map_err(|error| CompileError::Classes { owner: steer.owner.clone(), error })?;
        let place = u32::try_from(self.sources.len()).map_err(|_| CompileError::TooLarge)?;
        let mut pools = outline.leaves().iter().map(|pool| &zone.pools[pool.index()]);
        let is_counted = pools.any(|pool| pool.capacity.is_some());
        let tally = is_counted.then(|| Arc::new(Tally::new(map.preferences.len())));
        let source = RuleSource { zone: zone_place, outline, map, tally };
        self.sources.push(Arc::new(source));
        let places = self.by_content.entry(content).or_default();
        // Without jitter slots make no difference, and what names under a capacity ask for is best known
        // of all together.
        if is_counted || steer.ttl_jitter.share == 0 {
            *places = [Some(place); SLOTS];
        } else {
            places[slot] = Some(place);
        }
        Ok(place)
    }
}

/// Splits a rule's clients into classes of equal preference.
fn map_of(atlas: &Atlas, zone: &Zone, outline: &Outline) -> Result<RuleMap, ClassMapError> {
    if !outline.tells_places_apart(zone) {
        let nowhere = Location::default();
        let place = Place { location: &nowhere, subnets: &[], is_private: false };
        let mut classes = Classes::new(zone, outline);
        classes.of(&place);
        return Ok(classes.map(None));
    }
    let (subnets, asns) = (outline.subnet_sets(zone), outline.asns(zone));
    let mut classes = Classes::new(zone, outline);
    let map = ClassMap::compile(atlas, &subnets, &asns, &mut |place| classes.of(place))?;
    Ok(classes.map(Some(map)))
}

/// The classes of a rule, numbered as they are met.
struct Classes<'a> {
    zone: &'a Zone,
    outline: &'a Outline,
    sight: Sight,
    /// By region, whether a steer that goes by round trips leads there; empty where none does.
    by_round_trip: Vec<bool>,
    regions: Vec<Coordinates>,
    ranking: Ranking,
    needs_kilometres: bool,
    preferences: Vec<Preference>,
    /// By class: the regions nearest to its clients, as far as anybody knows where they are.
    nearest: Vec<BTreeSet<RegionId>>,
    /// By class: the trips to regions of those places of which all are known, added up.
    trips: Vec<TripsOf>,
    by_preference: HashMap<(Preference, Told), ClassId>,
    /// By what is seen of clients: hundreds of thousands of places look alike in thousands of ways.
    by_seen: HashMap<(Box<[Seen]>, Told), ClassId>,
}

/// By region, whether `[rtt]` tells of the way there, as far as that matters.
type Told = Box<[bool]>;

/// The trips to regions of the places of a class.
#[derive(Default)]
struct TripsOf {
    told: Told,
    /// Nanoseconds of all of them together, by region.
    nanos: Vec<u128>,
    places: u64,
}

impl TripsOf {
    fn add(&mut self, times: &[Option<Rtt>]) {
        let all = times.iter().copied().map(|time| Some(time?.0.as_nanos()));
        let Some(all) = all.collect::<Option<Vec<u128>>>() else { return };
        self.nanos.resize(all.len(), 0);
        self.nanos.iter_mut().zip(all).for_each(|(sum, nanos)| *sum += nanos);
        self.places += 1;
    }

    /// The mean of them: whatever is nearer of each place is so on average.
    fn mean(&self) -> Box<[Trip]> {
        let trip = |(n, nanos): (usize, &u128)| Trip {
            time: Duration::from_nanos_u128(nanos / u128::from(self.places.max(1))),
            is_told: self.told.get(n).copied().unwrap_or(false),
        };
        self.nanos.iter().enumerate().map(trip).collect()
    }
}

impl<'a> Classes<'a> {
    fn new(zone: &'a Zone, outline: &'a Outline) -> Self {
        let regions: Vec<Coordinates> = zone.regions.iter().map(|r| r.coordinates).collect();
        Self {
            zone,
            outline,
            sight: Sight::new(zone, outline),
            ranking: Ranking::new(&regions),
            regions,
            needs_kilometres: outline
                .steers(zone)
                .any(|steer| !steer.bias.is_empty() || steer.policy == Policy::Latency),
            by_round_trip: by_round_trip(zone, outline),
            preferences: Vec::new(),
            nearest: Vec::new(),
            trips: Vec::new(),
            by_preference: HashMap::new(),
            by_seen: HashMap::new(),
        }
    }

    /// The class of clients at a place.
    fn of(&mut self, place: &Place<'_>) -> ClassId {
        let (seen, times) = self.see(place);
        let counts = times.iter().zip(&self.by_round_trip);
        let is_told = |(time, counts): (&Option<Rtt>, &bool)| {
            *counts && time.is_some_and(|(_, entry)| entry.is_some())
        };
        let key = (seen, counts.map(is_told).collect::<Told>());
        if let Some(&class) = self.by_seen.get(&key) {
            self.add_trips(class, &times);
            return class;
        }
        let (seen, told) = &key;
        let preference = prefer_seen(self.zone, self.outline, seen);
        // Too many for the table's ids is the table's error to report, so stop at the last.
        let next = u16::try_from(self.preferences.len()).unwrap_or(u16::MAX);
        let class = *self.by_preference.entry((preference, told.clone())).or_insert_with_key(
            |(preference, told)| {
                // Others may want the same, and be told of less.
                let class = told.contains(&true).then_some(next);
                self.preferences.push(Preference { class, ..preference.clone() });
                self.nearest.push(BTreeSet::new());
                self.trips.push(TripsOf { told: told.clone(), ..TripsOf::default() });
                ClassId(next)
            },
        );
        if let Some(nearest) = self.nearest.get_mut(usize::from(class.0)) {
            nearest.extend(nearest_region(seen));
        }
        self.add_trips(class, &times);
        self.by_seen.insert(key, class);
        class
    }

    fn add_trips(&mut self, class: ClassId, times: &[Option<Rtt>]) {
        let own =
            self.trips.get_mut(usize::from(class.0)).filter(|_| !self.by_round_trip.is_empty());
        own.into_iter().for_each(|trips| trips.add(times));
    }

    /// What they come to, when `classes` tells which of them a client is in.
    fn map(self, classes: Option<ClassMap>) -> RuleMap {
        let only = |all: BTreeSet<RegionId>| all.first().copied().filter(|_| all.len() == 1);
        let nearest = self.nearest.into_iter().map(only).collect();
        let trips = self.trips.iter().filter(|_| !self.by_round_trip.is_empty()).map(TripsOf::mean);
        RuleMap {
            trips: trips.collect(),
            alike: alike(&self.preferences),
            preferences: self.preferences.into(),
            nearest,
            classes,
        }
    }

    fn see(&self, place: &Place<'_>) -> (Box<[Seen]>, Vec<Option<Rtt>>) {
        let from = place.location.coordinates;
        let nearest: Option<Vec<RegionId>> =
            from.map(|from| self.ranking.order(from).into_iter().map(RegionId::new).collect());
        let kilometres: Vec<f64> = match from.filter(|_| self.needs_kilometres) {
            Some(from) => self.regions.iter().map(|at| distance::kilometres(from, *at)).collect(),
            None => Vec::new(),
        };
        let evidence = Evidence {
            location: place.location,
            subnets: place.subnets,
            nearest: nearest.as_deref(),
            kilometres: &kilometres,
        };
        let times = times_of(self.zone, self.outline, &evidence);
        (self.sight.see(self.zone, self.outline, &evidence, &times), times)
    }
}

/// All classes, those whose orders begin alike behind one another.
fn alike(preferences: &[Preference]) -> Box<[u16]> {
    let beginning = |class: &u16| {
        let orders = preferences[usize::from(*class)].orders.iter();
        orders.map(|order| (&order.branches, order.preferred, order.is_strict)).collect::<Vec<_>>()
    };
    let mut alike: Box<[u16]> = (0..=u16::MAX).take(preferences.len()).collect();
    alike.sort_by_cached_key(beginning);
    alike
}

/// By region, whether a steer of a rule that goes by round trips leads there; empty where none does.
fn by_round_trip(zone: &Zone, outline: &Outline) -> Vec<bool> {
    let nodes = outline.nodes().iter().zip(outline.steers(zone));
    let by_latency = nodes.filter(|(_, steer)| steer.policy == Policy::Latency);
    let regions: BTreeSet<RegionId> =
        by_latency.flat_map(|(node, _)| node.regions.concat()).collect();
    let own = 0..if regions.is_empty() { 0 } else { zone.regions.len() };
    own.map(|n| regions.contains(&RegionId::new(n))).collect()
}
