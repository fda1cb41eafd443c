//! Master files: what is read, and what is said about what cannot be.

use std::fmt::Write as _;

use proptest::prelude::*;
use windrose::model::{Name, Record, RecordType, Report, Severity, SourceId};
use windrose::zone::{self, compressible, rdata, rdata_to_text, read_records};

use crate::master_cases::{APEX_DATA, BROKEN, DATA, DOUBTFUL, FEATURES, IN_ORDER};

fn apex() -> Name {
    "example.com.".parse().expect("a name")
}

fn read(report: &mut Report, text: &str) -> Vec<Record> {
    let source = report.add_source("example.com.zone", text);
    let files = [
        ("sub.zone", "$TTL 60\nwww A 192.0.2.80\n"),
        ("loop.zone", "$INCLUDE loop.zone\n"),
        ("broken.zone", "$TTL 60\nwww A 192.0.2.8O\n"),
        ("bare.zone", "  A 192.0.2.81\n"),
    ];
    let mut include = |report: &mut Report, path: &str| -> Result<SourceId, String> {
        let file = files.iter().find(|(name, _)| *name == path);
        file.map(|(name, text)| report.add_source(*name, *text))
            .ok_or_else(|| "no such file".into())
    };
    read_records(report, source, &apex(), &mut include)
}

/// A record as one line, relative to nothing.
fn line(record: &Record) -> String {
    let Record { owner, rtype, ttl, rdata, .. } = record;
    format!("{owner} {ttl} {rtype} {}", rdata_to_text(*rtype, rdata))
}

/// Reads `text`, which has no fault, and compares the records.
fn check(feature: &str, text: &str, expected: &[&str]) {
    let mut report = Report::new();
    let lines: Vec<_> = read(&mut report, text).iter().map(line).collect();
    assert_eq!(report.diagnostics(), &[], "{feature}:\n{report}");
    assert_eq!(lines, expected, "{feature}");
}

#[test]
fn every_feature_of_master_files_is_read() {
    for (feature, text, expected) in FEATURES {
        check(feature, text, expected);
    }
}

#[test]
fn the_data_of_every_type_is_read_and_printed() {
    for (rtype, written, printed) in DATA {
        let feature = format!("{rtype} {written}");
        let expected = format!("x.example.com. 1 {rtype} {printed}");
        check(&feature, &format!("x 1 {rtype} {written}\n"), &[&expected]);
        check(&feature, &format!("x 1 {rtype} {printed}\n"), &[&expected]);
    }
}

#[test]
fn the_ttl_of_a_record_without_one_follows_rfc_2308() {
    let cases: &[(&str, &[&str])] = &[
        // RFC 1035 §5.1: the last one stated.
        (
            "a 5 A 192.0.2.1\nb A 192.0.2.2\nc 7 A 192.0.2.3\nd A 192.0.2.4\n",
            &[
                "a.example.com. 5 A 192.0.2.1",
                "b.example.com. 5 A 192.0.2.2",
                "c.example.com. 7 A 192.0.2.3",
                "d.example.com. 7 A 192.0.2.4",
            ],
        ),
        // RFC 1035 §3.3.13: the SOA's minimum.
        (
            "@ SOA a b 1 4h 1h 4w 900\na A 192.0.2.1\n",
            &[
                "example.com. 900 SOA a.example.com. b.example.com. 1 14400 3600 2419200 900",
                "a.example.com. 900 A 192.0.2.1",
            ],
        ),
    ];
    for (text, expected) in cases {
        let mut report = Report::new();
        let lines: Vec<_> = read(&mut report, text).iter().map(line).collect();
        assert_eq!(lines, *expected);
        assert_eq!(report.count(Severity::Warning), 1, "{report}");
        assert!(!report.has_errors(), "{report}");
    }
}

#[test]
fn every_error_is_shown_with_its_place_and_what_is_right() {
    let mut transcript = String::new();
    for (what, text) in BROKEN {
        let mut report = Report::new();
        let records = read(&mut report, text);
        assert!(report.has_errors(), "{what}");
        write!(transcript, "======== {what}; {} records read\n\n{report}", records.len())
            .expect("a String takes all");
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn reading_stops_after_many_errors() {
    let mut report = Report::new();
    let records = read(&mut report, &"x\n".repeat(100_000));
    assert_eq!(records, []);
    assert_eq!(report.count(Severity::Error), 201);
}

// ---- The zone as a whole ----

/// Checks the records of `text` and returns the report.
fn checked(text: &str) -> Report {
    let mut report = Report::new();
    let records = read(&mut report, text);
    assert_eq!(report.diagnostics(), &[], "{report}");
    zone::check(&mut report, &apex(), None, &records);
    report
}

#[test]
fn a_zone_in_order_has_no_findings() {
    let report = checked(&[APEX_DATA, IN_ORDER].concat());
    assert_eq!(report.diagnostics(), &[], "{report}");
}

#[test]
fn what_is_wrong_with_a_zone_is_shown_with_both_places() {
    let mut transcript = String::new();
    for (what, rest) in DOUBTFUL {
        write!(transcript, "======== {what}\n\n{}", checked(&[APEX_DATA, rest].concat()))
            .expect("a String takes all");
    }
    let whole = [
        ("no SOA, no NS", "www 300 A 192.0.2.1\n"),
        ("SOA times", "$TTL 1h\n@ SOA ns1 admin 1 1h 2h 3h 2d\n@ NS ns1.other.\n"),
    ];
    for (what, text) in whole {
        write!(transcript, "======== {what}\n\n{}", checked(text)).expect("a String takes all");
    }
    insta::assert_snapshot!(transcript);
}

// ---- Properties ----

/// Well-formed data of all types that have a text form.
fn wires() -> Vec<(RecordType, Box<[u8]>)> {
    let text: String =
        DATA.iter().map(|(rtype, data, _)| format!("x 1 {rtype} {data}\n")).collect();
    let records = read(&mut Report::new(), &text);
    assert_eq!(records.len(), DATA.len());
    records.into_iter().map(|record| (record.rtype, record.rdata)).collect()
}

/// Text made of pieces of master files, so that it gets further than noise would.
fn any_file() -> impl Strategy<Value = String> {
    let words = [
        "(",
        ")",
        "\"",
        "\\",
        "\n",
        "\n",
        "\n",
        " ",
        " ",
        ";",
        "\t",
        "\r\n",
        "@ ",
        "www ",
        "a.b.c. ",
        "IN ",
        "300 ",
        "1h ",
        "A ",
        "AAAA ",
        "TXT ",
        "SOA ",
        "HTTPS ",
        "LOC ",
        "APL ",
        "NSEC3 ",
        "CAA ",
        "HIP ",
        "IPSECKEY ",
        "TYPE65280 ",
        "DNSKEY ",
        "RRSIG ",
        "\\# ",
        "4 ",
        "01020304 ",
        "192.0.2.1 ",
        "::1 ",
        "10 ",
        "0 ",
        "1 ",
        ". ",
        "alpn=",
        "port=",
        "mandatory=",
        "key9=",
        ",",
        "h2",
        "\\032",
        "é",
        "\0",
        "=",
        "-",
        "!",
        ":",
        "/",
        "$TTL 60\n",
        "$ORIGIN a\n",
        "$INCLUDE sub.zone\n",
        "$INCLUDE loop.zone\n",
        "$INCLUDE bare.zone b\n",
        "\n$GENERATE 1-3 ",
        "$",
        "${0,3,n}",
        "${",
        "AQ== ",
        "52 22 23 N ",
        "4 53 E ",
    ];
    prop_oneof![
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..40)
            .prop_map(|words| words.concat()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(text in any_file()) {
        let mut report = Report::new();
        let records = read(&mut report, &text);
        prop_assert!(report.count(Severity::Error) <= 201);
        for record in &records {
            prop_assert!(rdata::check_wire(record.rtype, &record.rdata).is_ok(), "{:?}", record);
            prop_assert!(record.ttl < 1 << 31);
        }
        zone::check(&mut report, &apex(), None, &records);
        prop_assert!(report.to_string().len() >= report.diagnostics().len());
    }

    #[test]
    fn data_that_is_printed_is_read_as_the_same(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        more in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let wires = wires();
        let (rtype, wire) = which.get(&wires);
        let mut wire = wire.to_vec();
        for (at, octet) in changes.into_iter().filter(|_| !wire.is_empty()).collect::<Vec<_>>() {
            let at = at.index(wire.len());
            wire[at] = octet;
        }
        wire.extend(more);
        let text = rdata_to_text(*rtype, &wire);
        let mut report = Report::new();
        let records = read(&mut report, &format!("x 1 {rtype} {text}\n"));
        if rdata::check_wire(*rtype, &wire).is_ok() {
            prop_assert_eq!(report.diagnostics(), &[], "{}", report);
            prop_assert_eq!(&*records[0].rdata, &*wire, "{}", text);
        } else {
            prop_assert!(text.starts_with(r"\#"));
            prop_assert!(report.has_errors(), "{}", text);
        }
    }

    #[test]
    fn any_octets_are_printed(number in any::<u16>(), wire in prop::collection::vec(any::<u8>(), 0..80)) {
        let rtype = RecordType(number);
        prop_assert!(!rdata_to_text(rtype, &wire).contains('\n'));
    }
}

#[test]
fn only_the_names_of_rfc_1035_are_compressible() {
    let names_of = |rtype: &str| -> usize {
        let is_meant = |(known, _): &&(RecordType, _)| known.to_string() == rtype;
        let wires = wires();
        let (rtype, wire) = wires.iter().find(is_meant).expect("the type is in the table");
        let (fixed, names) = compressible(*rtype);
        let mut at = fixed;
        for _ in 0..names {
            at += Name::from_wire(&wire[at..]).expect("a name where the layout says").1;
        }
        names
    };
    let counts = [
        ("NS", 1),
        ("CNAME", 1),
        ("PTR", 1),
        ("MX", 1),
        ("MB", 1),
        ("MG", 1),
        ("MR", 1),
        ("MD", 1),
        ("MF", 1),
        ("SOA", 2),
        ("MINFO", 2),
        ("A", 0),
        ("TXT", 0),
        ("SRV", 0),
        ("DNAME", 0),
        ("NAPTR", 0),
        ("RP", 0),
        ("KX", 0),
        ("AFSDB", 0),
        ("RT", 0),
        ("PX", 0),
        ("HTTPS", 0),
        ("NSEC", 0),
    ];
    for (rtype, count) in counts {
        assert_eq!(names_of(rtype), count, "{rtype}");
    }
}
