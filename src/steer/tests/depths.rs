//! A walk for one class that did not come to where another differs is a walk for both.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{EndpointHealth, EndpointId, SteerId, TargetHealth, Time, Verdict, Zone};
use crate::steer::depths::Depths;
use crate::steer::prefer::{NamedBy, Order};
use crate::steer::walk::{Ground, decide};
use crate::steer::{Family, Outline, Pasts, Preference, Scene};
use crate::testing;

/// Trees of every shape, with branches of weight 0, pools that both share, and a last resort.
const ZONE: &str = r#"
zone = "example.com"
nameservers = ["ns1.example.net."]
[regions.r]
location = [53.35, -6.26]
[pools]
a = { region = "r", endpoints = [{ address = ["192.0.2.1", "2001:db8::1"] }] }
b = { region = "r", endpoints = [{ address = "192.0.2.2" }] }
c = { region = "r", endpoints = [{ address = ["192.0.2.3", "2001:db8::3"] }] }
d = { region = "r", endpoints = [{ address = "192.0.2.4" }, { address = "192.0.2.5" }], min-healthy = 2 }
e = { region = "r", endpoints = [{ address = "2001:db8::5" }] }
[steer.flat]
policy = "failover"
pools = ["a", "b", "c", "d", "e"]
weights = { b = 0 }
all-down = "last-good"
[steer.drawn]
policy = "weighted"
pools = ["a", "b", "c"]
weights = { a = 1, b = 0, c = 1 }
[steer.inner]
policy = "failover"
pools = ["c", "d", "a"]
trickle = "5%"
[steer.tree]
policy = "failover"
pools = ["steer:drawn", "steer:inner", "e"]
all-down = "as-up"
[steer.both]
policy = "weighted"
pools = ["steer:inner", "b"]
all-down = "pool:e"
"#;

const STEERS: [&str; 4] = ["flat", "tree", "both", "drawn"];

fn health(verdicts: &[Verdict]) -> impl Fn(EndpointId) -> EndpointHealth {
    move |id| {
        let way = |n: usize| TargetHealth {
            verdict: verdicts[(id.index() * 2 + n) % verdicts.len()],
            next_change: Duration::from_secs(5 + id.index() as u64),
            ..TargetHealth::UNCHECKED
        };
        EndpointHealth { v4: Some(way(0)), v6: Some(way(1)), ..Default::default() }
    }
}

/// Any order of the branches of each node, by the numbers given.
fn preference(outline: &Outline, numbers: &[u64]) -> Preference {
    let order = |(node, number): (&crate::steer::outline::Node, &u64)| {
        let count = node.branches.len();
        let mut branches: Vec<u16> = (0..).take(count).collect();
        branches.sort_by_key(|branch| number.rotate_left(7 * u32::from(*branch)) % 8);
        let preferred = match number >> 60 {
            0..8 => count,
            n => usize::try_from(n).unwrap() % count,
        };
        Order {
            named: NamedBy::Policy,
            branches: branches.into(),
            preferred: u16::try_from(preferred).unwrap(),
            is_strict: number >> 59 & 1 == 1,
        }
    };
    let orders = outline.nodes().iter().zip(numbers).map(order).collect();
    Preference { orders, class: None }
}

fn zone() -> Zone {
    Zone::clone(&testing::zones(&[("example.com.toml", ZONE)])[0])
}

fn outline(zone: &Zone, name: &str) -> Outline {
    let is_meant = |owner: &str| owner.starts_with(&format!("{name}."));
    let place = zone.steers.iter().position(|steer| is_meant(&steer.owner.to_string()));
    Outline::new(zone, SteerId::new(place.unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whose_orders_begin_alike_come_to_the_same(
        name in select(&STEERS[..]),
        family in select(&Family::ALL[..]),
        verdicts in prop::collection::vec(select(vec![Verdict::Up, Verdict::Down, Verdict::Down]), 13),
        numbers in prop::collection::vec(prop::collection::vec(any::<u64>(), 3), 8),
    ) {
        let zone = zone();
        let outline = outline(&zone, name);
        let scene = Scene::new(&zone, &health(&verdicts), &Pasts::default(), Time::ZERO);
        let ground = Ground::new(&zone, &outline, &scene, family);
        let preferences: Vec<_> = numbers.iter().map(|own| preference(&outline, own)).collect();
        for one in &preferences {
            let decision = decide(&ground, one);
            for other in &preferences {
                if decision.depths.are_same_for(one, other) {
                    prop_assert_eq!(&decision, &decide(&ground, other));
                }
            }
        }
    }
}

#[test]
fn what_stands_behind_the_first_that_serves_does_not_matter() {
    let zone = zone();
    let outline = outline(&zone, "flat");
    let order = |branches: [u16; 5], preferred, is_strict| Preference {
        orders: [Order { named: NamedBy::Policy, branches: branches.into(), preferred, is_strict }]
            .into(),
        class: None,
    };
    // The first is dead, the second is not.
    let a_is_dead =
        health(&[Verdict::Down, Verdict::Down, Verdict::Down, Verdict::Down, Verdict::Up]);
    let scene = Scene::new(&zone, &a_is_dead, &Pasts::default(), Time::ZERO);
    let ground = Ground::new(&zone, &outline, &scene, Family::V4);
    let one = order([0, 2, 3, 4, 1], 5, false);
    let depths = decide(&ground, &one).depths;
    assert!(depths.are_same_for(&one, &order([0, 2, 4, 3, 1], 5, false)));
    assert!(!depths.are_same_for(&one, &order([0, 3, 2, 4, 1], 5, false)));
    assert!(!depths.are_same_for(&one, &order([0, 2, 3, 4, 1], 1, false)));
    let deeper = depths.or(&Depths::of_nodes([4].into_iter()));
    assert!(!deeper.are_same_for(&one, &order([0, 2, 4, 3, 1], 5, false)));
    assert!(!depths.or(&Depths::whole()).are_same_for(&one, &one));
}
