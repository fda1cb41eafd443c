//! What operators do, and when: drawn from a seed.

use std::time::Duration;

use windrose::model::{OverrideKind, Subject};

use super::served::{EDITIONS, REGIONS};
use super::world::NODES;
use crate::random::Random;

/// Something that an operator does.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub(super) at: Duration,
    /// At which node; zone files are pushed to the engine.
    pub(super) node: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// A word over something, perhaps for so long.
    Say(Subject, OverrideKind, Option<Duration>),
    TakeBack(Subject),
    /// For so long.
    Freeze(Duration),
    Unfreeze,
    /// An edition of the zone files.
    Push(usize),
}

fn subject(random: &mut Random) -> Subject {
    let mut below = |end: u64| usize::try_from(random.below(end)).unwrap();
    let place = below(4);
    let (region, name) = (REGIONS[place].to_owned(), REGIONS[place].to_owned());
    match below(3) {
        0 => Subject::Region(region),
        1 => Subject::Pool(name),
        _ => {
            let endpoint = format!("e{}", 5 * place + below(5));
            Subject::Endpoint { pool: name, endpoint }
        }
    }
}

/// What is done in a seed, all before `end`.
pub(super) fn of_seed(seed: u64, end: Duration) -> Vec<Act> {
    let mut random = Random::new(seed ^ 0x0b5e_55ed);
    let mut acts = Vec::new();
    let millis = u64::try_from(end.as_millis()).unwrap();
    for _ in 0..random.below(9) {
        let at = Duration::from_millis(20_000 + random.below(millis - 40_000));
        let node = |random: &mut Random| usize::try_from(random.below(NODES as u64)).unwrap();
        let lasting = Duration::from_millis(2000 + random.below(180_000));
        let later = (at + lasting).min(end);
        let first = node(&mut random);
        let mut add = |at, node, what| acts.push(Act { at, node, what });
        match random.below(8) {
            0..4 => {
                let what = subject(&mut random);
                let kind = OverrideKind::ALL[usize::try_from(random.below(3)).unwrap()];
                match random.below(3) {
                    0 => add(at, first, What::Say(what, kind, None)),
                    1 => add(at, first, What::Say(what, kind, Some(lasting))),
                    _ => {
                        add(at, first, What::Say(what.clone(), kind, None));
                        add(later, node(&mut random), What::TakeBack(what));
                    }
                }
            }
            // Answers of nodes that are frozen for different times differ, so it is over in the end.
            4 => add(at, first, What::Freeze(lasting.min(end - at))),
            5 => {
                add(at, first, What::Freeze(end - at));
                add(later, node(&mut random), What::Unfreeze);
            }
            _ => {
                let edition = usize::try_from(random.below(EDITIONS as u64 + 1)).unwrap();
                add(at, 0, What::Push(edition));
            }
        }
    }
    acts
}
