//! A world in small: users behind resolvers, caches that obey a TTL or do not, regions that can carry so
//! much, reports that come late, and whoever steers.
//!
//! Demand of resolvers is Pareto distributed with exponent 1.3: some ask for very many users. Those with
//! more than a hundredth of all demand send client subnets, and so are several caches of a hundredth at
//! most: an elephant that cannot be cut fits nowhere, whoever steers. Of the caches, 91.26 % are honest;
//! 6.74 % stretch a TTL two- to fivefold and 2 % hold an answer for a quarter of an hour (PAM 2023; Flavel,
//! LANMAN 2014). Everything is drawn from one seed.

use std::time::Duration;

use windrose::model::feed::{Load, Utilisation};

/// The time between two reports of a region, in seconds.
pub(super) const PERIOD_SECS: u64 = 10;
/// What is measured is wrong by so much, this way or that.
const NOISE: f64 = 0.02;

/// SplitMix64.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// In (0, 1).
    pub(super) fn fraction(&mut self) -> f64 {
        fraction(self.next())
    }

    /// In 0..`end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn fraction(random: u64) -> f64 {
    (f64::from(u32::try_from(random >> 32).unwrap()) + 0.5) / 2_f64.powi(32)
}

/// The index that weighted rendezvous hashing gives `key`: as `sticky` chooses.
pub(super) fn rendezvous(key: u64, weights: &[u32]) -> usize {
    let score = |(n, weight): (usize, &u32)| {
        let seed = mix(u64::try_from(n + 1).unwrap());
        let cost = -fraction(mix(key ^ seed)).ln() / f64::from(*weight);
        (cost, n)
    };
    let scores = weights.iter().enumerate().filter(|(_, weight)| **weight > 0).map(score);
    scores.min_by(|a, b| a.0.total_cmp(&b.0)).expect("somebody has a weight").1
}

/// What is asked for through each cache.
fn demands(random: &mut Random, total: f64) -> Vec<f64> {
    const RESOLVERS: usize = 3000;
    let pareto: Vec<f64> = (0..RESOLVERS).map(|_| random.fraction().powf(-1.0 / 1.3)).collect();
    let sum: f64 = pareto.iter().sum();
    let mut demands = Vec::new();
    for demand in pareto {
        let (mut left, most) = (demand / sum * total, total / 100.0);
        while left > most {
            demands.push(most);
            left -= most;
        }
        demands.push(left);
    }
    demands
}

/// A cache of a resolver: all of it, or that of one client subnet.
struct Resolver {
    key: u64,
    /// Load that its users make.
    demand: f64,
    /// How long it keeps an answer whose TTL is this long.
    hold: Hold,
    region: usize,
    expires: u64,
}

/// Who keeps to a TTL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caches {
    /// All caches.
    Honest,
    /// As many as in the world outside.
    AsMeasured,
}

#[derive(Clone, Copy)]
enum Hold {
    Honest,
    Stretched(u64),
    Secs(u64),
}

impl Hold {
    fn drawn(random: &mut Random, caches: Caches) -> Self {
        match random.below(10_000) {
            _ if caches == Caches::Honest => Self::Honest,
            0..200 => Self::Secs(900),
            200..874 => Self::Stretched(2 + random.below(4)),
            _ => Self::Honest,
        }
    }

    fn secs(self, ttl: u64) -> u64 {
        match self {
            Self::Honest => ttl,
            Self::Stretched(times) => ttl * times,
            Self::Secs(secs) => secs.max(ttl),
        }
    }
}

/// A region.
#[derive(Clone, Debug)]
pub(super) struct Region {
    /// Load that it can carry.
    pub(super) capacity: f64,
    /// Whether it serves, and is known to.
    pub(super) is_up: bool,
    /// Whether it answers everything at once with an error.
    pub(super) is_broken: bool,
    /// Whether it still reports.
    pub(super) is_reporting: bool,
    /// Load that it has now.
    pub(super) load: f64,
    report: Option<(u64, Load)>,
}

impl Region {
    pub(super) fn utilisation(&self) -> f64 {
        self.load / self.capacity
    }
}

/// Whoever decides where a resolver that asks is sent.
pub(super) trait Steering {
    /// Called every second, before anybody asks.
    fn look(&mut self, now: u64, regions: &[Region], loads: &[Option<Load>]);
    /// The region for the resolver `key` that asks now.
    fn choose(&mut self, key: u64) -> usize;
}

/// Everything there is.
pub(super) struct World {
    pub(super) regions: Vec<Region>,
    pub(super) now: u64,
    ttl: u64,
    resolvers: Vec<Resolver>,
    random: Random,
}

impl World {
    /// A world in which demand is `total`, and everybody's first answer comes from `steering`.
    pub(super) fn new(
        seed: u64,
        caches: Caches,
        ttl: u64,
        capacities: &[f64],
        total: f64,
        steering: &mut dyn Steering,
    ) -> Self {
        let mut random = Random::new(seed);
        let resolvers = demands(&mut random, total).into_iter().map(|demand| Resolver {
            key: random.next(),
            demand,
            hold: Hold::drawn(&mut random, caches),
            region: 0,
            expires: 0,
        });
        let resolvers = resolvers.collect();
        let region = |capacity: &f64| Region {
            capacity: *capacity,
            is_up: true,
            is_broken: false,
            is_reporting: true,
            load: 0.0,
            report: None,
        };
        let regions = capacities.iter().map(region).collect();
        // Not at zero: moments before the start are to have a time, too.
        let mut world = Self { regions, now: 1_000_000, ttl, resolvers, random };
        let loads = world.loads();
        steering.look(world.now, &world.regions, &loads);
        for resolver in &mut world.resolvers {
            resolver.region = steering.choose(resolver.key);
            world.regions[resolver.region].load += resolver.demand;
            let hold = resolver.hold.secs(ttl);
            resolver.expires = world.now + world.random.below(hold) + 1;
        }
        world
    }

    /// One second: reports, decisions, questions of those whose answer is over.
    pub(super) fn tick(&mut self, steering: &mut dyn Steering) {
        self.now += 1;
        self.report();
        let loads = self.loads();
        steering.look(self.now, &self.regions, &loads);
        for resolver in &mut self.resolvers {
            if resolver.expires <= self.now {
                self.regions[resolver.region].load -= resolver.demand;
                resolver.region = steering.choose(resolver.key);
                self.regions[resolver.region].load += resolver.demand;
                resolver.expires = self.now + resolver.hold.secs(self.ttl);
            }
        }
    }

    /// Each region reports at its own second of the period.
    fn report(&mut self) {
        for (n, region) in self.regions.iter_mut().enumerate() {
            let phase = u64::try_from(n).unwrap() * 3 % PERIOD_SECS;
            let is_due = self.now % PERIOD_SECS == phase;
            if !is_due || !region.is_up || !region.is_reporting {
                continue;
            }
            let noise = 1.0 + NOISE * (2.0 * self.random.fraction() - 1.0);
            // Errors cost nothing: it looks idle.
            let seen = if region.is_broken { 0.05 } else { region.utilisation() * noise };
            let value = Utilisation::ratio(seen, 1.0).unwrap();
            let errors = Utilisation::from_millis(if region.is_broken { 50_000 } else { 0 });
            let is_high = value > Utilisation::ONE || errors > Utilisation::ZERO;
            let before = region.report.map_or(0, |(_, load)| load.highs);
            let highs = if is_high { before.saturating_add(1) } else { 0 };
            region.report = Some((self.now, Load { value, errors, age: Duration::ZERO, highs }));
        }
    }

    /// The last report of each region as it stands now.
    fn loads(&self) -> Vec<Option<Load>> {
        let aged =
            |(at, load): (u64, Load)| Load { age: Duration::from_secs(self.now - at), ..load };
        self.regions.iter().map(|region| region.report.map(aged)).collect()
    }
}
