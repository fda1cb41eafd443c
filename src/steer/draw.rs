//! Which endpoints one answer names.
//!
//! The only step of a choice that a query pays for: no allocation, no loop beyond the candidates.
//! What differs between queries comes in as a [`Draw`]; the same draw gives the same answer.

use super::policy;
use super::select::{Group, Selected, Selection};
use crate::model::EndpointId;
use crate::model::topology::{ANSWERS_MAX, Policy};

/// What makes one query's draw differ from another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// A uniformly random number: what `weighted` and `random` go by.
    pub random: u64,
    /// How often this rule has been asked before: what `round-robin` and `all` go by.
    pub turn: u32,
    /// What the client is known by (its prefix up to `key-bits`): what `sticky` goes by.
    pub key: u64,
}

/// Up to [`ANSWERS_MAX`] indexes, in the order in which an answer names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Picks {
    len: u8,
    indexes: [u16; ANSWERS_MAX as usize],
}

impl Picks {
    /// None.
    pub const EMPTY: Self = Self { len: 0, indexes: [0; ANSWERS_MAX as usize] };

    /// Adds an index; one past [`ANSWERS_MAX`] is left out.
    pub fn push(&mut self, index: usize) {
        let Ok(index) = u16::try_from(index) else { return };
        if let Some(slot) = self.indexes.get_mut(usize::from(self.len)) {
            *slot = index;
            self.len += 1;
        }
    }

    /// The indexes.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.indexes[..usize::from(self.len)].iter().map(|index| usize::from(*index))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.iter().any(|picked| picked == index)
    }
}

/// What one answer names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Drawn {
    /// These endpoints, in this order; never empty.
    Endpoints(Vec<EndpointId>),
    /// A CNAME to the rule's `all-down` host.
    Host,
    /// No data.
    NoData,
    /// SERVFAIL.
    ServFail,
}

/// Draws one answer. For explaining and testing; a query calls [`draw_groups`] on what was compiled.
#[must_use]
pub fn draw(selection: &Selection, dice: Draw) -> Drawn {
    match &selection.selected {
        Selected::Groups { between, inside, answers, groups } => {
            let mut endpoints = Vec::new();
            draw_groups(*between, *inside, *answers, groups, dice, &mut |group, candidate| {
                endpoints.push(groups[group].candidates[candidate].endpoint);
            });
            Drawn::Endpoints(endpoints)
        }
        Selected::Host(_) => Drawn::Host,
        Selected::NoData => Drawn::NoData,
        Selected::ServFail => Drawn::ServFail,
    }
}

/// Draws among groups, then inside each group drawn, and hands every (group, candidate) to `name`:
/// at most [`ANSWERS_MAX`] in all.
pub fn draw_groups(
    between: Policy,
    inside: Policy,
    answers: usize,
    groups: &[Group],
    dice: Draw,
    name: &mut impl FnMut(usize, usize),
) {
    let count = if between == Policy::All { groups.len() } else { 1 };
    let drawn = if groups.len() == 1 {
        let mut only = Picks::EMPTY;
        only.push(0);
        only
    } else {
        policy::pick(between, groups, count, dice)
    };
    // A draw inside must not go with the draw between: another number, and a turn that moves on
    // only when every group has had its own.
    let groups_len = u32::try_from(groups.len()).unwrap_or(1).max(1);
    let turn = if count == 1 { dice.turn / groups_len } else { dice.turn };
    let inner = Draw { random: policy::mix(dice.random), turn, key: dice.key };
    let mut left = usize::from(ANSWERS_MAX);
    for group in drawn.iter() {
        let picks = policy::pick(inside, &groups[group].candidates, answers.min(left), inner);
        left -= picks.len();
        for candidate in picks.iter() {
            name(group, candidate);
        }
    }
}
