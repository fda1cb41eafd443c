//! Reading a query.
//!
//! Nothing is copied but the name; nothing behind the OPT record is looked at. What is not a query at
//! all is met with silence, so that no answer can ever be answered (RFC 1035 §4.1.1, QR); what is a
//! broken one, with an error.

use super::edns::{Edns, EdnsError, Opt};
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

impl<'a> Query<'a> {
    /// Header and question as they came, the name's case kept.
    pub(super) fn head(&self) -> &'a [u8] {
        &self.packet[..HEADER_LEN + self.name.len() + QUESTION_FIXED_LEN]
    }
}

/// Octets of a question behind its name: type and class.
const QUESTION_FIXED_LEN: usize = 4;
/// Flags in the third octet of a header: a response, and the operation.
const QR: u8 = 0x80;
const OPCODE: u8 = 0x78;

/// Reads a packet.
// Not inlined: its result is large, and a call writes it where it is wanted.
#[inline(never)]
pub(super) fn parse(packet: &[u8]) -> Result<Query<'_>, Reject> {
    let Some((header, behind)) = packet.split_first_chunk() else { return Err(Reject::Silence) };
    let counts = Counts::of(header);
    if header[2] & (QR | OPCODE) != 0 || counts.questions != 1 {
        return Err(reject(packet, header[2], counts));
    }
    let no_question = Reject::Error(Rcode::FORMERR, ErrorParts::default());
    let name = QueryName::parse(behind).ok_or(no_question)?;
    let (fixed, behind) = behind[name.len()..].split_first_chunk().ok_or(no_question)?;
    let _: &[u8; QUESTION_FIXED_LEN] = fixed;
    let error = |rcode, has_edns| {
        let question_len = name.len() + QUESTION_FIXED_LEN;
        Reject::Error(rcode, ErrorParts { question_len, has_edns })
    };
    let opt = find_opt(behind, counts).map_err(|has_edns| error(Rcode::FORMERR, has_edns))?;
    let edns = match opt.map(Edns::parse) {
        None => None,
        Some(Ok(edns)) => Some(edns),
        Some(Err(EdnsError::Malformed)) => return Err(error(Rcode::FORMERR, true)),
        Some(Err(EdnsError::Version)) => return Err(error(Rcode::BADVERS, true)),
    };
    Ok(Query {
        packet,
        name,
        qtype: RecordType(u16::from_be_bytes([fixed[0], fixed[1]])),
        class: RecordClass(u16::from_be_bytes([fixed[2], fixed[3]])),
        edns,
    })
}

/// How many entries a header says that its sections have.
#[derive(Clone, Copy)]
struct Counts {
    questions: u16,
    /// Answer and authority.
    records: u32,
    additional: u16,
}

impl Counts {
    fn of(header: &[u8; HEADER_LEN]) -> Self {
        let at = |at| u16::from_be_bytes([header[at], header[at + 1]]);
        let records = u32::from(at(6)) + u32::from(at(8));
        Self { questions: at(4), records, additional: at(10) }
    }
}

/// Why a packet is not answered that is no query, or not one of one question.
#[cold]
fn reject(packet: &[u8], flags: u8, counts: Counts) -> Reject {
    if flags & QR != 0 {
        return Reject::Silence;
    }
    let rcode = if flags & OPCODE == 0 { Rcode::FORMERR } else { Rcode::NOTIMP };
    // All operations have the same four sections (RFC 1035 §4.1, RFC 2136 §2), so that an OPT record is
    // seen whatever it is.
    let question_of = |rest: &[u8]| skip_name(rest).map(|(len, _)| len + QUESTION_FIXED_LEN);
    let mut behind = packet.get(HEADER_LEN..);
    for _ in 0..counts.questions {
        behind = behind.and_then(|rest| rest.get(question_of(rest)?..));
    }
    let opt = behind.map_or(Ok(None), |behind| find_opt(behind, counts));
    let has_edns = opt.map_or_else(|has_edns| has_edns, |opt| opt.is_some());
    Reject::Error(rcode, ErrorParts { question_len: 0, has_edns })
}

/// The OPT record among the records behind the questions. An error says whether one was seen before
/// the packet turned out to be malformed.
#[inline]
fn find_opt(behind: &[u8], counts: Counts) -> Result<Option<Opt<'_>>, bool> {
    // What nearly every query has there: nothing, or an OPT record alone.
    match (counts.records, counts.additional) {
        (0, 0) => return Ok(None),
        (0, 1) => {
            if let Some((Record { is_root: true, rtype: RecordType::OPT, opt }, _)) =
                split_record(behind)
            {
                return Ok(Some(opt));
            }
        }
        _ => {}
    }
    search_opt(behind, counts)
}

/// The same for any records. Every one takes at least 11 octets, so the walk is bounded by the packet,
/// whatever its counts say.
#[cold]
fn search_opt(behind: &[u8], counts: Counts) -> Result<Option<Opt<'_>>, bool> {
    let mut rest = behind;
    let mut found = None;
    for n in 0..counts.records + u32::from(counts.additional) {
        let has_edns = found.is_some();
        let (record, behind) = split_record(rest).ok_or(has_edns)?;
        rest = behind;
        if record.rtype == RecordType::OPT {
            // RFC 6891 §6.1.1: one, in the additional section, of the root.
            if has_edns || n < counts.records || !record.is_root {
                return Err(true);
            }
            found = Some(record.opt);
        }
    }
    Ok(found)
}

/// A record, as far as it can be an OPT record.
struct Record<'a> {
    is_root: bool,
    rtype: RecordType,
    opt: Opt<'a>,
}

/// The record at the start of `bytes`, and what is behind it.
#[inline]
fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (owner_len, is_root) = match bytes.first()? {
        0 => (1, true),
        _ => skip_name(bytes)?,
    };
    let (fixed, rest) = bytes.get(owner_len..)?.split_first_chunk::<10>()?;
    let u16_at = |at| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let (rdata, rest) = rest.split_at_checked(usize::from(u16_at(8)))?;
    let opt = Opt { class: u16_at(2), ttl: [fixed[4], fixed[5], fixed[6], fixed[7]], rdata };
    Some((Record { is_root, rtype: RecordType(u16_at(0)), opt }, rest))
}

/// Octets of the name at the start of `bytes`, and whether it is the root. A pointer ends it and is not
/// followed.
fn skip_name(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut len = 0;
    loop {
        match *bytes.get(len)? {
            0 => return Some((len + 1, len == 0)),
            label @ 1..=63 => len += 1 + usize::from(label),
            0xc0.. => return Some((len + 2, false)),
            _ => return None,
        }
    }
}
