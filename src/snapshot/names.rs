//! Every name that we answer for, in one table.
//!
//! One open-addressing table over all zones leads from the hash of a name to its record, so that a
//! look-up costs two cache misses whatever the number of names and zones. The records stay where each
//! zone has them (`model::names`), shared with other snapshots; the table sees all zones as pages of one
//! address space:
//!
//! ```text
//! slots: [ tag, place ]*      place: page << 14 │ unit
//! pages: [ octets, zone ]*    64 KiB of a zone's arena, or its end
//! ```
//!
//! How a look-up goes on when a name is not there is [`find`](super::find)'s business.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::model::names::{
    Flags, NameRecord, Records, Referral, Slots, UNIT, close_record, hash_of, is_asked,
    label_count, open_record, parent_of,
};
use crate::model::{Name, Zone};

/// Units of a page.
const PAGE_UNITS: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 14;

/// Part of a zone's arena.
#[derive(Debug)]
struct Page {
    /// From where the page starts to the end of the arena: a record may reach into the next page.
    octets: Bytes,
    /// The zone, by place in the snapshot.
    zone: u32,
    /// The page that links of its records are counted from.
    first: u32,
}

/// The record at a place.
#[inline]
fn at(pages: &[Page], place: u32) -> NameRecord<'_> {
    let page = &pages[(place >> PAGE_BITS) as usize];
    let unit = place as usize % PAGE_UNITS;
    NameRecord::new(&page.octets[unit * UNIT..], page.zone, page.first << PAGE_BITS)
}

/// The table.
#[derive(Debug)]
pub(crate) struct NameTable {
    slots: Slots,
    pages: Box<[Page]>,
    /// The most labels that any name has: a longer name cannot be there.
    labels_max: usize,
}

impl NameTable {
    /// The record of a name given in wire form, in any case.
    pub(crate) fn get(&self, name: &[u8]) -> Option<NameRecord<'_>> {
        self.get_hashed(name, hash_of(name))
    }

    /// The same for a name whose hash is known.
    // A call would cost a third of what it does.
    #[inline(always)]
    pub(crate) fn get_hashed(&self, name: &[u8], hash: u64) -> Option<NameRecord<'_>> {
        for place in self.slots.candidates(hash) {
            let record = self.at(place);
            if is_asked(record.name(), name) {
                return Some(record);
            }
        }
        None
    }

    /// What the zone above says of a name that is the apex of another zone of ours, if anything: the name
    /// has two records then, and the one that hides the other is found first.
    #[cold]
    pub(crate) fn get_hidden(&self, name: &[u8]) -> Option<NameRecord<'_>> {
        let records = self.slots.candidates(hash_of(name)).map(|place| self.at(place));
        records.filter(|record| is_asked(record.name(), name)).nth(1)
    }

    /// Starts to fetch the slot of a hash.
    pub(crate) fn prefetch_slot(&self, hash: u64) {
        self.slots.prefetch(hash);
    }

    /// The record of a name with that hash: nearly always that of the name that is looked for. Reads
    /// nothing of it.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<NameRecord<'_>> {
        self.slots.candidates(hash).next().map(|place| self.at(place))
    }

    /// Its slots, for whoever wants to place them well in memory.
    pub(crate) const fn slots(&self) -> &[(u32, u32)] {
        self.slots.as_slice()
    }

    fn at(&self, place: u32) -> NameRecord<'_> {
        at(&self.pages, place)
    }

    /// The record that another one links to.
    pub(crate) fn linked(&self, record: NameRecord<'_>) -> NameRecord<'_> {
        self.at(record.base() + record.link())
    }

    /// What the record of a cut links to.
    pub(crate) fn referral(&self, cut: NameRecord<'_>) -> Referral<'_> {
        let record = self.linked(cut);
        let mut pieces = record.rrsets();
        let mut piece = || pieces.next().expect("a cut links to three pieces");
        Referral { cut: record.name(), ns: piece(), glue: piece(), rest: piece() }
    }

    /// The most labels that any name has.
    pub(crate) const fn labels_max(&self) -> usize {
        self.labels_max
    }
}

/// Why names do not fit into a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TableError {
    /// The records of all names together pass 16 GiB, or there are more than 262,144 zones.
    TooLarge,
}

impl NameTable {
    /// The names of all zones. A child zone's names hide its parent's.
    pub(crate) fn new(zones: &[Arc<Zone>]) -> Result<Self, TableError> {
        let nesting = Nesting::of(zones);
        let names: usize = zones.iter().map(|zone| zone.names.names).sum();
        // Each zone may need a name more, in the zone above.
        let slots = Slots::with_capacity(names + nesting.children.values().flatten().count());
        let mut builder = Builder { slots, pages: Vec::new(), labels_max: 0 };
        // What is added first is found first, so children come first.
        let mut order: Vec<usize> = (0..zones.len()).collect();
        order.sort_by_key(|place| std::cmp::Reverse(zones[*place].apex.label_count()));
        for place in order {
            builder.add(&zones[place], place, &nesting)?;
        }
        let Builder { slots, pages, labels_max } = builder;
        Ok(Self { slots, pages: pages.into(), labels_max })
    }
}

/// Which zones lie inside others of ours. All names are in lower case and wire form.
#[derive(Default)]
struct Nesting {
    /// The apexes of those that do.
    inner: HashSet<Box<[u8]>>,
    /// By apex, those of the zones right below.
    children: HashMap<Box<[u8]>, Vec<Box<[u8]>>>,
}

impl Nesting {
    fn of(zones: &[Arc<Zone>]) -> Self {
        let lower = |name: &Name| Box::<[u8]>::from(name.to_lowercase().as_wire());
        let mut apexes: Vec<&Name> = zones.iter().map(|zone| &zone.apex).collect();
        apexes.sort();
        let mut nesting = Self::default();
        // A name comes right before what lies below it (RFC 4034 §6.1).
        let mut around: Vec<&Name> = Vec::new();
        for apex in apexes {
            while around.pop_if(|outer| !apex.is_at_or_below(outer)).is_some() {}
            if let Some(parent) = around.last() {
                nesting.children.entry(lower(parent)).or_default().push(lower(apex));
                nesting.inner.insert(lower(apex));
            }
            around.push(apex);
        }
        // In one order, whatever the case of names: tables of the same zones are the same.
        nesting.children.values_mut().for_each(|children| children.sort());
        nesting
    }

    /// Whether `owner`, a name of the zone `apex`, lies strictly below the apex of another of our zones
    /// inside this one: that zone answers for it. (At that apex itself this zone still has the
    /// delegation.)
    fn is_below_other(&self, owner: &[u8], apex: &[u8]) -> bool {
        let above = std::iter::successors(parent_of(owner), |name| parent_of(name));
        let mut inside = above.take_while(|name| name.len() > apex.len());
        inside.any(|name| self.inner.contains(name))
    }
}

struct Builder {
    slots: Slots,
    pages: Vec<Page>,
    labels_max: usize,
}

impl Builder {
    fn add(&mut self, zone: &Zone, place: usize, nesting: &Nesting) -> Result<(), TableError> {
        let zone_number = u32::try_from(place).map_err(|_| TableError::TooLarge)?;
        let apex = zone.apex.to_lowercase();
        let apex = apex.as_wire();
        let children = nesting.children.get(apex).map_or(&[][..], Vec::as_slice);
        self.labels_max = self.labels_max.max(zone.names.labels_max);
        let first = u32::try_from(self.pages.len()).map_err(|_| TableError::TooLarge)?;
        let base = self.add_pages(&zone.names.arena, zone_number, first)?;
        let mut missing: HashSet<&[u8]> = children.iter().map(|child| &**child).collect();
        let is_found = |record: NameRecord<'_>| {
            !record.flags().has(Flags::HIDDEN)
                && (children.is_empty() || !nesting.is_below_other(record.name(), apex))
        };
        let found = zone.names.iter().filter(|(_, record)| is_found(*record));
        self.slots.extend(found.map(|(at, record)| {
            if !missing.is_empty() {
                missing.remove(record.name());
            }
            (hash_of(record.name()), base + at)
        }));
        // Whether a child has a DS is for its parent to say (RFC 4035 §3.1.4.1), also if that has no
        // delegation to it.
        let mut arena = Vec::new();
        for child in children.iter().filter(|child| missing.contains(&***child)) {
            let cut = self.cut_above(child, zone_number);
            let flags = if cut.is_some() { Flags::OCCLUDED } else { Flags::default() };
            open_record(&mut arena, child, flags, 0, cut.map_or(0, |cut| cut - base));
            close_record(&mut arena);
            self.labels_max = self.labels_max.max(label_count(child));
        }
        let arena = Bytes::from(arena);
        let base = self.add_pages(&arena, zone_number, first)?;
        for (at, record) in Records::new(&arena, 0) {
            self.slots.insert(hash_of(record.name()), base + at);
        }
        Ok(())
    }

    /// Appends the pages of an arena whose links are counted from page `first`; returns the place where
    /// it starts.
    fn add_pages(&mut self, arena: &Bytes, zone: u32, first: u32) -> Result<u32, TableError> {
        let start = u32::try_from(self.pages.len()).map_err(|_| TableError::TooLarge)?;
        for offset in (0..arena.len()).step_by(PAGE_UNITS * UNIT) {
            self.pages.push(Page { octets: arena.slice(offset..), zone, first });
        }
        // The last place of all must be a number, too.
        let is_within = self.pages.len() < 1 << (32 - PAGE_BITS);
        if is_within { Ok(start << PAGE_BITS) } else { Err(TableError::TooLarge) }
    }

    /// The place of the highest delegation of that zone that `name` lies below.
    fn cut_above(&self, name: &[u8], zone: u32) -> Option<u32> {
        let is_cut = |name: &[u8], place: u32| {
            let record = at(&self.pages, place);
            record.zone() == zone as usize
                && record.flags().has(Flags::CUT)
                && record.name() == name
        };
        let above = std::iter::successors(parent_of(name), |name| parent_of(name));
        let cuts = above.filter_map(|name| {
            self.slots.candidates(hash_of(name)).find(|place| is_cut(name, *place))
        });
        cuts.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RecordType, Report, Span};
    use crate::zone::{NamesBuilder, RecordRef};

    fn zone(apex: &str, owners: &[String]) -> Arc<Zone> {
        let apex: Name = apex.parse().unwrap();
        let span = Span::new(Report::new().add_source("", ""), 0..0);
        let mut names = NamesBuilder::new(&apex);
        for (n, owner) in owners.iter().enumerate() {
            let address = u32::try_from(n).unwrap().to_be_bytes();
            let owner = &Name::parse(owner, &apex).unwrap();
            names.add(RecordRef { owner, rtype: RecordType::A, ttl: 1, rdata: &address, span });
        }
        Arc::new(Zone { names: Arc::new(names.finish([])), ..Zone::empty(apex) })
    }

    #[test]
    fn every_name_of_every_zone_is_found_and_no_other() {
        let owners: Vec<String> = (0..9000).map(|n| format!("h{n}")).collect();
        let zones = ["a.test.", "b.test.", "test."].map(|apex| zone(apex, &owners));
        let table = NameTable::new(&zones).unwrap();
        for (place, zone) in zones.iter().enumerate() {
            for (n, owner) in owners.iter().enumerate() {
                let name = Name::parse(owner, &zone.apex).unwrap();
                let record = table.get(name.as_wire()).unwrap();
                let rrset = record.rrset(RecordType::A).unwrap();
                let address = u32::try_from(n).unwrap().to_be_bytes();
                assert_eq!((record.zone(), rrset.count), (place, 1));
                assert_eq!(rrset.bytes[12..], address);
                assert!(record.rrset(RecordType::AAAA).is_none());
            }
        }
        let missing: Name = "h9000.test.".parse().unwrap();
        assert!(table.get(missing.as_wire()).is_none());
        assert_eq!(table.labels_max(), 3);
    }

    #[test]
    fn a_zone_hides_what_the_one_above_says_of_its_apex() {
        let zones = [zone("test.", &[]), zone("sub.test.", &["x".to_owned()])];
        let table = NameTable::new(&zones).unwrap();
        let name: Name = "sub.test.".parse().unwrap();
        assert_eq!(table.get(name.as_wire()).unwrap().zone(), 1);
        assert_eq!(table.get_hidden(name.as_wire()).unwrap().zone(), 0);
    }
}
