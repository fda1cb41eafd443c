//! How fast a rule gives pools up.

use std::time::Duration;

use proptest::prelude::*;

use super::world::World;
use crate::model::Time;
use crate::model::topology::{Policy, Velocity};
use crate::steer::trail::Fate;
use crate::steer::{Family, PoolPast, Why};

const POOLS: &str = "p0: a\np1: b\np2: c\np3: d";
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const PER: u64 = 60;

/// Four pools under `share`, those with a moment lost since then.
fn world(share: u8, lost: [Option<u64>; 4], now: u64) -> World {
    let mut world = World::new(Policy::Failover, POOLS);
    world.rule().velocity = Some(Velocity { share, per: Duration::from_secs(PER) });
    for ((name, since), past) in NAMES.iter().zip(lost).zip(0..) {
        let Some(since) = since else { continue };
        world = world.down_at(since, name);
        world.past[past] = PoolPast::Lost { since: Some(Time::from_secs(since)) };
    }
    world.now = Time::from_secs(now);
    world
}

/// Which pools serve as if they were up.
fn held(world: &World) -> Vec<usize> {
    let notes = world.trail(Family::V4);
    (0..4).filter(|n| notes[*n].is_held).collect()
}

#[test]
fn one_pool_a_window_is_given_up() {
    // Share, moment, what is held, what is answered and why.
    let cases = [
        (34, 12, &[1][..], "p1/b", Why::Held),
        (34, 69, &[1], "p1/b", Why::Held),
        (34, 70, &[], "p2/c", Why::Failover { skipped: 2 }),
        (50, 12, &[], "p2/c", Why::Failover { skipped: 2 }),
        (34, 95, &[2], "p2/c", Why::Held),
        (34, 130, &[], "p3/d", Why::Failover { skipped: 3 }),
        (100, 90, &[], "p3/d", Why::Failover { skipped: 3 }),
    ];
    for (share, now, expected, answer, why) in cases {
        let lost = [Some(10), Some(12), Some(90), None];
        let lost_by_now = lost.map(|since| since.filter(|since| *since <= now));
        let world = world(share, lost_by_now, now);
        let found = (held(&world), world.a(), world.select(Family::V4).why);
        assert_eq!(found, (expected.to_vec(), answer.to_owned(), why), "{share}% at {now}");
    }
}

#[test]
fn what_was_lost_at_once_is_given_up_in_the_order_of_the_rule() {
    let at = |now| held(&world(25, [Some(10); 4], now));
    assert_eq!(at(10), [1, 2, 3]);
    assert_eq!(at(70), [2, 3]);
    assert_eq!(at(130), [3]);
    assert_eq!(at(190), Vec::<usize>::new());
    assert_eq!(world(25, [Some(10); 4], 190).select(Family::V4).why, Why::AllDown);
}

#[test]
fn what_vantages_agree_on_is_given_up_at_once() {
    let mut world = world(25, [Some(10), Some(12), Some(14), None], 20);
    world.each_way("b", |way| way.agreed_by = 2);
    assert_eq!(held(&world), [2], "and it takes its place in the window");
    world.each_way("c", |way| way.agreed_by = 3);
    assert_eq!(held(&world), Vec::<usize>::new());
}

#[test]
fn operators_and_unknown_beginnings_are_no_matter_of_velocity() {
    let mut world = world(25, [Some(10), Some(12), None, None], 20);
    world.health[1].is_forced = true;
    assert_eq!(held(&world), Vec::<usize>::new());
    world.health[1].is_forced = false;
    world.past[1] = PoolPast::Lost { since: None };
    assert_eq!(held(&world), Vec::<usize>::new());
}

#[test]
fn a_held_pool_is_decided_anew_when_its_time_comes_and_no_answer_outlives_it() {
    let world = world(25, [Some(10), Some(10), None, None], 50);
    let selection = world.select(Family::V4);
    let (ttl, due) = (u64::from(selection.ttl), selection.due.unwrap());
    assert!(ttl <= 20 && due <= Duration::from_secs(20), "{ttl} {due:?}");
    let notes = world.trail(Family::V4);
    assert_eq!((notes[0].fate, notes[1].fate), (Fate::NotEnough, Fate::Kept));
}

proptest! {
    /// In no window are more given up than there is room for, and what is given up stays so.
    #[test]
    fn no_window_gives_up_more_than_its_share(
        lost in prop::array::uniform4(prop::option::of(0..200_u64)),
        share in 1..=100_u8,
    ) {
        let room = (4 * usize::from(share) / 100).max(1);
        let mut given_up = [None; 4];
        for now in 0..=600 {
            let until_now = lost.map(|since| since.filter(|since| *since <= now));
            let held = held(&world(share, until_now, now));
            for n in 0..4 {
                let is_out = until_now[n].is_some() && !held.contains(&n);
                prop_assert!(given_up[n].is_none() || is_out, "pool {} came back at {}", n, now);
                given_up[n] = given_up[n].or_else(|| is_out.then_some(now));
            }
        }
        for (n, since) in lost.iter().enumerate() {
            prop_assert_eq!(since.is_some(), given_up[n].is_some(), "in the end all are given up");
        }
        let given_up: Vec<u64> = given_up.into_iter().flatten().collect();
        for from in &given_up {
            let window = given_up.iter().filter(|at| (*from..*from + PER).contains(*at));
            prop_assert!(window.count() <= room);
        }
    }
}
