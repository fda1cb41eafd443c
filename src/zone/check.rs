//! What can be wrong with a zone's records as a whole.
//!
//! [`check`] looks at static records together and reports what no single line shows. Errors are
//! zones that cannot be served as written; warnings are zones that probably do not say what was
//! meant:
//!
//! | | finding | RFC |
//! |---|---|---|
//! | error | no SOA, several, or one not at the apex | 1035 §5.2 |
//! | error | no NS at the apex | 1034 §4.2.1 |
//! | error | an owner outside the zone | 1035 §5.2 |
//! | error | several CNAMEs, or one beside other data | 2181 §10.1 |
//! | error | several DNAMEs at a name, data below one | 6672 §2.4 |
//! | error | an rrset that no message can hold | 1035 §4.2.2 |
//! | warning | an rrset with several TTLs; the lowest is used | 2181 §5.2 |
//! | warning | a name server below a cut without address | 1034 §4.2.1 |
//! | warning | data that a cut hides | 2181 §6.1 |
//! | warning | NS, MX or SRV to an alias | 2181 §10.3 |
//! | warning | the same record twice | 2181 §5 |
//! | warning | a very large rrset | |
//! | warning | a name with the zone's name twice: a dot is missing | |
//! | warning | SOA times that contradict each other | 1912 §2.2 |
//!
//! Single records are `master`'s business; steered names are not seen here, so a target without
//! address is no finding.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::model::{Diagnostic, Name, Record, RecordType, Report, Severity, Span};

use super::canonical::{Key, Keyed, Keys, Sorted};

/// After so many findings no more are looked for.
const FINDINGS_MAX: usize = 200;
/// A larger rrset than this is probably a mistake, and makes for large answers.
const RRSET_LEN_LARGE: usize = 100;
/// Octets that a message holds.
const MESSAGE_LEN_MAX: usize = 65_535;
/// Octets around the data of a record whose owner is compressed.
const RECORD_OVERHEAD: usize = 12;
/// Longer negative answers are more trouble than use (RFC 2308 §5).
const MINIMUM_SECS_LARGE: u32 = 86_400;

/// Checks the records of the zone `apex`, in any order, and reports what is wrong. `apex_span` is
/// where the zone is declared, for what is missing.
pub fn check(report: &mut Report, apex: &Name, apex_span: Option<Span>, records: &[Record]) {
    let keys = Keys::of(records);
    let zone = Zone::new(apex, Sorted::new(records, &keys));
    let mut findings = Vec::new();
    check_apex(&zone, apex_span, &mut findings);
    let mut dname: Option<Keyed<'_>> = None;
    for name in zone.sorted.as_slice().chunk_by(|a, b| a.key == b.key) {
        if findings.len() > FINDINGS_MAX {
            break;
        }
        if !zone.has(name[0].key) {
            findings.push(out_of_zone(&zone, name[0].record));
            continue;
        }
        match dname.filter(|dname| name[0].key.starts_with(dname.key)) {
            Some(above) => findings.push(below_dname(name[0].record, above.record)),
            None => {
                let is_dname = |keyed: &&Keyed<'_>| keyed.record.rtype == RecordType::DNAME;
                dname = name.iter().find(is_dname).copied();
            }
        }
        check_name(&zone, name, &mut findings);
    }
    if findings.len() > FINDINGS_MAX {
        let message = format!("more than {FINDINGS_MAX} findings: the others are not shown");
        let more = Diagnostic::error_without_place(message);
        findings.truncate(FINDINGS_MAX);
        findings.push(Diagnostic { severity: Severity::Warning, ..more });
    }
    for finding in findings {
        report.push(finding);
    }
}

/// What the checks of a name need to know about the others.
struct Zone<'a> {
    apex: &'a Name,
    apex_key: Key,
    /// The apex with its labels twice: what a complete name becomes when its dot is forgotten.
    /// `None` for the root.
    apex_twice: Option<Key>,
    sorted: Sorted<'a>,
    /// The owners of delegations, ascending, none below another.
    cuts: Vec<Keyed<'a>>,
    /// The names of all name servers.
    servers: HashSet<Key>,
}

impl<'a> Zone<'a> {
    fn new(apex: &'a Name, sorted: Sorted<'a>) -> Self {
        let apex_key = Key::of(apex);
        let mut cuts: Vec<Keyed<'_>> = Vec::new();
        let mut servers = HashSet::new();
        let is_ns = |keyed: &&Keyed<'_>| {
            keyed.record.rtype == RecordType::NS && keyed.key.starts_with(apex_key.as_slice())
        };
        for keyed in sorted.as_slice().iter().filter(is_ns) {
            servers.extend(target(keyed.record).map(|target| Key::of(&target)));
            let is_hidden = cuts.last().is_some_and(|cut| keyed.key.starts_with(cut.key));
            if keyed.key != apex_key.as_slice() && !is_hidden {
                cuts.push(*keyed);
            }
        }
        let apex_twice = (!apex.is_root()).then(|| apex_key.doubled());
        Self { apex, apex_key, apex_twice, sorted, cuts, servers }
    }

    fn has(&self, key: &[u8]) -> bool {
        key.starts_with(self.apex_key.as_slice())
    }

    /// The delegation that `key` is at or below.
    fn cut_above(&self, key: &[u8]) -> Option<Keyed<'a>> {
        let behind = self.cuts.partition_point(|cut| cut.key <= key);
        let cut = self.cuts[..behind].last()?;
        key.starts_with(cut.key).then_some(*cut)
    }

    fn has_address(&self, key: &[u8]) -> bool {
        [RecordType::A, RecordType::AAAA]
            .iter()
            .any(|rtype| self.sorted.find(key, *rtype).is_some())
    }
}

/// The name that a record points to.
fn target(record: &Record) -> Option<Name> {
    let start = match record.rtype {
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => 0,
        RecordType::MX => 2,
        RecordType::SRV => 6,
        _ => return None,
    };
    Some(Name::from_wire(record.rdata.get(start..)?).ok()?.0)
}

// ---- The apex ----

fn check_apex(zone: &Zone<'_>, apex_span: Option<Span>, findings: &mut Vec<Diagnostic>) {
    let missing = |what: &str, place: Option<Span>, hint: &str| {
        let message = format!("zone `{}` has no {what}", zone.apex);
        place
            .map_or_else(
                || Diagnostic::error_without_place(&*message),
                |place| Diagnostic::error(place, &*message),
            )
            .hint(hint)
    };
    let apex_key = zone.apex_key.as_slice();
    let soa = zone.sorted.find(apex_key, RecordType::SOA);
    match soa {
        Some(soa) => check_soa_times(soa, findings),
        None => findings.push(missing("SOA", apex_span, "add `@ SOA …` at its apex")),
    }
    if zone.sorted.find(apex_key, RecordType::NS).is_none() {
        let place = apex_span.or_else(|| soa.map(|soa| soa.span));
        findings.push(missing("name servers", place, "add at least one `@ NS …`"));
    }
}

fn check_soa_times(soa: &Record, findings: &mut Vec<Diagnostic>) {
    let mut times = soa.rdata.rchunks_exact(4).filter_map(|time| time.try_into().ok());
    let mut next = || times.next().map(u32::from_be_bytes);
    let (Some(minimum), Some(expire), Some(retry), Some(refresh)) =
        (next(), next(), next(), next())
    else {
        return;
    };
    let mut warn = |message: String, hint: &str| {
        findings.push(Diagnostic::warning(soa.span, message).hint(hint));
    };
    if retry >= refresh {
        warn(
            format!(
                "the SOA's retry time ({retry}) is not shorter than its refresh time ({refresh})"
            ),
            "a secondary that fails to refresh tries again after the retry time",
        );
    }
    if expire <= refresh.saturating_add(retry) {
        warn(
            format!("the SOA's expire time ({expire}) leaves no time to refresh and retry"),
            "two to four weeks are usual",
        );
    }
    if minimum > MINIMUM_SECS_LARGE {
        warn(
            format!("the SOA's minimum ({minimum}) keeps negative answers for more than a day"),
            "it is the TTL of \"no such name\", not that of records; an hour is usual",
        );
    }
}

// ---- Names ----

fn check_name(zone: &Zone<'_>, name: &[Keyed<'_>], findings: &mut Vec<Diagnostic>) {
    let first = name[0].record;
    if zone.apex_twice.as_ref().is_some_and(|twice| name[0].key.starts_with(twice.as_slice())) {
        findings.push(apex_twice(zone, first, &first.owner));
    }
    check_exclusive(name, findings);
    for rrset in name.chunk_by(|a, b| a.record.rtype == b.record.rtype) {
        check_hidden(zone, rrset[0], findings);
        check_rrset(zone, rrset, findings);
        for keyed in rrset {
            check_target(zone, *keyed, findings);
        }
    }
}

fn out_of_zone(zone: &Zone<'_>, record: &Record) -> Diagnostic {
    let message = format!("`{}` is not in zone `{}`", record.owner, zone.apex);
    Diagnostic::error(record.span, message)
        .hint("remove it, or serve it as a zone of its own; a dot at the end makes a name complete")
}

fn below_dname(record: &Record, dname: &Record) -> Diagnostic {
    let message = format!("`{}` lies below the DNAME of `{}`", record.owner, dname.owner);
    Diagnostic::error(record.span, message)
        .also(dname.span, "this DNAME answers for all names below its own")
}

fn apex_twice(zone: &Zone<'_>, record: &Record, name: &Name) -> Diagnostic {
    let message = format!("`{name}` has the name of zone `{}` in it twice", zone.apex);
    Diagnostic::warning(record.span, message).hint("a name that is complete ends with a dot")
}

/// CNAME beside anything but DNSSEC's own types (RFC 2181 §10.1, RFC 4034 §2.5).
fn check_exclusive(name: &[Keyed<'_>], findings: &mut Vec<Diagnostic>) {
    let is_cname = |record: &Record| record.rtype == RecordType::CNAME;
    let Some(cname) = name.iter().map(|keyed| keyed.record).find(|record| is_cname(record)) else {
        return;
    };
    let may_be_beside = |rtype| {
        matches!(
            rtype,
            RecordType::CNAME
                | RecordType::RRSIG
                | RecordType::NSEC
                | RecordType::SIG
                | RecordType::KEY
                | RecordType::NXT
        )
    };
    if let Some(other) = name.iter().find(|keyed| !may_be_beside(keyed.record.rtype)) {
        let message = format!("`{}` has a CNAME and other data", cname.owner);
        let finding = Diagnostic::error(cname.span, message).label("an alias has no other data");
        findings.push(finding.also(other.record.span, format!("{}", other.record.rtype)));
    }
}

/// Data at or below a cut that only the zone below may have.
fn check_hidden(zone: &Zone<'_>, first: Keyed<'_>, findings: &mut Vec<Diagnostic>) {
    let Some(cut) = zone.cut_above(first.key) else { return };
    let record = first.record;
    let is_glue = || zone.servers.contains(&Key::of(&record.owner));
    let belongs = match record.rtype {
        RecordType::A | RecordType::AAAA => is_glue(),
        RecordType::NS | RecordType::DS | RecordType::NSEC | RecordType::RRSIG => {
            first.key == cut.key
        }
        _ => false,
    };
    if !belongs {
        let message = format!(
            "the {} of `{}` is hidden by the delegation of `{}`",
            record.rtype, record.owner, cut.record.owner
        );
        let finding = Diagnostic::warning(record.span, message).label("never answered");
        findings.push(finding.also(cut.record.span, "delegated here"));
    }
}

// ---- Rrsets ----

fn check_rrset(zone: &Zone<'_>, rrset: &[Keyed<'_>], findings: &mut Vec<Diagnostic>) {
    let first = rrset[0].record;
    let (owner, rtype) = (&first.owner, first.rtype);
    if rtype == RecordType::SOA && rrset[0].key != zone.apex_key.as_slice() {
        let message = format!("an SOA at `{owner}`, which is not the apex `{}`", zone.apex);
        findings.push(Diagnostic::error(first.span, message));
    }
    if rrset.len() == 1 {
        return;
    }
    let mut by_data: Vec<_> = rrset.iter().map(|keyed| keyed.record).collect();
    by_data.sort_by(|a, b| a.rdata.cmp(&b.rdata));
    for same in by_data.windows(2).filter(|pair| pair[0].rdata == pair[1].rdata) {
        let message = format!("the same {rtype} record of `{owner}` twice");
        findings.push(Diagnostic::warning(same[1].span, message).also(same[0].span, "also here"));
    }
    by_data.dedup_by(|a, b| a.rdata == b.rdata);
    let is_singleton = matches!(rtype, RecordType::SOA | RecordType::CNAME | RecordType::DNAME);
    if is_singleton && let [one, other, ..] = by_data[..] {
        let (one, other) =
            if one.span.start < other.span.start { (one, other) } else { (other, one) };
        let message = format!("`{owner}` has several {rtype} records");
        findings.push(Diagnostic::error(other.span, message).also(one.span, "the other one"));
    }
    check_ttls(rrset, findings);
    check_size(&by_data, findings);
}

/// Different TTLs in an rrset. Signatures of different types are different rrsets.
fn check_ttls(rrset: &[Keyed<'_>], findings: &mut Vec<Diagnostic>) {
    let first = rrset[0].record;
    let other = rrset.iter().map(|keyed| keyed.record).find(|record| record.ttl != first.ttl);
    let Some(other) = other.filter(|_| first.rtype != RecordType::RRSIG) else { return };
    let lowest = rrset.iter().map(|keyed| keyed.record.ttl).min().unwrap_or(first.ttl);
    let message = format!(
        "the {} records of `{}` have different TTLs; {lowest} is used for all",
        first.rtype, first.owner
    );
    let finding = Diagnostic::warning(other.span, message).label(format!("{} here", other.ttl));
    findings.push(finding.also(first.span, format!("{} here", first.ttl)));
}

fn check_size(rrset: &[&Record], findings: &mut Vec<Diagnostic>) {
    let Some(first) = rrset.iter().min_by_key(|record| record.span.start) else { return };
    let len: usize = rrset.iter().map(|record| record.rdata.len() + RECORD_OVERHEAD).sum();
    let mut message = format!("`{}` has {} {} records", first.owner, rrset.len(), first.rtype);
    if len > MESSAGE_LEN_MAX {
        write!(message, " of {len} octets; no message holds them").expect("a String takes all");
        findings.push(Diagnostic::error(first.span, message).label("the first one"));
    } else if rrset.len() > RRSET_LEN_LARGE {
        findings.push(Diagnostic::warning(first.span, message).label("the first one"));
    }
}

// ---- Targets ----

fn check_target(zone: &Zone<'_>, keyed: Keyed<'_>, findings: &mut Vec<Diagnostic>) {
    let record = keyed.record;
    let Some(target) = target(record) else { return };
    let key = Key::of(&target);
    if !zone.has(key.as_slice()) {
        return;
    }
    if zone.apex_twice.as_ref().is_some_and(|twice| key.as_slice().starts_with(twice.as_slice())) {
        findings.push(apex_twice(zone, record, &target));
    }
    let Record { owner, rtype, span, .. } = record;
    let must_be_host = matches!(*rtype, RecordType::NS | RecordType::MX | RecordType::SRV);
    if must_be_host && let Some(cname) = zone.sorted.find(key.as_slice(), RecordType::CNAME) {
        let message = format!("the {rtype} of `{owner}` points to the alias `{target}`");
        let finding = Diagnostic::warning(*span, message).also(cname.span, "this is the alias");
        findings.push(finding.hint("many resolvers do not follow it: name the host itself"));
    } else if *rtype == RecordType::NS
        && zone.cut_above(key.as_slice()).is_some()
        && !zone.has_address(key.as_slice())
    {
        let message = format!("name server `{target}` of `{owner}` has no address");
        let finding = Diagnostic::warning(*span, message).label("it cannot be found without");
        findings.push(finding.hint(format!("add glue: `{target} A …`")));
    }
}
