//! Where a name leads: RFC 1034 §4.3.2 over the table of all names.
//!
//! ```text
//! the name is there            below a cut                          → referral of the cut
//!                              a cut, and not asked for DS          → its referral
//!                              an apex, and asked for DS            → the same in the zone above
//!                              else                                 → the name itself
//! it is not: the closest       below a cut, or a cut                → referral
//! encloser (RFC 4592 §3.3.1)   has a DNAME (RFC 6672)               → DNAME
//!                              has a child `*`                      → the wildcard
//!                              else                                 → NXDOMAIN of its zone
//! no encloser                                                       → not ours
//! ```
//!
//! The closest encloser is unique, because every name between an apex and a record exists.

use super::names::NameTable;
use crate::model::RecordType;
use crate::model::name::{LABEL_LEN_MAX, NAME_LEN_MAX};
use crate::model::names::{Flags, NameRecord, hash_of, is_asked};

/// A name as it was asked for: wire form, in any case, its labels counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryName<'a> {
    wire: &'a [u8],
    hash: u64,
    labels: u8,
}

impl<'a> QueryName<'a> {
    /// Reads the name at the start of `bytes`, which must not be compressed.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        // A name that does not end within these is too long.
        let bytes = bytes.get(..NAME_LEN_MAX).unwrap_or(bytes);
        let (mut at, mut labels) = (0, 0);
        loop {
            match usize::from(*bytes.get(at)?) {
                0 => break,
                len @ 1..=LABEL_LEN_MAX => at += 1 + len,
                _ => return None,
            }
            labels += 1;
        }
        let wire = &bytes[..=at];
        Some(Self { wire, hash: hash_of(wire), labels })
    }

    /// Its hash.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Octets in wire form.
    pub(crate) const fn len(&self) -> usize {
        self.wire.len()
    }

    /// The name in wire form.
    pub(crate) const fn as_wire(&self) -> &'a [u8] {
        self.wire
    }
}

/// Where a name leads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    /// It is there, or a wildcard stands for it.
    Name(NameRecord<'a>),
    /// It is delegated to others at this cut.
    Referral(NameRecord<'a>),
    /// A DNAME at this name redirects it.
    Dname(NameRecord<'a>),
    /// It is not there, and its zone is ours: the zone's place in the snapshot.
    NxDomain(usize),
    /// It lies in no zone of ours.
    NotOurs,
}

impl NameTable {
    /// Where `name` leads when asked for `qtype`.
    pub(crate) fn find(&self, name: &QueryName<'_>, qtype: RecordType) -> Found<'_> {
        self.find_likely(name, qtype, None)
    }

    /// The same; `likely` is a record of this table that may be the name's.
    // A call would cost as much as what it does for a name that is there.
    #[inline(always)]
    pub(crate) fn find_likely<'a>(
        &'a self,
        name: &QueryName<'_>,
        qtype: RecordType,
        likely: Option<NameRecord<'a>>,
    ) -> Found<'a> {
        let record = match likely {
            Some(record) if is_asked(record.name(), name.wire) => Some(record),
            _ => self.get_hashed(name.wire, name.hash),
        };
        match record {
            Some(record) => self.found_there(name, qtype, record),
            None => self.found_missing(name),
        }
    }

    #[inline(always)]
    fn found_there<'a>(
        &'a self,
        name: &QueryName<'_>,
        qtype: RecordType,
        record: NameRecord<'a>,
    ) -> Found<'a> {
        let mut record = record;
        if qtype == RecordType::DS && record.flags().has(Flags::APEX) {
            // RFC 4035 §3.1.4.1: DS belongs to the zone above, should that be ours as well.
            record = self.get_hidden(name.wire).unwrap_or(record);
        }
        let flags = record.flags();
        if flags.has(Flags::OCCLUDED) {
            Found::Referral(self.linked(record))
        } else if flags.has(Flags::CUT) && qtype != RecordType::DS {
            Found::Referral(record)
        } else {
            Found::Name(record)
        }
    }

    /// The name is not in the table: what its closest encloser says.
    fn found_missing(&self, name: &QueryName<'_>) -> Found<'_> {
        let mut rest = name.as_wire();
        for labels in (0..name.labels).rev() {
            rest = &rest[1 + usize::from(rest[0])..];
            if usize::from(labels) > self.labels_max() {
                continue;
            }
            let Some(encloser) = self.get(rest) else { continue };
            let flags = encloser.flags();
            if flags.has(Flags::OCCLUDED) {
                return Found::Referral(self.linked(encloser));
            }
            if flags.has(Flags::CUT) {
                return Found::Referral(encloser);
            }
            if flags.has(Flags::DNAME) {
                return Found::Dname(encloser);
            }
            if flags.has(Flags::WILDCARD_BELOW) {
                // The label before the encloser has at least two octets: room for `*`.
                let mut wildcard = [0; NAME_LEN_MAX];
                let wildcard = &mut wildcard[..2 + rest.len()];
                wildcard[..2].copy_from_slice(b"\x01*");
                wildcard[2..].copy_from_slice(rest);
                if let Some(wildcard) = self.get(wildcard) {
                    return Found::Name(wildcard);
                }
            }
            return Found::NxDomain(encloser.zone());
        }
        Found::NotOurs
    }
}
