//! A world in small: users behind resolvers, caches that obey a TTL or do not, regions that can carry so
//! much, reports that come late, and whoever steers.
//!
//! Demand of resolvers is Pareto distributed with exponent 1.3: some ask for very many users. Those with
//! more than a hundredth of all demand send client subnets, and so are several caches of a hundredth at
//! most: an elephant that cannot be cut fits nowhere, whoever steers. Of the caches, 91.26 % are honest;
//! 6.74 % stretch a TTL two- to fivefold and 2 % hold an answer for a quarter of an hour (PAM 2023; Flavel,
//! LANMAN 2014). Everything is drawn from one seed.

use std::net::Ipv4Addr;

use crate::random::Random;

/// The time between two reports of a region, in seconds.
pub(super) const PERIOD_SECS: u64 = 10;
/// What is measured is wrong by so much, this way or that.
const NOISE: f64 = 0.02;
/// Nobody keeps an answer longer, in seconds.
const HOLD_SECS_MAX: usize = 900;

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
struct Cache {
    /// In a network of its own.
    client: Ipv4Addr,
    /// Load that its users make.
    demand: f64,
    hold: Hold,
    region: usize,
}

/// Who keeps to a TTL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caches {
    /// All caches.
    Honest,
    /// As many as in the world outside.
    AsMeasured,
}

/// How long a cache keeps an answer.
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
    /// Whether it serves.
    pub(super) is_up: bool,
    /// Whether it answers everything at once with an error. Probes do not see that.
    pub(super) is_broken: bool,
    /// Whether it still reports.
    pub(super) is_reporting: bool,
    /// Load that it has now.
    pub(super) load: f64,
    probed_at: u64,
}

impl Region {
    pub(super) fn utilisation(&self) -> f64 {
        self.load / self.capacity
    }
}

/// What a region reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// In parts of its capacity.
    pub(super) load: f64,
    /// The share of its answers that are errors.
    pub(super) errors: f64,
}

/// Where a cache is sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Answer {
    pub(super) region: usize,
    /// In seconds.
    pub(super) ttl: u64,
}

/// Whoever decides where a cache that asks is sent.
pub(super) trait Steering {
    /// Sees whether a region answers, and says after how many seconds to look again.
    fn probe(&mut self, now: u64, region: usize, is_up: bool) -> u64;
    /// Hears what a region reports.
    fn hear(&mut self, now: u64, region: usize, told: Told);
    /// Called every second, before anybody asks.
    fn look(&mut self, now: u64);
    /// The answer for the cache of this number, which asks now from this address.
    fn answer(&mut self, cache: usize, client: Ipv4Addr) -> Answer;
}

/// Everything there is.
pub(super) struct World {
    pub(super) regions: Vec<Region>,
    now: u64,
    caches: Vec<Cache>,
    /// Whose answer is over at a second, modulo its length.
    expiring: Vec<Vec<usize>>,
    random: Random,
}

impl World {
    /// A world in which demand is `total`, and everybody's first answer comes from `steering`.
    pub(super) fn new(
        seed: u64,
        caches: Caches,
        capacities: &[f64],
        total: f64,
        steering: &mut dyn Steering,
    ) -> Self {
        let mut random = Random::new(seed);
        let caches = demands(&mut random, total).into_iter().map(|demand| Cache {
            // The network is what tells clients apart.
            client: Ipv4Addr::from(u32::try_from(random.below(1 << 24)).unwrap() << 8 | 53),
            demand,
            hold: Hold::drawn(&mut random, caches),
            region: 0,
        });
        let caches: Vec<Cache> = caches.collect();
        let region = |capacity: &f64| Region {
            capacity: *capacity,
            is_up: true,
            is_broken: false,
            is_reporting: true,
            load: 0.0,
            probed_at: 0,
        };
        let regions = capacities.iter().map(region).collect();
        let expiring = vec![Vec::new(); HOLD_SECS_MAX + 1];
        let mut world = Self { regions, now: 1, caches, expiring, random };
        world.probe(steering);
        steering.look(world.now);
        for n in 0..world.caches.len() {
            let hold = world.ask(n, steering);
            let until = world.now + world.random.below(hold) + 1;
            world.expire(n, until);
        }
        world
    }

    /// One second: probes, reports, decisions, questions of those whose answer is over.
    pub(super) fn tick(&mut self, steering: &mut dyn Steering) {
        self.now += 1;
        self.probe(steering);
        self.report(steering);
        steering.look(self.now);
        let slot = self.slot(self.now);
        for n in std::mem::take(&mut self.expiring[slot]) {
            let Cache { region, demand, .. } = self.caches[n];
            self.regions[region].load -= demand;
            let hold = self.ask(n, steering);
            self.expire(n, self.now + hold);
        }
    }

    /// Has a cache ask and its users follow; returns for how many seconds it keeps the answer.
    fn ask(&mut self, n: usize, steering: &mut dyn Steering) -> u64 {
        let cache = &mut self.caches[n];
        let answer = steering.answer(n, cache.client);
        cache.region = answer.region;
        self.regions[cache.region].load += cache.demand;
        cache.hold.secs(answer.ttl)
    }

    fn expire(&mut self, n: usize, at: u64) {
        let slot = self.slot(at);
        self.expiring[slot].push(n);
    }

    fn slot(&self, at: u64) -> usize {
        usize::try_from(at).unwrap() % self.expiring.len()
    }

    fn probe(&mut self, steering: &mut dyn Steering) {
        for (n, region) in self.regions.iter_mut().enumerate() {
            if region.probed_at <= self.now {
                region.probed_at = self.now + steering.probe(self.now, n, region.is_up);
            }
        }
    }

    /// Each region reports at its own second of the period.
    fn report(&mut self, steering: &mut dyn Steering) {
        for (n, region) in self.regions.iter().enumerate() {
            let phase = u64::try_from(n).unwrap() * 3 % PERIOD_SECS;
            let is_due = self.now % PERIOD_SECS == phase;
            if !is_due || !region.is_up || !region.is_reporting {
                continue;
            }
            let noise = 1.0 + NOISE * (2.0 * self.random.fraction() - 1.0);
            // Errors cost nothing: it looks idle.
            let told = match region.is_broken {
                true => Told { load: 0.05, errors: 0.5 },
                false => Told { load: region.utilisation() * noise, errors: 0.0 },
            };
            steering.hear(self.now, n, told);
        }
    }
}
