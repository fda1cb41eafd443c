//! A fleet through cuts and kills: what `deploy/fleet` describes, with real programs and a real broker.
//!
//! ```sh
//! cargo run --release --example lab -- [--only PART]… [--keep]
//! ```
//!
//! In namespaces of its own (so it needs root) it makes a router and, behind it, a NATS server with TLS and
//! logins, two nodes, three vantages and a host of endpoints: see `network.rs` and `world.rs`. Then it plays
//! one part after the other and prints what came of it:
//!
//! | part | what is done |
//! |---|---|
//! | `kills` | 200 endpoints die of each: refused, blackhole, unreachable; the time to the first other answer |
//! | `alone` | the same at a node without a fleet, by probes every 5 s |
//! | `cut`, `blind`, `stopped`, `starved` | one of three vantages, 20 times: without any network, without endpoints, |
//! |   | standing still, with 2 % of a processor |
//! | `broker` | it is away for a minute, and comes back with all, and with its data rolled back |
//! | `versions` | a bad version of the zone files that leads to canaries, and old versions again |
//! | `lies` | endpoints stall, drip, never end, or say what is not HTTP |
//! | `outages` | an endpoint flaps; half of all, then all are down |
//! | `disks` | the disk of a node is full, then read-only |
//!
//! Needs (Debian): nats-server iproute2 openssl. Exit code 1 when a bar is missed, 2 when nothing could be
//! measured. docs/fleet.md has the figures.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its table and its talk")]

mod asking;
#[expect(dead_code, reason = "shared with benches that need more of it")]
#[path = "../chance.rs"]
mod chance;
mod endpoints;
mod engine;
mod hardships;
mod kills;
#[path = "../namespace.rs"]
mod namespace;
mod network;
#[path = "../resolvers/program.rs"]
mod program;
#[path = "../programs.rs"]
mod programs;
#[path = "../server.rs"]
mod server;
#[path = "../signal.rs"]
mod signal;
mod table;
mod vantages;
mod versions;
mod world;
mod zones;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use engine::Return;
use kills::{ALONE, Death, FLEET, Series};
use namespace::run_inside;
use table::{Bar, Row};
use vantages::Suffering;
use windrose::memory::Allocator;
use world::World;
use zones::Zone;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Nothing here takes so long.
const TIME_MAX: Duration = Duration::from_secs(3600);
/// A check that is quick, so that little is waited for. Whoever falls often on purpose is not held back for it.
const QUICK: &str =
    "interval = \"1s\"\ntimeout = \"500ms\"\nrise = 3\nfall = 3\nflap-damping = false";
/// The shortest time in which a target comes back by it.
const QUICK_RISE: Duration = Duration::from_secs(3);

/// A fleet through cuts and kills.
#[derive(Parser)]
#[command(name = "lab")]
struct Options {
    /// A part to play, in place of all; may be given again
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Leave files and logs of all machines behind
    #[arg(long)]
    keep: bool,
    /// Where they are; made by the outer process for the inner one
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Kills,
    Alone,
    Cut,
    Blind,
    Stopped,
    Starved,
    Broker,
    Versions,
    Lies,
    Outages,
    Disks,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(arguments) = world::as_windrose(&arguments) {
        let (out, err) = (&mut io::stdout().lock(), &mut io::stderr());
        return ExitCode::from(windrose::cli::run(arguments, out, err).code());
    }
    let options = Options::parse();
    let result = match &options.inside {
        Some(directory) => play(&options, directory),
        None => {
            let directory = std::env::temp_dir().join(format!("lab-{}", std::process::id()));
            let inside: [OsString; 2] = ["--inside".into(), directory.clone().into()];
            let arguments = arguments.into_iter().skip(1).chain(inside);
            run_inside(arguments, &directory, options.keep, TIME_MAX)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all bars were met.
fn play(options: &Options, directory: &Path) -> io::Result<bool> {
    let wants = |part| options.only.is_empty() || options.only.contains(&part);
    let mut world = World::start(directory)?;
    let mut is_fine = true;
    let mut tell = |row: Row| {
        row.print();
        is_fine &= row.is_met;
    };
    if wants(Part::Kills) {
        let kills = [
            ("refused", "", Death::Refused, Some(5500)),
            // Behind no delay the refusal comes before `connect` has returned, and Linux goes by the second.
            ("unreachable", "", Death::Unreachable, None),
            ("blackhole", "timeout = \"1s\"", Death::Blackhole, Some(9000)),
            // By the default timeout, 2 s.
            ("blackhole-2s", "", Death::Blackhole, None),
        ];
        play_kills(&mut world, &kills, &FLEET, &mut tell)?;
    }
    if wants(Part::Alone) {
        let kills = [
            ("alone-refused", "interval = \"5s\"", Death::Refused, Some(8000)),
            (
                "alone-blackhole",
                "interval = \"5s\"\ntimeout = \"1s\"",
                Death::Blackhole,
                Some(8000),
            ),
        ];
        play_kills(&mut world, &kills, &ALONE, &mut tell)?;
    }
    let calm = Zone::new("calm.test", QUICK, [198, 18, 10], 40);
    let zones = [Zone::new("liars.test", "flap-damping = false", [198, 18, 11], 20), calm.clone()];
    let is_over = |part: &Part| matches!(part, Part::Kills | Part::Alone);
    if options.only.is_empty() || !options.only.iter().all(is_over) {
        world.begin(&zones)?;
    }
    let sufferings = [
        (Part::Cut, Suffering::Cut),
        (Part::Blind, Suffering::Blind),
        (Part::Stopped, Suffering::Stopped),
        (Part::Starved, Suffering::Starved),
    ];
    for (_, suffering) in sufferings.into_iter().filter(|(part, _)| wants(*part)) {
        tell(vantages::series(&world, &calm, suffering)?);
    }
    if wants(Part::Broker) {
        for back in [Return::Whole, Return::RolledBack] {
            tell(engine::play(&mut world, &zones, back)?);
        }
        world.begin(&zones)?;
    }
    if wants(Part::Versions) {
        tell(versions::bad(&world, &zones)?);
        tell(versions::old(&world, &zones)?);
    }
    if wants(Part::Lies) {
        hardships::lies(&world, &zones[0], &calm, &mut tell)?;
    }
    if wants(Part::Outages) {
        tell(hardships::flapping(&world, &calm, QUICK_RISE)?);
        tell(hardships::all_down(&world, &calm)?);
    }
    if wants(Part::Disks) {
        tell(hardships::disks(&mut world, &calm)?);
    }
    println!("{}", if is_fine { "all bars met" } else { "a bar was MISSED" });
    Ok(is_fine)
}

/// A series of deaths: its word, how endpoints are checked, how they die, and the 99th percentile that may be,
/// in milliseconds.
type Kill = (&'static str, &'static str, Death, Option<u64>);

/// Plays each with 200 endpoints of its own.
fn play_kills(
    world: &mut World,
    kills: &[Kill],
    nodes: &[usize],
    tell: &mut impl FnMut(Row),
) -> io::Result<()> {
    let zone = |(third, (word, check, ..)): (u8, &Kill)| {
        Zone::new(&format!("{word}.test"), check, [198, 18, third], 200)
    };
    let zones: Vec<Zone> = (1..).zip(kills).map(zone).collect();
    if nodes == ALONE {
        world.begin_alone(&zones)?;
    } else {
        world.begin(&zones)?;
    }
    for ((word, _, death, max), zone) in kills.iter().zip(&zones) {
        let what = &format!("killed: {word}");
        let bar = max.map(|max| Bar::P99(Duration::from_millis(max)));
        tell(kills::play(world, Series { zone, death: *death, nodes, what, bar })?);
    }
    Ok(())
}
