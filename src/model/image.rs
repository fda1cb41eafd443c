//! Pieces of answers in wire form, and how to read them.
//!
//! An [`Image`] is a run of resource records made to stand right behind the question. Its owner names
//! and compressible rdata names (RFC 1035 §4.1.4, only of the types that RFC 3597 §4 allows) are
//! pointers to the question's name or to names earlier in the image:
//!
//! ```text
//!  0        12              12+n   16+n
//!  │ header │ qname (n)      │ …   │ image …
//!             ▲──── C0 0C          └ C0 xx: a suffix of qname, or a name in the image
//! ```
//!
//! A query's name may be longer than the name that the image was made for (a wildcard, an NXDOMAIN
//! below the apex, a referral): then everything that a pointer can lead to lies further behind by the
//! same number of octets, so all [`Image::pointers`] move by that number and nothing else changes.
//!
//! [`MadeFor`] reads an image as the message that it was made for. Making images is `zone`'s business.

use super::name::NAME_LEN_MAX;

/// Octets of a message header.
pub(crate) const HEADER_LEN: usize = 12;
/// Resource records made to stand right behind the question.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Image {
    /// The records.
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` pointers stand that must move with the length of the query's name.
    pub(crate) pointers: Vec<u16>,
}

impl Image {
    /// Splits it before octet `at`, where a record starts: what is returned is made to stand right
    /// behind what is left.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        let bytes = self.bytes.split_off(at);
        let split = self.pointers.partition_point(|pointer| usize::from(*pointer) < at);
        let mut pointers = self.pointers.split_off(split);
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        pointers.iter_mut().for_each(|pointer| *pointer -= at);
        Self { bytes, pointers }
    }
}

/// A name unfolded: wire form without pointers.
pub(crate) struct PlainName {
    wire: [u8; NAME_LEN_MAX],
    len: usize,
}

impl PlainName {
    /// `prefix` labels followed by the name `suffix`; `None` when that is too long (RFC 6672 §2.2).
    pub(crate) fn joined(prefix: &[u8], suffix: &[u8]) -> Option<Self> {
        let mut plain = Self { wire: [0; NAME_LEN_MAX], len: prefix.len() + suffix.len() };
        let (head, tail) = plain.wire.get_mut(..plain.len)?.split_at_mut(prefix.len());
        head.copy_from_slice(prefix);
        tail.copy_from_slice(suffix);
        Some(plain)
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.wire[..self.len]
    }
}

/// An image with what it was made to stand behind: together a message that can be read.
#[derive(Clone, Copy)]
pub(crate) struct MadeFor<'a> {
    /// The name in the question.
    qname: &'a [u8],
    /// Other images between the question and this one.
    before: [&'a [u8]; 2],
    /// The image.
    pub(crate) image: &'a [u8],
}

impl<'a> MadeFor<'a> {
    /// An image that was made to stand right behind the question of `qname`.
    pub(crate) const fn question(qname: &'a [u8], image: &'a [u8]) -> Self {
        Self { qname, before: [&[], &[]], image }
    }

    /// The image that was made to stand right behind this one, which has at most one before it.
    pub(crate) const fn then(self, image: &'a [u8]) -> Self {
        Self { before: [self.before[1], self.image], image, ..self }
    }
}

impl MadeFor<'_> {
    /// Octet `at` of the message that the image was made for.
    fn octet(&self, at: usize) -> Option<u8> {
        let Some(mut offset) = at.checked_sub(HEADER_LEN + self.qname.len() + 4) else {
            return self.qname.get(at.checked_sub(HEADER_LEN)?).copied();
        };
        for before in self.before {
            match before.get(offset) {
                Some(octet) => return Some(*octet),
                None => offset -= before.len(),
            }
        }
        self.image.get(offset).copied()
    }

    /// Where the image starts in that message.
    fn start(&self) -> usize {
        HEADER_LEN + self.qname.len() + 4 + self.before[0].len() + self.before[1].len()
    }

    /// The name at `offset` of the image, unfolded, and the octets that it takes there.
    pub(crate) fn name(&self, offset: usize) -> Option<(PlainName, usize)> {
        let mut plain = PlainName { wire: [0; NAME_LEN_MAX], len: 0 };
        let start = self.start() + offset;
        let (mut at, mut taken) = (start, None);
        // Every label takes an octet at least and pointers lead to labels, so this ends.
        for _ in 0..=NAME_LEN_MAX {
            let len = self.octet(at)?;
            if len >= 0xc0 {
                // Later pointers may stand before `start`.
                if taken.is_none() {
                    taken = Some(at + 2 - start);
                }
                at = usize::from(u16::from_be_bytes([len & 0x3f, self.octet(at + 1)?]));
                continue;
            }
            for step in 0..=usize::from(len) {
                *plain.wire.get_mut(plain.len)? = self.octet(at + step)?;
                plain.len += 1;
            }
            at += 1 + usize::from(len);
            if len == 0 {
                // Behind a pointer, `at` may lie before `start`.
                return Some((plain, taken.unwrap_or_else(|| at - start)));
            }
        }
        None
    }
}

impl MadeFor<'_> {
    /// The name that is the rdata of the first record, whose owner is the question's name: where a
    /// CNAME leads.
    pub(crate) fn rdata_name(&self) -> Option<PlainName> {
        const RDATA_AT: usize = 12; // C0 0C, type, class, TTL, length.
        self.name(RDATA_AT).map(|(name, _)| name)
    }
}
