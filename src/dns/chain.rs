//! CNAME chains and DNAME redirection inside our zones (RFC 1034 §4.3.2 step 3a, RFC 6672).
//!
//! A chain is followed as long as it stays in our zones, for so many steps at most. With a client subnet
//! in the query it ends before a name that a rule steers: the CNAME is the same for everybody and what
//! follows is not, so only the first part is sent, to be cached for all (RFC 7871 §7.2.1).

use super::Arrival;
use super::compress::{MadeFor, PlainName, Writer};
use super::outcome::{Kind, Outcome, Rcode};
use super::query::Query;
use super::reply::{Reply, Section};
use super::steered::{self, Dice};
use crate::model::RecordType;
use crate::snapshot::Snapshot;
use crate::snapshot::find::{Found, QueryName};
use crate::snapshot::names::{Flags, NameRecord, Rrset};
use crate::snapshot::rules::FamilyAnswer;

/// Steps of a chain (other servers stop between 10 and 20).
const STEPS_MAX: usize = 16;

/// What a step came to.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation on the query path")]
enum Step {
    /// Another name to go on with.
    Next(PlainName),
    /// The reply is complete with this code.
    End(Rcode),
    /// There was no room.
    Full,
}

/// The name that was asked for has a CNAME.
pub(super) fn follow(
    snapshot: &Snapshot,
    query: &Query<'_>,
    record: NameRecord<'_>,
    arrival: Arrival,
    dice: &mut Dice,
    mut reply: Reply<'_>,
) -> Outcome {
    reply.set_authoritative();
    let Some(cname) = record.rrset(RecordType::CNAME) else {
        return reply.negative(snapshot.zone(record.zone()), Rcode::NOERROR);
    };
    if !reply.push_rrset(Section::Answer, cname, record.name().len()) {
        reply.truncate();
        return reply.finish(Rcode::NOERROR, Kind::Static);
    }
    let first = target_of(record, cname).map_or(Step::Full, Step::Next);
    walk(snapshot, query, first, arrival, dice, reply)
}

/// A DNAME above the name that was asked for redirects it.
pub(super) fn redirect(
    snapshot: &Snapshot,
    query: &Query<'_>,
    record: NameRecord<'_>,
    arrival: Arrival,
    dice: &mut Dice,
    mut reply: Reply<'_>,
) -> Outcome {
    reply.set_authoritative();
    let first = substitute(query.name.as_wire(), record, &mut reply);
    walk(snapshot, query, first, arrival, dice, reply)
}

fn walk(
    snapshot: &Snapshot,
    query: &Query<'_>,
    first: Step,
    arrival: Arrival,
    dice: &mut Dice,
    mut reply: Reply<'_>,
) -> Outcome {
    let mut step = first;
    for _ in 0..STEPS_MAX {
        match step {
            Step::Next(name) => {
                step = next(snapshot, query, &name, arrival, dice, &mut reply);
            }
            Step::End(_) | Step::Full => break,
        }
    }
    match step {
        // A chain longer than that is cut where it is; a resolver goes on from its end.
        Step::Next(_) => reply.finish(Rcode::NOERROR, Kind::Static),
        Step::End(rcode) => reply.finish(rcode, Kind::Static),
        Step::Full => {
            reply.truncate();
            reply.finish(Rcode::NOERROR, Kind::Static)
        }
    }
}

/// Adds what stands at `name`.
fn next(
    snapshot: &Snapshot,
    query: &Query<'_>,
    name: &PlainName,
    arrival: Arrival,
    dice: &mut Dice,
    reply: &mut Reply<'_>,
) -> Step {
    if query.qtype == RecordType::ANY {
        // The CNAME that led here is one of any records.
        return Step::End(Rcode::NOERROR);
    }
    let Some(target) = QueryName::parse(name.as_wire()) else {
        return Step::End(Rcode::NOERROR);
    };
    match snapshot.names().find(&target, query.qtype) {
        Found::NotOurs => Step::End(Rcode::NOERROR),
        Found::NxDomain(zone) => negative(snapshot, zone, Rcode::NXDOMAIN, u32::MAX, reply),
        Found::Dname(record) => substitute(name.as_wire(), record, reply),
        Found::Referral(cut) => referral(snapshot.names().at(cut.link()), reply),
        Found::Name(record) => {
            if let Some(rrset) = record.rrset(query.qtype) {
                return end_if(append(name, record, rrset, reply), Rcode::NOERROR);
            }
            if record.flags().has(Flags::STEERED) {
                return steer(snapshot, query, name, record, arrival, dice, reply);
            }
            match record.rrset(RecordType::CNAME) {
                Some(cname) if append(name, record, cname, reply) => {
                    target_of(record, cname).map_or(Step::Full, Step::Next)
                }
                Some(_) => Step::Full,
                None => negative(snapshot, record.zone(), Rcode::NOERROR, u32::MAX, reply),
            }
        }
    }
}

fn end_if(has_room: bool, rcode: Rcode) -> Step {
    if has_room { Step::End(rcode) } else { Step::Full }
}

/// Appends an rrset of `record` under the name by which it was reached.
fn append(
    name: &PlainName,
    record: NameRecord<'_>,
    rrset: Rrset<'_>,
    reply: &mut Reply<'_>,
) -> bool {
    let made = MadeFor { qname: record.name(), image: rrset.bytes };
    reply.write(Section::Answer, rrset.count, |out| out.image(made, name.as_wire()))
}

/// The end of a chain is steered.
fn steer(
    snapshot: &Snapshot,
    query: &Query<'_>,
    name: &PlainName,
    record: NameRecord<'_>,
    arrival: Arrival,
    dice: &mut Dice,
    reply: &mut Reply<'_>,
) -> Step {
    if query.edns.as_ref().is_some_and(|edns| edns.subnet.is_some()) {
        return Step::End(Rcode::NOERROR);
    }
    let Some(decision) = steered::decide(snapshot, query, record.link(), arrival, dice) else {
        return negative(snapshot, record.zone(), Rcode::NOERROR, u32::MAX, reply);
    };
    match decision.answer {
        FamilyAnswer::NoData { ttl } => {
            negative(snapshot, record.zone(), Rcode::NOERROR, *ttl, reply)
        }
        FamilyAnswer::ServFail => Step::End(Rcode::SERVFAIL),
        answer => {
            let mut has_room = true;
            answer.draw(decision.dice, &mut |record| {
                has_room &= reply
                    .write(Section::Answer, 1, |out| out.with_owner(name.as_wire(), &record.bytes));
            });
            end_if(has_room, Rcode::NOERROR)
        }
    }
}

/// The end of a chain is not there: the SOA, for `ttl_max` seconds at most.
fn negative(
    snapshot: &Snapshot,
    zone: usize,
    rcode: Rcode,
    ttl_max: u32,
    reply: &mut Reply<'_>,
) -> Step {
    let entry = snapshot.zone(zone);
    let made = MadeFor { qname: entry.apex.as_wire(), image: &entry.negative.bytes };
    let apex = entry.apex.as_wire();
    let write = |out: &mut Writer<'_>| out.image_for(made, apex, ttl_max);
    end_if(reply.write(Section::Authority, 1, write), rcode)
}

/// The chain leaves our zones by a delegation: name servers and glue, as far as there is room.
fn referral(referral: NameRecord<'_>, reply: &mut Reply<'_>) -> Step {
    let Some(ns) = referral.rrset(RecordType::NS) else { return Step::End(Rcode::NOERROR) };
    let made = MadeFor { qname: referral.name(), image: ns.bytes };
    // Glue is left out: a resolver asks for the end of a chain anew and gets it there.
    reply.write(Section::Authority, ns.count, |out| out.image(made, referral.name()));
    Step::End(Rcode::NOERROR)
}

/// Appends the DNAME at `record` and the CNAME that it makes of `name` (RFC 6672 §3.1).
fn substitute(name: &[u8], record: NameRecord<'_>, reply: &mut Reply<'_>) -> Step {
    let Some(dname) = record.rrset(RecordType::DNAME) else { return Step::End(Rcode::NOERROR) };
    let owner = record.name();
    let made = MadeFor { qname: owner, image: dname.bytes };
    if !reply.write(Section::Answer, dname.count, |out| out.image(made, owner)) {
        return Step::Full;
    }
    // C0 0C, type, class; then TTL, length, target: a DNAME's target is never compressed.
    let (Some(ttl), Some(target)) = (dname.bytes.get(6..10), dname.bytes.get(12..)) else {
        return Step::End(Rcode::NOERROR);
    };
    let ttl = u32::from_be_bytes([ttl[0], ttl[1], ttl[2], ttl[3]]);
    let Some(prefix) = name.len().checked_sub(owner.len()).map(|len| &name[..len]) else {
        return Step::End(Rcode::NOERROR);
    };
    let Some(made_up) = PlainName::joined(prefix, target) else {
        return Step::End(Rcode::YXDOMAIN);
    };
    if !reply.write(Section::Answer, 1, |out| out.cname(name, ttl, made_up.as_wire())) {
        return Step::Full;
    }
    Step::Next(made_up)
}

/// Where a CNAME leads.
fn target_of(record: NameRecord<'_>, cname: Rrset<'_>) -> Option<PlainName> {
    MadeFor { qname: record.name(), image: cname.bytes }.rdata_name()
}
