//! What a class may be answered now, and for how long.
//!
//! Pools differ in [`Fitness`]. The best fitness that any pool of the rule has is what counts; among
//! the pools that have it the client's order decides, at every node of the rule's tree alike. None of
//! the stages ever yields nothing unless the rule says so:
//!
//! ```text
//! the best that there is                                   answer from             why
//! usable, and alive in the family                          the first / all such    Preferred, Failover
//!   and the first is full (see `capacity`)                 those with room         Spilled
//! lost, but held by the rule's `velocity`                  as if they were usable  Held
//! usable, but waiting to fail back                         those                   Returning
//! fewer endpoints alive than `min-healthy` asks for        those                   BelowMinHealthy
//! alive, but being drained                                 those                   Drained
//! answering, but held back since it comes and goes         those                   Flapping
//! no endpoint alive in the family                          as `all-down` says      AllDown
//! no pool of the rule has the family                       NODATA, for everybody   NoFamily
//! ```
//!
//! Branches outside a client's clause or map entry stand behind those inside it, fitness for fitness,
//! and are not looked at where the clause is strict (`only = true`) and has the family itself.
//!
//! The TTL is the least time in which anything that this answer depends on could change, within the
//! rule's bounds: the pools that it comes from and all that would be preferred if they could serve. What
//! operators say of them changes when it ends; while one of them is being drained, answers live
//! [`DRAIN_TTL`] at most. What comes out is made a little shorter, differently for each name and class
//! ([`jitter`](super::jitter)).

use std::fmt;
use std::time::Duration;

use super::draw::DrawTree;
use super::outline::Outline;
use super::prefer::Preference;
use super::scene::{Family, Scene};
use super::walk::{Decision, Ground, Outcome, decide};
use crate::model::{EndpointId, Name, PoolId, Zone};

/// The longest that an answer lives which has to do with an endpoint that is being drained.
pub const DRAIN_TTL: Duration = Duration::from_secs(15);

/// What is possible for a class at a moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Selection {
    /// What an answer may name.
    pub selected: Selected,
    /// Time to live in seconds.
    pub ttl: u32,
    /// What makes it so long.
    pub ttl_by: TtlBy,
    /// By how many seconds it is shorter than that, to keep answers out of step.
    pub jitter: u32,
    /// Why it is this.
    pub why: Why,
    /// What was looked at for it.
    pub looked_at: Leaves,
    /// The leaves of the outline that answers come from.
    pub kept: Vec<usize>,
    /// In which time it is to be selected anew though no health changes: a pool fails back or ramps up.
    pub due: Option<Duration>,
}

/// What an answer may name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Selected {
    /// Endpoints, drawn by the rule's policies; never without any.
    Among(DrawTree<EndpointId>),
    /// A CNAME to this name.
    Host(Name),
    /// No data.
    NoData,
    /// SERVFAIL, because the rule says so.
    ServFail,
}

/// What makes a TTL so long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TtlBy {
    /// The rule's `ttl`: nothing that counts can change sooner.
    Rule,
    /// The health of this pool, or its failback, could change by then.
    Change(PoolId),
    /// Something could change sooner than the rule's `ttl-min`.
    Floor,
    /// Endpoints of this pool are being drained, so that answers follow an operator's next word soon.
    Drain(PoolId),
    /// What an operator says of this pool ends then.
    End(PoolId),
    /// The freeze ends then.
    Thaw,
    /// What was found of an alias in this pool is to be looked up again by then.
    Alias(PoolId),
}

/// A set of leaves of an outline. Those from the 64th on are one member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Leaves(u64);

impl Leaves {
    /// Every leaf.
    pub const ALL: Self = Self(u64::MAX);

    /// Adds a leaf.
    pub fn add(&mut self, leaf: usize) {
        self.0 |= 1 << leaf.min(63);
    }

    /// Whether it has that leaf.
    #[must_use]
    pub fn has(self, leaf: usize) -> bool {
        self.0 >> leaf.min(63) & 1 == 1
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any leaf is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How fit a pool is to serve a family, the fittest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fitness {
    /// It is usable and alive.
    Good,
    /// So it is, but the rule has it wait before it is used again.
    Returning,
    /// Some of it is alive, but less than `min-healthy` asks for.
    TooFew,
    /// What is alive of it is being drained.
    Drained,
    /// Nothing of it is up, but some of it answers: it comes and goes, and is held back for that.
    Flapping,
    /// It has the family, and nothing of it is alive.
    Dead,
    /// Nothing of it is alive, and all of it is being drained.
    DeadAndDrained,
}

impl Fitness {
    /// In which somebody serves who is alive.
    pub(super) const ALIVE: [Self; 5] =
        [Self::Good, Self::Returning, Self::TooFew, Self::Drained, Self::Flapping];
}

/// Why an answer is what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// The first preference is usable.
    Preferred,
    /// So many better pools are not.
    Failover {
        /// Pools passed over.
        skipped: usize,
    },
    /// It would be lost, but the rule's `velocity` holds it.
    Held,
    /// A better pool is full, so that some or all go on to those with room.
    Spilled,
    /// No branch of the client's clause or map entry is usable, so the rule's others serve.
    Beyond,
    /// Nothing else is usable, so what waits to fail back serves.
    Returning,
    /// No pool has enough usable endpoints, so the few that there are serve.
    BelowMinHealthy,
    /// All that is alive is being drained.
    Drained,
    /// Nothing is up, so what answers serves although it is held back.
    Flapping,
    /// Nothing is usable: `all-down` decides.
    AllDown,
    /// No pool of the rule has an address of the family.
    NoFamily,
    /// None has one that is known: hosts of aliases have not been found.
    Unfound,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preferred => f.write_str("the first preference is usable"),
            Self::Failover { skipped: 1 } => f.write_str("failover: one better pool is not usable"),
            Self::Failover { skipped } => {
                write!(f, "failover: {skipped} better pools are not usable")
            }
            Self::Held => f.write_str("what serves would be lost, but velocity holds it"),
            Self::Spilled => f.write_str(
                "a better pool is full, so what does not fit goes to the next with room",
            ),
            Self::Beyond => f.write_str(
                "failover: no pool that the client is meant for is usable, so another serves",
            ),
            Self::Returning => {
                f.write_str("nothing else is usable, so what waits to fail back serves already")
            }
            Self::BelowMinHealthy => {
                f.write_str("no pool has its min-healthy, so what is usable serves")
            }
            Self::Drained => f.write_str("all that is alive is being drained, so it still serves"),
            Self::Flapping => {
                f.write_str("nothing is up, so what answers but comes and goes serves")
            }
            Self::AllDown => f.write_str("nothing is usable, so all-down decides"),
            Self::NoFamily => f.write_str("no pool of the rule has an address of that family"),
            Self::Unfound => f.write_str("no host of an alias has been found yet"),
        }
    }
}

/// What is possible for a class in a scene.
#[must_use]
pub fn select(
    zone: &Zone,
    outline: &Outline,
    preference: &Preference,
    scene: &Scene,
    family: Family,
) -> Selection {
    let decision = decide(&Ground::new(zone, outline, scene, family), preference);
    let mut kept = Vec::new();
    if let Outcome::Among(draft) = &decision.outcome {
        draft.leaves(&mut kept);
    }
    let selected = decision.outcome.selected(zone, outline, scene, family);
    let Decision { ttl, ttl_by, jitter, why, looked_at, due, .. } = decision;
    Selection { selected, ttl, ttl_by, jitter, why, looked_at, kept, due }
}
