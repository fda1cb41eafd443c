//! What an answer costs, beside the peers or beside an echo: `cargo run --release --example beside`.
//!
//! ```text
//!   processor 0: windrose, one UDP thread     ◀── 192 questions on their way ── processor 1: the load
//!                echo, or peers, by turns     ─── answers, checked          ──▶
//! ```
//! Where the peers' bench is (`--peers`), it measures windrose beside all of them that are installed; else
//! a load generator of our own measures it beside an echo of our own, which tells what the kernel takes.
//! Prints processor time an answer, windrose's to each other's, and whether the bars are met. Exits with 1
//! when a bar is missed and with 2 when nothing could be measured, which is also when answers are wrong.
//!
//! Two processors are needed, and nothing else should run on them. Where it does (`busy` is well below 1),
//! `--nice -20` puts servers and load before all of it, which takes a privilege.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its table and its talk")]

mod alone;
#[path = "../chance.rs"]
mod chance;
#[path = "../geo/database.rs"]
mod database;
mod echo;
mod figures;
mod generator;
mod peers;
#[path = "../ports.rs"]
mod ports;
mod process;
#[path = "../programs.rs"]
mod programs;
mod queries;
#[path = "../server.rs"]
mod server;
mod table;
#[path = "../../../src/listen/udp_batch.rs"]
mod udp_batch;
mod work;
mod world;

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use crate::peers::Bench;
use crate::process::{LOAD_CPU, end_with_us, pin};
use crate::work::Work;

/// Rounds, unless said otherwise: beside the echo, and beside the peers, of which a round takes half a
/// minute.
const ROUNDS_ALONE: usize = 5;
const ROUNDS_BESIDE_PEERS: usize = 3;

/// Where the peers' bench is, unless said otherwise.
const PEERS: &str = "../shared/bench";

type Failure = Box<dyn Error + Send + Sync>;

/// What an answer costs, beside the peers or beside an echo.
#[derive(Parser)]
#[command(name = "beside")]
struct Options {
    /// What is served and asked for, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["10k", "steered"])]
    rows: Vec<Work>,
    /// Rounds of each; of an odd number one is in the middle [default: 5, beside the peers 3]
    #[arg(long)]
    rounds: Option<std::num::NonZeroUsize>,
    /// The directory of the peers' bench [default: ../shared/bench, if it is there]
    #[arg(long, value_name = "DIR", conflicts_with = "alone")]
    peers: Option<PathBuf>,
    /// Peers to measure, comma-separated, in place of all that are installed
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "alone")]
    against: Vec<String>,
    /// Beside the echo alone, also where the peers' bench is
    #[arg(long)]
    alone: bool,
    /// Niceness of servers and load, as a session of its own: -20 comes before all else on the machine
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    nice: i32,
    /// Set where that has been done
    #[arg(long, hide = true)]
    is_favoured: bool,
    /// The windrose to measure, in place of this very build
    #[arg(long, value_name = "FILE")]
    windrose: Option<PathBuf>,
}

impl Options {
    /// Where the peers' bench is, if it is to be used.
    fn peers(&self) -> Option<&Path> {
        let usual = Path::new(PEERS);
        let is_usual = !self.alone && peers::is_there(usual);
        self.peers.as_deref().or_else(|| is_usual.then_some(usual))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let outcome = match arguments.get(1).and_then(|argument| argument.to_str()) {
        // Started anew with `serve`, this is windrose; with `echo`, it is the echo.
        Some("serve") => {
            let (out, err) = (&mut io::stdout().lock(), &mut io::stderr());
            return ExitCode::from(windrose::cli::run(arguments, out, err).code());
        }
        Some("echo") => echo(&arguments),
        _ => {
            let options = Options::parse();
            if options.nice == 0 || options.is_favoured {
                run(&options)
            } else {
                run_favoured(&options, &arguments)
            }
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Echoes at the address that follows.
fn echo(arguments: &[OsString]) -> Result<bool, Failure> {
    let address = arguments.get(2).and_then(|address| address.to_str()).ok_or("echo ADDRESS")?;
    echo::serve(address.parse()?)?;
    Ok(true)
}

/// Has another process of this program do the work, as a session of its own: there a niceness counts beside
/// all other work, which within a session it does not (sched(7), autogroup).
fn run_favoured(options: &Options, arguments: &[OsString]) -> Result<bool, Failure> {
    let mut command = Command::new("setsid");
    command.args(["--wait", "nice", "-n", &options.nice.to_string()]).arg(std::env::current_exe()?);
    command.args(arguments.iter().skip(1)).arg("--is-favoured");
    end_with_us(&mut command);
    match command.status()?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err("see above".into()),
    }
}

/// Measures and prints; whether all bars were met.
fn run(options: &Options) -> Result<bool, Failure> {
    if cfg!(debug_assertions) {
        return Err(
            "a debug build's figures say nothing: cargo run --release --example beside".into()
        );
    }
    let windrose = match &options.windrose {
        Some(file) => {
            file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => std::env::current_exe()?,
    };
    if options.is_favoured {
        // Kernels without it have no groups that a niceness does not reach.
        let _ = fs::write("/proc/self/autogroup", options.nice.to_string());
    }
    pin(LOAD_CPU)?;
    let rounds = options.rounds.map(usize::from);
    let mut measured = Vec::new();
    if let Some(directory) = options.peers() {
        let bench = Bench::copy(directory, &windrose, options.nice)?;
        for &work in &options.rows {
            let rounds = rounds.unwrap_or(ROUNDS_BESIDE_PEERS);
            measured.push((work, bench.measure(work, rounds, &options.against)?));
        }
    } else {
        for &work in &options.rows {
            measured.push((work, alone::measure(work, rounds.unwrap_or(ROUNDS_ALONE), &windrose)?));
        }
    }
    let (table, is_met) = table::table(&measured);
    print!("{table}");
    println!("{}", if is_met { "all bars met" } else { "a bar was MISSED" });
    Ok(is_met)
}
