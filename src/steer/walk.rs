//! The walk over a rule's tree that decides for a class: which pools, in which order, for how long.
//!
//! [`decide`] names pools and looks at no endpoint, so that classes which come to the same
//! [`Decision`] are seen to do so before anything is made of it; what may be drawn in the end, endpoint
//! by endpoint, [`grow`](super::grow) makes of it. The stages stand in [`select`](super::select).

use std::cell::Cell;
use std::time::Duration;

use super::capacity::{RuleShares, Shares};
use super::depths::Depths;
use super::draw::FULL_SHARE;
use super::fitness::{Stage, fitness_of};
use super::flow::SHARES;
use super::grow::seed_of;
use super::jitter;
use super::load::static_weight;
use super::outline::{Outline, To};
use super::prefer::Preference;
use super::scene::{Family, PoolViews, Scene};
use super::select::{DRAIN_TTL, Fitness, Leaves, TtlBy, Why};
use super::velocity;
use crate::model::topology::{AllDown, Policy};
use crate::model::{Name, PoolId, Steer, Time, Zone};

/// What a walk comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    pub(crate) ttl: u32,
    pub(crate) ttl_by: TtlBy,
    /// By how many seconds the TTL is shorter than that, to keep answers out of step.
    pub(crate) jitter: u32,
    pub(crate) why: Why,
    pub(crate) looked_at: Leaves,
    pub(crate) due: Option<Duration>,
    /// For which other classes it is the same.
    pub(crate) depths: Depths,
}

impl Decision {
    /// Whether another decision leads to the same answer for as long, and depends on the same.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        (self.looked_at, self.ttl, self.due) == (other.looked_at, other.ttl, other.due)
            && self.outcome == other.outcome
    }
}

/// What is answered, pool by pool.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Outcome {
    Among(Draft),
    Host(Name),
    NoData,
    ServFail,
}

/// What may be drawn, down to pools.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Draft {
    /// The endpoints of this pool, by the `pick` of a node.
    Pool { pool: PoolId, leaf: Option<usize>, node: usize },
    /// `count` of these.
    Many { policy: Policy, count: usize, items: Vec<DraftItem> },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct DraftItem {
    pub(super) weight: u32,
    pub(super) seed: u64,
    pub(super) draft: Draft,
}

/// What a rule finds in a scene, whoever asks: what is true of its leaves in a family.
pub(crate) struct Ground<'a> {
    zone: &'a Zone,
    outline: &'a Outline,
    scene: &'a Scene,
    family: Family,
    leaves: Vec<LeafState>,
    /// Where its classes go while pools can carry only so much.
    shares: Option<RuleShares<'a>>,
    /// Whether which pools serve depends on all that are lost.
    is_slow: bool,
}

/// What is true of one leaf.
#[derive(Clone, Copy)]
struct LeafState {
    /// How fit it is; `None` when it does not have the family.
    fitness: Option<Fitness>,
    /// Whether it has the family, or aliases that may come to have it.
    may_have: bool,
    /// Whether it is lost and goes on to serve.
    is_held: bool,
    /// How much of its share it gets, of [`FULL_SHARE`].
    share: u16,
    outlook: Outlook,
    /// In which time it, or one of its endpoints, gets more of its share.
    grows_in: Option<Duration>,
}

/// Until when what is known and said of a pool stays as it is.
#[derive(Clone, Copy)]
struct Outlook {
    /// The least time in which it could change, and what that would be.
    change: (Duration, TtlBy),
    /// The time in which it will, if that is known.
    end: Option<(Duration, TtlBy)>,
}

impl Outlook {
    fn of(scene: &Scene, pool: PoolId) -> Self {
        let view = scene.pool(pool);
        let change = if view.is_draining && DRAIN_TTL < view.next_change {
            (DRAIN_TTL, TtlBy::Drain(pool))
        } else {
            (view.next_change, TtlBy::Change(pool))
        };
        let mut outlook = Self { change, end: None };
        outlook.ends_at(scene, view.until, TtlBy::End(pool));
        outlook.ends_at(scene, scene.freeze.and_then(|freeze| freeze.until), TtlBy::Thaw);
        match view.found_until {
            // Something else may be found at any moment, and until then this goes on to be answered.
            Some(until) if until <= scene.now => {
                outlook.change = (Duration::ZERO, TtlBy::Alias(pool));
            }
            until => outlook.ends_at(scene, until, TtlBy::Alias(pool)),
        }
        outlook
    }

    fn ends_at(&mut self, scene: &Scene, until: Option<Time>, by: TtlBy) {
        let Some(until) = until else { return };
        let left = until.since(scene.now);
        if self.end.is_none_or(|(sooner, _)| left < sooner) {
            self.end = Some((left, by));
        }
    }
}

impl LeafState {
    fn new(
        scene: &Scene,
        pool: PoolId,
        steer: &Steer,
        family: Family,
        held_until: Option<Time>,
    ) -> Self {
        let view = scene.pool(pool);
        let stage = Stage::of(view.past, steer, scene.stage_time());
        let mut outlook = Outlook::of(scene, pool);
        let mut grows_in = None;
        // Under a freeze pools that wait, ramp up or are held stay as they are.
        if scene.freeze.is_none() {
            outlook.ends_at(scene, held_until, TtlBy::Change(pool));
            let stage_ends = stage.left.map(|left| scene.now + left);
            outlook.ends_at(scene, stage_ends.filter(|_| stage.is_held), TtlBy::Change(pool));
            // An answer that gives a pool less than it could have soon does no harm.
            let ramp = stage.left.filter(|_| !stage.is_held);
            grows_in = [ramp, view.grows_in(family, scene.now)].into_iter().flatten().min();
        }
        let is_held = held_until.is_some();
        let fitness = fitness_of(view, steer, family, scene.stage_time(), is_held);
        let may_have = fitness.is_some() || view.family(family).is_unknown;
        Self { fitness, may_have, is_held, share: stage.share, outlook, grows_in }
    }
}

impl<'a> Ground<'a> {
    pub(crate) fn new(
        zone: &'a Zone,
        outline: &'a Outline,
        scene: &'a Scene,
        family: Family,
    ) -> Self {
        let held = velocity::held(zone, outline, scene);
        let state = |(pool, steer): (PoolId, &Steer)| {
            let until = held.iter().find(|(held, _)| *held == pool).map(|(_, until)| *until);
            LeafState::new(scene, pool, steer, family, until)
        };
        let leaves = outline.leaves_of_steers(zone).map(state).collect();
        let is_slow = outline.rule(zone).velocity.is_some();
        let shares = scene.plan.as_ref().and_then(|plan| plan.of_rule(outline));
        Self { zone, outline, scene, family, leaves, shares, is_slow }
    }

    pub(super) const fn zone(&self) -> &'a Zone {
        self.zone
    }

    pub(super) const fn outline(&self) -> &'a Outline {
        self.outline
    }

    /// Whether a leaf can serve as one that nothing is the matter with.
    pub(super) fn is_good(&self, leaf: usize) -> bool {
        self.leaves[leaf].fitness == Some(Fitness::Good)
    }

    /// The weight of a branch: what load leaves of it, where the steer goes by load.
    pub(super) fn weight(&self, node: usize, branch: usize) -> u32 {
        let (steer, id) = (self.outline.steer(self.zone, node), self.outline.nodes()[node].steer);
        let by_load = self.scene.loads.as_ref();
        let by_load = by_load.and_then(|loads| loads.of_branches(id)?.get(branch).copied());
        by_load.unwrap_or_else(|| static_weight(steer.policy.load(), steer.branches[branch].weight))
    }

    /// Whether any pool there has the family.
    fn has_family(&self, to: To) -> bool {
        match to {
            To::Leaf(leaf) => self.leaves[leaf].fitness.is_some(),
            To::Node(node) => {
                self.outline.nodes()[node].branches.iter().any(|below| self.has_family(*below))
            }
        }
    }

    /// Whether any pool there has the family, or may come to have it.
    fn may_have_family(&self, to: To) -> bool {
        match to {
            To::Leaf(leaf) => self.leaves[leaf].may_have,
            To::Node(node) => {
                let below = &self.outline.nodes()[node].branches;
                below.iter().any(|below| self.may_have_family(*below))
            }
        }
    }

    /// The branches of a node that a client should get, and those that it may get besides.
    pub(super) fn branches<'p>(
        &self,
        preference: &'p Preference,
        node: usize,
    ) -> (&'p [u16], &'p [u16]) {
        let order = &preference.orders[node];
        let (preferred, beyond) = order.parts();
        let branch_of = |branch: &u16| self.outline.nodes()[node].branches[usize::from(*branch)];
        let is_shut =
            order.is_strict && preferred.iter().any(|b| self.may_have_family(branch_of(b)));
        (preferred, if is_shut { &[] } else { beyond })
    }
}

/// Decides for a class.
pub(crate) fn decide(ground: &Ground<'_>, preference: &Preference) -> Decision {
    let Ground { zone, outline, scene, family, ref leaves, shares, is_slow } = *ground;
    let depths = vec![Cell::new(0); outline.nodes().len()];
    let mut walk = Walk {
        ground,
        shares: shares.and_then(|shares| shares.of_class(preference)),
        zone,
        outline,
        preference,
        scene,
        family,
        leaves,
        depths: &depths,
        looked_at: Leaves::default(),
        next_change: (Duration::MAX, None),
        due: None,
        skipped: 0,
        has_kept: false,
        is_spilled: false,
    };
    if !ground.may_have_family(To::Node(0)) {
        // Aliases may come to have it.
        (0..leaves.len()).for_each(|leaf| walk.looked_at.add(leaf));
        let ttl = whole_secs(outline.rule(zone).ttl);
        let jitter = jitter::cut(outline.rule(zone), None, ttl);
        return Decision {
            outcome: Outcome::NoData,
            ttl: ttl - jitter,
            ttl_by: TtlBy::Rule,
            jitter,
            why: Why::NoFamily,
            looked_at: walk.looked_at,
            due: None,
            depths: walk.depths(),
        };
    }
    if is_slow {
        (0..leaves.len()).for_each(|leaf| walk.looked_at.add(leaf));
    }
    for fitness in Fitness::ALIVE {
        (walk.skipped, walk.has_kept, walk.is_spilled) = (0, false, false);
        if let Some((draft, is_beyond)) = walk.serve_node(0, fitness) {
            let why = match (fitness, is_beyond, walk.skipped) {
                _ if walk.is_any_held(&draft) => Why::Held,
                (Fitness::Returning, ..) => Why::Returning,
                (Fitness::TooFew, ..) => Why::BelowMinHealthy,
                (Fitness::Flapping, ..) => Why::Flapping,
                (Fitness::Drained | Fitness::Dead | Fitness::DeadAndDrained, ..) => Why::Drained,
                (Fitness::Good, ..) if walk.is_spilled => Why::Spilled,
                (Fitness::Good, true, _) => Why::Beyond,
                (Fitness::Good, false, 0) => Why::Preferred,
                (Fitness::Good, false, skipped) => Why::Failover { skipped },
            };
            return walk.end(Outcome::Among(draft), why);
        }
    }
    let outcome = walk.all_down();
    let is_unfound = outcome == Outcome::ServFail && !ground.has_family(To::Node(0));
    walk.end(outcome, if is_unfound { Why::Unfound } else { Why::AllDown })
}

struct Walk<'a> {
    ground: &'a Ground<'a>,
    /// Where the class goes while pools can carry only so much.
    shares: Option<&'a Shares>,
    zone: &'a Zone,
    outline: &'a Outline,
    preference: &'a Preference,
    scene: &'a Scene,
    family: Family,
    leaves: &'a [LeafState],
    /// By node: how many branches of the class's order were looked at.
    depths: &'a [Cell<u16>],
    looked_at: Leaves,
    /// The least time in which anything looked at could change, and what it is.
    next_change: (Duration, Option<TtlBy>),
    /// In which time something changes of itself.
    due: Option<Duration>,
    /// Leaves that could not serve before the first that can.
    skipped: usize,
    has_kept: bool,
    /// Whether some of the class go on since a better pool is full.
    is_spilled: bool,
}

impl<'a> Walk<'a> {
    fn end(self, outcome: Outcome, why: Why) -> Decision {
        let rule = self.outline.rule(self.zone);
        let (next_change, by) = self.next_change;
        let ttl = next_change.max(rule.ttl_min).min(rule.ttl);
        let ttl_by = match by {
            Some(by) if ttl == next_change => by,
            Some(_) if ttl == rule.ttl_min && ttl < rule.ttl => TtlBy::Floor,
            _ => TtlBy::Rule,
        };
        let ttl = whole_secs(ttl);
        let class = (outcome != Outcome::NoData).then_some(self.preference);
        let jitter = jitter::cut(rule, class, ttl);
        let (ttl, looked_at, due) = (ttl - jitter, self.looked_at, self.due);
        Decision { outcome, ttl, ttl_by, jitter, why, looked_at, due, depths: self.depths() }
    }

    fn depths(&self) -> Depths {
        let is_by_class =
            self.ground.shares.is_some() || self.outline.rule(self.zone).ttl_jitter.is_always;
        if is_by_class {
            Depths::whole()
        } else {
            Depths::of_nodes(self.depths.iter().map(Cell::get))
        }
    }

    fn steer(&self, node: usize) -> &'a Steer {
        self.outline.steer(self.zone, node)
    }

    fn view(&self, leaf: usize) -> &'a PoolViews {
        self.scene.pool(self.outline.leaves()[leaf])
    }

    /// The branches of a node that its client should get, and those that it may get besides. That the
    /// latter are shut depends on all of the former.
    fn branches(&self, node: usize) -> (&'a [u16], &'a [u16]) {
        let (preferred, beyond) = self.ground.branches(self.preference, node);
        if self.preference.orders[node].is_strict {
            deepen(self.depth(node), preferred.len());
        }
        (preferred, beyond)
    }

    /// How many branches of a node's order were looked at.
    fn depth(&self, node: usize) -> &'a Cell<u16> {
        &self.depths[node]
    }

    /// What a node serves when pools need only be so fit, and whether it is from beyond what its
    /// client should get.
    fn serve_node(&mut self, node: usize, fitness: Fitness) -> Option<(Draft, bool)> {
        if fitness == Fitness::Good
            && let Some(served) = self.serve_shares(node)
        {
            return Some(served);
        }
        let (preferred, beyond) = self.branches(node);
        if let Some(draft) = self.serve_some(node, (0, preferred), fitness) {
            return Some((draft, false));
        }
        self.serve_some(node, (preferred.len(), beyond), fitness).map(|draft| (draft, true))
    }

    /// What a node serves of some of its branches, which are in its order from `first` on. Those of weight 0
    /// stand back while others can.
    fn serve_some(
        &mut self,
        node: usize,
        (first, branches): (usize, &[u16]),
        fitness: Fitness,
    ) -> Option<Draft> {
        let (steer, depth) = (self.steer(node), self.depth(node));
        [false, true].into_iter().find_map(|is_weightless| {
            let mut branches = (first + 1..).zip(branches).filter_map(|(place, branch)| {
                deepen(depth, place);
                let weight = steer.branches[usize::from(*branch)].weight;
                ((weight == 0) == is_weightless).then_some(*branch)
            });
            if steer.policy.is_ordered() {
                self.serve_first(node, &mut branches, fitness, steer.trickle)
            } else {
                self.serve_all(node, &mut branches, fitness)
            }
        })
    }

    /// The first branch that can serve; with the next one, where it does not serve in full.
    fn serve_first(
        &mut self,
        node: usize,
        branches: &mut impl Iterator<Item = u16>,
        fitness: Fitness,
        trickle: u16,
    ) -> Option<Draft> {
        let (branch, first) = branches.find_map(|branch| {
            Some((usize::from(branch), self.serve_branch(node, branch, fitness)?))
        })?;
        let share = u32::from(self.share(node, branch));
        let share = share * u32::from(FULL_SHARE - trickle) / u32::from(FULL_SHARE);
        if share == u32::from(FULL_SHARE) {
            return Some(first);
        }
        let Some(rest) = self.serve_first(node, branches, fitness, 0) else {
            return Some(first);
        };
        let seed = self.seed(node, branch);
        Some(self.divided(vec![
            DraftItem { weight: share, seed, draft: first },
            DraftItem { weight: u32::from(FULL_SHARE) - share, seed: !seed, draft: rest },
        ]))
    }

    /// One of these for each client: each moves once, where the scope allows to tell clients apart.
    fn divided(&self, items: Vec<DraftItem>) -> Draft {
        let is_sticky = self.outline.is_sticky(self.zone);
        let policy = if is_sticky { Policy::Sticky } else { Policy::Weighted };
        Draft::Many { policy, count: 1, items }
    }

    /// What an ordered node serves when its first choice is full, and whether all of it is from beyond
    /// what its client should get. `None` when it is not, or when none of those who have room for the
    /// class can serve it in this family.
    fn serve_shares(&mut self, node: usize) -> Option<(Draft, bool)> {
        let (shares, steer) = (self.shares?, self.steer(node));
        if !steer.policy.is_ordered() {
            return None;
        }
        let (preferred, beyond) = self.branches(node);
        let share_of = |branch: u16| {
            let to = self.outline.nodes()[node].branches[usize::from(branch)];
            shares.below(self.outline, to)
        };
        let all = preferred.iter().map(|b| (*b, false)).chain(beyond.iter().map(|b| (*b, true)));
        let all: Vec<(u16, bool, u32)> = all.map(|(b, is)| (b, is, share_of(b))).collect();
        let last = all.iter().rposition(|(.., share)| *share > 0)?;
        let (mut served, mut is_passed, mut is_beyond) = (Vec::new(), false, true);
        for (branch, is_from_beyond, share) in all.into_iter().take(last + 1) {
            let Some(draft) = self.serve_branch(node, branch, Fitness::Good) else { continue };
            if share == 0 {
                is_passed |= served.is_empty() && steer.branches[usize::from(branch)].weight > 0;
                continue;
            }
            is_beyond &= is_from_beyond;
            served.push((usize::from(branch), share, draft));
        }
        if served.is_empty() || (served.len() == 1 && !is_passed) {
            return None;
        }
        self.is_spilled = true;
        if served.len() == 1 {
            return served.pop().map(|(.., draft)| (draft, is_beyond));
        }
        let total: u64 = served.iter().map(|(_, share, _)| u64::from(*share)).sum();
        let is_full = served.iter().all(|(branch, ..)| self.share(node, *branch) == FULL_SHARE);
        let item = |(branch, share, draft): (usize, u32, Draft)| {
            let part = u64::from(share) * u64::from(SHARES) / total;
            let ramp = if is_full { 1 } else { u32::from(self.share(node, branch)) };
            let weight = u32::try_from(part).map_or(1, |part| part.max(1)) * ramp;
            DraftItem { weight, seed: self.seed(node, branch), draft }
        };
        let items = served.into_iter().map(item).collect();
        Some((self.divided(items), is_beyond))
    }

    /// All branches that can serve, for the policy to draw from.
    fn serve_all(
        &mut self,
        node: usize,
        branches: &mut impl Iterator<Item = u16>,
        fitness: Fitness,
    ) -> Option<Draft> {
        let steer = self.steer(node);
        let mut items = Vec::new();
        for branch in branches {
            let Some(draft) = self.serve_branch(node, branch, fitness) else { continue };
            let branch = usize::from(branch);
            let weight = self.ground.weight(node, branch).max(1);
            let share = self.share(node, branch);
            items.push((share, DraftItem { weight, seed: self.seed(node, branch), draft }));
        }
        if items.iter().any(|(share, _)| *share < FULL_SHARE) {
            items.iter_mut().for_each(|(share, item)| item.weight *= u32::from(*share));
        }
        let mut items: Vec<DraftItem> = items.into_iter().map(|(_, item)| item).collect();
        if items.len() <= 1 {
            return items.pop().map(|item| item.draft);
        }
        let [policy, _] = steer.draws();
        let count = if policy == Policy::All { items.len() } else { 1 };
        Some(Draft::Many { policy, count, items })
    }

    fn serve_branch(&mut self, node: usize, branch: u16, fitness: Fitness) -> Option<Draft> {
        match self.outline.nodes()[node].branches[usize::from(branch)] {
            To::Node(below) => self.serve_node(below, fitness).map(|(draft, _)| draft),
            To::Leaf(leaf) => {
                self.look_at(leaf);
                let can_serve = self.leaves[leaf].fitness.is_some_and(|own| own <= fitness);
                self.has_kept |= can_serve;
                self.skipped += usize::from(!self.has_kept);
                let pool = self.outline.leaves()[leaf];
                can_serve.then_some(Draft::Pool { pool, leaf: Some(leaf), node })
            }
        }
    }

    /// Takes down that the choice depends on a leaf, and until when.
    fn look_at(&mut self, leaf: usize) {
        self.looked_at.add(leaf);
        let LeafState { outlook, grows_in, .. } = self.leaves[leaf];
        self.look_out(outlook);
        grows_in.into_iter().for_each(|time| self.is_due_in(time));
    }

    fn look_out(&mut self, outlook: Outlook) {
        let Outlook { change: (time, by), end } = outlook;
        self.changes_in(time, by);
        if let Some((left, by)) = end {
            self.ends_in(left, by);
        }
    }

    fn changes_in(&mut self, time: Duration, by: TtlBy) {
        if time < self.next_change.0 {
            self.next_change = (time, Some(by));
        }
    }

    /// Something ends in `left`: no answer is to live beyond that. What is compiled now is given until it
    /// is compiled again, so answers live shorter by that as well.
    fn ends_in(&mut self, left: Duration, by: TtlBy) {
        let rule = self.outline.rule(self.zone);
        let step = rule.ttl_min.max(Duration::from_secs(1));
        match left.checked_sub(rule.ttl) {
            Some(shrinks_in) if !shrinks_in.is_zero() => self.is_due_in(shrinks_in),
            _ => {
                self.changes_in(left.saturating_sub(step), by);
                self.is_due_in(left.min(step));
            }
        }
    }

    fn is_due_in(&mut self, time: Duration) {
        self.due = Some(self.due.map_or(time, |sooner| sooner.min(time)));
    }

    /// Whether any of the pools that a draft leads to is lost and goes on to serve.
    fn is_any_held(&self, draft: &Draft) -> bool {
        if !self.leaves.iter().any(|leaf| leaf.is_held) {
            return false;
        }
        let mut leaves = Vec::new();
        draft.leaves(&mut leaves);
        leaves.iter().any(|leaf| self.leaves[*leaf].is_held)
    }

    /// How much of its share a branch gets while it ramps up, of [`FULL_SHARE`].
    fn share(&self, node: usize, branch: usize) -> u16 {
        match self.outline.nodes()[node].branches[branch] {
            To::Node(_) => FULL_SHARE,
            To::Leaf(leaf) => self.leaves[leaf].share,
        }
    }

    /// What makes a branch's place in a sticky choice: its name, or with an affinity its region's, so
    /// that other names choose alike.
    fn seed(&self, node: usize, branch: usize) -> u64 {
        let (zone, steer) = (self.zone, self.steer(node));
        let own = &self.outline.nodes()[node];
        if let (Some(affinity), [region]) = (&steer.affinity, &own.regions[branch][..]) {
            return seed_of(&[affinity, &zone.regions[region.index()].name]);
        }
        match own.branches[branch] {
            To::Leaf(leaf) => seed_of(&[&zone.pools[self.outline.leaves()[leaf].index()].name]),
            To::Node(below) => seed_of(&["steer", &self.steer(below).owner.to_string()]),
        }
    }

    /// No endpoint of the family is alive: the rule's last resort.
    fn all_down(&mut self) -> Outcome {
        let draft = match &self.outline.rule(self.zone).all_down {
            AllDown::Host(name) => return Outcome::Host(name.clone()),
            AllDown::NoData => return self.no_data(),
            AllDown::ServFail => return Outcome::ServFail,
            AllDown::AsUp => None,
            AllDown::LastGood => {
                let mut leaves = self.open_leaves(0);
                // The first of equals, so that nothing changes when all went down at once.
                leaves.reverse();
                let last = leaves.into_iter().max_by_key(|(leaf, _)| self.view(*leaf).down_since);
                last.map(|(leaf, node)| (self.outline.leaves()[leaf], Some(leaf), node))
            }
            AllDown::Pool(pool) => self.last_resort(*pool),
        };
        if let Some((pool, leaf, node)) = draft {
            return Outcome::Among(Draft::Pool { pool, leaf, node });
        }
        let as_up = self.serve_node(0, Fitness::Dead);
        let as_up = as_up.or_else(|| self.serve_node(0, Fitness::DeadAndDrained));
        // Without any there are aliases whose hosts are not found: there is nothing to say yet.
        as_up.map_or(Outcome::ServFail, |(draft, _)| Outcome::Among(draft))
    }

    /// NODATA, which caches take to be everybody's (RFC 7871 §7.4): while others of the rule's clients can
    /// be answered, those whom their clause confines to what is dead get an error.
    fn no_data(&mut self) -> Outcome {
        (0..self.leaves.len()).for_each(|leaf| self.look_at(leaf));
        let is_alive =
            |leaf: &LeafState| leaf.fitness.is_some_and(|own| Fitness::ALIVE.contains(&own));
        if self.leaves.iter().any(is_alive) { Outcome::ServFail } else { Outcome::NoData }
    }

    /// The pool that `all-down` names, if it has the family and the client may have it.
    fn last_resort(&mut self, pool: PoolId) -> Option<(PoolId, Option<usize>, usize)> {
        if self.outline.leaves().contains(&pool) {
            let open = self.open_leaves(0).into_iter();
            let named = open.map(|(leaf, node)| (self.outline.leaves()[leaf], Some(leaf), node));
            return { named }.find(|(own, ..)| *own == pool);
        }
        let view = self.scene.pool(pool);
        self.looked_at.add(self.outline.leaves().len());
        self.look_out(Outlook::of(self.scene, pool));
        (!view.family(self.family).having.is_empty()).then_some((pool, None, 0))
    }

    /// The leaves that have the family and that the client may have, in its order, each with its node.
    fn open_leaves(&self, node: usize) -> Vec<(usize, usize)> {
        let (preferred, beyond) = self.branches(node);
        deepen(self.depth(node), preferred.len() + beyond.len());
        let mut leaves = Vec::new();
        for branch in preferred.iter().chain(beyond) {
            match self.outline.nodes()[node].branches[usize::from(*branch)] {
                To::Node(below) => leaves.extend(self.open_leaves(below)),
                To::Leaf(leaf) if self.ground.has_family(To::Leaf(leaf)) => {
                    leaves.push((leaf, node))
                }
                To::Leaf(_) => {}
            }
        }
        leaves
    }
}

impl Draft {
    /// The leaves that it leads to.
    pub(super) fn leaves(&self, leaves: &mut Vec<usize>) {
        match self {
            Self::Pool { leaf, .. } => leaves.extend(leaf),
            Self::Many { items, .. } => items.iter().for_each(|item| item.draft.leaves(leaves)),
        }
    }
}

impl Outcome {
    /// The pools that it leads to, each as often as it does.
    pub(crate) fn pools(&self, outline: &Outline) -> Vec<PoolId> {
        let mut leaves = Vec::new();
        if let Self::Among(draft) = self {
            draft.leaves(&mut leaves);
        }
        leaves.into_iter().map(|leaf| outline.leaves()[leaf]).collect()
    }
}

/// Takes down that so many branches were looked at.
fn deepen(depth: &Cell<u16>, branches: usize) {
    depth.set(depth.get().max(u16::try_from(branches).unwrap_or(u16::MAX)));
}

fn whole_secs(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(u32::MAX >> 1)
}
