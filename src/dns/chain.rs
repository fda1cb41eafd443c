//! CNAME chains and DNAME redirection inside our zones (RFC 1034 §4.3.2 step 3a, RFC 6672).
//!
//! A chain is followed as long as it stays in our zones, for so many steps at most. With a client subnet
//! in the query it ends before a name that a rule steers: the CNAME is the same for everybody and what
//! follows is not, so only the first part is sent, to be cached for all (RFC 7871 §7.2.1).

use super::Asked;
use super::compress::Writer;
use super::outcome::{Kind, Outcome, Rcode};
use super::reply::{Reply, Section};
use super::steered::{self, Dice};
use crate::model::RecordType;
use crate::model::image::{Image, MadeFor, PlainName};
use crate::model::names::{Flags, NameRecord, Referral, Rrset};
use crate::snapshot::Snapshot;
use crate::snapshot::find::{Found, QueryName};
use crate::snapshot::rules::Answer;

/// Steps of a chain (other servers stop between 10 and 20).
const STEPS_MAX: usize = 16;

/// What a step came to.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation on the query path")]
enum Step {
    /// Another name to go on with.
    Next(PlainName),
    /// The reply is complete with this code.
    End(Rcode),
}

/// Whether a CNAME stands for records of that type. Those that may stand beside it (RFC 4034 §2.5) are
/// the alias's own.
pub(super) const fn is_followed_for(qtype: RecordType) -> bool {
    !matches!(qtype, RecordType::NSEC | RecordType::RRSIG)
}

/// The name that was asked for has a CNAME.
pub(super) fn follow(
    asked: Asked<'_>,
    record: NameRecord<'_>,
    dice: &mut Dice,
    mut reply: Reply<'_>,
) -> Outcome {
    reply.set_authoritative();
    let Some(cname) = record.rrset(RecordType::CNAME) else {
        return reply.negative(asked.snapshot.zone(record.zone()), Rcode::NOERROR);
    };
    if !reply.push_rrset(Section::Answer, cname, record.name().len()) {
        reply.truncate();
    }
    let first = onward(record, cname);
    walk(asked, first, dice, reply)
}

/// A DNAME above the name that was asked for redirects it.
pub(super) fn redirect(
    asked: Asked<'_>,
    record: NameRecord<'_>,
    dice: &mut Dice,
    mut reply: Reply<'_>,
) -> Outcome {
    reply.set_authoritative();
    let first = substitute(asked.query.qtype, asked.query.name.as_wire(), record, &mut reply);
    walk(asked, first, dice, reply)
}

fn walk(asked: Asked<'_>, first: Step, dice: &mut Dice, mut reply: Reply<'_>) -> Outcome {
    let mut step = first;
    for _ in 0..STEPS_MAX {
        match step {
            Step::Next(name) => {
                step = next(asked, &name, dice, &mut reply);
            }
            Step::End(_) => break,
        }
    }
    match step {
        // A chain longer than that is cut where it is; a resolver goes on from its end.
        Step::Next(_) => reply.finish(Rcode::NOERROR, Kind::Static),
        Step::End(rcode) => reply.finish(rcode, Kind::Static),
    }
}

/// Adds what stands at `name`.
fn next(asked: Asked<'_>, name: &PlainName, dice: &mut Dice, reply: &mut Reply<'_>) -> Step {
    let Asked { snapshot, query, .. } = asked;
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
        Found::Dname(record) => substitute(query.qtype, name.as_wire(), record, reply),
        Found::Referral(cut) => referral(snapshot.names().referral(cut), reply),
        Found::Name(record) => arrive(asked, name, record, dice, reply),
    }
}

/// Adds what `record` has, which was reached by `name`.
fn arrive(
    asked: Asked<'_>,
    name: &PlainName,
    record: NameRecord<'_>,
    dice: &mut Dice,
    reply: &mut Reply<'_>,
) -> Step {
    let Asked { snapshot, query, .. } = asked;
    if let Some(rrset) = record.rrset(query.qtype) {
        let is_apex = query.qtype == RecordType::NS && record.flags().has(Flags::APEX);
        let servers = is_apex.then(|| &snapshot.zone(record.zone()).names.servers);
        return end_with(name, record, rrset, servers, reply);
    }
    if record.flags().has(Flags::STEERED) {
        return steer(asked, name, record, dice, reply);
    }
    let cname = record.rrset(RecordType::CNAME).filter(|_| is_followed_for(query.qtype));
    let Some(cname) = cname else {
        return negative(snapshot, record.zone(), Rcode::NOERROR, u32::MAX, reply);
    };
    if reply.has_answer(name.as_wire(), RecordType::CNAME) {
        // The chain is a loop.
        return Step::End(Rcode::NOERROR);
    }
    append(name, record, cname, reply);
    onward(record, cname)
}

/// The end of a chain: what was asked for, and perhaps the addresses of name servers, as
/// [`Reply::name_servers`].
fn end_with(
    name: &PlainName,
    record: NameRecord<'_>,
    rrset: Rrset<'_>,
    servers: Option<&(u16, Image)>,
    reply: &mut Reply<'_>,
) -> Step {
    // A DNAME that redirected may be what is asked for in the end.
    if !reply.has_answer(name.as_wire(), rrset.rtype) {
        append(name, record, rrset, reply);
    }
    if let Some((count, addresses)) = servers {
        let made = MadeFor::question(record.name(), rrset.bytes).then(&addresses.bytes);
        reply.write_if_room(Section::Additional, *count, |out| out.image(made, name.as_wire()));
    }
    Step::End(Rcode::NOERROR)
}

/// Appends an rrset of `record` under the name by which it was reached.
fn append(name: &PlainName, record: NameRecord<'_>, rrset: Rrset<'_>, reply: &mut Reply<'_>) {
    let made = MadeFor::question(record.name(), rrset.bytes);
    reply.write(Section::Answer, rrset.count, |out| out.image(made, name.as_wire()));
}

/// The end of a chain is steered.
fn steer(
    asked: Asked<'_>,
    name: &PlainName,
    record: NameRecord<'_>,
    dice: &mut Dice,
    reply: &mut Reply<'_>,
) -> Step {
    let Asked { snapshot, query, .. } = asked;
    if query.edns.as_ref().is_some_and(|edns| edns.subnet().is_some()) {
        return Step::End(Rcode::NOERROR);
    }
    let Some(decision) = steered::decide(asked, snapshot.rule_of(record), dice) else {
        return negative(snapshot, record.zone(), Rcode::NOERROR, u32::MAX, reply);
    };
    match decision.answer {
        Answer::NoData { ttl } => negative(snapshot, record.zone(), Rcode::NOERROR, *ttl, reply),
        Answer::ServFail => Step::End(Rcode::SERVFAIL),
        answer => {
            answer.draw(decision.dice, &mut |records| {
                for record in records.each() {
                    reply.write(Section::Answer, 1, |out| out.with_owner(name.as_wire(), record));
                }
            });
            Step::End(Rcode::NOERROR)
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
    let made = MadeFor::question(entry.apex.as_wire(), &entry.names.negative.bytes);
    let apex = entry.apex.as_wire();
    let write = |out: &mut Writer<'_>| out.image_for(made, apex, ttl_max);
    reply.write(Section::Authority, 1, write);
    Step::End(rcode)
}

/// The chain leaves our zones by a delegation: as [`Reply::referral`].
fn referral(referral: Referral<'_>, reply: &mut Reply<'_>) -> Step {
    let Referral { cut, ns, glue, rest } = referral;
    let ns_made = MadeFor::question(cut, ns.bytes);
    let glue_made = ns_made.then(glue.bytes);
    let rest_made = glue_made.then(rest.bytes);
    reply.write(Section::Authority, ns.count, |out| out.image(ns_made, cut));
    reply.write(Section::Additional, glue.count, |out| out.image(glue_made, cut));
    reply.write_if_room(Section::Additional, rest.count, |out| out.image(rest_made, cut));
    Step::End(Rcode::NOERROR)
}

/// Appends the DNAME at `record` and the CNAME that it makes of `name` (RFC 6672 §3.1).
fn substitute(
    qtype: RecordType,
    name: &[u8],
    record: NameRecord<'_>,
    reply: &mut Reply<'_>,
) -> Step {
    let Some(dname) = record.rrset(RecordType::DNAME) else { return Step::End(Rcode::NOERROR) };
    let owner = record.name();
    let made = MadeFor::question(owner, dname.bytes);
    if !reply.has_answer(owner, RecordType::DNAME) {
        reply.write(Section::Answer, dname.count, |out| out.image(made, owner));
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
    if reply.has_answer(name, RecordType::CNAME) {
        return Step::End(Rcode::NOERROR);
    }
    reply.write(Section::Answer, 1, |out| out.cname(name, ttl, made_up.as_wire()));
    // What was made up may be what was asked for.
    if qtype == RecordType::CNAME { Step::End(Rcode::NOERROR) } else { Step::Next(made_up) }
}

/// Where a CNAME leads.
fn onward(record: NameRecord<'_>, cname: Rrset<'_>) -> Step {
    let target = MadeFor::question(record.name(), cname.bytes).rdata_name();
    target.map_or(Step::End(Rcode::SERVFAIL), Step::Next)
}
