//! What has brought name servers down before, or made them harm others, one section a kind of attack.
//!
//! Here is what is decided packet by packet. What only shows under load, with a good client beside the
//! attacker, is measured by `cargo run --release --example attacks`; what only shows on real sockets or at
//! the load of a zone stands in `tests/it/attacks.rs`. Packets of any octets are `any_bytes`'s, malformed
//! client subnets `client_subnets`'s.
//!
//! | row | attack | here |
//! |---|---|---|
//! | 1 | packets that killed others | `packets_that_killed_others_…` |
//! | 2 | compression loops | `a_compressed_question_…`, `pointers_behind_the_question_…` |
//! | 3 | responses to responses | `no_response_is_answered_…`, `no_answer_of_ours_…` |
//! | 17 | other operations and classes | `every_operation_…`, `an_update_leaves_no_trace` |
//! | 18 | chains and loops | `a_chain_without_end_…`, `names_that_grow_…` |
//! | 19 | answers of many records | `thousands_of_records_…`, `a_crowd_of_name_servers_…` |
//! | 20 | names of many labels | `the_deepest_names_…` |
//! | 21 | large messages | `a_message_of_64_kib_…` |
//! | 42 | compression and case | `a_set_made_to_be_hard_to_pack_…`, `whatever_the_names_…`, `names_past_16_kib_…` |
//! | 43 | limits | `names_at_the_limit_…`, `the_largest_rrset_…` |

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use hickory_proto::op::{Message, OpCode};
use proptest::prelude::*;
use proptest::sample::select;

use super::server::{Ask, Server, UDP_MAX, arrival, opt};
use crate::dns::{Kind, Outcome, Rcode};

const TCP_MAX: usize = 65_535;

fn sent_to(server: &mut Server, packet: &[u8], is_udp: bool) -> (Outcome, Vec<u8>) {
    let room = if is_udp { UDP_MAX } else { TCP_MAX };
    server.send(packet, arrival("192.0.2.1".parse().unwrap(), is_udp), room)
}

/// Over UDP, to the server of the example zone.
fn sent(packet: &[u8]) -> (Outcome, Vec<u8>) {
    sent_to(&mut Server::new_once(), packet, true)
}

/// A header of these flags and counts, and what comes behind it.
fn message(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let counts = counts.map(u16::to_be_bytes).concat();
    [&[0xca, 0xfe][..], &flags.to_be_bytes(), &counts, body].concat()
}

/// The question `mail.example.test` of type and class.
fn question(qtype: u16, class: u16) -> Vec<u8> {
    [MAIL, &qtype.to_be_bytes(), &class.to_be_bytes()].concat()
}

const MAIL: &[u8] = b"\x04mail\x07example\x04test\x00";

/// A record with its length as it is.
fn record(owner: &[u8], rtype: u16, class: u16, rdata: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rdata.len()).unwrap();
    let fixed = [rtype.to_be_bytes(), class.to_be_bytes(), [0; 2], [0; 2], len.to_be_bytes()];
    [owner, &fixed.concat(), rdata].concat()
}

/// A zone `many.test` with these records.
fn server_of(records: &str) -> Server {
    let head = "$TTL 300\n@ SOA ns hostmaster 1 7200 900 1209600 60\n  NS ns\nns A 192.0.2.53\n";
    Server::of(&[("many.test.zone", &format!("{head}{records}"))])
}

/// A question in that zone, without EDNS.
fn ask(name: &str, qtype: &str) -> Vec<u8> {
    Ask::read(&format!("{name}many.test. {qtype}")).packet()
}

fn read(reply: &[u8]) -> Message {
    Message::from_vec(reply).unwrap()
}

// ---- Row 1: malformed packets ----

/// The shapes of published crashes, each met as its RFC says.
#[test]
fn packets_that_killed_others_are_met_as_the_rfcs_say() {
    let query = |qtype, class| message(0, [1, 0, 0, 0], &question(qtype, class));
    let with =
        |counts, records: &[u8]| message(0, counts, &[question(1, 1), records.to_vec()].concat());
    let tsig_algorithm = b"\x0bhmac-sha256\x00";
    let tsig = |mac_len: u16| [&tsig_algorithm[..], &[0; 8], &mac_len.to_be_bytes()].concat();
    let huge_soa = [MAIL, &[63; 64].repeat(30)[..]].concat();
    let table: [(&str, Vec<u8>, Rcode); 21] = [
        ("TKEY as a question", query(249, 255), Rcode::NOERROR),
        (
            "TKEY in the additional section",
            with([1, 0, 0, 1], &record(MAIL, 249, 255, &[0; 20])),
            Rcode::NOERROR,
        ),
        ("TSIG as a question", query(250, 255), Rcode::NOERROR),
        ("TSIG without data", with([1, 0, 0, 1], &record(&[0], 250, 255, &[])), Rcode::NOERROR),
        (
            "TSIG with a MAC that is not there",
            with([1, 0, 0, 1], &record(&[0], 250, 255, &tsig(65_535))),
            Rcode::NOERROR,
        ),
        ("SIG(0)", with([1, 0, 0, 1], &record(&[0], 24, 255, &[0; 18])), Rcode::NOERROR),
        ("OPT as a question", query(41, 1), Rcode::NOERROR),
        ("type 0", query(0, 1), Rcode::NOERROR),
        ("type 65535", query(65_535, 1), Rcode::NOERROR),
        ("NULL, MAILA", query(254, 1), Rcode::NOERROR),
        ("the root", message(0, [1, 0, 0, 0], &[0, 0, 2, 0, 1]), Rcode::REFUSED),
        ("one label", message(0, [1, 0, 0, 0], b"\x04test\x00\x00\x01\x00\x01"), Rcode::REFUSED),
        (
            "IXFR with an SOA of 2 KB",
            message(0, [1, 0, 1, 0], &[question(251, 1), record(MAIL, 6, 1, &huge_soa)].concat()),
            Rcode::NOTAUTH,
        ),
        ("IXFR without its SOA", query(251, 1), Rcode::NOTAUTH),
        (
            "NSID with data",
            with([1, 0, 0, 1], &opt(1232, 0, &[0, 3, 0, 4, 1, 2, 3, 4])),
            Rcode::NOERROR,
        ),
        (
            "an answer beside the question",
            with([1, 1, 0, 0], &record(MAIL, 1, 1, &[1; 4])),
            Rcode::NOERROR,
        ),
        (
            "SVCB of 65,000 octets",
            with([1, 0, 0, 1], &record(MAIL, 64, 1, &[7; 65_000])),
            Rcode::NOERROR,
        ),
        ("all counts 65,535", message(0, [u16::MAX; 4], &question(1, 1)), Rcode::FORMERR),
        (
            "65,535 records that are not there",
            message(0, [1, u16::MAX, u16::MAX, u16::MAX], &question(1, 1)),
            Rcode::FORMERR,
        ),
        (
            "data longer than the packet",
            with([1, 0, 0, 1], &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 7]),
            Rcode::FORMERR,
        ),
        (
            "a label of a kind that does not exist",
            message(0, [1, 0, 0, 0], &[0x41, 1, 0, 0, 1, 0, 1]),
            Rcode::FORMERR,
        ),
    ];
    for (what, packet, rcode) in table {
        let (outcome, reply) = sent_to(&mut Server::new_once(), &packet, false);
        assert_eq!(outcome.rcode, rcode, "{what}");
        assert!(outcome.len >= 12 && Message::from_vec(&reply).is_ok(), "{what}");
        assert!(outcome.len <= 200, "{what}: {} octets", outcome.len);
    }
}

// ---- Row 2: compression ----

#[test]
fn a_compressed_question_is_malformed_wherever_its_pointers_lead() {
    let names: [&[u8]; 8] = [
        &[0xc0, 12],                  // Itself.
        &[0xc0, 14, 0xc0, 12],        // Each other.
        &[0xc0, 0],                   // The header.
        &[0xff, 0xff],                // Past the end.
        &[1, b'x', 0xc0, 12],         // A name that grows at each turn.
        &[63; 64],                    // Labels and no end.
        &[0xc0],                      // Half a pointer.
        &[3, b'w', b'w', b'w', 0xc0], // Half a pointer behind a label.
    ];
    for name in names {
        let body = [name, &[0, 1, 0, 1]].concat();
        let (outcome, reply) = sent(&message(0, [1, 0, 0, 0], &body));
        assert_eq!((outcome.rcode, reply.len()), (Rcode::FORMERR, 12), "{name:?}");
    }
}

/// Owners of foreign records are stepped over, not followed: there is nothing to loop in.
#[test]
fn pointers_behind_the_question_are_not_followed() {
    let start = u16::try_from(12 + question(1, 1).len()).unwrap();
    for target in [start, start + 2, 0, 0x3fff, 12] {
        let pointer = (0xc000 | target).to_be_bytes();
        let records = [record(&pointer, 1, 1, &[1; 4]), opt(1232, 0, &[])].concat();
        let packet = message(0, [1, 0, 0, 2], &[question(1, 1), records].concat());
        let (outcome, reply) = sent(&packet);
        assert_eq!(outcome.rcode, Rcode::NOERROR, "{target}");
        assert!(read(&reply).edns.is_some(), "the OPT record behind it was seen");
    }
}

// ---- Row 3: responses to responses ----

#[test]
fn no_response_is_answered_whatever_it_says() {
    for low in 0..=0x7fff_u16 {
        // Every flag, operation and code beside QR; with a question, and cut off.
        let packet = message(0x8000 | low, [1, 0, 0, 0], &question(1, 1));
        for len in [packet.len(), 12, 11, 3] {
            let (outcome, reply) = sent(&packet[..len]);
            assert_eq!((outcome.kind, reply.len()), (Kind::Dropped, 0), "{low:04x}, {len}");
        }
    }
}

/// Two servers of ours, set on each other by a forged packet, fall silent at once.
#[test]
fn no_answer_of_ours_is_answered_by_ours() {
    let asks = ["mail A", "nothing A", "www A +edns 1232", "huge TXT", "@ AXFR", "a.test. A"];
    let errors = [
        message(0, [0; 4], &[]),
        message(0x2800, [1, 0, 0, 0], &question(6, 1)),
        message(0, [1, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1]),
        [&message(0, [1, 0, 0, 1], &question(1, 1))[..], &opt(1232, 1, &[])].concat(),
    ];
    for packet in asks.map(|ask| Ask::read(ask).packet()).into_iter().chain(errors) {
        let (outcome, reply) = sent(&packet);
        assert_ne!(outcome.kind, Kind::Dropped);
        assert_eq!(sent(&reply).0.kind, Kind::Dropped);
    }
}

// ---- Row 17: other operations and classes ----

#[test]
fn every_operation_but_query_is_not_implemented_in_any_class() {
    for opcode in 1..16_u8 {
        for class in [0, 1, 2, 3, 4, 254, 255, u16::MAX] {
            for qtype in [0, 1, 6, 252, 255] {
                for has_opt in [false, true] {
                    let opt = if has_opt { opt(1232, 0, &[]) } else { Vec::new() };
                    let body = [question(qtype, class), opt].concat();
                    let flags = u16::from(opcode) << 11;
                    let (outcome, reply) =
                        sent(&message(flags, [1, 0, 0, u16::from(has_opt)], &body));
                    let said = (outcome.kind, outcome.rcode, outcome.len);
                    let len = if has_opt { 23 } else { 12 };
                    assert_eq!(
                        said,
                        (Kind::NotImp, Rcode::NOTIMP, len),
                        "{opcode} {class} {qtype}"
                    );
                    assert_eq!(read(&reply).metadata.op_code, OpCode::from_u8(opcode));
                    // RFC 6891 §6.1.1: in every response to a request that has one.
                    assert_eq!(read(&reply).edns.is_some(), has_opt);
                }
            }
        }
    }
}

#[test]
fn an_opt_record_is_seen_behind_any_number_of_questions() {
    let opt = opt(1232, 0, &[]);
    for count in [0, 2, 3] {
        let questions = question(1, 1).repeat(count.into());
        let packet = message(0, [count, 0, 0, 1], &[questions, opt.clone()].concat());
        let (outcome, reply) = sent(&packet);
        assert_eq!(outcome.rcode, Rcode::FORMERR);
        assert_eq!(reply[12..], opt, "{count} questions");
    }
}

#[test]
fn every_class_is_met() {
    for class in 0..=u16::MAX {
        let (outcome, _) = sent(&message(0, [1, 0, 0, 0], &question(1, class)));
        let rcode = if matches!(class, 1 | 255) { Rcode::NOERROR } else { Rcode::REFUSED };
        assert_eq!(outcome.rcode, rcode, "class {class}");
    }
}

#[test]
fn an_update_leaves_no_trace() {
    let mut server = Server::new();
    let watched = ["mail A", "new A", "@ SOA", "@ NS", "nothing A", "www A"];
    let before = watched.map(|ask| server.answer(ask));
    let zone = b"\x07example\x04test\x00\x00\x06\x00\x01";
    let new = b"\x03new\x07example\x04test\x00";
    let apex = &zone[..14];
    // RFC 2136 §2.5: add, delete an rrset, delete a name, delete a record; §2.4: what must be there.
    let updates = [
        (0, record(new, 1, 1, &[192, 0, 2, 99])),
        (0, record(MAIL, 1, 255, &[])),
        (0, record(MAIL, 255, 255, &[])),
        (0, record(MAIL, 1, 254, &[192, 0, 2, 25])),
        (0, record(apex, 6, 1, &[&[0, 0], &[0xff; 20][..]].concat())),
        (1, [record(MAIL, 255, 255, &[]), record(new, 1, 1, &[192, 0, 2, 99])].concat()),
        (1, [record(MAIL, 255, 254, &[]), record(new, 1, 1, &[192, 0, 2, 99])].concat()),
    ];
    for (prerequisites, records) in updates {
        for (opcode, is_udp) in [(5, true), (5, false), (4, true)] {
            let body = [&zone[..], &records].concat();
            let packet = message(opcode << 11, [1, prerequisites, 1, 0], &body);
            assert_eq!(sent_to(&mut server, &packet, is_udp).0.rcode, Rcode::NOTIMP);
        }
    }
    assert_eq!(watched.map(|ask| server.answer(ask)), before);
}

// ---- Row 18: chains and loops ----

#[test]
fn a_chain_without_end_is_cut_and_each_link_sent_once() {
    let mut records = String::new();
    for n in 0..200 {
        writeln!(records, "c{n} CNAME c{}", n + 1).unwrap();
    }
    records += "c200 A 192.0.2.1\nself CNAME self\n*.wild CNAME x.y.wild\n\
                a CNAME b\nb CNAME c\nc CNAME a\n\
                r1 DNAME r2\nr2 DNAME r1\nwide DNAME many.test.\n";
    let mut server = server_of(&records);
    // (name, links of the chain that are sent)
    let table = [
        ("c0.", 17),
        ("c190.", 11),
        ("self.", 1),
        ("q.wild.", 2),
        ("a.", 3),
        ("x.r1.", 4),
        ("c0.wide.", 18),
    ];
    for (name, links) in table {
        for is_udp in [true, false] {
            let (outcome, reply) = sent_to(&mut server, &ask(name, "A"), is_udp);
            let answers = read(&reply).answers;
            assert_eq!((outcome.rcode, outcome.is_truncated), (Rcode::NOERROR, false), "{name}");
            assert!(answers.len() <= links + 1, "{name}: {answers:#?}");
            let owners: HashSet<_> =
                answers.iter().map(|a| (a.name.to_string(), a.record_type())).collect();
            assert_eq!(owners.len(), answers.len(), "{name}: a link came twice");
        }
    }
}

/// A DNAME to below itself makes a name longer at each turn, until no name can be (RFC 6672 §2.2).
#[test]
fn names_that_grow_at_each_turn_end() {
    let label = "l".repeat(20);
    let mut server = server_of(&format!(
        "g DNAME {label}.h\nh DNAME {label}.g\nslow DNAME s.wols\nwols DNAME s.slow\n"
    ));
    for (name, rcode) in [("x.g.", Rcode::YXDOMAIN), ("x.slow.", Rcode::NOERROR)] {
        let (outcome, reply) = sent_to(&mut server, &ask(name, "A"), false);
        assert_eq!(outcome.rcode, rcode, "{name}");
        assert!(read(&reply).answers.len() <= 19, "{name}");
        assert!(reply.len() < 2000, "{name}: {} octets", reply.len());
    }
}

// ---- Row 19: answers of many records ----

#[test]
fn thousands_of_records_come_over_tcp_and_are_cut_over_udp() {
    let mut records = String::new();
    for n in 0..4000 {
        writeln!(records, "many A 10.0.{}.{}", n / 256, n % 256).unwrap();
    }
    let mut server = server_of(&records);
    let (outcome, reply) = sent_to(&mut server, &ask("many.", "A"), false);
    assert_eq!((outcome.is_truncated, read(&reply).answers.len()), (false, 4000));
    let (outcome, reply) = sent_to(&mut server, &ask("many.", "A"), true);
    assert_eq!((outcome.is_truncated, reply.len()), (true, ask("many.", "A").len()));
}

/// Every name server with many addresses: what a referral carries was packed at load and is bounded.
#[test]
fn a_crowd_of_name_servers_makes_no_answer_too_large() {
    let mut records = String::new();
    for n in 0..60 {
        writeln!(records, "sub NS ns{n}.sub\n@ NS ns{n}.sub").unwrap();
        for address in 0..60 {
            writeln!(records, "ns{n}.sub A 10.0.{n}.{address}").unwrap();
        }
    }
    let mut server = server_of(&records);
    for (name, qtype) in [("x.sub.", "A"), ("", "NS")] {
        for is_udp in [true, false] {
            let (outcome, reply) = sent_to(&mut server, &ask(name, qtype), is_udp);
            let message = read(&reply);
            assert_eq!(outcome.rcode, Rcode::NOERROR);
            // RFC 9471: all glue, or TC.
            assert_eq!(outcome.is_truncated, is_udp, "{name} {qtype}: {}", reply.len());
            let is_whole = message.additionals.len() == 60 * 60;
            assert!(is_udp || is_whole || qtype == "NS", "{}", message.additionals.len());
        }
    }
}

// ---- Row 20: names of many labels ----

#[test]
fn the_deepest_names_are_found_or_missed_like_any() {
    // 123 labels of one letter above `many.test`: with it 256 octets less 1.
    let deep = |letter: char, labels: usize| format!("{letter}.").repeat(labels);
    let own = deep('d', 122);
    let mut server =
        server_of(&format!("{} A 192.0.2.7\n*.w A 192.0.2.8\n", own.trim_end_matches('.')));
    let table = [
        (own.clone(), Rcode::NOERROR, 1),
        (deep('e', 122), Rcode::NXDOMAIN, 0),
        (deep('d', 121), Rcode::NOERROR, 0),
        (format!("{}w.", deep('e', 121)), Rcode::NOERROR, 1),
    ];
    for (name, rcode, answers) in table {
        let (outcome, reply) = sent_to(&mut server, &ask(&name, "A"), true);
        assert_eq!((outcome.rcode, read(&reply).answers.len()), (rcode, answers), "{name}");
    }
}

// ---- Row 21: large messages ----

#[test]
fn a_message_of_64_kib_is_read_once_whatever_is_in_it() {
    let junk = |count: usize| record(&[0], 1, 1, &[]).repeat(count);
    let opt = opt(1232, 0, &[]);
    let counts = |additional: usize| [1, 0, 0, u16::try_from(additional).unwrap()];
    let body = |parts: &[&[u8]]| [&question(1, 1)[..], &parts.concat()].concat();
    let table = [
        ("5,900 records", message(0, counts(5900), &body(&[&junk(5900)])), Rcode::NOERROR, false),
        (
            "OPT behind them",
            message(0, counts(5901), &body(&[&junk(5900), &opt])),
            Rcode::NOERROR,
            true,
        ),
        (
            "OPT before them",
            message(0, counts(5901), &body(&[&opt, &junk(5900)])),
            Rcode::NOERROR,
            true,
        ),
        (
            "OPT at both ends",
            message(0, counts(5902), &body(&[&opt, &junk(5900), &opt])),
            Rcode::FORMERR,
            true,
        ),
        (
            "one fewer than it says",
            message(0, counts(5900), &body(&[&junk(5899)])),
            Rcode::FORMERR,
            false,
        ),
        (
            "an OPT of 15,000 options",
            message(
                0,
                counts(1),
                &body(&[&super::server::opt(1232, 0, &[0xff, 0xee, 0, 0].repeat(15_000))]),
            ),
            Rcode::NOERROR,
            true,
        ),
        (
            "13,000 questions",
            message(0, [13_000, 0, 0, 0], &[0, 0, 1, 0, 1].repeat(13_000)),
            Rcode::FORMERR,
            false,
        ),
    ];
    for (what, packet, rcode, has_opt) in table {
        assert!(packet.len() <= TCP_MAX);
        let (outcome, reply) = sent_to(&mut Server::new_once(), &packet, false);
        assert_eq!(outcome.rcode, rcode, "{what}");
        assert_eq!(read(&reply).edns.is_some(), has_opt, "{what}");
        assert!(reply.len() < 100, "{what}");
    }
}

// ---- Row 42: compression and case ----

/// Exchanges that share suffixes with each other and with their owner in every way.
const TO_PACK: [&str; 20] = [
    "a.mx",
    "b.mx",
    "mx",
    "mx.a.mx",
    "c.b.a.mx",
    "a.b.a.mx",
    "torture",
    "pack.torture",
    "x.pack.torture",
    "a.pack.torture",
    "mx.pack.torture",
    "deep.er.and.deep.er",
    "er.and.deep.er",
    "and.deep.er",
    "deep.er",
    "a.deep.er",
    "mx.long-label-that-comes-twice",
    "a.long-label-that-comes-twice",
    "MX.A.MX.pack",
    "b.mx.a.mx.pack",
];
/// What gdnsd 3.8.1 packs it into, its OPT record included.
const GDNSD_LEN: usize = 536;

/// The suffixes of a name in wire form, longest first, without the root.
fn suffixes(name: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut at = 0;
    while name[at] != 0 {
        all.push(name[at..].to_ascii_lowercase());
        at += 1 + usize::from(name[at]);
    }
    all
}

/// The fewest octets that records of one owner can take, one name at the end of each after `fixed` octets:
/// every name cut at its longest suffix that the message has already.
fn least_len(packet: &[u8], before: &[Vec<u8>], names: &[Vec<u8>], fixed: usize) -> usize {
    let mut known: HashSet<Vec<u8>> = before.iter().flat_map(|name| suffixes(name)).collect();
    let mut len = packet.len();
    for name in names {
        let own = suffixes(name);
        let shared = own.iter().find(|suffix| known.contains(*suffix));
        len += 12 + fixed + shared.map_or(name.len(), |suffix| name.len() - suffix.len() + 2);
        known.extend(own);
    }
    len
}

#[test]
fn a_set_made_to_be_hard_to_pack_is_packed_as_tightly_as_can_be() {
    let mut records = "alias CNAME pack.torture\n".to_owned();
    for (n, exchange) in TO_PACK.iter().enumerate() {
        writeln!(records, "pack.torture MX {n} {exchange}").unwrap();
    }
    let mut server = server_of(&records);
    let wire = |name: &str| Ask::read(&format!("{name}.many.test. MX")).name.as_wire().to_vec();
    let names = TO_PACK.map(wire);

    let packet = [&ask("pack.torture.", "MX")[..], &opt(1232, 0, &[])].concat();
    let packet = [&packet[..11], &[1], &packet[12..]].concat();
    let (_, reply) = sent_to(&mut server, &packet, true);
    assert_eq!(read(&reply).answers.len(), 20);
    assert_eq!(reply.len(), least_len(&packet, &[wire("pack.torture")], &names, 2));
    assert!(reply.len() <= GDNSD_LEN + GDNSD_LEN / 10, "{}", reply.len());

    // Behind an alias the same records are packed anew, by what stands before them.
    let packet = ask("alias.", "MX");
    let (_, reply) = sent_to(&mut server, &packet, false);
    assert_eq!(read(&reply).answers.len(), 21);
    let before = [wire("alias"), wire("pack.torture")];
    // The alias's own record: owner and the end of its target are pointers.
    let cname = 12 + wire("pack.torture").len() - wire("x").len() + 4;
    let least = least_len(&packet, &before, &names, 2) + cname;
    assert!(reply.len() <= least + least / 10, "{} is more than {least}", reply.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Names of few different labels repeat and share all that names can.
    #[test]
    fn whatever_the_names_they_are_packed_as_tightly_as_can_be_and_read_back(
        names in prop::collection::vec(prop::collection::vec(select(vec!["a", "b", "ab"]), 1..7), 1..12),
    ) {
        let names: BTreeSet<String> = names.iter().map(|labels| labels.join(".")).collect();
        let mut records = "alias CNAME a.b\n".to_owned();
        for exchange in &names {
            writeln!(records, "a.b MX 7 {exchange}").unwrap();
        }
        let mut server = server_of(&records);
        let wire = |name: &str| Ask::read(&format!("{name}.many.test. MX")).name.as_wire().to_vec();
        let wires: Vec<_> = names.iter().map(|name| wire(name)).collect();
        let packet = ask("a.b.", "MX");
        let (_, reply) = sent_to(&mut server, &packet, false);
        prop_assert_eq!(reply.len(), least_len(&packet, &[wire("a.b")], &wires, 2));
        for (owner, before) in [("a.b.", 0), ("alias.", 1)] {
            let (_, reply) = sent_to(&mut server, &ask(owner, "MX"), false);
            let answers = read(&reply).answers;
            let exchanges: Vec<_> = answers[before..].iter().map(|a| a.data.to_string()).collect();
            let said = names.iter().map(|name| format!("7 {name}.many.test."));
            prop_assert_eq!(exchanges, said.collect::<Vec<_>>());
        }
    }
}

#[test]
fn names_past_16_kib_are_whole_and_pointers_lead_before() {
    let mut records = String::new();
    for n in 0..1000 {
        writeln!(records, "many MX {n} mail-exchange-{n}.one-of-{}", n % 400).unwrap();
    }
    let mut server = server_of(&format!("{records}to CNAME many\n*.w CNAME many\n"));
    for (name, before) in [("many.", 0), ("to.", 1), (&"x".repeat(60), 1)] {
        let name = if name.len() == 60 { format!("{name}.w.") } else { name.to_owned() };
        let (outcome, reply) = sent_to(&mut server, &ask(&name, "MX"), false);
        assert!(!outcome.is_truncated && reply.len() > 0x4000, "{name}: {}", reply.len());
        let answers = read(&reply).answers;
        let exchanges: Vec<_> = answers[before..].iter().map(|a| a.data.to_string()).collect();
        let named = |n| format!("{n} mail-exchange-{n}.one-of-{}.many.test.", n % 400);
        assert_eq!(exchanges, (0..1000).map(named).collect::<Vec<_>>(), "{name}");
    }
}

// ---- Row 43: limits ----

#[test]
fn names_at_the_limit_are_answered_and_names_past_it_malformed() {
    let label = |len: u8| [&[len][..], &vec![b'x'; len.into()]].concat();
    let name = |labels: &[u8]| {
        let own: Vec<u8> = labels.iter().flat_map(|len| label(*len)).collect();
        [&own[..], b"\x07example\x04test\x00"].concat()
    };
    let table = [
        (name(&[63]), 14 + 64, Rcode::NXDOMAIN),
        (name(&[63, 63, 63, 48]), 255, Rcode::NXDOMAIN),
        (name(&[63, 63, 63, 49]), 256, Rcode::FORMERR),
        (name(&[63, 63, 63, 63]), 270, Rcode::FORMERR),
        (name(&[64]), 14 + 65, Rcode::FORMERR),
        (name(&[1; 120]), 254, Rcode::NXDOMAIN),
        (name(&[1; 121]), 256, Rcode::FORMERR),
        (label(1).repeat(127).into_iter().chain([0]).collect(), 255, Rcode::REFUSED),
        (label(1).repeat(128).into_iter().chain([0]).collect(), 257, Rcode::FORMERR),
    ];
    for (name, len, rcode) in table {
        assert_eq!(name.len(), len);
        let (outcome, _) = sent(&message(0, [1, 0, 0, 0], &[&name[..], &[0, 1, 0, 1]].concat()));
        assert_eq!(outcome.rcode, rcode, "{len} octets");
    }
}

/// The largest rrset that a zone may have goes out with the longest name and all options.
#[test]
fn the_largest_rrset_fits_a_message_with_all_around_it() {
    // 240 × 268 octets with the overhead of each, 64,320 of the 65,023 that may be; and a bit more.
    let text = "t".repeat(251);
    let mut records = String::new();
    for n in 0..242 {
        writeln!(records, "*.w TXT \"{n:03}{text}\"").unwrap();
    }
    let mut server = server_of(&records);
    let own = "x".repeat(63);
    let name = format!("{own}.{own}.{own}.{}.w.", "x".repeat(49));
    let mut packet = ask(&name, "TXT");
    assert_eq!(packet.len(), 12 + 255 + 4);
    packet[11] = 1;
    let subnet = [&[0, 8, 0, 20, 0, 2, 128, 0][..], &[0x20; 16]].concat();
    let options = [&subnet[..], &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 3, 0, 0]].concat();
    packet.extend(opt(1232, 0, &options));
    let (outcome, reply) = sent_to(&mut server, &packet, false);
    assert!(!outcome.is_truncated, "{}", reply.len());
    assert!(reply.len() > 65_000, "{}", reply.len());
    assert_eq!(read(&reply).answers.len(), 242);
}
