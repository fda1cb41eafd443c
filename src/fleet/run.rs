//! The task that keeps a machine in step with its fleet.
//!
//! It takes one thing after the other and waits for nothing but the next: what is long, checking and loading
//! zone files, others do and tell.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, error, info, warn};

use super::beats;
use super::bundle::{HEADS, Head, PIECES, pieces, sha256};
use super::pipe::{FromEngine, Pipe, ToEngine};
use super::shelf::Shelf;
use super::words::{Deed, Heard, Word, Words};
use super::{Fleet, Settings};
use crate::clock::Moment;
use crate::health::fleet::{Keys, Link, Purpose, Refused, Said, TICK};
use crate::intake::Intake;
use crate::model::Time;

/// Frames that come together are counted together, and what fails together is called for together.
const PULSE: Duration = Duration::from_millis(100);
/// Between two ticks a machine whose opinions turn says so, at most once in such a time.
const EARLY_GAP: Duration = Duration::from_millis(250);
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
    words: Words,
    /// Keys of words that the engine keeps as we know them, since the connection.
    kept: HashSet<String>,
    heads: Heads,
    link: Link,
    /// When it last said how it votes.
    spoke: Time,
    /// When what is not believed may be told of again.
    refused_log_from: Duration,
}

/// Versions of the zone files.
#[derive(Debug, Default)]
struct Heads {
    /// The greatest that this machine has taken over, or found wanting.
    seen: u64,
    /// Those that the engine has shown since the connection, by version: as they came.
    engine: HashMap<u64, (Head, Vec<u8>)>,
    is_synced: bool,
    /// What is being fetched.
    fetch: Option<Fetch>,
}

#[derive(Debug)]
struct Fetch {
    head: Head,
    sealed: Vec<u8>,
    pieces: HashMap<String, Vec<u8>>,
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
        let heads = Heads { seen: shelf.version().unwrap_or_default(), ..Heads::default() };
        fleet.tell(|told| told.words_hash = words.hash());
        Self {
            fleet,
            keys,
            shelf,
            is_node: rules.is_node,
            intake,
            pipe,
            wishes,
            words,
            kept: HashSet::new(),
            heads,
            link: Link::Holding,
            spoke: Time::default(),
            refused_log_from: Duration::ZERO,
        }
    }

    /// Runs until it is dropped, or the engine's end of the pipe is.
    pub async fn run(mut self) {
        if self.is_node {
            self.do_undone(self.now());
        }
        let (done, mut taken_over) = mpsc::channel(1);
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
                    self.tick();
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
                _ = said.changed() => self.note_words(),
                Some(taken) = taken_over.recv() => self.take_note(taken),
                heard = self.pipe.incoming.recv() => match heard {
                    Some(FromEngine::Frame(frame)) => has_heard |= self.hear(&frame),
                    Some(FromEngine::Entry { key, value }) => self.take(&key, value, &done),
                    Some(FromEngine::Synced) => self.put_back().await,
                    Some(FromEngine::Connected(is_connected)) => self.connect(is_connected),
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

    fn tick(&mut self) {
        self.note_words();
        self.speak(false);
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
            Ok(Said::Votes) => return true,
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

    fn connect(&mut self, is_connected: bool) {
        self.fleet.tell(|told| told.is_connected = is_connected);
        self.kept.clear();
        self.heads.engine.clear();
        self.heads.is_synced = false;
        self.heads.fetch = None;
    }

    fn take(&mut self, key: &str, value: Option<Vec<u8>>, done: &mpsc::Sender<TakenOver>) {
        // What was dropped there is put back after the next connection, if it is still ours.
        let Some(value) = value else { return };
        if let Some(name) = key.strip_prefix(PIECES) {
            self.take_piece(name, value, done);
        } else if key.starts_with(HEADS) {
            match Head::open(&self.keys, key, &value) {
                Ok(head) => {
                    self.heads.engine.insert(head.version, (head, value));
                    self.fetch();
                }
                Err(problem) => warn!("{key} of the fleet's engine is not believed: {problem}"),
            }
        } else if self.is_node {
            self.take_word(key, &value);
        }
    }

    /// The engine has told all that it keeps: it gets what it should keep and does not.
    async fn put_back(&mut self) {
        self.heads.is_synced = true;
        self.fetch();
        if !self.is_node {
            return;
        }
        let lost: Vec<Word> =
            self.words.iter().filter(|word| !self.kept.contains(&word.key())).cloned().collect();
        lost.iter().for_each(|word| self.put_word(word));
        let newest = self.heads.engine.keys().max().copied().unwrap_or_default();
        let Some(own) = self.shelf.version().filter(|own| *own > newest) else { return };
        warn!(
            "the fleet's engine has lost zone files: it knows version {newest}, and version {own} is \
             served here; it gets that back"
        );
        let shelf = self.shelf.clone();
        match spawn_blocking(move || shelf.bundle(own)).await {
            Ok(Ok((head, bundle))) => {
                for (name, piece) in pieces(&bundle) {
                    let (key, value) = (format!("{PIECES}{name}"), piece.to_vec());
                    self.send(ToEngine::Put { key, value });
                }
                self.send(ToEngine::Put { key: format!("{HEADS}{own}"), value: head });
            }
            Ok(Err(problem)) => warn!("version {own} cannot be given back: {problem}"),
            Err(panic) => error!("reading version {own} panicked: {panic}"),
        }
    }

    // ---- Words of operators ----

    fn note_words(&mut self) {
        if !self.is_node {
            return;
        }
        let changed = self.words.note(&self.intake.overrides(), self.now());
        if !changed.is_empty() {
            self.keep_words();
            changed.iter().for_each(|word| self.put_word(word));
        }
    }

    fn take_word(&mut self, key: &str, sealed: &[u8]) {
        self.note_words();
        let body = self.keys.open(Purpose::Words, sealed);
        let word: Option<Word> = body.and_then(|body| serde_json::from_slice(body).ok());
        let Some(word) = word.filter(|word| word.key() == key) else {
            warn!(
                "{key} of the fleet's engine is not believed: it is not sealed by the fleet's key"
            );
            return;
        };
        match self.words.hear(word.clone()) {
            Heard::Known => {}
            Heard::New => {
                self.act_on(&word, self.now());
                self.keep_words();
            }
            Heard::Old => {
                let own = self.words.of_key(key).cloned();
                warn!("the fleet's engine has lost a word of operators, and gets it back");
                own.iter().for_each(|own| self.put_word(own));
            }
        }
        self.kept.insert(key.to_owned());
    }

    fn put_word(&self, word: &Word) {
        let body = serde_json::to_vec(word).unwrap_or_default();
        let value = self.keys.seal(Purpose::Words, body);
        self.send(ToEngine::Put { key: word.key(), value });
    }

    fn keep_words(&self) {
        self.fleet.tell(|told| told.words_hash = self.words.hash());
        if let Err(problem) = self.shelf.keep_words(&self.words, &self.keys) {
            warn!("what operators say cannot be written down: {problem}");
        }
    }

    /// Does what words say and this node, which was away, has not heard yet.
    fn do_undone(&mut self, now: Moment) {
        let mut own = self.words.clone();
        let undone = own.note(&self.intake.overrides(), now);
        for word in undone {
            if let Some(known) = self.words.of_key(&word.key()).cloned() {
                self.act_on(&known, now);
            }
        }
    }

    fn act_on(&self, word: &Word, now: Moment) {
        match word.deed(now) {
            Ok(Deed::Say(word)) => self.intake.say(word),
            Ok(Deed::TakeBack(zone, what)) => {
                self.intake.take_back(&zone, &what, None, FLEET);
            }
            Ok(Deed::Freeze(said)) => self.intake.freeze(said),
            Ok(Deed::Unfreeze) => {
                self.intake.unfreeze(FLEET);
            }
            Err(problem) => warn!("a word of operators means nothing here: {problem}"),
        }
    }

    // ---- Zone files ----

    /// Starts to fetch the newest version, if that is newer than what was seen here.
    fn fetch(&mut self) {
        let Heads { seen, engine, is_synced, fetch } = &mut self.heads;
        let newest = engine.iter().max_by_key(|(version, _)| **version).map(|(_, head)| head);
        let Some((head, sealed)) = newest.filter(|(head, _)| *is_synced && head.version > *seen)
        else {
            return;
        };
        if fetch.as_ref().is_some_and(|fetch| fetch.head == *head) {
            return;
        }
        debug!("fetching version {} of the zone files", head.version);
        let wanted = head.pieces.clone();
        *fetch = Some(Fetch { head: head.clone(), sealed: sealed.clone(), pieces: HashMap::new() });
        for name in wanted {
            self.send(ToEngine::Get(format!("{PIECES}{name}")));
        }
    }

    fn take_piece(&mut self, name: &str, piece: Vec<u8>, done: &mpsc::Sender<TakenOver>) {
        let Some(fetch) = &mut self.heads.fetch else { return };
        if sha256(&piece) == name {
            fetch.pieces.insert(name.to_owned(), piece);
        }
        if !fetch.head.pieces.iter().all(|name| fetch.pieces.contains_key(name)) {
            return;
        }
        let Some(Fetch { head, sealed, pieces }) = self.heads.fetch.take() else { return };
        // Whatever comes of it, it is not fetched again.
        self.heads.seen = head.version;
        let (shelf, wishes, done) = (self.shelf.clone(), self.wishes.clone(), done.clone());
        tokio::spawn(async move {
            let joined = head.join(|name| pieces.get(name).cloned());
            let outcome = match joined {
                Ok(bundle) => take_over(&head, sealed, bundle, shelf, wishes).await,
                Err(problem) => Err(problem),
            };
            // The task may have ended.
            let _ = done.send(TakenOver { head, outcome }).await;
        });
    }

    fn take_note(&mut self, TakenOver { head, outcome }: TakenOver) {
        let Head { version, author, reason, .. } = &head;
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
        // A later one may have come meanwhile.
        self.fetch();
    }
}

/// Puts a version down, has it checked, and has it loaded; or leaves everything as it is.
async fn take_over(
    head: &Head,
    sealed: Vec<u8>,
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
    let (own, version) = (head.clone(), head.version);
    let on_shelf = shelf.clone();
    let put = spawn_blocking(move || on_shelf.put(&own, &sealed, &bundle));
    let directory = put.await.map_err(|panic| panic.to_string())??;
    wish(Some(directory)).await?;
    let before = shelf.version();
    shelf.use_version(Some(version)).map_err(|error| error.to_string())?;
    let loaded = wish(None).await;
    if loaded.is_err() {
        shelf.use_version(before).map_err(|error| error.to_string())?;
    }
    loaded
}
