//! Writing a reply.
//!
//! A [`Reply`] starts as header and question and grows by ready images: copied as they are, their
//! pointers moved where the question is longer than the name that they were made for. Room for the OPT
//! record is set aside from the start, so that it is there in every reply, also in a truncated one.

use super::Arrival;
use super::edns::{self, ExtendedError, Told};
use super::outcome::{Kind, Outcome, Rcode};
use super::query::{ErrorParts, Query};
use crate::model::image::{HEADER_LEN, Image};
use crate::model::names::{Referral, Rrset};
use crate::model::{RecordClass, Zone};
use crate::snapshot::gate::Gate;

/// Octets that every client takes over UDP (RFC 1035 §2.3.4).
const UDP_PAYLOAD_MIN: u16 = 512;

/// A reply in the making.
pub(super) struct Reply<'a> {
    query: &'a Query<'a>,
    gate: &'a Gate,
    arrival: &'a Arrival,
    out: &'a mut [u8],
    len: usize,
    /// What may be filled before the OPT record.
    limit: usize,
    counts: Counts,
    flags: u8,
    told: Told,
}

/// How many entries the sections have, as the header has them: four numbers of 16 bits, the questions
/// first. A message is too short for so many records that one number could reach into the next.
#[derive(Clone, Copy)]
struct Counts(u64);

/// A section of a message that has records, by where its count stands among [`Counts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    /// Answer.
    Answer = 32,
    /// Authority.
    Authority = 16,
    /// Additional.
    Additional = 0,
}

impl Counts {
    const ONE_QUESTION: Self = Self(1 << 48);

    const fn add(&mut self, section: Section, count: u16) {
        self.0 += (count as u64) << section as u32;
    }

    #[expect(clippy::cast_possible_truncation, reason = "one number of several")]
    const fn of(self, section: Section) -> u16 {
        (self.0 >> section as u32) as u16
    }
}

/// Flags in the third octet of a header, and the operation.
const QR: u8 = 0x80;
const OPCODE: u8 = 0x78;
const AA: u8 = 0x04;
const TC: u8 = 0x02;
const RD: u8 = 0x01;

/// HINFO "RFC8482" "" for ANY (RFC 8482 §4.2), TTL 3600, owner C0 0C.
const ANY_ANSWER: &[u8] = b"\xc0\x0c\x00\x0d\x00\x01\x00\x00\x0e\x10\x00\x09\x07RFC8482\x00";

impl<'a> Reply<'a> {
    /// Header and question.
    // A call would copy the reply once more.
    #[inline(always)]
    pub(super) fn new(
        query: &'a Query<'a>,
        gate: &'a Gate,
        arrival: &'a Arrival,
        out: &'a mut [u8],
    ) -> Self {
        let (payload, reserved) = match &query.edns {
            None => (UDP_PAYLOAD_MIN, 0),
            Some(edns) => (edns.payload.max(UDP_PAYLOAD_MIN), edns.reply_len(gate)),
        };
        let size = if arrival.is_udp { payload } else { u16::MAX };
        let limit = usize::from(size).min(out.len()).saturating_sub(reserved);
        let head = query.head();
        out[..head.len()].copy_from_slice(head);
        Self {
            query,
            gate,
            arrival,
            out,
            len: head.len(),
            limit,
            counts: Counts::ONE_QUESTION,
            flags: 0,
            told: Told::default(),
        }
    }

    /// An rrset of the name that was asked for; `owner_len` is the length of the name that it was
    /// made for, which is another's only for a wildcard.
    pub(super) fn records(mut self, rrset: Rrset<'_>, owner_len: usize) -> Outcome {
        self.flags |= AA;
        if !self.push_rrset(Section::Answer, rrset, owner_len) {
            self.truncate();
        }
        self.finish(Rcode::NOERROR, Kind::Static)
    }

    /// An rrset right behind the question, or right behind what it was made to stand behind; whether
    /// there was room.
    // Without its pointers, which few have, this is but a copy.
    #[inline(always)]
    pub(super) fn push_rrset(
        &mut self,
        section: Section,
        rrset: Rrset<'_>,
        owner_len: usize,
    ) -> bool {
        let start = self.len;
        let has_room = self.push(section, rrset.count, rrset.bytes);
        if has_room && self.query.name.len() != owner_len {
            self.move_pointers_of(rrset, start, self.query.name.len() - owner_len);
        }
        has_room
    }

    fn move_pointers_of(&mut self, rrset: Rrset<'_>, start: usize, by: usize) {
        let pointers = rrset.pointers.chunks_exact(2);
        self.move_pointers(start, pointers.map(|at| u16::from_be_bytes([at[0], at[1]])), by);
    }

    /// The records of an endpoint that a rule drew.
    pub(super) fn push_steered(&mut self, count: u16, records: &[u8]) {
        if !self.push(Section::Answer, count, records) {
            self.truncate();
        }
    }

    /// Says that the answer is for everybody within `scope` bits of the client's subnet.
    pub(super) const fn set_scope(&mut self, scope: u8) {
        self.told.scope = scope;
    }

    /// Says that the answer is authoritative.
    pub(super) const fn set_authoritative(&mut self) {
        self.flags |= AA;
    }

    /// The name servers of an apex that was asked for them, with addresses if there is room. The
    /// answer is complete without them.
    pub(super) fn name_servers(mut self, rrset: Rrset<'_>, zone: &Zone) -> Outcome {
        self.flags |= AA;
        let apex_len = zone.apex.as_wire().len();
        if self.push_rrset(Section::Answer, rrset, apex_len) {
            let (count, addresses) = &zone.names.servers;
            self.push_image(Section::Additional, *count, addresses, apex_len);
        } else {
            self.truncate();
        }
        self.finish(Rcode::NOERROR, Kind::Static)
    }

    /// A delegation to others. RFC 9471 §3.1: glue that does not fit sets TC; addresses of name servers
    /// that lie elsewhere come along if there is room.
    pub(super) fn referral(mut self, referral: Referral<'_>) -> Outcome {
        let Referral { cut, ns, glue, rest } = referral;
        if self.push_rrset(Section::Authority, ns, cut.len())
            && self.push_rrset(Section::Additional, glue, cut.len())
        {
            self.push_rrset(Section::Additional, rest, cut.len());
        } else {
            self.flags |= TC;
        }
        self.finish(Rcode::NOERROR, Kind::Referral)
    }

    /// NODATA or NXDOMAIN with the zone's SOA. Its scope is 0 whoever asked (RFC 7871 §7.4).
    pub(super) fn negative(mut self, zone: &Zone, rcode: Rcode) -> Outcome {
        self.push_negative(zone);
        let kind = if rcode == Rcode::NXDOMAIN { Kind::NxDomain } else { Kind::NoData };
        self.finish(rcode, kind)
    }

    /// NODATA that lives for `ttl_max` seconds at most.
    pub(super) fn no_data_for(mut self, zone: &Zone, ttl_max: u32) -> Outcome {
        let soa_at = self.len;
        if self.push_negative(zone) {
            self.cap_ttl(soa_at, ttl_max);
        }
        self.finish(Rcode::NOERROR, Kind::NoData)
    }

    #[inline]
    fn push_negative(&mut self, zone: &Zone) -> bool {
        self.flags |= AA;
        self.told.scope = 0;
        let apex_len = zone.apex.as_wire().len();
        let has_room = self.push_image(Section::Authority, 1, &zone.names.negative, apex_len);
        if !has_room {
            self.truncate();
        }
        has_room
    }

    /// Lowers the TTL of the record at `at`, whose owner is a pointer or the root.
    fn cap_ttl(&mut self, at: usize, ttl_max: u32) {
        let owner_len = if self.out[at] == 0 { 1 } else { 2 };
        let ttl_at = at + owner_len + 4;
        if let Some(ttl) = self.out[..self.len].get_mut(ttl_at..ttl_at + 4) {
            let own = u32::from_be_bytes([ttl[0], ttl[1], ttl[2], ttl[3]]);
            ttl.copy_from_slice(&own.min(ttl_max).to_be_bytes());
        }
    }

    /// What ANY gets (RFC 8482).
    pub(super) fn any(mut self) -> Outcome {
        self.flags |= AA;
        self.push(Section::Answer, 1, ANY_ANSWER);
        self.finish(Rcode::NOERROR, Kind::Static)
    }

    /// No answer but an error, and why.
    pub(super) fn refuse(mut self, rcode: Rcode, kind: Kind, error: ExtendedError) -> Outcome {
        self.told.error = Some(error);
        self.finish(rcode, kind)
    }

    /// Records in the answer section, and in all.
    pub(super) fn record_counts(&self) -> (u16, u16) {
        let of = |section| self.counts.of(section);
        let answer = of(Section::Answer);
        (answer, answer + of(Section::Authority) + of(Section::Additional))
    }

    /// Octets of the question's name.
    pub(super) const fn question_name_len(&self) -> usize {
        self.query.name.len()
    }

    /// What was written so far, and the room behind it up to the limit.
    pub(super) fn writer(&mut self) -> (&mut [u8], usize) {
        (&mut self.out[..self.limit.max(self.len)], self.len)
    }

    /// Takes over records that were written through [`writer`](Self::writer).
    pub(super) fn wrote(&mut self, section: Section, count: u16, len: usize) {
        self.len = len;
        self.counts.add(section, count);
    }

    fn push_image(
        &mut self,
        section: Section,
        count: u16,
        image: &Image,
        owner_len: usize,
    ) -> bool {
        let start = self.len;
        if !self.push(section, count, &image.bytes) {
            return false;
        }
        let moved = self.query.name.len() - owner_len;
        self.move_pointers(start, image.pointers.iter().copied(), moved);
        true
    }

    /// Appends finished records; whether there was room.
    #[inline]
    pub(super) fn push(&mut self, section: Section, count: u16, records: &[u8]) -> bool {
        let end = self.len + records.len();
        if end > self.limit {
            return false;
        }
        self.out[self.len..end].copy_from_slice(records);
        self.len = end;
        self.counts.add(section, count);
        true
    }

    fn move_pointers(&mut self, start: usize, pointers: impl Iterator<Item = u16>, by: usize) {
        let by = u16::try_from(by).expect("names have at most 255 octets");
        for pointer in pointers {
            let at = start + usize::from(pointer);
            let moved = u16::from_be_bytes([self.out[at], self.out[at + 1]]) + by;
            self.out[at..at + 2].copy_from_slice(&moved.to_be_bytes());
        }
    }

    /// Leaves the question only and sets TC, and leaves no room for anything else: the client comes
    /// again over TCP.
    #[cold]
    pub(super) fn truncate(&mut self) {
        self.flags |= TC;
        self.limit = 0;
        self.len = self.query.head().len();
        self.counts = Counts::ONE_QUESTION;
    }

    /// Header and OPT record. Nothing may be added any more.
    // Not by value: that would copy all of it.
    pub(super) fn finish(&mut self, rcode: Rcode, kind: Kind) -> Outcome {
        if let Some(edns) = &self.query.edns {
            let out = &mut self.out[self.len..];
            self.len += edns.write_reply(out, self.gate, self.arrival, self.told);
            self.counts.add(Section::Additional, 1);
        }
        if self.query.class == RecordClass::ANY {
            // There may be other classes (RFC 1035 §6.2).
            self.flags &= !AA;
        }
        finish_header(self.out, self.flags, rcode, self.counts);
        Outcome { len: self.len, kind, rcode, is_truncated: self.flags & TC != 0 }
    }
}

/// Makes the header of a query that of its reply: the operation and RD stay as they came.
fn finish_header(message: &mut [u8], flags: u8, rcode: Rcode, counts: Counts) {
    let header: &mut [u8; HEADER_LEN] = message.first_chunk_mut().expect("a reply has a header");
    let [_, rcode_low] = (rcode.0 & 0xf).to_be_bytes();
    header[2] = QR | flags | (header[2] & (OPCODE | RD));
    header[3] = rcode_low;
    header[4..].copy_from_slice(&counts.0.to_be_bytes());
}

/// An error to a packet that could not be read as a query.
#[cold]
pub(super) fn error(packet: &[u8], rcode: Rcode, parts: ErrorParts, out: &mut [u8]) -> Outcome {
    let mut len = HEADER_LEN + parts.question_len;
    out[..len].copy_from_slice(&packet[..len]);
    let mut counts = if parts.question_len > 0 { Counts::ONE_QUESTION } else { Counts(0) };
    if parts.has_edns {
        let [_, rcode_high] = (rcode.0 >> 4).to_be_bytes();
        let opt = edns::opt_head(rcode_high, false, 0);
        out[len..len + opt.len()].copy_from_slice(&opt);
        len += opt.len();
        counts.add(Section::Additional, 1);
    }
    finish_header(out, 0, rcode, counts);
    let kind = match rcode {
        Rcode::NOTIMP => Kind::NotImp,
        Rcode::BADVERS => Kind::BadVers,
        _ => Kind::FormErr,
    };
    Outcome { len, kind, rcode, is_truncated: false }
}
