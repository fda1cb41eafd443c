//! Verdicts of two nodes that hear three vantages: agreed, held, and agreed again.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::node::{Endpoint, PATIENCE, until};
use crate::world::{World, both, status, verdict};
use crate::zones::push_alone;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_hear_the_same_answer_the_same() {
    let mut world = World::new().await;
    let answers = world.answers().await;
    assert_eq!(answers[0], answers[1]);
    // A node that was there first has looked until it heard of others who do.
    let told = until("the vantages look, and the nodes need not", async || {
        let told = verdict(&world.nodes[0], "first").await;
        (told["votes"].as_array().unwrap().len() == 3).then_some(told)
    })
    .await;
    let votes = told["votes"].as_array().unwrap();
    assert!(votes.iter().all(|vote| vote["vote"] == "up"), "{told}");

    let at = world.kill_first().await;
    world.all_are("192.0.2.2").await;
    world.hear_each_other().await;
    let told = verdict(&world.nodes[1], "first").await;
    assert_eq!(told["verdict"], "down");
    assert_eq!(told["votes"][0]["reason"], "refused", "{told}");
    let look = async || {
        let answers = world.answers().await;
        (answers[0] == answers[1]).then_some(())
    };
    until("answers are equal, octet by octet", look).await;

    world.first = Some(Endpoint::at(at).await);
    world.all_are("192.0.2.1").await;
    world.end().await;
}

/// An endpoint that says "ok", but takes its time.
async fn lazy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = timeout(Duration::from_millis(60), std::future::pending::<()>()).await;
                // Whoever asked may have gone.
                let _ = stream.write_all(b"ok").await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_tell_why_vantages_hold_a_target_for_poor() {
    let world = World::new().await;
    let port = lazy().await.port();
    let zone = format!(
        "zone = 'lazy.test'\nnameservers = ['ns1.example.net.']\nregions.eu.location = 'IE'\n\
        checks.lazy = {{ kind = 'tcp', port = {port}, interval = '5s', timeout = '5s', rise = 1, fall = 1, \
        slow = '20ms', slow-factor = 0, expect = {{ text = 'ok' }} }}\n\
        pools.eu = {{ region = 'eu', check = 'lazy', endpoints = \
        [{{ name = 'snail', address = '192.0.2.9', check-address = '127.0.0.1' }}] }}\n\
        steer.www = {{ policy = 'failover', pools = ['eu'] }}\n"
    );
    push_alone(&world, "lazy.test", &zone).await;
    for node in &world.nodes {
        let told = until("the vantages agree that it is slow", async || {
            let told = verdict(node, "snail").await;
            let votes = told["votes"].as_array().unwrap();
            let slow = |vote: &&Value| vote["vote"] == "degraded" && vote["reason"] == "slow";
            let is_agreed = told["verdict"] == "degraded" && votes.iter().filter(slow).count() >= 3;
            is_agreed.then_some(told)
        })
        .await;
        let why = told["degraded_by"][0].as_str().unwrap();
        assert!(why.starts_with("slow"), "{told}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_engine_answers_stay_and_with_it_they_follow_again() {
    let mut world = World::new().await;
    world.engine.kill();
    world.links_are("holding").await;
    world.kill_first().await;
    // Its own probes see it within a second; nothing may come of that.
    let seen = async {
        until("the nodes' own probes fail", async || {
            let status = status(&world.nodes[0]).await;
            let last = status["targets"].as_array().unwrap().clone();
            last.iter().any(|target| target["last"] == "refused").then_some(())
        })
        .await;
    };
    timeout(PATIENCE, seen).await.unwrap();
    assert_eq!(both(&world).await, ["192.0.2.1", "192.0.2.1"]);
    world.engine.restart().await;
    world.all_are("192.0.2.2").await;
    world.links_are("together").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_for_long_goes_by_its_own_probes() {
    let mut world = World::new().await;
    world.engine.kill();
    world.kill_first().await;
    let look = async || (status(&world.nodes[0]).await["fleet"]["link"] == "island").then_some(());
    // Half a minute of silence makes an island.
    let waited = timeout(PATIENCE + Duration::from_secs(30), async {
        while look().await.is_none() {
            let _ = timeout(Duration::from_millis(200), std::future::pending::<()>()).await;
        }
    });
    waited.await.unwrap();
    world.all_are("192.0.2.2").await;
    world.engine.restart().await;
    world.links_are("together").await;
    assert_eq!(both(&world).await, ["192.0.2.2", "192.0.2.2"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_look_themselves_when_vantages_are_gone() {
    let mut world = World::new().await;
    for (_files, vantage) in world.vantages.drain(..) {
        vantage.stop().await;
    }
    until("a node votes", async || {
        let told = verdict(&world.nodes[0], "first").await;
        let votes = told["votes"].as_array().unwrap().clone();
        let nodes = votes.iter().filter(|vote| {
            vote["vantage"].as_str().unwrap().starts_with("node-") && vote["vote"] == "up"
        });
        (nodes.count() == 2).then_some(())
    })
    .await;
    world.end().await;
}
