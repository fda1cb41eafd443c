//! Any bytes at all: no panic, one outcome, and nothing sent that a client could not read.

use hickory_proto::op::Message;
use proptest::prelude::*;
use proptest::sample::select;

use super::server::{Ask, Server, UDP_MAX, arrival};
use crate::dns::Kind;

const QUESTIONS: [&str; 16] = [
    "www A +ecs 203.0.113.0/24",
    "www AAAA +ecs 2001:db8:99::/56",
    "keyed A +edns 4096",
    "many AAAA",
    "cdn TXT +edns 512",
    "huge TXT +edns 4096",
    "big TXT",
    "a.b.wild MX",
    "x.y.app A +ecs 10.0.0.0/8",
    "chain A",
    "ring A +edns 600",
    "a.old TXT",
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd.long A",
    "host.sub A +ecs 203.0.113.0/24",
    "nothing ANY",
    "@ SOA",
];

/// One way to spoil a packet.
#[derive(Clone, Debug)]
enum Spoil {
    Octet(usize, u8),
    Cut(usize),
    Append(Vec<u8>),
    Insert(usize, Vec<u8>),
    /// A pointer at one place to another, which may be itself.
    Pointer(usize, usize),
    /// One of the four counts.
    Count(usize, u16),
    /// The length of the first label.
    Label(u8),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        (0..80_usize, any::<u8>()).prop_map(|(at, octet)| Spoil::Octet(at, octet)),
        (0..80_usize).prop_map(Spoil::Cut),
        bytes().prop_map(Spoil::Append),
        (12..60_usize, bytes()).prop_map(|(at, bytes)| Spoil::Insert(at, bytes)),
        (12..60_usize, 0..60_usize).prop_map(|(at, to)| Spoil::Pointer(at, to)),
        (0..4_usize, prop_oneof![0..4_u16, any::<u16>()]).prop_map(|(n, c)| Spoil::Count(n, c)),
        any::<u8>().prop_map(Spoil::Label),
    ]
}

fn spoilt(mut packet: Vec<u8>, spoils: &[Spoil]) -> Vec<u8> {
    for spoil in spoils {
        match spoil {
            Spoil::Octet(at, octet) => set(&mut packet, *at, &[*octet]),
            Spoil::Cut(len) => packet.truncate(*len),
            Spoil::Append(bytes) => packet.extend_from_slice(bytes),
            Spoil::Insert(at, bytes) => {
                let at = (*at).min(packet.len());
                packet.splice(at..at, bytes.iter().copied());
            }
            Spoil::Pointer(at, to) => set(&mut packet, *at, &[0xc0, u8::try_from(*to).unwrap()]),
            Spoil::Count(n, count) => set(&mut packet, 4 + 2 * n, &count.to_be_bytes()),
            Spoil::Label(len) => set(&mut packet, 12, &[*len]),
        }
    }
    packet
}

fn set(packet: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(place) = packet.get_mut(at..at + octets.len()) {
        place.copy_from_slice(octets);
    }
}

/// Any name of letters and odd octets, also the longest ones.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let label = prop::collection::vec(any::<u8>(), 1..=63);
    prop::collection::vec(label, 0..6).prop_map(|labels| {
        let mut wire = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend(label);
        }
        wire.push(0);
        wire
    })
}

/// What must hold whatever came in.
fn check(packet: &[u8], is_udp: bool) -> Result<(), TestCaseError> {
    let mut server = Server::new_once();
    let client = "192.0.2.1".parse().unwrap();
    let room = if is_udp { UDP_MAX } else { 65_535 };
    let (outcome, reply) = server.send(packet, arrival(client, is_udp), room);
    if packet.len() < 12 || packet[2] & 0x80 != 0 {
        prop_assert_eq!((outcome.kind, outcome.len), (Kind::Dropped, 0));
        return Ok(());
    }
    prop_assert!(outcome.kind != Kind::Dropped);
    prop_assert!(outcome.len >= 12 && outcome.len <= room);
    prop_assert_eq!(&reply[..2], &packet[..2]);
    prop_assert!(reply[2] & 0x80 != 0);
    let message = Message::from_vec(&reply);
    prop_assert!(message.is_ok(), "{message:?}");
    let message = message.unwrap();
    prop_assert_eq!(u16::from(message.metadata.response_code), outcome.rcode.0);
    if is_udp && message.edns.is_none() {
        prop_assert!(outcome.len <= 512, "{}", outcome.len);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn noise(packet in prop::collection::vec(any::<u8>(), 0..600), is_udp in any::<bool>()) {
        check(&packet, is_udp)?;
    }

    #[test]
    fn noise_behind_a_header(
        body in prop::collection::vec(any::<u8>(), 0..300),
        counts in prop::collection::vec(0..3_u8, 4),
    ) {
        let header = [7, 7, 1, 0, 0, counts[0], 0, counts[1], 0, counts[2], 0, counts[3]];
        check(&[&header[..], &body].concat(), true)?;
    }

    #[test]
    fn spoilt_queries(
        question in select(QUESTIONS.to_vec()),
        spoils in prop::collection::vec(spoil(), 1..5),
        is_udp in any::<bool>(),
    ) {
        check(&spoilt(Ask::read(question).packet(), &spoils), is_udp)?;
    }

    #[test]
    fn every_cut_of_a_query(question in select(QUESTIONS.to_vec())) {
        let packet = Ask::read(question).packet();
        for len in 0..packet.len() {
            check(&packet[..len], true)?;
        }
    }

    #[test]
    fn any_name_of_ours_or_others(
        name in any_name(),
        is_ours in any::<bool>(),
        qtype in any::<u16>(),
        payload in any::<u16>(),
    ) {
        let mut packet = vec![7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        packet.extend_from_slice(&name[..name.len() - 1]);
        packet.extend_from_slice(if is_ours { b"\x03app\x07example\x04test\x00" } else { b"\x00" });
        packet.extend_from_slice(&qtype.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        packet.extend_from_slice(&super::server::opt(payload, 0, &[]));
        check(&packet, true)?;
    }
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
            packet.extend_from_slice(&super::server::opt(512, 0, &options));
            let mut server = Server::new_once();
            let arrival = arrival("192.0.2.1".parse().unwrap(), true);
            let (outcome, reply) = server.send(&packet, arrival, 512);
            assert!(outcome.len <= 512);
            assert!(reply.windows(64).any(|octets| octets == [b'n'; 64]), "the id is told");
            assert!(Message::from_vec(&reply).is_ok());
        }
    }
}
