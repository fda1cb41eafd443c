//! Questions made up from a zone's names, the same for the same seed.
//!
//! Most ask for names that exist or nearly do: the interesting rules are about what lies beside, above
//! and below. Types are mostly those of the name, and else any.

use std::collections::{BTreeMap, BTreeSet};

use windrose::model::{Name, RecordType};

use crate::message::Question;
use crate::zones::ZoneRecords;

/// Types that are asked for without regard to what is there. The first are asked for more often.
const TYPES: [RecordType; 32] = [
    RecordType::A,
    RecordType::A,
    RecordType::A,
    RecordType::AAAA,
    RecordType::NS,
    RecordType::NS,
    RecordType::SOA,
    RecordType::MX,
    RecordType::TXT,
    RecordType::CNAME,
    RecordType::CNAME,
    RecordType::DNAME,
    RecordType::DNAME,
    RecordType::DS,
    RecordType::DS,
    RecordType::DS,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::ANY,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::NAPTR,
    RecordType::CAA,
    RecordType::DNSKEY,
    RecordType::NSEC,
    RecordType::RRSIG,
    RecordType::CDS,
    RecordType::MINFO,
    RecordType::SPF,
    RecordType::NULL,
    RecordType(65280),
    RecordType(65281),
];

/// Labels that are put before others.
const LABELS: [&[u8]; 12] = [
    b"a",
    b"b",
    b"*",
    b"*",
    b"x",
    b"www",
    b"ns",
    b"host",
    b"nothing",
    b"\0",
    b"a.b",
    b"a-label-of-sixty-three-octets-that-is-as-long-as-a-label-may-be",
];

/// SplitMix64 (Steele et al. 2014).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// A name as its labels, the root's left out.
type Labels = Vec<Vec<u8>>;

/// Makes up questions about one zone.
pub(crate) struct Questions {
    chance: Chance,
    apex: Labels,
    names: Vec<Labels>,
    /// First labels that occur in the zone.
    labels: Vec<Vec<u8>>,
    types: BTreeMap<Labels, Vec<RecordType>>,
    /// Names of the other zones.
    others: Vec<Labels>,
}

impl Questions {
    /// About `zone`, which is served together with `all`.
    pub(crate) fn new(zone: &ZoneRecords, all: &[ZoneRecords], seed: u64) -> Self {
        let apex = labels_of(&zone.apex);
        let mut names: BTreeSet<Labels> = BTreeSet::from([apex.clone()]);
        let mut types: BTreeMap<Labels, Vec<RecordType>> = BTreeMap::new();
        for record in &zone.records {
            let owner = labels_of(&record.owner);
            for above in 0..=owner.len() - apex.len() {
                names.insert(owner[above..].to_vec());
            }
            types.entry(owner).or_default().push(record.rtype);
            names.extend(target_of(record.rtype, &record.rdata));
        }
        let others = all.iter().flat_map(|zone| &zone.records);
        let others: BTreeSet<Labels> = others.map(|record| labels_of(&record.owner)).collect();
        let labels: BTreeSet<Vec<u8>> = names.iter().flatten().cloned().collect();
        Self {
            chance: Chance(seed),
            apex,
            names: names.into_iter().collect(),
            labels: labels.into_iter().collect(),
            types,
            others: others.into_iter().collect(),
        }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Question {
        let mut name = self.chance.of(&self.names).clone();
        self.mutate(&mut name);
        let qtype = self.qtype(&name);
        let chance = &mut self.chance;
        while wire_of(&name).len() > 255 {
            name.remove(0);
        }
        if chance.one_in(5) {
            for octet in name.iter_mut().flatten().filter(|octet| octet.is_ascii_alphabetic()) {
                *octet ^= if chance.one_in(2) { 0x20 } else { 0 };
            }
        }
        let payload = *chance.of(&[None, None, Some(512), Some(1232), Some(1232), Some(4096)]);
        Question {
            name: wire_of(&name),
            qtype,
            class: if chance.one_in(200) { *chance.of(&[4, 254, 255]) } else { 1 },
            recursion: chance.one_in(2),
            payload,
            dnssec_ok: payload.is_some() && chance.one_in(20),
        }
    }

    fn mutate(&mut self, name: &mut Labels) {
        let chance = &mut self.chance;
        match chance.below(20) {
            0..=5 => {}
            // Below it, or below and beside.
            6..=10 => {
                for _ in 0..=chance.below(3) {
                    let own = chance.one_in(2);
                    let label = if own {
                        chance.of(&self.labels).clone()
                    } else {
                        chance.of(&LABELS).to_vec()
                    };
                    name.insert(0, label);
                }
            }
            11 => {
                let above = chance.below(name.len() + 1);
                name.drain(..above);
            }
            12 | 13 => {
                if let Some(label) = name.first_mut() {
                    let at = chance.below(label.len());
                    label[at] = *chance.of(b"abcxyz019-_*\0\xff");
                }
            }
            14 | 15 => {
                if let Some(label) = name.first_mut() {
                    *label = chance.of(&self.labels).clone();
                }
            }
            16 => {
                if let Some(label) = name.first_mut() {
                    *label = b"*".to_vec();
                }
            }
            17 => {
                let at = chance.below(name.len() + 1);
                name.insert(at, chance.of(&LABELS).to_vec());
            }
            18 => *name = chance.of(&self.others).clone(),
            _ => self.lengthen(name),
        }
    }

    /// Adds labels up to 255 octets or nearly.
    fn lengthen(&mut self, name: &mut Labels) {
        let chance = &mut self.chance;
        let wanted = if chance.one_in(2) { 255 } else { 200 + chance.below(55) };
        loop {
            let room = wanted - wire_of(name).len().min(wanted);
            if room < 2 {
                return;
            }
            let len = if room < 65 { room - 1 } else { 1 + chance.below(63) };
            name.insert(0, vec![b'y'; len.min(63)]);
        }
    }

    fn qtype(&mut self, name: &Labels) -> RecordType {
        let chance = &mut self.chance;
        let own = self.types.get(name).filter(|_| chance.one_in(2));
        if let Some(types) = own {
            return *chance.of(types);
        }
        // A wildcard's types for what it covers, as likely as any name.
        if let Some(types) = name.split_first().and_then(|(_, above)| {
            let wildcard: Labels = [vec![b"*".to_vec()], above.to_vec()].concat();
            self.types.get(&wildcard)
        }) && chance.one_in(2)
        {
            return *chance.of(types);
        }
        if chance.one_in(50) {
            return RecordType(
                *chance.of(&[0, 12, 41, 99, 128, 248, 249, 250, 251, 252, 253, 254, 256, 4711]),
            );
        }
        *chance.of(&TYPES)
    }

    /// The zone's name.
    pub(crate) fn apex(&self) -> Vec<u8> {
        wire_of(&self.apex)
    }
}

fn labels_of(name: &Name) -> Labels {
    let labels = name.to_lowercase();
    labels.labels().map(<[u8]>::to_vec).filter(|label| !label.is_empty()).collect()
}

/// The name that a record leads to.
fn target_of(rtype: RecordType, rdata: &[u8]) -> Option<Labels> {
    let start = match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => 0,
        RecordType::MX => 2,
        RecordType::SRV => 6,
        _ => return None,
    };
    Some(labels_of(&Name::from_wire(rdata.get(start..)?).ok()?.0))
}

fn wire_of(name: &Labels) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name {
        wire.push(u8::try_from(label.len()).expect("a label has at most 63 octets"));
        wire.extend(label);
    }
    wire.push(0);
    wire
}
