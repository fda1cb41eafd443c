//! The search tree of an MMDB file, walked end by end.
//!
//! The reader's own iterator would do, but for two things: in a file without an IPv4 subtree it takes
//! every network that shares a record with `::` for an alias and skips it, and it cannot be stopped where
//! a hostile tree has more paths than atoms. This walk knows when to give up.
//!
//! ```text
//! node: two records (left, right) of 24, 28 or 32 bits
//! record < node count: a node · = node count: nothing · more: a pointer into the data
//! ```

use std::ops::ControlFlow;

use maxminddb::Metadata;

use super::normalise;
use super::ranges::{Family, V4, V6};

/// Visits for each node of a file. Some writers store equal branches once, which makes up to six; with
/// more than this, somebody wants us to be busy.
const VISITS_PER_NODE_MAX: u64 = 64;

/// Visits for a whole file: several times what the largest city database needs, and a few seconds.
const VISITS_MAX: u64 = 1 << 27;

/// The tree at the start of a file.
pub(super) struct Tree<'a> {
    bytes: &'a [u8],
    node_count: u32,
    record_size: u16,
    is_v6: bool,
}

/// A network at an end of the tree that has a record.
pub(super) struct End {
    pub(super) family: Family,
    /// The network's first address.
    pub(super) start: u128,
    pub(super) len: u8,
    /// What the tree says of where the record is; equal pointers are equal records.
    pub(super) pointer: u32,
}

/// Why a walk did not reach every end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WalkError {
    /// A node lies outside of the file, or deeper than an address has bits.
    Torn,
    /// Branches meet again: the walk would be far longer than the file.
    Tangled,
}

/// A node to visit, and the prefix that leads to it.
struct Visit {
    node: u32,
    bits: u128,
    len: u8,
}

impl<'a> Tree<'a> {
    pub(super) const fn new(bytes: &'a [u8], metadata: &Metadata) -> Self {
        Self {
            bytes,
            node_count: metadata.node_count,
            record_size: metadata.record_size,
            is_v6: metadata.ip_version == 6,
        }
    }

    /// Octets of the file that it is in.
    pub(super) const fn file_len(&self) -> usize {
        self.bytes.len()
    }

    /// Calls `each` for every network with a record, in address order, IPv4 first, until it breaks.
    /// What transition mechanisms' blocks alias is left out.
    pub(super) fn walk(
        &self,
        mut each: impl FnMut(End) -> ControlFlow<()>,
    ) -> Result<(), WalkError> {
        let width: u8 = if self.is_v6 { 128 } else { 32 };
        let mut visits_left = (u64::from(self.node_count) * VISITS_PER_NODE_MAX).min(VISITS_MAX);
        let mut stack = vec![Visit { node: 0, bits: 0, len: 0 }];
        while let Some(Visit { node, bits, len }) = stack.pop() {
            visits_left = visits_left.checked_sub(1).ok_or(WalkError::Tangled)?;
            if node == self.node_count {
                continue;
            }
            if node > self.node_count {
                if each(self.end(bits, len, node)).is_break() {
                    return Ok(());
                }
                continue;
            }
            if self.is_alias(bits, len) {
                continue;
            }
            if len == width {
                return Err(WalkError::Torn);
            }
            let [left, right] = self.node(node).ok_or(WalkError::Torn)?;
            let one = 1 << (width - 1 - len);
            stack.push(Visit { node: right, bits: bits | one, len: len + 1 });
            stack.push(Visit { node: left, bits, len: len + 1 });
        }
        Ok(())
    }

    /// Whether a node at this prefix is the IPv4 subtree again: nobody is looked up by such addresses.
    fn is_alias(&self, bits: u128, len: u8) -> bool {
        // The blocks' lengths, so that most visits end here.
        self.is_v6
            && matches!(len, 16 | 32 | 96)
            && normalise::is_transition_block(bits.into(), len)
    }

    /// In a file for both families IPv4 lies at `::/96`.
    const fn end(&self, bits: u128, len: u8, pointer: u32) -> End {
        if !self.is_v6 {
            End { family: V4, start: bits, len, pointer }
        } else if len >= 96 && bits >> 32 == 0 {
            End { family: V4, start: bits, len: len - 96, pointer }
        } else {
            End { family: V6, start: bits, len, pointer }
        }
    }

    /// A node's records.
    fn node(&self, node: u32) -> Option<[u32; 2]> {
        let size = usize::from(self.record_size) / 4;
        let at = size.checked_mul(node as usize)?;
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        Some(match *bytes {
            [a, b, c, d, e, f] => [number([0, a, b, c]), number([0, d, e, f])],
            [a, b, c, both, d, e, f] => {
                [number([both >> 4, a, b, c]), number([both & 0xf, d, e, f])]
            }
            [a, b, c, d, e, f, g, h] => [number([a, b, c, d]), number([e, f, g, h])],
            _ => return None,
        })
    }
}

const fn number(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes)
}
