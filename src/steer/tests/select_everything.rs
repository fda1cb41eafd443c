//! `select` over every policy, clause and state of health of small worlds: what must always hold.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select as any_of, subsequence};

use super::world::{TTL, TTL_MIN, World};
use crate::model::topology::{AllDown, BranchTo, EndpointAt, Policy};
use crate::model::{EndpointId, PoolId, TargetHealth, Time, Verdict};
use crate::steer::trail::{Fate, trail};
use crate::steer::{Draw, Drawn, Family, Preference, Selected, Selection, Why, draw};

/// Endpoints of every kind; each second of the pair lacks something that the first has.
const WORLDS: [&str; 3] = [
    "eu MIN: a b/4 c/6
     us MIN: d/4 e/4 f/6*0
     ap MIN: g/host h/host*0 i/4",
    "eu MIN: a/4 b/4*0 c/4
     us MIN share 0: d e f/6
     ap MIN: g/host h/host i/host",
    "eu MIN: a/4 b/4 c/4
     us MIN: d/4 e/4 f/4
     ap MIN share 2: g/4 h/4*0 i/4*3",
];

const MINS: [&str; 3] = ["min 1", "min 2", "min 100%"];

/// No clause, and the two kinds of one.
const CLAUSES: [Option<(&str, bool)>; 4] =
    [None, Some(("us", false)), Some(("us", true)), Some(("ap eu", true))];

fn world(policy: Policy, text: &str, min: &str, clause: Option<(&str, bool)>) -> World {
    let world = World::new(policy, &text.replace("MIN", min));
    match clause {
        Some((pools, is_strict)) => world.clause(pools, is_strict),
        None => world,
    }
}

/// What is known of an endpoint in a family, way by way; nothing when it does not have it.
fn ways_in(world: &World, id: EndpointId, family: Family) -> Vec<TargetHealth> {
    let health = &world.health[id.index()];
    let ways = match (&world.zone.endpoints[id.index()].at, family) {
        (EndpointAt::Host(_) | EndpointAt::Alias(_), _) => [health.host, None],
        (EndpointAt::Addresses { .. }, Family::V4) => [health.v4, None],
        (EndpointAt::Addresses { .. }, Family::V6) => [health.v6, None],
        (EndpointAt::Addresses { .. }, Family::Either) => [health.v4, health.v6],
    };
    ways.into_iter().flatten().collect()
}

fn is_alive(world: &World, id: EndpointId, family: Family) -> bool {
    ways_in(world, id, family).iter().any(|way| way.verdict != Verdict::Down)
}

/// Whether any endpoint of `pools` passes.
fn exists(world: &World, pools: &[PoolId], is_meant: impl Fn(EndpointId) -> bool) -> bool {
    pools.iter().any(|pool| world.zone.endpoints_of(*pool).any(|(id, _)| is_meant(id)))
}

fn is_usable(world: &World, pool: PoolId) -> bool {
    let usable = world.zone.endpoints_of(pool).filter(|(id, _)| {
        [Family::V4, Family::V6].into_iter().any(|family| is_alive(world, *id, family))
    });
    let pool = &world.zone.pools[pool.index()];
    usable.count() >= pool.min_healthy.count(pool.endpoints.len())
}

/// The endpoints that may be answered.
fn candidates(selection: &Selection) -> Vec<EndpointId> {
    match &selection.selected {
        Selected::Among(tree) => tree.leaves().copied().collect(),
        _ => Vec::new(),
    }
}

/// The pools that may answer, each once.
fn pools(world: &World, selection: &Selection) -> Vec<PoolId> {
    let mut pools: Vec<PoolId> =
        candidates(selection).into_iter().map(|id| world.zone.endpoints[id.index()].pool).collect();
    pools.dedup();
    pools
}

/// The pools of some branches of the rule.
fn pools_of(world: &World, branches: &[u16]) -> Vec<PoolId> {
    let pool = |branch: &u16| match world.zone.steers[0].branches[usize::from(*branch)].to {
        BranchTo::Pool(pool) => pool,
        BranchTo::Steer(_) => panic!("no steers here"),
    };
    branches.iter().map(pool).collect()
}

/// Everything that must hold of one selection.
fn check(world: &World, preference: &Preference, family: Family) {
    let selection = world.select_for(preference, family);
    let context = || {
        let words = world.words(&selection);
        format!("{words}: {selection:#?}\n{:#?}\n{:#?}", world.zone.steers, world.health)
    };
    let alive = |id| is_alive(world, id, family);
    let has = |id| !ways_in(world, id, family).is_empty();
    let order = &preference.orders[0];
    let (preferred, beyond) = order.parts();
    let (preferred, all_beyond) = (pools_of(world, preferred), pools_of(world, beyond));
    let may_go_beyond = !order.is_strict || !exists(world, &preferred, has);
    let beyond: &[PoolId] = if may_go_beyond { &all_beyond } else { &[] };
    let candidates = candidates(&selection);
    let pools = pools(world, &selection);
    let is_from = |own: &[PoolId]| pools.iter().all(|pool| own.contains(pool));

    // Never empty, unless no endpoint of the rule has the family.
    let has_family = exists(world, &preferred, has) || exists(world, &all_beyond, has);
    assert_eq!(selection.why == Why::NoFamily, !has_family, "{}", context());
    assert_eq!(candidates.is_empty(), !has_family, "{}", context());
    assert!(candidates.iter().all(|id| has(*id)), "{}", context());

    // Never a dead endpoint while one is alive that may be used. Pools that have enough come before
    // those that have not; among those of one kind, what the client should get comes first.
    let serves = |pool: &PoolId| is_usable(world, *pool) && exists(world, &[*pool], alive);
    let stands_in = |pool: &PoolId| exists(world, &[*pool], alive);
    if preferred.iter().chain(beyond).any(serves) {
        assert!(pools.iter().all(serves), "{}", context());
        assert!(is_from(if preferred.iter().any(serves) { &preferred } else { beyond }));
        let is_beyond = selection.why == Why::Beyond;
        assert_eq!(is_beyond, !preferred.iter().any(serves), "{}", context());
    } else if preferred.iter().chain(beyond).any(stands_in) {
        assert_eq!(selection.why, Why::BelowMinHealthy, "{}", context());
        assert!(is_from(if preferred.iter().any(stands_in) { &preferred } else { beyond }));
    } else if has_family {
        assert_eq!(selection.why, Why::AllDown, "{}", context());
    }
    if selection.why != Why::AllDown {
        assert!(candidates.iter().all(|id| alive(*id)), "{}", context());
    }

    // Weight 0 only when nothing else would do.
    let weight = |id: &EndpointId| world.zone.endpoints[id.index()].weight;
    let is_open = |id| if selection.why == Why::AllDown { has(id) } else { alive(id) };
    for pool in &pools {
        let own = || candidates.iter().filter(|id| world.zone.endpoints[id.index()].pool == *pool);
        if exists(world, &[*pool], |id| is_open(id) && weight(&id) > 0) {
            assert!(own().all(|id| weight(id) > 0), "{}", context());
        }
    }

    // Policies that choose by order name one pool, and others all of equal standing.
    if world.zone.steers[0].policy.is_ordered() && has_family {
        assert_eq!(pools.len(), 1, "{}", context());
    }

    assert!((TTL_MIN..=TTL).contains(&selection.ttl), "{}", context());
    let notes =
        trail(&world.zone, &world.outline(), preference, &world.scene(), family, &selection);
    let mut told: Vec<_> = notes.iter().map(|note| note.pool).collect();
    told.sort_unstable();
    let all: Vec<_> = (0..world.zone.pools.len()).map(PoolId::new).collect();
    assert_eq!(told, all, "{}", context());
    let kept = notes.iter().filter(|note| note.fate == Fate::Kept).count();
    assert_eq!(kept, pools.len(), "{}", context());
}

/// All types stay in one region, unless one of the regions has nothing alive of the other family. Where
/// the same regions may answer, the same draw leads to the same one.
fn check_families(world: &World, preference: &Preference) {
    let selections = Family::ALL.map(|family| (family, world.select_for(preference, family)));
    for [(one, of_one), (other, of_other)] in
        [[0, 1], [0, 2], [1, 2]].map(|pair| pair.map(|n| &selections[n]))
    {
        let (pools_of_one, pools_of_other) = (pools(world, of_one), pools(world, of_other));
        if pools_of_one == pools_of_other {
            let first = |selection: &Selection, dice| match draw(selection, dice) {
                Drawn::Endpoints(drawn) => Some(world.zone.endpoints[drawn[0].index()].pool),
                _ => None,
            };
            for n in 0..4_u32 {
                let random = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let dice = Draw { random, turn: n, key: !random };
                assert_eq!(first(of_one, dice), first(of_other, dice), "{:#?}", world.health);
            }
            continue;
        }
        let lacks = |pools: &[PoolId], family| {
            !pools.iter().all(|pool| exists(world, &[*pool], |id| is_alive(world, id, family)))
        };
        let is_explained = lacks(&pools_of_one, *other) || lacks(&pools_of_other, *one);
        assert!(is_explained, "{of_one:#?}\n{of_other:#?}\n{:#?}", world.health);
    }
}

/// Every way to reach an endpoint, to be taken down one by one.
fn ways(world: &World) -> Vec<String> {
    let of_endpoint = |endpoint: &crate::model::Endpoint| {
        let name = &endpoint.name;
        match endpoint.at {
            EndpointAt::Host(_) | EndpointAt::Alias(_) => vec![format!("{name}/host")],
            EndpointAt::Addresses { v4, v6 } => {
                let v4 = v4.map(|_| format!("{name}/4"));
                let v6 = v6.map(|_| format!("{name}/6"));
                v4.into_iter().chain(v6).collect()
            }
        }
    };
    world.zone.endpoints.iter().flat_map(of_endpoint).collect()
}

#[test]
fn every_policy_clause_and_state_of_health_keeps_the_promises() {
    let mut checked = 0;
    for (_, policy) in Policy::WORDS {
        for (text, min) in WORLDS.iter().flat_map(|text| MINS.map(|min| (text, min))) {
            for clause in CLAUSES {
                let all_up = world(policy, text, min, clause);
                let preference = all_up.preference(clause.map(|_| 0));
                let ways = ways(&all_up);
                for down in 0..1_u32 << ways.len() {
                    let mut world = all_up.clone();
                    for (n, way) in ways.iter().enumerate() {
                        if down >> n & 1 == 1 {
                            world.each_way(way, |way| way.verdict = Verdict::Down);
                        }
                    }
                    Family::ALL.into_iter().for_each(|family| check(&world, &preference, family));
                    check_families(&world, &preference);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100_000, "{checked}");
}

/// A world in which each way is up or down since some time, and may change so soon.
fn any_world() -> impl Strategy<Value = (World, Option<usize>)> {
    let policies = Policy::WORDS.map(|(_, policy)| policy).to_vec();
    let way = (proptest::bool::ANY, 1..5_u64, any_of(vec![3_u64, 7, 30, 100]));
    let all_down = any_of(vec![AllDown::AsUp, AllDown::LastGood, AllDown::Pool(PoolId::new(1))]);
    let parts = (
        any_of(policies),
        any_of(WORLDS.to_vec()),
        any_of(MINS.to_vec()),
        any_of(CLAUSES.to_vec()),
        all_down,
        prop::collection::vec(way, 16),
    );
    parts.prop_map(|(policy, text, min, clause, all_down, states)| {
        let mut world = world(policy, text, min, clause).all_down(all_down);
        for (way, (is_up, since, next_change)) in ways(&world).iter().zip(states) {
            world.each_way(way, |way| {
                way.verdict = if is_up { Verdict::Up } else { Verdict::Down };
                way.since = Time::from_secs(since);
                way.next_change = Duration::from_secs(next_change);
            });
        }
        (world, clause.map(|_| 0))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever changes while an answer lives, in any combination, the answer would be the same.
    #[test]
    fn no_answer_outlives_what_it_depends_on(
        (world, clause) in any_world(),
        flipped in subsequence((0..16_usize).collect::<Vec<_>>(), 0..=16),
        family in any_of(Family::ALL.to_vec()),
    ) {
        let preference = world.preference(clause);
        let before = world.select_for(&preference, family);
        let mut after = world.clone();
        let ways = ways(&world);
        for way in flipped.iter().filter_map(|n| ways.get(*n)) {
            after.each_way(way, |way| if way.next_change < Duration::from_secs(before.ttl.into()) {
                let is_down = way.verdict == Verdict::Down;
                way.verdict = if is_down { Verdict::Up } else { Verdict::Down };
                way.since = Time::from_secs(9);
            });
        }
        let after = after.select_for(&preference, family);
        prop_assert_eq!(before.selected, after.selected);
    }
}
