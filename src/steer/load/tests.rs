//! Weights that follow load: what is split, by what, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::{EndpointHealth, EndpointId, TargetHealth, Time, Verdict, Zone};
use crate::steer::draw::WHOLE;
use crate::steer::prefer::{NamedBy, Order};
use crate::steer::{Family, Outline, Pasts, PoolPast, Preference, Scene, Selected, select};

/// A zone whose names go by load between pools and inside them.
const ZONE: &str = "zone = 't'\nnameservers = ['ns.example.net.']\nttl = '20s'\n\
    [regions.eu]\nlocation = [50, 10]\n[regions.us]\nlocation = [40, -75]\n\
    [feeds.agents]\nkind = 'push'\nlimit = 100\n\
    [pools.eu]\nregion = 'eu'\nfeed = 'agents'\n\
    endpoints = [{ name = 'a', address = '192.0.2.1', weight = 3 },\
    { name = 'b', address = '192.0.2.2' }]\n\
    [pools.us]\nregion = 'us'\nfeed = 'agents'\nendpoints = [{ address = '192.0.2.3' }]\n\
    [steer.www]\npolicy = 'least-load'\npools = ['eu', 'us']\n\
    pick = { policy = 'weighted-least-connections' }\n\
    [steer.api]\npolicy = 'failover'\npools = ['eu', 'us']\nttl = '50s'\n\
    pick = { policy = 'least-connections' }\n";

fn zone() -> Zone {
    Zone::clone(&crate::testing::zones(&[("t.toml", ZONE)])[0])
}

fn load(millis: u64) -> Load {
    let value = Utilisation::from_millis(millis);
    Load { value, errors: Utilisation::ZERO, age: Duration::ZERO, highs: 0 }
}

/// The scene in which these endpoints are down.
fn scene(zone: &Zone, down: &[usize]) -> Scene {
    let health = |id: EndpointId| {
        let verdict = if down.contains(&id.index()) { Verdict::Down } else { Verdict::Up };
        let v4 = Some(TargetHealth { verdict, ..TargetHealth::UNCHECKED });
        EndpointHealth { v4, ..Default::default() }
    };
    Scene::new(zone, &health, &Pasts::default(), Time::ZERO)
}

/// Minutes of the clock in which endpoints report these loads, and these are down.
fn run(control: &mut LoadControl, zone: &Zone, minutes: u64, loads: [u64; 3], down: &[usize]) {
    for second in (0..60 * minutes).step_by(10) {
        let unix = Duration::from_secs(1_700_000_000 + second);
        control.step(zone, &scene(zone, down), &|id| Some(load(loads[id.index()])), unix);
    }
}

fn of_branches(control: &LoadControl) -> Vec<u32> {
    control.weights().of_branches(SteerId::new(0)).unwrap().to_vec()
}

fn of_eu(control: &LoadControl, policy: LoadPolicy) -> Vec<u32> {
    control.weights().of_endpoints(PoolId::new(0), policy).unwrap().to_vec()
}

#[test]
fn what_reports_nothing_has_its_static_weights() {
    let control = LoadControl::new(&zone()).unwrap();
    assert_eq!(of_branches(&control), [1024, 1024]);
    assert_eq!(of_eu(&control, LoadPolicy::LeastConnections), [1024, 1024]);
    assert_eq!(of_eu(&control, LoadPolicy::WeightedLeastConnections), [3072, 1024]);
    let weights = control.weights();
    assert_eq!(weights.of_branches(SteerId::new(1)), None, "failover splits nothing");
    assert_eq!(weights.of_endpoints(PoolId::new(1), LoadPolicy::LeastLoad), None, "it has one");
}

#[test]
fn the_more_loaded_gives_share_away_between_pools_and_inside() {
    let zone = zone();
    let mut control = LoadControl::new(&zone).unwrap();
    // By weight, three to one, `eu` has a load of 0.6.
    run(&mut control, &zone, 10, [700, 300, 200], &[]);
    let [eu, us] = of_branches(&control)[..] else { panic!() };
    assert!(eu < us / 2 && us == 1024, "{eu} {us}");
    let [a, b] = of_eu(&control, LoadPolicy::LeastConnections)[..] else { panic!() };
    assert!(a < b / 2, "{a} {b}");
    // Three times the weight bear three times the connections: 0.233 to 0.3.
    let [a, b] = of_eu(&control, LoadPolicy::WeightedLeastConnections)[..] else { panic!() };
    assert!(a > 3 * b, "{a} {b}");
}

#[test]
fn what_is_down_does_not_count_for_its_pool() {
    let zone = zone();
    let mut control = LoadControl::new(&zone).unwrap();
    run(&mut control, &zone, 10, [900, 200, 200], &[0]);
    assert_eq!(of_branches(&control), [1024, 1024], "`a` is down, and with it its load");
}

#[test]
fn controllers_go_on_where_they_were_by_the_names_of_their_parts() {
    let before = zone();
    let mut control = LoadControl::new(&before).unwrap();
    run(&mut control, &before, 10, [700, 300, 200], &[]);
    let saved: Vec<SavedControl> = control.saved().collect();
    let of: Vec<&str> = saved.iter().map(|saved| &*saved.of).collect();
    assert_eq!(of, ["steer www.t.", "pool eu by weight", "pool eu"]);
    let resumed = LoadControl::new(&before).unwrap().resumed(&saved);
    assert_eq!(resumed.weights(), control.weights());
    // The pools in another order, and another endpoint where `a` was.
    let after = ZONE.replace("pools = ['eu', 'us']", "pools = ['us', 'eu']");
    let after = after.replace("name = 'a'", "name = 'c'");
    let after = Zone::clone(&crate::testing::zones(&[("t.toml", &after)])[0]);
    let moved = LoadControl::new(&after).unwrap().resumed(&saved);
    let mut swapped = of_branches(&control);
    swapped.reverse();
    assert_eq!(of_branches(&moved), swapped);
    let least = LoadPolicy::LeastConnections;
    assert_eq!(of_eu(&moved, least), [1024, of_eu(&control, least)[1]]);
}

#[test]
fn steps_are_due_with_reports() {
    let control = LoadControl::new(&zone()).unwrap();
    let due_in = |millis| control.due_in(Duration::from_millis(millis)).as_millis();
    assert_eq!((due_in(1_700_000_000_000), due_in(1_700_000_003_200)), (10_000, 6800));
}

#[test]
fn a_zone_in_which_nothing_goes_by_load_has_no_controllers() {
    let zone = ZONE.replace("'least-load'", "'weighted'");
    let zone = zone.replace("pick = { policy = 'weighted-least-connections' }", "");
    let zone = zone.replace("pick = { policy = 'least-connections' }", "");
    let zones = crate::testing::zones(&[("t.toml", &zone)]);
    assert!(LoadControl::new(&zones[0]).is_none());
}

/// The weights of a rule of `eu` and `us` after ten minutes in which `eu` has a load of 1.2.
fn after_overload(policy: &str, capacity: &str) -> Option<Vec<u32>> {
    let zone = ZONE.replace("'least-load'", policy).replace("feed = 'agents'\n", capacity);
    let zone = Zone::clone(&crate::testing::zones(&[("t.toml", &zone)])[0]);
    let mut control = LoadControl::new(&zone)?;
    run(&mut control, &zone, 10, [1200, 1200, 300], &[]);
    control.weights().of_branches(SteerId::new(0)).map(<[u32]>::to_vec)
}

#[test]
fn capacities_hold_what_is_drawn_by_weight_below_them() {
    let capacity = "feed = 'agents'\ncapacity = 100\n";
    for policy in ["'weighted'", "'sticky'"] {
        let weights = after_overload(policy, capacity).unwrap();
        assert!(weights[0] < weights[1] && weights[1] == 1024, "{policy}: {weights:?}");
        assert_eq!(after_overload(policy, "feed = 'agents'\n"), None, "no capacity");
    }
}

#[test]
fn capacities_say_at_once_how_much_goes_where() {
    let zone = ZONE.replace("us'\nfeed = 'agents'", "us'\nfeed = 'agents'\ncapacity = 400");
    let zone = zone.replace("eu'\nfeed = 'agents'", "eu'\nfeed = 'agents'\ncapacity = 100");
    let zone = Zone::clone(&crate::testing::zones(&[("t.toml", &zone)])[0]);
    let mut control = LoadControl::new(&zone).unwrap();
    control.step(
        &zone,
        &scene(&zone, &[]),
        &|_| Some(load(500)),
        Duration::from_secs(1_700_000_000),
    );
    assert_eq!(of_branches(&control), [256, 1024]);
    // Three quarters of `eu` are lost.
    let mut control = LoadControl::new(&zone).unwrap();
    control.step(
        &zone,
        &scene(&zone, &[0]),
        &|_| Some(load(500)),
        Duration::from_secs(1_700_000_000),
    );
    assert_eq!(of_branches(&control), [64, 1024]);
}

fn told(load: Option<Load>) -> Option<(u64, u64, u64, u8)> {
    let of = |load: Load| {
        (load.value.as_millis(), load.errors.as_millis(), load.age.as_secs(), load.highs)
    };
    load.map(of)
}

#[test]
fn a_pool_is_as_busy_as_its_endpoints_by_weight_or_in_sum() {
    let load = |millis, age, highs| {
        let value = Utilisation::from_millis(millis);
        let (errors, age) = (Utilisation::ZERO, Duration::from_secs(age));
        Some(Load { value, errors, age, highs })
    };
    let endpoints = [(3, load(400, 5, 0)), (1, load(800, 9, 2)), (1, None)];
    assert_eq!(told(pooled(&endpoints, true)), Some((500, 0, 9, 0)));
    assert_eq!(told(pooled(&endpoints, false)), Some((1200, 0, 9, 0)));
    assert_eq!(pooled(&[(1, None)], true), None);
}

#[test]
fn a_slow_start_leaves_a_part_of_what_load_leaves() {
    let mut zone = zone();
    zone.pools[0].slow_start = Duration::from_secs(100);
    let mut control = LoadControl::new(&zone).unwrap();
    run(&mut control, &zone, 30, [800, 400, 500], &[]);
    let [a, b] = of_eu(&control, LoadPolicy::LeastConnections)[..] else { panic!("two endpoints") };
    assert!(a < b, "the second has more room: {a} {b}");
    let since = Time::from_secs(1000);
    let back = PoolPast::Back { since, is_released: false };
    let past =
        Pasts { endpoints: vec![PoolPast::Whole, back, PoolPast::Whole], ..Pasts::default() };
    let up = |_| EndpointHealth { v4: Some(TargetHealth::UNCHECKED), ..Default::default() };
    let shares = |secs| {
        let scene = Scene::new(&zone, &up, &past, since + Duration::from_secs(secs));
        let scene = scene.with_loads(Some(Arc::clone(control.weights())));
        let outline = Outline::new(&zone, SteerId::new(1));
        let orders = Box::new([Order {
            named: NamedBy::Policy,
            branches: Box::new([0, 1]),
            preferred: 2,
            is_strict: false,
        }]);
        let selection =
            select(&zone, &outline, &Preference { orders, class: None }, &scene, Family::V4);
        let Selected::Among(tree) = selection.selected else { panic!("both are up") };
        tree.shares().into_iter().map(|(_, share)| share).collect::<Vec<_>>()
    };
    let parts = |a: u64, b: u64| vec![WHOLE * a / (a + b), WHOLE * b / (a + b)];
    assert_eq!(shares(0), parts(u64::from(a) * 10, b.into()));
    assert_eq!(shares(45), parts(u64::from(a) * 10, u64::from(b) * 5));
    assert_eq!(shares(100), parts(a.into(), b.into()));
}
