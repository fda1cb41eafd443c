//! Who is down from where, and from when on.

use super::*;

const UP: Ballot = Ballot::Up;
const POOR: Ballot = Ballot::Degraded;
const DOWN: Ballot = Ballot::Down;
const INIT: Ballot = Ballot::Init;
const SILENT: Ballot = Ballot::Silent;
const GONE: Ballot = Ballot::Gone;
const IMPAIRED: Ballot = Ballot::Impaired;

/// Ballots of the groups eu, us and ap.
type Votes<'v> = [&'v [Ballot]; 3];

fn voters(votes: Votes<'_>) -> Vec<Voter> {
    let of_group = |(group, ballots): (u16, &&[Ballot])| {
        let soon = Duration::from_secs(7);
        let voter = move |ballot: &Ballot| Voter { group, ballot: *ballot, soon, grounds: None };
        ballots.iter().map(voter).collect::<Vec<_>>()
    };
    (0..).zip(&votes).flat_map(of_group).collect()
}

/// Hears the votes on a target of that verdict; what turned, as `+eu` or `-eu`.
fn hear(dissent: &mut Dissent, votes: Votes<'_>, verdict: Verdict, secs: u64) -> String {
    let name = |group| ["eu", "us", "ap"][usize::from(group)];
    let turned = dissent.hear(&voters(votes), name, verdict, Time::from_secs(secs));
    let text = |one: Turned| format!("{}{}", if one.is_down { "+" } else { "-" }, one.group);
    turned.into_iter().map(text).collect::<Vec<_>>().join(" ")
}

fn groups(dissent: &Dissent) -> String {
    dissent.down_from().map(|from| from.group).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_target_is_down_from_the_groups_whose_votes_say_so_while_others_reach_it() {
    let cases: &[(Votes<'_>, &str)] = &[
        // One vantage in each group: its vote is the group's.
        ([&[UP], &[UP], &[UP]], ""),
        ([&[DOWN], &[UP], &[UP]], "eu"),
        ([&[UP], &[DOWN], &[POOR]], "us"),
        ([&[DOWN], &[UP], &[DOWN]], "ap eu"),
        ([&[DOWN], &[UP], &[]], "eu"),
        // Nobody says that others reach it.
        ([&[DOWN], &[SILENT], &[INIT]], ""),
        ([&[DOWN], &[], &[]], ""),
        // Who does not trust itself, has not looked or is gone does not count.
        ([&[IMPAIRED], &[UP], &[UP]], ""),
        ([&[INIT], &[UP], &[UP]], ""),
        ([&[SILENT], &[UP], &[UP]], ""),
        ([&[GONE], &[UP], &[UP]], ""),
        ([&[DOWN, IMPAIRED, GONE], &[UP], &[UP]], "eu"),
        // More in a group: the majority of them, and two at least must speak.
        ([&[DOWN, UP], &[UP], &[UP]], ""),
        ([&[DOWN, SILENT], &[UP], &[UP]], ""),
        ([&[DOWN, DOWN], &[UP], &[UP]], "eu"),
        ([&[DOWN, DOWN, UP], &[UP], &[UP]], "eu"),
        ([&[DOWN, DOWN, SILENT], &[UP], &[UP]], "eu"),
        ([&[DOWN, SILENT, SILENT], &[UP], &[UP]], ""),
        ([&[DOWN, DOWN, SILENT, SILENT], &[UP], &[UP]], ""),
        ([&[DOWN, UP, UP], &[UP], &[UP]], ""),
    ];
    for (votes, expected) in cases {
        for verdict in [Verdict::Up, Verdict::Degraded] {
            let mut dissent = Dissent::default();
            for secs in 0..60 {
                assert_eq!(hear(&mut dissent, *votes, verdict, secs), "", "{votes:?} at {secs} s");
            }
            hear(&mut dissent, *votes, verdict, 60);
            assert_eq!(groups(&dissent), *expected, "{votes:?}");
        }
        for verdict in [Verdict::Down, Verdict::Unknown] {
            let mut dissent = Dissent::default();
            hear(&mut dissent, *votes, verdict, 0);
            hear(&mut dissent, *votes, verdict, 60);
            assert!(dissent.is_empty(), "{votes:?}: {verdict} for all");
        }
    }
}

const CUT: Votes<'_> = [&[DOWN], &[UP], &[UP]];

#[test]
fn it_begins_after_a_minute_without_a_break() {
    let breaks: &[Votes<'_>] = &[
        [&[UP], &[UP], &[UP]],
        [&[SILENT], &[UP], &[UP]],
        [&[IMPAIRED], &[UP], &[UP]],
        [&[], &[UP], &[UP]],
        [&[DOWN], &[SILENT], &[SILENT]],
    ];
    for votes in breaks {
        let mut dissent = Dissent::default();
        assert_eq!(hear(&mut dissent, CUT, Verdict::Up, 0), "");
        assert_eq!(hear(&mut dissent, *votes, Verdict::Up, 59), "", "{votes:?}");
        assert_eq!(hear(&mut dissent, CUT, Verdict::Up, 60), "", "{votes:?}");
        assert_eq!(hear(&mut dissent, CUT, Verdict::Up, 119), "", "{votes:?}");
        assert_eq!(hear(&mut dissent, CUT, Verdict::Up, 120), "+eu", "{votes:?}");
    }
}

#[test]
fn it_ends_when_the_group_says_so_or_nobody_is_left_to_say_it() {
    let cases: &[(Votes<'_>, Verdict, &str)] = &[
        (CUT, Verdict::Up, ""),
        (CUT, Verdict::Degraded, ""),
        (CUT, Verdict::Down, "-eu"),
        ([&[UP], &[UP], &[UP]], Verdict::Up, "-eu"),
        ([&[POOR], &[UP], &[UP]], Verdict::Up, "-eu"),
        ([&[IMPAIRED], &[UP], &[UP]], Verdict::Up, "-eu"),
        ([&[GONE], &[UP], &[UP]], Verdict::Up, "-eu"),
        ([&[], &[UP], &[UP]], Verdict::Up, "-eu"),
        // A lost frame or a broker that is away changes no answer.
        ([&[SILENT], &[UP], &[UP]], Verdict::Up, ""),
        ([&[DOWN], &[SILENT], &[SILENT]], Verdict::Up, ""),
        ([&[DOWN, UP], &[UP], &[UP]], Verdict::Up, ""),
    ];
    for (votes, verdict, expected) in cases {
        let mut dissent = Dissent::default();
        hear(&mut dissent, CUT, Verdict::Up, 0);
        assert_eq!(hear(&mut dissent, CUT, Verdict::Up, 60), "+eu");
        assert_eq!(hear(&mut dissent, *votes, *verdict, 90), *expected, "{votes:?}, {verdict}");
    }
    let mut dissent = Dissent::default();
    hear(&mut dissent, CUT, Verdict::Up, 0);
    hear(&mut dissent, CUT, Verdict::Up, 60);
    assert_eq!(dissent.end().len(), 1);
    assert!(dissent.is_empty() && dissent.end().is_empty());
}

#[test]
fn it_is_down_since_it_began_and_for_as_long_as_votes_say() {
    let mut dissent = Dissent::default();
    for secs in [0, 60, 90] {
        hear(&mut dissent, CUT, Verdict::Up, secs);
    }
    let health = dissent.down_from().next().unwrap().health;
    assert_eq!((health.verdict, health.agreed_by), (Verdict::Down, 1));
    assert_eq!((health.since, health.next_change), (Time::from_secs(60), Duration::from_secs(7)));
}
