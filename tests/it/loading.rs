//! A load that knows the one before comes to what a load from scratch comes to, and does less for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use windrose::clock::unix_now;
use windrose::dns::{Arrival, Dice, handle};
use windrose::load::{Before, Loaded, Place, judge_icmp, load, load_at};
use windrose::model::{Name, Report, Target, TargetHealth, Time, Verdict};
use windrose::snapshot::{Conditions, Snapshot};
use windrose::steer::PoolPast;

use super::node::Files;

// ---- What may stand in the directory ----

const MASTER: &str = "$TTL 1h\n@ SOA ns1 root 7 1h 10m 7d 5m\n@ NS ns1\nns1 A 192.0.2.53\n";

/// A zone of its own that includes what another one includes, and a name that lies in a zone below.
const STATIC: [&str; 4] = [
    "version TXT one\n$INCLUDE shared.inc\nx.sub A 192.0.2.1\n",
    "version TXT second\n$INCLUDE shared.inc\nsub NS ns1\n",
    "version TXT warned\nalias CNAME ns1\n@ MX 1 alias\n",
    "version TXT broken\nwww A 192.0.2.300\n$INCLUDE missing.inc\n",
];
const SHARED: [&str; 3] = ["host A 192.0.2.7\n", "host A 192.0.2.77\n", "host A 192.0.2.7777\n"];
const BELOW: [&str; 2] = ["x A 192.0.2.9\n", "x A 192.0.2.99\ny.z A 192.0.2.9\n"];

/// A steered zone with expectations, of which some are about names of other zones.
const STEERED: &str = "zone = 'b.test'
records = 'b.records'
regions.eu.location = [50, 8]
regions.us.location = [39, -77]
checks.tcp = { kind = 'tcp', port = 80 }
[pools.eu]
region = 'eu'
check = 'tcp'
endpoints = [{ name = 'e', address = '192.0.2.10' }, { name = 'f', address = '192.0.2.11' }]
[pools.us]
region = 'us'
check = 'tcp'
endpoints = [{ name = 'e', address = '192.0.2.20' }]
[steer.www]
policy = 'failover'
pools = ['eu', 'us']
[steer.split]
policy = 'failover'
pools = ['us', 'eu']
where = [{ subnet = ['198.51.100.0/24'], pools = ['eu'] }]
[[expect]]
survives = 1
[[expect]]
name = 'www'
from = '198.51.100.1'
";
const TAILS: [&str; 6] = [
    "region = 'eu'\n",
    "down = ['eu']\npool = 'us'\n[steer.more]\npolicy = 'weighted'\npools = ['us', 'eu']\n",
    // Not met, and a warning beside.
    "region = 'us'\n[regions.unused]\nlocation = [0, 0]\n",
    // Met or not, as another zone says.
    "region = 'eu'\n[[expect]]\nname = 'x.sub.a.test.'\nfrom = '192.0.2.1'\nanswer = ['192.0.2.9']\n",
    "region = 'eu'\n[regions.unused]\nlocation = [0, 0]\n",
    "region = 'mars'\n[steer\n",
];
const RECORDS: [&str; 4] = [
    "mail MX 1 mx\n$INCLUDE shared.inc\n",
    "mail MX 1 mx\n",
    "split NS ns1\n",
    "www CNAME elsewhere\n",
];

/// Every file, and the texts that it may have. No two of one file are equally long, so that no change
/// hides behind a clock's steps.
fn texts(name: &str) -> Vec<String> {
    let master = |tail: &&str| [MASTER, *tail].concat();
    match name {
        "zones/a.test.zone" => STATIC.iter().map(master).collect(),
        "zones/sub.a.test.zone" => BELOW.iter().map(master).collect(),
        "zones/shared.inc" => SHARED.iter().map(|text| (*text).to_owned()).collect(),
        "zones/b.test.toml" => TAILS.iter().map(|tail| [STEERED, *tail].concat()).collect(),
        "zones/b.records" => RECORDS.iter().map(master).collect(),
        "zones/clash.toml" => vec!["zone = 'a.test'\nnameservers = ['ns1.test.']\n".to_owned()],
        "windrose.toml" => {
            let id = |id| format!("version = 1\ndns.server-id = '{id}'\n");
            vec![id("one"), id("three")]
        }
        _ => unreachable!("one of those below"),
    }
}

const NAMES: [&str; 7] = [
    "zones/a.test.zone",
    "zones/sub.a.test.zone",
    "zones/shared.inc",
    "zones/b.test.toml",
    "zones/b.records",
    "zones/clash.toml",
    "windrose.toml",
];

/// A change: a file, and which of its texts it has then; none takes it away.
type Step = (&'static str, Option<usize>);

fn step() -> impl Strategy<Value = Step> {
    select(&NAMES).prop_flat_map(|name| {
        let texts = 0..texts(name).len();
        let text = match name {
            // The server file stays: without one the defaults would hold, which lie elsewhere.
            "windrose.toml" => texts.prop_map(Some).boxed(),
            _ => prop::option::weighted(0.8, texts).boxed(),
        };
        text.prop_map(move |text| (name, text))
    })
}

fn take(files: &Files, (name, text): Step) {
    match text {
        Some(text) => files.write(name, &texts(name)[text]),
        None => drop(fs::remove_file(files.path(name))),
    }
}

/// A directory with one zone that stays and all others at their first text.
fn directory() -> (Files, Place) {
    let files = Files::new("");
    files.write("zones/z.test.zone", MASTER);
    for name in NAMES.into_iter().filter(|name| *name != "zones/clash.toml") {
        take(&files, (name, Some(0)));
    }
    let place = Place::new(Some(files.path("windrose.toml")));
    (files, place)
}

// ---- What came of it ----

/// All that a node could be asked, and its answers, with every endpoint up.
fn answers(snapshot: &Snapshot) -> Vec<(String, Vec<u8>)> {
    let of_target = |_: &Target| TargetHealth::UNCHECKED;
    let past = |_: &Name, _: &str, _: Option<&str>| PoolPast::default();
    let up = Conditions { past: Some(&past), ..Conditions::new(Time::ZERO, &of_target) };
    let up = snapshot.next(&up);
    let snapshot = up.as_ref().unwrap_or(snapshot);
    let names: [&str; 17] = [
        "a.test.",
        "version.a.test.",
        "host.a.test.",
        "host.b.test.",
        "sub.a.test.",
        "x.sub.a.test.",
        "y.z.sub.a.test.",
        "alias.a.test.",
        "no.a.test.",
        "b.test.",
        "www.b.test.",
        "split.b.test.",
        "more.b.test.",
        "mail.b.test.",
        "ns1.b.test.",
        "z.test.",
        "test.",
    ];
    let mut answers = Vec::new();
    for name in names {
        for qtype in [1_u8, 2, 6, 15, 16, 43] {
            let wire: Name = name.parse().expect("a test asks for names");
            let mut packet = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            packet.extend_from_slice(wire.as_wire());
            packet.extend_from_slice(&[0, qtype, 0, 1]);
            // OPT with NSID and the client subnet 198.51.100.0/24.
            packet.extend_from_slice(&[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 15, 0, 3, 0, 0]);
            packet.extend_from_slice(&[0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100]);
            let client = "192.0.2.200".parse().expect("an address");
            let arrival = Arrival { client, is_udp: true, unix_secs: 1_800_000_000 };
            let mut reply = vec![0; 1232];
            let outcome = handle(snapshot, &packet, arrival, &mut Dice::new(7), &mut reply);
            reply.truncate(outcome.len);
            answers.push((format!("{name} {qtype}"), reply));
        }
    }
    answers
}

/// A time at which all files have been at rest for long.
fn later() -> Duration {
    unix_now() + Duration::from_secs(3600)
}

/// What is served after a load, with one pool down by then.
fn before(loaded: Loaded) -> Before {
    let health = |target: &Target| {
        let is_down = target.to_string().contains("192.0.2.1");
        let verdict = if is_down { Verdict::Down } else { Verdict::Up };
        TargetHealth { verdict, ..TargetHealth::UNCHECKED }
    };
    let next = loaded.snapshot.next(&Conditions::new(Time::ZERO, &health));
    let snapshot = next.unwrap_or(loaded.snapshot);
    Before { snapshot: Arc::new(snapshot), known: loaded.known }
}

fn sound(loaded: Result<Loaded, Report>) -> Loaded {
    loaded.unwrap_or_else(|report| panic!("{report}"))
}

/// Asserts that both loads came to the same.
fn judge(cold: &Result<Loaded, Report>, warm: &Result<Loaded, Report>) {
    match (cold, warm) {
        (Ok(cold), Ok(warm)) => {
            assert_eq!(cold.report.to_string(), warm.report.to_string());
            assert_eq!(cold.snapshot.zones(), warm.snapshot.zones());
            assert_eq!(answers(&cold.snapshot), answers(&warm.snapshot));
            assert_eq!(cold.snapshot.targets(), warm.snapshot.targets());
            assert_eq!(cold.config, warm.config);
        }
        (Err(cold), Err(warm)) => assert_eq!(cold.to_string(), warm.to_string()),
        (Ok(_), Err(report)) => panic!("only the load that knew another was refused:\n{report}"),
        (Err(report), Ok(_)) => panic!("only the load from scratch was refused:\n{report}"),
    }
}

/// Goes through changes, each followed by a load from scratch and one that knows the last good one; how
/// many of them were good.
fn go_through(steps: &[Step]) -> usize {
    let (files, place) = directory();
    let mut last = before(sound(load_at(&place, None, later())));
    let mut good = 0;
    for step in steps {
        take(&files, *step);
        let cold = load_at(&place, None, later());
        let warm = load_at(&place, Some(&last), later());
        judge(&cold, &warm);
        if let Ok(warm) = warm {
            good += 1;
            last = before(warm);
        }
    }
    good
}

#[test]
fn what_is_known_makes_no_difference() {
    // Every text of every file in its turn, each followed by the first.
    let mut steps: Vec<Step> = Vec::new();
    for name in NAMES {
        let texts = (0..texts(name).len()).map(Some);
        for text in texts.chain([None]).filter(|text| name != "windrose.toml" || text.is_some()) {
            let home = Some(0).filter(|_| name != "zones/clash.toml");
            steps.extend([(name, text), (name, home)]);
        }
    }
    let good = go_through(&steps);
    assert!(good > steps.len() / 2 && good < steps.len(), "{good} of {}", steps.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_known_makes_no_difference_in_any_order(
        steps in prop::collection::vec(step(), 1..12)
    ) {
        go_through(&steps);
    }
}

// ---- What it saves, and does not ----

/// Which zones of a load are the very ones of the load before.
fn kept(before: &Before, place: &Place) -> Vec<String> {
    let loaded = sound(load_at(place, Some(before), later()));
    let is_kept = |zone: &&Arc<_>| before.snapshot.zones().iter().any(|old| Arc::ptr_eq(old, zone));
    loaded.snapshot.zones().iter().filter(is_kept).map(|zone| zone.apex.to_string()).collect()
}

#[test]
fn only_what_a_change_bears_on_is_read_again() {
    let all = ["a.test.", "sub.a.test.", "b.test.", "z.test."];
    let cases: [(Step, &[&str]); 6] = [
        (("windrose.toml", Some(1)), &all),
        (("zones/a.test.zone", Some(1)), &["sub.a.test.", "b.test.", "z.test."]),
        (("zones/sub.a.test.zone", None), &["a.test.", "b.test.", "z.test."]),
        (("zones/b.records", Some(1)), &["a.test.", "sub.a.test.", "z.test."]),
        (("zones/b.test.toml", Some(1)), &["a.test.", "sub.a.test.", "z.test."]),
        // Two zones include it.
        (("zones/shared.inc", Some(1)), &["sub.a.test.", "z.test."]),
    ];
    for (step, expected) in cases {
        let (files, place) = directory();
        let last = before(sound(load_at(&place, None, later())));
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let expect = |names: &[&str]| sorted(names.iter().map(ToString::to_string).collect());
        assert_eq!(sorted(kept(&last, &place)), expect(&all), "nothing has changed");
        take(&files, step);
        assert_eq!(sorted(kept(&last, &place)), expect(expected), "{step:?}");
    }
}

#[test]
fn a_file_that_was_just_written_is_not_trusted() {
    let (files, place) = directory();
    let path = files.path("zones/z.test.zone");
    let write = |n: u32| {
        // In place and of the same length, as fast as can be: times of files may well stay the same.
        fs::write(Path::new(&path), format!("{MASTER}n TXT {:08}\n", n)).unwrap();
    };
    write(0);
    let mut last = before(sound(load(&place, None)));
    for n in 1..200 {
        write(n);
        last = before(sound(load(&place, Some(&last))));
        let served = last.snapshot.zones().iter().find(|zone| zone.apex.to_string() == "z.test.");
        let texts = windrose::zone::records(&served.unwrap().names).map(|(.., rdata)| rdata);
        let expected = format!("\x08{n:08}").into_bytes();
        assert!(texts.into_iter().any(|rdata| rdata == expected), "{n}");
    }
}

// ---- Programs ----

const RUNS: &str = "zone = 'a.test'
nameservers = ['ns1.test.']
regions.eu.location = [50, 8]
steer.www = { policy = 'failover', pools = ['eu'] }
[checks.deep]
kind = 'exec'
command = ['database', '--deep']
[pools.eu]
region = 'eu'
check = 'deep'
endpoints = [{ name = 'e', address = '192.0.2.10' }]
";

/// What a load says of the zone that runs a program, under this section of the server file.
fn told_of_programs(probe: &str, programs: &[(&str, u32)]) -> Result<(), String> {
    let files = Files::new(&format!("[probe]\n{probe}\n"));
    files.write("zones/a.test.toml", RUNS);
    for (name, mode) in programs {
        let name = format!("programs/{name}");
        files.write(&name, "#!/bin/sh\n");
        let mode = fs::Permissions::from_mode(*mode);
        fs::set_permissions(files.path(&name), mode).expect("the file was just written");
    }
    let place = Place::new(Some(files.path("windrose.toml")));
    let directory = files.path("").display().to_string();
    load(&place, None).map(drop).map_err(|report| report.to_string().replace(&directory, ""))
}

#[test]
fn checks_run_programs_only_where_the_server_file_lets_them() {
    let allowed = "programs = 'programs'";
    assert_eq!(told_of_programs(allowed, &[("database", 0o755)]), Ok(()));
    // Nothing is run where nothing is probed.
    assert_eq!(told_of_programs("enabled = false", &[]), Ok(()));
    let refused = [
        told_of_programs("", &[("database", 0o755)]),
        told_of_programs(allowed, &[("other", 0o755)]),
        told_of_programs(allowed, &[("database", 0o644)]),
    ];
    insta::assert_snapshot!(refused.map(Result::unwrap_err).join("\n"));
}

// ---- Where no probe goes ----

/// What a load says of an endpoint that is checked at `address`, under this section of the server file.
fn told_of_targets(probe: &str, address: &str) -> Result<(), String> {
    told_of_feeds(probe, address, "")
}

/// The same with this line in the pool, and a feed of that URL, if it is one.
fn told_of_feeds(probe: &str, address: &str, url: &str) -> Result<(), String> {
    let files = Files::new(&format!("[probe]\n{probe}\n"));
    let mut zone = RUNS.replace("'exec'\ncommand = ['database', '--deep']", "'http'");
    if !url.is_empty() {
        zone = zone.replace("check = ", "feed = 'load'\ncheck = ");
        zone.push_str(&format!("\n[feeds.load]\nkind = 'json'\npath = '$.load'\nurl = '{url}'\n"));
    }
    files.write(
        "zones/a.test.toml",
        zone.replace("192.0.2.10'", &format!("192.0.2.10', check-address = '{address}'")),
    );
    let place = Place::new(Some(files.path("windrose.toml")));
    let directory = files.path("").display().to_string();
    load(&place, None).map(drop).map_err(|report| report.to_string().replace(&directory, ""))
}

#[test]
fn endpoints_are_not_checked_where_the_server_file_denies_it() {
    for (probe, address) in [
        ("", "10.0.0.1"),
        ("", "127.0.0.1"),
        ("deny = []", "169.254.169.254"),
        // Nothing is asked where nothing is probed.
        ("enabled = false", "169.254.169.254"),
    ] {
        assert_eq!(told_of_targets(probe, address), Ok(()), "{probe} {address}");
    }
    let refused = [
        told_of_targets("", "169.254.169.254"),
        told_of_targets("", "fe80::1"),
        told_of_targets("deny = ['10.0.0.0/8']", "10.0.0.1"),
        told_of_feeds("", "10.0.0.1", "http://169.254.169.254/latest"),
        told_of_feeds("deny = ['10.0.0.0/8']", "192.0.2.1", "http://10.0.0.1:8404/"),
    ];
    insta::assert_snapshot!(refused.map(Result::unwrap_err).join("\n"));
    assert_eq!(told_of_feeds("", "10.0.0.1", "http://{address}:8404/load"), Ok(()));
}

#[test]
fn checks_that_this_process_may_not_make_are_warned_of() {
    let files = Files::new("");
    let zone = RUNS.replace("'exec'\ncommand = ['database', '--deep']", "'icmp'");
    files.write("zones/a.test.toml", zone);
    let place = Place::new(Some(files.path("windrose.toml")));
    let zones = load(&place, None).expect("a sound zone").snapshot.zones().to_vec();
    let mut report = Report::new();
    judge_icmp(&zones, None, &mut report);
    assert_eq!(report.diagnostics(), []);
    judge_icmp(&zones, Some("this process may send no ICMP"), &mut report);
    assert!(!report.has_errors());
    let directory = files.path("").display().to_string();
    insta::assert_snapshot!(report.to_string().replace(&directory, ""));
}
