//! What a restart remembers, and what damaged files and disks do to it.

use std::fs;
use std::num::NonZeroU8;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::*;
use crate::geo::Atlas;
use crate::health::Board;
use crate::model::check::{
    Carrier, Connection, DnsCheck, ExecCheck, GrpcCheck, HeartbeatCheck, HttpCheck, Slow,
    TextCheck, TlsCheck, TlsIdentity, TlsTerms,
};
use crate::model::formula::{Formula, Member, MemberOf};
use crate::model::health::ProbeOutcome;
use crate::model::{
    CheckKind, CheckSpec, FailureReason, Observation, Override, OverrideKind, Overrides,
    RecordType, Said, Subject, TargetHealth, TargetHost, Time,
};
use crate::snapshot::demand::{Demands, Estimator};
use crate::snapshot::{Blueprint, Conditions, Snapshot};
use crate::steer::PoolPast;
use crate::testing::{Log, TempDir};

const NOW: Moment =
    Moment { time: Time::from_secs(100_000), unix: Duration::from_secs(1_700_000_000) };

fn tcp(last_octet: u8) -> Target {
    let spec = CheckSpec {
        rise: NonZeroU8::new(2).unwrap(),
        fall: NonZeroU8::new(2).unwrap(),
        ..CheckSpec::new(CheckKind::Tcp, 80)
    };
    Target { host: TargetHost::Address([192, 0, 2, last_octet].into()), spec: Arc::new(spec) }
}

fn status(target: Target, verdict: Verdict, since: u64, seen: u64) -> TargetStatus {
    let since = Time::from_secs(since);
    TargetStatus {
        target,
        health: TargetHealth {
            verdict,
            since,
            next_change: Duration::ZERO,
            agreed_by: 1,
            is_answering: false,
        },
        seen: Some(Time::from_secs(seen)),
        last: None,
        failures: 0,
        successes: 0,
        off_pace: 0,
        usual: None,
        is_slow: false,
        flaw: None,
        held_until: None,
        down_from: Vec::new(),
        local_errors: 0,
        is_restored: false,
    }
}

/// Later by `secs` on both clocks, in a process whose monotonic clock began elsewhere.
fn later(secs: u64) -> Moment {
    let elapsed = Duration::from_secs(secs);
    Moment { time: Time::from_secs(900_000) + elapsed, unix: NOW.unix + elapsed }
}

#[test]
fn verdicts_come_back_with_their_age() {
    let dir = TempDir::new();
    let below = dir.path().join("made/on/demand");
    let known = [
        status(tcp(1), Verdict::Down, 99_000, 99_998),
        status(tcp(2), Verdict::Up, 500, 99_999),
        status(tcp(3), Verdict::Unknown, 99_000, 99_999),
    ];
    save(&below, &known, NOW).unwrap();
    let (recalled, problems) = load(&below, later(7), AGE_MAX);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(recalled.len(), 2, "unknown is not worth remembering");
    let down = recalled.of(&tcp(1)).unwrap();
    assert_eq!(down.verdict, Verdict::Down);
    assert_eq!(down.since, Time::from_secs(900_000 - 1000));
    assert_eq!(down.seen, Time::from_secs(900_000 - 2));
    assert_eq!(recalled.of(&tcp(2)).unwrap().verdict, Verdict::Up);
    assert_eq!(recalled.of(&tcp(3)), None);
    let names: Vec<_> =
        fs::read_dir(&below).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, [FILE_NAME], "nothing is left beside it");
}

#[test]
fn old_verdicts_are_dropped_one_by_one() {
    let dir = TempDir::new();
    let known =
        [status(tcp(1), Verdict::Down, 10, 99_000), status(tcp(2), Verdict::Down, 10, 99_900)];
    save(dir.path(), &known, NOW).unwrap();
    let (recalled, problems) = load(dir.path(), later(10), Duration::from_secs(600));
    assert_eq!(recalled.of(&tcp(1)), None);
    assert!(recalled.of(&tcp(2)).is_some());
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("1 of 2 verdicts are older than 600s"), "{problems:?}");
}

#[test]
fn a_missing_file_is_nothing_wrong() {
    let dir = TempDir::new();
    for dir in [dir.path().to_owned(), dir.path().join("missing")] {
        let (recalled, problems) = load(&dir, NOW, AGE_MAX);
        assert!(recalled.is_empty());
        assert_eq!(problems, Vec::<String>::new());
    }
}

#[test]
fn damaged_files_are_told_apart_and_cost_nothing_else() {
    let dir = TempDir::new();
    let path = dir.path().join(FILE_NAME);
    save(dir.path(), &[status(tcp(1), Verdict::Down, 10, 99_999)], NOW).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    for (text, complaint) in [
        (String::new(), "is torn or not ours"),
        ("\u{0}\u{0}\u{0}".to_owned(), "is torn or not ours"),
        ("[1, 2]".to_owned(), "is torn or not ours"),
        (good.replace("\"down\"", "\"up\""), "does not match its checksum"),
        (
            good.replace("\"version\": 1", "\"version\": 2"),
            "has format 2, and this program reads format 1",
        ),
        (good.replace("\"written\"", "\"scribbled\""), "is torn or not ours"),
    ] {
        fs::write(&path, &text).unwrap();
        let (recalled, problems) = load(dir.path(), NOW, AGE_MAX);
        assert!(recalled.is_empty(), "{text}");
        assert_eq!(problems.len(), 1, "{text}");
        assert!(problems[0].contains(complaint), "{problems:?}");
        assert!(problems[0].contains(FILE_NAME), "{problems:?}");
    }
}

#[test]
fn no_cut_of_the_file_is_mistaken_for_it() {
    let good = encode(&[status(tcp(1), Verdict::Down, 10, 99_999)], NOW).unwrap();
    let parse = |text: &[u8]| file::parse::<VerdictsDocument>(text, NOW);
    assert!(parse(&good).is_ok());
    for length in 0..good.len() {
        assert!(parse(&good[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_file_from_the_future_has_no_age() {
    let dir = TempDir::new();
    save(dir.path(), &[status(tcp(1), Verdict::Up, 10, 99_999)], later(7200)).unwrap();
    let (recalled, problems) = load(dir.path(), NOW, AGE_MAX);
    assert!(recalled.is_empty());
    assert!(problems[0].contains("was written 7200s in the future"), "{problems:?}");
    let (recalled, problems) = load(dir.path(), later(7190), Duration::MAX);
    assert_eq!((recalled.len(), problems.len()), (1, 0), "clocks may be off a little");
}

fn terms(change: fn(&mut TlsTerms)) -> Option<Arc<TlsTerms>> {
    let mut terms = TlsTerms::default();
    change(&mut terms);
    Some(Arc::new(terms))
}

fn shown(certificate: u8, key: u8) -> Option<TlsIdentity> {
    Some(TlsIdentity { chain: vec![vec![certificate]], key: vec![key] })
}

#[test]
fn every_part_of_a_target_is_part_of_its_key() {
    let http = HttpCheck {
        tls: true,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: None,
        verify: true,
        headers: Vec::new(),
        status: vec![200..=299],
        body: None,
        connection: Connection::Fresh,
    };
    let text = |text: &str| Some(text.to_owned());
    let base = tcp(1);
    let changed = |change: fn(&mut CheckSpec)| {
        let mut target = base.clone();
        change(Arc::make_mut(&mut target.spec));
        target
    };
    let mut targets = vec![
        base.clone(),
        tcp(2),
        Target { host: TargetHost::Name("a.test.".parse().unwrap()), ..base.clone() },
        changed(|spec| spec.port = 81),
        changed(|spec| spec.invert = true),
        changed(|spec| spec.tls = terms(|terms| terms.roots = Some(Vec::new()))),
        changed(|spec| spec.tls = terms(|terms| terms.roots = Some(vec![vec![1]]))),
        changed(|spec| spec.tls = terms(|terms| terms.margin = Some(Duration::from_secs(1)))),
        changed(|spec| spec.tls = terms(|terms| terms.identity = shown(1, 1))),
        changed(|spec| spec.tls = terms(|terms| terms.identity = shown(1, 2))),
        changed(|spec| spec.tls = terms(|terms| terms.identity = shown(2, 1))),
        changed(|spec| spec.interval = Duration::from_secs(11)),
        changed(|spec| spec.timeout = Duration::from_secs(3)),
        changed(|spec| spec.rise = NonZeroU8::MIN),
        changed(|spec| spec.fall = NonZeroU8::MIN),
    ];
    for http in [
        http.clone(),
        HttpCheck { tls: false, ..http.clone() },
        HttpCheck { method: "HEAD".to_owned(), ..http.clone() },
        HttpCheck { path: "/x".to_owned(), ..http.clone() },
        HttpCheck { path: "/\" host=\"a.test".to_owned(), ..http.clone() },
        HttpCheck { host: text("a.test"), ..http.clone() },
        HttpCheck { host: text(""), ..http.clone() },
        HttpCheck { verify: false, ..http.clone() },
        HttpCheck { headers: vec![("a".to_owned(), "b".to_owned())], ..http.clone() },
        HttpCheck { headers: vec![("a".to_owned(), "c".to_owned())], ..http.clone() },
        HttpCheck { status: vec![200..=299, 404..=404], ..http.clone() },
        HttpCheck { body: text("ok"), ..http.clone() },
        HttpCheck { connection: Connection::Mixed(30), ..http.clone() },
        HttpCheck { connection: Connection::Keepalive, ..http.clone() },
    ] {
        let mut target = base.clone();
        Arc::make_mut(&mut target.spec).kind = CheckKind::Http(http);
        targets.push(target);
    }
    let says = |over, send, expect| CheckKind::Text(TextCheck { over, send, expect });
    let tls = |host, verify| CheckKind::Tls(TlsCheck { host, verify });
    let asks = |qname: &str, qtype, rcode, answer: Option<&[u8]>| {
        let (qname, answer) = (qname.parse().unwrap(), answer.map(Into::into));
        CheckKind::Dns(DnsCheck { qname, qtype, over: Carrier::Udp, rcode, answer })
    };
    let grpc = |tls, host, verify, service: &str| {
        CheckKind::Grpc(GrpcCheck { tls, host, verify, service: service.to_owned() })
    };
    let runs = |program: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        CheckKind::Exec(ExecCheck { program: program.to_owned(), arguments })
    };
    let beats = |secs, token| {
        CheckKind::Heartbeat(HeartbeatCheck { period: Duration::from_secs(secs), token })
    };
    let made = |name: &str, weight, is_negated, of| {
        let member = Member { name: name.to_owned(), weight, is_negated, of };
        CheckKind::Calculated(Formula { members: vec![member], needed: 1 })
    };
    let slow = |factor, millis| Some(Slow { factor, floor: Duration::from_millis(millis) });
    for (slow, damping) in
        [(None, true), (slow(3, 200), true), (slow(2, 250), true), (Some(Slow::default()), false)]
    {
        let mut target = base.clone();
        let spec = Arc::make_mut(&mut target.spec);
        (spec.slow, spec.damping) = (slow, damping);
        targets.push(target);
    }
    for kind in [
        grpc(false, None, true, ""),
        grpc(true, None, true, ""),
        grpc(true, None, false, ""),
        grpc(false, text("a.test"), true, ""),
        grpc(false, None, true, "a.Test"),
        runs("a", &[]),
        runs("b", &[]),
        runs("a", &["b", "c"]),
        runs("a", &["b\", \"c"]),
        says(Carrier::Tcp, None, None),
        says(Carrier::Udp, None, None),
        says(Carrier::Tcp, text("a"), None),
        says(Carrier::Tcp, None, text("a")),
        says(Carrier::Tcp, text("a\" expect=\"b"), None),
        says(Carrier::Tcp, text("a"), text("b")),
        tls(None, true),
        tls(None, false),
        tls(text("a.test"), true),
        asks("a.test.", RecordType::A, 0, None),
        asks("b.test.", RecordType::A, 0, None),
        asks("a.test.", RecordType::TXT, 0, None),
        asks("a.test.", RecordType::A, 3, None),
        asks("a.test.", RecordType::A, 0, Some(&[])),
        asks("a.test.", RecordType::A, 0, Some(&[192, 0, 2, 1])),
        beats(1, None),
        beats(2, None),
        beats(1, text("a")),
        beats(1, text("b")),
        CheckKind::Fixed(Verdict::Up),
        CheckKind::Fixed(Verdict::Down),
        made("a", 1, false, MemberOf::Check(Arc::clone(&tcp(1).spec))),
        made("b", 1, false, MemberOf::Check(Arc::clone(&tcp(1).spec))),
        made("a", 2, false, MemberOf::Check(Arc::clone(&tcp(1).spec))),
        made("a", 1, true, MemberOf::Check(Arc::clone(&tcp(1).spec))),
        made("a", 1, false, MemberOf::Check(Arc::clone(&changed(|spec| spec.port = 81).spec))),
        made("a", 1, false, MemberOf::Endpoints { needed: 1, each: vec![vec![tcp(1), tcp(2)]] }),
        made("a", 1, false, MemberOf::Endpoints { needed: 2, each: vec![vec![tcp(1), tcp(2)]] }),
        made(
            "a",
            1,
            false,
            MemberOf::Endpoints { needed: 1, each: vec![vec![tcp(1)], vec![tcp(2)]] },
        ),
    ] {
        let mut target = base.clone();
        Arc::make_mut(&mut target.spec).kind = kind;
        targets.push(target);
    }
    let keys: std::collections::HashSet<String> = targets.iter().map(Target::key).collect();
    assert_eq!(keys.len(), targets.len(), "{keys:#?}");
    let expected =
        "tcp 192.0.2.1 port=80 interval=10000000000ns timeout=2000000000ns rise=2 fall=2";
    assert_eq!(base.key(), expected, "files of earlier releases say so");
}

#[test]
fn what_cannot_be_written_says_what_and_where() {
    let dir = TempDir::new();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = save(&file.join("state"), &[], NOW).unwrap_err().to_string();
    assert!(error.starts_with("cannot make the directory for verdicts: "), "{error}");
    assert!(error.contains("file/state: Not a directory"), "{error}");
}

// ---- Steering ----

const ZONE: &str = r#"
zone = "t"
nameservers = ["ns.example.net."]
[regions.eu]
location = [50, 10]
[checks.web]
kind = "tcp"
port = 80
[pools.eu]
region = "eu"
check = "web"
slow-start = "2m"
endpoints = [{ name = "a", address = "192.0.2.1" }, { name = "b", address = "192.0.2.2" }]
[steer.www]
policy = "failover"
pools = ["eu"]
"#;

/// A snapshot whose one pool was lost at second `lost` and, if given, came back.
fn after_a_loss(lost: u64, back: Option<u64>) -> Snapshot {
    let zones = crate::testing::zones(&[("t.toml", ZONE)]);
    let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
    let known = |verdict| move |_: &Target| TargetHealth { verdict, ..TargetHealth::UNCHECKED };
    let (up, down) = (known(Verdict::Up), known(Verdict::Down));
    let snapshot = Snapshot::compile(blueprint, 1, &Conditions::new(Time::ZERO, &up)).unwrap();
    let snapshot = snapshot.next(&Conditions::new(Time::from_secs(lost), &down)).unwrap();
    let Some(back) = back else { return snapshot };
    snapshot.next(&Conditions::new(Time::from_secs(back), &up)).unwrap()
}

fn said(at: u64, until: Option<u64>) -> Said {
    let (at, until) = (Time::from_secs(at), until.map(Time::from_secs));
    Said { author: "ann".to_owned(), reason: "why \"so\"".to_owned(), at, until }
}

/// An intake to which something of every kind was said, with `tcp(1)` held up while it is down.
fn spoken_to() -> Intake {
    let intake = Intake::new(Arc::new(Board::new()));
    intake.track(&[tcp(1)], Time::ZERO);
    intake.freeze(said(99_900, None));
    let whats = [
        Subject::Region("eu".to_owned()),
        Subject::Pool("eu".to_owned()),
        Subject::Endpoint { pool: "eu".to_owned(), endpoint: "a".to_owned() },
    ];
    for (what, kind) in whats.into_iter().zip(OverrideKind::ALL) {
        let until = (kind != OverrideKind::Drain).then_some(100_500);
        intake.say(Override { zone: "t.".parse().unwrap(), what, kind, said: said(99_000, until) });
    }
    intake
}

/// What is watched when that is all there is.
fn watched(intake: &Arc<Intake>, snapshot: Snapshot) -> Watched {
    let current = Arc::new(ArcSwap::from_pointee(snapshot));
    let aliases = Arc::new(Book::new(Arc::default()));
    Watched { intake: Arc::clone(intake), loads: Arc::default(), current, aliases }
}

#[test]
fn hosts_of_aliases_come_back_for_as_long_as_they_would_have_been_told() {
    let dir = TempDir::new();
    let host: Name = "lb.vendor.test.".parse().unwrap();
    let hosts = [host.clone()].into();
    let before = Book::new(Arc::default());
    before.use_hosts(&hosts);
    let v4 = vec![[192, 0, 2, 7].into(), [192, 0, 2, 8].into()];
    let minute = Duration::from_secs(60);
    before.note(&host, Ok((v4.clone(), minute)), Ok((Vec::new(), minute)), NOW.time).unwrap();
    aliases::save(dir.path(), before.known(), NOW).unwrap();

    // So long later: whether it is told, and for how many seconds.
    let three_days = 3 * 86_400;
    for (secs, told) in [(10, Some(50)), (90, Some(30)), (three_days + 61, None)] {
        let now = later(secs);
        let (recalled, problems) = load(dir.path(), now, AGE_MAX);
        assert_eq!(problems, Vec::<String>::new());
        let book = Book::new(Arc::default());
        book.use_hosts(&hosts);
        assert_eq!(book.restore(&recalled.aliases, now.time), usize::from(told.is_some()));
        assert_eq!(book.waiting(), usize::from(told.is_none()), "nobody waits for what is known");
        let found = book.aliases().get(&host).map(|found| {
            assert_eq!(found.v4, v4);
            found.until.unwrap().since(now.time).as_secs()
        });
        assert_eq!(found, told, "after {secs} s");
    }
}

#[test]
fn a_damaged_file_of_hosts_costs_only_them() {
    let dir = TempDir::new();
    let line = |host: &str| {
        format!(
            r#"{{"version":1,"written":1,"checksum":"{}","hosts":[{{"host":"{host}"}}]}}"#,
            file::checksum(&[std::collections::BTreeMap::from([("host", host)])]).unwrap()
        )
    };
    for (text, what) in [
        ("{".to_owned(), "is torn or not ours"),
        (line("a..b"), "`a..b` is no host"),
        (line("a.").replace("a.", "b."), "does not match its checksum"),
    ] {
        fs::write(dir.path().join(aliases::FILE_NAME), text).unwrap();
        let (recalled, problems) = load(dir.path(), NOW, AGE_MAX);
        assert!(recalled.aliases.is_empty());
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains(what), "{}", problems[0]);
        assert!(problems[0].ends_with("; hosts of aliases start unknown"), "{}", problems[0]);
    }
}

#[test]
fn what_operators_said_and_pools_went_through_comes_back() {
    let dir = TempDir::new();
    let intake = Arc::new(spoken_to());
    for (back, past) in [
        (None, PoolPast::Lost { since: Some(Time::from_secs(899_000)) }),
        (Some(99_500), PoolPast::Back { since: Time::from_secs(899_500), is_released: false }),
    ] {
        steering::save(dir.path(), &watched(&intake, after_a_loss(99_000, back)), NOW).unwrap();
        let (Recalled { steering, .. }, problems) = load(dir.path(), later(0), AGE_MAX);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(steering.past(&"t.".parse().unwrap(), "eu", None), past);
        assert_eq!(steering.past(&"t.".parse().unwrap(), "eu", Some("b")), past, "starts slowly");
        assert_eq!(steering.past(&"t.".parse().unwrap(), "us", None), PoolPast::New);
        let moved = |said: Said| Said {
            at: said.at + Duration::from_secs(800_000),
            until: said.until.map(|until| until + Duration::from_secs(800_000)),
            ..said
        };
        let before = intake.overrides();
        let expected = Overrides {
            all: { before.all.iter().cloned() }
                .map(|one| Override { said: moved(one.said.clone()), ..one })
                .collect(),
            freeze: before.freeze.clone().map(moved),
        };
        assert_eq!(steering.overrides, expected);
        assert_eq!(steering.held(&[tcp(1), tcp(2)]).len(), 1);
    }
}

#[test]
fn words_outlast_a_long_time_off_and_what_pools_went_through_does_not() {
    let dir = TempDir::new();
    let watched = watched(&Arc::new(spoken_to()), after_a_loss(99_000, None));
    steering::save(dir.path(), &watched, NOW).unwrap();
    let (Recalled { steering, .. }, problems) = load(dir.path(), later(7200), AGE_MAX);
    assert_eq!(steering.past(&"t.".parse().unwrap(), "eu", None), PoolPast::New);
    assert_eq!(steering.overrides.all.len(), 3);
    let in_force = steering.overrides.in_force(later(7200).time).count();
    assert_eq!(in_force, 1, "two have ended meanwhile");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("what pools went through is forgotten"), "{problems:?}");
}

#[test]
fn a_damaged_steering_file_is_told_and_costs_nothing_else() {
    let dir = TempDir::new();
    let watched = watched(&Arc::new(spoken_to()), after_a_loss(99_000, None));
    steering::save(dir.path(), &watched, NOW).unwrap();
    save(dir.path(), &[status(tcp(1), Verdict::Down, 10, 99_999)], NOW).unwrap();
    let path = dir.path().join(steering::FILE_NAME);
    let good = fs::read_to_string(&path).unwrap();
    for (text, complaint) in [
        (good[..good.len() / 2].to_owned(), "is torn or not ours"),
        (good.replace("force-up", "force-down"), "does not match its checksum"),
        (good.replace("\"version\": 1", "\"version\": 9"), "has format 9"),
    ] {
        fs::write(&path, text).unwrap();
        let (recalled, problems) = load(dir.path(), NOW, AGE_MAX);
        assert_eq!(
            (recalled.steering.overrides, recalled.verdicts.len()),
            (Overrides::default(), 1)
        );
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains(complaint), "{problems:?}");
    }
}

// ---- The writer ----

/// A snapshot of a zone whose pools have room for so much, and of another; nothing is known of demand.
fn with_capacity() -> Snapshot {
    let text = r#"
zone = "t"
nameservers = ["ns.example.net."]
[regions]
eu = { location = "IE" }
[pools.eu]
region = "eu"
capacity = 10
endpoints = [{ name = "a", address = "192.0.2.1" }]
[pools.more]
region = "eu"
capacity = 10
endpoints = [{ name = "b", address = "192.0.2.2" }]
[steer.www]
policy = "failover"
pools = ["eu", "more"]
"#;
    let zones =
        crate::testing::zones(&[("t.toml", text), ("u.toml", &ZONE.replace("\"t\"", "\"u\""))]);
    let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
    let conditions = Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED);
    Snapshot::compile(blueprint, 1, &conditions).unwrap()
}

#[test]
fn what_clients_asked_for_comes_back_while_it_is_worth_anything() {
    let up = |_: &Target| TargetHealth::UNCHECKED;
    let known = |snapshot: &Snapshot, demands: &Demands| {
        let conditions = Conditions::new(Time::ZERO, &up).with_demands(demands);
        snapshot.next(&conditions).unwrap()
    };
    let loads = |snapshot: &Snapshot| -> Vec<u64> {
        snapshot.pool_loads().map(|(_, own)| own.load).collect()
    };
    let (snapshot, mut estimator) = (with_capacity(), Estimator::default());
    let rule = snapshot.rules_of(0).next().unwrap();
    let mut demands = None;
    for (secs, answers) in [(1000, 0), (1100, 1200)] {
        (0..answers).for_each(|_| rule.count(0, 0));
        let (now, unix) = (Time::from_secs(secs), Duration::from_secs(secs));
        demands = estimator.step(&snapshot, now, unix, &|_, _| None);
    }
    let before = known(&snapshot, &demands.unwrap());
    assert_eq!(loads(&before), [8496, 3503], "12 a second");

    let (dir, now) = (TempDir::new(), later(100_000));
    demand::save(dir.path(), &before, now).unwrap();
    let recall = |secs: u64| load(dir.path(), later(100_000 + secs), AGE_MAX);
    let (recalled, problems) = recall(3600);
    assert_eq!((recalled.demanded.len(), problems), (1, Vec::new()));
    let fresh = with_capacity();
    assert_eq!(loads(&fresh), [0, 0]);
    let demands = Estimator::restored(&fresh, &recalled.demanded).demands(&fresh);
    assert_eq!(loads(&known(&fresh, &demands)), loads(&before));

    let (recalled, problems) = recall(3601);
    assert!(recalled.demanded.is_empty());
    assert!(problems[0].ends_with("demand is estimated anew"), "{problems:?}");
    let path = dir.path().join(demand::FILE_NAME);
    let text = fs::read_to_string(&path).unwrap();
    for (damage, what) in [
        (text.replace("12000", "12001"), "does not match its checksum"),
        (text[..text.len() / 2].to_owned(), "is torn or not ours"),
        (text.replace("\"version\":1", "\"version\":2"), "has format 2"),
    ] {
        assert_ne!(damage, text);
        fs::write(&path, damage).unwrap();
        let (recalled, problems) = recall(1);
        assert!(recalled.demanded.is_empty());
        assert!(problems.len() == 1 && problems[0].contains(what), "{problems:?}");
    }
}

fn intake() -> Arc<Intake> {
    let intake = Intake::new(Arc::new(Board::new()));
    intake.track(&[tcp(1)], Time::ZERO);
    Arc::new(intake)
}

/// A snapshot in which there is nothing.
fn nothing() -> Snapshot {
    let blueprint = Blueprint { zones: Vec::new(), atlas: Arc::new(Atlas::empty()) };
    let conditions = Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED);
    Snapshot::compile(blueprint, 1, &conditions).unwrap()
}

fn fail(intake: &Intake, clock: Clock) {
    let outcome = ProbeOutcome::Failure(FailureReason::Refused);
    intake.observe(&Observation { target: tcp(1), at: clock.now(), outcome, round_trip: None });
}

fn writer(dir: &Path, clock: Clock, intake: &Arc<Intake>, gap: Duration) -> StateWriter {
    let writer = StateWriter::new(dir.to_owned(), clock, watched(intake, nothing()), AGE_MAX);
    StateWriter { gap, ..writer }
}

#[tokio::test]
async fn what_changed_before_the_end_is_on_disk_after_it() {
    let (dir, clock, intake) = (TempDir::new(), Clock::start(), intake());
    let (stop, stopped) = oneshot::channel::<()>();
    let hour = Duration::from_secs(3600);
    let running = writer(dir.path(), clock, &intake, hour).run(async { stopped.await.unwrap() });
    let running = tokio::spawn(running);
    fail(&intake, clock);
    stop.send(()).unwrap();
    running.await.unwrap();
    let (recalled, problems) = load(dir.path(), clock.moment(), AGE_MAX);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(recalled.of(&tcp(1)).unwrap().verdict, Verdict::Down);
}

#[tokio::test]
async fn a_change_is_written_while_the_program_runs() {
    let (dir, clock, intake) = (TempDir::new(), Clock::start(), intake());
    let quick = Duration::from_millis(1);
    let running = writer(dir.path(), clock, &intake, quick).run(std::future::pending());
    let running = tokio::spawn(running);
    tokio::task::yield_now().await;
    fail(&intake, clock);
    let is_written = async {
        while load(dir.path(), clock.moment(), AGE_MAX).0.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_written).await.unwrap();
    running.abort();
    let (recalled, _) = load(dir.path(), clock.moment(), AGE_MAX);
    assert_eq!(recalled.of(&tcp(1)).unwrap().verdict, Verdict::Down);
}

#[tokio::test]
async fn a_broken_disk_is_complained_about_once() {
    let (dir, clock, intake) = (TempDir::new(), Clock::start(), intake());
    let place = dir.path().join("state");
    fs::write(&place, "in the way").unwrap();
    let (log, _guard) = Log::capture();
    let mut writer = writer(&place, clock, &intake, Duration::ZERO);
    for _ in 0..3 {
        writer.write().await;
    }
    fs::remove_file(&place).unwrap();
    for _ in 0..3 {
        writer.write().await;
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with("WARN"), "{lines:#?}");
    assert!(lines[1].starts_with("INFO") && lines[1].ends_with("again"), "{lines:#?}");
}
