//! What an outage costs where 10,000 names are steered: `cargo run --release --example outage`.
//!
//! A node steers 10,000 names, no two rules alike, by distance over eight regions. Clients ask 5,000 times a
//! second for names at random. Then a region is taken down and brought back, fifty times each, at the admin
//! endpoint: the verdict is there at once, so that what is measured is how long it takes to be in every
//! answer, and how much longer answers take meanwhile. Clients are elsewhere in life and share the machine
//! here: when an answer came is told by the kernel, and they come before all else to a processor (as root), so
//! that they ask evenly however busy the node is, and are not measured with it. Half of the time is meanwhile.
//! Takes little more than a minute.

#![allow(clippy::print_stdout, reason = "a report for people")]

#[path = "chance.rs"]
#[expect(dead_code, reason = "others use all of it")]
mod chance;

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use windrose::clock::{Clock, unix_now};
use windrose::load::{Place, read_server};
use windrose::memory::{self, Allocator};
use windrose::model::Report;
use windrose::server::Node;

use self::chance::Chance;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const NAMES: usize = 10_000;
const RATE: u32 = 5_000;
const FLIPS: usize = 50;
/// So long after a flip answers count as given meanwhile.
const MEANWHILE: Duration = Duration::from_millis(300);
const BETWEEN: Duration = Duration::from_millis(600);
const VISIBLE_MAX: Duration = Duration::from_millis(100);
/// So much longer may one query of a hundred take meanwhile, in percent.
const RISE_MAX: f64 = 20.0;

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
    memory::set_up();
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
    let mut flips = Vec::new();
    for n in 0..2 * FLIPS {
        let is_down = n % 2 == 0;
        let word = if is_down {
            let body =
                serde_json::json!({ "what": "dublin", "kind": "force-down", "author": "bench" });
            client.post(&base).json(&body)
        } else {
            client.delete(format!("{base}?what=dublin&author=bench"))
        };
        flips.push(Flip { at: unix_now(), is_down });
        word.send().await?.error_for_status()?;
        tokio::time::sleep(BETWEEN).await;
    }
    should_stop.store(true, Ordering::Relaxed);
    let asked = clients.join().map_err(|_| "the clients panicked")??;
    tell(&asked, &flips)
}

/// A word to the admin endpoint: when it was given (since 1970), and what it said of the region.
struct Flip {
    at: Duration,
    is_down: bool,
}

/// One query. Times are since 1970.
struct Asked {
    sent: Duration,
    answer: Option<Answer>,
}

/// When it came, and whether it led to the region.
struct Answer {
    came: Duration,
    is_dublin: bool,
}

/// Prints the figures; whether the outage was in every answer soon enough, and queries took hardly longer.
fn tell(asked: &[Asked], flips: &[Flip]) -> Result<bool, Failure> {
    let mut visible = Vec::new();
    for flip in flips {
        let around = asked.iter().filter(|asked| asked.sent < flip.at + BETWEEN);
        let answers = around.filter_map(|asked| asked.answer.as_ref());
        let after = answers.filter(|answer| answer.came >= flip.at);
        let (old, new): (Vec<_>, Vec<_>) =
            after.partition(|answer| answer.is_dublin == flip.is_down);
        let last_old = old.iter().map(|answer| answer.came).max().unwrap_or(flip.at);
        if !new.iter().any(|answer| answer.came > last_old) {
            return Err("answers do not change".into());
        }
        visible.push(last_old - flip.at);
    }
    visible.sort_unstable();
    let longest = visible.last().copied().unwrap_or_default();
    println!(
        "from the word to the last answer of before: p50 {} ms, max {} ms (bar {} ms)",
        visible[visible.len() / 2].as_millis(),
        longest.as_millis(),
        VISIBLE_MAX.as_millis()
    );
    let is_meanwhile = |asked: &&Asked| {
        flips.iter().any(|flip| (flip.at..flip.at + MEANWHILE).contains(&asked.sent))
    };
    let (meanwhile, else_): (Vec<_>, Vec<_>) = asked.iter().partition(is_meanwhile);
    let rises = [500, 990, 999].map(|per_mille| {
        let [quiet, busy] = [&else_, &meanwhile].map(|asked| part(asked, per_mille));
        let rise = 100.0 * (busy / quiet - 1.0);
        println!(
            "p{} of queries: {quiet:.0} us else, {busy:.0} us meanwhile ({rise:+.0} %)",
            f64::from(per_mille) / 10.0
        );
        rise
    });
    let lost = asked.iter().filter(|asked| asked.answer.is_none()).count();
    println!("{} queries, {lost} lost (bar of p99: {RISE_MAX:+.0} %)", asked.len());
    Ok(lost == 0 && longest <= VISIBLE_MAX && rises[1] < RISE_MAX)
}

/// The time, in microseconds, within which so many of a thousand answers came.
fn part(asked: &[&Asked], per_mille: u16) -> f64 {
    let took = asked.iter().filter_map(|asked| {
        asked.answer.as_ref().map(|answer| answer.came.saturating_sub(asked.sent))
    });
    let mut took: Vec<Duration> = took.collect();
    took.sort_unstable();
    took.get(took.len() * usize::from(per_mille) / 1000)
        .map_or(0.0, |took| took.as_secs_f64() * 1e6)
}

/// Asks at an even rate, until it should stop, and for what is on its way a second longer.
fn ask_evenly(
    server: SocketAddr,
    clock: Clock,
    should_stop: &AtomicBool,
) -> Result<Vec<Asked>, Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, ReceiveTimestampns, &true)?;
    if let Err(error) = come_first() {
        println!("clients wait for a processor like everybody: {error}");
    }
    let (begun, mut chance) = (clock.now(), Chance(7));
    let mut asked: Vec<Asked> = Vec::new();
    // By the query's number: which it was.
    let mut waiting = vec![0; 1 << 16];
    let mut end = None;
    loop {
        let now = clock.now();
        let due = u128::from(RATE) * now.since(begun).as_nanos() / 1_000_000_000;
        if should_stop.load(Ordering::Relaxed) {
            let end = *end.get_or_insert(now + Duration::from_secs(1));
            if now > end {
                return Ok(asked);
            }
        } else {
            while u128::try_from(asked.len())? < due {
                let id = u16::try_from(asked.len() % waiting.len())?;
                waiting[usize::from(id)] = asked.len();
                let packet = query(id, chance.below(NAMES));
                asked.push(Asked { sent: unix_now(), answer: None });
                socket.send(&packet)?;
            }
        }
        while let Some((id, answer)) = hear(&socket)? {
            if let Some(asked) = asked.get_mut(waiting[usize::from(id)]) {
                asked.answer = Some(answer);
            }
        }
        let next = u64::try_from((due + 1) * 1_000_000_000 / u128::from(RATE))?;
        let next = begun + Duration::from_nanos(next);
        thread::park_timeout(next.since(clock.now()));
    }
}

/// Puts the calling thread before all ordinary ones.
#[expect(unsafe_code, reason = "the call has no safe interface")]
fn come_first() -> std::io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 1 };
    // SAFETY: the kernel reads the parameter, which outlives the call.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
    if set < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes an answer, if there is one, with its number.
fn hear(socket: &UdpSocket) -> Result<Option<(u16, Answer)>, Failure> {
    let mut reply = [0; 1500];
    let mut control = cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(&mut reply)];
    let flags = MsgFlags::empty();
    let (len, came) = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)
    {
        Ok(message) => {
            let came = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(came) => Some(came),
                _ => None,
            });
            (message.bytes, came.ok_or("the kernel does not say when answers come")?)
        }
        Err(Errno::EAGAIN) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let reply = reply.get(..len).filter(|reply| reply.len() > 26).ok_or("a short answer")?;
    // The address is what stands before the OPT record: 11 octets, and 11 of client subnet.
    let address = &reply[len - 26..len - 22];
    let answer = Answer { came: came.into(), is_dublin: address[3] == 0 };
    Ok(Some((u16::from_be_bytes([reply[0], reply[1]]), answer)))
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
