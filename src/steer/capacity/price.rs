//! What it costs a class to be served from each leaf of its rule.

use super::Setup;
use crate::model::RegionId;
use crate::model::topology::Policy;
use crate::steer::flow::COST_MAX;
use crate::steer::outline::To;
use crate::steer::prefer::Preference;
use crate::steer::walk::Ground;

/// All of a class.
pub(super) const PART_ONE: u32 = super::WHOLE;
/// The least that the next place of a preference costs more under `nearest`.
const STEP: u32 = 100;
/// What it costs more under policies that know no distance.
const STEP_BLIND: u32 = 1000;
/// What it costs more to leave what a clause or a map entry means for the client: more than the way round
/// the earth.
const BEYOND: u32 = 1 << 16;

/// A part of a class that has the same pools to go to.
pub(super) struct Part {
    /// How much of the class it is, of [`PART_ONE`].
    pub(super) part: u32,
    /// The leaves that may serve it, each with its cost.
    pub(super) prices: Vec<(usize, u32)>,
}

/// Works out what one class may cost.
pub(super) struct Pricer<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) setup: &'a Setup,
    pub(super) preference: &'a Preference,
}

impl Pricer<'_> {
    /// The parts into which drawing policies divide the class, each with the prices of what is left to be
    /// chosen. None when no pool of the rule is well.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        self.divide(0, PART_ONE, &mut parts);
        if self.ground.outline().rule(self.ground.zone()).is_observe_only {
            parts.iter_mut().for_each(|part| part.prices.truncate(1));
        }
        parts
    }

    fn divide(&self, node: usize, part: u32, parts: &mut Vec<Part>) {
        let outline = self.ground.outline();
        let steer = outline.steer(self.ground.zone(), node);
        if steer.policy.is_ordered() {
            let mut prices = Vec::new();
            self.price(node, 0, &mut prices);
            if !prices.is_empty() {
                parts.push(Part { part, prices });
            }
            return;
        }
        let branches = self.drawn(node);
        let weight = |branch: u16| u64::from(self.ground.weight(node, branch.into()).max(1));
        let all: u64 = branches.iter().map(|branch| weight(*branch)).sum();
        for branch in branches {
            let own = u64::from(part) * weight(branch) / all;
            let own = u32::try_from(own).unwrap_or(PART_ONE);
            match outline.nodes()[node].branches[usize::from(branch)] {
                To::Leaf(leaf) => parts.push(Part { part: own, prices: vec![(leaf, 0)] }),
                To::Node(below) => self.divide(below, own, parts),
            }
        }
    }

    /// The prices of all leaves below an ordered node, the first choice first; or of one that draws and
    /// stands below such a node, all alike.
    fn price(&self, node: usize, base: u32, prices: &mut Vec<(usize, u32)>) {
        let (zone, outline) = (self.ground.zone(), self.ground.outline());
        let own = &outline.nodes()[node];
        let mut price_branch = |branch: u16, cost: u32| match own.branches[usize::from(branch)] {
            To::Leaf(leaf) => prices.push((leaf, cost.min(COST_MAX))),
            To::Node(below) => self.price(below, cost, prices),
        };
        let policy = outline.steer(zone, node).policy;
        if !policy.is_ordered() {
            self.drawn(node).into_iter().for_each(|branch| price_branch(branch, base));
            return;
        }
        let (preferred, beyond) = self.open(node);
        let (mut cost, mut first) = (base, None);
        let all = preferred.iter().map(|b| (*b, 0)).chain(beyond.iter().map(|b| (*b, BEYOND)));
        for (branch, extra) in all {
            let regions = &own.regions[usize::from(branch)];
            match first {
                None => first = Some((regions, base)),
                Some((from, base)) if policy == Policy::Nearest => {
                    let far = base.saturating_add(self.kilometres(from, regions));
                    cost = cost.saturating_add(STEP).max(far);
                }
                Some(_) => cost = cost.saturating_add(STEP_BLIND),
            }
            price_branch(branch, cost.saturating_add(extra));
        }
    }

    fn kilometres(&self, from: &[RegionId], to: &[RegionId]) -> u32 {
        let pairs = from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b)));
        pairs.map(|(a, b)| self.setup.kilometres(a, b)).min().unwrap_or(0)
    }

    /// The branches that a node which draws may draw now.
    fn drawn(&self, node: usize) -> Vec<u16> {
        let (preferred, beyond) = self.open(node);
        if preferred.is_empty() { beyond } else { preferred }
    }

    /// The branches of a node that can serve, among those that the class should get and among the others.
    /// Those of weight 0 stand back while others can.
    fn open(&self, node: usize) -> (Vec<u16>, Vec<u16>) {
        let steer = self.ground.outline().steer(self.ground.zone(), node);
        let has_weight = |branch: &u16| steer.branches[usize::from(*branch)].weight > 0;
        let open = |branches: &[u16]| {
            let can_serve = |branch: &u16| {
                self.can_serve(self.ground.outline().nodes()[node].branches[usize::from(*branch)])
            };
            let mut open: Vec<u16> = branches.iter().copied().filter(can_serve).collect();
            if open.iter().any(has_weight) {
                open.retain(has_weight);
            }
            open
        };
        let (preferred, beyond) = self.ground.branches(self.preference, node);
        (open(preferred), open(beyond))
    }

    fn can_serve(&self, to: To) -> bool {
        match to {
            To::Leaf(leaf) => self.ground.is_good(leaf),
            To::Node(node) => {
                let (preferred, beyond) = self.ground.branches(self.preference, node);
                let all = preferred.iter().chain(beyond);
                let branches = &self.ground.outline().nodes()[node].branches;
                all.into_iter().any(|branch| self.can_serve(branches[usize::from(*branch)]))
            }
        }
    }
}
