//! What a keeper makes of engines that forget, and of operators.

use super::*;
use crate::fleet::bundle::{Files, pack, pieces};
use crate::model::{Override, OverrideKind, Said, Subject};

fn keys() -> Keys {
    Keys::new(&[[1; 32]], "windrose")
}

fn moment(secs: u64) -> Moment {
    let unix = Duration::from_secs(1_790_000_000 + secs);
    Moment { time: Time::from_secs(1000 + secs), unix }
}

fn keeper() -> Keeper {
    Keeper::new(keys(), true, Words::default(), None)
}

/// A region that somebody has drained.
fn drained(author: &str) -> Overrides {
    let said =
        Said { author: author.to_owned(), reason: String::new(), at: moment(0).time, until: None };
    let zone = "example.com".parse().unwrap();
    let what = Subject::Region("eu".to_owned());
    Overrides { all: vec![Override { zone, what, kind: OverrideKind::Drain, said }], freeze: None }
}

/// What duties put on the engine.
fn puts(duties: &[Duty]) -> Vec<(String, Vec<u8>)> {
    let put = |duty: &Duty| match duty {
        Duty::Send(ToEngine::Put(all)) => all.clone(),
        _ => Vec::new(),
    };
    duties.iter().flat_map(put).collect()
}

/// A version with its head as it is kept, and its pieces.
fn version(number: u64, text: &str, at: u64) -> (Head, Vec<(String, Vec<u8>)>) {
    let files = Files::from([("a.test.toml".to_owned(), text.as_bytes().to_vec())]);
    let bundle = pack(&files).unwrap();
    let head = Head::new(number, &bundle, "ann".to_owned(), String::new(), at);
    let piece = |(name, piece): (String, &[u8])| (format!("{PIECES}{name}"), piece.to_vec());
    let kept = pieces(&bundle).map(piece).chain([(head.key(), head.seal(&keys()))]);
    (head.clone(), kept.collect())
}

/// Tells a keeper what the engine keeps, head first, and gives it the pieces that it asks for.
fn tell(keeper: &mut Keeper, kept: &[(String, Vec<u8>)]) -> Vec<Duty> {
    let mut duties = Vec::new();
    for (key, value) in kept.iter().rev() {
        duties.extend(keeper.take(key, Some(value.clone()), Overrides::NONE, moment(1)));
    }
    duties
}

fn serve(keeper: &mut Keeper, number: u64, text: &str, at: u64) -> Head {
    let (head, kept) = version(number, text, at);
    let taken = tell(keeper, &kept).into_iter().find_map(|duty| match duty {
        Duty::TakeOver(arrived) => Some(arrived.head),
        _ => None,
    });
    assert_eq!(taken.as_ref(), Some(&head));
    keeper.taken_over(head.clone(), true, moment(1).time);
    head
}

#[test]
fn what_the_engine_does_not_confirm_is_said_again() {
    let mut keeper = keeper();
    keeper.sync(moment(0).time);
    let said = keeper.note(&drained("ann"), moment(1));
    assert_eq!(said[0], Duty::WriteWords);
    let word = puts(&said);
    assert_eq!(word.len(), 1);
    assert_eq!(keeper.tick(moment(4).time), []);
    assert_eq!(puts(&keeper.tick(moment(6).time)), word);
    let (key, value) = word[0].clone();
    assert_eq!(keeper.take(&key, Some(value), &drained("ann"), moment(7)), []);
    assert_eq!(keeper.tick(moment(20).time), [], "it is confirmed");
    keeper.take(&key, None, &drained("ann"), moment(21));
    assert_eq!(puts(&keeper.tick(moment(30).time)), word, "somebody has dropped it");
}

#[test]
fn an_engine_that_has_lost_a_word_gets_it_back() {
    let (mut one, mut other) = (keeper(), keeper());
    one.sync(moment(0).time);
    other.sync(moment(0).time);
    let (key, first) = puts(&one.note(&drained("ann"), moment(1))).remove(0);
    let heard = other.take(&key, Some(first.clone()), Overrides::NONE, moment(2));
    assert!(matches!(&heard[..], [Duty::Do(Deed::Say(_)), Duty::WriteWords]), "{heard:?}");
    let (_, second) = puts(&one.note(&drained("bob"), moment(3))).remove(0);
    let answer = one.take(&key, Some(first), &drained("bob"), moment(4));
    assert_eq!(puts(&answer), [(key, second)]);
    assert!(!answer.iter().any(|duty| matches!(duty, Duty::Do(_))), "nothing goes back");
}

#[test]
fn versions_are_taken_over_one_after_the_other() {
    let mut keeper = keeper();
    let (first, kept) = version(1, "first", 10);
    assert_eq!(tell(&mut keeper, &kept), [], "there may be a later one");
    let asked = keeper.sync(moment(1).time);
    assert!(matches!(&asked[..], [Duty::Send(ToEngine::Get(_))]), "{asked:?}");
    assert_eq!(keeper.tick(moment(3).time), []);
    assert_eq!(keeper.tick(moment(6).time), asked, "a piece that was lost");
    let taken = tell(&mut keeper, &kept);
    assert!(matches!(&taken[..], [Duty::TakeOver(_)]), "{taken:?}");
    let (second, kept) = version(2, "second", 20);
    assert_eq!(tell(&mut keeper, &kept), [], "the first is still being checked");
    let asked = keeper.taken_over(first, true, moment(7).time);
    assert!(matches!(&asked[..], [Duty::Send(ToEngine::Get(_))]), "{asked:?}");
    assert_eq!(tell(&mut keeper, &kept).len(), 1);
    // It is refused, and not asked for again.
    assert_eq!(keeper.taken_over(second, false, moment(8).time), []);
    assert_eq!(keeper.served().map(|head| head.version), Some(1));
    assert_eq!(tell(&mut keeper, &kept), []);
}

#[test]
fn who_was_away_serves_what_came_before_a_version_that_is_wrong() {
    let mut keeper = keeper();
    keeper.sync(moment(0).time);
    serve(&mut keeper, 1, "first", 10);
    keeper.forget_engine();
    let ((_, second), (wrong, third)) = (version(2, "second", 20), version(3, "wrong", 30));
    tell(&mut keeper, &second);
    tell(&mut keeper, &third);
    keeper.sync(moment(1).time);
    assert!(matches!(&tell(&mut keeper, &third)[..], [Duty::TakeOver(_)]));
    let asked = keeper.taken_over(wrong, false, moment(2).time);
    assert!(matches!(&asked[..], [Duty::Send(ToEngine::Get(_))]), "{asked:?}");
    let taken = tell(&mut keeper, &second);
    assert!(matches!(&taken[..], [Duty::TakeOver(arrived)] if arrived.head.version == 2));
}

#[test]
fn a_version_that_is_dropped_is_not_waited_for() {
    let mut keeper = keeper();
    keeper.sync(moment(0).time);
    let ((first, kept), (second, _)) = (version(1, "first", 10), version(2, "second", 20));
    let head = |head: &Head| (head.key(), Some(head.seal(&keys())));
    let mut take = |(key, value): (String, Option<Vec<u8>>)| {
        keeper.take(&key, value, Overrides::NONE, moment(1))
    };
    take(head(&first));
    let of_second = take(head(&second));
    let of_first = take((second.key(), None));
    let get = |head: &Head| [Duty::Send(ToEngine::Get(format!("{PIECES}{}", head.pieces[0])))];
    assert_eq!((&of_second[..], &of_first[..]), (&get(&second)[..], &get(&first)[..]));
    assert_eq!(take((first.key(), None)), []);
    assert_eq!(tell(&mut keeper, &kept[..1]), [], "nobody wants the piece any more");
    assert_eq!(keeper.tick(moment(10).time), []);
}

#[test]
fn an_engine_that_tells_all_anew_may_have_lost_all() {
    let mut keeper = keeper();
    keeper.sync(moment(0).time);
    let word = puts(&keeper.note(&drained("ann"), moment(1)));
    let (key, value) = word[0].clone();
    keeper.take(&key, Some(value), &drained("ann"), moment(1));
    let head = serve(&mut keeper, 1, "first", 10);
    keeper.forget_engine();
    assert_eq!(keeper.tick(moment(90).time), [], "it is not done");
    let duties = keeper.sync(moment(91).time);
    assert_eq!(puts(&duties), word);
    assert_eq!(duties.last(), Some(&Duty::GiveBack(head)));
}

#[test]
fn nothing_that_is_served_goes_back() {
    let mut keeper = keeper();
    keeper.sync(moment(0).time);
    let head = serve(&mut keeper, 3, "third", 30);
    keeper.forget_engine();
    let (_, old) = version(2, "second", 20);
    assert_eq!(tell(&mut keeper, &old), []);
    let duties = keeper.sync(moment(2).time);
    assert!(matches!(&duties[..], [Duty::Warn(_), Duty::GiveBack(own)] if *own == head));
}

#[test]
fn of_two_versions_with_one_number_the_later_counts() {
    let serving = || {
        let mut keeper = keeper();
        keeper.sync(moment(0).time);
        serve(&mut keeper, 3, "third", 30);
        keeper.forget_engine();
        keeper
    };
    let mut keeper = serving();
    let (_, earlier) = version(3, "other", 29);
    assert_eq!(tell(&mut keeper, &earlier), []);
    let duties = keeper.sync(moment(2).time);
    assert!(matches!(&duties[..], [Duty::Warn(_), Duty::GiveBack(_)]), "{duties:?}");
    let mut keeper = serving();
    keeper.sync(moment(2).time);
    serve(&mut keeper, 3, "other", 31);
}
