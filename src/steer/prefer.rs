//! In which order a client wants the branches of a rule: what makes a class.
//!
//! The order depends on where the client is and on nothing else. Health, load and chance come
//! later, so that the set of clients with the same [`Preference`], and with it the scope of an
//! answer, changes only with the zone file and the geo data.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use super::latency::{Rtt, times_of};
use super::outline::{InSubnets, Node, Outline};
use crate::model::topology::{ClientMap, Clients, Policy, Where};
use crate::model::{Location, RegionId, Steer, Zone};

/// Regions that are told apart by distance before the rule's own order takes over. More would make
/// many more classes (and narrower scopes) to say which region is, say, fifth for a client.
const NEAREST_MAX: usize = 3;
/// Up to so many regions, all are told apart.
const REGIONS_FULL_MAX: usize = 8;

/// What a rule may know of a client.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Where it is.
    pub location: &'a Location,
    /// Of each of [`Outline::subnet_sets`], whether the client lies in it.
    pub subnets: &'a [bool],
    /// The zone's regions, nearest first; `None` when it is not known where the client is.
    pub nearest: Option<&'a [RegionId]>,
    /// Kilometres to each of the zone's regions, for rules with a bias; empty when nobody knows.
    pub kilometres: &'a [f64],
}

/// In which order a class of clients wants the branches of each node of a rule.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Preference {
    /// Node by node of the rule's outline.
    pub orders: Box<[Order]>,
    /// The number of the class, where another may have the same order: classes of which `[rtt]` tells not the same,
    /// or that have come to it by what vantages measure. What they ask for is known of each.
    pub class: Option<u16>,
}

/// In which order a class of clients wants the branches of one steer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    /// What names the client.
    pub named: NamedBy,
    /// All branches by place, best first.
    pub branches: Box<[u16]>,
    /// So many of them are what the client should get; the others are for when none of those is
    /// usable.
    pub preferred: u16,
    /// Whether the others may answer only for an address family that none of the preferred has.
    /// That much must be: whether a type exists must not depend on the client, since one client's
    /// NODATA is everybody's (RFC 7871 §7.4).
    pub is_strict: bool,
}

/// What in a steer names a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NamedBy {
    /// Nothing: the policy alone decides.
    Policy,
    /// The `where` clause at this place.
    Where(u16),
    /// The entry of the map at this place.
    Map(u16),
    /// The map's `default`.
    MapDefault,
}

impl Order {
    /// What the client should get, and the rest.
    #[must_use]
    pub fn parts(&self) -> (&[u16], &[u16]) {
        self.branches.split_at(usize::from(self.preferred))
    }

    /// The clause that applies, by its place in the steer.
    #[must_use]
    pub fn clause(&self) -> Option<usize> {
        self.named.clause()
    }
}

impl NamedBy {
    fn clause(self) -> Option<usize> {
        match self {
            Self::Where(n) => Some(n.into()),
            Self::Policy | Self::Map(_) | Self::MapDefault => None,
        }
    }
}

/// The order in which a client wants the branches of a rule and of every steer below it.
#[must_use]
pub fn prefer(zone: &Zone, outline: &Outline, evidence: &Evidence<'_>) -> Preference {
    let times = times_of(zone, outline, evidence);
    prefer_seen(zone, outline, &Sight::new(zone, outline).see(zone, outline, evidence, &times))
}

/// The order that follows from what a rule sees of a client.
#[must_use]
pub fn prefer_seen(zone: &Zone, outline: &Outline, seen: &[Seen]) -> Preference {
    let of_node = |(node, seen): (&Node, &Seen)| order_of(zone, node, seen);
    Preference { orders: outline.nodes().iter().zip(seen).map(of_node).collect(), class: None }
}

/// The order of a class whose clients have the regions `quickest` first, by what vantages measure, where
/// `before` is the order without; `None` when it is the same. `class` is its number.
#[must_use]
pub fn prefer_quickest(
    zone: &Zone,
    outline: &Outline,
    (class, before): (u16, &Preference),
    quickest: &[RegionId],
) -> Option<Preference> {
    let of_node = |(node, before): (&Node, &Order)| {
        let goes_by_it = zone.steers[node.steer.index()].policy == Policy::Latency;
        let seen = || Seen { named: before.named, nearest: quickest.into() };
        if goes_by_it { order_of(zone, node, &seen()) } else { before.clone() }
    };
    let orders: Box<[Order]> = outline.nodes().iter().zip(&before.orders).map(of_node).collect();
    (orders != before.orders).then_some(Preference { orders, class: Some(class) })
}

/// The region that is nearest to clients of whom this is seen, as far as the rule tells: by the first steer that
/// goes by distance, not by a clause, between several regions.
#[must_use]
pub fn nearest_region(seen: &[Seen]) -> Option<RegionId> {
    let tells = |seen: &&Seen| seen.named == NamedBy::Policy && seen.nearest.len() > 1;
    seen.iter().find(tells).map(|seen| seen.nearest[0])
}

fn order_of(zone: &Zone, node: &Node, seen: &Seen) -> Order {
    let steer = &zone.steers[node.steer.index()];
    let (wanted, rest) = divided(steer, seen.named);
    let order = |branches: Vec<usize>| match steer.policy {
        Policy::Nearest | Policy::Latency => by_distance(zone, node, branches, &seen.nearest),
        _ => branches,
    };
    let clause = seen.named.clause();
    // A clause's own order is the operator's word; distance decides only where no clause does.
    let wanted = if clause.is_some() { wanted } else { order(wanted) };
    Order {
        named: seen.named,
        preferred: place(wanted.len()),
        branches: wanted.into_iter().chain(order(rest)).map(place).collect(),
        is_strict: clause.is_some_and(|n| steer.wheres[n].is_strict),
    }
}

/// The branches that clients so named should get, and the others.
fn divided(steer: &Steer, named: NamedBy) -> (Vec<usize>, Vec<usize>) {
    let all = 0..steer.branches.len();
    let wanted = match named {
        NamedBy::Where(n) => steer.wheres[usize::from(n)].branches.clone(),
        NamedBy::Map(n) => steer.map.entries[usize::from(n)].branches.clone(),
        NamedBy::MapDefault => steer.map.default.clone(),
        NamedBy::Policy => all.clone().collect(),
    };
    // Those whom a map sends nowhere that is alive are next best off where it sends everybody else.
    let mut rest: Vec<usize> = steer.map.default.iter().copied().chain(all).collect();
    let mut seen: HashSet<usize> = wanted.iter().copied().collect();
    rest.retain(|branch| seen.insert(*branch));
    (wanted, rest)
}

/// What one steer sees of a client: all that an [`Order`] depends on. Places are many, and differ in
/// little of this.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Seen {
    /// What names the client.
    pub named: NamedBy,
    /// Regions, the nearest first, as far as they are told apart; none where distance decides nothing.
    pub nearest: Box<[RegionId]>,
}

/// What the steers of a rule look at, worked out once for all clients.
#[derive(Debug)]
pub struct Sight {
    /// By node: for clients whom no clause names, then for those of each clause.
    horizons: Vec<Vec<Horizon>>,
}

/// Which regions decide an order by distance.
#[derive(Debug)]
struct Horizon {
    /// By id, whether a region counts.
    counts: Vec<bool>,
    /// How many of those that count, nearest first, can make a difference.
    told_apart: usize,
}

impl Horizon {
    fn new(zone: &Zone, node: &Node, branches: &[usize]) -> Self {
        let mut counts = vec![false; zone.regions.len()];
        let used = branches.iter().flat_map(|branch| &node.regions[*branch]);
        used.for_each(|region| counts[region.index()] = true);
        let used = || zone.regions.iter().zip(&counts).filter(|(_, counts)| **counts);
        // Whichever is the nearest, its list is followed to its end.
        let longest = used().map(|(region, _)| 1 + region.fallback.len()).max().unwrap_or(0);
        let told_apart = told_apart(used().count()).max(longest);
        Self { counts, told_apart }
    }
}

impl Sight {
    /// Of the steers of a rule.
    #[must_use]
    pub fn new(zone: &Zone, outline: &Outline) -> Self {
        let of_node = |node: &Node| {
            let steer = &zone.steers[node.steer.index()];
            if !steer.policy.is_by_distance() {
                return Vec::new();
            }
            let all: Vec<usize> = (0..steer.branches.len()).collect();
            let rests = (0..steer.wheres.len()).map(|n| divided(steer, NamedBy::Where(place(n))).1);
            std::iter::once(all)
                .chain(rests)
                .map(|branches| Horizon::new(zone, node, &branches))
                .collect()
        };
        Self { horizons: outline.nodes().iter().map(of_node).collect() }
    }

    /// What each steer sees of a client, node by node. `times` are what [`times_of`] says of it.
    #[must_use]
    pub fn see(
        &self,
        zone: &Zone,
        outline: &Outline,
        evidence: &Evidence<'_>,
        times: &[Option<Rtt>],
    ) -> Box<[Seen]> {
        let of_node = |(node, horizons): (&Node, &Vec<Horizon>)| {
            let steer = &zone.steers[node.steer.index()];
            let named = named_by(steer, node, evidence);
            let horizon = horizons.get(named.clause().map_or(0, |n| n + 1));
            let nearest = || match steer.policy {
                Policy::Latency => quickest_of(times).map(Cow::Owned),
                _ => nearest_of(steer, evidence),
            };
            let nearest = horizon.and_then(|horizon| Some((horizon, nearest()?)));
            let nearest = nearest.map_or_else(Box::default, |(horizon, nearest)| {
                let that_count = nearest.iter().filter(|region| horizon.counts[region.index()]);
                that_count.take(horizon.told_apart).copied().collect()
            });
            Seen { named, nearest }
        };
        outline.nodes().iter().zip(&self.horizons).map(of_node).collect()
    }
}

/// What in a steer names a client.
fn named_by(steer: &Steer, node: &Node, evidence: &Evidence<'_>) -> NamedBy {
    let InSubnets { of_wheres, of_map, .. } = node.subnets(steer, evidence.subnets);
    if let Some(n) = clause_of(steer, evidence.location, of_wheres) {
        return NamedBy::Where(place(n));
    }
    if steer.policy != Policy::Map {
        return NamedBy::Policy;
    }
    let entry = entry_of(&steer.map, evidence, of_map);
    entry.map_or(NamedBy::MapDefault, |n| NamedBy::Map(place(n)))
}

/// How many of so many regions are told apart by distance.
const fn told_apart(regions: usize) -> usize {
    if regions <= REGIONS_FULL_MAX { regions } else { NEAREST_MAX }
}

fn place(n: usize) -> u16 {
    u16::try_from(n).expect("config lets no steer have 65,536 branches, clauses or map entries")
}

/// The first `where` clause that names the client. `subnets[n]` says whether the client lies in one
/// of clause `n`'s subnets.
#[must_use]
pub fn clause_of(steer: &Steer, location: &Location, subnets: &[bool]) -> Option<usize> {
    let names = |(n, clause): (usize, &Where)| {
        subnets.get(n).copied().unwrap_or(false)
            || location.country.is_some_and(|country| clause.countries.contains(&country))
            || location.continent.is_some_and(|continent| clause.continents.contains(&continent))
            || location.asn.is_some_and(|asn| clause.asns.contains(&asn))
            || clause.subdivisions.iter().any(|subdivision| location.is_in(subdivision))
    };
    steer.wheres.iter().enumerate().position(names)
}

/// The most specific entry of a map that names the client: the longest subnet, then network,
/// subdivision, country, continent. `subnets[n]` says whether the client lies in entry `n`'s.
fn entry_of(map: &ClientMap, evidence: &Evidence<'_>, subnets: &[bool]) -> Option<usize> {
    let specificity = |n: usize| {
        let is_within = subnets.get(n).copied().unwrap_or(false);
        specificity(&map.entries[n].clients, evidence.location, is_within)
    };
    let named = (0..map.entries.len()).filter_map(|n| Some((specificity(n)?, n)));
    named.max_by_key(|(specificity, _)| *specificity).map(|(_, n)| n)
}

/// How closely `clients` name one at `location`, if they do; `is_within` says whether it lies in their
/// subnet.
pub(super) fn specificity(
    clients: &Clients,
    location: &Location,
    is_within: bool,
) -> Option<(u8, u8)> {
    match clients {
        Clients::Subnet(subnet) => is_within.then(|| (4, subnet.len())),
        Clients::Asn(asn) => (location.asn == Some(*asn)).then_some((3, 0)),
        Clients::Subdivision(subdivision) => location.is_in(subdivision).then_some((2, 0)),
        Clients::Country(country) => (location.country == Some(*country)).then_some((1, 0)),
        Clients::Continent(continent) => (location.continent == Some(*continent)).then_some((0, 0)),
    }
}

/// The zone's regions as near as they seem to a steer: with its bias, if it has one.
fn nearest_of<'a>(steer: &Steer, evidence: &Evidence<'a>) -> Option<Cow<'a, [RegionId]>> {
    let mut nearest = Cow::Borrowed(evidence.nearest?);
    if !steer.bias.is_empty() && !evidence.kilometres.is_empty() {
        let seems = |region: &RegionId| {
            let bias = steer.bias.iter().find(|(biased, _)| biased == region);
            let bias = bias.map_or(0.0, |(_, percent)| f64::from(*percent));
            let far = evidence.kilometres.get(region.index()).copied().unwrap_or(f64::MAX);
            biased(far, bias)
        };
        nearest.to_mut().sort_by(|a, b| seems(a).total_cmp(&seems(b)));
    }
    Some(nearest)
}

/// The regions to which a round-trip time is known or can be worked out, the quickest first.
fn quickest_of(times: &[Option<Rtt>]) -> Option<Vec<RegionId>> {
    let known = times.iter().enumerate().filter_map(|(n, time)| Some(((*time)?.0, n)));
    let mut known: Vec<(Duration, usize)> = known.collect();
    known.sort_unstable();
    (!known.is_empty()).then(|| known.into_iter().map(|(_, n)| RegionId::new(n)).collect())
}

/// A distance as it seems under a bias of −99 to 99 percent, as Route 53 has it: d·(1 − b/100) for
/// what is to seem nearer, d / (1 − |b|/100) for what is to seem farther.
fn biased(distance: f64, bias: f64) -> f64 {
    if bias >= 0.0 { distance * (1.0 - bias / 100.0) } else { distance * 100.0 / (100.0 + bias) }
}

/// `branches` by the distance of the nearest region that each leads to; those of one region keep the
/// order written. The nearest region's `fallback` list comes right behind it.
fn by_distance(zone: &Zone, node: &Node, branches: Vec<usize>, nearest: &[RegionId]) -> Vec<usize> {
    let used: HashSet<RegionId> =
        branches.iter().flat_map(|branch| node.regions[*branch].iter().copied()).collect();
    let near = || nearest.iter().copied().filter(|region| used.contains(region));
    let Some(first) = near().next() else { return branches };
    let fallback = zone.regions[first.index()].fallback.iter().copied();

    let mut order = vec![first];
    order.extend(fallback.filter(|region| used.contains(region)));
    // A list that is longer is followed to its end: it goes with the first, and makes no classes.
    let told_apart = told_apart(used.len()).max(order.len());
    order.extend(near());
    let mut seen = HashSet::new();
    order.retain(|region| seen.insert(*region));
    order.truncate(told_apart);
    let rank = |branch: &usize| {
        let of_region = |region: &RegionId| order.iter().position(|ranked| ranked == region);
        node.regions[*branch].iter().filter_map(of_region).min()
    };
    let mut sorted = branches;
    sorted.sort_by_key(|branch| rank(branch).unwrap_or(usize::MAX));
    sorted
}
