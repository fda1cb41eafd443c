//! Windrose beside an echo of our own, by turns: where the peers' bench is not.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};

use crate::echo::LONGER;
use crate::figures::{Figures, Rounds, by_server};
use crate::generator::{self, Outcome, Pace};
use crate::ports::free_port;
use crate::process::{LOAD_CPU, SERVER_CPU, end_with_us, pin};
use crate::queries::{Queries, query, zone_name};
use crate::server::Server;
use crate::table::WINDROSE;
use crate::work::{Holding, Work};
use crate::world::{Directory, World};

const ECHO: &str = "echo";
/// How long each load is measured.
const LASTS: Duration = Duration::from_secs(1);
/// How long a server that starts may take to answer before it is asked again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Measures one kind of work in so many rounds, the echo first in each.
///
/// # Errors
/// When a server does not start or does not answer as it should.
pub(crate) fn measure(work: Work, rounds: usize, windrose: &Path) -> io::Result<Vec<Rounds>> {
    let directory = Directory::new()?;
    let ports = [free_port()?, free_port()?];
    let world = World::new(work.holding(), directory.path(), ports[1])?;
    let [echo_at, windrose_at] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));

    let mut command = Command::new(std::env::current_exe()?);
    command.args([ECHO, &echo_at.to_string()]);
    let mut echo = start(ECHO, command, directory.path())?;
    echo.wait_until(|| is_echoed(echo_at).unwrap_or(false))?;

    let mut command = Command::new(windrose);
    command.args(["serve", "--config"]).arg(directory.path().join("windrose.toml"));
    let mut server = start(WINDROSE, command, directory.path())?;
    server.wait_until(|| is_answered(windrose_at, work.holding()).unwrap_or(false))?;
    let World { mut queries, endpoints } = world;
    endpoints.iter().try_for_each(|endpoints| endpoints.wait_for_checks())?;

    let mut measured = Vec::new();
    for round in 1..=rounds {
        for (name, server, address) in [(ECHO, &echo, echo_at), (WINDROSE, &server, windrose_at)] {
            let figures = one_round(server, address, &mut queries)?;
            eprintln!("{}, round {round}, {name}: {:.2} us", work.name(), figures.cost);
            if name == WINDROSE && !figures.shares.is_like(&work.right()) {
                let (found, right) = (figures.shares, work.right());
                return Err(io::Error::other(format!("answers are {found:?}, not {right:?}")));
            }
            measured.push((name.to_owned(), figures));
        }
    }
    Ok(by_server(measured))
}

/// Starts a server on its processor.
fn start(name: &'static str, mut command: Command, directory: &Path) -> io::Result<Server> {
    end_with_us(&mut command);
    pin(SERVER_CPU)?;
    let server = Server::start(name, command, directory);
    pin(LOAD_CPU)?;
    server
}

/// Asks as fast as answers come, then half as fast.
fn one_round(server: &Server, address: SocketAddr, queries: &mut Queries) -> io::Result<Figures> {
    let mut load = |pace| generator::run(&server.child, address, queries, pace, LASTS);
    let Outcome { took, processor_time, tally: top } = load(Pace::Top)?;
    if top.answered() == 0 {
        return Err(io::Error::other("no answer came"));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of seconds are far below 2^53")]
    let answered = top.answered() as f64;
    let cost = processor_time.as_secs_f64() / answered;
    let Outcome { tally: mut half, .. } = load(Pace::Rate(0.5 / cost))?;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Figures {
        cost: 1e6 * cost,
        rate: answered / took.as_secs_f64(),
        busy: processor_time.as_secs_f64() / took.as_secs_f64(),
        p50: micros(half.latency(50)),
        p99: micros(half.latency(99)),
        lost: top.lost + half.lost,
        shares: top.shares(),
    })
}

fn ask(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(question)?;
    let mut reply = vec![0; 4096];
    let len = socket.recv(&mut reply)?;
    reply.truncate(len);
    Ok(reply)
}

fn is_echoed(server: SocketAddr) -> io::Result<bool> {
    let question = query("bench.test", RecordType::A, None);
    Ok(ask(server, &question)?.len() == question.len() + LONGER)
}

/// Whether the first name of the last zone has the address that it was given.
fn is_answered(server: SocketAddr, holding: Holding) -> io::Result<bool> {
    let (question, address): (_, fn([u8; 4]) -> bool) = match holding {
        Holding::Static { zones, .. } => {
            let name = format!("h000000.{}", zone_name(zones - 1, zones));
            (query(&name, RecordType::A, None), |octets| octets == [10, 0, 0, 0])
        }
        Holding::Steered { .. } => {
            let question = query("w000000.gslb.test", RecordType::A, Some([81, 2, 69]));
            (question, |octets| octets.starts_with(&[127, 1]))
        }
    };
    let reply = Message::from_vec(&ask(server, &question)?).map_err(io::Error::other)?;
    Ok(match reply.answers.as_slice() {
        [record] => matches!(&record.data, RData::A(a) if address(a.0.octets())),
        _ => false,
    })
}
