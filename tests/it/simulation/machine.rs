//! One machine of the fleet: a node or a vantage, with everything but sockets, clocks and disks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use windrose::clock::Moment;
use windrose::dns::{Arrival, Dice, handle};
use windrose::fleet::bundle::Head;
use windrose::fleet::keeper::{Duty, Keeper};
use windrose::fleet::state_hash;
use windrose::fleet::words::{Deed, Words};
use windrose::health::fleet::{Member, Quorum, Report, Rules, Said, Share};
use windrose::health::{Board, Remembered, SelfWatch, Signs};
use windrose::intake::{Held, Intake, Unheard};
use windrose::model::health::{Pace, Turn};
use windrose::model::{
    Observation, Overrides, Target, TargetHealth, TargetId, Time, Verdict, Zone,
};
use windrose::probe::{Plan, Rhythm};
use windrose::snapshot::{Blueprint, Conditions, News, Snapshot};

use super::served::{Common, ENDPOINTS};
use super::world::{GROUPS, NODES, VANTAGES_PER_TARGET};

/// A node looks so much less often at what others look at.
const STANDBY: u32 = 5;
/// Between two ticks it speaks at most once in such a time.
const EARLY_GAP: Duration = Duration::from_millis(250);
/// A target that is new is probed within this.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// What a machine has written down.
#[derive(Clone, Default)]
pub(super) struct Disk {
    remembered: HashMap<Target, Remembered>,
    overrides: Overrides,
    held: Held,
    words: Words,
    /// The version that is served, and its edition.
    pub(super) served: Option<(Head, usize)>,
}

/// A target that is probed. It may cease to be, and begin again as another row.
pub(super) struct Row {
    pub(super) life: u32,
    pub(super) rhythm: Rhythm,
}

/// A machine that runs.
pub(super) struct Machine {
    pub(super) number: usize,
    pub(super) intake: Intake,
    /// Whoever wants to hear of first failures.
    _doubts: tokio::sync::watch::Receiver<()>,
    /// Tells when it thinks otherwise of a target than before.
    turns: tokio::sync::watch::Receiver<()>,
    /// When it last said how it votes.
    spoke: Time,
    pub(super) member: Member,
    pub(super) keeper: Keeper,
    /// Of nodes.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// Something has changed that answers depend on.
    dirty: tokio::sync::watch::Receiver<()>,
    /// Frames that are not counted yet, of which the count is on its way.
    pub(super) has_heard: bool,
    own: HashMap<TargetId, Turn>,
    share: Option<Share>,
    /// Of the targets that are probed here.
    pub(super) rows: Vec<Option<Row>>,
    /// Rows that have begun since somebody asked, and how many have in all.
    new: Vec<usize>,
    begun: u32,
    self_watch: SelfWatch,
    pub(super) disk: Disk,
    common: Common,
}

fn name(number: usize) -> String {
    if number < NODES { format!("ns{}", number + 1) } else { format!("v{}", number + 1 - NODES) }
}

/// The names of groups, by number.
pub(super) const GROUP_NAMES: [&str; GROUPS] = ["eu", "us", "ap"];

pub(super) const fn group_of(machine: usize) -> usize {
    machine % GROUPS
}

impl Machine {
    /// A machine that starts at `now` with what stands on its disk; what it is to do comes with it.
    pub(super) fn start(number: usize, common: &Common, disk: Disk, now: Moment) -> Self {
        let is_node = number < NODES;
        let rules = Rules {
            name: name(number),
            group: GROUP_NAMES[group_of(number)].to_owned(),
            location: None,
            is_node,
            quorum: Quorum::Majority,
            vantages: VANTAGES_PER_TARGET,
        };
        let member = Member::new(rules, common.keys.clone(), now.time, now.unix);
        let board = Arc::new(Board::of_fleet());
        board.track(common.targets.iter(), now.time);
        board.restore(|target| disk.remembered.get(target).copied());
        // Every name may lead to every target.
        board.set_records([common.ids.to_vec()]);
        let intake = Intake::new(board);
        intake.restore_overrides(disk.overrides.clone(), disk.held.clone());
        let written = serde_json::to_vec(&disk.words).unwrap();
        let words = serde_json::from_slice(&written).unwrap();
        let served = disk.served.as_ref().map(|(head, _)| head.clone());
        let keeper = Keeper::new(common.keys.clone(), is_node, words, served);
        let mut machine = Self {
            number,
            _doubts: intake.doubts(),
            dirty: intake.dirty(),
            turns: intake.turns(),
            spoke: now.time,
            intake,
            member,
            keeper,
            snapshot: None,
            has_heard: false,
            own: HashMap::new(),
            share: None,
            rows: (0..ENDPOINTS).map(|_| None).collect(),
            new: Vec::new(),
            begun: 0,
            self_watch: SelfWatch::default(),
            disk,
            common: common.clone(),
        };
        let undone = machine.keeper.undone(&machine.intake.overrides(), now);
        let others = machine.do_deeds(undone);
        assert!(others.is_empty(), "there is no engine yet: {others:?}");
        if is_node {
            // It looks at everything from its start, a vantage at its share.
            (0..ENDPOINTS).for_each(|place| machine.begin(place, Turn::ALONE, now));
            let edition = machine.disk.served.as_ref().map_or(0, |(_, edition)| *edition);
            machine.snapshot.clone_from(&machine.common.editions[edition].snapshot);
            machine.intake.return_news();
            machine.compile(now.time);
        }
        machine
    }

    // ---- Zone files ----

    fn load(&mut self, zones: Vec<Arc<Zone>>, now: Time) {
        let (of_target, overrides) = (self.intake.health(), self.intake.overrides());
        let reach = self.intake.reach();
        let conditions = Conditions { reach: reach.as_ref(), ..Conditions::new(now, &of_target) };
        let conditions = conditions.with_overrides(&overrides);
        let blueprint = Blueprint { zones, atlas: Arc::clone(&self.common.atlas) };
        let before = self.snapshot.as_ref().expect("a node");
        let snapshot = before.compile_next(blueprint, &conditions);
        drop(of_target);
        self.snapshot = Some(Arc::new(snapshot.unwrap()));
        // As after a reload: whatever was heard meanwhile counts.
        self.intake.return_news();
        self.compile(now);
    }

    /// Serves a version if it is fit; what comes of that. A vantage takes its targets from it.
    pub(super) fn take_over(&mut self, head: Head, bundle: &[u8], now: Time) -> Vec<Duty> {
        let edition = self.common.editions.iter().position(|own| own.bundle == bundle);
        let edition = edition.expect("nothing else is pushed");
        let zones = self.common.editions[edition].zones.clone();
        let is_fit = zones.is_some();
        if let Some(zones) = zones {
            self.disk.served = Some((head.clone(), edition));
            if self.number < NODES {
                self.load(zones, now);
            }
        }
        self.keeper.taken_over(head, is_fit, now)
    }

    // ---- Operators ----

    /// Does what of some duties is a word; the others come back.
    pub(super) fn do_deeds(&mut self, duties: Vec<Duty>) -> Vec<Duty> {
        let fleet = "the fleet";
        let mut others = Vec::new();
        for duty in duties {
            match duty {
                Duty::Do(Deed::Say(word)) => self.intake.say(word),
                Duty::Do(Deed::TakeBack(zone, what)) => {
                    self.intake.take_back(&zone, &what, None, fleet);
                }
                Duty::Do(Deed::Freeze(said)) => self.intake.freeze(said),
                Duty::Do(Deed::Unfreeze) => {
                    self.intake.unfreeze(fleet);
                }
                Duty::WriteWords => self.disk.words = self.keeper.words().clone(),
                Duty::Warn(_) => {}
                Duty::Send(_) | Duty::TakeOver(_) | Duty::GiveBack(_) => others.push(duty),
            }
        }
        others
    }

    /// Makes words of what operators have said here.
    pub(super) fn note(&mut self, now: Moment) -> Vec<Duty> {
        self.intake.end_overdue(now.time);
        self.keeper.note(&self.intake.overrides(), now)
    }

    // ---- Probes ----

    /// Takes in how a probe ended; what is due next.
    pub(super) fn observe(&mut self, place: usize, observation: &Observation) -> Option<Plan> {
        let pace = self.intake.observe(observation);
        self.compile(observation.at);
        let pace = match self.own.contains_key(&observation.target.id()) {
            true => pace,
            false => Pace { next: pace.next * STANDBY, beside: None },
        };
        self.rows[place].as_mut()?.rhythm.end(Some(pace))
    }

    fn begin(&mut self, place: usize, turn: Turn, now: Moment) {
        self.begun += 1;
        let rhythm = Rhythm::new(&self.common.targets[place], turn, now, FIRST_ROUND);
        self.rows[place] = Some(Row { life: self.begun, rhythm });
        self.new.push(place);
    }

    /// The rhythm of a target, if it is still that row's.
    pub(super) fn row(&mut self, place: usize, life: u32) -> Option<&mut Rhythm> {
        self.rows[place].as_mut().filter(|row| row.life == life).map(|row| &mut row.rhythm)
    }

    /// The first plans of rows that have begun since this was last asked.
    pub(super) fn take_new(&mut self) -> Vec<(usize, Plan)> {
        let new = std::mem::take(&mut self.new).into_iter();
        new.filter_map(|place| Some((place, self.rows[place].as_ref()?.rhythm.plan()))).collect()
    }

    /// Takes in a frame, if it is one of the fleet's and new. Targets to be looked at now come of a call.
    pub(super) fn hear(&mut self, frame: &[u8], now: Moment) -> Vec<usize> {
        let Ok(Said::Call(called)) = self.member.hear(frame, now.time, now.unix) else {
            return Vec::new();
        };
        let place = |id: &TargetId| self.common.ids.iter().position(|one| one == id);
        called.iter().filter(|id| self.own.contains_key(id)).filter_map(place).collect()
    }

    /// A call for what has failed here for a first time since this was last asked, if there is such a thing.
    pub(super) fn call(&mut self, now: Moment) -> Option<Vec<u8>> {
        let doubted = self.intake.take_doubted();
        let is_impaired = self.intake.board().self_state().is_impaired();
        self.member.call(&doubted, now.time, now.unix).filter(|_| !is_impaired)
    }

    /// Looks at itself, each second: so many of its three anchors have answered.
    pub(super) fn look(&mut self, anchors: usize, now: Moment) {
        let board = self.intake.board();
        let fallen = board.fallen(|id| self.own.contains_key(&id), now.time);
        let falls = self.member.falls(self.own.len(), &fallen, now.time);
        let counts = self.intake.counts();
        let signs = Signs {
            anchors: Some((anchors, 3)),
            probes: counts.successes + counts.failures + counts.local_errors,
            local_errors: counts.scarcities,
            falls,
        };
        board.set_self_state(self.self_watch.look(now.time, now.unix, &signs));
    }

    /// What it says each second; targets at which to look now come with it.
    pub(super) fn tick(&mut self, now: Moment) -> (Vec<Vec<u8>>, Vec<usize>) {
        let fresh = self.take_share(now);
        self.turns.mark_unchanged();
        self.spoke = now.time;
        let report = self.report();
        (self.member.speak(report, now.time, now.unix).unwrap(), fresh)
    }

    /// When it wants to speak before its tick, if what it thinks of some target has turned.
    pub(super) fn early(&self, now: Time) -> Option<Time> {
        let has_turned = self.turns.has_changed().unwrap();
        has_turned.then(|| now.max(self.spoke + EARLY_GAP))
    }

    /// What it says then.
    pub(super) fn speak_early(&mut self, now: Moment) -> Vec<Vec<u8>> {
        self.turns.mark_unchanged();
        self.spoke = now.time;
        let report = self.report();
        self.member.speak_early(report, now.time, now.unix).unwrap()
    }

    fn report(&self) -> Report {
        let board = self.intake.board();
        Report {
            votes: board.votes(|id| self.own.contains_key(&id)),
            targets_hash: self.common.targets_hash,
            state_hash: self.state_hash(),
            impaired: board.self_state().impairment().map(|why| why.to_string()),
        }
    }

    /// Takes over what is its own to look at now; what has become so comes back.
    fn take_share(&mut self, now: Moment) -> Vec<usize> {
        let share = self.member.share(now.time);
        if self.share.as_ref() == Some(&share) {
            return Vec::new();
        }
        let name = &self.member.rules().name;
        let ids = self.common.ids.iter().copied();
        let turn = |id| share.turn(name, id).map(|turn| (id, turn));
        let own: HashMap<TargetId, Turn> = ids.filter_map(turn).collect();
        let mut fresh = Vec::new();
        for (place, id) in Arc::clone(&self.common.ids).iter().enumerate() {
            let target = &self.common.targets[place];
            let turn = own.get(id).copied();
            match (turn, self.rows[place].as_mut()) {
                (Some(turn), Some(row)) => row.rhythm.set_turn(target, turn, now),
                (Some(turn), None) => self.begin(place, turn, now),
                (None, Some(row)) if self.number < NODES => {
                    row.rhythm.set_turn(target, Turn::ALONE, now);
                }
                (None, _) => self.rows[place] = None,
            }
            if turn.is_some() && !self.own.contains_key(id) {
                fresh.push(place);
            }
        }
        (self.own, self.share) = (own, Some(share));
        fresh
    }

    // ---- Verdicts and answers ----

    /// Makes verdicts of what was heard, and answers of verdicts.
    pub(super) fn recount(&mut self, now: Time) {
        self.has_heard = false;
        if self.snapshot.is_some() {
            self.intake.recount(&mut self.member, now);
            self.compile(now);
        }
    }

    /// Has answers follow what has changed, or what time alone changes.
    pub(super) fn compile(&mut self, now: Time) {
        let Some(snapshot) = &self.snapshot else { return };
        let is_due = snapshot.due().is_some_and(|due| due <= now);
        if !self.dirty.has_changed().unwrap() && !is_due {
            return;
        }
        self.dirty.mark_unchanged();
        self.intake.end_overdue(now);
        let (of_target, overrides) = (self.intake.health(), self.intake.overrides());
        let reach = self.intake.reach();
        let conditions = Conditions { reach: reach.as_ref(), ..Conditions::new(now, &of_target) };
        let conditions = conditions.with_overrides(&overrides);
        let next = match self.intake.take_news() {
            Unheard::OfAll => snapshot.next(&conditions),
            Unheard::Of(targets) => {
                let targets: Vec<Target> = targets.into_iter().collect();
                snapshot.next(&Conditions { news: News::Of(&targets), ..conditions })
            }
        };
        drop(of_target);
        if let Some(next) = next {
            self.snapshot = Some(Arc::new(next));
        }
    }

    /// Writes down what it knows.
    pub(super) fn save(&mut self) {
        let entries = self.intake.board().entries().into_iter();
        self.disk.remembered = entries
            .filter_map(|status| {
                let TargetHealth { verdict, since, .. } = status.health;
                let remembered =
                    Remembered { verdict, since, seen: status.seen?, usual: status.usual };
                (verdict != Verdict::Unknown).then_some((status.target, remembered))
            })
            .collect();
        self.disk.overrides = self.intake.overrides().as_ref().clone();
        self.disk.held = self.intake.held().map(|held| held.as_ref().clone()).unwrap_or_default();
    }

    /// The hash of all that it has come to; 0 of a vantage.
    pub(super) fn state_hash(&self) -> u64 {
        if self.number >= NODES {
            return 0;
        }
        let version = self.keeper.served().map(|head| head.version);
        state_hash(self.intake.board().state_hash(), self.keeper.words().hash(), version)
    }

    /// What a query is answered with.
    pub(super) fn answer<'r>(
        &self,
        packet: &[u8],
        dice: &mut Dice,
        reply: &'r mut [u8; 1232],
    ) -> &'r [u8] {
        let snapshot = self.snapshot.as_ref().expect("a node");
        let client = [198, 18, 0, 53].into();
        let arrival = Arrival { client, is_udp: true, unix_secs: 1_800_000_000 };
        let outcome = handle(snapshot, packet, arrival, dice, reply);
        &reply[..outcome.len]
    }

    /// What it holds of each endpoint.
    pub(super) fn verdicts(&self) -> [Verdict; ENDPOINTS] {
        std::array::from_fn(|place| self.intake.board().health(&self.common.targets[place]).verdict)
    }
}
