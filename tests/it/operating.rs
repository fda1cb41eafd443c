//! What operators say to a running node: over the admin endpoint, by commands, and through a restart.

use std::ffi::OsStr;
use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use windrose::server::Node;

use super::node::{Endpoint, SERVER, ZONE, served, until, www, www_becomes, zone};

/// Calls the admin endpoint; the status and what it says.
async fn call(node: &Node, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    windrose::probe::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{}{path}", node.addresses.admin[0]);
    let request = client.request(method, url);
    let request = match &body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.expect("the node answers");
    let status = response.status();
    (status, serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default())
}

async fn told(node: &Node, method: Method, path: &str, body: Option<Value>) -> Value {
    let (status, said) = call(node, method, path, body).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    said
}

async fn drain(node: &Node, what: &str) -> Value {
    let body = json!({"what": what, "kind": "drain", "author": "ann", "reason": "new kernel"});
    told(node, Method::POST, "/v1/overrides", Some(body)).await
}

// ---- The admin endpoint ----

#[tokio::test]
async fn a_drain_is_followed_told_and_ended() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.1");
    let said = drain(&node, "first").await;
    assert_eq!(said[0]["what"], "region first");
    assert_eq!(said[0]["probes_say"], "1 up", "what probes say is not lost");
    www_becomes(&node, "192.0.2.2").await;

    let status = told(&node, Method::GET, "/v1/status", None).await;
    let one = &status["overrides"][0];
    assert_eq!((&one["kind"], &one["author"]), (&json!("drain"), &json!("ann")), "{status}");
    assert_eq!((&one["reason"], &one["ends_in_secs"]), (&json!("new kernel"), &Value::Null));
    let path = "/v1/explain?name=www.example.com&client=127.0.0.1";
    let explanation = told(&node, Method::GET, path, None).await;
    let first = &explanation["decision"]["pools"][0];
    assert_eq!(first["overrides"][0], "region first drained by ann: new kernel", "{explanation}");
    assert_eq!(first["endpoints"][0][1], "up but drained", "{explanation}");
    let metrics = reqwest::get(format!("http://{}/metrics", node.addresses.admin[0])).await;
    let metrics = metrics.expect("the node answers").text().await.expect("text");
    assert!(metrics.contains("\nwindrose_overrides{kind=\"drain\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\nwindrose_frozen 0\n"), "{metrics}");

    told(&node, Method::DELETE, "/v1/overrides?what=first&kind=drain&author=bob", None).await;
    www_becomes(&node, "192.0.2.1").await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_word_that_ends_by_itself_does() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let body = json!({"what": "pool:first", "kind": "force-down", "author": "ann", "for_secs": 1});
    told(&node, Method::POST, "/v1/overrides", Some(body)).await;
    www_becomes(&node, "192.0.2.2").await;
    www_becomes(&node, "192.0.2.1").await;
    let report = told(&node, Method::GET, "/v1/overrides", None).await;
    assert_eq!(report["overrides"], json!([]));
    node.shut_down().await;
}

#[tokio::test]
async fn frozen_answers_keep_to_what_was_known_through_reload_and_restart() {
    let (files, first, _second) = served().await;
    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.1");
    told(&node, Method::PUT, "/v1/freeze", Some(json!({"author": "ann"}))).await;
    let address = first.kill().await;
    // The first is known to be down, and answers name it nevertheless.
    let is_down = async || {
        let status = told(&node, Method::GET, "/v1/status", None).await;
        let targets = status["targets"].as_array().expect("a list").clone();
        targets.iter().any(|target| target["verdict"] == "down").then_some(())
    };
    until("the first is down", is_down).await;
    node.controls.reload("a test").await.expect("the files are sound");
    assert_eq!(www(&node).await, "192.0.2.1");
    node.shut_down().await;

    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.1", "it was frozen before the restart");
    drain(&node, "first").await;
    www_becomes(&node, "192.0.2.2").await;
    told(&node, Method::DELETE, "/v1/overrides?what=first&author=ann", None).await;
    www_becomes(&node, "192.0.2.1").await;
    told(&node, Method::DELETE, "/v1/freeze?author=ann", None).await;
    www_becomes(&node, "192.0.2.2").await;
    let _first = Endpoint::at(address).await;
    www_becomes(&node, "192.0.2.1").await;
    let (status, said) = call(&node, Method::DELETE, "/v1/freeze?author=ann", None).await;
    assert_eq!(
        (status, &said["error"]),
        (StatusCode::BAD_REQUEST, &json!("answers are not frozen"))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn overrides_and_pools_that_wait_survive_a_restart() {
    let (files, first, second) = served().await;
    let manual = zone("", first.address, second.address) + "failback = \"manual\"\n";
    files.write(ZONE, manual);
    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.1");
    let address = first.kill().await;
    www_becomes(&node, "192.0.2.2").await;
    let _first = Endpoint::at(address).await;
    let waits = async |node: &Node| {
        let report = told(node, Method::GET, "/v1/overrides", None).await;
        let waiting = report["waiting"][0].clone();
        (waiting["pool"] == "first").then_some(())
    };
    until("the first waits", async || waits(&node).await).await;
    node.shut_down().await;

    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.2", "it waits still");
    assert!(waits(&node).await.is_some());
    let release = |pool: &str| Some(json!({"pool": pool, "author": "ann"}));
    let (_, said) = call(&node, Method::POST, "/v1/release", release("second")).await;
    assert_eq!(said["error"], "pool second of example.com. does not wait to fail back");
    told(&node, Method::POST, "/v1/release", release("first")).await;
    www_becomes(&node, "192.0.2.1").await;
    drain(&node, "first/first").await;
    www_becomes(&node, "192.0.2.2").await;
    node.shut_down().await;

    let node = files.start().await;
    assert_eq!(www(&node).await, "192.0.2.2", "it is drained still");
    told(&node, Method::DELETE, "/v1/overrides?what=first&author=ann", None).await;
    www_becomes(&node, "192.0.2.1").await;
    node.shut_down().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let cases = [
        (json!({"what": "frist", "kind": "drain", "author": "ann"}), "did you mean `first`?"),
        (json!({"what": "first/x", "kind": "drain", "author": "ann"}), "is no region, pool or"),
        (
            json!({"what": "first", "zone": "exmple.com", "kind": "drain", "author": "ann"}),
            "no zone here is `exmple.com.`; did you mean `example.com.`?",
        ),
        (json!({"what": "first", "kind": "drian", "author": "ann"}), "known are drain, force-up"),
        (json!({"what": "first", "kind": "drain", "author": " "}), "an author is wanted"),
        (json!({"what": "first", "kind": "drain", "author": "a\nb"}), "on one line"),
        (
            json!({"what": "first", "kind": "drain", "author": "ann", "for_secs": 0}),
            "may last from a second",
        ),
    ];
    for (body, words) in cases {
        let (status, said) = call(&node, Method::POST, "/v1/overrides", Some(body)).await;
        let said = said["error"].as_str().unwrap_or_default().to_owned();
        assert!(status == StatusCode::BAD_REQUEST && said.contains(words), "{status} {said}");
    }
    let path = "/v1/overrides?what=first&author=ann";
    let (_, said) = call(&node, Method::DELETE, path, None).await;
    assert_eq!(said["error"], "nothing is said of `first`; something is of nothing");
    drain(&node, "first").await;
    let (_, said) = call(&node, Method::DELETE, &format!("{path}&kind=force-up"), None).await;
    let words = "region first is not forced up, but drained by ann: new kernel";
    assert_eq!(said["error"], words);
    node.shut_down().await;
}

/// A page in a browser of this machine may lead its own name here, and other machines have no tokens.
#[tokio::test]
async fn strangers_may_look_and_change_nothing() {
    let (files, _first, _second) = served().await;
    let server = SERVER.replace(
        "[admin]\nlisten = [\"127.0.0.1:0\"]",
        "[admin]\nlisten = [\"127.0.0.1:0\", \"0.0.0.0:0\"]",
    );
    files.write("windrose.toml", format!("version = 1\n{server}"));
    let node = files.start().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let body = json!({"what": "first", "kind": "drain", "author": "ann"});
    let ports = [
        (node.addresses.admin[0].port(), "evil.test:5380"),
        (node.addresses.admin[1].port(), "127.0.0.1"),
    ];
    for (port, host) in ports {
        let url = format!("http://127.0.0.1:{port}/v1/overrides");
        let looked = client.get(&url).send().await.expect("the node answers");
        assert_eq!(looked.status(), StatusCode::OK);
        let refused = client.post(&url).header("host", host).json(&body).send().await;
        assert_eq!(refused.expect("the node answers").status(), StatusCode::FORBIDDEN, "{host}");
    }
    assert_eq!(www(&node).await, "192.0.2.1");
    node.shut_down().await;
}

// ---- Commands ----

/// Runs `windrose` for a node; exit code, stdout and stderr.
async fn windrose<S: AsRef<OsStr>>(
    node: &Node,
    arguments: impl IntoIterator<Item = S>,
) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windrose"));
    command.args(arguments).args(["--server", &node.addresses.admin[0].to_string()]);
    command.env("WINDROSE_AUTHOR", "ann").env_remove("WINDROSE_CONFIG").env("NO_COLOR", "1");
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn an_operator_goes_through_a_day_by_commands() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let ok = async |line: &str| {
        let (code, out, err) = windrose(&node, line.split(' ')).await;
        assert_eq!((code, &*err), (0, ""), "{line}: {out}");
        out
    };
    let failed = async |line: &str, expected: i32| {
        let (code, out, err) = windrose(&node, line.split(' ')).await;
        assert_eq!((code, &*out), (expected, ""), "{line}: {err}");
        err
    };
    assert_eq!(
        ok("drain first --for 30m --reason patching").await,
        "region first of example.com. is drained by ann, for 30m: patching (probes say 1 up)\n"
    );
    www_becomes(&node, "192.0.2.2").await;
    let status = ok("status").await;
    assert!(status.contains("drain     region first  example.com.  1 up"), "{status}");
    assert!(status.contains("patching"), "{status}");
    let said = failed("override frist up", 1).await;
    assert_eq!(
        said,
        "error: `frist` is no region, pool or endpoint of any zone; did you mean `first`?\n"
            .replace("any zone", "example.com.")
    );
    let said = failed("undrain second", 1).await;
    assert!(said.contains("something is of region first of example.com."), "{said}");
    assert_eq!(
        ok("undrain first").await,
        "region first of example.com. is no longer drained (probes say 1 up)\n"
    );
    www_becomes(&node, "192.0.2.1").await;
    ok("override first/first down").await;
    www_becomes(&node, "192.0.2.2").await;
    assert_eq!(
        ok("override first/first clear").await,
        "endpoint first/first of example.com. is no longer forced down (probes say 1 up)\n"
    );
    assert_eq!(ok("freeze --reason incident").await, "answers are frozen by ann: incident\n");
    assert!(ok("status").await.contains("frozen by ann "));
    assert_eq!(ok("unfreeze").await, "answers follow health again\n");
    assert!(failed("failback first", 1).await.contains("does not wait to fail back"));
    assert!(failed("override first clear --for 1m", 2).await.contains("mean nothing to `clear`"));
    assert!(failed("drain first --for soon", 2).await.contains("soon"));
    let report: Value = serde_json::from_str(&ok("drain second --json").await).expect("JSON");
    assert_eq!(report[0]["what"], "region second");
    node.shut_down().await;
}

// ---- Load ----

/// A zone whose pools are told how busy they are.
const TOLD: &str = "zone = 'told.test'\nnameservers = ['ns1.example.net.']\nttl = '1s'\n\
    [regions.eu]\nlocation = [50, 10]\n\
    [feeds.agents]\nkind = 'push'\nlimit = 100\ninterval = '1s'\n\
    [pools.left]\nregion = 'eu'\nfeed = 'agents'\nendpoints = [{ address = '192.0.2.41' }]\n\
    [pools.right]\nregion = 'eu'\nfeed = 'agents'\nendpoints = [{ address = '192.0.2.42' }]\n\
    [steer.www]\npolicy = 'least-load'\npools = ['left', 'right']\n";

#[tokio::test]
async fn load_that_is_told_moves_weights_and_is_shown() {
    let (files, _first, _second) = served().await;
    files.write("zones/told.test.toml", TOLD);
    let node = files.start().await;
    let tell = async |pool: &str, value: f64| {
        let body = json!({"zone": "told.test", "feed": "agents", "pool": pool, "value": value});
        call(&node, Method::POST, "/v1/load", Some(body)).await
    };
    let (status, said) = tell("lef", 1.0).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(said["error"], "the zone has no pool `lef`");
    let has_moved = async || {
        assert_eq!(tell("left", 90.0).await, (StatusCode::OK, json!({"reports": 1})));
        assert_eq!(tell("right", 10.0).await.0, StatusCode::OK);
        let splits = told(&node, Method::GET, "/v1/load", None).await;
        let left = &splits[0]["parts"][0];
        assert_eq!((&left["name"], &left["load"]), (&json!("left"), &json!(0.9)), "{splits}");
        assert_eq!(left["static_share"], 50.0);
        (left["share"].as_f64().expect("a number") < 45.0).then_some(())
    };
    until("weight has moved", has_moved).await;
    let path = "/v1/explain?name=www.told.test&client=127.0.0.1";
    let explanation = told(&node, Method::GET, path, None).await;
    let share = explanation["decision"]["shares"][0].clone();
    assert_eq!(share[0], "left/192.0.2.41", "{explanation}");
    assert!(share[1].as_f64().expect("a number") < 45.0, "{explanation}");
    node.shut_down().await;

    let node = files.start().await;
    let splits = told(&node, Method::GET, "/v1/load", None).await;
    let share = splits[0]["parts"][0]["share"].as_f64().expect("a number");
    assert!(share < 45.0, "a restart forgets nothing: {splits}");
    node.shut_down().await;
}
