//! The sweep over the address space: from places to stretches of one kind.
//!
//! Subnet sets, private blocks, transition blocks and the ASNs that matter split the space into a few
//! stretches, each with its *surroundings*; these are laid over the atlas's places. The rule is asked
//! once for each pair of place and surroundings, and neighbours of one kind become one stretch.

use std::collections::HashMap;

use super::{ClassId, ClassMapError, Kind, Mark, Place};
use crate::geo::atlas::Atlas;
use crate::geo::normalise::{self, Reading};
use crate::geo::packed::Packed;
use crate::geo::ranges::{Families, Family, Ranges, V6};
use crate::model::{Location, Prefix};

/// What is known of a stretch beside its location.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Surroundings {
    /// Of each subnet set, whether it contains the stretch.
    subnets: Box<[bool]>,
    mark: Mark,
    /// The ASN, if it is one that matters.
    asn: Option<u32>,
}

/// A value for each distinct key, by number.
struct Numbered<K> {
    list: Vec<K>,
    numbers: HashMap<K, u32>,
}

impl<K: Clone + Eq + std::hash::Hash> Numbered<K> {
    fn new() -> Self {
        Self { list: Vec::new(), numbers: HashMap::new() }
    }

    fn number_of(&mut self, key: K) -> u32 {
        let list = &mut self.list;
        *self.numbers.entry(key).or_insert_with_key(|key| {
            list.push(key.clone());
            u32::try_from(list.len() - 1).expect("fewer than blocks")
        })
    }
}

/// The state of a sweep over both families.
pub(super) struct Sweep<'a> {
    atlas: &'a Atlas,
    surroundings: Numbered<Surroundings>,
    /// For each block the number of its surroundings.
    overlay: Families<Ranges>,
    kinds: Numbered<Kind>,
    /// The kind's number + 1 of each place in the surroundings that are most common; 0: not asked yet.
    common: Vec<u32>,
    /// The kind's number of places in other surroundings.
    rare: HashMap<(u32, u32), u32>,
}

impl<'a> Sweep<'a> {
    /// Gets ready; checks the subnets.
    pub(super) fn new(
        atlas: &'a Atlas,
        subnet_sets: &[Vec<Prefix>],
        asns: &[u32],
    ) -> Result<Self, ClassMapError> {
        let mut asns = asns.to_vec();
        asns.sort_unstable();
        let borders = borders(subnet_sets)?;
        let mut surroundings = Numbered::new();
        // Number 0, whether it is found anywhere or not: outside of everything.
        surroundings.number_of(Surroundings {
            subnets: vec![false; subnet_sets.len()].into(),
            mark: Mark::Public,
            asn: None,
        });
        let mut overlay = |borders: Vec<Border>, announced: &Packed| {
            let plain = overlay(borders, subnet_sets.len(), &mut surroundings);
            if asns.is_empty() {
                return plain;
            }
            let told = announced.iter().map(|(start, asn)| {
                (start, if asns.binary_search(&asn).is_ok() { asn } else { 0 })
            });
            plain.zip(told, |number, asn| {
                let around = surroundings.list[number as usize].clone();
                surroundings.number_of(Surroundings { asn: (asn != 0).then_some(asn), ..around })
            })
        };
        let overlay = Families {
            v4: overlay(borders.v4, &atlas.asns.v4),
            v6: overlay(borders.v6, &atlas.asns.v6),
        };
        let common = vec![0; atlas.locations.count()];
        let kinds = Numbered::new();
        Ok(Self { atlas, surroundings, overlay, kinds, common, rare: HashMap::new() })
    }

    /// The stretches of a family; values are numbers of kinds. Called once for each.
    pub(super) fn stretches(
        &mut self,
        family: Family,
        classify: &mut Classify<'_>,
    ) -> Result<Ranges, ClassMapError> {
        let overlay = std::mem::take(self.overlay.get_mut(family));
        let places = self.atlas.places.get(family);
        let stretches =
            overlay.zip(places.iter(), |around, place| self.kind_of(around, place, classify));
        if self.kinds.list.len() > usize::from(u16::MAX) {
            return Err(ClassMapError::TooManyClasses);
        }
        Ok(stretches)
    }

    /// The kinds by number.
    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds.list
    }

    /// The classes that were given, sorted.
    pub(super) fn classes(&self) -> Vec<ClassId> {
        let mut classes: Vec<_> = self.kinds.list.iter().map(|kind| kind.class).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// The number of the kind of a place in its surroundings.
    fn kind_of(&mut self, around: u32, place: u32, classify: &mut Classify<'_>) -> u32 {
        if around == 0 {
            let known = self.common[place as usize];
            if known != 0 {
                return known - 1;
            }
        } else if let Some(&known) = self.rare.get(&(around, place)) {
            return known;
        }
        let kind = self.ask(around, place, classify);
        if around == 0 {
            self.common[place as usize] = kind + 1;
        } else {
            self.rare.insert((around, place), kind);
        }
        kind
    }

    fn ask(&mut self, around: u32, place: u32, classify: &mut Classify<'_>) -> u32 {
        let Surroundings { subnets, mark, asn } = &self.surroundings.list[around as usize];
        let location = Location { asn: *asn, ..self.atlas.locations.get(place) };
        let class =
            classify(&Place { location: &location, subnets, is_private: *mark == Mark::Private });
        let kind = Kind { class, mark: *mark };
        self.kinds.number_of(kind)
    }
}

/// Tells the class of a place.
pub(super) type Classify<'a> = dyn FnMut(&Place<'_>) -> ClassId + 'a;

/// What a block may lie in.
#[derive(Clone, Copy)]
enum Member {
    Subnets(usize),
    Private,
    Transition,
}

/// Where something begins or ends.
struct Border {
    at: u64,
    member: Member,
    is_begin: bool,
}

/// All borders by family, sorted.
fn borders(subnet_sets: &[Vec<Prefix>]) -> Result<Families<Vec<Border>>, ClassMapError> {
    let mut borders = Families::make(|_| Vec::new());
    for (set, subnets) in subnet_sets.iter().enumerate() {
        for &given in subnets {
            // A subnet in a transition mechanism's block means the IPv4 clients in it.
            let subnet = match normalise::read(given) {
                Reading::Embedded { subnet, .. } => subnet,
                Reading::Plain(subnet) | Reading::Opaque(subnet) => subnet,
            };
            if !add(&mut borders, subnet, Member::Subnets(set)) {
                let (family, _) = Family::split(given.address());
                let len_max = family.cap();
                return Err(ClassMapError::SubnetTooLong { set, subnet: given, len_max });
            }
        }
    }
    for block in normalise::private_blocks() {
        // ::1 alone is longer than a block; `find` knows it by itself.
        add(&mut borders, block, Member::Private);
    }
    for block in normalise::transition_blocks(V6.cap()) {
        add(&mut borders, block, Member::Transition);
    }
    borders.v4.sort_by_key(|border| border.at);
    borders.v6.sort_by_key(|border| border.at);
    Ok(borders)
}

/// Adds a prefix's borders, unless it is longer than a block.
fn add(borders: &mut Families<Vec<Border>>, prefix: Prefix, member: Member) -> bool {
    let (family, bits) = Family::split(prefix.address());
    if prefix.len() > family.cap() {
        return false;
    }
    let at = family.block(bits);
    let end = at + family.blocks_in(prefix.len());
    let list = borders.get_mut(family);
    list.push(Border { at, member, is_begin: true });
    list.push(Border { at: end, member, is_begin: false });
    true
}

/// The stretches between borders, by the number of their surroundings.
fn overlay(
    borders: Vec<Border>,
    set_count: usize,
    surroundings: &mut Numbered<Surroundings>,
) -> Ranges {
    let mut ranges = Ranges::constant(0);
    let mut inside = vec![0_usize; set_count]; // How many prefixes of each set we are inside of.
    let (mut private, mut transition) = (0_usize, 0_usize);
    let mut borders = borders.into_iter().peekable();
    while let Some(Border { at, member, is_begin }) = borders.next() {
        let depth = match member {
            Member::Subnets(set) => &mut inside[set],
            Member::Private => &mut private,
            Member::Transition => &mut transition,
        };
        *depth = if is_begin { *depth + 1 } else { *depth - 1 };
        if borders.peek().is_some_and(|next| next.at == at) {
            continue;
        }
        let subnets: Box<[bool]> = inside.iter().map(|&depth| depth > 0).collect();
        let mark = if transition > 0 {
            Mark::Transition
        } else if private > 0 && !subnets.contains(&true) {
            Mark::Private
        } else {
            Mark::Public
        };
        ranges.push(at, surroundings.number_of(Surroundings { subnets, mark, asn: None }));
    }
    ranges
}
