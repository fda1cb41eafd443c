//! What a client is given besides its first choice, so that it can go on by itself (RFC 9460 §2.4.1).

use std::time::Duration;

use super::depths::Depths;
use super::outline::Outline;
use super::prefer::Preference;
use super::scene::{Family, Scene};
use super::select::{Leaves, Why};
use super::walk::{Decision, Ground, Outcome, decide};
use crate::model::{PoolId, Zone};

/// What follows a first choice.
#[derive(Default)]
pub(crate) struct Rungs {
    /// The decisions, in the order in which a client is to try them.
    pub(crate) decisions: Vec<Decision>,
    /// What was looked at for them, and to find that there are no more.
    pub(crate) looked_at: Leaves,
    /// In which time any of it changes of itself.
    pub(crate) due: Option<Duration>,
    /// For which other classes it is the same.
    pub(crate) depths: Depths,
}

/// The decisions that follow one another as the pools of each are lost, `lost` having gone first: at most
/// `count`, and none that has nothing alive. Where the policy may draw any of the rule's pools first,
/// nothing is left to follow.
pub(crate) fn rungs(
    zone: &Zone,
    outline: &Outline,
    preference: &Preference,
    scene: &Scene,
    family: Family,
    mut lost: Vec<PoolId>,
    count: usize,
) -> Rungs {
    let mut rungs = Rungs::default();
    while rungs.decisions.len() < count {
        let scene = scene.without(&lost);
        let next = decide(&Ground::new(zone, outline, &scene, family), preference);
        rungs.looked_at = rungs.looked_at.or(next.looked_at);
        rungs.due = [rungs.due, next.due].into_iter().flatten().min();
        rungs.depths = rungs.depths.or(&next.depths);
        if next.why == Why::AllDown || !matches!(next.outcome, Outcome::Among(_)) {
            break;
        }
        lost.extend(next.outcome.pools(outline));
        rungs.decisions.push(next);
    }
    rungs
}
