//! How fast failover is, and what it costs clients: `cargo run --release --example failover`.
//!
//! A node serves the shipped zone by the shipped database over loopback; the endpoints live in this
//! process; clients in three places ask 5,000 times a second. First each region is killed and revived
//! by turns, closed or fallen silent. Then zones are reloaded, good and broken ones by turns. Exits
//! with 1 when a bar is missed. Takes about three minutes.

#![allow(clippy::print_stdout, reason = "a report for people")]

mod load;
mod world;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use windrose::clock::Clock;
use windrose::load::{Place, read_server};
use windrose::memory::Allocator;
use windrose::model::{Report, Time};
use windrose::server::Node;

use self::load::{Load, Totals};
use self::world::{Endpoints, Files, PLACES, REGIONS, State};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Queries a second.
const RATE: u32 = 5_000;
/// Kills, and reloads of each kind.
const ROUNDS: u32 = 20;
/// From a kill to the first answer that leads elsewhere: the median and the longest that may be.
const P50_MAX: Duration = Duration::from_millis(1500);
const LONGEST_MAX: Duration = Duration::from_secs(3);
/// When answers have not changed after so long, they do not.
const GIVEN_UP: Duration = Duration::from_secs(15);
/// How long nothing may change before what follows counts as settled.
const SETTLED: Duration = Duration::from_millis(300);

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            println!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(measure()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("could not measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all bars were met.
async fn measure() -> Result<bool, Failure> {
    let clock = Clock::start();
    let mut endpoints = Endpoints::new().await?;
    let files = Files::new(&endpoints)?;
    let place = Place::new(Some(files.path("windrose.toml")));
    let mut report = Report::new();
    let config = read_server(&place, &mut report).ok_or_else(|| report.to_string())?;
    let node = Node::start(place, &config).await.map_err(|error| error.to_string())?;
    let server = node.addresses.dns[0];
    let is_fast = measure_failover(server, clock, &mut endpoints).await?;
    let is_seamless = measure_reload(&node, server, clock, &files).await?;
    node.shut_down().await;
    println!("{}", if is_fast && is_seamless { "all bars met" } else { "a bar was MISSED" });
    Ok(is_fast && is_seamless)
}

// ---- Failover ----

/// How long clients of a region took to go, or to come back.
#[derive(Clone, Copy)]
struct Move {
    kind: State,
    /// Until the first answer that leads to the new region.
    first: Duration,
    /// Until the first after which none leads to the old one.
    last: Duration,
}

async fn measure_failover(
    server: SocketAddr,
    clock: Clock,
    endpoints: &mut Endpoints,
) -> Result<bool, Failure> {
    println!(
        "{ROUNDS} kills at {RATE} queries a second; interval 1 s, timeout 500 ms, rise 2, fall 2"
    );
    let mut load = Load::start(server, RATE, clock)?;
    let (mut away, mut back) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let kind = if round % 2 == 0 { State::Refusing } else { State::Silent };
        let region = usize::try_from(round / 2)? % REGIONS.len();
        // Probes come once a second and what was measured before ended with one: without this, all
        // kills would fall on the same moment between two probes.
        sleep(Duration::from_secs_f64((f64::from(round) * 0.618).fract())).await;
        let place = &PLACES[region];
        let went =
            follow(&mut load, endpoints, region, kind, (place.home, place.next), clock).await?;
        sleep(Duration::from_secs_f64((f64::from(round) * 0.382).fract())).await;
        let came =
            follow(&mut load, endpoints, region, State::Alive, (place.next, place.home), clock);
        let came = Move { kind, ..came.await? };
        let name = REGIONS[region].name;
        println!(
            "  {round:2} {name:8} {kind:8?}  away {:4} to {:4} ms   back {:4} to {:4} ms",
            went.first.as_millis(),
            went.last.as_millis(),
            came.first.as_millis(),
            came.last.as_millis(),
        );
        away.push(went);
        back.push(came);
    }
    let totals = tokio::task::spawn_blocking(|| load.stop()).await??;
    print_moves("from kill to another region", &away);
    print_moves("from revival back home", &back);
    let is_clean = print_totals(&totals);
    let firsts = sorted(away.iter().map(|went| went.first));
    let is_fast = median(&firsts) <= P50_MAX
        && away.iter().chain(&back).all(|moved| moved.last <= LONGEST_MAX);
    Ok(is_clean && is_fast)
}

/// Puts a region into a state and follows its clients from one region to the other.
async fn follow(
    load: &mut Load,
    endpoints: &mut Endpoints,
    region: usize,
    state: State,
    (from, to): (usize, usize),
    clock: Clock,
) -> Result<Move, Failure> {
    let place = PLACES.iter().position(|place| place.home == region).ok_or("no such place")?;
    while load.changes.try_recv().is_ok() {}
    load.allowed.set(place, &[from, to]);
    let begun = clock.now();
    endpoints.set(region, state).await?;
    let mut seen = Seen::default();
    let moved = timeout(GIVEN_UP, async {
        while let Some(change) = load.changes.recv().await {
            if change.stream.place == place {
                seen.note(change.stream.is_v6, change.region == to, change.at);
            }
            if seen.is_over() {
                break;
            }
        }
    });
    moved.await.map_err(|_| format!("{}: answers do not change", REGIONS[region].name))?;
    // Some might go back: what is allowed shrinks only now, and later answers are judged by it.
    while let Ok(Some(change)) = timeout(SETTLED, load.changes.recv()).await {
        seen.note(change.stream.is_v6, change.region == to, change.at);
    }
    load.allowed.set(place, &[to]);
    let (first, last) = seen.times().ok_or("nothing was seen")?;
    Ok(Move { kind: state, first: first.since(begun), last: last.since(begun) })
}

/// Which families of a place have moved, and when.
#[derive(Default)]
struct Seen {
    has_moved: [bool; 2],
    first: Option<Time>,
    last: Option<Time>,
}

impl Seen {
    fn note(&mut self, is_v6: bool, has_moved: bool, at: Time) {
        self.has_moved[usize::from(is_v6)] = has_moved;
        if has_moved {
            self.first.get_or_insert(at);
            self.last = Some(at);
        }
    }

    fn is_over(&self) -> bool {
        self.has_moved == [true; 2]
    }

    fn times(&self) -> Option<(Time, Time)> {
        self.first.zip(self.last)
    }
}

// ---- Reload ----

async fn measure_reload(
    node: &Node,
    server: SocketAddr,
    clock: Clock,
    files: &Files,
) -> Result<bool, Failure> {
    println!("\n{ROUNDS} broken and {ROUNDS} good reloads at {RATE} queries a second");
    let path = files.path("zones/example.com.toml");
    let good = std::fs::read_to_string(&path)?;
    let load = Load::start(server, RATE, clock)?;
    let mut took = Vec::new();
    let mut is_right = true;
    for round in 0..ROUNDS {
        std::fs::write(&path, good.replace("pools    = [\"web-eu\"", "pools = [\"web-ue\""))?;
        is_right &= node.controls.reload("the bench").await.is_err();
        let ttl = 30 + round;
        std::fs::write(&path, good.replace("ttl         = \"30s\"", &format!("ttl = \"{ttl}s\"")))?;
        let begun = clock.now();
        is_right &= node.controls.reload("the bench").await.is_ok();
        took.push(clock.now().since(begun));
    }
    let totals = tokio::task::spawn_blocking(|| load.stop()).await??;
    let took = sorted(took.into_iter());
    let longest = took.last().copied().unwrap_or_default();
    println!(
        "  a good reload takes p50 {} ms, max {} ms",
        median(&took).as_millis(),
        longest.as_millis()
    );
    println!("  all outcomes as expected: {is_right}");
    Ok(print_totals(&totals) && is_right)
}

// ---- What is printed ----

fn print_moves(title: &str, moves: &[Move]) {
    println!("{title}: first answer p50/max, last old answer p50/max");
    let print = |name: &str, moves: &[Move]| {
        let first = sorted(moves.iter().map(|moved| moved.first));
        let last = sorted(moves.iter().map(|moved| moved.last));
        let max = |times: &[Duration]| times.last().copied().unwrap_or_default();
        println!(
            "  {name:8} {:4}/{:4} ms   {:4}/{:4} ms",
            median(&first).as_millis(),
            max(&first).as_millis(),
            median(&last).as_millis(),
            max(&last).as_millis(),
        );
    };
    for kind in [State::Refusing, State::Silent] {
        let own: Vec<_> = moves.iter().copied().filter(|moved| moved.kind == kind).collect();
        print(&format!("{kind:?}"), &own);
    }
    print("both", moves);
}

/// Prints what came of a load; whether nothing was lost and nothing bad.
fn print_totals(totals: &Totals) -> bool {
    let Totals { sent, answered, lost, bad, gap, .. } = totals;
    let mut latencies = totals.latencies.clone();
    latencies.sort_unstable();
    let at = |part: f64| {
        // Where a part of all stands need not be exact.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
        let place = (part * latencies.len() as f64) as usize;
        latencies.get(place.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    println!("  {sent} queries, {answered} answers, {lost} lost, bad: {bad:?}");
    println!(
        "  latency p50 {} us, p99 {} us, p99.99 {} us, max {} us; longest time without an answer {} ms",
        at(0.5),
        at(0.99),
        at(0.9999),
        at(1.0),
        gap.as_millis(),
    );
    *lost == 0 && bad.is_empty()
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}

fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
