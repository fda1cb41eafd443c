//! Any text as a master file: it is read or refused; what is read without errors is printed and read again
//! as the same, and what is a zone besides is compiled and asked for each of its records.

use std::sync::Arc;

use windrose::dns::Kind;
use windrose::model::{Name, Record, RecordType, Report, SourceId, Zone};
use windrose::zone::{self, NamesBuilder, rdata, rdata_to_text};

use super::answer::{Way, ask};
use super::wire;
use super::zones::{compile, judge_report};

/// How many records are asked for: one by one, of a text that is made by a machine.
const ASKED_MAX: usize = 64;

/// Reads it.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if generates_many(text) {
        return;
    }
    let (mut report, records) = read(text);
    let (report_again, records_again) = read(text);
    assert_eq!(records, records_again, "reading is deterministic");
    assert_eq!(report.diagnostics(), report_again.diagnostics());
    for record in &records {
        assert_eq!(rdata::check_wire(record.rtype, &record.rdata), Ok(()), "{record:?}");
        assert!(record.ttl < 1 << 31 && !record.rtype.is_meta(), "{record:?}");
    }
    if !report.has_errors() {
        judge_printed(&records);
        zone::check(&mut report, &apex(), None, &records);
        if !report.has_errors() {
            judge_served(&records);
        }
    }
    judge_report(&report);
}

/// Whether `$GENERATE` may make more than a few records of a few octets, which then take their time.
fn generates_many(text: &str) -> bool {
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    text.to_ascii_uppercase().contains("$GENERATE") && text.as_bytes().windows(3).any(is_number)
}

fn apex() -> Name {
    "example.test.".parse().expect("a name")
}

fn read(text: &str) -> (Report, Vec<Record>) {
    let files = [
        ("sub.zone", "$TTL 60\nwww A 192.0.2.80\n"),
        ("loop.zone", "$INCLUDE loop.zone\n"),
        ("broken.zone", "$TTL 60\nwww A 192.0.2.8O\n"),
        ("bare.zone", "  A 192.0.2.81\n"),
    ];
    let mut report = Report::new();
    let source = report.add_source("example.test.zone", text);
    let mut include = |report: &mut Report, path: &str| -> Result<SourceId, String> {
        let file = files.iter().find(|(name, _)| *name == path);
        file.map(|(name, text)| report.add_source(*name, *text))
            .ok_or_else(|| "no such file".into())
    };
    let records = zone::read_records(&mut report, source, &apex(), &mut include);
    (report, records)
}

/// Printed records are read as the same, without a finding.
fn judge_printed(records: &[Record]) {
    let line = |Record { owner, rtype, ttl, rdata, .. }: &Record| {
        format!("{owner} {ttl} {rtype} {}\n", rdata_to_text(*rtype, rdata))
    };
    let text: String = records.iter().map(line).collect();
    let (report, again) = read(&text);
    assert_eq!(report.diagnostics(), [], "{text}");
    // Names are compared as octets here: their case is kept.
    let parts = |record: &Record| {
        (record.owner.as_wire().to_vec(), record.rtype, record.ttl, record.rdata.clone())
    };
    let parts_of = |records: &[Record]| records.iter().map(parts).collect::<Vec<_>>();
    assert_eq!(parts_of(records), parts_of(&again), "{text}");
}

/// The zone is compiled, and each record is answered unless it is hidden.
fn judge_served(records: &[Record]) {
    let mut names = NamesBuilder::new(&apex());
    records.iter().for_each(|record| names.add(record.into()));
    let names = Arc::new(names.finish([]));
    let snapshot = compile(vec![Arc::new(Zone { names, ..Zone::empty(apex()) })]);
    for record in records.iter().take(ASKED_MAX) {
        let mut packet = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(record.owner.as_wire());
        packet.extend_from_slice(&record.rtype.0.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        let (outcome, reply) = ask(&snapshot, &packet, Way::TCP);
        if is_hidden(records, record) {
            assert!(matches!(outcome.kind, Kind::Static | Kind::Referral), "{record:?}");
            continue;
        }
        assert_eq!(outcome.kind, Kind::Static, "{record:?}");
        let is_same = |other: &&Record| other.owner == record.owner && other.rtype == record.rtype;
        let count = records.iter().filter(is_same).count();
        let answered = usize::from(wire::u16_at(&reply, 6));
        assert!(outcome.is_truncated || (1..=count).contains(&answered), "{record:?}");
    }
}

/// Whether a delegation or a DNAME stands above the record, or a delegation beside it.
fn is_hidden(records: &[Record], record: &Record) -> bool {
    records.iter().any(|other| {
        let is_same = other.owner == record.owner;
        let is_above = record.owner.is_at_or_below(&other.owner) && !is_same;
        match other.rtype {
            RecordType::NS => (is_above || is_same) && other.owner != apex(),
            RecordType::DNAME => is_above,
            _ => false,
        }
    })
}
