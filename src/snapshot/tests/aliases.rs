//! From what was found of hosts to records.

use std::sync::Arc;

use crate::geo::Atlas;
use crate::model::{Aliases, Found, TargetHealth, Time};
use crate::snapshot::rules::Answer;
use crate::snapshot::{Blueprint, Conditions, Snapshot};
use crate::steer::Draw;
use crate::testing;

const ZONE: &str = r#"
zone = "t"
nameservers = ["ns.example.net."]
[regions.eu]
location = "IE"
[pools.eu]
region = "eu"
endpoints = [{ alias = "lb.example.net." }]
[pools.us]
region = "eu"
endpoints = [{ address = "198.51.100.1" }]
[steer.www]
policy = "failover"
pools = ["eu", "us"]
https = { alpn = ["h2"] }
[steer.watched]
policy = "failover"
pools = ["eu"]
observe-only = true
[steer.other]
policy = "failover"
pools = ["us"]
"#;

fn at(secs: u64) -> Conditions<'static> {
    Conditions::new(Time::from_secs(secs), &|_| TargetHealth::UNCHECKED)
}

fn found(v4: &[&str], v6: &[&str], until: u64) -> Arc<Aliases> {
    let found = Found {
        v4: v4.iter().map(|address| address.parse().unwrap()).collect(),
        v6: v6.iter().map(|address| address.parse().unwrap()).collect(),
        until: Some(Time::from_secs(until)),
        is_stale: false,
    };
    Arc::new(Aliases::from([("lb.example.net.".parse().unwrap(), Arc::new(found))]))
}

fn blueprint() -> Blueprint {
    let zones = testing::zones(&[("t.toml", ZONE)]);
    Blueprint { zones, atlas: Arc::new(Atlas::empty()) }
}

/// The data of one answer.
fn drawn(answer: &Answer) -> Vec<String> {
    let mut data = Vec::new();
    answer.draw(Draw { random: 0, turn: 0, key: 0 }, &mut |own| data.extend(own.data()));
    data
}

/// Everything that a snapshot answers, type by type of each rule.
fn all(snapshot: &Snapshot) -> Vec<String> {
    let rules = snapshot.rules.iter();
    rules
        .flat_map(|rule| {
            (0..rule.column_count()).map(|column| {
                let (rtype, records) = (rule.rtype(column), drawn(rule.answer(0, column)));
                format!("{rtype}: {}", records.join(", "))
            })
        })
        .collect()
}

#[test]
fn answers_follow_what_is_found() {
    let start = Snapshot::compile(blueprint(), 1, &at(0)).unwrap();
    let host = "lb.example.net.".parse().unwrap();
    assert_eq!(start.alias_hosts(), [host].into());

    let nothing = Arc::default();
    let unknown = start.next(&at(1).with_aliases(&nothing)).expect("nobody had looked before");
    let elsewhere = "A: 198.51.100.1, AAAA: , HTTPS: 1 . alpn=h2 ipv4hint=198.51.100.1, A: , AAAA: , A: 198.51.100.1";
    assert_eq!(all(&unknown).join(", "), elsewhere);
    assert!(unknown.next(&at(2).with_aliases(&nothing)).is_none(), "nothing is new");

    let two = found(&["192.0.2.1", "192.0.2.2"], &["2001:db8::1"], 300);
    let known = unknown.next(&at(3).with_aliases(&two)).expect("something was found");
    assert_eq!(
        all(&known),
        [
            "A: 192.0.2.1, 192.0.2.2",
            "AAAA: 2001:db8::1",
            "HTTPS: 1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1",
            "A: 192.0.2.1, 192.0.2.2",
            "AAAA: 2001:db8::1",
            "A: 198.51.100.1",
        ]
    );
    assert!(Arc::ptr_eq(&known.rules[2], &unknown.rules[2]), "it does not lead there");
    // Nobody says what is known of hosts, or says the same: that stays.
    assert!(known.next(&at(4)).is_none() && known.next(&at(4).with_aliases(&two)).is_none());

    // It counts until when, too.
    let later = known.next(&at(5).with_aliases(&found(&["192.0.2.1"], &[], 400))).unwrap();
    let fresh =
        Snapshot::compile(blueprint(), 1, &at(5).with_aliases(&found(&["192.0.2.1"], &[], 400)));
    assert_eq!(all(&later), all(&fresh.unwrap()));

    let reloaded = known.compile_next(blueprint(), &at(6)).unwrap();
    assert_eq!(all(&reloaded), all(&known), "a reload knows what was known");
}
