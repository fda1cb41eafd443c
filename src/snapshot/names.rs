//! Every name that we answer for, in one table.
//!
//! One open-addressing table over all zones leads from the hash of a name to its record: flags, zone,
//! the name itself and its ready images, all in one stretch of memory, so that a look-up costs two
//! cache misses whatever the number of names and zones. Names that exist only because something lies
//! below them (empty non-terminals, RFC 4592 §2.2.2) have records, too.
//!
//! ```text
//! slots: [ tag, offset ]*           a power of two, at most half full; offset 0 is free
//! arena: record*
//!   record: name_len u8 │ flags u8 │ rrsets u16 │ zone u32 │ link u32 │ name │ heads │ images
//!   head:   type u16 │ records u16 │ octets u16 │ pointers u16
//!   image:  octets │ pointers × u16
//! ```
//!
//! How a look-up goes on when a name is not there is [`find`](super::find)'s business.

use super::image::Image;
use crate::model::{Name, RecordType};

/// What a record's name is in its zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    /// The top of a zone.
    pub(crate) const APEX: Self = Self(1);
    /// NS records delegate it and what is below; link: its referral.
    pub(crate) const CUT: Self = Self(2);
    /// It lies below a cut; link: the record of the cut.
    pub(crate) const OCCLUDED: Self = Self(4);
    /// It has a child `*`.
    pub(crate) const WILDCARD_BELOW: Self = Self(8);
    /// A DNAME redirects everything below it.
    pub(crate) const DNAME: Self = Self(16);
    /// A CNAME stands there.
    pub(crate) const CNAME: Self = Self(32);
    /// Some types are steered; link: the rule.
    pub(crate) const STEERED: Self = Self(64);

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One ready rrset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rrset<'a> {
    /// Its type.
    pub(crate) rtype: RecordType,
    /// How many records.
    pub(crate) count: u16,
    /// Them, made to stand behind the question.
    pub(crate) bytes: &'a [u8],
    /// Pairs of octets: where pointers stand that move with the question ([`Image::pointers`]).
    pub(crate) pointers: &'a [u8],
}

/// What a referral is made of. Each piece is made to stand right behind the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referral<'a> {
    /// The name that is delegated, in lower case and wire form.
    pub(crate) cut: &'a [u8],
    /// Its NS records.
    pub(crate) ns: Rrset<'a>,
    /// Addresses of name servers at or below the cut: without them nobody gets there.
    pub(crate) glue: Rrset<'a>,
    /// Addresses of its other name servers.
    pub(crate) rest: Rrset<'a>,
}

/// A name's record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameRecord<'a> {
    bytes: &'a [u8],
}

const FIXED_LEN: usize = 12;
const HEAD_LEN: usize = 8;

impl<'a> NameRecord<'a> {
    /// What it is in its zone.
    pub(crate) fn flags(self) -> Flags {
        Flags(self.bytes[1])
    }

    /// Its zone, by place in the snapshot.
    pub(crate) fn zone(self) -> usize {
        u32_at(self.bytes, 4) as usize
    }

    /// A rule, or the offset of another record; see [`Flags`].
    pub(crate) fn link(self) -> u32 {
        u32_at(self.bytes, 8)
    }

    /// The name in lower case and wire form.
    pub(crate) fn name(self) -> &'a [u8] {
        &self.bytes[FIXED_LEN..FIXED_LEN + usize::from(self.bytes[0])]
    }

    fn rrset_count(self) -> usize {
        usize::from(u16_at(self.bytes, 2))
    }

    /// Its rrsets, by rising type.
    pub(crate) fn rrsets(self) -> impl Iterator<Item = Rrset<'a>> {
        let heads = FIXED_LEN + usize::from(self.bytes[0]);
        let count = self.rrset_count();
        let bytes = self.bytes;
        let mut image = heads + count * HEAD_LEN;
        (0..count).map(move |n| {
            let head = heads + n * HEAD_LEN;
            let len = usize::from(u16_at(bytes, head + 4));
            let pointers_len = 2 * usize::from(u16_at(bytes, head + 6));
            let rrset = Rrset {
                rtype: RecordType(u16_at(bytes, head)),
                count: u16_at(bytes, head + 2),
                bytes: &bytes[image..image + len],
                pointers: &bytes[image + len..image + len + pointers_len],
            };
            image += len + pointers_len;
            rrset
        })
    }

    /// Its rrset of that type.
    pub(crate) fn rrset(self, rtype: RecordType) -> Option<Rrset<'a>> {
        self.rrsets().find(|rrset| rrset.rtype == rtype)
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct NameTable {
    slots: Box<[(u32, u32)]>,
    arena: Box<[u8]>,
    /// The most labels that any name has: a longer name cannot be there.
    labels_max: usize,
}

impl NameTable {
    /// The record of a name given in lower case and wire form.
    pub(crate) fn get(&self, name: &[u8]) -> Option<NameRecord<'_>> {
        self.all(name).next()
    }

    /// What the zone above says of a name that is the apex of another zone of ours, if anything.
    pub(crate) fn get_hidden(&self, name: &[u8]) -> Option<NameRecord<'_>> {
        self.all(name).nth(1)
    }

    /// Every record of a name, the one that hides the others first.
    fn all<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = NameRecord<'a>> + use<'a, 'n> {
        let mask = self.slots.len() - 1;
        let (mut slot, tag) = split(hash_of(name), mask);
        std::iter::from_fn(move || {
            loop {
                let (found, offset) = self.slots[slot];
                if offset == 0 {
                    return None;
                }
                slot = (slot + 1) & mask;
                if found == tag {
                    let record = self.at(offset);
                    if record.name() == name {
                        return Some(record);
                    }
                }
            }
        })
    }

    /// What the record of a cut links to.
    pub(crate) fn referral(&self, cut: NameRecord<'_>) -> Referral<'_> {
        let record = self.at(cut.link());
        let mut pieces = record.rrsets();
        let mut piece = || pieces.next().expect("a cut links to three pieces");
        Referral { cut: record.name(), ns: piece(), glue: piece(), rest: piece() }
    }

    /// The record at an offset of this table.
    pub(crate) fn at(&self, offset: u32) -> NameRecord<'_> {
        NameRecord { bytes: &self.arena[offset as usize..] }
    }

    /// The most labels that any name has.
    pub(crate) const fn labels_max(&self) -> usize {
        self.labels_max
    }
}

/// Slot and tag of a hash.
#[expect(clippy::cast_possible_truncation, reason = "two halves of a hash")]
const fn split(hash: u64, mask: usize) -> (usize, u32) {
    (hash as usize & mask, (hash >> 32) as u32)
}

/// A hash that is quick on names of a few dozen octets: folded multiplication, eight at a time. It
/// need not withstand an adversary: who asks cannot add names, only look for them.
fn hash_of(name: &[u8]) -> u64 {
    let mut hash = name.len() as u64;
    let mut words = name.chunks_exact(8);
    for word in &mut words {
        hash = fold(hash, u64::from_le_bytes(word.try_into().expect("eight octets")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    fold(hash, u64::from_le_bytes(last) ^ 0x9e37_79b9_7f4a_7c15)
}

#[expect(clippy::cast_possible_truncation, reason = "folding the halves of a product")]
fn fold(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * 0xb4a5_21f1_d546_8a0f;
    product as u64 ^ (product >> 64) as u64
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Why names do not fit into a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TableError {
    /// The records of all names together pass 4 GiB.
    TooLarge,
}

/// Builds a [`NameTable`].
#[derive(Debug)]
pub(crate) struct TableBuilder {
    arena: Vec<u8>,
    /// (hash, offset) of every record that can be found by name.
    entries: Vec<(u64, u32)>,
    labels_max: usize,
}

impl TableBuilder {
    pub(crate) fn new() -> Self {
        // Offset 0 marks a free slot, so no record may stand there.
        Self { arena: vec![0; 4], entries: Vec::new(), labels_max: 0 }
    }

    /// Adds a record that its name leads to; a later one of the same name hides an earlier one.
    pub(crate) fn add(
        &mut self,
        name: &Name,
        flags: Flags,
        zone: usize,
        link: u32,
        rrsets: &[(RecordType, u16, Image)],
    ) -> Result<u32, TableError> {
        let offset = self.add_hidden(name, flags, zone, link, rrsets)?;
        let lower = name.to_lowercase();
        self.entries.push((hash_of(lower.as_wire()), offset));
        self.labels_max = self.labels_max.max(name.label_count());
        Ok(offset)
    }

    /// Adds a record that only a link leads to.
    pub(crate) fn add_hidden(
        &mut self,
        name: &Name,
        flags: Flags,
        zone: usize,
        link: u32,
        rrsets: &[(RecordType, u16, Image)],
    ) -> Result<u32, TableError> {
        let offset = u32::try_from(self.arena.len()).map_err(|_| TableError::TooLarge)?;
        let zone = u32::try_from(zone).map_err(|_| TableError::TooLarge)?;
        let count = |len: usize| u16::try_from(len).map_err(|_| TableError::TooLarge);
        let name = name.to_lowercase();
        let name_len = u8::try_from(name.as_wire().len()).expect("a name has at most 255 octets");
        self.arena.extend_from_slice(&[name_len, flags.0]);
        self.arena.extend_from_slice(&count(rrsets.len())?.to_be_bytes());
        self.arena.extend_from_slice(&zone.to_be_bytes());
        self.arena.extend_from_slice(&link.to_be_bytes());
        self.arena.extend_from_slice(name.as_wire());
        for (rtype, records, image) in rrsets {
            self.arena.extend_from_slice(&rtype.0.to_be_bytes());
            self.arena.extend_from_slice(&records.to_be_bytes());
            self.arena.extend_from_slice(&count(image.bytes.len())?.to_be_bytes());
            self.arena.extend_from_slice(&count(image.pointers.len())?.to_be_bytes());
        }
        for (_, _, image) in rrsets {
            self.arena.extend_from_slice(&image.bytes);
            for pointer in &image.pointers {
                self.arena.extend_from_slice(&pointer.to_be_bytes());
            }
        }
        Ok(offset)
    }

    pub(crate) fn finish(self) -> NameTable {
        let len = (self.entries.len() * 2).next_power_of_two().max(2);
        let mut slots = vec![(0, 0); len].into_boxed_slice();
        // Backwards, so that the last record of a name is met first.
        for (hash, offset) in self.entries.into_iter().rev() {
            let (mut slot, tag) = split(hash, len - 1);
            while slots[slot].1 != 0 {
                slot = (slot + 1) & (len - 1);
            }
            slots[slot] = (tag, offset);
        }
        NameTable { slots, arena: self.arena.into(), labels_max: self.labels_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let mut builder = TableBuilder::new();
        let names: Vec<Name> = (0..3000).map(|n| format!("h{n}.test.").parse().unwrap()).collect();
        for (n, name) in names.iter().enumerate() {
            let image = Image { bytes: n.to_be_bytes().to_vec(), pointers: vec![7] };
            builder.add(name, Flags::APEX, n, 9, &[(RecordType::A, 1, image)]).unwrap();
        }
        let table = builder.finish();
        for (n, name) in names.iter().enumerate() {
            let record = table.get(name.as_wire()).unwrap();
            let rrset = record.rrset(RecordType::A).unwrap();
            assert_eq!((record.zone(), record.link(), rrset.count), (n, 9, 1));
            assert_eq!((rrset.bytes, rrset.pointers), (&n.to_be_bytes()[..], &[0, 7][..]));
            assert!(record.rrset(RecordType::AAAA).is_none());
        }
        let missing: Name = "h3000.test.".parse().unwrap();
        assert!(table.get(missing.as_wire()).is_none());
        assert_eq!(table.labels_max(), 2);
    }

    #[test]
    fn the_last_record_of_a_name_hides_the_others() {
        let mut builder = TableBuilder::new();
        let name: Name = "sub.Test.".parse().unwrap();
        builder.add(&name, Flags::OCCLUDED, 0, 0, &[]).unwrap();
        builder.add(&name, Flags::APEX, 1, 0, &[]).unwrap();
        let table = builder.finish();
        let name = name.to_lowercase();
        assert_eq!(table.get(name.as_wire()).unwrap().zone(), 1);
        assert_eq!(table.get_hidden(name.as_wire()).unwrap().zone(), 0);
    }
}
