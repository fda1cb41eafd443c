//! `status`: what a running node knows of every target.

use std::io::{self, Write};

use super::table::Table;
use super::{Console, Exit, Failure, StatusArguments, ask, write_json};
use crate::admin::StatusReport;
use crate::load::Place;

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
    let zones = report.zones.len();
    writeln!(out, "windrose {}, snapshot {}, {zones} zones", report.version, report.generation)?;
    if report.reloads_refused > 0 {
        writeln!(out, "{} reloads were refused; the log says why", report.reloads_refused)?;
    }
    if report.targets.is_empty() {
        return writeln!(out, "no target is probed");
    }
    let mut table =
        Table::new(&["VERDICT", "SINCE", "TARGET", "LAST PROBE", "SEEN", "DOUBTS", "ENDPOINTS"]);
    for target in &report.targets {
        let restored = if target.is_restored { " (from the last run)" } else { "" };
        table.row([
            format!("{}{restored}", target.verdict),
            age(target.age_secs),
            target.target.clone(),
            target.last.clone().unwrap_or_else(|| "-".to_owned()),
            target.seen_secs.map_or_else(|| "-".to_owned(), |secs| format!("{} ago", age(secs))),
            target.doubts.clone().unwrap_or_else(|| "-".to_owned()),
            target.endpoints.join(", "),
        ]);
    }
    table.write(out, "")
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
