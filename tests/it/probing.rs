//! The way of an observation, from a socket to a verdict: schedule, probe, intake, board.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use windrose::clock::Clock;
use windrose::health::Board;
use windrose::intake::Intake;
use windrose::model::{CheckKind, CheckSpec, Target, TargetHost, Verdict};
use windrose::probe::{Limits, Prober, Schedule};

const PATIENT: Duration = Duration::from_secs(20);

fn target(address: SocketAddr) -> Target {
    let spec = CheckSpec {
        interval: Duration::from_millis(200),
        timeout: Duration::from_millis(200),
        ..CheckSpec::new(CheckKind::Tcp, address.port())
    };
    Target { host: TargetHost::Address(address.ip()), spec: Arc::new(spec) }
}

/// Waits until the target has a verdict.
async fn becomes(intake: &Intake, target: &Target, verdict: Verdict) {
    let mut transitions = intake.transitions();
    let waiting = async {
        while intake.board().health(target).verdict != verdict {
            transitions.changed().await.unwrap();
        }
    };
    let in_time = tokio::time::timeout(PATIENT, waiting).await;
    in_time.unwrap_or_else(|_| panic!("{target} does not become {verdict}"));
}

#[tokio::test]
async fn a_target_that_goes_and_comes_back_is_seen_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let target = target(address);
    let targets = HashSet::from([target.clone()]);

    let clock = Clock::start();
    let intake = Arc::new(Intake::new(Arc::new(Board::new())));
    intake.track(&targets, clock.now());
    let report = {
        let intake = intake.clone();
        move |observation| intake.observe(&observation)
    };
    let mut schedule =
        Schedule::new(Prober::new(clock), Limits { in_flight_max: 16, budget: None }, report);
    schedule.set_targets(&targets);

    tokio::time::timeout(PATIENT, intake.first_round()).await.unwrap();
    assert_eq!(intake.board().health(&target).verdict, Verdict::Up);
    drop(listener);
    becomes(&intake, &target, Verdict::Down).await;
    let _listener = TcpListener::bind(address).await.unwrap();
    becomes(&intake, &target, Verdict::Up).await;
    schedule.stop().await;

    let counts = intake.counts();
    assert!(counts.failures >= 3 && counts.successes >= 4, "{counts:?}");
    assert!(counts.transitions >= 3, "up, down, up: {counts:?}");
}
