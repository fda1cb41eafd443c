//! Counting instructions with callgrind, and comparing them with those that are committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::cases::Case;

/// The committed figures: a line each, the case, a tab, its instructions.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/micro/instructions.txt");
/// How far above its figure a case may be.
const RISE_MAX: f64 = 0.05;

/// Counts and prints all cases. Ends with 1 when one is too far above its figure, or has none; with
/// `write` the figures are made anew.
pub(crate) fn compare<'a>(cases: impl Iterator<Item = &'a Case>, write: bool) -> ExitCode {
    let committed = read(Path::new(FILE));
    let mut text = String::new();
    let mut is_good = true;
    println!("{:<34} {:>12} {:>12} {:>8}", "case", "instructions", "committed", "change");
    for case in cases.filter(|case| case.counted > 0) {
        let Some(count) = count(case) else {
            println!("{:<34} valgrind cannot be run, or says nothing", case.name);
            return ExitCode::FAILURE;
        };
        writeln!(text, "{}\t{count:.0}", case.name).expect("a String takes all");
        let Some(known) = committed.get(case.name) else {
            println!("{:<34} {count:>12.0} {:>12}", case.name, "none");
            is_good = false;
            continue;
        };
        let rise = count / known - 1.0;
        let verdict = if rise > RISE_MAX { "  too many" } else { "" };
        is_good &= rise <= RISE_MAX;
        println!("{:<34} {count:>12.0} {known:>12.0} {:>+7.1} %{verdict}", case.name, 100.0 * rise);
    }
    if write {
        std::fs::write(FILE, text).expect("the source tree can be written");
        return ExitCode::SUCCESS;
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(path: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect()
}

/// Instructions an iteration.
fn count(case: &Case) -> Option<f64> {
    let of = |iterations: u64| collected(case.name, iterations);
    let (few, many) = (case.counted, 3 * case.counted);
    let difference = of(many)?.checked_sub(of(few)?)?;
    #[expect(clippy::cast_precision_loss, reason = "billions of instructions at most")]
    let each = difference as f64 / (many - few) as f64;
    Some(each)
}

/// Instructions of a whole process.
fn collected(case: &str, iterations: u64) -> Option<u64> {
    let own = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--run", case, &iterations.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}
