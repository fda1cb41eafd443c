//! Every name of a zone with its ready answers, in one stretch of memory.
//!
//! A [`ZoneNames`] is made once, by `zone`, and never changes; all snapshots from one load to the next
//! share it. Names that exist only because something lies below them (empty non-terminals, RFC 4592
//! §2.2.2) have records, too. `Slots` lead from the hash of a name to its record; how a look-up goes
//! on when a name is not there is `snapshot`'s business.
//!
//! ```text
//! arena: record*, each at a multiple of 4 octets
//!   record: name_len u8 │ flags u8 │ rrsets u16 │ name │ link u32, if flags ask for it │ rrset*
//!   rrset:  1 │ A record                (16 octets, owner C0 0C)
//!           2 │ AAAA record             (28 octets, owner C0 0C)
//!           0 │ type u16 │ records u16 │ octets u16 │ pointers u16 │ image │ pointers × u16
//! ```

use std::fmt;

use bytes::Bytes;

use super::image::Image;
use super::prefetch::prefetch;
use super::{Name, RecordType};

/// What a record's name is in its zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    /// The top of the zone.
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
    /// Some types are steered; link: the steer, by place in the zone.
    pub(crate) const STEERED: Self = Self(64);
    /// Its name does not lead to it: it is a referral, or another record has taken its place.
    pub(crate) const HIDDEN: Self = Self(128);

    /// Those that come with a link.
    const LINKED: Self = Self(Self::CUT.0 | Self::OCCLUDED.0 | Self::STEERED.0);

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
    /// Its zone, by place in the snapshot.
    zone: u32,
    /// What links of its zone are counted from.
    base: u32,
}

/// Octets of which addresses in an arena are multiples.
pub(crate) const UNIT: usize = 4;
const FIXED_LEN: usize = 4;
const LINK_LEN: usize = 4;
/// How an rrset begins.
const LONG: u8 = 0;
const ONE_A: u8 = 1;
const ONE_AAAA: u8 = 2;
const LONG_HEAD_LEN: usize = 9;
const A_LEN: usize = 16;
const AAAA_LEN: usize = 28;

impl<'a> NameRecord<'a> {
    /// The record at the start of `bytes`.
    pub(crate) const fn new(bytes: &'a [u8], zone: u32, base: u32) -> Self {
        Self { bytes, zone, base }
    }

    /// What it is in its zone.
    pub(crate) fn flags(self) -> Flags {
        Flags(self.bytes[1])
    }

    /// Its zone, by place in the snapshot.
    pub(crate) const fn zone(self) -> usize {
        self.zone as usize
    }

    /// What links of its zone are counted from.
    pub(crate) const fn base(self) -> u32 {
        self.base
    }

    fn name_end(self) -> usize {
        FIXED_LEN + usize::from(self.bytes[0])
    }

    /// A steer or another record; see [`Flags`]. Of no meaning without one of those flags.
    pub(crate) fn link(self) -> u32 {
        let at = self.name_end();
        self.bytes.get(at..at + LINK_LEN).map_or(0, |link| u32_at(link, 0))
    }

    /// The name in lower case and wire form.
    pub(crate) fn name(self) -> &'a [u8] {
        &self.bytes[FIXED_LEN..self.name_end()]
    }

    /// Its rrsets, by rising type.
    pub(crate) fn rrsets(self) -> Rrsets<'a> {
        let link_len = if self.flags().has(Flags::LINKED) { LINK_LEN } else { 0 };
        Rrsets { bytes: self.bytes, at: self.name_end() + link_len, left: u16_at(self.bytes, 2) }
    }

    /// Its rrset of that type.
    // Most names have one or two, so that a call would cost as much as the search.
    #[inline(always)]
    pub(crate) fn rrset(self, rtype: RecordType) -> Option<Rrset<'a>> {
        let Rrsets { bytes, mut at, left } = self.rrsets();
        for _ in 0..left {
            let rest = &bytes[at..];
            let head = RrsetHead::read(rest);
            if head.rtype == rtype {
                return Some(head.rrset(rest));
            }
            at += head.len();
        }
        None
    }

    /// How many rrsets it has, and them as they stand in the arena.
    pub(crate) fn raw_rrsets(self) -> (u16, &'a [u8]) {
        let rrsets = self.rrsets();
        (rrsets.left, &self.bytes[rrsets.at..self.len()])
    }

    /// Starts to fetch it: two cache lines hold most.
    pub(crate) fn prefetch(self) {
        prefetch(&self.bytes[0]);
        if let Some(octet) = self.bytes.get(64) {
            prefetch(octet);
        }
    }

    /// All of it.
    pub(crate) fn octets(self) -> &'a [u8] {
        &self.bytes[..self.len()]
    }

    /// Octets that it takes, what fills it up to a whole unit not counted.
    pub(crate) fn len(self) -> usize {
        let mut rrsets = self.rrsets();
        while rrsets.next().is_some() {}
        rrsets.at
    }
}

/// The rrsets of a name, by rising type.
#[derive(Clone, Debug)]
pub(crate) struct Rrsets<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u16,
}

impl<'a> Iterator for Rrsets<'a> {
    type Item = Rrset<'a>;

    fn next(&mut self) -> Option<Rrset<'a>> {
        self.left = self.left.checked_sub(1)?;
        let bytes = &self.bytes[self.at..];
        let head = RrsetHead::read(bytes);
        self.at += head.len();
        Some(head.rrset(bytes))
    }
}

/// What an rrset is, and how many octets its parts take.
struct RrsetHead {
    rtype: RecordType,
    count: u16,
    image_at: usize,
    image_len: usize,
    pointers_len: usize,
}

impl RrsetHead {
    /// That of the rrset at the start of `bytes`.
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let one =
            |rtype, image_len| Self { rtype, count: 1, image_at: 1, image_len, pointers_len: 0 };
        match bytes[0] {
            ONE_A => one(RecordType::A, A_LEN),
            ONE_AAAA => one(RecordType::AAAA, AAAA_LEN),
            _ => Self {
                rtype: RecordType(u16_at(bytes, 1)),
                count: u16_at(bytes, 3),
                image_at: LONG_HEAD_LEN,
                image_len: u16_at(bytes, 5).into(),
                pointers_len: 2 * usize::from(u16_at(bytes, 7)),
            },
        }
    }

    /// Octets of all of the rrset.
    const fn len(&self) -> usize {
        self.image_at + self.image_len + self.pointers_len
    }

    /// The rrset at the start of `bytes`, whose head this is.
    #[inline]
    fn rrset<'a>(&self, bytes: &'a [u8]) -> Rrset<'a> {
        let (image, pointers) = bytes[self.image_at..self.len()].split_at(self.image_len);
        Rrset { rtype: self.rtype, count: self.count, bytes: image, pointers }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// All names of a zone, and what of it is answered beside them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ZoneNames {
    pub(crate) arena: Bytes,
    /// Static records.
    pub(crate) records: usize,
    /// Names that a record can be found by.
    pub(crate) names: usize,
    /// The most labels that any name has: a longer name cannot be there.
    pub(crate) labels_max: usize,
    /// The SOA for the authority section of negative answers, its TTL the lesser of its own and of
    /// the minimum field (RFC 2308 §5). Made for questions of the apex or below.
    pub(crate) negative: Image,
    /// How many addresses its name servers have in it, and those: made to stand right behind the
    /// NS records of the apex.
    pub(crate) servers: (u16, Image),
}

impl ZoneNames {
    /// The memory that all records stand in.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.arena
    }

    /// How many static records there are.
    #[must_use]
    pub const fn record_count(&self) -> usize {
        self.records
    }

    /// Every record in the order of the arena, with where it starts, in units.
    pub(crate) fn iter(&self) -> Records<'_> {
        Records { bytes: &self.arena, at: 0 }
    }
}

/// Not the names: there may be millions.
impl fmt::Debug for ZoneNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, octets) = (self.names, self.arena.len());
        f.debug_struct("ZoneNames").field("names", &names).field("octets", &octets).finish()
    }
}

/// The records of an arena, with where each starts, in units.
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Those of `bytes`, from octet `at` on.
    pub(crate) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u32, NameRecord<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let record = NameRecord::new(bytes, 0, 0);
        let at = u32::try_from(self.at / UNIT).ok()?;
        self.at += record.len().next_multiple_of(UNIT);
        Some((at, record))
    }
}

// ---- Writing ----

/// Appends a record's fixed part and name to `arena`, whose length is a multiple of [`UNIT`], and a
/// link if `flags` ask for one. `rrsets` of [`push_rrset`] must follow, then [`close_record`].
pub(crate) fn open_record(arena: &mut Vec<u8>, name: &[u8], flags: Flags, rrsets: u16, link: u32) {
    let name_len = u8::try_from(name.len()).expect("a name has at most 255 octets");
    arena.extend_from_slice(&[name_len, flags.0]);
    arena.extend_from_slice(&rrsets.to_be_bytes());
    arena.extend_from_slice(name);
    if flags.has(Flags::LINKED) {
        arena.extend_from_slice(&link.to_be_bytes());
    }
}

/// Appends an rrset whose records are `count` and whose octets and pointers both fit into 16 bits.
pub(crate) fn push_rrset(arena: &mut Vec<u8>, rtype: RecordType, count: u16, image: &Image) {
    match (rtype, count, image.bytes.len(), image.pointers.len()) {
        (RecordType::A, 1, A_LEN, 0) => arena.push(ONE_A),
        (RecordType::AAAA, 1, AAAA_LEN, 0) => arena.push(ONE_AAAA),
        _ => {
            let short = |len: usize| u16::try_from(len).expect("an rrset fits into a message");
            arena.push(LONG);
            let lens = [short(image.bytes.len()), short(image.pointers.len())];
            for number in [rtype.0, count].into_iter().chain(lens) {
                arena.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
    arena.extend_from_slice(&image.bytes);
    for pointer in &image.pointers {
        arena.extend_from_slice(&pointer.to_be_bytes());
    }
}

/// The only record of its rrset, an address: the same as [`push_rrset`] of its image.
pub(crate) fn push_address(arena: &mut Vec<u8>, rtype: RecordType, ttl: u32, address: &[u8]) {
    arena.push(if rtype == RecordType::A { ONE_A } else { ONE_AAAA });
    arena.extend_from_slice(&[0xc0, 0x0c]);
    arena.extend_from_slice(&rtype.0.to_be_bytes());
    arena.extend_from_slice(&1_u16.to_be_bytes());
    arena.extend_from_slice(&ttl.to_be_bytes());
    let len = u16::try_from(address.len()).expect("an address is short");
    arena.extend_from_slice(&len.to_be_bytes());
    arena.extend_from_slice(address);
}

/// Ends a record.
pub(crate) fn close_record(arena: &mut Vec<u8>) {
    arena.resize(arena.len().next_multiple_of(UNIT), 0);
}

/// Sets how many rrsets the record at `at`, in units, has.
pub(crate) fn set_rrset_count(arena: &mut [u8], at: u32, count: u16) {
    let at = at as usize * UNIT + 2;
    arena[at..at + 2].copy_from_slice(&count.to_be_bytes());
}

/// Replaces the flags of the record at `at`, in units; those with a link must not change.
pub(crate) fn set_flags(arena: &mut [u8], at: u32, flags: Flags) {
    arena[at as usize * UNIT + 1] = flags.0;
}

/// Replaces the link of the record at `at`, in units, which must have one.
pub(crate) fn set_link(arena: &mut [u8], at: u32, link: u32) {
    let at = at as usize * UNIT;
    let link_at = at + FIXED_LEN + usize::from(arena[at]);
    arena[link_at..link_at + LINK_LEN].copy_from_slice(&link.to_be_bytes());
}

// ---- Finding ----

/// An open-addressing table from the hashes of names to where their records are: a power of two slots,
/// at most half of them taken.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Tag and place; a place is one more than it is, so that 0 is a free slot.
    slots: Box<[(u32, u32)]>,
    taken: usize,
}

impl Slots {
    /// Room for `names` entries.
    pub(crate) fn with_capacity(names: usize) -> Self {
        let len = (names * 2).next_power_of_two().max(2);
        Self { slots: vec![(0, 0); len].into_boxed_slice(), taken: 0 }
    }

    /// Whether another entry has room.
    pub(crate) fn has_room(&self) -> bool {
        self.taken * 2 < self.slots.len()
    }

    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.taken
    }

    /// Adds an entry; those of one hash are found in the order in which they were added.
    pub(crate) fn insert(&mut self, hash: u64, at: u32) {
        let mask = self.slots.len() - 1;
        let (mut slot, tag) = split(hash, mask);
        while self.slots[slot].1 != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = (tag, at + 1);
        self.taken += 1;
    }

    /// Adds entries as [`insert`](Self::insert) does. There must be room for all. Their slots are fetched
    /// some ahead: they lie all over the table.
    pub(crate) fn extend(&mut self, entries: impl Iterator<Item = (u64, u32)>) {
        let mut ahead = [(0, 0); 16];
        let mut len = 0;
        for (hash, at) in entries {
            self.prefetch(hash);
            ahead[len] = (hash, at);
            len += 1;
            if len == ahead.len() {
                ahead.iter().for_each(|(hash, at)| self.insert(*hash, *at));
                len = 0;
            }
        }
        ahead[..len].iter().for_each(|(hash, at)| self.insert(*hash, *at));
    }

    /// Makes the entry of that hash that leads to `from` lead to `to`.
    pub(crate) fn redirect(&mut self, hash: u64, from: u32, to: u32) {
        let mask = self.slots.len() - 1;
        let (mut slot, _) = split(hash, mask);
        while self.slots[slot].1 != from + 1 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot].1 = to + 1;
    }

    /// Where records may be whose names have that hash.
    #[inline]
    pub(crate) fn candidates(&self, hash: u64) -> Candidates<'_> {
        let (slot, tag) = split(hash, self.slots.len() - 1);
        Candidates { slots: &self.slots, slot, tag }
    }

    /// All slots.
    pub(crate) const fn as_slice(&self) -> &[(u32, u32)] {
        &self.slots
    }

    /// Starts to fetch what a look for that hash will see first.
    pub(crate) fn prefetch(&self, hash: u64) {
        let (slot, _) = split(hash, self.slots.len() - 1);
        prefetch(&self.slots[slot]);
    }
}

/// See [`Slots::candidates`].
pub(crate) struct Candidates<'a> {
    slots: &'a [(u32, u32)],
    slot: usize,
    tag: u32,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let mask = self.slots.len() - 1;
        loop {
            let (tag, at) = self.slots[self.slot & mask];
            let at = at.checked_sub(1)?;
            self.slot += 1;
            if tag == self.tag {
                return Some(at);
            }
        }
    }
}

/// Slot and tag of a hash.
#[expect(clippy::cast_possible_truncation, reason = "two halves of a hash")]
const fn split(hash: u64, mask: usize) -> (usize, u32) {
    (hash as usize & mask, (hash >> 32) as u32)
}

/// A hash that is quick on names of a few dozen octets: folded multiplication, eight at a time. Case does
/// not count: the bit by which `A` and `a` differ is set in every octet, and [`is_asked`] tells apart what
/// else that makes alike. It need not withstand an adversary: who asks cannot add names, only look for
/// them.
#[inline]
pub(crate) fn hash_of(name: &[u8]) -> u64 {
    let (words, last) = words_of(name);
    let hash = words.iter().fold(name.len() as u64, |hash, word| fold(hash, word_of(*word) | CASE));
    fold(hash, (last | CASE) ^ 0x9e37_79b9_7f4a_7c15)
}

/// Whether `asked` is `name`, which is in lower case, eight octets at a time.
#[inline(always)]
pub(crate) fn is_asked(name: &[u8], asked: &[u8]) -> bool {
    name.len() == asked.len() && (is_same(name, asked, |word| word) || is_same(name, asked, lower))
}

/// Whether two names of one length are the same when words of the other are read so.
#[inline(always)]
fn is_same(name: &[u8], other: &[u8], read: impl Fn(u64) -> u64) -> bool {
    let ((own, own_last), (others, other_last)) = (words_of(name), words_of(other));
    let mut words = own.iter().zip(others);
    own_last == read(other_last) && words.all(|(own, other)| word_of(*own) == read(word_of(*other)))
}

/// The bit by which upper and lower case differ, in each octet of a word.
const CASE: u64 = u64::from_ne_bytes([0x20; 8]);

/// The octets of a name as words of eight. The last one ends where the name ends and may overlap the one
/// before it, so that nothing is left over; only a name that is shorter than a word is padded.
#[inline]
fn words_of(name: &[u8]) -> (&[[u8; 8]], u64) {
    match name.last_chunk() {
        Some(last) => (name[..name.len() - 1].as_chunks().0, word_of(*last)),
        None => (&[], name.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))),
    }
}

const fn word_of(octets: [u8; 8]) -> u64 {
    u64::from_le_bytes(octets)
}

/// Eight octets with the letters `A` to `Z` in lower case (Mycroft's trick: a carry into the high bit of
/// each octet tells which lie in the range). Label lengths are below 64 and thus no letters.
const fn lower(word: u64) -> u64 {
    const ALL: u64 = u64::from_ne_bytes([1; 8]);
    let low = word & (0x7f * ALL);
    let from_a = low + (0x80 - b'A' as u64) * ALL;
    let behind_z = low + (0x7f - b'Z' as u64) * ALL;
    let is_upper = (from_a ^ behind_z) & !word & (0x80 * ALL);
    word | (is_upper >> 2)
}

#[expect(clippy::cast_possible_truncation, reason = "folding the halves of a product")]
const fn fold(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word) as u128 * 0xb4a5_21f1_d546_8a0f;
    product as u64 ^ (product >> 64) as u64
}

/// The name without its first label; `None` for the root.
pub(crate) fn parent_of(name: &[u8]) -> Option<&[u8]> {
    let len = usize::from(*name.first()?);
    (len != 0).then(|| &name[1 + len..])
}

/// Whether a name is `ancestor` or lies below it, both in lower case and wire form.
pub(crate) fn is_at_or_below(name: &[u8], ancestor: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(ancestor.len()) else { return false };
    if name[start..] != *ancestor {
        return false;
    }
    let mut at = 0;
    while at < start {
        at += 1 + usize::from(name[at]);
    }
    at == start
}

/// How many labels a name in wire form has, the root's not counted.
pub(crate) fn label_count(mut name: &[u8]) -> usize {
    let mut count = 0;
    while let Some(parent) = parent_of(name) {
        name = parent;
        count += 1;
    }
    count
}

/// A name that a record holds: it was read, so it is well-formed.
pub(crate) fn to_name(wire: &[u8]) -> Name {
    Name::from_wire(wire).map_or_else(|_| Name::root(), |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_is_lowered_as_ascii_is() {
        for octet in 0..=u8::MAX {
            for at in 0..8 {
                let mut octets = [b'Z', b'[', b'@', b'A', 0xff, 0x80, 0, b'a'];
                octets[at] = octet;
                let lowered = lower(u64::from_le_bytes(octets)).to_le_bytes();
                assert_eq!(lowered, octets.map(|octet| octet.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn names_of_any_length_are_found_in_any_case_and_no_others() {
        let long = "a-LABEL-of-Several-WORDS.example.COM";
        for start in 0..=long.len() {
            let name: Name =
                format!("{}.", &long[start..]).parse().unwrap_or_else(|_| Name::root());
            let (own, asked) = (name.to_lowercase(), name.as_wire());
            assert_eq!(hash_of(asked), hash_of(own.as_wire()), "{name}");
            assert!(is_asked(own.as_wire(), asked), "{name}");
            for at in 0..asked.len() {
                let mut other = asked.to_vec();
                other[at] ^= 1;
                assert!(!is_asked(own.as_wire(), &other), "{name} at {at}");
                assert_ne!(hash_of(&other), hash_of(asked), "{name} at {at}");
                other[at] = asked[at] ^ 0x20;
                let is_letter = asked[at].is_ascii_alphabetic();
                assert_eq!(is_asked(own.as_wire(), &other), is_letter, "{name} at {at}");
            }
            assert!(!is_asked(own.as_wire(), &asked[1..]) && !is_asked(&own.as_wire()[1..], asked));
        }
    }
}
