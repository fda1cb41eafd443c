//! Any text as a zone file, or as a server file when it looks like one. A zone without errors is compiled if
//! that is cheap; then its expectations are run, and each name that it steers is asked for.

use std::sync::Arc;

use windrose::config::{self, ServerConfig};
use windrose::model::topology::Policy;
use windrose::model::{Report, Steer, Zone};
use windrose::snapshot::expect;

use super::answer::{Way, ask};
use super::zones::{Files, compile, judge_report};

/// A master file that a zone file may name.
const MASTER: &str = "$TTL 1h\n@ MX 10 mail\nmail A 192.0.2.25\nmail TXT \"static\"\n";
/// How many dear rules are compiled.
const DEAR_MAX: usize = 1;
/// How many steered names are asked for.
const ASKED_MAX: usize = 16;

/// Reads it.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if config::is_server_text(text) {
        let (report, server) = read_server(text);
        let (report_again, server_again) = read_server(text);
        assert_eq!((report.diagnostics(), &server), (report_again.diagnostics(), &server_again));
        assert_eq!(server.is_none(), report.has_errors(), "{report}");
        judge_report(&report);
        return;
    }
    let (mut report, zones) = read_zones(text);
    let (report_again, zones_again) = read_zones(text);
    assert_eq!((report.diagnostics(), &zones), (report_again.diagnostics(), &zones_again));
    let rules = zones.iter().flat_map(|zone| &zone.steers);
    if !report.has_errors() && rules.filter(|rule| is_dear(rule)).count() <= DEAR_MAX {
        judge_served(zones, &mut report);
    }
    judge_report(&report);
}

/// Whether it tells clients apart, by a table of all of them that takes milliseconds to make.
fn is_dear(rule: &Steer) -> bool {
    matches!(rule.policy, Policy::Nearest | Policy::Map) || !rule.wheres.is_empty()
}

fn read_server(text: &str) -> (Report, Option<ServerConfig>) {
    let mut report = Report::new();
    let source = report.add_source("windrose.toml", text);
    let server = config::read_server(&mut report, source);
    (report, server)
}

fn read_zones(text: &str) -> (Report, Vec<Arc<Zone>>) {
    let mut report = Report::new();
    let files = Files(&[("example.com.toml", text), ("static.zone", MASTER)]);
    let zones = config::read_zones(&mut report, &files);
    (report, zones)
}

fn judge_served(zones: Vec<Arc<Zone>>, report: &mut Report) {
    let snapshot = compile(zones);
    expect::check(&snapshot, report);
    let owners = snapshot.zones().iter().flat_map(|zone| &zone.steers).map(|steer| &steer.owner);
    for (n, owner) in owners.take(ASKED_MAX).enumerate() {
        for qtype in [1, 28, 65] {
            let mut packet = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            packet.extend_from_slice(owner.as_wire());
            packet.extend_from_slice(&[0, qtype, 0, 1]);
            packet.extend_from_slice(&[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 11]);
            packet.extend_from_slice(&[0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]);
            let way = Way::of(u8::try_from(n).expect("a few"));
            let (outcome, _) = ask(&snapshot, &packet, way);
            // No apex stands above a name that is not steered.
            assert!(!matches!(outcome.rcode.0, 1 | 3 | 5), "{owner}: {outcome:?}");
        }
    }
}
