//! From what is asked for and what there is room for to the plan of one group.
//!
//! Drawing policies divide a class into [streams](Stream), each with pools to choose from; the flow
//! decides for each stream, and what it says is gathered leaf by leaf.

use super::price::{PART_ONE, Part, Pricer};
use super::{Group, GroupDemand, GroupPlan, Rule, Setup, Shares, TRIM_ONE, WHOLE};
use crate::model::{PoolId, Zone};
use crate::steer::controller::GOAL;
use crate::steer::flow::{self, AMOUNT_MAX, Problem, SHARES, room};
use crate::steer::outline::Outline;
use crate::steer::scene::{Family, Scene};
use crate::steer::walk::Ground;

/// What it costs to move a class to where nothing of it was before. Less than any step of preference, so
/// that all come back when there is room.
const INERTIA: u32 = 50;
/// A pool is tight unless one part in so many of its room is left.
const SPARE: u64 = 16;

/// Decides for one group.
pub(super) struct Planner<'a> {
    pub(super) zone: &'a Zone,
    pub(super) setup: &'a Setup,
    pub(super) group: &'a Group,
    pub(super) rules: &'a [Rule<'a>],
    pub(super) scene: &'a Scene,
    /// Nobody beyond its end asks for anything.
    pub(super) demand: &'a GroupDemand,
}

/// A part of a class, as the flow sees it.
struct Stream {
    class: usize,
    /// How much of the class it is, of [`PART_ONE`].
    part: u32,
    /// The leaf by which each of the group's pools is reached.
    leaves: Vec<Option<usize>>,
}

impl Planner<'_> {
    pub(super) fn plan(&self, before: Option<&GroupPlan>) -> GroupPlan {
        let (mut streams, mut demands) = (Vec::new(), Vec::new());
        for member in &self.group.rules {
            let Rule { outline, preferences } = self.rules[member.place];
            let ground = Ground::new(self.zone, outline, self.scene, Family::Either);
            for (n, preference) in preferences.iter().enumerate() {
                let pricer = Pricer { ground: &ground, setup: self.setup, preference };
                for part in pricer.parts() {
                    let (stream, demand) = self.stream(outline, member.first + n, &part);
                    streams.push(stream);
                    demands.push(demand);
                }
            }
        }
        let rooms: Vec<u64> = self.group.pools.iter().map(|pool| self.room(*pool)).collect();
        let trims = self.demand.trims.iter().copied().chain(std::iter::repeat(TRIM_ONE));
        let trims: Vec<u32> = trims.take(rooms.len()).collect();
        let capacities: Vec<u64> =
            rooms.iter().zip(&trims).map(|(room, trim)| scaled(*room, *trim, TRIM_ONE)).collect();
        let spilled = flow::spill(&Problem {
            capacities: &capacities,
            classes: &demands,
            before: &before.map_or_else(Vec::new, |before| before_of(&streams, before)),
            inertia: INERTIA,
        });
        let mut shares = vec![Shares::default(); self.group.classes];
        for (n, stream) in streams.iter().enumerate() {
            stream.add_to(&mut shares[stream.class], spilled.of_class(n));
        }
        let mut loads = self.loads(&shares);
        if let Some(before) = before {
            let mut kept = shares.clone();
            let is_tight = |(load, room): (&u64, &u64)| *load > room / SPARE * (SPARE - 1);
            let is_tight: Vec<bool> = loads.iter().zip(&capacities).map(is_tight).collect();
            keep_what_is_near(&streams, &mut kept, &before.shares, &is_tight);
            let of_kept = self.loads(&kept);
            // Keeping them is worth little when it fills a pool that is full already.
            let is_bearable = |n: usize| of_kept[n] <= loads[n].max(capacities[n]) / 64 * 65;
            if (0..loads.len()).all(is_bearable) {
                (shares, loads) = (kept, of_kept);
            }
        }
        let loads = loads.into_iter().zip(trims).map(|(load, trim)| scaled(load, TRIM_ONE, trim));
        let pools = loads.zip(rooms).collect();
        let sound = self.group.pools.iter().map(|pool| self.sound(*pool)).collect();
        GroupPlan { shares, pools, sound, is_overloaded: spilled.is_overloaded }
    }

    fn amount(&self, class: usize) -> u64 {
        self.demand.amounts.get(class).copied().unwrap_or(0).min(AMOUNT_MAX)
    }

    fn stream(&self, outline: &Outline, class: usize, part: &Part) -> (Stream, flow::Demand) {
        let pools = self.group.pools.len();
        let (mut costs, mut leaves) = (vec![None; pools], vec![None; pools]);
        for (leaf, cost) in &part.prices {
            let place = self.place(outline.leaves()[*leaf]);
            if costs[place].is_none_or(|known| *cost < known) {
                (costs[place], leaves[place]) = (Some(*cost), Some(*leaf));
            }
        }
        let amount = scaled(self.amount(class), part.part, PART_ONE);
        (Stream { class, part: part.part, leaves }, flow::Demand { amount, costs })
    }

    fn place(&self, pool: PoolId) -> usize {
        self.group.pools.binary_search(&pool).expect("the group has all pools of its rules")
    }

    /// How much a pool can take.
    pub(super) fn room(&self, pool: PoolId) -> u64 {
        let Some(capacity) = self.zone.pools[pool.index()].capacity else { return AMOUNT_MAX };
        // Nothing of it is alive, and still somebody is sent there: then it is believed to be well.
        let health = match self.scene.pool(pool).health_millis {
            0 => 1000,
            health => health,
        };
        scaled(room(capacity.get(), health, GOAL), self.sound(pool), TRIM_ONE)
    }

    /// What errors leave of a pool's room.
    fn sound(&self, pool: PoolId) -> u32 {
        self.demand.sound.get(self.place(pool)).copied().unwrap_or(TRIM_ONE)
    }

    /// What each pool gets by these shares.
    pub(super) fn loads(&self, shares: &[Shares]) -> Vec<u64> {
        let mut loads = vec![0_u64; self.group.pools.len()];
        for member in &self.group.rules {
            let leaves = self.rules[member.place].outline.leaves();
            for (class, shares) in member.classes().zip(&shares[member.classes()]) {
                for (leaf, share) in &shares.0 {
                    let load = scaled(self.amount(class), *share, WHOLE);
                    let place = self.place(leaves[usize::from(*leaf)]);
                    loads[place] = loads[place].saturating_add(load);
                }
            }
        }
        loads
    }
}

impl Stream {
    /// Adds to a class's shares what the flow says of this part of it.
    fn add_to(&self, shares: &mut Shares, of_pools: &[u16]) {
        let mut all = std::mem::take(&mut shares.0).into_vec();
        for (leaf, share) in self.leaves.iter().zip(of_pools).filter(|(_, share)| **share > 0) {
            let leaf = leaf.expect("only pools with a cost are given any");
            let leaf = u16::try_from(leaf).expect("a rule has no more branches than 65,536");
            let share = u64::from(self.part) * u64::from(*share) / u64::from(SHARES);
            let share = u32::try_from(share).unwrap_or(WHOLE);
            match all.iter_mut().find(|(own, _)| *own == leaf) {
                Some((_, known)) => *known += share,
                None => all.push((leaf, share)),
            }
        }
        all.sort_unstable();
        shares.0 = all.into();
    }

    /// Its shares of before, pool by pool; as if it had been everywhere where it was nowhere.
    fn before(&self, shares: &Shares) -> impl Iterator<Item = u16> {
        let own = |leaf: &Option<usize>| leaf.map_or(0, |leaf| u64::from(shares.of_leaf(leaf)));
        let all: Vec<u64> = self.leaves.iter().map(own).collect();
        let sum: u64 = all.iter().sum();
        all.into_iter().map(move |share| match sum {
            0 => SHARES,
            _ => u16::try_from(share * u64::from(SHARES) / sum).unwrap_or(SHARES),
        })
    }

    fn may_go_to(&self, leaf: u16) -> bool {
        self.leaves.contains(&Some(usize::from(leaf)))
    }
}

fn before_of(streams: &[Stream], before: &GroupPlan) -> Vec<u16> {
    streams.iter().flat_map(|stream| stream.before(&before.shares[stream.class])).collect()
}

/// Lets classes keep the shares of before where those are as good. Who has all of it in one place again is
/// not kept from it where there is some room to spare.
fn keep_what_is_near(
    streams: &[Stream],
    shares: &mut [Shares],
    before: &[Shares],
    is_tight: &[bool],
) {
    for own in streams.chunk_by(|a, b| a.class == b.class) {
        let class = own[0].class;
        let (new, old) = (&mut shares[class], &before[class]);
        let is_open = |leaf: u16| own.iter().any(|stream| stream.may_go_to(leaf));
        let fills_a_tight_one = |stream: &Stream| {
            let mut tight = stream.leaves.iter().zip(is_tight).filter(|(_, is_tight)| **is_tight);
            tight.any(|(leaf, _)| leaf.is_some_and(|leaf| new.of_leaf(leaf) > 0))
        };
        let may_stay = new.0.len() > 1 || own.iter().any(fills_a_tight_one);
        if may_stay && new.is_near(old) && old.0.iter().all(|(leaf, _)| is_open(*leaf)) {
            new.clone_from(old);
        }
    }
}

/// `amount` × `part` / `whole`.
pub(super) fn scaled(amount: u64, part: u32, whole: u32) -> u64 {
    let scaled = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(AMOUNT_MAX)
}
