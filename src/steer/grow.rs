//! From what a walk decided, pool by pool, to what may be drawn, endpoint by endpoint.

use super::draw::{DrawTree, FULL_SHARE, Item, ItemTo};
use super::load::static_weight;
use super::outline::Outline;
use super::scene::{Family, Scene};
use super::select::Selected;
use super::walk::{Draft, DraftItem, Outcome};
use crate::model::topology::{LoadPolicy, Policy};
use crate::model::{EndpointId, Pool, PoolId, Zone};

impl Outcome {
    /// The same, endpoint by endpoint.
    pub(crate) fn selected(
        &self,
        zone: &Zone,
        outline: &Outline,
        scene: &Scene,
        family: Family,
    ) -> Selected {
        match self {
            Self::Host(name) => Selected::Host(name.clone()),
            Self::NoData => Selected::NoData,
            Self::ServFail => Selected::ServFail,
            Self::Among(draft) => {
                let mut grower = Grower { zone, outline, scene, family, tree: DrawTree::new() };
                grower.grow(draft);
                Selected::Among(grower.tree)
            }
        }
    }
}

/// Makes a tree of endpoints from a draft.
struct Grower<'a> {
    zone: &'a Zone,
    outline: &'a Outline,
    scene: &'a Scene,
    family: Family,
    tree: DrawTree<EndpointId>,
}

impl Grower<'_> {
    /// Adds a node for `draft` and what is below it; its place.
    fn grow(&mut self, draft: &Draft) -> usize {
        match draft {
            Draft::Pool { pool, node, .. } => {
                let steer = self.outline.steer(self.zone, *node);
                let [_, policy] = steer.draws();
                let Items { items, is_uneven } = self.items_of(*pool, steer.pick.policy.load());
                let policy = match policy {
                    // While some have less of their weight than others it is weights that count.
                    Policy::RoundRobin | Policy::Random if is_uneven => Policy::Weighted,
                    policy => policy,
                };
                let place = self.tree.add(policy, steer.pick.answers.get().into());
                self.tree.fill(place, items);
                place
            }
            Draft::Many { policy, count, items } => {
                let place = self.tree.add(*policy, *count);
                let item = |item: &DraftItem| Item {
                    weight: item.weight,
                    seed: item.seed,
                    to: ItemTo::Node(self.grow(&item.draft)),
                };
                let items = items.iter().map(item).collect();
                self.tree.fill(place, items);
                place
            }
        }
    }

    /// The endpoints of a pool that may be drawn: those with a weight, or all when none has. Those without
    /// one stand in for what others have not grown to yet, while none of these has the whole of its weight.
    fn items_of(&self, pool: PoolId, load: Option<LoadPolicy>) -> Items {
        let view = self.scene.pool(pool);
        let candidates = view.family(self.family).candidates();
        let Pool { name, endpoints, .. } = &self.zone.pools[pool.index()];
        let by_load = self.scene.loads.as_ref().zip(load);
        let by_load = by_load.and_then(|(loads, policy)| loads.of_endpoints(pool, policy));
        let endpoint = |id: &EndpointId| &self.zone.endpoints[id.index()];
        let has_weight = candidates.iter().any(|id| endpoint(id).weight > 0);
        let is_drawn = |id: &&EndpointId| !has_weight || endpoint(id).weight > 0;
        let all = candidates.iter();
        let candidates = || all.clone().filter(is_drawn);
        let spare = || all.clone().filter(|id| !is_drawn(id));
        let weight = |id: &EndpointId| match by_load {
            Some(weights) => weights[id.index() - endpoints.start],
            None => static_weight(load, endpoint(id).weight),
        };
        let item = |id: &EndpointId| Item {
            weight: weight(id).max(1),
            seed: seed_of(&[name, &endpoint(id).name]),
            to: ItemTo::Leaf(*id),
        };
        let mut items = Vec::with_capacity(all.len());
        items.extend(candidates().map(item));
        if view.is_whole() {
            return Items { items, is_uneven: false };
        }
        let now = self.scene.stage_time();
        // Who goes by load knows better how much each can take.
        let share = |id: &&EndpointId| match load {
            Some(_) => view.start(**id, now).share,
            None => view.growth(**id, now).share,
        };
        let shares: Vec<u16> = candidates().map(|id| share(&id)).collect();
        let started = candidates().map(|id| view.start(*id, now).share).max();
        let missing = u64::from(FULL_SHARE - started.unwrap_or(FULL_SHARE));
        let spare_count = spare().count() as u64;
        let missing = if spare_count == 0 { 0 } else { missing };
        // Those that came back together start alike, and nobody is slow when all are.
        let is_uneven = missing > 0 || shares.iter().any(|share| *share != shares[0]);
        if is_uneven {
            let whole: u64 = items.iter().map(|item| u64::from(item.weight)).sum();
            let grown = items.iter_mut().zip(shares);
            grown.for_each(|(item, share)| item.weight *= u32::from(share));
            if missing > 0 {
                let weight = (whole * missing).div_ceil(spare_count);
                let weight = u32::try_from(weight).unwrap_or(u32::MAX);
                items.extend(spare().map(|id| Item { weight, ..item(id) }));
            }
        }
        Items { items, is_uneven }
    }
}

/// The endpoints of a pool that may be drawn.
struct Items {
    items: Vec<Item<EndpointId>>,
    /// Whether some get less of their weight than others, for they have come back of late or are slow.
    is_uneven: bool,
}

/// A number that stands for a name.
pub(super) fn seed_of(parts: &[&str]) -> u64 {
    fnv(parts.iter().flat_map(|part| part.bytes().chain(std::iter::once(0))))
}

/// A number that stands for some octets: FNV-1a, which will be the same for ever on every node.
pub(super) fn fnv(octets: impl Iterator<Item = u8>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    octets.fold(BASIS, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3))
}
