//! Verdicts of a fleet: by votes, held, and on an island.

use std::num::NonZeroU8;

use super::*;
use crate::health::fleet::{KEY_LEN, Keys, Quorum, Report, Rules};
use crate::model::check::TlsTerms;
use crate::model::health::{Flaw, ProbeOutcome};
use crate::model::{CheckKind, CheckSpec, FailureReason, Observation, TargetHost};

const SUCCESS: ProbeOutcome = ProbeOutcome::Success(Duration::from_millis(3));
const TIMEOUT: ProbeOutcome = ProbeOutcome::Failure(FailureReason::Timeout);
const UNIX: Duration = Duration::from_secs(1_790_000_000);

fn target(last_octet: u8) -> Target {
    let spec = CheckSpec {
        rise: NonZeroU8::new(1).unwrap(),
        fall: NonZeroU8::new(1).unwrap(),
        ..CheckSpec::new(CheckKind::Tcp, 80)
    };
    Target { host: TargetHost::Address([192, 0, 2, last_octet].into()), spec: Arc::new(spec) }
}

/// One of the fleet: its board, and what it says and hears.
struct One {
    board: Board,
    member: Member,
}

impl One {
    fn new(name: &str, targets: &[Target]) -> Self {
        let board = Board::of_fleet();
        board.track(targets, Time::ZERO);
        let (name, group) = (name.to_owned(), name.to_owned());
        let (quorum, location) = (Quorum::Majority, None);
        let rules = Rules { name, group, location, is_node: true, quorum, vantages: 3 };
        let keys = Keys::new(&[[1; KEY_LEN]], "windrose");
        Self { board, member: Member::new(rules, keys, Time::ZERO, UNIX) }
    }

    fn sees(&self, target: &Target, secs: u64, outcome: ProbeOutcome) {
        let at = Time::from_secs(secs);
        let observed = self.board.observe(&Observation {
            target: target.clone(),
            at,
            outcome,
            round_trip: None,
        });
        assert_eq!((observed.transition, observed.is_changed), (None, false), "it is a vote only");
    }

    fn says(&mut self, secs: u64) -> Vec<u8> {
        let votes = self.board.votes(|_| true);
        let report = Report { votes, ..Report::default() };
        let (now, unix) = (Time::from_secs(secs), UNIX + Duration::from_secs(secs));
        self.member.speak(report, now, unix).unwrap().remove(0)
    }

    fn recount(&mut self, secs: u64) -> Vec<String> {
        let recounted = self.board.recount(&mut self.member, Time::from_secs(secs));
        let told = recounted.changed.into_iter().filter_map(|one| one.transition);
        told.map(|one| format!("{} {}: {}", one.target.host, one.to, one.why)).collect()
    }

    fn verdict(&self, target: &Target) -> Verdict {
        self.board.health(target).verdict
    }
}

/// Everybody says what they hold and hears the others.
fn talk(all: &mut [One], secs: u64) {
    let said: Vec<Vec<u8>> = all.iter_mut().map(|one| one.says(secs)).collect();
    let (now, unix) = (Time::from_secs(secs), UNIX + Duration::from_secs(secs));
    for one in all {
        said.iter().for_each(|frame| drop(one.member.hear(frame, now, unix).unwrap()));
    }
}

#[test]
fn two_of_three_take_a_target_down_and_one_does_not() {
    let target = target(1);
    let mut all = ["a", "b", "c"].map(|name| One::new(name, std::slice::from_ref(&target)));
    all.iter().for_each(|one| one.sees(&target, 1, SUCCESS));
    talk(&mut all, 1);
    assert_eq!(all[0].recount(1), ["192.0.2.1 up: 3 of 3 vantages"]);
    assert_eq!(all[0].board.health(&target).agreed_by, 3);
    all[0].sees(&target, 2, TIMEOUT);
    talk(&mut all, 2);
    assert_eq!(all[0].recount(2), [""; 0]);
    assert_eq!(all[0].board.health(&target).agreed_by, 0);
    all[1].sees(&target, 3, TIMEOUT);
    talk(&mut all, 3);
    let told = all.each_mut().map(|one| one.recount(3));
    assert_eq!(told[0], ["192.0.2.1 down: 2 of 3 vantages: timeout"]);
    assert_eq!(all[0].board.health(&target).since, Time::from_secs(3));
    let hashes = all.each_ref().map(|one| one.board.state_hash());
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{told:?}");
    assert!(all[0].recount(4).is_empty(), "nothing is new");
}

/// Whoever begins to look is no second witness by one lost probe.
#[test]
fn a_first_failure_is_no_vote_until_it_is_confirmed() {
    let mut target = target(1);
    Arc::make_mut(&mut target.spec).fall = NonZeroU8::new(3).unwrap();
    let mut all = ["a", "b", "c"].map(|name| One::new(name, std::slice::from_ref(&target)));
    all[..2].iter().for_each(|one| one.sees(&target, 1, SUCCESS));
    talk(&mut all, 1);
    assert_eq!(all[0].recount(1), ["192.0.2.1 up: 2 of 2 vantages"]);
    (0..3).for_each(|_| all[1].sees(&target, 2, TIMEOUT));
    (0..2).for_each(|_| all[2].sees(&target, 2, TIMEOUT));
    talk(&mut all, 2);
    assert_eq!(all[0].recount(2), [""; 0]);
    all[2].sees(&target, 3, TIMEOUT);
    talk(&mut all, 3);
    assert_eq!(all[0].recount(3), ["192.0.2.1 down: 2 of 3 vantages: timeout"]);
}

#[test]
fn votes_say_what_is_wrong_with_a_poor_target() {
    let mut target = target(1);
    let margin = Some(Duration::from_secs(14 * 86_400));
    let terms = TlsTerms { margin, ..TlsTerms::default() };
    Arc::make_mut(&mut target.spec).tls = Some(Arc::new(terms));
    let mut all = ["a", "b", "c"].map(|name| One::new(name, std::slice::from_ref(&target)));
    all.iter().for_each(|one| one.sees(&target, 1, SUCCESS));
    talk(&mut all, 1);
    assert_eq!(all[2].recount(1), ["192.0.2.1 up: 3 of 3 vantages"]);
    // The third has not looked again, and knows of it by what the others say.
    let flaw = Flaw::CertificateEnds { place: 1, days: 9 };
    let flawed = ProbeOutcome::Flawed(Duration::from_millis(3), flaw);
    all[..2].iter().for_each(|one| one.sees(&target, 2, flawed));
    talk(&mut all, 2);
    let told = "192.0.2.1 degraded: 2 of 3 vantages: certificate 2 of its chain ends in 9 days";
    assert_eq!(all[2].recount(2), [told]);
    let slow = ProbeOutcome::Success(Duration::from_secs(5));
    for secs in 3..60 {
        all[..2].iter().for_each(|one| one.sees(&target, secs, SUCCESS));
    }
    talk(&mut all, 60);
    assert_eq!(all[2].recount(60), ["192.0.2.1 up: 3 of 3 vantages"]);
    all[..2].iter().for_each(|one| one.sees(&target, 61, slow));
    talk(&mut all, 61);
    assert_eq!(all[2].recount(61), ["192.0.2.1 degraded: 2 of 3 vantages: slow"]);
}

#[test]
fn what_most_hear_answer_while_it_is_held_back_is_known_to_all() {
    let mut target = target(1);
    Arc::make_mut(&mut target.spec).damping = true;
    let mut all = ["a", "b", "c"].map(|name| One::new(name, std::slice::from_ref(&target)));
    // Up, and down for the fourth time within a minute.
    for secs in (0..40).step_by(10) {
        all.iter().for_each(|one| one.sees(&target, secs, SUCCESS));
        all.iter().for_each(|one| one.sees(&target, secs + 5, TIMEOUT));
    }
    talk(&mut all, 40);
    assert_eq!(all[2].recount(40), ["192.0.2.1 down: 3 of 3 vantages: timeout"]);
    assert!(!all[2].board.health(&target).is_answering);
    // The third hears of it only what the two others say.
    all[0].sees(&target, 41, SUCCESS);
    talk(&mut all, 41);
    all[2].recount(41);
    assert!(!all[2].board.health(&target).is_answering, "one of three");
    all[1].sees(&target, 42, SUCCESS);
    talk(&mut all, 42);
    assert!(all[2].recount(42).is_empty(), "the verdict is the same");
    let health = all[2].board.health(&target);
    assert_eq!((health.verdict, health.is_answering), (Verdict::Down, true));
}

#[test]
fn who_is_cut_off_holds_what_was_agreed() {
    let target = target(1);
    let mut all = ["a", "b", "c"].map(|name| One::new(name, std::slice::from_ref(&target)));
    all.iter().for_each(|one| one.sees(&target, 1, SUCCESS));
    talk(&mut all, 1);
    all.iter_mut().for_each(|one| drop(one.recount(1)));
    // It goes on voting for itself, and its own way to the target is cut, too.
    for secs in 2..31 {
        all[0].sees(&target, secs, TIMEOUT);
        all[0].says(secs);
        assert!(all[0].recount(secs).is_empty(), "after {secs} s");
    }
    assert_eq!(all[0].verdict(&target), Verdict::Up);
}

#[test]
fn an_island_takes_down_half_of_what_a_name_depends_on_and_no_more() {
    let targets: Vec<Target> = (1..=4).map(target).collect();
    let one = One::new("a", &targets);
    let ids: Vec<TargetId> = targets.iter().map(Target::id).collect();
    one.board.set_records([ids.clone(), ids[..1].to_vec()]);
    let other = One::new("b", &targets);
    for target in &targets {
        one.sees(target, 1, SUCCESS);
        other.sees(target, 1, SUCCESS);
    }
    let mut both = [one, other];
    talk(&mut both, 1);
    let [mut one, mut other] = both;
    one.recount(1);
    for secs in 27..31 {
        targets.iter().for_each(|target| one.sees(target, secs, TIMEOUT));
        assert!(one.recount(secs).is_empty());
    }
    assert!(one.recount(31).is_empty(), "four failures are too few");
    targets.iter().for_each(|target| one.sees(target, 32, TIMEOUT));
    let told = one.recount(32);
    assert_eq!(told.len(), 2, "half of the name's targets: {told:?}");
    assert!(
        told[0].ends_with("down: cut off from the fleet: 5 failures in a row here"),
        "{told:?}"
    );
    assert_eq!(one.verdict(&targets[0]), Verdict::Up, "another name has nothing else");
    assert!(one.recount(33).is_empty());
    one.sees(&targets[1], 34, SUCCESS);
    one.sees(&targets[2], 34, SUCCESS);
    one.recount(34);
    // Back with the fleet, which sees all of them up.
    let (now, unix) = (Time::from_secs(40), UNIX + Duration::from_secs(40));
    other.member.speak(Report::default(), now, unix).unwrap();
    one.member.hear(&other.says(40), now, unix).unwrap();
    one.says(40);
    let before: Vec<Verdict> = targets.iter().map(|target| one.verdict(target)).collect();
    one.recount(40);
    let after: Vec<Verdict> = targets.iter().map(|target| one.verdict(target)).collect();
    assert_eq!(before, after, "one against one decides nothing");
}

#[test]
fn nobody_is_waited_for_once_votes_have_decided() {
    let targets = [target(1), target(2)];
    let mut all = ["a", "b", "c"].map(|name| One::new(name, &targets));
    all[0].sees(&targets[0], 1, SUCCESS);
    assert_eq!(all[0].board.waiting(), 2, "one vote of three decides nothing");
    all[1].sees(&targets[0], 1, SUCCESS);
    all[2].sees(&targets[0], 1, SUCCESS);
    talk(&mut all, 1);
    all[0].recount(1);
    assert_eq!(all[0].board.waiting(), 1);
    all[0].board.track(&targets[..1], Time::from_secs(2));
    assert_eq!(all[0].board.waiting(), 0);
}

#[test]
fn what_an_earlier_life_knew_is_no_vote() {
    let target = target(1);
    let one = One::new("a", std::slice::from_ref(&target));
    let remembered = super::super::Remembered {
        verdict: Verdict::Down,
        since: Time::ZERO,
        seen: Time::ZERO,
        usual: None,
    };
    assert_eq!(one.board.restore(|_| Some(remembered)), 1);
    assert_eq!(one.verdict(&target), Verdict::Down);
    assert_eq!(one.board.votes(|_| true)[0].1.opinion, Opinion::Init);
    one.sees(&target, 1, SUCCESS);
    assert_eq!(one.board.votes(|_| true)[0].1.opinion, Opinion::Up);
    assert_eq!(one.verdict(&target), Verdict::Down, "until others say so, too");
}

#[test]
fn what_one_group_does_not_reach_is_told_after_a_minute_and_forgotten_on_an_island() {
    let target = target(1);
    let mut all = ["a", "b", "c"].map(|name| One::new(name, std::slice::from_ref(&target)));
    all.iter().for_each(|one| one.sees(&target, 1, SUCCESS));
    talk(&mut all, 1);
    all[0].recount(1);
    let whole = all[0].board.state_hash();
    all[1].sees(&target, 2, TIMEOUT);
    let turns = |one: &mut One, secs| {
        let Recount { turns, reach, changed } =
            one.board.recount(&mut one.member, Time::from_secs(secs));
        let told: Vec<String> = turns
            .into_iter()
            .map(|Turn { turned, why, .. }| format!("{} {}: {why}", turned.group, turned.is_down))
            .collect();
        (told, reach.down.len(), changed.len())
    };
    for secs in 2..62 {
        talk(&mut all, secs);
        assert_eq!(turns(&mut all[0], secs).0, [""; 0], "after {secs} s");
    }
    assert_eq!(all[0].board.state_hash(), whole);
    talk(&mut all, 62);
    assert_eq!(turns(&mut all[0], 62), (vec!["b true: 1 of 1 vantage: timeout".to_owned()], 1, 0));
    assert_eq!(all[0].verdict(&target), Verdict::Up);
    assert_eq!(all[0].board.entries()[0].down_from, ["b"]);
    assert_ne!(all[0].board.state_hash(), whole);
    // It hears nobody for a while: what it knew stays, until it is an island.
    assert_eq!(turns(&mut all[0], 85), (vec![], 1, 0));
    // Its own tracker knows how soon the verdict could be another.
    assert_eq!(turns(&mut all[0], 92), (vec!["b false: ".to_owned()], 0, 1));
}
