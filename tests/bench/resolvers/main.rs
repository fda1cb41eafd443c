//! Windrose behind resolvers and under the tools that people look into DNS with: does anything complain?
//!
//! ```sh
//! cargo run --release --example resolvers -- [--only NAME]… [--show N] [--keep]
//! ```
//!
//! In network, mount and process namespaces of its own (so it needs root), windrose serves a made-up root,
//! top-level domains and leaf zones (`tests/data/resolvers`). `zonemaster-cli`, `dig`, `kdig`, `drill` and
//! `delv` look at them; BIND, Unbound, Knot Resolver and PowerDNS Recursor are asked for every name and
//! type, and must find what the authoritative answers say, without a complaint in their logs. Clients of
//! other networks must get answers of their own through the resolvers that send client subnets, and all
//! resolvers must follow when a region fails. That each would complain is tried on a lame delegation.
//!
//! Needs (Debian): bind9 bind9-dnsutils unbound knot-resolver pdns-recursor zonemaster-cli ldnsutils
//! knot-dnsutils iproute2. What is not installed is left out and named. `--only` takes the name of a
//! resolver, `zonemaster` or `tools`. Takes about a minute. Exit code 1 when anything is wrong that is
//! not known and explained here.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its table and its talk")]

mod ask;
mod compare;
#[expect(dead_code, reason = "shared with `differential`, which needs more of it")]
#[path = "../differential/message.rs"]
mod message;
#[path = "../namespace.rs"]
mod namespace;
mod program;
#[path = "../programs.rs"]
mod programs;
mod questions;
mod regions;
mod resolvers;
#[path = "../server.rs"]
mod server;
#[path = "../signal.rs"]
mod signal;
mod tools;
mod world;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use compare::{Comparison, compare};
use namespace::run_inside;
use programs::find_program;
use resolvers::{Kind, Resolver};
use world::World;

/// Nothing here takes so long.
const TIME_MAX: Duration = Duration::from_secs(900);
/// From a region's end to the last resolver's first answer without it: two checks, the TTL, and what a
/// busy machine takes.
const FAILOVER_MAX: Duration = Duration::from_secs(6);
/// Lines of each kind of fault that are printed, unless said otherwise.
const SHOWN: usize = 12;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1).and_then(|argument| argument.to_str());
    let result = match first {
        Some("serve") => {
            let (out, err) = (&mut io::stdout().lock(), &mut io::stderr());
            return ExitCode::from(windrose::cli::run(arguments, out, err).code());
        }
        Some("inside") => Options::read(2).and_then(|options| inside(&options)),
        _ => Options::read(1).and_then(|options| outside(&options)),
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

/// What was asked for on the command line.
struct Options {
    only: Vec<String>,
    /// Lines of each kind of fault that are printed.
    shown: usize,
    keep: bool,
    /// Where everything is written; made by the outer process for the inner one.
    directory: PathBuf,
}

impl Options {
    fn read(skip: usize) -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("resolvers-{}", std::process::id()));
        let mut options = Self { only: Vec::new(), shown: SHOWN, keep: false, directory };
        let mut arguments = std::env::args().skip(skip);
        let usage = || {
            io::Error::new(io::ErrorKind::InvalidInput, "options: --only NAME, --show N, --keep")
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--only" => options.only.push(arguments.next().ok_or_else(usage)?),
                "--directory" => options.directory = arguments.next().ok_or_else(usage)?.into(),
                "--show" => {
                    let shown = arguments.next().and_then(|shown| shown.parse().ok());
                    options.shown = shown.ok_or_else(usage)?;
                }
                "--keep" => options.keep = true,
                _ => return Err(usage()),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

// ---- Outside of the namespace ----

/// Runs everything in namespaces of its own.
fn outside(options: &Options) -> io::Result<bool> {
    let mut arguments: Vec<OsString> = vec!["inside".into(), "--directory".into()];
    arguments.extend([options.directory.clone().into(), "--show".into()]);
    arguments.push(options.shown.to_string().into());
    for only in &options.only {
        arguments.extend(["--only".into(), only.into()]);
    }
    run_inside(arguments, &options.directory, options.keep, TIME_MAX)
}

// ---- Inside of it ----

/// Whether nothing unexplained was seen.
fn inside(options: &Options) -> io::Result<bool> {
    let directory = &options.directory;
    tools::take_resolver_file(directory)?;
    let count = u8::try_from(Kind::ALL.len()).expect("few resolvers");
    let world = World::start(directory, count)?;
    let mut faults = Faults { count: 0, shown: options.shown };
    println!("{:<34} {:>8} {:>10} {:>7}", "tool", "runs", "explained", "faults");
    if options.wants("zonemaster") && is_there("zonemaster-cli") {
        for zone in tools::ZONES {
            faults.tool(&tools::zonemaster(zone, directory)?);
        }
        let is_deaf = tools::zonemaster(tools::LAME, directory)?.faults.is_empty();
        faults.all("zonemaster-cli never complains", usize::from(is_deaf));
    }
    if options.wants("tools") && ["dig", "kdig", "drill", "delv"].into_iter().all(is_there) {
        for row in tools::at_servers(directory)? {
            faults.tool(&row);
        }
    }
    println!(
        "\n{:<16} {:>8} {:>8} {:>9} {:>9} {:>10} {:>8} {:>8}",
        "resolver",
        "queries",
        "equal",
        "explained",
        "different",
        "complaints",
        "upstream",
        "refused"
    );
    let (mut running, mut complaints) = (Vec::new(), Vec::new());
    for (kind, at) in Kind::ALL.into_iter().zip(0..) {
        if options.wants(kind.name()) && is_there(kind.program()) {
            let resolver = Resolver::start(kind, directory, at)?;
            let comparison = compare(&resolver, directory)?;
            complaints.push(faults.comparison(&resolver, &comparison)?);
            running.push(resolver);
        }
    }
    println!(
        "\n{:<34} {:>8} {:>10} {:>7}",
        "tool behind a resolver", "runs", "explained", "faults"
    );
    for resolver in &running {
        for row in tools::behind(&resolver.address.to_string(), directory)? {
            let tool = format!("{} @{}", row.tool, resolver.kind.name());
            faults.tool(&tools::Row { tool, ..row });
        }
    }
    follow_clients(&running, &mut faults)?;
    follow_failover(&world, &running, &mut faults)?;
    for (resolver, before) in running.iter().zip(&complaints) {
        faults.lines(resolver.kind.name(), &resolver.complaints()?[*before..]);
        let is_deaf = !resolver.complains_of_lame_servers()?;
        faults.all("a resolver that never complains", usize::from(is_deaf));
    }
    faults.lines("a node's log", &world.complaints()?);
    drop(running);
    println!("\n{}", if faults.count == 0 { "nothing to complain of" } else { "there are FAULTS" });
    Ok(faults.count == 0)
}

fn is_there(program: &str) -> bool {
    let found = find_program(program);
    if let Err(error) = &found {
        println!("left out: {error}");
    }
    found.is_ok()
}

/// Clients of several networks behind the resolvers that tell of them.
fn follow_clients(running: &[Resolver], faults: &mut Faults) -> io::Result<()> {
    println!(
        "\n{:<16} {:<20} {:>8} {:>8} {:>7}",
        "client subnets", "clients in", "clients", "upstream", "faults"
    );
    for resolver in running.iter().filter(|resolver| resolver.kind.is_subnet()) {
        for (what, name, is_one_network) in regions::SUBNET_RUNS {
            let seen = regions::subnets(resolver, name, is_one_network)?;
            println!(
                "{:<16} {what:<20} {:>8} {:>8} {:>7}",
                resolver.kind.name(),
                seen.clients,
                seen.asked,
                seen.faults.len()
            );
            faults.lines(resolver.kind.name(), &seen.faults);
        }
    }
    Ok(())
}

fn follow_failover(world: &World, running: &[Resolver], faults: &mut Faults) -> io::Result<()> {
    println!("\n{:<16} {:>10}", "failover", "took");
    let moved = regions::failover(world, running)?;
    for (at, time) in &moved {
        println!("{:<16} {:>7} ms", running[*at].kind.name(), time.as_millis());
        faults.all("a slow failover", usize::from(*time > FAILOVER_MAX));
    }
    faults.all("a resolver that does not follow", running.len() - moved.len());
    Ok(())
}

/// What is wrong, told as it is found.
struct Faults {
    count: usize,
    shown: usize,
}

impl Faults {
    fn all(&mut self, what: &str, count: usize) {
        if count > 0 {
            println!("  FAULT: {what}: {count}");
        }
        self.count += count;
    }

    fn lines(&mut self, of: &str, lines: &[String]) {
        for line in lines.iter().take(self.shown) {
            println!("  FAULT: {of}: {line}");
        }
        self.all(of, lines.len());
    }

    fn tool(&mut self, row: &tools::Row) {
        println!("{:<34} {:>8} {:>10} {:>7}", row.tool, row.runs, row.explained, row.faults.len());
        self.lines(&row.tool, &row.faults);
    }

    /// Tells what came of a comparison; how often the resolver complained.
    fn comparison(&mut self, resolver: &Resolver, seen: &Comparison) -> io::Result<usize> {
        let complaints = resolver.complaints()?;
        let of =
            |kinds: &[&str]| kinds.iter().filter_map(|kind| seen.answers.get(*kind)).sum::<u64>();
        let odd =
            of(&["not-ours", "refused", "servfail", "formerr", "notimp", "badvers", "dropped"]);
        println!(
            "{:<16} {:>8} {:>8} {:>9} {:>9} {:>10} {:>8} {:>8}",
            resolver.kind.name(),
            seen.queries,
            seen.equal,
            seen.explained.values().sum::<usize>(),
            seen.differences.len(),
            complaints.len(),
            seen.answers.values().sum::<u64>(),
            odd
        );
        self.lines(resolver.kind.name(), &seen.differences);
        self.lines(resolver.kind.name(), &complaints);
        self.all("questions that were refused", usize::try_from(odd).expect("few questions"));
        for (reason, count) in &seen.explained {
            println!("  {count} explained: {reason}");
        }
        Ok(complaints.len())
    }
}
