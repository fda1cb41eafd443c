//! Every duty that a client subnet brings (RFC 7871), as packets: each octet of query and response.
//!
//! The table beside this file has a row for each way in which a client subnet can come, or not come, with
//! one kind of question. A row names the duties that it shows and what it is met with; the snapshot has the
//! octets. No duty is without a packet.
//!
//! What cannot be read as a query of ours (another EDNS version, another operation) has no client subnet
//! that we would know of, so its error has none either. BIND and Knot do the same for a version; for an
//! operation some peers echo it, and nobody sends one.

use std::fmt::Write as _;
use std::net::IpAddr;

use hickory_proto::op::Message;

use super::server::{Ask, Server, UDP_MAX, arrival, opt, shown};
use crate::dns::{Outcome, Rcode};

/// What a server owes to clients that send a client subnet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Duty {
    /// It is in every response to a query that had one (§7.2.1, §12.1).
    Always,
    /// It is in no response to a query that had none (§7.2.1).
    Unasked,
    /// Family, source and address come back octet for octet (§7.2.1).
    Echo,
    /// An answer that is for everybody has scope 0 (§7.2.1).
    ForAll,
    /// An answer that is not says how far it reaches (§7.2.1).
    Reach,
    /// A source too short to tell is answered with a scope that is longer, so that nobody else gets the
    /// answer from a cache (§7.2.1, §7.3.1).
    TooShort,
    /// Of several parts the longest scope counts (§7.2.1).
    Longest,
    /// A family that does not exist is malformed (§7.1.2).
    Family,
    /// So are bits behind the source length, and octets too many or too few (§6, §7.1.2).
    Octets,
    /// So is a source length that the family does not have (§6).
    Length,
    /// So is a scope in a query (§6).
    Scope,
    /// Source 0 is answered, by the resolver's address, with scope 0 (§7.1.2, §7.2.1).
    OptOut,
    /// For an address that is private the resolver's counts, and the scope is the private block (§10, §11.3).
    Private,
    /// Negative answers have scope 0 (§7.4).
    Negative,
    /// Delegations have scope 0, and their glue does not look at the subnet (§7.4).
    Delegation,
    /// What is beside the answer does not look at the subnet (§7.2.1).
    Additional,
    /// So has what DNSSEC says of a delegation: it is signed once, for everybody.
    Dnssec,
    /// Of a chain whose parts have different scopes only the first CNAME is sent (§7.2.1).
    Chain,
    /// REFUSED is for what is not ours, never for a subnet, since resolvers drop it then (§7.1.3).
    Refused,
    /// An IPv4 address in an IPv6 one is what it means, and still comes back as it came (RFC 4291 §2.5.5).
    Embedded,
    /// Of two the first counts, and one comes back.
    Twice,
}

impl Duty {
    const ALL: [Self; 21] = [
        Self::Always,
        Self::Unasked,
        Self::Echo,
        Self::ForAll,
        Self::Reach,
        Self::TooShort,
        Self::Longest,
        Self::Family,
        Self::Octets,
        Self::Length,
        Self::Scope,
        Self::OptOut,
        Self::Private,
        Self::Negative,
        Self::Delegation,
        Self::Additional,
        Self::Dnssec,
        Self::Chain,
        Self::Refused,
        Self::Embedded,
        Self::Twice,
    ];
}

/// What a shape is met with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Met {
    /// The client subnet of the query, with this scope.
    Scope(u8),
    /// FORMERR, question and an OPT record without options.
    FormErr,
    /// This code, and no client subnet.
    Without(Rcode),
}

/// One way in which a client subnet can come, or not come.
struct Shape {
    what: &'static str,
    duties: Vec<Duty>,
    ask: &'static str,
    /// The octets that are sent.
    packet: Vec<u8>,
    /// Where the question ends in them.
    question_end: usize,
    is_udp: bool,
    client: IpAddr,
    /// The data of the first client subnet.
    subnet: Option<Vec<u8>>,
    met: Met,
}

/// A row for each shape: the question as [`Ask`] reads it, the client subnet, what it is met with, the
/// duties that it shows, and what it is. `+class`, `+opcode` and `+version` change that number.
const TABLE: &str = include_str!("client_subnets.table");

fn shapes() -> Vec<Shape> {
    let rows = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(Shape::read).collect()
}

impl Shape {
    fn read(row: &'static str) -> Self {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [ask, subnet, met, duties, what] = cells[..] else { panic!("{row}") };
        let (question, changes) = split_changes(ask);
        let mut asked = Ask::read(question);
        let (payload, _) = asked.edns.take().unwrap_or((1232, Vec::new()));
        let mut packet = asked.packet();
        let question_end = packet.len();
        let subnets = subnets_of(subnet);
        if let Some(options) = options_of(subnet, &subnets) {
            packet[11] = 1;
            packet.extend(opt(payload, 0, &options));
        }
        for (change, number) in changes {
            match change {
                "+class" => packet[question_end - 1] = number,
                "+opcode" => packet[2] |= number << 3,
                "+version" => packet[question_end + 6] = number,
                change => panic!("`{change}` means nothing"),
            }
        }
        let named = |word: &str| Duty::ALL.into_iter().find(|duty| format!("{duty:?}") == word);
        Self {
            what,
            duties: duties.split(' ').map(|word| named(word).expect(word)).collect(),
            ask,
            packet,
            question_end,
            is_udp: asked.is_udp,
            client: asked.client,
            subnet: subnets.into_iter().next(),
            met: Met::read(met),
        }
    }

    /// What comes back.
    fn send(&self) -> (Outcome, Vec<u8>) {
        let room = if self.is_udp { UDP_MAX } else { 65_535 };
        Server::new_once().send(&self.packet, arrival(self.client, self.is_udp), room)
    }
}

/// The question, and the changes behind it.
fn split_changes(ask: &'static str) -> (&'static str, Vec<(&'static str, u8)>) {
    let changes = ["+class", "+opcode", "+version"];
    let Some(at) = changes.iter().filter_map(|word| ask.find(word)).min() else {
        return (ask, Vec::new());
    };
    let words: Vec<_> = ask[at..].split(' ').collect();
    (&ask[..at], words.chunks(2).map(|pair| (pair[0], pair[1].parse().unwrap())).collect())
}

/// The data of each client subnet in a cell.
fn subnets_of(cell: &str) -> Vec<Vec<u8>> {
    match cell {
        "no OPT" | "none" => Vec::new(),
        "empty" => vec![Vec::new()],
        raw if raw.starts_with("raw") => Vec::new(),
        subnets => subnets.split(';').map(unhex).collect(),
    }
}

/// What stands in the OPT record, if there is one.
fn options_of(cell: &str, subnets: &[Vec<u8>]) -> Option<Vec<u8>> {
    match (cell, cell.strip_prefix("raw")) {
        ("no OPT", _) => None,
        (_, Some(octets)) => Some(unhex(octets)),
        _ => Some(subnets.iter().flat_map(|data| option(data)).collect()),
    }
}

fn option(data: &[u8]) -> Vec<u8> {
    [&[0, 8, 0, u8::try_from(data.len()).unwrap()], data].concat()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let octets = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    octets.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

impl Met {
    fn read(cell: &str) -> Self {
        match cell.split_once(' ') {
            None if cell == "FORMERR" => Self::FormErr,
            Some(("scope", bits)) => Self::Scope(bits.parse().unwrap()),
            Some(("without,", "NOERROR")) => Self::Without(Rcode::NOERROR),
            Some(("without,", "NOTIMP")) => Self::Without(Rcode::NOTIMP),
            Some(("without,", "BADVERS")) => Self::Without(Rcode::BADVERS),
            _ => panic!("`{cell}` means nothing"),
        }
    }
}

/// The data of every client subnet in a message.
fn subnets_in(message: &[u8]) -> Vec<Vec<u8>> {
    Printer::of(message).subnets
}

/// A reply in words, but for those that the library cannot read: it knows no family 0.
fn words(reply: &[u8]) -> String {
    Message::from_vec(reply).map_or_else(|_| "family 0\n".to_owned(), |_| shown(reply))
}

#[test]
fn every_shape_is_met_as_its_duties_say() {
    for shape in shapes() {
        let (outcome, reply) = shape.send();
        let said = format!("{}: {}", shape.what, words(&reply));
        let found = subnets_in(&reply);
        match shape.met {
            Met::Scope(scope) => {
                let mut echoed = shape.subnet.unwrap();
                echoed[3] = scope;
                assert_eq!(found, [echoed], "{said}");
                assert_ne!(outcome.rcode, Rcode::FORMERR, "{said}");
            }
            Met::FormErr => {
                assert_eq!(outcome.rcode, Rcode::FORMERR, "{said}");
                let (question, rest) = reply.split_at(shape.question_end);
                assert_eq!(question[12..], shape.packet[12..shape.question_end], "{said}");
                assert_eq!(rest, opt(1232, 0, &[]), "{said}");
            }
            Met::Without(rcode) => {
                assert_eq!((outcome.rcode, found.len()), (rcode, 0), "{said}");
                assert_eq!(reply[11], shape.packet[11], "{said}: an OPT record for one");
            }
        }
    }
}

#[test]
fn every_duty_has_packets() {
    let shapes = shapes();
    for duty in Duty::ALL {
        assert!(shapes.iter().any(|shape| shape.duties.contains(&duty)), "{duty:?}");
    }
    assert!(shapes.len() >= 40);
}

#[test]
fn golden_packets() {
    let mut text = String::new();
    for shape in shapes() {
        let Shape { what, duties, ask, packet, .. } = &shape;
        let (_, reply) = shape.send();
        writeln!(text, "## {what} {duties:?}\n\n{ask}\n{}", words(&reply)).unwrap();
        write!(text, "query\n{}response\n{}\n", octets(packet), octets(&reply)).unwrap();
    }
    insta::assert_snapshot!(text);
}

/// Every length of a source, of every family that a reader might know, with the octets that it needs.
#[test]
fn every_source_length_of_every_family_is_judged() {
    for family in 0..=4_u8 {
        for source in 0..=u8::MAX {
            let address = vec![0; usize::from(source).div_ceil(8)];
            let data = [&[0, family, source, 0][..], &address].concat();
            let mut packet = Ask::read("mail A").packet();
            packet[11] = 1;
            packet.extend(opt(1232, 0, &option(&data)));
            let client = "192.0.2.1".parse().unwrap();
            let mut server = Server::new_once();
            let (outcome, reply) = server.send(&packet, arrival(client, true), UDP_MAX);
            let len_max = match family {
                0 => Some(0),
                1 => Some(32),
                2 => Some(128),
                _ => None,
            };
            if len_max.is_some_and(|len_max| source <= len_max) {
                assert_eq!(outcome.rcode, Rcode::NOERROR, "family {family}, source {source}");
                assert_eq!(subnets_in(&reply), [data], "family {family}, source {source}");
            } else {
                assert_eq!(outcome.rcode, Rcode::FORMERR, "family {family}, source {source}");
            }
        }
    }
}

// ---- Octets in print ----

/// A message part by part: the octets, and what they are.
fn octets(message: &[u8]) -> String {
    Printer::of(message).text
}

struct Printer<'a> {
    message: &'a [u8],
    at: usize,
    text: String,
    /// The data of the client subnets that were seen.
    subnets: Vec<Vec<u8>>,
}

/// Octets of a line.
const LINE: usize = 16;

impl<'a> Printer<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut printer = Self { message, at: 0, text: String::new(), subnets: Vec::new() };
        if printer.read().is_none() {
            printer.part(message.len() - printer.at, "what is left of it");
        }
        printer
    }

    fn read(&mut self) -> Option<()> {
        let count = |at| u16::from_be_bytes([self.message[at], self.message[at + 1]]);
        let counts = [4, 6, 8, 10].map(count);
        self.part(12, "header");
        for _ in 0..counts[0] {
            let len = self.name_len()?;
            self.part(len, "name asked for");
            self.part(4, "type, class");
        }
        let sections = ["answer", "authority", "additional"];
        for (section, count) in sections.iter().zip(&counts[1..]) {
            for _ in 0..*count {
                self.record(section)?;
            }
        }
        (self.at == self.message.len()).then_some(())
    }

    fn record(&mut self, section: &str) -> Option<()> {
        let owner_len = self.name_len()?;
        let fixed = self.message.get(self.at + owner_len..self.at + owner_len + 10)?;
        let len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        if fixed[..2] != [0, 41] {
            self.part(owner_len, &format!("{section}: owner"));
            self.part(10, "type, class, TTL, length");
            self.part(len, "data");
            return Some(());
        }
        self.part(owner_len + 10, "OPT: root, type, payload, rcode, version, flags, length");
        let end = self.at + len;
        while self.at < end {
            let head = self.message.get(self.at..self.at + 4)?;
            let len = 4 + usize::from(u16::from_be_bytes([head[2], head[3]]));
            let what = match head[1] {
                8 => "client subnet: code, length, family, source, scope, address",
                15 => "extended error: code, length, info code",
                _ => "option",
            };
            let option = self.message.get(self.at..self.at + len)?;
            if option[..2] == [0, 8] {
                self.subnets.push(option[4..].to_vec());
            }
            self.part(len, what);
        }
        Some(())
    }

    fn name_len(&self) -> Option<usize> {
        let mut len = 0;
        loop {
            match *self.message.get(self.at + len)? {
                0 => return Some(len + 1),
                0xc0.. => return Some(len + 2),
                label => len += 1 + usize::from(label),
            }
        }
    }

    /// Prints the next octets; what they are stands on their first line.
    fn part(&mut self, len: usize, what: &str) {
        let octets = &self.message[self.at..self.at + len];
        for (n, line) in octets.chunks(LINE).enumerate() {
            let hex: Vec<_> = line.iter().map(|octet| format!("{octet:02x}")).collect();
            let line = format!("  {:48} {}", hex.join(" "), if n == 0 { what } else { "" });
            writeln!(self.text, "{}", line.trim_end()).unwrap();
        }
        self.at += len;
    }
}
