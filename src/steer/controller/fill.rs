//! Water-filling: demand poured into vessels by their weights, up to the room of each.

use super::ONE;

/// One item as demand sees it.
#[derive(Clone, Copy)]
pub(super) struct Vessel {
    /// Its part of the stream. One of 0 gets nothing.
    pub(super) weight: u32,
    /// How much it holds.
    pub(super) room: u64,
}

/// What of each vessel's weight makes the split that fits: the largest is [`ONE`], and that of a vessel
/// of weight 0 is [`ONE`] as well. When `demand` is more than there is room, all are overfull by the
/// same ratio.
pub(super) fn shares(vessels: &[Vessel], demand: u64) -> Vec<u32> {
    let loads = fill(vessels, demand);
    // load / weight, compared by cross multiplication.
    let rate = |(vessel, load): (&Vessel, &u64)| {
        (vessel.weight > 0).then_some((u128::from(*load), u128::from(vessel.weight)))
    };
    let rates: Vec<Option<(u128, u128)>> = vessels.iter().zip(&loads).map(rate).collect();
    let larger = |a: (u128, u128), b: (u128, u128)| if a.0 * b.1 >= b.0 * a.1 { a } else { b };
    let Some((top, top_weight)) = rates.iter().flatten().copied().reduce(larger) else {
        return vec![ONE; vessels.len()];
    };
    let share = |rate: Option<(u128, u128)>| {
        let Some((load, weight)) = rate.filter(|_| top > 0) else { return ONE };
        let share = load * top_weight * u128::from(ONE) / (top * weight);
        u32::try_from(share).unwrap_or(ONE)
    };
    rates.into_iter().map(share).collect()
}

/// How much goes into each.
fn fill(vessels: &[Vessel], demand: u64) -> Vec<u64> {
    let is_open = |vessel: &Vessel| vessel.weight > 0;
    let room: u128 = vessels.iter().filter(|v| is_open(v)).map(|v| u128::from(v.room)).sum();
    if u128::from(demand) >= room {
        return vessels.iter().map(|v| if is_open(v) { v.room } else { 0 }).collect();
    }
    let mut loads: Vec<Option<u64>> =
        vessels.iter().map(|vessel| (!is_open(vessel)).then_some(0)).collect();
    loop {
        let poured: u64 = loads.iter().flatten().sum();
        let rest = u128::from(demand - poured);
        let of_rest = |vessel: &Vessel, weights: u128| rest * u128::from(vessel.weight) / weights;
        let open = || vessels.iter().zip(&loads).filter(|(_, load)| load.is_none());
        let weights = open().map(|(vessel, _)| u128::from(vessel.weight)).sum::<u128>().max(1);
        let full: Vec<usize> = (0..vessels.len())
            .filter(|&n| loads[n].is_none())
            .filter(|&n| of_rest(&vessels[n], weights) >= u128::from(vessels[n].room))
            .collect();
        if full.is_empty() {
            let settled = vessels.iter().zip(&loads).map(|(vessel, load)| {
                let open = || u64::try_from(of_rest(vessel, weights)).unwrap_or(vessel.room);
                load.unwrap_or_else(open)
            });
            return settled.collect();
        }
        // Each round fills one at least, so there are no more rounds than vessels.
        for n in full {
            loads[n] = Some(vessels[n].room);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vessels(of: &[(u32, u64)]) -> Vec<Vessel> {
        of.iter().map(|&(weight, room)| Vessel { weight, room }).collect()
    }

    #[test]
    fn demand_is_poured_by_weight_up_to_the_room() {
        for (of, demand, loads) in [
            (&[(1, 100), (1, 100)][..], 100, &[50, 50][..]),
            (&[(3, 100), (1, 100)], 80, &[60, 20]),
            (&[(1, 20), (1, 100)], 100, &[20, 80]),
            (&[(1, 20), (1, 30), (1, 100)], 130, &[20, 30, 80]),
            (&[(1, 20), (1, 30)], 80, &[20, 30]),
            (&[(0, 500), (1, 30)], 20, &[0, 20]),
        ] {
            assert_eq!(fill(&vessels(of), demand), loads, "{demand} into {of:?}");
        }
    }

    #[test]
    fn shares_are_of_the_weights() {
        let one = |parts: u32| ONE / 100 * parts;
        let close = |a: u32, b: u32| a.abs_diff(b) < ONE / 50;
        for (of, demand, expected) in [
            (&[(1, 100), (1, 100)][..], 100, &[100, 100][..]),
            (&[(1, 20), (1, 100)], 100, &[25, 100]),
            (&[(1, 20), (1, 80)], u64::MAX, &[25, 100]),
            (&[(0, 20), (5, 80)], 10, &[100, 100]),
            (&[(0, 20)], 10, &[100]),
        ] {
            let shares = shares(&vessels(of), demand);
            let is_right = shares.iter().zip(expected).all(|(s, e)| close(*s, one(*e)));
            assert!(is_right && shares.len() == expected.len(), "{of:?}: {shares:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_overfull_while_there_is_room(
            of in prop::collection::vec((0..=1_000_000_u32, 0..=4_000_000_000_000_u64), 1..12),
            demand in any::<u64>(),
        ) {
            let vessels = vessels(&of);
            let open = || vessels.iter().filter(|vessel| vessel.weight > 0);
            let room: u64 = open().map(|vessel| vessel.room).sum();
            let loads = fill(&vessels, demand);
            let total: u64 = loads.iter().sum();
            let is_within = loads.iter().zip(&vessels).all(|(load, vessel)| *load <= vessel.room);
            prop_assert!(is_within);
            let expected = demand.min(room);
            prop_assert!(total <= expected && expected - total <= 12, "{total} of {expected}");
            let shares = shares(&vessels, demand);
            prop_assert!(shares.iter().all(|share| *share <= ONE) && shares.contains(&ONE));
        }
    }
}
