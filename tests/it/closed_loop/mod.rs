//! The loop of answers, caches, load and reports, closed: what load-driven steering does over hours.
//!
//! Who steers is the real node, from packets to answers, in a world of caches and regions that is made up.
//! Shown are the utilisations that regions reach; `cargo nextest run closed_loop --no-capture` prints them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod node;
mod world;

use std::net::Ipv4Addr;

use self::node::{Node, Rule};
use self::world::{Answer, Caches, PERIOD_SECS, Steering, Told, World};
use crate::random::Random;

const SEEDS: std::ops::Range<u64> = 0..12;

// ---- Who steers badly ----

/// Everybody to the region that reported the least load.
struct LeastLoaded {
    loads: Vec<f64>,
    ttl: u64,
}

impl Steering for LeastLoaded {
    fn probe(&mut self, _now: u64, _region: usize, _is_up: bool) -> u64 {
        PERIOD_SECS
    }

    fn hear(&mut self, _now: u64, region: usize, told: Told) {
        self.loads[region] = told.load;
    }

    fn look(&mut self, _now: u64) {}

    fn answer(&mut self, _cache: usize, _client: Ipv4Addr) -> Answer {
        let all = 0..self.loads.len();
        let region = all.min_by(|a, b| self.loads[*a].total_cmp(&self.loads[*b])).unwrap();
        Answer { region, ttl: self.ttl }
    }
}

/// Regions above 0.9 get nobody until they are below 0.8.
struct BangBang {
    is_open: Vec<bool>,
    random: Random,
    ttl: u64,
}

impl Steering for BangBang {
    fn probe(&mut self, _now: u64, _region: usize, _is_up: bool) -> u64 {
        PERIOD_SECS
    }

    fn hear(&mut self, _now: u64, region: usize, told: Told) {
        let is_open = &mut self.is_open[region];
        *is_open = if *is_open { told.load <= 0.9 } else { told.load < 0.8 };
    }

    fn look(&mut self, _now: u64) {}

    fn answer(&mut self, _cache: usize, _client: Ipv4Addr) -> Answer {
        let open: Vec<usize> = (0..self.is_open.len()).filter(|n| self.is_open[*n]).collect();
        let index = usize::try_from(self.random.next() >> 1).unwrap();
        let region =
            if open.is_empty() { index % self.is_open.len() } else { open[index % open.len()] };
        Answer { region, ttl: self.ttl }
    }
}

// ---- What is measured ----

/// The worst region of a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// From the least to the largest utilisation of one region.
    swing: f64,
    peak: f64,
}

fn run(world: &mut World, steering: &mut dyn Steering, secs: u64) -> Figures {
    let mut ranges = vec![(f64::MAX, 0_f64); world.regions.len()];
    for _ in 0..secs {
        world.tick(steering);
        for (range, region) in ranges.iter_mut().zip(&world.regions) {
            let now = region.utilisation();
            *range = (range.0.min(now), range.1.max(now));
        }
    }
    let swing = ranges.iter().map(|(least, most)| most - least).fold(0.0, f64::max);
    Figures { swing, peak: ranges.iter().map(|(_, most)| *most).fold(0.0, f64::max) }
}

const HOUR: u64 = 3600;

/// An hour, after an hour in which the worst may happen.
fn settled(world: &mut World, steering: &mut dyn Steering) -> Figures {
    run(world, steering, HOUR);
    run(world, steering, HOUR)
}

fn worst(figures: impl Iterator<Item = Figures>) -> Figures {
    figures.fold(Figures::default(), |worst, figures| Figures {
        swing: worst.swing.max(figures.swing),
        peak: worst.peak.max(figures.peak),
    })
}

const THREE: [f64; 3] = [500_000.0, 300_000.0, 200_000.0];
const BY_LOAD: &str = "policy = 'least-load'\nsticky = true";
const BY_WEIGHT: &str = "policy = 'weighted-least-connections'\nsticky = true";
const STICKY: &str = "policy = 'sticky'";

#[test]
fn load_settles_whatever_is_strived_for() {
    let rule = |policy, weights, capacities| Rule {
        policy,
        ttl: 0,
        weights,
        capacities,
        has_limit: true,
        homes: &[],
    };
    for ttl in [30, 60] {
        for (name, rule) in [
            ("sticky, capacities", rule(STICKY, &[1, 1, 1], &THREE)),
            ("sticky, capacities, weights right", rule(STICKY, &[5, 3, 2], &THREE)),
            ("least-load", rule(BY_LOAD, &[1, 1, 1], &[])),
            ("least-load, capacities", rule(BY_LOAD, &[1, 1, 1], &THREE)),
            (
                "weighted-least-connections",
                Rule { has_limit: false, ..rule(BY_WEIGHT, &[5, 3, 2], &[]) },
            ),
        ] {
            let of_seeds: Vec<Figures> = SEEDS
                .map(|seed| {
                    let mut node = Node::new(&Rule { ttl, ..rule });
                    let caches = Caches::AsMeasured;
                    let mut world = World::new(seed, caches, &THREE, 800_000.0, &mut node);
                    settled(&mut world, &mut node)
                })
                .collect();
            let worst = worst(of_seeds.iter().copied());
            println!("TTL {ttl:2}, {name:33} swing {:.3}, peak {:.3}", worst.swing, worst.peak);
            // One cache may be 0.04 of the smallest region, and reports are off by 0.02.
            let is_calm = worst.swing < 0.05;
            assert!(is_calm && worst.peak <= 0.95, "TTL {ttl}, {name}: {of_seeds:?}");
        }
    }
}

#[test]
fn whoever_chases_the_least_loaded_swings_for_ever() {
    for ttl in [30, 60] {
        let worlds = |steering: &mut dyn Steering| {
            let mut world = World::new(1, Caches::AsMeasured, &THREE, 800_000.0, steering);
            settled(&mut world, steering)
        };
        let random = Random::new(7);
        let least = worlds(&mut LeastLoaded { loads: vec![0.0; 3], ttl });
        let bang_bang = worlds(&mut BangBang { is_open: vec![true; 3], random, ttl });
        for (name, figures) in [("least loaded", least), ("bang-bang", bang_bang)] {
            println!("TTL {ttl:2}, {name:33} swing {:.3}, peak {:.3}", figures.swing, figures.peak);
            assert!(figures.swing > 0.5 && figures.peak > 1.0, "TTL {ttl}, {name}: {figures:?}");
        }
    }
}

/// The longest time that any region but the first was above 1.0 without a break, in seconds.
fn longest_overload(world: &mut World, steering: &mut dyn Steering, secs: u64) -> u64 {
    let mut lengths = vec![0_u64; world.regions.len()];
    let mut longest = 0;
    for _ in 0..secs {
        world.tick(steering);
        for (length, region) in lengths.iter_mut().zip(&world.regions).skip(1) {
            *length = if region.utilisation() > 1.0 { *length + 1 } else { 0 };
            longest = longest.max(*length);
        }
    }
    longest
}

/// Worlds in which a region is lost.
const LOSSES: u64 = 30;

/// How long the loss of the first of four regions overloads another, in each of these worlds.
fn overloads_after_a_loss(rule: &Rule<'_>, caches: Caches) -> Vec<u64> {
    let lengths = (0..LOSSES).map(|seed| {
        let mut node = Node::new(rule);
        let mut world = World::new(seed, caches, rule.capacities, 700_000.0, &mut node);
        // Not always at the same second of a step.
        run(&mut world, &mut node, HOUR / 3 + seed * 11 % (rule.ttl + PERIOD_SECS));
        world.regions[0].is_up = false;
        longest_overload(&mut world, &mut node, HOUR / 6)
    });
    lengths.collect()
}

/// Loses the first of regions of these capacities in thirty worlds of each kind; so many `exceptions` of
/// each may take longer than 2 × (TTL + report period).
#[expect(clippy::print_stdout, reason = "figures are what these tests are for")]
fn check_losses(capacities: &[f64], exceptions: u64) {
    for ttl in [30, 60] {
        let allowed = 2 * (ttl + PERIOD_SECS);
        for (name, policy) in [("sticky", STICKY), ("least-load", BY_LOAD)] {
            for caches in [Caches::Honest, Caches::AsMeasured] {
                let rule =
                    Rule { policy, ttl, weights: &[1; 4], capacities, has_limit: true, homes: &[] };
                let lengths = overloads_after_a_loss(&rule, caches);
                let (worst, longest) =
                    lengths.iter().enumerate().max_by_key(|(_, length)| **length).unwrap();
                let too_long = lengths.iter().filter(|length| **length > allowed).count();
                let too_long = u64::try_from(too_long).unwrap();
                println!(
                    "TTL {ttl}, {name:10}, caches {caches:?}: longest {longest} s of {allowed} s \
                     (seed {worst}), {too_long} of {} longer",
                    lengths.len()
                );
                assert!(too_long <= exceptions, "TTL {ttl}, {name}, {caches:?}: {lengths:?}");
            }
        }
    }
}

#[test]
fn the_loss_of_the_largest_region_overloads_no_other_for_long() {
    // What is left can carry 740 of 700, so that it is at 0.946 when all is well.
    check_losses(&[260_000.0, 255_000.0, 245_000.0, 240_000.0], 0);
}

/// What is left can carry 720 of 700: 0.972 of it is in use when all is well. One cache of a hundredth of all
/// demand is as much as a region has to spare, and reports are off by as much: a region that is at 1.001
/// may not know for minutes. What can be had is that it is rare, while shares that are right without
/// knowing the caches overload some region for ever in most worlds.
#[test]
fn the_loss_of_a_region_that_hardly_fits_rarely_overloads_another_for_long() {
    let capacities = [280_000.0, 260_000.0, 240_000.0, 220_000.0];
    let for_ever = overloaded_by_right_shares(&capacities);
    println!("shares that are right: {for_ever} of {LOSSES} worlds overloaded for ever");
    assert!(for_ever > LOSSES / 2, "the control: {for_ever}");
    check_losses(&capacities, LOSSES / 6);
}

/// In how many worlds the loss of the first region overloads another for ever when nobody looks at any load
/// and weights are what regions can carry: what hashing makes of so few so different caches.
fn overloaded_by_right_shares(capacities: &[f64]) -> u64 {
    let weights: Vec<u32> = capacities.iter().map(|c| format!("{c}").parse().unwrap()).collect();
    let rule = Rule {
        policy: STICKY,
        ttl: 30,
        weights: &weights,
        capacities: &[],
        has_limit: true,
        homes: &[],
    };
    let is_overloaded = |seed: &u64| {
        let mut node = Node::new(&rule);
        let mut world = World::new(*seed, Caches::Honest, capacities, 700_000.0, &mut node);
        world.regions[0].is_up = false;
        // Long enough for the last client to have left.
        run(&mut world, &mut node, 180);
        run(&mut world, &mut node, 1).peak > 1.0
    };
    (0..LOSSES).filter(is_overloaded).count().try_into().unwrap()
}

#[test]
fn a_region_that_fails_fast_loses_its_share() {
    let capacities = [400_000.0; 3];
    for ttl in [30, 60] {
        for (name, policy) in [("sticky", STICKY), ("least-load", BY_LOAD)] {
            let rule = Rule {
                policy,
                ttl,
                weights: &[1; 3],
                capacities: &capacities,
                has_limit: true,
                homes: &[],
            };
            let mut node = Node::new(&rule);
            let mut world = World::new(1, Caches::AsMeasured, &capacities, 600_000.0, &mut node);
            run(&mut world, &mut node, HOUR);
            let before = world.regions[0].load;
            world.regions[0].is_broken = true;
            run(&mut world, &mut node, 900);
            let after = world.regions[0].load;
            world.regions[0].is_broken = false;
            run(&mut world, &mut node, 2 * HOUR);
            let in_the_end = world.regions[0].load;
            let percent = |load: f64| load / before * 100.0;
            println!(
                "TTL {ttl}, {name}: {:.0} % of its share after 15 minutes of errors, {:.0} % in the end",
                percent(after),
                percent(in_the_end)
            );
            assert!(after < before * 0.2, "TTL {ttl}, {name}: {before} {after}");
            assert!(in_the_end > before * 0.85, "TTL {ttl}, {name}: {before} {in_the_end}");
        }
    }
}

#[test]
fn reports_that_stop_move_nobody() {
    for ttl in [30, 60] {
        let rule = Rule {
            policy: STICKY,
            ttl,
            weights: &[1; 3],
            capacities: &THREE,
            has_limit: true,
            homes: &[],
        };
        let mut node = Node::new(&rule);
        let mut world = World::new(1, Caches::AsMeasured, &THREE, 800_000.0, &mut node);
        run(&mut world, &mut node, HOUR);
        world.regions.iter_mut().for_each(|region| region.is_reporting = false);
        let frozen = run(&mut world, &mut node, 60);
        println!("TTL {ttl}: swing {:.3} in a minute without reports", frozen.swing);
        assert!(frozen.swing < 0.02, "TTL {ttl}: {frozen:?}");
        run(&mut world, &mut node, 600);
        let weights = node.weights().unwrap();
        assert!(weights.iter().all(|weight| *weight == weights[0]), "the static ones, in the end");
        world.regions.iter_mut().for_each(|region| region.is_reporting = true);
        let back = settled(&mut world, &mut node);
        assert!(back.swing < 0.05 && back.peak <= 0.95, "TTL {ttl}: {back:?}");
    }
}

// ---- Capacity under policies that have an order ----

/// `failover`, and clauses by which the clients of each region prefer it: those of 10.0.0.0/8 the first.
fn by_home(regions: usize) -> String {
    let mut clauses = Vec::new();
    for n in 0..regions {
        let order: Vec<String> =
            (0..regions).map(|m| format!("'r{}'", (n + m) % regions)).collect();
        let (net, order) = (10 + n, order.join(", "));
        clauses.push(format!("{{ subnet = ['{net}.0.0.0/8'], pools = [{order}] }}"));
    }
    format!("policy = 'failover'\nwhere = [{}]", clauses.join(", "))
}

#[test]
fn what_a_full_region_sends_on_settles() {
    let policy = by_home(3);
    for ttl in [30, 60] {
        // Six of ten clients are in the region that carries half.
        let (policy, capacities, homes) = (&*policy, &THREE[..], &[60, 25, 15][..]);
        let rule = Rule { policy, ttl, weights: &[1; 3], capacities, has_limit: true, homes };
        for caches in [Caches::Honest, Caches::AsMeasured] {
            let all: Vec<Figures> = SEEDS
                .map(|seed| {
                    let mut node = Node::new(&rule);
                    let mut world = World::new(seed, caches, &THREE, 800_000.0, &mut node);
                    settled(&mut world, &mut node)
                })
                .collect();
            // One resolver with very many users is several caches of one hundredth of all demand, so that in
            // one world of twelve a single network on its way is more than the bar.
            let still = all.iter().filter(|figures| figures.swing < 0.05).count();
            let worst = worst(all.into_iter());
            println!(
                "TTL {ttl}, caches {caches:?}: swing {:.3}, peak {:.3}; {still} of 12 below 0.05",
                worst.swing, worst.peak
            );
            let is_calm = still >= 11 && worst.swing < 0.1;
            assert!(worst.peak <= 0.95 && is_calm, "TTL {ttl}, {caches:?}: {worst:?}, {still}");
        }
    }
}

#[test]
fn what_a_lost_region_leaves_is_carried_by_the_others_soon() {
    let capacities = [260_000.0, 255_000.0, 245_000.0, 240_000.0];
    let policy = by_home(4);
    for ttl in [30, 60] {
        let allowed = 2 * (ttl + PERIOD_SECS);
        let (policy, capacities, homes) = (&*policy, &capacities[..], &[40, 20, 20, 20][..]);
        let rule = Rule { policy, ttl, weights: &[1; 4], capacities, has_limit: true, homes };
        let lengths: Vec<u64> = SEEDS
            .map(|seed| {
                let mut node = Node::new(&rule);
                let mut world = World::new(seed, Caches::Honest, capacities, 600_000.0, &mut node);
                run(&mut world, &mut node, HOUR);
                world.regions[0].is_up = false;
                longest_overload(&mut world, &mut node, HOUR)
            })
            .collect();
        println!("TTL {ttl}: {lengths:?} of {allowed} s");
        assert!(lengths.iter().all(|length| *length <= allowed), "TTL {ttl}: {lengths:?}");
    }
}
