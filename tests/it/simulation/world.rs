//! The world around the machines: endpoints that live and die, paths that are cut, a broker, clocks; and who
//! watches that nothing is broken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use windrose::config::{self, ZoneFiles};
use windrose::dns::Dice;
use windrose::health::fleet::Keys;
use windrose::model::health::{LocalError, ProbeOutcome};
use windrose::model::{FailureReason, Observation, Report, Target, TargetHost, Time, Verdict};

use super::faults::{Fault, Kind};
use super::machine::{Common, Machine};
use crate::random::Random;

pub(super) const NODES: usize = 3;
pub(super) const MACHINES: usize = NODES + 5;
pub(super) const ENDPOINTS: usize = 20;
pub(super) const VANTAGES_PER_TARGET: usize = 3;
const NAMES: [&str; 3] = ["www", "first", "sticky"];

/// Time begins somewhere, and so do clocks.
const START: Time = Time::from_secs(1000);
const UNIX: Duration = Duration::from_secs(1_800_000_000);
/// How often machines speak, write to their disks, and are looked at.
const TICK: Duration = Duration::from_secs(1);
/// What has been heard is counted so much later.
const PULSE: Duration = Duration::from_millis(100);
/// A probe that hears nothing ends.
const TIMEOUT: Duration = Duration::from_secs(2);
/// One probe of a hundred is lost on the way.
const LOSS: f64 = 0.01;
/// So long after the last fault everybody must agree.
const SETTLED: Duration = Duration::from_secs(60);
/// For so long before a verdict turns down, most of those who look must have been able to see it alive for
/// the verdict to be wrong.
const MEMORY: Duration = Duration::from_secs(45);

/// What came of a seed.
#[derive(Default, Debug)]
pub(super) struct Outcome {
    /// Sentences, each with its time.
    pub(super) broken: Vec<String>,
    /// For how long a node's answers led to the dead, times their share of the answers looked at.
    pub(super) bad_answer_secs: f64,
    /// Verdicts on a node that turned down while the endpoint was alive.
    pub(super) needless: u32,
    /// Verdicts on nodes that turned up or down, but for the first.
    pub(super) turned: u32,
    pub(super) looked_at: u64,
    /// How long after the last return of the broker all nodes had come to the same.
    pub(super) agreed_after: Option<Duration>,
}

/// What happens, and to which machine.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A probe of a target ends; it began then.
    Probed {
        machine: usize,
        life: u32,
        turn: u32,
        target: usize,
        began: Time,
        outcome: Probed,
    },
    /// A probe of a target begins.
    Probe {
        machine: usize,
        life: u32,
        turn: u32,
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
    /// A machine that was off starts.
    Start {
        machine: usize,
    },
    Look,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Probed {
    Success(Duration),
    Timeout,
    Refused,
    /// The machine did not look in time.
    Late,
}

pub(super) struct World {
    random: Random,
    dice: Dice,
    faults: Vec<Fault>,
    common: Common,
    machines: Vec<Option<Machine>>,
    /// How often each machine has started: what was begun in an earlier life ends nowhere.
    lives: Vec<u32>,
    /// By machine and target: the turn that counts. A probe that was put forward makes that which was due void.
    turns: Vec<[u32; ENDPOINTS]>,
    disks: Vec<Vec<(Target, windrose::health::Remembered)>>,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    count: u64,
    now: Time,
    /// By node and target: what was held at the last look.
    verdicts: Vec<Vec<Verdict>>,
    outcome: Outcome,
    is_told: bool,
}

impl World {
    pub(super) fn new(seed: u64, faults: Vec<Fault>) -> Self {
        let common = common();
        let mut world = Self {
            random: Random::new(seed ^ 0x77),
            dice: Dice::new(seed),
            faults,
            machines: (0..MACHINES).map(|_| None).collect(),
            lives: vec![0; MACHINES],
            turns: vec![[0; ENDPOINTS]; MACHINES],
            disks: vec![Vec::new(); MACHINES],
            events: BinaryHeap::new(),
            count: 0,
            now: START,
            verdicts: vec![vec![Verdict::Unknown; ENDPOINTS]; NODES],
            outcome: Outcome::default(),
            is_told: std::env::var_os("SEED").is_some(),
            common,
        };
        if world.is_told {
            for Fault { kind, machine, from, until } in &world.faults {
                println!("{from:>8.1?} to {until:>8.1?}: {kind:?} {machine}");
            }
        }
        for machine in 0..MACHINES {
            world.start(machine);
            let phase = world.millis(1000);
            world.at(START + phase, Event::Tick { machine });
        }
        world.at(START + TICK, Event::Look);
        world
    }

    pub(super) fn play(mut self, length: Duration) -> Outcome {
        let end = START + length;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > end {
                break;
            }
            self.now = at;
            self.take(event);
        }
        self.settle();
        self.outcome
    }

    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.push(Reverse((time, self.count, event)));
    }

    /// Up to so many milliseconds.
    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.random.below(end))
    }

    fn elapsed(&self) -> Duration {
        self.now.since(START)
    }

    // ---- Faults ----

    /// Whether something is wrong now with a machine, an endpoint or the broker.
    fn has(&self, kind: Kind, of: usize) -> bool {
        self.had(kind, of, self.elapsed())
    }

    fn had(&self, kind: Kind, of: usize, at: Duration) -> bool {
        self.faults.iter().any(|fault| {
            fault.kind == kind && fault.machine == of && (fault.from..fault.until).contains(&at)
        })
    }

    fn has_any(&self, kind: Kind) -> bool {
        let at = self.elapsed();
        self.faults
            .iter()
            .any(|fault| fault.kind == kind && (fault.from..fault.until).contains(&at))
    }

    /// How an endpoint fails at a moment, if it does.
    fn death(&self, endpoint: usize, at: Duration) -> Option<Probed> {
        if self.had(Kind::Silent, endpoint, at) {
            return Some(Probed::Timeout);
        }
        let is_in_spell = (at.as_secs() / 7).is_multiple_of(2);
        let is_refusing = self.had(Kind::Refusing, endpoint, at)
            || self.had(Kind::Flapping, endpoint, at) && is_in_spell;
        is_refusing.then_some(Probed::Refused)
    }

    fn is_alive(&self, endpoint: usize) -> bool {
        self.death(endpoint, self.elapsed()).is_none()
    }

    /// Whether a machine can be believed to see an endpoint that is alive.
    fn could_see(&self, machine: usize, at: Duration) -> bool {
        let ill = [Kind::Isolated, Kind::Blind, Kind::Stopped, Kind::Starved, Kind::Restarted];
        !ill.into_iter().any(|kind| self.had(kind, machine, at))
    }

    /// The wall clock of a machine.
    fn unix(&self, machine: usize) -> Duration {
        let right = UNIX + self.elapsed();
        let at = self.elapsed();
        let set = self.faults.iter().find(|fault| {
            fault.kind == Kind::ClockSet
                && fault.machine == machine
                && (fault.from..fault.until).contains(&at)
        });
        match set {
            None => right,
            Some(fault) if fault.from.as_millis() % 2 == 0 => right + Duration::from_secs(5),
            Some(_) => right - Duration::from_secs(5),
        }
    }

    /// When a machine that stands still goes on.
    fn stopped_until(&self, machine: usize) -> Option<Time> {
        self.until(Kind::Stopped, machine)
    }

    fn until(&self, kind: Kind, machine: usize) -> Option<Time> {
        let at = self.elapsed();
        let own = self.faults.iter().filter(|fault| fault.kind == kind && fault.machine == machine);
        let now = own.filter(|fault| (fault.from..fault.until).contains(&at));
        now.map(|fault| START + fault.until).max()
    }

    // ---- What happens ----

    fn start(&mut self, number: usize) {
        let (now, unix) = (self.now, self.unix(number));
        let disk = self.disks[number].clone();
        self.lives[number] += 1;
        let life = self.lives[number];
        self.machines[number] = Some(Machine::start(number, &self.common, disk, now, unix));
        for target in 0..ENDPOINTS {
            let (wait, turn) = (self.millis(1000), self.turns[number][target]);
            self.at(now + wait, Event::Probe { machine: number, life, turn, target });
        }
    }

    fn take(&mut self, event: Event) {
        let machine = match &event {
            Event::Look => return self.look(),
            Event::Start { machine } => {
                let machine = *machine;
                match self.until(Kind::Restarted, machine) {
                    Some(until) => self.at(until, Event::Start { machine }),
                    None => self.start(machine),
                }
                return;
            }
            Event::Probed { machine, .. }
            | Event::Probe { machine, .. }
            | Event::Frame { machine, .. }
            | Event::Recount { machine }
            | Event::Early { machine }
            | Event::Tick { machine } => *machine,
        };
        if let Some(until) = self.stopped_until(machine) {
            // What the kernel keeps for it is there when it goes on; its own waits are over then.
            let event = match event {
                Event::Probed { machine, life, turn, target, began, outcome } => {
                    let is_late = until.since(began) > TIMEOUT && self.random.below(2) == 0;
                    let outcome = if is_late { Probed::Late } else { outcome };
                    Event::Probed { machine, life, turn, target, began, outcome }
                }
                other => other,
            };
            return self.at(until, event);
        }
        if self.until(Kind::Restarted, machine).is_some() && self.machines[machine].is_some() {
            self.machines[machine] = None;
            self.at(self.now, Event::Start { machine });
        }
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
            Event::Probe { life, turn, target, .. } => self.probe(machine, (life, turn), target),
            Event::Probed { life, turn, target, began, outcome, .. } => {
                self.probed(machine, (life, turn), target, began, outcome);
            }
            Event::Start { .. } | Event::Look => {}
        }
    }

    /// Whether what was begun in a life and at a turn still means something.
    fn is_current(&self, machine: usize, (life, turn): (u32, u32), target: usize) -> bool {
        self.lives[machine] == life
            && self.turns[machine][target] == turn
            && self.machines[machine].is_some()
    }

    /// Probes a target now, and not when it would have been its turn.
    fn put_forward(&mut self, machine: usize, target: usize) {
        self.turns[machine][target] += 1;
        let (life, turn) = (self.lives[machine], self.turns[machine][target]);
        self.at(self.now, Event::Probe { machine, life, turn, target });
    }

    fn probe(&mut self, machine: usize, (life, turn): (u32, u32), target: usize) {
        if !self.is_current(machine, (life, turn), target) {
            return;
        }
        let is_cut = self.has(Kind::Isolated, machine) || self.has(Kind::Blind, machine);
        let is_starved = self.has(Kind::Starved, machine) && self.random.below(3) > 0;
        let is_lost = self.random.fraction() < LOSS;
        let round_trip = Duration::from_millis(15 + 10 * ((machine * 7 + target * 3) % 12) as u64);
        let outcome = match self.death(target, self.elapsed()) {
            _ if is_cut || is_starved || is_lost => Probed::Timeout,
            Some(death) => death,
            None => Probed::Success(round_trip),
        };
        let took = match outcome {
            Probed::Timeout => TIMEOUT,
            Probed::Success(_) | Probed::Refused | Probed::Late => round_trip,
        };
        let began = self.now;
        self.at(began + took, Event::Probed { machine, life, turn, target, began, outcome });
    }

    fn probed(
        &mut self,
        machine: usize,
        (life, turn): (u32, u32),
        target: usize,
        began: Time,
        outcome: Probed,
    ) {
        if !self.is_current(machine, (life, turn), target) {
            return;
        }
        let unix = self.unix(machine);
        let Some(own) = &mut self.machines[machine] else { return };
        let outcome = match outcome {
            Probed::Success(took) => ProbeOutcome::Success(took),
            Probed::Timeout => ProbeOutcome::Failure(FailureReason::Timeout),
            Probed::Refused => ProbeOutcome::Failure(FailureReason::Refused),
            Probed::Late => ProbeOutcome::LocalError(LocalError::Late),
        };
        let at = self.now;
        let pace =
            own.observe(&Observation { target: self.common.targets[target].clone(), at, outcome });
        let (call, early) = (own.call(at, unix), own.early(at));
        if let Some(early) = early {
            self.at(early, Event::Early { machine });
        }
        self.at((began + pace).max(at), Event::Probe { machine, life, turn, target });
        if let Some(call) = call {
            self.send(machine, &call.into());
        }
    }

    /// A machine speaks; whoever is reached hears it a moment later.
    fn tick(&mut self, machine: usize) {
        let (now, unix) = (self.now, self.unix(machine));
        let late =
            if self.has(Kind::Starved, machine) { self.millis(3000) } else { Duration::ZERO };
        self.at(now + TICK + late, Event::Tick { machine });
        // Anchors are endpoints that never die, and are not beyond what a blind machine does not see.
        let is_cut = self.has(Kind::Isolated, machine);
        let starved = self.has(Kind::Starved, machine);
        let answers = |random: &mut Random| {
            !is_cut && random.fraction() >= LOSS && !(starved && random.below(3) > 0)
        };
        let anchors = (0..3).filter(|_| answers(&mut self.random)).count();
        let Some(own) = &mut self.machines[machine] else { return };
        own.look(anchors, now, unix);
        let (frames, fresh) = own.tick(now, unix);
        own.recount(now);
        own.save();
        self.disks[machine].clone_from(&own.disk);
        fresh.into_iter().for_each(|target| self.put_forward(machine, target));
        for frame in frames {
            self.send(machine, &frame.into());
        }
    }

    /// A machine speaks between two ticks, unless the tick was sooner.
    fn speak_early(&mut self, machine: usize) {
        let (now, unix) = (self.now, self.unix(machine));
        let Some(own) = self.machines[machine].as_mut().filter(|own| own.early(now).is_some())
        else {
            return;
        };
        let frames = own.speak_early(now, unix);
        own.recount(now);
        for frame in frames {
            self.send(machine, &frame.into());
        }
    }

    fn send(&mut self, from: usize, frame: &Arc<[u8]>) {
        let is_silent = [Kind::Isolated, Kind::Muted].into_iter().any(|kind| self.has(kind, from));
        if is_silent || self.has_any(Kind::BrokerAway) {
            return;
        }
        let is_poor = self.has_any(Kind::BrokerPoor);
        for to in (0..MACHINES).filter(|to| *to != from) {
            let is_deaf = [Kind::Isolated, Kind::Deaf].into_iter().any(|kind| self.has(kind, to));
            let is_apart = self.has_any(Kind::Split) && from % 2 != to % 2;
            let loss = if is_poor { 0.4 } else { 0.01 };
            if is_deaf || is_apart || self.random.fraction() < loss {
                continue;
            }
            let copies = if is_poor && self.random.below(4) == 0 { 2 } else { 1 };
            for _ in 0..copies {
                // Later than the next one, sometimes: they overtake each other.
                let delay = if is_poor { self.millis(4000) } else { self.millis(120) };
                let frame = Arc::clone(frame);
                self.at(self.now + delay, Event::Frame { machine: to, frame });
            }
        }
    }

    fn hear(&mut self, machine: usize, frame: &[u8]) {
        let (now, unix) = (self.now, self.unix(machine));
        if let Some(own) = &mut self.machines[machine] {
            let called = own.hear(frame, now, unix);
            if !std::mem::replace(&mut own.has_heard, true) {
                self.at(now + PULSE, Event::Recount { machine });
            }
            called.into_iter().for_each(|target| self.put_forward(machine, target));
        }
    }

    // ---- Who watches ----

    fn look(&mut self) {
        self.at(self.now + TICK, Event::Look);
        let mut hashes = Vec::new();
        for node in 0..NODES {
            if self.stopped_until(node).is_some() {
                continue;
            }
            let Some(machine) = self.machines[node].take() else { continue };
            self.look_at_verdicts(node, &machine);
            self.look_at_answers(&machine);
            hashes.push(machine.intake.board().state_hash());
            self.machines[node] = Some(machine);
        }
        let returned = self.faults.iter().filter(|fault| fault.kind == Kind::BrokerAway);
        let returned = returned.map(|fault| fault.until).max();
        if let Some(returned) = returned.filter(|returned| self.elapsed() >= *returned)
            && self.outcome.agreed_after.is_none()
            && hashes.len() == NODES
            && hashes.iter().all(|hash| *hash == hashes[0])
        {
            self.outcome.agreed_after = Some(self.elapsed() - returned);
        }
    }

    fn look_at_verdicts(&mut self, node: usize, machine: &Machine) {
        for endpoint in 0..ENDPOINTS {
            let verdict = machine.verdict(&self.common.targets[endpoint]);
            let before = std::mem::replace(&mut self.verdicts[node][endpoint], verdict);
            if verdict == before || before == Verdict::Unknown || verdict == Verdict::Unknown {
                continue;
            }
            self.outcome.turned += 1;
            let is_alive = self.is_alive(endpoint);
            if self.is_told {
                let truth = if is_alive { "alive" } else { "dead" };
                let at = self.elapsed();
                println!(
                    "{at:>8.1?}: node {node} holds endpoint {endpoint} for {verdict}; it is {truth}"
                );
            }
            if verdict == Verdict::Down && is_alive {
                self.outcome.needless += 1;
                self.judge_needless(node, endpoint);
            }
        }
    }

    /// A verdict has turned down of what is alive: that is wrong if it was alive all the time, and all machines
    /// but one, at each moment, could see that.
    fn judge_needless(&mut self, node: usize, endpoint: usize) {
        let (end, step) = (self.elapsed(), Duration::from_millis(500));
        let mut at = end.saturating_sub(MEMORY);
        while at <= end {
            let blind = (0..MACHINES).filter(|machine| !self.could_see(*machine, at)).count();
            if self.death(endpoint, at).is_some() || blind > 1 {
                return;
            }
            at += step;
        }
        // What goes by itself on an island goes by one pair of eyes.
        let now = self.now;
        let is_cut = self.machines[node].as_ref().is_none_or(|machine| {
            machine.member.link(now) != windrose::health::fleet::Link::Together
        });
        if !is_cut {
            self.outcome.broken.push(format!(
                "{end:.1?}: node {node} holds endpoint {endpoint} for down, which nearly all could see alive"
            ));
        }
    }

    fn look_at_answers(&mut self, machine: &Machine) {
        let is_any_usable =
            self.common.targets.iter().any(|target| machine.verdict(target) != Verdict::Down);
        let (mut bad, mut all) = (0_u32, 0_u32);
        for name in NAMES {
            for client in 0..4 {
                let reply = machine.answer(&packet(name, client), &mut self.dice);
                all += 1;
                let addresses = addresses(&reply);
                let Some(last) = addresses.first().filter(|_| reply[3] & 15 == 0) else {
                    let at = self.elapsed();
                    let what =
                        format!("{at:.1?}: node {} answers {name} by nothing", machine.number);
                    self.outcome.broken.push(what);
                    continue;
                };
                let endpoint = usize::from(*last);
                if machine.verdict(&self.common.targets[endpoint]) == Verdict::Down && is_any_usable
                {
                    self.outcome.broken.push(format!(
                        "{:.1?}: node {} answers {name} by endpoint {endpoint}, which it holds for down",
                        self.elapsed(),
                        machine.number
                    ));
                }
                bad += u32::from(!self.is_alive(endpoint));
            }
        }
        self.outcome.looked_at += u64::from(all);
        self.outcome.bad_answer_secs += f64::from(bad) / f64::from(all);
    }

    /// What came and went is not trusted for up to twenty minutes (flap damping).
    fn may_be_held_back(&self, endpoint: usize) -> bool {
        let own = self.faults.iter().filter(|fault| fault.kind.is_of_endpoint());
        let own: Vec<Kind> =
            own.filter(|fault| fault.machine == endpoint).map(|fault| fault.kind).collect();
        own.contains(&Kind::Flapping) || own.len() >= 3
    }

    /// All is mended: everybody holds what is true, and answers alike.
    fn settle(&mut self) {
        let last = self.faults.iter().map(|fault| fault.until).max().unwrap_or_default();
        if self.elapsed() < last + SETTLED {
            self.outcome.broken.push("faults did not end in time".to_owned());
        }
        let machines: Vec<Machine> =
            self.machines.iter_mut().take(NODES).flat_map(Option::take).collect();
        if machines.len() < NODES {
            self.outcome.broken.push("a node is off in the end".to_owned());
            return;
        }
        for machine in &machines {
            for (endpoint, target) in self.common.targets.iter().enumerate() {
                let verdict = machine.verdict(target);
                if verdict != Verdict::Up && !self.may_be_held_back(endpoint) {
                    self.outcome.broken.push(format!(
                        "in the end node {} holds endpoint {endpoint} for {verdict}",
                        machine.number
                    ));
                }
            }
        }
        for name in ["first", "sticky"] {
            for client in 0..4 {
                let packet = packet(name, client);
                let answers: Vec<Vec<u8>> = machines
                    .iter()
                    .map(|machine| machine.answer(&packet, &mut self.dice))
                    .collect();
                if answers.iter().any(|answer| *answer != answers[0]) {
                    self.outcome.broken.push(format!("in the end nodes differ over {name}"));
                }
            }
        }
    }
}

// ---- What they serve ----

/// Five endpoints in each of four regions; endpoint `n` is 192.0.2.`n`.
fn zone() -> String {
    let mut zone = "zone = 'sim.test'\nnameservers = ['ns1.example.net.']\n\
                    [checks.web]\nkind = 'tcp'\nport = 443\ninterval = '10s'\ntimeout = '2s'\nrise = 3\nfall = 3\n"
        .to_owned();
    let regions =
        [("eu", 53.3, -6.2), ("us", 38.9, -77.4), ("ap", 19.0, 72.8), ("sa", -23.5, -46.6)];
    for (place, (name, latitude, longitude)) in regions.into_iter().enumerate() {
        let endpoints: Vec<String> =
            (0..5).map(|n| format!("{{ address = '192.0.2.{}' }}", 5 * place + n)).collect();
        zone += &format!(
            "[regions.{name}]\nlocation = [{latitude:?}, {longitude:?}]\n\
             [pools.{name}]\nregion = '{name}'\ncheck = 'web'\nendpoints = [{}]\n",
            endpoints.join(", ")
        );
    }
    let pools = "pools = ['eu', 'us', 'ap', 'sa']";
    zone +=
        &format!("[steer.www]\npolicy = 'nearest'\n{pools}\npick = {{ policy = 'weighted' }}\n");
    zone +=
        &format!("[steer.first]\npolicy = 'failover'\n{pools}\npick = {{ policy = 'failover' }}\n");
    zone +=
        &format!("[steer.sticky]\npolicy = 'sticky'\n{pools}\npick = {{ policy = 'sticky' }}\n");
    zone
}

struct OneFile(String);

impl ZoneFiles for OneFile {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["sim.test.toml".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(self.0.as_str().into())
    }
}

fn common() -> Common {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, &OneFile(zone()));
    assert_eq!(report.to_string(), "");
    let mut targets: Vec<Target> = (0..zones[0].endpoints.len())
        .flat_map(|n| {
            zones[0]
                .targets_of(windrose::model::EndpointId::new(n))
                .iter()
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    targets.sort_by_key(|target| match target.host {
        TargetHost::Address(address) => {
            address.to_string().rsplit('.').next().unwrap().parse::<u8>().unwrap()
        }
        TargetHost::Name(_) => unreachable!("there are none"),
    });
    assert_eq!(targets.len(), ENDPOINTS);
    let ids = targets.iter().map(Target::id).collect();
    let keys = Keys::new(&[[7; 32]], "simulation");
    Common { zones, targets: targets.into(), ids, keys }
}

/// A for a name, for one of some clients.
fn packet(name: &str, client: u8) -> Vec<u8> {
    let mut packet = vec![0xca, 0xfe, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.push(u8::try_from(name.len()).unwrap());
    packet.extend_from_slice(name.as_bytes());
    packet.extend_from_slice(b"\x03sim\x04test\x00\x00\x01\x00\x01");
    packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
    packet.extend_from_slice(&[20, 30 * client, client]);
    packet
}

/// The last octets of the addresses in an answer.
fn addresses(reply: &[u8]) -> Vec<u8> {
    let message = hickory_proto::op::Message::from_vec(reply).unwrap();
    let octet = |record: &hickory_proto::rr::Record| match &record.data {
        hickory_proto::rr::RData::A(address) => Some(address.0.octets()[3]),
        _ => None,
    };
    message.answers.iter().filter_map(octet).collect()
}
