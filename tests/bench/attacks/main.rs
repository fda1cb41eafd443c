//! What attackers do to a good client: `cargo run --release --example attacks`.
//!
//! A node runs as a child of this process, on loopback. One attack after the other goes on for a few
//! seconds while a good client asks 1,000 times a second; then there is a table of what became of both,
//! of what a packet of the attack cost the node in processor time, and of how much its memory grew. Exits
//! with 1 when a bar is missed: on a machine that does nothing else. Takes a minute and a half.
//!
//! Which attack comes from where is told in `src/dns/tests/attacks.rs`, which has those that need no load.

#![allow(clippy::print_stdout, reason = "a report for people")]

mod flood;
mod good;
mod node;
mod packets;
mod table;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use windrose::clock::Clock;
use windrose::memory::Allocator;

use self::flood::{Flood, Source};
use self::good::{GoodClient, Via};
use self::node::Node;
use self::table::{Bar, Row, Table};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// How long each attack goes on.
const LASTS: Duration = Duration::from_secs(4);
/// Packets a second of a flood, if the machine can send so many.
const RATE: u32 = 50_000;
/// Responses that are sent to the node in all.
const RESPONSES: u64 = 160_000;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|argument| argument == "serve") {
        let (out, err) = (&mut io::stdout().lock(), &mut io::stderr());
        return ExitCode::from(windrose::cli::run(arguments, out, err).code());
    }
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("could not measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all bars were met.
fn measure() -> Result<bool, Failure> {
    let node = Node::start()?;
    let mut table = Table::new();
    // Nothing is measured before the node's memory has taken its shape.
    under_udp_attack(&node, packets::malformed(1))?;
    table.add(calm(&node)?);
    for (row, what, packets, bars) in udp_attacks() {
        table.add(Row { row, what, bars, ..under_udp_attack(&node, packets)? });
    }
    table.add(responses(&node)?);
    table.add(reflection(&node)?);
    table.add(huge_answers(&node)?);
    for (what, message) in packets::large_messages() {
        table.add(large_messages(&node, what, message)?);
    }
    node.check_alive()?;
    Ok(table.print())
}

type UdpAttack = (&'static str, &'static str, Vec<Vec<u8>>, Vec<Bar>);

/// Floods over UDP, and what must hold under each.
fn udp_attacks() -> Vec<UdpAttack> {
    let served = [Bar::Good(99.0), Bar::P99(Duration::from_millis(10)), Bar::Growth(1024)];
    let with = |bars: &[Bar]| served.iter().chain(bars).copied().collect();
    let formerr = [Bar::Cost(Duration::from_micros(10)), Bar::Answered(99.0)];
    vec![
        ("1", "malformed", packets::malformed(2), with(&[])),
        ("2", "compression loops", packets::loops(), with(&formerr)),
        ("17", "operations and classes", packets::operations(), with(&[])),
        ("17", "updates", packets::updates(), with(&[])),
        ("18", "chains and loops", packets::chains(), with(&[Bar::Good(100.0)])),
        ("19", "referrals with glue", packets::referrals(), with(&[])),
        ("20", "names of 120 labels", packets::deep_names(), with(&[])),
        ("22", "client subnets", packets::client_subnets(), with(&[])),
    ]
}

/// The good client alone: a machine that is busy with something else shows it here, and no figure below
/// can be better.
fn calm(node: &Node) -> Result<Row, Failure> {
    let good = GoodClient::start(node.address(), Via::Udp)?;
    wait(LASTS);
    let bars = vec![Bar::Good(100.0), Bar::P99(Duration::from_millis(2))];
    Ok(Row { what: "none, the client alone", good: good.stop()?, bars, ..Row::default() })
}

/// Does nothing for so long.
fn wait(lasts: Duration) {
    let clock = Clock::start();
    let begun = clock.now();
    // May wake early, and does once a thread that was waited for has ended.
    while clock.now().since(begun) < lasts {
        std::thread::park_timeout(lasts.saturating_sub(clock.now().since(begun)));
    }
}

/// A flood over UDP beside a good client.
fn under_udp_attack(node: &Node, packets: Vec<Vec<u8>>) -> Result<Row, Failure> {
    let before = node.usage()?;
    let good = GoodClient::start(node.address(), Via::Udp)?;
    let flood = Flood { packets, rate: RATE, source: Source::Any };
    let (sent, answered) = flood.run(node.address(), LASTS)?;
    let good = good.stop()?;
    let after = node.usage()?;
    Ok(Row::new(sent, answered, good, before, after))
}

/// Row 3: responses, and what is too short to be anything.
fn responses(node: &Node) -> Result<Row, Failure> {
    let before = node.usage()?;
    let good = GoodClient::start(node.address(), Via::Udp)?;
    let flood = Flood { packets: packets::responses(), rate: RATE, source: Source::Any };
    let (sent, answered) = flood.run_until(node.address(), RESPONSES)?;
    let row = Row::new(sent, answered, good.stop()?, before, node.usage()?);
    let bars = vec![Bar::Silent, Bar::Good(99.0), Bar::Growth(1024)];
    Ok(Row { row: "3", what: "responses", bars, ..row })
}

/// Row 3: queries from the ports of services that answer everything.
fn reflection(node: &Node) -> Result<Row, Failure> {
    let what = "queries from ports 7 to 37";
    let (mut sent, mut answered) = (0, 0);
    for port in [7, 13, 17, 19, 37] {
        let packets = vec![packets::query("www", 1)];
        let flood = Flood { packets, rate: 1_000, source: Source::Port(port) };
        match flood.run_until(node.address(), 100) {
            Ok((own_sent, own_answered)) => {
                sent += own_sent;
                answered += own_answered;
            }
            // Such ports are for those who may have them.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Row { row: "3", what, sent, answered, bars: vec![Bar::Silent], ..Row::default() })
}

/// Row 19: the good client is the one that asks for 60 KB, over TCP.
fn huge_answers(node: &Node) -> Result<Row, Failure> {
    let before = node.usage()?;
    let good = GoodClient::start(node.address(), Via::TcpHuge)?;
    wait(LASTS);
    let row = Row::new(0, 0, good.stop()?, before, node.usage()?);
    let bars = vec![Bar::Good(100.0), Bar::P50(Duration::from_millis(2)), Bar::Growth(1024)];
    Ok(Row { row: "19", what: "3,900 records over TCP", bars, ..row })
}

/// Row 21: queries of 64 KB over TCP beside a good client.
fn large_messages(node: &Node, what: &'static str, message: Vec<u8>) -> Result<Row, Failure> {
    let before = node.usage()?;
    let good = GoodClient::start(node.address(), Via::Udp)?;
    let (sent, answered) = flood::over_tcp(node.address(), &message, LASTS)?;
    let row = Row::new(sent, answered, good.stop()?, before, node.usage()?);
    let bars = vec![
        Bar::Answered(100.0),
        Bar::Good(99.0),
        Bar::P99(Duration::from_millis(10)),
        // What a copy of 64 KB through a socket costs, and as much again.
        Bar::Cost(Duration::from_micros(200)),
        Bar::Growth(1024),
    ];
    Ok(Row { row: "21", what, bars, ..row })
}
