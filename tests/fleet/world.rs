//! Two nodes, three vantages, two endpoints and an engine.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::Value;
use windrose::agent::Agent;
use windrose::load::{Place, read_server};
use windrose::model::Report;
use windrose::server::Node;

use crate::engine::Engine;
use crate::node::client::{self, A, ask_udp, query};
use crate::node::{Endpoint, Files, RECORDS, SERVER, ZONE, records, until, www, zone};

/// The fleet's key.
pub(crate) const KEY: [u8; 32] = [0x5a; 32];

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) files: Vec<Files>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) vantages: Vec<(Files, Agent)>,
    pub(crate) first: Option<Endpoint>,
    pub(crate) second: Endpoint,
}

/// The files of a member, with the zone that leads to these endpoints.
pub(crate) fn files_of(
    engine: &Engine,
    name: &str,
    first: SocketAddr,
    second: SocketAddr,
) -> Files {
    let fleet = format!(
        "[fleet]\nservers = ['{}']\nname = '{name}'\nkey-file = 'fleet-key'\n",
        engine.url()
    );
    let files = Files::new(&format!("{SERVER}{fleet}"));
    files.write("fleet-key", "5a".repeat(32));
    files.write(RECORDS, records("one"));
    files.write(ZONE, zone("", first, second));
    files
}

pub(crate) async fn start_vantage(files: &Files) -> Agent {
    let place = Place::new(Some(files.path("windrose.toml")));
    let config = read_server(&place, &mut Report::new()).unwrap();
    Agent::start(place, &config).await.unwrap_or_else(|error| panic!("{error}"))
}

impl World {
    pub(crate) async fn new() -> Self {
        let engine = Engine::start().await;
        let (first, second) = (Endpoint::new().await, Endpoint::new().await);
        let of = |name: &str| files_of(&engine, name, first.address, second.address);
        let mut vantages = Vec::new();
        for name in ["fra", "iad", "sin"] {
            let files = of(name);
            let agent = start_vantage(&files).await;
            vantages.push((files, agent));
        }
        let files = vec![of("node-1"), of("node-2")];
        let mut nodes = Vec::new();
        for files in &files {
            nodes.push(files.start().await);
        }
        let world = Self { engine, files, nodes, vantages, first: Some(first), second };
        world.all_are("192.0.2.1").await;
        world.hear_each_other().await;
        world
    }

    /// Waits until both nodes answer so.
    pub(crate) async fn all_are(&self, expected: &str) {
        for node in &self.nodes {
            crate::node::www_becomes(node, expected).await;
        }
    }

    /// Waits until each node hears all three vantages and the other node, and has come to the same.
    pub(crate) async fn hear_each_other(&self) {
        let look = async || {
            let mut states = Vec::new();
            for node in &self.nodes {
                let fleet = status(node).await["fleet"].clone();
                let all = fleet["vantages"].as_array().unwrap();
                let fresh = all.iter().filter(|one| one["state"] == "fresh").count();
                if fresh < 5 {
                    return None;
                }
                states.push(fleet["state"].clone());
            }
            (states[0] == states[1]).then_some(())
        };
        until("all hear each other and come to the same", look).await;
    }

    /// Waits until all nodes say so of their link.
    pub(crate) async fn links_are(&self, link: &str) {
        for node in &self.nodes {
            let look = async || (status(node).await["fleet"]["link"] == link).then_some(());
            until(&format!("the link is {link}"), look).await;
        }
    }

    /// Kills the first endpoint; where it was.
    pub(crate) async fn kill_first(&mut self) -> SocketAddr {
        self.first.take().unwrap().kill().await
    }

    /// What both nodes answer to clients all over the world, octet by octet.
    pub(crate) async fn answers(&self) -> Vec<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for node in &self.nodes {
            let mut own = Vec::new();
            for (name, qtype) in [("www.example.com", A), ("version.example.com", client::TXT)] {
                for id in 0..20 {
                    own.push(ask_udp(node.addresses.dns[0], &query(id, name, qtype)).await.0);
                }
            }
            all.push(own);
        }
        all
    }

    pub(crate) async fn end(self) {
        for node in self.nodes {
            node.shut_down().await;
        }
        for (_files, vantage) in self.vantages {
            vantage.stop().await;
        }
    }
}

pub(crate) async fn status(node: &Node) -> Value {
    call(node, Method::GET, "/v1/status", None).await
}

/// The verdict of the target that endpoint `name` asks for.
pub(crate) async fn verdict(node: &Node, name: &str) -> Value {
    let status = status(node).await;
    let targets = status["targets"].as_array().unwrap().clone();
    let is_it = |target: &&Value| target["endpoints"][0].as_str().unwrap().ends_with(name);
    targets.iter().find(is_it).unwrap().clone()
}

pub(crate) async fn call(node: &Node, how: Method, path: &str, body: Option<Value>) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(how, format!("http://{}{path}", node.addresses.admin[0]));
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap().json().await.unwrap()
}

/// `www` of both.
pub(crate) async fn both(world: &World) -> [String; 2] {
    [www(&world.nodes[0]).await, www(&world.nodes[1]).await]
}
