//! The schedule against listeners on the loopback address.

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::clock::Clock;
use crate::model::check::{Connection, HttpCheck};
use crate::model::health::{Beside, ProbeOutcome};
use crate::model::{CheckKind, CheckSpec, TargetHost};

const SHORT: Duration = Duration::from_millis(20);
const PATIENT: Duration = Duration::from_secs(20);

fn target(port: u16, kind: CheckKind, timeout: Duration) -> Target {
    let spec = CheckSpec {
        interval: SHORT,
        timeout,
        rise: NonZeroU8::MIN,
        fall: NonZeroU8::MIN,
        ..CheckSpec::new(kind, port)
    };
    Target { host: TargetHost::Address(Ipv4Addr::LOCALHOST.into()), spec: Arc::new(spec) }
}

fn http_target(port: u16, path: &str, timeout: Duration) -> Target {
    let check = HttpCheck {
        tls: false,
        method: "GET".to_owned(),
        path: path.to_owned(),
        host: None,
        verify: true,
        headers: Vec::new(),
        status: vec![200..=200],
        body: None,
        connection: Connection::Fresh,
    };
    target(port, CheckKind::Http(check), timeout)
}

/// A schedule whose results arrive in a channel and are all answered by `pace`.
fn schedule(in_flight_max: usize, pace: Duration) -> (Schedule, UnboundedReceiver<Observation>) {
    let (sender, results) = unbounded_channel();
    let report = move |observation| {
        // Nobody listens any more at the end of a test.
        let _ = sender.send(observation);
        Pace { next: pace, beside: None }
    };
    let limits = Limits { in_flight_max, budget: None };
    (Schedule::new(Prober::new(Clock::start()), limits, report), results)
}

async fn next(results: &mut UnboundedReceiver<Observation>) -> Observation {
    let result = tokio::time::timeout(PATIENT, results.recv()).await;
    result.expect("a result comes in time").expect("the schedule runs")
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn the_pace_of_a_report_decides_when_the_next_probe_comes() {
    let (_listener, port) = listener().await;
    let (mut schedule, mut results) = schedule(8, Duration::from_millis(1));
    schedule.set_targets(&HashSet::from([target(port, CheckKind::Tcp, PATIENT)]));
    let mut last = Time::ZERO;
    for _ in 0..10 {
        let result = next(&mut results).await;
        assert!(matches!(result.outcome, ProbeOutcome::Success(_)), "{:?}", result.outcome);
        assert!(result.at > last);
        last = result.at;
    }
    schedule.stop().await;
    while results.recv().await.is_some() {}
}

#[tokio::test]
async fn what_is_called_for_is_probed_now_and_then_at_its_turn() {
    let (_listener, port) = listener().await;
    let patient = Target {
        spec: Arc::new(CheckSpec { interval: PATIENT, ..CheckSpec::new(CheckKind::Tcp, port) }),
        host: TargetHost::Address(Ipv4Addr::LOCALHOST.into()),
    };
    let (mut schedule, mut results) = schedule(8, PATIENT * 100);
    schedule.set_targets(&HashSet::from([patient.clone()]));
    next(&mut results).await;
    let stranger = target(port, CheckKind::Tcp, PATIENT);
    // Its next turn is half an hour away.
    for _ in 0..3 {
        schedule.hasten(&HashSet::from([patient.id(), stranger.id()]));
        assert_eq!(next(&mut results).await.target, patient);
    }
}

#[tokio::test]
async fn a_reload_starts_and_stops_only_what_changed() {
    let (_listener, port) = listener().await;
    let [dropped, kept, new] = [3, 4, 5].map(|secs| {
        // Different timeouts make different targets of one address.
        target(port, CheckKind::Tcp, Duration::from_secs(secs))
    });
    let (mut schedule, mut results) = schedule(8, Duration::from_millis(1));
    schedule.set_targets(&HashSet::from([dropped.clone(), kept.clone()]));
    let key = schedule.shared.lock().keys[&kept];
    next(&mut results).await;
    schedule.set_targets(&HashSet::from([kept.clone(), new.clone()]));
    assert_eq!(schedule.shared.lock().keys[&kept], key, "what stays goes on");
    while results.try_recv().is_ok() {}
    let mut seen = HashSet::new();
    while seen.len() < 2 {
        seen.insert(next(&mut results).await.target);
    }
    assert_eq!(seen, HashSet::from([kept, new]));
}

#[tokio::test]
async fn no_more_probes_run_at_once_than_allowed() {
    let (listener, port) = listener().await;
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    tokio::spawn(async move {
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (open, most) = (open.clone(), seen.clone());
            tokio::spawn(async move {
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                while stream.read_u8().await.unwrap() != b'\n' {}
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                open.fetch_sub(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            });
        }
    });
    let targets: HashSet<Target> =
        (0..16).map(|n| http_target(port, &format!("/{n}"), PATIENT)).collect();
    let (mut schedule, mut results) = schedule(2, PATIENT);
    schedule.set_targets(&targets);
    for _ in &targets {
        let result = next(&mut results).await;
        assert!(matches!(result.outcome, ProbeOutcome::Success(_)), "{:?}", result.outcome);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn waiting_for_a_turn_is_not_held_against_the_target() {
    let (silent, silent_port) = listener().await;
    let (_listener, port) = listener().await;
    let hanging = http_target(silent_port, "/", Duration::from_millis(300));
    let prompt = target(port, CheckKind::Tcp, Duration::from_millis(100));
    let (mut schedule, mut results) = schedule(1, PATIENT);
    schedule.set_targets(&HashSet::from([hanging.clone()]));
    let connection = silent.accept().await.unwrap();
    schedule.set_targets(&HashSet::from([hanging.clone(), prompt.clone()]));
    assert_eq!(next(&mut results).await.target, hanging);
    let result = next(&mut results).await;
    assert_eq!(result.target, prompt);
    assert!(matches!(result.outcome, ProbeOutcome::Success(_)), "{:?}", result.outcome);
    drop(connection);
}

#[tokio::test]
async fn an_extra_probe_that_finds_no_reserve_is_left_to_the_ordinary_one() {
    let (_listener, port) = listener().await;
    let (sender, mut results) = unbounded_channel();
    let report = move |observation| {
        let _ = sender.send(observation);
        Pace { next: SHORT / 2, beside: None }
    };
    let limits = Limits { in_flight_max: 8, budget: Some(0) };
    let mut schedule = Schedule::new(Prober::new(Clock::start()), limits, report);
    schedule.set_targets(&HashSet::from([target(port, CheckKind::Tcp, PATIENT)]));
    for _ in 0..5 {
        next(&mut results).await;
    }
    let figures = schedule.figures().read();
    assert!(figures.dropped >= 4, "{figures:?}");
    assert_eq!(figures.targets, 1);
    assert_eq!(figures.reserve, 0.0);
    schedule.stop().await;
}

#[tokio::test]
async fn others_begin_beside_a_probe_that_is_late_and_all_count() {
    let (silent, port) = listener().await;
    let (sender, mut results) = unbounded_channel();
    let beside = Beside { after: SHORT, gap: SHORT, most: 3 };
    let report = move |observation| {
        let _ = sender.send(observation);
        Pace { next: PATIENT, beside: Some(beside) }
    };
    let limits = Limits { in_flight_max: 8, budget: None };
    let mut schedule = Schedule::new(Prober::new(Clock::start()), limits, report);
    let late = http_target(port, "/", Duration::from_secs(5));
    let spec = CheckSpec { interval: PATIENT, ..(*late.spec).clone() };
    let late = Target { spec: Arc::new(spec), ..late };
    schedule.set_targets(&HashSet::from([late.clone()]));
    let (mut first, _) = silent.accept().await.unwrap();
    first.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    next(&mut results).await;
    // As if its place had come.
    schedule.hasten(&HashSet::from([late.id()]));
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(silent.accept().await.unwrap());
    }
    drop(open);
    for _ in 0..3 {
        assert!(matches!(next(&mut results).await.outcome, ProbeOutcome::Failure(_)));
    }
    assert_eq!(schedule.figures().read().started, 4, "and no fourth beside them");
    schedule.stop().await;
}

#[tokio::test]
async fn a_turn_that_changes_is_another_place() {
    let (mut schedule, _results) = schedule(8, PATIENT);
    let target = target(9, CheckKind::Tcp, PATIENT);
    let hour = Duration::from_secs(3600);
    let spec = CheckSpec { interval: hour, ..(*target.spec).clone() };
    let target = Target { spec: Arc::new(spec), ..target };
    let mut place_of = |rank| {
        schedule.set_turns([(target.clone(), Turn { rank, of: 2 })]);
        let table = schedule.shared.lock();
        let row = table.rows[index(table.keys[&target])].as_ref().unwrap();
        assert_eq!(row.life, 0, "it is the same target");
        row.rhythm.clone().leave_to_ordinary(Time::ZERO).at
    };
    let (first, second, again) = (place_of(0), place_of(1), place_of(0));
    // The two clocks are not read at the very same moment.
    let apart = first.since(second).max(second.since(first));
    assert!((1799..=1800).contains(&apart.as_secs()), "half an interval away: {apart:?}");
    let apart = first.since(again).max(again.since(first)).as_secs() % 3599;
    assert_eq!(apart, 0, "{first:?} {again:?}");
}
