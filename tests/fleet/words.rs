//! What is said on one node counts on all.

use reqwest::Method;
use serde_json::json;

use crate::node::until;
use crate::world::{World, call, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_word_on_one_node_reaches_the_others_and_survives_the_engine() {
    let mut world = World::new().await;
    let drain = json!({"what": "first", "kind": "drain", "author": "ann", "reason": "new kernel"});
    call(&world.nodes[0], Method::POST, "/v1/overrides", Some(drain)).await;
    world.all_are("192.0.2.2").await;
    let overrides = status(&world.nodes[1]).await["overrides"].clone();
    assert_eq!(
        (&overrides[0]["author"], &overrides[0]["reason"]),
        (&json!("ann"), &json!("new kernel"))
    );
    // Taken back on another node than it was said on.
    call(&world.nodes[1], Method::DELETE, "/v1/overrides?what=first&author=bob", None).await;
    world.all_are("192.0.2.1").await;

    // Said while the engine is gone: it counts here at once, and there when the engine is back, though that
    // has forgotten everything.
    world.engine.kill();
    let drain = json!({"what": "first", "kind": "drain", "author": "ann"});
    call(&world.nodes[0], Method::POST, "/v1/overrides", Some(drain)).await;
    crate::node::www_becomes(&world.nodes[0], "192.0.2.2").await;
    world.engine.forget();
    world.engine.restart().await;
    world.all_are("192.0.2.2").await;

    let freeze = json!({"author": "ann", "reason": "incident"});
    call(&world.nodes[0], Method::PUT, "/v1/freeze", Some(freeze)).await;
    let frozen = async || status(&world.nodes[1]).await["freeze"].is_object().then_some(());
    until("both are frozen", frozen).await;
    call(&world.nodes[1], Method::DELETE, "/v1/freeze?author=bob", None).await;
    let thawed = async || status(&world.nodes[0]).await["freeze"].is_null().then_some(());
    until("neither is", thawed).await;

    // A node that was away hears of it when it is back.
    let node = world.nodes.remove(1);
    node.shut_down().await;
    call(&world.nodes[0], Method::DELETE, "/v1/overrides?what=first&author=ann", None).await;
    world.nodes.push(world.files[1].start().await);
    world.all_are("192.0.2.1").await;
    world.end().await;
}
