//! One machine of the fleet: a node or a vantage, with everything but sockets, clocks and disks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use windrose::dns::{Arrival, Dice, handle};
use windrose::geo::Atlas;
use windrose::health::fleet::{Keys, Member, Quorum, Report, Rules, Said, Share, hash_of_targets};
use windrose::health::{Board, Remembered, SelfWatch, Signs};
use windrose::intake::Intake;
use windrose::model::{Observation, Target, TargetHealth, TargetId, Time, Verdict, Zone};
use windrose::snapshot::{Blueprint, Conditions, Snapshot};

use super::world::{NODES, VANTAGES_PER_TARGET};

/// A node looks so much less often at what others look at.
const STANDBY: u32 = 5;
/// Between two ticks it speaks at most once in such a time.
const EARLY_GAP: Duration = Duration::from_millis(250);

/// What a machine was told to begin with, which all share.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) zones: Vec<Arc<Zone>>,
    pub(super) targets: Arc<[Target]>,
    pub(super) ids: Arc<[TargetId]>,
    pub(super) keys: Keys,
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
    /// Of nodes.
    pub(super) snapshot: Option<Snapshot>,
    /// Frames that are not counted yet, of which the count is on its way.
    pub(super) has_heard: bool,
    own: HashSet<TargetId>,
    share: Option<Share>,
    self_watch: SelfWatch,
    /// What stands on its disk.
    pub(super) disk: Vec<(Target, Remembered)>,
    common: Common,
}

fn name(number: usize) -> String {
    if number < NODES { format!("ns{}", number + 1) } else { format!("v{}", number + 1 - NODES) }
}

impl Machine {
    /// A machine that starts at `now` with what stands on its disk.
    pub(super) fn start(
        number: usize,
        common: &Common,
        disk: Vec<(Target, Remembered)>,
        now: Time,
        unix: Duration,
    ) -> Self {
        let is_node = number < NODES;
        let rules = Rules {
            name: name(number),
            group: ["eu", "us", "ap"][number % 3].to_owned(),
            location: None,
            is_node,
            quorum: Quorum::Majority,
            vantages: VANTAGES_PER_TARGET,
        };
        let member = Member::new(rules, common.keys.clone(), now, unix);
        let board = Arc::new(Board::of_fleet());
        board.track(common.targets.iter(), now);
        board.restore(|target| {
            disk.iter().find(|(known, _)| known == target).map(|(_, remembered)| *remembered)
        });
        // Every name may lead to every target.
        board.set_records([common.ids.to_vec()]);
        let intake = Intake::new(board);
        let mut machine = Self {
            number,
            _doubts: intake.doubts(),
            turns: intake.turns(),
            spoke: now,
            intake,
            member,
            snapshot: None,
            has_heard: false,
            own: HashSet::new(),
            share: None,
            self_watch: SelfWatch::default(),
            disk,
            common: common.clone(),
        };
        if is_node {
            let of_target = machine.intake.health();
            let conditions = Conditions::new(now, &of_target);
            let atlas = Arc::new(Atlas::empty());
            let blueprint = Blueprint { zones: common.zones.clone(), atlas };
            let snapshot = Snapshot::compile(blueprint, 1, &conditions).unwrap();
            drop(of_target);
            machine.snapshot = Some(snapshot);
        }
        machine
    }

    /// Takes in how a probe ended; after how long, from its start, the next is due.
    pub(super) fn observe(&mut self, observation: &Observation) -> Duration {
        let pace = self.intake.observe(observation).next;
        self.compile(observation.at);
        if self.own.contains(&observation.target.id()) { pace } else { pace * STANDBY }
    }

    /// Takes in a frame, if it is one of the fleet's and new. Targets to be looked at now come of a call.
    pub(super) fn hear(&mut self, frame: &[u8], now: Time, unix: Duration) -> Vec<usize> {
        let Ok(Said::Call(called)) = self.member.hear(frame, now, unix) else { return Vec::new() };
        let place = |id: &TargetId| self.common.ids.iter().position(|one| one == id);
        called.iter().filter(|id| self.own.contains(id)).filter_map(place).collect()
    }

    /// A call for what has failed here for a first time since this was last asked, if there is such a thing.
    pub(super) fn call(&mut self, now: Time, unix: Duration) -> Option<Vec<u8>> {
        let doubted = self.intake.take_doubted();
        let is_impaired = self.intake.board().self_state().is_impaired();
        self.member.call(&doubted, now, unix).filter(|_| !is_impaired)
    }

    /// Looks at itself, each second: so many of its three anchors have answered.
    pub(super) fn look(&mut self, anchors: usize, now: Time, unix: Duration) {
        let board = self.intake.board();
        let fallen = board.fallen(|id| self.own.contains(&id), now);
        let falls = self.member.falls(self.own.len(), &fallen, now);
        let counts = self.intake.counts();
        let signs = Signs {
            anchors: Some((anchors, 3)),
            probes: counts.successes + counts.failures + counts.local_errors,
            local_errors: counts.scarcities,
            falls,
        };
        board.set_self_state(self.self_watch.look(now, unix, &signs));
    }

    /// What it says each second; what has become its own to look at comes with it.
    pub(super) fn tick(&mut self, now: Time, unix: Duration) -> (Vec<Vec<u8>>, Vec<usize>) {
        let fresh = self.take_share(now);
        self.turns.mark_unchanged();
        self.spoke = now;
        let report = self.report();
        (self.member.speak(report, now, unix).unwrap(), fresh)
    }

    /// When it wants to speak before its tick, if what it thinks of some target has turned.
    pub(super) fn early(&self, now: Time) -> Option<Time> {
        let has_turned = self.turns.has_changed().unwrap();
        has_turned.then(|| now.max(self.spoke + EARLY_GAP))
    }

    /// What it says then.
    pub(super) fn speak_early(&mut self, now: Time, unix: Duration) -> Vec<Vec<u8>> {
        self.turns.mark_unchanged();
        self.spoke = now;
        let report = self.report();
        self.member.speak_early(report, now, unix).unwrap()
    }

    fn report(&self) -> Report {
        let board = self.intake.board();
        Report {
            votes: board.votes(|id| self.own.contains(&id)),
            targets_hash: hash_of_targets(self.common.ids.iter().copied()),
            state_hash: board.state_hash(),
            impaired: board.self_state().impairment().map(|why| why.to_string()),
        }
    }

    /// Takes over what is its own to look at now; what has become so comes back.
    fn take_share(&mut self, now: Time) -> Vec<usize> {
        let share = self.member.share(now);
        if self.share.as_ref() == Some(&share) {
            return Vec::new();
        }
        let name = self.member.rules().name.clone();
        let ids = self.common.ids.iter().copied();
        let own: HashSet<TargetId> = ids.filter(|id| share.has(&name, *id)).collect();
        let is_fresh = |id: &TargetId| own.contains(id) && !self.own.contains(id);
        let fresh = self.common.ids.iter().enumerate().filter(|(_, id)| is_fresh(id));
        let fresh = fresh.map(|(place, _)| place).collect();
        (self.own, self.share) = (own, Some(share));
        fresh
    }

    /// Makes verdicts of what was heard, and answers of verdicts.
    pub(super) fn recount(&mut self, now: Time) {
        self.has_heard = false;
        if self.snapshot.is_some() {
            self.intake.recount(&mut self.member, now);
            self.compile(now);
        }
    }

    fn compile(&mut self, now: Time) {
        let Some(snapshot) = &self.snapshot else { return };
        let of_target = self.intake.health();
        if let Some(next) = snapshot.next(&Conditions::new(now, &of_target)) {
            drop(of_target);
            self.snapshot = Some(next);
        }
    }

    /// Writes down what it knows.
    pub(super) fn save(&mut self) {
        let entries = self.intake.board().entries().into_iter();
        self.disk = entries
            .filter_map(|status| {
                let TargetHealth { verdict, since, .. } = status.health;
                let remembered =
                    Remembered { verdict, since, seen: status.seen?, usual: status.usual };
                (verdict != Verdict::Unknown).then_some((status.target, remembered))
            })
            .collect();
    }

    /// The last octets of the addresses that a query is answered with.
    pub(super) fn answer(&self, packet: &[u8], dice: &mut Dice) -> Vec<u8> {
        let snapshot = self.snapshot.as_ref().expect("a node");
        let client = [198, 18, 0, 53].into();
        let arrival = Arrival { client, is_udp: true, unix_secs: 1_800_000_000 };
        let mut reply = [0; 1232];
        let outcome = handle(snapshot, packet, arrival, dice, &mut reply);
        reply[..outcome.len].to_vec()
    }

    /// What it holds of a target.
    pub(super) fn verdict(&self, target: &Target) -> Verdict {
        self.intake.board().health(target).verdict
    }
}
