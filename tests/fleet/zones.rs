//! Zone files that are pushed, refused, rolled back, and given back to an engine that has lost them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use windrose::server::Node;

use crate::node::client::{TXT, ask};
use crate::node::{RECORDS, ZONE, records, until, zone};
use crate::world::{World, status};

/// Runs `windrose` with the server file of the first node; exit code and what it says.
async fn windrose(world: &World, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windrose"));
    command.arg("--config").arg(world.files[0].path("windrose.toml")).args(arguments);
    command.env("WINDROSE_AUTHOR", "ann").env("NO_COLOR", "1");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// Pushes the one zone `apex`, and waits until all nodes have it and no other.
pub(crate) async fn push_alone(world: &World, apex: &str, text: &str) {
    let directory = world.files[0].path("pushed");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{apex}.toml")), text).unwrap();
    let (code, said) = windrose(world, &["push", &directory.display().to_string(), "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    for node in &world.nodes {
        let has_it =
            async || (status(node).await["zones"] == json!([format!("{apex}.")])).then_some(());
        until("the zone is there", has_it).await;
    }
}

async fn version_of(node: &Node) -> String {
    ask(node.addresses.dns[0], "version.example.com", TXT).await
}

async fn versions_are(world: &World, expected: &str) {
    for node in &world.nodes {
        let look = async || version_of(node).await.contains(expected).then_some(());
        until(&format!("version is {expected}"), look).await;
    }
}

fn write(directory: &Path, text: &str, world: &World) {
    fs::create_dir_all(directory).unwrap();
    let first = world.first.as_ref().unwrap().address;
    let zone = zone("", first, world.second.address);
    fs::write(directory.join(RECORDS.trim_start_matches("zones/")), records(text)).unwrap();
    fs::write(directory.join(ZONE.trim_start_matches("zones/")), zone).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn zone_files_go_to_all_nodes_and_back() {
    let mut world = World::new().await;
    let directory = world.files[0].path("pushed");
    let path = directory.display().to_string();
    write(&directory, "two", &world);
    let (code, said) = windrose(&world, &["push", &path, "--dry-run"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("nothing is published; this would be version 1"), "{said}");
    let (code, said) = windrose(&world, &["push", &path]).await;
    assert_eq!(code, 2, "nobody can be asked: {said}");
    let (code, said) = windrose(&world, &["push", &path, "--yes", "--reason", "first"]).await;
    assert_eq!(code, 0, "{said}");
    versions_are(&world, "two").await;

    write(&directory, "three", &world);
    let (code, said) = windrose(&world, &["push", &path, "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("changed  example.com.zone"), "{said}");
    assert!(
        said.contains("1 name may be answered otherwise\n  changed  version.example.com."),
        "{said}"
    );
    versions_are(&world, "three").await;
    let (code, said) = windrose(&world, &["push", &path, "--yes"]).await;
    assert!(code == 0 && said.contains("nothing has changed since version 2"), "{code} {said}");

    // What is wrong is not pushed.
    fs::write(directory.join("broken.test.toml"), "zone = 7").unwrap();
    let (code, said) = windrose(&world, &["push", &path, "--yes"]).await;
    assert!(code == 1 && said.contains("nothing is pushed"), "{code} {said}");

    let (code, said) = windrose(&world, &["push", "--rollback", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("version 3 is published, with the files of version 1"), "{said}");
    versions_are(&world, "two").await;
    let look = async || {
        let fleet = status(&world.nodes[0]).await["fleet"].clone();
        (fleet["zones"] == 3).then_some(())
    };
    until("status tells the version", look).await;

    // An engine that has lost everything gets it back, and nobody goes back with it.
    world.engine.kill();
    world.engine.forget();
    world.engine.restart().await;
    let pulled = world.files[0].path("pulled");
    let look = async || {
        let _ = fs::remove_dir_all(&pulled);
        let (code, _) = windrose(&world, &["pull", &pulled.display().to_string()]).await;
        (code == 0).then_some(())
    };
    until("the engine has them again", look).await;
    let text = fs::read_to_string(pulled.join("example.com.zone")).unwrap();
    assert!(text.contains("two"), "{text}");
    versions_are(&world, "two").await;
    let (code, said) = windrose(&world, &["pull", &pulled.display().to_string()]).await;
    assert!(code == 2 && said.contains("is not empty"), "{code} {said}");

    // A restart serves from its own disk.
    world.engine.kill();
    let node = world.nodes.remove(0);
    node.shut_down().await;
    world.nodes.insert(0, world.files[0].start().await);
    versions_are(&world, "two").await;
    world.end().await;
}
