//! Making images: records compressed ahead of any question, and read again.
//!
//! See [`model::image`](crate::model::image) for what an image is.

use super::rdata::compressible;
use crate::model::image::{HEADER_LEN, Image, MadeFor};
use crate::model::names::{Flags, Rrset, to_name};
use crate::model::{Name, RecordType, ZoneNames};

/// The last offset that a pointer may lead to, less what it may still have to move by.
const POINTER_TARGET_MAX: usize = 0x3fff - 255;

/// Makes an [`Image`].
pub(super) struct ImageBuilder<'a> {
    /// The name that stands in the question.
    qname: &'a [u8],
    /// Whether records of owner `qname` stand for any longer name, too (a wildcard's do).
    owner_is_query: bool,
    image: Image,
    /// Names in the image that pointers may lead to: where they start in the message.
    starts: Vec<usize>,
}

impl<'a> ImageBuilder<'a> {
    /// An image for questions of exactly `qname`, or, for a wildcard, of what it covers.
    pub(super) fn for_owner(qname: &'a [u8]) -> Self {
        Self { qname, owner_is_query: true, image: Image::default(), starts: Vec::new() }
    }

    /// An image for questions of `qname` or anything below it.
    pub(super) fn for_ancestor(qname: &'a [u8]) -> Self {
        Self { owner_is_query: false, ..Self::for_owner(qname) }
    }

    /// Appends a record.
    pub(super) fn record(&mut self, owner: &[u8], rtype: RecordType, ttl: u32, rdata: &[u8]) {
        if self.owner_is_query && owner == self.qname {
            self.image.bytes.extend_from_slice(&[0xc0, 0x0c]);
        } else {
            self.name(owner);
        }
        self.image.bytes.extend_from_slice(&rtype.0.to_be_bytes());
        self.image.bytes.extend_from_slice(&1_u16.to_be_bytes());
        self.image.bytes.extend_from_slice(&ttl.to_be_bytes());
        let len_at = self.image.bytes.len();
        self.image.bytes.extend_from_slice(&[0, 0]);
        self.rdata(rtype, rdata);
        let len = self.image.bytes.len() - len_at - 2;
        let len = u16::try_from(len).expect("rdata is at most 65,535 octets and never grows");
        self.image.bytes[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
    }

    /// Octets so far.
    pub(super) fn len(&self) -> usize {
        self.image.bytes.len()
    }

    /// The image.
    pub(super) fn finish(self) -> Image {
        self.image
    }

    fn rdata(&mut self, rtype: RecordType, rdata: &[u8]) {
        let (fixed, names) = compressible(rtype);
        let mut at = fixed.min(rdata.len());
        self.image.bytes.extend_from_slice(&rdata[..at]);
        for _ in 0..names {
            let Ok((_, len)) = Name::from_wire(&rdata[at..]) else { break };
            self.name(&rdata[at..at + len]);
            at += len;
        }
        self.image.bytes.extend_from_slice(&rdata[at..]);
    }

    /// Appends a name: labels until a suffix stands in the message already, then a pointer to it.
    fn name(&mut self, name: &[u8]) {
        // The labels of this name are no place to point to before it is whole.
        let whole = self.starts.len();
        let mut rest = 0;
        while name[rest] != 0 {
            let suffix = &name[rest..];
            if let Some(target) = self.place_of(suffix, whole) {
                let pointer = 0xc000 | u16::try_from(target).expect("a target is below 2^14");
                let at = u16::try_from(self.image.bytes.len());
                // Past 64 KiB nothing can be sent, so nothing need move either.
                self.image.pointers.extend(at);
                self.image.bytes.extend_from_slice(&pointer.to_be_bytes());
                return;
            }
            let at = HEADER_LEN + self.qname.len() + 4 + self.image.bytes.len();
            if at <= POINTER_TARGET_MAX {
                self.starts.push(at);
            }
            let len = 1 + usize::from(name[rest]);
            self.image.bytes.extend_from_slice(&name[rest..rest + len]);
            rest += len;
        }
        self.image.bytes.push(0);
    }

    /// Where `suffix` stands in the message, in the question or at one of the first `whole` starts.
    fn place_of(&self, suffix: &[u8], whole: usize) -> Option<usize> {
        let in_qname = self.qname.len().checked_sub(suffix.len()).filter(|start| {
            // The first label of an image that serves longer names is not in their question; and a
            // suffix of equal length need not start at a label, but equal octets at the end do.
            (*start > 0 || !self.is_for_longer()) && is_label_start(self.qname, *start)
        });
        if let Some(start) = in_qname
            && self.qname[start..].eq_ignore_ascii_case(suffix)
        {
            return Some(HEADER_LEN + start);
        }
        let mut starts = self.starts[..whole].iter().copied();
        starts.find(|start| self.is_name_at(*start, suffix))
    }

    /// Whether the question's name may be longer than `qname` in a way that replaces its first label.
    fn is_for_longer(&self) -> bool {
        self.owner_is_query && self.qname.starts_with(b"\x01*")
    }

    /// Whether the name at `start` of the message, pointers followed, is `name`.
    fn is_name_at(&self, start: usize, name: &[u8]) -> bool {
        let (mut at, mut rest) = (start, name);
        loop {
            let Some(bytes) = self.from(at) else { return false };
            match (bytes[0], rest[0]) {
                (0, 0) => return true,
                (high, _) if high >= 0xc0 => {
                    at = usize::from(u16::from_be_bytes([high & 0x3f, bytes[1]]));
                }
                (len, wanted) if len == wanted && len != 0 => {
                    let len = 1 + usize::from(len);
                    if !bytes[..len].eq_ignore_ascii_case(&rest[..len]) {
                        return false;
                    }
                    at += len;
                    rest = &rest[len..];
                }
                _ => return false,
            }
        }
    }

    /// The message from `at` on, as far as it is in one piece.
    fn from(&self, at: usize) -> Option<&[u8]> {
        let image_start = HEADER_LEN + self.qname.len() + 4;
        match at.checked_sub(image_start) {
            Some(offset) => self.image.bytes.get(offset..),
            None => self.qname.get(at.checked_sub(HEADER_LEN)?..),
        }
    }
}

/// The records of an rrset of `owner`, as they were before they were compressed: TTL and rdata.
pub(crate) fn unfold(owner: &[u8], rrset: Rrset<'_>) -> Vec<(u32, Vec<u8>)> {
    let made = MadeFor::question(owner, rrset.bytes);
    let mut records = Vec::with_capacity(usize::from(rrset.count));
    let mut at = 0;
    while let Some((_, owner_len)) = made.name(at).filter(|_| at < rrset.bytes.len()) {
        at += owner_len;
        let Some(fixed) = rrset.bytes.get(at..at + 10) else { break };
        let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let end = at + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let (prefix_len, names) = compressible(rrset.rtype);
        let mut from = (at + 10 + prefix_len).min(end);
        let mut rdata = rrset.bytes[at + 10..from].to_vec();
        for _ in 0..names {
            let Some((name, taken)) = made.name(from).filter(|_| from < end) else { break };
            rdata.extend_from_slice(name.as_wire());
            from += taken;
        }
        rdata.extend_from_slice(rrset.bytes.get(from..end).unwrap_or_default());
        records.push((ttl, rdata));
        at = end;
    }
    records
}

/// Every record of a zone as it was before it was compressed: owner in lower case, type, TTL, rdata. What a
/// delegation hides is not kept.
pub fn records(names: &ZoneNames) -> impl Iterator<Item = (Name, RecordType, u32, Vec<u8>)> {
    let named = names.iter().filter(|(_, record)| !record.flags().has(Flags::HIDDEN));
    let rrsets = named.flat_map(|(_, record)| record.rrsets().map(move |rrset| (record, rrset)));
    rrsets.flat_map(|(record, rrset)| {
        let unfolded = unfold(record.name(), rrset).into_iter();
        unfolded.map(move |(ttl, rdata)| (to_name(record.name()), rrset.rtype, ttl, rdata))
    })
}

/// Whether a label of `name` starts at `at`.
fn is_label_start(name: &[u8], at: usize) -> bool {
    let mut start = 0;
    while start < at {
        start += 1 + usize::from(name[start]);
    }
    start == at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_pointers_to_the_question_and_to_earlier_names() {
        let owner = name("example.com.");
        let mut builder = ImageBuilder::for_owner(owner.as_wire());
        let mx = |target: &str| [&[0, 10], name(target).as_wire()].concat();
        builder.record(owner.as_wire(), RecordType::MX, 300, &mx("mail.example.com."));
        builder.record(owner.as_wire(), RecordType::MX, 300, &mx("MAIL.example.com."));
        builder.record(owner.as_wire(), RecordType::MX, 300, &mx("mx.example.net."));
        let image = builder.finish();
        // The question ends at 12 + 13 + 4 = 29; the first rdata name stands at 29 + 12 + 2 = 43.
        let head = [0xc0, 0x0c, 0, 15, 0, 1, 0, 0, 1, 44];
        let first = [&head[..], &[0, 9, 0, 10, 4], b"mail", &[0xc0, 12]].concat();
        let second = [&head[..], &[0, 4, 0, 10, 0xc0, 43]].concat();
        let third = [&head[..], &[0, 18, 0, 10, 2], b"mx\x07example\x03net", &[0]].concat();
        assert_eq!(image.bytes, [first, second, third].concat());
        assert_eq!(image.pointers, [19, 35]);
    }

    #[test]
    fn a_name_is_never_compared_with_itself_while_it_is_written() {
        let owner = name("example.com.");
        let mut builder = ImageBuilder::for_owner(owner.as_wire());
        let target = name("foo.foo.foo.example.com.");
        builder.record(owner.as_wire(), RecordType::CNAME, 60, target.as_wire());
        let target = name("x.foo.foo.example.com.");
        builder.record(owner.as_wire(), RecordType::CNAME, 60, target.as_wire());
        let image = builder.finish();
        assert_eq!(image.bytes[12..26], *b"\x03foo\x03foo\x03foo\xc0\x0c");
        // `x`, then a pointer to the second `foo`: 29 + 12 + 4.
        assert!(image.bytes.ends_with(&[1, b'x', 0xc0, 45]));
    }

    #[test]
    fn a_wildcards_own_first_label_is_never_pointed_to() {
        let owner = name("*.example.com.");
        let mut builder = ImageBuilder::for_owner(owner.as_wire());
        builder.record(owner.as_wire(), RecordType::CNAME, 60, name("*.example.com.").as_wire());
        let image = builder.finish();
        let rdata = &image.bytes[12..];
        assert_eq!(rdata, [1, b'*', 0xc0, 14]);
    }

    #[test]
    fn types_after_rfc_1035_are_never_compressed() {
        let owner = name("example.com.");
        let mut builder = ImageBuilder::for_owner(owner.as_wire());
        let srv = [&[0, 1, 0, 2, 0, 80], owner.as_wire()].concat();
        builder.record(owner.as_wire(), RecordType::SRV, 60, &srv);
        assert!(builder.finish().bytes.ends_with(owner.as_wire()));
    }
}
