//! Endpoints that report by themselves, to a running node.

use reqwest::StatusCode;
use serde_json::{Value, json};
use windrose::server::Node;

use super::node::{Files, SERVER, ZONE, until, www_becomes};

const TOKEN: &str = "0123456789abcdef";

/// `www` leads to 192.0.2.1, which needs no token, as long as that reports; else to 192.0.2.2, which does.
const WORKERS: &str = "zone = 'example.com'\nnameservers = ['ns1.example.net.']\nregions.eu.location = 'IE'\n\
    checks.near = { kind = 'heartbeat', period = '1s' }\n\
    checks.far = { kind = 'heartbeat', period = '1h', token = '0123456789abcdef' }\n\
    pools.near = { region = 'eu', check = 'near', endpoints = [{ name = 'n', address = ['192.0.2.1', '2001:db8::1'] }] }\n\
    pools.far = { region = 'eu', check = 'far', endpoints = [{ name = 'f', address = '192.0.2.2' }] }\n\
    steer.www = { policy = 'failover', pools = ['near', 'far'] }\n";

/// Reports to the node's admin endpoint of that number; the status and what is said.
async fn report(
    node: &Node,
    listener: usize,
    (pool, endpoint): (&str, &str),
    token: Option<&str>,
) -> (StatusCode, Value) {
    windrose::probe::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let port = node.addresses.admin[listener].port();
    let body = json!({"zone": "example.com", "pool": pool, "endpoint": endpoint});
    let request = client.post(format!("http://127.0.0.1:{port}/v1/heartbeat")).json(&body);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let response = request.send().await.expect("the node answers");
    let status = response.status();
    (status, serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default())
}

async fn target(node: &Node, pool: &str) -> Value {
    let url = format!("http://{}/v1/status", node.addresses.admin[0]);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let status: Value = client.get(url).send().await.expect("status").json().await.expect("JSON");
    let targets = status["targets"].as_array().expect("targets");
    let is_meant =
        |target: &&Value| target["endpoints"][0].as_str().is_some_and(|e| e.contains(pool));
    targets.iter().find(is_meant).expect("a target").clone()
}

#[tokio::test]
async fn an_endpoint_is_up_for_as_long_as_it_reports() {
    let files = Files::new(SERVER);
    files.write(ZONE, WORKERS);
    let node = files.start().await;
    let first = target(&node, "near/n").await;
    assert_eq!(
        (&first["verdict"], &first["last"]),
        (&"unknown".into(), &"not probed: no report yet".into())
    );
    assert_eq!(
        report(&node, 0, ("far", "f"), Some(TOKEN)).await,
        (StatusCode::OK, json!({"targets": 1}))
    );
    assert_eq!(
        report(&node, 0, ("near", "n"), None).await,
        (StatusCode::OK, json!({"targets": 2}))
    );
    until("near has reported", async || {
        let near = target(&node, "near/n").await;
        (near["verdict"] == "up" && near["last"] == "reported").then_some(())
    })
    .await;
    // Nobody reports again.
    www_becomes(&node, "192.0.2.2").await;
    assert_eq!(target(&node, "near/n").await["last"], "no report within the period");
    report(&node, 0, ("near", "n"), None).await;
    www_becomes(&node, "192.0.2.1").await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_report_needs_the_token_of_its_check_or_to_come_from_here() {
    let files = Files::new(&SERVER.replace(
        "[admin]\nlisten = [\"127.0.0.1:0\"]",
        "[admin]\nlisten = [\"127.0.0.1:0\", \"0.0.0.0:0\"]",
    ));
    files.write(ZONE, WORKERS);
    let node = files.start().await;
    for (listener, of, token, expected) in [
        (0, ("near", "n"), None, StatusCode::OK),
        (1, ("near", "n"), None, StatusCode::FORBIDDEN),
        (1, ("near", "n"), Some(TOKEN), StatusCode::FORBIDDEN),
        (1, ("far", "f"), Some(TOKEN), StatusCode::OK),
        (1, ("far", "f"), Some("0123456789abcdee"), StatusCode::FORBIDDEN),
        (0, ("far", "f"), None, StatusCode::FORBIDDEN),
        (0, ("far", "n"), Some(TOKEN), StatusCode::BAD_REQUEST),
    ] {
        let (status, said) = report(&node, listener, of, token).await;
        assert_eq!(status, expected, "{listener} {of:?} {token:?}: {said}");
    }
    node.shut_down().await;
}
