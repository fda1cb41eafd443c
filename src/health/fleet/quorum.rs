//! From votes to a verdict: the same pure function on every node.
//!
//! Only *fresh* votes decide. A vantage that has fallen silent counts as somebody who might still
//! contradict, for so long as it may merely be slow; then, like one that has not looked yet or says that it
//! is impaired, it is excused and leaves the count.
//!
//! ```text
//! ballot       speaks   counts in n
//! Up, Down       yes        yes       a vote of the last 5 s
//! Silent          no        yes       nothing for 5 s
//! Gone            no         no       nothing for 30 s
//! Init            no         no       has not looked yet
//! Impaired        no         no       does not trust its own view
//!
//! fewer than two that speak, of two or more          hold: the last verdict stays
//! quorum        up when as many say so    down when as many say so
//! majority      more than half of n       more than half of n
//! any           1                         n
//! all           n                         1
//! at least k    k                         so many that k can no longer be reached
//! neither                                            hold
//! ```
//!
//! By majority it goes in two levels: the majority inside each group of vantages is the group's vote, and
//! the majority of groups decides, so that a network with many vantages has one vote like any other. A group
//! that comes to nothing counts and does not speak, unless all of it is excused. Two groups that differ
//! hold: use one group, or three and more.
//!
//! A poor target is two questions: whether it is down, and if not, whether it is wholly up.

use std::num::NonZeroU8;
use std::time::Duration;

use super::vote::{Grounds, Opinion};
use crate::model::Verdict;

/// How many must say that a target is up for it to be up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Quorum {
    /// More than half.
    #[default]
    Majority,
    /// One: a target is down only when all say so.
    Any,
    /// All: a target is down when one says so.
    All,
    /// So many, or all where there are fewer.
    AtLeast(NonZeroU8),
}

/// What counts of one vantage.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ballot {
    /// A fresh vote for up.
    Up,
    /// A fresh vote for up, but poor.
    Degraded,
    /// A fresh vote for down.
    Down,
    /// It is heard and has not looked yet.
    Init,
    /// It has not been heard for a while.
    Silent,
    /// It has not been heard for so long that nobody waits for it.
    Gone,
    /// It is heard and says that it does not trust its view.
    Impaired,
}

impl From<Opinion> for Ballot {
    fn from(opinion: Opinion) -> Self {
        match opinion {
            Opinion::Init => Self::Init,
            Opinion::Up => Self::Up,
            Opinion::Degraded => Self::Degraded,
            Opinion::Down => Self::Down,
        }
    }
}

impl Ballot {
    const fn speaks(self) -> bool {
        matches!(self, Self::Up | Self::Degraded | Self::Down)
    }

    pub(super) const fn is_excused(self) -> bool {
        matches!(self, Self::Init | Self::Gone | Self::Impaired)
    }
}

/// What one vantage brings to the decision of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Voter {
    /// Its group, by number.
    pub group: u16,
    /// What counts of it.
    pub ballot: Ballot,
    /// How soon its vote could be another.
    pub soon: Duration,
    /// Why it does not vote for up.
    pub grounds: Option<Grounds>,
}

/// What votes come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The verdict: the one before, where votes do not decide.
    pub verdict: Verdict,
    /// Whether votes decided it.
    pub is_decided: bool,
    /// How many say so, when all that count do; else 0.
    pub agreed_by: u8,
    /// The shortest time in which it could be another.
    pub next_change: Duration,
    /// Whether it is down, and most of those that say so hear it answer.
    pub is_answering: bool,
}

/// A yes or no that may come to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ruling {
    Up,
    Down,
    Hold,
}

/// The verdict of `voters`, in no matter which order, after the verdict `before`.
#[must_use]
pub fn decide(quorum: Quorum, voters: &[Voter], before: Verdict) -> Decision {
    let decided = verdict(quorum, voters);
    let verdict = after(decided, before);
    Decision {
        verdict,
        is_decided: decided.is_some(),
        agreed_by: if decided.is_some() { agreed_by(voters, verdict) } else { 0 },
        next_change: next_change(quorum, voters, before, verdict),
        is_answering: verdict == Verdict::Down && is_answering(voters),
    }
}

/// Whether most of those for whom it is down hold it back, though it answers.
fn is_answering(voters: &[Voter]) -> bool {
    let down = voters.iter().filter(|voter| voter.ballot == Ballot::Down);
    let held_back = down.clone().filter(|voter| voter.grounds == Some(Grounds::HeldBack)).count();
    held_back * 2 > down.count()
}

/// What votes decide: a verdict, `Some(Unknown)` for alive in one way or the other, or nothing.
fn verdict(quorum: Quorum, voters: &[Voter]) -> Option<Verdict> {
    let is_alive = |ballot| matches!(ballot, Ballot::Up | Ballot::Degraded);
    match rule(quorum, voters, is_alive) {
        Ruling::Hold => None,
        Ruling::Down => Some(Verdict::Down),
        Ruling::Up => match rule(quorum, voters, |ballot| ballot == Ballot::Up) {
            Ruling::Up => Some(Verdict::Up),
            Ruling::Down => Some(Verdict::Degraded),
            Ruling::Hold => Some(Verdict::Unknown),
        },
    }
}

fn after(decided: Option<Verdict>, before: Verdict) -> Verdict {
    match (decided, before) {
        (None, before) => before,
        // Alive, and it is open how well: as well as before.
        (Some(Verdict::Unknown), Verdict::Up | Verdict::Degraded) => before,
        (Some(Verdict::Unknown), _) => Verdict::Degraded,
        (Some(decided), _) => decided,
    }
}

/// Rules on the question whose yes is `is_yes`: those that speak say yes or no.
fn rule(quorum: Quorum, voters: &[Voter], is_yes: impl Fn(Ballot) -> bool) -> Ruling {
    let speaking = voters.iter().filter(|voter| voter.ballot.speaks()).count();
    if speaking < voters.len().min(2) || speaking == 0 {
        return Ruling::Hold;
    }
    let simple = |voter: &Voter| match voter.ballot {
        ballot if !ballot.speaks() => ballot,
        ballot if is_yes(ballot) => Ballot::Up,
        _ => Ballot::Down,
    };
    if quorum != Quorum::Majority {
        return count(quorum, voters.iter().map(simple));
    }
    let groups = distinct_groups(voters);
    if groups.len() < 2 {
        return count(quorum, voters.iter().map(simple));
    }
    let of_group = |group: &u16| {
        let own = voters.iter().filter(|voter| voter.group == *group).map(simple);
        let has_enough =
            own.clone().filter(|one| one.speaks()).count() >= own.clone().count().min(2);
        match if has_enough { count(quorum, own.clone()) } else { Ruling::Hold } {
            Ruling::Up => Ballot::Up,
            Ruling::Down => Ballot::Down,
            Ruling::Hold if own.clone().all(Ballot::is_excused) => Ballot::Gone,
            Ruling::Hold => Ballot::Silent,
        }
    };
    count(quorum, groups.iter().map(of_group))
}

fn distinct_groups(voters: &[Voter]) -> Vec<u16> {
    let mut groups: Vec<u16> = voters.iter().map(|voter| voter.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn count(quorum: Quorum, ballots: impl Iterator<Item = Ballot>) -> Ruling {
    let (mut up, mut down, mut silent) = (0_usize, 0_usize, 0_usize);
    for ballot in ballots {
        match ballot {
            Ballot::Up | Ballot::Degraded => up += 1,
            Ballot::Down => down += 1,
            Ballot::Silent => silent += 1,
            Ballot::Init | Ballot::Gone | Ballot::Impaired => {}
        }
    }
    let n = up + down + silent;
    if n == 0 {
        return Ruling::Hold;
    }
    let (for_up, for_down) = match quorum {
        Quorum::Majority => (n / 2 + 1, n / 2 + 1),
        Quorum::Any => (1, n),
        Quorum::All => (n, 1),
        Quorum::AtLeast(least) => {
            let least = usize::from(least.get()).min(n);
            (least, n - least + 1)
        }
    };
    if down >= for_down {
        Ruling::Down
    } else if up >= for_up {
        Ruling::Up
    } else {
        Ruling::Hold
    }
}

/// How many say `verdict`, if nobody that counts says anything else or nothing.
fn agreed_by(voters: &[Voter], verdict: Verdict) -> u8 {
    let says_it = |ballot| match verdict {
        Verdict::Up => ballot == Ballot::Up,
        Verdict::Degraded => ballot == Ballot::Degraded,
        Verdict::Down => ballot == Ballot::Down,
        Verdict::Unknown => false,
    };
    let mut counting = voters.iter().filter(|voter| !voter.ballot.is_excused());
    if !counting.clone().all(|voter| says_it(voter.ballot)) {
        return 0;
    }
    u8::try_from(counting.by_ref().count()).unwrap_or(u8::MAX)
}

/// Turns votes over, the one that could turn first before the others, until the verdict turns.
///
/// The time is the vote's own, from when it was sent: what has passed since and what the next frame will
/// take are about the same, and all nodes come to the same.
fn next_change(quorum: Quorum, voters: &[Voter], before: Verdict, verdict: Verdict) -> Duration {
    let mut voters = voters.to_vec();
    let could_turn = |voter: &Voter| {
        voter.soon < Duration::MAX && (voter.ballot.speaks() || voter.ballot == Ballot::Init)
    };
    let mut order: Vec<usize> = (0..voters.len()).filter(|n| could_turn(&voters[*n])).collect();
    order.sort_by_key(|n| voters[*n].soon);
    for n in order {
        voters[n].ballot = match (voters[n].ballot, verdict) {
            (Ballot::Down, _) | (Ballot::Init, Verdict::Down) => Ballot::Up,
            _ => Ballot::Down,
        };
        if after(self::verdict(quorum, &voters), before) != verdict {
            return voters[n].soon;
        }
    }
    if verdict == Verdict::Unknown { Duration::ZERO } else { Duration::MAX }
}

#[cfg(test)]
mod tests;
