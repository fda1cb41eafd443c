//! Any bytes at all, by way of the fuzz targets' bodies: no panic, and all that they say must hold.
//!
//! Each body runs on its seeds, and on what proptest makes out of them and out of nothing.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::bodies::{master, options, packet, toml};

/// What a target runs.
type Body = fn(&[u8]);

/// The targets, by the names that cargo-fuzz knows them by.
const TARGETS: [(&str, Body); 4] = [
    ("packet", packet::check),
    ("options", options::check),
    ("master", master::check),
    ("toml", toml::check),
];

/// Name and octets of each seed of a target. For `toml` the other tests' files are seeds as well.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let own = format!("tests/fuzz/seeds/{target}");
    let others = (target == "toml").then(|| "tests/data".to_owned());
    let mut seeds = Vec::new();
    for directory in [own].into_iter().chain(others) {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory));
        let paths = entries.expect("seeds").map(|entry| entry.expect("a seed").path());
        for path in paths.filter(|path| path.is_file()) {
            let octets = fs::read(&path).expect("a readable seed");
            seeds.push((path.display().to_string(), octets));
        }
    }
    seeds.sort();
    seeds
}

#[test]
fn every_seed_holds() {
    for (target, check) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 10, "{target}");
        for (name, octets) in seeds {
            println!("{name}"); // Shown when it fails.
            check(&octets);
        }
    }
}

/// One way to spoil an input. Places count from its start, and from it again behind its end.
#[derive(Clone, Debug)]
enum Spoil {
    Octet(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A 16-bit number: a count, a length, a type.
    Number(Index, u16),
    /// A compression pointer to a place, which may be its own.
    Pointer(Index, u8),
    /// What stands at one place, at another, too.
    Repeat(Index, Index, usize),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let at = any::<Index>;
    let number = || prop_oneof![0..4_u16, any::<u16>()];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, octet)| Spoil::Octet(at, octet)),
        at().prop_map(Spoil::Cut),
        (at(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, o)| Spoil::Insert(at, o)),
        (at(), 1..20_usize).prop_map(|(at, len)| Spoil::Remove(at, len)),
        (at(), number()).prop_map(|(at, number)| Spoil::Number(at, number)),
        (at(), 0..60_u8).prop_map(|(at, to)| Spoil::Pointer(at, to)),
        (at(), at(), 1..60_usize).prop_map(|(from, to, len)| Spoil::Repeat(from, to, len)),
    ]
}

fn spoilt(mut octets: Vec<u8>, spoils: &[Spoil]) -> Vec<u8> {
    for spoil in spoils.iter().filter(|_| !octets.is_empty()).collect::<Vec<_>>() {
        let len = octets.len().max(1);
        match spoil {
            Spoil::Octet(at, octet) => set(&mut octets, at.index(len), &[*octet]),
            Spoil::Cut(at) => octets.truncate(at.index(len)),
            Spoil::Insert(at, new) => insert(&mut octets, at.index(len), new.clone()),
            Spoil::Remove(at, count) => {
                let at = at.index(len).min(octets.len());
                octets.drain(at..octets.len().min(at + count));
            }
            Spoil::Number(at, number) => set(&mut octets, at.index(len), &number.to_be_bytes()),
            Spoil::Pointer(at, to) => set(&mut octets, at.index(len), &[0xc0, *to]),
            Spoil::Repeat(from, to, count) => {
                let piece = octets.iter().skip(from.index(len)).take(*count).copied().collect();
                insert(&mut octets, to.index(len), piece);
            }
        }
    }
    octets
}

fn set(octets: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = octets.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

fn insert(octets: &mut Vec<u8>, at: usize, new: Vec<u8>) {
    let at = at.min(octets.len());
    octets.splice(at..at, new);
}

/// Any name of letters and odd octets, also the longest ones.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let label = prop::collection::vec(any::<u8>(), 1..=63);
    prop::collection::vec(label, 0..6).prop_map(|labels| {
        let with_len = |label: Vec<u8>| {
            let len = u8::try_from(label.len()).expect("a short label");
            [vec![len], label].concat()
        };
        labels.into_iter().flat_map(with_len).collect()
    })
}

/// A target with two of its seeds.
fn target_with_seeds() -> impl Strategy<Value = (Body, Vec<u8>, Vec<u8>)> {
    (select(TARGETS.to_vec()), any::<Index>(), any::<Index>()).prop_map(|((name, check), a, b)| {
        let seeds = seeds(name);
        (check, a.get(&seeds).1.clone(), b.get(&seeds).1.clone())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn noise(
        (_, check) in select(TARGETS.to_vec()),
        octets in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        check(&octets);
    }

    #[test]
    fn noise_behind_a_header(
        way in any::<u8>(),
        counts in prop::collection::vec(0..3_u8, 4),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let header = [way, 7, 7, 1, 0, 0, counts[0], 0, counts[1], 0, counts[2], 0, counts[3]];
        packet::check(&[&header[..], &body].concat());
    }

    #[test]
    fn spoilt_seeds(
        (check, seed, _) in target_with_seeds(),
        spoils in prop::collection::vec(spoil(), 1..5),
    ) {
        check(&spoilt(seed, &spoils));
    }

    #[test]
    fn the_start_of_one_seed_and_the_end_of_another(
        (check, one, other) in target_with_seeds(),
        start in any::<Index>(),
        end in any::<Index>(),
    ) {
        check(&[&one[..start.index(one.len())], &other[end.index(other.len())..]].concat());
    }

    #[test]
    fn any_name_of_ours_or_others(
        way in any::<u8>(),
        name in any_name(),
        is_ours in any::<bool>(),
        qtype in any::<u16>(),
        payload in any::<u16>(),
    ) {
        let apex = if is_ours { &b"\x03app\x07example\x04test\x00"[..] } else { b"\x00" };
        let mut octets = vec![way, 7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        octets.extend([&name, apex, &qtype.to_be_bytes(), &[0, 1]].concat());
        octets.extend([&[0, 0, 41][..], &payload.to_be_bytes(), &[0; 6]].concat());
        packet::check(&octets);
    }
}

#[test]
fn every_cut_of_every_packet() {
    for (_, octets) in seeds("packet") {
        for len in 0..octets.len() {
            packet::check(&octets[..len]);
        }
    }
}
