//! The loop of answers, caches, load and reports, closed: what load-driven steering does over hours.
//!
//! Shown are the utilisations that regions reach; `cargo nextest run closed_loop --no-capture` prints them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod spilled;
mod world;

use std::time::Duration;

use windrose::model::feed::Load;
use windrose::steer::controller::{Aim, Controller, Item, Settings};

use self::spilled::Spilled;
use self::world::{Caches, PERIOD_SECS, Random, Region, Steering, World, rendezvous};

const SEEDS: std::ops::Range<u64> = 0..12;

// ---- Who steers ----

/// windrose: sticky choices by the controller's weights.
struct Controlled {
    controller: Controller,
    settings: Settings,
    static_weights: Vec<u32>,
    /// Whether the operator told the capacities.
    is_capacity_known: bool,
    weights: Vec<u32>,
}

impl Controlled {
    fn new(aim: Aim, ttl: u64, static_weights: &[u32], is_capacity_known: bool) -> Self {
        let period = Duration::from_secs(PERIOD_SECS);
        Self {
            controller: Controller::new(static_weights.len()),
            settings: Settings { aim, ttl: Duration::from_secs(ttl), period },
            static_weights: static_weights.to_vec(),
            is_capacity_known,
            weights: Vec::new(),
        }
    }
}

impl Steering for Controlled {
    fn look(&mut self, now: u64, regions: &[Region], loads: &[Option<Load>]) {
        let item = |((region, load), weight): ((&Region, &Option<Load>), &u32)| Item {
            weight: *weight,
            is_usable: region.is_up,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            capacity: self.is_capacity_known.then_some(region.capacity as u32),
            load: *load,
        };
        let items: Vec<Item> =
            regions.iter().zip(loads).zip(&self.static_weights).map(item).collect();
        self.controller.step(&self.settings, Duration::from_secs(now), &items);
        self.weights = self.controller.weights(&items);
        let dead = self.weights.iter_mut().zip(&items).filter(|(_, item)| !item.is_usable);
        dead.for_each(|(weight, _)| *weight = 0);
    }

    fn choose(&mut self, key: u64) -> usize {
        rendezvous(key, &self.weights)
    }
}

/// Everybody to the region that reported the least load.
#[derive(Default)]
struct LeastLoaded(usize);

impl Steering for LeastLoaded {
    fn look(&mut self, _now: u64, _regions: &[Region], loads: &[Option<Load>]) {
        let value = |n: &usize| loads[*n].map(|load| load.value);
        self.0 = (0..loads.len()).min_by_key(value).unwrap();
    }

    fn choose(&mut self, _key: u64) -> usize {
        self.0
    }
}

/// Regions above 0.9 get nobody until they are below 0.8.
struct BangBang {
    is_open: Vec<bool>,
    random: Random,
}

impl Steering for BangBang {
    fn look(&mut self, _now: u64, _regions: &[Region], loads: &[Option<Load>]) {
        for (is_open, load) in self.is_open.iter_mut().zip(loads) {
            let millis = load.map_or(0, |load| load.value.as_millis());
            *is_open = if *is_open { millis <= 900 } else { millis < 800 };
        }
    }

    fn choose(&mut self, _key: u64) -> usize {
        let open: Vec<usize> = (0..self.is_open.len()).filter(|n| self.is_open[*n]).collect();
        let index = usize::try_from(self.random.next() >> 1).unwrap();
        if open.is_empty() { index % self.is_open.len() } else { open[index % open.len()] }
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

#[test]
fn load_settles_whatever_is_strived_for() {
    for ttl in [30, 60] {
        for (name, aim, weights, is_capacity_known) in [
            ("below 0.85, capacities known", Aim::Below, [1, 1, 1], true),
            ("below 0.85, weights right", Aim::Below, [5, 3, 2], true),
            ("below 0.85, limits only", Aim::Below, [1, 1, 1], false),
            ("equal, capacities known", Aim::Equal, [1, 1, 1], true),
            ("equal", Aim::Equal, [1, 1, 1], false),
        ] {
            let worst = worst(SEEDS.map(|seed| {
                let mut steering = Controlled::new(aim, ttl, &weights, is_capacity_known);
                let mut world =
                    World::new(seed, Caches::AsMeasured, ttl, &THREE, 800_000.0, &mut steering);
                settled(&mut world, &mut steering)
            }));
            println!("TTL {ttl:2}, {name:30} swing {:.3}, peak {:.3}", worst.swing, worst.peak);
            assert!(worst.swing < 0.05 && worst.peak <= 0.95, "TTL {ttl}, {name}: {worst:?}");
        }
    }
}

#[test]
fn whoever_chases_the_least_loaded_swings_for_ever() {
    for ttl in [30, 60] {
        let worlds = |steering: &mut dyn Steering| {
            let mut world = World::new(1, Caches::AsMeasured, ttl, &THREE, 800_000.0, steering);
            settled(&mut world, steering)
        };
        let random = Random::new(7);
        let least = worlds(&mut LeastLoaded::default());
        let bang_bang = worlds(&mut BangBang { is_open: vec![true; 3], random });
        for (name, figures) in [("least loaded", least), ("bang-bang", bang_bang)] {
            println!("TTL {ttl:2}, {name:30} swing {:.3}, peak {:.3}", figures.swing, figures.peak);
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

/// How long the loss of the first of four regions overloads another, for each seed.
fn overloads_after_a_loss(ttl: u64, caches: Caches, capacities: &[f64]) -> Vec<u64> {
    let lengths = (0..30).map(|seed| {
        let mut steering = Controlled::new(Aim::Below, ttl, &[1, 1, 1, 1], true);
        let mut world = World::new(seed, caches, ttl, capacities, 700_000.0, &mut steering);
        run(&mut world, &mut steering, HOUR);
        world.regions[0].is_up = false;
        longest_overload(&mut world, &mut steering, HOUR)
    });
    lengths.collect()
}

#[test]
fn the_loss_of_the_largest_region_overloads_no_other_for_long() {
    // What is left can carry 740 of 700, so that it is at 0.946 when all is well.
    let capacities = [260_000.0, 255_000.0, 245_000.0, 240_000.0];
    for ttl in [30, 60] {
        let allowed = 2 * (ttl + PERIOD_SECS);
        // A hundredth of all users behind one cache that stretches the TTL fivefold cannot be helped: one
        // world of thirty has that where it matters.
        for (caches, exceptions) in [(Caches::Honest, 0), (Caches::AsMeasured, 1)] {
            let lengths = overloads_after_a_loss(ttl, caches, &capacities);
            let too_long = lengths.iter().filter(|length| **length > allowed).count();
            let longest = lengths.iter().max().unwrap();
            println!(
                "TTL {ttl}, caches {caches:?}: longest {longest} s of {allowed} s; {lengths:?}"
            );
            assert!(too_long <= exceptions, "TTL {ttl}, {caches:?}: {lengths:?} of {allowed} s");
            assert!(*longest <= allowed + ttl, "TTL {ttl}, {caches:?}: {lengths:?}");
        }
    }
}

#[test]
fn a_region_that_fails_fast_loses_its_share() {
    for ttl in [30, 60] {
        for (name, aim) in [("below 0.85", Aim::Below), ("equal", Aim::Equal)] {
            let mut steering = Controlled::new(aim, ttl, &[1, 1, 1], true);
            let mut world =
                World::new(1, Caches::AsMeasured, ttl, &[400_000.0; 3], 600_000.0, &mut steering);
            run(&mut world, &mut steering, HOUR);
            let before = world.regions[0].load;
            world.regions[0].is_broken = true;
            run(&mut world, &mut steering, 900);
            let after = world.regions[0].load;
            world.regions[0].is_broken = false;
            run(&mut world, &mut steering, 2 * HOUR);
            let in_the_end = world.regions[0].load;
            let percent = |load: f64| load / before * 100.0;
            println!(
                "TTL {ttl}, {name}: {:.0} % of its share after 15 minutes of errors, {:.0} % in the end",
                percent(after),
                percent(in_the_end)
            );
            assert!(after < before * 0.2, "{name}: {before} {after}");
            assert!(in_the_end > before * 0.85, "{name}: {before} {in_the_end}");
        }
    }
}

#[test]
fn reports_that_stop_move_nobody() {
    for ttl in [30, 60] {
        let mut steering = Controlled::new(Aim::Below, ttl, &[1, 1, 1], true);
        let mut world = World::new(1, Caches::AsMeasured, ttl, &THREE, 800_000.0, &mut steering);
        run(&mut world, &mut steering, HOUR);
        world.regions.iter_mut().for_each(|region| region.is_reporting = false);
        let frozen = run(&mut world, &mut steering, 60);
        println!("TTL {ttl}: swing {:.3} in a minute without reports", frozen.swing);
        assert!(frozen.swing < 0.02, "TTL {ttl}: {frozen:?}");
        run(&mut world, &mut steering, 600);
        assert_eq!(steering.weights, [1024; 3], "the static ones, in the end");
        world.regions.iter_mut().for_each(|region| region.is_reporting = true);
        let back = settled(&mut world, &mut steering);
        assert!(back.swing < 0.05 && back.peak <= 0.95, "TTL {ttl}: {back:?}");
    }
}

// ---- Capacity under ordered policies, through the whole of windrose ----

#[test]
fn what_a_full_region_sends_on_settles() {
    for ttl in [30, 60] {
        for caches in [Caches::Honest, Caches::AsMeasured] {
            let all: Vec<Figures> = SEEDS
                .map(|seed| {
                    // Six of ten clients are in the region that carries half.
                    let mut steering = Spilled::new(ttl, &THREE, &[60, 25, 15]);
                    let mut world = World::new(seed, caches, ttl, &THREE, 800_000.0, &mut steering);
                    settled(&mut world, &mut steering)
                })
                .collect();
            // One resolver with very many users is more than the dead band is wide, and once it is moved it
            // is a fifth of the smallest region.
            let still = all.iter().filter(|figures| figures.swing < 0.05).count();
            let worst = worst(all.into_iter());
            println!(
                "TTL {ttl}, caches {caches:?}: swing {:.3}, peak {:.3}; {still} of 12 below 0.05",
                worst.swing, worst.peak
            );
            assert!(worst.peak <= 0.95 && still >= 6, "TTL {ttl}, {caches:?}: {worst:?}, {still}");
        }
    }
}

#[test]
fn what_a_lost_region_leaves_is_carried_by_the_others_soon() {
    let capacities = [260_000.0, 255_000.0, 245_000.0, 240_000.0];
    for ttl in [30, 60] {
        let allowed = 2 * (ttl + PERIOD_SECS);
        let lengths: Vec<u64> = SEEDS
            .map(|seed| {
                let mut steering = Spilled::new(ttl, &capacities, &[40, 20, 20, 20]);
                let mut world =
                    World::new(seed, Caches::Honest, ttl, &capacities, 600_000.0, &mut steering);
                run(&mut world, &mut steering, HOUR);
                world.regions[0].is_up = false;
                longest_overload(&mut world, &mut steering, HOUR)
            })
            .collect();
        println!("TTL {ttl}: {lengths:?} of {allowed} s");
        assert!(lengths.iter().all(|length| *length <= allowed), "TTL {ttl}: {lengths:?}");
    }
}
