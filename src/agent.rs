//! A vantage alone: it probes its share of the fleet's targets, says what it sees, and answers nobody.
//!
//! It knows targets from the zone files that were pushed to the fleet, or while there are none from those of
//! its own server file.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::ServerConfig;
use crate::conscience::Conscience;
use crate::fleet::{self, Fleet, Settings, Wish};
use crate::health::Board;
use crate::intake::Intake;
use crate::load::{LookedAt, Place, programs, read_targets, zone_directory};
use crate::model::Target;
use crate::probe::{
    Denied, Limits, Prober, Schedule, lacking_sources, open_as_many_files_as_allowed,
};
use crate::server::StartError;

/// Runs a vantage until SIGTERM or SIGINT.
///
/// # Errors
/// Why it does not start.
pub fn run(place: Place, config: &ServerConfig) -> Result<(), StartError> {
    open_as_many_files_as_allowed();
    let runtime = Runtime::new()?;
    let ran = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let agent = Agent::start(place, config).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("ending");
        agent.stop().await;
        Ok(())
    });
    runtime.shutdown_background();
    ran
}

/// A running vantage.
#[derive(Debug)]
pub struct Agent {
    /// What it says and hears.
    pub fleet: Fleet,
    tasks: JoinSet<()>,
}

impl Agent {
    /// Starts a vantage.
    ///
    /// # Errors
    /// Why it cannot start.
    pub async fn start(place: Place, config: &ServerConfig) -> Result<Self, StartError> {
        let failed = |problem: String| StartError::System(io::Error::other(problem));
        let settings = Settings::read(&place, config, false).map_err(failed)?;
        let settings = settings.ok_or_else(|| {
            failed("the server file has no [fleet], and a vantage is nothing without".to_owned())
        })?;
        let clock = Clock::start();
        let fleet = Fleet::new(&settings, clock);
        let intake = Arc::new(Intake::new(Arc::new(Board::of_fleet())));
        let known = Known { targets: Arc::default(), intake: Arc::clone(&intake), clock };
        let first = first_targets(&place, config).await?;
        let count = first.targets.len();
        known.set(first);
        lacking_sources(config.fixed.probe.source).iter().for_each(|problem| warn!("{problem}"));
        let name = &settings.rules.name;
        info!("vantage {name} knows {count} targets");

        let (pipe, far) = fleet::pipe::pipe();
        let (wishes, wanted) = mpsc::channel(1);
        let task = fleet::Task::new(fleet.clone(), &settings, Arc::clone(&intake), pipe, wishes);
        let prober = Prober::new(clock)
            .with_programs(programs(&place, config))
            .with_denied(Denied::new(config))
            .with_source(config.fixed.probe.source)
            .with_heartbeats(fleet.heartbeats());
        let seen = Arc::clone(&intake);
        let limits = Limits::new(&config.fixed.probe);
        let schedule = Schedule::new(prober, limits, move |observation| seen.observe(&observation));
        let mut tasks = JoinSet::new();
        tasks.spawn(settings.broker.clone().serve(far));
        tasks.spawn(task.run());
        let conscience = Conscience {
            intake: Arc::clone(&known.intake),
            anchors: config.fixed.probe.anchors.clone(),
            source: config.fixed.probe.source,
            fleet: Some(fleet.clone()),
            clock,
        };
        tasks.spawn(conscience.run());
        tasks.spawn(grant_wishes(wanted, place, config.clone(), known.clone()));
        tasks.spawn(probe_share(fleet.clone(), known, schedule));
        Ok(Self { fleet, tasks })
    }

    /// Ends it: nothing is said any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// The targets that a vantage was told of.
#[derive(Clone, Debug)]
struct Known {
    targets: Arc<Mutex<HashSet<Target>>>,
    intake: Arc<Intake>,
    clock: Clock,
}

impl Known {
    fn set(&self, LookedAt { targets, regions }: LookedAt) {
        self.intake.track(&targets, self.clock.now());
        self.intake.survey(&regions);
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    fn get(&self) -> HashSet<Target> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What zone files here say; none are a vantage that waits for the fleet's.
async fn first_targets(place: &Place, config: &ServerConfig) -> Result<LookedAt, StartError> {
    let (place, directory) = (place.clone(), zone_directory(place, config));
    if !directory.is_dir() {
        warn!("there are no zone files yet; waiting for the fleet's");
        return Ok(LookedAt::default());
    }
    let read = spawn_blocking(move || read_targets(&place, &directory));
    read.await.map_err(io::Error::other)?.map_err(StartError::Files)
}

/// Probes what is this vantage's share, for as long as it lives.
async fn probe_share(fleet: Fleet, known: Known, mut schedule: Schedule) {
    let (mut changed, mut called) = (fleet.share_changed(), fleet.calls());
    loop {
        let own = fleet.own();
        let turn = |target: Target| own.get(&target.id()).map(|turn| (target, *turn));
        schedule.set_turns(known.get().into_iter().filter_map(turn));
        loop {
            tokio::select! {
                changed = changed.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Ok(()) = called.changed() => schedule.hasten(&fleet.take_called()),
            }
        }
    }
}

/// Reads zone files that the fleet has given, and takes their targets over.
async fn grant_wishes(
    mut wanted: mpsc::Receiver<Wish>,
    place: Place,
    config: ServerConfig,
    known: Known,
) {
    while let Some(Wish { check, reply }) = wanted.recv().await {
        let is_for_good = check.is_none();
        let directory = check.unwrap_or_else(|| zone_directory(&place, &config));
        let for_read = place.clone();
        let read = spawn_blocking(move || read_targets(&for_read, &directory)).await;
        let outcome = match read {
            Ok(Ok(looked_at)) => {
                let told = format!("{} targets are known", looked_at.targets.len());
                if is_for_good {
                    known.set(looked_at);
                }
                Ok(told)
            }
            Ok(Err(report)) => Err(report.to_string()),
            Err(panic) => Err(panic.to_string()),
        };
        // Whoever wished may have gone.
        let _ = reply.send(outcome);
    }
}
