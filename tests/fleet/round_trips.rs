//! How far away regions are, from a vantage's connections to what nodes know.

use serde_json::Value;

use crate::node::{Endpoint, until};
use crate::world::{World, status};
use crate::zones::push_alone;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_know_how_far_regions_are_from_vantages() {
    let world = World::new().await;
    let target = Endpoint::new().await;
    let zone = format!(
        "zone = 'far.test'\nnameservers = ['ns1.example.net.']\nregions.eu.location = 'IE'\n\
        checks.open = {{ kind = 'tcp', port = {}, interval = '1s', timeout = '1s' }}\n\
        pools.eu = {{ region = 'eu', check = 'open', endpoints = \
        [{{ name = 'one', address = '192.0.2.9', check-address = '127.0.0.1' }}] }}\n\
        steer.www = {{ policy = 'latency', pools = ['eu'] }}\n",
        target.address.port()
    );
    push_alone(&world, "far.test", &zone).await;
    let mut known = Vec::new();
    for node in &world.nodes {
        let of_vantages = async || {
            let told = status(node).await["fleet"]["round_trips"].clone();
            let of = |group: &str| {
                let is_it = |one: &&Value| {
                    one["group"] == group && one["zone"] == "far.test." && one["region"] == "eu"
                };
                told.as_array()?.iter().find(is_it)?["ms"].as_f64().filter(|ms| *ms > 0.0)
            };
            ["fra", "iad", "sin"].into_iter().map(of).collect::<Option<Vec<f64>>>()
        };
        known.push(until("three vantages have told", of_vantages).await);
    }
    assert_eq!(known[0], known[1], "what one has told both have heard");
    world.end().await;
}
