//! Aliases that would be looked up at this server itself.
//!
//! Zones are seen together here, since the host may be in any of them. Loops that lead through other
//! servers' CNAMEs cannot be seen.

use std::sync::Arc;

use crate::model::names::{Flags, is_at_or_below};
use crate::model::topology::EndpointAt;
use crate::model::{Name, Zone};

pub(super) const HINT: &str =
    "an alias is looked up elsewhere, which would lead back here: write the addresses";

/// The apexes of zones with such aliases, and what is wrong with each. `zones` are in the order of their
/// names.
pub(super) fn find_loops(zones: &[&Arc<Zone>]) -> Vec<(Name, String)> {
    let mut loops = Vec::new();
    for zone in zones {
        for endpoint in &zone.endpoints {
            let EndpointAt::Alias(host) = &endpoint.at else { continue };
            let Some(own) = answering(zones, host) else { continue };
            let pool = &zone.pools[endpoint.pool.index()].name;
            let message = format!(
                "endpoint `{}` of pool `{pool}` is an alias of `{host}`, a name of our zone `{}`",
                endpoint.name, own.apex
            );
            loops.push((zone.apex.clone(), message));
        }
    }
    loops
}

/// The zone of `zones` that answers for a name: the closest above it, unless that delegates it.
fn answering<'z>(zones: &[&'z Arc<Zone>], host: &Name) -> Option<&'z Zone> {
    let above = std::iter::successors(Some(host.clone()), Name::parent);
    let place = above
        .into_iter()
        .find_map(|name| zones.binary_search_by(|zone| zone.apex.cmp(&name)).ok())?;
    let zone = zones[place];
    let host = host.as_wire().to_ascii_lowercase();
    let is_cut = zone
        .names
        .iter()
        .any(|(_, record)| record.flags().has(Flags::CUT) && is_at_or_below(&host, record.name()));
    (!is_cut).then_some(zone)
}
