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
//! | `vantages` | one of three is cut off, cut off from endpoints alone, stopped, starved: 20 times each |
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
use kills::Death;
use namespace::run_inside;
use table::{Bar, Row};
use vantages::Suffering;
use world::World;
use zones::Zone;

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
    Vantages,
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
        // Checks as they are when a zone file says nothing: interval 10 s, timeout 2 s, rise 3, fall 3.
        let (quick, slow) = (Duration::from_millis(5500), Duration::from_secs(9));
        let deaths = [
            (Death::Refused, "refused", quick),
            (Death::Blackhole, "blackhole", slow),
            (Death::Unreachable, "unreachable", quick),
        ];
        let of = |third, (_, word, _): &(_, &str, _)| {
            Zone::new(&format!("{word}.test"), "", [198, 18, third], 200)
        };
        let zones: Vec<Zone> = (1..).zip(&deaths).map(|(third, death)| of(third, death)).collect();
        world.begin(&zones)?;
        for ((death, word, max), zone) in deaths.into_iter().zip(&zones) {
            tell(kills::series(&world, zone, death, &format!("killed: {word}"), Bar::P99(max))?);
        }
    }
    let calm = Zone::new("calm.test", QUICK, [198, 18, 10], 40);
    let zones = [Zone::new("liars.test", "", [198, 18, 11], 20), calm.clone()];
    if options.only != [Part::Kills] {
        world.begin(&zones)?;
    }
    if wants(Part::Vantages) {
        for suffering in Suffering::ALL {
            tell(vantages::series(&world, &calm, suffering)?);
        }
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
        hardships::lies(&world, &zones[0], &calm)?.into_iter().for_each(&mut tell);
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
