//! Plans, by the probes that start and end.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;
use crate::model::{CheckKind, CheckSpec, TargetHost};

const INTERVAL: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(500);
const BESIDE: Beside =
    Beside { after: Duration::from_millis(250), gap: Duration::from_millis(500), most: 3 };

fn at(millis: u64) -> Time {
    Time::from_millis(1_000_000 + millis)
}

fn rhythm() -> Rhythm {
    let spec = CheckSpec {
        interval: INTERVAL,
        timeout: Duration::from_secs(2),
        ..CheckSpec::new(CheckKind::Tcp, 80)
    };
    let host = TargetHost::Address(Ipv4Addr::new(192, 0, 2, 1).into());
    let target = Target { host, spec: Arc::new(spec) };
    let now = Moment { time: at(0), unix: Duration::from_secs(1_700_000_000) };
    Rhythm::new(&target, Turn::ALONE, now, Duration::from_secs(1))
}

/// What is due, so many milliseconds after the beginning.
fn told(plan: Option<Plan>) -> Option<(Due, u64)> {
    plan.map(|plan| (plan.what, u64::try_from(plan.at.since(at(0)).as_millis()).unwrap()))
}

#[test]
fn one_that_is_late_has_others_beside_it_as_many_as_are_wanted() {
    let mut rhythm = rhythm();
    assert_eq!(told(rhythm.start(at(0))), None, "nothing is late before anything is usual");
    let usual = Pace { next: INTERVAL, beside: Some(BESIDE) };
    assert_eq!(told(rhythm.end(Some(usual))).map(|(what, _)| what), Some(Due::Ordinary));
    assert_eq!(told(rhythm.start(at(10_000))), Some((Due::Beside, 10_250)));
    assert_eq!(told(rhythm.start(at(10_250))), Some((Due::Beside, 10_750)));
    assert_eq!(told(rhythm.start(at(10_750))), None, "those are three");
    // The first fails: two are under way, and two are needed.
    let failed = Pace { next: SOON, beside: Some(Beside { most: 2, ..BESIDE }) };
    assert_eq!(told(rhythm.end(Some(failed))), None);
    // One of them answers: the other is not enough.
    assert_eq!(told(rhythm.end(Some(failed))), Some((Due::Beside, 11_250)));
    assert_eq!(told(rhythm.end(Some(failed))), Some((Due::Extra, 11_250)));
}

#[test]
fn plans_that_others_have_followed_are_void() {
    let mut rhythm = rhythm();
    let first = rhythm.plan();
    assert!(rhythm.is_current(first.number) && first.what == Due::Ordinary);
    assert!(first.at >= at(0) && first.at < at(1000));
    let called = rhythm.hasten(at(0)).unwrap();
    assert_eq!((called.what, called.at), (Due::Extra, at(0)));
    assert!(!rhythm.is_current(first.number) && rhythm.is_current(called.number));
    assert_eq!(rhythm.hasten(at(0)), None, "it is due");
    rhythm.start(at(0));
    assert_eq!(rhythm.hasten(at(1)), None, "it is looked at");
}

#[test]
fn what_the_reserve_does_not_reach_is_left_to_the_ordinary_probe() {
    let mut rhythm = rhythm();
    rhythm.start(at(0));
    let extra = rhythm.end(Some(Pace { next: SOON, beside: None })).unwrap();
    assert_eq!((extra.what, extra.at), (Due::Extra, at(500)));
    let ordinary = rhythm.leave_to_ordinary(at(500));
    assert_eq!(ordinary.what, Due::Ordinary);
    let wait = ordinary.at.since(at(0));
    assert!(wait >= INTERVAL / 2 && wait < INTERVAL * 3 / 2, "{wait:?}");
    // Nobody told anything: the probe was given up.
    rhythm.start(ordinary.at);
    let next = rhythm.end(None).unwrap();
    assert_eq!((next.what, next.at), (Due::Ordinary, ordinary.at + INTERVAL));
}
