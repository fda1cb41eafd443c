//! The timetable as arithmetic, and the schedule against listeners on the loopback address.

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::clock::Clock;
use crate::model::check::HttpCheck;
use crate::model::health::ProbeOutcome;
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
    };
    target(port, CheckKind::Http(check), timeout)
}

/// A schedule whose results arrive in a channel and are all answered by `pace`.
fn schedule(in_flight_max: usize, pace: Duration) -> (Schedule, UnboundedReceiver<Observation>) {
    let (sender, results) = unbounded_channel();
    let report = move |observation| {
        // Nobody listens any more at the end of a test.
        let _ = sender.send(observation);
        pace
    };
    (Schedule::new(Prober::new(Clock::start()), in_flight_max, report), results)
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
async fn a_reload_starts_and_stops_only_what_changed() {
    let (_listener, port) = listener().await;
    let [dropped, kept, new] = [3, 4, 5].map(|secs| {
        // Different timeouts make different targets of one address.
        target(port, CheckKind::Tcp, Duration::from_secs(secs))
    });
    let (mut schedule, mut results) = schedule(8, Duration::from_millis(1));
    schedule.set_targets(&HashSet::from([dropped.clone(), kept.clone()]));
    let task = schedule.running[&kept].id();
    next(&mut results).await;
    schedule.set_targets(&HashSet::from([kept.clone(), new.clone()]));
    assert_eq!(schedule.running[&kept].id(), task, "what stays goes on");
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

// ---- The timetable ----

const INTERVAL: Duration = Duration::from_secs(10);

fn place(hash: u64) -> Place {
    Place { interval: INTERVAL, hash }
}

proptest! {
    #[test]
    fn probes_at_the_ordinary_pace_fall_into_their_place(hash: u64, start in 0_u64..1 << 50) {
        let place = place(hash);
        let next = place.next_start(Time::from_nanos(start), INTERVAL);
        let gap = Duration::from_nanos(next.as_nanos() - start);
        prop_assert!(gap >= INTERVAL / 2 && gap < INTERVAL * 3 / 2, "a gap of {gap:?}");
        prop_assert_eq!(next.as_nanos() % nanos(INTERVAL), hash % nanos(INTERVAL));
    }

    #[test]
    fn a_late_start_does_not_move_the_next(hash: u64, late_millis in 0_u64..4000) {
        let place = place(hash);
        let on_time = place.next_start(Time::from_secs(1000), INTERVAL);
        let late = on_time + Duration::from_millis(late_millis);
        prop_assert_eq!(place.next_start(late, INTERVAL), on_time + INTERVAL);
    }

    #[test]
    fn any_other_pace_is_taken_literally(hash: u64, start in 0_u64..1 << 50, millis in 1_u64..9999) {
        let (start, pace) = (Time::from_nanos(start), Duration::from_millis(millis));
        prop_assert_eq!(place(hash).next_start(start, pace), start + pace);
    }
}

#[test]
fn targets_are_spread_evenly_over_first_round_and_interval() {
    let spec = Arc::new(CheckSpec {
        interval: INTERVAL,
        ..CheckSpec::clone(&target(80, CheckKind::Tcp, SHORT).spec)
    });
    let places: Vec<Place> = (0..5000_u32)
        .map(|n| {
            let host = TargetHost::Address(Ipv4Addr::from(0x0a00_0000 + n).into());
            Place::of(&Target { host, spec: spec.clone() }, spec.interval)
        })
        .collect();
    let mut first = [0; 10];
    let mut later = [0; 10];
    for place in places {
        let delay = place.first_delay();
        assert!(delay < FIRST_ROUND);
        first[usize::try_from(delay.as_millis() / 100).unwrap()] += 1;
        let next = place.next_start(Time::from_secs(100), INTERVAL).as_nanos();
        later[usize::try_from(next / 1_000_000_000 % 10).unwrap()] += 1;
    }
    for count in first.into_iter().chain(later) {
        assert!((400..=600).contains(&count), "{first:?} {later:?}");
    }
}
