//! A whole fleet in one thread, with everything going wrong that a seed can think of.
//!
//! Three nodes, five vantages and twenty endpoints: boards, trackers, votes, quorum, snapshots and `handle`
//! are the real ones; sockets, the broker, clocks and disks are made up and can be cut, lose, delay, repeat
//! and reorder what they carry, stand still, jump, and come back with less than they had. Time is virtual: ten
//! minutes take a part of a second, and the same seed is the same ten minutes.
//!
//! | always | |
//! |---|---|
//! | never empty | every name, for every place, on every node that runs, has an address |
//! | never dead for nothing | no answer names an endpoint that the node holds for down while another is not |
//! | one decides nothing | on a node that hears others no verdict turns down of what lived for 45 s and all but one could see |
//! | in the end | when all is mended the nodes agree with each other, octet for octet, and with the truth, but for what flapped |
//!
//! `SEEDS=10000 cargo nextest run simulation --no-capture` plays so many and prints the score: for how long
//! answers led to the dead, how often a verdict turned down of what was alive. The score of the first seeds is
//! a reviewed file: a change that makes it worse is seen. `SEED=n` plays one and tells what happened.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(clippy::print_stdout, reason = "figures for people")]

mod faults;
mod machine;
mod world;

use std::fmt::Write as _;
use std::time::Duration;

use self::faults::{Fault, Kind};
use self::world::{Outcome, World};

/// How long a seed plays, and how much of its end is quiet.
const LENGTH: Duration = Duration::from_secs(600);
const QUIET: Duration = Duration::from_secs(120);

/// How many seeds are to be played, and the first of them.
fn seeds(otherwise: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(otherwise),
    }
}

/// Plays a seed by itself.
fn play(seed: u64) -> Outcome {
    let faults = faults::of_seed(seed, LENGTH - QUIET);
    World::new(seed, faults).play(LENGTH)
}

/// Plays seeds on all processors; what came of each, in their order.
fn play_all<T: Send>(seeds: std::ops::Range<u64>, play: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let mut all: Vec<(u64, T)> = std::thread::scope(|scope| {
        let work = || {
            let take = || next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let own = std::iter::repeat_with(take).take_while(|seed| *seed < seeds.end);
            own.map(|seed| (seed, play(seed))).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable_by_key(|(seed, _)| *seed);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).or_else(|| sorted.last()).copied().unwrap_or_default()
}

#[test]
fn whatever_happens_nobody_is_answered_nothing_or_sent_away_for_nothing() {
    const SCORED: usize = 20;
    let seeds = seeds(30);
    let outcomes = play_all(seeds.clone(), play);
    let mut broken = Vec::new();
    for (seed, outcome) in seeds.clone().zip(&outcomes) {
        broken.extend(outcome.broken.iter().map(|what| format!("SEED={seed}: {what}")));
    }
    assert!(broken.is_empty(), "{} violations\n{}", broken.len(), broken.join("\n"));
    let mut bad: Vec<f64> = outcomes.iter().map(|outcome| outcome.bad_answer_secs).collect();
    bad.sort_by(f64::total_cmp);
    let needless: u32 = outcomes.iter().map(|outcome| outcome.needless).sum();
    println!(
        "{} seeds of {} min: 0 violations; bad-answer-seconds a seed: p50 {:.1}, p99 {:.1}; {needless} needless \
         verdicts; {} answers looked at",
        outcomes.len(),
        LENGTH.as_secs() / 60,
        percentile(&bad, 50),
        percentile(&bad, 99),
        outcomes.iter().map(|outcome| outcome.looked_at).sum::<u64>(),
    );
    if outcomes.len() >= SCORED && seeds.start == 0 {
        let mut score = String::new();
        for (seed, outcome) in outcomes[..SCORED].iter().enumerate() {
            let Outcome { bad_answer_secs, needless, turned, .. } = outcome;
            let _ = writeln!(
                score,
                "seed {seed:2}: {turned:3} verdicts turned, {needless} needless, {bad_answer_secs:6.1} s of bad answers"
            );
        }
        insta::assert_snapshot!(score);
    }
}

/// One vantage that is ill in one way, while endpoints are well, changes nothing.
#[test]
fn a_vantage_that_is_ill_changes_no_verdict() {
    let seeds = seeds(40);
    let outcomes = play_all(seeds.clone(), |seed| {
        let kinds = [Kind::Isolated, Kind::Stopped, Kind::Starved, Kind::Muted];
        let kind = kinds[usize::try_from(seed % 4).unwrap()];
        let from = Duration::from_secs(60 + seed % 10);
        let length = Duration::from_secs(20 + seed * 7 % 90);
        // Vantages come behind the nodes.
        let machine = world::NODES + usize::try_from(seed / 4 % 5).unwrap();
        let fault = Fault { kind, machine, from, until: from + length };
        World::new(seed, vec![fault]).play(Duration::from_secs(240))
    });
    let of_seed = |(seed, Outcome { turned, broken, .. }): (u64, &Outcome)| {
        (*turned > 0 || !broken.is_empty())
            .then(|| format!("SEED={seed}: {turned} turned, {broken:?}"))
    };
    let wrong: Vec<String> = seeds.clone().zip(&outcomes).filter_map(of_seed).collect();
    println!("{} ill vantages, of which {} changed verdicts", outcomes.len(), wrong.len());
    assert_eq!(wrong, Vec::<String>::new());
}

/// The broker is away for ten minutes, while endpoints die and come back. Afterwards all nodes agree soon.
#[test]
fn a_broker_that_is_away_for_long_costs_no_answer() {
    let mut slowest = Duration::ZERO;
    for outcome in play_all(seeds(10), |seed| {
        let (from, until) = (Duration::from_secs(100), Duration::from_secs(700));
        let away = Fault { kind: Kind::BrokerAway, machine: 0, from, until };
        let mut faults = vec![away];
        for n in 0..4 {
            let from = Duration::from_secs(130 + 110 * n + seed % 20);
            let machine = usize::try_from((seed + 7 * n) % 20).unwrap();
            faults.push(Fault {
                kind: Kind::Refusing,
                machine,
                from,
                until: from + Duration::from_secs(90),
            });
        }
        World::new(seed, faults).play(Duration::from_secs(900))
    }) {
        assert_eq!(outcome.broken, Vec::<String>::new());
        slowest = slowest.max(outcome.agreed_after.expect("the broker came back"));
    }
    println!("after the broker's return all nodes agree within {:.1} s", slowest.as_secs_f64());
    assert!(slowest <= Duration::from_secs(2), "they took {slowest:?}");
}
