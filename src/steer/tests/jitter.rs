//! Answers that are kept out of step.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{TTL, TTL_MIN, World};
use crate::model::Name;
use crate::model::topology::{AllDown, Policy, TtlJitter};
use crate::steer::jitter::{SLOTS, slot_of};
use crate::steer::select::TtlBy;
use crate::steer::{Family, Preference, Selected, Selection};

/// Five pools, each of a region, so that there are 120 classes.
fn five() -> World {
    World::new(Policy::Nearest, "a: a\nb: b\nc: c\nd: d\ne: e")
}

/// All classes of [`five`].
fn classes(world: &World) -> Vec<Preference> {
    let mut orders = vec![vec![]];
    for _ in 0..world.zone.regions.len() {
        let longer = |order: Vec<_>| {
            let left: Vec<_> = (0..world.zone.regions.len())
                .map(crate::model::RegionId::new)
                .filter(|region| !order.contains(region))
                .collect();
            left.into_iter().map(move |region| [&order[..], &[region]].concat())
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders.iter().map(|order| world.prefer(None, Some(order))).collect()
}

/// What every class gets.
fn all(world: &World) -> Vec<Selection> {
    let select = |class: &Preference| world.select_for(class, Family::V4);
    classes(world).iter().map(select).collect()
}

/// What every class gets from each of some names, at least one of each slot.
fn of_names(world: &World) -> Vec<Selection> {
    let named = (0..40).map(|n| of_name(world.clone(), &format!("n{n}.test.")));
    named.flat_map(|world| all(&world)).collect()
}

fn jittered(mut world: World, share: u16, is_always: bool) -> World {
    world.rule().ttl_jitter = TtlJitter { share, is_always };
    world
}

fn of_name(mut world: World, name: &str) -> World {
    world.rule().owner = name.parse().unwrap();
    world
}

/// A world in which some answers could change in `secs`.
fn changing_in(secs: u64) -> World {
    five().down("a b c d e").next_change(secs, "a b c d e")
}

#[test]
fn a_ttl_loses_up_to_its_share_and_no_more() {
    let table = [
        // (could change in, share, always, from, to)
        (50, 100, false, 45, 50),
        (50, 100, true, 45, 50),
        (20, 100, false, 18, 20),
        (15, 100, false, 14, 15), // As while a region is being drained.
        (10, 100, false, 9, 10),
        (9, 100, false, 9, 9), // Less than a second of it.
        (9, 500, false, 5, 9),
        (3, 500, false, 2, 3), // Down to the floor …
        (2, 500, false, 2, 2), // … which is here already.
        (1, 500, false, TTL_MIN, TTL_MIN),
        (50, 1, false, 50, 50),
        (50, 0, false, 50, 50),
        (50, 0, true, 50, 50),
        (1000, 100, false, TTL, TTL), // Nothing could change sooner: it is as it was written …
        (1000, 100, true, 54, TTL),   // … unless asked for.
    ];
    for (secs, share, is_always, from, to) in table {
        let found = of_names(&jittered(changing_in(secs), share, is_always));
        let ttls = || found.iter().map(|selection| selection.ttl);
        let case = format!("{secs} s, {share} ‰, {is_always}");
        assert_eq!((ttls().min().unwrap(), ttls().max().unwrap()), (from, to), "{case}");
        assert!(found.iter().all(|own| own.ttl + own.jitter == to), "{case}: it says by how much");
    }
}

#[test]
fn what_made_a_ttl_so_long_is_still_told() {
    let found = of_names(&jittered(changing_in(50), 100, false));
    assert!(found.iter().any(|selection| selection.jitter > 0));
    assert!(found.iter().all(|selection| matches!(selection.ttl_by, TtlBy::Change(_))));
    let steady = all(&jittered(five(), 100, true));
    assert!(steady.iter().any(|selection| selection.jitter > 0));
    assert!(steady.iter().all(|selection| selection.ttl_by == TtlBy::Rule));
}

#[test]
fn both_families_of_a_class_live_equally_long() {
    let world = jittered(changing_in(50), 100, true);
    for class in classes(&world) {
        let [v4, v6] = [Family::V4, Family::V6].map(|family| world.select_for(&class, family).ttl);
        assert_eq!(v4, v6);
    }
}

#[test]
fn a_type_that_no_pool_has_is_out_of_step_where_that_is_asked_for() {
    let world = World::new(Policy::Failover, "a: a/4\nb: b/4");
    let nodata = |is_always| jittered(world.clone(), 500, is_always).select(Family::V6);
    assert_eq!((nodata(false).ttl, nodata(false).jitter), (TTL, 0));
    assert!(nodata(true).ttl >= TTL / 2);
    assert_eq!(nodata(true).ttl + nodata(true).jitter, TTL);
}

#[test]
fn nodata_is_everybodys_and_lives_equally_long_for_all() {
    let mut ttls = std::collections::BTreeSet::new();
    for n in 0..20 {
        let world = of_name(changing_in(50).all_down(AllDown::NoData), &format!("n{n}.test."));
        let of_name = all(&jittered(world, 100, true));
        assert!(of_name.iter().all(|own| own.selected == Selected::NoData));
        assert!(of_name.iter().all(|own| own.ttl == of_name[0].ttl));
        ttls.insert(of_name[0].ttl);
    }
    assert!(ttls.len() > 1, "names are still told apart: {ttls:?}");
}

/// How many of `ttls` are each.
fn counts(ttls: impl Iterator<Item = u32>) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    ttls.for_each(|ttl| *counts.entry(ttl).or_default() += 1);
    counts
}

#[test]
fn classes_of_one_name_are_spread_where_that_is_asked_for() {
    let found = |is_always| {
        counts(all(&jittered(changing_in(50), 100, is_always)).iter().map(|own| own.ttl))
    };
    assert_eq!(found(false).len(), 1);
    let found = found(true);
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(found.values().all(|count| (10..=35).contains(count)), "20 each of 120: {found:?}");
}

#[test]
fn names_of_one_class_are_spread() {
    let world = jittered(changing_in(50), 100, false);
    let ttl = |n| of_name(world.clone(), &format!("n{n}.test.")).select(Family::V4).ttl;
    let found = counts((0..600).map(ttl));
    // Eight slots over six seconds.
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(found.values().all(|count| (50..=200).contains(count)), "{found:?}");
}

#[test]
fn names_are_spread_over_slots() {
    let slots = (0..8000).map(|n| slot_of(&format!("n{n}.test.").parse().unwrap()));
    let mut counts = [0; SLOTS];
    slots.for_each(|slot| counts[slot] += 1);
    assert!(counts.iter().all(|count| (850..=1150).contains(count)), "{counts:?}");
}

/// Nodes of all versions give the same answers, so this changes for a reason only.
#[test]
fn slots_and_ttls_are_the_same_for_ever() {
    let slot = |name: &str| slot_of(&name.parse::<Name>().unwrap());
    let slots = ["www.example.com.", "api.example.com.", "example.com.", "."].map(slot);
    assert_eq!(slots, [3, 0, 4, 6]);
    assert_eq!(slot("WWW.Example.Com."), slot("www.example.com."));
    let found = all(&jittered(changing_in(50), 100, true));
    let ttls: Vec<u32> = found[..6].iter().map(|selection| selection.ttl).collect();
    assert_eq!(ttls, [50, 47, 49, 47, 48, 48]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Jitter takes whole seconds away, within its share and above the floor, and changes nothing else.
    #[test]
    fn jitter_only_shortens(
        down in proptest::sample::subsequence(vec!["a", "b", "c", "d", "e"], 0..=5),
        secs in 0_u64..100,
        bounds in (0_u64..100, 0_u64..100),
        share in 0_u16..=500,
        is_always in any::<bool>(),
        name in "[a-z]{1,8}",
    ) {
        let down = down.join(" ");
        let mut plain = of_name(five().down(&down).next_change(secs, &down), &format!("{name}.test."));
        let (shortest, longest) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        plain.rule().ttl_min = Duration::from_secs(shortest);
        plain.rule().ttl = Duration::from_secs(longest);
        let world = jittered(plain.clone(), share, is_always);
        for (with, without) in all(&world).into_iter().zip(all(&plain)) {
            prop_assert_eq!(with.ttl + with.jitter, without.ttl);
            prop_assert!(u64::from(with.ttl) >= shortest);
            prop_assert!(with.jitter * 1000 <= without.ttl * u32::from(share));
            prop_assert!(with.jitter == 0 || is_always || u64::from(without.ttl) < longest);
            prop_assert_eq!(Selection { ttl: without.ttl, jitter: 0, ..with }, without);
        }
        prop_assert_eq!(all(&world), all(&world));
    }
}
