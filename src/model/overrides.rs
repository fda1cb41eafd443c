//! What operators say over verdicts.
//!
//! An [`Override`] is an operator's word over the health of a region, a pool or an endpoint; a freeze is
//! one over all of it. Each has an author, and ends by itself when that was wished. They name things as
//! operators do, so that they outlive reloads; what they come to for an endpoint, `steer` decides.

use std::fmt;

use super::topology::Outage;
use super::{EndpointId, Name, PoolId, RegionId, Time, Zone};

/// All that operators have said and not taken back.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Overrides {
    /// In the order said; no two about the same thing.
    pub all: Vec<Override>,
    /// While it lasts, no change of health reaches answers.
    pub freeze: Option<Said>,
}

impl Overrides {
    /// Nothing was said.
    pub const NONE: &'static Self = &Self { all: Vec::new(), freeze: None };

    /// Those that count at `now`.
    pub fn in_force(&self, now: Time) -> impl Iterator<Item = &Override> {
        self.all.iter().filter(move |one| one.said.is_in_force(now))
    }

    /// The freeze that counts at `now`.
    #[must_use]
    pub fn freeze_at(&self, now: Time) -> Option<&Said> {
        self.freeze.as_ref().filter(|said| said.is_in_force(now))
    }

    /// When the next of what counts at `now` ends by itself.
    #[must_use]
    pub fn next_end(&self, now: Time) -> Option<Time> {
        let all = self.in_force(now).map(|one| &one.said).chain(self.freeze_at(now));
        all.filter_map(|said| said.until).min()
    }
}

/// An operator's word over the health of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// The apex of the zone in which it means something.
    pub zone: Name,
    /// What it is about.
    pub what: Subject,
    /// What is to be.
    pub kind: OverrideKind,
    /// By whom, why and for how long.
    pub said: Said,
}

/// Who said something, why, and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// The operator's name.
    pub author: String,
    /// Why; may be empty.
    pub reason: String,
    /// When it was said.
    pub at: Time,
    /// From when on it counts no more; `None` when only an operator can end it.
    pub until: Option<Time>,
}

impl Said {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl fmt::Display for Said {
    /// `by ann: new kernel`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}", self.author)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// What an operator wants to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OverrideKind {
    /// New answers name it only when nothing else is alive.
    Drain,
    /// It counts as up, whatever probes say.
    ForceUp,
    /// It counts as down, whatever probes say.
    ForceDown,
}

impl OverrideKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Drain, Self::ForceUp, Self::ForceDown];

    /// The word in the admin API, in metrics and state files: `drain`, `force-up`, `force-down`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::ForceUp => "force-up",
            Self::ForceDown => "force-down",
        }
    }

    /// The kind that [`word`](Self::word) prints as `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What is done to a thing of which it is said: `drained`, `forced up`, `forced down`.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Self::Drain => "drained",
            Self::ForceUp => "forced up",
            Self::ForceDown => "forced down",
        }
    }
}

/// What an override is about, the least specific kind first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// Every endpoint of a region.
    Region(String),
    /// Every endpoint of a pool.
    Pool(String),
    /// One endpoint.
    Endpoint {
        /// The pool that it is in.
        pool: String,
        /// Its name there.
        endpoint: String,
    },
}

impl Subject {
    /// What `outage` is about, by its name in `zone`.
    #[must_use]
    pub fn named(zone: &Zone, outage: Outage) -> Self {
        let pool = |id: PoolId| zone.pools[id.index()].name.clone();
        match outage {
            Outage::Region(id) => Self::Region(zone.regions[id.index()].name.clone()),
            Outage::Pool(id) => Self::Pool(pool(id)),
            Outage::Endpoint(id) => {
                let endpoint = &zone.endpoints[id.index()];
                Self::Endpoint { pool: pool(endpoint.pool), endpoint: endpoint.name.clone() }
            }
        }
    }

    /// Whether an operator calls it so: by its name, by `POOL/ENDPOINT`, or by `region:NAME` or
    /// `pool:NAME`.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        let (kind, name) = word.split_once(':').unwrap_or(("", word));
        match self {
            Self::Region(own) => matches!(kind, "" | "region") && own == name,
            Self::Pool(own) => matches!(kind, "" | "pool") && own == name,
            Self::Endpoint { pool, endpoint } => match word.split_once('/') {
                Some((of, name)) => pool == of && endpoint == name,
                None => endpoint == word,
            },
        }
    }

    /// What it is in `zone`; `None` when there is nothing of that name.
    #[must_use]
    pub fn find(&self, zone: &Zone) -> Option<Outage> {
        let pool_named = |name: &str| zone.pools.iter().position(|pool| pool.name == name);
        match self {
            Self::Region(name) => {
                let place = zone.regions.iter().position(|region| region.name == *name)?;
                Some(Outage::Region(RegionId::new(place)))
            }
            Self::Pool(name) => Some(Outage::Pool(PoolId::new(pool_named(name)?))),
            Self::Endpoint { pool, endpoint } => {
                let mut own = zone.endpoints_of(PoolId::new(pool_named(pool)?));
                let found: Option<(EndpointId, _)> = own.find(|(_, own)| own.name == *endpoint);
                found.map(|(id, _)| Outage::Endpoint(id))
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region {name}"),
            Self::Pool(name) => write!(f, "pool {name}"),
            Self::Endpoint { pool, endpoint } => write!(f, "endpoint {pool}/{endpoint}"),
        }
    }
}
