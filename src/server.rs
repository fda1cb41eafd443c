//! The running node: bind early, load, build in the order of dependence, spawn, drain.
//!
//! ```text
//! bind ─▶ load ─▶ board ◀─ state      (verdicts of an earlier life)
//!                  │ ◀─ probes        (first round, with a deadline)
//!                  ▼
//!               snapshot ─▶ UDP threads, TCP, admin ─▶ SIGHUP, files: reload ─▶ SIGTERM: drain
//! ```

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::admin::{Admin, AdminState};
use crate::clock::Clock;
use crate::config::ServerConfig;
use crate::health::Board;
use crate::intake::Intake;
use crate::listen::tcp::{TcpLimits, TcpService};
use crate::listen::udp::UdpThreads;
use crate::listen::{Current, socket};
use crate::load::{Loaded, Place, load, read_server};
use crate::metrics::Metrics;
use crate::model::{Report, Verdict};
use crate::probe::{Prober, Schedule};
use crate::publish::{Publisher, ReloadRequest};
use crate::state::{self, StateWriter};
use crate::watch::FileWatch;

/// Requests for a reload that may wait while one is under way; more are one anyway.
const RELOADS_WAITING: usize = 16;
/// How long TCP connections and the state file may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a node does not start.
#[derive(Debug)]
pub enum StartError {
    /// The files are wrong.
    Files(Report),
    /// A socket, thread or runtime is not to be had.
    System(io::Error),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(report) => report.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

/// Sockets that are bound, for a node that has yet to load.
struct Bound {
    udp: Vec<Vec<UdpSocket>>,
    tcp: Vec<std::net::TcpListener>,
    admin: Vec<std::net::TcpListener>,
}

/// Where a node listens, as bound: port 0 has become a real one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// DNS, UDP and TCP each.
    pub dns: Vec<SocketAddr>,
    /// The admin endpoint.
    pub admin: Vec<SocketAddr>,
}

/// What a node is told to do while it runs.
#[derive(Debug)]
pub struct Controls {
    reloads: mpsc::Sender<ReloadRequest>,
    stop: watch::Sender<bool>,
}

impl Controls {
    /// Asks for a reload and waits for its outcome: what is served now, or everything that is wrong.
    ///
    /// # Errors
    /// Everything that is wrong with the files, as it would be printed.
    pub async fn reload(&self, why: &'static str) -> Result<String, String> {
        request_reload(&self.reloads, why).await
    }

    /// Ends the node.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Asks for a reload and waits for its outcome.
async fn request_reload(
    reloads: &mpsc::Sender<ReloadRequest>,
    why: &'static str,
) -> Result<String, String> {
    let (reply, outcome) = tokio::sync::oneshot::channel();
    let request = ReloadRequest { why, reply: Some(reply) };
    let gone = || "the node is ending".to_owned();
    reloads.send(request).await.map_err(|_| gone())?;
    outcome.await.map_err(|_| gone())?
}

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// Why it did not start.
pub fn run(place: Place) -> Result<(), StartError> {
    let mut report = Report::new();
    let Some(config) = read_server(&place, &mut report) else {
        return Err(StartError::Files(report));
    };
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let node = Node::start(place, &config).await?;
        for address in &node.addresses.dns {
            info!("answering on {address}, UDP and TCP");
        }
        for address in &node.addresses.admin {
            info!("admin endpoint on http://{address}");
        }
        node.run_until_signal().await?;
        Ok(())
    })
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Where it listens.
    pub addresses: Addresses,
    /// How it is told what to do.
    pub controls: Controls,
    /// What it answers from.
    pub current: Current,
    udp: Option<UdpThreads>,
    publisher: tokio::task::JoinHandle<Option<Schedule>>,
    state: tokio::task::JoinHandle<()>,
    watch: FileWatch,
}

impl Node {
    /// Starts a node: returns when it answers.
    ///
    /// # Errors
    /// Why it cannot start.
    pub async fn start(place: Place, config: &ServerConfig) -> Result<Self, StartError> {
        let bound = bind(config)?;
        let addresses = addresses_of(&bound)?;
        let for_load = place.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&for_load, None, 1));
        let loaded = loaded.await.map_err(io::Error::other)?.map_err(StartError::Files)?;
        if !loaded.report.diagnostics().is_empty() {
            warn!("loaded with warnings\n{}", loaded.report);
        }

        let clock = Clock::start();
        let metrics = Arc::new(Metrics::default());
        let intake = Arc::new(Intake::new(Arc::new(Board::new())));
        let state_dir = place.resolve(&config.fixed.state.directory);
        let age_max = config.fixed.state.age_max;
        let (recalled, problems) = state::load(&state_dir, clock.moment(), age_max);
        for problem in problems {
            warn!("{problem}");
        }
        let schedule = first_verdicts(config, &loaded, &intake, clock, &recalled).await;

        let Loaded { snapshot, geo, .. } = loaded;
        let snapshot = snapshot.with_health(&|t| intake.board().health(t)).unwrap_or(snapshot);
        let current: Current = Arc::new(ArcSwap::from_pointee(snapshot));
        let (reloads, requests) = mpsc::channel(RELOADS_WAITING);
        let stop = watch::Sender::new(false);
        let udp = UdpThreads::start(
            bound.udp.into_iter().flatten().collect(),
            config.fixed.dns.udp_payload_max,
            &current,
            &mut || metrics.counters("udp"),
            seed,
        )?;
        spawn_tcp(config, bound.tcp, &current, &metrics)?;
        spawn_admin(bound.admin, &current, &intake, &metrics, clock)?;
        let mut stopped = stop.subscribe();
        let writer = StateWriter::new(state_dir, clock, Arc::clone(&intake), age_max);
        let state = tokio::spawn(writer.run(async move {
            // An error means that the sender is gone, which is a stop as well.
            let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
        }));
        let watch = FileWatch::new(&watched(&place, config));
        let publisher = Publisher {
            current: Arc::clone(&current),
            intake,
            schedule,
            metrics,
            clock,
            fixed: config.fixed.clone(),
            place,
            geo,
            retired: Vec::new(),
        };
        let publisher = tokio::spawn(publisher.run(requests));
        let controls = Controls { reloads, stop };
        Ok(Self { addresses, controls, current, udp: Some(udp), publisher, state, watch })
    }

    /// Reloads on SIGHUP and when files change; ends on SIGTERM and SIGINT.
    async fn run_until_signal(mut self) -> io::Result<()> {
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            let why = tokio::select! {
                _ = hang_up.recv() => "SIGHUP",
                () = self.watch.changed() => "changed files",
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            };
            // The publisher logs the outcome; a full queue holds a request that will see this change.
            let _ = self.controls.reloads.try_send(ReloadRequest { why, reply: None });
        }
        info!("ending");
        self.shut_down().await;
        Ok(())
    }

    /// Ends the node: answers what has arrived, writes the state, stops probing.
    pub async fn shut_down(mut self) {
        self.controls.stop();
        if let Some(udp) = self.udp.take() {
            // Joining threads blocks, and they may still take their last look at the socket.
            let _ = tokio::task::spawn_blocking(|| udp.stop()).await;
        }
        drop(self.controls);
        if timeout(DRAIN, self.state).await.is_err() {
            warn!("the state could not be written in time");
        }
        if let Ok(Ok(Some(schedule))) = timeout(DRAIN, self.publisher).await {
            schedule.stop().await;
        }
    }
}

/// Starts probing, takes over what an earlier life knew, and waits for the first verdicts.
async fn first_verdicts(
    config: &ServerConfig,
    loaded: &Loaded,
    intake: &Arc<Intake>,
    clock: Clock,
    recalled: &state::Recalled,
) -> Option<Schedule> {
    let targets = loaded.snapshot.targets();
    intake.track(&targets, clock.now());
    let restored = intake.restore(|target| recalled.of(target));
    if restored > 0 {
        info!("{restored} of {} verdicts taken over from the last run", targets.len());
    }
    let probe = &config.fixed.probe;
    if !probe.enabled {
        return None;
    }
    let reporter = Arc::clone(intake);
    let in_flight = usize::try_from(probe.in_flight).unwrap_or(usize::MAX);
    let mut schedule =
        Schedule::new(Prober::new(clock), in_flight, move |seen| reporter.observe(&seen));
    schedule.set_targets(&targets);
    if timeout(probe.first_verdicts, intake.first_round()).await.is_err() {
        let waiting = intake.board().waiting();
        warn!("{waiting} targets have no verdict yet; they count as up until they have one");
    }
    let down = |status: &crate::health::TargetStatus| status.health.verdict == Verdict::Down;
    let down = intake.board().entries().iter().filter(|status| down(status)).count();
    if down == targets.len() && down > 0 {
        warn!("nothing is up: all {down} targets are down, so rules answer as `all-down` says");
    } else if down > 0 {
        warn!("{down} of {} targets are down", targets.len());
    }
    Some(schedule)
}

fn bind(config: &ServerConfig) -> io::Result<Bound> {
    let dns = &config.fixed.dns;
    let threads = match usize::from(dns.threads) {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    let mut bound = Bound { udp: Vec::new(), tcp: Vec::new(), admin: Vec::new() };
    for address in &dns.listen {
        let udp = socket::bind_udp(*address, threads)?;
        // Port 0 is the kernel's choice: TCP takes the one that UDP got.
        let address = udp[0].local_addr()?;
        bound.udp.push(udp);
        bound.tcp.push(socket::bind_tcp(address)?);
    }
    for address in &config.fixed.admin.listen {
        bound.admin.push(socket::bind_tcp(*address)?);
    }
    Ok(bound)
}

fn addresses_of(bound: &Bound) -> io::Result<Addresses> {
    let dns = bound.udp.iter().map(|sockets| sockets[0].local_addr());
    let admin = bound.admin.iter().map(std::net::TcpListener::local_addr);
    Ok(Addresses { dns: dns.collect::<io::Result<_>>()?, admin: admin.collect::<io::Result<_>>()? })
}

fn spawn_tcp(
    config: &ServerConfig,
    listeners: Vec<std::net::TcpListener>,
    current: &Current,
    metrics: &Metrics,
) -> io::Result<()> {
    let dns = &config.fixed.dns;
    let limits = TcpLimits {
        connections: usize::try_from(dns.tcp_connections).unwrap_or(usize::MAX),
        idle: dns.tcp_idle_timeout,
    };
    let service = TcpService::new(Arc::clone(current), metrics.counters("tcp"), limits);
    for listener in listeners {
        tokio::spawn(service.clone().accept(TcpListener::from_std(listener)?, seed));
    }
    Ok(())
}

fn spawn_admin(
    listeners: Vec<std::net::TcpListener>,
    current: &Current,
    intake: &Arc<Intake>,
    metrics: &Arc<Metrics>,
    clock: Clock,
) -> io::Result<()> {
    let state = AdminState {
        current: Arc::clone(current),
        intake: Arc::clone(intake),
        metrics: Arc::clone(metrics),
        clock,
    };
    for listener in listeners {
        tokio::spawn(Admin::new(state.clone()).serve(TcpListener::from_std(listener)?));
    }
    Ok(())
}

/// The directories whose files matter.
fn watched(place: &Place, config: &ServerConfig) -> Vec<PathBuf> {
    let reloadable = &config.reloadable;
    let mut directories = vec![
        place.resolve(&reloadable.zones.directory),
        place.resolve(&reloadable.geoip.directory),
    ];
    let databases = reloadable.geoip.databases.iter().map(|path| place.resolve(path));
    directories.extend(databases.filter_map(|path| path.parent().map(ToOwned::to_owned)));
    if let Some(file) = place.file.as_deref().and_then(std::path::Path::parent) {
        directories.push(file.to_owned());
    }
    directories.sort();
    directories.dedup();
    directories.retain(|directory| directory.as_os_str().is_empty() || directory.is_dir());
    directories
}

/// A number that nobody can foresee, to seed a thread's dice.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
