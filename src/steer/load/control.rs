//! The controllers of a zone: what each splits, and what it hears.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{LoadWeights, aim_between, aim_of, pooled, static_weight};
use crate::model::topology::BranchTo;
use crate::model::{EndpointId, Load, PoolId, Steer, SteerId, Utilisation, Zone};
use crate::steer::controller::{Aim, Controller, Item, Settings};
use crate::steer::flow::room;
use crate::steer::outline::Outline;
use crate::steer::scene::{Family, Scene};

/// Tells what is known of an endpoint's load.
pub(super) type LoadOf<'a> = dyn Fn(EndpointId) -> Option<Load> + 'a;

/// Everything in one zone that is split by load.
#[derive(Clone, Debug)]
pub struct LoadControl {
    splits: Vec<Splitter>,
    weights: Arc<LoadWeights>,
}

/// A controller as it is written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedControl {
    /// What it splits: `steer www.example.com.`, `pool web-eu`, `pool web-eu by weight`.
    pub of: String,
    /// The names of its parts, in the order of its standings.
    pub parts: Vec<String>,
    /// It.
    pub controller: Controller,
}

/// Something that is split by load, for those who ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    /// What: `steer www.example.com.`, `pool web-eu`.
    pub of: String,
    /// Its parts, in the order written.
    pub parts: Vec<SplitPart>,
}

/// One of the things that share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SplitPart {
    /// Its name: an endpoint's, a pool's, `steer:NAME`.
    pub name: String,
    /// Its weight now, and what it would be without any load: in the same unit.
    pub weights: (u32, u32),
    /// Whether answers may name it now.
    pub is_usable: bool,
    /// What is known of its load.
    pub load: Option<Load>,
}

/// What one controller splits.
#[derive(Clone, Debug)]
struct Splitter {
    of: SplitOf,
    name: String,
    settings: Settings,
    parts: Vec<Part>,
    controller: Controller,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum SplitOf {
    Branches(SteerId),
    Endpoints(PoolId),
}

/// One of the things among which demand is split.
#[derive(Clone, Debug)]
struct Part {
    name: String,
    weight: u32,
    /// The pools of a branch; for an endpoint its own.
    pools: Vec<PoolId>,
    /// Where it answers; all of the pools' endpoints for a branch.
    endpoints: Vec<EndpointId>,
    /// Whether their loads are parts of a limit.
    has_scale: bool,
}

impl LoadControl {
    /// The controllers that a zone needs, which know of no load yet; `None` when nothing in it goes by
    /// load.
    #[must_use]
    pub fn new(zone: &Zone) -> Option<Self> {
        let (mut splits, mut places) = (Vec::new(), HashMap::new());
        for (n, steer) in zone.steers.iter().enumerate().filter(|(_, s)| !s.is_branch_only) {
            let outline = Outline::new(zone, SteerId::new(n));
            for (node, own) in outline.nodes().iter().zip(outline.steers(zone)) {
                add_splits((&mut splits, &mut places), zone, node.steer, own, steer.ttl);
            }
        }
        if splits.is_empty() {
            return None;
        }
        let mut control = Self { splits, weights: Arc::default() };
        control.weights = Arc::new(control.settled());
        Some(control)
    }

    /// Goes on where others were, as far as they split the same.
    #[must_use]
    pub fn resumed(mut self, saved: &[SavedControl]) -> Self {
        let saved: HashMap<&str, &SavedControl> = saved.iter().map(|s| (&*s.of, s)).collect();
        for split in &mut self.splits {
            if let Some(saved) = saved.get(&*split.name) {
                split.resume(saved);
            }
        }
        self.weights = Arc::new(self.settled());
        self
    }

    /// What is to be written down of it.
    pub fn saved(&self) -> impl Iterator<Item = SavedControl> {
        self.splits.iter().map(|split| SavedControl {
            of: split.name.clone(),
            parts: split.parts.iter().map(|part| part.name.clone()).collect(),
            controller: split.controller.clone(),
        })
    }

    /// Takes the steps that are due at `unix` (since 1970, as all nodes know it) and follows who is usable
    /// in `scene`. Returns whether any weight has changed.
    pub fn step(
        &mut self,
        zone: &Zone,
        scene: &Scene,
        load_of: &LoadOf<'_>,
        unix: Duration,
    ) -> bool {
        let mut is_changed = false;
        for split in &mut self.splits {
            let items = split.items(zone, scene, load_of);
            is_changed |= split.controller.step(&split.settings, unix, &items);
        }
        if is_changed {
            self.weights = Arc::new(self.settled());
        }
        is_changed
    }

    /// In which time the next step is due.
    #[must_use]
    pub fn due_in(&self, unix: Duration) -> Duration {
        let left = |split: &Splitter| {
            let nanos = unix.as_nanos() % split.settings.period.as_nanos().max(1);
            split.settings.period.saturating_sub(Duration::from_nanos_u128(nanos))
        };
        self.splits.iter().map(left).min().unwrap_or(Duration::MAX)
    }

    /// What is split, how, and what is known of it.
    pub fn splits(&self, zone: &Zone, scene: &Scene, load_of: &LoadOf<'_>) -> Vec<Split> {
        let one = |split: &Splitter| {
            let items = split.items(zone, scene, load_of);
            let statics = Controller::new(items.len()).weights(&items);
            let weights = split.controller.weights(&items).into_iter().zip(statics);
            let parts = split.parts.iter().zip(items).zip(weights);
            let part = |((part, item), weights): ((&Part, Item), (u32, u32))| SplitPart {
                name: part.name.clone(),
                weights,
                is_usable: item.is_usable,
                load: item.load,
            };
            Split { of: split.name.clone(), parts: parts.map(part).collect() }
        };
        self.splits.iter().map(one).collect()
    }

    /// What the weights have come to.
    #[must_use]
    pub const fn weights(&self) -> &Arc<LoadWeights> {
        &self.weights
    }

    fn settled(&self) -> LoadWeights {
        let mut weights = LoadWeights::default();
        for split in &self.splits {
            let own = split.weights();
            match split.of {
                SplitOf::Branches(steer) => weights.branches.insert(steer, own),
                SplitOf::Endpoints(pool) => {
                    weights.endpoints.insert((pool, split.settings.aim), own)
                }
            };
        }
        weights
    }
}

/// Adds what a steer splits by load, in a rule whose answers live for `ttl`, to those whose places are known.
/// What is there already may have to wait longer for its clients.
fn add_splits(
    (splits, places): (&mut Vec<Splitter>, &mut HashMap<(SplitOf, Aim), usize>),
    zone: &Zone,
    id: SteerId,
    steer: &Steer,
    ttl: Duration,
) {
    let mut add = |of, aim, make: &dyn Fn() -> (String, Vec<Part>)| {
        if let Some(place) = places.get(&(of, aim)) {
            let settings: &mut Settings = &mut splits[*place].settings;
            settings.ttl = settings.ttl.max(ttl);
            return;
        }
        let (name, parts) = make();
        if parts.len() < 2 {
            return;
        }
        let period = period_of(zone, &parts);
        let controller = Controller::new(parts.len());
        let settings = Settings { aim, ttl, period };
        places.insert((of, aim), splits.len());
        splits.push(Splitter { of, name, settings, parts, controller });
    };
    if let Some(aim) = aim_between(zone, steer) {
        let parts = || {
            let branches = steer.branches.iter();
            let parts = branches.map(|branch| {
                let weight = static_weight(steer.policy.load(), branch.weight);
                part_of_branch(zone, branch.to, weight)
            });
            (format!("steer {}", steer.owner), parts.collect())
        };
        add(SplitOf::Branches(id), aim, &parts);
    }
    if let Some(policy) = steer.pick.policy.load() {
        let aim = aim_of(policy);
        for branch in &steer.branches {
            let BranchTo::Pool(pool) = branch.to else { continue };
            let parts = || {
                let name = &zone.pools[pool.index()].name;
                let by = if aim == Aim::EqualPerWeight { " by weight" } else { "" };
                let parts = zone.endpoints_of(pool).map(|(endpoint, own)| Part {
                    name: own.name.clone(),
                    weight: static_weight(Some(policy), own.weight),
                    pools: vec![pool],
                    endpoints: vec![endpoint],
                    has_scale: has_scale(zone, pool),
                });
                (format!("pool {name}{by}"), parts.collect())
            };
            add(SplitOf::Endpoints(pool), aim, &parts);
        }
    }
}

fn part_of_branch(zone: &Zone, to: BranchTo, weight: u32) -> Part {
    let (name, pools) = match to {
        BranchTo::Pool(pool) => (zone.pools[pool.index()].name.clone(), vec![pool]),
        BranchTo::Steer(steer) => {
            let mut pools = Outline::new(zone, steer).leaves().to_vec();
            pools.sort_unstable();
            pools.dedup();
            (format!("steer:{}", zone.steers[steer.index()].owner), pools)
        }
    };
    let endpoints = pools.iter().flat_map(|pool| zone.endpoints_of(*pool).map(|(id, _)| id));
    let endpoints = endpoints.collect();
    let has_scale = pools.iter().all(|pool| has_scale(zone, *pool));
    Part { name, weight, pools, endpoints, has_scale }
}

/// Whether the loads of a pool's endpoints are parts of a limit.
fn has_scale(zone: &Zone, pool: PoolId) -> bool {
    let mut feeds = zone.pools[pool.index()].feeds.iter();
    feeds.all(|feed| zone.feeds[feed.index()].spec.has_scale())
}

/// The longest time between two reports of any of them.
fn period_of(zone: &Zone, parts: &[Part]) -> Duration {
    let pools = parts.iter().flat_map(|part| &part.pools);
    let feeds = pools.flat_map(|pool| &zone.pools[pool.index()].feeds);
    let intervals = feeds.map(|feed| zone.feeds[feed.index()].spec.interval);
    intervals.max().unwrap_or(Duration::from_secs(10))
}

impl Splitter {
    fn items(&self, zone: &Zone, scene: &Scene, load_of: &LoadOf<'_>) -> Vec<Item> {
        let item = |part: &Part| {
            let alive = part.alive(scene);
            let is_usable = match self.of {
                SplitOf::Branches(_) => part.pools.iter().any(|p| scene.pool(*p).is_usable()),
                SplitOf::Endpoints(_) => !alive.is_empty(),
            };
            let capacity = match self.of {
                SplitOf::Branches(_) => part.capacity(zone, scene),
                SplitOf::Endpoints(_) => None,
            };
            let load = part.load(zone, &alive, load_of);
            Item { weight: part.weight, is_usable, capacity, load }
        };
        self.parts.iter().map(item).collect()
    }

    fn weights(&self) -> Box<[u32]> {
        let item =
            |part: &Part| Item { weight: part.weight, is_usable: true, capacity: None, load: None };
        let items: Vec<Item> = self.parts.iter().map(item).collect();
        self.controller.weights(&items).into()
    }

    /// Takes over the standings of parts of the same name.
    fn resume(&mut self, saved: &SavedControl) {
        let SavedControl { parts, controller, .. } = saved;
        let known: HashMap<&str, _> =
            parts.iter().map(String::as_str).zip(&controller.standings).collect();
        let Controller { epoch, tick, demand, .. } = *controller;
        (self.controller.epoch, self.controller.tick) = (epoch, tick);
        self.controller.demand = demand;
        for (part, standing) in self.parts.iter().zip(&mut self.controller.standings) {
            if let Some(known) = known.get(&*part.name) {
                *standing = **known;
            }
        }
    }
}

impl Part {
    /// Those of its endpoints that answers may name.
    fn alive(&self, scene: &Scene) -> Vec<EndpointId> {
        let of_pools = |pool: &PoolId| &scene.pool(*pool).family(Family::Either).alive;
        let alive = self.pools.iter().flat_map(of_pools);
        alive.copied().filter(|id| self.endpoints.contains(id)).collect()
    }

    /// What is a load of 1.0 of those of its pools that are usable, as far as they are well; `None` where
    /// that is not known of all.
    fn capacity(&self, zone: &Zone, scene: &Scene) -> Option<u32> {
        let usable = self.pools.iter().filter(|pool| scene.pool(**pool).is_usable());
        let room = |pool: &PoolId| {
            let capacity = zone.pools[pool.index()].capacity.filter(|_| zone.is_by_load(*pool))?;
            Some(room(capacity.get(), scene.pool(*pool).health_millis, Utilisation::ONE))
        };
        let total: u64 = usable.map(room).sum::<Option<u64>>()? / 1000;
        Some(u32::try_from(total).unwrap_or(u32::MAX))
    }

    /// What those report together.
    fn load(&self, zone: &Zone, alive: &[EndpointId], load_of: &LoadOf<'_>) -> Option<Load> {
        if let [only] = alive {
            return load_of(*only);
        }
        let weight = |id: &EndpointId| zone.endpoints[id.index()].weight;
        let has_weight = alive.iter().any(|id| weight(id) > 0);
        let weighted = |id: &EndpointId| (if has_weight { weight(id) } else { 1 }, load_of(*id));
        let loads: Vec<(u32, Option<Load>)> = alive.iter().map(weighted).collect();
        pooled(&loads, self.has_scale)
    }
}
