//! The flow beside brute force, and what an operator would expect of it.

use proptest::prelude::*;

use super::*;

fn class(amount: u64, costs: &[u32]) -> Demand {
    Demand { amount, costs: costs.iter().map(|cost| Some(*cost)).collect() }
}

fn solve(capacities: &[u64], classes: &[Demand]) -> Spill {
    spill(&Problem { capacities, classes, before: &[], inertia: 0 })
}

#[test]
fn everybody_goes_where_they_want_while_there_is_room() {
    let spill = solve(&[100, 100], &[class(60, &[0, 1]), class(80, &[1, 0])]);
    assert_eq!(spill.shares, [SHARES, 0, 0, SHARES]);
    assert_eq!((spill.loads, spill.is_overloaded), (vec![60, 80], false));
}

#[test]
fn what_does_not_fit_goes_on_to_the_next_with_room() {
    let classes = [class(200, &[0, 5, 9])];
    let spill = solve(&[100, 50, 100], &classes);
    assert_eq!(spill.shares, [512, 256, 256]);
    assert_eq!((spill.loads, spill.is_overloaded), (vec![100, 50, 50], false));
}

#[test]
fn who_gives_way_is_who_loses_least_by_it() {
    // Both want the first pool; the second class is nearly as well off in the other.
    let spill = solve(&[100, 100], &[class(100, &[0, 50]), class(60, &[0, 3])]);
    assert_eq!(spill.shares, [SHARES, 0, 0, SHARES]);
    // The order in which they are placed does not matter.
    let spill = solve(&[100, 100], &[class(60, &[0, 3]), class(100, &[0, 50])]);
    assert_eq!(spill.shares, [0, SHARES, SHARES, 0]);
}

#[test]
fn overload_is_shared_in_proportion_to_capacity() {
    let spill = solve(&[300, 100], &[class(400, &[0, 1]), class(400, &[0, 1])]);
    assert!(spill.is_overloaded);
    assert_eq!(spill.loads, [600, 200]);
}

#[test]
fn overload_of_some_does_not_touch_those_who_can_do_without() {
    let mut bound = class(300, &[0, 0, 0]);
    bound.costs[1] = None;
    bound.costs[2] = None;
    let spill = solve(&[100, 100, 100], &[bound, class(150, &[9, 0, 1])]);
    assert!(spill.is_overloaded);
    assert_eq!(spill.loads, [300, 100, 50]);
    assert_eq!(spill.of_class(0), [SHARES, 0, 0]);
}

#[test]
fn room_that_was_made_in_vain_is_nobodys() {
    // Room for the last is made in all pools, but only one unit can be pushed on to those in front.
    let mut bound = class(3, &[0, 0, 0, 0]);
    (bound.costs[0], bound.costs[1]) = (None, None);
    let spill = solve(&[4, 2, 1, 0], &[class(3, &[0, 1, 0, 0]), class(4, &[0, 1, 0, 0]), bound]);
    assert!(spill.is_overloaded);
    assert_eq!(spill.loads, [5, 2, 3, 0]);
}

#[test]
fn pools_without_any_room_serve_when_there_is_no_other() {
    let spill = solve(&[0, 0], &[class(10, &[3, 2])]);
    assert_eq!((spill.shares, spill.is_overloaded), (vec![0, SHARES], true));
    let nowhere = Demand { amount: 10, costs: vec![None, None] };
    let spill = solve(&[5, 5], &[nowhere]);
    assert_eq!((spill.shares, spill.is_overloaded), (vec![0, 0], false));
}

#[test]
fn a_class_that_nobody_has_asked_for_goes_where_there_is_room() {
    let classes = [class(100, &[0, 1]), class(0, &[0, 1]), class(0, &[1, 0])];
    let spill = solve(&[100, 100], &classes);
    assert_eq!(spill.of_class(1), [0, SHARES]);
    assert_eq!(spill.of_class(2), [0, SHARES]);
}

#[test]
fn inertia_keeps_those_who_are_well_off_where_they_were() {
    let classes = [class(50, &[0, 1]), class(50, &[0, 1])];
    let solve = |inertia| {
        let before = [0, SHARES, SHARES, 0];
        spill(&Problem { capacities: &[100, 100], classes: &classes, before: &before, inertia })
    };
    assert_eq!(solve(0).shares, [SHARES, 0, SHARES, 0]);
    assert_eq!(solve(2).shares, [0, SHARES, SHARES, 0]);
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let of = |amount| class(amount, &[u32::MAX; 12]);
    let capacities = [u64::MAX; 12];
    let classes = vec![of(u64::MAX); 900];
    let before = vec![0; 900 * 12];
    let problem =
        Problem { capacities: &capacities, classes: &classes, before: &before, inertia: u32::MAX };
    let spill = spill(&problem);
    assert!(spill.is_overloaded);
    assert_eq!(spill.loads.iter().sum::<u64>(), 900 * AMOUNT_MAX);
}

// ---- Beside brute force ----

/// The least total cost of placing everybody, by trying everything; `None` if that is impossible.
fn brute_force(capacities: &mut [u64], classes: &[Demand]) -> Option<u64> {
    let [first, rest @ ..] = classes else { return Some(0) };
    place_rest(capacities, first, 0, first.amount, rest)
}

/// Places `left` units of `class` in the pools from `pool` on, then all others.
fn place_rest(
    capacities: &mut [u64],
    class: &Demand,
    pool: usize,
    left: u64,
    rest: &[Demand],
) -> Option<u64> {
    if left == 0 {
        return brute_force(capacities, rest);
    }
    let capacity = *capacities.get(pool)?;
    let most = class.costs[pool].map_or(0, |_| left.min(capacity));
    let costs = (0..=most).filter_map(|amount| {
        capacities[pool] -= amount;
        let others = place_rest(capacities, class, pool + 1, left - amount, rest);
        capacities[pool] += amount;
        Some(others? + amount * u64::from(class.costs[pool].unwrap_or(0)))
    });
    costs.min()
}

/// What a placement costs, as far as shares are exact.
fn total_cost(flow: &Flow<'_>, classes: &[Demand]) -> u64 {
    let placed = flow.placed.iter().enumerate().filter(|(_, amount)| **amount > 0);
    placed
        .map(|(n, amount)| {
            let (class, pool) = (n / flow.pools, n % flow.pools);
            amount * u64::from(classes[class].costs[pool].expect("an allowed pool"))
        })
        .sum()
}

fn any_class(pools: usize) -> impl Strategy<Value = Demand> {
    let cost = prop_oneof![9 => (0..20_u32).prop_map(Some), 1 => Just(None)];
    (0..6_u64, prop::collection::vec(cost, pools))
        .prop_map(|(amount, costs)| Demand { amount, costs })
}

fn any_problem() -> impl Strategy<Value = (Vec<u64>, Vec<Demand>)> {
    (1..=4_usize).prop_flat_map(|pools| {
        let capacities = prop::collection::vec(0..8_u64, pools);
        (capacities, prop::collection::vec(any_class(pools), 1..=4))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_placement_is_cheaper((capacities, classes) in any_problem()) {
        let problem = Problem { capacities: &capacities, classes: &classes, before: &[], inertia: 0 };
        let mut flow = Flow::new(&problem);
        (0..classes.len()).for_each(|class| flow.place(class));
        let is_servable = |class: &&Demand| class.costs.iter().any(Option::is_some);
        let servable: Vec<Demand> = classes.iter().filter(is_servable).cloned().collect();
        // With overload: the cheapest for the capacities that it was given.
        let best = brute_force(&mut flow.capacities.clone(), &servable);
        prop_assert_eq!(Some(total_cost(&flow, &classes)), best);
        let fits = brute_force(&mut capacities.clone(), &servable).is_some();
        prop_assert_eq!(flow.is_overloaded, !fits);
    }

    #[test]
    fn shares_add_up_and_only_allowed_pools_have_any((capacities, classes) in any_problem()) {
        let spill = solve(&capacities, &classes);
        for (n, class) in classes.iter().enumerate() {
            let shares = spill.of_class(n);
            let is_servable = class.costs.iter().any(Option::is_some);
            let sum: u16 = shares.iter().sum();
            prop_assert_eq!(sum, if is_servable { SHARES } else { 0 });
            let mut pairs = shares.iter().zip(&class.costs);
            prop_assert!(pairs.all(|(share, cost)| *share == 0 || cost.is_some()));
        }
        let placed: u64 = spill.loads.iter().sum();
        let asked = classes.iter().filter(|class| class.costs.iter().any(Option::is_some));
        prop_assert_eq!(placed, asked.map(|class| class.amount).sum::<u64>());
    }
}
