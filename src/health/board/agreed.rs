//! Verdicts that many have come to.
//!
//! In a fleet a tracker's opinion is one vote. [`Board::votes`] are what this member says of the targets of
//! its share, and [`Board::recount`] is where what all say becomes verdicts: by the quorum while it hears
//! others, by nothing while it waits for them, and by its own trackers, carefully, once it is an island.
//!
//! | on an island | |
//! |---|---|
//! | up, or poor | when the tracker here says so |
//! | down | when it says so and the last 5 probes failed |
//! | but not | when less than half of what some name depends on would be left, or nothing |
//! | else | as it was |
//!
//! What an island has come to stays until votes say otherwise. It knows nothing of groups that do not reach a
//! target which others do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Board, Entry};
use crate::health::AT_ONCE;
use crate::health::fleet::{
    Ballot, Count, Decision, Grounds, Link, Member, Opinion, RoundTrip, Turned, Vote, Voter, decide,
};
use crate::model::target_key::hash;
use crate::model::{Reach, Target, TargetId, Time, Transition, Verdict};

/// Failures in a row that an island wants to see before it takes a target down.
const ISLAND_FAILURES: u32 = 5;

/// What votes have come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Agreed {
    pub(super) verdict: Verdict,
    pub(super) next_change: Duration,
    pub(super) agreed_by: u8,
    /// It is down, and answers.
    pub(super) is_answering: bool,
}

impl Agreed {
    /// As an earlier life knew it: until it is counted, it may be another at any moment.
    pub(super) fn restored(verdict: Verdict) -> Self {
        Self { verdict, ..Self::default() }
    }
}

/// What a recount has come to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recount {
    /// The targets of which something has changed that answers depend on.
    pub changed: Vec<Recounted>,
    /// What groups reach no longer, or again.
    pub turns: Vec<Turn>,
    /// What some groups do not reach while others do, and how far away regions are from each.
    pub reach: Reach,
}

/// A target that a group of vantages reaches no longer while others do, or again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Which.
    pub target: Target,
    /// The group, and whether it is down from there.
    pub turned: Turned,
    /// What the group's vantages say, if it is.
    pub why: String,
}

/// A target of which a recount has changed something that answers depend on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recounted {
    /// Which.
    pub target: Target,
    /// The change of verdict, if there is one.
    pub transition: Option<Transition>,
}

/// What names depend on: the targets of each, by number.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Arc<ByRecord>>);

#[derive(Debug, Default)]
struct ByRecord {
    members: Vec<Vec<TargetId>>,
    of: HashMap<TargetId, Vec<usize>>,
}

impl ByRecord {
    /// Whether a target may go beside those that are `down`: half of what each name depends on stays, and
    /// at least one.
    fn may_go(&self, target: TargetId, down: &HashSet<TargetId>) -> bool {
        let own = self.of.get(&target).into_iter().flatten().map(|place| &self.members[*place]);
        own.into_iter().all(|members| {
            let left = members.iter().filter(|one| **one != target && !down.contains(one)).count();
            left >= 1 && left * 2 >= members.len()
        })
    }
}

impl Board {
    /// A board whose verdicts are a fleet's.
    #[must_use]
    pub fn of_fleet() -> Self {
        Self { fleet: Some(Records::default()), ..Self::new() }
    }

    /// Says which targets each name depends on: an island leaves every name half of them.
    pub fn set_records(&self, records: impl IntoIterator<Item = Vec<TargetId>>) {
        let Some(own) = &self.fleet else { return };
        let members: HashSet<Vec<TargetId>> = records.into_iter().collect();
        let mut by_record =
            ByRecord { members: members.into_iter().collect(), ..Default::default() };
        for (place, members) in by_record.members.iter().enumerate() {
            for id in members {
                by_record.of.entry(*id).or_default().push(place);
            }
        }
        *own.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(by_record);
    }

    /// What the trackers here say of the targets that `is_own`.
    pub fn votes(&self, is_own: impl Fn(TargetId) -> bool) -> Vec<(TargetId, Vote)> {
        let own = self.entries.iter().filter(|slot| is_own(slot.id));
        own.map(|slot| (slot.id, slot.vote())).collect()
    }

    /// Those targets that `is_own` which went down for this vantage within [`AT_ONCE`], and have not come
    /// back.
    pub fn fallen(&self, is_own: impl Fn(TargetId) -> bool, now: Time) -> Vec<TargetId> {
        let has_fallen = |entry: &Entry| {
            entry.fell.is_some_and(|fell| now.since(fell) < AT_ONCE)
                && entry.tracker.verdict() == Verdict::Down
        };
        let fallen = self.entries.iter().filter(|slot| is_own(slot.id) && has_fallen(slot));
        fallen.map(|slot| slot.id).collect()
    }

    /// The targets in use, in no order.
    #[must_use]
    pub fn ids(&self) -> Vec<TargetId> {
        self.entries.iter().map(|slot| slot.id).collect()
    }

    /// The hash of all verdicts, and of what is down from some groups: two members that came to the same have
    /// the same.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let verdict = |entry: &Entry| entry.health().verdict;
        let mut all: Vec<(TargetId, u8)> =
            self.entries.iter().map(|slot| (slot.id, verdict(&slot) as u8)).collect();
        all.sort_unstable();
        let octets =
            |(id, verdict): (TargetId, u8)| id.0.to_be_bytes().into_iter().chain([verdict]);
        let mut octets: Vec<u8> = all.into_iter().flat_map(octets).collect();
        let dissenting = self.entries.iter().filter(|slot| !slot.dissent.is_empty());
        let mut from: Vec<(TargetId, String)> = dissenting
            .flat_map(|slot| {
                slot.dissent.down_from().map(|from| (slot.id, from.group)).collect::<Vec<_>>()
            })
            .collect();
        from.sort_unstable();
        for (id, group) in from {
            octets.extend(id.0.to_be_bytes());
            octets.extend(group.bytes());
        }
        hash(&[&octets])
    }

    /// Makes verdicts of what `member` has heard, and says what has changed by that. On a board that is
    /// no fleet's nothing does.
    pub fn recount(&self, member: &mut Member, now: Time) -> Recount {
        let mut recount = Recount::default();
        let Some(records) = &self.fleet else { return recount };
        recount.reach.round_trips = member.round_trips(now);
        if member.link(now) == Link::Island {
            let records = Arc::clone(&records.0.lock().unwrap_or_else(PoisonError::into_inner));
            (recount.changed, recount.turns) = self.recount_island(&records, now);
            recount.reach.locate(member);
            return recount;
        }
        let news = member.take_news(now);
        let count = member.roster().count_at(now);
        let is_shaken = count.is_shaken();
        let mut voters = Vec::new();
        for mut slot in self.entries.iter_mut() {
            let (target, entry) = slot.pair_mut();
            let is_new = entry.agreed == Some(Agreed::default());
            let is_same = news.as_ref().is_some_and(|news| !news.contains(&entry.id));
            // Time alone makes a dissent one to act on.
            if !is_new && is_same && entry.dissent.is_empty() {
                continue;
            }
            count.voters(entry.id, &mut voters);
            let decision = decide(member.rules().quorum, &voters, entry.health().verdict);
            let Decision { verdict, next_change, agreed_by, is_answering, .. } = decision;
            let agreed = match entry.health().verdict {
                before if is_shaken && verdict == Verdict::Down && before != Verdict::Down => {
                    Agreed { verdict: before, next_change, agreed_by: 0, is_answering: false }
                }
                _ => Agreed { verdict, next_change, agreed_by, is_answering },
            };
            let verdict = agreed.verdict;
            let why = || why(&voters, verdict);
            recount.changed.extend(self.agree(target, entry, agreed, why, now));
            let turned = match is_shaken {
                true => entry.dissent.end(),
                false => entry.dissent.hear(&voters, |group| count.group(group), verdict, now),
            };
            recount.turns.extend(turned.into_iter().map(|turned| {
                let why = why_from(&voters, &count, &turned.group);
                Turn { target: target.clone(), turned, why }
            }));
            let down_from: Vec<_> = entry.dissent.down_from().collect();
            if !down_from.is_empty() {
                recount.reach.down.insert(target.clone(), down_from);
            }
        }
        recount.reach.locate(member);
        recount
    }

    fn recount_island(&self, records: &ByRecord, now: Time) -> (Vec<Recounted>, Vec<Turn>) {
        // In an order that all share, and no lock held while it is thought about.
        let mut all = BTreeMap::new();
        for slot in &self.entries {
            let (before, now) = (slot.health().verdict, slot.island_verdict());
            all.insert(slot.id, (slot.key().clone(), before, now));
        }
        let is_down = |(id, (_, before, _)): (&TargetId, &(Target, Verdict, Option<Verdict>))| {
            (*before == Verdict::Down).then_some(*id)
        };
        let mut down: HashSet<TargetId> = all.iter().filter_map(is_down).collect();
        let (mut recounted, mut turns) = (Vec::new(), Vec::new());
        for (id, (target, before, wanted)) in all {
            let verdict = match wanted {
                Some(Verdict::Down) if before == Verdict::Down => before,
                Some(Verdict::Down) if records.may_go(id, &down) => {
                    down.insert(id);
                    Verdict::Down
                }
                Some(Verdict::Down) | None => before,
                Some(other) => {
                    down.remove(&id);
                    other
                }
            };
            let Some(mut entry) = self.entries.get_mut(&target) else { continue };
            let next_change = entry.tracker.next_change();
            let is_answering = verdict == Verdict::Down && entry.tracker.is_held_back();
            let agreed = Agreed { verdict, next_change, agreed_by: 1, is_answering };
            let failures = entry.failures_in_a_row;
            let why = || match verdict {
                Verdict::Down => {
                    format!("cut off from the fleet: {failures} failures in a row here")
                }
                _ => "cut off from the fleet: success here".to_owned(),
            };
            recounted.extend(self.agree(&target, &mut entry, agreed, why, now));
            let ended = entry.dissent.end().into_iter();
            let turn = |turned| Turn { target: target.clone(), turned, why: String::new() };
            turns.extend(ended.map(turn));
        }
        (recounted, turns)
    }

    /// Takes over what is agreed, under the entry's lock.
    fn agree(
        &self,
        target: &Target,
        entry: &mut Entry,
        agreed: Agreed,
        why: impl FnOnce() -> String,
        now: Time,
    ) -> Option<Recounted> {
        let was_waiting = entry.is_waiting();
        let before = entry.health();
        entry.agreed = Some(agreed);
        let (from, to) = (before.verdict, agreed.verdict);
        let transition = (from != to).then(|| {
            entry.since = now;
            Transition { target: target.clone(), from, to, at: now, why: why() }
        });
        self.count_waiting(was_waiting, entry);
        (entry.health() != before).then(|| Recounted { target: target.clone(), transition })
    }
}

impl Reach {
    /// Says where groups are, if anything depends on it.
    fn locate(&mut self, member: &Member) {
        if !self.is_whole() || !self.round_trips.is_empty() {
            self.places = member.roster().places();
        }
    }
}

impl Entry {
    /// Whether the tracker speaks of what was seen in this life.
    const fn has_looked(&self) -> bool {
        self.last.is_some() && !self.is_restored
    }

    fn vote(&self) -> Vote {
        // A single lost probe of one that has just begun to look is no vote against those who look for long.
        let opinion = match self.has_looked() && !self.tracker.is_down_for_now() {
            true => Opinion::from(self.tracker.verdict()),
            false => Opinion::Init,
        };
        let poor = || self.tracker.is_slow().then_some(Grounds::Slow);
        let grounds = match opinion {
            Opinion::Init | Opinion::Up => None,
            // Slowness may pass by itself.
            Opinion::Degraded => self.tracker.flaw().map(Grounds::Flawed).or_else(poor),
            Opinion::Down if self.tracker.is_held_back() => Some(Grounds::HeldBack),
            Opinion::Down => self.failure.map(Grounds::Failed),
        };
        Vote {
            opinion,
            round_trip: self.took.map(RoundTrip::of).unwrap_or_default(),
            soon: self.tracker.next_change(),
            grounds,
        }
    }

    /// What an island would make of it; `None` to leave it as it is.
    fn island_verdict(&self) -> Option<Verdict> {
        match self.tracker.verdict() {
            _ if !self.has_looked() => None,
            Verdict::Unknown => None,
            Verdict::Down if self.failures_in_a_row < ISLAND_FAILURES => None,
            verdict => Some(verdict),
        }
    }
}

/// `2 of 3 vantages: timeout`, by what most of them say.
fn why(voters: &[Voter], verdict: Verdict) -> String {
    let counts =
        |voter: &&Voter| !matches!(voter.ballot, Ballot::Init | Ballot::Gone | Ballot::Impaired);
    let says_so = |voter: &&Voter| match verdict {
        Verdict::Down => voter.ballot == Ballot::Down,
        Verdict::Degraded => matches!(voter.ballot, Ballot::Degraded | Ballot::Down),
        Verdict::Up | Verdict::Unknown => voter.ballot == Ballot::Up,
    };
    let own: Vec<&Voter> = voters.iter().filter(says_so).collect();
    let all = voters.iter().filter(counts).count();
    let mut reasons: Vec<(usize, String)> = Vec::new();
    for grounds in own.iter().filter_map(|voter| voter.grounds) {
        let reason = grounds.to_string();
        match reasons.iter_mut().find(|(_, known)| *known == reason) {
            Some((count, _)) => *count += 1,
            None => reasons.push((1, reason)),
        }
    }
    // Of equally many, the first by name: on all nodes the same.
    reasons.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.cmp(other)));
    let reason = reasons.first().map_or_else(String::new, |(_, reason)| format!(": {reason}"));
    let vantages = if all == 1 { "vantage" } else { "vantages" };
    format!("{} of {all} {vantages}{reason}", own.len())
}

/// The same of the vantages of one group that say that a target is down.
fn why_from(voters: &[Voter], count: &Count<'_>, group: &str) -> String {
    let own = voters.iter().filter(|voter| count.group(voter.group) == group);
    why(&own.copied().collect::<Vec<_>>(), Verdict::Down)
}

#[cfg(test)]
mod tests;
