//! Any packet to a zone that has some of everything: static records, wildcards, aliases, delegations, and
//! names that rules steer in every way.
//!
//! The first octet says which way the packet comes; the rest is the packet.

use std::sync::LazyLock;

use windrose::config;
use windrose::model::Report;
use windrose::snapshot::Snapshot;
use windrose::snapshot::gate::{Gate, SECRET_LEN};

use super::answer::{SERVER_ID, Way, ask, judge_by_hickory};
use super::zones::{Files, compile};

/// The zone of the unit tests of `dns`.
const FILES: &[(&str, &str)] = &[
    ("example.test.toml", include_str!("../../../src/dns/tests/example.test.toml")),
    ("example.test.zone", include_str!("../../../src/dns/tests/example.test.zone")),
];

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let mut report = Report::new();
    let zones = config::read_zones(&mut report, &Files(FILES));
    assert!(!report.has_errors(), "{report}");
    compile(zones).with_gate(Gate {
        server_id: SERVER_ID.into(),
        server_version: "windrose".into(),
        cookie_secrets: vec![[7; SECRET_LEN]],
        ..Gate::default()
    })
});

/// Answers it.
pub fn check(data: &[u8]) {
    if let Some((way, packet)) = data.split_first() {
        answer(packet, Way::of(*way));
    }
}

/// Answers `packet`, and returns the response code.
pub(super) fn answer(packet: &[u8], way: Way) -> u16 {
    let (outcome, reply) = ask(&SNAPSHOT, packet, way);
    let again = ask(&SNAPSHOT, packet, way);
    assert_eq!((outcome, &reply), (again.0, &again.1), "the same question, the same answer");
    judge_by_hickory(packet, &outcome, &reply);
    outcome.rcode.0
}
