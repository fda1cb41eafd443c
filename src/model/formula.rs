//! Verdicts that are made of others.
//!
//! A [`Formula`] is what a check of kind `calculated` goes by: members with weights, and how much weight must hold.
//! Weights stand in the zone file, so what is unknown or gone never makes the rest count for more.
//!
//! ```text
//! up        members that are up have the weight that is needed
//! degraded  with those that are degraded they have
//! unknown   with those of which nothing is known they could have
//! down      else
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::check::{CheckKind, CheckSpec, Target, TargetHost};
use super::health::{TargetHealth, Verdict};
use super::time::Time;

/// How a verdict is made of others.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Formula {
    /// What counts; never empty.
    pub members: Vec<Member>,
    /// The weight that must hold: at least 1, at most that of all.
    pub needed: u32,
}

/// One thing that counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Member {
    /// As it was written: `web`, `pool:web-eu`, `endpoint:web-eu/eu-1`.
    pub name: String,
    /// How much it counts: at least 1.
    pub weight: u32,
    /// Whether it holds when it is down, and only then.
    pub is_negated: bool,
    /// What it is.
    pub of: MemberOf,
}

/// What a member is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MemberOf {
    /// Another check of the same host.
    Check(Arc<CheckSpec>),
    /// Endpoints, wherever they are: so many of them must be usable, each by any way to reach it.
    Endpoints {
        /// How many; at least 1.
        needed: u32,
        /// The targets of each.
        each: Vec<Vec<Target>>,
    },
}

/// What is known of a target that is probed.
pub type Known<'k> = dyn Fn(&Target) -> TargetHealth + 'k;

impl CheckKind {
    /// Whether somebody must look: verdicts of other kinds are made without.
    #[must_use]
    pub const fn is_probed(&self) -> bool {
        !matches!(self, Self::Fixed(_) | Self::Calculated(_))
    }

    /// Whether probes ask the host anything.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.is_probed() && !matches!(self, Self::Heartbeat(_))
    }
}

impl Target {
    /// Adds the targets that are probed for this one: itself, or those that its verdict is made of.
    pub fn add_probed(&self, probed: &mut Vec<Self>) {
        let CheckKind::Calculated(formula) = &self.spec.kind else {
            probed.extend(self.spec.kind.is_probed().then(|| self.clone()));
            return;
        };
        for member in &formula.members {
            match &member.of {
                MemberOf::Check(spec) => self.under(spec).add_probed(probed),
                MemberOf::Endpoints { each, .. } => {
                    each.iter().flatten().for_each(|target| target.add_probed(probed));
                }
            }
        }
    }

    /// The targets that are probed for this one, some of them perhaps twice.
    #[must_use]
    pub fn probed(&self) -> Vec<Self> {
        let mut probed = Vec::new();
        self.add_probed(&mut probed);
        probed
    }

    /// What follows for it from what is `known` of those that are probed.
    pub fn health_by(&self, known: &Known<'_>) -> TargetHealth {
        match &self.spec.kind {
            CheckKind::Fixed(verdict) => TargetHealth { verdict: *verdict, ..CERTAIN },
            CheckKind::Calculated(formula) => formula.health(&self.host, known),
            _ => known(self),
        }
    }

    /// The same host under another check.
    fn under(&self, spec: &Arc<CheckSpec>) -> Self {
        Self { host: self.host.clone(), spec: Arc::clone(spec) }
    }
}

/// What never changes.
const CERTAIN: TargetHealth = TargetHealth {
    verdict: Verdict::Unknown,
    since: Time::ZERO,
    next_change: Duration::MAX,
    agreed_by: u8::MAX,
    is_answering: false,
};

impl Formula {
    /// What follows from what is `known`: since the last change of anything in it, and until the next that
    /// could come.
    fn health(&self, host: &TargetHost, known: &Known<'_>) -> TargetHealth {
        let mut all = CERTAIN;
        let members = self.members.iter().map(|member| {
            let health = member.health(host, known);
            all = both(all, health);
            (member.weight, health.verdict)
        });
        let verdict = tally(self.needed, members);
        TargetHealth { verdict, ..all }
    }

    /// What each member says by what is `known`.
    #[must_use]
    pub fn evidence<'f>(&'f self, host: &TargetHost, known: &Known<'_>) -> Evidence<'f> {
        let says = |member: &'f Member| (member, member.health(host, known).verdict);
        Evidence { needed: self.needed, members: self.members.iter().map(says).collect() }
    }
}

/// `2 of web, database`.
impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of ", self.needed)?;
        for (place, Member { name, weight, is_negated, .. }) in self.members.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let not = if *is_negated { "not " } else { "" };
            write!(f, "{comma}{not}{name}")?;
            if *weight != 1 {
                write!(f, " ({weight})")?;
            }
        }
        Ok(())
    }
}

impl Member {
    /// Whether it holds: up if it does, down if not.
    fn health(&self, host: &TargetHost, known: &Known<'_>) -> TargetHealth {
        let health = match &self.of {
            MemberOf::Check(spec) => {
                Target { host: host.clone(), spec: Arc::clone(spec) }.health_by(known)
            }
            MemberOf::Endpoints { needed, each } => {
                let mut all = CERTAIN;
                let endpoints = each.iter().map(|targets| {
                    let ways = targets.iter().map(|target| {
                        let health = target.health_by(known);
                        all = both(all, health);
                        (1, health.verdict)
                    });
                    (1, tally(1, ways))
                });
                let verdict = tally(*needed, endpoints);
                TargetHealth { verdict, ..all }
            }
        };
        let verdict = match (health.verdict, self.is_negated) {
            (Verdict::Up | Verdict::Degraded, true) => Verdict::Down,
            (Verdict::Down, true) => Verdict::Up,
            (verdict, _) => verdict,
        };
        TargetHealth { verdict, ..health }
    }
}

/// What two have in common but for the verdict.
fn both(one: TargetHealth, other: TargetHealth) -> TargetHealth {
    TargetHealth {
        verdict: one.verdict,
        since: one.since.max(other.since),
        next_change: one.next_change.min(other.next_change),
        agreed_by: one.agreed_by.min(other.agreed_by),
        // What is made of several is not asked itself.
        is_answering: false,
    }
}

/// The verdict of so much weight that is needed.
fn tally(needed: u32, members: impl Iterator<Item = (u32, Verdict)>) -> Verdict {
    let [mut up, mut degraded, mut unknown] = [0_u64; 3];
    for (weight, verdict) in members {
        match verdict {
            Verdict::Up => up += u64::from(weight),
            Verdict::Degraded => degraded += u64::from(weight),
            Verdict::Unknown => unknown += u64::from(weight),
            Verdict::Down => {}
        }
    }
    let needed = u64::from(needed);
    if up >= needed {
        Verdict::Up
    } else if up + degraded >= needed {
        Verdict::Degraded
    } else if up + degraded + unknown >= needed {
        Verdict::Unknown
    } else {
        Verdict::Down
    }
}

/// What the members of a formula say: `1 of 2 hold, 2 needed: web up, database down`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence<'f> {
    needed: u32,
    members: Vec<(&'f Member, Verdict)>,
}

impl fmt::Display for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = |members: &mut dyn Iterator<Item = &(&Member, Verdict)>| {
            members.map(|(member, _)| u64::from(member.weight)).sum::<u64>()
        };
        let holds =
            |(_, verdict): &&(&Member, Verdict)| matches!(verdict, Verdict::Up | Verdict::Degraded);
        let held = weight(&mut self.members.iter().filter(holds));
        let all = weight(&mut self.members.iter());
        write!(f, "{held} of {all} hold, {} needed: ", self.needed)?;
        for (place, (member, verdict)) in self.members.iter().enumerate() {
            let Member { name, weight, is_negated, .. } = member;
            let verdict = match (is_negated, verdict) {
                (false, verdict) => verdict.word(),
                (true, Verdict::Up) => "down, as it should",
                (true, Verdict::Unknown) => "unknown",
                (true, Verdict::Down | Verdict::Degraded) => "not down",
            };
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {verdict}")?;
            if *weight != 1 {
                write!(f, " ({weight})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
