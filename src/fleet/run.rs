//! The task that keeps a machine in step with its fleet.
//!
//! It takes one thing after the other and waits for nothing but the next: what is long, checking and loading
//! zone files, others do and tell.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::beats;
use super::bundle::{HEADS, Head, PIECES, pieces};
use super::keeper::{Arrived, Duty, Keeper};
use super::pipe::{FromEngine, Pipe, ToEngine};
use super::shelf::{Shelf, name_of};
use super::words::Deed;
use super::{Fleet, Settings};
use crate::clock::Moment;
use crate::health::fleet::{Keys, Link, Refused, Said, TICK};
use crate::intake::Intake;
use crate::model::Time;

/// Frames that come together are counted together, and what fails together is called for together.
const PULSE: Duration = Duration::from_millis(100);
/// Between two ticks a machine whose opinions turn says so, at most once in such a time.
const EARLY_GAP: Duration = Duration::from_millis(250);
/// How far away regions are is said once in so many ticks.
const TICKS_A_SURVEY: u64 = 10;
/// What is not believed is told of once in such a time.
const REFUSED_LOG_GAP: Duration = Duration::from_secs(60);
/// In whose name words of the fleet are taken back here.
const FLEET: &str = "the fleet";

/// What the task wants of whoever serves zone files.
#[derive(Debug)]
pub struct Wish {
    /// The directory to check; `None` to load what is current.
    pub check: Option<PathBuf>,
    /// What came of it.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// The task of a [`Fleet`].
#[derive(Debug)]
pub struct Task {
    fleet: Fleet,
    keys: Keys,
    shelf: Shelf,
    is_node: bool,
    intake: Arc<Intake>,
    pipe: Pipe,
    wishes: mpsc::Sender<Wish>,
    keeper: Keeper,
    done: mpsc::Sender<TakenOver>,
    taken_over: mpsc::Receiver<TakenOver>,
    link: Link,
    /// When it last said how it votes.
    spoke: Time,
    ticks: u64,
    /// When what is not believed may be told of again.
    refused_log_from: Duration,
}

/// What a take-over has come to.
#[derive(Debug)]
struct TakenOver {
    head: Head,
    outcome: Result<String, String>,
}

impl Task {
    /// The task of `fleet`. `wishes` go to whoever serves zone files.
    #[must_use]
    pub fn new(
        fleet: Fleet,
        settings: &Settings,
        intake: Arc<Intake>,
        pipe: Pipe,
        wishes: mpsc::Sender<Wish>,
    ) -> Self {
        let Settings { rules, keys, shelf, .. } = settings.clone();
        let (words, problem) = shelf.words(&keys);
        if let Some(problem) = problem {
            warn!("{problem}");
        }
        fleet.tell(|told| told.words_hash = words.hash());
        let served = shelf.served(&keys);
        let keeper = Keeper::new(keys.clone(), rules.is_node, words, served);
        let (done, taken_over) = mpsc::channel(1);
        Self {
            fleet,
            keys,
            shelf,
            is_node: rules.is_node,
            intake,
            pipe,
            wishes,
            keeper,
            done,
            taken_over,
            link: Link::Holding,
            spoke: Time::default(),
            ticks: 0,
            refused_log_from: Duration::ZERO,
        }
    }

    /// Runs until it is dropped, or the engine's end of the pipe is.
    pub async fn run(mut self) {
        let undone = self.keeper.undone(&self.intake.overrides(), self.now());
        self.discharge(undone).await;
        let mut said = self.intake.transitions();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut doubts, mut turns) = (self.intake.doubts(), self.intake.turns());
        let (mut has_heard, mut has_doubts, mut has_turned) = (false, false, false);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.tick().await;
                    (has_heard, has_turned) = (false, false);
                }
                _ = pulse.tick(), if has_heard || has_doubts || has_turned => {
                    if std::mem::take(&mut has_doubts) {
                        self.call();
                    }
                    if has_turned && self.now().time.since(self.spoke) >= EARLY_GAP {
                        has_turned = false;
                        self.speak(true);
                        has_heard = true;
                    }
                    if std::mem::take(&mut has_heard) {
                        self.recount();
                    }
                }
                _ = doubts.changed() => has_doubts = true,
                _ = turns.changed() => has_turned = true,
                _ = said.changed() => self.note_words().await,
                Some(taken) = self.taken_over.recv() => self.take_note(taken).await,
                heard = self.pipe.incoming.recv() => match heard {
                    Some(FromEngine::Frame(frame)) => has_heard |= self.hear(&frame),
                    Some(FromEngine::Entry { key, value }) => self.take(&key, value).await,
                    Some(FromEngine::Telling) => self.keeper.forget_engine(),
                    Some(FromEngine::Synced) => {
                        let duties = self.keeper.sync(self.now().time);
                        self.discharge(duties).await;
                    }
                    Some(FromEngine::Connected(is_connected)) => {
                        self.fleet.tell(|told| told.is_connected = is_connected);
                        self.keeper.forget_engine();
                        // Who was away has something to say, and need not wait for the next second.
                        if is_connected {
                            tick.reset_immediately();
                        }
                    }
                    None => return,
                },
            }
        }
    }

    fn now(&self) -> Moment {
        self.fleet.shared.clock.moment()
    }

    fn send(&self, what: ToEngine) {
        // A queue that is full belongs to an engine that is gone; all is said again when it is back.
        let _ = self.pipe.out.try_send(what);
    }

    // ---- Votes ----

    async fn tick(&mut self) {
        self.note_words().await;
        let duties = self.keeper.tick(self.now().time);
        self.discharge(duties).await;
        self.speak(false);
        if self.ticks.is_multiple_of(TICKS_A_SURVEY)
            && let Some(frame) = self.fleet.speak_of_regions(self.intake.board(), self.now())
        {
            self.send(ToEngine::Frame(frame));
        }
        self.ticks += 1;
        for frame in beats::frames(&self.fleet.shared.heartbeats, &self.keys, self.now()) {
            self.send(ToEngine::Frame(frame));
        }
        self.recount();
    }

    fn speak(&mut self, is_early: bool) {
        let now = self.now();
        self.spoke = now.time;
        for frame in self.fleet.speak(self.intake.board(), self.is_node, is_early, now) {
            self.send(ToEngine::Frame(frame));
        }
    }

    /// Asks others to look at what has failed here for a first time, unless it may be our own fault.
    fn call(&self) {
        let doubted = self.intake.take_doubted();
        if self.intake.board().self_state().is_impaired() {
            return;
        }
        if let Some(call) = self.fleet.call(&doubted, self.now()) {
            self.send(ToEngine::Frame(call));
        }
    }

    fn recount(&mut self) {
        let now = self.now().time;
        let link = self.fleet.link(now);
        if link != std::mem::replace(&mut self.link, link) {
            match link {
                Link::Together => info!("together with the fleet: verdicts are what votes come to"),
                Link::Holding => warn!("nobody of the fleet is heard: verdicts stay as they are"),
                Link::Island => {
                    warn!("cut off from the fleet: verdicts follow this machine's own probes");
                }
            }
        }
        if self.is_node {
            self.fleet.recount(&self.intake, now);
        }
    }

    /// Takes a frame in; whether there may be something to count.
    fn hear(&mut self, frame: &[u8]) -> bool {
        let now = self.now();
        if beats::hear(&self.fleet.shared.heartbeats, &self.keys, frame, now) {
            return false;
        }
        let what = match self.fleet.hear(frame, now) {
            Ok(Said::Votes | Said::Trips) => return true,
            Ok(Said::Call(targets)) => {
                self.fleet.note_called(targets);
                return false;
            }
            Err(Refused::Old) => return false,
            Err(Refused::Stranger) => "it is not sealed by the fleet's key".to_owned(),
            Err(Refused::Namesake) => "another machine has this one's name".to_owned(),
            Err(Refused::TooMany) => "there are more vantages than any fleet has".to_owned(),
            Err(Refused::Clock { vantage, off }) => {
                format!("its clock or ours is wrong: {vantage} was {off:.0?} away")
            }
        };
        if now.unix >= self.refused_log_from {
            self.refused_log_from = now.unix + REFUSED_LOG_GAP;
            warn!("a frame of votes was not believed: {what}");
        }
        false
    }

    // ---- What is kept ----

    async fn take(&mut self, key: &str, value: Option<Vec<u8>>) {
        let duties = self.keeper.take(key, value, &self.intake.overrides(), self.now());
        self.discharge(duties).await;
    }

    async fn note_words(&mut self) {
        let duties = self.keeper.note(&self.intake.overrides(), self.now());
        self.discharge(duties).await;
    }

    async fn discharge(&mut self, duties: Vec<Duty>) {
        for duty in duties {
            match duty {
                Duty::Send(what) => self.send(what),
                Duty::Do(deed) => self.act_on(deed),
                Duty::WriteWords => self.write_words(),
                Duty::TakeOver(arrived) => self.begin_take_over(arrived),
                Duty::GiveBack(head) => self.give_back(head.version).await,
                Duty::Warn(problem) => warn!("{problem}"),
            }
        }
    }

    fn write_words(&self) {
        let words = self.keeper.words();
        self.fleet.tell(|told| told.words_hash = words.hash());
        if let Err(problem) = self.shelf.keep_words(words, &self.keys) {
            warn!("what operators say cannot be written down: {problem}");
        }
    }

    fn act_on(&self, deed: Deed) {
        match deed {
            Deed::Say(word) => self.intake.say(word),
            Deed::TakeBack(zone, what) => {
                self.intake.take_back(&zone, &what, None, FLEET);
            }
            Deed::Freeze(said) => self.intake.freeze(said),
            Deed::Unfreeze => {
                self.intake.unfreeze(FLEET);
            }
        }
    }

    async fn give_back(&self, version: u64) {
        let (shelf, name) = (self.shelf.clone(), self.shelf.current().unwrap_or_default());
        match spawn_blocking(move || shelf.bundle(&name)).await {
            Ok(Ok((head, bundle))) => {
                // Pieces first, so that whoever sees the head finds them.
                let piece =
                    |(name, piece): (String, &[u8])| (format!("{PIECES}{name}"), piece.to_vec());
                let head = (format!("{HEADS}{version}"), head);
                let all = pieces(&bundle).map(piece).chain([head]).collect();
                self.send(ToEngine::Put(all));
            }
            Ok(Err(problem)) => warn!("version {version} cannot be given back: {problem}"),
            Err(panic) => error!("reading version {version} panicked: {panic}"),
        }
    }

    fn begin_take_over(&self, arrived: Arrived) {
        let (shelf, wishes, done) = (self.shelf.clone(), self.wishes.clone(), self.done.clone());
        tokio::spawn(async move {
            let outcome = match arrived.bundle() {
                Ok(bundle) => take_over(&arrived, bundle, shelf, wishes).await,
                Err(problem) => Err(problem),
            };
            // The task may have ended.
            let _ = done.send(TakenOver { head: arrived.head, outcome }).await;
        });
    }

    async fn take_note(&mut self, TakenOver { head, outcome }: TakenOver) {
        let Head { version, author, reason, .. } = &head;
        let is_served = outcome.is_ok();
        match outcome {
            Ok(what) => {
                let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
                info!("version {version} of the zone files, by {author}{reason}: {what}");
                self.fleet.tell(|told| (told.zones, told.zones_refused) = (Some(*version), None));
            }
            Err(problem) => {
                error!(
                    "version {version} of the zone files, by {author}, is refused; what was served \
                     stays: {problem}"
                );
                let refused = Some((*version, problem));
                self.fleet.tell(|told| told.zones_refused = refused);
            }
        }
        let duties = self.keeper.taken_over(head, is_served, self.now().time);
        self.discharge(duties).await;
    }
}

/// Puts a version down, has it checked, and has it loaded; or leaves everything as it is.
async fn take_over(
    arrived: &Arrived,
    bundle: Vec<u8>,
    shelf: Shelf,
    wishes: mpsc::Sender<Wish>,
) -> Result<String, String> {
    let wish = async |check: Option<PathBuf>| {
        let (reply, outcome) = oneshot::channel();
        let gone = || "nobody serves any more".to_owned();
        wishes.send(Wish { check, reply }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    };
    let Arrived { head, sealed, .. } = arrived.clone();
    let (name, on_shelf) = (name_of(&head), shelf.clone());
    let put = spawn_blocking(move || on_shelf.put(&head, &sealed, &bundle));
    let directory = put.await.map_err(|panic| panic.to_string())??;
    wish(Some(directory)).await?;
    let before = shelf.current();
    shelf.serve(Some(&name)).map_err(|error| error.to_string())?;
    let loaded = wish(None).await;
    if loaded.is_err() {
        shelf.serve(before.as_deref()).map_err(|error| error.to_string())?;
    }
    loaded
}
