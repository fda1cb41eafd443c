//! Records into a place that they were not made for.
//!
//! Ready images stand right behind the question. Where one has to stand elsewhere (at
//! the end of a CNAME chain, behind a DNAME), it is unfolded: read as the message that it was made for,
//! its names expanded, and written anew with names compressed against what the reply holds. This costs
//! more than a copy and is off the ordinary path.

use super::reply::{Reply, Section};
use crate::model::RecordType;
use crate::model::image::{HEADER_LEN, MadeFor};
use crate::zone::compressible;

/// Names of the reply that may be pointed to. More would be found in few answers and cost in all.
const STARTS_MAX: usize = 48;
/// The last offset that a pointer can lead to.
const POINTER_TARGET_MAX: usize = 0x3fff;

/// Writes records behind what a reply holds already.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
    starts: [u16; STARTS_MAX],
    starts_len: usize,
}

/// A record that the message holds.
struct Written {
    rtype: RecordType,
    rdata_at: usize,
    end: usize,
}

/// There is no room left, or the records cannot be read.
#[derive(Debug)]
pub(super) struct Full;

impl<'a> Writer<'a> {
    /// `out` holds a message of `len` octets: a question, whose name has `question_name_len`, and
    /// `count` records.
    pub(super) fn new(out: &'a mut [u8], len: usize, question_name_len: usize, count: u16) -> Self {
        let mut writer = Self { out, len, starts: [0; STARTS_MAX], starts_len: 0 };
        writer.register(HEADER_LEN);
        let mut at = HEADER_LEN + question_name_len + 4;
        for _ in 0..count {
            let record = writer.record(at);
            writer.register(at);
            match compressible(record.rtype) {
                // Never a pointer itself, but it may be pointed to.
                _ if record.rtype == RecordType::DNAME => writer.register(record.rdata_at),
                (_, 0) => {}
                (fixed, _) => writer.register(record.rdata_at + fixed),
            }
            at = record.end;
        }
        writer
    }

    /// Octets of the message now.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Unfolds every record of an image. `owner` replaces owners that are the question's name.
    pub(super) fn image(&mut self, made: MadeFor<'_>, owner: &[u8]) -> Result<(), Full> {
        self.image_for(made, owner, u32::MAX)
    }

    /// The same, to live for `ttl_max` seconds at most.
    pub(super) fn image_for(
        &mut self,
        made: MadeFor<'_>,
        owner: &[u8],
        ttl_max: u32,
    ) -> Result<(), Full> {
        let mut at = 0;
        while at < made.image.len() {
            let (own, own_len) = made.name(at).ok_or(Full)?;
            let is_query = made.image[at..].starts_with(&[0xc0, 0x0c]);
            self.name(if is_query { owner } else { own.as_wire() })?;
            at += own_len;
            let fixed = made.image.get(at..at + 10).ok_or(Full)?;
            let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            self.bytes(&fixed[..4])?;
            self.bytes(&ttl.min(ttl_max).to_be_bytes())?;
            let rdata_len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            at += 10;
            let rtype = RecordType(u16::from_be_bytes([fixed[0], fixed[1]]));
            self.rdata(made, rtype, at, rdata_len)?;
            at += rdata_len;
        }
        Ok(())
    }

    /// One record whose rdata is a name: a CNAME that was made up.
    pub(super) fn cname(&mut self, owner: &[u8], ttl: u32, target: &[u8]) -> Result<(), Full> {
        self.name(owner)?;
        self.bytes(&RecordType::CNAME.0.to_be_bytes())?;
        self.bytes(&1_u16.to_be_bytes())?;
        self.bytes(&ttl.to_be_bytes())?;
        let len_at = self.len;
        self.bytes(&[0, 0])?;
        self.name(target)?;
        self.patch_len(len_at);
        Ok(())
    }

    /// One record that has another owner than the `C0 0C` it was made with, and no names that could
    /// be compressed.
    pub(super) fn with_owner(&mut self, owner: &[u8], record: &[u8]) -> Result<(), Full> {
        self.name(owner)?;
        self.bytes(record.get(2..).ok_or(Full)?)
    }

    fn rdata(
        &mut self,
        made: MadeFor<'_>,
        rtype: RecordType,
        at: usize,
        len: usize,
    ) -> Result<(), Full> {
        let (fixed, names) = compressible(rtype);
        let (mut from, end) = (at + fixed.min(len), at + len);
        let len_at = self.len;
        self.bytes(&[0, 0])?;
        self.bytes(made.image.get(at..from).ok_or(Full)?)?;
        for _ in 0..names {
            let (name, taken) = made.name(from).ok_or(Full)?;
            self.name(name.as_wire())?;
            from += taken;
        }
        self.bytes(made.image.get(from..end).ok_or(Full)?)?;
        self.patch_len(len_at);
        Ok(())
    }

    fn patch_len(&mut self, len_at: usize) {
        let len = u16::try_from(self.len - len_at - 2).unwrap_or(u16::MAX);
        self.out[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// A name, its longest suffix that the message holds replaced by a pointer.
    fn name(&mut self, name: &[u8]) -> Result<(), Full> {
        let start = self.len;
        let mut rest = 0;
        while name[rest] != 0 {
            if let Some(target) = self.place_of(&name[rest..]) {
                self.bytes(&(0xc000 | target).to_be_bytes())?;
                self.register(start);
                return Ok(());
            }
            let end = rest + 1 + usize::from(name[rest]);
            self.bytes(&name[rest..end])?;
            rest = end;
        }
        self.bytes(&[0])?;
        self.register(start);
        Ok(())
    }

    /// Remembers the labels of the name at `at`, up to a pointer, as suffixes that may be pointed to.
    fn register(&mut self, mut at: usize) {
        while at <= POINTER_TARGET_MAX && self.starts_len < STARTS_MAX {
            let len = self.out[at];
            if len == 0 || len >= 0xc0 {
                return;
            }
            self.starts[self.starts_len] = u16::try_from(at).expect("a target is below 2^14");
            self.starts_len += 1;
            at += 1 + usize::from(len);
        }
    }

    /// The record at `at`.
    fn record(&self, mut at: usize) -> Written {
        while !matches!(self.out[at], 0 | 0xc0..) {
            at += 1 + usize::from(self.out[at]);
        }
        let fixed_at = at + if self.out[at] == 0 { 1 } else { 2 };
        let u16_at = |at: usize| u16::from_be_bytes([self.out[at], self.out[at + 1]]);
        let rdata_at = fixed_at + 10;
        let end = rdata_at + usize::from(u16_at(fixed_at + 8));
        Written { rtype: RecordType(u16_at(fixed_at)), rdata_at, end }
    }

    /// Whether one of the first `count` records, which start at `at`, has that owner and type.
    fn has(&self, mut at: usize, count: u16, owner: &[u8], rtype: RecordType) -> bool {
        (0..count).any(|_| {
            let (start, record) = (at, self.record(at));
            at = record.end;
            record.rtype == rtype && self.is_name_at(start, owner)
        })
    }

    fn place_of(&self, suffix: &[u8]) -> Option<u16> {
        let starts = &self.starts[..self.starts_len];
        starts.iter().copied().find(|start| self.is_name_at(usize::from(*start), suffix))
    }

    fn is_name_at(&self, start: usize, name: &[u8]) -> bool {
        let (mut at, mut rest) = (start, name);
        loop {
            match (self.out[at], rest[0]) {
                (0, 0) => return true,
                (high, _) if high >= 0xc0 => {
                    at = usize::from(u16::from_be_bytes([high & 0x3f, self.out[at + 1]]));
                }
                (len, wanted) if len == wanted && len != 0 => {
                    let len = 1 + usize::from(len);
                    if !self.out[at..at + len].eq_ignore_ascii_case(&rest[..len]) {
                        return false;
                    }
                    at += len;
                    rest = &rest[len..];
                }
                _ => return false,
            }
        }
    }
}

impl Reply<'_> {
    /// Lets `write` append records that must not be missing: without room for them, the reply is
    /// truncated, and stays so.
    pub(super) fn write(
        &mut self,
        section: Section,
        count: u16,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) {
        if !self.write_if_room(section, count, write) {
            self.truncate();
        }
    }

    /// Lets `write` append records; whether there was room. What did not fit is not there.
    pub(super) fn write_if_room(
        &mut self,
        section: Section,
        count: u16,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> bool {
        let question_name_len = self.question_name_len();
        let (_, all) = self.record_counts();
        let (out, len) = self.writer();
        let mut writer = Writer::new(out, len, question_name_len, all);
        let is_written = write(&mut writer).is_ok();
        let len = writer.len();
        if is_written {
            self.wrote(section, count, len);
        }
        is_written
    }

    /// Whether the answer section has a record of that owner and type.
    pub(super) fn has_answer(&mut self, owner: &[u8], rtype: RecordType) -> bool {
        let question_name_len = self.question_name_len();
        let (answers, all) = self.record_counts();
        let (out, len) = self.writer();
        let writer = Writer::new(out, len, question_name_len, all);
        writer.has(HEADER_LEN + question_name_len + 4, answers, owner, rtype)
    }
}
