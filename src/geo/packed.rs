//! Ranges as they are kept: sorted tables in a third of their size.
//!
//! A table of a large database has millions of ranges, and is read from one end to the other whenever
//! rules are compiled; single blocks are looked for by people only. So starts are kept as distances, and
//! both distances and values in as few octets as they need (LEB128), with a mark every [`CHUNK`] ranges.
//!
//! ```text
//! marks    ─ start of the chunk, where it is
//! octets   ─ [ distance, value ] × 64 · [ distance, value ] × 64 · …      a chunk's first distance is 0
//! ```

use super::ranges::Ranges;

/// Ranges from one mark to the next.
const CHUNK: usize = 64;

/// A value for every block, as [`Ranges`] has them.
#[derive(Debug)]
pub(super) struct Packed {
    marks: Box<[Mark]>,
    octets: Box<[u8]>,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    start: u64,
    at: usize,
}

impl Packed {
    /// Packs ranges.
    pub(super) fn new(ranges: &Ranges) -> Self {
        let (mut marks, mut octets) = (Vec::new(), Vec::new());
        let mut before = 0;
        for (n, (start, value)) in ranges.iter().enumerate() {
            if n % CHUNK == 0 {
                marks.push(Mark { start, at: octets.len() });
                before = start;
            }
            write(&mut octets, start - before);
            write(&mut octets, value.into());
            before = start;
        }
        Self { marks: marks.into(), octets: octets.into(), count: ranges.count() }
    }

    /// How many ranges there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Starts and values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        (0..self.marks.len()).flat_map(|chunk| self.chunk(chunk))
    }

    /// The value of a block.
    pub(super) fn find(&self, block: u64) -> u32 {
        let chunk = self.marks.partition_point(|mark| mark.start <= block) - 1;
        let ranges = self.chunk(chunk).take_while(|&(start, _)| start <= block);
        ranges.last().expect("a chunk starts at its mark").1
    }

    fn chunk(&self, n: usize) -> impl Iterator<Item = (u64, u32)> {
        let Mark { mut start, at } = self.marks[n];
        let end = self.marks.get(n + 1).map_or(self.octets.len(), |next| next.at);
        let mut octets = &self.octets[at..end];
        std::iter::from_fn(move || {
            if octets.is_empty() {
                return None;
            }
            start += read(&mut octets);
            Some((start, u32::try_from(read(&mut octets)).expect("written from 32 bits")))
        })
    }

    /// Octets on the heap.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.marks.len() * size_of::<Mark>() + self.octets.len()
    }
}

/// Seven bits an octet, the lowest first; the high bit says that more follow.
fn write(octets: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            octets.push(low & 0x7f);
            return;
        }
        octets.push(low | 0x80);
    }
}

fn read(octets: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((&octet, rest)) = octets.split_first() {
        *octets = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_the_same_ranges(
            steps in prop::collection::vec((0..40_u32, any::<u64>(), any::<u32>()), 0..400),
        ) {
            let mut ranges = Ranges::constant(7);
            let mut start = 0;
            for (bits, step, value) in steps {
                start += step & ((1 << bits) - 1);
                ranges.push(start, value);
            }
            let packed = Packed::new(&ranges);
            prop_assert_eq!(packed.count(), ranges.count());
            prop_assert!(packed.iter().eq(ranges.iter()));
            let next = ranges.iter().skip(1).map(|(next, _)| next).chain([start + 100]);
            for ((start, value), next) in ranges.iter().zip(next) {
                for block in [start, (start + next) / 2, next - 1] {
                    prop_assert_eq!(packed.find(block), value);
                }
            }
        }
    }
}
