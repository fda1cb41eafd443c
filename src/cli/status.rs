//! `status`: what a running node knows of every target.

use std::io::{self, Write};

use super::table::Table;
use super::{Console, Exit, Failure, StatusArguments, ask, counted, write_json};
use crate::admin::{StatusReport, TargetReport};
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
    let StatusReport { version, generation, zones, reloads_refused, targets } = report;
    let zones = counted(zones.len(), "zone");
    writeln!(out, "windrose {version}, snapshot {generation} of {zones}; {}", verdicts(targets))?;
    if *reloads_refused > 0 {
        let reloads = usize::try_from(*reloads_refused).unwrap_or(usize::MAX);
        writeln!(out, "refused: {}; the log says why", counted(reloads, "reload"))?;
    }
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
            target.verdict.clone(),
            age(target.age_secs),
            target.endpoints.join(", "),
            target.target.clone(),
            last,
            target.doubts.clone().unwrap_or_default(),
        ]);
    }
    table.write(out, "")
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

/// `7s`, `3m`, `5h`, `12d`: the largest unit, rounded down.
fn age(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86400 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, verdict: &str, age_secs: u64) -> TargetReport {
        TargetReport {
            target: format!("http 192.0.2.{name}:80 /healthz"),
            endpoints: vec![format!("example.com. web-eu/eu-{name}")],
            verdict: verdict.to_owned(),
            age_secs,
            seen_secs: Some(2),
            last: Some("12.0 ms".to_owned()),
            doubts: None,
            is_restored: false,
        }
    }

    #[test]
    fn a_report_says_what_is_down_and_since_when() {
        let down = TargetReport {
            last: Some("timeout".to_owned()),
            doubts: Some("1 success in a row".to_owned()),
            ..target("2", "down", 200)
        };
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
            targets: vec![target("1", "up", 7300), down, restored],
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
