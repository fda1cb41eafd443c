//! The questions: the same in every run, and all of one length, so that the kernel can cut many of them out
//! of one buffer.

use hickory_proto::rr::RecordType;

use crate::chance::Chance;
use crate::work::STEERED_NAMES;

/// Questions that are asked one after the other, and then again.
const QUESTIONS: usize = 200_000;
/// Where a message's header ends.
const HEADER_LEN: usize = 12;

/// Questions on the wire, with room for their IDs.
pub(crate) struct Queries {
    octets: Vec<u8>,
    /// Octets of each.
    len: usize,
    next: usize,
}

impl Queries {
    fn of(mut question: impl FnMut() -> Vec<u8>) -> Self {
        let first = question();
        let len = first.len();
        let mut octets = first;
        for _ in 1..QUESTIONS {
            octets.extend(question());
        }
        assert_eq!(octets.len(), QUESTIONS * len, "all of one length");
        Self { octets, len, next: 0 }
    }

    /// Of a hundred, 90 for what is there (A and AAAA, 7 to 3), 5 for names and 5 for types that are not.
    pub(crate) fn of_static(zones: usize, names: usize) -> Self {
        let mut chance = Chance(1);
        Self::of(|| {
            let (zone, name) = (chance.below(zones), chance.below(names));
            let qtype = if chance.below(10) < 7 { RecordType::A } else { RecordType::AAAA };
            let (prefix, qtype) = match chance.below(100) {
                0..5 => ('x', qtype),
                5..10 => ('h', RecordType::TXT),
                _ => ('h', qtype),
            };
            query(&format!("{prefix}{name:06}.{}", zone_name(zone, zones)), qtype, None)
        })
    }

    /// A of steered names, each for one of the clients.
    pub(crate) fn of_steered(clients: &[[u8; 3]]) -> Self {
        let mut chance = Chance(1);
        Self::of(|| {
            let name = format!("w{:06}.gslb.test", chance.below(STEERED_NAMES));
            query(&name, RecordType::A, Some(clients[chance.below(clients.len())]))
        })
    }

    /// Octets of each question.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends the next question, under this ID.
    pub(crate) fn push_next(&mut self, id: u16, out: &mut Vec<u8>) {
        let question = &self.octets[self.next..self.next + self.len];
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&question[2..]);
        self.next = (self.next + self.len) % self.octets.len();
    }
}

/// What the `n`th of so many zones is called.
pub(crate) fn zone_name(n: usize, zones: usize) -> String {
    if zones == 1 { "bench.test".to_owned() } else { format!("z{n:05}.test") }
}

/// One question: EDNS of 1232 octets, and the client's /24 (RFC 7871) if there is one.
pub(crate) fn query(name: &str, qtype: RecordType, client: Option<[u8; 3]>) -> Vec<u8> {
    const HEADER: [u8; HEADER_LEN] = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    // Root, OPT, 1232 octets, no flags.
    const OPT: [u8; 9] = [0, 0, 41, 4, 208, 0, 0, 0, 0];
    // 11 octets of options: ECS, 7 octets, IPv4, /24, scope 0.
    const CLIENT_SUBNET: [u8; 10] = [0, 11, 0, 8, 0, 7, 0, 1, 24, 0];
    let mut packet = HEADER.to_vec();
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).expect("short labels"));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&u16::from(qtype).to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet.extend_from_slice(&OPT);
    match client {
        None => packet.extend_from_slice(&[0, 0]),
        Some(subnet) => {
            packet.extend_from_slice(&CLIENT_SUBNET);
            packet.extend_from_slice(&subnet);
        }
    }
    packet
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use hickory_proto::op::Message;

    use super::*;

    /// All questions, read again.
    fn read(mut queries: Queries) -> Vec<Message> {
        let mut all = Vec::new();
        for _ in 0..QUESTIONS {
            let mut packet = Vec::new();
            queries.push_next(7, &mut packet);
            all.push(Message::from_vec(&packet).unwrap());
        }
        all
    }

    fn percent(count: usize) -> usize {
        (count * 100 + QUESTIONS / 2) / QUESTIONS
    }

    #[test]
    fn static_questions_have_the_mix_that_is_said() {
        let mut counts: HashMap<(bool, RecordType), usize> = HashMap::new();
        let mut zones = HashMap::new();
        for message in read(Queries::of_static(10_000, 10)) {
            assert_eq!(message.metadata.id, 7);
            let question = &message.queries[0];
            let name = question.name().to_ascii();
            *counts.entry((name.starts_with('h'), question.query_type())).or_default() += 1;
            *zones.entry(name[8..].to_owned()).or_insert(0) += 1;
        }
        assert_eq!(percent(counts[&(true, RecordType::A)]), 63);
        assert_eq!(percent(counts[&(true, RecordType::AAAA)]), 27);
        assert_eq!(percent(counts[&(true, RecordType::TXT)]), 5);
        let missing = counts[&(false, RecordType::A)] + counts[&(false, RecordType::AAAA)];
        assert_eq!(percent(missing), 5);
        assert!(zones.len() > 9_900, "{} zones are asked for", zones.len());
    }

    #[test]
    fn steered_questions_carry_a_client() {
        for message in read(Queries::of_steered(&[[81, 2, 69], [8, 8, 8]])) {
            let edns = message.edns.as_ref().unwrap();
            assert_eq!(edns.max_payload(), 1232);
            assert_eq!(edns.options().as_ref().len(), 1);
        }
    }
}
