//! What the zone's names are answered, read and approved line by line.

use std::fmt::Write as _;

use super::server::Server;

const QUESTIONS: &[(&str, &[&str])] = &[
    (
        "static records",
        &[
            "@ SOA",
            "@ NS",
            "@ MX",
            "mail A",
            "mail AAAA",
            "MaIl a",
            "mail A +edns 1232",
            "mail ANY",
            "deep ANY",
        ],
    ),
    (
        "what is not there (RFC 2308)",
        &[
            "mail MX",
            "nothing A",
            "nothing A +edns 1232",
            "x.mail A",
            "deep A",
            "c.deep TXT",
            "x.deep A",
            "b.c.deep A",
        ],
    ),
    (
        "wildcards (RFC 4592)",
        &[
            "a.wild TXT",
            "a.b.wild MX",
            "a.wild A",
            "*.wild TXT",
            "x.*.wild TXT",
            "wild TXT",
            "a.star A",
            "a.star CNAME",
        ],
    ),
    (
        "delegations (RFC 1034 §4.3.2, RFC 9471)",
        &[
            "sub NS",
            "host.sub A",
            "ns.sub A",
            "sub DS",
            "host.sub DS",
            "host.sub A +edns 1232",
            "host.twin A",
            "intosub A",
            "x.near A",
        ],
    ),
    (
        "chains (RFC 1034 §4.3.2 step 3a)",
        &[
            "alias A",
            "alias CNAME",
            "alias MX",
            "alias ANY",
            "chain A",
            "chain ANY",
            "away A",
            "dangling A",
            "steered A",
            "steered TXT",
            "mute A",
            "steered A +edns 1232",
            "ring A",
            "alias NSEC",
            "to-apex NS",
        ],
    ),
    (
        "redirection (RFC 6672)",
        &[
            "a.old TXT",
            "a.old A",
            "a.old ANY",
            "a.old CNAME",
            "old DNAME",
            "old A",
            "x.y.far AAAA",
            "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd.long A",
        ],
    ),
    (
        "steered names",
        &[
            "www A",
            "www AAAA",
            "www TXT",
            "www HTTPS",
            "www ANY",
            "x.app A",
            "x.y.app A",
            "app A",
            "cdn A",
            "cdn AAAA",
            "cdn TXT",
            "cdn ANY",
            "silent A",
            "silent AAAA",
            "broken A",
            "sorry A",
        ],
    ),
    (
        "client subnets (RFC 7871)",
        &[
            "www A +ecs 203.0.113.0/24",
            "www A +ecs 203.0.113.128/25",
            "www A +ecs 203.0.0.0/16",
            "www A +ecs 192.0.2.0/24",
            "www AAAA +ecs 2001:db8:99::/56",
            "www A +ecs 0.0.0.0/0",
            "www TXT +ecs 203.0.113.0/24",
            "mail A +ecs 203.0.113.0/24",
            "mail MX +ecs 203.0.113.0/24",
            "nothing A +ecs 203.0.113.0/24",
            "host.sub A +ecs 203.0.113.0/24",
            "steered A +ecs 203.0.113.0/24",
            "keyed A +ecs 203.0.113.0/24",
            "keyed AAAA +ecs 2001:db8:99::/48",
            "broken A +ecs 203.0.113.0/24",
            "silent A +ecs 203.0.113.0/24",
            "a.old TXT +ecs 203.0.113.0/24",
            "www.example.net. A +ecs 203.0.113.0/24",
        ],
    ),
    (
        "resolvers without a client subnet",
        &[
            "www A +from 203.0.113.53",
            "www AAAA +from 2001:db8:99::53",
            "www A +ecs 0.0.0.0/0 +from 203.0.113.53",
        ],
    ),
    (
        "length",
        &[
            "big TXT",
            "big TXT +edns 512",
            "big TXT +edns 4096",
            "huge TXT +edns 4096",
            "many AAAA",
            "many AAAA +edns 600",
            "many AAAA +edns 600 +ecs 203.0.113.0/24",
            "many AAAA +edns 1232",
            "@ AXFR +tcp",
            "@ IXFR",
            "@ MAILB",
        ],
    ),
    ("others' names", &["www.example.net. A", ". NS", "test. SOA", "example.test.example. A"]),
];

#[test]
fn transcript() {
    let mut server = Server::new();
    let mut text = String::new();
    for (topic, questions) in QUESTIONS {
        writeln!(text, "## {topic}\n").unwrap();
        for question in *questions {
            write!(text, "{question}\n{}\n", server.answer(question)).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}
