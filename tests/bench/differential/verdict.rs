//! What two peers agree on and windrose does not do.
//!
//! Part by part of an answer: where at least two of three peers say the same, windrose has to say it,
//! too, unless a rule of [`EXPLAINED`] tells why not. Where all three differ there is nothing to hold to.

use std::fmt;

use windrose::model::RecordType;

use crate::message::{Answer, Question, Record};

/// A part of an answer that is compared by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    /// The response code.
    Rcode,
    /// AA.
    Authoritative,
    /// TC.
    Truncated,
    /// RD and RA.
    Recursion,
    /// Whether there is an OPT record, and its DO bit.
    Edns,
    /// Whether another reader reads it.
    Readable,
    /// The answer section.
    Answer,
    /// The authority section.
    Authority,
    /// The additional section.
    Additional,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::Rcode,
        Self::Authoritative,
        Self::Truncated,
        Self::Recursion,
        Self::Edns,
        Self::Readable,
        Self::Answer,
        Self::Authority,
        Self::Additional,
    ];

    /// Whether it is the same in both.
    fn is_same(self, a: &Answer, b: &Answer) -> bool {
        match self {
            Self::Rcode => (a.len == 0, a.rcode) == (b.len == 0, b.rcode),
            Self::Authoritative => a.is_authoritative == b.is_authoritative,
            Self::Truncated => a.is_truncated == b.is_truncated,
            Self::Recursion => a.recursion == b.recursion,
            Self::Edns => a.edns == b.edns,
            Self::Readable => a.is_readable == b.is_readable,
            Self::Answer => a.sections[0] == b.sections[0],
            Self::Authority => a.sections[1] == b.sections[1],
            Self::Additional => a.sections[2] == b.sections[2],
        }
    }

    /// Whether it is about what there is. Of a truncated answer that is not compared: what is in it
    /// is up to the server (RFC 2181 §9), and it is asked again by TCP.
    const fn is_content(self) -> bool {
        matches!(self, Self::Rcode | Self::Answer | Self::Authority | Self::Additional)
    }
}

/// One question and what all said.
pub(crate) struct Case<'a> {
    /// What was asked.
    pub(crate) question: &'a Question,
    /// Whether by UDP.
    pub(crate) is_udp: bool,
    /// What windrose said.
    pub(crate) ours: &'a Answer,
    /// What it said when it was asked by TCP, if it was.
    pub(crate) whole: Option<&'a Answer>,
    /// What its peers said.
    pub(crate) peers: [&'a Answer; 3],
    /// The names of all zones.
    pub(crate) apexes: &'a [Vec<u8>],
}

impl Case<'_> {
    /// The zone that answers for `name`, in lower case and wire form.
    fn zone_of(&self, name: &[u8]) -> Option<&[u8]> {
        let above = self.apexes.iter().filter(|apex| is_at_or_below(name, apex));
        above.max_by_key(|apex| apex.len()).map(Vec::as_slice)
    }

    /// Whether the chain in `answer` ends where another zone of those that are served begins.
    fn stops_between_zones(&self, answer: &Answer) -> bool {
        let records = &answer.sections[0];
        let is_open = |record: &&Record| {
            record.rtype == RecordType::CNAME
                && !records.iter().any(|other| other.owner == record.rdata)
        };
        records.iter().find(is_open).is_some_and(|last| {
            let target = self.zone_of(&last.rdata);
            target.is_some() && target != self.zone_of(&last.owner)
        })
    }
}

fn is_at_or_below(name: &[u8], ancestor: &[u8]) -> bool {
    let mut at = 0;
    while name.len() > ancestor.len() + at {
        at += 1 + usize::from(name[at]);
    }
    name[at..] == *ancestor
}

/// What came of a case, from good to bad.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    /// Windrose says what two peers say.
    Equal,
    /// It does where two say the same, but in some part all three differ.
    Split,
    /// It differs, for a reason that is known.
    Explained(&'static str),
    /// It differs in these parts.
    Different(Vec<Part>),
}

/// Judges.
pub(crate) fn judge(case: &Case<'_>) -> Verdict {
    let mut verdict = Verdict::Equal;
    let mut different = Vec::new();
    for part in Part::ALL {
        let Some(agreed) = agreed_on(part, case) else {
            verdict = verdict.max(Verdict::Split);
            continue;
        };
        if part.is_same(case.ours, agreed) || (case.ours.is_truncated && part.is_content()) {
            continue;
        }
        match EXPLAINED.iter().find(|rule| (rule.holds)(part, case, agreed)) {
            Some(rule) => verdict = verdict.max(Verdict::Explained(rule.name)),
            None => different.push(part),
        }
    }
    if different.is_empty() { verdict } else { Verdict::Different(different) }
}

/// A peer that says what another says, too, and up to this part of the same answer.
fn agreed_on<'a>(part: Part, case: &Case<'a>) -> Option<&'a Answer> {
    let before: &[Part] = match part {
        Part::Rcode => &[],
        Part::Authority => &[Part::Rcode, Part::Answer],
        Part::Additional => &[Part::Rcode, Part::Answer, Part::Authority],
        _ => &[Part::Rcode],
    };
    let [a, b, c] = case.peers;
    let counts = |answer: &Answer| !(answer.is_truncated && part.is_content());
    let agree = |a: &Answer, b: &Answer| {
        let is_same_before = before.iter().all(|part| part.is_same(a, b));
        counts(a) && counts(b) && is_same_before && part.is_same(a, b)
    };
    if agree(a, b) || agree(a, c) { Some(a) } else { agree(b, c).then_some(b) }
}

/// A difference that is meant.
pub(crate) struct Rule {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// What we follow.
    pub(crate) source: &'static str,
    /// Whether it is about this part of this case, for which a peer stands.
    holds: fn(Part, &Case<'_>, &Answer) -> bool,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.source)
    }
}

/// Every difference that is meant.
pub(crate) const EXPLAINED: &[Rule] = &[
    Rule {
        name: "any-minimised",
        source: "RFC 8482 §4: ANY gets one HINFO, or the DNAME and CNAME that redirect it",
        holds: |part, case, agreed| {
            let [ours, ..] = &case.ours.sections;
            let is_one = ours.iter().map(|record| record.rtype).eq([RecordType::HINFO]);
            case.question.qtype == RecordType::ANY
                && case.ours.rcode == 0
                && ((is_one && agreed.rcode == 0) || is_redirected(case.ours))
                && (part.is_content() || part == Part::Truncated)
        },
    },
    Rule {
        name: "any-class",
        source: "RFC 1035 §6.2: what class ANY gets is never authoritative",
        holds: |part, case, _| {
            part == Part::Authoritative && case.question.class == 255 && !case.ours.is_authoritative
        },
    },
    Rule {
        name: "transfer-by-udp",
        source: "RFC 5936 §4.2: AXFR is not defined for UDP; ours is refused as by TCP",
        holds: |part, case, _| {
            part == Part::Rcode && case.is_udp && case.question.qtype == RecordType::AXFR
        },
    },
    Rule {
        name: "complete-glue",
        source: "RFC 9471 §3.1: a referral without all glue of servers below the cut has TC set",
        holds: |part, case, agreed| {
            part == Part::Truncated
                && case.ours.is_truncated
                && !agreed.is_truncated
                && !agreed.is_authoritative
                && agreed.sections[1].iter().all(|record| record.rtype == RecordType::NS)
                && !agreed.sections[1].is_empty()
        },
    },
    Rule {
        name: "no-need-to-truncate",
        source: "RFC 1035 §4.1.4: with names compressed, all that TCP brings fits into the datagram",
        holds: |part, case, _| {
            part == Part::Truncated
                && !case.ours.is_truncated
                && case.whole.is_some_and(|whole| whole.sections == case.ours.sections)
        },
    },
    Rule {
        name: "soa-in-negatives",
        source: "RFC 2308 §3: a negative answer has the SOA, also where peers have no room for it",
        holds: |part, case, agreed| {
            let [_, ours, _] = &case.ours.sections;
            let is_soa = |record: &Record| record.rtype == RecordType::SOA;
            let len = ours.iter().map(|soa| soa.owner.len() + 10 + soa.rdata.len()).sum::<usize>();
            part == Part::Authority
                && case.is_udp
                && ours.iter().all(is_soa)
                && agreed.sections[1].is_empty()
                && agreed.len + len > case.question.room()
        },
    },
    Rule {
        name: "no-record-twice",
        source: "RFC 2181 §5: no record is in an rrset twice, also when an alias leads to itself",
        holds: |part, case, agreed| {
            let mut once = agreed.sections[0].clone();
            once.dedup();
            part == Part::Answer && once == case.ours.sections[0]
        },
    },
    Rule {
        name: "too-long",
        source: "RFC 6672 §2.2: DNAMEs are followed until a name is too long, which is YXDOMAIN",
        holds: |part, case, agreed| {
            part == Part::Rcode
                && (case.ours.rcode, agreed.rcode) == (6, 0)
                && is_redirected(agreed)
                && has_all_of(case.ours, agreed)
        },
    },
    Rule {
        name: "other-zone",
        source: "RFC 1034 §4.3.2 step 3a: a chain goes back to step 1, which takes any zone we serve",
        holds: |part, case, agreed| {
            case.stops_between_zones(agreed)
                && (case.ours.is_truncated || has_all_of(case.ours, agreed))
                && (part.is_content() || part == Part::Truncated)
        },
    },
];

fn is_redirected(answer: &Answer) -> bool {
    answer.sections[0].iter().any(|record| record.rtype == RecordType::DNAME)
}

/// Whether the answer section of `answer` has all records of the other's.
fn has_all_of(answer: &Answer, other: &Answer) -> bool {
    other.sections[0].iter().all(|record| answer.sections[0].contains(record))
}
