//! How a rule chooses: one pure function, with its reasons.
//!
//! ```text
//!   client ──▶ prefer: which pools, in which order      (what makes a class)
//!          ──▶ select: which of them are usable now     (per class and health; compiled ahead)
//!          ──▶ draw:   which endpoints this answer names (per answer or per client)
//! ```
//!
//! [`choose`] is all three: what `explain` prints and what every compiled answer must equal.
//! `snapshot` runs the first two ahead of time and leaves only [`draw()`] to the query. Nothing here
//! knows where clients are or why an endpoint is down; distances come from the caller, verdicts from
//! `health`.

pub mod draw;
mod policy;
pub mod prefer;
pub mod select;
#[cfg(test)]
mod tests;

pub use draw::{Draw, Drawn, draw};
pub use prefer::{Preference, clause_of, prefer};
pub use select::{Candidate, Family, Group, Selected, Selection, Why, select};

use crate::model::{EndpointHealth, Steer, Zone};

/// What one answer says and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// What was possible for this client in this state of health.
    pub selection: Selection,
    /// What this answer names.
    pub drawn: Drawn,
}

/// Decides one answer to one client: `preference` is its class's, `health` is indexed by endpoint.
#[must_use]
pub fn choose(
    zone: &Zone,
    rule: &Steer,
    preference: &Preference,
    health: &[EndpointHealth],
    family: Family,
    dice: Draw,
) -> Choice {
    let selection = select(zone, rule, preference, health, family);
    let drawn = draw(&selection, dice);
    Choice { selection, drawn }
}
