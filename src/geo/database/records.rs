//! A file's records, each decoded once however many networks share it.
//!
//! A walk of the tree meets millions of pointers to some hundred thousand records. Each is decoded where
//! it is met first; its place in the file is marked, and the marks before a place number its record. That
//! takes an eighth of the file while it is read, needs no hashing, and no file can make it slow.

use std::ops::ControlFlow;

use maxminddb::Reader;

use super::{Bytes, decode};
use crate::geo::locations::Numbering;
use crate::geo::tree::{End, Tree, WalkError};
use crate::model::prefetch::prefetch;

/// What a record says.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Told {
    /// The location's number; 0 for none.
    pub(super) place: u32,
    /// 0 for none.
    pub(super) asn: u32,
}

/// All records that a tree leads to.
pub(super) struct Records {
    node_count: u32,
    marks: Marks,
    /// By number; `None` when a record does not decode.
    told: Vec<Option<Told>>,
}

impl Records {
    /// Reads the records of a tree's first `networks_max` networks.
    pub(super) fn read(
        reader: &Reader<Bytes>,
        tree: &Tree<'_>,
        locations: &mut Numbering,
        networks_max: usize,
    ) -> Result<Self, WalkError> {
        let node_count = reader.metadata().node_count;
        let mut marks = Marks::new(tree.file_len());
        let mut met = Vec::new();
        let mut left = networks_max;
        tree.walk(|end| {
            if marks.set(place_of(&end, node_count)) {
                met.push((end.pointer, told(reader, &end, locations)));
            }
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        met.sort_unstable_by_key(|&(pointer, _)| pointer);
        marks.count();
        Ok(Self { node_count, marks, told: met.into_iter().map(|(_, told)| told).collect() })
    }

    /// Walks the tree and tells what each network's record says; `None` when it does not decode.
    ///
    /// Records lie all over the file, so that each look would wait for memory; a batch of them waits once.
    pub(super) fn walk(
        &self,
        tree: &Tree<'_>,
        mut each: impl FnMut(&End, Option<Told>),
    ) -> Result<(), WalkError> {
        let mut batch: Vec<End> = Vec::with_capacity(BATCH);
        let mut finish = |batch: &mut Vec<End>| {
            let number = |end: &End| self.marks.number_of(place_of(end, self.node_count));
            let numbers: [Option<usize>; BATCH] = std::array::from_fn(|n| {
                number(batch.get(n)?).inspect(|&n| prefetch(&self.told[n]))
            });
            for (end, number) in batch.iter().zip(numbers) {
                each(end, number.and_then(|number| self.told[number]));
            }
            batch.clear();
        };
        tree.walk(|end| {
            self.marks.prefetch(place_of(&end, self.node_count));
            batch.push(end);
            if batch.len() == BATCH {
                finish(&mut batch);
            }
            ControlFlow::Continue(())
        })?;
        finish(&mut batch);
        Ok(())
    }

    /// All that is told by records that decode.
    pub(super) fn told(&self) -> impl Iterator<Item = Told> {
        self.told.iter().copied().flatten()
    }
}

/// Networks whose records are looked at together.
const BATCH: usize = 32;

/// The octet of the file's data that a pointer means, or close by.
const fn place_of(end: &End, node_count: u32) -> usize {
    (end.pointer - node_count) as usize
}

/// A record that does not decode is as good as none: the rest of the file may still be right.
fn told(reader: &Reader<Bytes>, end: &End, locations: &mut Numbering) -> Option<Told> {
    let found = reader.lookup(end.family.address(end.start)).ok()?;
    let location = decode(&found)?;
    Some(Told { place: locations.number_of(&location), asn: location.asn.unwrap_or(0) })
}

/// Places that are marked, and how many are before each.
struct Marks {
    words: Vec<u64>,
    /// How many marks are before each stride of words.
    before: Vec<u32>,
}

/// Words from one count to the next.
const STRIDE: usize = 8;

impl Marks {
    /// None, among so many places.
    fn new(places: usize) -> Self {
        Self { words: vec![0; places.div_ceil(64)], before: Vec::new() }
    }

    /// Marks a place; whether it is one that was not marked before.
    fn set(&mut self, place: usize) -> bool {
        let Some(word) = self.words.get_mut(place / 64) else { return false };
        let bit = 1 << (place % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Counts the marks, after the last is set.
    fn count(&mut self) {
        let mut sum = 0;
        self.before.extend(self.words.chunks(STRIDE).map(|words| {
            let before = sum;
            sum += words.iter().map(|word| word.count_ones()).sum::<u32>();
            before
        }));
    }

    /// Starts to fetch what [`number_of`](Self::number_of) reads.
    fn prefetch(&self, place: usize) {
        if let Some(word) = self.words.get(place / 64) {
            prefetch(word);
        }
    }

    /// How many marks are before a marked place.
    fn number_of(&self, place: usize) -> Option<usize> {
        let at = place / 64;
        let word = self.words.get(at)?;
        let bit = 1 << (place % 64);
        let stride = at / STRIDE;
        let words = self.words[stride * STRIDE..at].iter().map(|word| word.count_ones());
        let number = self.before[stride] + words.sum::<u32>() + (word & (bit - 1)).count_ones();
        (word & bit != 0).then_some(number as usize)
    }
}
