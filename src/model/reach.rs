//! What groups of vantages see that is not the same from everywhere: what they do not reach, and how far away
//! regions are.
//!
//! A target that is up by the votes of all may be down from where some of its clients are, and the nearest region
//! may be far away by the network. [`Reach`] is what is known of that: plain data on its way from what vantages say
//! to answers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::target_key::hash;
use super::{Coordinates, Name, Target, TargetHealth};

/// What differs from group to group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// Where groups are, by name: those of which something else is said here, and the others.
    pub places: BTreeMap<String, Coordinates>,
    /// Targets that are up, and that some groups do not reach. Empty nearly always.
    pub down: HashMap<Target, Vec<DownFrom>>,
    /// How far away regions are from groups.
    pub round_trips: Arc<RoundTrips>,
}

/// How long a round trip takes from groups of vantages, by name, to regions, as they measure it.
pub type RoundTrips = BTreeMap<String, BTreeMap<RegionKey, Duration>>;

/// A region of a zone by the hash of their names: the same on every machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionKey(pub u64);

impl RegionKey {
    /// That of the region of this name, in the zone of this apex.
    #[must_use]
    pub fn new(apex: &Name, region: &str) -> Self {
        Self(hash(&[apex.to_lowercase().as_wire(), region.as_bytes()]))
    }
}

impl fmt::Debug for RegionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a target is for one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DownFrom {
    /// The group.
    pub group: String,
    /// What its vantages say: down since when, and for how long at least.
    pub health: TargetHealth,
}

impl Reach {
    /// Everybody reaches everything.
    #[must_use]
    pub fn whole() -> &'static Arc<Self> {
        static WHOLE: LazyLock<Arc<Reach>> = LazyLock::new(Arc::default);
        &WHOLE
    }

    /// Whether everybody reaches everything.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.down.is_empty()
    }
}
