//! One zone's names into the table.
//!
//! Groups records into rrsets, adds what exists without records (empty non-terminals, steered names),
//! and says of each name what it is: apex, cut, below a cut, wildcard's parent. Whether the records
//! make sense was `zone::check`'s business.

use std::collections::{BTreeMap, HashSet};

use super::image::{Image, ImageBuilder};
use super::names::{Flags, TableBuilder, TableError};
use crate::model::name::NAME_LEN_MAX;
use crate::model::{Name, Record, RecordType, Zone};

/// What queries need to know of a zone as a whole.
#[derive(Debug)]
pub(crate) struct ZoneEntry {
    /// The apex.
    pub(crate) apex: Name,
    /// The SOA for the authority section of negative answers, its TTL the lesser of its own and of
    /// the minimum field (RFC 2308 §5). Made for questions of the apex or below.
    pub(crate) negative: Image,
    /// How many addresses its name servers have in it, and those: made to stand right behind the
    /// NS records of the apex.
    pub(crate) servers: (u16, Image),
}

/// Octets of a record without its data, its owner a pointer.
const RECORD_OVERHEAD: usize = 12;

/// The records of one owner by type: TTL and rdata.
type Rrsets<'a> = BTreeMap<RecordType, (u32, Vec<&'a [u8]>)>;

#[derive(Default)]
struct Draft<'a> {
    rrsets: Rrsets<'a>,
    rule: Option<u32>,
}

/// Adds the names of `zone`, the `place`th of the snapshot. `rules` has one entry for each of its
/// steers; `apexes` are those of all zones, `children` those of the zones right below it.
pub(crate) fn add(
    builder: &mut TableBuilder,
    zone: &Zone,
    place: usize,
    rules: &[u32],
    apexes: &HashSet<&Name>,
    children: &[&Name],
) -> Result<ZoneEntry, TableError> {
    let mut drafts = drafts_of(zone, rules);
    // Whether a child has a DS is for its parent to say (RFC 4035 §3.1.4.1), also if that has no
    // delegation to it.
    for child in children {
        drafts.entry((*child).clone()).or_default();
    }
    let mut cut: Option<(&Name, u32)> = None;
    for (owner, draft) in drafts.iter().filter(|(owner, _)| !is_below_other(owner, zone, apexes)) {
        cut = cut.filter(|(cut, _)| owner.is_at_or_below(cut));
        if let Some((_, link)) = cut {
            builder.add(owner, Flags::OCCLUDED, place, link, &[])?;
            continue;
        }
        let flags = flags_of(zone, owner, draft, &drafts);
        if flags.has(Flags::CUT) {
            let referral = referral_of(owner, draft, &drafts);
            let referral = builder.add_hidden(owner, Flags::CUT, place, 0, &referral)?;
            let offset = builder.add(owner, flags, place, referral, &images_of(owner, draft))?;
            cut = Some((owner, offset));
        } else {
            let link = draft.rule.unwrap_or(0);
            builder.add(owner, flags, place, link, &images_of(owner, draft))?;
        }
    }
    let negative = negative_of(zone, &drafts);
    Ok(ZoneEntry { apex: zone.apex.clone(), negative, servers: servers_of(zone, &drafts) })
}

/// All that the zone has, also what another zone of ours answers for: it may be glue.
fn drafts_of<'a>(zone: &'a Zone, rules: &[u32]) -> BTreeMap<Name, Draft<'a>> {
    let mut drafts: BTreeMap<Name, Draft<'a>> = BTreeMap::new();
    let is_inside = |record: &&Record| record.owner.is_at_or_below(&zone.apex);
    for record in zone.records.iter().filter(is_inside) {
        if !drafts.contains_key(&record.owner) {
            add_ancestors(&mut drafts, &zone.apex, &record.owner);
        }
        let draft = drafts.entry(record.owner.clone()).or_default();
        let Record { rtype, ttl, rdata, .. } = record;
        let (least_ttl, rdatas) = draft.rrsets.entry(*rtype).or_insert((*ttl, Vec::new()));
        *least_ttl = (*least_ttl).min(*ttl);
        if !rdatas.contains(&&**rdata) {
            rdatas.push(rdata);
        }
    }
    for (steer, rule) in zone.steers.iter().zip(rules) {
        add_ancestors(&mut drafts, &zone.apex, &steer.owner);
        drafts.entry(steer.owner.clone()).or_default().rule = Some(*rule);
    }
    drafts
}

/// Whether `owner` lies strictly below the apex of another of our zones inside this one: that zone
/// answers for it. (At that apex itself this zone still has the delegation.)
fn is_below_other(owner: &Name, zone: &Zone, apexes: &HashSet<&Name>) -> bool {
    let mut below = owner.clone();
    while below != zone.apex {
        let Some(parent) = below.parent() else { return false };
        if parent != zone.apex && apexes.contains(&parent) {
            return true;
        }
        below = parent;
    }
    false
}

/// The names between `owner` and the apex exist, even without records (RFC 4592 §2.2.2).
fn add_ancestors(drafts: &mut BTreeMap<Name, Draft<'_>>, apex: &Name, owner: &Name) {
    let mut ancestor = owner.parent();
    while let Some(name) = ancestor {
        if !name.is_at_or_below(apex) || drafts.contains_key(&name) {
            return;
        }
        ancestor = name.parent();
        drafts.insert(name, Draft::default());
    }
}

fn flags_of(
    zone: &Zone,
    owner: &Name,
    draft: &Draft<'_>,
    drafts: &BTreeMap<Name, Draft<'_>>,
) -> Flags {
    let has = |rtype| draft.rrsets.contains_key(&rtype);
    let is_apex = *owner == zone.apex;
    let has_wildcard = owner.wildcard_below().is_some_and(|name| drafts.contains_key(&name));
    let all = [
        (is_apex, Flags::APEX),
        (!is_apex && has(RecordType::NS), Flags::CUT),
        (has(RecordType::DNAME), Flags::DNAME),
        (has(RecordType::CNAME), Flags::CNAME),
        (draft.rule.is_some(), Flags::STEERED),
        (has_wildcard, Flags::WILDCARD_BELOW),
    ];
    let set = all.into_iter().filter(|(is_set, _)| *is_set);
    set.fold(Flags::default(), |flags, (_, flag)| flags.with(flag))
}

/// The draft's rrsets, made for questions of their owner. One too large for any message is left out;
/// `zone::check` has said so.
fn images_of(owner: &Name, draft: &Draft<'_>) -> Vec<(RecordType, u16, Image)> {
    let image = |(rtype, (ttl, rdatas)): (&RecordType, &(u32, Vec<&[u8]>))| {
        let mut image = ImageBuilder::for_owner(owner);
        for rdata in rdatas {
            image.record(owner, *rtype, *ttl, rdata);
        }
        let image = image.finish();
        let count = u16::try_from(rdatas.len()).ok()?;
        (image.bytes.len() <= usize::from(u16::MAX)).then_some((*rtype, count, image))
    };
    draft.rrsets.iter().filter_map(image).collect()
}

/// What a referral is made of, as three images of which each is made to stand right behind the one
/// before: the NS records of the cut; the addresses of name servers at or below it, without which
/// nobody gets there (RFC 9471 §2.1); and those of its other name servers that the zone knows.
fn referral_of(
    cut: &Name,
    draft: &Draft<'_>,
    drafts: &BTreeMap<Name, Draft<'_>>,
) -> Vec<(RecordType, u16, Image)> {
    let mut image = ImageBuilder::for_ancestor(cut);
    let ns_count = add_rrset(&mut image, cut, draft, RecordType::NS);
    let ns_end = image.len();
    let is_needed = |server: &Name| server.is_at_or_below(cut);
    let glue_count = add_addresses(&mut image, draft, drafts, &is_needed);
    let glue_end = image.len();
    let rest_count = add_addresses(&mut image, draft, drafts, &|server| !is_needed(server));
    let mut ns = image.finish();
    let mut glue = ns.split_off(ns_end);
    let rest = glue.split_off(glue_end - ns_end);
    vec![
        (RecordType::NS, ns_count, ns),
        (RecordType::A, glue_count, glue),
        (RecordType::A, rest_count, rest),
    ]
}

fn servers_of(zone: &Zone, drafts: &BTreeMap<Name, Draft<'_>>) -> (u16, Image) {
    let Some(apex) = drafts.get(&zone.apex) else { return (0, Image::default()) };
    let mut image = ImageBuilder::for_owner(&zone.apex);
    add_rrset(&mut image, &zone.apex, apex, RecordType::NS);
    let ns_end = image.len();
    let count = add_addresses(&mut image, apex, drafts, &|_| true);
    (count, image.finish().split_off(ns_end))
}

/// Adds the addresses of those name servers of `draft` that the zone knows and that are `wanted`; says
/// how many.
fn add_addresses(
    image: &mut ImageBuilder<'_>,
    draft: &Draft<'_>,
    drafts: &BTreeMap<Name, Draft<'_>>,
    wanted: &dyn Fn(&Name) -> bool,
) -> u16 {
    let Some((_, servers)) = draft.rrsets.get(&RecordType::NS) else { return 0 };
    let names = servers.iter().filter_map(|server| Name::from_wire(server).ok());
    let mut count = 0;
    for server in names.map(|(name, _)| name).filter(wanted) {
        let Some(known) = drafts.get(&server) else { continue };
        count += add_rrset(image, &server, known, RecordType::A);
        count += add_rrset(image, &server, known, RecordType::AAAA);
    }
    count
}

/// Adds an rrset unless no message would hold it and what is there already; says how many records
/// were added.
fn add_rrset(
    image: &mut ImageBuilder<'_>,
    owner: &Name,
    draft: &Draft<'_>,
    rtype: RecordType,
) -> u16 {
    let Some((ttl, rdatas)) = draft.rrsets.get(&rtype) else { return 0 };
    let len: usize = rdatas.iter().map(|rdata| RECORD_OVERHEAD + rdata.len()).sum();
    if image.len() + NAME_LEN_MAX + len > usize::from(u16::MAX) {
        return 0;
    }
    for rdata in rdatas {
        image.record(owner, rtype, *ttl, rdata);
    }
    u16::try_from(rdatas.len()).expect("records that 64 KiB hold")
}

fn negative_of(zone: &Zone, drafts: &BTreeMap<Name, Draft<'_>>) -> Image {
    let mut image = ImageBuilder::for_ancestor(&zone.apex);
    let soa = drafts.get(&zone.apex).and_then(|apex| apex.rrsets.get(&RecordType::SOA));
    if let Some((ttl, rdatas)) = soa
        && let Some(minimum) = rdatas[0].last_chunk::<4>()
    {
        let ttl = (*ttl).min(u32::from_be_bytes(*minimum));
        image.record(&zone.apex, RecordType::SOA, ttl, rdatas[0]);
    }
    image.finish()
}
