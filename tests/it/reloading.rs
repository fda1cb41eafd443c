//! Files that change under a running node, and what a second start remembers.

use std::fs;
use std::net::SocketAddr;

use windrose::geo::writer::{Value, Writer};
use windrose::server::Node;

use super::node::client::{TXT, ask};
use super::node::{Endpoint, RECORDS, ZONE, records, served, until, www, www_becomes, zone};

async fn version(node: &Node) -> String {
    ask(node.addresses.dns[0], "version.example.com", TXT).await
}

#[tokio::test]
async fn verdicts_survive_a_restart_and_are_then_confirmed() {
    let (files, first, _second) = served().await;
    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.1");
    let address = first.kill().await;
    www_becomes(&node, "192.0.2.2").await;
    node.shut_down().await;

    // The first endpoint is back, but the node does not know it yet: it goes by what it remembers.
    let _first = Endpoint::at(address).await;
    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.2");
    www_becomes(&node, "192.0.2.1").await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_good_change_is_served_and_a_broken_one_is_refused_with_all_its_errors() {
    let (files, first, second) = served().await;
    let node = files.start().await;
    files.write(RECORDS, records("two"));
    let told = node.controls.reload("a test").await;
    assert_eq!(told, Ok("serving 1 zones, 2 targets".to_owned()));
    assert_eq!(version(&node).await, "two");

    let broken = zone("", first.address, second.address)
        .replace("pools = [\"first\"", "pools = [\"frist\"")
        .replace("ttl = \"30s\"", "tll = \"30s\"");
    files.write(ZONE, broken);
    files.write(RECORDS, "version TXT \"three\nother A 192.0.2.300\n");
    let refused = node.controls.reload("a test").await.unwrap_err();
    for part in ["example.com.toml:", "frist", "`first`", "tll", "example.com.zone:", "192.0.2.300"]
    {
        assert!(refused.contains(part), "{part} is missing from\n{refused}");
    }
    assert_eq!(
        (version(&node).await, www(&node).await),
        ("two".to_owned(), "192.0.2.1".to_owned())
    );
    node.shut_down().await;
}

#[tokio::test]
async fn changed_files_are_read_without_being_told() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    files.write(RECORDS, records("two"));
    until("two", async || (version(&node).await == "two").then_some(())).await;
    // A file that is written in place, as editors do.
    fs::write(files.path(RECORDS), records("three")).unwrap();
    until("three", async || (version(&node).await == "three").then_some(())).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_zone_directory_that_is_gone_or_empty_changes_nothing() {
    let (files, first, second) = served().await;
    let node = files.start().await;
    fs::rename(files.path("zones"), files.path("away")).unwrap();
    let refused = node.controls.reload("a test").await.unwrap_err();
    assert!(refused.contains("cannot read the zone directory"), "{refused}");
    fs::create_dir(files.path("zones")).unwrap();
    let refused = node.controls.reload("a test").await.unwrap_err();
    assert!(refused.contains("there are no zone files"), "{refused}");
    assert_eq!(www(&node).await, "192.0.2.1");

    // The directory is another one now; it is watched all the same.
    files.write(RECORDS, records("two"));
    files.write(ZONE, zone("", first.address, second.address));
    until("two", async || (version(&node).await == "two").then_some(())).await;
    files.write(RECORDS, records("three"));
    until("three", async || (version(&node).await == "three").then_some(())).await;
    node.shut_down().await;
}

/// A check that is edited makes new targets. They are looked at before they are served, so that an
/// endpoint that is known to be dead does not count as up for that long.
#[tokio::test]
async fn a_dead_endpoint_stays_out_of_answers_when_its_check_is_edited() {
    let (files, first, second) = served().await;
    let dead = first.kill().await;
    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.2");
    let edited = zone("", dead, second.address).replace("\"200ms\"", "\"1s\"");
    files.write(ZONE, edited);
    node.controls.reload("a test").await.unwrap();
    assert_eq!(www(&node).await, "192.0.2.2");
    node.shut_down().await;
}

fn database(country: &str) -> Vec<u8> {
    let mut writer = Writer::v6("Test-Country");
    let record = Value::from([("country", Value::from([("iso_code", Value::from(country))]))]);
    writer.insert("127.0.0.0/8".parse().expect("a prefix"), &record);
    writer.finish()
}

/// Clients from Norway go to the second pool, all others to the first.
fn norwegian_zone(first: SocketAddr, second: SocketAddr) -> String {
    let clause = "[[steer.www.where]]\ncountry = [\"NO\"]\npools = [\"second\", \"first\"]\n";
    zone("", first, second) + clause
}

#[tokio::test]
async fn a_torn_or_missing_database_leaves_the_old_one_in_its_place() {
    let (files, first, second) = served().await;
    files.write(ZONE, norwegian_zone(first.address, second.address));
    files.write("geoip/own.mmdb", database("NO"));
    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.2");

    let whole = database("SE");
    files.write("geoip/own.mmdb", &whole[..whole.len() / 2]);
    files.write(RECORDS, records("two"));
    node.controls.reload("a test").await.unwrap();
    assert_eq!(
        (version(&node).await, www(&node).await),
        ("two".to_owned(), "192.0.2.2".to_owned())
    );

    fs::remove_dir_all(files.path("geoip")).unwrap();
    node.controls.reload("a test").await.unwrap();
    assert_eq!(www(&node).await, "192.0.2.2");

    files.write("geoip/own.mmdb", whole);
    node.controls.reload("a test").await.unwrap();
    assert_eq!(www(&node).await, "192.0.2.1");
    node.shut_down().await;
}
