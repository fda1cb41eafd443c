//! Tests that a zone carries with it: its `[[expect]]` blocks.
//!
//! They are run by `check` and before every activation, against the zone as it would be served, with
//! every endpoint taken for up but those that a block takes down. What fails is said with what is
//! answered instead and why.

use std::collections::BTreeSet;

use super::compile::Carried;
use super::explain::{Decided, Question, decide, named_by, pools_of, with_outages};
use super::find::{Found, QueryName};
use super::record::SteeredRecords;
use super::{Snapshot, ZoneState};
use crate::model::names::Flags;
use crate::model::topology::{AnswerClaim, Claim, Expectation, Outage, Want};
use crate::model::{
    Diagnostic, EndpointHealth, Prefix, RecordType, RegionId, Report, Span, Time, Zone,
};
use crate::steer::{Family, Outline, Pasts, Preference, Scene, Selected, Why, select};

/// Runs every expectation of every zone; findings go to `report`.
pub fn check(snapshot: &Snapshot, report: &mut Report) {
    check_all(snapshot, None, report);
}

/// Runs those that may come out otherwise than they did with `before`, where all were met.
pub fn check_next(snapshot: &Snapshot, before: &Snapshot, report: &mut Report) {
    let carried = Carried::new(&snapshot.fixed.blueprint, &before.fixed.blueprint);
    check_all(snapshot, carried.filter(|carried| carried.has_same_names).as_ref(), report);
}

fn check_all(snapshot: &Snapshot, carried: Option<&Carried>, report: &mut Report) {
    let is_same = |zone| carried.is_some_and(|carried| carried.place(zone).is_some());
    for (place, zone) in snapshot.zones().iter().enumerate() {
        let mut found = Vec::new();
        for Expectation { span, claim } in &zone.expectations {
            found.extend(match claim {
                Claim::Survives(_) if is_same(place) => None,
                Claim::Survives(count) => {
                    check_survives(snapshot, place, usize::from(*count), *span)
                }
                Claim::Answer(claim) => {
                    let name = QueryName::parse(claim.name.as_wire());
                    let found = name.map(|name| snapshot.names().find(&name, claim.qtype));
                    // Another of our zones may be the one that answers.
                    if is_same(place) && found.as_ref().and_then(zone_of).is_some_and(is_same) {
                        None
                    } else {
                        check_answer(snapshot, zone, claim, found, *span)
                    }
                }
            });
        }
        if !found.is_empty() {
            let moved = report.add_sources(&zone.written);
            found.into_iter().for_each(|found| report.push(found.moved(moved)));
        }
    }
}

/// The zone that answers.
const fn zone_of(found: &Found<'_>) -> Option<usize> {
    match found {
        Found::NotOurs => None,
        Found::Name(record) | Found::Referral(record) | Found::Dname(record) => Some(record.zone()),
        Found::NxDomain(zone) => Some(*zone),
    }
}

fn check_answer(
    snapshot: &Snapshot,
    zone: &Zone,
    claim: &AnswerClaim,
    found: Option<Found<'_>>,
    span: Span,
) -> Option<Diagnostic> {
    let asked = format!("{} {} from {}", claim.name, claim.qtype, claim.from);
    let fail = |instead: String| {
        Diagnostic::error(span, format!("expectation not met: {asked}"))
            .label(format!("want {}, {instead}", want_text(zone, &claim.want)))
    };
    match found {
        Some(Found::Name(record))
            if record.flags().has(Flags::STEERED) && record.rrset(claim.qtype).is_none() =>
        {
            let question = Question {
                name: &claim.name,
                qtype: claim.qtype,
                client: Prefix::host(claim.from),
                down: &claim.down,
                random: 0,
            };
            let rule = snapshot.rule(snapshot.rule_of(record));
            let Some(column) = rule.column_of(claim.qtype) else {
                return Some(fail("but the rule has no records of that type".to_owned()));
            };
            let all_up = ZoneState::all_up(snapshot.zone(rule.source.zone));
            let decided = decide(snapshot, &question, rule, column, &all_up);
            let is_met = is_met(&decided, &claim.want);
            (!is_met).then(|| fail(answered_text(&decided)).hint(hint_of(&decided)))
        }
        Some(Found::Name(record)) => {
            let rrset = record.rrset(claim.qtype);
            let own = rrset.map(|rrset| crate::zone::unfold(record.name(), rrset));
            let own = own.unwrap_or_default().into_iter();
            let answered: Vec<_> = own.map(|(_, rdata)| (claim.qtype, rdata)).collect();
            let instead = || format!("but the zone's own records say {}", list(&answered));
            (!is_same(&answered, &claim.want)).then(|| fail(instead()))
        }
        Some(Found::NxDomain(_)) => Some(fail("but the name does not exist".to_owned())),
        _ => Some(fail("but this zone does not answer for the name".to_owned())),
    }
}

/// Whether what may be drawn is all as wanted: an expectation must hold whatever the draw.
fn is_met(decided: &Decided<'_>, want: &Want) -> bool {
    let zone = decided.zone;
    match (want, &decided.choice.selection.selected) {
        (Want::Region(region), Selected::Among(_)) => {
            decided.pools().iter().all(|pool| zone.pools[pool.index()].region == *region)
        }
        (Want::Pool(wanted), Selected::Among(_)) => {
            decided.pools().iter().all(|pool| pool == wanted)
        }
        (Want::Records(_), Selected::Among(_)) => is_same(&records_of(decided), want),
        (Want::Records(_), Selected::Host(_)) => is_same(&records_of(decided), want),
        (Want::Records(wanted), Selected::NoData) => wanted.is_empty(),
        _ => false,
    }
}

fn is_same(answered: &[(RecordType, Vec<u8>)], want: &Want) -> bool {
    let Want::Records(wanted) = want else { return false };
    // A host name is the same in any case; other data is compared as it stands.
    let folded = |records: &[(RecordType, Vec<u8>)]| {
        let one = |(rtype, rdata): &(RecordType, Vec<u8>)| match *rtype {
            RecordType::CNAME => (rtype.0, rdata.to_ascii_lowercase()),
            _ => (rtype.0, rdata.clone()),
        };
        let mut records: Vec<_> = records.iter().map(one).collect();
        records.sort();
        records
    };
    folded(answered) == folded(wanted)
}

/// What an answer names, by type and data.
fn records_of(decided: &Decided<'_>) -> Vec<(RecordType, Vec<u8>)> {
    let records = decided.records();
    let parts = records.iter().flat_map(SteeredRecords::parts);
    parts.map(|(rtype, rdata)| (rtype, rdata.to_vec())).collect()
}

fn want_text(zone: &Zone, want: &Want) -> String {
    match want {
        Want::Region(region) => format!("region `{}`", zone.regions[region.index()].name),
        Want::Pool(pool) => format!("pool `{}`", zone.pools[pool.index()].name),
        Want::Records(records) => list(records),
    }
}

fn list(records: &[(RecordType, Vec<u8>)]) -> String {
    if records.is_empty() {
        return "nothing".to_owned();
    }
    let text = |(rtype, rdata): &(RecordType, Vec<u8>)| crate::zone::rdata_to_text(*rtype, rdata);
    records.iter().map(text).collect::<Vec<_>>().join(" and ")
}

/// `but the answer is from pool `web-us` in region `us-east``.
fn answered_text(decided: &Decided<'_>) -> String {
    let zone = decided.zone;
    match &decided.choice.selection.selected {
        Selected::Among(_) => {
            let pools = decided.pools().into_iter().map(|pool| {
                let pool = &zone.pools[pool.index()];
                format!(
                    "pool `{}` in region `{}`",
                    pool.name,
                    zone.regions[pool.region.index()].name
                )
            });
            let pools = pools.collect::<Vec<_>>().join(" or ");
            let records: Vec<String> =
                decided.records().iter().flat_map(|own| own.data().collect::<Vec<_>>()).collect();
            if records.is_empty() {
                return format!("but the answer is an alias of {pools}");
            }
            format!("but the answer is {} of {pools}", records.join(" and "))
        }
        Selected::Host(name) => format!("but the answer is a CNAME to {name}"),
        Selected::NoData => "but the answer has no data".to_owned(),
        Selected::ServFail => "but the answer is SERVFAIL".to_owned(),
    }
}

fn hint_of(decided: &Decided<'_>) -> String {
    let named = named_by(decided.outline.rule(decided.zone), decided.preference);
    let clause = named
        .map_or_else(String::new, |what| format!("{what} of the rule applies to that client; "));
    format!("{clause}{}; ask `windrose explain` for the whole story", decided.choice.selection.why)
}

/// Any `count` regions may fail at once, and every class of every rule still gets an endpoint that is
/// not in them.
fn check_survives(
    snapshot: &Snapshot,
    zone_place: usize,
    count: usize,
    span: Span,
) -> Option<Diagnostic> {
    let zone = snapshot.zone(zone_place);
    let fatal = snapshot.rules_of(zone_place).find_map(|rule| {
        let outline = &rule.source.outline;
        let classes = rule.source.map.preferences.iter();
        let families = || (0..rule.column_count()).map(|column| rule.family(column));
        let mut cases = classes.flat_map(|class| families().map(move |family| (class, family)));
        let regions = cases.find_map(|(class, f)| fatal_regions(zone, outline, class, f, count))?;
        Some((outline.rule(zone), regions))
    });
    let (steer, regions) = fatal?;
    let names: Vec<&str> =
        regions.iter().map(|region| zone.regions[region.index()].name.as_str()).collect();
    let down = names.join("` and `");
    let message =
        format!("expectation not met: {} does not survive the loss of `{down}`", steer.owner);
    let error = Diagnostic::error(span, message)
        .label(format!("with `{down}` down, some clients have no live endpoint left"));
    Some(error.hint("give the rule a pool in another region, or the `where` clause more pools"))
}

/// The fewest regions whose loss leaves a class without a live endpoint, unless they are more than
/// `count`. What is answered with some of them down must fail, too: following that meets each of them
/// once and no other, where trying all sets of regions would take for ever.
fn fatal_regions(
    zone: &Zone,
    outline: &Outline,
    class: &Preference,
    family: Family,
    count: usize,
) -> Option<BTreeSet<RegionId>> {
    let all_up = vec![EndpointHealth::default(); zone.endpoints.len()];
    let mut regions = BTreeSet::new();
    while regions.len() <= count {
        let outages: Vec<Outage> = regions.iter().copied().map(Outage::Region).collect();
        let health = with_outages(zone, &all_up, &outages);
        let scene = Scene::new(zone, &|id| health[id.index()], &Pasts::default(), Time::ZERO);
        let selection = select(zone, outline, class, &scene, family);
        match selection.selected {
            _ if selection.why == Why::AllDown => return Some(regions),
            Selected::Among(_) => {
                let pools = pools_of(zone, &selection);
                regions.extend(pools.iter().map(|pool| zone.pools[pool.index()].region));
            }
            Selected::Host(_) | Selected::NoData | Selected::ServFail => return None,
        }
    }
    None
}
