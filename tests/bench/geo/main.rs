//! A database of the largest vendors' size: `cargo run --release --example geo`.
//!
//! ```text
//! --networks N    of the database that is made (4,000,000)
//! --seed N        what it is made from (1)
//! --read FILE     measure this one instead
//! --write FILE    write the database that was made, and measure nothing
//! --rules N       different rules over the same regions (1)
//! ```
//! Opens the database, compiles it and a zone of rules over 25 regions, and tells how much processor time each
//! step takes, how much memory stays, and what a look-up costs: with random clients, with each look-up waiting
//! for the one before, and after other data has gone through all caches.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../chance.rs"]
mod chance;
mod database;
mod meter;
mod zone;

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use windrose::geo::distance::Ranking;
use windrose::geo::{Atlas, ClassId, ClassMap, Database};
use windrose::memory::prefer_huge_pages;
use windrose::model::{Prefix, TargetHealth, Time};
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

use crate::chance::Chance;
use crate::database::Made;

/// Clients whose classes are looked up.
const CLIENTS: usize = 1 << 20;
/// Rounds of each measurement of look-ups; the median is told.
const ROUNDS: usize = 7;
/// What goes through the caches before cold look-ups: twice as much as they hold.
const EVICTION: usize = 64 << 20;
/// Look-ups between two evictions.
const COLD: usize = 64;

type Failure = Box<dyn std::error::Error>;

struct Options {
    networks: usize,
    seed: u64,
    rules: usize,
    read: Option<String>,
    write: Option<String>,
}

impl Options {
    fn read() -> Option<Self> {
        let mut options = Self { networks: 4_000_000, seed: 1, rules: 1, read: None, write: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word.as_str() {
                "--networks" => options.networks = value.parse().ok()?,
                "--seed" => options.seed = value.parse().ok()?,
                "--rules" => options.rules = value.parse().ok()?,
                "--read" => options.read = Some(value),
                "--write" => options.write = Some(value),
                _ => return None,
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        println!("[--networks N] [--seed N] [--rules N] [--read FILE] [--write FILE]");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let Made { file, networks } = match &options.read {
        Some(path) => Made { file: std::fs::read(path)?, networks: Vec::new() },
        None => database::make(options.networks, options.seed),
    };
    println!("{} networks, {} in the file", networks.len(), mib(file.len()));
    if let Some(path) = &options.write {
        return Ok(std::fs::write(path, file)?);
    }
    let clients = clients(&networks);
    drop(networks);
    measure(file, &clients, options.rules)
}

fn measure(file: Vec<u8>, clients: &[Prefix], rules: usize) -> Result<(), Failure> {
    // The file itself counts as long as it is kept.
    let before = meter::in_use() - file.capacity();
    let mut step = Step::new(before);
    let database = Database::open("made.mmdb", file)?;
    step.done("open");
    let atlas = Arc::new(Atlas::build(vec![database])?);
    step.done("atlas");
    println!("    {} ranges", atlas.network_count());
    let map = class_map(&atlas);
    step.done("class map of the nearest three, alone");
    let (groups, leaves, starts, kinds) = map.tables();
    prefer_huge_pages(groups);
    prefer_huge_pages(leaves);
    prefer_huge_pages(starts);
    prefer_huge_pages(kinds);
    step.done("its tables in huge pages");
    println!("    {} stretches, {} classes", map.network_count(), map.classes().len());
    look_up("look-up", &map, clients);
    look_up("look-up, IPv4", &map, &of_family(clients, true));
    look_up("look-up, IPv6", &map, &of_family(clients, false));
    drop(map);
    step = Step::new(before);
    let blueprint = Blueprint { zones: zone::zones(rules), atlas };
    let all_up = Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED);
    let snapshot = Snapshot::compile(blueprint, 1, &all_up);
    step.done("snapshot of the rules");
    black_box(snapshot.map_err(|error| error.to_string())?);
    Ok(())
}

/// Tells of one step after the other.
struct Step {
    before: usize,
    start: Duration,
}

impl Step {
    fn new(before: usize) -> Self {
        meter::take_peak();
        Self { before, start: meter::processor_time() }
    }

    fn done(&mut self, what: &str) {
        let secs = (meter::processor_time() - self.start).as_secs_f64();
        let kept = meter::in_use() - self.before;
        let peak = meter::take_peak() - self.before;
        println!("{what:<40} {secs:>6.3} s, {} kept, {} at most", mib(kept), mib(peak));
        self.start = meter::processor_time();
    }
}

fn mib(octets: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = octets as f64 / f64::from(1 << 20);
    format!("{mib:>6.1} MiB")
}

/// Classes as rules have them: by the nearest three regions.
fn class_map(atlas: &Atlas) -> ClassMap {
    let ranking = Ranking::new(&zone::REGIONS.map(zone::coordinates));
    let mut known: HashMap<Vec<usize>, ClassId> = HashMap::new();
    let mut classify = |place: &windrose::geo::Place<'_>| {
        let mut nearest = place.location.coordinates.map_or_else(Vec::new, |at| ranking.order(at));
        nearest.truncate(3);
        let next = ClassId(u16::try_from(known.len()).expect("few classes"));
        *known.entry(nearest).or_insert(next)
    };
    ClassMap::compile(atlas, &[], &[], &mut classify).expect("few classes")
}

/// Clients of random networks of the database, or of anywhere.
fn clients(networks: &[Prefix]) -> Vec<Prefix> {
    let mut chance = Chance(11);
    let client = |_| {
        let host = match networks.get(chance.below(networks.len())) {
            None => IpAddr::from(chance.next_u32().to_be_bytes()),
            Some(network) => match network.address() {
                IpAddr::V4(v4) => {
                    let mask = u32::MAX.checked_shr(network.len().into()).unwrap_or(0);
                    (u32::from(v4) | chance.next_u32() & mask).to_be_bytes().into()
                }
                IpAddr::V6(v6) => {
                    let random = u128::from(chance.next_u64()) << 64;
                    Ipv6Addr::from(u128::from(v6) | random & (u128::MAX >> network.len())).into()
                }
            },
        };
        Prefix::new(host, if host.is_ipv4() { 24 } else { 56 })
    };
    (0..CLIENTS).map(client).collect()
}

fn of_family(clients: &[Prefix], is_v4: bool) -> Vec<Prefix> {
    clients.iter().copied().filter(|client| client.address().is_ipv4() == is_v4).collect()
}

/// Tells what a look-up costs.
fn look_up(what: &str, map: &ClassMap, clients: &[Prefix]) {
    if clients.is_empty() {
        return;
    }
    let free = median(|| {
        nanos_each(clients.len(), || clients.iter().map(|&client| class_of(map, client)).sum())
    });
    let waiting =
        median(|| nanos_each(clients.len(), || one_by_one(map, clients, 0..clients.len())));
    let mut other = vec![1_u8; EVICTION];
    let mut from = 0;
    let cold = median(|| {
        let nanos = (0..ROUNDS).map(|_| {
            for line in other.chunks_mut(64) {
                line[0] = line[0].wrapping_mul(3);
            }
            from = (from + COLD) % (clients.len() - COLD);
            nanos_each(COLD, || one_by_one(map, clients, from..from + COLD))
        });
        #[expect(clippy::cast_precision_loss, reason = "few rounds")]
        let mean = nanos.sum::<f64>() / ROUNDS as f64;
        mean
    });
    println!("{what:<40} {free:>6.1} ns, waiting {waiting:.1} ns, caches emptied {cold:.1} ns");
}

fn class_of(map: &ClassMap, client: Prefix) -> usize {
    usize::from(map.find(client).class.0)
}

/// Looks clients up, each after the one before is known.
fn one_by_one(map: &ClassMap, clients: &[Prefix], range: std::ops::Range<usize>) -> usize {
    // No class is as large as the number, so nothing is added; but that is not known beforehand.
    range.fold(0, |class, n| class_of(map, clients[(n + (class >> 16)) % clients.len()]))
}

fn nanos_each(count: usize, run: impl FnOnce() -> usize) -> f64 {
    let start = meter::processor_time();
    black_box(run());
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    let nanos = (meter::processor_time() - start).as_nanos() as f64 / count as f64;
    nanos
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| measure()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
