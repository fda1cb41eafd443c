//! What the members of a fleet say to each other, and what each makes of it.
//!
//! A [`Member`] is one of them without its sockets: frames of others go in, its own come out, and at any
//! moment it knows which targets are its share, what votes come to and whether it is cut off. It reads no
//! clock; two that have heard the same frames come to the same. There is no leader, and nothing is ever
//! asked of anybody.
//!
//! ```text
//! heard of others     link       what verdicts follow
//! below 5 s ago       together   the quorum of fresh votes
//! below 30 s          holding    nothing: they stay as they are
//! longer ago          island     own probes alone, and slowly: see `Board`
//! ```
//!
//! One that has never heard anybody waits 5 s for the first word before it is an island. One that stood still for
//! as long, and so finds a heap of old frames, makes nothing of them for 5 s: see [`Member::has_stood_still`].

mod call;
mod dissent;
mod frame;
mod quorum;
mod roster;
mod seal;
mod share;
mod trips;
mod vote;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub use call::{CALL_MAX, Call};
pub use dissent::{Dissent, Turned};
pub use frame::{Frame, TEXT_MAX};
pub use quorum::{Ballot, Decision, Quorum, Voter, decide};
pub use roster::{Count, Presence, Refused, Roster, Seat};
pub use seal::{KEY_LEN, Keys, Purpose};
pub use share::{Candidate, Share};
pub use trips::{REGIONS_MAX, Trips};
pub use vote::{Grounds, Opinion, RoundTrip, Vote};

use super::Falls;
use crate::model::target_key::hash;
use crate::model::{Coordinates, RegionKey, RoundTrips, TargetId, Time, whole_millis};
use call::Called;
use roster::{FRESH, GONE};
use trips::Distances;

/// How often a member says what it holds.
pub const TICK: Duration = Duration::from_secs(1);
/// A member that is silent for so long has its share looked at by others.
const ABSENT: Duration = Duration::from_secs(10);
/// By so much clocks may differ. What was sent longer ago may have been recorded, and is not believed.
pub const CLOCKS: Duration = Duration::from_secs(120);

/// Who a member is, and how its fleet decides.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Its name, which no other has.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Where it is, if somebody has said.
    pub location: Option<Coordinates>,
    /// Whether it answers DNS, and so looks only where vantages are wanting.
    pub is_node: bool,
    /// How many must agree.
    pub quorum: Quorum,
    /// How many vantages look at each target.
    pub vantages: usize,
}

/// Whether a member hears others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Link {
    /// It does.
    Together,
    /// Not any more, or not yet.
    Holding,
    /// Not for so long that it goes by itself.
    Island,
}

impl Link {
    /// The word in `status` and in the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::Holding => "holding",
            Self::Island => "island",
        }
    }
}

/// What a member has to say at a tick.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// What it holds of the targets of its share.
    pub votes: Vec<(TargetId, Vote)>,
    /// The hash of all targets that it was told of.
    pub targets_hash: u64,
    /// The hash of what it has come to; 0 if it decides nothing.
    pub state_hash: u64,
    /// Why it does not trust its view, if it does not.
    pub impaired: Option<String>,
}

/// What was heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// Votes, which are in the roster now.
    Votes,
    /// That somebody has seen these fail, and asks for a look at once.
    Call(Vec<TargetId>),
    /// How far away regions are from somebody, which is known now.
    Trips,
}

/// One of the fleet.
#[derive(Clone, Debug)]
pub struct Member {
    rules: Rules,
    keys: Keys,
    /// When this life began: milliseconds since 1970.
    epoch: u64,
    /// The last number.
    seq: u64,
    started: Time,
    roster: Roster,
    /// When others were last heard.
    heard: Option<Time>,
    /// When it last spoke, and when it last did after it had stood still.
    spoke: Option<Time>,
    woke: Option<Time>,
    called: Called,
    distances: Distances,
}

impl Member {
    /// A member that begins its life at `now`, `unix` since 1970, and has heard nobody.
    #[must_use]
    pub fn new(rules: Rules, keys: Keys, now: Time, unix: Duration) -> Self {
        let (epoch, roster) = (whole_millis(unix), Roster::default());
        Self {
            rules,
            keys,
            epoch,
            seq: 0,
            started: now,
            roster,
            heard: None,
            spoke: None,
            woke: None,
            called: Called::default(),
            distances: Distances::default(),
        }
    }

    /// Who it is.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The keys of the fleet.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who votes.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What others say of the targets that have `fallen` for us, of the `votes` that we vote on. That they
    /// are down may be said by anybody who is heard, that they are up only by those who trust themselves.
    #[must_use]
    pub fn falls(&self, votes: usize, fallen: &[TargetId], now: Time) -> Falls {
        let others = self.roster.seats().filter(|(name, _)| *name != self.rules.name);
        let others: Vec<&Seat> = others
            .map(|(_, seat)| seat)
            .filter(|seat| seat.presence(now) == Presence::Fresh)
            .collect();
        let says = |seat: &Seat, target| seat.vote(target).map(|(vote, _)| vote.opinion);
        let is_contradicted = |target: &&TargetId| {
            let is_up = |seat: &&&Seat| {
                seat.impaired.is_none()
                    && matches!(says(seat, **target), Some(Opinion::Up | Opinion::Degraded))
            };
            let is_down = |seat: &&Seat| says(seat, **target) == Some(Opinion::Down);
            others.iter().any(|seat| is_up(&seat)) && !others.iter().any(is_down)
        };
        let contradicted = fallen.iter().filter(is_contradicted).count();
        Falls { votes, fallen: fallen.len(), contradicted }
    }

    /// What may have changed since this was last asked: see [`Roster::take_news`].
    pub fn take_news(&mut self, now: Time) -> Option<HashSet<TargetId>> {
        self.roster.take_news(now)
    }

    /// What to call for, of targets that have failed here for a first time, each with its interval; nothing
    /// when it was called for all of them within that.
    pub fn call(
        &mut self,
        doubted: &[(TargetId, Duration)],
        now: Time,
        unix: Duration,
    ) -> Option<Vec<u8>> {
        let targets = self.called.take_due(doubted, now);
        let call = Call { vantage: self.rules.name.clone(), sent: unix, targets };
        (!call.targets.is_empty()).then(|| call.seal(&self.keys))
    }

    /// Takes in what came from the fleet's subject; its own words among it mean nothing.
    ///
    /// # Errors
    /// Why it is not taken; then nothing has changed.
    pub fn hear(&mut self, sealed: &[u8], now: Time, unix: Duration) -> Result<Said, Refused> {
        let Some(frame) = Frame::open(&self.keys, sealed) else {
            if let Some(trips) = Trips::open(&self.keys, sealed) {
                return self.hear_trips(trips, now, unix);
            }
            let call = Call::open(&self.keys, sealed).ok_or(Refused::Stranger)?;
            if call.vantage == self.rules.name || !call.is_recent(unix) {
                return Err(Refused::Old);
            }
            return Ok(Said::Call(self.called.take_called(&call.targets, now)));
        };
        let off = unix.abs_diff(Duration::from_millis(frame.sent));
        let ahead = Duration::from_millis(frame.epoch).saturating_sub(unix);
        if frame.vantage == self.rules.name {
            // A life of ours that ended a moment ago may still be on its way.
            return if frame.epoch <= self.epoch {
                Ok(Said::Votes)
            } else {
                Err(Refused::Namesake)
            };
        }
        if off > CLOCKS || ahead > CLOCKS {
            return Err(Refused::Clock { vantage: frame.vantage, off: off.max(ahead) });
        }
        self.roster.hear(frame, now)?;
        self.heard = Some(now);
        Ok(Said::Votes)
    }

    fn hear_trips(&mut self, trips: Trips, now: Time, unix: Duration) -> Result<Said, Refused> {
        let off = unix.abs_diff(Duration::from_millis(trips.sent));
        if trips.vantage == self.rules.name {
            return Err(Refused::Old);
        }
        if off > CLOCKS {
            return Err(Refused::Clock { vantage: trips.vantage, off });
        }
        self.distances.hear(trips, now)?;
        Ok(Said::Trips)
    }

    /// What it says of how far away regions are from it, ready to be sent; nothing when it knows of none. It hears
    /// itself at once.
    pub fn speak_of_regions(
        &mut self,
        regions: Vec<(RegionKey, Duration)>,
        now: Time,
        unix: Duration,
    ) -> Option<Vec<u8>> {
        if regions.is_empty() {
            return None;
        }
        let (vantage, group) = (self.rules.name.clone(), self.rules.group.clone());
        let trips = Trips { vantage, group, sent: whole_millis(unix), regions };
        let sealed = trips.seal(&self.keys);
        // There is nothing to refuse but a fleet without end.
        let _ = self.distances.hear(trips, now);
        Some(sealed)
    }

    /// How far away regions are from groups, by what was heard of late.
    pub fn round_trips(&mut self, now: Time) -> Arc<RoundTrips> {
        self.distances.by_group(now)
    }

    /// What it says at a tick, each part ready to be sent. It hears itself at once.
    ///
    /// # Errors
    /// How many votes there are, when they are more than parts can carry.
    pub fn speak(
        &mut self,
        report: Report,
        now: Time,
        unix: Duration,
    ) -> Result<Vec<Vec<u8>>, usize> {
        self.note_pause(now);
        let frames = self.frames(report, unix)?;
        Ok(frames.into_iter().map(|frame| self.say(frame, now)).collect())
    }

    /// What it says between two ticks: the parts in which it thinks otherwise of some target than it last said.
    ///
    /// # Errors
    /// As [`Member::speak`].
    pub fn speak_early(
        &mut self,
        report: Report,
        now: Time,
        unix: Duration,
    ) -> Result<Vec<Vec<u8>>, usize> {
        self.note_pause(now);
        let mut frames = self.frames(report, unix)?;
        if let Some(seat) = self.roster.seat(&self.rules.name) {
            let said = |target| seat.vote(target).map(|(vote, _)| vote.opinion);
            frames.retain(|frame| {
                frame.votes.iter().any(|(target, vote)| said(*target) != Some(vote.opinion))
            });
        }
        Ok(frames.into_iter().map(|frame| self.say(frame, now)).collect())
    }

    fn say(&mut self, frame: Frame, now: Time) -> Vec<u8> {
        let sealed = frame.seal(&self.keys);
        // Its own numbers only grow; the roster has nothing to refuse but a fleet without end.
        let _ = self.roster.hear(frame, now);
        sealed
    }

    /// All parts of what it has to say, under the next number.
    fn frames(&mut self, report: Report, unix: Duration) -> Result<Vec<Frame>, usize> {
        let Report { votes, targets_hash, state_hash, impaired } = report;
        let parts = frame::parts_for(votes.len()).ok_or(votes.len())?;
        self.seq += 1;
        let mut of_part = vec![Vec::new(); usize::from(parts)];
        for (target, vote) in votes {
            of_part[usize::from(frame::part_of(target, parts))].push((target, vote));
        }
        let frame = |(part, votes)| Frame {
            vantage: self.rules.name.clone(),
            group: self.rules.group.clone(),
            is_node: self.rules.is_node,
            epoch: self.epoch,
            seq: self.seq,
            sent: whole_millis(unix),
            impaired: impaired.clone(),
            targets_hash,
            state_hash,
            location: self.rules.location,
            part,
            parts,
            votes,
        };
        Ok((0..parts).zip(of_part).map(frame).collect())
    }

    fn note_pause(&mut self, now: Time) {
        if self.spoke.is_some_and(|spoke| now.since(spoke) >= FRESH) {
            self.woke = Some(now);
        }
        self.spoke = Some(now);
    }

    /// Whether it has not spoken for as long as a vote counts, though it would each second, or only just has
    /// again: what it hears then may have waited as long, and counts for nothing yet.
    #[must_use]
    pub fn has_stood_still(&self, now: Time) -> bool {
        let has_woken = self.woke.is_some_and(|woke| now.since(woke) < FRESH);
        has_woken || self.spoke.is_some_and(|spoke| now.since(spoke) >= FRESH)
    }

    /// Whether it hears others.
    #[must_use]
    pub fn link(&self, now: Time) -> Link {
        let (since, patience) = match self.heard {
            Some(heard) => (heard, GONE),
            None => (self.started, FRESH),
        };
        match now.since(since) {
            age if age < FRESH && self.heard.is_some() => Link::Together,
            age if age < patience => Link::Holding,
            _ => Link::Island,
        }
    }

    /// Who looks at what at `now`. It has a place itself, whether it was heard or not.
    #[must_use]
    pub fn share(&self, now: Time) -> Share {
        let Rules { name, group, is_node, vantages, .. } = &self.rules;
        let others = self.roster.seats().filter(|(other, _)| other != name);
        let present = others.filter(|(_, seat)| now.since(seat.heard) < ABSENT);
        let mut candidates: Vec<Candidate> = present
            .map(|(name, seat)| Candidate {
                name: name.to_owned(),
                group: seat.group.clone(),
                is_node: seat.is_node,
                is_fit: seat.impaired.is_none(),
            })
            .collect();
        let is_fit = self.roster.seat(name).is_none_or(|seat| seat.impaired.is_none());
        let (name, group, is_node) = (name.clone(), group.clone(), *is_node);
        candidates.push(Candidate { name, group, is_node, is_fit });
        Share::new(candidates, *vantages)
    }
}

/// The hash by which members see that they were told of the same targets, in no matter which order.
#[must_use]
pub fn hash_of_targets(ids: impl IntoIterator<Item = TargetId>) -> u64 {
    let mut ids: Vec<TargetId> = ids.into_iter().collect();
    ids.sort_unstable();
    let octets: Vec<u8> = ids.iter().flat_map(|id| id.0.to_be_bytes()).collect();
    hash(&[&octets])
}

#[cfg(test)]
mod tests;
