//! What an answer costs without a socket.
//!
//! ```text
//! cargo bench                              nanoseconds of each case: least, median, most of some rounds
//! cargo bench -- --names 1000000           with so many names in the static zone
//! cargo bench -- --instructions            instructions of each case, beside those that are committed
//! cargo bench -- --instructions --write    the committed ones become these
//! ```
//!
//! Wall time depends on the machine and on what else it does; instructions do not, so they are what is
//! compared: more than 5 % above a committed figure ends with 1. They are counted by callgrind, as the
//! difference between a run of many iterations and one of few, so that the start does not count.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::disallowed_methods, reason = "it measures the time that passes")]

mod cases;
#[path = "../chance.rs"]
mod chance;
mod instructions;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use cases::{Bench, CASES};
use windrose::memory::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Names of the static zone unless told otherwise.
const NAMES: usize = 10_000;
/// How often each case is timed.
const ROUNDS: usize = 15;
/// How long a round is to take, in nanoseconds.
const ROUND_NANOS: f64 = 20_000_000.0;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    names: Option<usize>,
    /// Only cases that have this in their name.
    only: Option<String>,
    instructions: bool,
    write: bool,
    /// Run that one case so often and say nothing: how callgrind is asked to count.
    run: Option<(String, u64)>,
}

impl Options {
    fn read() -> Option<Self> {
        let mut options = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--names" => options.names = Some(words.next()?.parse().ok()?),
                "--instructions" => options.instructions = true,
                "--write" => options.write = true,
                "--run" => options.run = Some((words.next()?, words.next()?.parse().ok()?)),
                // What cargo adds.
                "--bench" => {}
                word if !word.starts_with('-') => options.only = Some(word.to_owned()),
                _ => return None,
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        println!("[CASE] [--names N] [--instructions [--write]]");
        return ExitCode::from(2);
    };
    if let Some((name, iterations)) = &options.run {
        let case = CASES.iter().find(|case| case.name == name).expect("a case of the table");
        (case.bench)(NAMES).run(*iterations);
        return ExitCode::SUCCESS;
    }
    let is_wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only));
    let wanted = CASES.iter().filter(|case| is_wanted(case.name));
    if options.instructions {
        return instructions::compare(wanted, options.write);
    }
    println!("{:<34} {:>9} {:>9} {:>9}  ns", "case", "least", "median", "most");
    for case in wanted {
        let [least, median, most] = time(&mut (case.bench)(options.names.unwrap_or(NAMES)));
        println!("{:<34} {least:>9.1} {median:>9.1} {most:>9.1}", case.name);
    }
    ExitCode::SUCCESS
}

/// Nanoseconds an iteration: the least, the median and the most of all rounds.
fn time(bench: &mut Bench) -> [f64; 3] {
    let mut once = |iterations: u64| {
        let start = Instant::now();
        bench.run(iterations);
        #[expect(clippy::cast_precision_loss, reason = "iterations and nanoseconds are below 2^52")]
        let nanos = start.elapsed().as_nanos() as f64 / iterations as f64;
        nanos
    };
    // The first rounds warm the caches and say how many iterations a round takes.
    let first = once(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 20 million")]
    let iterations = |nanos: f64| (ROUND_NANOS / nanos).max(1.0) as u64;
    let warm = once(iterations(first).min(100_000));
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| once(iterations(warm))).collect();
    rounds.sort_by(f64::total_cmp);
    [rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]]
}
