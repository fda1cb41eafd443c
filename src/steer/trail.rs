//! What became of every pool of a rule in a choice, for people.

use super::fitness::fitness_of;
use super::outline::{Outline, To};
use super::prefer::Preference;
use super::scene::{Family, Scene};
use super::select::{Fitness, Selection, Why};
use super::velocity;
use crate::model::topology::AllDown;
use crate::model::{PoolId, SteerId, Time, Zone};

/// What became of one pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolNote {
    /// The steers below the rule that lead to it, from the top.
    pub path: Vec<SteerId>,
    /// The pool.
    pub pool: PoolId,
    /// What became of it.
    pub fate: Fate,
    /// How many of a hundred clients of the class it gets, where a better pool is full.
    pub percent: Option<u32>,
    /// Whether it would be lost, but the rule's `velocity` holds it.
    pub is_held: bool,
    /// Endpoints usable in any family.
    pub usable: usize,
    /// Endpoints that must be.
    pub wanted: usize,
    /// Endpoints in all.
    pub total: usize,
}

/// What became of a pool in a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Answers come from it.
    Kept,
    /// It waits to fail back.
    Returning,
    /// Fewer endpoints are usable than `min-healthy` asks for.
    NotEnough,
    /// What is alive of it is being drained.
    Drained,
    /// What answers of it is held back, as it comes and goes.
    Flapping,
    /// It has no endpoint of the family.
    NoFamily,
    /// It has none of which that is known: hosts of its aliases have not been found.
    Unfound,
    /// None of its endpoints is alive in the family, though the pool is usable.
    FamilyDown,
    /// It is full, and what it has room for is better kept for others.
    Full,
    /// A better one was kept.
    NotReached,
    /// Its weight is 0 and others are usable.
    ZeroWeight,
    /// The client's clause does not name it.
    OutsideClause,
}

/// Every branch of the rule, in the client's order, with what became of it; behind them the pool that
/// `all-down` names, where that was looked at.
#[must_use]
pub fn trail(
    zone: &Zone,
    outline: &Outline,
    preference: &Preference,
    scene: &Scene,
    family: Family,
    selection: &Selection,
) -> Vec<PoolNote> {
    let (notes, path) = (Vec::new(), Vec::new());
    let held = velocity::held(zone, outline, scene);
    let mut teller =
        Teller { zone, outline, preference, scene, family, selection, held, notes, path };
    teller.tell(0, false);
    if selection.why == Why::Spilled {
        let last = teller.notes.iter().rposition(|note| note.fate == Fate::Kept).unwrap_or(0);
        let passed = teller.notes[..last].iter_mut().filter(|note| note.fate == Fate::NotReached);
        passed.for_each(|note| note.fate = Fate::Full);
    }
    if let (AllDown::Pool(pool), Why::AllDown) = (&outline.rule(zone).all_down, selection.why)
        && !outline.leaves().contains(pool)
    {
        let has_family = !scene.pool(*pool).family(family).having.is_empty();
        let fate = if has_family { Fate::Kept } else { Fate::NoFamily };
        teller.note(*pool, fate, None);
    }
    teller.notes
}

struct Teller<'a> {
    zone: &'a Zone,
    outline: &'a Outline,
    preference: &'a Preference,
    scene: &'a Scene,
    family: Family,
    selection: &'a Selection,
    held: Vec<(PoolId, Time)>,
    notes: Vec<PoolNote>,
    path: Vec<SteerId>,
}

impl Teller<'_> {
    fn tell(&mut self, node: usize, is_outside: bool) {
        let order = &self.preference.orders[node];
        let (preferred, beyond) = order.parts();
        let all = preferred.iter().map(|branch| (branch, false));
        let all = all.chain(beyond.iter().map(|branch| (branch, order.is_strict)));
        for (branch, is_beyond) in all {
            let branch = usize::from(*branch);
            match self.outline.nodes()[node].branches[branch] {
                To::Node(below) => {
                    self.path.push(self.outline.nodes()[below].steer);
                    self.tell(below, is_outside || is_beyond);
                    self.path.pop();
                }
                To::Leaf(leaf) => {
                    let fate = self.fate(node, branch, leaf, is_outside || is_beyond);
                    let percent = self.percent(leaf).filter(|_| fate == Fate::Kept);
                    self.note(self.outline.leaves()[leaf], fate, percent);
                }
            }
        }
    }

    fn fate(&self, node: usize, branch: usize, leaf: usize, is_outside: bool) -> Fate {
        let steer = self.outline.steer(self.zone, node);
        let view = self.scene.pool(self.outline.leaves()[leaf]);
        if self.selection.kept.contains(&leaf) {
            return Fate::Kept;
        }
        let is_held = self.is_held(self.outline.leaves()[leaf]);
        match fitness_of(view, steer, self.family, self.scene.stage_time(), is_held) {
            _ if is_outside && !self.selection.looked_at.has(leaf) => Fate::OutsideClause,
            None if view.family(self.family).is_unknown => Fate::Unfound,
            None => Fate::NoFamily,
            Some(Fitness::Flapping) => Fate::Flapping,
            Some(Fitness::Dead | Fitness::DeadAndDrained) if view.is_usable() => Fate::FamilyDown,
            Some(Fitness::Dead | Fitness::DeadAndDrained | Fitness::TooFew) => Fate::NotEnough,
            Some(Fitness::Drained) => Fate::Drained,
            Some(Fitness::Returning) => Fate::Returning,
            Some(Fitness::Good) if steer.branches[branch].weight == 0 => Fate::ZeroWeight,
            Some(Fitness::Good) => Fate::NotReached,
        }
    }

    fn percent(&self, leaf: usize) -> Option<u32> {
        if self.selection.why != Why::Spilled {
            return None;
        }
        let shares = self.scene.plan.as_ref()?.of_rule(self.outline)?;
        Some(shares.of_class(self.preference)?.percent(leaf))
    }

    fn is_held(&self, pool: PoolId) -> bool {
        self.held.iter().any(|(held, _)| *held == pool)
    }

    fn note(&mut self, pool: PoolId, fate: Fate, percent: Option<u32>) {
        let view = self.scene.pool(pool);
        let (usable, wanted, total) = (view.usable, view.wanted, view.total);
        let path = self.path.clone();
        let is_held = self.is_held(pool);
        self.notes.push(PoolNote { path, pool, fate, percent, is_held, usable, wanted, total });
    }
}
