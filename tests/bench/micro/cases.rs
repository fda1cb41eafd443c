//! What is measured, one iteration of each.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use windrose::config;
use windrose::dns::{Arrival, Buckets, Dice, Kind, Read};
use windrose::geo::{Atlas, ClassId, ClassMap};
use windrose::model::{Limits, Prefix, Report, Target, TargetHealth, Time, Verdict};
use windrose::snapshot::gate::Gate;
use windrose::snapshot::{Blueprint, Conditions, Snapshot};
use windrose::steer::flow::{Demand, Problem, spill};

use crate::chance::Chance;
use crate::world::{self, Files, Packets, Rules};

/// A case of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What is run, for so many names in the static zone.
    pub(crate) bench: fn(usize) -> Bench,
    /// Iterations that callgrind counts; 0 for what takes it too long to set up.
    pub(crate) counted: u64,
}

/// All of them.
pub(crate) const CASES: [Case; 17] = [
    one_by_one("static", |names| answers(world::there(names), names, Kind::Static)),
    one_by_one("no data", |names| answers(world::without_data(names), names, Kind::NoData)),
    one_by_one("no such name", |names| answers(world::missing(names), names, Kind::NxDomain)),
    one_by_one("alias", |names| answers(world::aliases(names), names, Kind::Static)),
    one_by_one("steered: nearest, weighted", |_| answers(world::weighted(), 0, Kind::Steered)),
    one_by_one("steered: nearest, sticky", |_| answers(world::sticky(), 0, Kind::Steered)),
    one_by_one("static, rate-limited", limited),
    one_by_one("static, of a batch of 32", |names| batches(world::there(names), names)),
    one_by_one("steered, of a batch of 32", |_| batches(world::weighted(), 0)),
    Case { name: "class of a client", bench: |_| find_class(), counted: 20_000 },
    Case { name: "compile a static name", bench: |_| compile_names(), counted: 20_000 },
    Case { name: "compile a class map", bench: |_| compile_classes(), counted: 2 },
    Case {
        name: "recompile after a region's flip",
        bench: |_| flip(world::snapshot(0), |_| true),
        counted: 20,
    },
    Case {
        name: "the same, 10,000 rules that share pools",
        bench: |_| flip(world::snapshot_of_rules(10_000, Rules::SharingPools), |_| true),
        counted: 2,
    },
    Case {
        name: "the same, 10,000 rules of own pools",
        bench: |_| flip(world::snapshot_of_rules(10_000, Rules::WithOwnPools), |_| true),
        counted: 0,
    },
    Case {
        name: "one endpoint's flip, 10,000 rules of own pools",
        bench: |_| {
            flip(world::snapshot_of_rules(10_000, Rules::WithOwnPools), world::is_of_first_name)
        },
        counted: 0,
    },
    Case { name: "spill of 900 classes, 12 pools", bench: |_| spill_classes(), counted: 2 },
];

const fn one_by_one(name: &'static str, bench: fn(usize) -> Bench) -> Case {
    Case { name, bench, counted: 20_000 }
}

/// Something to be run again and again.
pub(crate) struct Bench(Box<dyn FnMut(u64)>);

impl Bench {
    /// Runs so many iterations.
    pub(crate) fn run(&mut self, iterations: u64) {
        (self.0)(iterations);
    }

    fn each(mut once: impl FnMut() + 'static) -> Self {
        Self(Box::new(move |iterations| (0..iterations).for_each(|_| once())))
    }
}

/// Packets of a batch, as the UDP threads have them.
const BATCH: usize = 32;
const ROOM: usize = 1232;

fn arrival() -> Arrival {
    Arrival { client: Ipv4Addr::new(192, 0, 2, 53).into(), is_udp: true, unix_secs: 1_700_000_000 }
}

/// One packet read and answered.
fn answers(packets: Packets, names: usize, kind: Kind) -> Bench {
    let snapshot = world::snapshot(names);
    let mut dice = Dice::new(7);
    let mut out = vec![0; ROOM];
    let mut next = 0;
    Bench::each(move || {
        let packet = packets.at(next);
        next += 1;
        let outcome = Read::new(&snapshot, packet).answer(arrival(), &mut dice, &mut out);
        assert!(outcome.kind == kind, "{outcome:?}");
    })
}

/// The same from one client after the other of many, none of which asks too much.
fn limited(names: usize) -> Bench {
    let limits = Limits { answers_per_sec: 1000, ..Limits::default() };
    let snapshot = world::snapshot(names).with_gate(Gate { limits, ..Gate::default() });
    let (packets, buckets) = (world::there(names), Buckets::new(7));
    let mut dice = Dice::new(7);
    let mut out = vec![0; ROOM];
    let mut next = 0;
    Bench::each(move || {
        let number = u32::try_from(next).unwrap_or(0);
        let client = Ipv4Addr::from(0x0a00_0001 | (number & 0x3fff) << 8).into();
        let arrival = Arrival { client, unix_secs: number >> 12, ..arrival() };
        let read = Read::new(&snapshot, packets.at(next));
        next += 1;
        let answered = read.answer(arrival, &mut dice, &mut out);
        let outcome = read.limit(answered, &buckets, arrival, &mut dice, &mut out);
        assert!(outcome.kind == Kind::Static, "{outcome:?}");
    })
}

/// One packet of a batch that is read, fetched and answered together.
fn batches(packets: Packets, names: usize) -> Bench {
    let snapshot = world::snapshot(names);
    let mut dice = Dice::new(7);
    let mut out = vec![0; ROOM];
    let mut next = 0;
    Bench(Box::new(move |iterations| {
        for _ in 0..iterations.div_ceil(BATCH as u64) {
            let mut reads: [Read<'_>; BATCH] =
                std::array::from_fn(|n| Read::new(&snapshot, packets.at(next + n)));
            next += BATCH;
            reads.iter().for_each(Read::fetch_slot);
            reads.iter_mut().for_each(Read::fetch_record);
            if snapshot.has_classes() {
                reads.iter().for_each(|read| read.fetch_class(arrival().client));
            }
            for read in &reads {
                black_box(read.answer(arrival(), &mut dice, &mut out));
            }
        }
    }))
}

fn find_class() -> Bench {
    let map = class_map(&world::atlas());
    let mut chance = Chance(11);
    let clients: Vec<Prefix> = (0..4096)
        .map(|_| Prefix::new(IpAddr::from(Ipv4Addr::from(chance.next_u32())), 24))
        .collect();
    let mut next = 0;
    Bench::each(move || {
        black_box(map.find(clients[next % clients.len()]));
        next += 1;
    })
}

/// Every country a class of its own.
fn class_map(atlas: &Atlas) -> ClassMap {
    let mut seen = Vec::new();
    let mut classify = |place: &windrose::geo::Place<'_>| {
        let country = place.location.country;
        let known = seen.iter().position(|known| *known == country);
        let number = known.unwrap_or_else(|| {
            seen.push(country);
            seen.len() - 1
        });
        ClassId(u16::try_from(number).expect("fewer countries than that"))
    };
    ClassMap::compile(atlas, &[], &[], &mut classify).expect("few classes")
}

fn compile_classes() -> Bench {
    let atlas = world::atlas();
    Bench::each(move || {
        black_box(class_map(&atlas));
    })
}

/// From the text of a master file to the snapshot, by the name.
fn compile_names() -> Bench {
    const NAMES: usize = 1000;
    let files = Files::of_static(NAMES);
    let atlas = Arc::new(Atlas::empty());
    Bench(Box::new(move |iterations| {
        for _ in 0..iterations.div_ceil(NAMES as u64) {
            let zones = config::read_zones(&mut Report::new(), &files);
            let blueprint = Blueprint { zones, atlas: Arc::clone(&atlas) };
            let all_up = Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED);
            let compiled = Snapshot::compile(blueprint, 1, &all_up);
            black_box(compiled).expect("a small zone");
        }
    }))
}

/// Four fifths of what twelve pools carry, asked for by classes of very different size.
fn spill_classes() -> Bench {
    const POOLS: usize = 12;
    let mut chance = Chance(13);
    let mut below = move |end: u32| chance.next_u32() % end;
    let classes: Vec<Demand> = (0..900)
        .map(|_| Demand {
            amount: 100_000_000 / (1 + u64::from(below(10_000))),
            costs: (0..POOLS).map(|_| Some(below(200))).collect(),
        })
        .collect();
    let total: u64 = classes.iter().map(|class| class.amount).sum();
    let capacities = [total * 5 / 4 / POOLS as u64; POOLS];
    Bench::each(move || {
        let problem =
            Problem { capacities: &capacities, classes: &classes, before: &[], inertia: 1 };
        assert!(!black_box(spill(&problem)).is_overloaded);
    })
}

/// Those endpoints of a region that `is_meant` go down and come back, by turns.
fn flip(mut snapshot: Snapshot, is_meant: fn(&Target) -> bool) -> Bench {
    let down = TargetHealth {
        verdict: Verdict::Down,
        since: Time::ZERO,
        next_change: Duration::from_secs(30),
        agreed_by: 1,
        is_answering: false,
    };
    let mut is_down = false;
    Bench::each(move || {
        is_down = !is_down;
        let health = |target: &Target| {
            if is_down && world::is_in_first_region(target) && is_meant(target) {
                down
            } else {
                TargetHealth::UNCHECKED
            }
        };
        let conditions = Conditions::new(Time::ZERO, &health);
        snapshot = snapshot.next(&conditions).expect("the rules look at that region");
    })
}
