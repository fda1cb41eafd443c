//! A node on real sockets: what is asked over UDP and TCP, and who is let in.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use windrose::admin::StatusReport;
use windrose::snapshot::explain::Explanation;

use super::node::client::{
    A, AAAA, TXT, ask, ask_on, ask_tcp, ask_udp, framed, next_reply, query, said,
};
use super::node::{Endpoint, Files, records, zone};

const SERVER: &str = r#"
[dns]
listen = ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"]
threads = 2
tcp-connections = 2
tcp-idle-timeout = "1s"
[admin]
listen = ["127.0.0.1:0"]
"#;

/// Files with the zone, and the endpoints that it names.
async fn served() -> (Files, Endpoint, Endpoint) {
    let files = Files::new(SERVER);
    let (first, second) = (Endpoint::new().await, Endpoint::new().await);
    files.write("zones/example.com.zone", records("one"));
    files.write("zones/example.com.toml", zone("", first.address, second.address));
    (files, first, second)
}

#[tokio::test]
async fn udp_and_tcp_answer_the_same_on_both_families() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let questions = [
        ("www.example.com", A, "192.0.2.1"),
        ("www.example.com", AAAA, "2001:db8::1"),
        ("version.example.com", TXT, "one"),
        ("nothing.example.com", A, "Non-Existent Domain"),
        ("elsewhere.test", A, "Query Refused"),
    ];
    for (name, qtype, expected) in questions {
        let query = query(7, name, qtype);
        for server in &node.addresses.dns[..2] {
            let (over_udp, from) = ask_udp(*server, &query).await;
            assert_eq!(said(&over_udp), expected, "{name} at {server}");
            assert_eq!(from, *server);
            assert_eq!(ask_tcp(*server, &query).await, over_udp, "{name} at {server}");
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let port = node.addresses.dns[2].port();
    for asked in ["127.0.0.1", "127.0.0.77", "127.3.2.1"] {
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        let (reply, from) = ask_udp(asked, &query(7, "www.example.com", A)).await;
        assert_eq!((said(&reply).as_str(), from), ("192.0.2.1", asked));
    }
    let asked = SocketAddr::new("::1".parse().unwrap(), node.addresses.dns[3].port());
    let (reply, from) = ask_udp(asked, &query(7, "www.example.com", A)).await;
    assert_eq!((said(&reply).as_str(), from), ("192.0.2.1", asked));
    node.shut_down().await;
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let mut stream = TcpStream::connect(node.addresses.dns[0]).await.unwrap();
    let queries: Vec<u8> =
        (0..100).flat_map(|id| framed(&query(id, "www.example.com", A))).collect();
    stream.write_all(&queries).await.unwrap();
    for id in 0..100_u16 {
        let reply = next_reply(&mut stream).await.unwrap();
        assert_eq!(reply[..2], id.to_be_bytes());
        assert_eq!(said(&reply), "192.0.2.1");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_client_that_pipelines_without_reading_gets_all_its_answers_later() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let mut stream = TcpStream::connect(node.addresses.dns[0]).await.unwrap();
    // More than one write of replies holds.
    let count = 3000_u16;
    let queries: Vec<u8> =
        (0..count).flat_map(|id| framed(&query(id, "www.example.com", A))).collect();
    stream.write_all(&queries).await.unwrap();
    for id in 0..count {
        assert_eq!(next_reply(&mut stream).await.unwrap()[..2], id.to_be_bytes());
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_query_may_come_octet_by_octet() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let mut stream = TcpStream::connect(node.addresses.dns[0]).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for octet in framed(&query(7, "www.example.com", A)) {
        stream.write_all(&[octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(said(&next_reply(&mut stream).await.unwrap()), "192.0.2.1");
    node.shut_down().await;
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    // The one says nothing, the other half a query.
    let mut silent = TcpStream::connect(node.addresses.dns[0]).await.unwrap();
    let mut halting = TcpStream::connect(node.addresses.dns[0]).await.unwrap();
    halting.write_all(&framed(&query(7, "www.example.com", A))[..9]).await.unwrap();
    assert!(next_reply(&mut silent).await.is_err());
    assert!(next_reply(&mut halting).await.is_err());
    node.shut_down().await;
}

#[tokio::test]
async fn the_connection_that_was_silent_longest_gives_way_to_a_new_one() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let server = node.addresses.dns[0];
    let query = query(7, "www.example.com", A);
    let mut first = TcpStream::connect(server).await.unwrap();
    let mut second = TcpStream::connect(server).await.unwrap();
    ask_on(&mut first, &query).await.unwrap();
    ask_on(&mut second, &query).await.unwrap();
    ask_on(&mut first, &query).await.unwrap();
    // Two are as many as may be, over all listeners.
    assert_eq!(said(&ask_tcp(node.addresses.dns[1], &query).await), "192.0.2.1");
    assert!(next_reply(&mut second).await.is_err(), "silent for longer than the first");
    assert_eq!(said(&ask_on(&mut first, &query).await.unwrap()), "192.0.2.1");
    node.shut_down().await;
}

#[tokio::test]
async fn the_admin_endpoint_tells_what_the_node_knows() {
    let (files, _first, second) = served().await;
    let second = second.kill().await;
    let node = files.start().await;
    let base = format!("http://{}", node.addresses.admin[0]);
    windrose::probe::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| client.get(format!("{base}{path}")).send().await.unwrap();

    let status: StatusReport = get("/v1/status").await.json().await.unwrap();
    let targets: Vec<_> =
        status.targets.iter().map(|t| (t.endpoints.join(" "), t.verdict.as_str())).collect();
    assert_eq!(status.zones, ["example.com."]);
    assert_eq!(
        targets,
        [
            ("example.com. first/first".to_owned(), "up"),
            ("example.com. second/second".to_owned(), "down"),
        ],
        "{second} is dead"
    );

    let path = "/v1/explain?name=www.example.com&client=127.0.0.1&down=first";
    let explanation: Explanation = get(path).await.json().await.unwrap();
    assert_eq!(explanation.found, "steered");
    let decision = explanation.decision.unwrap();
    assert!(decision.why.contains("as-up") || !decision.endpoints.is_empty(), "{decision:?}");
    let refused = get("/v1/explain?name=www.example.com&client=nobody").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("client `nobody` is"));

    ask(node.addresses.dns[0], "www.example.com", A).await;
    let metrics = get("/metrics").await.text().await.unwrap();
    let answers = metrics.lines().filter(|line| line.starts_with("windrose_answers_total{"));
    let values = answers.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(values.sum::<u64>(), 1, "{metrics}");
    node.shut_down().await;
}

/// The threads look up between batches: clients that go on asking do not keep a node from ending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_while_it_is_asked() {
    let (files, _first, _second) = served().await;
    let node = files.start().await;
    let server = node.addresses.dns[0];
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel();
    let asking = std::thread::spawn(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let query = query(7, "www.example.com", A);
        let mut began = Some(began);
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            // Refused once the node is gone, which is what is waited for.
            let _ = socket.send_to(&query, server);
            if let Some(began) = began.take() {
                socket.recv(&mut [0; 512]).unwrap();
                began.send(()).unwrap();
            }
        }
    });
    begun.await.unwrap();
    let ended = tokio::time::timeout(super::node::PATIENCE, node.shut_down()).await;
    drop(stop);
    asking.join().unwrap();
    assert!(ended.is_ok());
    assert!(std::net::UdpSocket::bind(server).is_ok(), "all its threads have let go of the port");
}
