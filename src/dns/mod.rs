//! One packet in, one answer out: the page to read first.
//!
//! [`handle`] is the whole server as a function. It may look at nothing but its arguments, reads no
//! clock, waits for nothing, takes no lock and allocates nothing; any bytes at all lead to one
//! [`Outcome`]. Every transport comes through here, and nothing else decides what is answered.
//!
//! ```text
//!   parse (query) → find (snapshot) → class, draw (steered) → copy and patch (reply)
//! ```

mod chain;
mod chaos;
mod compress;
mod cookie;
mod edns;
mod limit;
mod outcome;
mod pairs;
mod query;
mod reply;
mod steered;
#[cfg(test)]
mod tests;

pub use limit::Buckets;
pub use outcome::{Kind, Outcome, Rcode};
pub use pairs::Pairs;
pub use steered::Dice;

use std::net::IpAddr;

use crate::model::names::{Flags, NameRecord};
use crate::model::{RecordClass, RecordType};
use crate::snapshot::Snapshot;
use crate::snapshot::find::Found;
use edns::ExtendedError;
use query::{Query, Reject};
use reply::Reply;

/// The largest UDP message that we say we take (RFC 9715 §3.1).
pub const UDP_PAYLOAD_MAX: u16 = 1232;

/// How a packet came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Who sent it: the resolver, as a rule.
    pub client: IpAddr,
    /// Over UDP, where a reply may not be longer than the client says that it takes.
    pub is_udp: bool,
    /// The wall clock: seconds since 1970, for cookies. Turns over in 2106 and may.
    pub unix_secs: u32,
}

/// What every step of an answer looks at.
#[derive(Clone, Copy)]
struct Asked<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query<'a>,
    arrival: &'a Arrival,
}

/// Answers one message into `out`, which has as much room as a reply may take: 65,535 octets, and over UDP
/// what an operator allows, at least 512. [`Outcome::len`] says how much of it is to be sent, if anything.
pub fn handle(
    snapshot: &Snapshot,
    packet: &[u8],
    arrival: Arrival,
    dice: &mut Dice,
    out: &mut [u8],
) -> Outcome {
    Read::new(snapshot, packet).answer(arrival, dice, out)
}

/// A message that was read and is not yet answered.
///
/// Of several messages, all can be read first and what they ask for be fetched into the caches side by
/// side: [`fetch_slot`](Self::fetch_slot) of all, then [`fetch_record`](Self::fetch_record) of all, then
/// [`fetch_class`](Self::fetch_class) of all. They are for speed alone.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    snapshot: &'a Snapshot,
    packet: &'a [u8],
    query: Result<Query<'a>, Reject>,
    /// The name's record, as far as its hash tells.
    record: Option<NameRecord<'a>>,
}

impl<'a> Read<'a> {
    /// Reads a message that will be answered from `snapshot`.
    #[inline]
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, packet: &'a [u8]) -> Self {
        Self { snapshot, packet, query: query::parse(packet), record: None }
    }

    /// Starts to fetch where the table of names says what is asked for.
    pub fn fetch_slot(&self) {
        if let Ok(query) = &self.query {
            self.snapshot.names().prefetch_slot(query.name.hash());
        }
    }

    /// Starts to fetch what is asked for.
    pub fn fetch_record(&mut self) {
        if let Ok(query) = &self.query {
            self.record = self.snapshot.names().likely(query.name.hash());
            self.record.inspect(|record| record.prefetch());
        }
    }

    /// Starts to fetch the class of the client, if a rule steers what is asked for.
    pub fn fetch_class(&self, client: IpAddr) {
        if let Ok(query) = &self.query
            && let Some(record) = self.record
            && record.flags().has(Flags::STEERED)
        {
            let rule = self.snapshot.rule(self.snapshot.rule_of(record));
            rule.prefetch(steered::client_subnet(query, client));
        }
    }

    /// Answers it: see [`handle`].
    pub fn answer(&self, arrival: Arrival, dice: &mut Dice, out: &mut [u8]) -> Outcome {
        match &self.query {
            Ok(query) => {
                let asked = Asked { snapshot: self.snapshot, query, arrival: &arrival };
                respond(asked, self.record, dice, out)
            }
            Err(Reject::Silence) => Outcome::dropped(),
            Err(Reject::Error(rcode, parts)) => reply::error(self.packet, *rcode, *parts, out),
        }
    }

    /// Takes what was [answered](Self::answer) over UDP out of the client's bucket. When there is nothing
    /// left in it, the answer is not sent, or a truncated one in its place.
    pub fn limit(
        &self,
        answered: Outcome,
        buckets: &Buckets,
        arrival: Arrival,
        dice: &mut Dice,
        out: &mut [u8],
    ) -> Outcome {
        let limits = &self.snapshot.gate().limits;
        let class = limit::Class::of(answered.kind);
        let is_within = answered.len == 0
            || buckets.take(limits, class, arrival.client, arrival.unix_secs)
            || self.is_exempt(arrival);
        if is_within { answered } else { self.hold_back(answered, arrival, dice, out) }
    }

    /// Whether the client is never limited: an operator says so, or it has shown by a cookie that it is
    /// where it says (RFC 7873 §5.2.3).
    #[cold]
    fn is_exempt(&self, arrival: Arrival) -> bool {
        let gate = self.snapshot.gate();
        let edns = self.query.as_ref().ok().and_then(|query| query.edns.as_ref());
        gate.limits.exempt.iter().any(|prefix| prefix.contains(arrival.client))
            || edns.is_some_and(|edns| edns.has_good_cookie(gate, &arrival))
    }

    #[cold]
    fn hold_back(
        &self,
        answered: Outcome,
        arrival: Arrival,
        dice: &mut Dice,
        out: &mut [u8],
    ) -> Outcome {
        let gate = self.snapshot.gate();
        let slips = dice.is_one_in(gate.limits.slip);
        match (&self.query, limit::Class::of(answered.kind)) {
            // Nobody comes again because of an error that is truncated, and it is short anyway.
            (Err(_), _) | (_, limit::Class::Errors) if slips => answered,
            (Ok(query), _) if slips => {
                let mut reply = Reply::new(query, gate, &arrival, out);
                reply.truncate();
                reply.finish(answered.rcode, Kind::Limited)
            }
            _ => Outcome { len: 0, kind: Kind::Limited, ..answered },
        }
    }
}

/// Answers a query; `likely` is a record that may be its name's.
fn respond(
    asked: Asked<'_>,
    likely: Option<NameRecord<'_>>,
    dice: &mut Dice,
    out: &mut [u8],
) -> Outcome {
    let Asked { snapshot, query, arrival } = asked;
    let reply = Reply::new(query, snapshot.gate(), arrival, out);
    if !matches!(query.class, RecordClass::IN | RecordClass::ANY) {
        return chaos::answer(query, snapshot.gate(), reply);
    }
    if matches!(query.qtype, RecordType::AXFR | RecordType::IXFR) {
        return refuse_transfer(snapshot, query, reply);
    }
    match snapshot.names().find_likely(&query.name, query.qtype, likely) {
        Found::Name(record) => answer(asked, record, dice, reply),
        Found::Referral(cut) => reply.referral(snapshot.names().referral(cut)),
        Found::Dname(record) => chain::redirect(asked, record, dice, reply),
        Found::NxDomain(zone) => reply.negative(snapshot.zone(zone), Rcode::NXDOMAIN),
        Found::NotOurs => {
            reply.refuse(Rcode::REFUSED, Kind::NotOurs, ExtendedError::NOT_AUTHORITATIVE)
        }
    }
}

/// The name is there, or a wildcard stands for it.
fn answer(asked: Asked<'_>, record: NameRecord<'_>, dice: &mut Dice, reply: Reply<'_>) -> Outcome {
    let Asked { snapshot, query, .. } = asked;
    if let Some(rrset) = record.rrset(query.qtype) {
        if query.qtype == RecordType::NS && record.flags().has(Flags::APEX) {
            return reply.name_servers(rrset, snapshot.zone(record.zone()));
        }
        return reply.records(rrset, record.name().len());
    }
    if record.flags().has(Flags::STEERED) {
        return steered::answer(asked, record, dice, reply);
    }
    if query.qtype == RecordType::ANY {
        // A CNAME is what ANY asks for, and it is all that there is (RFC 1034 §3.6.2).
        return match record.rrset(RecordType::CNAME) {
            Some(cname) => reply.records(cname, record.name().len()),
            None => reply.any(),
        };
    }
    if record.flags().has(Flags::CNAME) && chain::is_followed_for(query.qtype) {
        return chain::follow(asked, record, dice, reply);
    }
    reply.negative(snapshot.zone(record.zone()), Rcode::NOERROR)
}

/// No zone is given away. RFC 5936 §2.2.1 tells zones that are not ours from those that are not for
/// everybody.
#[cold]
fn refuse_transfer(snapshot: &Snapshot, query: &Query<'_>, reply: Reply<'_>) -> Outcome {
    let record = snapshot.names().get(query.name.as_wire());
    if record.is_some_and(|record| record.flags().has(Flags::APEX)) {
        reply.refuse(Rcode::REFUSED, Kind::Refused, ExtendedError::PROHIBITED)
    } else {
        reply.refuse(Rcode::NOTAUTH, Kind::NotOurs, ExtendedError::NOT_AUTHORITATIVE)
    }
}
