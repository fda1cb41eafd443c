//! `status`: what a running node knows of every target.

use std::io::{self, Write};

use super::fleet;
use super::table::Table;
use super::{Console, Exit, Failure, StatusArguments, age, ask, counted, write_json};
use crate::admin::{
    AliasReport, CapacityReport, OperatorsReport, ProbingReport, SaidReport, SplitReport,
    StatusReport, TargetReport, WaitingReport,
};
use crate::load::Place;
use crate::model::Verdict;

pub(super) fn run(
    console: &mut Console<'_>,
    place: &Place,
    arguments: &StatusArguments,
) -> Result<Exit, Failure> {
    let nothing = serde_json::Map::new();
    let report: StatusReport = ask(console, place, arguments.server, "/v1/status", &nothing)?;
    if arguments.json {
        return write_json(console, &report);
    }
    write_report(console.out, &report)?;
    Ok(Exit::Fine)
}

fn write_report(out: &mut dyn Write, report: &StatusReport) -> io::Result<()> {
    let StatusReport { version, generation, zones, reloads_refused, .. } = report;
    let StatusReport { operators, loads, capacities, aliases, targets, .. } = report;
    let zones = counted(zones.len(), "zone");
    writeln!(out, "windrose {version}, snapshot {generation} of {zones}; {}", verdicts(targets))?;
    if *reloads_refused > 0 {
        let reloads = usize::try_from(*reloads_refused).unwrap_or(usize::MAX);
        writeln!(out, "refused: {}; the log says why", counted(reloads, "reload"))?;
    }
    if let Some(why) = &report.impaired {
        writeln!(
            out,
            "this vantage does not trust itself: {why}; it holds nothing against targets"
        )?;
    }
    write_probing(out, report.probing.as_ref())?;
    if let Some(fleet) = &report.fleet {
        fleet::write_fleet(out, fleet)?;
    }
    write_operators(out, operators)?;
    write_loads(out, loads)?;
    write_capacities(out, capacities)?;
    write_aliases(out, aliases)?;
    if targets.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table =
        Table::new(&["VERDICT", "SINCE", "ENDPOINTS", "TARGET", "LAST PROBE", "DOUBTS"]);
    for target in targets {
        let last = match (&target.last, target.seen_secs) {
            (Some(last), Some(secs)) => format!("{last}, {} ago", age(secs)),
            (Some(last), None) => last.clone(),
            (None, _) if target.is_restored => "in the last run".to_owned(),
            (None, _) => "none yet".to_owned(),
        };
        table.row([
            verdict(target),
            age(target.age_secs),
            target.endpoints.join(", "),
            target.target.clone(),
            last,
            target.degraded_by.iter().chain(&target.doubts).cloned().collect::<Vec<_>>().join(", "),
        ]);
    }
    table.write(out, "")?;
    fleet::write_votes(out, targets)
}

/// What the schedule of probes does, in a line.
fn write_probing(out: &mut dyn Write, probing: Option<&ProbingReport>) -> io::Result<()> {
    let Some(probing) = probing else { return Ok(()) };
    let ProbingReport { ordinary_per_sec, reserve_per_sec, in_flight, room, waiting, .. } = probing;
    write!(out, "{ordinary_per_sec:.1} probes a second and {reserve_per_sec:.0} in reserve")?;
    write!(out, ", {in_flight} of {room} under way")?;
    if let Some(millis) = probing.lag_p99_millis {
        write!(out, ", started within {millis} ms")?;
    }
    if *waiting > 0 {
        write!(out, ", {waiting} WAIT FOR ROOM (`in-flight`)")?;
    }
    if probing.dropped > 0 {
        write!(out, ", {} extra ones left out", probing.dropped)?;
    }
    writeln!(out)
}

/// What operators say, with what probes say beside it, and what waits for them.
fn write_operators(out: &mut dyn Write, operators: &OperatorsReport) -> io::Result<()> {
    let OperatorsReport { freeze, overrides, waiting } = operators;
    if let Some(SaidReport { author, reason, age_secs, ends_in_secs }) = freeze {
        let ends = ends_in_secs.map(|secs| format!(", for {} more", age(secs)));
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let (since, ends) = (age(*age_secs), ends.unwrap_or_default());
        writeln!(
            out,
            "frozen by {author} {since} ago{ends}{reason}; answers do not follow health"
        )?;
    }
    if !overrides.is_empty() {
        writeln!(out)?;
        let head = ["OVERRIDE", "OF", "ZONE", "PROBES SAY", "BY", "SINCE", "ENDS IN", "REASON"];
        let mut table = Table::new(&head);
        for one in overrides {
            let SaidReport { author, reason, age_secs, ends_in_secs } = &one.said;
            table.row([
                one.kind.clone(),
                one.what.clone(),
                one.zone.clone(),
                one.probes_say.clone().unwrap_or_else(|| "not in the zone".to_owned()),
                author.clone(),
                age(*age_secs),
                ends_in_secs.map_or_else(|| "-".to_owned(), age),
                reason.clone(),
            ]);
        }
        table.write(out, "")?;
    }
    if !waiting.is_empty() {
        writeln!(out)?;
        let mut table = Table::new(&["WAITS", "ZONE", "USABLE FOR", "NOT USED BY"]);
        for WaitingReport { zone, pool, usable_secs, steers } in waiting {
            let steer = |(owner, left): &(String, Option<u64>)| match left {
                Some(secs) => format!("{owner} for {} more", age(*secs)),
                None => format!("{owner} until `windrose failback {pool}`"),
            };
            let steers = steers.iter().map(steer).collect::<Vec<_>>().join(", ");
            table.row([pool.clone(), zone.clone(), age(*usable_secs), steers]);
        }
        table.write(out, "")?;
    }
    Ok(())
}

/// What is split by load, with what it is by static weights.
fn write_loads(out: &mut dyn Write, loads: &[SplitReport]) -> io::Result<()> {
    if loads.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table =
        Table::new(&["SPLIT BY LOAD", "ZONE", "PART", "SHARE", "STATIC", "LOAD", "ERRORS", "AGE"]);
    for SplitReport { zone, of, parts } in loads {
        for part in parts {
            let shown =
                |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |n| format!("{n:.2}"));
            let is_down = if part.is_usable { "" } else { " (not usable)" };
            table.row([
                of.clone(),
                zone.clone(),
                format!("{}{is_down}", part.name),
                format!("{:.1}%", part.share),
                format!("{:.1}%", part.static_share),
                shown(part.load),
                shown(part.errors.filter(|errors| *errors > 0.0)),
                part.age_secs.map_or_else(|| "-".to_owned(), age),
            ]);
        }
    }
    table.write(out, "")
}

/// What comes to pools that can carry only so much.
fn write_capacities(out: &mut dyn Write, capacities: &[CapacityReport]) -> io::Result<()> {
    if capacities.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&["POOL", "ZONE", "GETS", "ROOM FOR", ""]);
    for CapacityReport { zone, pool, gets, room, errors_leave, is_overloaded } in capacities {
        let overload = is_overloaded.then(|| "OVERLOAD".to_owned());
        let errors = errors_leave.map(|percent| format!("errors leave it {percent} % of its room"));
        let notes: Vec<String> = overload.into_iter().chain(errors).collect();
        let (gets, room) = (gets.to_string(), room.to_string());
        table.row([pool.clone(), zone.clone(), gets, room, notes.join(", ")]);
    }
    table.write(out, "")
}

/// Where the hosts are that endpoints are aliases of.
fn write_aliases(out: &mut dyn Write, aliases: &[AliasReport]) -> io::Result<()> {
    if aliases.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&["ALIAS OF", "ENDPOINTS", "ADDRESSES", "FOR", "TROUBLE"]);
    for AliasReport { host, endpoints, addresses, ends_in_secs, is_stale, trouble } in aliases {
        let addresses = match addresses.as_deref() {
            None => "not found yet".to_owned(),
            Some([]) => "none".to_owned(),
            Some(addresses) => addresses.join(" "),
        };
        let out_of_date = if *is_stale { ", out of date" } else { "" };
        let ends = ends_in_secs.map_or_else(|| "-".to_owned(), age);
        let trouble = trouble.clone().unwrap_or_default();
        let endpoints = endpoints.join(", ");
        table.row([host.clone(), endpoints, addresses, format!("{ends}{out_of_date}"), trouble]);
    }
    table.write(out, "")
}

/// `up`, or `up, down from fra`
fn verdict(target: &TargetReport) -> String {
    let TargetReport { verdict, down_from, .. } = target;
    match &down_from[..] {
        [] => verdict.clone(),
        groups => format!("{verdict}, down from {}", groups.join(" and ")),
    }
}

/// `5 targets: 3 up, 2 down`
fn verdicts(targets: &[TargetReport]) -> String {
    let count = |verdict: Verdict| {
        let with_it = targets.iter().filter(|target| target.verdict == verdict.word()).count();
        (with_it > 0).then(|| format!("{with_it} {verdict}"))
    };
    let verdicts = [Verdict::Up, Verdict::Degraded, Verdict::Down, Verdict::Unknown];
    let counts: Vec<String> = verdicts.into_iter().filter_map(count).collect();
    match &counts[..] {
        [] => "no target is probed".to_owned(),
        counts => format!("{}: {}", counted(targets.len(), "target"), counts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{OverrideReport, PartReport};

    fn said(author: &str, reason: &str, ends_in_secs: Option<u64>) -> SaidReport {
        let (author, reason) = (author.to_owned(), reason.to_owned());
        SaidReport { author, reason, age_secs: 190, ends_in_secs }
    }

    fn target(name: &str, verdict: &str, age_secs: u64) -> TargetReport {
        TargetReport {
            target: format!("http 192.0.2.{name}:80 /healthz"),
            endpoints: vec![format!("example.com. web-eu/eu-{name}")],
            verdict: verdict.to_owned(),
            down_from: Vec::new(),
            age_secs,
            seen_secs: Some(2),
            last: Some("12.0 ms".to_owned()),
            degraded_by: Vec::new(),
            doubts: None,
            is_restored: false,
            votes: Vec::new(),
        }
    }

    fn part(name: &str, share: f64, load: Option<f64>) -> PartReport {
        PartReport {
            name: name.to_owned(),
            share,
            static_share: 50.0,
            is_usable: load.is_some(),
            load,
            errors: load.map(|_| 0.0),
            age_secs: load.map(|_| 4),
        }
    }

    #[test]
    fn a_report_says_what_is_down_and_since_when() {
        let down = TargetReport {
            last: Some("timeout".to_owned()),
            doubts: Some("1 success in a row".to_owned()),
            ..target("2", "down", 200)
        };
        let parted = TargetReport { down_from: vec!["fra".to_owned()], ..target("1", "up", 7300) };
        let restored = TargetReport {
            seen_secs: None,
            last: None,
            is_restored: true,
            ..target("3", "up", 90_000)
        };
        let report = StatusReport {
            version: "1.2.3".to_owned(),
            generation: 7,
            zones: vec!["example.com.".to_owned()],
            reloads_refused: 1,
            impaired: Some("too few of its anchors answer".to_owned()),
            fleet: None,
            operators: OperatorsReport {
                freeze: Some(said("ann", "incident 7", Some(1500))),
                overrides: vec![
                    OverrideReport {
                        zone: "example.com.".to_owned(),
                        what: "region eu-west".to_owned(),
                        kind: "drain".to_owned(),
                        said: said("bob", "new kernel", Some(590)),
                        probes_say: Some("1 up, 1 down".to_owned()),
                    },
                    OverrideReport {
                        zone: "example.com.".to_owned(),
                        what: "endpoint web-eu/eu-9".to_owned(),
                        kind: "force-up".to_owned(),
                        said: said("ann", "", None),
                        probes_say: None,
                    },
                ],
                waiting: vec![WaitingReport {
                    zone: "example.com.".to_owned(),
                    pool: "web-us".to_owned(),
                    usable_secs: 65,
                    steers: vec![
                        ("www.example.com.".to_owned(), None),
                        ("api.example.com.".to_owned(), Some(55)),
                    ],
                }],
            },
            capacities: [(900, false), (1100, true)]
                .map(|(gets, is_overloaded)| CapacityReport {
                    zone: "example.com.".to_owned(),
                    pool: "web-eu".to_owned(),
                    gets,
                    room: 1000,
                    errors_leave: is_overloaded.then_some(36),
                    is_overloaded,
                })
                .into(),
            loads: vec![SplitReport {
                zone: "example.com.".to_owned(),
                of: "steer www.example.com.".to_owned(),
                parts: vec![part("web-eu", 41.25, Some(0.91)), part("web-us", 58.75, None)],
            }],
            aliases: vec![
                AliasReport {
                    host: "lb.vendor.example.".to_owned(),
                    endpoints: vec!["example.com. web-eu/lb".to_owned()],
                    addresses: Some(vec!["192.0.2.7".to_owned(), "2001:db8::7".to_owned()]),
                    ends_in_secs: Some(25),
                    is_stale: true,
                    trouble: Some("request timed out".to_owned()),
                },
                AliasReport {
                    host: "new.vendor.example.".to_owned(),
                    endpoints: vec!["example.com. web-us/new".to_owned()],
                    addresses: None,
                    ends_in_secs: None,
                    is_stale: false,
                    trouble: None,
                },
            ],
            probing: Some(ProbingReport {
                ordinary_per_sec: 0.3,
                reserve_per_sec: 100.0,
                in_flight: 1,
                room: 512,
                waiting: 0,
                dropped: 2,
                lag_p99_millis: Some(10),
            }),
            targets: vec![parted, down, restored],
        };
        let mut out = Vec::new();
        write_report(&mut out, &report).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_node_without_checks_says_so() {
        assert_eq!(verdicts(&[]), "no target is probed");
    }
}
