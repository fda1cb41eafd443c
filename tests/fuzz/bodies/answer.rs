//! One packet to a server without sockets, and what must hold of what comes back.

use std::net::IpAddr;

use hickory_proto::op::Message;
use windrose::dns::{Arrival, Dice, Kind, Outcome, handle};
use windrose::snapshot::Snapshot;

use super::wire;

/// What a query with EDNS gets to know when it asks for NSID: the longest that may be configured.
pub(super) const SERVER_ID: &str =
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

/// Option codes: NSID, client subnet, cookie, extended error.
pub(super) const NSID: u16 = 3;
pub(super) const SUBNET: u16 = 8;
pub(super) const COOKIE: u16 = 10;
const EXTENDED_ERROR: u16 = 15;

/// How a packet comes, and how large a reply may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    client: IpAddr,
    is_udp: bool,
    room: usize,
}

impl Way {
    /// Over TCP.
    pub(super) const TCP: Self =
        Self { client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), is_udp: false, room: 65_535 };

    /// One of all ways, as the bits of `octet` say.
    pub(super) fn of(octet: u8) -> Self {
        let clients = ["192.0.2.1", "203.0.113.9", "2001:db8:99::1", "::ffff:203.0.113.9"];
        let rooms = [512, 1232, 4096, 65_535];
        let client = clients[usize::from(octet & 3)].parse().expect("an address");
        let is_udp = octet & 4 == 0;
        let room = if is_udp { rooms[usize::from(octet >> 3 & 3)] } else { 65_535 };
        Self { client, is_udp, room }
    }
}

/// Sends `packet` and judges the reply.
pub(super) fn ask(snapshot: &Snapshot, packet: &[u8], way: Way) -> (Outcome, Vec<u8>) {
    let arrival = Arrival { client: way.client, is_udp: way.is_udp, unix_secs: 1_800_000_000 };
    let mut reply = vec![0; way.room];
    let outcome = handle(snapshot, packet, arrival, &mut Dice::new(7), &mut reply);
    reply.truncate(outcome.len);
    judge(packet, way, &outcome, &reply);
    (outcome, reply)
}

/// hickory-proto reads `reply` and finds the same in it.
pub(super) fn judge_by_hickory(packet: &[u8], outcome: &Outcome, reply: &[u8]) {
    // `dig +subnet=0` says family 0 for "use none" and gets it back; hickory-proto knows no such family.
    let has_no_family = reply.windows(8).any(|octets| octets == [0, 8, 0, 4, 0, 0, 0, 0]);
    if outcome.kind == Kind::Dropped || has_no_family {
        return;
    }
    let message = Message::from_vec(reply).expect("hickory-proto reads what we write");
    assert_eq!(u16::from(message.metadata.response_code), outcome.rcode.0);
    // Where it can read the query, too, it must agree about EDNS.
    if let (Ok(asked), false) =
        (Message::from_vec(packet), matches!(outcome.kind, Kind::FormErr | Kind::NotImp))
    {
        assert_eq!(message.edns.is_some(), asked.edns.is_some());
    }
}

fn judge(packet: &[u8], way: Way, outcome: &Outcome, reply: &[u8]) {
    if packet.len() < 12 || packet[2] & 0x80 != 0 {
        assert_eq!((outcome.kind, outcome.len), (Kind::Dropped, 0), "never answer an answer");
        return;
    }
    assert_ne!(outcome.kind, Kind::Dropped);
    assert!(reply.len() >= 12 && reply.len() <= way.room);
    assert_eq!(reply[..2], packet[..2], "the id");
    assert_eq!(reply[2] & !0x06, 0x80 | packet[2] & 0x79, "QR, opcode and RD");
    assert_eq!(reply[2] & 0x02 != 0, outcome.is_truncated, "TC");
    assert_eq!(reply[3] & 0xf0, 0, "RA, Z, AD and CD");
    let question_len = judge_question(packet, outcome, reply);

    let message = wire::read(reply, question_len).expect("records as the header counts them");
    assert_eq!(message.end, reply.len(), "nothing behind the last record");
    let opts = || message.records.iter().filter(|record| record.is_opt());
    let others = || message.records.iter().filter(|record| !record.is_opt());
    assert!(opts().count() <= 1 && others().all(|record| record.rtype != 41));
    assert!(others().all(|record| record.class == 1 || record.class == 3));
    let rcode_high = opts().next().map_or(0, |opt| opt.ttl >> 24 << 4);
    assert_eq!(u32::from(reply[3] & 0xf) | rcode_high, u32::from(outcome.rcode.0));
    if outcome.is_truncated && outcome.kind != Kind::Referral {
        assert_eq!(others().filter(|record| record.section != 0).count(), 0);
    }

    let asked = wire::question_len(packet).and_then(|len| wire::read(packet, len));
    let asked = asked.map_or(Vec::new(), |message| message.records);
    let asked_opt = asked.iter().find(|record| record.is_opt());
    let payload = asked_opt.map_or(512, |opt| usize::from(opt.class.max(512)));
    assert!(!way.is_udp || reply.len() <= payload, "{} of {payload} octets", reply.len());
    if let Some(opt) = opts().next() {
        assert!(opt.class >= 512, "a payload that RFC 6891 allows");
        let options = wire::options(opt.rdata).expect("options that fill their record");
        let asked = asked_opt.and_then(|opt| wire::options(opt.rdata)).unwrap_or_default();
        judge_options(&asked, outcome, &options);
    }
}

/// The question comes back octet for octet whenever it could be read at all. Returns its length.
fn judge_question(packet: &[u8], outcome: &Outcome, reply: &[u8]) -> usize {
    let is_query = packet[2] & 0x78 == 0;
    match wire::question_len(packet).filter(|_| is_query) {
        Some(len) => {
            assert_eq!(wire::u16_at(reply, 4), 1);
            assert_eq!(reply.get(12..12 + len), packet.get(12..12 + len), "the question");
            len
        }
        None => {
            assert!(matches!(outcome.kind, Kind::FormErr | Kind::NotImp), "{outcome:?}");
            assert_eq!(wire::u16_at(reply, 4), 0);
            // RFC 6891 §6.1.1: with an OPT record if there was one.
            assert!(matches!(reply.len(), 12 | 23), "a header, and an OPT record at most");
            0
        }
    }
}

/// What is answered to options: nothing that was not asked for, and each as its RFC wants.
fn judge_options(asked: &[(u16, &[u8])], outcome: &Outcome, replied: &[(u16, &[u8])]) {
    let first = |options: &[(u16, &[u8])], code| {
        options.iter().find(|(known, _)| *known == code).map(|(_, data)| data.to_vec())
    };
    for (n, (code, _)) in replied.iter().enumerate() {
        assert!([NSID, SUBNET, COOKIE, EXTENDED_ERROR].contains(code), "option {code}");
        assert!(replied[..n].iter().all(|(before, _)| before != code), "option {code} twice");
        assert!(*code == EXTENDED_ERROR || first(asked, *code).is_some(), "option {code} unasked");
    }
    if matches!(outcome.kind, Kind::FormErr | Kind::BadVers | Kind::NotImp) {
        assert!(replied.is_empty(), "an error of the envelope has no options");
        return;
    }
    let subnet = first(replied, SUBNET);
    assert_eq!(subnet.is_some(), first(asked, SUBNET).is_some(), "client subnet in both or none");
    if let (Some(subnet), Some(asked)) = (subnet, first(asked, SUBNET)) {
        let (source, scope) = (subnet[2], subnet[3]);
        assert_eq!((&subnet[..3], &subnet[4..]), (&asked[..3], &asked[4..]), "RFC 7871 §7.2.1");
        assert!(scope <= if wire::u16_at(&subnet, 0) == 1 { 32 } else { 128 });
        assert!(source != 0 || scope == 0, "nothing was told that a scope could be a part of");
        let is_for_all = matches!(
            outcome.kind,
            Kind::NoData | Kind::NxDomain | Kind::Referral | Kind::NotOurs | Kind::Refused
        );
        assert!(!is_for_all || scope == 0, "RFC 7871 §7.4: {outcome:?}");
    }
    let cookie = first(replied, COOKIE);
    if let Some(asked) = first(asked, COOKIE) {
        let cookie = cookie.unwrap_or_default();
        assert_eq!((cookie.len(), &cookie[..8]), (24, &asked[..8]), "RFC 9018 §4");
    }
    if first(asked, NSID).is_some() {
        assert_eq!(first(replied, NSID).as_deref(), Some(SERVER_ID.as_bytes()));
    }
}
