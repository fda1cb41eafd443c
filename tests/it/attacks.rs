//! Attacks that show on real sockets, and limits that are met when a zone is loaded.
//!
//! Rows 1, 21 and 43 of the table in `src/dns/tests/attacks.rs`, as far as one packet at a time does not
//! tell.

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use windrose::config::{self, ZoneFiles};
use windrose::model::{Report, Severity};

use super::node::client::{A, ask_on, ask_udp, framed, next_reply, query, said};
use super::node::{Files, PATIENCE, SERVER};

const RECORDS: &str =
    "$TTL 300\n@ SOA ns hostmaster 1 7200 900 1209600 60\n  NS ns\nns A 192.0.2.53\n";

/// Files with one static zone.
fn served() -> Files {
    let files = Files::new(SERVER);
    files.write("zones/example.com.zone", format!("{RECORDS}www A 192.0.2.1\n"));
    files
}

// ---- Row 1: malformed packets ----

/// A good query with each of its octets spoilt in turn, and cut after each.
fn spoilt() -> Vec<Vec<u8>> {
    let mut good = query(0, "www.example.com", A);
    good[11] = 1;
    good.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]);
    let mut all = Vec::new();
    for at in 2..good.len() {
        all.push(good[..at].to_vec());
        for octet in [0, 1, 63, 64, 127, 0xc0, 0xff] {
            let mut packet = good.clone();
            packet[at] = octet;
            all.push(packet);
        }
    }
    all
}

#[tokio::test]
async fn spoilt_packets_are_answered_or_dropped_and_nothing_panics() {
    let files = served();
    let node = files.start().await;
    let server = node.addresses.dns[0];
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    let mut stream = TcpStream::connect(server).await.unwrap();
    let packets = spoilt();
    let mut answered = 0;
    for (n, mut packet) in packets.into_iter().enumerate() {
        let id = u16::try_from(n).unwrap();
        packet[..2].copy_from_slice(&id.to_be_bytes());
        let is_answerable = packet.len() >= 12 && packet[2] & 0x80 == 0;
        // A good one behind it: its answer says that the node is done with the first.
        let good = query(0xffff, "www.example.com", A);
        socket.send(&packet).await.unwrap();
        socket.send(&good).await.unwrap();
        stream.write_all(&[framed(&packet), framed(&good)].concat()).await.unwrap();
        for expected in is_answerable.then_some(id).into_iter().chain([0xffff]) {
            let mut reply = [0; 4096];
            let received = timeout(PATIENCE, socket.recv(&mut reply)).await;
            let len = received.expect("a query is lost").unwrap();
            let over_tcp = next_reply(&mut stream).await.unwrap();
            assert_eq!(reply[..2], expected.to_be_bytes());
            assert_eq!(over_tcp[..2], expected.to_be_bytes());
            assert!(len >= 12);
            answered += 2;
        }
    }
    assert!(answered > 1000);
    windrose::probe::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = client.get(format!("http://{}/metrics", node.addresses.admin[0]));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let panics = metrics.lines().filter(|line| line.starts_with("windrose_panics_total"));
    let panics: Vec<_> = panics.map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert!(!panics.is_empty() && panics.iter().all(|count| *count == "0"), "{panics:?}");
    node.shut_down().await;
}

// ---- Row 21: large messages ----

#[tokio::test]
async fn a_query_larger_than_any_is_dropped_over_udp_and_read_over_tcp() {
    let files = served();
    let node = files.start().await;
    let server = node.addresses.dns[0];
    let junk = [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
    let of = |count: u16| {
        let mut packet = query(7, "www.example.com", A);
        packet[10..12].copy_from_slice(&count.to_be_bytes());
        packet.extend(junk.repeat(count.into()));
        packet
    };
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    let good = query(9, "www.example.com", A);
    socket.send(&of(500)).await.unwrap();
    socket.send(&good).await.unwrap();
    let mut reply = [0; 512];
    timeout(PATIENCE, socket.recv(&mut reply)).await.expect("a query is lost").unwrap();
    assert_eq!(reply[..2], [0, 9]);
    assert_eq!(said(&ask_udp(server, &of(300)).await.0), "192.0.2.1");
    let mut stream = TcpStream::connect(server).await.unwrap();
    for count in [500, 5900, 0] {
        assert_eq!(said(&ask_on(&mut stream, &of(count)).await.unwrap()), "192.0.2.1", "{count}");
    }
    node.shut_down().await;
}

// ---- Row 43: limits ----

/// One zone file.
struct One(String);

impl ZoneFiles for One {
    fn directory(&self) -> &str {
        ""
    }

    fn names(&self) -> Vec<String> {
        vec!["example.com.zone".to_owned()]
    }

    fn read(&self, _: &str) -> Result<Arc<str>, String> {
        Ok(self.0.as_str().into())
    }
}

/// The same record with `count` different texts of 200 octets: 213 octets each.
fn texts(owner: &str, count: usize) -> String {
    let text = "t".repeat(196);
    (0..count).fold(String::new(), |mut records, n| {
        writeln!(records, "{owner} TXT \"{n:04}{text}\"").expect("a String takes all");
        records
    })
}

#[test]
fn what_passes_a_limit_is_refused_when_it_is_loaded() {
    let label = |len: usize| "x".repeat(len);
    // `example.com.` takes 13 octets of 255: 242 are left.
    let name = |last: usize| [label(63), label(63), label(63), label(last)].join(".");
    let generic = |len: usize| format!("g TYPE65280 \\# {len} {}\n", "00".repeat(len));
    let table: [(&str, String, Option<&str>); 12] = [
        ("a label of 63 octets", format!("{} A 192.0.2.1\n", label(63)), None),
        ("a label of 64 octets", format!("{} A 192.0.2.1\n", label(64)), Some("63")),
        ("a name of 255 octets", format!("{} A 192.0.2.1\n", name(49)), None),
        ("a name of 256 octets", format!("{} A 192.0.2.1\n", name(50)), Some("255")),
        ("a target of 256 octets", format!("a CNAME {}\n", name(50)), Some("255")),
        ("a text of 255 octets", format!("t TXT {}\n", label(255)), None),
        ("a text of 256 octets", format!("t TXT {}\n", label(256)), Some("255")),
        ("65,000 octets of data", generic(65_000), None),
        ("65,100 octets of data", generic(65_100), Some("no message holds them")),
        ("65,536 octets of data", generic(65_536), Some("65")),
        ("an rrset of 64,965 octets", texts("many", 305), None),
        ("an rrset of 65,178 octets", texts("many", 306), Some("no message holds them")),
    ];
    for (what, records, refused) in table {
        let mut report = Report::new();
        config::read_zones(&mut report, &One(format!("{RECORDS}{records}")));
        let said = report.to_string();
        let errors = report.count(Severity::Error);
        match refused {
            None => assert_eq!(errors, 0, "{what} is refused"),
            Some(word) => {
                assert!(errors > 0, "{what} is taken");
                assert!(said.contains(word), "{what}: not a word of `{word}`");
                assert!(said.contains("example.com.zone:5:"), "{what}: not where it is");
            }
        }
    }
}
