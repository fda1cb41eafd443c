//! How a rule chooses: one pure function, with its reasons.
//!
//! ```text
//!   client ──▶ prefer: in which order it wants pools      (what makes a class)
//!          ──▶ select: which of them serve it now         (per class and scene; compiled ahead)
//!          ──▶ draw:   which endpoints this answer names  (per answer or per client)
//! ```
//!
//! [`choose`] is all three: what `explain` prints and what every compiled answer must equal.
//! `snapshot` runs the first two ahead of time and leaves only [`draw()`] to the query. Nothing here
//! knows where clients are or why an endpoint is down; distances come from the caller, verdicts from
//! `health`, what [`overrides`] make of them from operators.

pub mod capacity;
pub mod controller;
pub mod demand;
pub(crate) mod depths;
pub mod draw;
mod fitness;
pub mod flow;
mod grow;
pub mod jitter;
pub(crate) mod ladder;
pub mod latency;
pub mod load;
pub mod outline;
pub mod overrides;
mod policy;
pub mod prefer;
pub mod scene;
pub mod select;
#[cfg(test)]
mod tests;
pub mod trail;
mod velocity;
pub(crate) mod walk;

pub use draw::{Draw, DrawTree, Drawn, draw};
pub(crate) use fitness::Lessened;
pub use load::{LoadControl, LoadWeights, SavedControl, Split, SplitPart};
pub use outline::Outline;
pub(crate) use policy::{GOLDEN_GAMMA, mix};
pub use prefer::{Evidence, Preference, prefer};
pub use scene::{Family, Freeze, Pasts, PoolPast, Scene};
pub use select::{Selected, Selection, Why, select};
pub use trail::trail;

use crate::model::Zone;

/// What one answer says and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// What was possible for this client at this moment.
    pub selection: Selection,
    /// What this answer names.
    pub drawn: Drawn,
}

/// Decides one answer to one client: `preference` is its class's.
#[must_use]
pub fn choose(
    zone: &Zone,
    outline: &Outline,
    preference: &Preference,
    scene: &Scene,
    family: Family,
    dice: Draw,
) -> Choice {
    let selection = select(zone, outline, preference, scene, family);
    let drawn = draw(&selection, dice);
    Choice { selection, drawn }
}
