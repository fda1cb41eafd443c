//! How often what is answered, and to whom: shares, turns, and who moves when something changes.

use std::collections::{BTreeMap, HashSet};

use super::world::World;
use crate::model::topology::{ANSWERS_MAX, Policy};
use crate::steer::draw::WHOLE;
use crate::steer::{Draw, Drawn, Family, Selected, Selection, draw};

/// A draw as the `turn`th query from client `key` makes it.
fn dice(turn: u32, key: u64) -> Draw {
    // SplitMix64, as queries use it.
    let mut x = u64::from(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Draw { random: x ^ (x >> 31), turn, key }
}

/// The key of the `n`th /24 network, as queries make it.
fn key(n: u32) -> u64 {
    u64::from(n << 8) << 32 ^ 4
}

/// The first endpoint that each of many draws names, by its number in the zone.
fn firsts(selection: &Selection, draws: impl Iterator<Item = Draw>) -> Vec<usize> {
    let first = |dice| match draw(selection, dice) {
        Drawn::Endpoints(endpoints) => endpoints[0].index(),
        other => panic!("{other:?}"),
    };
    draws.map(first).collect()
}

/// The largest error of a share, relative to the share, of what was drawn with these weights.
fn worst_error(drawn: &[usize], weights: &[u32]) -> f64 {
    let total: u32 = weights.iter().sum();
    let error = |(n, weight): (usize, &u32)| {
        let count = u32::try_from(drawn.iter().filter(|d| **d == n).count()).unwrap();
        let drawn_len = f64::from(u32::try_from(drawn.len()).unwrap());
        let share = f64::from(*weight) / f64::from(total);
        (f64::from(count) / drawn_len - share).abs() / share
    };
    weights.iter().enumerate().map(error).fold(0.0, f64::max)
}

/// One pool with an endpoint for each weight.
fn pool_of(weights: &[u32], inside: Policy, answers: u8) -> World {
    let endpoints: Vec<String> =
        weights.iter().enumerate().map(|(n, weight)| format!("e{n}*{weight}")).collect();
    World::new(Policy::Failover, &format!("eu: {}", endpoints.join(" "))).pick(inside, answers)
}

/// Pools of one endpoint each, with these weights between them.
fn pools_of(weights: &[u32], between: Policy) -> World {
    let pools: Vec<String> = weights
        .iter()
        .enumerate()
        .map(|(n, weight)| format!("p{n} share {weight}: e{n}"))
        .collect();
    World::new(between, &pools.join("\n")).pick(Policy::Failover, 1)
}

/// Draws enough for chance alone to keep every share here within 2 % of itself: over four standard
/// deviations of the smallest.
const DRAWS: u32 = 400_000;

const SHARES: [&[u32]; 4] = [&[1, 1, 1, 1, 1, 1, 1, 1], &[5, 3, 2], &[1, 9], &[1]];

#[test]
fn weighted_shares_are_right_inside_and_between_pools() {
    for weights in SHARES {
        let worlds = [pool_of(weights, Policy::Weighted, 1), pools_of(weights, Policy::Weighted)];
        for world in worlds {
            let drawn = firsts(&world.select(Family::V4), (0..DRAWS).map(|n| dice(n, 7)));
            let error = worst_error(&drawn, weights);
            assert!(error <= 0.02, "{weights:?}: {error}");
        }
    }
}

#[test]
fn sticky_shares_are_right_inside_and_between_pools() {
    for weights in SHARES {
        for world in [pool_of(weights, Policy::Sticky, 1), pools_of(weights, Policy::Sticky)] {
            let drawn = firsts(&world.select(Family::V4), (0..DRAWS).map(|n| dice(0, key(n))));
            let error = worst_error(&drawn, weights);
            assert!(error <= 0.02, "{weights:?}: {error}");
        }
    }
}

#[test]
fn nested_draws_do_not_go_together() {
    // Two pools of two: each endpoint must get a quarter, so the inner draw may not follow the outer.
    for policy in [Policy::Weighted, Policy::Sticky, Policy::Random, Policy::RoundRobin] {
        let world = World::new(policy, "eu: a b\n us: c d").pick(policy, 1);
        let draws = (0..DRAWS).map(|n| dice(n, key(n)));
        let error = worst_error(&firsts(&world.select(Family::V4), draws), &[1, 1, 1, 1]);
        assert!(error <= 0.02, "{policy:?}: {error}");
    }
}

#[test]
fn shares_are_told_as_they_are_drawn() {
    use Policy::{All, Failover, Random, RoundRobin, Sticky, Weighted};
    for (between, inside) in [
        (Weighted, Sticky),
        (Sticky, Weighted),
        (Random, RoundRobin),
        (RoundRobin, Failover),
        (Failover, All),
    ] {
        let world = World::new(between, "eu share 3: a*2 b*3\n us: c d*4 e").pick(inside, 1);
        let selection = world.select(Family::V4);
        let Selected::Among(tree) = &selection.selected else { panic!("{selection:?}") };
        let drawn = firsts(&selection, (0..DRAWS).map(|n| dice(n, key(n))));
        let mut sum = 0;
        for (endpoint, share) in tree.shares() {
            let count = drawn.iter().filter(|drawn| **drawn == endpoint.index()).count();
            let counted = u64::try_from(count).unwrap() * WHOLE / u64::from(DRAWS);
            assert!(counted.abs_diff(share) <= WHOLE / 200, "{between:?} {inside:?} {endpoint:?}");
            sum += share;
        }
        assert!(WHOLE - sum < 10, "{between:?} {inside:?}: {sum}");
    }
}

// ---- Sticky ----

#[test]
fn a_client_stays_where_it_is_whatever_the_turn() {
    let selection = pool_of(&[5, 3, 2], Policy::Sticky, 2).select(Family::V4);
    for n in 0..1000 {
        let first = draw(&selection, dice(0, key(n)));
        assert!((1..20).all(|turn| draw(&selection, dice(turn, key(n))) == first));
    }
}

#[test]
fn both_families_send_a_client_to_one_endpoint() {
    let world = World::new(Policy::Sticky, "eu: a b c\n us: d e f").pick(Policy::Sticky, 1);
    let (v4, v6) = (world.select(Family::V4), world.select(Family::V6));
    assert!((0..1000).all(|n| draw(&v4, dice(0, key(n))) == draw(&v6, dice(1, key(n)))));
}

#[test]
fn losing_one_of_eight_moves_its_own_clients_and_no_others() {
    let up = pool_of(&[1; 8], Policy::Sticky, 1);
    let keys = || (0..100_000).map(|n| dice(0, key(n)));
    let before = firsts(&up.select(Family::V4), keys());
    let after = firsts(&up.down("e3").select(Family::V4), keys());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before == after, *before != 3);
    }
    // Those that had to move are spread evenly over the seven others.
    let moved: Vec<usize> =
        before.iter().zip(after).filter(|(before, _)| **before == 3).map(|(_, a)| a).collect();
    let moved: Vec<usize> = moved.into_iter().map(|n| if n > 3 { n - 1 } else { n }).collect();
    assert!(worst_error(&moved, &[1; 7]) < 0.06);
}

#[test]
fn a_tenth_more_weight_moves_no_more_clients_than_it_must() {
    let keys = || (0..1_000_000).map(|n| dice(0, key(n)));
    let before = firsts(&pool_of(&[10; 8], Policy::Sticky, 1).select(Family::V4), keys());
    let weights = [10, 10, 10, 11, 10, 10, 10, 10];
    let after = firsts(&pool_of(&weights, Policy::Sticky, 1).select(Family::V4), keys());
    let moved: Vec<usize> = before
        .iter()
        .zip(after)
        .filter(|(before, after)| *before != after)
        .map(|(_, a)| a)
        .collect();
    assert!(moved.iter().all(|to| *to == 3));
    let must = 1_000_000.0 * (11.0 / 81.0 - 1.0 / 8.0);
    let moved = f64::from(u32::try_from(moved.len()).unwrap());
    assert!((moved / must - 1.0).abs() < 0.05, "{moved} {must}");
}

#[test]
fn reordering_a_file_moves_nobody() {
    let places = |pool: &str| {
        let world = World::new(Policy::Sticky, pool).pick(Policy::Sticky, 1);
        (0..1000).map(|n| world.drawn(dice(0, key(n)))).collect::<Vec<_>>()
    };
    assert_eq!(places("eu: a b c\n us: d e"), places("us: e d\n eu: c a b"));
}

// ---- Turns ----

#[test]
fn round_robin_takes_each_in_turn() {
    let world = World::new(Policy::RoundRobin, "eu: a\n us: b\n ap: c");
    let turns: Vec<String> = (0..6).map(|turn| world.drawn(dice(turn, 0))).collect();
    assert_eq!(turns, ["eu/a", "us/b", "ap/c", "eu/a", "us/b", "ap/c"]);
}

#[test]
fn nested_round_robin_takes_each_of_each_in_turn() {
    let world = World::new(Policy::RoundRobin, "eu: a b\n us: c d e").pick(Policy::RoundRobin, 1);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for turn in 0..12 {
        *counts.entry(world.drawn(dice(turn, 0))).or_default() += 1;
    }
    // Each pool gets half of twelve; inside it, each endpoint its even part.
    let even = [("eu/a", 3), ("eu/b", 3), ("us/c", 2), ("us/d", 2), ("us/e", 2)];
    assert_eq!(counts, even.map(|(name, count)| (name.to_owned(), count)).into());
}

#[test]
fn all_names_everything_and_begins_with_the_next_each_time() {
    let world = World::new(Policy::Failover, "eu: a b c").pick(Policy::All, ANSWERS_MAX);
    let turns: Vec<String> = (0..4).map(|turn| world.drawn(dice(turn, 0))).collect();
    assert_eq!(turns, ["eu/a eu/b eu/c", "eu/b eu/c eu/a", "eu/c eu/a eu/b", "eu/a eu/b eu/c"]);
    let world = World::new(Policy::All, "eu: a\n us: b\n ap: c");
    let turns: Vec<String> = (0..3).map(|turn| world.drawn(dice(turn, 0))).collect();
    assert_eq!(turns, ["eu/a us/b ap/c", "us/b ap/c eu/a", "ap/c eu/a us/b"]);
}

#[test]
fn all_pools_together_name_no_more_than_a_message_may() {
    let pool = |name: &str| {
        let endpoints: Vec<String> = (0..20).map(|n| format!("{name}{n}")).collect();
        format!("{name}: {}", endpoints.join(" "))
    };
    let world = World::new(Policy::All, &[pool("x"), pool("y"), pool("z")].join("\n"));
    let world = world.pick(Policy::All, ANSWERS_MAX);
    for turn in 0..60 {
        let drawn = world.drawn(dice(turn, 0));
        let different: HashSet<&str> = drawn.split(' ').collect();
        assert_eq!((drawn.split(' ').count(), different.len()), (32, 32));
    }
}

// ---- Sets ----

#[test]
fn so_many_answers_are_so_many_different_ones() {
    for (_, policy) in Policy::WORDS {
        for answers in [1, 2, 5, 8, 32] {
            let world = pool_of(&[1, 2, 3, 4, 5, 6, 7, 8], policy, answers);
            for n in 0..200 {
                let drawn = world.drawn(dice(n, key(n)));
                let different: HashSet<&str> = drawn.split(' ').collect();
                let wanted = usize::from(answers.min(8));
                assert_eq!(different.len(), wanted, "{policy:?}: {drawn}");
                assert_eq!(drawn.split(' ').count(), wanted, "{policy:?}: {drawn}");
            }
        }
    }
}

#[test]
fn random_draws_every_set_in_every_order_as_often_as_any_other() {
    let world = pool_of(&[1, 1, 1, 1, 100], Policy::Random, 2);
    let selection = world.select(Family::V4);
    let mut counts: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
    for n in 0..100_000 {
        let Drawn::Endpoints(pair) = draw(&selection, dice(n, 0)) else { panic!("no endpoints") };
        *counts.entry(pair.iter().map(|id| id.index()).collect()).or_default() += 1;
    }
    // 5 × 4 ordered pairs, 5,000 of each: five standard deviations are 345.
    assert_eq!(counts.len(), 20);
    assert!(counts.values().all(|count| count.abs_diff(5000) < 345), "{counts:?}");
}

#[test]
fn weighted_without_replacement_goes_by_the_weights_that_are_left() {
    let selection = pool_of(&[5, 3, 2], Policy::Weighted, 2).select(Family::V4);
    let mut seconds = [0_u32; 3];
    for n in 0..100_000 {
        let Drawn::Endpoints(pair) = draw(&selection, dice(n, 0)) else { panic!("no endpoints") };
        if pair[0].index() == 0 {
            seconds[pair[1].index()] += 1;
        }
    }
    let share = f64::from(seconds[1]) / f64::from(seconds[1] + seconds[2]);
    assert!((share - 0.6).abs() < 0.012, "{seconds:?}");
}

#[test]
fn the_one_that_is_drawn_alone_is_the_first_of_those_drawn_together() {
    let policies =
        [Policy::Failover, Policy::Weighted, Policy::Sticky, Policy::RoundRobin, Policy::Random];
    for policy in policies {
        for weights in [&[1_u32][..], &[1, 1], &[3, 1, 7, 2, 2], &[1, 1_000_000]] {
            let one = pool_of(weights, policy, 1).select(Family::V4);
            let all = pool_of(weights, policy, 32).select(Family::V4);
            let draws = || (0..2000).map(|n| dice(n, key(n)));
            assert_eq!(firsts(&one, draws()), firsts(&all, draws()), "{policy:?} {weights:?}");
        }
    }
}
