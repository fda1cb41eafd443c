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
use crate::model::name::NAME_LEN_MAX;
use crate::model::names::{Flags, NameRecord};

/// A name as it was asked for: lower case, wire form, its labels counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryName {
    wire: [u8; NAME_LEN_MAX + 1],
    len: u8,
    labels: u8,
}

impl QueryName {
    /// Reads the name at the start of `bytes`, which must not be compressed.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut name = Self { wire: [0; NAME_LEN_MAX + 1], len: 0, labels: 0 };
        let mut at = 0_usize;
        loop {
            let len = usize::from(*bytes.get(at)?);
            if len > 63 || at + len >= NAME_LEN_MAX {
                return None;
            }
            at += 1 + len;
            if len == 0 {
                break;
            }
            name.labels += 1;
        }
        name.wire[..at].copy_from_slice(bytes.get(..at)?);
        // Label lengths are below 64 and thus no letters.
        name.wire[..at].make_ascii_lowercase();
        name.len = u8::try_from(at).ok()?;
        Some(name)
    }

    /// Octets in wire form.
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// The name in lower case and wire form.
    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.wire[..self.len()]
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
    pub(crate) fn find(&self, name: &QueryName, qtype: RecordType) -> Found<'_> {
        match self.get(name.as_wire()) {
            Some(record) if qtype == RecordType::DS && record.flags().has(Flags::APEX) => {
                // RFC 4035 §3.1.4.1: DS belongs to the zone above, should that be ours as well.
                let above = self.get_hidden(name.as_wire());
                self.found_there(above.unwrap_or(record), qtype)
            }
            Some(record) => self.found_there(record, qtype),
            None => self.found_missing(name),
        }
    }

    fn found_there<'a>(&'a self, record: NameRecord<'a>, qtype: RecordType) -> Found<'a> {
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
    fn found_missing(&self, name: &QueryName) -> Found<'_> {
        let mut wire = name.wire;
        let mut start = 0;
        for labels in (0..name.labels).rev() {
            start += 1 + usize::from(wire[start]);
            if usize::from(labels) > self.labels_max() {
                continue;
            }
            let Some(encloser) = self.get(&wire[start..name.len()]) else { continue };
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
                wire[start - 2..start].copy_from_slice(b"\x01*");
                if let Some(wildcard) = self.get(&wire[start - 2..name.len()]) {
                    return Found::Name(wildcard);
                }
            }
            return Found::NxDomain(encloser.zone());
        }
        Found::NotOurs
    }
}
