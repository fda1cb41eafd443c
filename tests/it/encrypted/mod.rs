//! A node that answers over TLS, HTTPS and QUIC: the same as over TCP, whoever asks and however.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod client;

use std::net::SocketAddr;
use std::process::Command;

use hickory_proto::op::{Message, ResponseCode};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windrose::load::{Place, read_server};
use windrose::model::Report;
use windrose::server::Node;

use self::client::{Client, NAME, ask_quic_on};
use super::node::client::{
    A, AAAA, TXT, ask_on, ask_tcp, ask_udp, framed, next_reply, query, said,
};
use super::node::{Files, until};

const SERVER: &str = r#"
[dns]
listen = ["127.0.0.1:0"]
threads = 1
server-id = "here"
[dns.tls]
listen = ["127.0.0.1:0"]
certificate = "cert.pem"
key = "key.pem"
[dns.https]
listen = ["127.0.0.1:0"]
certificate = "cert.pem"
key = "key.pem"
[dns.quic]
listen = ["127.0.0.1:0"]
certificate = "cert.pem"
key = "key.pem"
[admin]
listen = ["127.0.0.1:0"]
[probe]
enabled = false
"#;

const ZONE: &str = r#"
zone = "example.com"
nameservers = ["ns1.example.net."]
records = "example.com.zone"
[checks.tcp]
kind = "tcp"
port = 80
[regions.near]
location = [1, 1]
[regions.far]
location = [2, 2]
[pools.near]
region = "near"
check = "tcp"
endpoints = [{ name = "near", address = ["192.0.2.1", "2001:db8::1"] }]
[pools.far]
region = "far"
check = "tcp"
endpoints = [{ name = "far", address = ["192.0.2.2", "2001:db8::2"] }]
[steer.www]
policy = "failover"
pools = ["near", "far"]
[[steer.www.where]]
subnet = ["198.51.100.0/24", "2001:db8:5::/48"]
pools = ["far"]
"#;

/// Records of every form: names in their data or none, types that few know, one that is empty.
const RECORDS: &str = r#"
$TTL 1h
@       MX    10 mail
@       MX    20 Mail.Example.NET.
mail    A     192.0.2.25
mail    AAAA  2001:db8::25
alias   CNAME www
old     DNAME new
sub     NS    ns.sub
sub     NS    ns.elsewhere.test.
ns.sub  A     192.0.2.53
*.wild  TXT   "a" "" "b"
caa     CAA   0 issue "ca.example.net"
srv     SRV   1 2 443 mail
https   HTTPS 1 . alpn=h2,h3
ptr     PTR   Some.Host.example.com.
minfo   MINFO box errors
odd     CSYNC \# 6 00000001ffff
none    TYPE65400 \# 0
"#;

const CSYNC: u16 = 62;
const MINFO: u16 = 14;
const NONE: u16 = 65400;

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([NAME.to_owned()]).unwrap()
}

fn write(files: &Files, certified: &CertifiedKey<KeyPair>) {
    files.write("key.pem", certified.signing_key.serialize_pem());
    files.write("cert.pem", certified.cert.pem());
}

/// A node with all transports, and who trusts it.
async fn served() -> (Files, Node, Client) {
    let files = Files::new(SERVER);
    let certified = certificate();
    write(&files, &certified);
    files.write("zones/example.com.zone", RECORDS);
    files.write("zones/example.com.toml", ZONE);
    let node = files.start().await;
    (files, node, Client::trusting(certified.cert.der()))
}

fn at(node: &Node, transport: &str) -> SocketAddr {
    let mut all = node.addresses.encrypted.iter();
    all.find(|(word, _)| *word == transport).unwrap().1
}

/// The query with an OPT record that has these options.
fn with_options(mut query: Vec<u8>, options: &[u8]) -> Vec<u8> {
    query[11] = 1;
    query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0]);
    query.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
    query.extend(options);
    query
}

const SUBNET_V4: &[u8] = &[0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100];
const SUBNET_V6: &[u8] = &[0, 8, 0, 11, 0, 2, 56, 0, 0x20, 1, 0x0d, 0xb8, 0, 5, 0];
const SUBNET_NONE: &[u8] = &[0, 8, 0, 4, 0, 1, 0, 0];
const NSID: &[u8] = &[0, 3, 0, 0];

/// The scope of the client subnet that ends a reply of ours, when there is one.
fn scope(reply: &[u8]) -> Option<u8> {
    let option = [&[0, 8, 0, 7, 0, 1, 24][..], &[0, 8, 0, 11, 0, 2, 56]];
    let at = option.iter().find_map(|head| reply.windows(7).position(|seven| seven == *head))?;
    Some(reply[at + 7])
}

#[tokio::test]
async fn every_transport_says_what_tcp_says() {
    let (_files, node, client) = served().await;
    let name = |qtype, name: &str| query(0, &format!("{name}.example.com"), qtype);
    let queries = [
        name(A, "www"),
        with_options(name(A, "www"), SUBNET_V4),
        with_options(name(AAAA, "WwW"), SUBNET_V6),
        with_options(name(A, "www"), SUBNET_NONE),
        with_options(name(A, "www"), &[NSID, SUBNET_V4].concat()),
        with_options(name(A, "alias"), SUBNET_V4),
        with_options(name(TXT, "www"), SUBNET_V4),
        with_options(name(A, "nothing"), SUBNET_V4),
        name(A, "x.old"),
        name(A, "x.SUB"),
        name(TXT, "x.y.wild"),
        name(257, "caa"),
        name(33, "srv"),
        name(65, "https"),
        name(12, "ptr"),
        name(255, "mail"),
        query(0, "example.com", 15),
        query(0, "example.com", 6),
        query(0, "example.com", 2),
        query(0, "example.com", 252),
        with_options(query(0, "elsewhere.test", A), &[]),
    ];
    let quic = client.connect_quic(at(&node, "quic")).await;
    let mut tls = client.connect_tls(at(&node, "tls")).await.unwrap();
    for query in queries {
        let expected = ask_tcp(node.addresses.dns[0], &query).await;
        let (over_udp, _) = ask_udp(node.addresses.dns[0], &query).await;
        assert_eq!(over_udp, expected, "short enough for UDP");
        let over_tls = ask_on(&mut tls, &query).await.unwrap();
        let over_https = client.post(at(&node, "https"), "/dns-query", &query).await.unwrap();
        let over_quic = ask_quic_on(&quic.1, &query).await;
        let message = Message::from_vec(&expected).unwrap();
        for reply in [&over_tls, &over_https, &over_quic[2..]] {
            assert_eq!(Message::from_vec(reply).unwrap(), message);
            assert_eq!(scope(reply), scope(&expected), "{message}");
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn the_scope_of_a_steered_answer_arrives() {
    let (_files, node, client) = served().await;
    let query = with_options(query(7, "www.example.com", A), SUBNET_V4);
    let reply = client.ask_tls(at(&node, "tls"), &query).await;
    assert_eq!((said(&reply).as_str(), scope(&reply)), ("192.0.2.2", Some(24)));
    node.shut_down().await;
}

#[tokio::test]
async fn records_that_hickory_does_not_know_arrive_octet_for_octet() {
    let (_files, node, client) = served().await;
    let data: [(_, _, &[u8]); 3] = [
        ("odd", CSYNC, &[0, 0, 0, 1, 0xff, 0xff]),
        ("none", NONE, &[]),
        // The names in it are pointers over TCP and may not be elsewhere.
        ("minfo", MINFO, b"\x03box\x07example\x03com\x00\x06errors\x07example\x03com\x00"),
    ];
    for (name, qtype, rdata) in data {
        let query = query(7, &format!("{name}.example.com"), qtype);
        let reply = client.ask_tls(at(&node, "tls"), &query).await;
        assert_eq!(reply[4..12], [0, 1, 0, 1, 0, 0, 0, 0], "{name}: one question, one answer");
        let len = u16::try_from(rdata.len()).unwrap().to_be_bytes();
        let end = [&qtype.to_be_bytes(), &[0, 1, 0, 0, 14, 16][..], &len, rdata].concat();
        assert!(reply.ends_with(&end), "{name}: {reply:?}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_reply_that_is_too_long_for_udp_is_whole_over_tls() {
    let (files, node, client) = served().await;
    let long: String =
        (0..200).map(|n| format!("long TXT \"{n} {}\"\n", "x".repeat(200))).collect();
    files.write("zones/example.com.zone", format!("$TTL 1h\n{long}"));
    node.controls.reload("a test").await.unwrap();
    let query = query(7, "long.example.com", TXT);
    let (over_udp, _) = ask_udp(node.addresses.dns[0], &query).await;
    assert!(Message::from_vec(&over_udp).unwrap().metadata.truncation);
    let message = Message::from_vec(&client.ask_tls(at(&node, "tls"), &query).await).unwrap();
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 200);
    node.shut_down().await;
}

#[tokio::test]
async fn https_answers_what_is_posted_to_its_path_only() {
    let (_files, node, client) = served().await;
    let (https, query) = (at(&node, "https"), query(0, "www.example.com", A));
    assert_eq!(said(&client.post(https, "/dns-query", &query).await.unwrap()), "192.0.2.1");
    for path in ["/", "/dns-query/", "/dns-query2"] {
        assert!(client.post(https, path, &query).await.is_err(), "{path}");
    }
    // RFC 8484 §4.1 wants GET as well; hickory does not have it. This is the example of §4.1.1.
    let get = "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
    assert!(client.get(https, get).await.is_err());
    node.shut_down().await;
}

/// Messages that are no queries that could be answered as they want. All have the ID 0.
fn broken_queries() -> Vec<Vec<u8>> {
    let good = query(0, "www.example.com", A);
    let mut version_1 = with_options(good.clone(), &[]);
    let version_at = version_1.len() - 5;
    version_1[version_at] = 1;
    vec![
        vec![],
        vec![0; 3],
        [&[0, 0][..], &[0xff; 10]].concat(),
        [&[0, 0][..], &[0xc0; 600]].concat(),
        good[..good.len() - 1].to_vec(),
        // A response, an update, no question, two questions.
        [&[0, 0, 0x80][..], &good[3..]].concat(),
        [&[0, 0, 0x28][..], &good[3..]].concat(),
        vec![0; 12],
        [&[0, 0, 0, 0, 0, 2][..], &good[6..], &good[12..]].concat(),
        // A subnet of no family, an option that is longer than its record, an EDNS to come.
        with_options(good.clone(), &[0, 8, 0, 5, 0, 9, 24, 0, 1]),
        with_options(good, &[0, 9, 0, 200]),
        version_1,
    ]
}

#[tokio::test]
async fn what_is_no_query_harms_nobody() {
    let (_files, node, client) = served().await;
    let (tls, https, quic) = (at(&node, "tls"), at(&node, "https"), at(&node, "quic"));
    let good = query(0x4242, "www.example.com", A);
    for broken in broken_queries() {
        let mut stream = client.connect_tls(tls).await.unwrap();
        stream.write_all(&[framed(&broken), framed(&good)].concat()).await.unwrap();
        // Some are answered, some are not, some end the connection.
        while let Ok(reply) = next_reply(&mut stream).await {
            if reply[..2] == good[..2] {
                assert_eq!(said(&reply), "192.0.2.1");
                break;
            }
            let rcode = Message::from_vec(&reply).unwrap().metadata.response_code;
            assert_ne!(rcode, ResponseCode::NoError, "{reply:?}");
        }
        // Without an answer the request fails, which is an answer as well.
        let _ = client.post(https, "/dns-query", &broken).await;
        let (_endpoint, connection) = client.connect_quic(quic).await;
        ask_quic_on(&connection, &broken).await;
    }
    assert_eq!(said(&client.ask_tls(tls, &good).await), "192.0.2.1");
    assert_eq!(said(&client.post(https, "/dns-query", &good).await.unwrap()), "192.0.2.1");
    let good = query(0, "www.example.com", A);
    assert_eq!(said(&client.ask_quic(quic, &good).await), "192.0.2.1");
    let metrics = metrics(&node).await;
    for transport in ["tls", "https", "quic"] {
        let none = format!("windrose_panics_total{{transport=\"{transport}\"}} 0\n");
        assert!(metrics.contains(&none), "{metrics}");
    }
    node.shut_down().await;
}

async fn metrics(node: &Node) -> String {
    let mut stream = TcpStream::connect(node.addresses.admin[0]).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn answers_are_counted_by_transport() {
    let (_files, node, client) = served().await;
    let query = query(0, "www.example.com", A);
    client.ask_tls(at(&node, "tls"), &query).await;
    for _ in 0..2 {
        client.post(at(&node, "https"), "/dns-query", &query).await.unwrap();
    }
    for _ in 0..3 {
        client.ask_quic(at(&node, "quic"), &query).await;
    }
    let metrics = metrics(&node).await;
    for (transport, count) in [("udp", 0), ("tcp", 0), ("tls", 1), ("https", 2), ("quic", 3)] {
        let labels = format!("transport=\"{transport}\",kind=\"steered\"");
        let line = format!("windrose_answers_total{{{labels}}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_query_over_quic_whose_id_is_not_0_gets_no_answer() {
    let (_files, node, client) = served().await;
    let (_endpoint, connection) = client.connect_quic(at(&node, "quic")).await;
    assert!(ask_quic_on(&connection, &query(7, "www.example.com", A)).await.is_empty());
    let reply = ask_quic_on(&connection, &query(0, "www.example.com", A)).await;
    assert_eq!(said(&reply[2..]), "192.0.2.1");
    node.shut_down().await;
}

// ---- Certificates ----

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_refused() {
    let (files, node, old) = served().await;
    let tls = at(&node, "tls");
    let renewed = certificate();
    let new = Client::trusting(renewed.cert.der());
    assert!(old.connect_tls(tls).await.is_ok() && new.connect_tls(tls).await.is_err());
    // A connection that is open does not mind.
    let mut open = old.connect_tls(tls).await.unwrap();

    // The new key with the old certificate: nothing changes, and whoever asked is told.
    files.write("key.pem", renewed.signing_key.serialize_pem());
    let refused = node.controls.reload("a test").await.unwrap_err();
    assert!(refused.contains("key.pem does not belong to certificate"), "{refused}");
    assert!(old.connect_tls(tls).await.is_ok() && new.connect_tls(tls).await.is_err());

    files.write("cert.pem", renewed.cert.pem());
    node.controls.reload("a test").await.unwrap();
    assert!(new.connect_tls(tls).await.is_ok() && old.connect_tls(tls).await.is_err());
    let reply = ask_on(&mut open, &query(7, "www.example.com", A)).await.unwrap();
    assert_eq!(said(&reply), "192.0.2.1");
    node.shut_down().await;
}

#[tokio::test]
async fn a_certificate_that_changes_on_disk_is_shown_by_itself() {
    let (files, node, _) = served().await;
    let renewed = certificate();
    write(&files, &renewed);
    let new = Client::trusting(renewed.cert.der());
    let look = async || new.connect_tls(at(&node, "tls")).await.ok();
    until("the new certificate is shown", look).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_node_does_not_start_without_its_certificate() {
    let files = Files::new(SERVER);
    write(&files, &certificate());
    files.write("key.pem", "");
    let place = Place::new(Some(files.path("windrose.toml")));
    let config = read_server(&place, &mut Report::new()).unwrap();
    let told = Node::start(place, &config).await.unwrap_err().to_string();
    for table in ["tls", "https", "quic"] {
        assert!(told.contains(&format!("[dns.{table}] key")), "{told}");
    }
    assert!(told.contains("key.pem: there is no key in PEM form in it"), "{told}");
}

#[test]
fn check_looks_at_the_certificates_that_would_be_served_with() {
    let files = Files::new(SERVER);
    write(&files, &certificate());
    files.write("zones/example.com.zone", RECORDS);
    files.write("zones/example.com.toml", ZONE);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windrose"));
        command.arg("--config").arg(files.path("windrose.toml")).args(arguments);
        let output = command.env("NO_COLOR", "1").output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(run(&["check"]).0, "{}", run(&["check"]).1);
    files.write("cert.pem", "");
    let (is_fine, told) = run(&["check"]);
    assert!(!is_fine && told.contains("[dns.tls] certificate"), "{told}");
    // Where zones are written there need be no keys.
    let zones = files.path("zones");
    assert!(run(&["check", zones.to_str().unwrap()]).0);
    assert!(run(&["explain", "www.example.com", "--client", "192.0.2.1"]).0);
}
