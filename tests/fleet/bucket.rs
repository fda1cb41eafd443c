//! Who makes the bucket in which the engine keeps what lasts.

use async_nats::Subscriber;
use futures_util::StreamExt;
use windrose::fleet::Settings;
use windrose::load::{Place, read_server};
use windrose::model::Report;

use crate::engine::Engine;
use crate::node::Endpoint;
use crate::world::{files_of, start_vantage};

/// What is asked of JetStream next about the stream below the bucket.
async fn next(asked: &mut Subscriber) -> String {
    let subject = asked.next().await.unwrap().subject;
    subject.trim_start_matches("$JS.API.").to_owned()
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
    let place = Place::new(Some(vantage.path("windrose.toml")));
    let config = read_server(&place, &mut Report::new()).unwrap();
    let settings = Settings::read(&place, &config, false).unwrap().unwrap();
    settings.broker.visit().await.unwrap();
    while next(&mut asked).await != "STREAM.CREATE.KV_windrose" {}
    // The vantage finds it, and watches.
    while !next(&mut asked).await.starts_with("CONSUMER.CREATE.KV_windrose") {}
    agent.stop().await;
}
