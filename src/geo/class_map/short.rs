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

    /// The stretch that holds a block; it is not before the stretch `at`.
    pub(super) fn skip_to(&self, at: usize, block: u64) -> usize {
        let ahead = self.starts[at + 1..].iter();
        at + ahead.take_while(|&&start| start <= block).count()
    }

    pub(super) fn kind(&self, at: usize) -> Kind {
        self.table[usize::from(self.kinds[at])]
    }
}

impl Short {
    /// Works out all of them, the longest first: a prefix holds what its two halves hold.
    pub(super) fn new(stretches: &Stretches<'_>) -> Self {
        let nobody = Leaf::new(stretches.kind(0), 0);
        let mut leaves = vec![nobody; 2 << SHORT_LEN].into_boxed_slice();
        let (mut counts, firsts) = Counts::of_longest(stretches);
        for len in (0..=SHORT_LEN).rev() {
            for (prefix, leaf) in leaves[1 << len..2 << len].iter_mut().enumerate() {
                let at = firsts[prefix << (SHORT_LEN - len)];
                *leaf = answer(stretches, at, prefix, len, counts.of(prefix));
            }
            if len > 0 {
                counts = counts.halved(stretches.table.len());
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

/// The answer for a prefix of `len` bits, in which the stretch `at` is the first.
fn answer(
    stretches: &Stretches<'_>,
    at: usize,
    prefix: usize,
    len: u8,
    counts: &[(u16, u64)],
) -> Leaf {
    let cap = stretches.family.cap();
    if counts.len() == 1 {
        let (start, end) = stretches.bounds(at);
        return Leaf::new(
            stretches.kind(at),
            leaf_len(cap, (prefix as u64) << (cap - len), start, end),
        );
    }
    let most = counts.iter().fold((0, 0), |most, &next| if next.1 > most.1 { next } else { most });
    Leaf::new(stretches.table[usize::from(most.0)], cap)
}

/// How many blocks each prefix of one length has of each kind; kinds in the order in which they come.
struct Counts {
    list: Vec<(u16, u64)>,
    /// Where each prefix's part of the list ends.
    ends: Vec<usize>,
}

impl Counts {
    /// Those of the longest short prefixes, and the first stretch of each.
    fn of_longest(stretches: &Stretches<'_>) -> (Self, Vec<usize>) {
        let blocks = stretches.family.blocks_in(SHORT_LEN);
        let mut firsts = Vec::with_capacity(1 << SHORT_LEN);
        let mut counter = Counter::new(1 << SHORT_LEN, stretches.table.len());
        let mut at = 0;
        for first in (0..1 << SHORT_LEN).map(|prefix| prefix * blocks) {
            let last = first + blocks - 1;
            at = stretches.skip_to(at, first);
            firsts.push(at);
            loop {
                let (start, end) = stretches.bounds(at);
                counter.add(stretches.kinds[at], end.min(last) - start.max(first) + 1);
                if end >= last {
                    break;
                }
                at += 1;
            }
            counter.end();
        }
        (counter.counts, firsts)
    }

    /// Those of the prefixes that are shorter by a bit.
    fn halved(&self, kinds: usize) -> Self {
        let mut counter = Counter::new(self.ends.len() / 2, kinds);
        for prefix in (0..self.ends.len()).step_by(2) {
            for &(kind, blocks) in self.of(prefix).iter().chain(self.of(prefix + 1)) {
                counter.add(kind, blocks);
            }
            counter.end();
        }
        counter.counts
    }

    fn of(&self, prefix: usize) -> &[(u16, u64)] {
        let start = if prefix == 0 { 0 } else { self.ends[prefix - 1] };
        &self.list[start..self.ends[prefix]]
    }
}

/// Makes [`Counts`].
struct Counter {
    counts: Counts,
    /// By kind; all zero between one prefix and the next.
    sums: Vec<u64>,
}

impl Counter {
    fn new(prefixes: usize, kinds: usize) -> Self {
        let counts = Counts { list: Vec::new(), ends: Vec::with_capacity(prefixes) };
        Self { counts, sums: vec![0; kinds] }
    }

    fn add(&mut self, kind: u16, blocks: u64) {
        let sum = &mut self.sums[usize::from(kind)];
        if *sum == 0 {
            self.counts.list.push((kind, 0));
        }
        *sum += blocks;
    }

    /// Nothing more is in this prefix.
    fn end(&mut self) {
        let Counts { list, ends } = &mut self.counts;
        for (kind, blocks) in &mut list[ends.last().copied().unwrap_or(0)..] {
            *blocks = std::mem::take(&mut self.sums[usize::from(*kind)]);
        }
        ends.push(list.len());
    }
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
