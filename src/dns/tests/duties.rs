//! What a server owes every client, as tables: EDNS and client subnets, errors, length, case.

use hickory_proto::op::Message;

use super::server::{Ask, Server, UDP_MAX, arrival, opt, shown};
use crate::dns::{Kind, Outcome, Rcode};

/// `www.example.test A` with this OPT record or these ones behind the question.
fn with_opts(opts: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = Ask::read("www A").packet();
    packet[11] = u8::try_from(opts.len()).unwrap();
    packet.extend_from_slice(&opts.concat());
    packet
}

fn sent(packet: &[u8]) -> (Outcome, Vec<u8>) {
    Server::new().send(packet, arrival("192.0.2.1".parse().unwrap(), true), UDP_MAX)
}

#[test]
fn client_subnets_are_echoed_octet_for_octet_or_refused() {
    // Data of the option, and the scope that it comes back with; `None`: FORMERR.
    let table: [(&str, &[u8], Option<u8>); 13] = [
        ("24 bits", &[0, 1, 24, 0, 203, 0, 113], Some(24)),
        ("IPv6", &[0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0, 0x99], Some(48)),
        ("opted out", &[0, 1, 0, 0], Some(0)),
        ("opted out of IPv6", &[0, 2, 0, 0], Some(0)),
        ("opted out without a family", &[0, 0, 0, 0], Some(0)),
        ("bits behind the source length", &[0, 1, 20, 0, 203, 0, 113], None),
        ("an octet too many", &[0, 1, 24, 0, 203, 0, 113, 0], None),
        ("an octet too few", &[0, 1, 24, 0, 203, 0], None),
        ("a scope in a query", &[0, 1, 24, 24, 203, 0, 113], None),
        ("33 bits of IPv4", &[0, 1, 33, 0, 203, 0, 113, 0, 0], None),
        ("family 3", &[0, 3, 8, 0, 10], None),
        ("family 0 with a length", &[0, 0, 8, 0, 10], None),
        ("empty", &[], None),
    ];
    for (what, data, scope) in table {
        let len = u8::try_from(data.len()).unwrap();
        let option = [&[0, 8, 0, len], data].concat();
        let (outcome, reply) = sent(&with_opts(&[opt(1232, 0, &option)]));
        match scope {
            Some(scope) => {
                assert_eq!(outcome.rcode, Rcode::NOERROR, "{what}");
                let mut echoed = option;
                echoed[7] = scope;
                assert!(reply.ends_with(&echoed), "{what}: {reply:?}");
            }
            None => {
                // The question and an OPT record without options.
                assert_eq!(shown(&reply), "FormErr\n  edns 1232\n", "{what}");
                assert_eq!(Message::from_vec(&reply).unwrap().queries.len(), 1, "{what}");
                assert!(reply.ends_with(&opt(1232, 0, &[])), "{what}");
            }
        }
    }
}

#[test]
fn edns_is_taken_as_rfc_6891_says() {
    let nsid = [0, 3, 0, 0];
    let odd = [0xff, 0xee, 0, 2, 1, 2];
    let table: [(&str, &[Vec<u8>], &str); 9] = [
        ("none", &[], "NoError AA\n  answer"),
        ("one", &[opt(4096, 0, &[])], "NoError AA\n  answer"),
        (
            "options that are not known",
            &[opt(1232, 0, &[nsid.to_vec(), odd.to_vec()].concat())],
            "NoError AA\n  answer",
        ),
        ("a payload below 512", &[opt(0, 0, &[])], "NoError AA\n  answer"),
        ("two", &[opt(1232, 0, &[]), opt(1232, 0, &[])], "FormErr\n  edns 1232\n"),
        ("version 1", &[opt(1232, 1, &[])], "BadVers\n  edns 1232\n"),
        (
            "version 1 with a broken subnet",
            &[opt(1232, 1, &[0, 8, 0, 0])],
            "BadVers\n  edns 1232\n",
        ),
        ("an option that is cut off", &[opt(1232, 0, &[0, 99, 0, 4, 1])], "FormErr\n  edns 1232\n"),
        (
            "an OPT record of another owner",
            &[[b"\x01x", &opt(1232, 0, &[])[..]].concat()],
            "FormErr\n  edns 1232\n",
        ),
    ];
    for (what, opts, answer) in table {
        let (_, reply) = sent(&with_opts(opts));
        let shown = shown(&reply);
        assert!(shown.starts_with(answer), "{what}: {shown}");
    }
}

#[test]
fn the_do_bit_comes_back() {
    let mut record = opt(1232, 0, &[]);
    record[7] = 0x80;
    let (_, reply) = sent(&with_opts(&[record]));
    assert!(Message::from_vec(&reply).unwrap().edns.unwrap().flags().dnssec_ok);
}

/// How a packet is met: with this, or with silence.
type Met = Option<(Rcode, Kind)>;

#[test]
fn what_is_no_query_is_met_as_the_rfcs_say() {
    let patched = |at: usize, octets: &[u8]| {
        let mut packet = Ask::read("www A").packet();
        packet[at..at + octets.len()].copy_from_slice(octets);
        packet
    };
    let mut compressed = Ask::read("www A").packet();
    compressed.splice(12.., [3, b'w', b'w', b'w', 0xc0, 12, 0, 1, 0, 1]);
    let mut doubled = Ask::read("www A").packet();
    doubled[5] = 2;
    doubled.extend_from_slice(&Ask::read("www A").packet()[12..]);
    let table: [(&str, Vec<u8>, Met); 18] = [
        ("nothing", vec![], None),
        ("half a header", vec![0; 11], None),
        ("a response", patched(2, &[0x80]), None),
        ("a response of another operation", patched(2, &[0xa8]), None),
        ("opcode IQUERY", patched(2, &[0x08]), Some((Rcode::NOTIMP, Kind::NotImp))),
        ("opcode STATUS", patched(2, &[0x10]), Some((Rcode::NOTIMP, Kind::NotImp))),
        ("opcode NOTIFY", patched(2, &[0x20]), Some((Rcode::NOTIMP, Kind::NotImp))),
        ("opcode UPDATE", patched(2, &[0x28]), Some((Rcode::NOTIMP, Kind::NotImp))),
        ("opcode 15", patched(2, &[0x78]), Some((Rcode::NOTIMP, Kind::NotImp))),
        ("a header alone", patched(0, &[])[..12].to_vec(), Some((Rcode::FORMERR, Kind::FormErr))),
        ("no question", patched(5, &[0]), Some((Rcode::FORMERR, Kind::FormErr))),
        ("two questions", doubled, Some((Rcode::FORMERR, Kind::FormErr))),
        ("a compressed question", compressed, Some((Rcode::FORMERR, Kind::FormErr))),
        ("a record that is not there", patched(7, &[1]), Some((Rcode::FORMERR, Kind::FormErr))),
        ("class CH", patched(32, &[0, 3]), Some((Rcode::REFUSED, Kind::Refused))),
        ("class HS", patched(32, &[0, 4]), Some((Rcode::REFUSED, Kind::Refused))),
        ("class ANY", patched(32, &[0, 255]), Some((Rcode::NOERROR, Kind::Steered))),
        (
            "junk behind the question",
            [patched(0, &[]), vec![7; 40]].concat(),
            Some((Rcode::NOERROR, Kind::Steered)),
        ),
    ];
    for (what, packet, answer) in table {
        let (outcome, reply) = sent(&packet);
        let Some((rcode, kind)) = answer else {
            assert_eq!((outcome.kind, reply.len()), (Kind::Dropped, 0), "{what}");
            continue;
        };
        assert_eq!((outcome.rcode, outcome.kind), (rcode, kind), "{what}");
        let message = Message::from_vec(&reply).unwrap();
        assert_eq!(message.metadata.id, 0xcafe, "{what}");
        assert_eq!(u16::from(message.metadata.response_code), rcode.0, "{what}");
        assert_eq!(reply[2] & 0x78, packet[2] & 0x78, "{what}");
    }
}

#[test]
fn a_reply_is_never_longer_than_the_client_takes() {
    // (question, over UDP and TCP: whether all of it comes)
    let table = [
        ("big TXT", false),
        ("big TXT +edns 512", false),
        ("big TXT +edns 600", false),
        ("big TXT +edns 1232", true),
        ("big TXT +tcp", true),
        ("huge TXT +edns 1232", false),
        ("huge TXT +edns 65535", false),
        ("huge TXT +tcp", true),
        ("huge TXT +tcp +edns 512", true),
        ("many AAAA", false),
        ("many AAAA +edns 1232", true),
        ("many AAAA +tcp", true),
    ];
    let mut server = Server::new();
    for (ask, is_whole) in table {
        let (outcome, reply) = server.ask(&Ask::read(ask));
        let message = Message::from_vec(&reply).unwrap();
        assert_eq!(outcome.is_truncated, !is_whole, "{ask}");
        assert_eq!(message.answers.is_empty(), !is_whole, "{ask}");
    }
}

#[test]
fn a_truncated_reply_still_carries_the_client_subnet() {
    let mut server = Server::new();
    let answer = server.answer("huge TXT +ecs 203.0.113.0/24");
    assert_eq!(answer, "NoError AA TC\n  edns 1232 subnet 203.0.113.0/24 scope 0\n");
}

#[test]
fn the_case_of_a_question_comes_back() {
    for name in ["WwW", "wWw.ExAmPlE.tEsT.", "X.aPp", "nOtHiNg", "hOsT.sUb", "StEeReD"] {
        let (_, reply) = Server::new().ask(&Ask::read(&format!("{name} A")));
        let message = Message::from_vec(&reply).unwrap();
        // `ask` has compared the question; the answer must say the same name.
        let asked = message.queries[0].name().to_string();
        let owners = message.answers.iter().map(|record| record.name.to_string());
        assert!(owners.take(1).all(|owner| owner == asked), "{message}");
    }
}

#[test]
fn what_any_class_gets_is_never_authoritative() {
    let mut packet = Ask::read("mail A").packet();
    let class_at = packet.len() - 2;
    for (class, is_authoritative) in [(1, true), (255, false)] {
        packet[class_at + 1] = class;
        let (_, reply) = sent(&packet);
        let message = Message::from_vec(&reply).unwrap();
        assert_eq!(message.metadata.authoritative, is_authoritative, "class {class}");
        assert_eq!(message.answers.len(), 1, "class {class}");
    }
}

#[test]
fn no_zone_is_given_away() {
    let table = [
        ("@ AXFR", Rcode::REFUSED),
        ("@ AXFR +tcp", Rcode::REFUSED),
        ("@ IXFR", Rcode::REFUSED),
        ("mail AXFR +tcp", Rcode::NOTAUTH),
        ("mail IXFR", Rcode::NOTAUTH),
        ("example.net. AXFR +tcp", Rcode::NOTAUTH),
    ];
    let mut server = Server::new();
    for (ask, rcode) in table {
        assert_eq!(server.ask(&Ask::read(ask)).0.rcode, rcode, "{ask}");
    }
}

#[test]
fn a_ring_of_cnames_ends() {
    for ask in ["ring A", "ring A +tcp", "ring A +edns 1232"] {
        let (outcome, reply) = Server::new().ask(&Ask::read(ask));
        assert_eq!(outcome.rcode, Rcode::NOERROR);
        assert!(Message::from_vec(&reply).unwrap().answers.len() <= 17);
    }
}

#[test]
fn each_family_has_turns_of_its_own() {
    // A resolver asks for A and AAAA in turn; both must still see every endpoint.
    let mut server = Server::new();
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(server.records("turns A")[0].clone());
        server.records("turns AAAA");
    }
    assert_ne!(first[0], first[1]);
    assert_eq!((&first[0], &first[1]), (&first[2], &first[3]));
}

/// The longest name, the most options and the largest answer: nothing may reach past the least room
/// that a listener gives.
#[test]
fn the_longest_question_fits_into_the_least_room() {
    let label = |len: u8| [&[len][..], &vec![b'x'; len.into()]].concat();
    // 255 octets in all: 3 × 64 + 46 below `app.example.test`, which takes 17.
    let own = [label(63), label(63), label(63), label(40)].concat();
    let subnet = [&[0, 8, 0, 20, 0, 2, 128, 0][..], &[0x20; 16]].concat();
    let (cookie, nsid) = ([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8], [0, 3, 0, 0]);
    let options = [&subnet[..], &cookie, &nsid].concat();
    let mut server = Server::new();
    for suffix in
        [&b"\x03app\x07example\x04test\x00"[..], b"\x04none\x07example\x04test\x00", b"\x00"]
    {
        let name = [&own[..], suffix].concat();
        assert!(name.len() <= 255);
        for qtype in [1_u16, 28, 255, 6, 252, 16] {
            let mut packet = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            packet.extend_from_slice(&name);
            packet.extend_from_slice(&qtype.to_be_bytes());
            packet.extend_from_slice(&[0, 1]);
            packet.extend_from_slice(&opt(512, 0, &options));
            let arrival = arrival("192.0.2.1".parse().unwrap(), true);
            let (outcome, reply) = server.send(&packet, arrival, 512);
            assert!(outcome.len <= 512);
            assert!(reply.windows(64).any(|octets| octets == [b'n'; 64]), "the id is told");
            assert!(Message::from_vec(&reply).is_ok());
        }
    }
}
