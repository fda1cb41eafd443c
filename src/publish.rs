//! The one task that swaps snapshots.
//!
//! Health changes and reloads both end in a swap, so both are taken here, one at a time: what a reload
//! brings is compiled with the health of the moment, and a change of health is never lost under it.
//!
//! ```text
//!  intake ── dirty ───────────────────┐
//!  answers given ─ demand ────────────┤
//!  SIGHUP, files, API ─ load ─ probe ─┴─▶ publish ──▶ current (one pointer) ──▶ query threads
//! ```
//!
//! Loading takes seconds at worst: files are read on a thread of their own, what is new is probed
//! beside, and meanwhile health goes on being published. Old snapshots are freed here, never by a query
//! thread.

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

use crate::alias::{Book, Lookups};
use crate::clock::{Clock, Moment};
use crate::config;
use crate::feed::{self, LoadBoard};
use crate::fleet::Fleet;
use crate::intake::{Intake, Unheard};
use crate::listen::Current;
use crate::listen::certificate::{self, Certificate};
use crate::load::{Before, Known, Loaded, Place, load, place_in_memory};
use crate::memory::give_back;
use crate::metrics::Metrics;
use crate::model::health::Turn;
use crate::model::{Name, OverrideKind, Report, Severity, Target, Zone};
use crate::probe::Schedule;
use crate::snapshot::demand::Estimator;
use crate::snapshot::subjects::{records_of, surveyed_regions};
use crate::snapshot::{Conditions, Helpers, News, Snapshot};
use crate::stop::Stop;
use crate::turns::{breathe, side_by_side};

/// The least time between two snapshots that health calls for: a mass of changes becomes a few of
/// them.
const GAP: Duration = Duration::from_millis(50);
/// How often old snapshots are looked after, while there are any. A query holds one for less than a
/// millisecond.
const REAP: Duration = Duration::from_millis(20);

/// No more threads than this compile, however many processors there are.
const COMPILING_THREADS_MAX: usize = 8;

/// A wish for a reload, and where its outcome goes.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who wants it, for the log: `SIGHUP`, `a changed file`.
    pub why: &'static str,
    /// Gets what was loaded, or everything that is wrong.
    pub reply: Option<oneshot::Sender<Result<String, String>>>,
}

/// Everything that publishing needs.
#[derive(Debug)]
pub struct Publisher {
    /// Where the snapshot is swapped.
    pub current: Current,
    /// Where health is.
    pub intake: Arc<Intake>,
    /// What is probed.
    pub schedule: Option<Schedule>,
    /// The fleet that this node is one of, if it is.
    pub fleet: Option<Fleet>,
    /// The hosts of aliases, and what was found of them.
    pub aliases: Lookups,
    /// What is known of load.
    pub loads: Arc<LoadBoard>,
    /// From where that is fetched.
    pub feeds: feed::Schedule,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// What only counts at the start: a reload says what of it has changed.
    pub fixed: config::Fixed,
    /// What encrypted listeners show: a reload reads it anew.
    pub certificates: Vec<Arc<Certificate>>,
    /// Where the files are.
    pub place: Place,
    /// What the last load left to the next.
    pub known: Known,
    /// Snapshots that queries may still be looking at.
    pub retired: Vec<Arc<Snapshot>>,
    /// What clients ask for, where pools have capacities.
    pub estimator: Estimator,
    /// Whether a load has left memory that nobody needs once these are gone.
    pub has_garbage: bool,
}

/// How many threads compile answers when there are many: half of the processors, so that whoever answers finds one.
/// Asked for once, for the system reads files to tell.
static COMPILING_THREADS: LazyLock<usize> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (processors / 2).clamp(1, COMPILING_THREADS_MAX)
});

/// A reload under way, and who asked for it.
struct Reload {
    step: JoinHandle<Step>,
    asked: Vec<ReloadRequest>,
}

/// What a step of a reload has come to.
enum Step {
    /// Files were read.
    Read(Result<Loaded, Report>),
    /// Every target that they name was looked at once, or had the time for it.
    Probed(Loaded),
}

impl Publisher {
    /// Publishes until the stop, or until the sender of `requests` is gone. A reload that is under
    /// way then is given up.
    pub async fn run(
        mut self,
        mut requests: mpsc::Receiver<ReloadRequest>,
        mut stop: Stop,
    ) -> Option<Schedule> {
        self.count_words(&self.current.load());
        let mut dirty = self.intake.dirty();
        let mut found = self.aliases.book().changed();
        // Without a fleet nobody ever signals.
        let (_nobody, mut share) = watch::channel(());
        let mut called = share.clone();
        if let Some(fleet) = &self.fleet {
            (share, called) = (fleet.share_changed(), fleet.calls());
        }
        let mut reap = interval(REAP);
        reap.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gap = interval(GAP);
        let mut is_resting = false;
        let mut reload: Option<Reload> = None;
        loop {
            let due = self.due();
            tokio::select! {
                () = stop.come() => return self.schedule,
                () = sleep(due.unwrap_or_default()), if due.is_some() && !is_resting => {
                    self.publish_health().await;
                    gap.reset();
                    is_resting = true;
                }
                _ = dirty.changed(), if !is_resting => {
                    self.publish_health().await;
                    gap.reset();
                    is_resting = true;
                }
                _ = found.changed(), if !is_resting => {
                    self.publish_health().await;
                    gap.reset();
                    is_resting = true;
                }
                Ok(()) = share.changed() => self.look_at_once(),
                Ok(()) = called.changed() => self.hasten(),
                _ = gap.tick(), if is_resting => is_resting = false,
                step = step(&mut reload) => reload = self.go_on(step).await,
                request = requests.recv(), if reload.is_none() => match request {
                    Some(request) => reload = Some(self.start_reload(request, &mut requests)),
                    None => return self.schedule,
                },
                _ = reap.tick(), if self.has_garbage || !self.retired.is_empty() => self.reap(),
            }
        }
    }

    /// In which time answers change of themselves, if they do: pools fail back and ramp up, what
    /// operators say ends, and weights and places follow load.
    fn due(&self) -> Option<Duration> {
        let (now, current) = (self.clock.moment(), self.current.load());
        let by_time = current.due().map(|due| due.since(now.time));
        let by_load = [self.loads.due_in(now.unix), current.demand_due_in(now.unix)];
        by_load.into_iter().chain([by_time]).flatten().min()
    }

    /// Swaps in what health, load, operators and aliases make of the snapshot, if that is anything new.
    async fn publish_health(&mut self) {
        let (current, intake) = (self.current.load_full(), Arc::clone(&self.intake));
        let (loads, aliases) = (Arc::clone(&self.loads), self.aliases.book().aliases());
        let (clock, moment, parts) = (self.clock, self.clock.moment(), *COMPILING_THREADS);
        let mut estimator = std::mem::take(&mut self.estimator);
        let next = spawn_blocking(move || {
            let now = moment.time;
            intake.end_overdue(now);
            let (of_target, overrides) = (intake.health(), intake.overrides());
            let reach = intake.reach();
            let load_of = |zone: &Zone, endpoint| loads.load(zone, endpoint, now);
            let demands = estimator.step(&current, now, moment.unix, &load_of);
            let conditions = Conditions {
                demands: demands.as_ref(),
                aliases: Some(&aliases),
                reach: reach.as_ref(),
                breathe: &|| breathe(clock),
                helpers: Helpers { parts, work: &side_by_side },
                ..Conditions::new(now, &of_target).with_overrides(&overrides)
            };
            let mut next = match intake.take_news() {
                Unheard::OfAll => current.next(&conditions),
                Unheard::Of(targets) => {
                    let targets: Vec<Target> = targets.into_iter().collect();
                    current.next(&Conditions { news: News::Of(&targets), ..conditions })
                }
            };
            for (zone, pool) in intake.take_releases() {
                let last = next.as_ref().unwrap_or(&current);
                next = last.released(&zone, &pool, &conditions).or(next);
            }
            (weighed(next.as_ref().unwrap_or(&current), &loads, moment).or(next), estimator)
        });
        match next.await {
            Ok((next, estimator)) => {
                self.estimator = estimator;
                next.into_iter().for_each(|next| self.swap(next));
            }
            Err(panic) => {
                error!("compiling answers panicked, the last ones stay: {panic}");
                self.intake.return_news();
            }
        }
    }

    /// Starts to read files; requests that wait already are answered by the same reading.
    fn start_reload(
        &self,
        request: ReloadRequest,
        requests: &mut mpsc::Receiver<ReloadRequest>,
    ) -> Reload {
        info!("reloading because of {}", request.why);
        let mut asked = vec![request];
        while let Ok(request) = requests.try_recv() {
            asked.push(request);
        }
        let (place, certificates) = (self.place.clone(), self.certificates.clone());
        let before = Before { snapshot: self.current.load_full(), known: self.known.clone() };
        let read = move || {
            let loaded = load(&place, Some(&before))?;
            certificate::renew(&certificates)?;
            Ok(loaded)
        };
        let step = spawn_blocking(move || Step::Read(read()));
        Reload { step, asked }
    }

    /// Takes the next step of a reload; `None` when that was the last.
    async fn go_on(
        &mut self,
        (step, asked): (Result<Step, JoinError>, Vec<ReloadRequest>),
    ) -> Option<Reload> {
        let outcome = match step {
            Ok(Step::Read(Ok(loaded))) => return Some(Reload { step: self.probe(loaded), asked }),
            Ok(Step::Read(Err(report))) => {
                let errors = report.count(Severity::Error);
                error!("reload refused: {errors} errors; what was served stays\n{report}");
                Err(report.to_string())
            }
            Ok(Step::Probed(loaded)) => self.take_over(loaded).await,
            Err(panic) => {
                error!("reload refused: reading panicked; what was served stays: {panic}");
                Err(format!("reading panicked: {panic}"))
            }
        };
        if outcome.is_err() {
            self.metrics.reloads_refused.fetch_add(1, Ordering::Relaxed);
        }
        for reply in asked.into_iter().filter_map(|request| request.reply) {
            // Whoever asked may have gone.
            let _ = reply.send(outcome.clone());
        }
        None
    }

    /// Has targets that are new looked at before they are served: a dead endpoint whose check was
    /// edited is a new target, and would count as up until its first verdict. Those of the snapshot
    /// that is still served stay in use.
    fn probe(&mut self, loaded: Loaded) -> JoinHandle<Step> {
        let mut targets = loaded.snapshot.targets();
        targets.extend(self.current.load().targets());
        self.use_targets(&targets);
        let mut hosts = loaded.snapshot.alias_hosts();
        hosts.extend(self.current.load().alias_hosts());
        self.aliases.set_hosts(&hosts);
        let is_probing = self.schedule.is_some() || self.fleet.is_some();
        let intake = Arc::clone(&self.intake);
        let book = Arc::clone(self.aliases.book());
        let deadline = self.fixed.probe.first_verdicts;
        tokio::spawn(async move {
            first_round(deadline, is_probing.then_some(&*intake), &book).await;
            Step::Probed(loaded)
        })
    }

    /// Begins anew with what has come to this node's share of the fleet's targets, so that nobody waits
    /// until it would have been looked at.
    fn look_at_once(&mut self) {
        let (Some(fleet), Some(schedule)) = (&self.fleet, &mut self.schedule) else { return };
        let fresh = fleet.take_fresh();
        let (own, targets) = (fleet.own(), self.current.load().targets());
        let turn = |target: Target| {
            let turn = own.get(&target.id()).copied().unwrap_or(Turn::ALONE);
            (target, turn)
        };
        let targets: Vec<(Target, Turn)> = targets.into_iter().map(turn).collect();
        let others = targets.iter().filter(|(target, _)| !fresh.contains(&target.id()));
        schedule.set_turns(others.cloned());
        schedule.set_turns(targets);
    }

    /// Probes now what others have seen fail.
    fn hasten(&self) {
        if let (Some(fleet), Some(schedule)) = (&self.fleet, &self.schedule) {
            schedule.hasten(&fleet.take_called());
        }
    }

    fn use_targets(&mut self, targets: &HashSet<Target>) {
        self.intake.track(targets, self.clock.now());
        if let Some(schedule) = &mut self.schedule {
            schedule.set_targets(targets);
        }
    }

    /// Swaps in what was loaded, with the health of the moment; what is served then, or why it is not.
    async fn take_over(&mut self, loaded: Loaded) -> Result<String, String> {
        let Loaded { config, snapshot, known, report } = loaded;
        let (targets, hosts) = (snapshot.targets(), snapshot.alias_hosts());
        let aliases = self.aliases.book().aliases();
        let (before, intake) = (self.current.load_full(), Arc::clone(&self.intake));
        intake.hold(&targets);
        self.feeds.set_targets(self.loads.use_zones(snapshot.zones()));
        let (loads, moment) = (Arc::clone(&self.loads), self.clock.moment());
        let demands = self.estimator.demands(&snapshot);
        let compiled = spawn_blocking(move || {
            let (of_target, overrides) = (intake.health(), intake.overrides());
            let reach = intake.reach();
            let past =
                |apex: &Name, pool: &str, endpoint: Option<&str>| before.past(apex, pool, endpoint);
            let conditions = Conditions {
                past: Some(&past),
                aliases: Some(&aliases),
                reach: reach.as_ref(),
                ..Conditions::new(moment.time, &of_target)
                    .with_overrides(&overrides)
                    .with_demands(&demands)
            };
            let snapshot = snapshot.next(&conditions).unwrap_or(snapshot);
            let snapshot = weighed(&snapshot, &loads, moment).unwrap_or(snapshot);
            place_in_memory(&snapshot);
            snapshot
        });
        let snapshot = compiled.await.map_err(|panic| {
            error!("compiling answers panicked, what was served stays: {panic}");
            format!("compiling answers panicked: {panic}")
        })?;
        for section in self.fixed.changed_sections(&config.fixed) {
            warn!("[{section}] of the server file has changed: it counts after a restart");
        }
        if !report.diagnostics().is_empty() {
            warn!("loaded with warnings\n{report}");
        }
        let told = format!("serving {} zones, {} targets", snapshot.zones().len(), targets.len());
        let generation = self.current.load().generation() + 1;
        self.swap(snapshot.numbered(generation));
        self.use_targets(&targets);
        if self.fleet.is_some() {
            let current = self.current.load();
            self.intake.board().set_records(records_of(current.zones()));
            self.intake.survey(&surveyed_regions(current.zones()));
        }
        self.aliases.set_hosts(&hosts);
        self.known = known;
        self.has_garbage = true;
        info!("reloaded: {told}");
        Ok(told)
    }

    fn count_words(&self, snapshot: &Snapshot) {
        let overrides = snapshot.overrides();
        for (kind, gauge) in OverrideKind::ALL.iter().zip(&self.metrics.overrides) {
            let count = overrides.all.iter().filter(|one| one.kind == *kind).count();
            gauge.store(count as u64, Ordering::Relaxed);
        }
        self.metrics.frozen.store(overrides.freeze.is_some().into(), Ordering::Relaxed);
    }

    /// Says of every pool once when more comes to it than it has room for, and when that is over.
    fn tell_overloads(&self, next: &Snapshot) {
        let current = self.current.load();
        let of = |snapshot: &Snapshot| -> Vec<(Name, String, u64)> {
            let overloads = snapshot.pool_loads().filter(|(_, load)| load.is_overloaded);
            let named = overloads.map(|(zone, load)| {
                let pool = zone.pools[load.pool.index()].name.clone();
                (zone.apex.clone(), pool, load.percent())
            });
            named.collect()
        };
        let (before, after) = (of(&current), of(next));
        self.metrics.overloaded.store(after.len() as u64, Ordering::Relaxed);
        let has = |all: &[(Name, String, u64)], zone: &Name, pool: &str| {
            all.iter().any(|(apex, name, _)| apex == zone && name == pool)
        };
        for (zone, pool, percent) in after.iter().filter(|(z, p, _)| !has(&before, z, p)) {
            warn!(
                "OVERLOAD: {percent} % of what it has room for comes to pool {pool} of {zone}, and \
                 nobody else has any"
            );
        }
        for (zone, pool, _) in before.iter().filter(|(z, p, _)| !has(&after, z, p)) {
            info!("pool {pool} of {zone} has room again for what comes to it");
        }
    }

    fn swap(&mut self, next: Snapshot) {
        self.count_words(&next);
        self.tell_overloads(&next);
        let old = self.current.swap(Arc::new(next));
        self.metrics.swaps.fetch_add(1, Ordering::Relaxed);
        self.retired.push(old);
        self.reap();
    }

    /// Frees snapshots that nobody looks at any more, and after a load gives what is free back to the
    /// system. Both may take long, so they are done where nobody waits.
    fn reap(&mut self) {
        let is_gone = |old: &mut Arc<Snapshot>| Arc::strong_count(old) == 1;
        let gone: Vec<_> = self.retired.extract_if(.., is_gone).collect();
        let gives_back = self.has_garbage && self.retired.is_empty();
        if gone.is_empty() && !gives_back {
            return;
        }
        self.has_garbage &= !gives_back;
        spawn_blocking(move || {
            drop(gone);
            if gives_back {
                give_back();
            }
        });
    }
}

/// Waits until everything that is new was looked at once, or the deadline: targets, unless nobody probes,
/// and the hosts of aliases.
pub(crate) async fn first_round(deadline: Duration, intake: Option<&Intake>, book: &Book) {
    let verdicts = async {
        if let Some(intake) = intake {
            intake.first_round().await;
        }
    };
    let both = async { tokio::join!(verdicts, book.first_round()) };
    if timeout(deadline, both).await.is_ok() {
        return;
    }
    if let Some(waiting) = intake.map(|intake| intake.board().waiting()).filter(|count| *count > 0)
    {
        warn!("{waiting} targets have no verdict yet; they count as up until they have one");
    }
    if book.waiting() > 0 {
        let waiting = book.waiting();
        warn!("{waiting} hosts of aliases are not found yet; they are not answered until they are");
    }
}

/// The snapshot with weights that follow load, if those are others than it has.
pub(crate) fn weighed(snapshot: &Snapshot, loads: &LoadBoard, now: Moment) -> Option<Snapshot> {
    let others = loads.step(snapshot, now);
    (!others.is_empty()).then(|| snapshot.with_loads(&others, now.time))
}

/// Waits for the step that a reload is at, and takes it; for ever when there is no reload.
async fn step(reload: &mut Option<Reload>) -> (Result<Step, JoinError>, Vec<ReloadRequest>) {
    let Some(Reload { step, .. }) = reload else { return std::future::pending().await };
    let done = step.await;
    let asked = reload.take().map(|reload| reload.asked).unwrap_or_default();
    (done, asked)
}
