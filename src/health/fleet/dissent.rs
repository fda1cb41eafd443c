//! Groups of vantages that do not reach a target which is up by the votes of all.
//!
//! What a group comes to is the majority of its vantages. Those that are excused do not count; of the others
//! two must speak, or all that there are: with three vantages that look at a target from three groups one vote
//! is a group's.
//!
//! ```text
//! the group comes to    new        said below 60 s    down from it
//! down                  is said    goes on            stays
//! alive                 -          ends               ends
//! nothing, or silent    -          ends               stays: nobody has said otherwise
//! all excused           -          ends               ends
//!
//! the target is down for all, or more than half of the vantages are impaired: everything ends
//! no other group comes to alive: down is as good as nothing
//! ```
//!
//! The 60 s, without a break, run on each node for itself: all nodes come to the same, each at its own moment.
//! One that was just started takes a minute longer.

use std::time::Duration;

use super::quorum::{Ballot, Voter};
use crate::model::{DownFrom, TargetHealth, Time, Verdict};

/// For so long a group must say that a target is down.
pub(super) const LASTING: Duration = Duration::from_secs(60);

/// The groups that say of one target that it is down, while it is not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dissent(Vec<Claim>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Claim {
    group: String,
    /// Since when it has said so.
    since: Time,
    /// Whether it has said so for long enough.
    is_lasting: bool,
    health: TargetHealth,
}

/// A group that reaches a target no longer, or again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turned {
    /// The group.
    pub group: String,
    /// Whether it reaches the target no longer.
    pub is_down: bool,
}

/// What a group has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stance {
    Down { votes: u8, soon: Duration },
    Alive,
    Undecided,
    Excused,
}

impl Dissent {
    /// Whether no group says anything that others do not.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The groups that the target is down from, by name.
    pub fn down_from(&self) -> impl Iterator<Item = DownFrom> {
        let lasting = self.0.iter().filter(|claim| claim.is_lasting);
        lasting.map(|claim| DownFrom { group: claim.group.clone(), health: claim.health })
    }

    /// Takes in what `voters` say of a target that is `verdict` by the votes of all; `name` tells their
    /// groups' names. Returns what has changed for answers.
    pub fn hear<'n>(
        &mut self,
        voters: &[Voter],
        name: impl Fn(u16) -> &'n str,
        verdict: Verdict,
        now: Time,
    ) -> Vec<Turned> {
        if !matches!(verdict, Verdict::Up | Verdict::Degraded) {
            return self.end();
        }
        // The common case, at the cost of a look.
        if self.is_empty() && !voters.iter().any(|voter| voter.ballot == Ballot::Down) {
            return Vec::new();
        }
        let stances = stances(voters);
        let is_contradicted = stances.iter().any(|(_, stance)| *stance == Stance::Alive);
        let mut before = std::mem::take(&mut self.0);
        let mut turned = Vec::new();
        for (group, stance) in stances {
            let group = name(group);
            let claim = before.iter().position(|claim| claim.group == group);
            let claim = claim.map(|place| before.swap_remove(place));
            let was_lasting = claim.as_ref().is_some_and(|claim| claim.is_lasting);
            let claim = match stance {
                Stance::Down { votes, soon } if is_contradicted => {
                    Some(Claim::of(claim, group, votes, soon, now))
                }
                Stance::Down { .. } | Stance::Undecided => claim.filter(|_| was_lasting),
                Stance::Alive | Stance::Excused => None,
            };
            let is_lasting = claim.as_ref().is_some_and(|claim| claim.is_lasting);
            if is_lasting != was_lasting {
                turned.push(Turned { group: group.to_owned(), is_down: is_lasting });
            }
            self.0.extend(claim);
        }
        self.0.sort_unstable_by(|a, b| a.group.cmp(&b.group));
        // Groups that vote on it no longer.
        turned.extend(Self(before).end());
        turned
    }

    /// Nobody is believed who says otherwise than all.
    pub fn end(&mut self) -> Vec<Turned> {
        let lasting = self.0.drain(..).filter(|claim| claim.is_lasting);
        lasting.map(|claim| Turned { group: claim.group, is_down: false }).collect()
    }
}

impl Claim {
    /// The claim of a group that goes on saying that a target is down, or begins to.
    fn of(before: Option<Self>, group: &str, votes: u8, soon: Duration, now: Time) -> Self {
        let since = before.as_ref().map_or(now, |claim| claim.since);
        let is_lasting = now.since(since) >= LASTING;
        let down_since = match before {
            Some(claim) if claim.is_lasting => claim.health.since,
            _ => now,
        };
        let health = TargetHealth {
            verdict: Verdict::Down,
            since: down_since,
            next_change: soon,
            agreed_by: votes,
            is_answering: false,
        };
        Self { group: group.to_owned(), since, is_lasting, health }
    }
}

/// What each group has come to.
fn stances(voters: &[Voter]) -> Vec<(u16, Stance)> {
    let mut groups: Vec<u16> = voters.iter().map(|voter| voter.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let stance = |group| {
        let counts = |voter: &&Voter| voter.group == group && !voter.ballot.is_excused();
        stance_of(voters.iter().filter(counts))
    };
    groups.into_iter().map(|group| (group, stance(group))).collect()
}

/// What the vantages of a group that count have come to.
fn stance_of<'v>(own: impl Iterator<Item = &'v Voter>) -> Stance {
    let (mut all, mut up, mut down, mut soonest) = (0_usize, 0_usize, 0_usize, Duration::MAX);
    for voter in own {
        all += 1;
        up += usize::from(matches!(voter.ballot, Ballot::Up | Ballot::Degraded));
        if voter.ballot == Ballot::Down {
            down += 1;
            soonest = soonest.min(voter.soon);
        }
    }
    if all == 0 {
        Stance::Excused
    } else if down * 2 > all && down + up >= all.min(2) {
        Stance::Down { votes: u8::try_from(down).unwrap_or(u8::MAX), soon: soonest }
    } else if up * 2 > all && down + up >= all.min(2) {
        Stance::Alive
    } else {
        Stance::Undecided
    }
}

#[cfg(test)]
mod tests;
