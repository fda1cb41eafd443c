//! What an observation sets in motion.

use std::num::NonZeroU8;

use super::*;
use crate::model::{CheckKind, CheckSpec, FailureReason, Said, TargetHost};
use crate::testing::Log;

const SUCCESS: ProbeOutcome = ProbeOutcome::Success(Duration::from_millis(3));
const TIMEOUT: ProbeOutcome = ProbeOutcome::Failure(FailureReason::Timeout);
const LOCAL: ProbeOutcome = ProbeOutcome::LocalError(LocalError::Descriptors);

fn target(last_octet: u8) -> Target {
    let spec = CheckSpec {
        rise: NonZeroU8::new(2).unwrap(),
        fall: NonZeroU8::new(2).unwrap(),
        ..CheckSpec::new(CheckKind::Tcp, 80)
    };
    Target { host: TargetHost::Address([192, 0, 2, last_octet].into()), spec: Arc::new(spec) }
}

fn intake(targets: &[Target]) -> Intake {
    let intake = Intake::new(Arc::new(Board::new()));
    intake.track(targets, Time::ZERO);
    intake
}

fn observe(intake: &Intake, target: &Target, secs: u64, outcome: ProbeOutcome) -> Duration {
    let observation = Observation {
        target: target.clone(),
        at: Time::from_secs(secs),
        outcome,
        round_trip: None,
    };
    intake.observe(&observation).next
}

#[test]
fn every_transition_is_one_line_in_words() {
    let (log, _guard) = Log::capture();
    let target = target(1);
    let intake = intake(std::slice::from_ref(&target));
    let outcomes = [SUCCESS, SUCCESS, TIMEOUT, TIMEOUT, TIMEOUT, SUCCESS, SUCCESS, SUCCESS];
    for (secs, outcome) in (0..).zip(outcomes) {
        observe(&intake, &target, secs, outcome);
    }
    let at = "INFO windrose::intake: tcp 192.0.2.1:80";
    let expected = [
        "DEBUG windrose::intake: tcp 192.0.2.1:80 is up: first probe: success host=192.0.2.1 \
         from=unknown to=up"
            .to_owned(),
        format!(
            "{at} went down: 2 failures in a row, last: timeout host=192.0.2.1 from=up to=down"
        ),
        format!("{at} came back up: 2 successes in a row host=192.0.2.1 from=down to=up"),
    ];
    assert_eq!(log.lines(), expected);
    let counts =
        IntakeCounts { successes: 5, failures: 3, local_errors: 0, scarcities: 0, transitions: 3 };
    assert_eq!(intake.counts(), counts);
}

#[test]
fn what_is_made_of_a_target_is_told_with_it() {
    use crate::model::formula::{Formula, Member, MemberOf};

    let (log, _guard) = Log::capture();
    let web = target(1);
    let of = MemberOf::Check(Arc::clone(&web.spec));
    let member = Member { name: "web".to_owned(), weight: 1, is_negated: true, of };
    let kind = CheckKind::Calculated(Formula { members: vec![member], needed: 1 });
    let quiet = Target { spec: Arc::new(CheckSpec::new(kind, 0)), ..web.clone() };
    let intake = intake(&[web.clone(), quiet.clone()]);
    observe(&intake, &web, 1, TIMEOUT);
    let Unheard::Of(news) = intake.take_news() else { panic!("not everything is new") };
    assert_eq!(news, HashSet::from([web.clone(), quiet.clone()]));
    assert_eq!(intake.counts().transitions, 2);
    assert_eq!(intake.health()(&quiet).verdict, Verdict::Up);
    let line = log.lines().pop().unwrap();
    assert!(
        line.contains(
            "calculated 192.0.2.1 1 of not web is up: 1 of 1 hold, 1 needed: web down, as it should"
        ),
        "{line}"
    );
    // What was known when answers were frozen is what counts, of these as of others.
    let said =
        Said { author: "ann".to_owned(), reason: String::new(), at: Time::ZERO, until: None };
    intake.freeze(said);
    observe(&intake, &web, 2, SUCCESS);
    observe(&intake, &web, 3, SUCCESS);
    assert_eq!(intake.board().health(&quiet).verdict, Verdict::Down);
    assert_eq!(intake.health()(&quiet).verdict, Verdict::Up);
}

#[test]
fn local_errors_are_logged_once_a_minute_and_counted_each_time() {
    let (log, _guard) = Log::capture();
    let targets: Vec<Target> = (1..=3).map(target).collect();
    let intake = intake(&targets);
    for secs in [1, 2, 60, 61, 62] {
        for target in &targets {
            observe(&intake, target, secs, LOCAL);
        }
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("out of file descriptors"), "{lines:#?}");
    assert_eq!(intake.counts().local_errors, 15);
    assert_eq!(intake.board().health(&targets[0]).verdict, Verdict::Unknown);
}

#[test]
fn signals_come_when_answers_or_verdicts_change_and_not_otherwise() {
    let target = target(1);
    let intake = intake(std::slice::from_ref(&target));
    let (mut dirty, mut transitions) = (intake.dirty(), intake.transitions());
    let mut signals = |outcome| {
        observe(&intake, &target, 1, outcome);
        let seen = (dirty.has_changed().unwrap(), transitions.has_changed().unwrap());
        dirty.mark_unchanged();
        transitions.mark_unchanged();
        seen
    };
    assert_eq!(signals(SUCCESS), (true, true), "the first verdict");
    assert_eq!(signals(SUCCESS), (false, false), "nothing new");
    assert_eq!(signals(TIMEOUT), (true, false), "in doubt: answers must live shorter");
    assert_eq!(signals(LOCAL), (false, false), "nothing about the target");
    assert_eq!(signals(TIMEOUT), (true, true), "down");
    assert_eq!(signals(TIMEOUT), (false, false), "still down");
}

#[test]
fn the_pace_of_the_tracker_comes_back() {
    let target = target(1);
    let intake = intake(std::slice::from_ref(&target));
    assert_eq!(observe(&intake, &target, 1, SUCCESS), Duration::from_secs(10));
    assert_eq!(observe(&intake, &target, 11, TIMEOUT), Duration::from_millis(500));
    assert_eq!(observe(&intake, &target, 12, TIMEOUT), Duration::from_secs(5));
}

#[tokio::test]
async fn the_first_round_ends_with_the_last_target() {
    let targets: Vec<Target> = (1..=3).map(target).collect();
    let intake = intake(&targets);
    let mut round = Box::pin(intake.first_round());
    let mut is_over = async || {
        tokio::select! {
            biased;
            () = &mut round => true,
            () = std::future::ready(()) => false,
        }
    };
    observe(&intake, &targets[0], 1, SUCCESS);
    let remembered =
        Remembered { verdict: Verdict::Down, since: Time::ZERO, seen: Time::ZERO, usual: None };
    let restored = intake.restore(|target| (*target == targets[1]).then_some(remembered));
    assert_eq!(restored, 1);
    assert!(!is_over().await);
    observe(&intake, &targets[2], 1, LOCAL);
    assert!(is_over().await);
    intake.first_round().await;
}

#[tokio::test]
async fn the_first_round_does_not_wait_for_what_a_reload_dropped() {
    let targets: Vec<Target> = (1..=2).map(target).collect();
    let intake = intake(&targets);
    observe(&intake, &targets[0], 1, TIMEOUT);
    intake.track(&targets[..1], Time::from_secs(2));
    intake.first_round().await;
    assert_eq!(intake.board().len(), 1);
}
