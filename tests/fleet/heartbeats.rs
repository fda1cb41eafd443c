//! An endpoint reports to one node, and counts on all.

use reqwest::Method;
use serde_json::json;

use crate::node::until;
use crate::world::{World, call, verdict};
use crate::zones::push_alone;

const ZONE: &str = "zone = 'beats.test'\nnameservers = ['ns1.example.net.']\nregions.eu.location = 'IE'\n\
    checks.beat = { kind = 'heartbeat', period = '2s' }\n\
    pools.workers = { region = 'eu', check = 'beat', endpoints = [{ name = 'worker', address = '192.0.2.9' }] }\n\
    steer.www = { policy = 'failover', pools = ['workers'] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_to_one_node_counts_on_the_other() {
    let world = World::new().await;
    push_alone(&world, "beats.test", ZONE).await;
    until("the other node takes it as alive", async || {
        let report = json!({"zone": "beats.test", "pool": "workers", "endpoint": "worker"});
        call(&world.nodes[0], Method::POST, "/v1/heartbeat", Some(report)).await;
        let told = verdict(&world.nodes[1], "worker").await;
        (told["verdict"] == "up").then_some(())
    })
    .await;
    // Nobody reports any more: the vantages, which only heard of it, say so.
    let told = until("the other node misses it", async || {
        let told = verdict(&world.nodes[1], "worker").await;
        (told["verdict"] == "down").then_some(told)
    })
    .await;
    let votes = told["votes"].as_array().unwrap();
    let missed = |vote: &&serde_json::Value| vote["reason"] == "no report within the period";
    assert!(votes.iter().filter(missed).count() >= 2, "{told}");
    world.end().await;
}
