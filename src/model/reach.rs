//! What some groups of vantages do not reach, while others do.
//!
//! A target that is up by the votes of all may be down from where some of its clients are. [`Reach`] is what is
//! known of that: plain data on its way from votes to answers, empty nearly always.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use super::{Coordinates, Target, TargetHealth};

/// Targets that are up and that some groups do not reach.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// Where groups are, by name: those that do not reach something, and the others.
    pub places: BTreeMap<String, Coordinates>,
    /// What is down from some of them.
    pub down: HashMap<Target, Vec<DownFrom>>,
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
