//! From one snapshot to the next, when health, time or the words of operators have changed.
//!
//! Everything that did not change is shared: a scene with its zone's other pools, a rule with all classes
//! that did not look at what changed. New blueprints are `compile`'s.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::demand::Demands;
use super::quickest::{self, Orders};
use super::regional::{self, Known};
use super::{
    Conditions, Grounds, Helpers, News, Snapshot, acted, alias_host, counting_health, due_of,
    observed_scene, plan_of, regionals,
};
use crate::model::{Aliases, Name, PoolId, Reach, Target, TargetHealth, Time};
use crate::snapshot::rules::CompiledRule;
use crate::steer::capacity::Demand;
use crate::steer::overrides::by_endpoint;
use crate::steer::select::Leaves;
use crate::steer::{LoadWeights, PoolPast, Scene};

impl Snapshot {
    /// The next snapshot, for these conditions; `None` when nothing has changed. Answers that depend on
    /// nothing that has changed are shared.
    #[must_use]
    pub fn next(&self, conditions: &Conditions<'_>) -> Option<Self> {
        let (target_health, changed_targets) = self.next_health(conditions);
        let spoken_of = self.zones_spoken_of(conditions);
        let mut changed = self.changed_pools(&changed_targets, &spoken_of, conditions);
        let aliases = conditions.aliases.or(self.aliases.as_ref());
        let conditions = &Conditions { aliases, ..*conditions };
        let found_anew = self.pools_found_anew(aliases.map(|aliases| &**aliases));
        let seen_anew = spoken_of.iter().chain(found_anew.keys()).copied().collect();
        for (zone, pools) in found_anew {
            changed.entry(zone).or_default().extend(pools);
        }
        let reach = conditions.reach.unwrap_or(&self.reach);
        let is_as_far =
            reach.round_trips == self.reach.round_trips && reach.places == self.reach.places;
        let reaches_the_same = reach.down == self.reach.down
            && (reach.is_whole() || reach.places == self.reach.places);
        if !reaches_the_same {
            self.mark_reached_otherwise(reach, &mut changed);
        }
        let orders = match is_as_far {
            true => self.orders.clone(),
            false => quickest::orders(&self.fixed, reach, &self.orders),
        };
        let reordered = reordered(&self.orders, &orders);
        let is_due = self.due.is_some_and(|due| due <= conditions.now);
        let is_said_already = *self.overrides == *conditions.overrides;
        let (demands, asking_other) = self.next_demands(conditions);
        let is_quiet = changed.is_empty() && asking_other.is_empty() && is_as_far;
        if is_quiet && !is_due && is_said_already {
            return None;
        }
        let mut places = self.rules_to_see(&changed, conditions.now);
        places.extend(&reordered);
        let mut scenes = self.next_scenes(&changed, &places, &target_health, conditions);
        let replanned = self.replan(&places, asking_other, (&demands, &orders), &mut scenes);
        places.extend(&replanned);
        places.sort_unstable();
        places.dedup();
        let observed = self.next_observed(&seen_anew, conditions);
        let known = Known { fixed: &self.fixed, target_health: &target_health, conditions };
        let regional = regionals(known, reach, &scenes, |place| {
            let is_same = reaches_the_same && Arc::ptr_eq(&scenes[place], &self.scenes[place]);
            (self.regional.get(&place).cloned(), is_same)
        });
        let grounds =
            Grounds { scenes: &scenes, observed: &observed, regional: &regional, orders: &orders };
        let anew = |place: u32| {
            (conditions.breathe)();
            let rule = &self.rules[place as usize];
            let source = &rule.source;
            let zone = &self.fixed.blueprint.zones[source.zone];
            let pools = changed.get(&source.zone);
            let is_reordered = reordered.contains(&place);
            let is_seen_anew = is_due || is_reordered || seen_anew.contains(&source.zone);
            if source.is_observe_only(zone) && !is_seen_anew {
                return None;
            }
            let is_other = is_reordered || replanned.contains(&place);
            let mut leaves = if is_other { Leaves::ALL } else { Leaves::default() };
            for (leaf, pool) in source.outline.pools_in_play(zone).enumerate() {
                if pools.is_some_and(|pools| pools.contains(&pool)) {
                    leaves.add(leaf);
                }
            }
            rule.next(zone, acted((place, source), zone, grounds), leaves).map(Arc::new)
        };
        let mut rules = self.rules.clone();
        for (place, rule) in by_parts(&places, conditions.helpers, anew) {
            rules[place as usize] = rule;
        }
        Some(Self {
            generation: self.generation + 1,
            gate: Arc::clone(&self.gate),
            fixed: Arc::clone(&self.fixed),
            due: due_of(&rules, conditions.overrides.next_end(conditions.now)),
            target_health,
            aliases: aliases.cloned(),
            reach: Arc::clone(reach),
            overrides: match is_said_already {
                true => Arc::clone(&self.overrides),
                false => Arc::new(conditions.overrides.clone()),
            },
            as_of: conditions.now,
            freeze: conditions.freeze(),
            scenes,
            observed,
            regional,
            orders,
            demands,
            rules,
        })
    }

    /// What clients ask for now, and the zones where that is new.
    fn next_demands(
        &self,
        conditions: &Conditions<'_>,
    ) -> (Vec<Option<Arc<Demand>>>, BTreeSet<usize>) {
        let Some(Demands(demands)) = conditions.demands else {
            return (self.demands.clone(), BTreeSet::new());
        };
        let both = self.demands.iter().zip(demands).enumerate();
        let is_other = |(_, (old, new)): &(usize, (&Option<_>, &Option<_>))| match (old, new) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
            (old, new) => old.is_some() || new.is_some(),
        };
        (demands.clone(), both.filter(is_other).map(|(place, _)| place).collect())
    }

    /// Plans anew where clients go, in zones where `rules` are to be seen or `asking_other`. Returns the
    /// rules that are to answer otherwise. Under a freeze all plans stay.
    fn replan(
        &self,
        rules: &[u32],
        asking_other: BTreeSet<usize>,
        (demands, orders): (&[Option<Arc<Demand>>], &Orders),
        scenes: &mut [Arc<Scene>],
    ) -> HashSet<u32> {
        let of_rules = rules.iter().map(|rule| self.rules[*rule as usize].source.zone);
        let mut places = asking_other;
        places.extend(of_rules);
        let mut replanned = HashSet::new();
        for place in places {
            let Some(before) = scenes[place].plan().filter(|_| scenes[place].freeze.is_none())
            else {
                continue;
            };
            let known = Some((&**before, demands[place].as_deref()));
            let plan = plan_of(&self.fixed, place, &scenes[place], orders, known);
            let Some(plan) = plan else { continue };
            if plan.is_same(before) {
                continue;
            }
            let own = self.fixed.rules_of(place);
            let other = own.filter(|rule| {
                let outline = &self.fixed.rules[*rule].outline;
                !plan.is_same_for(outline, before)
            });
            replanned.extend(other.filter_map(|rule| u32::try_from(rule).ok()));
            scenes[place] = Arc::new(Scene::clone(&scenes[place]).with_plan(Some(plan)));
        }
        replanned
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

    /// The zones of which operators say something, or did.
    fn zones_spoken_of(&self, conditions: &Conditions<'_>) -> HashSet<usize> {
        let both = self.overrides.all.iter().chain(&conditions.overrides.all);
        let apexes: HashSet<&Name> = both.map(|said| &said.zone).collect();
        if apexes.is_empty() {
            return HashSet::new();
        }
        let zones = self.zones().iter().enumerate();
        zones.filter(|(_, zone)| apexes.contains(&zone.apex)).map(|(place, _)| place).collect()
    }

    /// The pools of which something is not as it was, by zone.
    fn changed_pools(
        &self,
        changed_targets: &[usize],
        spoken_of: &HashSet<usize>,
        conditions: &Conditions<'_>,
    ) -> HashMap<usize, HashSet<PoolId>> {
        let mut changed: HashMap<usize, HashSet<PoolId>> = HashMap::new();
        for target in changed_targets {
            for (zone, endpoint) in self.fixed.targets.endpoints(*target) {
                let pool = self.fixed.blueprint.zones[zone].endpoints[endpoint.index()].pool;
                changed.entry(zone).or_default().insert(pool);
            }
        }
        for place in spoken_of {
            changed.entry(*place).or_default().extend(self.pools_spoken_of(*place, conditions));
        }
        changed.retain(|_, pools| !pools.is_empty());
        if self.freeze != conditions.freeze() {
            for (place, zone) in self.zones().iter().enumerate() {
                let all = (0..zone.pools.len()).map(PoolId::new);
                changed.entry(place).or_default().extend(all);
            }
        }
        for (place, (zone, scene)) in self.zones().iter().zip(&self.scenes).enumerate() {
            let Some(past) = conditions.past(zone) else { break };
            let own = scene.pasts();
            let all = (0..zone.pools.len()).map(PoolId::new);
            let differing = all.filter(|pool| past.of(zone, *pool) != own.of(zone, *pool));
            let differing: Vec<PoolId> = differing.collect();
            if !differing.is_empty() {
                changed.entry(place).or_default().extend(differing);
            }
        }
        changed
    }

    /// The pools with aliases of which something else is known now than was, by zone.
    fn pools_found_anew(&self, aliases: Option<&Aliases>) -> HashMap<usize, HashSet<PoolId>> {
        let mut changed: HashMap<usize, HashSet<PoolId>> = HashMap::new();
        let before = self.aliases.as_deref();
        for (zone, id) in &self.fixed.aliases {
            let own = self.zone(*zone);
            let Some(host) = alias_host(own, *id) else { continue };
            if before.map(|all| all.get(host)) != aliases.map(|all| all.get(host)) {
                changed.entry(*zone).or_default().insert(own.endpoints[id.index()].pool);
            }
        }
        changed
    }

    /// Adds to `changed` the pools that some groups do not reach, or did not, by zone.
    #[cold]
    fn mark_reached_otherwise(&self, reach: &Reach, changed: &mut HashMap<usize, HashSet<PoolId>>) {
        for (zone, regional) in &self.regional {
            changed.entry(*zone).or_default().extend(regional.pools());
        }
        for (place, by_group) in regional::by_zone(&self.fixed, reach) {
            let targets = by_group.values().flat_map(HashMap::keys);
            let endpoints = targets.flat_map(|target| self.fixed.targets.endpoints(*target));
            let own = endpoints.filter(|(zone, _)| *zone == place);
            let pools = own.map(|(_, id)| self.zone(place).endpoints[id.index()].pool);
            changed.entry(place).or_default().extend(pools);
        }
    }

    /// The pools of a zone of which operators say something else now than they did.
    fn pools_spoken_of(&self, place: usize, conditions: &Conditions<'_>) -> Vec<PoolId> {
        let zone = self.zone(place);
        let before = self.said_of(place);
        let now = by_endpoint(zone, conditions.overrides, conditions.now);
        let both = before.into_iter().zip(now).zip(&zone.endpoints);
        both.filter(|((before, now), _)| before != now).map(|(_, endpoint)| endpoint.pool).collect()
    }

    /// The scenes of all zones, new where pools have changed or one of `rules` is to be seen.
    fn next_scenes(
        &self,
        changed: &HashMap<usize, HashSet<PoolId>>,
        rules: &[u32],
        target_health: &[TargetHealth],
        conditions: &Conditions<'_>,
    ) -> Vec<Arc<Scene>> {
        let of_rules = rules.iter().map(|rule| self.rules[*rule as usize].source.zone);
        let places: BTreeSet<usize> = changed.keys().copied().chain(of_rules).collect();
        let mut scenes = self.scenes.clone();
        for place in places {
            let scene = &mut scenes[place];
            let pools = changed.get(&place);
            let zone = &self.fixed.blueprint.zones[place];
            let words = pools.map(|_| by_endpoint(zone, conditions.overrides, conditions.now));
            let said = words.unwrap_or_default();
            let aliases = conditions.aliases;
            let found = aliases.map(|aliases| &**aliases);
            let health = |id| counting_health(&self.fixed, place, id, target_health, found, &said);
            let past = conditions.past(zone);
            let pools = pools.into_iter().flatten().copied();
            let next = scene.next(zone, &health, past.as_ref(), pools, conditions.now);
            *scene = Arc::new(next.with_freeze(conditions.freeze()).with_aliases(aliases.cloned()));
        }
        scenes
    }

    fn next_observed(
        &self,
        seen_anew: &HashSet<usize>,
        conditions: &Conditions<'_>,
    ) -> Vec<Option<Arc<Scene>>> {
        let mut observed = self.observed.clone();
        for place in seen_anew {
            let scene = observed_scene(self.zone(*place), conditions);
            let loads = self.scenes[*place].loads.clone();
            observed[*place] = scene.map(|scene| Arc::new(scene.with_loads(loads)));
        }
        observed
    }

    /// The next snapshot, in which weights of these zones, by place, follow load to what is given.
    #[must_use]
    pub fn with_loads(&self, loads: &[(usize, Arc<LoadWeights>)], now: Time) -> Self {
        let mut next = Self { generation: self.generation + 1, as_of: now, ..self.clone() };
        for (place, weights) in loads {
            next.scenes[*place] = weighed(&self.scenes[*place], weights, now);
            let observed = self.observed[*place].as_deref();
            next.observed[*place] = observed.map(|scene| weighed(scene, weights, now));
            if let Some(regional) = next.regional.get_mut(place) {
                *regional = Arc::new(regional.map(|scene| weighed(scene, weights, now)));
            }
            let zone = self.zone(*place);
            let grounds = Grounds {
                scenes: &next.scenes,
                observed: &next.observed,
                regional: &next.regional,
                orders: &next.orders,
            };
            let own = self.fixed.rules_of(*place);
            for (place, rule) in (0..).zip(&mut next.rules).skip(own.start).take(own.len()) {
                let source = &rule.source;
                if !source.outline.is_by_load(zone) {
                    continue;
                }
                let mut all = Leaves::default();
                (0..source.outline.leaves().len()).for_each(|leaf| all.add(leaf));
                let acted = acted((place, source), zone, grounds);
                if let Some(other) = rule.next(zone, acted, all) {
                    *rule = Arc::new(other);
                }
            }
        }
        next.due = due_of(&next.rules, next.overrides.next_end(now));
        next
    }

    /// The next snapshot, in which a pool that waits to fail back is used; `None` when it does not wait.
    #[must_use]
    pub fn released(&self, zone: &Name, pool: &str, conditions: &Conditions<'_>) -> Option<Self> {
        let before = self.past(zone, pool, None);
        if !matches!(before, PoolPast::Back { is_released: false, .. }) {
            return None;
        }
        let past = |apex: &Name, name: &str, endpoint: Option<&str>| {
            if apex == zone && name == pool && endpoint.is_none() {
                PoolPast::Back { since: conditions.now, is_released: true }
            } else {
                self.past(apex, name, endpoint)
            }
        };
        self.next(&Conditions { past: Some(&past), ..*conditions })
    }
}

/// The rules whose classes want something else now.
fn reordered(before: &Orders, after: &Orders) -> Vec<u32> {
    let is_other = |place: &&u32| match (before.get(place), after.get(place)) {
        (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
        (before, after) => before.is_some() != after.is_some(),
    };
    let both = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
    both.into_iter().filter(is_other).copied().collect()
}

/// A scene at another moment, with other weights.
fn weighed(scene: &Scene, weights: &Arc<LoadWeights>, now: Time) -> Arc<Scene> {
    Arc::new(scene.clone().at(now).with_loads(Some(Arc::clone(weights))))
}

/// Fewer rules are no part of their own.
const RULES_A_PART: usize = 500;

/// What is made `anew` of rules, with their places, part by part.
fn by_parts<T: Send + Sync>(
    places: &[u32],
    Helpers { parts, work }: Helpers<'_>,
    anew: impl Fn(u32) -> Option<T> + Sync,
) -> Vec<(u32, T)> {
    let make = |places: &[u32]| -> Vec<_> {
        places.iter().filter_map(|place| Some((*place, anew(*place)?))).collect()
    };
    let parts = parts.min(places.len() / RULES_A_PART);
    if parts <= 1 {
        return make(places);
    }
    let parts: Vec<&[u32]> = places.chunks(places.len().div_ceil(parts)).collect();
    let made: Vec<OnceLock<Vec<(u32, T)>>> = parts.iter().map(|_| OnceLock::new()).collect();
    work(parts.len(), &|part| {
        made[part].get_or_init(|| make(parts[part]));
    });
    let made = made.into_iter().zip(parts);
    // What nobody has done is done here: no rule may stay behind.
    made.flat_map(|(made, part)| made.into_inner().unwrap_or_else(|| make(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Part;

    #[test]
    fn parts_in_any_order_come_to_what_the_whole_does() {
        let backwards = |parts: usize, part: &Part<'_>| (0..parts).rev().for_each(part);
        let lazily = |parts: usize, part: &Part<'_>| (0..parts).step_by(2).for_each(part);
        let anew = |place: u32| (!place.is_multiple_of(3)).then(|| place * place);
        for count in [0, 1, 499, 1000, 1001, 2503] {
            let places: Vec<u32> = (7..).take(count).collect();
            let whole = by_parts(&places, Helpers::NONE, anew);
            assert_eq!(whole.len(), places.iter().filter(|place| *place % 3 != 0).count());
            for parts in [0, 2, 3, 64] {
                for helpers in
                    [Helpers { parts, work: &backwards }, Helpers { parts, work: &lazily }]
                {
                    assert_eq!(by_parts(&places, helpers, anew), whole, "{count}, {parts}");
                }
            }
        }
    }
}
