//! `find` against RFC 1034 §4.3.2 and RFC 4592, followed word by word over plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use crate::geo::Atlas;
use crate::model::{Name, Record, RecordType, Report, Span, TargetHealth, Time, Zone};
use crate::snapshot::find::{Found, QueryName};
use crate::snapshot::{Blueprint, Conditions, Snapshot};
use crate::zone::NamesBuilder;

/// The types at each name of a zone.
type Types = BTreeMap<Name, BTreeSet<RecordType>>;

/// A zone as the reference sees it.
#[derive(Clone, Debug)]
struct Plain {
    apex: Name,
    types: Types,
}

/// Where a name leads, by names and apexes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Led {
    Name(Name, Name),
    Referral(Name, Name),
    Dname(Name, Name),
    NxDomain(Name),
    NotOurs,
}

/// A name and those above it down from `apex`.
fn path(apex: &Name, name: &Name) -> Vec<Name> {
    let mut path = vec![name.clone()];
    while let Some(parent) = path[0].parent().filter(|_| path[0] != *apex) {
        path.insert(0, parent);
    }
    path
}

impl Plain {
    fn has(&self, name: &Name, rtype: RecordType) -> bool {
        self.types.get(name).is_some_and(|types| types.contains(&rtype))
    }

    /// RFC 4592 §2.2.2: a name exists when it or a name below it has records.
    fn exists(&self, name: &Name) -> bool {
        *name == self.apex || self.types.keys().any(|owner| owner.is_at_or_below(name))
    }

    /// RFC 1034 §4.3.2 step 3: label by label from the apex.
    fn find(&self, name: &Name, qtype: RecordType) -> Led {
        let led = |led: fn(Name, Name) -> Led, at: &Name| led(at.clone(), self.apex.clone());
        let path = path(&self.apex, name);
        for (at, next) in path.iter().zip(path.iter().skip(1).map(Some).chain([None])) {
            let is_cut = *at != self.apex && self.has(at, RecordType::NS);
            // 3b: a delegation; DS is the parent's own (RFC 4035 §3.1.4.1).
            if is_cut && !(next.is_none() && qtype == RecordType::DS) {
                return led(Led::Referral, at);
            }
            let Some(next) = next else { return led(Led::Name, at) };
            // 3c: a match is impossible: DNAME (RFC 6672 §3.2), wildcard, or nothing.
            if self.has(at, RecordType::DNAME) {
                return led(Led::Dname, at);
            }
            if !self.exists(next) {
                let wildcard = at.wildcard_below().filter(|wildcard| self.exists(wildcard));
                return wildcard.map_or_else(
                    || Led::NxDomain(self.apex.clone()),
                    |wildcard| led(Led::Name, &wildcard),
                );
            }
        }
        unreachable!("the last name of a path ends it")
    }
}

/// RFC 1034 §4.3.2 step 2: the nearest zone above; for DS at its apex, that one's parent, if it is
/// ours. The parent knows the name even if it does not delegate it.
fn find(zones: &[Plain], name: &Name, qtype: RecordType) -> Led {
    let mut above: Vec<&Plain> =
        zones.iter().filter(|zone| name.is_at_or_below(&zone.apex)).collect();
    above.sort_by_key(|zone| std::cmp::Reverse(zone.apex.label_count()));
    match above.as_slice() {
        [] => Led::NotOurs,
        [own, parent, ..] if qtype == RecordType::DS && own.apex == *name => {
            let mut parent = (*parent).clone();
            parent.types.entry(name.clone()).or_default();
            parent.find(name, qtype)
        }
        [own, ..] => own.find(name, qtype),
    }
}

fn name(labels: &[&str], apex: &str) -> Name {
    let labels: String = labels.iter().map(|label| format!("{label}.")).collect();
    format!("{labels}{apex}").parse().unwrap()
}

/// Makes of any records what a zone may hold: nothing of another zone's, nothing below a DNAME, no
/// delegation of a wildcard.
fn sound(mut zones: Vec<Plain>) -> Vec<Plain> {
    let apexes: Vec<Name> = zones.iter().map(|zone| zone.apex.clone()).collect();
    for zone in &mut zones {
        let apex = zone.apex.clone();
        let others =
            || apexes.iter().filter(|other| **other != apex && other.is_at_or_below(&apex));
        zone.types.retain(|owner, _| {
            let is_others = |other: &Name| owner.is_at_or_below(other) && owner != other;
            owner.is_at_or_below(&apex) && !others().any(is_others)
        });
        let dnames: Vec<Name> =
            zone.types.keys().filter(|n| zone.has(n, RecordType::DNAME)).cloned().collect();
        for dname in dnames {
            let is_below = |name: &Name| name.is_at_or_below(&dname) && *name != dname;
            let is_needed = others().any(|other| other.is_at_or_below(&dname));
            if is_needed
                || dname.is_wildcard()
                || (dname != apex && zone.has(&dname, RecordType::NS))
            {
                zone.types.entry(dname).or_default().remove(&RecordType::DNAME);
            } else {
                zone.types.retain(|owner, _| !is_below(owner));
            }
        }
        for (owner, types) in &mut zone.types {
            if owner.is_wildcard() {
                types.remove(&RecordType::NS);
            }
        }
        zone.types.retain(|_, types| !types.is_empty());
    }
    zones
}

fn labels(known: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(select(known), 0..=most)
}

fn any_zones() -> impl Strategy<Value = Vec<Plain>> {
    let rtype = select(vec![
        RecordType::A,
        RecordType::A,
        RecordType::TXT,
        RecordType::NS,
        RecordType::DS,
        RecordType::DNAME,
    ]);
    let record = (labels(&["a", "b", "c", "*"], 3), rtype).boxed();
    let zone = |apex: &'static str| {
        prop::collection::vec(record.clone(), 0..8).prop_map(move |records| {
            let own = BTreeSet::from([RecordType::SOA, RecordType::NS]);
            let mut types = Types::from([(apex.parse().unwrap(), own)]);
            for (labels, rtype) in records {
                types.entry(name(&labels, apex)).or_default().insert(rtype);
            }
            Plain { apex: apex.parse().unwrap(), types }
        })
    };
    let child = |apex| prop::option::of(zone(apex));
    (zone("t."), child("a.t."), child("b.a.t."), child("c.b.t."))
        .prop_map(|(top, a, b, c)| sound([Some(top), a, b, c].into_iter().flatten().collect()))
}

fn compile(zones: &[Plain]) -> Snapshot {
    let span = Span::new(Report::new().add_source("", ""), 0..0);
    let zone = |plain: &Plain| {
        let record = |owner: &Name, rtype: RecordType| {
            let rdata: Box<[u8]> = match rtype {
                RecordType::A => [192, 0, 2, 1].into(),
                RecordType::NS | RecordType::DNAME => b"\x01x\x00".as_slice().into(),
                _ => b"\x01x".as_slice().into(),
            };
            Record { owner: owner.clone(), rtype, ttl: 60, rdata, span }
        };
        let mut names = NamesBuilder::new(&plain.apex);
        for (owner, types) in &plain.types {
            types.iter().for_each(|rtype| names.add((&record(owner, *rtype)).into()));
        }
        let names = Arc::new(names.finish([]));
        Arc::new(Zone { names, ..Zone::empty(plain.apex.clone()) })
    };
    let zones = zones.iter().map(zone).collect();
    let blueprint = Blueprint { zones, atlas: Arc::new(Atlas::empty()) };
    Snapshot::compile(blueprint, 1, &Conditions::new(Time::ZERO, &|_| TargetHealth::UNCHECKED))
        .unwrap()
}

fn led(snapshot: &Snapshot, name: &Name, qtype: RecordType) -> Led {
    let apex = |zone: usize| snapshot.zones()[zone].apex.clone();
    let query = QueryName::parse(name.as_wire()).unwrap();
    let owner = |name: &[u8]| Name::from_wire(name).unwrap().0;
    match snapshot.names().find(&query, qtype) {
        Found::Name(at) => Led::Name(owner(at.name()), apex(at.zone())),
        Found::Referral(cut) => Led::Referral(owner(cut.name()), apex(cut.zone())),
        Found::Dname(at) => Led::Dname(owner(at.name()), apex(at.zone())),
        Found::NxDomain(zone) => Led::NxDomain(apex(zone)),
        Found::NotOurs => Led::NotOurs,
    }
}

/// Every name of up to three labels below `t.`, and some that are not ours.
fn questions() -> Vec<Name> {
    let mut names = vec![vec!["t.".to_owned()]];
    for _ in 0..3 {
        let below =
            |name: &String| ["a", "b", "c", "*", "A"].map(|label| format!("{label}.{name}"));
        let next = names[names.len() - 1].iter().flat_map(below).collect();
        names.push(next);
    }
    names.push(["u.", "a.u.", ".", "a.a.a.b.a.t.", "a.*.a.b.c.t."].map(str::to_owned).to_vec());
    names.iter().flatten().map(|name| name.parse().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_name_leads_where_the_rfcs_say(zones in any_zones()) {
        let snapshot = compile(&zones);
        for name in questions() {
            for qtype in [RecordType::A, RecordType::DS] {
                let expected = find(&zones, &name.to_lowercase(), qtype);
                let led = led(&snapshot, &name, qtype);
                prop_assert_eq!(led, expected, "{} {} in {:#?}", name, qtype, zones);
            }
        }
    }
}
