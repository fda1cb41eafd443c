//! The controller, step by step.

use proptest::prelude::*;

use super::*;

const PERIOD: Duration = Duration::from_secs(10);
/// A moment at which an epoch of every test's step time begins.
const START: Duration = Duration::from_secs(1_699_999_980);

fn settings(aim: Aim) -> Settings {
    Settings { aim, ttl: Duration::from_secs(20), period: PERIOD }
}

fn load(millis: u64) -> Load {
    let value = Utilisation::from_millis(millis);
    Load { value, errors: Utilisation::ZERO, age: Duration::ZERO, highs: 0 }
}

/// An item of a weight, a capacity (0: unknown) and a load in 1/1000.
fn item(weight: u32, capacity: u32, millis: u64) -> Item {
    let capacity = (capacity > 0).then_some(capacity);
    Item { weight, is_usable: true, capacity, load: Some(load(millis)) }
}

/// Epochs of thirty seconds, and the items in each of them.
fn run(
    controller: &mut Controller,
    aim: Aim,
    epochs: std::ops::Range<u32>,
    mut items: impl FnMut(&[u32]) -> Vec<Item>,
) {
    for epoch in epochs {
        let factors: Vec<u32> = controller.factors().collect();
        controller.step(&settings(aim), START + 3 * PERIOD * epoch, &items(&factors));
    }
}

fn factors(controller: &Controller) -> Vec<u32> {
    controller.factors().collect()
}

#[test]
fn while_nothing_is_loaded_weights_are_the_static_ones() {
    let mut controller = Controller::new(3);
    let items = vec![item(3, 0, 840), item(1, 0, 10), item(0, 0, 0)];
    run(&mut controller, Aim::Below, 0..20, |_| items.clone());
    assert_eq!(factors(&controller), [FACTOR_ONE; 3]);
    assert_eq!(controller.weights(&items), [3072, 1024, 0]);
}

#[test]
fn what_is_more_than_one_can_carry_goes_to_those_with_room() {
    let mut controller = Controller::new(2);
    // 300 of demand in two equal parts: one of them carries 85 at most.
    run(&mut controller, Aim::Below, 0..1, |_| vec![item(1, 100, 1500), item(1, 900, 167)]);
    let [small, large] = controller.factors().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(large, FACTOR_ONE);
    // 85 : 215 by capacity, and the first step of the trim.
    assert!((330..=405).contains(&small), "{small}");
}

#[test]
fn there_is_one_step_an_epoch_however_often_it_is_called() {
    let mut controller = Controller::new(2);
    let items = [item(1, 0, 900), item(1, 0, 100)];
    let settings = settings(Aim::Below);
    let mut changes = 0;
    for secs in 0..90 {
        let now = START + Duration::from_secs(secs);
        changes += u32::from(controller.step(&settings, now, &items));
    }
    assert_eq!(changes, 3);
    assert!(
        !controller.step(&settings, START + Duration::from_secs(59), &items),
        "put back a little"
    );
}

#[test]
fn steps_are_limited() {
    let step = |millis, highs| {
        let mut controller = Controller::new(2);
        let busy = Load { highs, ..load(millis) };
        let items = [Item { load: Some(busy), ..item(1, 0, 0) }, item(1, 0, 0)];
        controller.step(&settings(Aim::Below), START, &items);
        FACTOR_ONE - factors(&controller)[0]
    };
    assert_eq!(step(860, 0), 0, "inside the dead band");
    assert_eq!(step(935, 0), 41, "0.4 of a tenth");
    assert_eq!(step(5000, 1), 123, "0.12");
    assert_eq!(step(5000, 2), 256, "0.25");
}

#[test]
fn an_alarm_does_not_wait_for_the_epoch_but_for_its_last_step_to_work() {
    let mut controller = Controller::new(2);
    let calm = [item(1, 0, 800), item(1, 0, 100)];
    let alarm = [Item { load: Some(Load { highs: 2, ..load(1100) }), ..calm[0] }, calm[1]];
    let settings = settings(Aim::Below);
    controller.step(&settings, START, &calm);
    let mut changed = Vec::new();
    for secs in 1..60 {
        if controller.step(&settings, START + Duration::from_secs(secs), &alarm) {
            changed.push(secs);
        }
    }
    assert_eq!(changed, [10, 40]);
}

#[test]
fn overload_is_not_borne_however_wide_the_band_has_become() {
    // Within three, and even within fifteen, hundredths of the mean, which is 0.92.
    let loads = [load(1005), load(835), load(920)];
    for (highs, is_borne) in [(1, true), (2, false)] {
        let mut controller = Controller::new(3);
        controller.standings[0].band = BAND_MAX;
        controller.standings[1].band = BAND_MAX;
        let items = loads.map(|load| Item { load: Some(load), ..item(1, 0, 0) });
        let busy = Item { load: Some(Load { highs, ..loads[0] }), ..items[0] };
        controller.step(&settings(Aim::Equal), START, &[busy, items[1], items[2]]);
        let factors = factors(&controller);
        assert_eq!(factors == [FACTOR_ONE; 3], is_borne, "{highs} reports: {factors:?}");
    }
}

#[test]
fn what_one_is_spared_is_not_too_much_for_another() {
    let lowered = |others| {
        let mut controller = Controller::new(2);
        let busy = Item { load: Some(Load { highs: 2, ..load(1030) }), ..item(1, 0, 0) };
        controller.step(&settings(Aim::Below), START, &[busy, item(1, 0, others)]);
        FACTOR_ONE - factors(&controller)[0]
    };
    // Down to 0.85 and three hundredths beyond; down to the mean, which is 0.98, and one beyond.
    assert_eq!((lowered(100), lowered(930)), (247, 63));
}

#[test]
fn what_a_failed_item_leaves_goes_to_those_with_room_at_once() {
    let mut controller = Controller::new(3);
    let items = vec![item(1, 400, 500), item(1, 400, 500), item(1, 250, 800)];
    run(&mut controller, Aim::Below, 0..2, |_| items.clone());
    assert_eq!(factors(&controller), [FACTOR_ONE; 3]);
    let mut failed = items.clone();
    failed[0].is_usable = false;
    let now = START + 3 * PERIOD + Duration::from_secs(1);
    assert!(controller.step(&settings(Aim::Below), now, &failed));
    // 600 for 340 and 212.5 of room: in proportion to capacity.
    let factors = factors(&controller);
    assert_eq!((factors[1], factors[2]), (FACTOR_ONE, 640));
}

#[test]
fn reports_that_stop_freeze_weights_and_lead_back_to_the_static_ones() {
    let mut controller = Controller::new(2);
    run(&mut controller, Aim::Below, 0..10, |_| vec![item(1, 0, 1200), item(1, 0, 200)]);
    let frozen = factors(&controller);
    assert!(frozen[0] < 300, "{frozen:?}");
    let mut at_age = |secs| {
        let old = Load { age: Duration::from_secs(secs), ..load(1200) };
        let items = [Item { load: Some(old), ..item(1, 0, 0) }, item(1, 0, 200)];
        let now = START + 30 * PERIOD + Duration::from_secs(secs);
        controller.step(&settings(Aim::Below), now, &items);
        factors(&controller)[0]
    };
    assert_eq!(at_age(40), frozen[0]);
    let path: Vec<u32> = (3..13).map(|n| at_age(30 * n)).collect();
    assert!(path.is_sorted() && path[0] < FACTOR_ONE / 2, "{path:?}");
    assert!(path[5] < FACTOR_ONE - 100, "not before its time: {path:?}");
    assert_eq!(path[9], FACTOR_ONE);
}

#[test]
fn items_that_never_report_after_a_restart_are_waited_for() {
    let mut controller = Controller::new(1);
    controller.standings[0].trim = ONE / 4;
    let silent = vec![Item { load: None, ..item(1, 0, 0) }];
    run(&mut controller, Aim::Below, 0..1, |_| silent.clone());
    assert_eq!(factors(&controller), [FACTOR_ONE / 4]);
    run(&mut controller, Aim::Below, 1..13, |_| silent.clone());
    assert_eq!(factors(&controller), [FACTOR_ONE]);
}

#[test]
fn errors_are_overload_unless_all_have_them() {
    for aim in [Aim::Below, Aim::Equal, Aim::EqualPerWeight] {
        let erring = |errors| {
            let errors = Utilisation::from_millis(errors);
            Item { load: Some(Load { errors, ..load(10) }), ..item(1, 0, 0) }
        };
        let mut one = Controller::new(3);
        run(&mut one, aim, 0..30, |_| vec![erring(3000), item(1, 0, 500), item(1, 0, 500)]);
        assert!(factors(&one)[0] < FACTOR_ONE / 10, "{aim:?}: {:?}", factors(&one));
        let mut all = Controller::new(3);
        run(&mut all, aim, 0..30, |_| vec![erring(3000); 3]);
        assert_eq!(factors(&all), [FACTOR_ONE; 3], "{aim:?}");
    }
}

#[test]
fn nobody_is_starved_and_who_recovers_comes_back() {
    let mut controller = Controller::new(2);
    let failing = Load { errors: Utilisation::from_millis(9000), highs: 9, ..load(0) };
    run(&mut controller, Aim::Below, 0..100, |_| {
        vec![Item { load: Some(failing), ..item(1, 0, 0) }, item(1, 0, 300)]
    });
    assert_eq!(factors(&controller), [16, FACTOR_ONE]);
    run(&mut controller, Aim::Below, 100..120, |_| vec![item(1, 0, 10), item(1, 0, 300)]);
    assert_eq!(factors(&controller), [FACTOR_ONE; 2]);
}

/// Loads, in 1/1000, of items that share 1000 connections in proportion to weight × factor × pull.
fn shared(weights: &[u32], pulls: &[u32], factors: &[u32]) -> Vec<u64> {
    let parts: Vec<u64> = weights
        .iter()
        .zip(pulls)
        .zip(factors)
        .map(|((weight, pull), factor)| u64::from(*weight) * u64::from(*pull) * u64::from(*factor))
        .collect();
    let sum: u64 = parts.iter().sum();
    parts.into_iter().map(|part| part * 1_000_000 / sum).collect()
}

#[test]
fn equal_connections_or_equal_connections_per_weight_are_what_it_ends_with() {
    for (aim, weights, expected) in [
        (Aim::Equal, [1, 1, 1], [333, 333, 333]),
        (Aim::EqualPerWeight, [1, 2, 7], [100, 200, 700]),
    ] {
        let mut controller = Controller::new(3);
        let pulls = [5, 1, 2];
        let items = |factors: &[u32]| {
            let loads = shared(&weights, &pulls, factors).into_iter();
            weights.into_iter().zip(loads).map(|(weight, load)| item(weight, 0, load)).collect()
        };
        run(&mut controller, aim, 0..60, items);
        let loads = shared(&weights, &pulls, &factors(&controller));
        for (load, expected) in loads.iter().zip(expected) {
            let error = load.abs_diff(expected * 1000);
            assert!(error * 100 <= expected * 1000 * 4, "{aim:?}: {loads:?}");
        }
    }
}

#[test]
fn large_static_weights_stay_within_what_draws_can_compare() {
    let controller = Controller::new(3);
    let weights = |of: [u32; 3]| controller.weights(&of.map(|weight| item(weight, 0, 0)));
    assert_eq!(weights([WEIGHT_MAX, 1, 0]), [WEIGHT_MAX, 1, 0]);
    assert_eq!(weights([2000, 1000, 1]), [1_000_000, 500_000, 500]);
}

fn any_load() -> impl Strategy<Value = Load> {
    let millis = || prop_oneof![0..3000_u64, any::<u64>()].prop_map(Utilisation::from_millis);
    (millis(), prop_oneof![Just(Utilisation::ZERO), millis()], 0..400_u64, 0..4_u8).prop_map(
        |(value, errors, age, highs)| Load { value, errors, age: Duration::from_secs(age), highs },
    )
}

fn any_item() -> impl Strategy<Value = Item> {
    let capacity = prop::option::of(prop_oneof![0..1000_u32, any::<u32>()]);
    let weight = prop_oneof![0..5_u32, 0..=WEIGHT_MAX];
    (weight, any::<bool>(), capacity, prop::option::of(any_load()))
        .prop_map(|(weight, is_usable, capacity, load)| Item { weight, is_usable, capacity, load })
}

fn any_aim() -> impl Strategy<Value = Aim> {
    prop_oneof![Just(Aim::Below), Just(Aim::Equal), Just(Aim::EqualPerWeight)]
}

proptest! {
    #[test]
    fn whatever_is_reported_weights_are_sound_and_the_same_everywhere(
        aim in any_aim(),
        ttl in 0..100_u64,
        period in 0..30_u64,
        rounds in prop::collection::vec((0..200_u64, prop::collection::vec(any_item(), 3)), 1..30),
    ) {
        let secs = Duration::from_secs;
        let settings = Settings { aim, ttl: secs(ttl), period: secs(period) };
        let mut here = Controller::new(3);
        let mut now = START;
        for (wait, items) in rounds {
            now += secs(wait);
            // Another node, which was started from what this one wrote down.
            let mut there = here.clone();
            there.step(&settings, now, &items);
            let before = factors(&here);
            let is_changed = here.step(&settings, now, &items);
            prop_assert_eq!(is_changed, before != factors(&here));
            prop_assert!(here.factors().all(|factor| (16..=FACTOR_ONE).contains(&factor)));
            for (weight, item) in here.weights(&items).into_iter().zip(&items) {
                prop_assert!(weight <= WEIGHT_MAX && (weight == 0) == (item.weight == 0));
            }
            prop_assert_eq!(&here, &there);
        }
    }
}
