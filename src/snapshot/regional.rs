//! What clients near a group of vantages see otherwise than all others.
//!
//! A target that is up and [down from](crate::model::Reach) a group is taken for down for the classes near that
//! group: those whose nearest region has that group for the nearest of all. They get a scene of their own, in
//! which the pools of such targets are seen anew and all else is the zone's. So whatever is true of a pool that
//! is down is true here: the client's order, `min-healthy`, `velocity`, the TTL, one decision for all types. Two
//! things are not:
//!
//! - where nothing alive would be left, the classes are answered as all others are: others do reach it;
//! - when the group reaches the target again, they follow at once, without failback and ramp: the pool has
//!   served others all the while.
//!
//! Near no group are the clients of a rule without geography, those whom a clause or a map names, and those of whom
//! nobody knows where they are, unless they are in one class with others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::compile::Fixed;
use super::rules::RuleMap;
use super::{Conditions, alias_health};
use crate::geo::distance::Ranking;
use crate::model::{
    Coordinates, EndpointHealth, EndpointId, Override, PoolId, Reach, Region, TargetHealth,
    Verdict, Zone,
};
use crate::steer::overrides::{by_endpoint, overridden};
use crate::steer::walk::Decision;
use crate::steer::{Preference, Scene, Why};

/// Those of the zones, by place, that have endpoints which are down from somewhere.
pub(super) type Regionals = BTreeMap<usize, Arc<Regional>>;

/// What is seen of a zone near groups of vantages.
#[derive(Clone, Debug)]
pub(crate) struct Regional {
    views: Vec<View>,
    /// By region, the place of the view of the group that is nearest.
    of_region: Box<[Option<usize>]>,
}

/// What is seen near one group.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The group.
    pub(crate) group: String,
    /// The zone's scene, but for `pools`.
    pub(crate) scene: Arc<Scene>,
    /// The pools of what is down from the group.
    pools: Vec<PoolId>,
    /// What is known there of the endpoints that are, without the words of operators.
    pub(crate) down: HashMap<EndpointId, EndpointHealth>,
}

/// On what a rule acts: a scene, what some of its classes see instead, and what each prefers.
#[derive(Clone, Copy)]
pub(crate) struct Acted<'a> {
    pub(crate) preferences: &'a Arc<[Preference]>,
    pub(crate) scene: &'a Scene,
    pub(crate) regional: Option<&'a Regional>,
}

/// What is known when scenes are made.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) fixed: &'a Fixed,
    pub(super) target_health: &'a [TargetHealth],
    pub(super) conditions: &'a Conditions<'a>,
}

/// By group, what it holds of targets, by place.
type ByGroup<'r> = BTreeMap<&'r str, HashMap<usize, TargetHealth>>;

/// What groups do not reach of each zone.
pub(super) fn by_zone<'r>(fixed: &Fixed, reach: &'r Reach) -> BTreeMap<usize, ByGroup<'r>> {
    let mut zones: BTreeMap<usize, ByGroup<'r>> = BTreeMap::new();
    for (target, from) in &reach.down {
        let Some(target) = fixed.targets.place(target) else { continue };
        for (zone, _) in fixed.targets.endpoints(target) {
            for from in from {
                let own = zones.entry(zone).or_default().entry(&*from.group).or_default();
                own.insert(target, from.health);
            }
        }
    }
    zones
}

/// The group that is nearest to each region of a zone.
pub(super) fn groups_near<'p>(
    zone: &Zone,
    places: &'p BTreeMap<String, Coordinates>,
) -> Vec<Option<&'p str>> {
    let (names, at): (Vec<&str>, Vec<Coordinates>) =
        places.iter().map(|(name, at)| (&**name, *at)).unzip();
    let ranking = Ranking::new(&at);
    let nearest =
        |region: &Region| ranking.nearest(region.coordinates, 1).first().map(|place| names[*place]);
    zone.regions.iter().map(nearest).collect()
}

impl Regional {
    /// What is seen of a zone when groups hold this of its targets; `None` when no class is near any of them.
    /// `scene` is what all others see, `before` what was seen before.
    pub(super) fn new(
        known: Known<'_>,
        place: usize,
        (places, by_group): (&BTreeMap<String, Coordinates>, &ByGroup<'_>),
        scene: &Scene,
        before: Option<&Self>,
    ) -> Option<Self> {
        let groups = groups_near(&known.fixed.blueprint.zones[place], places);
        let is_near = |group: &&str| groups.contains(&Some(*group));
        let views: Vec<View> = by_group
            .iter()
            .filter(|(group, _)| is_near(group))
            .map(|(group, down)| {
                let before =
                    before.and_then(|before| before.views.iter().find(|v| v.group == *group));
                View::new(known, place, (group, down), scene, before)
            })
            .collect();
        let view_of = |group: &Option<&str>| {
            let group = (*group)?;
            views.iter().position(|view| view.group == group)
        };
        let of_region = groups.iter().map(view_of).collect();
        (!views.is_empty()).then_some(Self { views, of_region })
    }

    /// What is seen near each group.
    pub(crate) fn views(&self) -> &[View] {
        &self.views
    }

    /// What clients of a class see; `None` when it is what all others see.
    pub(crate) fn place_of(&self, map: &RuleMap, class: usize) -> Option<usize> {
        self.of_region[map.nearest[class]?.index()]
    }

    /// The pools that are seen otherwise by anybody.
    pub(super) fn pools(&self) -> impl Iterator<Item = PoolId> {
        self.views.iter().flat_map(|view| view.pools.iter().copied())
    }

    /// The same with all scenes changed in one way.
    pub(super) fn map(&self, change: impl Fn(&Scene) -> Arc<Scene>) -> Self {
        let mut next = self.clone();
        next.views.iter_mut().for_each(|view| view.scene = change(&view.scene));
        next
    }
}

impl View {
    fn new(
        Known { fixed, target_health, conditions }: Known<'_>,
        place: usize,
        (group, down): (&str, &HashMap<usize, TargetHealth>),
        scene: &Scene,
        before: Option<&Self>,
    ) -> Self {
        let zone = &fixed.blueprint.zones[place];
        // What is down for all is down since then.
        let of_target = |target: usize| match (target_health[target], down.get(&target)) {
            (health, Some(own)) if health.verdict != Verdict::Down => *own,
            (health, _) => health,
        };
        let real = |id| fixed.targets.endpoint_health(place, id, of_target);
        let of_zone = |target: &usize| {
            let all = fixed.targets.endpoints(*target);
            all.filter(|(zone, _)| *zone == place).map(|(_, id)| id).collect::<Vec<_>>()
        };
        let down: HashMap<EndpointId, EndpointHealth> =
            down.keys().flat_map(of_zone).map(|id| (id, real(id))).collect();
        let pools: BTreeSet<PoolId> =
            down.keys().map(|id| zone.endpoints[id.index()].pool).collect();
        let pools: Vec<PoolId> = pools.into_iter().collect();
        let said = by_endpoint(zone, conditions.overrides, conditions.now);
        let aliases = conditions.aliases.map(|aliases| &**aliases);
        let health = |id: EndpointId| {
            let alias = alias_health(zone, id, aliases);
            overridden(EndpointHealth { alias, ..real(id) }, said[id.index()])
        };
        let start = match before {
            // What the pools have been through here, not elsewhere.
            Some(Self { scene: old, pools: before, .. }) => {
                let both: Vec<_> = pools.iter().copied().filter(|id| before.contains(id)).collect();
                scene.clone().with_pools_of(old, &both)
            }
            None => scene.clone(),
        };
        let scene = start.next(zone, &health, None, pools.iter().copied(), scene.now);
        Self { group: group.to_owned(), scene: Arc::new(scene), pools, down }
    }

    /// What counts for known of the zone's endpoints, where `all` is what does elsewhere.
    pub(crate) fn health(
        &self,
        all: &[EndpointHealth],
        said: &[Option<&Override>],
    ) -> Vec<EndpointHealth> {
        let mut health = all.to_vec();
        for (id, down) in &self.down {
            let alias = all[id.index()].alias;
            health[id.index()] = overridden(EndpointHealth { alias, ..*down }, said[id.index()]);
        }
        health
    }
}

/// Whether a decision that was made for a group's clients is theirs: something alive is left to them.
pub(crate) const fn is_theirs(decision: &Decision) -> bool {
    !matches!(decision.why, Why::AllDown | Why::NoFamily | Why::Unfound)
}
