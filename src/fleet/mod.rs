//! This machine as one of a fleet: what it hears and says, and where that is kept.
//!
//! What is decided from what was heard stands in [`health::fleet`](crate::health::fleet), without a socket;
//! here it gets its clock, its disk and its engine. [`Fleet`] is what others see of it, a [`Task`] runs it:
//!
//! ```text
//!              ┌── frames ──▶ Member ── recount ──▶ intake ──▶ board
//! engine ─ pipe┼── words ───▶ Words ──── say ─────▶ intake
//!              └── heads ───▶ Shelf ──── load ────▶ whoever serves
//!   ▲                                                   │
//!   └──────── votes of our share, words, each second ◀──┘
//! ```
//!
//! Nothing waits for the engine. While it is gone, answers stay as they are and then follow our own probes;
//! words of operators count here at once and are told to the others later; zone files stay.

mod beats;
pub mod bundle;
pub mod changes;
pub mod keeper;
pub mod nats;
pub mod pipe;
mod run;
mod settings;
pub mod shelf;
pub mod words;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use run::{Task, Wish};
pub use settings::Settings;

use crate::clock::{Clock, Moment};
use crate::health::fleet::{
    Link, Member, Presence, Refused, Report, Roster, Said, Share, Vote, hash_of_targets,
};
use crate::health::{Board, Falls};
use crate::intake::Intake;
use crate::model::health::{Pace, Turn};
use crate::model::target_key::hash;
use crate::model::{Target, TargetId, Time};
use crate::probe::Heartbeats;

/// A node looks so much less often at what others look at.
const STANDBY: u32 = 5;

/// This machine as one of a fleet. Copies are the same.
#[derive(Clone, Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    member: Mutex<Member>,
    own: Mutex<Own>,
    told: Mutex<Told>,
    /// What endpoints report to any member.
    heartbeats: Arc<Heartbeats>,
    /// Signals that others are ours to look at now.
    share: watch::Sender<()>,
    /// Targets that somebody has called for, until they are looked at.
    called: Mutex<HashSet<TargetId>>,
    calls: watch::Sender<()>,
}

/// Our share.
#[derive(Debug, Default)]
struct Own {
    /// By what it was worked out.
    share: Share,
    targets_hash: u64,
    targets: Arc<HashMap<TargetId, Turn>>,
    /// What has come to it since somebody asked.
    fresh: HashSet<TargetId>,
}

/// What there is to tell beside votes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// Whether the engine is there.
    pub is_connected: bool,
    /// The version of the zone files that is served; those of the machine's own directory when `None`.
    pub zones: Option<u64>,
    /// The version that this machine could not take over, and why.
    pub zones_refused: Option<(u64, String)>,
    /// The hash of what operators have said.
    pub words_hash: u64,
    /// Frames that were not believed.
    pub refused: u64,
}

/// A vantage, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VantageView {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Whether it answers DNS, too.
    pub is_node: bool,
    /// How long ago it was heard.
    pub age: Duration,
    /// What that makes it.
    pub presence: Presence,
    /// Why it does not trust its view.
    pub impaired: Option<String>,
    /// How many targets it votes on.
    pub votes: usize,
    /// The hash of what it has come to; 0 if it decides nothing.
    pub state_hash: u64,
    /// Whether it was told of the same targets as we.
    pub has_our_targets: bool,
}

/// What a vantage says of a target, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteView {
    /// Whose it is.
    pub vantage: String,
    /// The vote.
    pub vote: Vote,
    /// How long ago it was heard.
    pub age: Duration,
    /// Why it does not count, if it does not: `silent`, `gone`, `impaired`.
    pub is_out: Option<&'static str>,
}

impl Fleet {
    /// One that begins its life now.
    #[must_use]
    pub fn new(settings: &Settings, clock: Clock) -> Self {
        let Moment { time, unix } = clock.moment();
        let member = Member::new(settings.rules.clone(), settings.keys.clone(), time, unix);
        let told = Told { zones: settings.shelf.version(), ..Told::default() };
        let shared = Shared {
            clock,
            member: Mutex::new(member),
            own: Mutex::default(),
            told: Mutex::new(told),
            heartbeats: Arc::default(),
            share: watch::Sender::default(),
            called: Mutex::default(),
            calls: watch::Sender::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    fn member(&self) -> MutexGuard<'_, Member> {
        lock(&self.shared.member)
    }

    // ---- For those who probe ----

    /// When the next probes are due: what others look at can wait.
    #[must_use]
    pub fn pace(&self, target: &Target, pace: Pace) -> Pace {
        let is_own = lock(&self.shared.own).targets.contains_key(&target.id());
        if is_own {
            return pace;
        }
        Pace { next: pace.next.saturating_mul(STANDBY), beside: None }
    }

    /// What endpoints report to any member.
    #[must_use]
    pub fn heartbeats(&self) -> Arc<Heartbeats> {
        Arc::clone(&self.shared.heartbeats)
    }

    /// The targets of our share, with our turn among those who look at each.
    #[must_use]
    pub fn own(&self) -> Arc<HashMap<TargetId, Turn>> {
        Arc::clone(&lock(&self.shared.own).targets)
    }

    /// Signals that our share has changed.
    #[must_use]
    pub fn share_changed(&self) -> watch::Receiver<()> {
        self.shared.share.subscribe()
    }

    /// What has come to our share since this was last asked.
    #[must_use]
    pub fn take_fresh(&self) -> HashSet<TargetId> {
        std::mem::take(&mut lock(&self.shared.own).fresh)
    }

    /// Signals that somebody calls for a look at once.
    #[must_use]
    pub fn calls(&self) -> watch::Receiver<()> {
        self.shared.calls.subscribe()
    }

    /// The targets of our share that were called for since this was last asked.
    #[must_use]
    pub fn take_called(&self) -> HashSet<TargetId> {
        let own = self.own();
        let mut called = std::mem::take(&mut *lock(&self.shared.called));
        called.retain(|target| own.contains_key(target));
        called
    }

    /// What others say of the targets of our share that went down for us of late.
    #[must_use]
    pub fn falls(&self, board: &Board, now: Time) -> Falls {
        let own = self.own();
        let fallen = board.fallen(|id| own.contains_key(&id), now);
        self.member().falls(own.len(), &fallen, now)
    }

    // ---- For those who tell ----

    /// Whether others are heard.
    #[must_use]
    pub fn link(&self, now: Time) -> Link {
        self.member().link(now)
    }

    /// Our name.
    #[must_use]
    pub fn name(&self) -> String {
        self.member().rules().name.clone()
    }

    /// What there is to tell beside votes.
    #[must_use]
    pub fn told(&self) -> Told {
        lock(&self.shared.told).clone()
    }

    /// All vantages that are known, by name.
    #[must_use]
    pub fn vantages(&self, now: Time) -> Vec<VantageView> {
        let member = self.member();
        let own = member.roster().seat(&member.rules().name);
        let targets_hash = own.map(|own| own.targets_hash);
        let view = |(name, seat): (&str, &crate::health::fleet::Seat)| VantageView {
            name: name.to_owned(),
            group: seat.group.clone(),
            is_node: seat.is_node,
            age: now.since(seat.heard),
            presence: seat.presence(now),
            impaired: seat.impaired.clone(),
            votes: seat.votes(),
            state_hash: seat.state_hash,
            has_our_targets: Some(seat.targets_hash) == targets_hash,
        };
        member.roster().seats().map(view).collect()
    }

    /// What all vantages say of a target.
    #[must_use]
    pub fn votes(&self, target: TargetId, now: Time) -> Vec<VoteView> {
        let member = self.member();
        let roster: &Roster = member.roster();
        let view = |(name, seat): (&str, &crate::health::fleet::Seat)| {
            let (vote, heard) = seat.vote(target)?;
            let is_out = match seat.presence(now) {
                Presence::Gone => Some("gone"),
                _ if seat.impaired.is_some() => Some("impaired"),
                Presence::Silent => Some("silent"),
                Presence::Fresh => None,
            };
            Some(VoteView { vantage: name.to_owned(), vote, age: now.since(heard), is_out })
        };
        roster.seats().filter_map(view).collect()
    }

    /// The hash of all that this machine has come to: of verdicts, words and zone files.
    #[must_use]
    pub fn state_hash(&self, board: &Board) -> u64 {
        let Told { zones, words_hash, .. } = self.told();
        state_hash(board.state_hash(), words_hash, zones)
    }

    // ---- For the task ----

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut lock(&self.shared.told));
    }

    /// What to call for, of targets that have failed here for a first time, each with its interval.
    fn call(&self, doubted: &[(TargetId, Duration)], now: Moment) -> Option<Vec<u8>> {
        self.member().call(doubted, now.time, now.unix)
    }

    fn note_called(&self, targets: Vec<TargetId>) {
        lock(&self.shared.called).extend(targets);
        self.shared.calls.send_replace(());
    }

    fn hear(&self, frame: &[u8], now: Moment) -> Result<Said, Refused> {
        let heard = self.member().hear(frame, now.time, now.unix);
        if heard.as_ref().is_err_and(|refused| *refused != Refused::Old) {
            self.tell(|told| told.refused += 1);
        }
        heard
    }

    fn recount(&self, intake: &Intake, now: Time) {
        intake.recount(&mut self.member(), now);
    }

    /// What we say now: the votes of our share; between two ticks, `is_early`, only where an opinion has turned.
    fn speak(&self, board: &Board, is_node: bool, is_early: bool, now: Moment) -> Vec<Vec<u8>> {
        let ids = board.ids();
        let targets_hash = hash_of_targets(ids.iter().copied());
        let share = self.member().share(now.time);
        let own = self.update_share(share, &ids, targets_hash);
        let report = Report {
            votes: board.votes(|id| own.contains_key(&id)),
            targets_hash,
            state_hash: if is_node { self.state_hash(board) } else { 0 },
            impaired: board.self_state().impairment().map(|why| why.to_string()),
        };
        let mut member = self.member();
        let said = if is_early {
            member.speak_early(report, now.time, now.unix)
        } else {
            member.speak(report, now.time, now.unix)
        };
        match said {
            Ok(frames) => frames,
            Err(count) => {
                tracing::error!("{count} targets are more than one vantage can vote on");
                Vec::new()
            }
        }
    }

    /// What we say now of how far away regions are from here, if we know of any.
    fn speak_of_regions(&self, board: &Board, now: Moment) -> Option<Vec<u8>> {
        let regions = board.round_trips(now.time);
        self.member().speak_of_regions(regions, now.time, now.unix)
    }

    fn update_share(
        &self,
        share: Share,
        ids: &[TargetId],
        targets_hash: u64,
    ) -> Arc<HashMap<TargetId, Turn>> {
        let name = self.name();
        let mut own = lock(&self.shared.own);
        if own.share == share && own.targets_hash == targets_hash {
            return Arc::clone(&own.targets);
        }
        let turn = |id: &TargetId| share.turn(&name, *id).map(|turn| (*id, turn));
        let targets: HashMap<TargetId, Turn> = ids.iter().filter_map(turn).collect();
        if *own.targets != targets {
            let is_fresh = |id: &&TargetId| !own.targets.contains_key(id);
            let fresh: Vec<TargetId> = targets.keys().filter(is_fresh).copied().collect();
            own.fresh.extend(fresh);
            own.targets = Arc::new(targets);
            self.shared.share.send_replace(());
        }
        (own.share, own.targets_hash) = (share, targets_hash);
        Arc::clone(&own.targets)
    }
}

/// The hash of all that a member has come to: of the hashes of its verdicts and of its words, and of the version
/// of its zone files.
#[must_use]
pub fn state_hash(verdicts: u64, words: u64, version: Option<u64>) -> u64 {
    let numbers = [verdicts, words, version.unwrap_or_default()];
    hash(&numbers.map(u64::to_be_bytes).each_ref().map(|octets| &octets[..]))
}

/// What is in there is whole at any moment.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
