//! Which classes come to the same as another, so that nobody need walk for them.
//!
//! A walk looks at the branches of each node in the order of the class, up to the first that serves: nothing
//! that stands behind matters to it. Of hundreds of classes that lose a region most differ only there.

use super::prefer::{Order, Preference};

/// How far a walk went along the orders of its class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Depths(
    /// By node: how many branches it looked at; none of those beyond the end. `None` where all of a class matters,
    /// and not its orders only.
    Option<Box<[u16]>>,
);

/// Those of a walk that looked at nothing.
impl Default for Depths {
    fn default() -> Self {
        Self(Some(Box::default()))
    }
}

impl Depths {
    /// Those of a walk that looked at so many branches of each node.
    pub(super) fn of_nodes(looked_at: impl Iterator<Item = u16>) -> Self {
        Self(Some(looked_at.collect()))
    }

    /// Those of a walk that depends on all of its class.
    pub(super) const fn whole() -> Self {
        Self(None)
    }

    /// Those of both walks together.
    pub(crate) fn or(&self, other: &Self) -> Self {
        let both = self.0.as_ref().zip(other.0.as_ref());
        Self(both.map(|(one, other)| {
            let depth = |depths: &[u16], node| depths.get(node).copied().unwrap_or(0);
            let nodes = 0..one.len().max(other.len());
            nodes.map(|node| depth(one, node).max(depth(other, node))).collect()
        }))
    }

    /// Whether a walk for one class, which went so far, would have gone the same way for the other.
    pub(crate) fn are_same_for(&self, one: &Preference, other: &Preference) -> bool {
        let begins_alike = |((one, other), depth): ((&Order, &Order), &u16)| {
            let begin = ..usize::from(*depth);
            (one.preferred, one.is_strict) == (other.preferred, other.is_strict)
                && one.branches[begin] == other.branches[begin]
        };
        self.0.as_ref().is_some_and(|depths| {
            one.orders.iter().zip(&other.orders).zip(depths).all(begins_alike)
        })
    }
}
