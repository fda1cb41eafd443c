//! What operators say, known by the whole fleet.
//!
//! Each thing that something may be said of has one [`Word`]: what was said last, or that it was taken back.
//! Whoever changes it gives it the next version. Of two words on one thing the later version counts, and of
//! equal ones the one whose text is greater: all nodes come to the same, in whatever order they hear. Words
//! never go back to an earlier version; an engine that offers one has lost data, and gets ours.
//!
//! A word is written by one wall clock and done by another, either of which may be set. So what a node has done
//! because of a word, or has made a word of, is remembered as its steady clock had it: only what differs from
//! that was said since.
//!
//! Nothing here sends, stores or reads a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::model::target_key::hash;
use crate::model::{Name, Override, OverrideKind, Overrides, Said, Subject, whole_millis};

/// Times that are written in milliseconds and read by other clocks are the same within this.
const TOLERANCE_MS: u64 = 2000;

/// What was said last of one thing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// How often something was said of it.
    pub version: u64,
    /// Of what.
    pub about: About,
    /// What is said; `None` when it was taken back.
    pub said: Option<Saying>,
}

/// What something is said of. Empty all over: answers as a whole, which may be frozen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    zone: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    region: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pool: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    endpoint: String,
}

/// What is said. Times are milliseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saying {
    kind: String,
    author: String,
    reason: String,
    at: u64,
    until: Option<u64>,
}

/// The kind of a saying that freezes.
const FREEZE: &str = "freeze";

/// What a word asks of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// An operator's word over something.
    Say(Override),
    /// Taken back.
    TakeBack(Name, Subject),
    /// Answers are frozen.
    Freeze(Said),
    /// They are no longer.
    Unfreeze,
}

impl About {
    fn of(zone: &Name, what: &Subject) -> Self {
        let zone = zone.to_string();
        match what.clone() {
            Subject::Region(region) => Self { zone, region, ..Self::default() },
            Subject::Pool(pool) => Self { zone, pool, ..Self::default() },
            Subject::Endpoint { pool, endpoint } => {
                Self { zone, pool, endpoint, ..Self::default() }
            }
        }
    }

    /// The zone and the thing; `None` for answers as a whole.
    ///
    /// # Errors
    /// When it is nothing.
    fn thing(&self) -> Result<Option<(Name, Subject)>, String> {
        let Self { zone, region, pool, endpoint } = self;
        if *self == Self::default() {
            return Ok(None);
        }
        let zone = zone.parse().map_err(|_| format!("`{zone}` is no zone"))?;
        let what = match (region.as_str(), pool.as_str(), endpoint.as_str()) {
            (region, "", "") if !region.is_empty() => Subject::Region(region.to_owned()),
            ("", pool, "") if !pool.is_empty() => Subject::Pool(pool.to_owned()),
            ("", pool, endpoint) if !pool.is_empty() => {
                Subject::Endpoint { pool: pool.to_owned(), endpoint: endpoint.to_owned() }
            }
            _ => return Err("a word is about nothing, or about two things".to_owned()),
        };
        Ok(Some((zone, what)))
    }
}

impl Saying {
    fn new(kind: &str, said: &Said, now: Moment) -> Self {
        let Said { author, reason, at, until } = said.clone();
        let unix = |time| whole_millis(now.unix_at(time));
        Self { kind: kind.to_owned(), author, reason, at: unix(at), until: until.map(unix) }
    }

    /// Whether the two say the same, but for how clocks differ. A node that is frozen goes on to be so since
    /// when it was.
    fn is_same(&self, other: &Self) -> bool {
        let is_near = |a: u64, b: u64| a.abs_diff(b) <= TOLERANCE_MS;
        let (mine, others) = ((&self.kind, &self.author, &self.reason), other);
        mine == (&others.kind, &others.author, &others.reason)
            && (self.kind == FREEZE || is_near(self.at, other.at))
            && match (self.until, other.until) {
                (Some(one), Some(two)) => is_near(one, two),
                (one, two) => one == two,
            }
    }

    fn has_ended(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| until <= whole_millis(now.unix))
    }

    fn said(&self, now: Moment) -> Said {
        let Self { author, reason, at, until, .. } = self.clone();
        let time = |unix| now.time_at(Duration::from_millis(unix));
        Said { author, reason, at: time(at).min(now.time), until: until.map(time) }
    }
}

impl Word {
    /// The name under which the engine keeps it.
    #[must_use]
    pub fn key(&self) -> String {
        let About { zone, region, pool, endpoint } = &self.about;
        let parts = [zone, region, pool, endpoint].map(|part| part.as_bytes());
        format!("words.{:016x}", hash(&parts))
    }

    /// What it asks of a node at `now`.
    ///
    /// # Errors
    /// When it says nothing that is known.
    pub fn deed(&self, now: Moment) -> Result<Deed, String> {
        let said = self.said.as_ref().filter(|said| !said.has_ended(now));
        Ok(match (self.about.thing()?, said) {
            (None, Some(said)) => Deed::Freeze(said.said(now)),
            (None, None) => Deed::Unfreeze,
            (Some((zone, what)), None) => Deed::TakeBack(zone, what),
            (Some((zone, what)), Some(saying)) => {
                let kind = OverrideKind::from_word(&saying.kind);
                let kind = kind.ok_or_else(|| format!("`{}` is no override", saying.kind))?;
                Deed::Say(Override { zone, what, kind, said: saying.said(now) })
            }
        })
    }

    /// What decides between two words on one thing.
    fn rank(&self) -> (u64, Vec<u8>) {
        (self.version, serde_json::to_vec(&self.said).unwrap_or_default())
    }
}

/// How a word that was heard stands to what was known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It counts from now on.
    New,
    /// It is known.
    Known,
    /// A later one is known.
    Old,
}

/// All words.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Words {
    words: BTreeMap<String, Word>,
    /// What of them this node goes by, in this life.
    #[serde(skip)]
    done: BTreeMap<About, (String, Said)>,
}

impl Words {
    /// Takes a word in.
    pub fn hear(&mut self, word: Word) -> Heard {
        let key = word.key();
        match self.words.get(&key) {
            Some(own) if *own == word => Heard::Known,
            Some(own) if own.rank() > word.rank() => Heard::Old,
            _ => {
                self.words.insert(key, word);
                Heard::New
            }
        }
    }

    /// Makes words of what operators have said and taken back on this node since.
    pub fn note(&mut self, overrides: &Overrides, now: Moment) -> Vec<Word> {
        let of = |one: &Override| {
            let said = (one.kind.word().to_owned(), one.said.clone());
            (About::of(&one.zone, &one.what), said)
        };
        let mut own: BTreeMap<About, (String, Said)> = overrides.all.iter().map(of).collect();
        let freeze = overrides.freeze.iter();
        own.extend(freeze.map(|said| (About::default(), (FREEZE.to_owned(), said.clone()))));
        let done = std::mem::replace(&mut self.done, own.clone());
        let saying = |(kind, said): &(String, Said)| Saying::new(kind, said, now);
        let mut changed = Vec::new();
        for word in self.words.values_mut() {
            let (said, done) = (own.remove(&word.about), done.get(&word.about));
            let is_same = match (&word.said, &said) {
                (_, Some(said)) if done == Some(said) => true,
                (Some(known), Some(said)) => known.is_same(&saying(said)),
                // What has ended was not taken back, nor what means nothing here.
                (Some(known), None) => {
                    known.has_ended(now)
                        || done.is_some_and(|(_, said)| !said.is_in_force(now.time))
                        || word.deed(now).is_err()
                }
                (None, None) => true,
                (None, Some(_)) => false,
            };
            if !is_same {
                (word.version, word.said) = (word.version + 1, said.as_ref().map(saying));
                changed.push(word.clone());
            }
        }
        for (about, said) in own {
            let word = Word { version: 1, about, said: Some(saying(&said)) };
            self.words.insert(word.key(), word.clone());
            changed.push(word);
        }
        changed
    }

    /// A word has been done on this node: what comes of it is nobody's own word.
    pub fn have_done(&mut self, deed: &Deed) {
        match deed.clone() {
            Deed::Say(Override { zone, what, kind, said }) => {
                let about = About::of(&zone, &what);
                self.done.insert(about, (kind.word().to_owned(), said));
            }
            Deed::Freeze(said) => {
                self.done.insert(About::default(), (FREEZE.to_owned(), said));
            }
            Deed::TakeBack(zone, what) => drop(self.done.remove(&About::of(&zone, &what))),
            Deed::Unfreeze => drop(self.done.remove(&About::default())),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Word> {
        self.words.values()
    }

    /// The word of a key.
    #[must_use]
    pub fn of_key(&self, key: &str) -> Option<&Word> {
        self.words.get(key)
    }

    /// Two that know the same words have the same.
    #[must_use]
    pub fn hash(&self) -> u64 {
        hash(&[&serde_json::to_vec(self).unwrap_or_default()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    fn moment(secs: u64) -> Moment {
        let unix = Duration::from_secs(1_790_000_000 + secs);
        Moment { time: Time::from_secs(1000 + secs), unix }
    }

    fn drain(region: &str, author: &str, secs: u64, until: Option<u64>) -> Override {
        let time = |secs| moment(secs).time;
        Override {
            zone: "example.com".parse().unwrap(),
            what: Subject::Region(region.to_owned()),
            kind: OverrideKind::Drain,
            said: Said {
                author: author.to_owned(),
                reason: String::new(),
                at: time(secs),
                until: until.map(time),
            },
        }
    }

    fn said(all: &[Override]) -> Overrides {
        Overrides { all: all.to_vec(), freeze: None }
    }

    #[test]
    fn what_is_said_on_one_node_is_done_on_the_others_and_taken_back_there() {
        let (mut one, mut other) = (Words::default(), Words::default());
        let drained = drain("eu", "ann", 1, None);
        let words = one.note(&said(std::slice::from_ref(&drained)), moment(1));
        assert_eq!(words.len(), 1);
        assert_eq!(other.hear(words[0].clone()), Heard::New);
        assert_eq!(other.hear(words[0].clone()), Heard::Known);
        let Deed::Say(heard) = words[0].deed(moment(2)).unwrap() else { panic!("a drain") };
        assert_eq!(heard, drained);
        assert_eq!(other.note(&said(&[heard]), moment(3)), [], "it is nothing new");
        let back = other.note(&said(&[]), moment(4));
        assert_eq!((back.len(), back[0].version), (1, 2));
        assert_eq!(one.hear(back[0].clone()), Heard::New);
        assert_eq!(one.hear(words[0].clone()), Heard::Old, "an engine that has lost data");
        assert!(matches!(back[0].deed(moment(4)), Ok(Deed::TakeBack(..))));
        assert_eq!(one.hash(), other.hash());
    }

    #[test]
    fn two_who_speak_at_once_are_heard_alike_everywhere() {
        let speak =
            |author| Words::default().note(&said(&[drain("eu", author, 1, None)]), moment(1));
        let (ann, bob) = (speak("ann").remove(0), speak("bob").remove(0));
        let in_order = |words: [&Word; 2]| {
            let mut own = Words::default();
            for word in words {
                own.hear(word.clone());
            }
            own
        };
        assert_eq!(in_order([&ann, &bob]), in_order([&bob, &ann]));
    }

    #[test]
    fn what_has_ended_was_not_taken_back() {
        let mut words = Words::default();
        let noted = words.note(&said(&[drain("eu", "ann", 1, Some(10))]), moment(1));
        assert_eq!(words.note(&said(&[]), moment(10)), []);
        assert!(
            matches!(noted[0].deed(moment(10)), Ok(Deed::TakeBack(..))),
            "nor is it said again"
        );
    }

    #[test]
    fn a_freeze_is_a_word_like_any_other() {
        let mut words = Words::default();
        let Override { said: freeze, .. } = drain("", "ann", 1, None);
        let frozen = Overrides { all: Vec::new(), freeze: Some(freeze.clone()) };
        let noted = words.note(&frozen, moment(1));
        assert_eq!(noted[0].deed(moment(1)), Ok(Deed::Freeze(freeze)));
        let noted = words.note(&said(&[]), moment(2));
        assert_eq!(noted[0].deed(moment(2)), Ok(Deed::Unfreeze));
    }

    #[test]
    fn nodes_that_were_frozen_apart_come_to_one_word_and_stay_with_it() {
        let frozen = |author, secs| {
            let Override { said: freeze, .. } = drain("", author, secs, None);
            Overrides { all: Vec::new(), freeze: Some(freeze) }
        };
        let (mut one, mut other) = (Words::default(), Words::default());
        let (ann, bob) = (frozen("ann", 1), frozen("bob", 20));
        let from_one = one.note(&ann, moment(1)).remove(0);
        let from_other = other.note(&bob, moment(20)).remove(0);
        assert_eq!(other.hear(from_one.clone()), Heard::Old, "bob's is the greater text");
        assert_eq!(one.hear(from_other.clone()), Heard::New);
        one.have_done(&from_other.deed(moment(21)).unwrap());
        // It was frozen since earlier, and goes on to be.
        let Some(bobs) = bob.freeze else { panic!("a freeze") };
        let merged = Said { at: moment(1).time, ..bobs };
        let merged = Overrides { all: Vec::new(), freeze: Some(merged) };
        assert_eq!(one.note(&merged, moment(22)), []);
        assert_eq!(one.hash(), other.hash());
    }

    #[test]
    fn a_clock_that_is_set_says_nothing() {
        let set = |secs, by: i64| {
            let Moment { time, unix } = moment(secs);
            let by_secs = Duration::from_secs(by.unsigned_abs());
            Moment { time, unix: if by < 0 { unix - by_secs } else { unix + by_secs } }
        };
        let (mut one, mut other) = (Words::default(), Words::default());
        let own = said(&[drain("eu", "ann", 1, Some(100))]);
        let word = one.note(&own, moment(1)).remove(0);
        other.hear(word.clone());
        let deed = word.deed(moment(2)).unwrap();
        other.have_done(&deed);
        let Deed::Say(heard) = deed else { panic!("a drain") };
        for by in [-3600, 3600] {
            assert_eq!(one.note(&own, set(50, by)), [], "who said it");
            assert_eq!(other.note(&said(std::slice::from_ref(&heard)), set(50, by)), []);
            // It ends by the steady clock, and is then not taken back.
            assert_eq!(one.clone().note(&said(&[]), set(100, by)), []);
        }
        assert_eq!(one.note(&said(&[]), set(60, 0)).len(), 1, "that was taken back");
    }

    #[test]
    fn what_a_word_may_not_be_is_told() {
        let word = |about, kind: &str| Word {
            version: 1,
            about,
            said: Some(Saying {
                kind: kind.to_owned(),
                author: "ann".to_owned(),
                reason: String::new(),
                at: 0,
                until: None,
            }),
        };
        let eu = About::of(&"a.test".parse().unwrap(), &Subject::Region("eu".to_owned()));
        assert!(word(eu.clone(), "drian").deed(moment(1)).is_err());
        let two = About { pool: "web".to_owned(), ..eu.clone() };
        assert!(word(two, "drain").deed(moment(1)).is_err());
        let mut words = Words::default();
        assert_eq!(words.hear(word(eu, "drian")), Heard::New);
        assert_eq!(words.note(&said(&[]), moment(2)), [], "others may know what it means");
    }
}
