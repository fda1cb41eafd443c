//! Reading a query.
//!
//! Nothing is copied but the name; nothing behind the OPT record is looked at. What is not a query at
//! all is met with silence, so that no answer can ever be answered (RFC 1035 §4.1.1, QR); what is a
//! broken one, with an error.

use super::edns::{Edns, EdnsError};
use super::outcome::Rcode;
use crate::model::image::HEADER_LEN;
use crate::model::{RecordClass, RecordType};
use crate::snapshot::find::QueryName;

/// A query that can be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    /// The packet.
    pub(super) packet: &'a [u8],
    /// The name.
    pub(super) name: QueryName<'a>,
    /// The type asked for.
    pub(super) qtype: RecordType,
    /// The class asked for.
    pub(super) class: RecordClass,
    /// The OPT record, if there was one.
    pub(super) edns: Option<Edns<'a>>,
}

/// Why a packet is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reject {
    /// It deserves no answer.
    Silence,
    /// It gets this error.
    Error(Rcode, ErrorParts),
}

/// What an error can repeat of the query.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ErrorParts {
    /// Octets of the question, when there is one that can be repeated; else 0.
    pub(super) question_len: usize,
    /// Whether an OPT record was there, so that one must be in the answer (RFC 6891 §6.1.1).
    pub(super) has_edns: bool,
}

impl Query<'_> {
    /// Octets of header and question.
    pub(super) const fn head_len(&self) -> usize {
        HEADER_LEN + self.name.len() + 4
    }

    /// The question as it came, its case kept.
    pub(super) fn question(&self) -> &[u8] {
        &self.packet[HEADER_LEN..self.head_len()]
    }
}

/// Reads a packet.
pub(super) fn parse(packet: &[u8]) -> Result<Query<'_>, Reject> {
    let Some((header, behind)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return Err(Reject::Silence);
    };
    if header[2] & 0x80 != 0 {
        return Err(Reject::Silence);
    }
    let count = |at| u16::from_be_bytes([header[at], header[at + 1]]);
    if header[2] & 0x78 != 0 {
        return Err(Reject::Error(Rcode::NOTIMP, unread(packet, count)));
    }
    if count(4) != 1 {
        return Err(Reject::Error(Rcode::FORMERR, unread(packet, count)));
    }
    let mut parts = ErrorParts::default();
    let formerr = |parts| Reject::Error(Rcode::FORMERR, parts);
    let name = QueryName::parse(behind).ok_or_else(|| formerr(parts))?;
    let fixed = behind.get(name.len()..name.len() + 4).ok_or_else(|| formerr(parts))?;
    parts.question_len = name.len() + 4;

    let records = usize::from(count(6)) + usize::from(count(8));
    let additional = usize::from(count(10));
    let edns = match find_opt(packet, HEADER_LEN + parts.question_len, records, additional) {
        Ok(None) => None,
        Ok(Some((class, ttl, rdata))) => {
            parts.has_edns = true;
            let edns = Edns::parse(class, ttl, rdata).map_err(|error| match error {
                EdnsError::Malformed => formerr(parts),
                EdnsError::Version => Reject::Error(Rcode::BADVERS, parts),
            })?;
            Some(edns)
        }
        Err(has_edns) => return Err(formerr(ErrorParts { has_edns, ..parts })),
    };
    Ok(Query {
        packet,
        name,
        qtype: RecordType(u16::from_be_bytes([fixed[0], fixed[1]])),
        class: RecordClass(u16::from_be_bytes([fixed[2], fixed[3]])),
        edns,
    })
}

/// What an error can repeat of a packet that is not read as a query: all operations have the same four
/// sections (RFC 1035 §4.1, RFC 2136 §2), so that an OPT record is seen whatever it is.
#[cold]
fn unread(packet: &[u8], count: impl Fn(usize) -> u16) -> ErrorParts {
    let behind_question =
        |at: usize, _| skip_name(packet, at).map(|(name_len, _)| at + name_len + 4);
    let has_edns = (0..count(4)).try_fold(HEADER_LEN, behind_question).is_some_and(|start| {
        let records = usize::from(count(6)) + usize::from(count(8));
        match find_opt(packet, start, records, usize::from(count(10))) {
            Ok(opt) => opt.is_some(),
            Err(has_edns) => has_edns,
        }
    });
    ErrorParts { question_len: 0, has_edns }
}

/// Class, TTL and rdata of an OPT record.
type Opt<'a> = (u16, u32, &'a [u8]);

/// The OPT record among the records behind the question. An error says whether one was seen before
/// the packet turned out to be malformed. Every record takes at least 11 octets, so the walk is
/// bounded by the packet, whatever its counts say.
fn find_opt(
    packet: &[u8],
    start: usize,
    records: usize,
    additional: usize,
) -> Result<Option<Opt<'_>>, bool> {
    let mut at = start;
    let mut opt = None;
    for n in 0..records + additional {
        let has_edns = opt.is_some();
        let (owner_len, is_root) = skip_name(packet, at).ok_or(has_edns)?;
        let fixed_at = at + owner_len;
        let fixed = packet.get(fixed_at..fixed_at + 10).ok_or(has_edns)?;
        let rdata_len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let rdata = packet.get(fixed_at + 10..fixed_at + 10 + rdata_len).ok_or(has_edns)?;
        at = fixed_at + 10 + rdata_len;
        if fixed[..2] == RecordType::OPT.0.to_be_bytes() {
            // RFC 6891 §6.1.1: one, in the additional section, of the root.
            if has_edns || n < records || !is_root {
                return Err(true);
            }
            let class = u16::from_be_bytes([fixed[2], fixed[3]]);
            let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            opt = Some((class, ttl, rdata));
        }
    }
    Ok(opt)
}

/// Octets of the name at `at`, and whether it is the root. A pointer ends it and is not followed.
fn skip_name(packet: &[u8], at: usize) -> Option<(usize, bool)> {
    let mut len = 0;
    loop {
        match *packet.get(at + len)? {
            0 => return Some((len + 1, len == 0)),
            label @ 1..=63 => len += 1 + usize::from(label),
            0xc0.. => return Some((len + 2, false)),
            _ => return None,
        }
    }
}
