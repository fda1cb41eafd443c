//! What can be wrong with a zone's records as a whole.
//!
//! [`NamesBuilder::check`] looks at static records together and reports what no single line shows. Errors are
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
//! | error | a delegation beside a DNAME | 6672 §2.3 |
//! | error | an rrset that no message can hold | 1035 §4.2.2 |
//! | warning | an rrset with several TTLs; the lowest is used | 2181 §5.2 |
//! | warning | a name server below a cut without address | 1034 §4.2.1 |
//! | warning | data that a cut hides | 2181 §6.1 |
//! | warning | a DS that is at no cut, or whose digest has a wrong length | 4035 §2.4, 4034 §5.1 |
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

use super::build::{Draft, DraftRecord, NamesBuilder, RECORD_OVERHEAD};
use super::image::unfold;
use super::master::RecordRef;
use crate::model::names::{Flags, NameRecord, hash_of, is_at_or_below, to_name};
use crate::model::{Diagnostic, Name, Record, RecordType, Report, Severity, Span};

/// After so many findings no more are looked for.
const FINDINGS_MAX: usize = 200;
/// A larger rrset than this is probably a mistake, and makes for large answers.
const RRSET_LEN_LARGE: usize = 100;
/// Octets of records that a message holds beside its header, the longest question, and an OPT record with
/// all options that we know.
pub(crate) const RRSET_OCTETS_MAX: usize = 65_535 - 512;
/// Delegations that are gone through in search of one server's address: a file may chain as many as it
/// likes.
const DETOURS_MAX: usize = 8;
/// Longer negative answers are more trouble than use (RFC 2308 §5).
const MINIMUM_SECS_LARGE: u32 = 86_400;

/// Checks the records of the zone `apex`, in any order, and reports what is wrong. `apex_span` is
/// where the zone is declared, for what is missing.
pub fn check(report: &mut Report, apex: &Name, apex_span: Option<Span>, records: &[Record]) {
    let mut names = NamesBuilder::new(apex);
    for record in records {
        names.add(record.into());
    }
    names.check(report, apex_span);
}

impl NamesBuilder {
    /// Reports what is wrong with the records so far. `apex_span` is where the zone is declared, for
    /// what is missing.
    pub fn check(&mut self, report: &mut Report, apex_span: Option<Span>) {
        self.close_draft();
        let mut findings = std::mem::take(&mut self.findings);
        self.check_apex(apex_span, &mut findings);
        if !self.cuts.is_empty() || self.has_dname {
            self.check_below(&mut findings);
        }
        for at in self.pointing.iter().filter(|at| !self.is_hidden(**at)) {
            if findings.len() > FINDINGS_MAX {
                break;
            }
            self.check_targets(*at, &mut findings);
        }
        // A name that is come back to is judged again.
        findings.sort_by_key(place_of);
        findings.dedup_by(|a, b| a.message == b.message && place_of(a) == place_of(b));
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
}

/// Findings are told in the order of the text.
fn place_of(finding: &Diagnostic) -> Option<(crate::model::SourceId, u32)> {
    finding.labels.first().map(|(span, _)| (span.source, span.start))
}

/// Where the name stands that a record points to.
const fn target_start(rtype: RecordType) -> Option<usize> {
    match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => Some(0),
        RecordType::MX => Some(2),
        RecordType::SRV => Some(6),
        _ => None,
    }
}

/// Whether such records point to what must be a host with addresses, not an alias.
pub(super) const fn points_to_host(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::NS | RecordType::MX | RecordType::SRV)
}

/// The name that a record points to, in lower case and wire form.
fn target(rtype: RecordType, rdata: &[u8]) -> Option<Vec<u8>> {
    let rest = rdata.get(target_start(rtype)?..)?;
    let (_, len) = Name::from_wire(rest).ok()?;
    Some(rest[..len].to_ascii_lowercase())
}

// ---- The apex ----

impl NamesBuilder {
    fn check_apex(&self, apex_span: Option<Span>, findings: &mut Vec<Diagnostic>) {
        let missing = |what: &str, place: Option<Span>, hint: &str| {
            let message = format!("zone `{}` has no {what}", self.apex);
            place
                .map_or_else(
                    || Diagnostic::error_without_place(&*message),
                    |place| Diagnostic::error(place, &*message),
                )
                .hint(hint)
        };
        let at = self.at(&self.apex_wire);
        let place = |rtype| at.and_then(|at| self.place_of(at, rtype));
        let soa = place(RecordType::SOA);
        match (soa, at.and_then(|at| self.record(at).rrset(RecordType::SOA))) {
            (Some(place), Some(soa)) => {
                let soa = unfold(&self.apex_wire, soa).into_iter().next();
                check_soa_times(&soa.unwrap_or_default().1, place, findings);
            }
            _ => findings.push(missing("SOA", apex_span, "add `@ SOA …` at its apex")),
        }
        if place(RecordType::NS).is_none() {
            findings.push(missing("name servers", apex_span.or(soa), "add at least one `@ NS …`"));
        }
    }
}

fn check_soa_times(soa: &[u8], place: Span, findings: &mut Vec<Diagnostic>) {
    let mut times = soa.rchunks_exact(4).filter_map(|time| time.try_into().ok());
    let mut next = || times.next().map(u32::from_be_bytes);
    let (Some(minimum), Some(expire), Some(retry), Some(refresh)) =
        (next(), next(), next(), next())
    else {
        return;
    };
    let mut warn = |message: String, hint: &str| {
        findings.push(Diagnostic::warning(place, message).hint(hint));
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

// ---- The records of one name ----

/// A record outside the zone.
pub(super) fn out_of_zone(apex: &Name, record: RecordRef<'_>) -> Diagnostic {
    let message = format!("`{}` is not in zone `{apex}`", record.owner);
    Diagnostic::error(record.span, message)
        .hint("remove it, or serve it as a zone of its own; a dot at the end makes a name complete")
}

impl NamesBuilder {
    /// Notices what is wrong with the records of one name, which are sorted by type.
    pub(super) fn judge_name(&mut self, name: &Draft) {
        if self.findings.len() > FINDINGS_MAX {
            return;
        }
        if self.has_apex_twice(&name.owner) {
            self.findings.push(self.apex_twice(name.records[0].place, &name.owner));
        }
        judge_alias(name, &mut self.findings);
        judge_delegation(name, self.is_apex(&name.owner), &mut self.findings);
        for rrset in name.records.chunk_by(|a, b| a.rtype == b.rtype) {
            let first = rrset[0];
            if first.rtype == RecordType::SOA && !self.is_apex(&name.owner) {
                let (owner, apex) = (to_name(&name.owner), &self.apex);
                let message = format!("an SOA at `{owner}`, which is not the apex `{apex}`");
                self.findings.push(Diagnostic::error(first.place, message));
            }
            judge_rrset(name, rrset, &mut self.findings);
            for record in rrset.iter().filter(|_| target_start(first.rtype).is_some()) {
                let target = target(first.rtype, name.rdata(record));
                if let Some(target) = target.filter(|target| self.has_apex_twice(target)) {
                    self.findings.push(self.apex_twice(record.place, &target));
                }
            }
        }
    }

    fn has_apex_twice(&self, name: &[u8]) -> bool {
        self.apex_twice.as_ref().is_some_and(|twice| is_at_or_below(name, twice))
    }

    fn apex_twice(&self, place: Span, name: &[u8]) -> Diagnostic {
        let (name, apex) = (to_name(name), &self.apex);
        let message = format!("`{name}` has the name of zone `{apex}` in it twice");
        Diagnostic::warning(place, message).hint("a name that is complete ends with a dot")
    }
}

/// CNAME beside anything but DNSSEC's own types (RFC 2181 §10.1, RFC 4034 §2.5).
fn judge_alias(name: &Draft, findings: &mut Vec<Diagnostic>) {
    let is_cname = |record: &&DraftRecord| record.rtype == RecordType::CNAME;
    let Some(cname) = name.records.iter().find(is_cname) else { return };
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
    if let Some(other) = name.records.iter().find(|record| !may_be_beside(record.rtype)) {
        let message = format!("`{}` has a CNAME and other data", to_name(&name.owner));
        let finding = Diagnostic::error(cname.place, message).label("an alias has no other data");
        findings.push(finding.also(other.place, format!("{}", other.rtype)));
    }
}

/// A DNAME beside NS: the zone below would answer for what the DNAME redirects (RFC 6672 §2.3). The
/// apex may have both.
fn judge_delegation(name: &Draft, is_apex: bool, findings: &mut Vec<Diagnostic>) {
    let find = |rtype| name.records.iter().find(|record| record.rtype == rtype);
    let ns = find(RecordType::NS).filter(|_| !is_apex);
    if let (Some(ns), Some(dname)) = (ns, find(RecordType::DNAME)) {
        let message = format!("`{}` is delegated, and has a DNAME", to_name(&name.owner));
        findings.push(Diagnostic::error(dname.place, message).also(ns.place, "delegated here"));
    }
    if let Some(ds) = find(RecordType::DS).filter(|_| ns.is_none()) {
        let message = format!("the DS of `{}` is at no delegation", to_name(&name.owner));
        let hint =
            if is_apex { "it belongs into the zone above" } else { "add `NS`, or remove it" };
        findings.push(Diagnostic::warning(ds.place, message).hint(hint));
    }
    for ds in name.records.iter().filter(|record| record.rtype == RecordType::DS) {
        judge_digest(name, ds, findings);
    }
}

/// The length of a DS's digest, where the registry says what it is.
fn judge_digest(name: &Draft, ds: &DraftRecord, findings: &mut Vec<Diagnostic>) {
    let [_, _, _, digest_type, digest @ ..] = name.rdata(ds) else { return };
    let len = match digest_type {
        1 => 20,
        2 | 3 => 32,
        4 => 48,
        _ => return,
    };
    if digest.len() != len {
        let (owner, own_len) = (to_name(&name.owner), digest.len());
        let message = format!("the digest in the DS of `{owner}` is {own_len} octets long");
        let label = format!("one of type {digest_type} is {len} long");
        findings.push(Diagnostic::warning(ds.place, message).label(label));
    }
}

/// What is wrong with an rrset by itself.
fn judge_rrset(name: &Draft, rrset: &[DraftRecord], findings: &mut Vec<Diagnostic>) {
    if let [only] = rrset {
        let len = name.rdata(only).len() + RECORD_OVERHEAD;
        if len > RRSET_OCTETS_MAX {
            judge_size(&to_name(&name.owner), *only, 1, len, findings);
        }
        return;
    }
    let (owner, rtype) = (to_name(&name.owner), rrset[0].rtype);
    let mut by_data: Vec<&DraftRecord> = rrset.iter().collect();
    by_data.sort_by(|a, b| name.rdata(a).cmp(name.rdata(b)));
    for same in by_data.windows(2).filter(|pair| name.rdata(pair[0]) == name.rdata(pair[1])) {
        let message = format!("the same {rtype} record of `{owner}` twice");
        findings.push(Diagnostic::warning(same[1].place, message).also(same[0].place, "also here"));
    }
    by_data.dedup_by(|a, b| name.rdata(a) == name.rdata(b));
    let is_singleton = matches!(rtype, RecordType::SOA | RecordType::CNAME | RecordType::DNAME);
    if is_singleton && let [one, other, ..] = by_data[..] {
        let (one, other) =
            if one.place.start < other.place.start { (one, other) } else { (other, one) };
        let message = format!("`{owner}` has several {rtype} records");
        findings.push(Diagnostic::error(other.place, message).also(one.place, "the other one"));
    }
    judge_ttls(&owner, rrset, findings);
    let len = by_data.iter().map(|record| name.rdata(record).len() + RECORD_OVERHEAD).sum();
    judge_size(&owner, rrset[0], by_data.len(), len, findings);
}

/// Different TTLs in an rrset. Signatures of different types are different rrsets.
fn judge_ttls(owner: &Name, rrset: &[DraftRecord], findings: &mut Vec<Diagnostic>) {
    let first = rrset[0];
    let other = rrset.iter().find(|record| record.ttl != first.ttl);
    let Some(other) = other.filter(|_| first.rtype != RecordType::RRSIG) else { return };
    let lowest = rrset.iter().map(|record| record.ttl).min().unwrap_or(first.ttl);
    let message = format!(
        "the {} records of `{owner}` have different TTLs; {lowest} is used for all",
        first.rtype
    );
    let finding = Diagnostic::warning(other.place, message).label(format!("{} here", other.ttl));
    findings.push(finding.also(first.place, format!("{} here", first.ttl)));
}

fn judge_size(
    owner: &Name,
    first: DraftRecord,
    count: usize,
    len: usize,
    findings: &mut Vec<Diagnostic>,
) {
    let mut message = format!("`{owner}` has {count} {} records", first.rtype);
    if len > RRSET_OCTETS_MAX {
        write!(message, " of {len} octets; no message holds them").expect("a String takes all");
        findings.push(Diagnostic::error(first.place, message).label("the first one"));
    } else if count > RRSET_LEN_LARGE {
        findings.push(Diagnostic::warning(first.place, message).label("the first one"));
    }
}

// ---- Delegations and redirections ----

impl NamesBuilder {
    /// Looks for data that a cut or a DNAME above hides.
    fn check_below(&self, findings: &mut Vec<Diagnostic>) {
        let servers = self.servers_by_hash();
        for (at, record) in self.named() {
            if findings.len() > FINDINGS_MAX {
                return;
            }
            if self.has_dname {
                findings.extend(self.below_dname(at, record));
            }
            if let Some(cut) = self.highest(record.name(), Flags::CUT) {
                self.check_hidden(at, record, cut, &servers, findings);
            }
        }
    }

    /// The hashes of the names of all name servers.
    fn servers_by_hash(&self) -> HashSet<u64> {
        let targets = |at: &u32| {
            let record = self.record(*at);
            let servers = record.rrset(RecordType::NS).map(|ns| unfold(record.name(), ns));
            servers.unwrap_or_default().into_iter().map(|(_, server)| server.to_ascii_lowercase())
        };
        let pointing = self.pointing.iter().filter(|at| !self.is_hidden(**at));
        pointing.flat_map(targets).map(|server| hash_of(&server)).collect()
    }

    fn below_dname(&self, at: u32, record: NameRecord<'_>) -> Option<Diagnostic> {
        let parent = crate::model::names::parent_of(record.name())?;
        let dname_at = self.highest(parent, Flags::DNAME)?;
        let dname = self.record(dname_at);
        let (name, above) = (to_name(record.name()), to_name(dname.name()));
        let message = format!("`{name}` lies below the DNAME of `{above}`");
        let first = record.rrsets().next()?.rtype;
        let finding = Diagnostic::error(self.place_of(at, first)?, message);
        let dname_place = self.place_of(dname_at, RecordType::DNAME)?;
        Some(finding.also(dname_place, "this DNAME answers for all names below its own"))
    }

    /// Data at or below a cut that only the zone below may have.
    fn check_hidden(
        &self,
        at: u32,
        record: NameRecord<'_>,
        cut: u32,
        servers: &HashSet<u64>,
        findings: &mut Vec<Diagnostic>,
    ) {
        for rrset in record.rrsets() {
            let belongs = match rrset.rtype {
                RecordType::A | RecordType::AAAA => servers.contains(&hash_of(record.name())),
                RecordType::NS | RecordType::DS | RecordType::NSEC | RecordType::RRSIG => at == cut,
                // An error of its own.
                RecordType::DNAME => at == cut,
                _ => false,
            };
            if belongs {
                continue;
            }
            let places = (self.place_of(at, rrset.rtype), self.place_of(cut, RecordType::NS));
            if let (Some(place), Some(cut_place)) = places {
                let (owner, cut) = (to_name(record.name()), to_name(self.record(cut).name()));
                let message = format!(
                    "the {} of `{owner}` is hidden by the delegation of `{cut}`",
                    rrset.rtype
                );
                let finding = Diagnostic::warning(place, message).label("never answered");
                findings.push(finding.also(cut_place, "delegated here"));
            }
        }
    }
}

// ---- Targets ----

impl NamesBuilder {
    fn has_address(&self, name: &[u8]) -> bool {
        let has = |record: NameRecord<'_>, rtype| record.rrset(rtype).is_some();
        let record = self.get(name);
        record.is_some_and(|known| has(known, RecordType::A) || has(known, RecordType::AAAA))
    }

    /// Whether the server `target`, to which names of `owner` are delegated, cannot be found by what the
    /// zone says of it.
    ///
    /// A server inside of what it serves needs glue (RFC 9471 §3.1). One that lies in another delegation
    /// can be looked for there, unless that one leads to no server either.
    fn needs_glue(&self, owner: &[u8], target: &[u8]) -> bool {
        self.highest(target, Flags::CUT).is_some()
            && !self.has_address(target)
            && (is_at_or_below(target, owner) || !self.is_found(target, &mut Vec::new()))
    }

    /// Whether the address of a server can be found without what is below the cuts in `passed`.
    fn is_found(&self, server: &[u8], passed: &mut Vec<u32>) -> bool {
        let Some(cut) = self.highest(server, Flags::CUT) else { return true };
        if self.has_address(server) {
            return true;
        }
        if passed.contains(&cut) || passed.len() == DETOURS_MAX {
            return false;
        }
        passed.push(cut);
        let cut = self.record(cut);
        let others = cut.rrset(RecordType::NS).map(|ns| unfold(cut.name(), ns));
        let mut others = others.unwrap_or_default().into_iter();
        others.any(|(_, other)| self.is_found(&other.to_ascii_lowercase(), passed))
    }

    /// Looks at what the records of a name point to.
    fn check_targets(&self, at: u32, findings: &mut Vec<Diagnostic>) {
        let record = self.record(at);
        for rrset in record.rrsets().filter(|rrset| points_to_host(rrset.rtype)) {
            let Some(first) = self.places_of(at, rrset.rtype) else { continue };
            for (n, (_, rdata)) in unfold(record.name(), rrset).iter().enumerate() {
                if let (Some(target), Some(place)) = (target(rrset.rtype, rdata), first.get(n)) {
                    findings.extend(self.judge_target(record, rrset.rtype, &target, *place));
                }
            }
        }
    }

    fn judge_target(
        &self,
        record: NameRecord<'_>,
        rtype: RecordType,
        target: &[u8],
        place: Span,
    ) -> Option<Diagnostic> {
        if !is_at_or_below(target, &self.apex_wire) {
            return None;
        }
        let (owner, name) = (to_name(record.name()), to_name(target));
        let at = self.at(target);
        if let Some(alias) = at.and_then(|at| self.place_of(at, RecordType::CNAME)) {
            let message = format!("the {rtype} of `{owner}` points to the alias `{name}`");
            let finding = Diagnostic::warning(place, message).also(alias, "this is the alias");
            return Some(finding.hint("many resolvers do not follow it: name the host itself"));
        }
        if rtype == RecordType::NS && self.needs_glue(record.name(), target) {
            let message = format!("name server `{name}` of `{owner}` has no address");
            let finding = Diagnostic::warning(place, message).label("it cannot be found without");
            return Some(finding.hint(format!("add glue: `{name} A …`")));
        }
        None
    }
}
