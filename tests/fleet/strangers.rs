//! Who can write on the broker is not thereby one of the fleet.

use std::time::Duration;

use futures_util::StreamExt;
use windrose::clock::Clock;
use windrose::health::fleet::{Keys, Member, Opinion, Quorum, Report, Rules, Vote};
use windrose::model::{Target, TargetId};
use windrose::server::Node;

use crate::node::until;
use crate::world::{KEY, World, both, status};

/// What vantage `name` would say against all targets, by a clock that is off by so much.
fn against_all(key: [u8; 32], name: &str, targets: &[TargetId], ahead: Duration) -> Vec<u8> {
    let clock = Clock::start();
    let (name, group) = (name.to_owned(), name.to_owned());
    let (quorum, location) = (Quorum::Majority, None);
    let rules = Rules { name, group, location, is_node: false, quorum, vantages: 3 };
    let (now, unix) = (clock.now(), clock.unix_now() + ahead);
    let mut member = Member::new(rules, Keys::new(&[key], "windrose"), now, unix);
    let vote = Vote { opinion: Opinion::Down, ..Vote::default() };
    let votes = targets.iter().map(|target| (*target, vote)).collect();
    member.speak(Report { votes, ..Report::default() }, now, unix).unwrap().remove(0)
}

async fn refused(node: &Node) -> u64 {
    status(node).await["fleet"]["refused"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_say_is_not_counted() {
    let world = World::new().await;
    let client = async_nats::connect(world.engine.url()).await.unwrap();
    let mut heard = client.subscribe("windrose.votes.>").await.unwrap();
    let recorded = heard.next().await.unwrap();
    let targets: Vec<Target> = world.nodes[0].current.load().targets().into_iter().collect();
    let ids: Vec<TargetId> = targets.iter().map(Target::id).collect();
    let day = Duration::from_secs(86_400);
    let before = refused(&world.nodes[0]).await;
    let mut said = 0;
    for name in ["fra", "iad", "sin", "new-1", "new-2", "new-3"] {
        // With a key of their own, and with the fleet's, but from tomorrow.
        for frame in
            [against_all([1; 32], name, &ids, Duration::ZERO), against_all(KEY, name, &ids, day)]
        {
            client.publish(format!("windrose.votes.{name}"), frame.into()).await.unwrap();
            said += 1;
        }
    }
    client.publish("windrose.votes.fra", vec![0; 4096].into()).await.unwrap();
    client.flush().await.unwrap();
    let look = async || (refused(&world.nodes[0]).await > before + said).then_some(());
    until("all of it was refused", look).await;
    // What was recorded says nothing new, however often it is said.
    for _ in 0..100 {
        client.publish(recorded.subject.clone(), recorded.payload.clone()).await.unwrap();
    }
    client.flush().await.unwrap();
    assert_eq!(both(&world).await, ["192.0.2.1", "192.0.2.1"]);
    let fleet = status(&world.nodes[0]).await["fleet"].clone();
    assert_eq!(fleet["vantages"].as_array().unwrap().len(), 5, "{fleet}");
    assert_eq!(world.second.address.ip().to_string(), "127.0.0.1");
    world.end().await;
}
