//! Our reader of master files beside two that others wrote: `hickory-proto`'s and the `domain` crate's.
//!
//! What all read must be the same records, octet by octet. Each oracle lacks types and features; what it
//! refuses, and the few places where it reads something else, is listed with the reason, so that a
//! comparison that ceases to compare is noticed. The tools of other servers are asked by the example
//! `oracles`, since they may not be installed.

mod exceptions;
mod judge;
mod random;

use std::collections::BTreeSet;

use domain::base::ToName as _;
use domain::base::iana::Class;
use domain::base::rdata::ComposeRecordData as _;
use domain::zonefile::inplace::{Entry, Zonefile};
use hickory_proto::rr::Name as HickoryName;
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};
use hickory_proto::serialize::txt::Parser;
use windrose::model::Report;
use windrose::zone::read_records;

use self::exceptions::EXCEPTIONS;
use self::judge::{Exceptions, Stance};
use crate::master_cases::fragments;

/// A record as far as parsers can agree on it: owner in wire form, TTL, type, data in wire form.
type Line = (Vec<u8>, u32, u16, Vec<u8>);

/// The records of a file; `None` when it is refused.
type Reading = Option<BTreeSet<Line>>;

const APEX: &str = "example.com.";

fn ours(text: &str) -> Reading {
    let mut report = Report::new();
    let source = report.add_source("example.com.zone", text);
    let apex = APEX.parse().expect("a name");
    let mut include = |report: &mut Report, path: &str| match path {
        "sub.zone" => Ok(report.add_source(path, "$TTL 60\nwww A 192.0.2.80\n")),
        _ => Err("no such file".to_owned()),
    };
    let records = read_records(&mut report, source, &apex, &mut include);
    let line = |record: &windrose::model::Record| {
        let owner = record.owner.as_wire().to_vec();
        (owner, record.ttl, record.rtype.0, record.rdata.to_vec())
    };
    (!report.has_errors()).then(|| records.iter().map(line).collect())
}

fn hickory(text: &str) -> Reading {
    let apex = HickoryName::from_ascii(APEX).expect("a name");
    let (_, sets) = Parser::new(text, None, Some(apex)).parse().ok()?;
    let wire = |emit: &dyn Fn(&mut BinEncoder<'_>) -> bool| {
        let mut wire = Vec::new();
        let mut encoder = BinEncoder::new(&mut wire);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        emit(&mut encoder).then_some(wire)
    };
    let records = sets.values().flat_map(|set| set.records_without_rrsigs());
    records
        .map(|record| {
            let owner = wire(&|encoder| record.name.emit(encoder).is_ok())?;
            let rdata = wire(&|encoder| record.data.emit(encoder).is_ok())?;
            Some((owner, record.ttl, record.record_type().into(), rdata))
        })
        .collect()
}

fn domain(text: &str) -> Reading {
    // It looks one octet behind the last string of a file: a line end must be there.
    let mut file = Zonefile::from(&*format!("{text}\n"));
    file.set_origin(APEX.parse().expect("a name"));
    file.set_default_class(Class::IN);
    let mut lines = BTreeSet::new();
    while let Some(entry) = file.next_entry().ok()? {
        let Entry::Record(record) = entry else { return None };
        let mut rdata = Vec::new();
        record.data().compose_rdata(&mut rdata).ok()?;
        let owner = record.owner().to_vec().into_octets();
        lines.insert((owner, record.ttl().as_secs(), record.rtype().to_int(), rdata));
    }
    Some(lines)
}

type Oracle = fn(&str) -> Reading;

const ORACLES: [(&str, Oracle); 2] = [("hickory", hickory), ("domain", domain)];

fn stance(oracle: Oracle, text: &str) -> Stance {
    let ours = ours(text);
    let theirs = oracle(text);
    match (ours, theirs) {
        (ours, theirs) if ours == theirs => Stance::Same,
        (None, Some(_)) => Stance::Accepts,
        (Some(_), None) => Stance::Refuses,
        (_, _) => Stance::Differs,
    }
}

#[test]
fn other_parsers_read_the_same_records() {
    let mut exceptions = Exceptions::new(EXCEPTIONS);
    let mut wrong = Vec::new();
    for (name, text) in fragments() {
        for (oracle, read) in ORACLES {
            let stance = stance(read, &text);
            if !exceptions.allow(oracle, &name, stance) {
                wrong.push(format!("{oracle} {stance:?}: {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(exceptions.unmet().is_empty(), "exceptions without a case: {:?}", exceptions.unmet());
}
