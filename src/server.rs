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
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::admin::{Admin, AdminState};
use crate::alias::{Book, Lookups, Resolver};
use crate::clock::Clock;
use crate::config::ServerConfig;
use crate::conscience::Conscience;
use crate::dns::{Buckets, Dice, Pairs};
use crate::feed::{self, Fetcher, LoadBoard};
use crate::fleet::{self, Fleet, Settings, Wish};
use crate::health::Board;
use crate::intake::Intake;
use crate::listen::certificate::Certificate;
use crate::listen::encrypted::{EncryptedService, EncryptedSocket};
use crate::listen::tcp::{TcpLimits, TcpService};
use crate::listen::udp::UdpThreads;
use crate::listen::{Current, socket};
use crate::load::{
    Loaded, Place, judge_zones, load, load_certificates, place_in_memory, programs, read_server,
};
use crate::memory;
use crate::metrics::Metrics;
use crate::model::{Aliases, Overrides, Report, Verdict};
use crate::probe::{Denied, Limits, Prober, Schedule, open_as_many_files_as_allowed};
use crate::publish::{Publisher, ReloadRequest, first_round, weighed};
use crate::snapshot::demand::{Demands, Estimator};
use crate::snapshot::subjects::{records_of, surveyed_regions};
use crate::snapshot::{Conditions, Snapshot};
use crate::state::{self, StateWriter};
use crate::stop::{Stop, Stopper};
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
    udp: Vec<UdpSocket>,
    tcp: Vec<std::net::TcpListener>,
    /// For each table of encrypted listeners.
    encrypted: Vec<Vec<EncryptedSocket>>,
    admin: Vec<std::net::TcpListener>,
}

/// Where a node listens, as bound: port 0 has become a real one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// DNS, UDP and TCP each.
    pub dns: Vec<SocketAddr>,
    /// DNS over `tls`, `https` or `quic`.
    pub encrypted: Vec<(&'static str, SocketAddr)>,
    /// The admin endpoint.
    pub admin: Vec<SocketAddr>,
}

/// What a node is told to do while it runs.
#[derive(Debug)]
pub struct Controls {
    reloads: mpsc::Sender<ReloadRequest>,
    stop: Stopper,
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
        self.stop.stop();
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

/// Asks for a reload whose outcome the log tells. A full queue holds a request that has yet to look at
/// the files, and so will see what this one is about.
fn request_quietly(reloads: &mpsc::Sender<ReloadRequest>, why: &'static str) {
    let _ = reloads.try_send(ReloadRequest { why, reply: None });
}

/// Asks for a reload whenever files have changed, until the node is stopped.
async fn watch_files(mut watch: FileWatch, reloads: mpsc::Sender<ReloadRequest>, mut stop: Stop) {
    loop {
        tokio::select! {
            () = watch.changed() => request_quietly(&reloads, "changed files"),
            () = stop.come() => return,
        }
    }
}

/// Says once a minute how many answers were limited, if any were: a line for each would be a flood, too.
async fn tell_limited(metrics: Arc<Metrics>, mut stop: Stop) {
    let mut told = 0;
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            _ = minute.tick() => {}
            () = stop.come() => return,
        }
        let limited = metrics.limited();
        if limited > told {
            info!("{} answers were limited in the last minute", limited - told);
        }
        told = limited;
    }
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
    memory::set_up();
    open_as_many_files_as_allowed();
    let runtime = Runtime::new()?;
    let ran = runtime.block_on(async {
        // Before anything else: a SIGHUP that comes while files are read must not end the process.
        let mut signals = Signals::listen()?;
        let node = tokio::select! {
            node = Node::start(place, &config) => node?,
            () = signals.end() => return Ok(()),
        };
        for address in &node.addresses.dns {
            info!("answering on {address}, UDP and TCP");
        }
        for (transport, address) in &node.addresses.encrypted {
            info!("answering on {address}, {transport}");
        }
        for address in &node.addresses.admin {
            info!("admin endpoint on http://{address}");
        }
        node.run_until(&mut signals).await;
        Ok(())
    });
    // A load that is still under way has nobody left to serve; dropping the runtime would wait for it.
    runtime.shutdown_background();
    ran
}

/// The signals that a node listens to.
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on none of them ends the process by itself.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when one of those has come that end the node.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
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
    udp: UdpThreads,
    tcp: JoinSet<()>,
    encrypted: JoinSet<()>,
    /// Ends when it is dropped, like the next.
    _admin: JoinSet<()>,
    _fleet: Option<JoinSet<()>>,
    _conscience: JoinSet<()>,
    publisher: JoinHandle<Option<Schedule>>,
    state: JoinHandle<()>,
}

impl Node {
    /// Starts a node: returns when it answers.
    ///
    /// # Errors
    /// Why it cannot start.
    pub async fn start(place: Place, config: &ServerConfig) -> Result<Self, StartError> {
        let bound = bind(config)?;
        let addresses = addresses_of(config, &bound)?;
        // Watched before they are read, so that no change falls between the two.
        let watch = watch_what_is_read(&place, config);
        let mut report = Report::new();
        let certificates = load_certificates(&place, config, &mut report);
        if report.has_errors() {
            return Err(StartError::Files(report));
        }
        let for_load = place.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&for_load, None));
        let loaded = loaded.await.map_err(io::Error::other)?.map_err(StartError::Files)?;
        if !loaded.report.diagnostics().is_empty() {
            warn!("loaded with warnings\n{}", loaded.report);
        }

        let settings = Settings::read(&place, config, true);
        let settings = settings.map_err(|problem| StartError::System(io::Error::other(problem)))?;
        let clock = Clock::start();
        let metrics = Arc::new(Metrics::default());
        let board = match (&settings, config.fixed.probe.enabled) {
            (Some(_), _) => Board::of_fleet(),
            (None, true) => Board::new(),
            (None, false) => Board::unobserved(),
        };
        let intake = Arc::new(Intake::new(Arc::new(board)));
        let state_dir = place.resolve(&config.fixed.state.directory);
        let age_max = config.fixed.state.age_max;
        let (recalled, problems) = state::load(&state_dir, clock.moment(), age_max);
        for problem in problems {
            warn!("{problem}");
        }
        let loads = Arc::new(LoadBoard::restored(recalled.steering.loads()));
        let mut feeds = start_feeds(config, &loads, clock);
        feeds.set_targets(loads.use_zones(loaded.snapshot.zones()));
        let resolver = Resolver::new(&config.fixed.alias.resolvers);
        let mut aliases = Lookups::new(Arc::new(Book::new(Arc::clone(&metrics))), resolver, clock);
        aliases.set_hosts(&loaded.snapshot.alias_hosts());
        let book = Arc::clone(aliases.book());
        let restored = book.restore(&recalled.aliases, clock.now());
        if restored > 0 {
            info!("{restored} hosts of aliases taken over from the last run");
        }
        let prober = Prober::new(clock)
            .with_programs(programs(&place, config))
            .with_denied(Denied::new(config))
            .with_source(config.fixed.probe.source);
        restore_words(&intake, &loaded, &recalled.steering, clock);
        let (reloads, requests) = mpsc::channel(RELOADS_WAITING);
        let joined =
            settings.map(|settings| join_fleet(&settings, &intake, &reloads, &place, clock));
        let (fleet, fleet_tasks) = joined.unzip();
        let conscience = config.fixed.probe.enabled.then(|| Conscience {
            intake: Arc::clone(&intake),
            anchors: config.fixed.probe.anchors.clone(),
            source: config.fixed.probe.source,
            fleet: fleet.clone(),
            clock,
        });
        let mut own_tasks = JoinSet::new();
        conscience.map(|conscience| own_tasks.spawn(conscience.run()));
        if fleet.is_some() {
            intake.board().set_records(records_of(loaded.snapshot.zones()));
            intake.survey(&surveyed_regions(loaded.snapshot.zones()));
        }
        let fleet_of = fleet.clone();
        let heartbeats = fleet.as_ref().map_or_else(Arc::default, Fleet::heartbeats);
        let prober = prober.with_heartbeats(Arc::clone(&heartbeats));
        let watcher =
            Watcher { intake: &intake, loads: &loads, metrics: &metrics, fleet: fleet_of };
        let schedule = first_verdicts(config, &loaded, &watcher, &book, prober, &recalled).await;

        if let Some(schedule) = &schedule {
            // Nobody has set it before.
            let _ = metrics.probing.set(schedule.figures());
        }
        let Loaded { snapshot, known, .. } = loaded;
        let mut estimator = Estimator::restored(&snapshot, &recalled.demanded);
        let demands = estimator.demands(&snapshot);
        let (found, before) = (book.aliases(), &recalled.steering);
        let snapshot = with_what_is_known(snapshot, &intake, &found, clock, before, &demands);
        let snapshot = weighed(&snapshot, &loads, clock.moment()).unwrap_or(snapshot);
        let current: Current = Arc::new(ArcSwap::from_pointee(snapshot));
        let stop = Stopper::default();
        let pairs = Arc::new(Pairs::new(seed()));
        let dice = move || Dice::new(seed()).with_pairs(&pairs);
        let udp = UdpThreads::start(
            bound.udp,
            (config.fixed.dns.udp_payload_max, config.fixed.dns.pin_threads),
            &current,
            clock,
            &mut || metrics.counters("udp"),
            &mut dice.clone(),
            &Arc::new(Buckets::new(seed())),
        )?;
        // Answers come first: it only makes them faster.
        let first = current.load_full();
        tokio::task::spawn_blocking(move || place_in_memory(&first));
        let tcp = spawn_tcp(config, bound.tcp, &current, clock, &metrics, &stop, &dice)?;
        let service = EncryptedService::new(
            Arc::clone(&current),
            clock,
            config.fixed.dns.tcp_idle_timeout,
            stop.listen(),
        );
        let encrypted =
            spawn_encrypted(config, bound.encrypted, &certificates, &service, &metrics, &dice)?;
        let admin = AdminState {
            current: Arc::clone(&current),
            intake: Arc::clone(&intake),
            loads: Arc::clone(&loads),
            aliases: Arc::clone(&book),
            metrics: Arc::clone(&metrics),
            fleet: fleet.clone(),
            heartbeats,
            clock,
        };
        let admin = spawn_admin(bound.admin, &admin)?;
        let mut ending = stop.listen();
        let watched = state::Watched {
            intake: Arc::clone(&intake),
            loads: Arc::clone(&loads),
            current: Arc::clone(&current),
            aliases: book,
        };
        let writer = StateWriter::new(state_dir, clock, watched, age_max);
        let state = tokio::spawn(writer.run(async move { ending.come().await }));
        tokio::spawn(watch_files(watch, reloads.clone(), stop.listen()));
        tokio::spawn(tell_limited(Arc::clone(&metrics), stop.listen()));
        let publisher = Publisher {
            current: Arc::clone(&current),
            intake,
            schedule,
            fleet,
            aliases,
            loads,
            feeds,
            metrics,
            clock,
            fixed: config.fixed.clone(),
            certificates,
            place,
            known,
            retired: Vec::new(),
            estimator,
            has_garbage: true,
        };
        let publisher = tokio::spawn(publisher.run(requests, stop.listen()));
        let controls = Controls { reloads, stop };
        let (_admin, _fleet, _conscience) = (admin, fleet_tasks, own_tasks);
        Ok(Self {
            addresses,
            controls,
            current,
            udp,
            tcp,
            encrypted,
            _admin,
            _fleet,
            _conscience,
            publisher,
            state,
        })
    }

    /// Reloads on SIGHUP; ends on SIGTERM, SIGINT and [`Controls::stop`].
    async fn run_until(self, signals: &mut Signals) {
        let mut stop = self.controls.stop.listen();
        loop {
            tokio::select! {
                _ = signals.hang_up.recv() => request_quietly(&self.controls.reloads, "SIGHUP"),
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                () = stop.come() => break,
            }
        }
        info!("ending");
        self.shut_down().await;
    }

    /// Ends the node: answers what has arrived, writes the state, stops probing.
    pub async fn shut_down(self) {
        let Self { controls, udp, mut tcp, mut encrypted, publisher, state, .. } = self;
        controls.stop();
        // Joining threads blocks.
        let udp = tokio::task::spawn_blocking(|| udp.stop());
        let tcp = async { while tcp.join_next().await.is_some() {} };
        let encrypted = async { while encrypted.join_next().await.is_some() {} };
        let publisher = async {
            if let Ok(Some(schedule)) = publisher.await {
                schedule.stop().await;
            }
        };
        let (_, _, _, state, _) = tokio::join!(
            timeout(DRAIN, udp),
            timeout(DRAIN, tcp),
            timeout(DRAIN, encrypted),
            timeout(DRAIN, state),
            timeout(DRAIN, publisher),
        );
        if state.is_err() {
            warn!("the state could not be written in time");
        }
    }
}

/// Who hears of what probes see.
struct Watcher<'n> {
    intake: &'n Arc<Intake>,
    loads: &'n Arc<LoadBoard>,
    metrics: &'n Arc<Metrics>,
    fleet: Option<Fleet>,
}

/// Starts probing, takes over what an earlier life knew, and waits for the first verdicts.
async fn first_verdicts(
    config: &ServerConfig,
    loaded: &Loaded,
    watcher: &Watcher<'_>,
    book: &Book,
    prober: Prober,
    recalled: &state::Recalled,
) -> Option<Schedule> {
    let clock = prober.clock();
    let Watcher { intake, loads, metrics, fleet } = watcher;
    let targets = loaded.snapshot.targets();
    intake.track(&targets, clock.now());
    let restored = intake.restore(|target| recalled.of(target));
    if restored > 0 {
        info!("{restored} of {} verdicts taken over from the last run", targets.len());
    }
    let probe = &config.fixed.probe;
    if !probe.enabled {
        first_round(probe.first_verdicts, fleet.as_ref().map(|_| &***intake), book).await;
        return None;
    }
    let (verdicts, loads, fleet) = (Arc::clone(intake), Arc::clone(loads), fleet.clone());
    let metrics = Arc::clone(metrics);
    let mut schedule = Schedule::new(prober, Limits::new(probe), move |seen| {
        metrics.count_probe(seen.outcome);
        loads.observe(&seen);
        let pace = verdicts.observe(&seen);
        fleet.as_ref().map_or(pace, |fleet| fleet.pace(&seen.target, pace))
    });
    schedule.set_targets(&targets);
    first_round(probe.first_verdicts, Some(intake), book).await;
    let down = |status: &crate::health::TargetStatus| status.health.verdict == Verdict::Down;
    let down = intake.board().entries().iter().filter(|status| down(status)).count();
    let all = intake.board().len();
    if down == all && down > 0 {
        warn!("nothing is up: all {down} targets are down, so rules answer as `all-down` says");
    } else if down > 0 {
        warn!("{down} of {all} targets are down");
    }
    Some(schedule)
}

/// A schedule that fetches feeds for `loads`, as many at once as there may be probes.
fn start_feeds(config: &ServerConfig, loads: &Arc<LoadBoard>, clock: Clock) -> feed::Schedule {
    let in_flight = Limits::new(&config.fixed.probe).in_flight_max;
    let loads = Arc::clone(loads);
    let note = move |report| {
        loads.note(&report);
    };
    feed::Schedule::new(clock, Fetcher::new(Denied::new(config)), in_flight, note)
}

/// Joins the fleet: its tasks end when they are dropped.
fn join_fleet(
    settings: &Settings,
    intake: &Arc<Intake>,
    reloads: &mpsc::Sender<ReloadRequest>,
    place: &Place,
    clock: Clock,
) -> (Fleet, JoinSet<()>) {
    let fleet = Fleet::new(settings, clock);
    let (pipe, far) = fleet::pipe::pipe();
    let (wishes, wanted) = mpsc::channel(1);
    let task = fleet::Task::new(fleet.clone(), settings, Arc::clone(intake), pipe, wishes);
    let mut tasks = JoinSet::new();
    tasks.spawn(settings.broker.clone().serve(far));
    tasks.spawn(task.run());
    tasks.spawn(grant_wishes(wanted, reloads.clone(), place.clone()));
    (fleet, tasks)
}

/// Checks zone files that the fleet has given, and loads them.
async fn grant_wishes(
    mut wanted: mpsc::Receiver<Wish>,
    reloads: mpsc::Sender<ReloadRequest>,
    place: Place,
) {
    while let Some(Wish { check, reply }) = wanted.recv().await {
        let outcome = match check {
            None => request_reload(&reloads, "zone files of the fleet").await,
            Some(directory) => {
                let place = place.clone();
                let judged = tokio::task::spawn_blocking(move || {
                    let judged = judge_zones(&place, &directory);
                    judged
                        .map(|_| "fit to be served".to_owned())
                        .map_err(|report| report.to_string())
                });
                judged.await.unwrap_or_else(|panic| Err(panic.to_string()))
            }
        };
        // Whoever wished may have gone.
        let _ = reply.send(outcome);
    }
}

/// Takes over what operators said in an earlier life.
fn restore_words(intake: &Intake, loaded: &Loaded, before: &state::Steering, clock: Clock) {
    let overrides = before.overrides.clone();
    if overrides != *Overrides::NONE {
        let count = overrides.all.len();
        let frozen = if overrides.freeze.is_some() { "; answers are frozen" } else { "" };
        info!("{count} overrides taken over from the last run{frozen}");
    }
    intake.restore_overrides(overrides, before.held(&loaded.snapshot.targets()));
    intake.end_overdue(clock.now());
}

/// The first snapshot that is served: with health, with what operators said in an earlier life and with
/// what pools went through in it.
fn with_what_is_known(
    snapshot: Snapshot,
    intake: &Intake,
    aliases: &Arc<Aliases>,
    clock: Clock,
    before: &state::Steering,
    demands: &Demands,
) -> Snapshot {
    intake.hold(&snapshot.targets());
    let (of_target, overrides) = (intake.health(), intake.overrides());
    let conditions = Conditions {
        past: Some(&|apex, pool, endpoint| before.past(apex, pool, endpoint)),
        aliases: Some(aliases),
        ..Conditions::new(clock.now(), &of_target).with_overrides(&overrides).with_demands(demands)
    };
    snapshot.next(&conditions).unwrap_or(snapshot)
}

fn bind(config: &ServerConfig) -> io::Result<Bound> {
    let dns = &config.fixed.dns;
    let threads = match usize::from(dns.threads) {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    let mut bound =
        Bound { udp: Vec::new(), tcp: Vec::new(), encrypted: Vec::new(), admin: Vec::new() };
    for address in &dns.listen {
        let (udp, tcp) = socket::bind_both(*address, threads)?;
        bound.udp.extend(udp);
        bound.tcp.push(tcp);
    }
    for table in &dns.encrypted {
        let bind = |address| EncryptedSocket::bind(&table.transport, address);
        bound.encrypted.push(table.listen.iter().copied().map(bind).collect::<io::Result<_>>()?);
    }
    for address in &config.fixed.admin.listen {
        bound.admin.push(socket::bind_tcp(*address)?);
    }
    Ok(bound)
}

fn addresses_of(config: &ServerConfig, bound: &Bound) -> io::Result<Addresses> {
    let of = |listeners: &[std::net::TcpListener]| {
        listeners.iter().map(std::net::TcpListener::local_addr).collect::<io::Result<_>>()
    };
    let mut encrypted = Vec::new();
    for (table, sockets) in config.fixed.dns.encrypted.iter().zip(&bound.encrypted) {
        for socket in sockets {
            encrypted.push((table.transport.word(), socket.local_addr()?));
        }
    }
    Ok(Addresses { dns: of(&bound.tcp)?, encrypted, admin: of(&bound.admin)? })
}

fn spawn_tcp(
    config: &ServerConfig,
    listeners: Vec<std::net::TcpListener>,
    current: &Current,
    clock: Clock,
    metrics: &Metrics,
    stop: &Stopper,
    dice: &(impl Fn() -> Dice + Clone + Send + 'static),
) -> io::Result<JoinSet<()>> {
    let dns = &config.fixed.dns;
    let limits = TcpLimits {
        connections: usize::try_from(dns.tcp_connections).unwrap_or(usize::MAX),
        idle: dns.tcp_idle_timeout,
    };
    let counters = metrics.counters("tcp");
    let service = TcpService::new(Arc::clone(current), clock, counters, limits, stop.listen());
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(service.clone().accept(TcpListener::from_std(listener)?, dice.clone()));
    }
    Ok(tasks)
}

/// Listens on the sockets of every table, with the table's certificate.
fn spawn_encrypted(
    config: &ServerConfig,
    bound: Vec<Vec<EncryptedSocket>>,
    certificates: &[Arc<Certificate>],
    service: &EncryptedService,
    metrics: &Metrics,
    dice: &dyn Fn() -> Dice,
) -> io::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let tables = config.fixed.dns.encrypted.iter().zip(bound).zip(certificates);
    for ((table, sockets), certificate) in tables {
        for socket in sockets {
            let counters = metrics.counters(table.transport.word());
            let listener = service.listener(socket, Arc::clone(certificate), counters, dice())?;
            tasks.spawn(listener.run());
        }
    }
    Ok(tasks)
}

fn spawn_admin(
    listeners: Vec<std::net::TcpListener>,
    state: &AdminState,
) -> io::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(Admin::new(state.clone()).serve(TcpListener::from_std(listener)?));
    }
    Ok(tasks)
}

/// Watches what a load reads.
fn watch_what_is_read(place: &Place, config: &ServerConfig) -> FileWatch {
    let reloadable = &config.reloadable;
    let directories = [&reloadable.zones.directory, &reloadable.geoip.directory];
    let directories = directories.map(|directory| place.resolve(directory));
    let databases = reloadable.geoip.databases.iter().map(|path| place.resolve(path));
    let secrets = reloadable.answers.cookie_secrets.as_deref().map(|path| place.resolve(path));
    let tables = config.fixed.dns.encrypted.iter();
    let certificates = tables.flat_map(|table| [&table.certificate, &table.key]);
    let certificates = certificates.map(|path| place.resolve(path));
    let listed = databases.chain(secrets).chain(certificates);
    let files: Vec<PathBuf> = listed.chain(place.file.clone()).collect();
    FileWatch::new(&directories, &files)
}

/// A number that nobody can foresee, to seed a thread's dice.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
