//! Which share of each class goes to which pool, so that nobody gets more than it can carry.
//!
//! Failover without capacity is how one failure becomes two: what a failed region leaves must go to the
//! next with *room*, and only as much as fits. [`spill`] solves that exactly: classes with their demand,
//! pools with their capacity, a cost for each pair (preference or distance), least total cost.
//!
//! ```text
//!   class ──demand──▶ pool₁ ─┐            cost of (class, pool): the class's order of preference
//!         └─────────▶ pool₂ ─┼─▶ room     + inertia, for pools where it was not before
//!   class ──────────▶ pool₂ ─┘
//! ```
//!
//! Classes are placed one after the other, each by shortest paths through the pools: a path enters a pool
//! and may push somebody else on to the next, until it comes to one with room (successive shortest paths:
//! what stands is the cheapest placement of all classes so far). Pools are few, so the graph that is
//! searched has a node for each pool and not for each class.
//!
//! When nothing within reach has room, the pools within reach are overfilled, all by the same ratio, and
//! [`Spill::is_overloaded`] says so: nobody is refused. Everything is in integers and ties go to the lower
//! id, so that all nodes come to the same shares.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::feed::Utilisation;

/// All of a class, in the unit of shares.
pub const SHARES: u16 = 1024;
/// The largest cost and inertia.
pub const COST_MAX: u32 = 1 << 24;
/// The largest demand of a class and capacity of a pool: sums of thousands stay far from 2⁶³.
pub const AMOUNT_MAX: u64 = 1 << 48;

/// What `capacity` is worth when so many thousandths of it are healthy and it is not to be loaded
/// above `goal`; in thousandths of its unit.
#[must_use]
pub fn room(capacity: u32, health_millis: u32, goal: Utilisation) -> u64 {
    goal.of(capacity).saturating_mul(u64::from(health_millis.min(1000))) / 1000
}

/// One class of clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    /// How much it asks for, in the unit of capacities; at most [`AMOUNT_MAX`] counts.
    pub amount: u64,
    /// What it costs to serve a unit of it from each pool, at most [`COST_MAX`]; `None` for pools that
    /// may not serve it.
    pub costs: Vec<Option<u32>>,
}

/// Who wants to go where.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Room in each pool, in the unit of demand: see [`room()`]. At most [`AMOUNT_MAX`] counts.
    pub capacities: &'a [u64],
    /// The classes.
    pub classes: &'a [Demand],
    /// The shares of before: those of one class after the other, as [`Spill::shares`] has them. Empty when
    /// there was nothing before.
    pub before: &'a [u16],
    /// What it costs to move a unit to a pool where nothing of its class was before, at most
    /// [`COST_MAX`]; less in proportion where some of it was.
    pub inertia: u32,
}

/// Who goes where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spill {
    /// For each class its share of each pool, in 1/[`SHARES`]; all pools of the first class, then all of
    /// the second. They add up to [`SHARES`], or to 0 for a class that no pool may serve.
    pub shares: Vec<u16>,
    /// What each pool gets, before shares are rounded.
    pub loads: Vec<u64>,
    /// Whether some demand fits nowhere, so that pools are overfilled.
    pub is_overloaded: bool,
}

impl Spill {
    /// The shares of one class.
    #[must_use]
    pub fn of_class(&self, class: usize) -> &[u16] {
        let pools = self.loads.len();
        &self.shares[class * pools..][..pools]
    }
}

/// The cheapest way to serve everybody. Every class has a cost for every pool.
#[must_use]
pub fn spill(problem: &Problem<'_>) -> Spill {
    let mut flow = Flow::new(problem);
    for class in 0..problem.classes.len() {
        flow.place(class);
    }
    let shares = (0..problem.classes.len()).flat_map(|class| flow.shares_of(class)).collect();
    let loads = (0..flow.pools).map(|pool| flow.capacities[pool] - flow.room[pool]).collect();
    Spill { shares, loads, is_overloaded: flow.is_overloaded }
}

/// A placement that grows.
struct Flow<'a> {
    problem: &'a Problem<'a>,
    pools: usize,
    /// The capacities as they are, or as they were made to be.
    capacities: Vec<u64>,
    /// What is left of them.
    room: Vec<u64>,
    /// What of each class is in each pool, class by class.
    placed: Vec<u64>,
    /// For each pair of pools the classes that could go from the first to the second, the cheapest first.
    /// A class that has left the first is still there, and is dropped when it comes to the top.
    movers: Vec<BinaryHeap<Reverse<(i64, usize)>>>,
    is_overloaded: bool,
}

/// A way from a class through pools, the last of which has room or is as far as it gets.
struct Ways {
    /// The least cost from the class to each pool; `None` for those out of reach.
    costs: Vec<Option<i64>>,
    /// The pool before each, and the class that is pushed on from there; `None` for the first.
    from: Vec<Option<(usize, usize)>>,
}

impl<'a> Flow<'a> {
    fn new(problem: &'a Problem<'a>) -> Self {
        let pools = problem.capacities.len();
        let capacities: Vec<u64> =
            problem.capacities.iter().map(|capacity| (*capacity).min(AMOUNT_MAX)).collect();
        Self {
            problem,
            pools,
            room: capacities.clone(),
            capacities,
            placed: vec![0; pools * problem.classes.len()],
            movers: vec![BinaryHeap::new(); pools * pools],
            is_overloaded: false,
        }
    }

    /// What a unit of `class` costs in `pool`, inertia included.
    fn cost(&self, class: usize, pool: usize) -> Option<i64> {
        let own = self.problem.classes[class].costs.get(pool).copied()??;
        let before = self.problem.before.get(class * self.pools + pool).copied();
        let missing = i64::from(SHARES) - i64::from(before.unwrap_or(SHARES).min(SHARES));
        let inertia = i64::from(self.problem.inertia.min(COST_MAX)) * missing;
        Some(i64::from(own.min(COST_MAX)) * i64::from(SHARES) + inertia)
    }

    // ---- One class ----

    fn place(&mut self, class: usize) {
        let mut left = self.problem.classes[class].amount.min(AMOUNT_MAX);
        while left > 0 {
            let ways = self.ways(class);
            let Some(end) = self.nearest_with_room(&ways) else {
                if !self.grow(&ways, left) {
                    break;
                }
                continue;
            };
            left -= self.push(class, end, &ways, left);
        }
        self.take_back();
    }

    /// Bellman-Ford over the pools: moving somebody on may cost less than nothing, but no circle does.
    fn ways(&mut self, class: usize) -> Ways {
        let pools = self.pools;
        let mut ways = Ways {
            costs: (0..pools).map(|pool| self.cost(class, pool)).collect(),
            from: vec![None; pools],
        };
        let edges: Vec<(usize, usize, i64, usize)> = (0..pools * pools)
            .filter_map(|edge| {
                let (from, to) = (edge / pools, edge % pools);
                self.cheapest_mover(from, to).map(|(cost, mover)| (from, to, cost, mover))
            })
            .collect();
        for _ in 0..pools {
            let mut is_changed = false;
            for &(from, to, cost, mover) in &edges {
                let Some(by_way) = ways.costs[from].map(|so_far| so_far + cost) else { continue };
                if ways.costs[to].is_none_or(|known| by_way < known) {
                    ways.costs[to] = Some(by_way);
                    ways.from[to] = Some((from, mover));
                    is_changed = true;
                }
            }
            if !is_changed {
                break;
            }
        }
        ways
    }

    /// The class in `from` that is cheapest to move on to `to`, and what that costs.
    fn cheapest_mover(&mut self, from: usize, to: usize) -> Option<(i64, usize)> {
        let (pools, movers) = (self.pools, &mut self.movers[from * self.pools + to]);
        while let Some(Reverse((cost, class))) = movers.peek().copied() {
            if self.placed[class * pools + from] > 0 {
                return Some((cost, class));
            }
            movers.pop();
        }
        None
    }

    /// The pool with room to which the way is cheapest.
    fn nearest_with_room(&self, ways: &Ways) -> Option<usize> {
        let open = (0..self.pools).filter(|pool| self.room[*pool] > 0);
        open.filter_map(|pool| Some((ways.costs[pool]?, pool))).min().map(|(_, pool)| pool)
    }

    /// Pushes as much of `left` as the way to `end` bears.
    fn push(&mut self, class: usize, end: usize, ways: &Ways, left: u64) -> u64 {
        let mut amount = left.min(self.room[end]);
        let mut at = end;
        while let Some((from, mover)) = ways.from[at] {
            amount = amount.min(self.placed[mover * self.pools + from]);
            at = from;
        }
        let mut at = end;
        while let Some((from, mover)) = ways.from[at] {
            self.placed[mover * self.pools + from] -= amount;
            self.put(mover, at, amount);
            at = from;
        }
        self.put(class, at, amount);
        self.room[end] -= amount;
        amount
    }

    fn put(&mut self, class: usize, pool: usize, amount: u64) {
        let placed = &mut self.placed[class * self.pools + pool];
        let is_new = *placed == 0;
        *placed += amount;
        if !is_new {
            return;
        }
        let here = self.cost(class, pool).expect("only allowed pools are entered");
        for to in (0..self.pools).filter(|to| *to != pool) {
            if let Some(there) = self.cost(class, to) {
                self.movers[pool * self.pools + to].push(Reverse((there - here, class)));
            }
        }
    }

    /// Makes room for `left` in the full pools within reach, in proportion to their capacity. Returns
    /// whether there is any such pool.
    fn grow(&mut self, ways: &Ways, left: u64) -> bool {
        let within: Vec<usize> =
            (0..self.pools).filter(|pool| ways.costs[*pool].is_some()).collect();
        let nearest = within.iter().map(|pool| (ways.costs[*pool], *pool)).min();
        let Some((_, nearest)) = nearest else { return false };
        let capacities: Vec<u64> =
            within.iter().map(|pool| self.problem.capacities[*pool].min(AMOUNT_MAX)).collect();
        self.is_overloaded = true;
        if capacities.iter().all(|capacity| *capacity == 0) {
            self.add_room(nearest, left);
            return true;
        }
        for (pool, more) in within.into_iter().zip(apportion(&capacities, left)) {
            self.add_room(pool, more);
        }
        true
    }

    /// Takes away what was made in vain: on the way there may be less to push on than there is room for.
    /// So no class that was placed before could do better by it.
    fn take_back(&mut self) {
        let pools = self.problem.capacities.iter().zip(&mut self.capacities).zip(&mut self.room);
        for ((own, capacity), room) in pools {
            let vain = (*room).min(*capacity - (*own).min(AMOUNT_MAX));
            *capacity -= vain;
            *room -= vain;
        }
    }

    fn add_room(&mut self, pool: usize, more: u64) {
        self.capacities[pool] += more;
        self.room[pool] += more;
    }

    // ---- What comes of it ----

    fn shares_of(&mut self, class: usize) -> Vec<u16> {
        let placed = &self.placed[class * self.pools..][..self.pools];
        if placed.iter().any(|amount| *amount > 0) {
            let shares = apportion(placed, u64::from(SHARES)).into_iter();
            return shares.map(|share| u16::try_from(share).unwrap_or(SHARES)).collect();
        }
        // Nobody of this class has asked yet: the first who does goes where one more would go.
        let ways = self.ways(class);
        let cheapest = || {
            (0..self.pools).filter_map(|pool| Some((ways.costs[pool]?, pool))).min().map(|c| c.1)
        };
        let mut at = self.nearest_with_room(&ways).or_else(cheapest);
        while let Some((from, _)) = at.and_then(|at| ways.from[at]) {
            at = Some(from);
        }
        (0..self.pools).map(|pool| if at == Some(pool) { SHARES } else { 0 }).collect()
    }
}

/// `total` split in proportion to `parts`, which are not all 0: rounded down, and what is left given to
/// those that lost most by it, the first of equals.
pub(super) fn apportion(parts: &[u64], total: u64) -> Vec<u64> {
    let sum: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    let product = |part: &u64| u128::from(*part) * u128::from(total);
    let whole = |part: &u64| u64::try_from(product(part) / sum).unwrap_or(total);
    let mut split: Vec<u64> = parts.iter().map(whole).collect();
    let left = total - split.iter().sum::<u64>();
    let mut by_loss: Vec<usize> = (0..parts.len()).collect();
    by_loss.sort_by_key(|&n| (Reverse(product(&parts[n]) % sum), n));
    for n in by_loss.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        split[n] += 1;
    }
    split
}
