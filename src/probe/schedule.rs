//! When each target is probed.
//!
//! One timer wheel holds all targets; a target that waits costs a few hundred octets and no task. What is
//! due starts together, every 10 ms, each probe as a task that ends with its report, and is told there
//! at which pace to go on.
//!
//! ```text
//! due ─▶ ordinary ──────────────────────▶ room in flight? ── yes ─▶ probe ─▶ report ─▶ due again
//!    └─▶ extra: confirms, recovers ─▶ reserve? and room? ──▶ ┘ no: waits; timeouts shrink to 1 s
//!                                     └─ no: left to its ordinary probe, and counted
//! ```
//!
//! What is due next for a target, and when, says its [rhythm](super::rhythm). A new target's first probe comes
//! within a second, so that verdicts come soon; afterwards it falls into its [place](super::place). Extra probes
//! live on the [reserve](super::budget).

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::budget::Budget;
use super::figures::Figures;
use super::place::FIRST_ROUND;
use super::rhythm::{Due, Plan, Rhythm};
use super::wheel::Wheel;
use super::{Probe, Prober, room};
use crate::config::Probe as ProbeConfig;
use crate::model::health::{Pace, Turn};
use crate::model::prefetch::prefetch_whole;
use crate::model::{Observation, Target, TargetId, Time};

/// New targets are probed no faster than this, in probes a second, whatever there is to start with.
const FIRST_ROUND_RATE: usize = 20_000;
/// The longest timeout while probes wait for their turn.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(1);

/// Probes targets, each at its own time. Dropping it ends all probing at once.
#[derive(Debug)]
pub struct Schedule {
    shared: Arc<Shared>,
    /// The one that starts probes, and owns them.
    driver: JoinSet<()>,
}

/// How much may be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Probes under way at once.
    pub in_flight_max: usize,
    /// Probes a second; by what the targets ask for when none is given.
    pub budget: Option<u32>,
}

impl Limits {
    /// What the server file says.
    #[must_use]
    pub fn new(probe: &ProbeConfig) -> Self {
        let written = probe.in_flight.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        Self { in_flight_max: written.unwrap_or_else(room::by_open_files), budget: probe.budget }
    }
}

struct Shared {
    prober: Prober,
    limits: Limits,
    report: Box<dyn Fn(Observation) -> Pace + Send + Sync>,
    table: Mutex<Table>,
    figures: Arc<Figures>,
    /// Something is due earlier than was known, or there is room in flight.
    wake: Notify,
    /// A probe has ended.
    ended: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// All targets and what is due when.
struct Table {
    wheel: Wheel<Ticket>,
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    keys: HashMap<Target, Key>,
    by_id: HashMap<TargetId, Key>,
    next_life: u32,
    budget: Budget,
    in_flight: usize,
    /// Due, but for room.
    waiting: VecDeque<Ticket>,
    /// When the driver looks next.
    wakes_at: Option<Time>,
}

/// A target in the table. A row is used again; the life tells who is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key {
    row: u32,
    life: u32,
}

/// What stands in the wheel for a plan, and counts as long as the target has no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ticket {
    key: Key,
    plan: u32,
}

struct Row {
    life: u32,
    target: Target,
    rhythm: Rhythm,
    /// One that is not under way, with what it keeps from probe to probe.
    probe: Option<Box<Probe>>,
}

impl Schedule {
    /// A schedule of nothing.
    ///
    /// `report` is called with each result and says when the next ones are wanted. It must not block.
    #[must_use]
    pub fn new(
        prober: Prober,
        limits: Limits,
        report: impl Fn(Observation) -> Pace + Send + Sync + 'static,
    ) -> Self {
        let table = Mutex::new(Table::new(limits, prober.clock.now()));
        let figures = Arc::new(Figures::with_room(limits.in_flight_max));
        let (wake, ended) = (Notify::new(), Notify::new());
        let report = Box::new(report);
        let shared = Shared { prober, limits, report, table, figures, wake, ended };
        Self { shared: Arc::new(shared), driver: JoinSet::new() }
    }

    /// What it has done and is doing, as it moves.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.shared.figures)
    }

    /// Makes `targets` the ones that are probed, by nobody else, as far as anybody must look. Those that stay
    /// keep their rhythm. Must be called inside a tokio runtime.
    pub fn set_targets(&mut self, targets: &HashSet<Target>) {
        self.set_turns(targets.iter().map(|target| (target.clone(), Turn::ALONE)));
    }

    /// The same for targets that others probe, too, each with the turn that this vantage has with it. One whose
    /// turn is another now goes over to it with its next ordinary probe.
    pub fn set_turns(&mut self, targets: impl IntoIterator<Item = (Target, Turn)>) {
        let targets = targets.into_iter().collect();
        self.shared.lock().set_targets(targets, &self.shared);
        self.shared.wake.notify_one();
        // It never ends by itself but by a panic; probing goes on then.
        if self.driver.try_join_next().is_some() {
            tracing::error!("what starts the probes panicked, and is started again");
        }
        if self.driver.is_empty() {
            self.driver.spawn(Arc::clone(&self.shared).drive());
        }
    }

    /// Probes those of `targets` now which are probed at all and wait for their turn: beyond the ordinary
    /// probes, and so only as far as the reserve goes.
    pub fn hasten(&self, targets: &HashSet<TargetId>) {
        let now = self.shared.prober.clock.now();
        self.shared.lock().hasten(targets, now);
        self.shared.wake.notify_one();
    }

    /// Ends all probing and returns when nothing runs any more. Probes on their way are abandoned
    /// without a report.
    pub async fn stop(mut self) {
        self.driver.shutdown().await;
        while self.shared.lock().in_flight > 0 {
            self.shared.ended.notified().await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what is due, for ever.
    async fn drive(self: Arc<Self>) {
        let clock = self.prober.clock;
        let mut running = JoinSet::new();
        loop {
            while let Some(ended) = running.try_join_next() {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    tracing::error!("a probe panicked: {error}");
                }
            }
            let now = clock.now();
            let (starts, next) = {
                let mut table = self.lock();
                let starts = table.take_due(now, &self);
                table.wakes_at = table.wheel.next();
                (starts, table.wakes_at)
            };
            for mut flight in starts {
                running.spawn(async move { flight.fly().await });
            }
            let rest = async {
                match next {
                    Some(next) => sleep(next.since(clock.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = rest => {}
                () = self.wake.notified() => {}
            }
        }
    }
}

impl Table {
    fn new(limits: Limits, now: Time) -> Self {
        Self {
            wheel: Wheel::new(now),
            rows: Vec::new(),
            free: Vec::new(),
            keys: HashMap::new(),
            by_id: HashMap::new(),
            next_life: 0,
            budget: Budget::new(limits.budget, now),
            in_flight: 0,
            waiting: VecDeque::new(),
            wakes_at: None,
        }
    }

    fn set_targets(&mut self, targets: HashMap<Target, Turn>, shared: &Shared) {
        let moment = shared.prober.clock.moment();
        let (rows, free, by_id) = (&mut self.rows, &mut self.free, &mut self.by_id);
        self.keys.retain(|target, key| {
            let Some(turn) = targets.get(target) else {
                by_id.remove(&target.id());
                rows[index(*key)] = None;
                free.push(key.row);
                return false;
            };
            if let Some(row) = &mut rows[index(*key)] {
                row.rhythm.set_turn(target, *turn, moment);
            }
            true
        });
        let is_new = |(target, _): &(Target, Turn)| {
            target.spec.kind.is_probed() && !self.keys.contains_key(target)
        };
        let new: Vec<(Target, Turn)> = targets.into_iter().filter(is_new).collect();
        let seconds = u32::try_from(new.len() / FIRST_ROUND_RATE).unwrap_or(u32::MAX);
        let round = FIRST_ROUND.max(Duration::from_secs(seconds.into()));
        for (target, turn) in new {
            let rhythm = Rhythm::new(&target, turn, moment, round);
            self.insert(target, rhythm, shared);
        }
        let ordinary = self.keys.keys().map(|target| target.spec.interval.as_secs_f64().recip());
        let ordinary = ordinary.sum();
        self.budget.set_ordinary(ordinary);
        shared.figures.plan(self.keys.len(), self.budget.ordinary(), self.budget.reserve());
    }

    fn insert(&mut self, target: Target, rhythm: Rhythm, shared: &Shared) {
        let life = self.next_life;
        self.next_life = self.next_life.wrapping_add(1);
        let plan = rhythm.plan();
        let probe = Some(Box::new(shared.prober.prepare(target.clone())));
        let row = Row { life, target: target.clone(), rhythm, probe };
        let key = match self.free.pop() {
            Some(free) => Key { row: free, life },
            None => {
                let row = u32::try_from(self.rows.len()).expect("less than 2³² targets");
                self.rows.push(None);
                Key { row, life }
            }
        };
        self.rows[index(key)] = Some(row);
        self.by_id.insert(target.id(), key);
        self.keys.insert(target, key);
        self.add(key, plan);
    }

    fn hasten(&mut self, targets: &HashSet<TargetId>, now: Time) {
        for target in targets {
            let Some(key) = self.by_id.get(target).copied() else { continue };
            if let Some(plan) = self.row(key).and_then(|row| row.rhythm.hasten(now)) {
                self.add(key, plan);
            }
        }
    }

    /// The target of a key, if it is still in use.
    fn row(&mut self, key: Key) -> Option<&mut Row> {
        self.rows[index(key)].as_mut().filter(|row| row.life == key.life)
    }

    fn add(&mut self, key: Key, plan: Plan) {
        self.wheel.add(plan.at, Ticket { key, plan: plan.number });
    }

    /// What starts now: those who waited, then those who are due by now, while there is room.
    fn take_due(&mut self, now: Time, shared: &Arc<Shared>) -> Vec<Flight> {
        let mut starts = Vec::new();
        while self.in_flight < shared.limits.in_flight_max
            && let Some(ticket) = self.waiting.pop_front()
        {
            starts.extend(self.start(ticket, now, shared));
        }
        let mut due = Vec::new();
        self.wheel.take(now, |ticket| due.push(ticket));
        // Of a hundred thousand rows most are in no cache.
        due.iter().for_each(|ticket| prefetch_whole(&self.rows[index(ticket.key)]));
        for ticket in due {
            let has_room = self.in_flight < shared.limits.in_flight_max;
            let key = ticket.key;
            let Some(row) = self.row(key) else { continue };
            if !row.rhythm.is_current(ticket.plan) {
                continue;
            }
            let what = row.rhythm.plan().what;
            let may_start = has_room && (what == Due::Ordinary || self.budget.spend(now));
            match what {
                _ if may_start => starts.extend(self.start(ticket, now, shared)),
                Due::Ordinary => self.waiting.push_back(ticket),
                Due::Extra => {
                    let plan = self.row(key).map(|row| row.rhythm.leave_to_ordinary(now));
                    plan.into_iter().for_each(|plan| self.add(key, plan));
                    shared.figures.drop_one();
                }
                Due::Beside => shared.figures.drop_one(),
            }
        }
        shared.figures.set_load(self.in_flight, self.waiting.len());
        starts
    }

    fn start(&mut self, ticket: Ticket, now: Time, shared: &Arc<Shared>) -> Option<Flight> {
        let is_crowded = !self.waiting.is_empty();
        let key = ticket.key;
        let row = self.row(key).filter(|row| row.rhythm.is_current(ticket.plan))?;
        let kept = row.probe.take();
        let probe = kept.unwrap_or_else(|| Box::new(shared.prober.prepare(row.target.clone())));
        shared.figures.start(now.since(row.rhythm.plan().at));
        let limit = row.target.spec.timeout;
        if let Some(beside) = row.rhythm.start(now) {
            self.add(key, beside);
        }
        self.in_flight += 1;
        let limit = if is_crowded { limit.min(CROWDED_TIMEOUT) } else { limit };
        let shared = Arc::clone(shared);
        Some(Flight { shared, key, limit, probe: Some(probe), pace: None })
    }

    /// A probe has ended; the target goes on as was told, or as usual if nothing was.
    fn end(&mut self, flight: &mut Flight) {
        self.in_flight -= 1;
        let (key, told) = (flight.key, flight.pace);
        let Some(row) = self.row(key) else { return };
        row.probe = row.probe.take().or_else(|| flight.probe.take());
        let plan = row.rhythm.end(told);
        plan.iter().for_each(|plan| self.add(key, *plan));
        let is_awaited = plan.is_some_and(|plan| self.wakes_at.is_none_or(|at| plan.at < at));
        if is_awaited || !self.waiting.is_empty() {
            flight.shared.wake.notify_one();
        }
    }
}

fn index(key: Key) -> usize {
    usize::try_from(key.row).expect("a row is in memory")
}

/// One probe under way. Wherever it ends, by a panic, too, its target goes on.
struct Flight {
    shared: Arc<Shared>,
    key: Key,
    limit: Duration,
    probe: Option<Box<Probe>>,
    pace: Option<Pace>,
}

impl Flight {
    async fn fly(&mut self) {
        let Some(probe) = &mut self.probe else { return };
        let (outcome, round_trip) = probe.run_within(self.limit).await;
        let at = self.shared.prober.clock.now();
        if self.shared.lock().row(self.key).is_some() {
            let target = probe.target.clone();
            let observation = Observation { target, at, outcome, round_trip };
            self.pace = Some((self.shared.report)(observation));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        shared.lock().end(self);
        shared.ended.notify_one();
    }
}

#[cfg(test)]
mod tests;
