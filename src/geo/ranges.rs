//! Sorted tables from blocks of addresses to values.
//!
//! A *block* is the smallest piece of address space that can have an answer of its own: a /24 of IPv4
//! or a /56 of IPv6. Blocks are numbered from 0 in address order. [`Ranges`] gives every block of a
//! family a value; [`Collapse`] makes one from networks of any length, where networks longer than a
//! block are outvoted or win by their number of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) use self::Family::{V4, V6};

/// An address family, and where its blocks end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    /// In blocks of /24.
    V4,
    /// In blocks of /56: what resolvers send at most (RFC 7871 §11.1).
    V6,
}

impl Family {
    /// The family of an address, and its bits.
    pub(super) fn split(address: IpAddr) -> (Self, u128) {
        match address {
            IpAddr::V4(v4) => (V4, u32::from(v4).into()),
            IpAddr::V6(v6) => (V6, v6.into()),
        }
    }

    /// The address of these bits.
    pub(super) fn address(self, bits: u128) -> IpAddr {
        match self {
            V4 => Ipv4Addr::from(u32::try_from(bits).expect("an address of this family")).into(),
            V6 => Ipv6Addr::from(bits).into(),
        }
    }

    /// Bits of an address.
    pub(super) const fn width(self) -> u8 {
        match self {
            V4 => 32,
            V6 => 128,
        }
    }

    /// Bits of a block's prefix; no scope is longer.
    pub(super) const fn cap(self) -> u8 {
        match self {
            V4 => 24,
            V6 => 56,
        }
    }

    /// The number of the block that holds an address.
    pub(super) fn block(self, bits: u128) -> u64 {
        u64::try_from(bits >> (self.width() - self.cap())).expect("an address of this family")
    }

    /// How many blocks a prefix of `len` bits holds; 1 when it is longer than a block.
    pub(super) const fn blocks_in(self, len: u8) -> u64 {
        1 << self.cap().saturating_sub(len)
    }

    /// The last block's number.
    pub(super) const fn last(self) -> u64 {
        (1 << self.cap()) - 1
    }
}

/// One thing for each family.
#[derive(Clone, Default, Debug)]
pub(super) struct Families<T> {
    pub(super) v4: T,
    pub(super) v6: T,
}

impl<T> Families<T> {
    /// What `make` makes for each.
    pub(super) fn make(mut make: impl FnMut(Family) -> T) -> Self {
        Self { v4: make(V4), v6: make(V6) }
    }

    /// What `change` makes of both.
    pub(super) fn map<U>(&self, change: impl Fn(&T) -> U) -> Families<U> {
        Families { v4: change(&self.v4), v6: change(&self.v6) }
    }

    pub(super) const fn get(&self, family: Family) -> &T {
        match family {
            V4 => &self.v4,
            V6 => &self.v6,
        }
    }

    pub(super) const fn get_mut(&mut self, family: Family) -> &mut T {
        match family {
            V4 => &mut self.v4,
            V6 => &mut self.v6,
        }
    }
}

/// A value for every block: sorted starts, each good up to the next. Neighbours differ.
#[derive(Clone, Debug)]
pub(super) struct Ranges {
    starts: Vec<u64>,
    values: Vec<u32>,
}

impl Default for Ranges {
    fn default() -> Self {
        Self::constant(0)
    }
}

impl Ranges {
    /// `value` everywhere.
    pub(super) fn constant(value: u32) -> Self {
        Self { starts: vec![0], values: vec![value] }
    }

    /// From `start` on, until the next push, the value is `value`. Starts never go down.
    pub(super) fn push(&mut self, start: u64, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// How many ranges there are.
    pub(super) const fn count(&self) -> usize {
        self.starts.len()
    }

    /// Starts and values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.starts.iter().copied().zip(self.values.iter().copied())
    }

    /// The ranges inside which both tables are constant, with the value that `join` makes of theirs.
    /// `other` has the starts and values of a whole table.
    pub(super) fn zip(
        &self,
        other: impl Iterator<Item = (u64, u32)>,
        mut join: impl FnMut(u32, u32) -> u32,
    ) -> Self {
        let mut joined = Self { starts: Vec::new(), values: Vec::new() };
        let (mut own, mut other) = (self.iter().peekable(), other.peekable());
        let (mut own_value, mut other_value) = (0, 0);
        loop {
            let next = |peeked: Option<&(u64, u32)>| peeked.map_or(u64::MAX, |&(start, _)| start);
            let start = next(own.peek()).min(next(other.peek()));
            if start == u64::MAX {
                joined.shrink();
                return joined;
            }
            if let Some((_, value)) = own.next_if(|&(own_start, _)| own_start == start) {
                own_value = value;
            }
            if let Some((_, value)) = other.next_if(|&(other_start, _)| other_start == start) {
                other_value = value;
            }
            joined.push(start, join(own_value, other_value));
        }
    }

    /// Gives back the memory that growing left over.
    fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// The starts and the values apart.
    pub(super) fn into_parts(self) -> (Vec<u64>, Vec<u32>) {
        (self.starts, self.values)
    }
}

/// Values that one block's votes are counted for: all there can be in IPv4, and a bound on the work that
/// a hostile file can make of one /56.
const VOTES_MAX: usize = 256;

/// Makes [`Ranges`] from disjoint networks in address order.
///
/// Value 0 means unknown. A block that holds several networks gets the known value with the most
/// addresses, the first of them in a tie; what is unknown never outvotes what is known.
pub(super) struct Collapse {
    family: Family,
    ranges: Ranges,
    /// The first block that no network has reached yet.
    next: u64,
    /// The block whose votes are being counted.
    counting: u64,
    /// Values in `counting` and their addresses.
    votes: Vec<(u32, u128)>,
}

impl Collapse {
    /// Nothing known yet.
    pub(super) fn new(family: Family) -> Self {
        Self { family, ranges: Ranges::default(), next: 0, counting: 0, votes: Vec::new() }
    }

    /// The network of `len` bits at `start` has `value`.
    pub(super) fn add(&mut self, start: u128, len: u8, value: u32) {
        let block = self.family.block(start);
        if block != self.counting {
            self.count_votes();
        }
        if len <= self.family.cap() {
            self.put(block, self.family.blocks_in(len), value);
            return;
        }
        self.counting = block;
        let addresses = 1_u128 << (self.family.width() - len);
        let has_room = self.votes.len() < VOTES_MAX;
        match self.votes.iter_mut().find(|(known, _)| *known == value) {
            Some((_, sum)) => *sum += addresses,
            None if value != 0 && has_room => self.votes.push((value, addresses)),
            None => {}
        }
    }

    /// The finished table.
    pub(super) fn finish(mut self) -> Ranges {
        self.count_votes();
        if self.next <= self.family.last() {
            self.ranges.push(self.next, 0);
        }
        self.ranges.shrink();
        self.ranges
    }

    fn count_votes(&mut self) {
        let mut votes = self.votes.drain(..);
        let Some(first) = votes.next() else { return };
        let (value, _) = votes.fold(first, |best, vote| if vote.1 > best.1 { vote } else { best });
        self.put(self.counting, 1, value);
    }

    fn put(&mut self, block: u64, blocks: u64, value: u32) {
        if block > self.next {
            self.ranges.push(self.next, 0);
        }
        self.ranges.push(block, value);
        self.next = block + blocks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collapsed(networks: &[(&str, u32)]) -> Vec<(u64, u32)> {
        let mut collapse = Collapse::new(V4);
        for &(network, value) in networks {
            let (address, len) = network.split_once('/').unwrap();
            let address: Ipv4Addr = address.parse().unwrap();
            collapse.add(u32::from(address).into(), len.parse().unwrap(), value);
        }
        collapse.finish().iter().collect()
    }

    #[test]
    fn gaps_are_unknown_and_equal_neighbours_are_one_range() {
        let ranges = collapsed(&[("0.0.1.0/24", 7), ("0.0.2.0/23", 7), ("0.0.8.0/22", 9)]);
        assert_eq!(ranges, [(0, 0), (1, 7), (4, 0), (8, 9), (12, 0)]);
        assert_eq!(collapsed(&[]), [(0, 0)]);
        assert_eq!(collapsed(&[("0.0.0.0/0", 3)]), [(0, 3)]);
        assert_eq!(collapsed(&[("255.255.255.0/24", 3)]), [(0, 0), (0xff_ffff, 3)]);
    }

    #[test]
    fn a_block_goes_to_whoever_has_most_of_its_addresses() {
        let cases: [(&[(&str, u32)], u32); 5] = [
            (&[("0.0.1.0/25", 1), ("0.0.1.128/26", 2), ("0.0.1.192/26", 2)], 1),
            (&[("0.0.1.0/26", 1), ("0.0.1.64/26", 2), ("0.0.1.128/25", 2)], 2),
            (&[("0.0.1.0/26", 1), ("0.0.1.64/26", 2), ("0.0.1.128/26", 1)], 1),
            // Nobody lives where nothing is known.
            (&[("0.0.1.0/25", 0), ("0.0.1.128/32", 2)], 2),
            (&[("0.0.1.0/25", 0)], 0),
        ];
        for (networks, winner) in cases {
            let ranges = collapsed(networks);
            let expected =
                if winner == 0 { vec![(0, 0)] } else { vec![(0, 0), (1, winner), (2, 0)] };
            assert_eq!(ranges, expected, "{networks:?}");
        }
    }

    #[test]
    fn zipping_splits_where_either_side_changes() {
        let mut a = Ranges::constant(1);
        a.push(10, 2);
        a.push(20, 1);
        let mut b = Ranges::constant(0);
        b.push(15, 5);
        b.push(20, 0);
        let zipped: Vec<_> = a.zip(b.iter(), |x, y| x * 10 + y).iter().collect();
        assert_eq!(zipped, [(0, 10), (10, 20), (15, 25), (20, 10)]);
        assert_eq!(a.zip(b.iter(), |_, _| 0).count(), 1);
        assert!(a.zip(b.iter(), |x, _| x).iter().eq(a.iter()));
    }
}
