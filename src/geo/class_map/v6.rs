//! IPv6: sorted stretches, found by binary search below an index of the first bits.
//!
//! A stretch's neighbours tell the leaf around any address in it, so leaves are not stored.

use super::short::{SCAN_MAX, SHORT_LEN, Short, Stretches, Tally};
use super::{ClassMapError, Kind, Leaf, leaf_len};
use crate::geo::ranges::{Ranges, V6};

/// First bits of an address that the index goes by: above the length of most allocations, so that
/// what remains to be searched is small even where the registries are dense.
const INDEX_BITS: u8 = 20;

/// Addresses that are asked for where there are too many stretches to count.
const SAMPLES: u64 = 64;

#[derive(Debug)]
pub(super) struct V6Table {
    starts: Vec<u64>,
    kinds: Vec<u16>,
    table: Vec<Kind>,
    /// For each value of the first bits, the stretch that its first block is in; one more at the end.
    index: Box<[u32]>,
    short: Short,
}

impl V6Table {
    /// From stretches whose values are numbers of `kinds`.
    pub(super) fn new(ranges: Ranges, kinds: &[Kind]) -> Result<Self, ClassMapError> {
        let (starts, values) = ranges.into_parts();
        let numbers = values.into_iter().map(u16::try_from).collect::<Result<Vec<_>, _>>();
        let numbers = numbers.map_err(|_| ClassMapError::TooManyClasses)?;
        let stretches = Stretches { family: V6, starts: &starts, kinds: &numbers, table: kinds };
        let short = Short::new(&stretches);
        let mut index = Vec::with_capacity((1 << INDEX_BITS) + 1);
        let mut at = 0_u32;
        for first in (0..=1_u64 << INDEX_BITS).map(|bits| bits << (V6.cap() - INDEX_BITS)) {
            while starts.get(at as usize + 1).is_some_and(|&next| next <= first) {
                at += 1;
            }
            index.push(at);
        }
        Ok(Self { starts, kinds: numbers, table: kinds.to_vec(), index: index.into(), short })
    }

    /// The answer for a subnet.
    #[inline]
    pub(super) fn find(&self, address: u128, len: u8) -> Leaf {
        let block = V6.block(address);
        if len <= SHORT_LEN {
            return self.short.find(V6, block, len);
        }
        let at = self.position(block);
        let stretches = self.stretches();
        let (first, last) = stretches.bounds(at);
        let leaf = Leaf { kind: stretches.kind(at), scope: leaf_len(V6.cap(), block, first, last) };
        if leaf.scope <= len { leaf } else { self.majority(at, block, len) }
    }

    /// The stretch that holds a block.
    fn position(&self, block: u64) -> usize {
        let bits = usize::try_from(block >> (V6.cap() - INDEX_BITS)).unwrap_or(0); // INDEX_BITS fit.
        let (low, high) = (self.index[bits] as usize, self.index[bits + 1] as usize);
        low + self.starts[low + 1..=high].partition_point(|&start| start <= block)
    }

    /// The answer for a source that holds several leaves, `block` being its first and `at` the stretch of
    /// that. Over very many stretches a sample of addresses speaks for all: the scope is safe whatever
    /// the class.
    #[cold]
    fn majority(&self, at: usize, block: u64, len: u8) -> Leaf {
        let blocks = V6.blocks_in(len);
        let last = block + blocks - 1;
        let stretches = self.stretches();
        let end = self.position(last);
        let mut tally = Tally::new(stretches.kind(at));
        if end - at < SCAN_MAX {
            for at in at..=end {
                let (first, end) = stretches.bounds(at);
                tally.add(stretches.kind(at), end.min(last) - first.max(block) + 1);
            }
        } else {
            // An odd step: networks begin at even places, and the sample should not.
            let step = (blocks / SAMPLES - 1) | 1;
            for sample in (block..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
                tally.add(stretches.kind(self.position(sample)), 1);
            }
        }
        Leaf { kind: tally.winner(), scope: V6.cap() }
    }

    fn stretches(&self) -> Stretches<'_> {
        let Self { starts, kinds, table, .. } = self;
        Stretches { family: V6, starts, kinds, table }
    }

    pub(super) const fn memory_bytes(&self) -> usize {
        self.starts.capacity() * 8
            + self.kinds.capacity() * 2
            + self.table.capacity() * size_of::<Kind>()
            + self.index.len() * 4
            + self.short.memory_bytes()
    }
}
