//! The networks of a file, without what it says of them.
//!
//! Once an atlas is compiled nobody needs a file's records any more, and the file is let go. What people
//! ask for is which network an address was found in, and that takes an octet a network: their lengths, in
//! the order of their addresses, tell where each begins.
//!
//! ```text
//! 24 · 25 · 25 · GAP 22 · 24 · …      a /24, two /25s, no record for a /22, a /24
//! ```

use std::net::IpAddr;

use super::ranges::{Family, V4, V6};
use super::tree::End;
use crate::model::Prefix;

/// Says that there is no record for the network whose length follows; no length is as large.
const GAP: u8 = 0xff;
/// Octets from one mark to the next, or one more.
const CHUNK: usize = 256;

/// Networks that do not overlap.
#[derive(Debug)]
pub(super) struct Networks {
    /// The family whose addresses the file goes by: IPv4 lies at `::/96` of IPv6.
    space: Family,
    lens: Vec<u8>,
    /// First addresses and where in `lens` their lengths are.
    marks: Vec<(u128, usize)>,
    /// The first address behind all networks so far; `None` behind the last address there is.
    next: Option<u128>,
}

impl Networks {
    /// None so far.
    pub(super) const fn new(is_v6: bool) -> Self {
        let space = if is_v6 { V6 } else { V4 };
        Self { space, lens: Vec::new(), marks: Vec::new(), next: Some(0) }
    }

    /// Adds the network of an end of the file's tree; they come in the order of their addresses.
    pub(super) fn add(&mut self, end: &End) {
        while let Some(next) = self.next.filter(|&next| next < end.start) {
            // The largest block that starts here and ends in front of the network.
            let aligned = next.trailing_zeros();
            let before = (end.start - next).ilog2();
            let bits = aligned.min(before);
            let len = self.space.width() - u8::try_from(bits).expect("at most 128");
            self.push(len, false);
        }
        self.push(self.len_of(end), true);
    }

    /// The network that holds an address.
    pub(super) fn find(&self, address: IpAddr) -> Option<Prefix> {
        let (family, bits) = Family::split(address);
        if family == V6 && self.space == V4 {
            return None;
        }
        let mark = self.marks.partition_point(|&(start, _)| start <= bits).checked_sub(1)?;
        let (mut start, mut at) = self.marks[mark];
        loop {
            let is_gap = *self.lens.get(at)? == GAP;
            at += usize::from(is_gap);
            let len = *self.lens.get(at)?;
            let last = start | low_bits(self.space.width() - len);
            if bits <= last {
                // A record for more than all of IPv4 is none for IPv4.
                let len = len.checked_sub(self.space.width() - family.width())?;
                return (!is_gap).then(|| Prefix::new(address, len));
            }
            start = last.checked_add(1)?;
            at += 1;
        }
    }

    /// Gives back the memory that growing left over.
    pub(super) fn shrink(&mut self) {
        self.lens.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Octets on the heap.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.lens.capacity() + self.marks.capacity() * size_of::<(u128, usize)>()
    }

    /// The length of an end's network in the file's own space.
    const fn len_of(&self, end: &End) -> u8 {
        end.len + (self.space.width() - end.family.width())
    }

    fn push(&mut self, len: u8, has_record: bool) {
        let Some(start) = self.next else { return };
        if self.marks.last().is_none_or(|&(_, at)| self.lens.len() - at >= CHUNK) {
            self.marks.push((start, self.lens.len()));
        }
        if !has_record {
            self.lens.push(GAP);
        }
        self.lens.push(len);
        let last = start | low_bits(self.space.width() - len);
        self.next = last.checked_add(1);
    }
}

/// That many ones.
const fn low_bits(count: u8) -> u128 {
    if count == 0 { 0 } else { u128::MAX >> (128 - count) }
}
