//! The class of any client, and how far around it the class reaches.
//!
//! A [`ClassMap`] splits the whole address space by databases, a rule's subnets and its ASNs, asks the
//! rule once for each kind of place, and keeps the result in tables that a query reads in a few
//! nanoseconds without allocating, locking or panicking.
//!
//! # Scopes
//! A *leaf* is a largest aligned block inside a stretch of one class, no longer than the cap (/24,
//! /56). Leaves partition the space. A query with a source of `s` bits gets
//!
//! ```text
//! leaf's length ≤ s    the leaf's class, scope = the leaf's length
//! leaf's length > s    the class with most addresses under the source prefix, scope = the cap
//! ```
//!
//! In the first case everybody in the scope has that class. In the second the scope is longer than the
//! source, so by RFC 7871 §7.3.1 a cache may use the answer for the very same source only. Scopes of the
//! first case never overlap one another, as §7.2.1 demands, because leaves do not.
//!
//! What a class means, and what to do for private addresses, is left to the caller.

mod short;
mod sweep;
mod v4;
mod v6;

use std::fmt;
use std::net::IpAddr;

use self::sweep::Sweep;
use self::v4::V4Table;
use self::v6::V6Table;
use super::atlas::Atlas;
use super::normalise::{self, Reading};
use super::ranges::{V4, V6};
use crate::model::{Location, Prefix};

/// A class by number; what it means is known to whoever compiled the map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClassId(pub u16);

/// What a rule may look at to tell a client's class.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Where it is. The ASN is there only if it is one of those that the map was compiled with.
    pub location: &'a Location,
    /// Of each subnet set, whether it contains the place.
    pub subnets: &'a [bool],
    /// Whether it lies in a private block and in no subnet set.
    pub is_private: bool,
}

/// What the map says of a client subnet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// The class.
    pub class: ClassId,
    /// The prefix length up to which everybody has it; longer than the source if the source is too
    /// short to tell.
    pub scope: u8,
    /// Whether the subnet lies in a private block and in no subnet set: then the class is of little
    /// worth, the resolver's own address tells more, and `scope` is right for that answer too (RFC
    /// 7871 §10).
    pub is_private: bool,
}

/// Why a class map cannot be compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClassMapError {
    /// A subnet is longer than any scope.
    SubnetTooLong {
        /// The index of its set.
        set: usize,
        /// The subnet as it was given.
        subnet: Prefix,
        /// The longest length that it may have.
        len_max: u8,
    },
    /// More kinds of leaves than 16 bits can number.
    TooManyClasses,
}

impl fmt::Display for ClassMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubnetTooLong { subnet, len_max, .. } => {
                write!(
                    f,
                    "subnet {subnet} is longer than /{len_max}, the longest scope of an answer"
                )
            }
            Self::TooManyClasses => f.write_str("more classes of clients than a map can hold"),
        }
    }
}

impl std::error::Error for ClassMapError {}

/// What is said of a stretch of blocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Kind {
    class: ClassId,
    mark: Mark,
}

/// What a stretch is beside its class. Leaves never reach over a change of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Mark {
    Public,
    Private,
    /// A transition mechanism's block: the clients in it have scopes of their own.
    Transition,
}

/// A kind and the length of the prefix that it holds for, in four octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Leaf {
    class: ClassId,
    mark: Mark,
    scope: u8,
}

impl Leaf {
    const fn new(kind: Kind, scope: u8) -> Self {
        Self { class: kind.class, mark: kind.mark, scope }
    }

    const fn kind(self) -> Kind {
        Kind { class: self.class, mark: self.mark }
    }

    /// As seen by who asked, with `offset` bits in front of the leaf's own.
    const fn hit(self, offset: u8) -> Hit {
        Hit {
            class: self.class,
            scope: self.scope + offset,
            is_private: matches!(self.mark, Mark::Private),
        }
    }
}

/// The classes of the whole address space for one rule.
#[derive(Debug)]
pub struct ClassMap {
    v4: V4Table,
    v6: V6Table,
    classes: Vec<ClassId>,
    network_count: usize,
}

impl ClassMap {
    /// Splits the address space and asks `classify` once for each distinct place.
    ///
    /// `asns` are the ASNs that the rule tells apart; the rest are hidden from it, so that a rule without
    /// any costs nothing. A block of mixed locations has its majority's ([`Atlas`]).
    ///
    /// # Errors
    /// When a subnet is longer than a scope can be, or there are too many classes.
    pub fn compile(
        atlas: &Atlas,
        subnet_sets: &[Vec<Prefix>],
        asns: &[u32],
        classify: &mut dyn FnMut(&Place<'_>) -> ClassId,
    ) -> Result<Self, ClassMapError> {
        let mut sweep = Sweep::new(atlas, subnet_sets, asns)?;
        let v4 = sweep.stretches(V4, classify)?;
        let v6 = sweep.stretches(V6, classify)?;
        Ok(Self {
            network_count: v4.count() + v6.count(),
            classes: sweep.classes(),
            v4: V4Table::new(v4, sweep.kinds())?,
            v6: V6Table::new(v6, sweep.kinds())?,
        })
    }

    /// The class of a client subnet (or a whole address) and the scope of an answer for it.
    #[inline]
    #[must_use]
    pub fn find(&self, subnet: Prefix) -> Hit {
        // What `normalise` would find as well.
        if let IpAddr::V4(address) = subnet.address() {
            return self.v4.find(address.into(), subnet.len()).hit(0);
        }
        self.find_v6(subnet)
    }

    fn find_v6(&self, subnet: Prefix) -> Hit {
        match normalise::read(subnet) {
            Reading::Plain(plain) => self.find_plain(plain).hit(0),
            Reading::Embedded { subnet, offset } => self.find_plain(subnet).hit(offset),
            // Clients nearby have scopes of their own, so that this one may not reach anybody else: it
            // is good for exactly this source, or this address.
            Reading::Opaque(opaque) => Hit {
                scope: 128,
                is_private: normalise::private_block(opaque).is_some(),
                ..self.find_plain(opaque).hit(0)
            },
        }
    }

    /// Starts to fetch what [`find`](Self::find) will read. IPv6 tables are small and stay near.
    pub fn prefetch(&self, subnet: Prefix) {
        if let IpAddr::V4(address) = subnet.address() {
            self.v4.prefetch(address.into());
        }
    }

    fn find_plain(&self, subnet: Prefix) -> Leaf {
        match subnet.address() {
            IpAddr::V4(address) => self.v4.find(address.into(), subnet.len()),
            IpAddr::V6(address) => self.v6.find(address.into(), subnet.len()),
        }
    }

    /// The classes that somebody is in, sorted.
    #[must_use]
    pub fn classes(&self) -> &[ClassId] {
        &self.classes
    }

    /// How many stretches of one class the two families are split into.
    #[must_use]
    pub const fn network_count(&self) -> usize {
        self.network_count
    }

    /// The tables that queries jump about in, for whoever places them in memory.
    #[must_use]
    pub fn tables(&self) -> (&[impl Sized], &[impl Sized], &[impl Sized], &[impl Sized]) {
        let ((groups, leaves), (starts, kinds)) = (self.v4.tables(), self.v6.tables());
        (groups, leaves, starts, kinds)
    }

    /// Octets of its tables.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.v4.memory_bytes() + self.v6.memory_bytes()
    }
}

/// The length of the leaf that holds `block`, in the stretch `first..=last` of a family.
///
/// A leaf may reach neither the block before the stretch nor the one behind it, so it is one bit longer
/// than what `block` shares with either.
fn leaf_len(cap: u8, block: u64, first: u64, last: u64) -> u8 {
    let shared = |other: u64| -> u8 {
        let differing = 64 - (block ^ other).leading_zeros();
        cap - u8::try_from(differing).expect("at most 64")
    };
    let before = if first == 0 { 0 } else { shared(first - 1) + 1 };
    let behind = if last == (1 << cap) - 1 { 0 } else { shared(last + 1) + 1 };
    before.max(behind)
}

#[cfg(test)]
mod tests;
