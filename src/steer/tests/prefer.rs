//! The order in which clients want pools, by distance, fallback lists and clauses.

use std::time::Duration;

use proptest::prelude::*;

use super::world::World;
use crate::model::topology::{BranchTo, Clients, Policy, RttEntry, Where};
use crate::model::{Continent, Country, Location, RegionId};
use crate::steer::Evidence;
use crate::steer::latency::rtts;
use crate::steer::prefer::{Sight, clause_of, prefer_seen};

/// Regions with the fallback list that each says.
type Fallbacks<'a> = &'a [(&'a str, &'a str)];

/// The pools of one region each, written in this order, as a client wants them who has the regions
/// `nearest` first. `fallback` is what regions say: `a: c d`.
fn wanted(written: &str, nearest: &str, fallback: Fallbacks<'_>) -> String {
    let lines: Vec<String> =
        written.split_whitespace().map(|name| format!("{name}: {name}-1")).collect();
    let mut world = World::new(Policy::Nearest, &lines.join("\n"));
    let region = |world: &World, name: &str| RegionId::new(world.pool(name).index());
    for (name, behind) in fallback {
        let behind = behind.split_whitespace().map(|name| region(&world, name)).collect();
        let place = region(&world, name).index();
        world.zone.regions[place].fallback = behind;
    }
    // A region in capitals serves another rule only.
    let own: Vec<&str> =
        written.split_whitespace().filter(|name| name.to_lowercase() == *name).collect();
    let world = world.rule_pools(&own.join(" "));
    let nearest: Vec<RegionId> =
        nearest.split_whitespace().map(|name| region(&world, name)).collect();
    names(&world, world.prefer(None, Some(&nearest)).orders[0].parts().0)
}

/// The names of pools by their places among the rule's branches.
fn names(world: &World, branches: &[u16]) -> String {
    let name = |branch: &u16| match world.zone.steers[0].branches[usize::from(*branch)].to {
        BranchTo::Pool(pool) => world.zone.pools[pool.index()].name.as_str(),
        BranchTo::Steer(_) => panic!("no steers here"),
    };
    branches.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn nearest_goes_by_distance_whatever_is_written() {
    assert_eq!(wanted("a b c", "c a b", &[]), "c a b");
    assert_eq!(wanted("c b a", "a b c", &[]), "a b c");
}

#[test]
fn the_fallback_list_of_the_nearest_region_comes_right_behind_it() {
    let table: [(&str, Fallbacks<'_>, &str); 7] = [
        ("a b c d e", &[], "a b c d e"),
        ("e d c b a", &[("a", "d")], "a d b c e"),
        ("e d c b a", &[("a", "d c")], "a d c b e"),
        ("e d c b a", &[("a", "b c")], "a b c d e"),
        ("e d c b a", &[("a", "e d c b")], "a e d c b"),
        ("e d c b a", &[("b", "e")], "a b c d e"), // Only the nearest region's counts.
        ("e d c b a", &[("a", "a b a")], "a b c d e"),
    ];
    for (written, fallback, order) in table {
        assert_eq!(wanted(written, "a b c d e", fallback), order, "{written} {fallback:?}");
    }
}

#[test]
fn a_fallback_that_the_rule_does_not_use_takes_nobodys_place() {
    let order = wanted("e d c b a X Y", "a b c d e X Y", &[("a", "X e Y")]);
    assert_eq!(order, "a e b c d");
    let order = wanted("e d c b a X", "X a b c d e", &[("X", "e")]);
    assert_eq!(order, "a b c d e");
}

#[test]
fn of_many_regions_the_three_nearest_are_told_apart() {
    let eight = "h g f e d c b a";
    assert_eq!(wanted(eight, "a b c d e f g h", &[]), "a b c d e f g h");
    let nine = "i h g f e d c b a";
    assert_eq!(wanted(nine, "a b c d e f g h i", &[]), "a b c i h g f e d");
    assert_eq!(wanted(nine, "a b c d e f g h i", &[("a", "d")]), "a d b i h g f e c");
    assert_eq!(wanted(nine, "a b c d e f g h i", &[("a", "a b")]), "a b c i h g f e d");
    // A fallback list is followed to its end, however long.
    assert_eq!(wanted(nine, "a b c d e f g h i", &[("a", "d e f g")]), "a d e f g i h c b");
}

#[test]
fn pools_of_one_region_keep_the_order_written() {
    let mut world = World::new(Policy::Nearest, "a1: p\n b1: q\n a2: r\n b2: s");
    for (pool, region) in [(2, 0), (3, 1)] {
        world.zone.pools[pool].region = RegionId::new(region);
    }
    let nearest = [RegionId::new(1), RegionId::new(0)];
    let preference = world.prefer(None, Some(&nearest));
    assert_eq!(names(&world, preference.orders[0].parts().0), "b1 b2 a1 a2");
}

#[test]
fn of_a_client_in_no_known_place_the_order_written_is_taken() {
    let world = World::new(Policy::Nearest, "b: q\n a: p");
    assert_eq!(names(&world, world.prefer(None, None).orders[0].parts().0), "b a");
}

#[test]
fn a_clause_is_taken_at_its_word_and_the_rest_goes_by_distance() {
    let world = World::new(Policy::Nearest, "a: p\n b: q\n c: r\n d: s").clause("d b", false);
    let nearest = [2, 0, 1, 3].map(RegionId::new);
    let preference = world.prefer(Some(0), Some(&nearest));
    let (preferred, beyond) = preference.orders[0].parts();
    assert_eq!((names(&world, preferred), names(&world, beyond)), ("d b".into(), "c a".into()));
}

#[test]
fn the_first_clause_that_names_a_client_counts() {
    let mut world = World::new(Policy::Failover, "a: p");
    world.rule().wheres = vec![
        Where { asns: vec![64500], ..Where::default() },
        Where { countries: vec![Country::new("IE").unwrap()], ..Where::default() },
        Where { continents: vec![Continent::Europe], ..Where::default() },
        Where { subnets: vec!["10.0.0.0/8".parse().unwrap()], ..Where::default() },
    ];
    let place = |country: &str, continent, asn| Location {
        country: Country::new(country),
        continent,
        asn,
        ..Location::default()
    };
    let europe = Some(Continent::Europe);
    let table = [
        (place("IE", europe, Some(64500)), false, Some(0)),
        (place("IE", europe, Some(64501)), false, Some(1)),
        (place("FR", europe, None), false, Some(2)),
        (place("FR", europe, None), true, Some(2)),
        (place("US", Some(Continent::NorthAmerica), None), true, Some(3)),
        (place("US", Some(Continent::NorthAmerica), None), false, None),
        (Location::default(), false, None),
    ];
    for (location, is_inside, clause) in table {
        let subnets = [false, false, false, is_inside];
        assert_eq!(clause_of(&world.zone.steers[0], &location, &subnets), clause, "{location:?}");
    }
}

proptest! {
    /// What is seen is cut off where it makes no difference any more.
    #[test]
    fn what_is_seen_is_as_good_as_the_whole_order(
        (fallbacks, nearest) in (1..14_usize).prop_flat_map(|count| {
            let lists = prop::collection::vec(prop::collection::vec(0..count, 0..5), count);
            (lists, Just((0..count).collect::<Vec<_>>()).prop_shuffle())
        }),
        of_rule in prop::collection::vec(any::<bool>(), 14),
        wanted in prop::option::of(prop::collection::vec(any::<prop::sample::Index>(), 0..6)),
    ) {
        let count = fallbacks.len();
        let lines: Vec<String> = (0..count).map(|n| format!("p{n}: e{n}")).collect();
        let mut world = World::new(Policy::Nearest, &lines.join("\n"));
        for (n, fallback) in fallbacks.into_iter().enumerate() {
            world.zone.regions[n].fallback = fallback.into_iter().map(RegionId::new).collect();
        }
        let own: Vec<String> = (0..count).filter(|n| of_rule[*n]).map(|n| format!("p{n}")).collect();
        let mut world = world.rule_pools(&own.join(" "));
        let has_clause = wanted.is_some();
        if let Some(wanted) = wanted.filter(|_| !own.is_empty()) {
            let names: Vec<&str> = wanted.iter().map(|n| &*own[n.index(own.len())]).collect();
            world = world.clause(&names.join(" "), false);
        }
        let outline = world.outline();
        let nearest: Vec<RegionId> = nearest.into_iter().map(RegionId::new).collect();
        let location = Location::default();
        let subnets = [has_clause];
        let evidence = Evidence {
            location: &location,
            subnets: &subnets,
            nearest: Some(&nearest),
            kilometres: &[],
        };
        let seen = Sight::new(&world.zone, &outline).see(&world.zone, &outline, &evidence, &[]);
        let mut whole = seen.clone();
        whole[0].nearest = nearest.clone().into();
        prop_assert_eq!(
            prefer_seen(&world.zone, &outline, &seen),
            prefer_seen(&world.zone, &outline, &whole)
        );
    }
}

#[test]
fn the_most_specific_round_trip_time_counts_for_each_region_by_itself() {
    let millis = Duration::from_millis;
    let entry = |clients, times: &[(usize, u64)]| RttEntry {
        clients,
        times: times.iter().map(|(n, time)| (RegionId::new(*n), millis(*time))).collect(),
    };
    let entries = [
        entry(Clients::Subnet("192.0.2.0/24".parse().unwrap()), &[(3, 4)]),
        entry(Clients::Asn(64500), &[(1, 2), (3, 9)]),
        entry(Clients::Country(Country::new("GB").unwrap()), &[(0, 1), (1, 7)]),
        entry(Clients::Continent(Continent::new("EU").unwrap()), &[(0, 8)]),
    ];
    let location = Location {
        continent: Continent::new("EU"),
        country: Country::new("GB"),
        asn: Some(64500),
        ..Location::default()
    };
    let kilometres = [100.0, 100.0, 650.0, 100.0, 100.0];
    let times = |subnets: &[bool], kilometres: &[f64]| {
        let evidence = Evidence { location: &location, subnets: &[], nearest: None, kilometres };
        let times = rtts(&entries, &evidence, subnets, 5);
        times
            .into_iter()
            .map(|time| time.map(|(time, by)| (time.as_millis(), by)))
            .collect::<Vec<_>>()
    };
    let by_distance = |ms| Some((ms, None));
    assert_eq!(
        times(&[true], &kilometres),
        [
            Some((1, Some(2))),
            Some((2, Some(1))),
            by_distance(10),
            Some((4, Some(0))),
            by_distance(1)
        ]
    );
    assert_eq!(
        times(&[false], &[]),
        [Some((1, Some(2))), Some((2, Some(1))), None, Some((9, Some(1))), None],
        "where nobody knows how far it is, nothing is made up"
    );
}
