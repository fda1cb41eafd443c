//! What an outage costs where 10,000 names are steered: `cargo run --release --example outage`.
//!
//! A node steers 10,000 names, no two rules alike, by distance over eight regions. Clients ask 5,000 times a
//! second for names at random. Then a region is taken down and brought back, ten times each, at the admin
//! endpoint: the verdict is there at once, so that what is measured is how long it takes to be in every
//! answer, and how much longer answers take meanwhile. Takes less than a minute.

#![allow(clippy::print_stdout, reason = "a report for people")]

#[path = "chance.rs"]
mod chance;

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use windrose::clock::Clock;
use windrose::load::{Place, read_server};
use windrose::model::{Report, Time};
use windrose::server::Node;

use self::chance::Chance;

const NAMES: usize = 10_000;
const RATE: u32 = 5_000;
const FLIPS: usize = 10;
/// So long after a flip answers count as given meanwhile.
const MEANWHILE: Duration = Duration::from_millis(300);
const BETWEEN: Duration = Duration::from_millis(1000);
const VISIBLE_MAX: Duration = Duration::from_millis(100);

/// Name, latitude, longitude, first three octets of its address.
const REGIONS: [(&str, f64, f64); 8] = [
    ("dublin", 53.35, -6.26),
    ("frankfurt", 50.11, 8.68),
    ("ashburn", 38.95, -77.45),
    ("oregon", 45.6, -121.2),
    ("mumbai", 19.08, 72.88),
    ("tokyo", 35.69, 139.69),
    ("sydney", -33.87, 151.21),
    ("sao-paulo", -23.55, -46.63),
];

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match tokio::runtime::Runtime::new()
        .map_err(Failure::from)
        .and_then(|rt| rt.block_on(measure()))
    {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("could not measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The zone: `n0` … `n9999`, each with a rule of its own.
fn zone() -> String {
    let mut zone = "zone = 'many.test'\nnameservers = ['ns1.example.net.']\n".to_owned();
    for (n, (name, latitude, longitude)) in REGIONS.iter().enumerate() {
        let _ = write!(
            zone,
            "[regions.{name}]\nlocation = [{latitude}, {longitude}]\n\
             [pools.{name}]\nregion = '{name}'\n\
             endpoints = [{{ address = '192.0.2.{n}' }}, {{ address = '198.51.100.{n}' }}]\n"
        );
    }
    let pools: Vec<String> = REGIONS.iter().map(|(name, ..)| format!("'{name}'")).collect();
    for n in 0..NAMES {
        let (ttl, ttl_min, bits) = (30 + n % 100, 1 + n / 100 % 10, 15 + n / 1000 % 10);
        let _ = write!(
            zone,
            "[steer.n{n}]\npolicy = 'nearest'\npools = [{}]\nttl = '{ttl}s'\nttl-min = '{ttl_min}s'\n\
             key-bits = {{ v4 = {bits}, v6 = 48 }}\n",
            pools.join(", ")
        );
    }
    zone
}

async fn measure() -> Result<bool, Failure> {
    let clock = Clock::start();
    let directory = std::env::temp_dir().join(format!("windrose-outage-{}", std::process::id()));
    fs::create_dir_all(directory.join("zones"))?;
    fs::write(directory.join("zones/many.test.toml"), zone())?;
    fs::write(
        directory.join("windrose.toml"),
        "version = 1\n[dns]\nlisten = ['127.0.0.1:0']\nthreads = 1\n[admin]\nlisten = ['127.0.0.1:0']\n\
         [log]\nlevel = 'warn'\n",
    )?;
    let place = Place::new(Some(directory.join("windrose.toml")));
    let mut report = Report::new();
    let config = read_server(&place, &mut report).ok_or_else(|| report.to_string())?;
    let begun = clock.now();
    let node = Node::start(place, &config).await.map_err(|error| error.to_string())?;
    let snapshot = node.current.load_full();
    let classes = snapshot
        .class_maps()
        .map(|map| map.classes().iter().map(|class| class.0).collect::<HashSet<_>>().len());
    println!(
        "{NAMES} names, classes of clients: {:?}; started in {} ms",
        classes.collect::<Vec<_>>(),
        clock.now().since(begun).as_millis()
    );
    drop(snapshot);
    let outcome = flip(&node, clock).await;
    node.shut_down().await;
    fs::remove_dir_all(&directory)?;
    outcome
}

async fn flip(node: &Node, clock: Clock) -> Result<bool, Failure> {
    windrose::probe::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let base = format!("http://{}/v1/overrides", node.addresses.admin[0]);
    let server = node.addresses.dns[0];
    let should_stop = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&should_stop);
    let clients = thread::spawn(move || ask_evenly(server, clock, &stop));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (mut flips, mut visible) = (Vec::new(), Vec::new());
    for n in 0..2 * FLIPS {
        let is_down = n % 2 == 0;
        let word = if is_down {
            let body =
                serde_json::json!({ "what": "dublin", "kind": "force-down", "author": "bench" });
            client.post(&base).json(&body)
        } else {
            client.delete(format!("{base}?what=dublin&author=bench"))
        };
        let follower = thread::spawn(move || follow(server, clock, is_down));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let at = clock.now();
        word.send().await?.error_for_status()?;
        flips.push(at);
        let last_old = follower.join().map_err(|_| "the follower panicked")??;
        visible.push(last_old.since(at));
        tokio::time::sleep(BETWEEN).await;
    }
    should_stop.store(true, Ordering::Relaxed);
    let answers = clients.join().map_err(|_| "the clients panicked")??;
    Ok(tell(&answers, &flips, visible))
}

/// Prints the figures; whether the outage was in every answer soon enough.
fn tell(answers: &[(Time, Option<Duration>)], flips: &[Time], mut visible: Vec<Duration>) -> bool {
    visible.sort_unstable();
    let longest = visible.last().copied().unwrap_or_default();
    println!(
        "from the word to the last answer of before: p50 {} ms, max {} ms (bar {} ms)",
        visible[visible.len() / 2].as_millis(),
        longest.as_millis(),
        VISIBLE_MAX.as_millis()
    );
    let is_meanwhile =
        |sent: &Time| flips.iter().any(|flip| *sent >= *flip && sent.since(*flip) < MEANWHILE);
    let lost = answers.iter().filter(|(_, took)| took.is_none()).count();
    let (meanwhile, else_): (Vec<_>, Vec<_>) =
        answers.iter().partition(|(sent, _)| is_meanwhile(sent));
    let part = |answers: &[(Time, Option<Duration>)], percent: usize| {
        let mut took: Vec<Duration> = answers.iter().filter_map(|(_, took)| *took).collect();
        took.sort_unstable();
        took.get(took.len() * percent / 100).map_or(0.0, |took| took.as_secs_f64() * 1e6)
    };
    for percent in [50, 99] {
        let (quiet, busy) = (part(&else_, percent), part(&meanwhile, percent));
        println!(
            "p{percent} of queries: {quiet:.0} us else, {busy:.0} us meanwhile ({:+.0} %)",
            100.0 * (busy / quiet - 1.0)
        );
    }
    println!("{} queries, {lost} lost", answers.len());
    lost == 0 && longest <= VISIBLE_MAX
}

/// Asks at an even rate; when each was sent, and how long its answer took.
fn ask_evenly(
    server: SocketAddr,
    clock: Clock,
    should_stop: &AtomicBool,
) -> Result<Vec<(Time, Option<Duration>)>, Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_micros(100)))?;
    let (begun, mut chance) = (clock.now(), Chance(7));
    let mut answers: Vec<(Time, Option<Duration>)> = Vec::new();
    let mut waiting = vec![0; 1 << 16];
    let mut reply = [0; 1500];
    let mut end = None;
    loop {
        let now = clock.now();
        let due = u128::from(RATE) * now.since(begun).as_nanos() / 1_000_000_000;
        if should_stop.load(Ordering::Relaxed) {
            let end = *end.get_or_insert(now + Duration::from_secs(1));
            if now > end {
                return Ok(answers);
            }
        } else {
            while u128::try_from(answers.len())? < due {
                let id = u16::try_from(answers.len() % waiting.len())?;
                waiting[usize::from(id)] = answers.len();
                answers.push((clock.now(), None));
                socket.send(&query(id, chance.below(NAMES)))?;
            }
        }
        // Nothing within the time: something else may be due.
        if socket.recv(&mut reply).is_ok() {
            let id = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
            if let Some((sent, took)) = answers.get_mut(waiting[id]) {
                *took = Some(clock.now().since(*sent));
            }
        }
    }
}

/// Asks for names at random, one after the other, until answers have been what they are to be for a while;
/// when the last came that was not.
fn follow(server: SocketAddr, clock: Clock, is_down: bool) -> Result<Time, Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut chance = Chance(u64::from(is_down));
    let (begun, mut reply) = (clock.now(), [0; 1500]);
    let mut last_old = begun;
    while clock.now().since(last_old) < Duration::from_millis(400) {
        let id = u16::try_from(chance.next_u32() >> 16)?;
        socket.send(&query(id, chance.below(NAMES)))?;
        let len = socket.recv(&mut reply)?;
        // The address is what stands before the OPT record: 11 octets, and 11 of client subnet.
        let address = &reply[len - 26..len - 22];
        if (address[3] == 0) == is_down {
            last_old = clock.now();
        }
        if clock.now().since(begun) > Duration::from_secs(10) {
            return Err("answers do not change".into());
        }
    }
    Ok(last_old)
}

/// A for one of the names, for a client in London.
fn query(id: u16, name: usize) -> Vec<u8> {
    let name = format!("n{name}");
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    packet.push(u8::try_from(name.len()).unwrap_or(0));
    packet.extend_from_slice(name.as_bytes());
    packet.extend_from_slice(b"\x04many\x04test\x00\x00\x01\x00\x01");
    // OPT: 1232 octets; client subnet 81.2.69.0/24.
    packet.extend_from_slice(&[
        0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 81, 2, 69,
    ]);
    packet
}
