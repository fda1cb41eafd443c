//! Which pools a client's answers come from, in which order: what makes a class.
//!
//! The order depends on where the client is and on nothing else. Health, load and chance come
//! later, so that the set of clients with the same [`Preference`], and with it the scope of an
//! answer, changes only with the zone file and the geo data.

use std::collections::HashSet;

use crate::model::topology::{Policy, Where};
use crate::model::{Location, PoolId, RegionId, Steer, Zone};

/// Regions that are told apart by distance before the rule's own order takes over. More would make
/// many more classes (and narrower scopes) to say which region is, say, fifth for a client.
const NEAREST_MAX: usize = 3;
/// Up to so many regions, all are told apart.
const REGIONS_FULL_MAX: usize = 8;

/// The order in which a class of clients wants a rule's pools.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Preference {
    /// The `where` clause that applied, by its place in the rule.
    pub clause: Option<usize>,
    /// The pools to choose among, best first.
    pub pools: Vec<PoolId>,
    /// The rule's other pools, best first: for when none of `pools` is alive.
    pub beyond: Vec<PoolId>,
    /// Whether `beyond` may answer only for an address family that none of `pools` has. That much
    /// must be: whether a type exists must not depend on the client, since one client's NODATA is
    /// everybody's (RFC 7871 §7.4).
    pub is_strict: bool,
}

/// The first `where` clause that names the client. `subnets[n]` says whether the client lies in one
/// of clause `n`'s subnets.
#[must_use]
pub fn clause_of(rule: &Steer, location: &Location, subnets: &[bool]) -> Option<usize> {
    let names = |(n, clause): (usize, &Where)| {
        subnets.get(n).copied().unwrap_or(false)
            || location.country.is_some_and(|country| clause.countries.contains(&country))
            || location.continent.is_some_and(|continent| clause.continents.contains(&continent))
            || location.asn.is_some_and(|asn| clause.asns.contains(&asn))
    };
    rule.wheres.iter().enumerate().position(names)
}

/// The pools of `rule` in a client's order. `nearest` lists the zone's regions by their distance from
/// the client, nearest first; `None` when it is not known where the client is.
#[must_use]
pub fn prefer(
    zone: &Zone,
    rule: &Steer,
    clause: Option<usize>,
    nearest: Option<&[RegionId]>,
) -> Preference {
    let own: Vec<PoolId> = rule.pools.iter().map(|pool| pool.pool).collect();
    let wanted = match clause {
        Some(n) => rule.wheres[n].pools.clone(),
        None => own.clone(),
    };
    let rest: Vec<PoolId> = own.into_iter().filter(|pool| !wanted.contains(pool)).collect();
    let order = |pools: Vec<PoolId>| match (rule.policy, nearest) {
        (Policy::Nearest, Some(nearest)) => by_distance(zone, pools, nearest),
        _ => pools,
    };
    // A clause's own order is the operator's word; distance decides only where no clause does.
    let pools = if clause.is_some() { wanted } else { order(wanted) };
    let is_strict = clause.is_some_and(|n| rule.wheres[n].is_strict);
    Preference { clause, pools, beyond: order(rest), is_strict }
}

/// `pools` by the distance of their regions; pools of one region keep the order written. The
/// nearest region's `fallback` list comes right behind it.
fn by_distance(zone: &Zone, pools: Vec<PoolId>, nearest: &[RegionId]) -> Vec<PoolId> {
    let region_of = |pool: &PoolId| zone.pools[pool.index()].region;
    let used: HashSet<RegionId> = pools.iter().map(region_of).collect();
    let near = || nearest.iter().copied().filter(|region| used.contains(region));
    let Some(first) = near().next() else { return pools };
    let fallback = zone.regions[first.index()].fallback.iter().copied();
    let told_apart = if used.len() <= REGIONS_FULL_MAX { used.len() } else { NEAREST_MAX };

    let mut order = vec![first];
    order.extend(fallback.filter(|region| used.contains(region)));
    // A list that is longer is followed to its end: it goes with the first, and makes no classes.
    let told_apart = told_apart.max(order.len());
    order.extend(near());
    let mut seen = HashSet::new();
    order.retain(|region| seen.insert(*region));
    order.truncate(told_apart);
    let rank = |pool: &PoolId| order.iter().position(|region| *region == region_of(pool));
    let mut sorted = pools;
    sorted.sort_by_key(|pool| rank(pool).unwrap_or(usize::MAX));
    sorted
}
