//! How fast one node alone sees that endpoints are dead: `cargo run --release --example kills`.
//!
//! Two hundred names have an endpoint each, checked every five seconds (`fall = 3`, all else at its default), and
//! one that stands in for it. All die within twenty seconds, each at its own moment: first they refuse, then, once
//! they are back, they fall silent: connections are taken and nothing is said. Names of the dead are asked for every 20 ms.
//! Prints how long it took from each death to the first answer that leads elsewhere; exits with 1 if the bar is
//! missed. Takes some three minutes, most of it for the node to learn what is usual.

#![allow(clippy::print_stdout, reason = "a report for people")]

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};
use windrose::clock::Clock;
use windrose::load::{Place, read_server};
use windrose::memory::Allocator;
use windrose::model::{Report, Time};
use windrose::server::Node;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const VICTIMS: u8 = 200;
/// All of them die within this time.
const SPREAD: Duration = Duration::from_secs(20);
/// From a death to the first answer that leads elsewhere, 99 of 100 times.
const P99_MAX: Duration = Duration::from_secs(8);
/// What has not been noticed so long after the last death is not.
const GIVEN_UP: Duration = Duration::from_secs(20);
/// How long it takes until nine answers were seen of each, or all are up again.
const SETTLED: Duration = Duration::from_secs(50);
const ASK: Duration = Duration::from_millis(20);
const STAND_IN: Ipv4Addr = Ipv4Addr::new(127, 2, 255, 1);
const SERVER: &str = "version = 1\n[dns]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = []\n\
                      [zones]\ndirectory = \"zones\"\n[state]\ndirectory = \"state\"\n";

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<ExitCode, Failure> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> Result<ExitCode, Failure> {
    let mut victims = Victims::new().await?;
    let files = Files::new(victims.port)?;
    let place = Place::new(Some(files.0.join("windrose.toml")));
    let mut report = Report::new();
    let config = read_server(&place, &mut report).ok_or_else(|| report.to_string())?;
    let node = Node::start(place, &config).await.map_err(|error| error.to_string())?;
    let server = node.addresses.dns[0];
    println!("{VICTIMS} kills each, one node, interval 5 s, timeout 2 s, fall 3");
    let mut is_met = true;
    for (what, death) in [("refused", Death::Refused), ("silent", Death::Silent)] {
        sleep(SETTLED).await;
        let times = series(server, &mut victims, death).await?;
        let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or(Duration::MAX);
        let of = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        let most = times.last().copied().unwrap_or_default();
        println!(
            "  {what:8} {} noticed; p50 {:.2?}, p90 {:.2?}, p99 {p99:.2?}, most {most:.2?} (p99 at most {P99_MAX:?})",
            times.len(),
            of(50),
            of(90),
        );
        is_met &= times.len() == usize::from(VICTIMS) && p99 <= P99_MAX;
    }
    node.shut_down().await;
    println!("{}", if is_met { "the bar is met" } else { "the bar is MISSED" });
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills all, and revives them once it is over; how long it took each time it was noticed, in order.
async fn series(
    server: SocketAddr,
    victims: &mut Victims,
    death: Death,
) -> Result<Vec<Duration>, Failure> {
    let clock = Clock::start();
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    let start = clock.now();
    // In an order and at distances that have nothing to do with places in the interval.
    let due: Vec<Time> =
        (0..u32::from(VICTIMS)).map(|n| start + SPREAD * (n * 83 % 200) / 200).collect();
    let mut died: HashMap<u8, Time> = HashMap::new();
    let mut times: HashMap<u8, Duration> = HashMap::new();
    let mut ticks = interval(ASK);
    let mut reply = [0; 512];
    while times.len() < usize::from(VICTIMS) && clock.now() < start + SPREAD + GIVEN_UP {
        tokio::select! {
            _ = ticks.tick() => {
                for n in 0..VICTIMS {
                    if due[usize::from(n)] <= clock.now() && !died.contains_key(&n) {
                        victims.kill(n, death).await?;
                        died.insert(n, clock.now());
                    }
                    if died.contains_key(&n) && !times.contains_key(&n) {
                        socket.send(&query(n)).await?;
                    }
                }
            }
            received = socket.recv(&mut reply) => {
                let len = received?;
                // The number of the query is that of the victim; the only record's data are the last octets.
                let (Some(n), true) = (reply[..len].get(1).copied(), len > 16) else { continue };
                if reply[len - 4..len] == STAND_IN.octets() && !times.contains_key(&n) {
                    times.insert(n, clock.now().since(died[&n]));
                }
            }
        }
    }
    for n in 0..VICTIMS {
        victims.revive(n).await?;
    }
    let mut times: Vec<Duration> = times.into_values().collect();
    times.sort_unstable();
    Ok(times)
}

/// For the address of a name, without any option.
fn query(n: u8) -> Vec<u8> {
    let label = format!("n{n}");
    let mut packet = vec![0, n, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [label.as_str(), "kills", "test"] {
        packet.push(u8::try_from(label.len()).expect("labels here are short"));
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

// ---- Those who die ----

#[derive(Clone, Copy)]
enum Death {
    /// The port is closed.
    Refused,
    /// Connections are taken, and nothing is said.
    Silent,
}

/// The endpoints, by their number, and the one that stands in for all.
struct Victims {
    port: u16,
    running: Vec<JoinHandle<()>>,
    _stand_in: JoinHandle<()>,
}

impl Victims {
    async fn new() -> io::Result<Self> {
        let stand_in = TcpListener::bind((STAND_IN, 0)).await?;
        let port = stand_in.local_addr()?.port();
        let mut running = Vec::new();
        for n in 0..VICTIMS {
            running.push(tokio::spawn(answer(TcpListener::bind((address(n), port)).await?)));
        }
        Ok(Self { port, running, _stand_in: tokio::spawn(answer(stand_in)) })
    }

    async fn end(&mut self, n: u8) {
        let task = &mut self.running[usize::from(n)];
        task.abort();
        // It was aborted, and that is what this says.
        let _ = task.await;
    }

    async fn kill(&mut self, n: u8, death: Death) -> io::Result<()> {
        self.end(n).await;
        self.running[usize::from(n)] = match death {
            Death::Refused => tokio::spawn(async {}),
            Death::Silent => {
                let listener = TcpListener::bind((address(n), self.port)).await?;
                tokio::spawn(async move {
                    let mut held = Vec::new();
                    while let Ok((stream, _)) = listener.accept().await {
                        held.push(stream);
                    }
                })
            }
        };
        Ok(())
    }

    async fn revive(&mut self, n: u8) -> io::Result<()> {
        // A task that is over can be waited for only once.
        if !self.running[usize::from(n)].is_finished() {
            self.end(n).await;
        }
        let listener = TcpListener::bind((address(n), self.port)).await?;
        self.running[usize::from(n)] = tokio::spawn(answer(listener));
        Ok(())
    }
}

fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 2, 0, n)
}

async fn answer(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(timeout(GIVEN_UP, answer_one(stream)));
    }
}

async fn answer_one(mut stream: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n").await?;
    // The prober hangs up; whoever closes first keeps the port in TIME_WAIT.
    stream.read_buf(&mut request).await.map(drop)
}

// ---- Files ----

/// The directory that the node runs from; goes away with this.
struct Files(PathBuf);

impl Files {
    fn new(port: u16) -> io::Result<Self> {
        let files =
            Self(std::env::temp_dir().join(format!("windrose-kills-{}", std::process::id())));
        fs::create_dir_all(files.0.join("zones"))?;
        fs::write(files.0.join("windrose.toml"), SERVER)?;
        fs::write(files.0.join("zones/kills.test.toml"), zone(port))?;
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What is left in a temporary directory is the system's to clean.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn zone(port: u16) -> String {
    let mut text = format!(
        "zone = \"kills.test\"\nnameservers = [\"ns1.lab.test.\", \"ns2.lab.test.\"]\nttl = \"30s\"\n\
         [regions.here]\nlocation = [50.1, 8.7]\n[regions.there]\nlocation = [39.0, -77.5]\n\
         [checks.web]\nkind = \"http\"\nport = {port}\ninterval = \"5s\"\nfall = 3\n\
         [pools.stand-in]\nregion = \"there\"\ncheck = \"web\"\nendpoints = [{{ address = \"{STAND_IN}\" }}]\n"
    );
    for n in 0..VICTIMS {
        let address = address(n);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[pools.p{n}]\nregion = \"here\"\ncheck = \"web\"\nendpoints = [{{ address = \"{address}\" }}]\n\
             [steer.n{n}]\npolicy = \"failover\"\npools = [\"p{n}\", \"stand-in\"]\n"
        );
    }
    text
}
