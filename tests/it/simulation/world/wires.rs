//! Between machines: frames that everybody hears, and an engine that keeps what it is given.

use std::sync::Arc;
use std::time::Duration;

use windrose::fleet::bundle::{HEADS, Head, PIECES, pieces};
use windrose::fleet::keeper::{Arrived, Duty};
use windrose::fleet::pipe::ToEngine;
use windrose::model::Time;

use super::super::engine::Engine;
use super::super::faults::{Fault, Kind};
use super::{Event, MACHINES, PULSE, START, World};

/// What is kept under a key, or that it is nothing; or that this was all.
pub(super) type Entry = Option<(String, Option<Vec<u8>>)>;

/// A machine's connection to an engine.
#[derive(Clone, Copy, Default)]
pub(super) struct Connection {
    pub(super) engine: Option<usize>,
    number: u32,
    /// Something was lost on it, and it is made anew.
    is_broken: bool,
    /// Entries come in their order.
    told_until: Time,
}

impl World {
    pub(super) fn send(&mut self, from: usize, frame: &Arc<[u8]>) {
        let Some(engine) = self.connections[from].engine else { return };
        if self.engine_of(from) != Some(engine) || self.has(Kind::Muted, from) {
            return;
        }
        let is_poor = self.has(Kind::BrokerPoor, 0);
        for to in (0..MACHINES).filter(|to| *to != from) {
            let is_connected = self.connections[to].engine == Some(engine);
            let is_reached = is_connected && self.engine_of(to) == Some(engine);
            let loss = if is_poor { 0.4 } else { 0.01 };
            if !is_reached || self.has(Kind::Deaf, to) || self.random.fraction() < loss {
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

    pub(super) fn hear(&mut self, machine: usize, frame: &[u8]) {
        let (now, moment) = (self.now, self.moment(machine));
        if let Some(own) = &mut self.machines[machine] {
            let called = own.hear(frame, moment);
            if !std::mem::replace(&mut own.has_heard, true) {
                self.at(now + PULSE, Event::Recount { machine });
            }
            self.hasten(machine, called);
        }
    }

    // ---- The engine ----

    /// The engine that a machine reaches now.
    pub(super) fn engine_of(&self, machine: usize) -> Option<usize> {
        let is_away = self.has_any_of([Kind::BrokerAway, Kind::BrokerRolledBack], 0);
        let is_cut = is_away || self.has(Kind::Isolated, machine);
        (!is_cut).then(|| if self.has(Kind::Split, 0) { machine % 2 } else { 0 })
    }

    /// Connects a machine, or notices that it no longer is. A client tries each second.
    pub(super) fn look_after_connection(&mut self, machine: usize) {
        let wanted = self.engine_of(machine);
        let Connection { engine, is_broken, .. } = self.connections[machine];
        let is_deaf = self.has(Kind::Deaf, machine);
        if engine == wanted && (!is_broken || is_deaf) {
            return;
        }
        let number = self.connections[machine].number + 1;
        let told_until = self.now;
        let connection = Connection { engine: wanted, number, is_broken: false, told_until };
        self.connections[machine] = connection;
        let Some(own) = &mut self.machines[machine] else { return };
        own.keeper.forget_engine();
        let Some(engine) = wanted else { return };
        let told = self.engines[engine].told();
        let told = told.map(|(key, value)| Some((key.clone(), Some(value.clone()))));
        for entry in told.chain([None]).collect::<Vec<_>>() {
            self.tell_later(machine, entry);
        }
    }

    /// Has an entry come over a machine's connection, behind those before it.
    fn tell_later(&mut self, machine: usize, entry: Entry) {
        let is_poor = self.has(Kind::BrokerPoor, 0);
        let delay = if is_poor { self.millis(4000) } else { self.millis(60) };
        let Connection { number: connection, told_until, .. } = self.connections[machine];
        let at = told_until.max(self.now + Duration::from_millis(10) + delay);
        self.connections[machine].told_until = at;
        self.at(at, Event::Entry { machine, connection, entry });
    }

    pub(super) fn tell(&mut self, machine: usize, connection: u32, entry: Entry) {
        let own = &mut self.connections[machine];
        if own.number != connection {
            return;
        }
        let engine = own.engine;
        if self.engine_of(machine) != engine || self.has(Kind::Deaf, machine) {
            self.connections[machine].is_broken = true;
            return;
        }
        let (now, moment) = (self.now, self.moment(machine));
        let Some(own) = &mut self.machines[machine] else { return };
        let duties = match entry {
            Some((key, value)) => own.keeper.take(&key, value, &own.intake.overrides(), moment),
            None => own.keeper.sync(now),
        };
        self.discharge(machine, duties);
        self.machines[machine].iter_mut().for_each(|own| own.compile(now));
    }

    /// Does a machine's duties: what is not its own is done here.
    pub(super) fn discharge(&mut self, machine: usize, duties: Vec<Duty>) {
        let Some(own) = &mut self.machines[machine] else { return };
        for duty in own.do_deeds(duties) {
            match duty {
                Duty::Send(what) => self.ask(machine, what),
                Duty::TakeOver(arrived) => {
                    let (life, wait) = (self.lives[machine], self.millis(700));
                    let arrived = Box::new(arrived);
                    self.at(self.now + wait, Event::TakeOver { machine, life, arrived });
                }
                Duty::GiveBack(head) => self.give_back(machine, &head),
                Duty::Do(_) | Duty::WriteWords | Duty::Warn(_) => unreachable!("the machine's own"),
            }
        }
    }

    /// A machine asks its engine for something, if that is heard.
    fn ask(&mut self, machine: usize, what: ToEngine) {
        let Some(engine) = self.connections[machine].engine else { return };
        let is_poor = self.has(Kind::BrokerPoor, 0);
        if self.engine_of(machine) != Some(engine) || self.has(Kind::Muted, machine) {
            return;
        }
        match what {
            ToEngine::Put(all) => {
                let mut at = self.now;
                for (key, value) in all {
                    if is_poor && self.random.below(10) < 4 {
                        return;
                    }
                    at = at + self.millis(60);
                    self.at(at, Event::Put { engine, key, value });
                }
            }
            ToEngine::Get(_) if is_poor && self.random.below(10) < 4 => {}
            ToEngine::Get(key) => {
                let value = self.engines[engine].get(&key).cloned();
                self.tell_later(machine, Some((key, value)));
            }
            ToEngine::Frame(frame) => self.send(machine, &frame.into()),
        }
    }

    /// An engine keeps something, and tells whoever is connected.
    pub(super) fn put(&mut self, event: Event) {
        let Event::Put { engine, key, value } = event else { return };
        let is_away = self.has_any_of([Kind::BrokerAway, Kind::BrokerRolledBack], 0);
        if is_away || (engine == 1 && !self.has(Kind::Split, 0)) {
            return;
        }
        let is_told = key.starts_with("words.") || key.starts_with(HEADS);
        self.engines[engine].put(key.clone(), value.clone(), self.now);
        let to = (0..MACHINES).filter(|to| self.connections[*to].engine == Some(engine));
        for to in to.filter(|_| is_told).collect::<Vec<_>>() {
            self.tell_later(to, Some((key.clone(), Some(value.clone()))));
        }
    }

    fn give_back(&mut self, machine: usize, head: &Head) {
        let own = self.machines[machine].as_ref().and_then(|own| own.disk.served.as_ref());
        let Some((_, edition)) = own.filter(|(own, _)| own == head) else { return };
        self.put_version(machine, head, *edition);
    }

    fn put_version(&mut self, machine: usize, head: &Head, edition: usize) {
        let bundle = self.common.editions[edition].bundle.clone();
        let piece = |(name, piece): (String, &[u8])| (format!("{PIECES}{name}"), piece.to_vec());
        let sealed = (head.key(), head.seal(&self.common.keys));
        let all = pieces(&bundle).map(piece).chain([sealed]).collect();
        self.ask(machine, ToEngine::Put(all));
    }

    pub(super) fn take_over(&mut self, machine: usize, arrived: &Arrived) {
        let now = self.now;
        let Some(own) = &mut self.machines[machine] else { return };
        let bundle = arrived.bundle().unwrap();
        let duties = own.take_over(arrived.head.clone(), &bundle, now);
        self.discharge(machine, duties);
    }

    pub(super) fn end_fault(&mut self, place: usize) {
        let Fault { kind, from, .. } = self.faults.all[place];
        let ended = match kind {
            Kind::BrokerRolledBack => {
                let back = self.millis(120_000);
                self.engines[0].roll_back(START + from.saturating_sub(back));
                0
            }
            Kind::Split => {
                self.engines[1] = Engine::default();
                1
            }
            _ => return,
        };
        // Connections end with it, also of a machine that stood still meanwhile.
        let own = self.connections.iter_mut().filter(|own| own.engine == Some(ended));
        own.for_each(|own| own.engine = None);
    }
}
