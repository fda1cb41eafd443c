//! The board: what a stream of observations, a reload and a restart do to it.

use std::num::NonZeroU8;
use std::sync::Arc;

use super::*;
use crate::model::health::LocalError;
use crate::model::{CheckKind, CheckSpec, FailureReason, TargetHost};

const SUCCESS: ProbeOutcome = ProbeOutcome::Success(Duration::from_millis(3));
const REFUSED: ProbeOutcome = ProbeOutcome::Failure(FailureReason::Refused);
const LOCAL: ProbeOutcome = ProbeOutcome::LocalError(LocalError::Descriptors);

fn target(last_octet: u8) -> Target {
    let spec = CheckSpec {
        rise: NonZeroU8::new(2).unwrap(),
        fall: NonZeroU8::new(2).unwrap(),
        ..CheckSpec::new(CheckKind::Tcp, 80)
    };
    Target { host: TargetHost::Address([192, 0, 2, last_octet].into()), spec: Arc::new(spec) }
}

fn board(targets: &[Target]) -> Board {
    let board = Board::new();
    board.track(targets, Time::ZERO);
    board
}

fn observe(board: &Board, target: &Target, secs: u64, outcome: ProbeOutcome) -> Observed {
    board.observe(&Observation {
        target: target.clone(),
        at: Time::from_secs(secs),
        outcome,
        round_trip: None,
    })
}

#[test]
fn a_transition_says_what_changed_when_and_why() {
    let target = target(1);
    let board = board(std::slice::from_ref(&target));
    observe(&board, &target, 1, SUCCESS);
    observe(&board, &target, 11, REFUSED);
    let observed = observe(&board, &target, 12, REFUSED);
    let transition = observed.transition.unwrap();
    assert_eq!((transition.from, transition.to), (Verdict::Up, Verdict::Down));
    assert_eq!(transition.at, Time::from_secs(12));
    assert_eq!(transition.why, "2 failures in a row, last: refused");
    assert_eq!(board.health(&target).since, Time::from_secs(12));
}

#[test]
fn steady_results_change_nothing_that_answers_depend_on() {
    let target = target(1);
    let board = board(std::slice::from_ref(&target));
    assert!(observe(&board, &target, 1, SUCCESS).is_changed);
    assert!(!observe(&board, &target, 11, SUCCESS).is_changed);
    assert!(!observe(&board, &target, 21, LOCAL).is_changed);
    let doubt = observe(&board, &target, 31, REFUSED);
    assert!(doubt.is_changed, "answers must live shorter now");
    assert_eq!(doubt.transition, None);
}

#[test]
fn a_reload_keeps_what_is_known_and_forgets_what_is_not_named() {
    let (kept, dropped, new) = (target(1), target(2), target(3));
    let board = board(&[kept.clone(), dropped.clone()]);
    observe(&board, &kept, 1, REFUSED);
    observe(&board, &dropped, 1, REFUSED);
    board.track([&kept, &new], Time::from_secs(5));
    assert_eq!(board.len(), 2);
    assert_eq!(board.health(&kept).verdict, Verdict::Down);
    assert_eq!(board.health(&kept).since, Time::from_secs(1));
    assert_eq!(board.health(&dropped).verdict, Verdict::Unknown);
    assert_eq!(board.health(&new).since, Time::from_secs(5));
    let late = observe(&board, &dropped, 6, SUCCESS);
    assert_eq!((late.transition, late.is_changed), (None, false));
    assert_eq!(board.len(), 2, "a late result of a dropped target brings nothing back");
}

#[test]
fn the_first_round_is_over_when_every_target_was_looked_at() {
    let targets: Vec<Target> = (1..=4).map(target).collect();
    let board = board(&targets);
    assert_eq!(board.waiting(), 4);
    observe(&board, &targets[0], 1, SUCCESS);
    observe(&board, &targets[0], 2, SUCCESS);
    assert_eq!(board.waiting(), 3);
    observe(&board, &targets[1], 1, LOCAL);
    assert_eq!(board.waiting(), 2, "a local error keeps nobody waiting");
    board.track(&targets[..3], Time::from_secs(3));
    assert_eq!(board.waiting(), 1, "what is not named is not waited for");
    observe(&board, &targets[2], 4, REFUSED);
    assert_eq!(board.waiting(), 0);
}

#[test]
fn restored_verdicts_hold_until_results_say_otherwise() {
    let (down, seen, unheard) = (target(1), target(2), target(3));
    let board = board(&[down.clone(), seen.clone(), unheard.clone()]);
    observe(&board, &seen, 1, SUCCESS);
    let remembered = Remembered {
        verdict: Verdict::Down,
        since: Time::from_millis(100),
        seen: Time::from_millis(200),
        usual: None,
    };
    let restored = board.restore(|target| (target != &unheard).then_some(remembered));
    assert_eq!(restored, 1, "what was looked at in this life needs no memory");
    assert_eq!(board.health(&seen).verdict, Verdict::Up);
    assert_eq!(board.health(&unheard).verdict, Verdict::Unknown);
    assert_eq!(board.health(&down).verdict, Verdict::Down);
    assert_eq!(board.health(&down).since, Time::from_millis(100));
    assert_eq!(board.waiting(), 1);

    let status =
        |board: &Board| board.entries().into_iter().find(|status| status.target == down).unwrap();
    observe(&board, &down, 2, LOCAL);
    assert!(status(&board).is_restored);
    assert_eq!(status(&board).seen, Some(Time::from_millis(200)));
    assert_eq!(observe(&board, &down, 3, SUCCESS).transition, None);
    assert!(!status(&board).is_restored);
    assert_eq!(status(&board).successes, 1);
    assert_eq!(observe(&board, &down, 8, SUCCESS).transition.unwrap().to, Verdict::Up);
}

#[test]
fn status_shows_the_last_probe_and_what_is_held_against_the_target() {
    let target = target(1);
    let board = board(std::slice::from_ref(&target));
    observe(&board, &target, 1, SUCCESS);
    observe(&board, &target, 2, REFUSED);
    observe(&board, &target, 3, LOCAL);
    let status = board.entries().remove(0);
    assert_eq!(status.last, Some((Time::from_secs(3), LOCAL)));
    assert_eq!(status.seen, Some(Time::from_secs(2)));
    assert_eq!((status.failures, status.local_errors), (1, 1));
}

#[test]
fn without_probes_no_change_is_on_its_way() {
    let target = target(1);
    let board = Board::unobserved();
    board.track([&target], Time::ZERO);
    assert_eq!(board.health(&target).next_change, Duration::MAX);
    let down =
        Remembered { verdict: Verdict::Down, since: Time::ZERO, seen: Time::ZERO, usual: None };
    assert_eq!(board.restore(|_| Some(down)), 1);
    assert_eq!(board.health(&target).verdict, Verdict::Down);
    assert_eq!(board.health(&target).next_change, Duration::MAX);
}
