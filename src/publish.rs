//! The one task that swaps snapshots.
//!
//! Health changes and reloads both end in a swap, so both are taken here, one at a time: what a reload
//! brings is compiled with the health of the moment, and a change of health is never lost under it.
//!
//! ```text
//!  intake ── dirty ───────────┐
//!  SIGHUP, files, API ─ load ─┴─▶ publish ──▶ current (one pointer) ──▶ query threads
//! ```
//!
//! Loading files takes seconds at worst and happens on a thread of its own; meanwhile health goes on
//! being published. Old snapshots are freed here, never by a query thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::config;
use crate::intake::Intake;
use crate::listen::Current;
use crate::load::{Geo, Loaded, Place, load};
use crate::metrics::Metrics;
use crate::model::{Report, Severity};
use crate::probe::Schedule;
use crate::snapshot::Snapshot;

/// The least time between two snapshots that health calls for: a mass of changes becomes a few of
/// them.
const GAP: Duration = Duration::from_millis(50);
/// How often old snapshots are looked after.
const REAP: Duration = Duration::from_secs(1);

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
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// What only counts at the start: a reload says what of it has changed.
    pub fixed: config::Fixed,
    /// Where the files are.
    pub place: Place,
    /// The databases of the snapshot.
    pub geo: Geo,
    /// Snapshots that queries may still be looking at.
    pub retired: Vec<Arc<Snapshot>>,
}

/// A load on its way, and who asked for it.
type Loading = (JoinHandle<Result<Loaded, Report>>, Vec<ReloadRequest>);

impl Publisher {
    /// Publishes until the sender of `requests` is gone.
    pub async fn run(mut self, mut requests: mpsc::Receiver<ReloadRequest>) -> Option<Schedule> {
        let mut dirty = self.intake.dirty();
        let mut reap = tokio::time::interval(REAP);
        let mut loading: Option<Loading> = None;
        loop {
            tokio::select! {
                _ = dirty.changed() => {
                    self.publish_health().await;
                    tokio::time::sleep(GAP).await;
                }
                loaded = loaded(&mut loading) => self.finish_reload(loaded).await,
                request = requests.recv(), if loading.is_none() => match request {
                    Some(request) => loading = Some(self.start_reload(request, &mut requests)),
                    None => return self.schedule,
                },
                _ = reap.tick() => self.retired.retain(|old| Arc::strong_count(old) > 1),
            }
        }
    }

    /// Swaps in what health makes of the snapshot, if that is anything new.
    async fn publish_health(&mut self) {
        let (current, intake) = (self.current.load_full(), Arc::clone(&self.intake));
        let next =
            spawn_blocking(move || current.with_health(&|target| intake.board().health(target)));
        match next.await {
            Ok(Some(next)) => self.swap(next),
            Ok(None) => {}
            Err(panic) => error!("compiling answers panicked, the last ones stay: {panic}"),
        }
    }

    /// Starts loading; requests that wait already are answered by the same load.
    fn start_reload(
        &self,
        request: ReloadRequest,
        requests: &mut mpsc::Receiver<ReloadRequest>,
    ) -> Loading {
        info!("reloading because of {}", request.why);
        let mut asked = vec![request];
        while let Ok(request) = requests.try_recv() {
            asked.push(request);
        }
        let (place, geo) = (self.place.clone(), self.geo.clone());
        let generation = self.current.load().generation() + 1;
        (spawn_blocking(move || load(&place, Some(&geo), generation)), asked)
    }

    async fn finish_reload(
        &mut self,
        (loaded, asked): (Result<Loaded, Report>, Vec<ReloadRequest>),
    ) {
        let outcome = match loaded {
            Ok(loaded) => Ok(self.take_over(loaded).await),
            Err(report) => {
                self.metrics.reloads_refused.fetch_add(1, Ordering::Relaxed);
                let errors = report.count(Severity::Error);
                error!("reload refused: {errors} errors; what was served stays\n{report}");
                Err(report.to_string())
            }
        };
        for request in asked {
            if let Some(reply) = request.reply {
                // Whoever asked may have gone.
                let _ = reply.send(outcome.clone());
            }
        }
    }

    /// Swaps in what was loaded, with the health of the moment.
    async fn take_over(&mut self, loaded: Loaded) -> String {
        let Loaded { config, snapshot, geo, report } = loaded;
        for section in self.fixed.changed_sections(&config.fixed) {
            warn!("[{section}] of the server file has changed: it counts after a restart");
        }
        if !report.diagnostics().is_empty() {
            warn!("loaded with warnings\n{report}");
        }
        let targets = snapshot.targets();
        self.intake.track(&targets, self.clock.now());
        if let Some(schedule) = &mut self.schedule {
            schedule.set_targets(&targets);
        }
        self.geo = geo;
        let intake = Arc::clone(&self.intake);
        let generation = self.current.load().generation() + 1;
        let with_health = spawn_blocking(move || {
            snapshot.with_health(&|target| intake.board().health(target)).unwrap_or(snapshot)
        });
        match with_health.await {
            Ok(snapshot) => {
                let zones = snapshot.zones().len();
                self.swap(snapshot.numbered(generation));
                let told = format!("serving {zones} zones, {} targets", targets.len());
                info!("reloaded: {told}");
                told
            }
            Err(panic) => {
                error!("compiling answers panicked, the last ones stay: {panic}");
                "nothing: compiling panicked".to_owned()
            }
        }
    }

    fn swap(&mut self, next: Snapshot) {
        let old = self.current.swap(Arc::new(next));
        self.metrics.swaps.fetch_add(1, Ordering::Relaxed);
        self.retired.push(old);
        self.retired.retain(|old| Arc::strong_count(old) > 1);
    }
}

/// Waits for the load on its way; for ever when there is none.
async fn loaded(loading: &mut Option<Loading>) -> (Result<Loaded, Report>, Vec<ReloadRequest>) {
    let Some((load, _)) = loading else { return std::future::pending().await };
    let result = load.await;
    let asked = loading.take().map(|(_, asked)| asked).unwrap_or_default();
    let result = result.unwrap_or_else(|panic| {
        let mut report = Report::new();
        let message = format!("loading panicked: {panic}");
        report.push(crate::model::Diagnostic::error_without_place(message));
        Err(report)
    });
    (result, asked)
}
