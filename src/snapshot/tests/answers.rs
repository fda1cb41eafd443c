//! Compiled answers against `steer::choose`, and the next snapshot against a fresh one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use crate::geo::Atlas;
use crate::model::topology::{AllDown, EndpointAt};
use crate::model::{
    EndpointHealth, EndpointId, Override, OverrideKind, Overrides, PoolId, RecordType, Report,
    Said, Span, Steer, SteerId, Subject, Target, TargetHealth, TargetHost, Time, Verdict, Zone,
};
use crate::snapshot::rules::{Answer, CompiledRule};
use crate::snapshot::{Blueprint, Conditions, Snapshot, targets_of};
use crate::steer::{Choice, Draw, Drawn, Family, Outline, Selected, Why, choose};
use crate::testing;
use crate::zone::rdata_from_text;

/// Two rules over pools of every kind; words in capitals are filled in.
const ZONE: &str = r#"
zone = "t"
nameservers = ["ns.example.net."]
ttl = "60s"
[regions.eu]
location = [50, 10]
[regions.us]
location = [40, -90]
[checks.web]
kind = "tcp"
port = 80
[pools.eu]
region = "eu"
check = "web"
min-healthy = MIN
endpoints = [
  { name = "a", host = "a", address = ["192.0.2.1", "2001:db8::1"], weight = 3 },
  { name = "b", host = "b", address = "192.0.2.2", weight = 0 },
  { name = "c", host = "c", address = "2001:db8::3" },
]
[pools.us]
region = "us"
check = "web"
endpoints = [
  { name = "d", host = "lb.example.net." },
  { name = "e", host = "e", address = ["192.0.2.5", "2001:db8::5"] },
]
[pools.ap]
region = "us"
endpoints = [{ name = "f", host = "f", address = "192.0.2.6" }]
[pools.sorry]
region = "us"
check = "web"
endpoints = [{ name = "g", host = "g", address = ["192.0.2.7", "2001:db8::7"] }, { name = "h", host = "h", address = "192.0.2.8" }]
[steer.www]
policy = "BETWEEN"
pools = ["eu", "us"]
pick = { policy = "INSIDE", answers = ANSWERS }
all-down = "ALLDOWN"
https = { alpn = ["h2"], port = 8443 }
records = { TXT = "{pool}/{endpoint}" }
[[steer.www.where]]
subnet = ["203.0.113.0/24"]
pools = ["us"]
only = true
[[steer.www.where]]
subnet = ["198.51.100.0/24"]
pools = ["us", "eu"]
[steer.api]
policy = "failover"
pools = ["ap", "eu"]
https = { ladder = 2 }
[steer._sip]
policy = "BETWEEN"
pools = ["eu", "us"]
addresses = false
svcb = { alpn = ["dot"] }
"#;

fn any_zone() -> impl Strategy<Value = String> {
    let policies = ["failover", "weighted", "sticky", "round-robin", "random", "all"];
    let between = [&policies[..], &["nearest"]].concat();
    let all_down = [
        "as-up",
        "last-good",
        "pool:sorry",
        "pool:us",
        "host:sorry.example.net.",
        "nodata",
        "servfail",
    ];
    let parts = (
        select(between),
        select(policies.to_vec()),
        1..4_u8,
        select(all_down.to_vec()),
        select(vec!["1", "2", "\"100%\""]),
    );
    parts.prop_map(|(between, inside, answers, all_down, min)| {
        ZONE.replace("BETWEEN", between)
            .replace("INSIDE", inside)
            .replace("ANSWERS", &answers.to_string())
            .replace("ALLDOWN", all_down)
            .replace("MIN", min)
    })
}

/// What is known of each target, in the order of the targets.
type Health = Vec<TargetHealth>;

fn any_health() -> impl Strategy<Value = Health> {
    let verdict = select(vec![Verdict::Up, Verdict::Down, Verdict::Down, Verdict::Unknown]);
    let one = (verdict, 0..3_u64, select(vec![7_u64, 100])).prop_map(|(verdict, since, change)| {
        let next_change = Duration::from_secs(change);
        TargetHealth {
            verdict,
            since: Time::from_secs(since),
            next_change,
            agreed_by: 1,
            is_answering: false,
        }
    });
    prop::collection::vec(one, 10)
}

fn blueprint(text: &str) -> Blueprint {
    Blueprint { zones: testing::zones(&[("t.toml", text)]), atlas: Arc::new(Atlas::empty()) }
}

fn known(blueprint: &Blueprint, health: &Health) -> impl Fn(&Target) -> TargetHealth + use<> {
    let mut targets: Vec<TargetHost> =
        targets_of(&blueprint.zones).into_iter().map(|target| target.host).collect();
    targets.sort();
    let known: HashMap<TargetHost, TargetHealth> =
        targets.into_iter().zip(health.iter().copied()).collect();
    move |target| known[&target.host]
}

fn at(secs: u64, of_target: &dyn Fn(&Target) -> TargetHealth) -> Conditions<'_> {
    Conditions::new(Time::from_secs(secs), of_target)
}

/// What an answer holds: type, TTL and data of each record.
type Records = Vec<(RecordType, u32, Vec<u8>)>;

/// Everything that a choice is made by.
struct Asked<'a> {
    zone: &'a Zone,
    steer: &'a Steer,
    rtype: RecordType,
    health: &'a [EndpointHealth],
}

impl Asked<'_> {
    /// The record of an endpoint, on so many a rung of a ladder.
    fn record(&self, id: EndpointId, rung: u16) -> (RecordType, Vec<u8>) {
        let endpoint = &self.zone.endpoints[id.index()];
        let (v4, v6) = match &endpoint.at {
            EndpointAt::Host(host) if rung == 0 && self.steer.has_addresses => {
                return (RecordType::CNAME, host.as_wire().to_vec());
            }
            EndpointAt::Host(_) | EndpointAt::Alias(_) => (None, None),
            EndpointAt::Addresses { v4, v6 } => (*v4, *v6),
        };
        let rdata = match self.rtype {
            RecordType::A => v4.unwrap().octets().to_vec(),
            RecordType::AAAA => v6.unwrap().octets().to_vec(),
            RecordType::TXT => {
                let text =
                    format!("{}/{}", self.zone.pools[endpoint.pool.index()].name, endpoint.name);
                [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
            }
            _ => {
                let is_own = rung == 0 && self.steer.has_addresses;
                let target =
                    if is_own { ".".to_owned() } else { endpoint.host().unwrap().to_string() };
                let own = match self.steer.owner.to_string().as_str() {
                    "www.t." => "alpn=h2 port=8443",
                    "_sip.t." => "alpn=dot",
                    _ => "",
                };
                let EndpointHealth { v4: health_v4, v6: health_v6, .. } = self.health[id.index()];
                let is_up = |way: Option<TargetHealth>, has| {
                    has && way.is_none_or(|way| way.verdict != Verdict::Down)
                };
                let up = [is_up(health_v4, v4.is_some()), is_up(health_v6, v6.is_some())];
                let is_told = |n: usize| up[n] || up == [false; 2];
                let v4 = v4.filter(|_| is_told(0)).map(|own| format!("ipv4hint={own}"));
                let v6 = v6.filter(|_| is_told(1)).map(|own| format!("ipv6hint={own}"));
                let [v4, v6] = [v4, v6].map(Option::unwrap_or_default);
                let text = format!("{} {target} {own} {v4} {v6}", rung + 1);
                let place = Span::new(Report::new().add_source("", ""), 0..0);
                rdata_from_text(RecordType::HTTPS, &text, &self.zone.apex, place).unwrap()
            }
        };
        (self.rtype, rdata)
    }

    /// What `choose` would have an answer hold; a CNAME stands alone.
    fn chosen(&self, drawn: &[Drawn], ttl: u32) -> Option<Records> {
        let mut records = Records::new();
        for (rung, drawn) in (0..).zip(drawn) {
            match drawn {
                Drawn::Endpoints(ids) => records.extend(ids.iter().map(|id| {
                    let (rtype, rdata) = self.record(*id, rung);
                    (rtype, ttl, rdata)
                })),
                Drawn::Host => {
                    let AllDown::Host(host) = &self.steer.all_down else { panic!("{drawn:?}") };
                    records.push((RecordType::CNAME, ttl, host.as_wire().to_vec()));
                }
                Drawn::NoData | Drawn::ServFail => return None,
            }
        }
        let is_cname = |record: &(RecordType, u32, Vec<u8>)| record.0 == RecordType::CNAME;
        if is_cname(&records[0]) {
            records.truncate(1);
        } else {
            records.retain(|record| !is_cname(record));
        }
        Some(records)
    }
}

/// What the compiled answer holds.
fn compiled(answer: &Answer, dice: Draw) -> Option<Records> {
    let mut records = Records::new();
    answer.draw(dice, &mut |record| {
        let b = &record.bytes;
        assert_eq!((b[..2].to_vec(), b[4..6].to_vec()), (vec![0xc0, 12], vec![0, 1]));
        let ttl = u32::from_be_bytes([b[6], b[7], b[8], b[9]]);
        assert_eq!(usize::from(u16::from_be_bytes([b[10], b[11]])), b.len() - 12);
        records.push((RecordType(u16::from_be_bytes([b[2], b[3]])), ttl, b[12..].to_vec()));
    });
    let is_silent = matches!(answer, Answer::NoData { .. } | Answer::ServFail);
    assert_eq!(is_silent, records.is_empty());
    (!is_silent).then_some(records)
}

/// The choice, and what follows as the pools of each are lost.
fn climb(
    first: &Choice,
    zone: &Zone,
    ladder: u8,
    choose_in: &dyn Fn(&[PoolId]) -> Choice,
) -> Vec<Choice> {
    let mut choices = vec![first.clone()];
    let mut lost = Vec::new();
    for _ in 0..ladder {
        let Selected::Among(tree) = &choices[choices.len() - 1].selection.selected else { break };
        lost.extend(tree.leaves().map(|id| zone.endpoints[id.index()].pool));
        let next = choose_in(&lost);
        let is_silent = !matches!(next.selection.selected, Selected::Among(_));
        if next.selection.why == Why::AllDown || is_silent {
            break;
        }
        choices.push(next);
    }
    choices
}

/// Every answer of every rule to every class.
fn answers(snapshot: &Snapshot) -> Vec<Answer> {
    let of_rule = |rule: &CompiledRule| {
        let classes = 0..rule.source.map.preferences.len();
        let of_class =
            |class| (0..rule.column_count()).map(move |column| rule.answer(class, column).clone());
        classes.flat_map(of_class).collect::<Vec<_>>()
    };
    snapshot.rules_of(0).flat_map(of_rule).collect()
}

fn any_words() -> impl Strategy<Value = Overrides> {
    let named = |what: &str| match what.split_once('/') {
        Some((pool, endpoint)) => {
            Subject::Endpoint { pool: pool.to_owned(), endpoint: endpoint.to_owned() }
        }
        None => Subject::Pool(what.to_owned()),
    };
    let whats = ["eu", "us", "ap", "sorry", "eu/a", "us/d", "gone"].map(named);
    let whats = [&[Subject::Region("us".to_owned())], &whats[..]].concat();
    let said = prop::option::of(90..200_u64).prop_map(|until| {
        let until = until.map(Time::from_secs);
        Said { author: "ann".to_owned(), reason: String::new(), at: Time::from_secs(80), until }
    });
    let one = (select(whats), select(OverrideKind::ALL.to_vec()), said.clone());
    let one = one.prop_map(|(what, kind, said)| Override {
        zone: "t.".parse().unwrap(),
        what,
        kind,
        said,
    });
    let parts = (prop::collection::vec(one, 0..4), prop::option::of(said));
    parts.prop_map(|(mut all, freeze)| {
        let mut seen = std::collections::HashSet::new();
        all.retain(|one| seen.insert(one.what.clone()));
        Overrides { all, freeze }
    })
}

/// An answer but for how long it lives.
fn without_ttl(answer: Answer) -> Option<Vec<Records>> {
    let draws = (0..4).map(|n| Draw { random: n << 61, turn: 0, key: n << 61 });
    let records = draws.map(|dice| compiled(&answer, dice));
    let bare = |(rtype, _, data): (RecordType, u32, Vec<u8>)| (rtype, 0, data);
    records.map(|records| Some(records?.into_iter().map(bare).collect())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_compiled_is_what_is_chosen(text in any_zone(), health in any_health(), seed in any::<u64>()) {
        let blueprint = blueprint(&text);
        let of_target = known(&blueprint, &health);
        let snapshot = Snapshot::compile(blueprint, 1, &at(0, &of_target)).unwrap();
        let zone = &snapshot.zones()[0];
        for rule in snapshot.rules_of(0) {
            let outline = &rule.source.outline;
            let steer = outline.rule(zone);
            for (class, preference) in rule.source.map.preferences.iter().enumerate() {
                for column in 0..rule.column_count() {
                    let family = rule.family(column);
                    for n in 0..8_u64 {
                        let random = seed.wrapping_mul(n + 1).rotate_left(17);
                        let dice = Draw { random, turn: u32::try_from(n).unwrap(), key: !random };
                        let scene = snapshot.scene(0);
                        let choice = choose(zone, outline, preference, scene, family, dice);
                        let choose_in = |lost: &[PoolId]| {
                            choose(zone, outline, preference, &scene.without(lost), family, dice)
                        };
                        let rtype = rule.rtype(column);
                        let ladder = steer.form(rtype).and_then(|form| form.service()).map_or(0, |s| s.ladder);
                        let choices = climb(&choice, zone, ladder, &choose_in);
                        let ttl = choices.iter().map(|choice| choice.selection.ttl).min().unwrap();
                        let drawn: Vec<Drawn> = choices.into_iter().map(|choice| choice.drawn).collect();
                        let answer = rule.answer(class, column);
                        let health = &snapshot.endpoint_health(0);
                        let asked = Asked { zone, steer, rtype, health };
                        prop_assert_eq!(compiled(answer, dice), asked.chosen(&drawn, ttl));
                        match answer {
                            Answer::NoData { ttl: own } => {
                                prop_assert_eq!(choice.selection.selected, Selected::NoData);
                                prop_assert_eq!(*own, ttl);
                            }
                            Answer::ServFail => {
                                prop_assert_eq!(choice.selection.selected, Selected::ServFail);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    /// Overrides come, change and end, and a freeze with them.
    #[test]
    fn the_next_snapshot_under_other_words_is_a_fresh_one(
        text in any_zone(),
        health in any_health(),
        steps in prop::collection::vec((any_words(), 0..40_u64), 2..5),
    ) {
        let blueprint = blueprint(&text);
        let of_target = known(&blueprint, &health);
        let mut now = 100;
        let mut snapshot = Snapshot::compile(blueprint, 1, &at(now, &of_target)).unwrap();
        for (words, later) in &steps {
            now += later;
            let conditions = at(now, &of_target).with_overrides(words);
            snapshot = snapshot.next(&conditions).unwrap_or(snapshot);
            let fresh = Snapshot::compile(self::blueprint(&text), 1, &conditions).unwrap();
            prop_assert_eq!(snapshot.endpoint_health(0), fresh.endpoint_health(0));
            prop_assert_eq!(snapshot.overrides(), fresh.overrides());
            // A fresh one is made now, the other when it was due; only lifetimes may tell.
            let both = answers(&snapshot).into_iter().zip(answers(&fresh));
            for (own, fresh) in both {
                prop_assert_eq!(without_ttl(own), without_ttl(fresh));
            }
            let next_end = words.next_end(Time::from_secs(now));
            prop_assert!(next_end.is_none_or(|end| snapshot.due().is_some_and(|due| due <= end)));
        }
    }

    #[test]
    fn the_next_snapshot_is_a_fresh_one(
        text in any_zone(),
        healths in prop::collection::vec((any_health(), prop::collection::vec(any::<bool>(), 10)), 2..5),
    ) {
        let mut health = healths[0].0.clone();
        let blueprint = blueprint(&text);
        let of_target = known(&blueprint, &health);
        let mut snapshot = Snapshot::compile(blueprint, 1, &at(0, &of_target)).unwrap();
        for (next, is_changed) in &healths[1..] {
            for (n, is_changed) in is_changed.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
                if *is_changed {
                    health[n] = next[n];
                }
            }
            let fresh = self::blueprint(&text);
            let of_target = known(&fresh, &health);
            let fresh = Snapshot::compile(fresh, 1, &at(0, &of_target)).unwrap();
            match snapshot.next(&at(0, &of_target)) {
                Some(next) => {
                    prop_assert_eq!(next.generation(), snapshot.generation() + 1);
                    prop_assert!(next.endpoint_health(0) != snapshot.endpoint_health(0));
                    prop_assert_eq!(next.endpoint_health(0), fresh.endpoint_health(0));
                    snapshot = next;
                }
                None => prop_assert_eq!(answers(&snapshot), answers(&fresh)),
            }
            prop_assert_eq!(answers(&snapshot), answers(&fresh));
            prop_assert!(snapshot.next(&at(0, &of_target)).is_none());
        }
    }
}

/// The zone's scene is older than the word: nothing of it has changed since.
#[test]
fn a_word_that_had_ended_when_it_came_counts_for_nothing() {
    let text = ZONE.replace("BETWEEN", "failover").replace("INSIDE", "all").replace("ANSWERS", "3");
    let text = text.replace("ALLDOWN", "as-up").replace("MIN", "1");
    let of_target = |_: &Target| TargetHealth::UNCHECKED;
    let snapshot = Snapshot::compile(blueprint(&text), 1, &at(100, &of_target)).unwrap();
    let (at_secs, until) = (Time::from_secs(99), Some(Time::from_secs(101)));
    let said = Said { author: "ann".to_owned(), reason: String::new(), at: at_secs, until };
    let (zone, what) = ("t.".parse().unwrap(), Subject::Pool("eu".to_owned()));
    let all = vec![Override { zone, what, kind: OverrideKind::Drain, said }];
    let overrides = Overrides { all, freeze: None };
    let next = snapshot.next(&at(101, &of_target).with_overrides(&overrides)).unwrap();
    assert_eq!(next.endpoint_health(0), snapshot.endpoint_health(0));
    assert_eq!(answers(&next), answers(&snapshot));
}

#[test]
fn rules_that_do_not_look_at_a_change_are_shared() {
    let text = ZONE.replace("BETWEEN", "failover").replace("INSIDE", "all").replace("ANSWERS", "3");
    let text = text.replace("ALLDOWN", "as-up").replace("MIN", "1");
    let up = vec![TargetHealth::UNCHECKED; 10];
    let of_target = known(&blueprint(&text), &up);
    let snapshot = Snapshot::compile(blueprint(&text), 1, &at(0, &of_target)).unwrap();
    let down = |address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        move |target: &Target| match target.host {
            TargetHost::Address(own) if own == address => {
                TargetHealth { verdict: Verdict::Down, ..TargetHealth::UNCHECKED }
            }
            _ => TargetHealth::UNCHECKED,
        }
    };
    let is_shared = |address: &str| {
        let next = snapshot.next(&at(0, &down(address))).unwrap();
        let both = snapshot.rules.iter().zip(&next.rules);
        both.map(|(old, new)| Arc::ptr_eq(old, new)).collect::<Vec<_>>()
    };
    assert_eq!(is_shared("192.0.2.1"), [false, false, false], "all lead there");
    assert_eq!(is_shared("192.0.2.5"), [false, true, true], "`api` does not lead there");
    assert_eq!(is_shared("192.0.2.7"), [true, true, true], "only `sorry` has it");
    assert!(snapshot.next(&at(9, &down("203.0.113.1"))).is_none(), "nobody has it");
}

#[test]
fn names_that_say_the_same_are_compiled_once_for_each_slot() {
    let zone = |head: &str, capacity: &str| {
        let steers: String = (0..100)
            .map(|n| format!("[steer.n{n}]\npolicy = 'failover'\npools = ['eu', 'us']\n"))
            .collect();
        format!(
            "zone = 't'\nnameservers = ['ns.example.net.']\nttl = '60s'\n{head}
            [regions.eu]\nlocation = [50, 10]\n[checks.web]\nkind = 'tcp'\nport = 80
            [pools.eu]\nregion = 'eu'\ncheck = 'web'\n{capacity}
            endpoints = [{{ address = '192.0.2.1' }}]
            [pools.us]\nregion = 'eu'\nendpoints = [{{ address = '192.0.2.2' }}]\n{steers}"
        )
    };
    let next_change = Duration::from_secs(50);
    let down = |_: &Target| TargetHealth {
        verdict: Verdict::Down,
        next_change,
        ..TargetHealth::UNCHECKED
    };
    let table = [
        ("", "", 8),
        ("ttl-jitter = '5%'", "", 8),
        ("ttl-jitter = '0%'", "", 1),
        ("", "capacity = 10", 1), // What they ask for is known of all together.
    ];
    for (head, capacity, count) in table {
        let blueprint = blueprint(&zone(head, capacity));
        let snapshot = Snapshot::compile(blueprint, 1, &at(0, &down)).unwrap();
        assert_eq!(snapshot.rules_of(0).count(), count, "{head} {capacity}");
        let zone = snapshot.zones()[0].clone();
        for steer in (0..zone.steers.len()).map(SteerId::new).filter(|_| capacity.is_empty()) {
            let owner = &zone.steers[steer.index()].owner;
            let record = snapshot.names().get(owner.as_wire()).unwrap();
            let rule = snapshot.rule(snapshot.rule_of(record));
            let preference = &rule.source.map.preferences[0];
            let (scene, outline) = (snapshot.scene(0), Outline::new(&zone, steer));
            let own = crate::steer::select(&zone, &outline, preference, scene, Family::V4);
            let dice = Draw { random: 0, turn: 0, key: 0 };
            let answered = compiled(rule.answer(0, 0), dice).unwrap();
            assert_eq!(answered[0].1, own.ttl, "{owner}: as if it were the only name");
        }
    }
}
