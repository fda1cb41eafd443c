//! `select` case by case, as an operator would ask.

use super::world::{TTL, TTL_MIN, World};
use crate::model::Verdict;
use crate::model::topology::{AllDown, Policy};
use crate::steer::trail::Fate;
use crate::steer::{Family, Why};

const THREE: &str = "
    eu: a b
    us: c d
    ap: e f";

fn three(policy: Policy) -> World {
    World::new(policy, THREE)
}

#[test]
fn failover_takes_the_first_pool_that_is_usable() {
    let table = [
        ("", "eu/a eu/b", Why::Preferred),
        ("a", "eu/b", Why::Preferred),
        ("a b", "us/c us/d", Why::Failover { skipped: 1 }),
        ("c d", "eu/a eu/b", Why::Preferred),
        ("a b c", "us/d", Why::Failover { skipped: 1 }),
        ("a b c d", "ap/e ap/f", Why::Failover { skipped: 2 }),
        ("a b c d e f", "eu/a eu/b", Why::AllDown),
    ];
    for (down, answer, why) in table {
        let world = three(Policy::Failover).down(down);
        assert_eq!((world.a().as_str(), world.select(Family::V4).why), (answer, why), "{down}");
    }
}

#[test]
fn policies_that_share_name_every_usable_pool() {
    for policy in
        [Policy::Weighted, Policy::Sticky, Policy::RoundRobin, Policy::Random, Policy::All]
    {
        let world = three(policy).down("a c d");
        assert_eq!(world.a(), "eu/b ap/e ap/f", "{policy:?}");
        let all_down = world.down("b e f");
        assert_eq!(all_down.a(), "eu/a eu/b us/c us/d ap/e ap/f", "{policy:?}");
    }
}

#[test]
fn unknown_and_degraded_are_not_down() {
    for verdict in [Verdict::Unknown, Verdict::Degraded] {
        let world = three(Policy::Failover).verdict("a b", verdict);
        assert_eq!(world.a(), "eu/a eu/b", "{verdict}");
        assert_eq!(world.down("a").a(), "eu/b", "{verdict}");
    }
}

#[test]
fn a_family_that_is_dead_in_a_region_fails_over_alone() {
    let world = three(Policy::Failover).down("a/6 b/6");
    assert_eq!(world.a(), "eu/a eu/b");
    assert_eq!(world.aaaa(), "us/c us/d");
}

#[test]
fn a_family_that_a_region_does_not_have_comes_from_the_next() {
    let world = World::new(Policy::Failover, "eu: a/4 b/4\n us: c d");
    assert_eq!(world.a(), "eu/a eu/b");
    assert_eq!(world.aaaa(), "us/c us/d");
    assert_eq!(world.trail(Family::V6)[0].fate, Fate::NoFamily);
}

#[test]
fn a_family_that_no_pool_has_is_no_data_whatever_is_up() {
    let world = World::new(Policy::Failover, "eu: a/4\n us: b/4");
    for world in [world.clone(), world.down("a b")] {
        let selection = world.select(Family::V6);
        assert_eq!((world.words(&selection).as_str(), selection.why), ("nodata", Why::NoFamily));
    }
}

#[test]
fn a_host_name_serves_both_families() {
    let world = World::new(Policy::Failover, "eu: h/host\n us: a/4");
    assert_eq!((world.a().as_str(), world.aaaa().as_str()), ("eu/h", "eu/h"));
    let world = world.down("h");
    assert_eq!((world.a().as_str(), world.aaaa().as_str()), ("us/a", "eu/h"));
    assert_eq!(world.select(Family::V6).why, Why::AllDown);
}

#[test]
fn a_pool_below_its_min_healthy_is_passed_over() {
    let table = [
        ("min 2", "", "eu/a eu/b eu/c"),
        ("min 2", "a", "eu/b eu/c"),
        ("min 2", "a b", "us/d us/e"),
        ("min 50%", "a", "eu/b eu/c"),
        ("min 50%", "a b", "us/d us/e"),
        ("min 34%", "a b", "us/d us/e"), // 34 % of three are two.
        ("min 33%", "a b", "eu/c"),
        ("min 9", "", "eu/a eu/b eu/c"), // All, when it asks for more than there are.
        ("min 9", "a", "us/d us/e"),
    ];
    for (min, down, answer) in table {
        let world = World::new(Policy::Failover, &format!("eu {min}: a b c\n us: d e"));
        assert_eq!(world.down(down).a(), answer, "{min}, down: {down}");
    }
}

#[test]
fn endpoints_below_every_min_healthy_serve_before_the_last_resort_does() {
    let world = World::new(Policy::Failover, "eu min 2: a b\n us min 2: c d").down("a c");
    let selection = world.select(Family::V4);
    assert_eq!((world.words(&selection).as_str(), selection.why), ("eu/b", Why::BelowMinHealthy));
    let world = world.down("b");
    assert_eq!(world.a(), "us/d");
}

#[test]
fn an_endpoint_counts_as_usable_in_either_family() {
    // Each endpoint has lost one family only: the pool has its two, so it keeps both families.
    let world = World::new(Policy::Failover, "eu min 2: a b\n us: c").down("a/4 b/6");
    assert_eq!((world.a().as_str(), world.aaaa().as_str()), ("eu/b", "eu/a"));
}

// ---- Weight 0 ----

#[test]
fn weight_0_stands_in_when_all_others_are_down() {
    let world = World::new(Policy::Weighted, "eu: a b*0\n us share 0: c");
    assert_eq!(world.a(), "eu/a");
    assert_eq!(world.clone().down("a").a(), "eu/b");
    assert_eq!(world.clone().down("a b").a(), "us/c");
    assert_eq!(world.trail(Family::V4)[1].fate, Fate::ZeroWeight);
}

#[test]
fn weight_0_stands_back_when_all_are_taken_for_up() {
    let world = World::new(Policy::Weighted, "eu: a b*0\n us share 0: c").down("a b c");
    assert_eq!(world.a(), "eu/a");
    let only = World::new(Policy::Weighted, "eu share 0: a*0\n us share 0: c").down("a c");
    assert_eq!(only.a(), "eu/a us/c");
}

// ---- All down ----

/// Everything is down: `eu` first, `us` last.
fn dead(all_down: AllDown) -> World {
    three(Policy::Failover)
        .down_at(10, "a b c")
        .down_at(30, "d")
        .down_at(20, "e f")
        .all_down(all_down)
}

#[test]
fn all_down_answers_as_the_rule_says() {
    let ap = dead(AllDown::AsUp).pool("ap");
    let table = [
        (AllDown::AsUp, "eu/a eu/b"),
        (AllDown::LastGood, "us/c us/d"),
        (AllDown::Pool(ap), "ap/e ap/f"),
        (AllDown::Host("sorry.test.".parse().unwrap()), "cname sorry.test."),
        (AllDown::NoData, "nodata"),
        (AllDown::ServFail, "servfail"),
    ];
    for (all_down, answer) in table {
        let world = dead(all_down);
        assert_eq!(world.a(), answer);
        assert_eq!(world.select(Family::V4).why, Why::AllDown);
    }
}

#[test]
fn last_good_is_the_first_of_those_that_went_down_together() {
    let world = three(Policy::Failover).down_at(10, "a b c d e f").all_down(AllDown::LastGood);
    assert_eq!(world.a(), "eu/a eu/b");
}

#[test]
fn last_good_is_one_pool_for_both_families() {
    let world = three(Policy::Failover)
        .down_at(10, "a b c d e f")
        .down_at(40, "c/6")
        .down_at(30, "e/4")
        .all_down(AllDown::LastGood);
    assert_eq!((world.a().as_str(), world.aaaa().as_str()), ("us/c us/d", "us/c us/d"));
}

#[test]
fn the_pool_of_all_down_need_not_be_one_of_the_rules_own() {
    let world = World::new(Policy::Failover, "eu: a\n us: b\n sorry: s t").rule_pools("eu us");
    let sorry = world.pool("sorry");
    let world = world.all_down(AllDown::Pool(sorry));
    let table = [
        ("a", "us/b"),
        ("a b", "sorry/s sorry/t"),
        ("a b s", "sorry/t"),
        ("a b s t", "sorry/s sorry/t"),
    ];
    for (down, answer) in table {
        assert_eq!(world.clone().down(down).a(), answer, "{down}");
    }
    assert_eq!(world.down("a b").next_change(7, "s").select(Family::V4).ttl, 7);
}

#[test]
fn a_pool_of_all_down_without_the_family_leaves_it_as_up() {
    let world = World::new(Policy::Failover, "eu: a\n us: b/4").down("a b");
    let us = world.pool("us");
    let world = world.all_down(AllDown::Pool(us));
    assert_eq!((world.a().as_str(), world.aaaa().as_str()), ("us/b", "eu/a"));
}

// ---- Clauses ----

#[test]
fn a_clause_keeps_its_clients_while_one_of_its_pools_is_alive() {
    let table = [
        ("", "us/c us/d", Why::Preferred),
        ("c d", "ap/e ap/f", Why::Failover { skipped: 1 }),
        ("c d e f", "eu/a eu/b", Why::Beyond),
        ("a b c d e f", "us/c us/d", Why::AllDown),
    ];
    for (down, answer, why) in table {
        let world = three(Policy::Failover).clause("us ap", false).down(down);
        assert_eq!((world.a().as_str(), world.select(Family::V4).why), (answer, why), "{down}");
    }
}

#[test]
fn a_strict_clause_never_lets_its_clients_go() {
    let world = three(Policy::Failover).clause("us", true).down("c d");
    let selection = world.select(Family::V4);
    assert_eq!((world.words(&selection).as_str(), selection.why), ("us/c us/d", Why::AllDown));
    let eu = world.pool("eu");
    assert_eq!(world.clone().all_down(AllDown::Pool(eu)).a(), "us/c us/d");
    let last_good = world.down_at(90, "a b").all_down(AllDown::LastGood);
    assert_eq!(last_good.a(), "us/c us/d");
}

#[test]
fn a_strict_clause_lends_a_family_that_it_does_not_have() {
    // Otherwise one client's NODATA would be everybody's.
    let world = World::new(Policy::Failover, "eu: a\n us: b/4").clause("us", true);
    assert_eq!((world.a().as_str(), world.aaaa().as_str()), ("us/b", "eu/a"));
    assert_eq!(world.down("a").aaaa(), "eu/a");
}

#[test]
fn the_last_resort_of_a_clause_looks_at_all_pools_it_may_use() {
    let world = three(Policy::Failover).clause("us", false).down_at(10, "c d e f");
    let world = world.down_at(20, "a b");
    assert_eq!(world.clone().all_down(AllDown::LastGood).a(), "eu/a eu/b");
    let ap = world.pool("ap");
    assert_eq!(world.all_down(AllDown::Pool(ap)).a(), "ap/e ap/f");
}

// ---- TTL ----

#[test]
fn nodata_is_given_only_when_nobody_can_be_answered() {
    // Caches take it to be everybody's; clients of the clause get pool `a` or nothing.
    let world = World::new(Policy::Failover, "a: a\nb: b/4").all_down(AllDown::NoData);
    let world = world.clause("a", true);
    let confined = |world: &World, family| world.words(&world.select(family));
    assert_eq!(confined(&world.clone().down("a"), Family::V4), "servfail");
    assert_eq!(confined(&world.clone().down("a"), Family::V6), "nodata", "nobody else has it");
    assert_eq!(confined(&world.clone().down("a b"), Family::V4), "nodata");
    let selection = world.down("a").select(Family::V4);
    assert!(selection.looked_at.has(1), "it changes when the others are lost as well");
}

#[test]
fn a_ttl_lasts_until_something_that_matters_could_change() {
    let table = [
        // (soon to change, down, ttl, why)
        ("", "", TTL, "nothing will change"),
        ("a", "", 7, "the pool that answers could lose an endpoint"),
        ("c e", "", TTL, "pools of lower preference do not matter"),
        ("a", "a b", 7, "a better pool could come back"),
        ("c", "a b", 7, "the pool that answers"),
        ("e", "a b", TTL, "pools of lower preference do not matter here either"),
        ("e", "a b c d e f", 7, "any of them could be the one to come back"),
        ("a/6", "", 7, "the pool's other family counts for min-healthy"),
    ];
    for (soon, down, ttl, why) in table {
        let world = three(Policy::Failover).next_change(7, soon).down(down);
        assert_eq!(world.select(Family::V4).ttl, ttl, "{why}");
    }
}

#[test]
fn a_ttl_stays_within_the_rules_bounds() {
    let table = [(0, TTL_MIN), (1, TTL_MIN), (3, 3), (59, 59), (1000, TTL)];
    for (secs, ttl) in table {
        assert_eq!(three(Policy::Failover).next_change(secs, "a").select(Family::V4).ttl, ttl);
    }
}

#[test]
fn below_min_healthy_a_pool_that_could_have_enough_again_bounds_the_ttl() {
    let world = World::new(Policy::Failover, "eu min 2: a b\n us min 2: c d").down("a c");
    let selection = world.next_change(7, "c").select(Family::V4);
    assert_eq!((selection.why, selection.ttl), (Why::BelowMinHealthy, 7));
}

#[test]
fn at_the_last_resort_a_pool_beyond_the_clause_bounds_the_ttl() {
    let world = three(Policy::Failover).clause("us", false).down("a b c d e f");
    assert_eq!(world.next_change(7, "a").select(Family::V4).ttl, 7);
    let world = three(Policy::Failover).clause("us", true).down("a b c d e f");
    assert_eq!(world.next_change(7, "a").select(Family::V4).ttl, TTL);
}
