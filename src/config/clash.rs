//! Steered names and static records that cannot stand together.

use std::collections::HashMap;

use super::pool::Families;
use crate::model::topology::AllDown;
use crate::model::{Diagnostic, Name, RecordType, Span, Steer};
use crate::zone::NamesBuilder;

/// One steer and what the rules of DNS ask about it.
pub(super) struct Steered<'a> {
    /// The rule.
    pub(super) steer: &'a Steer,
    /// Where its name was written.
    pub(super) span: Span,
    /// What its pools can answer.
    pub(super) families: Families,
}

/// Whether a steer answers that type itself, or a record of it would stand in the way.
fn is_steered(steer: &Steer, rtype: RecordType) -> bool {
    match rtype {
        RecordType::CNAME => true,
        RecordType::A | RecordType::AAAA => steer.has_addresses,
        _ => steer.form(rtype).is_some(),
    }
}

/// The types that a name has, and where each was written.
type Types = Vec<(RecordType, Span)>;

/// What is wrong between `steers` and the static records of the zone `apex`, if they are known.
pub(super) fn find(
    apex: &Name,
    mut names: Option<&mut NamesBuilder>,
    steers: &[Steered<'_>],
) -> Vec<Diagnostic> {
    let mut types_at = |name: &Name| -> Types {
        names.as_mut().map(|names| names.types_at(name)).unwrap_or_default()
    };
    let mut found = Vec::new();
    let mut seen: HashMap<&Name, Span> = HashMap::new();
    for steered in steers {
        let owner = &steered.steer.owner;
        let first = *seen.entry(owner).or_insert(steered.span);
        if first != steered.span {
            let error = Diagnostic::error(steered.span, format!("`{owner}` is steered twice"));
            found.push(error.also(first, "by this one too"));
        }
        found.extend(below_cut(apex, owner, steered.span, &mut types_at));
        let beside = types_at(owner);
        found.extend(beside_static(steered, &beside));
        found.extend(alias(apex, steered, &beside));
    }
    found
}

/// A name at or below a delegation, or below a DNAME, is not ours to answer.
fn below_cut(
    apex: &Name,
    owner: &Name,
    span: Span,
    types_at: &mut dyn FnMut(&Name) -> Types,
) -> Option<Diagnostic> {
    let mut at = Some(owner.clone());
    while let Some(name) = at.filter(|name| name.is_at_or_below(apex)) {
        let cut = types_at(&name).into_iter().find(|(rtype, _)| match *rtype {
            RecordType::NS => name != *apex,
            RecordType::DNAME => name != *owner,
            _ => false,
        });
        if let Some((rtype, place)) = cut {
            let what = if rtype == RecordType::NS { "delegated" } else { "redirected" };
            let message = format!("`{owner}` cannot be steered: `{name}` is {what}");
            return Some(Diagnostic::error(span, message).also(place, "here"));
        }
        at = name.parent();
    }
    None
}

/// Static addresses or a static alias of a steered name would contradict the steer.
fn beside_static(steered: &Steered<'_>, beside: &Types) -> Option<Diagnostic> {
    let (rtype, place) = beside.iter().find(|(rtype, _)| is_steered(steered.steer, *rtype))?;
    let owner = &steered.steer.owner;
    let message = format!("`{owner}` is steered and has static {rtype} records");
    let error = Diagnostic::error(steered.span, message).also(*place, "static here");
    Some(error.hint("remove one of the two"))
}

/// An answer that may be a CNAME must be alone at its name, and cannot be at the apex (RFC 1034
/// §3.6.2, RFC 2181 §10.1).
fn alias(apex: &Name, steered: &Steered<'_>, beside: &Types) -> Option<Diagnostic> {
    let owner = &steered.steer.owner;
    let has_hosts = steered.families.host && steered.steer.has_addresses;
    if !has_hosts && !matches!(steered.steer.all_down, AllDown::Host(_)) {
        return None;
    }
    if owner == apex {
        let error = Diagnostic::error(steered.span, "the apex cannot be answered by a host name");
        let hint = "a CNAME cannot stand beside the apex's SOA and NS: use pools with addresses";
        return Some(error.hint(hint));
    }
    let (rtype, place) = beside.iter().find(|(rtype, _)| !is_steered(steered.steer, *rtype))?;
    let message = format!("`{owner}` may be answered by a CNAME, but has {rtype} records");
    let error = Diagnostic::error(steered.span, message).also(*place, "static here");
    Some(error.hint("a CNAME stands alone: use pools with addresses, or remove the records"))
}

#[cfg(test)]
mod tests {

    use super::*;
    use std::sync::Arc;

    use crate::model::Report;
    use crate::model::form::{Body, Form};
    use crate::model::topology::Policy;
    use crate::zone::RecordRef;

    fn span() -> Span {
        Span::new(Report::new().add_source("x", ""), 0..0)
    }

    fn add(names: &mut NamesBuilder, owner: &str, rtype: RecordType) {
        let owner = &owner.parse().unwrap();
        names.add(RecordRef { owner, rtype, ttl: 1, rdata: &[], span: span() });
    }

    fn steer(owner: &str) -> Steer {
        Steer::new(owner.parse().unwrap(), Policy::Failover)
    }

    #[test]
    fn steers_and_static_records_that_clash_are_found() {
        let (addresses, host) = (
            Families { v4: true, v6: true, host: false },
            Families { v4: true, v6: true, host: true },
        );
        let apex = "example.com.".parse().unwrap();
        let mut names = NamesBuilder::new(&apex);
        let records = [
            ("example.com.", RecordType::SOA),
            ("example.com.", RecordType::NS),
            ("a.example.com.", RecordType::A),
            ("mx.example.com.", RecordType::MX),
            ("cut.example.com.", RecordType::NS),
            ("old.example.com.", RecordType::DNAME),
        ];
        for (owner, rtype) in records {
            add(&mut names, owner, rtype);
        }
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
        for (owner, families, wanted) in cases {
            let steer = steer(owner);
            let steered = Steered { steer: &steer, span: span(), families };
            let found = find(&apex, Some(&mut names), &[steered]);
            let messages: Vec<_> = found.iter().map(|found| found.message.as_str()).collect();
            assert_eq!(messages, Vec::from_iter(wanted), "{owner}");
        }
    }

    #[test]
    fn a_steer_clashes_with_the_types_that_it_answers() {
        let host = Families { v4: true, v6: true, host: true };
        let apex = "example.com.".parse().unwrap();
        let mut names = NamesBuilder::new(&apex);
        let types = ["A", "MX", "HTTPS", "CNAME"].map(|rtype| rtype.parse().unwrap());
        for rtype in types {
            add(&mut names, &format!("{rtype}.example.com."), rtype);
        }
        let form = |rtype| Form { rtype, body: Body::Ready(Arc::default()) };
        let clashes =
            |name: &str, has_addresses, forms: &[RecordType], names: &mut NamesBuilder| {
                let forms = forms.iter().copied().map(form).collect();
                let steer =
                    Steer { has_addresses, forms, ..steer(&format!("{name}.example.com.")) };
                let families = if has_addresses { Families { host: false, ..host } } else { host };
                let steered = Steered { steer: &steer, span: span(), families };
                !find(&apex, Some(names), &[steered]).is_empty()
            };
        let (mx, https) = (RecordType::MX, RecordType::HTTPS);
        for (name, has_addresses, forms, is_clash) in [
            ("a", true, &[][..], true),
            ("a", false, &[mx], false),
            ("mx", true, &[https], false),
            ("mx", true, &[https, mx], true),
            ("https", true, &[mx], false),
            ("https", false, &[https], true),
            ("cname", false, &[https], true),
        ] {
            let found = clashes(name, has_addresses, forms, &mut names);
            assert_eq!(found, is_clash, "{name} {has_addresses} {forms:?}");
        }
    }
}
