//! A resolver's answers beside those that authoritative servers give, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::ask::{Asker, Found};
use crate::message::{Answer, Record, name_text};
use crate::questions::{TYPES, names};
use crate::resolvers::{Kind, Resolver};
use crate::world::{CLIENT_FIRST, NODES, PLACES, region_of};
use windrose::model::RecordType;

/// A difference, with all that it may be known by.
struct Case<'a> {
    kind: Kind,
    name: String,
    qtype: RecordType,
    answer: &'a Answer,
    found: &'a Found,
    what: Difference,
}

/// What differs first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Difference {
    Silence,
    Rcode,
    Records,
    LongerTtl,
    Soa,
}

/// A difference that is the resolver's own way.
struct Known {
    /// Why it is nothing that a server could change.
    reason: &'static str,
    is_met: fn(&Case<'_>) -> bool,
}

const KNOWN: [Known; 4] = [
    Known {
        reason: "BIND that minimises strictly believes an NXDOMAIN halfway, and has its SOA only the next time",
        is_met: |case| {
            case.kind == Kind::Bind
                && case.what == Difference::Soa
                && case.answer.rcode == 3
                && case.answer.sections[1].is_empty()
        },
    },
    Known {
        reason: "Unbound that minimises strictly asks for A first: behind an alias to nothing it sees NXDOMAIN",
        is_met: |case| case.kind == Kind::UnboundSubnet && case.qtype == RecordType::CNAME,
    },
    Known {
        reason: "PowerDNS does not follow aliases when it is asked for DS",
        is_met: |case| {
            let is_alias = |record: &Record| record.rtype == RecordType::CNAME;
            case.kind == Kind::PowerDns
                && case.qtype == RecordType::DS
                && case.found.answers.iter().any(is_alias)
        },
    },
    Known {
        reason: "PowerDNS answers with the hints about the root's servers, whose TTL is longer",
        is_met: |case| {
            case.kind == Kind::PowerDns
                && case.what == Difference::LongerTtl
                && case.name.ends_with(".root-servers.test.")
        },
    },
];

/// Steers that draw a region for each answer, in wire form.
const DRAWN: [&[u8]; 1] = [b"\x06canary\x07example\x04test\0"];

/// What came of asking a resolver everything.
#[derive(Default)]
pub(crate) struct Comparison {
    pub(crate) queries: usize,
    pub(crate) equal: usize,
    /// How often each known difference was met.
    pub(crate) explained: BTreeMap<&'static str, usize>,
    pub(crate) differences: Vec<String>,
    /// What windrose answered meanwhile, by kind.
    pub(crate) answers: BTreeMap<String, u64>,
}

/// Asks everything.
pub(crate) fn compare(resolver: &Resolver, directory: &Path) -> io::Result<Comparison> {
    let roots: Vec<IpAddr> = vec![NODES[0].addresses[0].parse().expect("an address")];
    let [a, b, c] = PLACES[0].v4;
    let asker = Asker::new(IpAddr::from([a, b, c, CLIENT_FIRST]));
    let names = names(directory)?;
    let mut result = Comparison::default();
    // Answers are gathered before anything is asked directly, so that what windrose counts is the resolver's.
    let before = answers()?;
    let mut got = Vec::new();
    for name in &names {
        for qtype in TYPES {
            got.push((name, qtype, asker.ask(resolver.address, name, qtype, true)));
        }
    }
    result.answers = answers()?;
    for (kind, count) in &mut result.answers {
        *count -= before.get(kind).copied().unwrap_or(0);
    }
    for (name, qtype, answer) in got {
        result.queries += 1;
        let found = asker.resolve(&roots, name, qtype)?;
        let Some(what) = difference(&answer, &found) else {
            result.equal += 1;
            continue;
        };
        let name = name_text(name);
        let case = Case { kind: resolver.kind, name, qtype, answer: &answer, found: &found, what };
        match KNOWN.iter().find(|known| (known.is_met)(&case)) {
            Some(known) => *result.explained.entry(known.reason).or_default() += 1,
            None => result.differences.push(case.to_string()),
        }
    }
    Ok(result)
}

fn answers() -> io::Result<BTreeMap<String, u64>> {
    let mut sum: BTreeMap<String, u64> = BTreeMap::new();
    for node in &NODES {
        for (kind, count) in node.answers()? {
            *sum.entry(kind).or_default() += count;
        }
    }
    Ok(sum)
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, qtype, answer, found, what, .. } = self;
        write!(
            f,
            "{name} {qtype}: {what:?}\n    got {answer}\n    expected rcode {}",
            found.rcode
        )?;
        for record in found.answers.iter().chain(&found.authority) {
            write!(f, "\n      {record}")?;
        }
        Ok(())
    }
}

/// How an answer differs from what was found, if it does.
fn difference(answer: &Answer, found: &Found) -> Option<Difference> {
    let [answers, authority, _] = &answer.sections;
    let ttl_of = |record: &Record| {
        let is_same = |other: &&Record| other.owner == record.owner && other.rtype == record.rtype;
        found.answers.iter().filter(is_same).map(|other| other.ttl).max()
    };
    let is_longer = |record: &Record| ttl_of(record).is_some_and(|ttl| record.ttl > ttl);
    if answer.len == 0 {
        Some(Difference::Silence)
    } else if answer.rcode != found.rcode {
        Some(Difference::Rcode)
    } else if shapes(answers) != shapes(&found.answers) {
        Some(Difference::Records)
    } else if answers.iter().any(is_longer) {
        Some(Difference::LongerTtl)
    } else if !found.authority.is_empty() && soa(authority) != soa(&found.authority) {
        Some(Difference::Soa)
    } else {
        None
    }
}

/// The owner and data of the SOA record among these.
fn soa(records: &[Record]) -> Option<(&[u8], &[u8])> {
    let soa = records.iter().find(|record| record.rtype == RecordType::SOA)?;
    Some((&soa.owner, &soa.rdata))
}

/// What must be the same: owners, types and data, where all addresses of a region are one, since a resolver
/// asks by either family and from networks of its own; and all regions are one where they are drawn.
fn shapes<'a>(
    records: impl IntoIterator<Item = &'a Record>,
) -> BTreeSet<(&'a [u8], RecordType, &'a [u8])> {
    let shape = |record: &'a Record| {
        let data: &[u8] = match region_of(&record.rdata) {
            Some(_) if DRAWN.contains(&&record.owner[..]) => b"any region",
            Some(region) => region.as_bytes(),
            None => &record.rdata,
        };
        (&record.owner[..], record.rtype, data)
    };
    records.into_iter().map(shape).collect()
}
