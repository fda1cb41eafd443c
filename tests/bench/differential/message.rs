//! Questions as octets, and answers as values that can be compared.
//!
//! The reader here is its own: it shares nothing with what it judges. Names are unfolded and in lower
//! case, records of a section are sorted, the OPT record is a flag: two answers that mean the same are
//! equal.

use std::fmt;

use windrose::model::{Name, RecordType};
use windrose::zone::rdata_to_text;

/// A question with all that makes it a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    /// The name in wire form, its case as sent.
    pub(crate) name: Vec<u8>,
    /// The type.
    pub(crate) qtype: RecordType,
    /// The class.
    pub(crate) class: u16,
    /// Whether recursion is desired.
    pub(crate) recursion: bool,
    /// EDNS with this payload size, if any.
    pub(crate) payload: Option<u16>,
    /// The DO bit, where there is EDNS.
    pub(crate) dnssec_ok: bool,
}

impl Question {
    /// The packet.
    pub(crate) fn packet(&self, id: u16) -> Vec<u8> {
        let mut packet = Vec::with_capacity(300);
        packet.extend(id.to_be_bytes());
        packet.extend([u8::from(self.recursion), 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        packet[11] = u8::from(self.payload.is_some());
        packet.extend(&self.name);
        packet.extend(self.qtype.0.to_be_bytes());
        packet.extend(self.class.to_be_bytes());
        if let Some(payload) = self.payload {
            packet.extend([0, 0, 41]);
            packet.extend(payload.to_be_bytes());
            packet.extend([0, 0, if self.dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
        }
        packet
    }

    /// Octets that an answer by UDP may have.
    pub(crate) fn room(&self) -> usize {
        usize::from(self.payload.unwrap_or(0)).max(512)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", name_text(&self.name))?;
        match self.class {
            1 => {}
            3 => f.write_str("CH ")?,
            255 => f.write_str("class ANY ")?,
            other => write!(f, "class {other} ")?,
        }
        write!(f, "{}", self.qtype)?;
        if let Some(payload) = self.payload {
            write!(f, " +bufsize={payload}")?;
        }
        f.write_str(if self.dnssec_ok { " +dnssec" } else { "" })?;
        f.write_str(if self.recursion { " +recurse" } else { "" })
    }
}

/// One record of an answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Record {
    /// The owner, unfolded and in lower case.
    pub(crate) owner: Vec<u8>,
    /// The type.
    pub(crate) rtype: RecordType,
    /// The class.
    pub(crate) class: u16,
    /// The TTL.
    pub(crate) ttl: u32,
    /// The data, names in it unfolded and in lower case.
    pub(crate) rdata: Vec<u8>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, rtype, ttl, rdata, .. } = self;
        let text = rdata_to_text(*rtype, rdata);
        write!(f, "{} {ttl} {rtype} {text:.60}", name_text(owner))
    }
}

/// An answer; [`Default`] is none at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Answer {
    /// Octets of the message; 0 for silence.
    pub(crate) len: usize,
    /// The response code, with EDNS's upper bits.
    pub(crate) rcode: u16,
    /// AA.
    pub(crate) is_authoritative: bool,
    /// TC.
    pub(crate) is_truncated: bool,
    /// RD and RA.
    pub(crate) recursion: [bool; 2],
    /// Whether there was an OPT record, and its DO bit.
    pub(crate) edns: Option<bool>,
    /// Whether hickory-proto reads it, too.
    pub(crate) is_readable: bool,
    /// Answer, authority, additional; each sorted.
    pub(crate) sections: [Vec<Record>; 3],
}

impl Answer {
    /// Reads an answer to `packet`; `None` when it is malformed or answers something else.
    pub(crate) fn parse(message: &[u8], packet: &[u8]) -> Option<Self> {
        let mut reader = Reader { message, at: 12 };
        let header = message.get(..12)?;
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let question_end = 12 + name_len(&packet[12..]) + 4;
        let is_answer = header[..2] == packet[..2] && header[2] & 0x80 != 0;
        let is_same = count(4) == 1 && message.get(12..question_end)? == &packet[12..question_end];
        if !is_answer || !(is_same || count(4) == 0) {
            return None;
        }
        if is_same {
            reader.at = question_end;
        }
        let mut answer = Self {
            len: message.len(),
            rcode: u16::from(header[3] & 0xf),
            is_authoritative: header[2] & 4 != 0,
            is_truncated: header[2] & 2 != 0,
            recursion: [header[2] & 1 != 0, header[3] & 0x80 != 0],
            is_readable: hickory_proto::op::Message::from_vec(message).is_ok(),
            ..Self::default()
        };
        for section in 0..3 {
            for _ in 0..count(6 + 2 * section) {
                let record = reader.record()?;
                if record.rtype == RecordType::OPT {
                    let [rcode_high, _, flags, _] = record.ttl.to_be_bytes();
                    answer.rcode |= u16::from(rcode_high) << 4;
                    answer.edns = Some(flags & 0x80 != 0);
                } else {
                    answer.sections[section].push(record);
                }
            }
            answer.sections[section].sort();
        }
        (reader.at == message.len()).then_some(answer)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len == 0 {
            return f.write_str("silence");
        }
        write!(f, "rcode {}", self.rcode)?;
        let flags = [
            (self.is_authoritative, " aa"),
            (self.is_truncated, " tc"),
            (self.recursion[0], " rd"),
            (self.recursion[1], " ra"),
            (self.edns.is_some(), " edns"),
        ];
        for (_, text) in flags.iter().filter(|(is_set, _)| *is_set) {
            f.write_str(text)?;
        }
        write!(f, ", {} octets", self.len)?;
        for (name, records) in ["answer", "authority", "additional"].iter().zip(&self.sections) {
            for record in records.iter().take(6) {
                write!(f, "\n      {name:<10} {record}")?;
            }
            if records.len() > 6 {
                write!(f, "\n      {name:<10} … {} in all", records.len())?;
            }
        }
        Ok(())
    }
}

/// A name in text.
pub(crate) fn name_text(wire: &[u8]) -> String {
    Name::from_wire(wire).map_or_else(|_| format!("{wire:?}"), |(name, _)| name.to_string())
}

/// Octets of the uncompressed name at the start of `wire`.
fn name_len(wire: &[u8]) -> usize {
    let mut at = 0;
    while wire[at] != 0 {
        at += 1 + usize::from(wire[at]);
    }
    at + 1
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let taken = self.message.get(self.at..self.at + len)?;
        self.at += len;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A name, unfolded, in lower case. Pointers may only lead backwards.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let (mut at, mut end) = (self.at, None);
        loop {
            let len = *self.message.get(at)?;
            if len >= 0xc0 {
                end = end.or(Some(at + 2));
                let low = *self.message.get(at + 1)?;
                let target = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                if target >= at {
                    return None;
                }
                at = target;
                continue;
            }
            let label = self.message.get(at..at + 1 + usize::from(len))?;
            name.extend(label.iter().map(u8::to_ascii_lowercase));
            at += label.len();
            if len == 0 {
                self.at = end.unwrap_or(at);
                return (name.len() <= 255).then_some(name);
            }
        }
    }

    fn record(&mut self) -> Option<Record> {
        let owner = self.name()?;
        let rtype = RecordType(self.u16()?);
        let class = self.u16()?;
        let ttl = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let len = usize::from(self.u16()?);
        let end = self.at + len;
        let (fixed, names) = names_of(rtype);
        let mut rdata = self.take(fixed.min(len))?.to_vec();
        for _ in 0..names {
            if self.at < end {
                rdata.extend(self.name()?);
            }
        }
        rdata.extend(self.take(end.checked_sub(self.at)?)?);
        Some(Record { owner, rtype, class, ttl, rdata })
    }
}

/// Octets before the names in the data of a type, and how many names stand there.
const fn names_of(rtype: RecordType) -> (usize, usize) {
    match rtype {
        RecordType::NS
        | RecordType::MD
        | RecordType::MF
        | RecordType::CNAME
        | RecordType::MB
        | RecordType::MG
        | RecordType::MR
        | RecordType::PTR
        | RecordType::DNAME => (0, 1),
        RecordType::SOA | RecordType::MINFO | RecordType::RP => (0, 2),
        RecordType::MX
        | RecordType::AFSDB
        | RecordType::RT
        | RecordType::KX
        | RecordType::LP
        | RecordType::SVCB
        | RecordType::HTTPS => (2, 1),
        RecordType::PX => (2, 2),
        RecordType::SRV => (6, 1),
        _ => (0, 0),
    }
}
