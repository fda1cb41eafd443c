//! From records to the names of a zone.
//!
//! A [`NamesBuilder`] takes records one by one, in any order, and compiles each name as soon as the next
//! one begins: a zone of a million names is never held as a list of records. Files that come back to a
//! name have its record taken apart and made anew. What is wrong with the records of one name is noticed
//! here on the way; what is wrong between names is [`check`](super::check)'s business, and both are told
//! by [`NamesBuilder::check`] only.
//!
//! [`NamesBuilder::finish`] adds what exists without records (empty non-terminals, steered names) and
//! links what belongs together: delegations to their referrals, what lies below a cut to the cut,
//! wildcards to their parents.

use std::collections::HashSet;

use super::check::{out_of_zone, points_to_host};
use super::image::{ImageBuilder, unfold};
use super::master::RecordRef;
use super::places::Places;
use crate::model::image::Image;
use crate::model::name::NAME_LEN_MAX;
use crate::model::names::{
    Flags, NameRecord, Records, Slots, UNIT, ZoneNames, close_record, hash_of, is_at_or_below,
    label_count, open_record, parent_of, push_address, push_rrset, set_flags, set_link,
    set_rrset_count,
};
use crate::model::{Diagnostic, Name, RecordType, Span};

/// Octets of a record without its data, its owner a pointer.
pub(crate) const RECORD_OVERHEAD: usize = 12;

/// How the name of a wildcard begins.
const WILDCARD: &[u8] = b"\x01*";

/// Takes records, gives [`ZoneNames`].
#[derive(Debug)]
pub struct NamesBuilder {
    pub(super) apex: Name,
    /// The apex in lower case and wire form.
    pub(super) apex_wire: Box<[u8]>,
    /// The apex with its labels twice: what a complete name becomes when its dot is forgotten.
    /// `None` for the root.
    pub(super) apex_twice: Option<Box<[u8]>>,
    arena: Vec<u8>,
    slots: Slots,
    draft: Draft,
    /// Where the records of every name were written, in the order of its rrsets.
    places: Places,
    /// Those of the name that is being written.
    written: Vec<Span>,
    /// Octets that hidden records take.
    dead: usize,
    /// Records so far, each once.
    records: usize,
    labels_max: usize,
    has_wildcards: bool,
    /// The last owner outside the zone, told once.
    stray: Option<Name>,
    /// Where records of cuts start; like the next list, with some that are hidden by now.
    pub(super) cuts: Vec<u32>,
    pub(super) has_dname: bool,
    /// Names with records that point to hosts: NS, MX, SRV.
    pub(super) pointing: Vec<u32>,
    pub(super) findings: Vec<Diagnostic>,
}

/// The records of the name that is being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// In lower case and wire form.
    pub(super) owner: Vec<u8>,
    /// Its hash.
    hash: u64,
    pub(super) records: Vec<DraftRecord>,
    /// Their data, one after the other.
    data: Vec<u8>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct DraftRecord {
    pub(super) rtype: RecordType,
    pub(super) ttl: u32,
    pub(super) place: Span,
    start: usize,
    end: usize,
}

impl Draft {
    pub(super) fn rdata(&self, record: &DraftRecord) -> &[u8] {
        &self.data[record.start..record.end]
    }

    fn push(&mut self, rtype: RecordType, ttl: u32, rdata: &[u8], place: Span) {
        let start = self.data.len();
        self.data.extend_from_slice(rdata);
        self.records.push(DraftRecord { rtype, ttl, place, start, end: self.data.len() });
    }
}

impl NamesBuilder {
    /// A builder for the zone `apex`.
    #[must_use]
    pub fn new(apex: &Name) -> Self {
        Self::for_text(apex, 0)
    }

    /// A builder for the zone `apex` with room for what a text of so many octets usually says, as long as
    /// that is little: where there are many zones, most of the time would go into growing.
    #[must_use]
    pub fn for_text(apex: &Name, len: usize) -> Self {
        let len = len.min(64 << 10);
        let apex_wire: Box<[u8]> = apex.to_lowercase().as_wire().into();
        let labels = &apex_wire[..apex_wire.len() - 1];
        let apex_twice = (!labels.is_empty()).then(|| [labels, &*apex_wire].concat().into());
        Self {
            apex: apex.clone(),
            apex_wire,
            apex_twice,
            arena: Vec::with_capacity(2 * len),
            slots: Slots::with_capacity(8 + len / 64),
            draft: Draft::default(),
            places: Places::default(),
            written: Vec::new(),
            dead: 0,
            records: 0,
            labels_max: 0,
            has_wildcards: false,
            stray: None,
            cuts: Vec::new(),
            has_dname: false,
            pointing: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Adds a record. One outside the zone is left out, and an error.
    pub fn add(&mut self, record: RecordRef<'_>) {
        let owner = record.owner.as_wire();
        if !owner.eq_ignore_ascii_case(&self.draft.owner) {
            self.close_draft();
            if !record.owner.is_at_or_below(&self.apex) {
                if self.stray.as_ref() != Some(record.owner) {
                    self.findings.push(out_of_zone(&self.apex, record));
                    self.stray = Some(record.owner.clone());
                }
                return;
            }
            self.draft.owner.extend(owner.iter().map(u8::to_ascii_lowercase));
            self.draft.hash = hash_of(&self.draft.owner);
            // Whether the name is known will be asked when its records are read.
            self.slots.prefetch(self.draft.hash);
        }
        self.draft.push(record.rtype, record.ttl, record.rdata, record.span);
    }

    /// The types that `owner` has, and where the first record of each was written.
    pub fn types_at(&mut self, owner: &Name) -> Vec<(RecordType, Span)> {
        self.close_draft();
        let owner = owner.to_lowercase();
        let Some(at) = self.at(owner.as_wire()) else { return Vec::new() };
        let mut places = self.places.of(at).into_iter();
        let rrsets = self.record(at).rrsets();
        let types = rrsets.filter_map(|rrset| {
            let first = places.next();
            // Behind it the others of the rrset, and then the first of the next.
            places.by_ref().take(usize::from(rrset.count) - 1).for_each(drop);
            Some((rrset.rtype, first?))
        });
        types.collect()
    }

    /// The data of the records of `owner` of that type.
    pub fn rdatas_at(&mut self, owner: &Name, rtype: RecordType) -> Vec<Vec<u8>> {
        self.close_draft();
        let owner = owner.to_lowercase();
        let record = self.at(owner.as_wire()).map(|at| self.record(at));
        let rrset = record.and_then(|record| record.rrset(rtype));
        let records = rrset.map(|rrset| unfold(owner.as_wire(), rrset)).unwrap_or_default();
        records.into_iter().map(|(_, rdata)| rdata).collect()
    }

    /// All names so far, as octets: the same for the same records in the same order.
    pub fn octets(&mut self) -> &[u8] {
        self.close_draft();
        &self.arena
    }

    // ---- Names ----

    /// The record that starts at `at`.
    pub(super) fn record(&self, at: u32) -> NameRecord<'_> {
        NameRecord::new(&self.arena[at as usize * UNIT..], 0, 0)
    }

    /// Where the record of a name is.
    pub(super) fn at(&self, name: &[u8]) -> Option<u32> {
        self.at_hashed(name, hash_of(name))
    }

    fn at_hashed(&self, name: &[u8], hash: u64) -> Option<u32> {
        self.slots.candidates(hash).find(|at| self.record(*at).name() == name)
    }

    /// The record of a name.
    pub(super) fn get(&self, name: &[u8]) -> Option<NameRecord<'_>> {
        self.at(name).map(|at| self.record(at))
    }

    /// Every record that its name leads to.
    pub(super) fn named(&self) -> impl Iterator<Item = (u32, NameRecord<'_>)> {
        let all = Records::new(&self.arena, 0);
        all.filter(|(_, record)| !record.flags().has(Flags::HIDDEN))
    }

    /// Whether another record has taken the place of the one at `at`.
    pub(super) fn is_hidden(&self, at: u32) -> bool {
        self.record(at).flags().has(Flags::HIDDEN)
    }

    /// Where the records of that type were written at the name whose record is at `at`.
    pub(super) fn places_of(&self, at: u32, rtype: RecordType) -> Option<Vec<Span>> {
        let mut before = 0;
        for rrset in self.record(at).rrsets() {
            let count = usize::from(rrset.count);
            if rrset.rtype == rtype {
                return Some(self.places.of(at).into_iter().skip(before).take(count).collect());
            }
            before += count;
        }
        None
    }

    /// Where the first of them was written.
    pub(super) fn place_of(&self, at: u32, rtype: RecordType) -> Option<Span> {
        self.places_of(at, rtype)?.first().copied()
    }

    /// The highest name with that flag that `name` is at or below.
    pub(super) fn highest(&self, name: &[u8], flag: Flags) -> Option<u32> {
        let above = std::iter::successors(Some(name), |name| parent_of(name));
        let above = above.take_while(|name| name.len() >= self.apex_wire.len());
        let with_flag = |at: &u32| self.record(*at).flags().has(flag);
        above.filter_map(|name| self.at(name).filter(with_flag)).last()
    }

    pub(super) fn is_apex(&self, name: &[u8]) -> bool {
        *name == *self.apex_wire
    }

    // ---- Writing ----

    /// Compiles the name that was read last.
    pub(super) fn close_draft(&mut self) {
        if self.draft.records.is_empty() {
            self.draft.owner.clear();
            return;
        }
        let mut draft = std::mem::take(&mut self.draft);
        let earlier = self.at_hashed(&draft.owner, draft.hash);
        if let Some(at) = earlier {
            self.take_apart(at, &mut draft);
        }
        draft.records.sort_by_key(|record| record.rtype);
        self.judge_name(&draft);
        let at = self.write_draft(&draft);
        match earlier {
            Some(earlier) => self.slots.redirect(draft.hash, earlier, at),
            None => self.add_slot(&draft.owner, draft.hash, at),
        }
        draft.owner.clear();
        draft.records.clear();
        draft.data.clear();
        self.draft = draft;
    }

    /// Puts the records at `at` before those of `draft` and hides them.
    fn take_apart(&mut self, at: u32, draft: &mut Draft) {
        let places = self.places.of(at);
        self.records -= places.len();
        let mut places = places.into_iter();
        let later = std::mem::take(&mut draft.records);
        let record = self.record(at);
        for rrset in record.rrsets() {
            for ((ttl, rdata), place) in unfold(record.name(), rrset).iter().zip(&mut places) {
                draft.push(rrset.rtype, *ttl, rdata, place);
            }
        }
        draft.records.extend(later);
        self.hide(at);
    }

    fn hide(&mut self, at: u32) {
        let record = self.record(at);
        let flags = record.flags().with(Flags::HIDDEN);
        self.dead += record.len();
        set_flags(&mut self.arena, at, flags);
    }

    /// Appends the record of `draft`, whose records are sorted; returns where it starts.
    fn write_draft(&mut self, draft: &Draft) -> u32 {
        let at = self.next_at();
        let flags = self.flags_of(draft);
        if flags.has(Flags::CUT) {
            self.cuts.push(at);
        }
        self.has_dname |= flags.has(Flags::DNAME);
        if draft.records.iter().any(|record| points_to_host(record.rtype)) {
            self.pointing.push(at);
        }
        open_record(&mut self.arena, &draft.owner, flags, 0, 0);
        let mut count = 0;
        for rrset in draft.records.chunk_by(|a, b| a.rtype == b.rtype) {
            count += u16::from(self.write_rrset(draft, rrset));
        }
        set_rrset_count(&mut self.arena, at, count);
        close_record(&mut self.arena);
        self.records += self.written.len();
        self.places.add(at, &self.written);
        self.written.clear();
        at
    }

    fn flags_of(&self, draft: &Draft) -> Flags {
        let is_apex = self.is_apex(&draft.owner);
        let own = if is_apex { Flags::APEX } else { Flags::default() };
        draft.records.iter().fold(own, |flags, record| match record.rtype {
            RecordType::NS if !is_apex => flags.with(Flags::CUT),
            RecordType::DNAME => flags.with(Flags::DNAME),
            RecordType::CNAME => flags.with(Flags::CNAME),
            _ => flags,
        })
    }

    /// Appends an rrset, each record once, all with the lowest TTL. One too large for any message is
    /// left out; returns whether it was written.
    fn write_rrset(&mut self, draft: &Draft, rrset: &[DraftRecord]) -> bool {
        let ttl = rrset.iter().map(|record| record.ttl).min().unwrap_or(0);
        if let [only] = rrset
            && matches!(
                (only.rtype, only.end - only.start),
                (RecordType::A, 4) | (RecordType::AAAA, 16)
            )
        {
            push_address(&mut self.arena, only.rtype, ttl, draft.rdata(only));
            self.written.push(only.place);
            return true;
        }
        let mut image = ImageBuilder::for_owner(&draft.owner);
        let mut seen = HashSet::new();
        let mut count = 0;
        let before = self.written.len();
        for record in rrset.iter().filter(|record| seen.insert(draft.rdata(record))) {
            image.record(&draft.owner, record.rtype, ttl, draft.rdata(record));
            self.written.push(record.place);
            count += 1;
        }
        let image = image.finish();
        let fits = image.bytes.len() <= usize::from(u16::MAX);
        match u16::try_from(count).ok().filter(|_| fits) {
            Some(count) => push_rrset(&mut self.arena, rrset[0].rtype, count, &image),
            None => self.written.truncate(before),
        }
        fits
    }

    /// Where the next record will start.
    fn next_at(&self) -> u32 {
        // A master file has less than 4 GiB, and a record takes at most some times its text.
        u32::try_from(self.arena.len() / UNIT).expect("a zone has less than 16 GiB")
    }

    fn add_slot(&mut self, name: &[u8], hash: u64, at: u32) {
        if !self.slots.has_room() {
            let mut slots = Slots::with_capacity(self.slots.len() * 2);
            let others = self.named().filter(|(known, _)| *known != at);
            slots.extend(others.map(|(at, record)| (hash_of(record.name()), at)));
            self.slots = slots;
        }
        self.slots.insert(hash, at);
        self.labels_max = self.labels_max.max(label_count(name));
        self.has_wildcards |= name.starts_with(WILDCARD);
    }

    /// Appends a record that holds nothing; returns where it starts.
    fn add_bare(&mut self, name: &[u8], flags: Flags, link: u32) -> u32 {
        let at = self.next_at();
        open_record(&mut self.arena, name, flags, 0, link);
        close_record(&mut self.arena);
        self.add_slot(name, hash_of(name), at);
        at
    }

    /// Appends a record in place of the one at `at`, with that link, and its rrsets if they are kept.
    fn replace(&mut self, at: u32, flags: Flags, link: u32, keeps_rrsets: bool) {
        let (new, record) = (self.next_at(), self.record(at));
        let name = record.name().to_vec();
        let (count, rrsets) = record.raw_rrsets();
        let rrsets = if keeps_rrsets { rrsets.to_vec() } else { Vec::new() };
        let count = if keeps_rrsets { count } else { 0 };
        self.hide(at);
        open_record(&mut self.arena, &name, flags, count, link);
        self.arena.extend_from_slice(&rrsets);
        close_record(&mut self.arena);
        self.slots.redirect(hash_of(&name), at, new);
    }

    // ---- Finishing ----

    /// The names of the zone, of which those of `steered` are steered: each leads to the place beside it.
    #[must_use]
    pub fn finish<'n>(mut self, steered: impl IntoIterator<Item = (usize, &'n Name)>) -> ZoneNames {
        self.close_draft();
        // Places are for findings, and these have been told.
        self.places = Places::default();
        let records = self.records;
        self.drop_dead();
        for (place, owner) in steered {
            self.add_steered(owner, u32::try_from(place).expect("fewer than 2^32 steers"));
        }
        self.add_ancestors();
        self.mark_wildcards();
        // A server of the apex may stand below a cut, where its addresses are soon dropped.
        let (negative, servers) = (self.negative(), self.servers());
        self.link_cuts();
        let names = self.slots.len();
        self.arena.shrink_to_fit();
        ZoneNames {
            arena: self.arena.into(),
            records,
            names,
            labels_max: self.labels_max,
            negative,
            servers,
        }
    }

    /// Writes the arena anew when much of it is hidden.
    fn drop_dead(&mut self) {
        if self.dead <= self.arena.len() / 8 {
            return;
        }
        let old = std::mem::take(&mut self.arena);
        let mut slots = Slots::with_capacity(self.slots.len());
        self.cuts = Vec::new();
        let all = Records::new(&old, 0).filter(|(_, record)| !record.flags().has(Flags::HIDDEN));
        for (_, record) in all {
            let at = self.next_at();
            slots.insert(hash_of(record.name()), at);
            self.arena.extend_from_slice(record.octets());
            close_record(&mut self.arena);
            if record.flags().has(Flags::CUT) {
                self.cuts.push(at);
            }
        }
        self.slots = slots;
        self.dead = 0;
    }

    fn add_steered(&mut self, owner: &Name, place: u32) {
        let owner = owner.to_lowercase();
        let owner = owner.as_wire();
        match self.at(owner) {
            None => {
                let flags = if self.is_apex(owner) { Flags::APEX } else { Flags::default() };
                self.add_bare(owner, flags.with(Flags::STEERED), place);
            }
            Some(at) => {
                let flags = self.record(at).flags();
                // What is delegated is not ours to steer; whoever wrote it has been told.
                if !flags.has(Flags::CUT) {
                    self.replace(at, flags.with(Flags::STEERED), place, true);
                }
            }
        }
    }

    /// The names between a record and the apex exist, even without records (RFC 4592 §2.2.2), and so
    /// does the apex.
    fn add_ancestors(&mut self) {
        if self.at(&self.apex_wire).is_none() {
            let apex = self.apex_wire.clone();
            self.add_bare(&apex, Flags::APEX, 0);
        }
        if self.labels_max <= label_count(&self.apex_wire) + 1 {
            return;
        }
        let mut at = 0;
        let mut known: Vec<u8> = Vec::new();
        while let Some((_, record)) = Records::new(&self.arena, at).next() {
            at += record.len().next_multiple_of(UNIT);
            let parent = parent_of(record.name()).filter(|parent| {
                parent.len() > self.apex_wire.len()
                    && !record.flags().has(Flags::HIDDEN)
                    && *parent != known
            });
            let Some(parent) = parent else { continue };
            known.clear();
            known.extend_from_slice(parent);
            if self.at(&known).is_none() {
                // Its own parent is seen to when the loop gets there.
                self.add_bare(&known, Flags::default(), 0);
            }
        }
    }

    fn mark_wildcards(&mut self) {
        if !self.has_wildcards {
            return;
        }
        let wildcards = self.named().filter(|(_, record)| record.name().starts_with(WILDCARD));
        let parents: Vec<u32> =
            wildcards.filter_map(|(_, record)| self.at(&record.name()[2..])).collect();
        for parent in parents {
            let flags = self.record(parent).flags().with(Flags::WILDCARD_BELOW);
            set_flags(&mut self.arena, parent, flags);
        }
    }

    /// Gives every delegation its referral, and hides what lies below.
    fn link_cuts(&mut self) {
        if self.cuts.is_empty() {
            return;
        }
        let below = |(at, record): (u32, NameRecord<'_>)| {
            let cut = self.highest(parent_of(record.name())?, Flags::CUT)?;
            Some((at, cut))
        };
        let occluded: Vec<(u32, u32)> = self.named().filter_map(below).collect();
        for cut in std::mem::take(&mut self.cuts) {
            if self.is_hidden(cut) {
                continue;
            }
            if occluded.binary_search_by_key(&cut, |(at, _)| *at).is_err() {
                let link = self.next_at();
                let pieces = self.referral_of(self.record(cut));
                let name = self.record(cut).name().to_vec();
                open_record(&mut self.arena, &name, Flags::HIDDEN, 3, 0);
                for (rtype, count, image) in pieces {
                    push_rrset(&mut self.arena, rtype, count, &image);
                }
                close_record(&mut self.arena);
                set_link(&mut self.arena, cut, link);
            }
        }
        for (at, cut) in occluded {
            self.replace(at, Flags::OCCLUDED, cut, false);
        }
    }

    /// What a referral is made of, as three images of which each is made to stand right behind the one
    /// before: the NS records of the cut; the addresses of name servers at or below it, without which
    /// nobody gets there (RFC 9471 §2.1); and those of its other name servers that the zone knows.
    fn referral_of(&self, cut: NameRecord<'_>) -> [(RecordType, u16, Image); 3] {
        let mut image = ImageBuilder::for_ancestor(cut.name());
        let servers = add_rrset(&mut image, cut, RecordType::NS);
        let ns_end = image.len();
        let is_needed = |server: &[u8]| is_at_or_below(server, cut.name());
        let glue_count = self.add_addresses(&mut image, cut, &is_needed);
        let glue_end = image.len();
        let rest_count = self.add_addresses(&mut image, cut, &|server| !is_needed(server));
        let mut ns = image.finish();
        let mut glue = ns.split_off(ns_end);
        let rest = glue.split_off(glue_end - ns_end);
        [
            (RecordType::NS, servers, ns),
            (RecordType::A, glue_count, glue),
            (RecordType::A, rest_count, rest),
        ]
    }

    fn servers(&self) -> (u16, Image) {
        let Some(apex) = self.get(&self.apex_wire) else { return (0, Image::default()) };
        let mut image = ImageBuilder::for_owner(apex.name());
        add_rrset(&mut image, apex, RecordType::NS);
        let ns_end = image.len();
        let count = self.add_addresses(&mut image, apex, &|_| true);
        (count, image.finish().split_off(ns_end))
    }

    /// Adds the addresses of those name servers of `owner` that the zone knows and that are `wanted`;
    /// says how many.
    fn add_addresses(
        &self,
        image: &mut ImageBuilder<'_>,
        owner: NameRecord<'_>,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> u16 {
        let Some(servers) = owner.rrset(RecordType::NS) else { return 0 };
        let mut seen = HashSet::new();
        let mut count = 0;
        for (_, mut server) in unfold(owner.name(), servers) {
            server.make_ascii_lowercase();
            let Some(known) = self.get(&server).filter(|_| wanted(&server)) else { continue };
            // Servers that differ in case only are one.
            if seen.insert(server) {
                count += add_rrset(image, known, RecordType::A);
                count += add_rrset(image, known, RecordType::AAAA);
            }
        }
        count
    }

    fn negative(&self) -> Image {
        let mut image = ImageBuilder::for_ancestor(&self.apex_wire);
        let soa = self.get(&self.apex_wire).and_then(|apex| apex.rrset(RecordType::SOA));
        if let Some(soa) = soa
            && let Some((ttl, rdata)) = unfold(&self.apex_wire, soa).into_iter().next()
            && let Some(minimum) = rdata.last_chunk::<4>()
        {
            let ttl = ttl.min(u32::from_be_bytes(*minimum));
            image.record(&self.apex_wire, RecordType::SOA, ttl, &rdata);
        }
        image.finish()
    }
}

/// Adds an rrset unless no message would hold it and what is there already; says how many records
/// were added.
fn add_rrset(image: &mut ImageBuilder<'_>, owner: NameRecord<'_>, rtype: RecordType) -> u16 {
    let Some(rrset) = owner.rrset(rtype) else { return 0 };
    let records = unfold(owner.name(), rrset);
    let len: usize = records.iter().map(|(_, rdata)| RECORD_OVERHEAD + rdata.len()).sum();
    if image.len() + NAME_LEN_MAX + len > usize::from(u16::MAX) {
        return 0;
    }
    for (ttl, rdata) in &records {
        image.record(owner.name(), rtype, *ttl, rdata);
    }
    u16::try_from(records.len()).expect("records that 64 KiB hold")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Report;
    use crate::zone::records;

    /// An owner, relative to the apex, and one of its records.
    type Line = (String, RecordType, Vec<u8>);

    fn lines() -> Vec<Line> {
        let wire = |text: &str| text.parse::<Name>().unwrap().as_wire().to_vec();
        let mut lines = vec![("".to_owned(), RecordType::NS, wire("ns.test."))];
        for n in 0..200_u8 {
            let host = format!("h{n}.sub{}", n % 7);
            lines.push((host.clone(), RecordType::A, vec![192, 0, 2, n]));
            lines.push((host.clone(), RecordType::A, vec![192, 0, 3, n]));
            lines.push((host.clone(), RecordType::TXT, vec![1, n]));
            lines.push((host, RecordType::MX, [&[0, n][..], &wire("h1.sub1.test.")].concat()));
        }
        for n in 0..20_u8 {
            let server = format!("ns.cut{n}");
            lines.push((format!("cut{n}"), RecordType::NS, wire(&format!("{server}.test."))));
            lines.push((format!("cut{n}"), RecordType::DS, vec![0, n, 8, 2]));
            lines.push((server, RecordType::A, vec![198, 51, 100, n]));
        }
        lines
    }

    fn built(lines: &[Line]) -> ZoneNames {
        let apex: Name = "test.".parse().unwrap();
        let span = Span::new(Report::new().add_source("", ""), 0..0);
        let mut builder = NamesBuilder::new(&apex);
        for (owner, rtype, rdata) in lines {
            let owner = match owner.as_str() {
                "" => apex.clone(),
                owner => Name::parse(owner, &apex).unwrap(),
            };
            builder.add(RecordRef { owner: &owner, rtype: *rtype, ttl: 60, rdata, span });
        }
        builder.finish([])
    }

    #[test]
    fn a_file_that_comes_back_to_its_names_means_the_same() {
        let in_order = lines();
        let mut by_type = in_order.clone();
        by_type.sort_by_key(|(_, rtype, _)| *rtype);
        let (in_order, by_type) = (built(&in_order), built(&by_type));
        let set = |names: &ZoneNames| records(names).collect::<BTreeSet<_>>();
        assert_eq!(set(&in_order), set(&by_type));
        // Every record but the glue, which stands in referrals.
        assert_eq!(set(&in_order).len(), 1 + 4 * 200 + 2 * 20);
        assert_eq!(in_order.record_count(), by_type.record_count());
        assert_eq!((in_order.names, in_order.labels_max), (by_type.names, by_type.labels_max));
        let referrals = |names: &ZoneNames| {
            let hidden = names.iter().filter(|(_, record)| record.flags().has(Flags::HIDDEN));
            let of_cut =
                |record: NameRecord<'_>| record.rrsets().map(|r| r.bytes.to_vec()).collect();
            let pieces = hidden.map(|(_, record)| of_cut(record));
            let referrals = pieces.filter(|pieces: &Vec<Vec<u8>>| pieces.len() == 3);
            referrals.collect::<BTreeSet<_>>()
        };
        assert_eq!(referrals(&in_order), referrals(&by_type));
        assert_eq!(referrals(&in_order).len(), 20);
    }
}
