//! What classes want by what vantages measure, where steers go by round trips.
//!
//! Classes and scopes stay as they are, whatever is measured: they come of zone files and geo data alone. What
//! changes is in which order a class wants its regions. A class is near the group that
//! [`regional`](super::regional) says; what that group has [found](Found) of the trips to regions, beside what is
//! known of the class's own, makes the order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::compile::Fixed;
use super::regional::groups_near;
use super::rules::{RuleMap, RuleSource};
use crate::geo::distance;
use crate::model::{Reach, RegionId, RegionKey, Zone};
use crate::steer::Preference;
use crate::steer::latency::Found;
use crate::steer::prefer::prefer_quickest;

/// What the classes of rules want, by the place of a rule, where that is not what its map says. Rules that share a
/// map of one zone share it.
pub(super) type Orders = BTreeMap<u32, Arc<[Preference]>>;

/// What is found near one group.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct FoundNear<'r> {
    /// The group.
    pub(super) group: &'r str,
    pub(super) found: Found,
}

/// What is found near each region of a zone: by the group that is nearest to it, if that has measured anything.
pub(super) fn found_near<'r>(zone: &Zone, reach: &'r Reach) -> Vec<Option<FoundNear<'r>>> {
    let key = |n: usize| RegionKey::new(&zone.apex, &zone.regions[n].name);
    let keys: Vec<RegionKey> = (0..zone.regions.len()).map(key).collect();
    let of_group = |group: Option<&'r str>| {
        let (group, measured) = reach.round_trips.get_key_value(group?)?;
        let at = *reach.places.get(group)?;
        let kilometres = zone.regions.iter().map(|own| distance::kilometres(at, own.coordinates));
        let kilometres: Vec<f64> = kilometres.collect();
        let measured: Vec<_> = keys.iter().map(|key| measured.get(key).copied()).collect();
        Some(FoundNear { group: group.as_str(), found: Found::new(&kilometres, &measured)? })
    };
    groups_near(zone, &reach.places).into_iter().map(of_group).collect()
}

/// What classes want where groups find this. What is as it was `before` is shared.
pub(super) fn orders(fixed: &Fixed, reach: &Reach, before: &Orders) -> Orders {
    let mut orders = Orders::new();
    if reach.round_trips.is_empty() {
        return orders;
    }
    let mut near: HashMap<usize, Vec<Option<FoundNear<'_>>>> = HashMap::new();
    let mut known: HashMap<(usize, *const RuleMap), Option<Arc<[Preference]>>> = HashMap::new();
    for &place in &fixed.rules_by_round_trip {
        let source = &fixed.rules[place as usize];
        let zone = &fixed.blueprint.zones[source.zone];
        let near = near.entry(source.zone).or_insert_with(|| found_near(zone, reach));
        let own = known.entry((source.zone, Arc::as_ptr(&source.map))).or_insert_with(|| {
            let own = order(zone, source, near)?;
            let before = before.get(&place).filter(|before| ***before == *own);
            Some(before.cloned().unwrap_or(own))
        });
        orders.extend(own.clone().map(|own| (place, own)));
    }
    orders
}

/// What the classes of a rule want; `None` when it is what its map says.
fn order(
    zone: &Zone,
    source: &RuleSource,
    near: &[Option<FoundNear<'_>>],
) -> Option<Arc<[Preference]>> {
    let RuleSource { outline, map, .. } = source;
    let of_class = |class: usize| {
        let region: RegionId = map.nearest[class]?;
        let FoundNear { found, .. } = near[region.index()].as_ref()?;
        let trips = map.trips.get(class).filter(|trips| !trips.is_empty())?;
        let number = u16::try_from(class).ok()?;
        let quickest = found.quickest_first(trips);
        prefer_quickest(zone, outline, (number, &map.preferences[class]), &quickest)
    };
    let others: Vec<Option<Preference>> = (0..map.preferences.len()).map(of_class).collect();
    let is_any = others.iter().any(Option::is_some);
    let both = others.into_iter().zip(map.preferences.iter());
    is_any.then(|| both.map(|(other, own)| other.unwrap_or_else(|| own.clone())).collect())
}
