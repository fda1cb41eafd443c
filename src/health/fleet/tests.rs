//! Members that hear each other, strangers, and members that hear nobody.

use super::*;
use crate::model::Verdict;

const UNIX: Duration = Duration::from_secs(1_790_000_000);

fn at(millis: u64) -> (Time, Duration) {
    (Time::from_millis(1_000_000 + millis), UNIX + Duration::from_millis(millis))
}

fn member_with(secret: u8, name: &str, is_node: bool) -> Member {
    let (name, group, quorum) = (name.to_owned(), name.to_owned(), Quorum::Majority);
    let rules = Rules { name, group, location: None, is_node, quorum, vantages: 3 };
    let (now, unix) = at(0);
    Member::new(rules, Keys::new(&[[secret; KEY_LEN]], "windrose"), now, unix)
}

fn member(name: &str) -> Member {
    member_with(1, name, false)
}

fn says(opinion: Opinion) -> Report {
    let vote = Vote { opinion, soon: Duration::MAX, ..Vote::default() };
    Report { votes: vec![(TargetId(7), vote)], ..Report::default() }
}

/// What `member` says at a moment, in one part.
fn spoken(member: &mut Member, opinion: Opinion, millis: u64) -> Vec<u8> {
    let (now, unix) = at(millis);
    let mut frames = member.speak(says(opinion), now, unix).unwrap();
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn hear(member: &mut Member, frame: &[u8], millis: u64) -> Result<Said, Refused> {
    let (now, unix) = at(millis);
    member.hear(frame, now, unix)
}

fn verdict(member: &Member, millis: u64) -> Verdict {
    let mut voters = Vec::new();
    member.roster().count_at(at(millis).0).voters(TargetId(7), &mut voters);
    decide(member.rules().quorum, &voters, Verdict::Unknown).verdict
}

#[test]
fn members_that_hear_each_other_come_to_the_same() {
    let mut all = ["a", "b", "c", "d", "e"].map(member);
    let opinions = [Opinion::Down, Opinion::Down, Opinion::Up, Opinion::Down, Opinion::Init];
    let frames: Vec<Vec<u8>> =
        all.iter_mut().zip(opinions).map(|(one, opinion)| spoken(one, opinion, 1000)).collect();
    for (n, one) in all.iter_mut().enumerate() {
        // Each in another order, and twice.
        for k in 0..10 {
            let _ = hear(one, &frames[(k * 3 + n) % 5], 1100);
        }
        assert_eq!(verdict(one, 1200), Verdict::Down);
        assert_eq!(one.link(at(1200).0), Link::Together);
    }
}

#[test]
fn what_turns_between_ticks_is_said_early_and_alone() {
    let (mut vantage, mut node) = (member("a"), member_with(1, "node", true));
    let votes = |turned: Option<u64>| {
        let vote = |id| {
            let opinion = if turned == Some(id) { Opinion::Down } else { Opinion::Up };
            (TargetId(id), Vote { opinion, soon: Duration::MAX, ..Vote::default() })
        };
        Report { votes: (0..40_000).map(vote).collect(), ..Report::default() }
    };
    let (now, unix) = at(1000);
    let whole = vantage.speak(votes(None), now, unix).unwrap();
    assert!(whole.len() > 1);
    whole.iter().for_each(|frame| assert_eq!(hear(&mut node, frame, 1000), Ok(Said::Votes)));
    let (now, unix) = at(1300);
    assert_eq!(vantage.speak_early(votes(None), now, unix), Ok(Vec::new()), "nothing turned");
    let early = vantage.speak_early(votes(Some(7)), now, unix).unwrap();
    assert_eq!(early.len(), 1, "the part of the target that turned, and no other");
    assert_eq!(hear(&mut node, &early[0], 1310), Ok(Said::Votes));
    let opinion = |id| node.roster().seat("a").unwrap().vote(TargetId(id)).unwrap().0.opinion;
    assert_eq!((opinion(7), opinion(8)), (Opinion::Down, Opinion::Up));
    assert_eq!(vantage.speak_early(votes(Some(7)), now, unix), Ok(Vec::new()), "it was said");
}

#[test]
fn what_a_stranger_says_is_not_heard() {
    let (mut node, mut vantage) = (member_with(1, "node", true), member("a"));
    let mut stranger = member_with(2, "a", false);
    let frame = spoken(&mut vantage, Opinion::Up, 1000);
    let forged = spoken(&mut stranger, Opinion::Down, 1000);
    assert_eq!(hear(&mut node, &forged, 1000), Err(Refused::Stranger));
    assert_eq!(hear(&mut node, &frame[..frame.len() - 1], 1000), Err(Refused::Stranger));
    assert_eq!(hear(&mut node, b"", 1000), Err(Refused::Stranger));
    assert_eq!(node.roster().seats().count(), 0);
    // Recorded on the broker and sent again: at once, and to one who has not heard it.
    assert_eq!(hear(&mut node, &frame, 1000), Ok(Said::Votes));
    assert_eq!(hear(&mut node, &frame, 1001), Err(Refused::Old));
    let late = 1000 + 120_001;
    let off = Duration::from_millis(120_001);
    let refused = Err(Refused::Clock { vantage: "a".to_owned(), off });
    assert_eq!(hear(&mut member_with(1, "other", true), &frame, late), refused);
    // With the right key, from a future that would outrank all that is to come.
    let (now, unix) = at(1000);
    let day = Duration::from_secs(86_400);
    let rules = Rules { name: "b".to_owned(), ..vantage.rules().clone() };
    let mut ahead = Member::new(rules, vantage.keys().clone(), now, unix + day);
    let frame = ahead.speak(says(Opinion::Down), now, unix).unwrap().remove(0);
    assert!(matches!(hear(&mut node, &frame, 1000), Err(Refused::Clock { .. })));
}

#[test]
fn who_hears_himself_thinks_nothing_of_it() {
    let mut one = member("a");
    let frame = spoken(&mut one, Opinion::Up, 1000);
    assert_eq!(hear(&mut one, &frame, 1000), Ok(Said::Votes));
    assert_eq!(one.link(at(1000).0), Link::Holding, "that is nobody else");
    let (now, unix) = at(500);
    let mut later = Member::new(one.rules().clone(), one.keys().clone(), now, unix);
    let frame = spoken(&mut later, Opinion::Up, 1000);
    assert_eq!(hear(&mut one, &frame, 1000), Err(Refused::Namesake));
}

#[test]
fn a_member_that_is_cut_off_holds_and_then_goes_by_itself() {
    let (mut node, mut vantage) = (member_with(1, "node", true), member("a"));
    let cases = [(0, Link::Holding), (4999, Link::Holding), (5000, Link::Island)];
    for (millis, link) in cases {
        assert_eq!(node.link(at(millis).0), link, "nobody was ever heard, {millis} ms");
    }
    let frame = spoken(&mut vantage, Opinion::Up, 6000);
    hear(&mut node, &frame, 6000).unwrap();
    let cases = [
        (0, Link::Together),
        (4999, Link::Together),
        (5000, Link::Holding),
        (29_999, Link::Holding),
        (30_000, Link::Island),
    ];
    for (millis, link) in cases {
        assert_eq!(node.link(at(6000 + millis).0), link, "{millis} ms");
    }
    let frame = spoken(&mut vantage, Opinion::Up, 50_000);
    hear(&mut node, &frame, 50_000).unwrap();
    assert_eq!(node.link(at(50_001).0), Link::Together);
}

#[test]
fn who_stood_still_makes_nothing_of_what_waited_for_it() {
    let mut node = member_with(1, "node", true);
    let stands = |node: &Member, millis| node.has_stood_still(at(millis).0);
    assert!(!stands(&node, 60_000), "it has not begun yet");
    spoken(&mut node, Opinion::Up, 0);
    assert!(!stands(&node, 4999));
    assert!(stands(&node, 5000), "it should have spoken");
    spoken(&mut node, Opinion::Up, 5000);
    assert!(stands(&node, 5001) && stands(&node, 9999), "there may be more that waited");
    for secs in 6..10 {
        spoken(&mut node, Opinion::Up, secs * 1000);
    }
    assert!(!stands(&node, 10_000));
    spoken(&mut node, Opinion::Up, 13_900);
    assert!(!stands(&node, 13_901), "that was late, and not as late as votes count");
}

#[test]
fn nodes_look_where_vantages_are_wanting() {
    let mut node = member_with(1, "node", true);
    let mut vantages = ["a", "b", "c"].map(member);
    let has = |node: &Member, millis| node.share(at(millis).0).has("node", TargetId(7));
    assert!(has(&node, 1000));
    for vantage in &mut vantages {
        let frame = spoken(vantage, Opinion::Up, 1000);
        hear(&mut node, &frame, 1000).unwrap();
    }
    assert!(!has(&node, 2000), "three others do");
    let frame = spoken(&mut vantages[0], Opinion::Up, 11_000);
    hear(&mut node, &frame, 11_000).unwrap();
    assert!(has(&node, 11_001), "two of them are silent");
}

#[test]
fn a_million_targets_are_said_in_parts() {
    let (mut node, mut vantage) = (member_with(1, "node", true), member("a"));
    let vote = Vote { opinion: Opinion::Up, ..Vote::default() };
    let votes = (0..100_000).map(|n| (TargetId(hash(&[&u64::to_be_bytes(n)])), vote)).collect();
    let report = Report { votes, ..Report::default() };
    let (now, unix) = at(1000);
    let frames = vantage.speak(report, now, unix).unwrap();
    assert_eq!(frames.len(), 4);
    for frame in &frames {
        hear(&mut node, frame, 1000).unwrap();
    }
    assert_eq!(node.roster().seat("a").unwrap().votes(), 100_000);
    let too_many = vec![(TargetId(1), vote); 2_000_000];
    let report = Report { votes: too_many, ..Report::default() };
    assert_eq!(vantage.speak(report, now, unix), Err(2_000_000));
}

#[test]
fn lists_of_targets_are_compared_whatever_their_order() {
    let of = |ids: &[u64]| hash_of_targets(ids.iter().copied().map(TargetId));
    assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
    assert_ne!(of(&[1, 2, 3]), of(&[1, 2]));
}
