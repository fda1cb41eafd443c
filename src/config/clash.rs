//! Steered names and static records that cannot stand together.

use std::collections::HashMap;

use super::pool::Families;
use crate::model::topology::AllDown;
use crate::model::{Diagnostic, Name, Record, RecordType, Span, Steer};

/// One steer and what the rules of DNS ask about it.
pub(super) struct Steered<'a> {
    /// The rule.
    pub(super) steer: &'a Steer,
    /// Where its name was written.
    pub(super) span: Span,
    /// What its pools can answer.
    pub(super) families: Families,
}

/// Types that a steer answers itself.
const STEERED_TYPES: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::CNAME];

/// What is wrong between `steers` and the static `records` of the zone `apex`.
pub(super) fn find(apex: &Name, records: &[Record], steers: &[Steered<'_>]) -> Vec<Diagnostic> {
    let mut by_owner: HashMap<&Name, Vec<&Record>> = HashMap::new();
    for record in records {
        by_owner.entry(&record.owner).or_default().push(record);
    }
    let mut found = Vec::new();
    let mut seen: HashMap<&Name, Span> = HashMap::new();
    for steered in steers {
        let owner = &steered.steer.owner;
        let first = *seen.entry(owner).or_insert(steered.span);
        if first != steered.span {
            let error = Diagnostic::error(steered.span, format!("`{owner}` is steered twice"));
            found.push(error.also(first, "by this one too"));
        }
        found.extend(below_cut(apex, owner, steered.span, &by_owner));
        let beside = by_owner.get(owner).map(Vec::as_slice).unwrap_or_default();
        found.extend(beside_static(steered, beside));
        found.extend(alias(apex, steered, beside));
    }
    found
}

/// A name at or below a delegation, or below a DNAME, is not ours to answer.
fn below_cut(
    apex: &Name,
    owner: &Name,
    span: Span,
    by_owner: &HashMap<&Name, Vec<&Record>>,
) -> Option<Diagnostic> {
    let mut at = Some(owner.clone());
    while let Some(name) = at.filter(|name| name.is_at_or_below(apex)) {
        let here = by_owner.get(&name).map(Vec::as_slice).unwrap_or_default();
        let cut = here.iter().find(|record| match record.rtype {
            RecordType::NS => name != *apex,
            RecordType::DNAME => name != *owner,
            _ => false,
        });
        if let Some(record) = cut {
            let what = if record.rtype == RecordType::NS { "delegated" } else { "redirected" };
            let message = format!("`{owner}` cannot be steered: `{name}` is {what}");
            return Some(Diagnostic::error(span, message).also(record.span, "here"));
        }
        at = name.parent();
    }
    None
}

/// Static addresses or a static alias of a steered name would contradict the steer.
fn beside_static(steered: &Steered<'_>, beside: &[&Record]) -> Option<Diagnostic> {
    let clash = beside.iter().find(|record| STEERED_TYPES.contains(&record.rtype))?;
    let owner = &steered.steer.owner;
    let message = format!("`{owner}` is steered and has static {} records", clash.rtype);
    let error = Diagnostic::error(steered.span, message).also(clash.span, "static here");
    Some(error.hint("remove one of the two"))
}

/// An answer that may be a CNAME must be alone at its name, and cannot be at the apex (RFC 1034
/// §3.6.2, RFC 2181 §10.1).
fn alias(apex: &Name, steered: &Steered<'_>, beside: &[&Record]) -> Option<Diagnostic> {
    let owner = &steered.steer.owner;
    if !steered.families.host && !matches!(steered.steer.all_down, AllDown::Host(_)) {
        return None;
    }
    if owner == apex {
        let error = Diagnostic::error(steered.span, "the apex cannot be answered by a host name");
        let hint = "a CNAME cannot stand beside the apex's SOA and NS: use pools with addresses";
        return Some(error.hint(hint));
    }
    let other = beside.iter().find(|record| !STEERED_TYPES.contains(&record.rtype))?;
    let message = format!("`{owner}` may be answered by a CNAME, but has {} records", other.rtype);
    let error = Diagnostic::error(steered.span, message).also(other.span, "static here");
    Some(error.hint("a CNAME stands alone: use pools with addresses, or remove the records"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;
    use std::time::Duration;

    use super::*;
    use crate::model::Report;
    use crate::model::topology::{KeyBits, Pick, Policy};

    fn span() -> Span {
        Span::new(Report::new().add_source("x", ""), 0..0)
    }

    fn record(owner: &str, rtype: RecordType) -> Record {
        Record { owner: owner.parse().unwrap(), rtype, ttl: 1, rdata: [].into(), span: span() }
    }

    fn steer(owner: &str) -> Steer {
        Steer {
            owner: owner.parse().unwrap(),
            policy: Policy::Failover,
            pools: Vec::new(),
            pick: Pick { policy: Policy::Sticky, answers: NonZeroU8::MIN },
            wheres: Vec::new(),
            key_bits: KeyBits { v4: 24, v6: 56 },
            all_down: AllDown::AsUp,
            ttl: Duration::from_secs(30),
            ttl_min: Duration::from_secs(5),
        }
    }

    #[test]
    fn steers_and_static_records_that_clash_are_found() {
        let (addresses, host) = (
            Families { v4: true, v6: true, host: false },
            Families { v4: true, v6: true, host: true },
        );
        let records = [
            record("example.com.", RecordType::SOA),
            record("example.com.", RecordType::NS),
            record("a.example.com.", RecordType::A),
            record("mx.example.com.", RecordType::MX),
            record("cut.example.com.", RecordType::NS),
            record("old.example.com.", RecordType::DNAME),
        ];
        let cases = [
            ("www.example.com.", addresses, None),
            ("example.com.", addresses, None),
            ("mx.example.com.", addresses, None),
            ("www.example.com.", host, None),
            ("old.example.com.", addresses, None),
            ("example.com.", host, Some("the apex cannot be answered by a host name")),
            (
                "a.example.com.",
                addresses,
                Some("`a.example.com.` is steered and has static A records"),
            ),
            (
                "mx.example.com.",
                host,
                Some("`mx.example.com.` may be answered by a CNAME, but has MX records"),
            ),
            (
                "cut.example.com.",
                addresses,
                Some("`cut.example.com.` cannot be steered: `cut.example.com.` is delegated"),
            ),
            (
                "x.cut.example.com.",
                addresses,
                Some("`x.cut.example.com.` cannot be steered: `cut.example.com.` is delegated"),
            ),
            (
                "x.old.example.com.",
                addresses,
                Some("`x.old.example.com.` cannot be steered: `old.example.com.` is redirected"),
            ),
        ];
        let apex = "example.com.".parse().unwrap();
        for (owner, families, wanted) in cases {
            let steer = steer(owner);
            let steered = Steered { steer: &steer, span: span(), families };
            let found = find(&apex, &records, &[steered]);
            let messages: Vec<_> = found.iter().map(|found| found.message.as_str()).collect();
            assert_eq!(messages, Vec::from_iter(wanted), "{owner}");
        }
    }
}
