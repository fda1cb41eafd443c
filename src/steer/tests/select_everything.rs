//! `select` over every policy, clause and state of health of small worlds: what must always hold.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select as any_of, subsequence};

use super::world::{TTL, TTL_MIN, World};
use crate::model::topology::{AllDown, EndpointAt, Policy};
use crate::model::{EndpointId, PoolId, TargetHealth, Time, Verdict};
use crate::steer::{Family, Group, Preference, Selected, Selection, Why};

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

/// What is known of an endpoint in a family, if it has it.
fn way(world: &World, id: EndpointId, family: Family) -> Option<TargetHealth> {
    let health = &world.health[id.index()];
    match (&world.zone.endpoints[id.index()].at, family) {
        (EndpointAt::Host(_), _) => health.host,
        (EndpointAt::Addresses { .. }, Family::V4) => health.v4,
        (EndpointAt::Addresses { .. }, Family::V6) => health.v6,
    }
}

fn is_alive(world: &World, id: EndpointId, family: Family) -> bool {
    way(world, id, family).is_some_and(|way| way.verdict != Verdict::Down)
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

fn groups(selection: &Selection) -> &[Group] {
    match &selection.selected {
        Selected::Groups { groups, .. } => groups,
        _ => &[],
    }
}

/// Everything that must hold of one selection.
fn check(world: &World, preference: &Preference, family: Family) {
    let selection = world.select_for(preference, family);
    let context = || {
        let words = world.words(&selection);
        format!("{words}: {selection:#?}\n{:#?}\n{:#?}", world.zone.steers, world.health)
    };
    let alive = |id| is_alive(world, id, family);
    let has = |id| way(world, id, family).is_some();
    let may_go_beyond = !preference.is_strict || !exists(world, &preference.pools, has);
    let beyond: &[PoolId] = if may_go_beyond { &preference.beyond } else { &[] };
    let groups = groups(&selection);
    let candidates = || groups.iter().flat_map(|group| &group.candidates).map(|c| c.endpoint);
    let is_from = |pools: &[PoolId]| groups.iter().all(|group| pools.contains(&group.pool));

    // Never empty, unless no endpoint of the rule has the family.
    let has_family =
        exists(world, &preference.pools, has) || exists(world, &preference.beyond, has);
    assert_eq!(selection.why == Why::NoFamily, !has_family, "{}", context());
    assert_eq!(groups.is_empty(), !has_family, "{}", context());
    assert!(groups.iter().all(|group| !group.candidates.is_empty()), "{}", context());
    assert!(candidates().all(has), "{}", context());

    // Never a dead endpoint while one is alive that may be used; the preferred pools first, and
    // among them those that have enough.
    if exists(world, &preference.pools, alive) {
        assert!(candidates().all(alive) && is_from(&preference.pools), "{}", context());
    } else if exists(world, beyond, alive) {
        assert!(candidates().all(alive) && is_from(beyond), "{}", context());
        assert_eq!(selection.why, Why::Beyond, "{}", context());
    } else if has_family {
        assert_eq!(selection.why, Why::AllDown, "{}", context());
    }
    let serves = |pool: &PoolId| is_usable(world, *pool) && exists(world, &[*pool], alive);
    if preference.pools.iter().any(serves) {
        assert!(groups.iter().all(|group| serves(&group.pool)), "{}", context());
    }

    // Weight 0 only when nothing else would do.
    let weight = |id: EndpointId| world.zone.endpoints[id.index()].weight;
    let is_open = |id| if selection.why == Why::AllDown { has(id) } else { alive(id) };
    for group in groups {
        let ids = || group.candidates.iter().map(|candidate| candidate.endpoint);
        if exists(world, &[group.pool], |id| is_open(id) && weight(id) > 0) {
            assert!(ids().all(|id| weight(id) > 0), "{}", context());
        }
    }

    // Policies that choose by order name one pool, and others all of equal standing.
    if matches!(world.zone.steers[0].policy, Policy::Nearest | Policy::Failover) && has_family {
        assert_eq!(groups.len(), 1, "{}", context());
    }

    assert!((TTL_MIN..=TTL).contains(&selection.ttl), "{}", context());
    let mut told: Vec<_> = selection.trail.iter().map(|note| note.pool).collect();
    told.sort_unstable();
    let all: Vec<_> = (0..world.zone.pools.len()).map(PoolId::new).collect();
    assert_eq!(told, all, "{}", context());
}

/// A and AAAA stay in one region, unless one of the regions has nothing alive of the other family.
fn check_families(world: &World, preference: &Preference) {
    let v4 = world.select_for(preference, Family::V4);
    let v6 = world.select_for(preference, Family::V6);
    let pools = |selection: &Selection| -> Vec<PoolId> {
        groups(selection).iter().map(|group| group.pool).collect()
    };
    let (of_v4, of_v6) = (pools(&v4), pools(&v6));
    if of_v4 == of_v6 {
        return;
    }
    let lacks = |pools: &[PoolId], family| {
        !pools.iter().all(|pool| exists(world, &[*pool], |id| is_alive(world, id, family)))
    };
    let is_explained = lacks(&of_v4, Family::V6) || lacks(&of_v6, Family::V4);
    assert!(is_explained, "{v4:#?}\n{v6:#?}\n{:#?}", world.health);
}

/// Every way to reach an endpoint, to be taken down one by one.
fn ways(world: &World) -> Vec<String> {
    let of_endpoint = |endpoint: &crate::model::Endpoint| {
        let name = &endpoint.name;
        match endpoint.at {
            EndpointAt::Host(_) => vec![format!("{name}/host")],
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
                    check(&world, &preference, Family::V4);
                    check(&world, &preference, Family::V6);
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
        is_v4 in proptest::bool::ANY,
    ) {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
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
