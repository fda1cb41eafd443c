//! Who makes the bucket in which the engine keeps what lasts.

use std::collections::BTreeMap;

use async_nats::Subscriber;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use windrose::fleet::Settings;
use windrose::fleet::nats::Bucket;
use windrose::load::{Place, read_server};
use windrose::model::Report;

use crate::engine::Engine;
use crate::node::{Endpoint, Files, until};
use crate::world::{World, call, files_of, start_vantage};
use crate::zones::push_alone;

/// What is asked of JetStream next about the stream below the bucket.
async fn next(asked: &mut Subscriber) -> String {
    let subject = asked.next().await.unwrap().subject;
    subject.trim_start_matches("$JS.API.").to_owned()
}

async fn visit(files: &Files) -> Bucket {
    let place = Place::new(Some(files.path("windrose.toml")));
    let config = read_server(&place, &mut Report::new()).unwrap();
    let settings = Settings::read(&place, &config, false).unwrap().unwrap();
    settings.broker.visit().await.unwrap()
}

/// The broker of `deploy/fleet` lets it do nothing else: what is not allowed has no answer, and takes long.
#[tokio::test(flavor = "multi_thread")]
async fn a_vantage_waits_until_somebody_has_made_the_bucket() {
    let engine = Engine::start().await;
    let client = async_nats::connect(engine.url()).await.unwrap();
    let mut asked = client.subscribe("$JS.API.>").await.unwrap();
    client.flush().await.unwrap();
    let (first, second) = (Endpoint::new().await, Endpoint::new().await);

    let vantage = files_of(&engine, "fra", first.address, second.address);
    let agent = start_vantage(&vantage).await;
    for _ in 0..3 {
        assert_eq!(next(&mut asked).await, "STREAM.INFO.KV_windrose");
    }
    // As `push` does.
    visit(&vantage).await;
    while next(&mut asked).await != "STREAM.CREATE.KV_windrose" {}
    // The vantage finds it, and watches.
    while !next(&mut asked).await.starts_with("CONSUMER.CREATE.KV_windrose") {}
    agent.stop().await;
}

/// No connection ends by that.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_bucket_in_the_place_of_the_bucket_gets_back_what_nodes_know() {
    let world = World::new().await;
    let bucket = visit(&world.files[0]).await;
    let entries = async || {
        let mut entries = BTreeMap::new();
        for key in bucket.keys().await.ok()? {
            entries.insert(key.clone(), bucket.get(&key).await.ok()??);
        }
        Some(entries)
    };
    let zone = |apex: &str| format!("zone = '{apex}'\nnameservers = ['ns1.example.net.']\n");
    push_alone(&world, "first.test", &zone("first.test")).await;
    let older = entries().await.unwrap();
    push_alone(&world, "first.test", &(zone("first.test") + "ttl = '7s'\n")).await;
    let freeze = json!({"author": "ann", "reason": "incident"});
    call(&world.nodes[0], Method::PUT, "/v1/freeze", Some(freeze)).await;
    // A head, a piece and a word.
    let have_all = async || entries().await.filter(|entries| entries.len() == older.len() + 3);
    let newest = until("the engine has them", have_all).await;

    let client = async_nats::connect(world.engine.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("KV_windrose").await.unwrap();
    let again = visit(&world.files[0]).await;
    for (key, value) in older {
        again.put(&key, value).await.unwrap();
    }
    until("all is there again", async || (entries().await? == newest).then_some(())).await;
    world.end().await;
}
