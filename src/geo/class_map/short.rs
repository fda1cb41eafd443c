//! Sources that may be too short to tell one class.
//!
//! For every prefix of up to [`SHORT_LEN`] bits the answer is worked out ahead, so that a query with a
//! short source, however much lies under it, is one read. [`Tally`] counts the rest while they are asked.

use super::{Kind, Leaf, leaf_len};
use crate::geo::ranges::Family;

/// Bits of the longest prefix whose answer is worked out ahead.
pub(super) const SHORT_LEN: u8 = 16;

/// The answer for every short prefix.
#[derive(Debug)]
pub(super) struct Short {
    /// The prefix `p` of `len` bits is at `(1 << len) + p`; the first is not used.
    leaves: Box<[Leaf]>,
}

/// Stretches of one family: where they start, and their kinds.
pub(super) struct Stretches<'a> {
    pub(super) family: Family,
    pub(super) starts: &'a [u64],
    pub(super) kinds: &'a [u16],
    /// What the numbers in `kinds` mean.
    pub(super) table: &'a [Kind],
}

impl Stretches<'_> {
    /// The first and the last block of a stretch.
    pub(super) fn bounds(&self, at: usize) -> (u64, u64) {
        let next = self.starts.get(at + 1).copied().unwrap_or_else(|| self.family.last() + 1);
        (self.starts[at], next - 1)
    }

    pub(super) fn kind(&self, at: usize) -> Kind {
        self.table[usize::from(self.kinds[at])]
    }
}

impl Short {
    /// Works out all of them.
    pub(super) fn new(stretches: &Stretches<'_>) -> Self {
        let nobody = Leaf { kind: stretches.kind(0), scope: 0 };
        let mut leaves = vec![nobody; 2 << SHORT_LEN].into_boxed_slice();
        let mut counts = vec![0_u64; stretches.table.len()];
        for len in 0..=SHORT_LEN {
            let mut at = 0;
            let blocks = stretches.family.blocks_in(len);
            for (first, leaf) in
                (0..).step_by(1 << (stretches.family.cap() - len)).zip(level(&mut leaves, len))
            {
                let last = first + blocks - 1;
                while stretches.bounds(at).1 < first {
                    at += 1;
                }
                *leaf = answer(stretches, at, first, last, &mut counts);
            }
        }
        Self { leaves }
    }

    /// The answer for a source of `len` bits, no more than [`SHORT_LEN`], that starts at `block`.
    pub(super) fn find(&self, family: Family, block: u64, len: u8) -> Leaf {
        let prefix = block >> (family.cap() - len);
        self.leaves[(1 << len) + usize::try_from(prefix).unwrap_or(0)]
    }

    pub(super) const fn memory_bytes(&self) -> usize {
        self.leaves.len() * size_of::<Leaf>()
    }
}

fn level(leaves: &mut [Leaf], len: u8) -> &mut [Leaf] {
    &mut leaves[1 << len..2 << len]
}

/// The answer for the prefix `first..=last`, in which the stretch `at` is the first. `counts` is all zero
/// before and after.
fn answer(stretches: &Stretches<'_>, at: usize, first: u64, last: u64, counts: &mut [u64]) -> Leaf {
    let (start, end) = stretches.bounds(at);
    if end >= last {
        let scope = leaf_len(stretches.family.cap(), first, start, end);
        return Leaf { kind: stretches.kind(at), scope };
    }
    let mut seen = Vec::new();
    let mut next = at;
    while next < stretches.starts.len() && stretches.starts[next] <= last {
        let (start, end) = stretches.bounds(next);
        let count = &mut counts[usize::from(stretches.kinds[next])];
        if *count == 0 {
            seen.push(stretches.kinds[next]);
        }
        *count += end.min(last) - start.max(first) + 1;
        next += 1;
    }
    let mut best = (stretches.kinds[at], 0);
    for kind in seen {
        let count = std::mem::take(&mut counts[usize::from(kind)]);
        if count > best.1 {
            best = (kind, count);
        }
    }
    Leaf { kind: stretches.table[usize::from(best.0)], scope: stretches.family.cap() }
}

/// Entries that a query may look at.
pub(super) const SCAN_MAX: usize = 256;

/// Counts addresses by kind, without the heap.
pub(super) struct Tally {
    counts: [(Kind, u64); SCAN_MAX],
    len: usize,
}

impl Tally {
    pub(super) const fn new(first: Kind) -> Self {
        Self { counts: [(first, 0); SCAN_MAX], len: 1 }
    }

    /// Counts `blocks` of a kind. Called at most [`SCAN_MAX`] times.
    pub(super) fn add(&mut self, kind: Kind, blocks: u64) {
        match self.counts[..self.len].iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += blocks,
            None if self.len < SCAN_MAX => {
                self.counts[self.len] = (kind, blocks);
                self.len += 1;
            }
            None => {}
        }
    }

    /// The kind with most addresses; of equals the one that came first.
    pub(super) fn winner(&self) -> Kind {
        let (first, rest) = (self.counts[0], &self.counts[1..self.len]);
        rest.iter().fold(first, |best, &next| if next.1 > best.1 { next } else { best }).0
    }
}
