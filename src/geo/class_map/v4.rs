//! IPv4: a table of /16s, and for each that is not one leaf the places where its leaves begin.
//!
//! ```text
//! root[address >> 16] ─┬─ leaf number                          the whole /16 is one leaf
//!                      └─ group ─┬─ starts: a bit for each /24, set where a leaf begins
//!                                └─ first: where the leaves of this /16 are
//! leaves[first + set bits up to the /24 − 1] ─ class, mark, scope
//! ```
//! An entry for each /24 of a group would spare the counting; but a large database would fill 30 MiB with
//! them, and what is in no cache costs more than counting bits.

use super::short::{SHORT_LEN, Short, Stretches, Tally};
use super::{ClassMapError, Kind, Leaf, leaf_len};
use crate::geo::ranges::{Ranges, V4};
use crate::model::prefetch::prefetch;

/// /24s in a /16.
const GROUP_LEN: usize = 256;

/// Bits of a root entry's prefix.
const ROOT_LEN: u8 = 16;

/// Set in a root entry that names a group, not a leaf.
const IS_GROUP: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct V4Table {
    root: Box<[u32]>,
    groups: Vec<Group>,
    leaves: Vec<Leaf>,
    short: Short,
}

/// A /16 of several leaves.
#[derive(Clone, Copy, Debug)]
struct Group {
    starts: [u64; 4],
    first: u32,
    /// How many leaves begin before each word of `starts`.
    before: [u8; 4],
}

impl Group {
    /// Where the leaf of a block is.
    #[inline]
    fn place(&self, block: u32) -> usize {
        let word = (block / 64 % 4) as usize;
        let up_to_block = self.starts[word] << (63 - block % 64);
        (self.first + u32::from(self.before[word]) + up_to_block.count_ones() - 1) as usize
    }
}

impl V4Table {
    /// From stretches whose values are numbers of `kinds`.
    pub(super) fn new(ranges: Ranges, kinds: &[Kind]) -> Result<Self, ClassMapError> {
        let (starts, values) = ranges.into_parts();
        let numbers = values.into_iter().map(u16::try_from).collect::<Result<Vec<_>, _>>();
        let numbers = numbers.map_err(|_| ClassMapError::TooManyClasses)?;
        let stretches = Stretches { family: V4, starts: &starts, kinds: &numbers, table: kinds };
        let mut builder = Builder { stretches: &stretches, at: 0, groups: vec![], leaves: vec![] };
        let firsts = (0..=V4.last()).step_by(GROUP_LEN);
        let root = firsts.map(|first| builder.entry(first)).collect();
        let Builder { mut groups, mut leaves, .. } = builder;
        groups.shrink_to_fit();
        leaves.shrink_to_fit();
        Ok(Self { root, groups, leaves, short: Short::new(&stretches) })
    }

    /// The answer for a subnet.
    #[inline]
    pub(super) fn find(&self, address: u32, len: u8) -> Leaf {
        let block = address >> 8;
        if len <= SHORT_LEN {
            return self.short.find(V4, block.into(), len);
        }
        let leaf = self.leaves[self.place(block)];
        if leaf.scope <= len { leaf } else { self.majority(block, len) }
    }

    /// Starts to fetch what [`find`](Self::find) reads last.
    #[inline]
    pub(super) fn prefetch(&self, address: u32) {
        prefetch(&self.leaves[self.place(address >> 8)]);
    }

    /// Where the leaf of a block is.
    #[inline]
    fn place(&self, block: u32) -> usize {
        let entry = self.root[(block >> 8) as usize];
        if entry & IS_GROUP == 0 {
            return entry as usize;
        }
        self.groups[(entry ^ IS_GROUP) as usize].place(block)
    }

    /// The answer for a source of 17 to 23 bits that holds several leaves, `block` being its first.
    #[cold]
    fn majority(&self, block: u32, len: u8) -> Leaf {
        let mut tally = Tally::new(self.leaves[self.place(block)].kind());
        for block in block..block + (1 << (V4.cap().saturating_sub(len))) {
            tally.add(self.leaves[self.place(block)].kind(), 1);
        }
        Leaf::new(tally.winner(), V4.cap())
    }

    /// Groups and leaves.
    pub(super) fn tables(&self) -> (&[impl Sized], &[impl Sized]) {
        (&self.groups, &self.leaves)
    }

    pub(super) const fn memory_bytes(&self) -> usize {
        self.root.len() * 4
            + self.groups.capacity() * size_of::<Group>()
            + self.leaves.capacity() * size_of::<Leaf>()
            + self.short.memory_bytes()
    }
}

struct Builder<'a> {
    stretches: &'a Stretches<'a>,
    /// A stretch that is not behind the blocks to come.
    at: usize,
    groups: Vec<Group>,
    leaves: Vec<Leaf>,
}

impl Builder<'_> {
    /// The root entry of the /16 that starts at block `first`.
    fn entry(&mut self, first: u64) -> u32 {
        let number = |len: usize| u32::try_from(len).expect("no more leaves than blocks");
        let place = number(self.leaves.len());
        let leaf = self.leaf(first);
        if leaf.scope <= ROOT_LEN {
            // Most such leaves are the same as their neighbour's.
            if self.leaves.last() == Some(&leaf) {
                return place - 1;
            }
            self.leaves.push(leaf);
            return place;
        }
        let mut group = Group { starts: [0; 4], first: place, before: [0; 4] };
        let mut block = first;
        while block < first + GROUP_LEN as u64 {
            let leaf = self.leaf(block);
            self.leaves.push(leaf);
            group.starts[(block / 64 % 4) as usize] |= 1 << (block % 64);
            // Leaves are aligned, so that one which is not the whole /16 ends inside it.
            block += V4.blocks_in(leaf.scope);
        }
        for word in 1..4 {
            let count = u8::try_from(group.starts[word - 1].count_ones()).expect("64 bits");
            group.before[word] = group.before[word - 1] + count;
        }
        self.groups.push(group);
        number(self.groups.len() - 1) | IS_GROUP
    }

    /// The leaf that holds a block; blocks never go down.
    fn leaf(&mut self, block: u64) -> Leaf {
        self.at = self.stretches.skip_to(self.at, block);
        let (start, end) = self.stretches.bounds(self.at);
        Leaf::new(self.stretches.kind(self.at), leaf_len(V4.cap(), block, start, end))
    }
}
