//! The tracker's manual: histories of results and what they lead to; and its properties.
//!
//! A history is written as one letter a result: `s` success, `w` success with something wrong about it, `f` failure,
//! `l` local error.

use std::num::NonZeroU8;

use proptest::prelude::*;

use super::*;
use crate::model::CheckKind;
use crate::model::check::TlsTerms;
use crate::model::health::LocalError;

const INTERVAL: Duration = Duration::from_secs(10);

/// Nobody is held back: tables and properties are about single spells.
fn undamped(rise: u8, fall: u8) -> CheckSpec {
    CheckSpec { damping: false, ..spec(rise, fall) }
}

fn spec(rise: u8, fall: u8) -> CheckSpec {
    CheckSpec {
        rise: NonZeroU8::new(rise).unwrap(),
        fall: NonZeroU8::new(fall).unwrap(),
        ..CheckSpec::new(CheckKind::Tcp, 443)
    }
}

fn outcome(letter: char) -> ProbeOutcome {
    match letter {
        's' => ProbeOutcome::Success(Duration::from_millis(3)),
        'w' => ProbeOutcome::Flawed(
            Duration::from_millis(3),
            Flaw::CertificateEnds { place: 0, days: 9 },
        ),
        'f' => ProbeOutcome::Failure(FailureReason::Timeout),
        'l' => ProbeOutcome::LocalError(LocalError::Descriptors),
        other => panic!("no result is written `{other}`"),
    }
}

/// A tracker after a history, and the cause of the last change in it.
fn after(rise: u8, fall: u8, history: &str) -> (Tracker, Option<Cause>) {
    let mut tracker = Tracker::new(&undamped(rise, fall));
    let mut cause = None;
    for letter in history.chars().filter(|letter| *letter != ' ') {
        if let Some(change) = tracker.observe(outcome(letter), Time::ZERO) {
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
const TRANSITIONS: [(&str, Verdict, &str, u64, u64); 26] = [
    ("",             Verdict::Unknown, "",                                      10_000,      0),
    ("l",            Verdict::Unknown, "",                                      10_000,      0),
    // The first result decides.
    ("s",            Verdict::Up,      "first probe: success",                  10_000,  NEVER),
    ("f",            Verdict::Down,    "first probe: timeout",                     500,    500),
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
    // A first failure is confirmed at once, and one success ends it.
    ("f f",          Verdict::Down,    "first probe: timeout",                     500,    500),
    ("f ff",         Verdict::Down,    "first probe: timeout",                   5_000, 15_000),
    ("f f s",        Verdict::Up,      "1 success",                             10_000,  NEVER),
    // Down: only successes in a row lead back.
    ("fff s",        Verdict::Down,    "first probe: timeout",                   5_000, 10_000),
    ("fff ss",       Verdict::Down,    "first probe: timeout",                   5_000,  5_000),
    ("fff ssf",      Verdict::Down,    "first probe: timeout",                   5_000, 15_000),
    ("fff slsl",     Verdict::Down,    "first probe: timeout",                   5_000,  5_000),
    ("fff sss",      Verdict::Up,      "3 successes in a row",                  10_000,  NEVER),
    ("fff sss ff",   Verdict::Up,      "3 successes in a row",                     500,    500),
];

#[test]
fn histories_lead_where_the_table_says() {
    for (history, verdict, why, pace, next_change) in TRANSITIONS {
        let (tracker, cause) = after(3, 3, history);
        assert_eq!(tracker.verdict(), verdict, "verdict after `{history}`");
        let cause = cause.map(|cause| cause.to_string()).unwrap_or_default();
        assert_eq!(cause, why, "cause after `{history}`");
        assert_eq!(tracker.pace().next, Duration::from_millis(pace), "pace after `{history}`");
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

/// What a tracker comes to that has seen answers of so many milliseconds, one every ten seconds.
fn after_answers(tracker: &mut Tracker, millis: u64, count: usize) -> Vec<String> {
    let answer = ProbeOutcome::Success(Duration::from_millis(millis));
    let changes = (0..count).filter_map(|_| tracker.observe(answer, Time::ZERO));
    changes.map(|change| format!("{}: {}", change.to, change.cause)).collect()
}

#[test]
fn slow_answers_degrade_and_never_take_down() {
    let mut tracker = Tracker::new(&spec(2, 3));
    assert_eq!(after_answers(&mut tracker, 100, 20), ["up: first probe: success"]);
    after_answers(&mut tracker, 900, 1);
    assert_eq!(tracker.next_change(), 2 * INTERVAL, "answers live shorter from the first");
    let changes = after_answers(&mut tracker, 900, 100);
    assert_eq!(changes, ["degraded: 3 slow answers in a row, last: 900.0 ms, usually: 100.0 ms"]);
    assert_eq!(tracker.pace().next, INTERVAL);
    let changes = after_answers(&mut tracker, 110, 20);
    assert_eq!(changes, ["up: 2 quick answers in a row, last: 110.0 ms"]);
    assert_eq!(tracker.next_change(), Duration::MAX);
}

#[test]
fn a_degraded_target_goes_down_and_comes_back_as_it_answers() {
    let mut tracker = Tracker::new(&spec(2, 3));
    after_answers(&mut tracker, 100, 20);
    after_answers(&mut tracker, 900, 3);
    let mut change = None;
    for _ in 0..3 {
        change = tracker.observe(outcome('f'), Time::ZERO);
    }
    let change = change.unwrap();
    assert_eq!((change.from, change.to), (Verdict::Degraded, Verdict::Down));
    assert_eq!(after_answers(&mut tracker, 900, 2), ["degraded: 2 successes in a row"]);
}

#[test]
fn a_degraded_verdict_and_what_is_usual_survive_a_restart() {
    let usual = Some(Duration::from_millis(100));
    let mut tracker = Tracker::resumed(&spec(2, 3), Verdict::Degraded, usual);
    assert_eq!(tracker.verdict(), Verdict::Degraded);
    assert_eq!(tracker.usual().map(|usual| usual.as_millis()), Some(100));
    let changes = after_answers(&mut tracker, 100, 2);
    assert_eq!(changes, ["up: 2 quick answers in a row, last: 100.0 ms"]);
    let never = CheckSpec { slow: None, ..spec(2, 3) };
    let tracker = Tracker::resumed(&never, Verdict::Degraded, usual);
    assert_eq!(tracker.verdict(), Verdict::Up, "of a check under which nothing is slow");
}

#[test]
fn an_impaired_vantage_believes_what_speaks_for_a_target_only() {
    let mut tracker = Tracker::new(&spec(2, 3));
    after_answers(&mut tracker, 100, 20);
    for _ in 0..100 {
        assert_eq!(tracker.observe_impaired(outcome('f'), Time::ZERO), None);
        let slow = ProbeOutcome::Success(Duration::from_secs(1));
        assert_eq!(tracker.observe_impaired(slow, Time::ZERO), None);
    }
    assert_eq!(tracker.next_change(), Duration::MAX, "nothing is remembered");
    let mut down = Tracker::resumed(&spec(2, 3), Verdict::Down, None);
    down.observe_impaired(outcome('s'), Time::ZERO);
    let change = down.observe_impaired(outcome('s'), Time::ZERO).unwrap();
    assert_eq!(change.to, Verdict::Up);
}

/// How often a target changes within half an hour that answers for 20 seconds and does not for 20.
fn changes_of_a_square_wave(damping: bool) -> usize {
    let mut tracker = Tracker::new(&CheckSpec { damping, ..spec(3, 3) });
    let mut now = Time::from_secs(1000);
    let end = now + Duration::from_secs(1800);
    let mut changes = 0;
    while now < end {
        let is_good = (now.as_nanos() / 20_000_000_000).is_multiple_of(2);
        changes +=
            usize::from(tracker.observe(outcome(if is_good { 's' } else { 'f' }), now).is_some());
        now = now + tracker.pace().next;
    }
    changes
}

#[test]
fn what_flaps_is_held_back() {
    let (damped, undamped) = (changes_of_a_square_wave(true), changes_of_a_square_wave(false));
    assert!(damped <= 10 && undamped >= 80, "{damped} changes instead of {undamped}");
}

#[test]
fn a_held_target_comes_up_when_it_is_released() {
    let mut tracker = Tracker::new(&spec(1, 1));
    let at = Time::from_secs;
    for second in 0..8 {
        tracker.observe(outcome(if second % 2 == 0 { 's' } else { 'f' }), at(second));
    }
    let until = tracker.held_until(at(8)).expect("it fell four times");
    assert_eq!(tracker.observe(outcome('s'), at(9)), None);
    assert_eq!(tracker.next_change(), INTERVAL / 2, "as soon as its next probe");
    let change = tracker.observe(outcome('s'), until).unwrap();
    assert_eq!(change.to, Verdict::Up);
    assert_eq!(tracker.held_until(until), None);
}

#[test]
fn short_intervals_shorten_the_gaps() {
    let short = CheckSpec { interval: Duration::from_millis(600), ..spec(2, 2) };
    let mut tracker = Tracker::new(&short);
    tracker.observe(outcome('s'), Time::ZERO);
    tracker.observe(outcome('f'), Time::ZERO);
    assert_eq!(tracker.pace().next, Duration::from_millis(300), "half of the interval");
    tracker.observe(outcome('f'), Time::ZERO);
    assert_eq!(tracker.pace().next, Duration::from_millis(600), "below the floor: the interval");
}

#[test]
fn a_resumed_verdict_is_as_steady_as_a_seen_one() {
    let mut up = Tracker::resumed(&spec(3, 3), Verdict::Up, None);
    assert_eq!(up.observe(outcome('f'), Time::ZERO), None);
    let mut down = Tracker::resumed(&spec(3, 3), Verdict::Down, None);
    assert_eq!(down.observe(outcome('s'), Time::ZERO), None);
    let mut unknown = Tracker::resumed(&spec(3, 3), Verdict::Unknown, None);
    assert_eq!(
        unknown.observe(outcome('s'), Time::ZERO).map(|change| change.to),
        Some(Verdict::Up)
    );
}

#[test]
fn what_is_wrong_with_answers_degrades_and_never_takes_down() {
    let flawed = "3 times in a row: certificate ends in 9 days";
    for (history, verdict, why, next_change) in [
        ("w", Verdict::Up, "first probe: success", 20_000),
        ("sww", Verdict::Up, "first probe: success", 10_000),
        ("wwsww", Verdict::Up, "first probe: success", 10_000),
        ("swww", Verdict::Degraded, flawed, 20_000),
        ("wwws", Verdict::Degraded, flawed, 10_000),
        ("wwwsws", Verdict::Degraded, flawed, 10_000),
        ("wwwss", Verdict::Up, "2 flawless answers in a row", NEVER),
        ("wwwlwl", Verdict::Degraded, flawed, 20_000),
        ("wwwfff", Verdict::Down, "3 failures in a row, last: timeout", 10_000),
        ("wwwfffww", Verdict::Degraded, "2 successes in a row", 20_000),
        ("wwwfffss", Verdict::Up, "2 successes in a row", NEVER),
        ("fwww", Verdict::Degraded, flawed, 20_000),
    ] {
        let (tracker, cause) = after(2, 3, history);
        assert_eq!(tracker.verdict(), verdict, "{history}");
        assert_eq!(cause.map(|cause| cause.to_string()).as_deref(), Some(why), "{history}");
        let millis = u64::try_from(tracker.next_change().as_millis()).unwrap_or(NEVER);
        assert_eq!(millis, next_change, "{history}");
        assert_eq!(tracker.flaw().is_some(), verdict == Verdict::Degraded, "{history}");
    }
}

#[test]
fn a_resumed_flaw_ends_with_answers_that_have_none() {
    let margin = Some(Duration::from_secs(1));
    let tls = Some(std::sync::Arc::new(TlsTerms { margin, ..TlsTerms::default() }));
    let spec = CheckSpec { tls, slow: None, ..undamped(2, 3) };
    let mut tracker = Tracker::resumed(&spec, Verdict::Degraded, None);
    assert_eq!(tracker.verdict(), Verdict::Degraded);
    tracker.observe(outcome('s'), Time::ZERO);
    assert_eq!(tracker.verdict(), Verdict::Degraded);
    tracker.observe(outcome('s'), Time::ZERO);
    assert_eq!(tracker.verdict(), Verdict::Up);
}

/// When the results of a dead target come that was up and usually takes `usual` to answer, and the last of them
/// takes it down. Probes begin as the schedule begins them, the first of them at zero, and fail after `fails_after`.
fn time_to_down(spec: &CheckSpec, usual: Duration, fails_after: Duration) -> Duration {
    let mut tracker = Tracker::resumed(spec, Verdict::Up, Some(usual));
    let mut starts = vec![Duration::ZERO];
    let mut ended = 0;
    loop {
        let (Pace { beside, .. }, last) = (tracker.pace(), starts[starts.len() - 1]);
        let under_way = starts.len() - ended;
        let end = starts[ended] + fails_after;
        let next = beside.filter(|beside| under_way < usize::try_from(beside.most).unwrap());
        let next = next.map(|beside| last + if under_way == 1 { beside.after } else { beside.gap });
        if let Some(next) = next.filter(|next| *next < end) {
            starts.push(next);
            continue;
        }
        ended += 1;
        if tracker.observe(outcome('f'), Time::ZERO + end).is_some() {
            return end;
        }
        if ended == starts.len() {
            starts.push(end.max(last + tracker.pace().next));
        }
    }
}

#[test]
fn a_dead_target_is_down_within_seconds() {
    let spec = CheckSpec { interval: Duration::from_secs(5), ..spec(3, 3) };
    assert_eq!(spec.timeout, Duration::from_secs(2), "the default");
    let millis = Duration::from_millis;
    // With what passes until the first probe, 5 s at most.
    for (usual, fails_after, expected) in [
        (1, 1, 1001),       // refused
        (1, 2000, 2750),    // silent
        (80, 2000, 2750),   // silent, and 250 ms are three times the usual
        (200, 2000, 3200),  // later ones are late later
        (1500, 2000, 6000), // nothing is late before it has failed
    ] {
        let took = time_to_down(&spec, millis(usual), millis(fails_after));
        assert_eq!(took.as_millis(), millis(expected).as_millis(), "usually {usual} ms");
    }
    let once = CheckSpec { fall: NonZeroU8::MIN, ..spec.clone() };
    assert_eq!(time_to_down(&once, millis(1), millis(2000)), millis(2000));
}

#[test]
fn probes_beside_each_other_are_for_targets_that_are_up_and_have_a_usual_time() {
    let beside = |spec: &CheckSpec, verdict, usual| {
        Tracker::resumed(spec, verdict, usual).pace().beside.map(|beside| beside.most)
    };
    let (usual, up) = (Some(Duration::from_millis(5)), Verdict::Up);
    assert_eq!(beside(&spec(3, 3), up, usual), Some(3));
    assert_eq!(beside(&spec(3, 9), up, usual), Some(3), "and no more");
    assert_eq!(beside(&spec(3, 1), up, usual), None, "one failure is enough");
    assert_eq!(beside(&spec(3, 3), up, None), None);
    assert_eq!(beside(&spec(3, 3), Verdict::Down, usual), None);
    let inverted = CheckSpec { invert: true, ..spec(3, 3) };
    assert_eq!(beside(&inverted, up, usual), None, "silence is what is wanted");
    let mut doubted = Tracker::resumed(&spec(3, 3), up, usual);
    doubted.observe(outcome('f'), Time::ZERO);
    assert_eq!(doubted.pace().beside.map(|beside| beside.most), Some(2), "two are still needed");
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
    let flips = |_: &u32| tracker.observe(outcome(letter), Time::ZERO).is_some();
    (1..=600).find(flips).expect("some number of equal results always flips the verdict")
}

proptest! {
    #[test]
    fn no_target_goes_down_on_fewer_failures_than_fall(
        rise in 1_u8..10, fall in 1_u8..30, history in history(),
    ) {
        let mut tracker = Tracker::new(&undamped(rise, fall));
        tracker.observe(outcome('s'), Time::ZERO);
        let mut failures_while_up = 0;
        for letter in history {
            failures_while_up += u32::from(letter == 'f' && tracker.verdict() == Verdict::Up);
            if let Some(change) = tracker.observe(outcome(letter), Time::ZERO) {
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
        let mut tracker = Tracker::new(&undamped(rise, fall));
        for letter in history {
            let change = tracker.observe(outcome(letter), Time::ZERO);
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
        let mut with = Tracker::new(&undamped(rise, fall));
        let mut without = with.clone();
        for letter in history {
            with.observe(outcome(letter), Time::ZERO);
            if letter != 'l' {
                without.observe(outcome(letter), Time::ZERO);
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
        let mut tracker = Tracker::new(&undamped(rise, fall));
        for letter in history {
            tracker.observe(outcome(letter), Time::ZERO);
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
