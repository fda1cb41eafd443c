//! Endpoints that are aliases: what they can be answered by follows from what was found.

use super::world::{TTL_MIN, World};
use crate::model::topology::{AllDown, EndpointAt, Policy};
use crate::model::{AliasHealth, PoolId, Time};
use crate::steer::select::TtlBy;
use crate::steer::{Family, Why};

const UNTIL: Option<Time> = Some(Time::from_secs(20));
const NOTHING: AliasHealth = AliasHealth::Found { v4: false, v6: false, until: None };
const BOTH: AliasHealth = AliasHealth::Found { v4: true, v6: true, until: UNTIL };
const V4: AliasHealth = AliasHealth::Found { v4: true, v6: false, until: UNTIL };

/// Pools in order; of every alias this was found.
fn world(text: &str, alias: AliasHealth) -> World {
    let mut world = World::new(Policy::Failover, text);
    for (health, endpoint) in world.health.iter_mut().zip(&world.zone.endpoints) {
        if matches!(endpoint.at, EndpointAt::Alias(_)) {
            health.alias = alias;
        }
    }
    world
}

#[test]
fn an_alias_is_answered_in_the_families_that_were_found() {
    let text = "eu: lb/alias\n us: d/46";
    for (alias, a, aaaa, why) in [
        (AliasHealth::Assumed, "eu/lb", "eu/lb", Why::Preferred),
        (BOTH, "eu/lb", "eu/lb", Why::Preferred),
        (V4, "eu/lb", "us/d", Why::Preferred),
        (NOTHING, "us/d", "us/d", Why::Failover { skipped: 1 }),
        (AliasHealth::Unknown, "us/d", "us/d", Why::Failover { skipped: 1 }),
    ] {
        let world = world(text, alias);
        assert_eq!((&*world.a(), &*world.aaaa()), (a, aaaa), "{alias:?}");
        assert_eq!(world.select(Family::V4).why, why, "{alias:?}");
    }
}

#[test]
fn with_nothing_found_there_is_nothing_to_say() {
    let a = |alias, all_down| world("eu: lb/alias\n us: lc/alias", alias).all_down(all_down).a();
    assert_eq!(a(AliasHealth::Unknown, AllDown::AsUp), "servfail");
    assert_eq!(a(AliasHealth::Unknown, AllDown::LastGood), "servfail");
    assert_eq!(a(AliasHealth::Unknown, AllDown::NoData), "nodata");
    assert_eq!(a(NOTHING, AllDown::AsUp), "nodata");
    let world = world("eu: lb/alias", AliasHealth::Unknown);
    assert_eq!(world.select(Family::V4).why, Why::Unfound);
}

#[test]
fn an_alias_that_nobody_has_found_does_not_let_clients_out_of_their_clause() {
    let world = world("eu: lb/alias\n us: d/4", AliasHealth::Unknown).clause("eu", true);
    assert_eq!(world.a(), "servfail");
}

#[test]
fn an_answer_lives_no_longer_than_what_was_found() {
    let mut world = world("eu: lb/alias", BOTH);
    // It shrinks until it is to be looked up again, but for the rule's least.
    for (now, ttl) in [(0, 18), (5, 13), (10, 8), (19, TTL_MIN)] {
        world.now = Time::from_secs(now);
        let selection = world.select(Family::V4);
        assert_eq!(selection.ttl, ttl, "{now}");
        let by = if now < 19 { TtlBy::Alias(PoolId::new(0)) } else { TtlBy::Floor };
        assert_eq!(selection.ttl_by, by, "{now}");
        assert!(selection.due.is_some(), "{now}: it is compiled again before that ends");
    }
    // Nothing else was found in time: it stays, and is not compiled again for nothing.
    world.now = Time::from_secs(20);
    let selection = world.select(Family::V4);
    assert_eq!((selection.ttl, selection.due), (TTL_MIN, None));
    assert_eq!(world.a(), "eu/lb");
}
