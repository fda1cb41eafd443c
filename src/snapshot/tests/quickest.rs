//! Orders by what vantages measure: who is answered otherwise, that scopes stay, and that all nodes come to the
//! same.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use crate::geo::writer::{Value, Writer};
use crate::geo::{Atlas, Database};
use crate::health::Board;
use crate::health::fleet::{Keys, Member, Quorum, Rules};
use crate::model::health::ProbeOutcome;
use crate::model::{
    ClientSubnet, Coordinates, Observation, Prefix, Reach, RecordType, RegionKey, Target,
    TargetHealth, Time, Verdict,
};
use crate::snapshot::explain::{Decision, Question, explain};
use crate::snapshot::record::SteeredRecords;
use crate::snapshot::rules::{Answer, CompiledRule};
use crate::snapshot::subjects::surveyed_regions;
use crate::snapshot::{Blueprint, Conditions, Snapshot, targets_of};
use crate::steer::Draw;
use crate::testing;

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
CAPACITY
endpoints = [{ name = "a", address = ["192.0.2.1", "2001:db8::1"] }]
[pools.us]
region = "us"
check = "web"
CAPACITY
endpoints = [{ name = "b", address = "192.0.2.2" }, { name = "b2", address = "192.0.2.22" }]
[pools.ap]
region = "ap"
check = "web"
CAPACITY
endpoints = [{ name = "c", address = ["192.0.2.3", "2001:db8::3"] }]
[rtt]
country = { GB = { us = "20ms" }, IN = { eu = "9ms", us = "8ms", ap = "7ms" } }
[steer.www]
policy = "latency"
pools = ["eu", "us", "ap"]
[[steer.www.where]]
subnet = ["203.0.113.0/24"]
pools = ["ap", "us"]
[steer.near]
policy = "nearest"
pools = ["eu", "us", "ap"]
[steer.tree]
policy = "failover"
pools = ["steer:www", "ap"]
"#;

/// Near each region: one of which no entry of `[rtt]` tells, one of which all tell, one of which some do; then in
/// the network of the clause, and nowhere.
const CLIENTS: [&str; 6] = [
    "93.184.216.0/24",
    "12.0.0.0/16",
    "49.36.0.0/16",
    "81.2.69.0/24",
    "203.0.113.0/24",
    "10.0.0.0/8",
];

const GROUPS: [(&str, f64, f64); 3] =
    [("fra", 50.11, 8.68), ("iad", 38.95, -77.45), ("sin", 1.35, 103.99)];
const REGIONS: [&str; 3] = ["eu", "us", "ap"];

fn blueprint(capacity: &str) -> Blueprint {
    static ATLAS: LazyLock<Arc<Atlas>> = LazyLock::new(|| Arc::new(atlas()));
    let zones = testing::zones(&[("t.toml", &ZONE.replace("CAPACITY", capacity))]);
    Blueprint { zones, atlas: Arc::clone(&ATLAS) }
}

fn atlas() -> Atlas {
    let mut writer = Writer::v6("Clients");
    let places = [("DE", 50.1, 8.7), ("US", 40.7, -74.0), ("IN", 19.1, 72.9), ("GB", 51.5, -0.1)];
    for (network, (country, latitude, longitude)) in CLIENTS.iter().zip(places) {
        let country = Value::from([("iso_code", Value::from(country))]);
        let location = Value::from([
            ("latitude", Value::Double(latitude)),
            ("longitude", Value::Double(longitude)),
        ]);
        let record = Value::from([("country", country), ("location", location)]);
        writer.insert(network.parse().unwrap(), &record);
    }
    let database = Database::open("clients", writer.finish()).unwrap();
    Atlas::build(vec![database]).unwrap()
}

/// What each group measures of each region, in milliseconds; 0 for nothing.
fn reach(measured: &[[u64; 3]]) -> Arc<Reach> {
    let place = |(name, north, east): (&str, f64, f64)| {
        (name.to_owned(), Coordinates::new(north, east).unwrap())
    };
    let key = |region: &str| RegionKey::new(&"t.".parse().unwrap(), region);
    let of_group = |((name, ..), all): (&(&str, f64, f64), &[u64; 3])| {
        let known = REGIONS.iter().zip(all).filter(|(_, millis)| **millis > 0);
        let known = known.map(|(region, millis)| (key(region), Duration::from_millis(*millis)));
        ((*name).to_owned(), known.collect::<BTreeMap<_, _>>())
    };
    let round_trips = GROUPS.iter().zip(measured).map(of_group);
    let round_trips: BTreeMap<_, _> = round_trips.filter(|(_, all)| !all.is_empty()).collect();
    if round_trips.is_empty() {
        return Arc::clone(Reach::whole());
    }
    let places = GROUPS.map(place).into();
    Arc::new(Reach { places, round_trips: Arc::new(round_trips), ..Reach::default() })
}

fn up(_: &Target) -> TargetHealth {
    TargetHealth { agreed_by: 3, ..TargetHealth::UNCHECKED }
}

fn snapshot(reach: &Arc<Reach>) -> Snapshot {
    let conditions = Conditions { reach: Some(reach), ..Conditions::new(Time::ZERO, &up) };
    Snapshot::compile(blueprint(""), 1, &conditions).unwrap()
}

fn next(snapshot: &Snapshot, reach: &Arc<Reach>) -> Option<Snapshot> {
    snapshot.next(&Conditions { reach: Some(reach), ..Conditions::new(Time::from_secs(9), &up) })
}

/// Every answer, by rule, class and column.
fn answers(snapshot: &Snapshot) -> Vec<Answer> {
    let of_rule = |rule: &CompiledRule| {
        let classes = 0..rule.preferences().len();
        let columns = |class| (0..rule.column_count()).map(move |n| (class, n));
        classes
            .flat_map(columns)
            .map(|(class, n)| rule.answer(class, n).clone())
            .collect::<Vec<_>>()
    };
    snapshot.rules_of(0).flat_map(of_rule).collect()
}

fn decision(snapshot: &Snapshot, name: &str, client: &str) -> Decision {
    let (name, client) = (&name.parse().unwrap(), client.parse().unwrap());
    let question = Question { name, qtype: RecordType::A, client, down: &[], random: 0 };
    explain(snapshot, &question).decision.unwrap()
}

/// The region that each client is sent to by a rule.
fn regions(snapshot: &Snapshot, name: &str) -> [String; 6] {
    CLIENTS.map(|client| decision(snapshot, name, client).region.unwrap())
}

const CALM: [[u64; 3]; 3] = [[5, 100, 160], [100, 18, 240], [160, 240, 4]];

#[test]
fn clients_near_a_group_move_away_from_what_is_far_for_it_and_nobody_else_does() {
    let calm = snapshot(&reach(&CALM));
    let before = regions(&calm, "www.t.");
    assert_eq!(before, ["eu", "us", "ap", "eu", "ap", "eu"]);
    let slow = next(&calm, &reach(&[[300, 100, 160], CALM[1], CALM[2]])).unwrap();
    // London has `us` in 20 ms by its table, and of whom nobody knows where they are go with those who want the same.
    assert_eq!(regions(&slow, "www.t."), ["us", "us", "ap", "us", "ap", "us"]);
    assert_eq!(regions(&slow, "tree.t."), ["us", "us", "ap", "us", "ap", "us"]);
    assert_eq!(regions(&slow, "near.t."), ["eu", "us", "ap", "eu", "eu", "eu"]);
    let again = next(&slow, &reach(&CALM)).unwrap();
    assert_eq!(answers(&again), answers(&calm));
    assert_eq!(next(&slow, Reach::whole()).map(|next| regions(&next, "www.t.")), Some(before));
}

#[test]
fn rules_whose_orders_stay_are_not_compiled_anew() {
    let calm = snapshot(&reach(&CALM));
    let rules =
        |snapshot: &Snapshot| snapshot.rules_of(0).map(std::ptr::from_ref).collect::<Vec<_>>();
    let alike = next(&calm, &reach(&[[9, 105, 150], CALM[1], CALM[2]])).unwrap();
    assert_eq!(rules(&alike), rules(&calm));
    let slow = next(&alike, &reach(&[[300, 100, 160], CALM[1], CALM[2]])).unwrap();
    let both = rules(&slow).into_iter().zip(rules(&calm));
    assert_eq!(both.map(|(a, b)| a == b).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn explain_says_where_each_figure_comes_from() {
    let snapshot = snapshot(&reach(&[[300, 100, 0], CALM[1], [0; 3]]));
    let reasons = |client: &str| {
        let pools = decision(&snapshot, "www.t.", client).pools;
        let figure = |reason: &str| reason.rsplit("; ").next().unwrap().to_owned();
        let mut own: Vec<_> =
            pools.iter().map(|own| (own.pool.clone(), figure(&own.reason))).collect();
        own.sort();
        own.into_iter().map(|(_, reason)| reason).collect::<Vec<_>>()
    };
    assert_eq!(
        reasons(CLIENTS[0]),
        [
            "158 ms for its class: 158 ms by distance and +0 ms as fra measures elsewhere, but not there",
            "300 ms for its class: 1 ms by distance and +299 ms by what fra measures",
            "100 ms for its class: 112 ms by distance and -12 ms by what fra measures",
        ]
    );
    assert_eq!(reasons(CLIENTS[3])[2], "20 ms measured for GB");
    assert_eq!(reasons(CLIENTS[2])[0], "7 ms measured for IN");
}

#[test]
fn a_zone_expects_of_itself_what_it_says_and_not_what_is_measured() {
    let slow = reach(&[[300, 100, 160], CALM[1], CALM[2]]);
    let conditions = Conditions { reach: Some(&slow), ..Conditions::new(Time::ZERO, &up) };
    let text = format!(
        "{}\n[[expect]]\nname = \"www\"\nfrom = \"93.184.216.1\"\nregion = \"eu\"\n",
        ZONE.replace("CAPACITY", "")
    );
    let blueprint = Blueprint { zones: testing::zones(&[("t.toml", &text)]), ..blueprint("") };
    let snapshot = Snapshot::compile(blueprint, 1, &conditions).unwrap();
    assert_eq!(regions(&snapshot, "www.t.")[0], "us");
    let mut report = crate::model::Report::new();
    crate::snapshot::expect::check(&snapshot, &mut report);
    assert_eq!(report.to_string(), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn compiled_is_explained_scopes_stay_and_the_way_there_means_nothing(
        first in prop::collection::vec([0_u64..400, 0..400, 0..400], 3),
        second in prop::collection::vec([0_u64..400, 0..400, 0..400], 3),
        down in prop::collection::vec(any::<bool>(), 6),
        capacity in select(vec!["", "capacity = 10"]),
    ) {
        let mut targets: Vec<Target> = targets_of(&blueprint("").zones).into_iter().collect();
        targets.sort_by(|a, b| a.host.cmp(&b.host));
        let of_target = |target: &Target| {
            let place = targets.iter().position(|own| own == target).unwrap();
            let verdict = if down[place] { Verdict::Down } else { Verdict::Up };
            TargetHealth { verdict, ..up(target) }
        };
        let (first, second) = (reach(&first), reach(&second));
        let at = |reach| Conditions { reach: Some(reach), ..Conditions::new(Time::ZERO, &of_target) };
        let compile = |reach| Snapshot::compile(blueprint(capacity), 1, &at(reach)).unwrap();
        let (plain, fresh) = (compile(Reach::whole()), compile(&second));
        let before = compile(&first);
        let after = before.next(&at(&second)).unwrap_or_else(|| before.clone());
        prop_assert_eq!(answers(&after), answers(&fresh));
        prop_assert!(after.next(&at(&second)).is_none());
        prop_assert_eq!(answers(&after.next(&at(Reach::whole())).unwrap_or_else(|| after.clone())), answers(&plain));
        let reloaded = after.compile_next(blueprint(capacity), &at(&second)).unwrap();
        prop_assert_eq!(answers(&reloaded), answers(&after));

        for client in CLIENTS {
            let client: Prefix = client.parse().unwrap();
            for (name, (rule, plain)) in
                ["www.t.", "near.t.", "tree.t."].into_iter().zip(after.rules_of(0).zip(plain.rules_of(0)))
            {
                let subnet = ClientSubnet { prefix: client, from_query: true };
                let placed = rule.place(subnet, client.address());
                prop_assert_eq!(placed, plain.place(subnet, client.address()));
                let dice = Draw { random: 0, turn: 0, key: rule.key(client) };
                let mut texts: Vec<String> = Vec::new();
                let answer = rule.answer(placed.class, 0);
                answer.draw(dice, &mut |record: &SteeredRecords| texts.extend(record.texts()));
                let question = Question { name: &name.parse().unwrap(), qtype: RecordType::A, client, down: &[], random: 0 };
                prop_assert_eq!(explain(&after, &question).answer, texts, "{} {}", name, client);
            }
        }
    }

    /// From connections to answers: two nodes that hear the same in another order, some of it twice, answer alike,
    /// octet by octet.
    #[test]
    fn nodes_that_heard_the_same_answer_alike(
        took in prop::collection::vec(1_u64..400, 6 * 5),
        orders in prop::collection::vec(any::<u16>(), 2 * 10),
    ) {
        let blueprint_of_all = blueprint("");
        let regions = surveyed_regions(&blueprint_of_all.zones);
        let targets: Vec<Target> = {
            let mut all: Vec<Target> = targets_of(&blueprint_of_all.zones).into_iter().collect();
            all.sort_by(|a, b| a.host.cmp(&b.host));
            all
        };
        let member = |name: &str, group: &str, at: Option<Coordinates>| {
            let rules = Rules {
                name: name.to_owned(),
                group: group.to_owned(),
                location: at,
                is_node: group == "nodes",
                quorum: Quorum::Majority,
                vantages: 3,
            };
            let keys = Keys::new(&[[7; 32]], "windrose");
            Member::new(rules, keys, Time::ZERO, Duration::from_secs(1_800_000_000))
        };
        let unix = |secs: u64| Duration::from_secs(1_800_000_000 + secs);
        let mut messages: Vec<Vec<u8>> = Vec::new();
        for (n, (name, group, place)) in [
            ("fra-1", "fra", GROUPS[0]),
            ("fra-2", "fra", GROUPS[0]),
            ("fra-3", "fra", GROUPS[0]),
            ("iad-1", "iad", GROUPS[1]),
            ("sin-1", "sin", GROUPS[2]),
        ].into_iter().enumerate() {
            let mut vantage = member(name, group, Coordinates::new(place.1, place.2));
            let board = Board::of_fleet();
            board.track(&targets, Time::ZERO);
            board.survey(&regions);
            for probe in 0..5 {
                for (target, took) in targets.iter().zip(&took[n * 6..]) {
                    let round_trip = Some(Duration::from_millis(took + probe));
                    let outcome = ProbeOutcome::Success(Duration::from_secs(1));
                    let (target, at) = (target.clone(), Time::from_secs(10 * probe));
                    board.observe(&Observation { target, at, outcome, round_trip });
                }
            }
            let now = Time::from_secs(50);
            messages.extend(vantage.speak_of_regions(board.round_trips(now), now, unix(50)));
            let report = crate::health::fleet::Report::default();
            messages.extend(vantage.speak(report, now, unix(50)).unwrap());
        }
        prop_assert_eq!(messages.len(), 10);
        let answers_of = |node: &str, order: &[u16]| {
            let mut node = member(node, "nodes", None);
            let mut order: Vec<(u16, usize)> = order.iter().copied().zip(0..).collect();
            order.sort_unstable();
            for (weight, n) in order {
                for _ in 0..=weight % 2 {
                    let _ = node.hear(&messages[n], Time::from_secs(51), unix(51));
                }
            }
            let board = Board::of_fleet();
            board.track(&targets, Time::ZERO);
            let reach = board.recount(&mut node, Time::from_secs(52)).reach;
            assert_eq!(reach.places.len(), 3, "votes say where groups are");
            (answers(&snapshot(&Arc::new(reach.clone()))), reach)
        };
        let (one, other) = (answers_of("n1", &orders[..10]), answers_of("n2", &orders[10..]));
        prop_assert_eq!(one.1, other.1);
        prop_assert_eq!(one.0, other.0);
    }
}
