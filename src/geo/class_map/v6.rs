//! IPv6: sorted stretches, found by way of every 16th of them, every 256th, and so on.
//!
//! ```text
//! levels   [ 16 starts ]                                  every 4096th stretch
//!          [ 16 starts ] [ 16 starts ] …                  every 256th
//!          [ 16 starts ] [ 16 starts ] [ 16 starts ] …    every 16th
//!          [ 16 starts ] [ 16 starts ] [ 16 starts ] …    every one
//! kinds    of every one
//! ```
//! A plain binary search would miss the caches at every step; here the upper levels, being small, stay in
//! them. A stretch's neighbours tell the leaf around any address in it, so leaves are not stored.

use super::short::{SCAN_MAX, SHORT_LEN, Short, Stretches, Tally};
use super::{ClassMapError, Kind, Leaf, leaf_len};
use crate::geo::ranges::{Ranges, V6};

/// Addresses that are asked for where there are too many stretches to count.
const SAMPLES: u64 = 64;

/// Starts that a search chooses from at a time.
const FAN_LEN: usize = 16;

/// Some starts in two cache lines; what is behind the last is behind all blocks.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Fan([u64; FAN_LEN]);

impl Fan {
    fn new(starts: &[u64]) -> Self {
        let mut fan = [u64::MAX; FAN_LEN];
        fan[..starts.len()].copy_from_slice(starts);
        Self(fan)
    }

    /// The last start that is not behind `block`; or the first, which is its parent's and need not be
    /// looked at. Four steps without a branch that could be guessed wrong.
    #[inline]
    fn choose(&self, block: u64) -> usize {
        [8, 4, 2, 1].into_iter().fold(0, |at, step| {
            let is_behind = self.0[(at + step) % FAN_LEN] > block;
            if is_behind { at } else { at + step }
        })
    }
}

#[derive(Debug)]
pub(super) struct V6Table {
    /// The last has all starts, each other the first of every fan of the next; the first is one fan.
    levels: Vec<Box<[Fan]>>,
    kinds: Vec<u16>,
    table: Vec<Kind>,
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
        let mut levels = Vec::new();
        let mut above = starts;
        while above.len() > 1 || levels.is_empty() {
            let level: Box<[Fan]> = above.chunks(FAN_LEN).map(Fan::new).collect();
            above = level.iter().map(|fan| fan.0[0]).collect();
            levels.push(level);
        }
        levels.reverse();
        Ok(Self { levels, kinds: numbers, table: kinds.to_vec(), short })
    }

    /// The answer for a subnet.
    #[inline]
    pub(super) fn find(&self, address: u128, len: u8) -> Leaf {
        let block = V6.block(address);
        if len <= SHORT_LEN {
            return self.short.find(V6, block, len);
        }
        let at = self.position(block);
        let (first, last) = self.bounds(at);
        let leaf = Leaf::new(self.kind(at), leaf_len(V6.cap(), block, first, last));
        if leaf.scope <= len { leaf } else { self.majority(at, block, len) }
    }

    /// The stretch that holds a block.
    fn position(&self, block: u64) -> usize {
        self.levels.iter().fold(0, |at, level| at * FAN_LEN + level[at].choose(block))
    }

    /// The first and the last block of a stretch.
    fn bounds(&self, at: usize) -> (u64, u64) {
        let starts = self.levels.last().map_or(&[][..], |level| level);
        let next = starts.get((at + 1) / FAN_LEN).map_or(u64::MAX, |fan| fan.0[(at + 1) % FAN_LEN]);
        (starts[at / FAN_LEN].0[at % FAN_LEN], (next - 1).min(V6.last()))
    }

    fn kind(&self, at: usize) -> Kind {
        self.table[usize::from(self.kinds[at])]
    }

    /// The answer for a source that holds several leaves, `block` being its first and `at` the stretch of
    /// that. Over very many stretches a sample of addresses speaks for all: the scope is safe whatever
    /// the class.
    #[cold]
    fn majority(&self, at: usize, block: u64, len: u8) -> Leaf {
        let blocks = V6.blocks_in(len);
        let last = block + blocks - 1;
        let end = self.position(last);
        let mut tally = Tally::new(self.kind(at));
        if end - at < SCAN_MAX {
            for at in at..=end {
                let (first, end) = self.bounds(at);
                tally.add(self.kind(at), end.min(last) - first.max(block) + 1);
            }
        } else {
            // An odd step: networks begin at even places, and the sample should not.
            let step = (blocks / SAMPLES - 1) | 1;
            for sample in (block..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
                tally.add(self.kind(self.position(sample)), 1);
            }
        }
        Leaf::new(tally.winner(), V6.cap())
    }

    /// Starts and kinds.
    pub(super) fn tables(&self) -> (&[impl Sized], &[impl Sized]) {
        (self.levels.last().map_or(&[][..], |level| level), &self.kinds)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.levels.iter().map(|level| size_of_val(&**level)).sum::<usize>()
            + self.kinds.capacity() * 2
            + self.table.capacity() * size_of::<Kind>()
            + self.short.memory_bytes()
    }
}
