//! Who looks at what.
//!
//! Every member works out for itself which targets are its own, from the vantages that it hears. A target
//! ranks them by a hash of the two names (rendezvous hashing), and takes the highest, each next one from a
//! group that has fewest of them. So every target has its own set of vantages, one that leaves hands over
//! what was its own and nothing else moves, and two members that do not hear the same differ by a vote too
//! many or too few for a moment, which harms nobody.
//!
//! Nodes that answer DNS are vantages of last resort: they take the places that are left when all others
//! have one. An impaired vantage keeps its place and has a stand-in beside it.

use std::collections::HashMap;

use crate::model::TargetId;
use crate::model::health::Turn;
use crate::model::target_key::hash;

/// A vantage that could look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Whether it is a node, and so a last resort.
    pub is_node: bool,
    /// Whether it trusts its view.
    pub is_fit: bool,
}

/// Who looks at what, by the vantages of a moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Share {
    candidates: Vec<Candidate>,
    vantages: usize,
}

impl Share {
    /// `vantages` of `candidates` for each target, or all where there are fewer.
    #[must_use]
    pub fn new(mut candidates: Vec<Candidate>, vantages: usize) -> Self {
        candidates.sort_by(|a, b| a.name.cmp(&b.name));
        Self { candidates, vantages }
    }

    /// Whether the vantage `name` is to look at a target.
    #[must_use]
    pub fn has(&self, name: &str, target: TargetId) -> bool {
        self.of(target).any(|candidate| candidate.name == name)
    }

    /// The turn of the vantage `name` among those who are to look at a target; none if it is not one of them.
    #[must_use]
    pub fn turn(&self, name: &str, target: TargetId) -> Option<Turn> {
        let (mut rank, mut of) = (None, 0);
        for candidate in self.of(target) {
            if candidate.name == name {
                rank = Some(of);
            }
            of += 1;
        }
        rank.map(|rank| Turn { rank, of })
    }

    /// Who is to look at a target, those first that it is nearest to.
    pub fn of(&self, target: TargetId) -> impl Iterator<Item = &Candidate> {
        let rank = |candidate: &Candidate| {
            let Candidate { name, is_node, .. } = candidate;
            // The highest first, and nodes behind all others.
            (*is_node, u64::MAX - hash(&[name.as_bytes(), &target.0.to_be_bytes()]))
        };
        let mut ranked: Vec<&Candidate> = self.candidates.iter().collect();
        ranked.sort_by_cached_key(|candidate| rank(candidate));
        let mut of_group: HashMap<&str, usize> = HashMap::new();
        let mut fit = 0;
        std::iter::from_fn(move || {
            if fit >= self.vantages || ranked.is_empty() {
                return None;
            }
            let has = |candidate: &Candidate| of_group.get(&*candidate.group).copied().unwrap_or(0);
            let places = 0..ranked.len();
            let place = places.min_by_key(|n| (ranked[*n].is_node, has(ranked[*n])))?;
            let taken = ranked.remove(place);
            if taken.is_fit {
                fit += 1;
                *of_group.entry(&taken.group).or_default() += 1;
            }
            Some(taken)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// `a-1`, `a-2`, …, of the groups `a`, `b`, …
    fn fleet(groups: &[usize]) -> Vec<Candidate> {
        let of = |(group, count): (char, &usize)| {
            let one = move |n| Candidate {
                name: format!("{group}-{n}"),
                group: group.to_string(),
                is_node: false,
                is_fit: true,
            };
            (1..=*count).map(one).collect::<Vec<_>>()
        };
        ('a'..).zip(groups).flat_map(of).collect()
    }

    fn names(share: &Share, target: u64) -> Vec<String> {
        share.of(TargetId(target)).map(|candidate| candidate.name.clone()).collect()
    }

    fn groups(names: &[String]) -> HashSet<char> {
        names.iter().filter_map(|name| name.chars().next()).collect()
    }

    #[test]
    fn a_target_is_looked_at_from_as_many_groups_as_there_are() {
        let fleets: [(&[usize], usize); 4] =
            [(&[3, 3, 3], 3), (&[9, 1], 2), (&[5], 1), (&[2, 2, 2, 2], 4)];
        for (groups_of, most) in fleets {
            for vantages in 1..=7 {
                let share = Share::new(fleet(groups_of), vantages);
                for target in 0..200 {
                    let names = names(&share, target);
                    let all: usize = groups_of.iter().sum();
                    assert_eq!(names.len(), vantages.min(all));
                    assert_eq!(groups(&names).len(), vantages.min(most), "{names:?}");
                }
            }
        }
    }

    #[test]
    fn every_vantage_has_about_the_same_to_do() {
        let share = Share::new(fleet(&[2, 2, 2]), 3);
        let mut counts: HashMap<String, usize> = HashMap::new();
        for target in 0..6000 {
            names(&share, target)
                .into_iter()
                .for_each(|name| *counts.entry(name).or_default() += 1);
        }
        // 3000 each; the deviation of a fair coin thrown so often is 39.
        assert!(counts.values().all(|count| (2800..3200).contains(count)), "{counts:?}");
    }

    #[test]
    fn one_that_leaves_hands_over_its_own_and_nothing_else_moves() {
        for groups in [&[1, 1, 1, 1, 1, 1][..], &[3, 3, 3], &[2, 5, 1]] {
            let before = fleet(groups);
            let whole = Share::new(before.clone(), 3);
            for gone in &before {
                let others = before.iter().filter(|one| one.name != gone.name).cloned().collect();
                let rest = Share::new(others, 3);
                for target in 0..300 {
                    let (mut had, has) = (names(&whole, target), names(&rest, target));
                    if !had.contains(&gone.name) {
                        assert_eq!(had, has);
                        continue;
                    }
                    had.retain(|name| *name != gone.name);
                    let lost = had.iter().filter(|name| !has.contains(name)).count();
                    // With groups, room in another one may draw a second vantage over.
                    let may_lose = usize::from(groups.iter().any(|count| *count > 1));
                    assert!(lost <= may_lose, "{had:?} {has:?} without {}", gone.name);
                }
            }
        }
    }

    #[test]
    fn those_who_look_at_a_target_each_have_a_turn() {
        let (all, share) = (fleet(&[3, 3]), Share::new(fleet(&[3, 3]), 4));
        for target in 0..100 {
            let turn = |one: &Candidate| share.turn(&one.name, TargetId(target));
            let mut turns: Vec<Turn> = all.iter().filter_map(turn).collect();
            turns.sort_by_key(|turn| turn.rank);
            assert_eq!(turns, (0..4).map(|rank| Turn { rank, of: 4 }).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nodes_take_the_places_that_are_left() {
        let mut all = fleet(&[1, 1, 1, 1]);
        for candidate in &mut all[..3] {
            candidate.is_node = true;
        }
        let share = Share::new(all.clone(), 3);
        assert!((0..100).all(|target| names(&share, target)[0] == "d-1"));
        let share = Share::new(all, 1);
        assert!((0..100).all(|target| names(&share, target) == ["d-1"]));
    }

    #[test]
    fn an_impaired_vantage_has_a_stand_in_beside_it() {
        let mut all = fleet(&[1, 1, 1, 1, 1]);
        let whole = Share::new(all.clone(), 3);
        all[0].is_fit = false;
        let share = Share::new(all, 3);
        for target in 0..200 {
            let (had, has) = (names(&whole, target), names(&share, target));
            assert_eq!(has.len(), if had.contains(&"a-1".to_owned()) { 4 } else { 3 });
            assert!(had.iter().all(|name| has.contains(name)), "{had:?} {has:?}");
        }
    }
}
