//! The tracker's manual: histories of results and what they lead to; and its properties.
//!
//! A history is written as one letter a result: `s` success, `f` failure, `l` local error.

use std::num::NonZeroU8;

use proptest::prelude::*;

use super::*;
use crate::model::CheckKind;
use crate::model::health::LocalError;

const INTERVAL: Duration = Duration::from_secs(10);

fn spec(rise: u8, fall: u8) -> CheckSpec {
    CheckSpec {
        kind: CheckKind::Tcp,
        port: 443,
        interval: INTERVAL,
        timeout: Duration::from_secs(2),
        rise: NonZeroU8::new(rise).unwrap(),
        fall: NonZeroU8::new(fall).unwrap(),
    }
}

fn outcome(letter: char) -> ProbeOutcome {
    match letter {
        's' => ProbeOutcome::Success(Duration::from_millis(3)),
        'f' => ProbeOutcome::Failure(FailureReason::Timeout),
        'l' => ProbeOutcome::LocalError(LocalError::Descriptors),
        other => panic!("no result is written `{other}`"),
    }
}

/// A tracker after a history, and the cause of the last change in it.
fn after(rise: u8, fall: u8, history: &str) -> (Tracker, Option<Cause>) {
    let mut tracker = Tracker::new(&spec(rise, fall));
    let mut cause = None;
    for letter in history.chars().filter(|letter| *letter != ' ') {
        if let Some(change) = tracker.observe(outcome(letter)) {
            assert_ne!(change.from, change.to, "a change changes something");
            assert_eq!(change.to, tracker.verdict());
            cause = Some(change.cause);
        }
    }
    (tracker, cause)
}

/// A next change that nothing is leading to.
const NEVER: u64 = u64::MAX;

/// With `rise = 3`, `fall = 3`, `interval = 10s`: history, verdict, cause of the last change, pace and
/// time to the next change in milliseconds.
#[rustfmt::skip]
const TRANSITIONS: [(&str, Verdict, &str, u64, u64); 24] = [
    ("",             Verdict::Unknown, "",                                      10_000,      0),
    ("l",            Verdict::Unknown, "",                                      10_000,      0),
    // The first result decides.
    ("s",            Verdict::Up,      "first probe: success",                  10_000,  NEVER),
    ("f",            Verdict::Down,    "first probe: timeout",                   5_000, 15_000),
    ("lls",          Verdict::Up,      "first probe: success",                  10_000,  NEVER),
    // Up: failures are remembered and confirmed at once.
    ("s f",          Verdict::Up,      "first probe: success",                     500,  1_000),
    ("s ff",         Verdict::Up,      "first probe: success",                     500,    500),
    ("s fff",        Verdict::Down,    "3 failures in a row, last: timeout",     5_000, 15_000),
    ("s flflf",      Verdict::Down,    "3 failures in a row, last: timeout",     5_000, 15_000),
    // One success does not end the burst, two do, three forget the failure.
    ("s fs",         Verdict::Up,      "first probe: success",                     500,  1_000),
    ("s fss",        Verdict::Up,      "first probe: success",                  10_000,  1_000),
    ("s fsss",       Verdict::Up,      "first probe: success",                  10_000,  NEVER),
    ("s fss f",      Verdict::Up,      "first probe: success",                     500,    500),
    // Not in a row, and yet: one in two, one in three, but not one in four.
    ("s fsfsf",      Verdict::Down,    "3 failures in 5 probes, last: timeout",  5_000, 15_000),
    ("s fssfssf",    Verdict::Down,    "3 failures in 7 probes, last: timeout",  5_000, 15_000),
    ("s fsssfsssf",  Verdict::Up,      "first probe: success",                     500,  1_000),
    ("s ffsssff",    Verdict::Up,      "first probe: success",                     500,    500),
    // Down: only successes in a row lead back.
    ("f f",          Verdict::Down,    "first probe: timeout",                   5_000, 15_000),
    ("f s",          Verdict::Down,    "first probe: timeout",                   5_000, 10_000),
    ("f ss",         Verdict::Down,    "first probe: timeout",                   5_000,  5_000),
    ("f ssf",        Verdict::Down,    "first probe: timeout",                   5_000, 15_000),
    ("f slsl",       Verdict::Down,    "first probe: timeout",                   5_000,  5_000),
    ("f sss",        Verdict::Up,      "3 successes in a row",                  10_000,  NEVER),
    ("f sss ff",     Verdict::Up,      "3 successes in a row",                     500,    500),
];

#[test]
fn histories_lead_where_the_table_says() {
    for (history, verdict, why, pace, next_change) in TRANSITIONS {
        let (tracker, cause) = after(3, 3, history);
        assert_eq!(tracker.verdict(), verdict, "verdict after `{history}`");
        let cause = cause.map(|cause| cause.to_string()).unwrap_or_default();
        assert_eq!(cause, why, "cause after `{history}`");
        assert_eq!(tracker.pace(), Duration::from_millis(pace), "pace after `{history}`");
        let expected = match next_change {
            NEVER => Duration::MAX,
            millis => Duration::from_millis(millis),
        };
        assert_eq!(tracker.next_change(), expected, "next change after `{history}`");
    }
}

#[test]
fn a_fall_and_a_rise_of_one_flip_at_once() {
    let (tracker, cause) = after(1, 1, "s f");
    assert_eq!(tracker.verdict(), Verdict::Down);
    assert_eq!(cause.unwrap().to_string(), "1 failure: timeout");
    let (tracker, cause) = after(1, 1, "s f s");
    assert_eq!(tracker.verdict(), Verdict::Up);
    assert_eq!(cause.unwrap().to_string(), "1 success");
}

#[test]
fn long_bad_spells_between_long_good_ones_are_caught() {
    // Never 8 failures without 8 successes in between, and yet 12 of 20.
    let (tracker, cause) = after(3, 8, "s fffffff ssssssss ffff");
    assert_eq!(tracker.verdict(), Verdict::Up);
    assert_eq!(tracker.next_change(), Duration::from_millis(500), "one more is enough");
    assert_eq!(cause, Some(Cause::FirstSuccess));
    let (tracker, cause) = after(3, 8, "s fffffff ssssssss fffff");
    assert_eq!(tracker.verdict(), Verdict::Down);
    assert_eq!(cause.unwrap().to_string(), "12 of the last 20 probes failed, last: timeout");
}

#[test]
fn the_window_is_not_held_against_the_next_spell() {
    let (tracker, _) = after(1, 8, "s fffffff ssssssss fffff s");
    assert_eq!(tracker.verdict(), Verdict::Up);
    assert_eq!(tracker.next_change(), Duration::MAX);
}

#[test]
fn short_intervals_shorten_the_gaps() {
    let short = CheckSpec { interval: Duration::from_millis(600), ..spec(2, 2) };
    let mut tracker = Tracker::new(&short);
    tracker.observe(outcome('s'));
    tracker.observe(outcome('f'));
    assert_eq!(tracker.pace(), Duration::from_millis(300), "half of the interval");
    tracker.observe(outcome('f'));
    assert_eq!(tracker.pace(), Duration::from_millis(600), "below the floor: the interval");
}

#[test]
fn a_resumed_verdict_is_as_steady_as_a_seen_one() {
    let mut up = Tracker::resumed(&spec(3, 3), Verdict::Up);
    assert_eq!(up.observe(outcome('f')), None);
    let mut down = Tracker::resumed(&spec(3, 3), Verdict::Down);
    assert_eq!(down.observe(outcome('s')), None);
    let mut unknown = Tracker::resumed(&spec(3, 3), Verdict::Unknown);
    assert_eq!(unknown.observe(outcome('s')).map(|change| change.to), Some(Verdict::Up));
}

fn history() -> impl Strategy<Value = Vec<char>> {
    // Runs of equal results reach the corners that single draws do not.
    let run = (prop::sample::select(vec!['s', 'f', 'l']), 1_usize..9);
    prop::collection::vec(run, 0..24)
        .prop_map(|runs| runs.into_iter().flat_map(|(letter, n)| vec![letter; n]).collect())
}

/// How many more of `letter` it takes to change the verdict.
fn probes_to_flip(tracker: &Tracker, letter: char) -> u32 {
    let mut tracker = tracker.clone();
    let flips = |_: &u32| tracker.observe(outcome(letter)).is_some();
    (1..=600).find(flips).expect("some number of equal results always flips the verdict")
}

proptest! {
    #[test]
    fn no_target_goes_down_on_fewer_failures_than_fall(
        rise in 1_u8..10, fall in 1_u8..30, history in history(),
    ) {
        let mut tracker = Tracker::new(&spec(rise, fall));
        tracker.observe(outcome('s'));
        let mut failures_while_up = 0;
        for letter in history {
            failures_while_up += u32::from(letter == 'f' && tracker.verdict() == Verdict::Up);
            if let Some(change) = tracker.observe(outcome(letter)) {
                if change.to == Verdict::Down {
                    prop_assert!(failures_while_up >= u32::from(fall));
                }
                failures_while_up = 0;
            }
        }
    }

    #[test]
    fn a_result_only_pulls_to_its_own_side(
        rise in 1_u8..10, fall in 1_u8..30, history in history(),
    ) {
        let mut tracker = Tracker::new(&spec(rise, fall));
        for letter in history {
            let change = tracker.observe(outcome(letter));
            match letter {
                's' => prop_assert!(change.is_none_or(|change| change.to == Verdict::Up)),
                'f' => prop_assert!(change.is_none_or(|change| change.to == Verdict::Down)),
                _ => prop_assert_eq!(change, None),
            }
        }
    }

    #[test]
    fn local_errors_change_nothing(
        rise in 1_u8..10, fall in 1_u8..30, history in history(),
    ) {
        let mut with = Tracker::new(&spec(rise, fall));
        let mut without = with.clone();
        for letter in history {
            with.observe(outcome(letter));
            if letter != 'l' {
                without.observe(outcome(letter));
            }
            prop_assert_eq!(format!("{with:?}"), format!("{without:?}"));
        }
    }

    /// The worst that can follow is that every result pulls the other way, each as soon as the gap
    /// that `next_change` counts with allows.
    #[test]
    fn next_change_is_never_later_than_the_worst_probes(
        rise in 1_u8..10, fall in 1_u8..30, history in history(),
    ) {
        let mut tracker = Tracker::new(&spec(rise, fall));
        for letter in history {
            tracker.observe(outcome(letter));
            let (gap, worst) = match tracker.state {
                State::Init | State::Up { failures: 0, .. } => continue,
                State::Up { .. } => (CONFIRM_GAP_MAX, 'f'),
                State::Down { .. } => (INTERVAL / 2, 's'),
            };
            let true_time = gap * probes_to_flip(&tracker, worst);
            prop_assert!(tracker.next_change() <= true_time);
            prop_assert!(tracker.next_change() > Duration::ZERO);
        }
    }
}
