//! A rule as the tree that it is: the steers that its branches lead to, unfolded.
//!
//! A node is one steer in one place of the tree, a leaf one pool in one place. Both are numbered depth
//! first in the order written, so that what is said of them fits into lists: a client's order of
//! branches node by node ([`Preference`](super::Preference)), what was looked at leaf by leaf. Steers
//! may be used in several places; a tree has an end because `config` lets none lead back to itself.

use super::load::aim_between;
use crate::model::topology::{AllDown, BranchTo, Clients, Policy, RttEntry};
use crate::model::{PoolId, Prefix, RegionId, Steer, SteerId, Zone};

/// A rule unfolded; node 0 is the rule itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Outline {
    nodes: Vec<Node>,
    leaves: Vec<PoolId>,
    /// By leaf: which node it is a branch of.
    above: Vec<usize>,
}

/// A steer in its place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// Which steer.
    pub steer: SteerId,
    /// Where each of its branches leads, by place.
    pub branches: Vec<To>,
    /// The regions that each branch may lead to, each once.
    pub regions: Vec<Vec<RegionId>>,
    /// Where its subnet sets begin in [`Outline::subnet_sets`].
    subnet_set_from: usize,
}

/// Where a branch leads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum To {
    /// To a leaf, by number.
    Leaf(usize),
    /// To a node, by number.
    Node(usize),
}

impl Outline {
    /// Unfolds a steer of `zone`.
    #[must_use]
    pub fn new(zone: &Zone, steer: SteerId) -> Self {
        let mut outline = Self { nodes: Vec::new(), leaves: Vec::new(), above: Vec::new() };
        let mut subnet_sets = 0;
        outline.unfold(zone, steer, &mut subnet_sets);
        outline
    }

    fn unfold(&mut self, zone: &Zone, id: SteerId, subnet_sets: &mut usize) -> usize {
        let steer = &zone.steers[id.index()];
        let place = self.nodes.len();
        let subnet_set_from = *subnet_sets;
        *subnet_sets += subnet_sets_of(zone, steer).count();
        let (branches, regions) = (Vec::new(), Vec::new());
        self.nodes.push(Node { steer: id, branches, regions, subnet_set_from });
        for branch in &steer.branches {
            let (to, regions) = match branch.to {
                BranchTo::Pool(pool) => {
                    self.leaves.push(pool);
                    self.above.push(place);
                    (To::Leaf(self.leaves.len() - 1), vec![zone.pools[pool.index()].region])
                }
                BranchTo::Steer(below) => {
                    let below = self.unfold(zone, below, subnet_sets);
                    let mut regions = self.nodes[below].regions.concat();
                    regions.sort_unstable();
                    regions.dedup();
                    (To::Node(below), regions)
                }
            };
            self.nodes[place].branches.push(to);
            self.nodes[place].regions.push(regions);
        }
        place
    }

    /// The steers in their places.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The pools in their places.
    #[must_use]
    pub fn leaves(&self) -> &[PoolId] {
        &self.leaves
    }

    /// The pools in their places, each with the steer that it is a branch of.
    pub fn leaves_of_steers<'z>(
        &self,
        zone: &'z Zone,
    ) -> impl ExactSizeIterator<Item = (PoolId, &'z Steer)> {
        let steers = self.above.iter().map(|node| self.steer(zone, *node));
        self.leaves.iter().copied().zip(steers)
    }

    /// The pools in their places and, behind them, the one that `all-down` names if it is none of them.
    pub fn pools_in_play(&self, zone: &Zone) -> impl Iterator<Item = PoolId> {
        let last_resort = match self.rule(zone).all_down {
            AllDown::Pool(pool) if !self.leaves.contains(&pool) => Some(pool),
            _ => None,
        };
        self.leaves.iter().copied().chain(last_resort)
    }

    /// The rule itself.
    #[must_use]
    pub fn rule<'z>(&self, zone: &'z Zone) -> &'z Steer {
        self.steer(zone, 0)
    }

    /// The steer of a node.
    #[must_use]
    pub fn steer<'z>(&self, zone: &'z Zone, node: usize) -> &'z Steer {
        &zone.steers[self.nodes[node].steer.index()]
    }

    /// The steers, node by node.
    pub fn steers<'z>(&self, zone: &'z Zone) -> impl Iterator<Item = &'z Steer> {
        self.nodes.iter().map(|node| &zone.steers[node.steer.index()])
    }

    /// Whether what a client gets depends on its key anywhere in the rule. Looks at the rule alone,
    /// never at health, so that scopes do not wander.
    #[must_use]
    pub fn is_sticky(&self, zone: &Zone) -> bool {
        self.steers(zone).any(|steer| steer.draws().contains(&Policy::Sticky))
    }

    /// Whether chance may choose between regions for each answer. Looks at the rule alone.
    #[must_use]
    pub fn draws_regions(&self, zone: &Zone) -> bool {
        let is_sticky = self.is_sticky(zone);
        let mut pools = self.leaves.iter().map(|pool| &zone.pools[pool.index()]);
        let can_spill = pools.any(|pool| pool.capacity.is_some());
        let draws = |(node, steer): (&Node, &Steer)| {
            let mut regions = node.regions.iter().flatten();
            let first = regions.next();
            let has_several = regions.any(|region| Some(region) != first);
            let [policy, _] = steer.draws();
            let has_shares = steer.trickle > 0 || !steer.ramp.is_zero() || can_spill;
            has_several
                && if policy.is_ordered() {
                    has_shares && !is_sticky
                } else {
                    policy != Policy::Sticky
                }
        };
        self.nodes.iter().zip(self.steers(zone)).any(draws)
    }

    /// Whether any of its weights follow load.
    #[must_use]
    pub fn is_by_load(&self, zone: &Zone) -> bool {
        self.steers(zone)
            .any(|steer| steer.pick.policy.load().is_some() || aim_between(zone, steer).is_some())
    }

    /// Whether what a client gets depends on where it is.
    #[must_use]
    pub fn tells_places_apart(&self, zone: &Zone) -> bool {
        let tells = |steer: &Steer| steer.policy.tells_places_apart() || !steer.wheres.is_empty();
        self.steers(zone).any(tells)
    }

    /// The sets of subnets by which clients are told apart: of each node its clauses', then its map's,
    /// then those of which round-trip times are known.
    #[must_use]
    pub fn subnet_sets(&self, zone: &Zone) -> Vec<Vec<Prefix>> {
        self.steers(zone).flat_map(|steer| subnet_sets_of(zone, steer)).collect()
    }

    /// The autonomous systems by which clients are told apart.
    #[must_use]
    pub fn asns(&self, zone: &Zone) -> Vec<u32> {
        let asn = |clients: &Clients| match clients {
            Clients::Asn(asn) => Some(*asn),
            _ => None,
        };
        let of_steer = |steer: &Steer| {
            let of_wheres = steer.wheres.iter().flat_map(|clause| clause.asns.clone());
            let of_map = steer.map.entries.iter().filter_map(|entry| asn(&entry.clients));
            let of_rtts = rtts_of(zone, steer).iter().filter_map(|entry| asn(&entry.clients));
            of_wheres.chain(of_map).chain(of_rtts).collect::<Vec<_>>()
        };
        self.steers(zone).flat_map(of_steer).collect()
    }
}

impl Node {
    /// Its own part of what is said of each of [`Outline::subnet_sets`].
    pub(super) fn subnets<'a>(&self, steer: &Steer, all: &'a [bool]) -> InSubnets<'a> {
        let own = all.get(self.subnet_set_from..).unwrap_or_default();
        let (of_wheres, rest) = own.split_at(steer.wheres.len().min(own.len()));
        let (of_map, of_rtts) = rest.split_at(steer.map.entries.len().min(rest.len()));
        InSubnets { of_wheres, of_map, of_rtts }
    }
}

/// Whether a client lies in the subnets of clauses, entries of the map, and round-trip times, by place;
/// the last may go on with what is not this node's.
pub(super) struct InSubnets<'a> {
    pub(super) of_wheres: &'a [bool],
    pub(super) of_map: &'a [bool],
    pub(super) of_rtts: &'a [bool],
}

/// The round-trip times that a steer goes by.
pub(super) fn rtts_of<'z>(zone: &'z Zone, steer: &Steer) -> &'z [RttEntry] {
    if steer.policy == Policy::Latency { &zone.rtts } else { &[] }
}

/// One set for each clause, each entry of the map, and each of the round-trip times, empty for those that
/// name no subnet.
fn subnet_sets_of(zone: &Zone, steer: &Steer) -> impl Iterator<Item = Vec<Prefix>> {
    let subnet = |clients: &Clients| match clients {
        Clients::Subnet(subnet) => vec![*subnet],
        _ => Vec::new(),
    };
    let of_wheres = steer.wheres.iter().map(|clause| clause.subnets.clone());
    let of_map = steer.map.entries.iter().map(move |entry| subnet(&entry.clients));
    let of_rtts = rtts_of(zone, steer).iter().map(move |entry| subnet(&entry.clients));
    of_wheres.chain(of_map).chain(of_rtts)
}
