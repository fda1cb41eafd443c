//! Records in the canonical order of their owners (RFC 4034 §6.1).
//!
//! A [`Key`] is a name as octets that compare bytewise as names do canonically: labels from the
//! right, in lower case, each behind a separator. What lies below a name has its key as a prefix.
//! Made once a record, keys turn sorting and looking up by ancestry into comparisons of slices.

use std::cmp::Ordering;

use crate::model::{Name, Record, RecordType};

/// A name as octets that sort canonically.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(super) struct Key(Vec<u8>);

/// Ends a label; below every other octet, so that a label sorts before its extensions.
const SEPARATOR: u8 = 0;
/// Stands before a 1 or 2 that means the octet 0 or 1, so that none is taken for a separator.
const ESCAPE: u8 = 1;

impl Key {
    pub(super) fn of(name: &Name) -> Self {
        let mut key = Vec::with_capacity(name.as_wire().len());
        push_labels(name, &mut Vec::new(), &mut key);
        Self(key)
    }

    /// The key of the name that has the labels of this one twice.
    pub(super) fn doubled(&self) -> Self {
        Self(self.0.repeat(2))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// Appends the key of `name` to `key`; `labels` is kept by the caller for its memory.
fn push_labels<'a>(name: &'a Name, labels: &mut Vec<&'a [u8]>, key: &mut Vec<u8>) {
    labels.clear();
    labels.extend(name.labels());
    for label in labels.iter().rev() {
        for octet in label.iter().map(u8::to_ascii_lowercase) {
            match octet {
                0 | 1 => key.extend([ESCAPE, octet + 1]),
                _ => key.push(octet),
            }
        }
        key.push(SEPARATOR);
    }
}

/// The keys of many names, in one piece of memory.
pub(super) struct Keys {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    pub(super) fn of(records: &[Record]) -> Self {
        let mut keys = Self { octets: Vec::new(), ends: Vec::with_capacity(records.len()) };
        let mut labels = Vec::new();
        for record in records {
            push_labels(&record.owner, &mut labels, &mut keys.octets);
            keys.ends.push(keys.octets.len());
        }
        keys
    }

    fn at(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.octets[start..self.ends[index]]
    }
}

/// A record with its owner's key.
#[derive(Clone, Copy)]
pub(super) struct Keyed<'a> {
    pub(super) key: &'a [u8],
    pub(super) record: &'a Record,
}

/// Records by owner, then type, then in the order in which they were written.
pub(super) struct Sorted<'a> {
    records: Vec<Keyed<'a>>,
}

impl<'a> Sorted<'a> {
    /// Sorts `records`, whose keys are `keys`.
    pub(super) fn new(records: &'a [Record], keys: &'a Keys) -> Self {
        let keyed = |(index, record)| Keyed { key: keys.at(index), record };
        let mut records: Vec<_> = records.iter().enumerate().map(keyed).collect();
        records.sort_by(|a, b| a.key.cmp(b.key).then_with(|| a.record.rtype.cmp(&b.record.rtype)));
        Self { records }
    }

    /// All records.
    pub(super) fn as_slice(&self) -> &[Keyed<'a>] {
        &self.records
    }

    /// The first record of that owner and type.
    pub(super) fn find(&self, key: &[u8], rtype: RecordType) -> Option<&'a Record> {
        let wanted = (key, rtype);
        let order = |keyed: &Keyed<'_>| (keyed.key, keyed.record.rtype).cmp(&wanted);
        let index = self.records.partition_point(|keyed| order(keyed) == Ordering::Less);
        let found = self.records.get(index)?;
        (order(found) == Ordering::Equal).then_some(found.record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_name() -> impl Strategy<Value = Name> {
        // Few different octets, so that names have labels and beginnings of labels in common.
        let octet = prop::sample::select(b"\x00\x01\x02aAb*z\xff".as_slice());
        let label = prop::collection::vec(octet, 1..4);
        prop::collection::vec(label, 0..4).prop_map(|labels| {
            let mut wire = Vec::new();
            for label in labels {
                wire.push(u8::try_from(label.len()).unwrap());
                wire.extend(label);
            }
            wire.push(0);
            Name::from_wire(&wire).unwrap().0
        })
    }

    proptest! {
        #[test]
        fn keys_order_and_nest_as_names_do(a in any_name(), b in any_name()) {
            let (key_a, key_b) = (Key::of(&a), Key::of(&b));
            prop_assert_eq!(key_a.cmp(&key_b), a.cmp(&b));
            prop_assert_eq!(key_a.as_slice().starts_with(key_b.as_slice()), a.is_at_or_below(&b));
        }
    }
}
