//! The world around the machines: endpoints that live and die, paths that are cut, an engine, clocks, operators.

mod acts;
mod wires;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use windrose::clock::Moment;
use windrose::fleet::bundle::{Head, sha256};
use windrose::fleet::keeper::Arrived;
use windrose::model::health::{LocalError, ProbeOutcome};
use windrose::model::{FailureReason, Observation, Time};
use windrose::probe::Plan;

use self::wires::{Connection, Entry};
use super::engine::Engine;
use super::faults::{Fault, Faults, Kind, Probed};
use super::machine::{Disk, Machine};
use super::operators::Act;
use super::served::{Common, Edition, common};
use super::watch::{Outcome, Watch};
use crate::random::Random;

pub(super) const NODES: usize = 3;
pub(super) const MACHINES: usize = NODES + 5;
pub(super) const GROUPS: usize = 3;
pub(super) const VANTAGES_PER_TARGET: usize = 3;

/// Time begins somewhere, and so do clocks.
pub(super) const START: Time = Time::from_secs(1000);
const UNIX: Duration = Duration::from_secs(1_800_000_000);
/// How often machines speak, write to their disks, look after their connections, and are looked at.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// What has been heard is counted so much later.
const PULSE: Duration = Duration::from_millis(100);
/// A probe that hears nothing ends.
const TIMEOUT: Duration = Duration::from_secs(2);
/// After the engine's return it is looked so often, and so many times, whether all have come to the same.
const RETURN_STEP: Duration = Duration::from_millis(50);
const RETURN_STEPS: u32 = 600;
/// One probe of a hundred is lost on the way.
const LOSS: f64 = 0.01;

/// What happens, and to which machine.
#[derive(PartialEq, Eq, Debug)]
enum Event {
    /// A probe of a target ends; it began then.
    Probed {
        machine: usize,
        life: u32,
        row: u32,
        target: usize,
        began: Time,
        outcome: Probed,
    },
    /// A probe of a target begins, if the plan of that number still means something.
    Probe {
        machine: usize,
        life: u32,
        row: u32,
        plan: u32,
        target: usize,
    },
    Frame {
        machine: usize,
        frame: Arc<[u8]>,
    },
    Recount {
        machine: usize,
    },
    Tick {
        machine: usize,
    },
    /// A machine may speak between two ticks.
    Early {
        machine: usize,
    },
    /// What an engine keeps under a key has come to a machine, over its connection of that number; nothing when
    /// that was all.
    Entry {
        machine: usize,
        connection: u32,
        entry: Entry,
    },
    /// A version is checked and loaded.
    TakeOver {
        machine: usize,
        life: u32,
        arrived: Box<Arrived>,
    },
    /// A machine that was off starts.
    Start {
        machine: usize,
    },
    /// Something is put on an engine.
    Put {
        engine: usize,
        key: String,
        value: Vec<u8>,
    },
    /// An operator does something.
    Act {
        place: usize,
    },
    /// A fault ends.
    Ended {
        place: usize,
    },
    Look,
    /// The engine has returned, and it is looked whether all have come to the same.
    Return,
}

/// Events in their order, those of one moment as they were made.
struct Due(Time, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub(super) struct World {
    random: Random,
    pub(super) faults: Faults,
    acts: Vec<Act>,
    pub(super) common: Common,
    pub(super) machines: Vec<Option<Machine>>,
    /// How often each machine has started: what was begun in an earlier life ends nowhere.
    lives: Vec<u32>,
    disks: Vec<Disk>,
    connections: Vec<Connection>,
    /// The engine, and another while the fleet is split.
    pub(super) engines: [Engine; 2],
    events: BinaryHeap<Reverse<Due>>,
    count: u64,
    pub(super) now: Time,
    /// When the engine returns for the last time.
    pub(super) returned: Option<Duration>,
    /// Away while it looks.
    watch: Option<Watch>,
}

impl World {
    pub(super) fn new(seed: u64, faults: Vec<Fault>, acts: Vec<Act>) -> Self {
        let is_told = std::env::var_os("SEED").is_some();
        let mut world = Self {
            random: Random::new(seed ^ 0x77),
            faults: Faults::new(faults),
            acts,
            machines: (0..MACHINES).map(|_| None).collect(),
            lives: vec![0; MACHINES],
            disks: vec![Disk::default(); MACHINES],
            connections: vec![Connection::default(); MACHINES],
            engines: [Engine::default(), Engine::default()],
            events: BinaryHeap::new(),
            count: 0,
            now: START,
            returned: None,
            watch: Some(Watch::new(seed, is_told)),
            common: common(),
        };
        if is_told {
            for Fault { kind, machine, from, until } in &world.faults.all {
                println!("{from:>8.1?} to {until:>8.1?}: {kind:?} {machine}");
            }
            for Act { at, node, what } in &world.acts {
                println!("{at:>8.1?}: at node {node} {what:?}");
            }
        }
        for machine in 0..MACHINES {
            world.start(machine);
            let phase = world.millis(1000);
            world.at(START + phase, Event::Tick { machine });
        }
        for place in 0..world.acts.len() {
            world.at(START + world.acts[place].at, Event::Act { place });
        }
        for place in 0..world.faults.all.len() {
            world.at(START + world.faults.all[place].until, Event::Ended { place });
        }
        world.at(START + TICK, Event::Look);
        let is_away =
            |fault: &&Fault| matches!(fault.kind, Kind::BrokerAway | Kind::BrokerRolledBack);
        let returns = world.faults.all.iter().filter(is_away).map(|fault| fault.until);
        world.returned = returns.max();
        for step in world.returned.map_or(0..0, |_| 0..RETURN_STEPS) {
            world
                .at(START + world.returned.unwrap_or_default() + RETURN_STEP * step, Event::Return);
        }
        world
    }

    /// Only what happens from then on counts for what verdicts turned.
    pub(super) fn counted_from(mut self, from: Duration) -> Self {
        self.watch.iter_mut().for_each(|watch| watch.counts_from = from);
        self
    }

    /// Whoever has been dead for so long must not be named by any node that runs well.
    pub(super) fn never_older_than(mut self, age: Duration) -> Self {
        self.watch.iter_mut().for_each(|watch| watch.oldest = Some(age));
        self
    }

    pub(super) fn play(mut self, length: Duration) -> Outcome {
        let end = START + length;
        while let Some(Reverse(Due(at, _, event))) = self.events.pop() {
            if at > end {
                break;
            }
            self.now = at;
            self.take(event);
        }
        let mut watch = self.watch.take().expect("it is not looking");
        watch.settle(&self);
        watch.outcome
    }

    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.push(Reverse(Due(time, self.count, event)));
    }

    /// Up to so many milliseconds.
    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.random.below(end))
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now.since(START)
    }

    // ---- Faults ----

    /// Whether something is wrong now with a machine, an endpoint or the broker.
    fn has(&self, kind: Kind, of: usize) -> bool {
        self.faults.had(kind, of, self.elapsed())
    }

    fn has_any_of<const N: usize>(&self, kinds: [Kind; N], of: usize) -> bool {
        kinds.into_iter().any(|kind| self.has(kind, of))
    }

    pub(super) fn is_alive(&self, endpoint: usize) -> bool {
        self.faults.death(endpoint, self.elapsed()).is_none()
    }

    /// The clocks of a machine. Its wall clock may be set by five seconds.
    fn moment(&self, machine: usize) -> Moment {
        let (right, at) = (UNIX + self.elapsed(), self.elapsed());
        let off = Duration::from_secs(5);
        let unix = match self.faults.until(Kind::ClockSet, machine, at) {
            None => right,
            Some(until) if until.as_millis() % 2 == 0 => right + off,
            Some(_) => right - off,
        };
        Moment { time: self.now, unix }
    }

    /// When what is wrong with a machine now ends.
    pub(super) fn until(&self, kind: Kind, machine: usize) -> Option<Time> {
        self.faults.until(kind, machine, self.elapsed()).map(|until| START + until)
    }

    // ---- What happens ----

    fn start(&mut self, number: usize) {
        let moment = self.moment(number);
        let disk = self.disks[number].clone();
        self.lives[number] += 1;
        self.connections[number].engine = None;
        let machine = Machine::start(number, &self.common, disk, moment);
        self.machines[number] = Some(machine);
        self.plan_new(number);
    }

    fn take(&mut self, event: Event) {
        let machine = match &event {
            Event::Look => return self.look(),
            Event::Return => return self.look_at_return(),
            Event::Start { machine } => {
                let machine = *machine;
                match self.until(Kind::Restarted, machine) {
                    Some(until) => self.at(until, Event::Start { machine }),
                    None => self.start(machine),
                }
                return;
            }
            Event::Act { place } => return self.act(*place),
            Event::Ended { place } => return self.end_fault(*place),
            Event::Put { .. } => return self.put(event),
            Event::Probed { machine, .. }
            | Event::Probe { machine, .. }
            | Event::Frame { machine, .. }
            | Event::Recount { machine }
            | Event::Entry { machine, .. }
            | Event::TakeOver { machine, .. }
            | Event::Early { machine }
            | Event::Tick { machine } => *machine,
        };
        if let Some(until) = self.until(Kind::Stopped, machine) {
            // What the kernel keeps for it is there when it goes on; its own waits are over then.
            let mut event = event;
            if let Event::Probed { began, outcome, .. } = &mut event
                && until.since(*began) > TIMEOUT
                && self.random.below(2) == 0
            {
                *outcome = Probed::Late;
            }
            return self.at(until, event);
        }
        if self.until(Kind::Restarted, machine).is_some()
            && let Some(own) = self.machines[machine].take()
        {
            self.disks[machine] = own.disk;
            self.at(self.now, Event::Start { machine });
        }
        let is_of_life = |life: u32, own: &[u32]| own[machine] == life;
        match event {
            Event::Tick { .. } => self.tick(machine),
            Event::Early { .. } => self.speak_early(machine),
            Event::Frame { frame, .. } => self.hear(machine, &frame),
            Event::Recount { .. } => {
                let now = self.now;
                if let Some(own) = &mut self.machines[machine] {
                    own.recount(now);
                }
            }
            Event::Probe { life, row, plan, target, .. } if is_of_life(life, &self.lives) => {
                self.probe(machine, target, (row, plan));
            }
            Event::Probed { life, row, target, outcome, .. } if is_of_life(life, &self.lives) => {
                self.probed(machine, (target, row), outcome);
            }
            Event::Entry { connection, entry, .. } => self.tell(machine, connection, entry),
            Event::TakeOver { life, arrived, .. } if is_of_life(life, &self.lives) => {
                self.take_over(machine, &arrived);
            }
            _ => {}
        }
    }

    // ---- Each second ----

    /// A machine speaks; whoever is reached hears it a moment later.
    fn tick(&mut self, machine: usize) {
        let (now, moment) = (self.now, self.moment(machine));
        let late =
            if self.has(Kind::Starved, machine) { self.millis(3000) } else { Duration::ZERO };
        self.at(now + TICK + late, Event::Tick { machine });
        self.look_after_connection(machine);
        // Anchors are endpoints that never die, and are not beyond what a blind machine does not see.
        let is_cut = self.has(Kind::Isolated, machine);
        let starved = self.has(Kind::Starved, machine);
        let answers = |random: &mut Random| {
            !is_cut && random.fraction() >= LOSS && !(starved && random.below(3) > 0)
        };
        let anchors = (0..3).filter(|_| answers(&mut self.random)).count();
        // Each second, but nobody reads it unless it is to start again.
        let is_saved =
            self.faults.begins_within(Kind::Restarted, machine, self.elapsed(), TICK * 5);
        let Some(own) = &mut self.machines[machine] else { return };
        own.look(anchors, moment);
        let mut duties = own.note(moment);
        duties.extend(own.keeper.tick(now));
        let (frames, fresh) = own.tick(moment);
        own.recount(now);
        own.compile(now);
        if is_saved {
            own.save();
        }
        self.plan_new(machine);
        self.hasten(machine, fresh);
        self.discharge(machine, duties);
        for frame in frames {
            self.send(machine, &frame.into());
        }
    }

    /// A machine speaks between two ticks, unless the tick was sooner.
    fn speak_early(&mut self, machine: usize) {
        let moment = self.moment(machine);
        let Some(own) = &mut self.machines[machine] else { return };
        if own.early(moment.time).is_none_or(|at| at > moment.time) {
            return;
        }
        let frames = own.speak_early(moment);
        own.recount(moment.time);
        for frame in frames {
            self.send(machine, &frame.into());
        }
    }

    // ---- Probes ----

    fn plan(&mut self, machine: usize, target: usize, plan: Option<Plan>) {
        let Some(Plan { at, number, .. }) = plan else { return };
        let row = self.machines[machine].as_ref().and_then(|own| own.rows[target].as_ref());
        let (life, row) = (self.lives[machine], row.map_or(0, |row| row.life));
        self.at(at.max(self.now), Event::Probe { machine, life, row, plan: number, target });
    }

    /// Plans the first probes of targets that a machine has begun to look at.
    fn plan_new(&mut self, machine: usize) {
        let Some(own) = &mut self.machines[machine] else { return };
        let new: Vec<_> = own.take_new();
        new.into_iter().for_each(|(target, plan)| self.plan(machine, target, Some(plan)));
    }

    /// Targets are called for, or have become a machine's own.
    fn hasten(&mut self, machine: usize, targets: Vec<usize>) {
        let now = self.now;
        for target in targets {
            let own = self.machines[machine].as_mut();
            let row = own.and_then(|own| own.rows[target].as_mut());
            let plan = row.and_then(|row| row.rhythm.hasten(now));
            self.plan(machine, target, plan);
        }
    }

    fn probe(&mut self, machine: usize, target: usize, (row, plan): (u32, u32)) {
        let (began, life) = (self.now, self.lives[machine]);
        let own = self.machines[machine].as_mut().and_then(|own| own.row(target, row));
        let Some(rhythm) = own.filter(|rhythm| rhythm.is_current(plan)) else { return };
        let beside = rhythm.start(began);
        self.plan(machine, target, beside);
        let is_cut = self.has_any_of([Kind::Isolated, Kind::Blind], machine)
            || self.faults.is_path_cut(machine, target, self.elapsed());
        let is_starved = self.has(Kind::Starved, machine) && self.random.below(3) > 0;
        let is_lost = self.random.fraction() < LOSS;
        let round_trip = Duration::from_millis(15 + 10 * ((machine * 7 + target * 3) % 12) as u64);
        let outcome = match self.faults.death(target, self.elapsed()) {
            _ if is_cut || is_starved || is_lost => Probed::Timeout,
            Some(death) => death,
            None => Probed::Success(round_trip),
        };
        let took = match outcome {
            Probed::Timeout => TIMEOUT,
            Probed::Success(_) | Probed::Refused | Probed::Late => round_trip,
        };
        self.at(began + took, Event::Probed { machine, life, row, target, began, outcome });
    }

    fn probed(&mut self, machine: usize, (target, row): (usize, u32), outcome: Probed) {
        let moment = self.moment(machine);
        let Some(own) = &mut self.machines[machine] else { return };
        if own.row(target, row).is_none() {
            return;
        }
        let outcome = match outcome {
            Probed::Success(took) => ProbeOutcome::Success(took),
            Probed::Timeout => ProbeOutcome::Failure(FailureReason::Timeout),
            Probed::Refused => ProbeOutcome::Failure(FailureReason::Refused),
            Probed::Late => ProbeOutcome::LocalError(LocalError::Late),
        };
        let (at, round_trip) = (moment.time, None);
        let observed = self.common.targets[target].clone();
        let plan = own.observe(target, &Observation { target: observed, at, outcome, round_trip });
        let (call, early) = (own.call(moment), own.early(moment.time));
        self.plan(machine, target, plan);
        if let Some(early) = early {
            self.at(early, Event::Early { machine });
        }
        if let Some(call) = call {
            self.send(machine, &call.into());
        }
    }

    // ---- Who watches ----

    fn look(&mut self) {
        self.at(self.now + TICK, Event::Look);
        for node in 0..NODES {
            if self.until(Kind::Stopped, node).is_none()
                && let Some(machine) = &mut self.machines[node]
            {
                machine.compile(self.now);
            }
        }
        let mut watch = self.watch.take().expect("it is not looking");
        watch.look(self);
        self.watch = Some(watch);
    }

    fn look_at_return(&mut self) {
        let mut watch = self.watch.take().expect("it is not looking");
        watch.look_at_return(self);
        self.watch = Some(watch);
    }

    /// Whether the files of a version can be served.
    pub(super) fn is_fit(&self, head: &Head) -> bool {
        let is_so = |own: &Edition| own.zones.is_some() && sha256(&own.bundle) == head.sha256;
        self.common.editions.iter().any(is_so)
    }
}
