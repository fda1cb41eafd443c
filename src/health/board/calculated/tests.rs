//! Verdicts of targets that nobody probes, on a board.

use std::time::Duration;

use super::*;
use crate::health::Remembered;
use crate::model::formula::{Formula, Member, MemberOf};
use crate::model::health::ProbeOutcome;
use crate::model::{CheckSpec, FailureReason, Observation, TargetHost, Verdict};

fn target(last_octet: u8, kind: CheckKind, port: u16) -> Target {
    let one = std::num::NonZeroU8::MIN;
    let spec = CheckSpec { rise: one, fall: one, damping: false, ..CheckSpec::new(kind, port) };
    Target { host: TargetHost::Address([192, 0, 2, last_octet].into()), spec: Arc::new(spec) }
}

/// Two checks of one host, and that both must hold.
fn both() -> (Target, Target, Target) {
    let (web, data) = (target(1, CheckKind::Tcp, 80), target(1, CheckKind::Tcp, 5432));
    let member = |name: &str, of: &Target| Member {
        name: name.to_owned(),
        weight: 1,
        is_negated: false,
        of: MemberOf::Check(Arc::clone(&of.spec)),
    };
    let members = vec![member("web", &web), member("data", &data)];
    let whole = target(1, CheckKind::Calculated(Formula { members, needed: 2 }), 0);
    (web, data, whole)
}

fn observe(board: &Board, target: &Target, secs: u64, is_up: bool) -> Vec<Recounted> {
    let outcome = match is_up {
        true => ProbeOutcome::Success(Duration::from_millis(1)),
        false => ProbeOutcome::Failure(FailureReason::Refused),
    };
    let at = Time::from_secs(secs);
    board.observe(&Observation { target: target.clone(), at, outcome, round_trip: None });
    board.follow([target])
}

#[test]
fn a_verdict_follows_those_it_is_made_of() {
    let (web, data, whole) = both();
    let board = Board::new();
    board.track([&web, &data, &whole], Time::from_secs(1));
    assert_eq!((board.len(), board.waiting()), (2, 2), "nobody probes the whole");
    assert_eq!(board.health(&whole).verdict, Verdict::Unknown);
    assert_eq!(observe(&board, &web, 2, true).len(), 0, "still not known");
    let up = observe(&board, &data, 3, true);
    assert_eq!(up.len(), 1);
    let health = board.health(&whole);
    assert_eq!((health.verdict, health.since), (Verdict::Up, Time::from_secs(3)));
    let down = observe(&board, &web, 7, false);
    let transition = down[0].transition.as_ref().unwrap();
    assert_eq!((transition.from, transition.to), (Verdict::Up, Verdict::Down));
    assert_eq!(transition.why, "1 of 2 hold, 2 needed: web down, data up");
    assert_eq!(board.health(&whole).since, Time::from_secs(7));
    assert_eq!(board.calculated()[0].evidence, transition.why);
}

#[test]
fn what_is_no_longer_named_is_forgotten_and_what_stays_is_known_still() {
    let (web, data, whole) = both();
    let board = Board::new();
    board.track([&web, &data, &whole], Time::from_secs(1));
    observe(&board, &web, 2, true);
    observe(&board, &data, 3, true);
    board.track([&web, &data, &whole], Time::from_secs(9));
    let health = board.health(&whole);
    assert_eq!((health.verdict, health.since), (Verdict::Up, Time::from_secs(3)));
    board.track([&web, &data], Time::from_secs(10));
    assert_eq!(board.health(&whole).verdict, Verdict::Unknown);
    assert_eq!(observe(&board, &web, 11, false), []);
}

#[test]
fn what_is_remembered_of_its_members_tells_of_it() {
    let (web, data, whole) = both();
    let board = Board::new();
    board.track([&web, &data, &whole], Time::from_secs(50));
    let since = Time::from_secs(7);
    let verdict = |target: &Target| if *target == web { Verdict::Down } else { Verdict::Up };
    board.restore(|target| {
        Some(Remembered { verdict: verdict(target), since, seen: since, usual: None })
    });
    let health = board.health(&whole);
    assert_eq!((health.verdict, health.since), (Verdict::Down, since));
}

#[test]
fn a_fixed_verdict_is_there_at_once() {
    let fixed = target(1, CheckKind::Fixed(Verdict::Down), 0);
    let board = Board::new();
    board.track([&fixed], Time::from_secs(5));
    assert_eq!((board.len(), board.waiting()), (0, 0));
    let health = board.health(&fixed);
    assert_eq!((health.verdict, health.since), (Verdict::Down, Time::from_secs(5)));
    assert_eq!(board.calculated()[0].evidence, "fixed by the zone file");
}
