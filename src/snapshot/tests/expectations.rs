//! Expectations as `check` runs them.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::geo::Atlas;
use crate::model::{Report, TargetHealth, Time};
use crate::snapshot::{Blueprint, Conditions, Snapshot, expect};
use crate::testing;

/// A zone with a region and a pool of each name, a rule that fails over through `pools`, and an
/// expectation. What is said about it.
fn findings(regions: &[&str], pools: &[&str], expectation: &str) -> Vec<String> {
    let mut text = "zone = 'example.test'\nnameservers = ['ns1.example.net.']\n".to_owned();
    for (n, name) in regions.iter().enumerate() {
        write!(
            text,
            "[regions.{name}]\nlocation = [0, {n}]\n\
             [pools.{name}]\nregion = '{name}'\nendpoints = [{{ address = '192.0.2.{n}' }}]\n"
        )
        .unwrap();
    }
    write!(text, "[steer.www]\npolicy = 'failover'\npools = {pools:?}\n{expectation}").unwrap();
    let zones = testing::zones(&[("example.test.toml", &text)]);
    let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
    let snapshot =
        Snapshot::compile(blueprint, 1, &Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED))
            .unwrap();
    let mut report = Report::new();
    report.add_source("example.test.toml", text);
    expect::check(&snapshot, &mut report);
    report.diagnostics().iter().map(|diagnostic| diagnostic.message.clone()).collect()
}

#[test]
fn the_fewest_regions_that_a_rule_does_not_survive_are_named() {
    let regions = ["a", "b", "c", "d"];
    let cases: [(&[&str], u8, Option<&str>); 6] = [
        (&["a", "b", "c"], 1, None),
        (&["a", "b", "c"], 2, None),
        (&["a", "b", "c"], 3, Some("`a` and `b` and `c`")),
        (&["d", "b"], 1, None),
        (&["d", "b"], 2, Some("`b` and `d`")),
        (&["c"], 2, Some("`c`")),
    ];
    for (pools, survives, lost) in cases {
        let expectation = format!("[[expect]]\nsurvives = {survives}\n");
        let message = |lost| {
            format!("expectation not met: www.example.test. does not survive the loss of {lost}")
        };
        let expected: Vec<_> = lost.map(message).into_iter().collect();
        assert_eq!(findings(&regions, pools, &expectation), expected, "{pools:?} {survives}");
    }
}

/// Of 60 regions there are 10¹⁷ sets of 30.
#[test]
fn the_loss_of_many_of_many_regions_is_decided_at_once() {
    let regions: Vec<_> = (0..60).map(|n| format!("r{n:02}")).collect();
    let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
    let expectation = "[[expect]]\nsurvives = 30\n";
    assert_eq!(findings(&regions, &regions[..31], expectation), [""; 0]);
    assert_eq!(findings(&regions, &regions[..30], expectation).len(), 1);
}

#[test]
fn records_of_any_type_can_be_expected() {
    let told = |qtype: &str, answer: &str| {
        let rule =
            "https = { alpn = ['h2'] }\nrecords = { TXT = '{pool}', MX = '10 {endpoint}.mx' }\n";
        let question = format!("name = 'www'\nfrom = '192.0.2.1'\ntype = '{qtype}'\n");
        let expectation = format!("{rule}[[expect]]\n{question}answer = {answer}\n");
        findings(&["a", "b"], &["a", "b"], &expectation).len()
    };
    for (qtype, answer, count) in [
        ("A", "'192.0.2.0'", 0),
        ("A", "'192.0.2.1'", 1),
        ("HTTPS", "'1 . alpn=h2 ipv4hint=192.0.2.0'", 0),
        ("HTTPS", "'1 . alpn=h3 ipv4hint=192.0.2.0'", 1),
        ("TXT", "['\"a\"']", 0),
        ("TXT", "['\"a\"', '\"b\"']", 1),
        ("MX", "'10 192\\.0\\.2\\.0.mx'", 1),
        ("MX", "'10 192.0.2.0.mx'", 0),
    ] {
        assert_eq!(told(qtype, answer), count, "{qtype} {answer}");
    }
}
