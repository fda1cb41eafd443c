//! What the fleet keeps, as one member knows it: words of operators and versions of the zone files.
//!
//! A [`Keeper`] is told what the engine keeps, what operators say here and what came of a version, and answers
//! with [duties](Duty). Nothing goes back: neither a word nor what is served. An engine that knows less than
//! we has lost data, and gets it back; what it does not confirm is said again.
//!
//! ```text
//! the engine's word        is
//! later than ours          done here, and written down
//! the same                 confirmed
//! earlier, or none         given ours
//!
//! the engine's newest zone files
//! later than what is served        fetched, checked, served; one version after the other
//! the same                         nothing
//! earlier than what is served      given ours
//! ```
//!
//! A version that is refused is not asked for again, and the newest before it counts: who was away serves what
//! those serve who were there.
//! Of two versions with one number, which an engine that has lost data may come to, the one counts that was
//! pushed later. Nothing here sends, stores or reads a clock.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::bundle::{HEADS, Head, PIECES, Rank, sha256};
use super::pipe::ToEngine;
use super::words::{Deed, Heard, Word, Words};
use crate::clock::Moment;
use crate::health::fleet::{Keys, Purpose};
use crate::model::{Overrides, Time};

/// What the engine has not confirmed is said or asked for again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// The same of zone files, which may be large.
const BUNDLE_AGAIN: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Duty {
    /// This goes to the engine.
    Send(ToEngine),
    /// This is to be done on this node.
    Do(Deed),
    /// The words are to be written down.
    WriteWords,
    /// This version is to be checked and served, or to be refused; afterwards, [`Keeper::taken_over`].
    TakeOver(Arrived),
    /// The engine gets the version back that is served here.
    GiveBack(Head),
    /// People are to hear of this.
    Warn(String),
}

/// A version of the zone files that has come whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrived {
    /// Which.
    pub head: Head,
    /// Its head as it came.
    pub sealed: Vec<u8>,
    /// Its pieces by their names, each what its name says.
    pub pieces: HashMap<String, Vec<u8>>,
}

impl Arrived {
    /// Its bundle.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn bundle(&self) -> Result<Vec<u8>, String> {
        self.head.join(|name| self.pieces.get(name).cloned())
    }
}

/// What the fleet keeps, as one member knows it.
#[derive(Debug)]
pub struct Keeper {
    keys: Keys,
    /// Whether it does what words say.
    is_node: bool,
    words: Words,
    /// Keys of words that the engine keeps as we know them, by what it has told.
    kept: HashSet<String>,
    /// What is served here, if the fleet has given any.
    served: Option<Head>,
    /// Versions that this machine has found wanting.
    refused: HashSet<Rank>,
    /// Heads that the engine has told, by version: as they came.
    engine: HashMap<u64, (Head, Vec<u8>)>,
    /// Whether the engine has told all that it keeps.
    is_synced: bool,
    /// What is being fetched.
    fetch: Option<Arrived>,
    /// Whether a version is being taken over.
    is_taking: bool,
    /// When words and pieces were last said and asked for again.
    asked: Time,
    /// When the engine was last given zone files back.
    gave: Time,
}

impl Keeper {
    /// One that knows `words` and serves `served`, from its disk.
    #[must_use]
    pub fn new(keys: Keys, is_node: bool, words: Words, served: Option<Head>) -> Self {
        Self {
            keys,
            is_node,
            words,
            kept: HashSet::new(),
            served,
            refused: HashSet::new(),
            engine: HashMap::new(),
            is_synced: false,
            fetch: None,
            is_taking: false,
            asked: Time::ZERO,
            gave: Time::ZERO,
        }
    }

    /// All words.
    #[must_use]
    pub const fn words(&self) -> &Words {
        &self.words
    }

    /// The version that is served here, if the fleet has given any.
    #[must_use]
    pub const fn served(&self) -> Option<&Head> {
        self.served.as_ref()
    }

    // ---- The engine ----

    /// What the engine has told counts no more: it is gone, or tells all anew.
    pub fn forget_engine(&mut self) {
        self.kept.clear();
        self.engine.clear();
        self.is_synced = false;
        self.fetch = None;
    }

    /// The engine tells what it keeps under a key; nothing when that was dropped.
    pub fn take(
        &mut self,
        key: &str,
        value: Option<Vec<u8>>,
        overrides: &Overrides,
        now: Moment,
    ) -> Vec<Duty> {
        match (key.strip_prefix(PIECES), value) {
            (Some(name), Some(piece)) => self.take_piece(name, piece),
            (None, Some(value)) if key.starts_with(HEADS) => self.take_head(key, value, now),
            (None, Some(value)) if self.is_node => self.take_word(key, &value, overrides, now),
            (None, None) => {
                // It is put back, if it is still ours.
                self.kept.remove(key);
                self.engine.retain(|_, (head, _)| head.key() != key);
                // Nor is it waited for.
                self.fetch(now.time)
            }
            (_, _) => Vec::new(),
        }
    }

    /// The engine has told all that it keeps: it gets what it should keep and does not.
    pub fn sync(&mut self, now: Time) -> Vec<Duty> {
        self.is_synced = true;
        let mut duties = self.say_again(now);
        duties.extend(self.fetch(now));
        duties.extend(self.give_back(now));
        duties
    }

    /// What is to be done each second: mostly nothing.
    pub fn tick(&mut self, now: Time) -> Vec<Duty> {
        let mut duties = Vec::new();
        if self.is_synced && now.since(self.asked) >= AGAIN {
            duties.extend(self.say_again(now));
        }
        if self.is_synced && now.since(self.gave) >= BUNDLE_AGAIN {
            duties.extend(self.give_back(now));
        }
        duties
    }

    /// What the engine should keep or tell, and does not.
    fn say_again(&mut self, now: Time) -> Vec<Duty> {
        self.asked = now;
        let mut duties = Vec::new();
        if self.is_node {
            let lost = self.words.iter().filter(|word| !self.kept.contains(&word.key()));
            duties.extend(lost.map(|word| self.put_word(word)));
        }
        let wanted = self.fetch.iter().flat_map(|fetch| {
            let missing = |name: &&String| !fetch.pieces.contains_key(*name);
            fetch.head.pieces.iter().filter(missing)
        });
        duties.extend(wanted.map(|name| Duty::Send(ToEngine::Get(format!("{PIECES}{name}")))));
        duties
    }

    fn give_back(&mut self, now: Time) -> Vec<Duty> {
        self.gave = now;
        let newest = self.newest().map(Head::rank);
        let Some(own) = self.served.clone().filter(|own| self.is_node && Some(own.rank()) > newest)
        else {
            return Vec::new();
        };
        let known = newest.map_or_else(|| "none".to_owned(), |rank| rank.version.to_string());
        let what = format!(
            "the fleet's engine has lost zone files: it knows version {known}, and version {} is \
             served here; it gets that back",
            own.version
        );
        vec![Duty::Warn(what), Duty::GiveBack(own)]
    }

    // ---- Words of operators ----

    /// What operators have said and taken back on this node since.
    pub fn note(&mut self, overrides: &Overrides, now: Moment) -> Vec<Duty> {
        if !self.is_node {
            return Vec::new();
        }
        let changed = self.words.note(overrides, now);
        if changed.is_empty() {
            return Vec::new();
        }
        for word in &changed {
            self.kept.remove(&word.key());
        }
        let puts = changed.iter().map(|word| self.put_word(word));
        [Duty::WriteWords].into_iter().chain(puts).collect()
    }

    /// What words say and this node, which was away, has not done yet.
    pub fn undone(&mut self, overrides: &Overrides, now: Moment) -> Vec<Duty> {
        if !self.is_node {
            return Vec::new();
        }
        let undone = self.words.clone().note(overrides, now);
        let known = undone.iter().filter_map(|word| self.words.of_key(&word.key()).cloned());
        known.collect::<Vec<_>>().iter().map(|word| self.do_word(word, now)).collect()
    }

    fn take_word(
        &mut self,
        key: &str,
        sealed: &[u8],
        overrides: &Overrides,
        now: Moment,
    ) -> Vec<Duty> {
        let mut duties = self.note(overrides, now);
        let body = self.keys.open(Purpose::Words, sealed);
        let word: Option<Word> = body.and_then(|body| serde_json::from_slice(body).ok());
        let Some(word) = word.filter(|word| word.key() == key) else {
            let what = "of the fleet's engine is not believed: it is not sealed by the fleet's key";
            duties.push(Duty::Warn(format!("{key} {what}")));
            return duties;
        };
        match self.words.hear(word.clone()) {
            Heard::Known => {}
            Heard::New => duties.extend([self.do_word(&word, now), Duty::WriteWords]),
            Heard::Old => {
                let what = "the fleet's engine has lost a word of operators, and gets it back";
                duties.push(Duty::Warn(what.to_owned()));
                duties.extend(self.words.of_key(key).map(|own| self.put_word(own)));
                self.kept.remove(key);
                return duties;
            }
        }
        self.kept.insert(key.to_owned());
        duties
    }

    fn do_word(&mut self, word: &Word, now: Moment) -> Duty {
        match word.deed(now) {
            Ok(deed) => {
                self.words.have_done(&deed);
                Duty::Do(deed)
            }
            Err(problem) => {
                Duty::Warn(format!("a word of operators means nothing here: {problem}"))
            }
        }
    }

    fn put_word(&self, word: &Word) -> Duty {
        let body = serde_json::to_vec(word).unwrap_or_default();
        let value = self.keys.seal(Purpose::Words, body);
        Duty::Send(ToEngine::Put(vec![(word.key(), value)]))
    }

    // ---- Zone files ----

    /// The newest that the engine has.
    fn newest(&self) -> Option<&Head> {
        self.engine.values().map(|(head, _)| head).max_by_key(|head| head.rank())
    }

    fn take_head(&mut self, key: &str, value: Vec<u8>, now: Moment) -> Vec<Duty> {
        match Head::open(&self.keys, key, &value) {
            Ok(head) => {
                self.engine.insert(head.version, (head, value));
                self.fetch(now.time)
            }
            Err(problem) => {
                let what = format!("{key} of the fleet's engine is not believed: {problem}");
                vec![Duty::Warn(what)]
            }
        }
    }

    /// Starts to fetch the newest version that was not refused, if that is newer than what is served.
    fn fetch(&mut self, now: Time) -> Vec<Duty> {
        if !self.is_synced || self.is_taking {
            return Vec::new();
        }
        let served = self.served.as_ref().map(Head::rank);
        let is_wanted = |(rank, _): &(Rank, &(Head, Vec<u8>))| {
            Some(rank) > served.as_ref() && !self.refused.contains(rank)
        };
        let heads = self.engine.values().map(|kept| (kept.0.rank(), kept)).filter(is_wanted);
        let newest = heads.max_by(|(one, _), (other, _)| one.cmp(other));
        let Some((_, (head, sealed))) = newest else {
            self.fetch = None;
            return Vec::new();
        };
        if self.fetch.as_ref().is_some_and(|fetch| fetch.head == *head) {
            return Vec::new();
        }
        let (head, sealed) = (head.clone(), sealed.clone());
        let get = |name: &String| Duty::Send(ToEngine::Get(format!("{PIECES}{name}")));
        let duties = head.pieces.iter().map(get).collect();
        self.asked = now;
        self.fetch = Some(Arrived { head, sealed, pieces: HashMap::new() });
        duties
    }

    fn take_piece(&mut self, name: &str, piece: Vec<u8>) -> Vec<Duty> {
        let Some(fetch) = &mut self.fetch else { return Vec::new() };
        if fetch.head.pieces.iter().any(|wanted| wanted == name) && sha256(&piece) == name {
            fetch.pieces.insert(name.to_owned(), piece);
        }
        if !fetch.head.pieces.iter().all(|name| fetch.pieces.contains_key(name)) {
            return Vec::new();
        }
        let Some(arrived) = self.fetch.take() else { return Vec::new() };
        self.is_taking = true;
        vec![Duty::TakeOver(arrived)]
    }

    /// A version was taken over, or refused.
    pub fn taken_over(&mut self, head: Head, is_served: bool, now: Time) -> Vec<Duty> {
        self.is_taking = false;
        if is_served {
            self.served = Some(head);
        } else {
            self.refused.insert(head.rank());
        }
        // A later one may have come meanwhile, or an earlier one counts.
        self.fetch(now)
    }
}

#[cfg(test)]
mod tests;
