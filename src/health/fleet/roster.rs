//! Who votes, and what each said last.
//!
//! A frame replaces what its vantage said before, unless that is of a later epoch or number: so frames may
//! come in any order and any number of times, and what is known is the same. What a vantage said last stays
//! to be seen when it falls silent, but decides nothing any more.
//!
//! ```text
//! last heard       it is      its last votes
//! below 5 s ago    fresh      count
//! below 30 s       silent     count as somebody who might contradict
//! below 10 min     gone       are shown
//! longer                      are forgotten, and the vantage with them
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::frame::{Frame, part_of};
use super::quorum::{Ballot, Voter};
use super::vote::{Opinion, Vote};
use crate::model::target_key::hash;
use crate::model::{Coordinates, TargetId, Time};

/// A vote counts for so long.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// Nobody waits longer for one that is silent.
pub(super) const GONE: Duration = Duration::from_secs(30);
/// Nobody remembers longer who it was. Longer than a recorded frame is believed.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// More vantages than any fleet has; a program that has run wild may be one of us.
pub(super) const VANTAGES_MAX: usize = 1000;

/// Why a frame is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It is not sealed by the fleet's key, or is no frame.
    Stranger,
    /// One as late or later was heard from that vantage.
    Old,
    /// It was sent at another time than ours by so much: recorded, or one of the two clocks is wrong.
    Clock {
        /// Who.
        vantage: String,
        /// By how much.
        off: Duration,
    },
    /// Somebody else speaks by our own name.
    Namesake,
    /// There are more vantages than any fleet has.
    TooMany,
}

/// What a vantage is at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Presence {
    /// Heard of late.
    Fresh,
    /// Not heard for a while.
    Silent,
    /// Not heard for so long that nobody waits.
    Gone,
}

/// Who votes, and what each said last.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    seats: BTreeMap<String, Seat>,
    /// Targets of which something else has been said since somebody asked.
    news: HashSet<TargetId>,
    /// Who was there then, and how.
    attendance: u64,
}

/// One vantage.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its group.
    pub group: String,
    /// Whether it answers DNS, too.
    pub is_node: bool,
    /// Why it does not trust its view, if it does not.
    pub impaired: Option<String>,
    /// Of all targets that it was told of.
    pub targets_hash: u64,
    /// Of what it has come to; 0 when it decides nothing.
    pub state_hash: u64,
    /// Where it is, if somebody has said.
    pub location: Option<Coordinates>,
    /// When it was last heard.
    pub heard: Time,
    epoch: u64,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Default)]
struct Part {
    seq: u64,
    heard: Time,
    votes: HashMap<TargetId, Vote>,
}

impl Seat {
    /// What it is at `now`.
    #[must_use]
    pub fn presence(&self, now: Time) -> Presence {
        presence(self.heard, now)
    }

    /// What it says of a target, and when that was heard.
    #[must_use]
    pub fn vote(&self, target: TargetId) -> Option<(Vote, Time)> {
        let parts = u16::try_from(self.parts.len()).unwrap_or(u16::MAX);
        let part = self.parts.get(usize::from(part_of(target, parts)))?;
        Some((*part.votes.get(&target)?, part.heard))
    }

    /// How many targets it votes on.
    #[must_use]
    pub fn votes(&self) -> usize {
        self.parts.iter().map(|part| part.votes.len()).sum()
    }

    const fn is_excused(&self) -> bool {
        self.impaired.is_some()
    }

    fn ballot(&self, vote: Vote, heard: Time, now: Time) -> Ballot {
        match presence(heard, now) {
            Presence::Gone => Ballot::Gone,
            _ if vote.opinion == Opinion::Init => Ballot::Init,
            _ if self.is_excused() => Ballot::Impaired,
            Presence::Silent => Ballot::Silent,
            Presence::Fresh => vote.opinion.into(),
        }
    }
}

impl Roster {
    /// Takes a frame in.
    ///
    /// # Errors
    /// Why it is not taken; then nothing has changed.
    pub fn hear(&mut self, frame: Frame, now: Time) -> Result<(), Refused> {
        self.seats.retain(|_, seat| now.since(seat.heard) < FORGOTTEN);
        let Frame { vantage, epoch, seq, part, parts, .. } = &frame;
        let place = usize::from(*part);
        match self.seats.get(vantage) {
            Some(seat) => {
                let last = seat.parts.get(place).map_or(0, |part| part.seq);
                if *epoch < seat.epoch || (*epoch == seat.epoch && *seq <= last) {
                    return Err(Refused::Old);
                }
            }
            None if self.seats.len() >= VANTAGES_MAX => return Err(Refused::TooMany),
            None => {}
        }
        let (epoch, seq, parts) = (*epoch, *seq, usize::from(*parts));
        let seat = self.seats.entry(frame.vantage).or_insert_with(|| Seat {
            group: String::new(),
            is_node: false,
            impaired: None,
            targets_hash: 0,
            state_hash: 0,
            location: None,
            heard: now,
            epoch,
            parts: Vec::new(),
        });
        // Votes of another life, or spread over other parts, are not mixed with these.
        if seat.epoch != epoch || seat.parts.len() != parts {
            self.news.extend(seat.parts.iter().flat_map(|part| part.votes.keys()));
            seat.parts = vec![Part::default(); parts];
        }
        let before = &mut seat.parts[place];
        let is_known = |(id, vote): &(TargetId, Vote)| before.votes.get(id) == Some(vote);
        if frame.votes.len() == before.votes.len() && frame.votes.iter().all(is_known) {
            // The common case: it says what it said a second ago.
            (before.seq, before.heard) = (seq, now);
        } else {
            let votes: HashMap<TargetId, Vote> = frame.votes.into_iter().collect();
            let before = &before.votes;
            let is_new = |(id, vote): &(&TargetId, &Vote)| before.get(id) != Some(vote);
            self.news.extend(votes.iter().filter(is_new).map(|(id, _)| *id));
            self.news.extend(before.keys().filter(|id| !votes.contains_key(id)));
            seat.parts[place] = Part { seq, heard: now, votes };
        }
        (seat.group, seat.is_node, seat.impaired) = (frame.group, frame.is_node, frame.impaired);
        (seat.targets_hash, seat.state_hash) = (frame.targets_hash, frame.state_hash);
        (seat.location, seat.heard, seat.epoch) = (frame.location, now, epoch);
        Ok(())
    }

    /// The targets on which votes may come to something else than when this was last asked; `None` for any:
    /// somebody has come, fallen silent, or trusts its view again or no longer.
    pub fn take_news(&mut self, now: Time) -> Option<HashSet<TargetId>> {
        let mut octets = Vec::new();
        for (name, seat) in &self.seats {
            octets.extend(name.as_bytes());
            octets.extend([0, seat.is_excused().into()]);
            octets.extend(seat.group.as_bytes());
            octets.extend(seat.parts.iter().map(|part| presence(part.heard, now) as u8));
            octets.push(u8::MAX);
        }
        let attendance = hash(&[&octets]);
        let is_same = attendance == std::mem::replace(&mut self.attendance, attendance);
        let news = std::mem::take(&mut self.news);
        is_same.then_some(news)
    }

    /// Everybody who is known, by name.
    pub fn seats(&self) -> impl Iterator<Item = (&str, &Seat)> {
        self.seats.iter().map(|(name, seat)| (name.as_str(), seat))
    }

    /// One of them.
    #[must_use]
    pub fn seat(&self, name: &str) -> Option<&Seat> {
        self.seats.get(name)
    }

    /// Where groups are, by name: each where the first of its members is that says where.
    #[must_use]
    pub fn places(&self) -> BTreeMap<String, Coordinates> {
        let mut places = BTreeMap::new();
        for Seat { group, location, .. } in self.seats.values() {
            let Some(location) = location else { continue };
            places.entry(group.clone()).or_insert(*location);
        }
        places
    }

    /// What all that vote on targets bring to the decisions of `now`.
    #[must_use]
    pub fn count_at(&self, now: Time) -> Count<'_> {
        let mut groups: Vec<&str> = self.seats.values().map(|seat| &*seat.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let seats = self.seats.values().map(|seat| {
            let group = groups.binary_search(&&*seat.group).unwrap_or_default();
            (u16::try_from(group).unwrap_or(u16::MAX), seat)
        });
        Count { seats: seats.collect(), now, groups }
    }
}

/// The votes of a roster at a moment.
#[derive(Clone, Debug)]
pub struct Count<'r> {
    /// Names of groups, by number.
    groups: Vec<&'r str>,
    seats: Vec<(u16, &'r Seat)>,
    now: Time,
}

impl Count<'_> {
    /// Whether more than half of those that are heard do not trust themselves: then it is less likely that
    /// targets are broken than that something is which all of them share, and nothing goes down.
    #[must_use]
    pub fn is_shaken(&self) -> bool {
        let heard =
            self.seats.iter().filter(|(_, seat)| seat.presence(self.now) == Presence::Fresh);
        let (ill, all) = heard
            .fold((0, 0), |(ill, all), (_, seat)| (ill + usize::from(seat.is_excused()), all + 1));
        ill * 2 > all
    }

    /// The name of a voter's group.
    #[must_use]
    pub fn group(&self, number: u16) -> &str {
        self.groups.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Who votes on a target, and what counts of it. A vantage whose last frame does not name the target is
    /// none of them.
    pub fn voters(&self, target: TargetId, voters: &mut Vec<Voter>) {
        voters.clear();
        voters.extend(self.seats.iter().filter_map(|(group, seat)| {
            let (vote, heard) = seat.vote(target)?;
            let Vote { soon, grounds, .. } = vote;
            let ballot = seat.ballot(vote, heard, self.now);
            Some(Voter { group: *group, ballot, soon, grounds })
        }));
    }
}

fn presence(heard: Time, now: Time) -> Presence {
    match now.since(heard) {
        age if age < FRESH => Presence::Fresh,
        age if age < GONE => Presence::Silent,
        _ => Presence::Gone,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(vantage: &str, (epoch, seq): (u64, u64), votes: &[(u64, Opinion)]) -> Frame {
        let vote = |(id, opinion): &(u64, Opinion)| {
            (TargetId(*id), Vote { opinion: *opinion, ..Vote::default() })
        };
        Frame {
            vantage: vantage.to_owned(),
            group: vantage.to_owned(),
            is_node: false,
            epoch,
            seq,
            sent: 0,
            impaired: None,
            targets_hash: 0,
            state_hash: 0,
            location: None,
            part: 0,
            parts: 1,
            votes: votes.iter().map(vote).collect(),
        }
    }

    fn ballots(roster: &Roster, target: u64, now: Time) -> Vec<Ballot> {
        let mut voters = Vec::new();
        roster.count_at(now).voters(TargetId(target), &mut voters);
        voters.into_iter().map(|voter| voter.ballot).collect()
    }

    #[test]
    fn a_vote_ages_and_is_forgotten_with_its_vantage() {
        let mut roster = Roster::default();
        let at = Time::from_millis;
        roster.hear(frame("a", (1, 1), &[(7, Opinion::Down)]), at(0)).unwrap();
        let cases = [(4999, Ballot::Down), (5000, Ballot::Silent), (29_999, Ballot::Silent)];
        for (millis, expected) in cases.into_iter().chain([(30_000, Ballot::Gone)]) {
            assert_eq!(ballots(&roster, 7, at(millis)), [expected], "after {millis} ms");
        }
        roster.hear(frame("b", (1, 1), &[]), at(600_000)).unwrap();
        assert_eq!(ballots(&roster, 7, at(600_000)), []);
        assert_eq!(roster.seats().count(), 1);
    }

    #[test]
    fn what_was_heard_before_changes_nothing_when_it_comes_again() {
        let mut roster = Roster::default();
        let now = Time::from_secs(1);
        let (old, new) = (
            frame("a", (1, 5), &[(7, Opinion::Up)]),
            frame("a", (2, 1), &[(7, Opinion::Down), (8, Opinion::Up)]),
        );
        roster.hear(old.clone(), now).unwrap();
        assert_eq!(roster.hear(old.clone(), now), Err(Refused::Old));
        roster.hear(new.clone(), now).unwrap();
        assert_eq!(roster.hear(old, now), Err(Refused::Old), "an earlier life");
        assert_eq!(roster.hear(new, now), Err(Refused::Old));
        assert_eq!(ballots(&roster, 7, now), [Ballot::Down]);
        // What a later frame does not name, its vantage no longer votes on.
        roster.hear(frame("a", (2, 2), &[(8, Opinion::Up)]), now).unwrap();
        assert_eq!(ballots(&roster, 7, now), []);
    }

    #[test]
    fn who_is_impaired_or_has_not_looked_is_excused() {
        let mut roster = Roster::default();
        let now = Time::from_secs(1);
        let impaired = Some("no anchor answers".to_owned());
        let votes = [(7, Opinion::Down)];
        roster.hear(Frame { impaired, ..frame("a", (1, 1), &votes) }, now).unwrap();
        roster.hear(frame("b", (1, 1), &[(7, Opinion::Init)]), now).unwrap();
        assert_eq!(ballots(&roster, 7, now), [Ballot::Impaired, Ballot::Init]);
    }

    #[test]
    fn parts_are_heard_each_for_itself() {
        let mut roster = Roster::default();
        let of_part = |part, seq, votes: &[(u64, Opinion)]| Frame {
            part,
            parts: 2,
            ..frame("a", (1, seq), votes)
        };
        let (now, later) = (Time::from_secs(1), Time::from_secs(5));
        roster.hear(of_part(1, 1, &[(7, Opinion::Up)]), now).unwrap();
        roster.hear(of_part(0, 1, &[(8, Opinion::Up)]), now).unwrap();
        roster.hear(of_part(0, 2, &[(8, Opinion::Down)]), later).unwrap();
        assert_eq!(ballots(&roster, 8, later), [Ballot::Down]);
        assert_eq!(ballots(&roster, 7, later), [Ballot::Up]);
        assert_eq!(ballots(&roster, 7, Time::from_secs(6)), [Ballot::Silent]);
        assert_eq!(roster.hear(of_part(0, 1, &[]), later), Err(Refused::Old));
    }

    #[test]
    fn only_what_may_come_to_something_else_is_news() {
        let mut roster = Roster::default();
        let at = Time::from_secs;
        let news = |roster: &mut Roster, secs| {
            let news = roster.take_news(at(secs))?;
            let mut news: Vec<u64> = news.into_iter().map(|id| id.0).collect();
            news.sort_unstable();
            Some(news)
        };
        let (up, down) = (Opinion::Up, Opinion::Down);
        roster.hear(frame("a", (1, 1), &[(7, up), (8, up)]), at(1)).unwrap();
        assert_eq!(news(&mut roster, 1), None, "somebody has come");
        roster.hear(frame("a", (1, 2), &[(7, up), (8, up)]), at(2)).unwrap();
        assert_eq!(news(&mut roster, 2), Some(vec![]));
        roster.hear(frame("a", (1, 3), &[(7, down), (9, up)]), at(3)).unwrap();
        assert_eq!(news(&mut roster, 3), Some(vec![7, 8, 9]));
        assert_eq!(news(&mut roster, 7), Some(vec![]));
        assert_eq!(news(&mut roster, 8), None, "it has fallen silent");
        roster.hear(frame("a", (2, 1), &[(7, down)]), at(9)).unwrap();
        assert_eq!(news(&mut roster, 9), None);
        let impaired = Some("no anchor answers".to_owned());
        roster.hear(Frame { impaired, ..frame("a", (2, 2), &[(7, down)]) }, at(10)).unwrap();
        assert_eq!(news(&mut roster, 10), None, "it does not trust its view");
    }

    #[test]
    fn a_fleet_has_an_end() {
        let mut roster = Roster::default();
        for n in 0..VANTAGES_MAX {
            roster.hear(frame(&format!("v{n}"), (1, 1), &[]), Time::ZERO).unwrap();
        }
        let one_more = frame("more", (1, 1), &[]);
        assert_eq!(roster.hear(one_more, Time::ZERO), Err(Refused::TooMany));
    }

    proptest! {
        /// A network may lose, repeat and turn round what it likes: what was said last is what is known.
        #[test]
        fn the_order_in_which_frames_come_means_nothing(
            said in prop::collection::vec((0_usize..3, 1_u64..4, 1_u64..5, 0_u64..4), 1..20),
            mut order in prop::collection::vec((0_usize..20, any::<u16>()), 0..60),
        ) {
            let opinions = [Opinion::Init, Opinion::Up, Opinion::Degraded, Opinion::Down];
            let frames: Vec<Frame> = said.iter().map(|(vantage, epoch, seq, _)| {
                // One frame has one content.
                let opinion = opinions[usize::try_from(epoch * 5 + seq).unwrap() % 4];
                frame(["a", "b", "c"][*vantage], (*epoch, *seq), &[(7, opinion)])
            }).collect();
            order.extend((0..frames.len()).map(|n| (n, u16::MAX / 2)));
            order.sort_by_key(|(_, place)| *place);
            let (mut one, mut other) = (Roster::default(), Roster::default());
            for frame in &frames {
                let _ = one.hear(frame.clone(), Time::ZERO);
            }
            for (n, _) in order {
                let _ = other.hear(frames[n % frames.len()].clone(), Time::ZERO);
            }
            prop_assert_eq!(ballots(&one, 7, Time::ZERO), ballots(&other, 7, Time::ZERO));
        }
    }
}
