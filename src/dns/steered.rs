//! Answers to names that a rule steers.

use std::net::IpAddr;
use std::sync::Arc;

use super::Asked;
use super::edns::{Edns, ExtendedError};
use super::outcome::{Kind, Outcome, Rcode};
use super::pairs::Pairs;
use super::query::Query;
use super::reply::Reply;
use crate::model::names::NameRecord;
use crate::model::{ClientSubnet, Prefix, RecordType};
use crate::snapshot::rules::Answer;
use crate::snapshot::tally::SEATS;
use crate::steer::{Draw, GOLDEN_GAMMA, mix};

/// What makes one query's draw differ from the next: a generator of random numbers and a turn for
/// each rule and type. Belongs to one thread.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
    turns: Box<[u32; TURNS]>,
    pairs: Option<Arc<Pairs>>,
    /// Where answers are counted.
    seat: usize,
}

/// Rules share counters when there are more of them than these. That does no harm but to the
/// evenness of two round-robins that are asked in lockstep.
const TURNS: usize = 1024;

impl Dice {
    /// Dice whose numbers follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed, turns: Box::new([0; TURNS]), pairs: None, seat: 0 }
    }

    /// The same, with one draw for all types that a client asks for together, from whichever dice share
    /// these pairs.
    #[must_use]
    pub fn with_pairs(self, pairs: &Arc<Pairs>) -> Self {
        Self { pairs: Some(Arc::clone(pairs)), ..self }
    }

    /// The same for somebody who answers often enough to count answers where others seldom do: for
    /// different `n` as far as there are [seats](crate::snapshot::tally::SEATS), of which the first is
    /// for all others.
    #[must_use]
    pub fn seated(self, n: usize) -> Self {
        Self { seat: 1 + n % (SEATS - 1), ..self }
    }

    /// The next random number, by SplitMix64 (Steele et al. 2014): not for secrets.
    fn random(&mut self) -> u64 {
        let random = mix(self.state);
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        random
    }

    /// Whether this is the one of `n` that is picked at random; never of 0.
    pub(super) fn is_one_in(&mut self, n: u8) -> bool {
        n != 0 && self.random().is_multiple_of(n.into())
    }

    /// The next draw for a rule.
    pub(super) fn draw(&mut self, rule: u32, column: usize, key: u64) -> Draw {
        // Clients ask for both addresses in turn: with one counter, two endpoints would never change.
        let turn = next_turn(&mut self.turns, 4 * rule as usize + column);
        Draw { random: self.random(), turn, key }
    }

    /// The next draw for a rule that lets chance choose between regions.
    fn draw_together(
        &mut self,
        (rule, column): (u32, usize),
        client: Prefix,
        unix_secs: u32,
        key: u64,
    ) -> Draw {
        let Self { turns, pairs: Some(pairs), .. } = self else {
            return self.draw(rule, column, key);
        };
        let next = || next_turn(turns, 4 * rule as usize);
        Draw { key, ..pairs.draw((rule, column), client, unix_secs, next) }
    }
}

fn next_turn(turns: &mut [u32; TURNS], place: usize) -> u32 {
    let turn = &mut turns[place % TURNS];
    *turn = turn.wrapping_add(1);
    *turn
}

/// What a rule says to one client.
pub(super) struct Decision<'a> {
    /// What to draw from.
    pub(super) answer: &'a Answer,
    /// With what.
    pub(super) dice: Draw,
    /// For whom, besides the client.
    pub(super) scope: u8,
}

/// Decides; `None` when the rule never has records of that type, whoever asks.
#[inline]
pub(super) fn decide<'a>(
    asked: Asked<'a>,
    rule_place: u32,
    dice: &mut Dice,
) -> Option<Decision<'a>> {
    let Asked { snapshot, query, arrival } = asked;
    let rule = snapshot.rule(rule_place);
    let column = rule.column_of(query.qtype)?;
    let subnet = client_subnet(query, arrival.client);
    let placed = rule.place(subnet, arrival.client);
    let key = rule.key(subnet.prefix);
    rule.count(dice.seat, placed.class);
    let answer = rule.answer(placed.class, column);
    let dice = if !answer.draws_anew() {
        Draw { random: 0, turn: 0, key }
    } else if rule.is_drawn_together() {
        dice.draw_together((rule_place, column), subnet.prefix, arrival.unix_secs, key)
    } else {
        dice.draw(rule_place, column, key)
    };
    Some(Decision {
        answer,
        dice,
        // Without a subnet there is nothing that a scope could be a part of.
        scope: if subnet.from_query { placed.scope } else { 0 },
    })
}

/// Answers from the rule that `record` links to.
pub(super) fn answer(
    asked: Asked<'_>,
    record: NameRecord<'_>,
    dice: &mut Dice,
    mut reply: Reply<'_>,
) -> Outcome {
    let Asked { snapshot, query, .. } = asked;
    if query.qtype == RecordType::ANY {
        return reply.any();
    }
    let Some(decision) = decide(asked, snapshot.rule_of(record), dice) else {
        return reply.negative(snapshot.zone(record.zone()), Rcode::NOERROR);
    };
    reply.set_scope(decision.scope);
    match decision.answer {
        Answer::NoData { ttl } => reply.no_data_for(snapshot.zone(record.zone()), *ttl),
        Answer::ServFail => {
            let error = ExtendedError::NO_REACHABLE_AUTHORITY;
            reply.refuse(Rcode::SERVFAIL, Kind::ServFail, error)
        }
        answer => {
            answer.draw(decision.dice, &mut |own| reply.push_steered(own.count, &own.bytes));
            reply.set_authoritative();
            reply.finish(Rcode::NOERROR, Kind::Steered)
        }
    }
}

/// Whom the answer is for: the subnet in the query, or else who sent it.
pub(super) fn client_subnet(query: &Query<'_>, client: IpAddr) -> ClientSubnet {
    let option = query.edns.as_ref().and_then(Edns::subnet);
    match option.and_then(|subnet| subnet.prefix) {
        Some(prefix) => ClientSubnet { prefix, from_query: true },
        None => ClientSubnet { prefix: Prefix::host(client), from_query: false },
    }
}
