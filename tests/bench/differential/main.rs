//! Windrose beside BIND, NSD and Knot DNS: the same zones, the same questions, the same answers?
//!
//! ```sh
//! cargo run --release --example differential -- [--queries N] [--seed S] [--zone NAME] [--show N] [--keep]
//! ```
//!
//! Needs `named`, `named-compilezone`, `nsd` and `knotd` (Debian: bind9, bind9-utils, nsd, knot). Serves
//! the zones of `tests/data/differential` with all four on ports of loopback, asks N questions of each
//! zone (20,000 unless said otherwise) and prints how many were answered as at least two of the peers do;
//! of these, `split` are those where all three peers differ in some part. Exit code 1 when an answer differs
//! for no reason that [`verdict::EXPLAINED`] knows.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its table and its talk")]

mod contenders;
mod exchange;
mod message;
#[path = "../ports.rs"]
mod ports;
#[path = "../programs.rs"]
mod programs;
mod questions;
#[path = "../signal.rs"]
mod signal;
mod verdict;
mod zones;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use contenders::{Contender, Kind};
use exchange::Line;
use message::{Answer, Question, name_text};
use questions::Questions;
use signal::stop_on_signal;
use verdict::{Case, EXPLAINED, Part, Verdict, judge};
use zones::ZoneRecords;

/// Questions that are under way at once.
const WINDOW: usize = 32;
/// Differences that are printed in full, unless said otherwise.
const SHOWN: usize = 10;
/// How many of them may differ in the same parts.
const SHOWN_ALIKE: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|argument| argument == "serve") {
        let (out, err) = (&mut io::stdout().lock(), &mut io::stderr());
        return ExitCode::from(windrose::cli::run(arguments, out, err).code());
    }
    match Options::read().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// What was asked for on the command line.
struct Options {
    queries: usize,
    seed: u64,
    zone: Option<String>,
    shown: usize,
    keep: bool,
}

impl Options {
    fn read() -> io::Result<Self> {
        let mut options = Self { queries: 20_000, seed: 1, zone: None, shown: SHOWN, keep: false };
        let mut arguments = std::env::args().skip(1);
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| wrong("a value is missing"));
            match argument.as_str() {
                "--queries" => {
                    options.queries = value()?.parse().map_err(|_| wrong("--queries N"))?;
                }
                "--seed" => options.seed = value()?.parse().map_err(|_| wrong("--seed S"))?,
                "--show" => options.shown = value()?.parse().map_err(|_| wrong("--show N"))?,
                "--zone" => options.zone = Some(value()?),
                "--keep" => options.keep = true,
                _ => {
                    return Err(wrong(
                        "options: --queries N, --seed S, --zone NAME, --show N, --keep",
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// Compares everything; whether nothing unexplained is left.
fn run(options: &Options) -> io::Result<bool> {
    let directory = std::env::temp_dir().join(format!("differential-{}", std::process::id()));
    let stop = stop_on_signal()?;
    let mut tally = Tally { room: options.shown, ..Tally::default() };
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "zone", "queries", "equal", "split", "explained", "different"
    );
    let groups = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/differential");
    let mut result = Ok(());
    for group in ["names", "root"] {
        let place = directory.join(group);
        result = compare(&groups.join(group), &place, options, &stop, &mut tally);
        if result.is_err() {
            break;
        }
    }
    if options.keep {
        eprintln!("kept: {}", directory.display());
    } else {
        let _ = fs::remove_dir_all(&directory);
    }
    result?;
    tally.print();
    Ok(tally.different == 0)
}

/// Serves the zones of one directory with all contenders and asks about each.
fn compare(
    source: &Path,
    directory: &Path,
    options: &Options,
    stop: &AtomicBool,
    tally: &mut Tally,
) -> io::Result<()> {
    let (zones, files) = zones::lay_out(source, directory)?;
    let running: Vec<Contender> = Kind::ALL
        .into_iter()
        .map(|kind| Contender::start(kind, directory, &files))
        .collect::<io::Result<_>>()?;
    let mut lines: Vec<Line> = running.iter().map(Contender::line).collect::<io::Result<_>>()?;
    let apexes: Vec<Vec<u8>> =
        zones.iter().map(|zone| zone.apex.to_lowercase().as_wire().to_vec()).collect();
    let is_wanted = |zone: &&ZoneRecords| {
        options.zone.as_ref().is_none_or(|name| zone.apex.to_string() == *name)
    };
    for zone in zones.iter().filter(is_wanted) {
        let mut questions = Questions::new(zone, &zones, options.seed);
        let mut row = Row::default();
        let mut left = options.queries;
        while left > 0 {
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
            }
            let batch: Vec<Question> = (0..left.min(WINDOW)).map(|_| questions.next()).collect();
            left -= batch.len();
            ask(&mut lines, &batch, &apexes, &mut row, tally)?;
        }
        println!(
            "{:<24} {:>8} {:>8} {:>8} {:>9} {:>9}",
            name_text(&questions.apex()),
            options.queries,
            row.equal,
            row.split,
            row.explained,
            row.different
        );
    }
    Ok(())
}

#[derive(Default)]
struct Row {
    equal: usize,
    split: usize,
    explained: usize,
    different: usize,
}

impl Row {
    const fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::Split => {
                self.equal += 1;
                self.split += 1;
            }
            Verdict::Explained(_) => self.explained += 1,
            Verdict::Different(_) => self.different += 1,
        }
    }
}

#[derive(Default)]
struct Tally {
    different: usize,
    explained: BTreeMap<&'static str, usize>,
    parts: BTreeMap<String, usize>,
    /// How many more are to be shown.
    room: usize,
    shown: Vec<String>,
}

impl Tally {
    fn print(&self) {
        println!();
        for rule in EXPLAINED {
            let count = self.explained.get(rule.name).copied().unwrap_or(0);
            println!("explained {count:>8}  {rule}");
        }
        for (parts, count) in &self.parts {
            println!("different {count:>8}  in {parts}");
        }
        for shown in &self.shown {
            println!("\n{shown}");
        }
    }

    fn count(&mut self, case: &Case<'_>, verdict: &Verdict) {
        match verdict {
            Verdict::Equal | Verdict::Split => {}
            Verdict::Explained(name) => *self.explained.entry(name).or_default() += 1,
            Verdict::Different(parts) => self.differs(case, parts),
        }
    }

    fn differs(&mut self, case: &Case<'_>, parts: &[Part]) {
        self.different += 1;
        let alike = self.parts.entry(format!("{parts:?}")).or_default();
        *alike += 1;
        if self.room > 0 && *alike <= SHOWN_ALIKE.max(self.room / 10) {
            self.room -= 1;
            let by = if case.is_udp { "UDP" } else { "TCP" };
            let mut text = format!("{} by {by}: differs in {parts:?}", case.question);
            let answers = [case.ours].into_iter().chain(case.peers);
            for (kind, answer) in Kind::ALL.iter().zip(answers) {
                text += &format!("\n  {:<8} {answer}", kind.name());
            }
            self.shown.push(text);
        }
    }
}

/// Asks everybody the same and judges what comes back. What somebody truncates is asked again by TCP.
fn ask(
    lines: &mut [Line],
    batch: &[Question],
    apexes: &[Vec<u8>],
    row: &mut Row,
    tally: &mut Tally,
) -> io::Result<()> {
    let packets: Vec<_> =
        lines.iter_mut().map(|line| line.send(batch)).collect::<io::Result<_>>()?;
    let mut columns: Vec<Vec<Answer>> = Vec::new();
    for (line, packets) in lines.iter_mut().zip(&packets) {
        columns.push(line.receive(packets)?);
    }
    for (n, question) in batch.iter().enumerate() {
        let answers: Vec<&Answer> = columns.iter().map(|column| &column[n]).collect();
        let mut again = Vec::new();
        if answers.iter().any(|answer| answer.is_truncated) {
            for line in &mut *lines {
                again.push(line.ask_by_tcp(question)?);
            }
        }
        row.count(&settle(question, &answers, &again, apexes, tally));
    }
    Ok(())
}

/// Judges what came by UDP and, if anything, by TCP; the worse counts.
fn settle(
    question: &Question,
    by_udp: &[&Answer],
    by_tcp: &[Answer],
    apexes: &[Vec<u8>],
    tally: &mut Tally,
) -> Verdict {
    let whole = by_tcp.first();
    let by_tcp: Vec<&Answer> = by_tcp.iter().collect();
    let mut worst = Verdict::Equal;
    for (is_udp, answers) in [(true, by_udp), (false, &by_tcp)] {
        let [ours, a, b, c] = answers[..] else { continue };
        let case = Case { question, is_udp, ours, whole, peers: [a, b, c], apexes };
        let verdict = judge(&case);
        tally.count(&case, &verdict);
        worst = worst.max(verdict);
    }
    worst
}
