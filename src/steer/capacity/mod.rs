//! Who goes where while pools can carry only so much.
//!
//! Rules that lead to the same pools with a capacity have to agree on who gets what of them, so a zone's
//! rules fall into [groups](Setup) of those that share such a pool, and each group is decided as one: what
//! its classes ask for ([`Demand`], which [`estimate`] tells) against the room of its pools, by
//! [`flow`](super::flow). The [`Plan`] that comes of it stands in the [`Scene`], and the walk goes by it
//! wherever a policy takes the first that can serve.
//!
//! ```text
//! room of a pool     capacity × what is alive of it × what errors leave of it × 85 %; without a capacity there is
//!                    no end of it
//! a class may go     where it may go anyway, to pools that nothing is the matter with
//! cost, nearest      kilometres from the region of the first choice, and 100 for each place further back
//! cost, others       1000 for each place further back
//! inertia            50: who has moved stays while that costs no more
//! ```
//!
//! Steers that draw for each answer split what comes to them by their weights. Where one is a rule, each
//! pool has its part of every class; where it is a branch, it counts as having the room of all that is
//! below it, since following the load is its own business (`controller`). Under `observe-only` clients go
//! to their first choice whatever there is room for.
//!
//! A plan depends on the scene, on demand and on the plan before and on nothing else, in integers. A class
//! whose shares would change by no more than a sixteenth stays as it is, unless that fills a pool which is
//! full already; and so does one of which so little is elsewhere, until there is a sixteenth to spare where
//! it would have all of it again. One resolver may ask for more than what a class's last sixteenth is
//! thought to, and would go to and fro with the noise of what is asked for.

pub mod estimate;
mod planner;
mod price;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::outline::{Outline, To};
use super::prefer::Preference;
use super::scene::Scene;
use crate::model::{Name, PoolId, RegionId, SteerId, Zone};
use planner::Planner;

/// How often demand is looked at where it is counted in answers, besides the TTL.
const PERIOD: Duration = Duration::from_secs(10);
/// Changes up to this much leave a class's shares as they are.
const BAND: u32 = WHOLE / 16;
/// All of a class, in the unit of [`Shares`].
const WHOLE: u32 = 1 << 20;

// ---- What stays the same ----

/// A rule of a zone, and in which orders its classes want its pools.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The rule.
    pub outline: &'a Outline,
    /// Class by class.
    pub preferences: &'a [Preference],
}

/// What of a zone has to do with capacities: its groups.
#[derive(Debug)]
pub struct Setup {
    groups: Vec<Group>,
    /// From each of the zone's regions to each, in kilometres.
    kilometres: Vec<u32>,
    regions: usize,
    /// By the steer that a rule is: its group, and its place there.
    rules: HashMap<SteerId, (usize, usize)>,
}

/// Rules that lead to the same pools.
#[derive(Debug)]
struct Group {
    /// All pools that its rules lead to, with a capacity or without, by id.
    pools: Vec<PoolId>,
    rules: Vec<Member>,
    /// How many classes its rules have together.
    classes: usize,
    /// Whether capacities are loads of 1.0, and not answers a second.
    is_by_load: bool,
    /// The time between two reports of load.
    period: Duration,
    /// How often demand is estimated: the longest TTL and the report period.
    step_time: Duration,
    /// Of all that demand is known of: what it is of one that has another is not what it is of this.
    hash: u64,
}

/// A rule in its group.
#[derive(Debug)]
struct Member {
    /// Its place among the zone's rules.
    place: usize,
    owner: Name,
    /// Where its classes begin among the group's.
    first: usize,
    by_preference: HashMap<Preference, usize>,
}

impl Member {
    /// The places of its classes among the group's.
    fn classes(&self) -> Range<usize> {
        self.first..self.first + self.by_preference.len()
    }
}

impl Setup {
    /// The groups of a zone's different rules; `None` where no rule leads to a pool with a capacity.
    /// `kilometres` tells how far regions are apart.
    #[must_use]
    pub fn new(
        zone: &Zone,
        rules: &[Rule<'_>],
        kilometres: &dyn Fn(RegionId, RegionId) -> u32,
    ) -> Option<Self> {
        let groups: Vec<Group> = members_of_groups(zone, rules)
            .into_iter()
            .map(|members| Group::new(zone, rules, &members))
            .collect();
        if groups.is_empty() {
            return None;
        }
        let regions = zone.regions.len();
        let id = RegionId::new;
        let pairs = (0..regions * regions).map(|n| (id(n / regions), id(n % regions)));
        let kilometres = pairs.map(|(from, to)| kilometres(from, to)).collect();
        let places = groups.iter().enumerate().flat_map(|(n, group)| {
            let members = group.rules.iter().enumerate();
            members.map(move |(place, member)| (rules[member.place].steer(), (n, place)))
        });
        Some(Self { kilometres, regions, rules: places.collect(), groups })
    }

    /// How often demand is to be estimated, group by group.
    pub fn step_times(&self) -> impl Iterator<Item = Duration> {
        self.groups.iter().map(|group| group.step_time)
    }

    /// Whether a rule leads to a pool with a capacity.
    #[must_use]
    pub fn has(&self, outline: &Outline) -> bool {
        self.rules.contains_key(&steer_of(outline))
    }

    fn kilometres(&self, from: RegionId, to: RegionId) -> u32 {
        self.kilometres[from.index() * self.regions + to.index()]
    }
}

impl Rule<'_> {
    fn steer(&self) -> SteerId {
        steer_of(self.outline)
    }

    fn leads_to(&self, zone: &Zone) -> impl Iterator<Item = PoolId> {
        self.outline.leaves().iter().copied().filter(|pool| has_capacity(zone, *pool))
    }
}

fn steer_of(outline: &Outline) -> SteerId {
    outline.nodes()[0].steer
}

fn has_capacity(zone: &Zone, pool: PoolId) -> bool {
    zone.pools[pool.index()].capacity.is_some()
}

/// The places of the rules that have to agree with each other, group by group.
fn members_of_groups(zone: &Zone, rules: &[Rule<'_>]) -> Vec<Vec<usize>> {
    // Each pool leads to one that it belongs with, and one that leads to itself stands for all of them.
    let mut heads: Vec<usize> = (0..zone.pools.len()).collect();
    let head = |heads: &[usize], mut pool: usize| {
        while heads[pool] != pool {
            pool = heads[pool];
        }
        pool
    };
    for rule in rules {
        let mut own = rule.leads_to(zone).map(PoolId::index);
        let Some(first) = own.next() else { continue };
        for pool in own {
            let (a, b) = (head(&heads, first), head(&heads, pool));
            heads[a.max(b)] = a.min(b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, rule) in rules.iter().enumerate() {
        if let Some(pool) = rule.leads_to(zone).next() {
            groups.entry(head(&heads, pool.index())).or_default().push(place);
        }
    }
    groups.into_values().collect()
}

impl Group {
    fn new(zone: &Zone, rules_of: &[Rule<'_>], members: &[usize]) -> Self {
        let leaves = members.iter().flat_map(|place| rules_of[*place].outline.leaves());
        let pools: BTreeSet<PoolId> = leaves.copied().collect();
        let mut classes = 0;
        let member = |place: &usize| {
            let Rule { outline, preferences } = rules_of[*place];
            let (owner, first) = (outline.rule(zone).owner.clone(), classes);
            classes += preferences.len();
            let numbered = preferences.iter().enumerate();
            let by_preference: HashMap<_, _> = numbered.map(|(n, own)| (own.clone(), n)).collect();
            debug_assert_eq!(by_preference.len(), preferences.len(), "no two classes are one");
            Member { place: *place, owner, first, by_preference }
        };
        let rules = members.iter().map(member).collect();
        let pools: Vec<PoolId> = pools.into_iter().collect();
        let mut measured = pools.iter().copied().filter(|pool| has_capacity(zone, *pool));
        let is_by_load = measured.any(|pool| zone.is_by_load(pool));
        let feeds = pools.iter().flat_map(|pool| &zone.pools[pool.index()].feeds);
        let intervals = feeds.map(|feed| zone.feeds[feed.index()].spec.interval);
        let period = intervals.max().unwrap_or(PERIOD);
        let ttls = members.iter().map(|place| rules_of[*place].outline.rule(zone).ttl);
        let step_time = ttls.max().unwrap_or_default() + period;
        let mut hasher = SipHasher24::new();
        is_by_load.hash(&mut hasher);
        pools.iter().for_each(|pool| zone.pools[pool.index()].name.hash(&mut hasher));
        for place in members {
            let Rule { outline, preferences } = rules_of[*place];
            (&outline.rule(zone).owner, preferences).hash(&mut hasher);
        }
        let hash = hasher.finish();
        Self { pools, rules, classes, is_by_load, period, step_time, hash }
    }
}

// ---- What is decided ----

/// What the classes of a zone ask for: of each group one amount a class, rule after rule, in thousandths of
/// the unit of capacities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    groups: Vec<GroupDemand>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct GroupDemand {
    amounts: Vec<u64>,
    /// What a pool is expected to carry, by what it carries, in 1/[`TRIM_ONE`]: answers of some classes
    /// weigh more than those of others. None where that is not known.
    trims: Vec<u32>,
    /// What errors leave of each pool's room, in 1/[`TRIM_ONE`]; beyond the end, all of it.
    sound: Vec<u32>,
}

/// 1.0 of a trim, and of what errors leave.
const TRIM_ONE: u32 = 1024;

/// Where the classes of a zone's rules go.
#[derive(Clone, Debug)]
pub struct Plan {
    setup: Arc<Setup>,
    groups: Vec<Arc<GroupPlan>>,
}

#[derive(PartialEq, Eq, Debug)]
struct GroupPlan {
    /// Class by class, rule after rule.
    shares: Vec<Shares>,
    /// What each pool is to get, and has room for, in thousandths of the unit of capacities.
    pools: Vec<(u64, u64)>,
    /// What errors leave of the room of each, in 1/[`TRIM_ONE`].
    sound: Vec<u32>,
    is_overloaded: bool,
}

/// Which part of a class each leaf of its rule gets; none when the plan has nothing to say of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Shares(Box<[(u16, u32)]>);

/// The shares of one rule's classes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleShares<'a> {
    member: &'a Member,
    shares: &'a [Shares],
}

/// What comes to a pool with a capacity, in thousandths of its unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolLoad {
    /// The pool.
    pub pool: PoolId,
    /// What it gets.
    pub load: u64,
    /// What it has room for: 85 % of what of it is alive, less when it answers errors.
    pub room: u64,
    /// In percent, what errors leave of the room that it would have: 100 when it answers no more of them than it
    /// may.
    pub sound_percent: u32,
    /// Whether it gets more than that since nobody else has any room.
    pub is_overloaded: bool,
}

impl PoolLoad {
    /// What it gets, in percent of what it has room for.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let percent = u128::from(self.load) * 100 / u128::from(self.room.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// Decides where the classes of a zone go in a scene. `rules` are those that `setup` was made for; without
/// `demand` nobody is known to ask for anything.
#[must_use]
pub fn plan(
    zone: &Zone,
    setup: &Arc<Setup>,
    rules: &[Rule<'_>],
    scene: &Scene,
    demand: Option<&Demand>,
    before: Option<&Plan>,
) -> Plan {
    // What was decided for other groups says nothing of these.
    let before = before.filter(|plan| Arc::ptr_eq(&plan.setup, setup));
    let unknown = GroupDemand::default();
    let of_group = |(n, group): (usize, &Group)| {
        let before = before.map(|plan| &plan.groups[n]);
        let demand = demand.and_then(|demand| demand.groups.get(n)).unwrap_or(&unknown);
        let planner = Planner { zone, setup, group, rules, scene, demand };
        let next = planner.plan(before.map(|plan| &**plan));
        match before {
            Some(before) if **before == next => Arc::clone(before),
            _ => Arc::new(next),
        }
    };
    let groups = setup.groups.iter().enumerate().map(of_group).collect();
    Plan { setup: Arc::clone(setup), groups }
}

impl Plan {
    /// The shares of a rule's classes, if it leads to a pool with a capacity.
    pub(super) fn of_rule(&self, outline: &Outline) -> Option<RuleShares<'_>> {
        let (group, place) = *self.setup.rules.get(&steer_of(outline))?;
        let member = &self.setup.groups[group].rules[place];
        let shares = &self.groups[group].shares[member.classes()];
        Some(RuleShares { member, shares })
    }

    /// Whether a rule's classes go where they go in `other`.
    #[must_use]
    pub fn is_same_for(&self, outline: &Outline, other: &Self) -> bool {
        let shares = |plan: &'_ Self| plan.of_rule(outline).map(|rule| rule.shares.as_ptr_range());
        shares(self) == shares(other)
            || self.of_rule(outline).map(|rule| rule.shares)
                == other.of_rule(outline).map(|rule| rule.shares)
    }

    /// Whether it is the very same as another.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.groups.len() == other.groups.len()
            && self.groups.iter().zip(&other.groups).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Whether there is not enough room for what is asked of a rule and of those that share its pools.
    #[must_use]
    pub fn is_overloaded(&self, outline: &Outline) -> bool {
        let group = self.setup.rules.get(&steer_of(outline));
        group.is_some_and(|(group, _)| self.groups[*group].is_overloaded)
    }

    /// What comes to each pool with a capacity.
    pub fn loads<'a>(&'a self, zone: &'a Zone) -> impl Iterator<Item = PoolLoad> + 'a {
        let groups = self.setup.groups.iter().zip(&self.groups);
        groups.flat_map(move |(group, plan)| {
            let pools = group.pools.iter().zip(&plan.pools).zip(&plan.sound);
            let measured = pools.filter(|((pool, _), _)| has_capacity(zone, **pool));
            measured.map(|((pool, (load, room)), sound)| PoolLoad {
                pool: *pool,
                load: *load,
                room: *room,
                sound_percent: sound * 100 / TRIM_ONE,
                is_overloaded: plan.is_overloaded && load > room,
            })
        })
    }
}

impl<'a> RuleShares<'a> {
    /// The shares of a class, where the plan has anything to say of it.
    pub(super) fn of_class(&self, preference: &Preference) -> Option<&'a Shares> {
        let own = || self.member.by_preference.get(preference).copied();
        let class = preference.class.map(usize::from).or_else(own)?;
        self.shares.get(class).filter(|shares| !shares.0.is_empty())
    }
}

impl Shares {
    /// The share of all that a branch leads to.
    pub(super) fn below(&self, outline: &Outline, to: To) -> u32 {
        match to {
            To::Leaf(leaf) => self.of_leaf(leaf),
            To::Node(node) => {
                let branches = outline.nodes()[node].branches.iter();
                branches.map(|below| self.below(outline, *below)).sum()
            }
        }
    }

    fn of_leaf(&self, leaf: usize) -> u32 {
        self.0.iter().find(|(own, _)| usize::from(*own) == leaf).map_or(0, |(_, share)| *share)
    }

    /// The share of a leaf in percent of all, rounded, but never to nothing.
    pub(super) fn percent(&self, leaf: usize) -> u32 {
        let (own, all) = (self.of_leaf(leaf), self.0.iter().map(|(_, share)| share).sum::<u32>());
        let percent = (u64::from(own) * 100 + u64::from(all / 2)) / u64::from(all.max(1));
        u32::try_from(percent).unwrap_or(100).max(u32::from(own > 0))
    }

    /// Whether it is so near another that nobody needs to move for it.
    fn is_near(&self, other: &Self) -> bool {
        let leaves = self.0.iter().chain(&other.0).map(|(leaf, _)| usize::from(*leaf));
        leaves.into_iter().all(|leaf| self.of_leaf(leaf).abs_diff(other.of_leaf(leaf)) <= BAND)
    }
}
