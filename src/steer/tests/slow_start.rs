//! Endpoints that come back inside a pool and get their weight slowly.

use std::time::Duration;

use proptest::prelude::*;

use super::world::World;
use crate::model::topology::Policy;
use crate::model::{PoolId, Time};
use crate::steer::draw::WHOLE;
use crate::steer::{Draw, Family, Freeze, PoolPast, Selected, Selection, select};

/// One pool whose endpoints take a hundred seconds to their weight; of them `back` came back at these
/// seconds, by place.
fn world(pick: Policy, endpoints: &str, back: &[(usize, u64)]) -> World {
    let mut world = World::new(Policy::Failover, &format!("eu: {endpoints}\nus: z")).pick(pick, 1);
    world.zone.pools[0].slow_start = Duration::from_secs(100);
    for (place, since) in back {
        let since = Time::from_secs(*since);
        world.endpoint_past[*place] = PoolPast::Back { since, is_released: false };
    }
    world
}

fn at(world: &World, secs: u64) -> World {
    World { now: Time::from_secs(secs), ..world.clone() }
}

/// In percent, how often each endpoint is named first.
fn shares(selection: &Selection) -> Vec<u64> {
    let Selected::Among(tree) = &selection.selected else { return Vec::new() };
    tree.shares().into_iter().map(|(_, share)| (share * 100 + WHOLE / 2) / WHOLE).collect()
}

#[test]
fn a_weight_grows_in_ten_steps_from_a_tenth() {
    let world = world(Policy::Weighted, "a*9 b*10", &[(1, 1000)]);
    let table = [
        // (seconds after it came back, percent of the answers, due in)
        (0, 10, Some(10)), // 1 of 10
        (9, 10, Some(1)),
        (10, 18, Some(10)), // 2 of 11
        (45, 36, Some(5)),  // 5 of 14
        (80, 50, Some(10)), // 9 of 18
        (99, 53, Some(1)),
        (100, 53, None),
        (5000, 53, None),
    ];
    for (secs, percent, due) in table {
        let selection = at(&world, 1000 + secs).select(Family::V4);
        let found = (shares(&selection)[1], selection.due);
        assert_eq!(found, (percent, due.map(Duration::from_secs)), "{secs}");
    }
}

#[test]
fn every_policy_that_can_give_less_does() {
    let policies = [Policy::Weighted, Policy::Sticky, Policy::RoundRobin, Policy::Random];
    for policy in policies {
        let world = world(policy, "a b", &[(1, 0)]);
        assert_eq!(shares(&at(&world, 0).select(Family::V4)), [91, 9], "{policy:?}");
        assert_eq!(shares(&at(&world, 95).select(Family::V4)), [50, 50], "{policy:?}: in full");
        let before = shares(&at(&world, 80).select(Family::V4));
        assert_eq!(before, [53, 47], "{policy:?}");
    }
}

#[test]
fn what_has_no_weight_stands_in_until_one_has_grown() {
    for policy in [Policy::Weighted, Policy::Sticky, Policy::RoundRobin, Policy::Random] {
        let shares_at = |back: &[(usize, u64)], secs| {
            shares(&at(&world(policy, "a*2 b*2 c*0 d*0", back), secs).select(Family::V4))
        };
        // Of four, a and b have grown to 0.2 each; 3.6 are missing.
        assert_eq!(shares_at(&[(0, 0), (1, 0)], 0), [5, 5, 45, 45], "{policy:?}");
        assert_eq!(shares_at(&[(0, 0), (1, 0)], 45), [25, 25, 25, 25], "{policy:?}");
        assert_eq!(shares_at(&[(0, 0), (1, 0)], 95), [50, 50], "{policy:?}");
        assert_eq!(shares_at(&[(1, 0)], 0), [91, 9], "{policy:?}: a was never lost");
    }
    let alone = world(Policy::Weighted, "a b*0", &[(0, 0)]);
    assert_eq!(shares(&at(&alone, 0).select(Family::V4)), [10, 90]);
    assert_eq!(at(&alone, 4).select(Family::V4).due, Some(Duration::from_secs(6)));
}

#[test]
fn those_that_come_back_together_are_not_starved() {
    for policy in [Policy::Weighted, Policy::RoundRobin] {
        let both = world(policy, "a b", &[(0, 0), (1, 0)]);
        assert_eq!(shares(&at(&both, 0).select(Family::V4)), [50, 50]);
        // One came a step later: a fifth and a tenth.
        let apart = world(policy, "a b", &[(0, 0), (1, 10)]);
        assert_eq!(shares(&at(&apart, 10).select(Family::V4)), [67, 33]);
        assert_eq!(at(&apart, 14).select(Family::V4).due, Some(Duration::from_secs(6)));
    }
}

#[test]
fn one_that_is_alone_has_all_answers_and_waits_for_nothing() {
    let alone = at(&world(Policy::Weighted, "a b", &[(1, 0)]).down("a"), 50).select(Family::V4);
    assert_eq!((shares(&alone), alone.due), (vec![100], None));
}

#[test]
fn a_family_that_only_others_have_is_left_alone() {
    let world = at(&world(Policy::Weighted, "a b c/6", &[(2, 0)]), 50);
    let v4 = world.select(Family::V4);
    assert_eq!((shares(&v4), v4.due), (vec![50, 50], None));
    assert_eq!(shares(&world.select(Family::V6)), [38, 38, 23]);
}

#[test]
fn under_a_freeze_nothing_grows() {
    let world = at(&world(Policy::Weighted, "a b", &[(1, 0)]), 50);
    let freeze = Freeze { since: Time::from_secs(5), until: None };
    let (scene, outline) = (world.scene().with_freeze(Some(freeze)), world.outline());
    let frozen = select(&world.zone, &outline, &world.preference(None), &scene, Family::V4);
    assert_eq!((shares(&frozen), frozen.due), (vec![91, 9], None));
}

#[test]
fn what_came_back_and_is_lost_again_begins_anew() {
    let world = world(Policy::Weighted, "a b", &[(1, 0)]);
    let lost = at(&world.clone().down("b"), 70).scene();
    let ways = |id: crate::model::EndpointId| world.health[id.index()];
    let pool = || std::iter::once(PoolId::new(0));
    let back = lost.next(&world.zone, &ways, None, pool(), Time::from_secs(80));
    let (outline, preference) = (world.outline(), world.preference(None));
    let selection = select(&world.zone, &outline, &preference, &back, Family::V4);
    assert_eq!(shares(&selection), [91, 9]);
    // What was never down has its whole weight, whenever it was looked at first.
    let first = World { endpoint_past: Vec::new(), ..world.clone() };
    assert_eq!(shares(&at(&first, 0).select(Family::V4)), [50, 50]);
}

#[test]
fn the_ttl_is_not_shortened_by_growth() {
    // An answer that gives an endpoint less than it could have soon does no harm.
    let world = world(Policy::Weighted, "a b", &[(1, 0)]);
    assert_eq!(at(&world, 9).select(Family::V4).ttl, super::world::TTL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// As one endpoint grows, clients go to it and to nowhere else, and none goes away again.
    #[test]
    fn every_client_moves_at_most_once(
        weights in prop::collection::vec(1_u32..20, 2..6),
        keys in prop::collection::vec(any::<u64>(), 50),
        place in any::<prop::sample::Index>(),
    ) {
        let endpoints: Vec<String> =
            weights.iter().zip('a'..).map(|(weight, name)| format!("{name}*{weight}")).collect();
        let place = place.index(weights.len());
        let world = world(Policy::Sticky, &endpoints.join(" "), &[(place, 0)]);
        let own = format!("eu/{}", ('a'..).nth(place).unwrap());
        let moments: Vec<World> = (0..=10).map(|step| at(&world, 10 * step)).collect();
        for key in keys {
            let dice = Draw { random: 0, turn: 0, key };
            let named: Vec<String> = moments.iter().map(|world| world.drawn(dice)).collect();
            let moves: Vec<&[String]> = named.windows(2).filter(|pair| pair[0] != pair[1]).collect();
            prop_assert!(moves.len() <= 1, "{named:?}");
            prop_assert!(moves.iter().all(|pair| pair[1] == own), "{named:?}");
        }
    }
}
