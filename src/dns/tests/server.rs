//! A server without sockets, asked in words.
//!
//! ```text
//! www A                              the name is relative to example.test
//! www A +ecs 203.0.113.0/24 +tcp     with a client subnet, over TCP
//! www A +edns 4096 +from 192.0.2.1   with EDNS and that payload, from that resolver
//! ```

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;

use crate::dns::{Arrival, Buckets, Dice, Outcome, Read, handle};
use crate::geo::Atlas;
use crate::model::{Limits, Name, Prefix, RecordType, TargetHealth, Time, Verdict};
use crate::snapshot::gate::{Gate, SECRET_LEN};
use crate::snapshot::{Blueprint, Conditions, Snapshot};
use crate::testing;

/// Octets of a reply over UDP, as the listeners allow by default.
pub(super) const UDP_MAX: usize = 1232;
const TCP_MAX: usize = 65_535;

#[derive(Clone)]
pub(super) struct Server {
    snapshot: Snapshot,
    dice: Dice,
}

/// How a packet came; the hour does not matter here.
pub(super) const fn arrival(client: IpAddr, is_udp: bool) -> Arrival {
    Arrival { client, is_udp, unix_secs: 1_800_000_000 }
}

/// A question that can be varied.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) name: Name,
    pub(super) qtype: RecordType,
    /// Payload and options, if there is to be an OPT record.
    pub(super) edns: Option<(u16, Vec<u8>)>,
    pub(super) is_udp: bool,
    pub(super) client: IpAddr,
}

impl Server {
    pub(super) fn new() -> Self {
        Self::of(&[
            ("example.test.toml", include_str!("example.test.toml")),
            ("example.test.zone", include_str!("example.test.zone")),
        ])
    }

    /// A server of other zones, given by their files.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let zones = testing::zones(files);
        let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
        let down = TargetHealth {
            verdict: Verdict::Down,
            since: Time::ZERO,
            next_change: Duration::from_secs(20),
            agreed_by: 1,
            is_answering: false,
        };
        let gate = Gate {
            server_id: "n".repeat(64).into(), // The longest that may be configured.
            cookie_secrets: vec![[7; SECRET_LEN]],
            ..Gate::default()
        };
        let snapshot = Snapshot::compile(blueprint, 1, &Conditions::new(Time::ZERO, &|_| down))
            .unwrap()
            .with_gate(gate);
        Self { snapshot, dice: Dice::new(7) }
    }

    /// The same server for every one of many cases.
    pub(super) fn new_once() -> Self {
        static ONCE: LazyLock<Server> = LazyLock::new(Server::new);
        ONCE.clone()
    }

    /// What `packet` is answered, if anything, into a buffer of `room` octets.
    pub(super) fn send(
        &mut self,
        packet: &[u8],
        arrival: Arrival,
        room: usize,
    ) -> (Outcome, Vec<u8>) {
        let mut out = vec![0; room];
        let outcome = handle(&self.snapshot, packet, arrival, &mut self.dice, &mut out);
        out.truncate(outcome.len);
        (outcome, out)
    }

    /// The same server with other limits.
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        let gate = Gate { limits, ..self.snapshot.gate().clone() };
        Self { snapshot: self.snapshot.with_gate(gate), ..self }
    }

    /// What `packet` is answered over UDP when it is limited.
    pub(super) fn send_limited(
        &mut self,
        packet: &[u8],
        arrival: Arrival,
        buckets: &Buckets,
    ) -> (Outcome, Vec<u8>) {
        let mut out = vec![0; UDP_MAX];
        let read = Read::new(&self.snapshot, packet);
        let answered = read.answer(arrival, &mut self.dice, &mut out);
        let outcome = read.limit(answered, buckets, arrival, &mut self.dice, &mut out);
        out.truncate(outcome.len);
        (outcome, out)
    }

    pub(super) fn ask(&mut self, ask: &Ask) -> (Outcome, Vec<u8>) {
        let arrival = arrival(ask.client, ask.is_udp);
        let room = if ask.is_udp { UDP_MAX } else { TCP_MAX };
        let packet = ask.packet();
        let (outcome, reply) = self.send(&packet, arrival, room);
        judge(&packet, ask.is_udp, &outcome, &reply);
        (outcome, reply)
    }

    /// The answer in words.
    pub(super) fn answer(&mut self, ask: &str) -> String {
        let (_, reply) = self.ask(&Ask::read(ask));
        shown(&reply)
    }

    /// The records of the answer section alone.
    pub(super) fn records(&mut self, ask: &str) -> Vec<String> {
        let (_, reply) = self.ask(&Ask::read(ask));
        Message::from_vec(&reply).unwrap().answers.iter().map(ToString::to_string).collect()
    }
}

impl Ask {
    pub(super) fn read(text: &str) -> Self {
        let origin: Name = "example.test.".parse().unwrap();
        let mut words = text.split_whitespace();
        let mut next = || words.next().unwrap_or("");
        let name = Name::parse(next(), &origin).unwrap();
        let qtype = next().parse().unwrap();
        let client = "198.18.0.53".parse().unwrap();
        let mut ask = Self { name, qtype, edns: None, is_udp: true, client };
        loop {
            match next() {
                "" => return ask,
                "+tcp" => ask.is_udp = false,
                "+edns" => ask.edns = Some((next().parse().unwrap(), Vec::new())),
                "+from" => ask.client = next().parse().unwrap(),
                "+ecs" => {
                    let (payload, _) = ask.edns.unwrap_or((1232, Vec::new()));
                    ask.edns = Some((payload, subnet_option(next().parse().unwrap())));
                }
                word => panic!("`{word}` means nothing"),
            }
        }
    }

    pub(super) fn packet(&self) -> Vec<u8> {
        let mut packet = vec![0xca, 0xfe, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(self.name.as_wire());
        packet.extend_from_slice(&self.qtype.0.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        if let Some((payload, options)) = &self.edns {
            packet[11] = 1;
            packet.extend_from_slice(&opt(*payload, 0, options));
        }
        packet
    }
}

/// An OPT record.
pub(super) fn opt(payload: u16, version: u8, options: &[u8]) -> Vec<u8> {
    let len = u16::try_from(options.len()).unwrap();
    let [high, low] = payload.to_be_bytes();
    [&[0, 0, 41, high, low, 0, version, 0, 0], &len.to_be_bytes()[..], options].concat()
}

/// A client subnet option with code and length, as RFC 7871 §6 wants it.
fn subnet_option(prefix: Prefix) -> Vec<u8> {
    let (family, octets) = match prefix.address() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let octets = &octets[..usize::from(prefix.len()).div_ceil(8)];
    let len = u8::try_from(4 + octets.len()).unwrap();
    [&[0, 8, 0, len, 0, family, prefix.len(), 0], octets].concat()
}

/// What every reply to a well-formed query must be.
pub(super) fn judge(packet: &[u8], is_udp: bool, outcome: &Outcome, reply: &[u8]) {
    let asked = Message::from_vec(packet).unwrap();
    let message = Message::from_vec(reply).unwrap();
    assert_eq!(message.metadata.id, asked.metadata.id);
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert_eq!(message.metadata.op_code, asked.metadata.op_code);
    assert_eq!(message.metadata.recursion_desired, asked.metadata.recursion_desired);
    assert!(!message.metadata.recursion_available);
    assert_eq!(message.metadata.truncation, outcome.is_truncated);
    assert_eq!(u16::from(message.metadata.response_code), outcome.rcode.0);
    // The question as it came, octet for octet: resolvers compare its case.
    let question = 12..12 + asked.queries[0].name().len() + 4;
    assert_eq!(packet[question.clone()], reply[question]);
    // EDNS and client subnet in every answer to a query that has them, and in no other.
    assert_eq!(message.edns.is_some(), asked.edns.is_some());
    let has_subnet = |message: &Message| {
        message.edns.as_ref().is_some_and(|edns| edns.option(EdnsCode::Subnet).is_some())
    };
    assert_eq!(has_subnet(&message), has_subnet(&asked));
    let payload = asked.edns.map_or(512, |edns| usize::from(edns.max_payload().max(512)));
    assert!(reply.len() <= if is_udp { payload.min(UDP_MAX) } else { TCP_MAX });
    // A CNAME is alone at its name (RFC 1034 §3.6.2).
    for cname in message.answers.iter().filter(|record| record.record_type().to_string() == "CNAME")
    {
        let others = message.answers.iter().filter(|other| other.name == cname.name);
        assert!(
            others.clone().all(|other| other.record_type() == cname.record_type()),
            "{message}"
        );
    }
}

/// A reply in words: what matters in its header, its records, its client subnet.
pub(super) fn shown(reply: &[u8]) -> String {
    let message = Message::from_vec(reply).unwrap();
    let flags = [(message.metadata.authoritative, " AA"), (message.metadata.truncation, " TC")];
    let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
    let rcode = match message.metadata.response_code {
        ResponseCode::BADSIG => "BadVers".to_owned(), // Both are 16 (RFC 6895 §2.3).
        rcode => format!("{rcode:?}"),
    };
    let mut text = format!("{rcode}{flags}\n");
    let sections = [
        ("answer", &message.answers),
        ("authority", &message.authorities),
        ("additional", &message.additionals),
    ];
    for (section, record) in
        sections.iter().flat_map(|(s, records)| records.iter().map(move |r| (s, r)))
    {
        let record = record.to_string();
        let record: String = record.chars().take(110).collect();
        writeln!(text, "  {section} {}", record.trim_end()).unwrap();
    }
    if let Some(edns) = &message.edns {
        write!(text, "  edns {}", edns.max_payload()).unwrap();
        // The OPT record is the last in a reply, so its options are the last octets.
        let len: usize =
            edns.options().as_ref().iter().map(|(_, o)| 4 + usize::from(o.len())).sum();
        let mut rest = &reply[reply.len() - len..];
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let code = u16::from_be_bytes([head[0], head[1]]);
            let (data, behind) = behind.split_at(u16::from_be_bytes([head[2], head[3]]).into());
            match code {
                8 => write!(text, " subnet {}", subnet_shown(data)),
                15 => write!(text, " ede {}", u16::from_be_bytes([data[0], data[1]])),
                _ => write!(text, " option {code}"),
            }
            .unwrap();
            rest = behind;
        }
        text.push('\n');
    }
    text
}

/// `203.0.113.0/24 scope 24`.
fn subnet_shown(data: &[u8]) -> String {
    let (source, scope, octets) = (data[2], data[3], &data[4..]);
    let mut all = [0; 16];
    all[..octets.len()].copy_from_slice(octets);
    let address: IpAddr = match data[1] {
        2 => all.into(),
        _ => all.first_chunk::<4>().copied().unwrap().into(),
    };
    format!("{address}/{source} scope {scope}")
}
