//! What is down from some groups of vantages: who is answered otherwise, and that nobody is answered nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use crate::geo::writer::{Value, Writer};
use crate::geo::{Atlas, Database};
use crate::model::{
    Coordinates, DownFrom, Overrides, Prefix, Reach, RecordType, RegionId, Target, TargetHealth,
    Time, Verdict,
};
use crate::snapshot::explain::{Explanation, Question, explain};
use crate::snapshot::record::SteeredRecords;
use crate::snapshot::rules::{Answer, CompiledRule};
use crate::snapshot::{Blueprint, Conditions, Snapshot, targets_of};
use crate::steer::{Draw, Family};
use crate::testing;

/// Rules with geography and without over pools in three regions; words in capitals are filled in.
const ZONE: &str = r#"
zone = "t"
nameservers = ["ns.example.net."]
ttl = "60s"
[regions]
eu = { location = [50, 10] }
us = { location = [40, -90] }
ap = { location = [1, 104] }
[checks.web]
kind = "tcp"
port = 80
[pools.eu]
region = "eu"
check = "web"
min-healthy = MIN
endpoints = [
  { name = "a", host = "a", address = ["192.0.2.1", "2001:db8::1"], weight = 3 },
  { name = "b", host = "b", address = "192.0.2.2" },
]
[pools.us]
region = "us"
check = "web"
endpoints = [{ name = "c", host = "c", address = ["192.0.2.3", "2001:db8::3"] }]
[pools.ap]
region = "ap"
check = "web"
endpoints = [{ name = "d", host = "d", address = "192.0.2.4" }, { name = "e", host = "e", address = "192.0.2.5" }]
[steer.www]
policy = "BETWEEN"
pools = ["eu", "us", "ap"]
pick = { policy = "INSIDE" }
all-down = "ALLDOWN"
[[steer.www.where]]
subnet = ["203.0.113.0/24"]
pools = ["us"]
only = true
[steer.plain]
policy = "failover"
pools = ["eu", "us"]
all-down = "ALLDOWN"
[steer.tree]
policy = "failover"
pools = ["steer:www", "ap"]
https = { ladder = 1 }
"#;

/// Near each of the regions, in the network of the clause, and nowhere.
const CLIENTS: [&str; 5] =
    ["81.2.69.0/24", "12.0.0.0/16", "49.36.0.0/16", "203.0.113.0/24", "10.0.0.0/8"];

const GROUPS: [&str; 4] = ["fra", "iad", "sin", "lost"];

fn place(group: &str) -> Option<Coordinates> {
    match group {
        "fra" => Coordinates::new(50.11, 8.68),
        "iad" => Coordinates::new(38.95, -77.45),
        "sin" => Coordinates::new(1.35, 103.99),
        _ => None,
    }
}

fn blueprint(text: &str) -> Blueprint {
    let mut writer = Writer::v6("Clients");
    let clients = CLIENTS.iter().zip([(50.1, 8.7), (40.7, -74.0), (19.1, 72.9)]);
    for (network, (latitude, longitude)) in clients {
        let record = Value::from([
            ("latitude", Value::Double(latitude)),
            ("longitude", Value::Double(longitude)),
        ]);
        writer.insert(network.parse().unwrap(), &record);
    }
    let database = Database::open("clients", writer.finish()).unwrap();
    let atlas = Arc::new(Atlas::build(vec![database]).unwrap());
    Blueprint { zones: testing::zones(&[("t.toml", text)]), atlas }
}

fn zone(between: &str, inside: &str, all_down: &str, min: &str) -> String {
    let text = ZONE.replace("BETWEEN", between).replace("INSIDE", inside);
    text.replace("ALLDOWN", all_down).replace("MIN", min)
}

fn any_zone() -> impl Strategy<Value = String> {
    let all_down =
        ["as-up", "last-good", "pool:us", "host:sorry.example.net.", "nodata", "servfail"];
    let parts = (
        select(vec!["nearest", "nearest", "failover", "weighted"]),
        select(vec!["failover", "weighted", "sticky", "all"]),
        select(all_down.to_vec()),
        select(vec!["1", "\"100%\""]),
    );
    parts.prop_map(|(between, inside, all_down, min)| zone(between, inside, all_down, min))
}

/// The targets of the zone, in order.
fn targets(text: &str) -> Vec<Target> {
    let mut targets: Vec<Target> = targets_of(&blueprint(text).zones).into_iter().collect();
    targets.sort_by(|a, b| a.host.cmp(&b.host));
    targets
}

/// Those of `targets` down from those groups of which a bit says so.
fn reach(targets: &[Target], cuts: &[u8]) -> Arc<Reach> {
    let health = TargetHealth {
        is_answering: false,
        verdict: Verdict::Down,
        since: Time::ZERO,
        next_change: Duration::from_secs(7),
        agreed_by: 1,
    };
    let from = |bits: u8| {
        let cut = GROUPS.iter().enumerate().filter(move |(n, _)| bits >> n & 1 == 1);
        cut.map(|(_, group)| DownFrom { group: (*group).to_owned(), health }).collect::<Vec<_>>()
    };
    let down = targets.iter().cloned().zip(cuts.iter().map(|bits| from(*bits)));
    let down = down.filter(|(_, from)| !from.is_empty()).collect();
    let places: BTreeMap<String, Coordinates> =
        GROUPS.iter().filter_map(|group| Some(((*group).to_owned(), place(group)?))).collect();
    let reach = Reach { places, down, ..Reach::default() };
    if reach.is_whole() { Arc::clone(Reach::whole()) } else { Arc::new(reach) }
}

/// Every answer, by rule, class and column, with the name of the class's nearest region.
fn answers(snapshot: &Snapshot) -> Vec<(Option<String>, Answer)> {
    let zone = &snapshot.zones()[0];
    let of_rule = |rule: &CompiledRule| {
        let nearest = rule.source.map.nearest.iter().enumerate();
        let of_class = |(class, region): (usize, &Option<RegionId>)| {
            let region = region.map(|region| zone.regions[region.index()].name.clone());
            let columns = 0..rule.column_count();
            columns
                .map(move |n| (region.clone(), rule.answer(class, n).clone()))
                .collect::<Vec<_>>()
        };
        nearest.flat_map(of_class).collect::<Vec<_>>()
    };
    snapshot.rules_of(0).flat_map(of_rule).collect()
}

fn explained(snapshot: &Snapshot, name: &str, qtype: RecordType, client: Prefix) -> Explanation {
    let name = &name.parse().unwrap();
    explain(snapshot, &Question { name, qtype, client, down: &[], random: 0 })
}

fn any_health() -> impl Strategy<Value = Vec<TargetHealth>> {
    let verdict = select(vec![Verdict::Up, Verdict::Up, Verdict::Degraded, Verdict::Down]);
    let one = (verdict, select(vec![7_u64, 100])).prop_map(|(verdict, change)| TargetHealth {
        is_answering: false,
        verdict,
        since: Time::ZERO,
        next_change: Duration::from_secs(change),
        agreed_by: 3,
    });
    prop::collection::vec(one, 7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_answer_is_empty_and_none_changes_but_those_near_a_group(
        text in any_zone(),
        health in any_health(),
        cuts in prop::collection::vec(select(vec![0_u8, 0, 0, 1, 2, 3, 7, 8, 15]), 7),
    ) {
        let targets = targets(&text);
        prop_assert_eq!(targets.len(), 7);
        let of_target = |target: &Target| {
            health[targets.iter().position(|own| own == target).unwrap()]
        };
        let conditions = Conditions::new(Time::ZERO, &of_target);
        let reach = reach(&targets, &cuts);
        let parted = Conditions { reach: Some(&reach), ..conditions };
        let before = Snapshot::compile(blueprint(&text), 1, &conditions).unwrap();
        let fresh = Snapshot::compile(blueprint(&text), 1, &parted).unwrap();
        let after = before.next(&parted);
        prop_assert_eq!(after.is_none(), reach.is_whole());
        let after = after.unwrap_or_else(|| before.clone());
        prop_assert_eq!(answers(&after), answers(&fresh));
        prop_assert!(after.next(&parted).is_none() && after.next(&conditions).is_none());

        // The group that is nearest to each region.
        let near = |region: &Option<String>| match region.as_deref() {
            Some("eu") => 1,
            Some("us") => 2,
            Some("ap") => 4,
            _ => 0,
        };
        let cut = cuts.iter().fold(0, |all, own| all | own);
        for ((region, before), (_, after)) in answers(&before).into_iter().zip(answers(&after)) {
            let is_silent = |answer: &Answer| matches!(answer, Answer::NoData { .. } | Answer::ServFail);
            prop_assert!(!is_silent(&after) || is_silent(&before), "nothing is answered");
            if near(&region) & cut == 0 {
                prop_assert_eq!(after, before, "{:?}", region);
            }
        }

        // When everybody reaches everything again, all is as it was.
        let whole = Conditions { reach: Some(Reach::whole()), ..conditions };
        let again = after.next(&whole).unwrap_or_else(|| after.clone());
        prop_assert_eq!(answers(&again), answers(&before));

        // A reload takes it over, and what is explained is what is answered.
        let reloaded = after.compile_next(blueprint(&text), &parted).unwrap();
        prop_assert_eq!(answers(&reloaded), answers(&after));
        for client in CLIENTS {
            let client: Prefix = client.parse().unwrap();
            for (name, rule) in ["www.t.", "plain.t.", "tree.t."].into_iter().zip(after.rules_of(0)) {
                for (n, column) in [(RecordType::A, Family::V4), (RecordType::AAAA, Family::V6)].into_iter().enumerate() {
                    prop_assert_eq!((rule.rtype(n), rule.family(n)), column);
                    let placed = rule.place(crate::model::ClientSubnet { prefix: client, from_query: true }, client.address());
                    let dice = Draw { random: 0, turn: 0, key: rule.key(client) };
                    let mut texts: Vec<String> = Vec::new();
                    let answer = rule.answer(placed.class, n);
                    answer.draw(dice, &mut |record: &SteeredRecords| texts.extend(record.texts()));
                    let explanation = explained(&after, name, column.0, client);
                    prop_assert_eq!(&explanation.answer, &texts, "{} {}", name, client);
                }
            }
        }
    }
}

/// `eu/a` is down from fra.
fn cut(text: &str) -> Arc<Reach> {
    reach(&targets(text), &[1, 0, 0, 0, 0, 1, 0])
}

#[test]
fn explain_says_from_where_it_is_down() {
    let text = zone("nearest", "failover", "as-up", "1");
    let targets = targets(&text);
    let up = |_: &Target| TargetHealth { agreed_by: 3, ..TargetHealth::UNCHECKED };
    let conditions = Conditions::new(Time::from_secs(9), &up);
    let endpoint = |cuts: &[u8], client: &str| {
        let reach = reach(&targets, cuts);
        let parted = Conditions { reach: Some(&reach), ..conditions };
        let snapshot = Snapshot::compile(blueprint(&text), 1, &parted).unwrap();
        let client = client.parse().unwrap();
        let decision = explained(&snapshot, "www.t.", RecordType::A, client).decision.unwrap();
        let pool = decision.pools.iter().find(|pool| pool.pool == "eu").unwrap();
        (
            decision.endpoints[0].name.clone(),
            pool.endpoints[0].1.clone(),
            decision.ttl,
            decision.why,
        )
    };
    let hosts: Vec<String> = targets.iter().map(|target| target.host.to_string()).collect();
    assert_eq!(hosts[0], "192.0.2.1");
    let (named, verdict, ttl, _) = endpoint(&[1], CLIENTS[0]);
    assert_eq!(named, "b");
    assert_eq!(verdict, "IPv4 down, IPv6 up from fra: its vantages do not reach it; others do");
    assert!(ttl <= 7, "it may be reached again by then: {ttl}");
    let (named, verdict, ..) = endpoint(&[1], CLIENTS[1]);
    assert_eq!((&*named, &*verdict), ("c", "up"), "others see nothing of it");
    let (named, verdict, ttl, why) = endpoint(&[1; 7], CLIENTS[0]);
    assert_eq!(named, "a", "nothing else would be left");
    assert_eq!(verdict, "up, but down from fra: its vantages do not reach it; others do");
    assert!(ttl <= 7 && why.contains("what fra reaches is not enough"), "{ttl}: {why}");
}

#[test]
fn a_pool_that_is_reached_again_is_used_at_once_and_one_that_is_not_stays_lost_since_then() {
    let text = zone("nearest", "failover", "as-up", "2").replace(
        "[[steer.www.where]]",
        "failback = \"delayed\"\nhold-down = \"60s\"\n[[steer.www.where]]",
    );
    let up = |_: &Target| TargetHealth { agreed_by: 3, ..TargetHealth::UNCHECKED };
    let reach = cut(&text);
    let at = |secs| Conditions::new(Time::from_secs(secs), &up);
    let named = |snapshot: &Snapshot, client: &str| {
        let explanation = explained(snapshot, "www.t.", RecordType::A, client.parse().unwrap());
        explanation.decision.unwrap().endpoints[0].name.clone()
    };
    let before = Snapshot::compile(blueprint(&text), 1, &at(1)).unwrap();
    let parted = before.next(&Conditions { reach: Some(&reach), ..at(10) }).unwrap();
    assert_eq!((named(&before, CLIENTS[0]), named(&parted, CLIENTS[0])), ("a".into(), "c".into()));
    // For all others it was never lost, and a freeze or nothing heard keeps what there is.
    assert!(parted.pasts().all(|(.., past)| past != crate::steer::PoolPast::Lost { since: None }));
    let overrides = Overrides { freeze: None, ..Overrides::default() };
    assert!(parted.next(&at(20).with_overrides(&overrides)).is_none());
    let again = parted.next(&Conditions { reach: Some(Reach::whole()), ..at(30) }).unwrap();
    assert_eq!(named(&again, CLIENTS[0]), "a");
}

#[test]
fn whom_nobody_can_place_is_near_no_group() {
    let text = zone("nearest", "failover", "as-up", "1");
    let nowhere = Blueprint { atlas: Arc::new(Atlas::empty()), ..blueprint(&text) };
    let up = |_: &Target| TargetHealth::UNCHECKED;
    let before = Snapshot::compile(nowhere, 1, &Conditions::new(Time::ZERO, &up)).unwrap();
    let reach = reach(&targets(&text), &[15; 7]);
    let parted = Conditions { reach: Some(&reach), ..Conditions::new(Time::ZERO, &up) };
    let after = before.next(&parted).unwrap();
    assert!(answers(&before).iter().all(|(region, _)| region.is_none()));
    assert_eq!(answers(&after), answers(&before));
}
