//! What operators say against what answers name: the most specific word counts, for as long as it lasts,
//! and whatever is said, somebody answers.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select as any_of;

use super::world::{TTL, TTL_MIN, World};
use crate::model::topology::{EndpointAt, Outage, Policy};
use crate::model::{
    EndpointHealth, EndpointId, Override, OverrideKind, Overrides, PoolId, RegionId, Said, Subject,
    Time, Verdict,
};
use crate::steer::overrides::{by_endpoint, overridden};
use crate::steer::select::{DRAIN_TTL, TtlBy};
use crate::steer::{Family, Selected, Why};

const NOW: Time = Time::from_secs(1000);

const WORLD: &str = "eu: a b/4 c/6
    us min 2: d/4 e f/6*0
    ap share 0: g/host h/host*0 i/4";

fn said(until: Option<u64>) -> Said {
    let until = until.map(Time::from_secs);
    Said { author: "ann".to_owned(), reason: String::new(), at: Time::from_secs(900), until }
}

/// `eu drain`, `us/d up`: what is said in `world`. Regions are called like their pools: `pool:eu`.
fn word(world: &World, what: &str, kind: OverrideKind, until: Option<u64>) -> Override {
    let [outage] = world.zone.outages_named(what)[..] else { panic!("{what}") };
    let what = Subject::named(&world.zone, outage);
    Override { zone: world.zone.apex.clone(), what, kind, said: said(until) }
}

/// The world as it is under these words.
fn under(mut world: World, words: Vec<Override>) -> World {
    let overrides = Overrides { all: words, freeze: None };
    let said = by_endpoint(&world.zone, &overrides, NOW).into_iter();
    world.health =
        world.health.iter().zip(said).map(|(real, said)| overridden(*real, said)).collect();
    world.now = NOW;
    world
}

#[test]
fn the_most_specific_word_counts_and_one_that_has_ended_does_not() {
    use OverrideKind::{Drain, ForceDown, ForceUp};
    let world = World::new(Policy::Failover, "eu: a b\nus: c").down("a");
    let cases = [
        (&[][..], "eu/b"),
        (&[("eu", ForceUp, None)], "eu/a eu/b"),
        (&[("eu", ForceUp, None), ("pool:eu", ForceDown, None)], "us/c"),
        (&[("pool:eu", ForceDown, None), ("eu/a", ForceUp, None)], "eu/a"),
        (&[("eu/a", ForceUp, None), ("pool:eu", ForceDown, None)], "eu/a"),
        (&[("eu", ForceDown, Some(1000))], "eu/b"),
        (&[("eu", ForceDown, Some(1001))], "us/c"),
        (&[("eu", Drain, None), ("us", Drain, None), ("eu/b", ForceDown, None)], "us/c"),
    ];
    for (words, answer) in cases {
        let words = words.iter().map(|(what, kind, until)| word(&world, what, *kind, *until));
        let words = words.collect();
        assert_eq!(under(world.clone(), words).a(), answer, "{cases:?}");
    }
}

#[test]
fn what_no_zone_has_and_what_another_zone_has_changes_nothing() {
    let world = World::new(Policy::Failover, "eu: a\nus: b");
    let mut other = word(&world, "eu", OverrideKind::ForceDown, None);
    other.zone = "other.test.".parse().unwrap();
    let mut gone = word(&world, "eu", OverrideKind::ForceDown, None);
    gone.what = Subject::Pool("gone".to_owned());
    assert_eq!(under(world, vec![other, gone]).a(), "eu/a");
}

#[test]
fn answers_around_a_drain_live_shortly_and_never_beyond_its_end() {
    // At second 1000: until when, how long an answer lives, and in what time it is decided anew.
    let cases = [
        (None, 15, None),
        (Some(2000), 15, Some(1000 - u64::from(TTL))),
        (Some(1000 + u64::from(TTL)), 15, Some(2)),
        (Some(1012), 10, Some(2)),
        (Some(1003), TTL_MIN, Some(2)),
    ];
    for (until, ttl, due) in cases {
        let world = World::new(Policy::Failover, "eu: a\nus: b");
        let words = vec![word(&world, "eu", OverrideKind::Drain, until)];
        let selection = under(world, words).select(Family::V4);
        let found = (selection.ttl, selection.due);
        assert_eq!(found, (ttl, due.map(Duration::from_secs)), "{until:?}");
    }
    let world = World::new(Policy::Failover, "eu: a\nus: b");
    let drained = vec![word(&world, "us", OverrideKind::Drain, Some(1010))];
    let selection = under(world, drained).select(Family::V4);
    assert_eq!((selection.ttl, selection.ttl_by), (TTL, TtlBy::Rule), "nobody looked at us");
}

#[test]
fn a_drain_of_all_that_is_dead_is_heeded_in_the_last_resort() {
    let world = World::new(Policy::Failover, "eu: a\nus: b c").down("a b c");
    let words = ["eu", "us/b"].map(|what| word(&world, what, OverrideKind::Drain, None));
    let world = under(world, words.to_vec());
    assert_eq!((world.a().as_str(), world.select(Family::V4).why), ("us/c", Why::AllDown));
}

fn any_words(world: &World) -> impl Strategy<Value = Vec<Override>> + use<> {
    let zone = world.zone.clone();
    let outages = (0..zone.pools.len())
        .flat_map(|n| [Outage::Region(RegionId::new(n)), Outage::Pool(PoolId::new(n))])
        .chain((0..zone.endpoints.len()).map(|n| Outage::Endpoint(EndpointId::new(n))));
    let subjects: Vec<Subject> = outages.map(|outage| Subject::named(&zone, outage)).collect();
    let apex = zone.apex;
    let until = any_of(vec![None, None, Some(999), Some(1000), Some(1004), Some(1500)]);
    let one = (any_of(subjects), any_of(OverrideKind::ALL.to_vec()), until);
    let one = one.prop_map(move |(what, kind, until)| Override {
        zone: apex.clone(),
        what,
        kind,
        said: said(until),
    });
    prop::collection::vec(one, 0..6).prop_map(|mut words| {
        let mut seen = std::collections::HashSet::new();
        words.retain(|word| seen.insert(word.what.clone()));
        words
    })
}

/// Whether an endpoint has the family, is alive in it, and is being drained.
fn state(world: &World, id: EndpointId, family: Family) -> (bool, bool, bool) {
    let EndpointHealth { v4, v6, host, is_drained, .. } = world.health[id.index()];
    let way = match (&world.zone.endpoints[id.index()].at, family) {
        (EndpointAt::Host(_) | EndpointAt::Alias(_), _) => host,
        (EndpointAt::Addresses { v6: own, .. }, Family::V6) => own.and(v6),
        (EndpointAt::Addresses { v4: own, .. }, _) => own.and(v4),
    };
    (way.is_some(), way.is_some_and(|way| way.verdict != Verdict::Down), is_drained)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is said and whatever is down: somebody answers, nobody who is drained or dead while
    /// another is left, and no answer lives beyond the end of what it depends on.
    #[test]
    fn no_word_empties_an_answer(
        policy in any_of(Policy::WORDS.map(|(_, policy)| policy).to_vec()),
        down in prop::collection::vec(any::<bool>(), 9),
        words in any_words(&World::new(Policy::Failover, WORLD)),
        is_v4 in any::<bool>(),
    ) {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
        let mut world = World::new(policy, WORLD);
        let names: Vec<String> =
            world.zone.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        for (name, _) in names.iter().zip(down).filter(|(_, is_down)| *is_down) {
            world.each_way(name, |way| way.verdict = Verdict::Down);
        }
        let world = under(world, words.clone());
        let selection = world.select(family);
        let Selected::Among(tree) = &selection.selected else { panic!("{selection:?}") };
        let named: Vec<EndpointId> = tree.leaves().copied().collect();
        prop_assert!(!named.is_empty());
        let all = (0..world.zone.endpoints.len()).map(EndpointId::new);
        let states: Vec<_> = all.map(|id| state(&world, id, family)).collect();
        let is_best = |(has, is_alive, is_drained): (bool, bool, bool)| has && is_alive && !is_drained;
        for id in &named {
            let own = states[id.index()];
            prop_assert!(own.0);
            if states.iter().any(|state| is_best(*state)) {
                prop_assert!(is_best(own), "{:?} of {:?}", id, states);
            } else if states.iter().any(|(has, is_alive, _)| *has && *is_alive) {
                prop_assert!(own.1, "{:?} of {:?}", id, states);
            } else if states.iter().any(|(has, _, is_drained)| *has && !is_drained) {
                prop_assert!(!own.2, "{:?} of {:?}", id, states);
            }
            // The end of what is said of an endpoint, and a drain in its pool, shorten its answers.
            let end = world.health[id.index()].until;
            let floor = u64::from(TTL_MIN);
            let left = end.map_or(u64::MAX, |end| end.since(NOW).as_secs()).max(floor);
            prop_assert!(u64::from(selection.ttl) <= left);
            if own.2 {
                prop_assert!(Duration::from_secs(selection.ttl.into()) <= DRAIN_TTL);
            }
            if let Some(end) = end {
                prop_assert!(selection.due.is_some_and(|due| NOW + due <= end));
            }
        }
    }
}
