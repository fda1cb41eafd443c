//! Round-trip times of regions: what groups of vantages make of them, and which region comes first by that.

use std::time::Duration;

use proptest::prelude::*;

use crate::model::RegionId;
use crate::steer::latency::{Found, Trip};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What a group finds that is so far from each region by distance, in milliseconds, and measures this.
fn found(likely: &[u64], measured: &[Option<u64>]) -> Option<Found> {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let kilometres: Vec<f64> = likely.iter().map(|millis| *millis as f64 * 65.0).collect();
    let measured: Vec<_> = measured.iter().map(|took| took.map(millis)).collect();
    Found::new(&kilometres, &measured)
}

/// Round trips of clients by distance; those below zero are told by `[rtt]`.
fn trips(all: &[i64]) -> Vec<Trip> {
    let trip = |took: &i64| Trip { time: millis(took.unsigned_abs()), is_told: *took < 0 };
    all.iter().map(trip).collect()
}

/// What such clients are taken to need to each region, and in which order they want them.
fn times(found: &Found, all: &[i64]) -> (Vec<u128>, Vec<usize>) {
    let trips = trips(all);
    let time = |(n, trip): (usize, &Trip)| found.time(RegionId::new(n), *trip).as_millis();
    let order = found.quickest_first(&trips).into_iter().map(RegionId::index);
    (trips.iter().enumerate().map(time).collect(), order.collect())
}

#[test]
fn what_a_group_finds_more_or_less_is_so_for_the_clients_near_it() {
    // By distance the group is 5, 90 and 160 ms away, and its clients 10, 80 and 150.
    type Case<'a> = (&'a str, [Option<u64>; 3], [i64; 3], [u128; 3], [usize; 3]);
    let table: [Case<'_>; 9] = [
        (
            "all as by distance",
            [Some(5), Some(90), Some(160)],
            [10, 80, 150],
            [10, 80, 150],
            [0, 1, 2],
        ),
        (
            "one path is slow",
            [Some(305), Some(90), Some(160)],
            [10, 80, 150],
            [310, 80, 150],
            [1, 2, 0],
        ),
        (
            "one is a little slow",
            [Some(80), Some(90), Some(160)],
            [10, 80, 150],
            [85, 80, 150],
            [0, 1, 2],
        ),
        (
            "one is better than it looks",
            [Some(5), Some(90), Some(70)],
            [10, 80, 150],
            [10, 80, 60],
            [0, 2, 1],
        ),
        (
            "all are slow: its own network",
            [Some(45), Some(130), Some(200)],
            [10, 80, 150],
            [50, 120, 190],
            [0, 1, 2],
        ),
        (
            "not measured: as the others",
            [Some(35), Some(120), None],
            [10, 80, 150],
            [40, 110, 180],
            [0, 1, 2],
        ),
        (
            "not measured: no better",
            [Some(305), Some(80), None],
            [10, 80, 150],
            [310, 70, 150],
            [1, 2, 0],
        ),
        (
            "one alone moves nobody",
            [Some(305), None, None],
            [10, 80, 150],
            [310, 380, 450],
            [0, 1, 2],
        ),
        (
            "what is told stays",
            [Some(305), Some(90), Some(160)],
            [-10, 80, -5],
            [10, 80, 5],
            [2, 0, 1],
        ),
    ];
    for (case, measured, own, expected, order) in table {
        let found = found(&[5, 90, 160], &measured).unwrap();
        assert_eq!(times(&found, &own), (expected.to_vec(), order.to_vec()), "{case}");
    }
    assert_eq!(found(&[5, 90, 160], &[None; 3]), None, "nothing is measured");
}

#[test]
fn one_comes_before_a_nearer_one_when_that_is_worth_ten_milliseconds_and_fifteen_percent() {
    let order = |first: u64, second: u64| {
        let found = found(&[20, 30], &[Some(first), Some(second)]).unwrap();
        times(&found, &[20, 30]).1
    };
    let table = [
        (20, 30, [0, 1]),
        (39, 30, [0, 1]), // 9 ms
        (40, 30, [1, 0]), // 10 ms of 40
        (90, 77, [0, 1]), // 13 ms of 90
        (90, 76, [1, 0]), // 14 ms of 90
        (300, 256, [0, 1]),
    ];
    for (first, second, expected) in table {
        assert_eq!(order(first, second), expected, "{first} {second}");
    }
}

proptest! {
    /// Nobody is sent first where it takes much longer than elsewhere, those of whom nothing is measured are not
    /// moved, and what is not measured gains nothing by that.
    #[test]
    fn the_first_is_never_much_slower_than_another(
        regions in prop::collection::vec(
            (1_u64..200, prop::option::of(1_u64..400), 1_i64..200, any::<bool>()), 1..6,
        ),
    ) {
        let likely: Vec<u64> = regions.iter().map(|(likely, ..)| *likely).collect();
        let measured: Vec<_> = regions.iter().map(|(_, measured, ..)| *measured).collect();
        let own: Vec<i64> =
            regions.iter().map(|(.., own, is_told)| if *is_told { -own } else { *own }).collect();
        let Some(group) = found(&likely, &measured) else { return Ok(()) };
        let (found_times, order) = times(&group, &own);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..regions.len()).collect::<Vec<_>>());
        let (first, least) = (found_times[order[0]], *found_times.iter().min().unwrap());
        prop_assert!(first - least < 10 || (first - least) * 100 <= first * 15 + 100, "{:?}", found_times);

        // As by distance and by tables, where the group finds nothing beside.
        let nothing: Vec<_> = likely.iter().copied().map(Some).collect();
        let (same, order) = times(&found(&likely, &nothing).unwrap(), &own);
        let own: Vec<u128> = own.iter().map(|took| u128::from(took.unsigned_abs())).collect();
        prop_assert_eq!(&same, &own);
        prop_assert!(order.is_sorted_by_key(|n| (own[*n], *n)));

        // Whoever measures one more finds it no worse than before, unless it is.
        for (n, _) in measured.iter().enumerate().filter(|(_, took)| took.is_none()) {
            prop_assert!(found_times[n] >= own[n], "not measured, and better for it");
        }
    }
}
