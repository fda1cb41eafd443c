//! The quorum, over everything that up to five vantages can say.

use super::*;

/// What a vantage can be to a simple question.
const BALLOTS: [Ballot; 6] =
    [Ballot::Up, Ballot::Down, Ballot::Init, Ballot::Silent, Ballot::Gone, Ballot::Impaired];

fn voter(group: u16, ballot: Ballot) -> Voter {
    Voter { group, ballot, soon: Duration::MAX, grounds: None }
}

/// Every way in which `count` vantages can vote.
fn all_ballots(count: usize, ballots: &[Ballot]) -> impl Iterator<Item = Vec<Ballot>> {
    let total = ballots.len().pow(u32::try_from(count).unwrap());
    (0..total).map(move |mut number| {
        let mut own = Vec::with_capacity(count);
        for _ in 0..count {
            own.push(ballots[number % ballots.len()]);
            number /= ballots.len();
        }
        own
    })
}

/// Every way in which `count` vantages can be in groups.
fn all_groupings(count: usize) -> Vec<Vec<u16>> {
    let mut all: Vec<Vec<u16>> = vec![Vec::new()];
    for _ in 0..count {
        let longer = |own: &Vec<u16>| {
            let next = own.iter().max().map_or(0, |last| last + 1);
            (0..=next).map(|group| [&own[..], &[group]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// The verdict, each vantage in the group given.
fn verdict_of(quorum: Quorum, groups: &[u16], ballots: &[Ballot], before: Verdict) -> Verdict {
    let voters = groups.iter().zip(ballots).map(|(group, ballot)| voter(*group, *ballot));
    let voters: Vec<Voter> = voters.collect();
    after(verdict(quorum, &voters), before)
}

fn count_of(ballots: &[Ballot], one: Ballot) -> usize {
    ballots.iter().filter(|ballot| **ballot == one).count()
}

const BEFORE: [Verdict; 2] = [Verdict::Up, Verdict::Down];

#[test]
fn by_majority_the_seven_properties_hold_in_every_state() {
    let mut states = 0;
    for vantages in 1..=5 {
        // Each in a group of its own: then the two levels are one.
        let groups: Vec<u16> = (0..u16::try_from(vantages).unwrap()).collect();
        let rule =
            |ballots: &[Ballot], before| verdict_of(Quorum::Majority, &groups, ballots, before);
        for ballots in all_ballots(vantages, &BALLOTS) {
            let [up, down] = [Ballot::Up, Ballot::Down].map(|one| count_of(&ballots, one));
            let silent = count_of(&ballots, Ballot::Silent);
            let excused = vantages - up - down - silent;
            for before in BEFORE {
                states += 1;
                let verdict = rule(&ballots, before);
                let at = || format!("{ballots:?} after {before}: {verdict}");
                let replaced = |one: Ballot, by: Ballot| {
                    let places = (0..vantages).filter(|n| ballots[*n] == one).collect::<Vec<_>>();
                    let ballots = &ballots;
                    places.into_iter().map(move |n| {
                        let mut others = ballots.clone();
                        others[n] = by;
                        others
                    })
                };

                // 1. Silence or impairment never changes the verdict: nothing does when nobody
                // speaks, one that falls silent turns nothing, and one that is excused turns nothing
                // that was decided.
                if up + down == 0 {
                    assert_eq!(verdict, before, "{}", at());
                }
                for lost in [Ballot::Up, Ballot::Down].map(|one| replaced(one, Ballot::Silent)) {
                    for lost in lost {
                        assert_eq!(rule(&lost, verdict), verdict, "{}, then {lost:?}", at());
                    }
                }
                let is_decided = rule(&ballots, Verdict::Up) == rule(&ballots, Verdict::Down);
                for by in [Ballot::Gone, Ballot::Impaired, Ballot::Init] {
                    for lost in replaced(Ballot::Up, by).chain(replaced(Ballot::Down, by)) {
                        let then = rule(&lost, verdict);
                        assert!(!is_decided || then == verdict, "{}, then {lost:?}", at());
                    }
                }
                // 2. One vote for down never decides when there are three vantages or more.
                if vantages >= 3 && down == 1 && before == Verdict::Up {
                    assert_eq!(verdict, Verdict::Up, "{}", at());
                }
                // 3. Unanimity decides.
                if up == vantages {
                    assert_eq!(verdict, Verdict::Up, "{}", at());
                }
                if down == vantages {
                    assert_eq!(verdict, Verdict::Down, "{}", at());
                }
                // 4. Turning a vote from down to up never turns the verdict down.
                for better in replaced(Ballot::Down, Ballot::Up) {
                    if verdict == Verdict::Up {
                        assert_eq!(rule(&better, before), Verdict::Up, "{} then {better:?}", at());
                    }
                }
                // 5. All but one, unanimous, still decide, whatever the other does.
                if vantages >= 3 && up == vantages - 1 {
                    assert_eq!(verdict, Verdict::Up, "{}", at());
                }
                if vantages >= 3 && down == vantages - 1 {
                    assert_eq!(verdict, Verdict::Down, "{}", at());
                }
                // 6. A minority of those that are not excused never removes.
                if before == Verdict::Up && verdict == Verdict::Down {
                    assert!(2 * down > vantages - excused, "{}", at());
                }
                // 7. Where some are excused, the unanimous rest still decides.
                if silent == 0 && up + down >= vantages.min(2) {
                    if up == 0 {
                        assert_eq!(verdict, Verdict::Down, "{}", at());
                    }
                    if down == 0 {
                        assert_eq!(verdict, Verdict::Up, "{}", at());
                    }
                }
            }
        }
    }
    assert_eq!(states, 18_660);
}

#[test]
fn in_groups_the_same_holds_but_for_what_groups_are_for() {
    let quorum = Quorum::Majority;
    for vantages in 1..=4 {
        for groups in all_groupings(vantages) {
            for ballots in all_ballots(vantages, &BALLOTS) {
                let [up, down] = [Ballot::Up, Ballot::Down].map(|one| count_of(&ballots, one));
                let is_heard = |ballot: &Ballot| ballot.speaks();
                let speaking = ballots.iter().filter(|one| is_heard(one)).count();
                for before in BEFORE {
                    let verdict = verdict_of(quorum, &groups, &ballots, before);
                    let at = || format!("{groups:?} {ballots:?} after {before}: {verdict}");
                    if speaking < vantages.min(2) {
                        assert_eq!(verdict, before, "{}", at());
                    }
                    if vantages >= 3 && down == 1 && before == Verdict::Up {
                        assert_eq!(verdict, Verdict::Up, "{}", at());
                    }
                    if up == vantages {
                        assert_eq!(verdict, Verdict::Up, "{}", at());
                    }
                    if down == vantages {
                        assert_eq!(verdict, Verdict::Down, "{}", at());
                    }
                    for n in (0..vantages).filter(|n| ballots[*n] == Ballot::Down) {
                        let mut better = ballots.clone();
                        better[n] = Ballot::Up;
                        if verdict == Verdict::Up {
                            let better = verdict_of(quorum, &groups, &better, before);
                            assert_eq!(better, Verdict::Up, "{} without {n}", at());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_group_with_many_vantages_has_one_vote() {
    use Ballot::{Down, Gone, Impaired, Silent, Up};
    let cases: [(&[(u16, Ballot)], Verdict); 7] = [
        // Three vantages of one network lose their way to the target; two others do not.
        (&[(0, Down), (0, Down), (0, Down), (1, Up), (2, Up)], Verdict::Up),
        (&[(0, Down), (0, Down), (0, Up), (1, Down), (2, Up)], Verdict::Down),
        // Two groups that differ hold.
        (&[(0, Down), (0, Down), (0, Down), (1, Up)], Verdict::Unknown),
        // A group that is excused leaves the other to decide.
        (&[(0, Down), (0, Down), (1, Gone), (1, Impaired)], Verdict::Down),
        // One that may only be slow does not.
        (&[(0, Down), (0, Down), (1, Silent)], Verdict::Unknown),
        // A group at odds with itself speaks for nobody and counts.
        (&[(0, Down), (0, Up), (1, Down), (2, Down)], Verdict::Down),
        (&[(0, Down), (0, Up), (1, Down), (2, Silent)], Verdict::Unknown),
    ];
    for (votes, expected) in cases {
        let voters: Vec<Voter> =
            votes.iter().map(|(group, ballot)| voter(*group, *ballot)).collect();
        let decision = decide(Quorum::Majority, &voters, Verdict::Unknown);
        assert_eq!(decision.verdict, expected, "{votes:?}");
        assert_eq!(decision.is_decided, expected != Verdict::Unknown, "{votes:?}");
    }
}

#[test]
fn other_quorums_ask_for_so_many_that_say_up() {
    use Ballot::{Down, Gone, Silent, Up};
    let at_least = |count| Quorum::AtLeast(NonZeroU8::new(count).unwrap());
    let cases: [(Quorum, &[Ballot], Verdict); 12] = [
        (Quorum::Any, &[Up, Down, Down], Verdict::Up),
        (Quorum::Any, &[Down, Down, Down], Verdict::Down),
        (Quorum::Any, &[Down, Down, Silent], Verdict::Unknown),
        (Quorum::Any, &[Down, Down, Gone], Verdict::Down),
        (Quorum::All, &[Up, Up, Down], Verdict::Down),
        (Quorum::All, &[Up, Up, Up], Verdict::Up),
        (Quorum::All, &[Up, Up, Silent], Verdict::Unknown),
        (at_least(2), &[Up, Up, Down, Down], Verdict::Up),
        (at_least(2), &[Up, Down, Down, Down], Verdict::Down),
        (at_least(2), &[Up, Silent, Down, Down], Verdict::Unknown),
        (at_least(3), &[Up, Down], Verdict::Down),
        (at_least(3), &[Up, Gone], Verdict::Unknown),
    ];
    for (quorum, ballots, expected) in cases {
        // Groups mean nothing to them.
        for group in [0, 1] {
            let groups = vec![0; ballots.len() - 1].into_iter().chain([group]);
            let groups: Vec<u16> = groups.collect();
            let verdict = verdict_of(quorum, &groups, ballots, Verdict::Unknown);
            assert_eq!(verdict, expected, "{quorum:?} {ballots:?}");
        }
    }
}

#[test]
fn a_target_is_poor_when_a_majority_finds_it_poor_or_worse() {
    use Ballot::{Degraded, Down, Up};
    let cases: [(&[Ballot], Verdict, Verdict); 7] = [
        (&[Up, Up, Degraded], Verdict::Degraded, Verdict::Up),
        (&[Up, Degraded, Degraded], Verdict::Up, Verdict::Degraded),
        (&[Up, Degraded, Down], Verdict::Up, Verdict::Degraded),
        (&[Degraded, Down, Down], Verdict::Up, Verdict::Down),
        // Alive, and it is open how well.
        (&[Up, Up, Degraded, Down], Verdict::Up, Verdict::Up),
        (&[Up, Up, Degraded, Down], Verdict::Degraded, Verdict::Degraded),
        (&[Up, Up, Degraded, Down], Verdict::Down, Verdict::Degraded),
    ];
    for (ballots, before, expected) in cases {
        let groups: Vec<u16> = (0..u16::try_from(ballots.len()).unwrap()).collect();
        let verdict = verdict_of(Quorum::Majority, &groups, ballots, before);
        assert_eq!(verdict, expected, "{ballots:?} after {before}");
    }
}

#[test]
fn who_decides_and_how_soon_it_could_be_otherwise() {
    let vote = |group, ballot, millis: Option<u64>| Voter {
        soon: millis.map_or(Duration::MAX, Duration::from_millis),
        ..voter(group, ballot)
    };
    let of = |voters: &[Voter], before| {
        let decision = decide(Quorum::Majority, voters, before);
        (decision.agreed_by, decision.next_change)
    };
    let steady = [0, 1, 2].map(|n| vote(n, Ballot::Up, None));
    assert_eq!(of(&steady, Verdict::Up), (3, Duration::MAX));
    // One in doubt decides nothing; two do, when the slower of them has turned.
    let one = [vote(0, Ballot::Up, Some(500)), steady[1], steady[2]];
    assert_eq!(of(&one, Verdict::Up), (3, Duration::MAX));
    let two = [vote(0, Ballot::Up, Some(500)), vote(1, Ballot::Up, Some(1500)), steady[2]];
    assert_eq!(of(&two, Verdict::Up), (3, Duration::from_millis(1500)));
    let split = [vote(0, Ballot::Down, Some(2000)), vote(1, Ballot::Up, Some(1500)), steady[2]];
    assert_eq!(of(&split, Verdict::Up), (0, Duration::from_millis(1500)));
    let down = [0_u16, 1, 2].map(|n| vote(n, Ballot::Down, Some(1000 * u64::from(n + 1))));
    assert_eq!(of(&down, Verdict::Up), (3, Duration::from_secs(2)));
    let held =
        [vote(0, Ballot::Down, Some(1000)), voter(1, Ballot::Silent), voter(2, Ballot::Gone)];
    assert_eq!(of(&held, Verdict::Down), (0, Duration::MAX));
    assert_eq!(of(&[], Verdict::Unknown), (0, Duration::ZERO));
}
