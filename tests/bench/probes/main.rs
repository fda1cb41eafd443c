//! What it costs to watch 100,000 targets: `cargo run --release --example probes`.
//!
//! Targets are addresses of 127.0.0.0/8 under a plain HTTP check every ten seconds, each probe on a connection of
//! its own; another process answers them all. Results go the way of a node's: through intake to the board and its
//! trackers. After a warm-up of two intervals, three are measured: the prober's processor time and memory by the
//! kernel's books, and how late probes start by the schedule's. Before, the [bare](bare) system calls of as many
//! probes are measured. Takes a little more than a minute.
//!
//! On the loopback whoever sends wakes up whom it sends to, and on an idle processor that costs as much as
//! another probe; on a network it costs the prober nothing. So the targets' process does not go to sleep, and has
//! a processor for itself; it does with `-- asleep`. Other numbers of targets can be given: `-- 10000`.

#![allow(clippy::print_stdout, reason = "a report for people")]

mod bare;

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use windrose::clock::Clock;
use windrose::health::Board;
use windrose::intake::Intake;
use windrose::memory::Allocator;
use windrose::model::check::{Connection, HttpCheck};
use windrose::model::{CheckKind, CheckSpec, Target, TargetHost, Verdict};
use windrose::probe::{Limits, Prober, Schedule};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const TARGETS: u32 = 100_000;
const INTERVAL: Duration = Duration::from_secs(10);
/// The bar.
const CORES_MAX: f64 = 0.5;
const MEBIBYTES_MAX: f64 = 400.0;
const LAG_MILLIS_MAX: u64 = 100;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_asleep = arguments.iter().any(|argument| argument == "asleep");
    if arguments.first().is_some_and(|first| first == "serve") {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().event_interval(1).build()?;
        runtime.block_on(serve(is_asleep))?;
        return Ok(ExitCode::SUCCESS);
    }
    let count = arguments.iter().find(|argument| *argument != "asleep");
    let count = count.map_or(Ok(TARGETS), |count| count.parse())?;
    let (server, port) = start_server(is_asleep)?;
    let bare = bare::run(count, port)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(watch(count, (server, port), bare))
}

// ---- The targets ----

/// Answers whoever comes, until it is ended by who started it.
async fn serve(may_sleep: bool) -> Result<()> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let listener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?.port());
    if !may_sleep {
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
    }
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) {
    let mut request = [0; 1024];
    let mut len = 0;
    while !request[..len].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[len..]).await {
            Ok(0) | Err(_) => return,
            Ok(read) => len += read,
        }
    }
    // The prober hangs up; whoever closes first keeps the port in TIME_WAIT.
    let _ = stream.write_all(ANSWER).await;
    let _ = stream.read(&mut request).await;
}

/// Ends with us.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server(may_sleep: bool) -> Result<(Server, u16)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").args(may_sleep.then_some("asleep"));
    let mut server = Server(command.stdout(std::process::Stdio::piped()).spawn()?);
    let stdout = server.0.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok((server, line.trim().parse()?))
}

// ---- The prober ----

fn targets(count: u32, port: u16) -> HashSet<Target> {
    let check = HttpCheck {
        tls: false,
        method: "GET".to_owned(),
        path: "/healthz".to_owned(),
        host: Some("www.example.com".to_owned()),
        headers: Vec::new(),
        verify: true,
        status: vec![200..=299],
        body: None,
        connection: Connection::Fresh,
    };
    let spec = CheckSpec { interval: INTERVAL, ..CheckSpec::new(CheckKind::Http(check), port) };
    let spec = Arc::new(spec);
    let host = |n| TargetHost::Address(address(n).into());
    (0..count).map(|n| Target { host: host(n), spec: Arc::clone(&spec) }).collect()
}

/// The `n`th target's address.
fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + n)
}

/// What a process has used of processors, in seconds.
#[derive(Clone, Copy)]
struct Used {
    user: f64,
    kernel: f64,
}

impl Used {
    fn by(process: &str) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is a name that may hold anything, in parentheses.
        let after = stat.rsplit(')').next().ok_or("no fields")?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let [user, kernel] = [11, 12].map(|n| fields[n].parse::<f64>());
        Ok(Self { user: user? / 100.0, kernel: kernel? / 100.0 })
    }

    fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, kernel: self.kernel - before.kernel }
    }

    fn all(self) -> f64 {
        self.user + self.kernel
    }
}

/// The largest resident set so far, in MiB.
fn mebibytes_max() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kibibytes / 1024.0)
}

async fn watch(count: u32, (server, port): (Server, u16), bare: f64) -> Result<ExitCode> {
    let clock = Clock::start();
    let targets = targets(count, port);
    let intake = Arc::new(Intake::new(Arc::new(Board::new())));
    intake.track(&targets, clock.now());
    let limits = Limits { in_flight_max: 1000, budget: None };
    let report = {
        let intake = Arc::clone(&intake);
        move |observation| intake.observe(&observation)
    };
    let mut schedule = Schedule::new(Prober::new(clock), limits, report);
    schedule.set_targets(&targets);
    let figures = schedule.figures();
    sleep(2 * INTERVAL).await;

    let (before, counts) = (figures.read(), intake.counts());
    let serving = server.0.id().to_string();
    let used = (Used::by("self")?, Used::by(&serving)?);
    let started = clock.now();
    sleep(3 * INTERVAL).await;
    let seconds = clock.now().since(started).as_secs_f64();
    let (own, serving) = (Used::by("self")?.since(used.0), Used::by(&serving)?.since(used.1));
    let (cores, serving) = (own.all() / seconds, serving.all() / seconds);
    let (after, counted) = (figures.read(), intake.counts());
    let probes = (after.started - before.started) as f64 / seconds;
    let lag = after.lag_since(&before, 0.99);
    let median = after.lag_since(&before, 0.5);
    let memory = mebibytes_max()?;
    let failures = counted.failures + counted.local_errors - counts.failures - counts.local_errors;
    let entries = intake.board().entries();
    let up = entries.iter().filter(|status| status.health.verdict == Verdict::Up).count();
    schedule.stop().await;

    let within =
        |lag: Option<u64>| lag.map_or_else(|| "more than 5000".to_owned(), |ms| ms.to_string());
    println!(
        "{count} targets over plain HTTP, one probe each {INTERVAL:?}, measured for {seconds:.0} s"
    );
    println!("  probes a second      {probes:.0}, {failures} failures, {up} targets up");
    println!(
        "  cores                {cores:.2}   (at most {CORES_MAX}); the targets' process {serving:.2}"
    );
    let each = cores / probes * 1e6;
    println!(
        "  µs a probe           {each:.1} ({:.1} of it in the kernel); the bare calls {bare:.1}",
        each * own.kernel / own.all()
    );
    println!("  MiB resident, most   {memory:.0}    (at most {MEBIBYTES_MAX:.0})");
    println!(
        "  start lag, within    p50 {} ms, p99 {} ms (at most {LAG_MILLIS_MAX} ms)",
        within(median),
        within(lag)
    );
    let is_met = cores <= CORES_MAX
        && memory <= MEBIBYTES_MAX
        && lag.is_some_and(|lag| lag <= LAG_MILLIS_MAX)
        && failures == 0;
    println!("{}", if is_met { "the bar is met" } else { "the bar is MISSED" });
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
