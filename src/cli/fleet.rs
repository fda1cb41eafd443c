//! What `status` tells of a fleet.

use std::io::{self, Write};

use super::age;
use super::table::Table;
use crate::admin::{FleetReport, RoundTripReport, TargetReport, VantageReport, VoteReport};

/// The fleet as the node sees it, vantage by vantage.
pub(super) fn write_fleet(out: &mut dyn Write, fleet: &FleetReport) -> io::Result<()> {
    let FleetReport { name, link, is_connected, state, zones, zones_refused, refused, .. } = fleet;
    let engine = if *is_connected { "" } else { ", the engine is gone" };
    let zones = zones.map_or_else(
        || "zone files of its own".to_owned(),
        |version| format!("version {version} of the zone files"),
    );
    writeln!(out, "fleet: {name} is {link}{engine}; {zones}; state {state}")?;
    if let Some((version, why)) = zones_refused {
        let why = why.lines().next().unwrap_or_default();
        writeln!(out, "refused: version {version} of the zone files: {why}")?;
    }
    if *refused > 0 {
        writeln!(out, "not believed: {refused} frames of votes; the log says why")?;
    }
    writeln!(out)?;
    let mut table = Table::new(&["VANTAGE", "GROUP", "", "STATE", "HEARD", "VOTES", "CAME TO"]);
    for vantage in &fleet.vantages {
        let VantageReport { name, group, is_node, state, age_secs, votes, hash, .. } = vantage;
        let kind = if *is_node { "node" } else { "" };
        let others = if vantage.has_our_targets { "" } else { " (other targets)" };
        table.row([
            name.clone(),
            group.clone(),
            kind.to_owned(),
            state.clone(),
            format!("{} ago", age(*age_secs)),
            format!("{votes}{others}"),
            hash.clone().unwrap_or_default(),
        ]);
    }
    table.write(out, "")?;
    if fleet.round_trips.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&["ROUND TRIP FROM", "TO", "ZONE", "TAKES"]);
    for RoundTripReport { group, zone, region, ms } in &fleet.round_trips {
        table.row([group.clone(), region.clone(), zone.clone(), format!("{ms:.1} ms")]);
    }
    table.write(out, "")
}

/// What each vantage says of each target.
pub(super) fn write_votes(out: &mut dyn Write, targets: &[TargetReport]) -> io::Result<()> {
    if targets.iter().all(|target| target.votes.is_empty()) {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&["TARGET", "VANTAGE", "VOTE", "HEARD", "TOOK", "WHY"]);
    for target in targets {
        for vote in &target.votes {
            let VoteReport { vantage, vote, age_secs, took_ms, reason, is_out } = vote;
            let out = is_out.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            table.row([
                target.target.clone(),
                vantage.clone(),
                format!("{vote}{out}"),
                format!("{} ago", age(*age_secs)),
                took_ms.map_or_else(String::new, |took| format!("{took} ms")),
                reason.clone().unwrap_or_default(),
            ]);
        }
    }
    table.write(out, "")
}
