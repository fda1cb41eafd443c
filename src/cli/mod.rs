//! The command line: arguments in, lines and an exit code out.
//!
//! Data goes to stdout, talk to stderr; `--json` gives the same data for programs. Exit codes:
//!
//! | code | means |
//! |---|---|
//! | 0 | done, or all is well |
//! | 1 | something is wrong with the files, the answer or the node |
//! | 2 | the command was used wrongly |
//! | 4 | the running node cannot be reached |

mod check;
mod demo;
mod explain;
mod fleet;
mod geo;
mod operate;
mod probe;
mod push;
mod serve;
mod status;
mod table;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::load::{self, Place};
use crate::model::name::NameError;
use crate::model::{Name, Report, TargetHost};

/// A global server load balancer that works through authoritative DNS.
#[derive(Parser, Debug)]
#[command(name = "windrose", version, arg_required_else_help = false, max_term_width = 100)]
#[command(after_help = "Without a command: serve.\n\n\
    Try it:  windrose demo\n\
    Ask:     dig @127.0.0.1 -p 5300 www.example.com A +subnet=81.2.69.0/24\n\
    Why:     windrose explain www.example.com --client 81.2.69.142 --down eu-west")]
pub struct Arguments {
    /// The server file [default: windrose.toml in the working directory, if there is one]
    #[arg(short, long, global = true, env = "WINDROSE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Answer queries until SIGTERM or SIGINT; SIGHUP reloads
    Serve,
    /// Read all files and say everything that is wrong with them
    Check(CheckArguments),
    /// Say what a client is answered and why
    Explain(ExplainArguments),
    /// Say what a running node knows of every target
    Status(StatusArguments),
    /// Send no new clients to a region, pool or endpoint, unless nothing else is alive
    Drain(DrainArguments),
    /// End a drain
    Undrain(UndrainArguments),
    /// Have a region, pool or endpoint count as up or down, whatever probes say
    Override(OverrideArguments),
    /// Keep changes of health away from answers
    Freeze(FreezeArguments),
    /// Let health reach answers again
    Unfreeze(ByArguments),
    /// Use a pool again that waits to fail back
    Failback(FailbackArguments),
    /// Make a check now, from here, and say what it saw; or be a vantage of a fleet
    Probe(ProbeArguments),
    /// Give zone files to all of a fleet, or go back to earlier ones
    Push(PushArguments),
    /// Get the zone files of the fleet
    Pull(PullArguments),
    /// Say where an address is, or which databases are used
    Geo(GeoArguments),
    /// Watch a failover on this machine: three regions, one of which dies and comes back
    Demo(DemoArguments),
}

#[derive(Args, Debug)]
struct CheckArguments {
    /// A zone directory, a zone file, a master file or a server file [default: what the server file
    /// names]
    path: Option<PathBuf>,
    /// The zone that a master file is [default: as its SOA, its $ORIGIN or its file name says]
    #[arg(long, value_name = "NAME", requires = "path", value_parser = zone_name)]
    origin: Option<Name>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ExplainArguments {
    /// The name asked for
    name: String,
    /// The record type asked for
    #[arg(name = "TYPE", default_value = "A")]
    qtype: String,
    /// The client: an address, or a subnet such as 192.0.2.0/24
    #[arg(long, value_name = "ADDRESS")]
    client: String,
    /// Take this region, pool or endpoint (NAME or POOL/NAME) for down; may be given again
    #[arg(long, value_name = "THING")]
    down: Vec<String>,
    /// Ask the running node, and so its live health [default address: the server file's]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, value_parser = server_address)]
    server: Option<Option<SocketAddr>>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct StatusArguments {
    /// The node's admin endpoint [default: the server file's]
    #[arg(long, value_name = "ADDRESS", value_parser = server_address)]
    server: Option<SocketAddr>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Who speaks to which node.
#[derive(Args, Debug)]
struct ByArguments {
    /// Who says so [default: $SUDO_USER or $USER]
    #[arg(long, value_name = "NAME", env = "WINDROSE_AUTHOR")]
    author: Option<String>,
    /// The node's admin endpoint [default: the server file's]
    #[arg(long, value_name = "ADDRESS", value_parser = server_address)]
    server: Option<SocketAddr>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Why something is said, and for how long.
#[derive(Args, Debug)]
struct SaidArguments {
    /// End by itself after so long, such as 30m [default: when an operator ends it]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::config::parse_duration)]
    length: Option<std::time::Duration>,
    /// Why; stands in the log, in `status` and in `explain`
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// What something is said of.
#[derive(Args, Debug)]
struct SubjectArguments {
    /// A region, a pool, an endpoint or POOL/ENDPOINT; `pool:NAME` where a region has that name, too
    what: String,
    /// The zone; needed where several have such a pool or endpoint. A region is meant in all zones
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
}

#[derive(Args, Debug)]
struct DrainArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    said: SaidArguments,
    #[command(flatten)]
    by: ByArguments,
}

#[derive(Args, Debug)]
struct UndrainArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    by: ByArguments,
}

#[derive(Args, Debug)]
struct OverrideArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// `clear` takes back what was said, a drain included
    verdict: ForcedVerdict,
    #[command(flatten)]
    said: SaidArguments,
    #[command(flatten)]
    by: ByArguments,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum ForcedVerdict {
    Up,
    Down,
    Clear,
}

#[derive(Args, Debug)]
struct FreezeArguments {
    #[command(flatten)]
    said: SaidArguments,
    #[command(flatten)]
    by: ByArguments,
}

#[derive(Args, Debug)]
struct FailbackArguments {
    /// The pool
    pool: String,
    /// Its zone, where several have a pool of that name
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    #[command(flatten)]
    by: ByArguments,
}

#[derive(Args, Debug)]
struct ProbeArguments {
    /// A check of the zone files: its name, or ZONE/NAME where several zones have one of that name
    #[arg(required_unless_present = "agent")]
    check: Option<String>,
    /// Be a vantage of the fleet ([fleet] of the server file) until SIGTERM or SIGINT
    #[arg(long, conflicts_with_all = ["check", "target", "count", "json"])]
    agent: bool,
    /// What to ask: an address or a host name [default: all endpoints that have the check]
    #[arg(long, value_name = "ADDRESS", value_parser = target_host)]
    target: Option<TargetHost>,
    /// How often to ask each, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct PushArguments {
    /// The directory of zone files
    #[arg(required_unless_present = "rollback")]
    directory: Option<PathBuf>,
    /// Publish earlier files again, as a new version [default: the last that were others]
    #[arg(long, value_name = "VERSION", num_args = 0..=1, conflicts_with = "directory")]
    rollback: Option<Option<u64>>,
    /// Say what would change, and publish nothing
    #[arg(long)]
    dry_run: bool,
    /// Publish without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Why; stands in the log of every node
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Who says so [default: $SUDO_USER or $USER]
    #[arg(long, value_name = "NAME", env = "WINDROSE_AUTHOR")]
    author: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct PullArguments {
    /// Where to put them: a directory that is empty, or not there yet
    directory: PathBuf,
}

#[derive(Args, Debug)]
struct GeoArguments {
    /// An address to look up, or `info`: the databases with their dates and licences
    #[arg(default_value = "info", value_name = "ADDRESS")]
    what: String,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct DemoArguments {
    /// End after so many seconds [default: run until Ctrl-C]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

/// An admin endpoint's address, also in the form in which the log and errors print it.
fn server_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    address
        .parse()
        .map_err(|_| "an address with a port is wanted, such as 127.0.0.1:5380".to_owned())
}

fn target_host(text: &str) -> Result<TargetHost, String> {
    match text.parse() {
        Ok(address) => Ok(TargetHost::Address(address)),
        Err(_) => Name::parse(text, &Name::root())
            .map(TargetHost::Name)
            .map_err(|error| error.to_string()),
    }
}

fn zone_name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error: NameError| error.to_string())
}

/// What a command came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done, or all is well.
    Fine,
    /// Something is wrong with the files, the answer or the node.
    Wrong,
    /// The command was used wrongly.
    Usage,
    /// The running node cannot be reached.
    Unreachable,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Wrong => 1,
            Self::Usage => 2,
            Self::Unreachable => 4,
        }
    }
}

/// Why a command ended early.
enum Failure {
    /// With these words on stderr.
    Said(Exit, String),
    /// The reader of our output has gone, which is its affair.
    Output,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Output
    }
}

/// Where a command writes.
struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Whether `err` may have colours.
    colour: bool,
}

impl Console<'_> {
    /// Prints findings, if there are any.
    fn report(&mut self, report: &Report) -> io::Result<()> {
        self.err.write_all(report.render(self.colour).as_bytes())
    }
}

/// Runs the command that `arguments` (with the program's name first) ask for.
pub fn run(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are data, everything else is talk; there is no third place to say that
            // neither could be written.
            let text = error.render().to_string();
            let is_fault = error.use_stderr();
            let _ = if is_fault {
                err.write_all(text.as_bytes())
            } else {
                out.write_all(text.as_bytes())
            };
            return if is_fault { Exit::Usage } else { Exit::Fine };
        }
    };
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut console = Console { out, err, colour };
    let place = Place::new(arguments.config);
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&mut console, place),
        Command::Check(arguments) => check::run(&mut console, &place, &arguments),
        Command::Explain(arguments) => explain::run(&mut console, &place, &arguments),
        Command::Status(arguments) => status::run(&mut console, &place, &arguments),
        Command::Drain(arguments) => operate::drain(&mut console, &place, arguments),
        Command::Undrain(arguments) => operate::undrain(&mut console, &place, arguments),
        Command::Override(arguments) => operate::override_verdict(&mut console, &place, arguments),
        Command::Freeze(arguments) => operate::freeze(&mut console, &place, arguments),
        Command::Unfreeze(arguments) => operate::unfreeze(&mut console, &place, &arguments),
        Command::Failback(arguments) => operate::failback(&mut console, &place, arguments),
        Command::Probe(arguments) if arguments.agent => serve::agent(&mut console, place),
        Command::Probe(arguments) => probe::run(&mut console, &place, &arguments),
        Command::Push(arguments) => push::push(&mut console, &place, arguments),
        Command::Pull(arguments) => push::pull(&mut console, &place, &arguments),
        Command::Geo(arguments) => geo::run(&mut console, &place, &arguments),
        Command::Demo(arguments) => demo::run(&mut console, &arguments),
    };
    match done {
        Ok(exit) => exit,
        Err(Failure::Output) => Exit::Wrong,
        Err(Failure::Said(exit, words)) => {
            let _ = writeln!(console.err, "error: {words}");
            exit
        }
    }
}

/// The server file, or its errors on stderr.
fn read_server(
    console: &mut Console<'_>,
    place: &Place,
) -> Result<crate::config::ServerConfig, Failure> {
    let mut report = Report::new();
    let config = load::read_server(place, &mut report);
    console.report(&report)?;
    config.ok_or_else(|| Failure::Said(Exit::Wrong, "the server file has errors".to_owned()))
}

/// Writes data as JSON.
fn write_json(console: &mut Console<'_>, data: &impl serde::Serialize) -> Result<Exit, Failure> {
    serde_json::to_writer_pretty(&mut console.out, data).map_err(io::Error::from)?;
    writeln!(console.out)?;
    Ok(Exit::Fine)
}

/// `7s`, `3m`, `5h`, `12d`: the largest unit, rounded down.
fn age(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86400 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86400),
    }
}

/// `1 zone`, `2 zones`.
fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// How a route of the admin endpoint is called, and what with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// With a query, to be told.
    Get,
    /// With a query, to take something back.
    Delete,
    /// With a body, to say something.
    Post,
    /// With a body, to set something.
    Put,
}

/// Asks the admin endpoint of a running node to tell something: see [`call`].
fn ask<T: serde::de::DeserializeOwned>(
    console: &mut Console<'_>,
    place: &Place,
    server: Option<SocketAddr>,
    path: &str,
    query: &impl serde::Serialize,
) -> Result<T, Failure> {
    call(console, place, server, (Call::Get, path), query)
}

/// Calls the admin endpoint of a running node: the one given, or the first of the server file.
fn call<T: serde::de::DeserializeOwned>(
    console: &mut Console<'_>,
    place: &Place,
    server: Option<SocketAddr>,
    (how, path): (Call, &str),
    given: &impl serde::Serialize,
) -> Result<T, Failure> {
    let server = match server {
        Some(server) => server,
        None => *read_server(console, place)?.fixed.admin.listen.first().ok_or_else(|| {
            Failure::Said(Exit::Usage, "the server file has no admin endpoint".to_owned())
        })?,
    };
    let unreachable = |error: &dyn std::fmt::Display| {
        let words = format!("cannot reach a running node at http://{server}: {error}");
        Failure::Said(Exit::Unreachable, words)
    };
    let given = serde_json::to_value(given).map_err(|error| unreachable(&error))?;
    let request = async {
        let mut url = reqwest::Url::parse(&format!("http://{server}{path}"))
            .expect("an address and a path make a URL");
        if matches!(how, Call::Get | Call::Delete) {
            for (key, value) in given.as_object().into_iter().flatten() {
                url.query_pairs_mut().append_pair(key, value.as_str().unwrap_or_default());
            }
        }
        let client = reqwest::Client::builder().no_proxy().build()?;
        let request = match how {
            Call::Get => client.get(url),
            Call::Delete => client.delete(url),
            Call::Post => client.post(url).json(&given),
            Call::Put => client.put(url).json(&given),
        };
        let response = request.send().await?;
        let status = response.status();
        Ok::<_, reqwest::Error>((status, response.bytes().await?))
    };
    crate::probe::install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, body) = runtime.block_on(request).map_err(|error| {
        // The outer ones name the parts of the client; the innermost says what happened.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        unreachable(&cause)
    })?;
    if !status.is_success() {
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let words = said["error"].as_str().unwrap_or("the node refused the request").to_owned();
        return Err(Failure::Said(Exit::Wrong, words));
    }
    serde_json::from_slice(&body).map_err(|error| unreachable(&error))
}
