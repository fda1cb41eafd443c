//! Classes against a naive look-up, and the duties of scopes, by property.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::geo::database::Database;
use crate::geo::ranges::Family;
use crate::geo::writer::{Value, Writer};
use crate::model::Country;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| prefix(text)).collect()
}

fn atlas(rows: &[(Prefix, &str)]) -> Atlas {
    if rows.is_empty() {
        return Atlas::empty();
    }
    let mut writer = Writer::v6("Test");
    // Shorter networks first, so that longer ones are cut out of them.
    let mut rows = rows.to_vec();
    rows.sort_by_key(|(network, _)| {
        network.len() + if network.address().is_ipv4() { 96 } else { 0 }
    });
    for (network, country) in rows {
        writer.insert(network, &Value::from([("country_code", country.into())]));
    }
    Atlas::build(vec![Database::open("test", writer.finish()).unwrap()]).unwrap()
}

/// Classes by country, with subnet sets before it.
fn class(place: &Place<'_>) -> ClassId {
    if let Some(set) = place.subnets.iter().position(|&is_inside| is_inside) {
        return ClassId(100 + u16::try_from(set).unwrap());
    }
    match place.location.country.as_ref().map(Country::code) {
        Some("DE") => ClassId(1),
        Some("US") => ClassId(2),
        Some("JP") => ClassId(3),
        _ => ClassId(0),
    }
}

fn map(rows: &[(&str, &str)], subnet_sets: &[Vec<Prefix>]) -> ClassMap {
    let rows: Vec<_> = rows.iter().map(|&(network, country)| (prefix(network), country)).collect();
    ClassMap::compile(&atlas(&rows), subnet_sets, &[], &mut class).unwrap()
}

fn found(map: &ClassMap, subnet: &str) -> (u16, u8, bool) {
    let hit = map.find(prefix(subnet));
    (hit.class.0, hit.scope, hit.is_private)
}

#[test]
fn a_scope_is_the_largest_block_of_one_class() {
    let rows = [
        ("80.0.0.0/8", "DE"),
        ("80.64.0.0/10", "US"),
        ("81.0.0.0/9", "DE"),
        ("81.128.7.0/24", "JP"),
        ("2a00::/12", "DE"),
        ("2a00:8000::/24", "US"),
    ];
    let map = map(&rows, &[]);
    let cases = [
        ("80.1.2.0/24", (1, 10, false)),
        ("80.65.0.0/16", (2, 10, false)),
        ("80.128.0.1", (1, 9, false)),
        ("81.1.0.0/24", (1, 9, false)),
        ("81.128.7.9", (3, 24, false)),
        ("81.128.6.0/24", (0, 24, false)),
        ("81.200.0.0/24", (0, 10, false)),
        ("2a00:8000:1::/56", (2, 24, false)),
        ("2a00:8100::/56", (1, 24, false)),
        ("2a00:1::1", (1, 17, false)),
        // Sources that hold several classes: the one with most addresses, a scope past the source.
        ("80.0.0.0/8", (1, 24, false)),
        ("81.0.0.0/8", (1, 24, false)),
        ("81.128.0.0/17", (0, 24, false)),
        ("2a00::/16", (1, 56, false)),
    ];
    for (subnet, expected) in cases {
        assert_eq!(found(&map, subnet), expected, "{subnet}");
    }
}

#[test]
fn transition_subnets_are_answered_as_ipv4_with_an_offset() {
    let map = map(&[("80.0.0.0/8", "DE"), ("81.0.0.0/8", "US"), ("2002::/16", "JP")], &[]);
    let cases = [
        ("::ffff:80.1.2.0/120", (1, 104, false)),
        ("64:ff9b::80.1.2.3", (1, 104, false)),
        ("2002:5001:203::/48", (1, 24, false)),
        ("2002:5101::/32", (2, 24, false)),
        ("2001:0:4136:e378:8000:63bf:afff:fdd2", (1, 104, false)),
        ("::ffff:10.1.2.3", (0, 104, true)),
        // Without the IPv4 address the answer is for this source alone.
        ("2001:0:4136:e378::/64", (0, 128, false)),
        ("::1", (0, 128, true)),
    ];
    for (subnet, expected) in cases {
        assert_eq!(found(&map, subnet), expected, "{subnet}");
    }
}

#[test]
fn private_blocks_are_told_unless_a_subnet_covers_them() {
    let plain = map(&[], &[]);
    for (subnet, block_len) in [
        ("10.1.2.0/24", 8),
        ("172.16.5.0/24", 12),
        ("192.168.1.0/24", 16),
        ("100.64.0.0/24", 10),
        ("127.0.0.1", 8),
        ("169.254.3.0/24", 16),
        ("fd00:1::/56", 7),
        ("fe80::1", 10),
    ] {
        assert_eq!(found(&plain, subnet), (0, block_len, true), "{subnet}");
    }
    assert!(!plain.find(prefix("192.0.2.0/24")).is_private);

    let covered = map(&[], &[prefixes(&["10.0.0.0/8"]), prefixes(&["192.168.128.0/17"])]);
    assert_eq!(found(&covered, "10.1.2.0/24"), (100, 8, false));
    assert_eq!(found(&covered, "192.168.200.0/24"), (101, 17, false));
    assert_eq!(found(&covered, "192.168.1.0/24"), (0, 17, true));
}

#[test]
fn subnets_longer_than_a_scope_are_named() {
    for (subnet, len_max) in [("192.0.2.0/25", 24), ("2001:db8::/57", 56), ("::ffff:10.0.0.1", 56)]
    {
        let sets = [Vec::new(), prefixes(&["10.0.0.0/8", subnet])];
        let error = ClassMap::compile(&Atlas::empty(), &sets, &[], &mut class).unwrap_err();
        let subnet = prefix(subnet);
        assert_eq!(error, ClassMapError::SubnetTooLong { set: 1, subnet, len_max });
    }
}

#[test]
fn only_the_asns_that_matter_split_the_space() {
    let mut writer = Writer::v4("Test");
    for (network, asn) in [("80.0.0.0/9", 64500), ("80.128.0.0/9", 64501), ("81.0.0.0/8", 64502)] {
        writer.insert(prefix(network), &Value::from([("asn", asn.into())]));
    }
    let atlas = Atlas::build(vec![Database::open("asn", writer.finish()).unwrap()]).unwrap();
    let mut asked = Vec::new();
    let map = ClassMap::compile(&atlas, &[], &[64501], &mut |place| {
        asked.push(place.location.asn);
        ClassId(u16::from(place.location.asn == Some(64501)))
    })
    .unwrap();
    assert_eq!(found(&map, "80.200.0.0/24"), (1, 9, false));
    assert_eq!(found(&map, "80.1.0.0/24"), (0, 9, false));
    assert_eq!(found(&map, "81.1.0.0/24"), (0, 8, false));
    // Public, private and transition space of IPv6, and the ASN.
    assert_eq!(asked.iter().filter(|asn| asn.is_some()).count(), 1);
    assert_eq!(asked.len(), 4);
    assert_eq!(map.classes(), [ClassId(0), ClassId(1)]);
}

#[test]
fn too_many_classes_are_an_error() {
    let mut rows = Vec::new();
    for number in 0..70_000_u32 {
        let network = Prefix::new(std::net::Ipv4Addr::from(0x5000_0000 + (number << 8)).into(), 24);
        rows.push((network, f64::from(number) / 1_000.0));
    }
    let mut writer = Writer::v4("Test");
    for (network, latitude) in rows {
        let record = [("lat", latitude.into()), ("lon", 1.0.into())];
        writer.insert(network, &record.into());
    }
    let atlas = Atlas::build(vec![Database::open("many", writer.finish()).unwrap()]).unwrap();
    let mut next = 0_u16;
    let compiled = ClassMap::compile(&atlas, &[], &[], &mut |_| {
        next = next.saturating_add(1);
        ClassId(next)
    });
    assert_eq!(compiled.unwrap_err(), ClassMapError::TooManyClasses);
}

#[test]
fn sources_over_very_many_stretches_are_answered_from_a_sample() {
    let mut rows = vec![(prefix("2a00::/12"), "US")];
    for number in 0..2_000_u128 {
        let address = 0x2a00_u128 << 112 | number << 73;
        rows.push((Prefix::new(std::net::Ipv6Addr::from(address).into(), 56), "DE"));
    }
    let map = ClassMap::compile(&atlas(&rows), &[], &[], &mut class).unwrap();
    assert_eq!(found(&map, "2a00::/32"), (2, 56, false));
}

// ---- Against a naive reference ----

/// What a random map is made of.
#[derive(Clone, Debug)]
struct World {
    rows: Vec<(Prefix, &'static str)>,
    sets: Vec<Vec<Prefix>>,
}

impl World {
    fn compile(&self) -> ClassMap {
        ClassMap::compile(&atlas(&self.rows), &self.sets, &[], &mut class).unwrap()
    }

    /// The class of a block by longest match, address by address, and what else ends a leaf there.
    fn kind(&self, family: Family, block: u64) -> (ClassId, &'static str) {
        let shift = family.width() - family.cap();
        let start = u128::from(block) << shift;
        let whole = prefix_of(family, start, family.cap());
        let subnets: Vec<bool> =
            self.sets.iter().map(|set| set.iter().any(|subnet| subnet.covers(whole))).collect();
        let is_private = normalise::private_block(whole).is_some() && !subnets.contains(&true);
        let is_transition = ["::/56", "64:ff9b::/56", "2002::/16", "2001::/32"]
            .iter()
            .any(|block| prefix(block).covers(whole));
        let location = Location {
            country: self.country(family, start).and_then(Country::new),
            ..Location::default()
        };
        let class = class(&Place { location: &location, subnets: &subnets, is_private });
        (
            class,
            if is_transition {
                "transition"
            } else if is_private {
                "private"
            } else {
                ""
            },
        )
    }

    /// The country with most addresses of the block at `start`, looking at its 256 pieces.
    fn country(&self, family: Family, start: u128) -> Option<&'static str> {
        let piece = 1_u128 << (family.width() - family.cap() - 8);
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for at in 0..256 {
            let address = prefix_of(family, start + at * piece, family.cap() + 8);
            let rows = self.rows.iter().filter(|(network, _)| network.covers(address));
            let Some((_, country)) = rows.max_by_key(|(network, _)| network.len()) else {
                continue;
            };
            match votes.iter_mut().find(|(known, _)| known == country) {
                Some(vote) => vote.1 += 1,
                None => votes.push((country, 1)),
            }
        }
        let most = votes.iter().map(|vote| vote.1).max()?;
        votes.iter().find(|vote| vote.1 == most).map(|vote| vote.0)
    }

    /// The blocks at which something may change.
    fn borders(&self, family: Family) -> Vec<u64> {
        let all = self.rows.iter().map(|row| row.0).chain(self.sets.iter().flatten().copied());
        let special = normalise::private_blocks().chain(normalise::transition_blocks(V6.cap()));
        let mut borders = vec![0];
        for prefix in all.chain(special).filter(|p| p.address().is_ipv4() == (family == V4)) {
            let first = family.block(bits(prefix));
            borders.extend([first, first + family.blocks_in(prefix.len())]);
        }
        borders.sort_unstable();
        borders.dedup();
        borders.retain(|&border| border <= family.last());
        borders
    }
}

/// Stretches in which [`World::kind`] cannot change, and their kinds.
struct Reference {
    family: Family,
    stretches: Vec<(u64, u64, (ClassId, &'static str))>,
}

impl Reference {
    fn new(world: &World, family: Family) -> Self {
        let borders = world.borders(family);
        let ends = borders.iter().skip(1).map(|&next| next - 1).chain([family.last()]);
        let stretches = borders.iter().zip(ends);
        let stretches = stretches.map(|(&first, last)| (first, last, world.kind(family, first)));
        Self { family, stretches: stretches.collect() }
    }

    /// Blocks of each kind under a prefix, in address order of the first of them.
    fn counts(&self, block: u64, len: u8) -> Vec<((ClassId, &'static str), u64)> {
        let first = block & !(self.family.blocks_in(len) - 1);
        let last = first + self.family.blocks_in(len) - 1;
        let mut counts: Vec<(_, u64)> = Vec::new();
        for &(start, end, kind) in &self.stretches {
            if end < first || start > last {
                continue;
            }
            let blocks = end.min(last) - start.max(first) + 1;
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, sum)) => *sum += blocks,
                None => counts.push((kind, blocks)),
            }
        }
        counts
    }

    fn find(&self, subnet: Prefix) -> Hit {
        let (block, source) =
            (self.family.block(bits(subnet)), subnet.len().min(self.family.cap()));
        let leaf = (0..=self.family.cap()).find(|&len| self.counts(block, len).len() == 1).unwrap();
        let counts = self.counts(block, source);
        let most = counts.iter().map(|count| count.1).max().unwrap();
        let (class, mark) = counts.iter().find(|count| count.1 == most).unwrap().0;
        let scope = if leaf <= source { leaf } else { self.family.cap() };
        Hit { class, scope, is_private: mark == "private" }
    }
}

fn bits(prefix: Prefix) -> u128 {
    Family::split(prefix.address()).1
}

fn prefix_of(family: Family, bits: u128, len: u8) -> Prefix {
    Prefix::new(family.address(bits), len)
}

/// IPv4 prefixes that often touch and nest.
fn v4_prefix(lens: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = Prefix> {
    let first = prop::sample::select(vec![10_u32, 80, 81, 172, 192]);
    let bits = (first, 0..4_u32, any::<u32>(), any::<bool>());
    let bits = bits.prop_map(|(first, second, low, is_near)| {
        let second = if is_near { second } else { low >> 16 & 0xff };
        first << 24 | second << 16 | low & 0x0303
    });
    (bits, lens).prop_map(|(bits, len)| prefix_of(V4, bits.into(), len))
}

/// IPv6 prefixes that often touch and nest, some of them in transition mechanisms' blocks.
fn v6_prefix(lens: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = Prefix> {
    let first = prop::sample::select(vec![0x2a00_u128, 0x2a01, 0x2001, 0x2002, 0xfd00, 0x64, 0]);
    let bits = (first, 0..4_u128, 0..4_u128, any::<u64>());
    let bits = bits.prop_map(|(first, second, third, low)| {
        let second = if first == 0x64 { 0xff9b } else { second };
        first << 112 | second << 96 | third << 88 | u128::from(low & 0x0303_0303_0303_0303)
    });
    (bits, lens).prop_map(|(bits, len)| prefix_of(V6, bits, len))
}

fn v4_world() -> impl Strategy<Value = World> {
    world(v4_prefix(2..=30), v4_prefix(3..=24))
}

fn world(
    network: impl Strategy<Value = Prefix>,
    subnet: impl Strategy<Value = Prefix>,
) -> impl Strategy<Value = World> {
    let row = (network, prop::sample::select(vec!["DE", "US", "JP", "CH"]));
    let rows = prop::collection::vec(row, 1..25);
    let sets = prop::collection::vec(prop::collection::vec(subnet, 1..5), 0..3);
    (rows, sets).prop_map(|(rows, sets)| {
        // One row a network: the writer's last word would hide the others.
        let rows: HashMap<Prefix, &str> = rows.into_iter().collect();
        World { rows: rows.into_iter().collect(), sets }
    })
}

/// Networks outside of transition blocks; subnets and queries may well be inside.
fn v6_world() -> impl Strategy<Value = World> {
    let public = v6_prefix(9..=62).prop_filter("read as IPv6", |network| {
        matches!(normalise::read(*network), Reading::Plain(_))
    });
    let subnet = v6_prefix(3..=56).prop_filter("read as IPv6", |subnet| {
        !matches!(normalise::read(*subnet), Reading::Embedded { .. })
    });
    world(public, subnet)
}

/// Whether the answers' prefixes are the same or apart; those past their source are not cached beyond.
fn are_apart(map: &ClassMap, queries: &[Prefix]) -> Result<(), TestCaseError> {
    let scopes = queries.iter().filter_map(|&query| {
        let hit = map.find(query);
        (hit.scope > 0 && hit.scope <= query.len())
            .then(|| (Prefix::new(query.address(), hit.scope), hit.class))
    });
    let scopes: Vec<_> = scopes.collect();
    for (at, a) in scopes.iter().enumerate() {
        for b in &scopes[at + 1..] {
            let is_overlap = a.0.covers(b.0) || b.0.covers(a.0);
            prop_assert!(!is_overlap || a == b, "{a:?} and {b:?}");
        }
    }
    Ok(())
}

/// Whether everybody in the scope, as far as `others` tell, has the answer's class.
fn is_shared(map: &ClassMap, query: Prefix, others: &[Prefix]) -> Result<(), TestCaseError> {
    let hit = map.find(query);
    if hit.scope > query.len() {
        return Ok(());
    }
    let scope = Prefix::new(query.address(), hit.scope);
    for other in others.iter().map(|other| Prefix::host(other.address())) {
        if scope.contains(other.address()) {
            let theirs = map.find(other);
            prop_assert_eq!(
                (theirs.class, theirs.scope),
                (hit.class, hit.scope),
                "{} {}",
                scope,
                other
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn v4_is_found_as_the_reference_finds_it(
        world in v4_world(),
        queries in prop::collection::vec(v4_prefix(0..=32), 1..40),
    ) {
        let (map, reference) = (world.compile(), Reference::new(&world, V4));
        for query in queries {
            prop_assert_eq!(map.find(query), reference.find(query), "{}", query);
        }
    }

    #[test]
    fn v6_is_found_as_the_reference_finds_it(
        world in v6_world(),
        queries in prop::collection::vec(v6_prefix(0..=128), 1..40),
    ) {
        let (map, reference) = (world.compile(), Reference::new(&world, V6));
        for query in queries {
            if matches!(normalise::read(query), Reading::Plain(_)) {
                prop_assert_eq!(map.find(query), reference.find(query), "{}", query);
            }
        }
    }

    #[test]
    fn v4_scopes_hold_for_everybody_and_never_overlap(
        world in v4_world(),
        queries in prop::collection::vec(v4_prefix(0..=32), 1..60),
    ) {
        let map = world.compile();
        are_apart(&map, &queries)?;
        for &query in &queries {
            is_shared(&map, query, &queries)?;
        }
    }

    #[test]
    fn v6_scopes_hold_for_everybody_and_never_overlap(
        v4 in v4_world(),
        v6 in v6_world(),
        queries in prop::collection::vec(v6_prefix(0..=128), 1..60),
        embedded in prop::collection::vec((v4_prefix(0..=32), 0..4_usize), 0..60),
    ) {
        let rows = [v4.rows, v6.rows].concat();
        let map = World { rows, sets: [v4.sets, v6.sets].concat() }.compile();
        let embedded = embedded.into_iter().map(|(v4, way)| {
            let low = bits(v4);
            let (bits, len) = match way {
                0 => (0xffff << 32 | low, v4.len() + 96),
                1 => (0x64_ff9b << 96 | low, v4.len() + 96),
                2 => (0x2002 << 112 | low << 80, v4.len() + 16),
                _ => (0x2001_0000 << 96 | u128::from(!u32::try_from(low).unwrap()), v4.len() + 96),
            };
            prefix_of(V6, bits, len)
        });
        let queries: Vec<Prefix> = queries.into_iter().chain(embedded).collect();
        are_apart(&map, &queries)?;
        for &query in &queries {
            is_shared(&map, query, &queries)?;
        }
    }
}
