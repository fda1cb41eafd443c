//! `probe`: makes a check now, from here, and tells what it saw.
//!
//! The target is asked as `serve` would ask it, but only so often as was said, and nothing comes of it: no
//! running node hears of the results.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Console, Exit, Failure, ProbeArguments, check, read_server, write_json};
use crate::clock::Clock;
use crate::load::{self, Place};
use crate::model::check::{
    Carrier, DnsCheck, ExecCheck, GrpcCheck, HttpCheck, TextCheck, TlsCheck, TlsTerms,
};
use crate::model::formula::Formula;
use crate::model::health::ProbeOutcome;
use crate::model::{
    Check, CheckId, CheckKind, CheckSpec, EndpointId, Name, Report, Target, TargetHealth, Verdict,
    Zone,
};
use crate::probe::{Account, Denied, Prober};
use crate::zone::rdata_to_text;

/// A check and the zone that defines it.
struct Found<'z> {
    zone: &'z Zone,
    id: CheckId,
    check: &'z Check,
}

/// What is probed, and the endpoint that it is of, if it is one's: `web-eu/eu-1`.
struct Asked {
    target: Target,
    endpoint: Option<String>,
}

pub(super) fn run(
    console: &mut Console<'_>,
    place: &Place,
    arguments: &ProbeArguments,
) -> Result<Exit, Failure> {
    let config = read_server(console, place)?;
    let mut report = Report::new();
    let snapshot = check::read(place, &mut report).filter(|_| !report.has_errors());
    let Some(snapshot) = snapshot else {
        console.report(&report)?;
        return Ok(Exit::Wrong);
    };
    let usage = |words| Failure::Said(Exit::Usage, words);
    let check = arguments.check.as_deref().unwrap_or_default();
    let found = find(snapshot.zones(), check).map_err(usage)?;
    let asked = match &arguments.target {
        Some(host) => {
            let target = Target { host: host.clone(), spec: Arc::clone(&found.check.spec) };
            vec![Asked { target, endpoint: None }]
        }
        None => endpoints(&found),
    };
    if asked.is_empty() {
        let words = "no endpoint has this check: say what to ask by `--target ADDRESS`".to_owned();
        return Err(usage(words));
    }
    let prober = Prober::new(Clock::start())
        .with_programs(load::programs(place, &config))
        .with_denied(Denied::new(&config))
        .with_source(config.fixed.probe.source);
    let results = probe_all(&asked, arguments.count, &prober)?;
    let bad = [Verdict::Down, Verdict::Unknown].map(Verdict::word);
    let is_up = results.iter().all(|result| !result.decides || !bad.contains(&result.verdict));
    if arguments.json {
        write_json(console, &results)?;
    } else {
        write_head(console.out, &found)?;
        results.iter().try_for_each(|result| write_result(console.out, result))?;
    }
    Ok(if is_up { Exit::Fine } else { Exit::Wrong })
}

// ---- What is asked ----

/// The check of that name; `written` is it or `ZONE/CHECK`.
fn find<'z>(zones: &'z [Arc<Zone>], written: &str) -> Result<Found<'z>, String> {
    let (of_zone, name) = match written.split_once('/') {
        Some((zone, name)) => {
            let apex = Name::parse(zone, &Name::root()).map_err(|error| error.to_string())?;
            (Some(apex), name)
        }
        None => (None, written),
    };
    let of = |zone: &'z Arc<Zone>| {
        let place = zone.checks.iter().position(|check| check.name == name)?;
        Some(Found { zone, id: CheckId::new(place), check: &zone.checks[place] })
    };
    let zones = zones.iter().filter(|zone| of_zone.as_ref().is_none_or(|apex| zone.apex == *apex));
    let mut found: Vec<_> = zones.filter_map(of).collect();
    match (found.len(), found.pop()) {
        (1, Some(found)) => Ok(found),
        (_, Some(last)) => {
            found.push(last);
            let names = found.iter().map(|found| format!("{}/{name}", shown(&found.zone.apex)));
            let names: Vec<_> = names.collect();
            Err(format!("several zones have a check `{name}`: write {}", names.join(" or ")))
        }
        (_, None) => Err(format!("there is no check `{written}` in the zone files")),
    }
}

/// A zone's name as in the names of its files, without the dot at its end.
fn shown(apex: &Name) -> String {
    let name = apex.to_string();
    match name.strip_suffix('.') {
        None | Some("") => name,
        Some(bare) => bare.to_owned(),
    }
}

/// The targets of all endpoints that have the check, each once.
fn endpoints(found: &Found<'_>) -> Vec<Asked> {
    let Found { zone, id, .. } = found;
    let mut asked: Vec<Asked> = Vec::new();
    for (place, endpoint) in zone.endpoints.iter().enumerate() {
        let pool = &zone.pools[endpoint.pool.index()];
        if pool.check != Some(*id) {
            continue;
        }
        for target in zone.targets_of(EndpointId::new(place)).iter() {
            if !asked.iter().any(|known| known.target == *target) {
                let endpoint = Some(format!("{}/{}", pool.name, endpoint.name));
                asked.push(Asked { target: target.clone(), endpoint });
            }
        }
    }
    asked
}

// ---- How it went ----

/// One probe for programs.
#[derive(Serialize)]
struct ProbeReport {
    target: String,
    endpoint: Option<String>,
    /// The address that was asked last; none when no name was resolved.
    address: Option<String>,
    /// How long after its start each step was done, in milliseconds.
    steps: Vec<(&'static str, f64)>,
    facts: Vec<String>,
    /// The beginning of what was said, with all but printable ASCII escaped.
    said: String,
    /// How long a success took, in milliseconds.
    took_ms: Option<f64>,
    /// `up`, `degraded`, `down`, or `unknown` when this machine could not ask.
    verdict: &'static str,
    /// Why it is not up.
    reason: Option<String>,
    /// Whether it was asked for itself, and not for the sake of another.
    #[serde(skip)]
    decides: bool,
}

impl Default for ProbeReport {
    fn default() -> Self {
        Self {
            target: String::new(),
            endpoint: None,
            address: None,
            steps: Vec::new(),
            facts: Vec::new(),
            said: String::new(),
            took_ms: None,
            verdict: Verdict::Unknown.word(),
            reason: None,
            decides: true,
        }
    }
}

fn probe_all(asked: &[Asked], count: u16, prober: &Prober) -> Result<Vec<ProbeReport>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let mut reports = Vec::new();
        for asked in asked {
            if !asked.target.spec.kind.is_probed() {
                for _ in 0..count {
                    reports.extend(make(asked, prober).await);
                }
                continue;
            }
            let mut probe = prober.prepare(asked.target.clone());
            for _ in 0..count {
                let (outcome, account) = probe.run_telling().await;
                reports.push(ProbeReport::new(asked, outcome, account));
            }
        }
        reports
    }))
}

/// Probes what a verdict is made of, and then makes it, which is the last report.
async fn make(asked: &Asked, prober: &Prober) -> Vec<ProbeReport> {
    let mut reports = Vec::new();
    let mut verdicts: HashMap<Target, Verdict> = HashMap::new();
    for target in asked.target.probed() {
        if verdicts.contains_key(&target) {
            continue;
        }
        let (outcome, account) = prober.prepare(target.clone()).run_telling().await;
        let member = Asked { target: target.clone(), endpoint: None };
        let report = ProbeReport::new(&member, outcome, account);
        reports.push(ProbeReport { decides: false, ..report });
        verdicts.insert(target, verdict_of(outcome));
    }
    let known = |target: &Target| {
        let verdict = verdicts.get(target).copied().unwrap_or_default();
        TargetHealth { verdict, ..TargetHealth::UNCHECKED }
    };
    let verdict = asked.target.health_by(&known).verdict;
    let facts = match &asked.target.spec.kind {
        CheckKind::Calculated(formula) => {
            vec![formula.evidence(&asked.target.host, &known).to_string()]
        }
        _ => Vec::new(),
    };
    reports.push(ProbeReport {
        target: asked.target.to_string(),
        endpoint: asked.endpoint.clone(),
        facts,
        verdict: verdict.word(),
        ..ProbeReport::default()
    });
    reports
}

/// The verdict that one probe would give.
const fn verdict_of(outcome: ProbeOutcome) -> Verdict {
    match outcome {
        ProbeOutcome::Success(_) => Verdict::Up,
        ProbeOutcome::Flawed(..) => Verdict::Degraded,
        ProbeOutcome::Failure(_) => Verdict::Down,
        ProbeOutcome::LocalError(_) => Verdict::Unknown,
    }
}

impl ProbeReport {
    fn new(asked: &Asked, outcome: ProbeOutcome, account: Account) -> Self {
        let Account { steps, address, facts, said } = account;
        let (took, reason) = match outcome {
            ProbeOutcome::Success(took) => (Some(took), None),
            ProbeOutcome::Flawed(took, flaw) => (Some(took), Some(flaw.to_string())),
            ProbeOutcome::Failure(reason) => (None, Some(reason.to_string())),
            ProbeOutcome::LocalError(error) => (None, Some(error.to_string())),
        };
        Self {
            target: asked.target.to_string(),
            endpoint: asked.endpoint.clone(),
            address: address.map(|address| address.ip().to_string()),
            steps: steps.into_iter().map(|(what, after)| (what, millis(after))).collect(),
            facts,
            said: said.escape_ascii().to_string(),
            took_ms: took.map(millis),
            verdict: verdict_of(outcome).word(),
            reason,
            decides: true,
        }
    }
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1000.0
}

// ---- In words ----

fn write_head(out: &mut dyn Write, found: &Found<'_>) -> io::Result<()> {
    let Found { zone, check: Check { name, spec }, .. } = found;
    let CheckSpec { kind, interval, timeout, rise, fall, invert, tls, .. } = &**spec;
    writeln!(out, "check {name} of zone {}: {}", shown(&zone.apex), kind.word())?;
    let (asks, expects) = (asks(kind), expects(kind));
    let expects = if *invert { format!("anything but {expects}") } else { expects };
    let terms = tls.as_deref().map(terms).unwrap_or_default();
    writeln!(out, "  asks     {asks}{terms}")?;
    writeln!(out, "  expects  {expects}")?;
    if !kind.is_probed() {
        return Ok(());
    }
    writeln!(
        out,
        "  counts   a failure after {timeout:?}; every {interval:?}, {fall} failures take down, {rise} \
         successes bring up"
    )
}

fn write_result(out: &mut dyn Write, result: &ProbeReport) -> io::Result<()> {
    let of = result.endpoint.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    writeln!(out, "\n{}{of}", result.target)?;
    for (what, after) in &result.steps {
        writeln!(out, "  {what:<10} {after:>9.2} ms")?;
    }
    if let Some(took) = result.took_ms {
        writeln!(out, "  {:<10} {took:>9.2} ms", "total")?;
    }
    result.facts.iter().try_for_each(|fact| writeln!(out, "  {fact}"))?;
    if !result.said.is_empty() {
        writeln!(out, "  says \"{}\"", result.said)?;
    }
    match &result.reason {
        None => writeln!(out, "  {}", result.verdict),
        Some(reason) => writeln!(out, "  {}: {reason}", result.verdict),
    }
}

/// What a check does.
fn asks(kind: &CheckKind) -> String {
    let named = |host: &Option<String>| host.as_deref().unwrap_or("the endpoint").to_owned();
    let verified = |verify| if verify { "verified" } else { "not verified" };
    match kind {
        CheckKind::Tcp => "for a connection".to_owned(),
        CheckKind::Text(TextCheck { send: Some(text), .. }) => format!("says {text:?}"),
        CheckKind::Text(TextCheck { send: None, .. }) => "listens".to_owned(),
        CheckKind::Tls(TlsCheck { host, verify }) => {
            format!("for the certificate of {}, {}", named(host), verified(*verify))
        }
        CheckKind::Http(HttpCheck { tls, method, path, host, verify, .. }) => {
            let tls =
                if *tls { format!(", certificate {}", verified(*verify)) } else { String::new() };
            format!("{method} {path} of {}{tls}", named(host))
        }
        CheckKind::Dns(DnsCheck { qname, qtype, over: Carrier::Udp, .. }) => {
            format!("{qname} {qtype}")
        }
        CheckKind::Dns(DnsCheck { qname, qtype, over: Carrier::Tcp, .. }) => {
            format!("{qname} {qtype} over TCP")
        }
        CheckKind::Grpc(GrpcCheck { tls, host, verify, service }) => {
            let tls =
                if *tls { format!(", certificate {}", verified(*verify)) } else { String::new() };
            let service = if service.is_empty() { "the whole server" } else { service };
            format!("for the health of {service} at {}{tls}", named(host))
        }
        CheckKind::Exec(ExecCheck { program, arguments }) => {
            let quoted = arguments.iter().map(|argument| format!(" {argument:?}"));
            format!("the program {program}{}", quoted.collect::<String>())
        }
        CheckKind::Icmp => "an ICMP echo request, twice if need be".to_owned(),
        CheckKind::Heartbeat(_) => {
            "nobody: endpoints report to running nodes, whose `status` tells of it".to_owned()
        }
        CheckKind::Fixed(_) => "nobody".to_owned(),
        CheckKind::Calculated(Formula { members, .. }) => {
            let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
            format!("what {} say", names.join(", "))
        }
    }
}

/// What a check over TLS goes by.
fn terms(terms: &TlsTerms) -> String {
    let TlsTerms { roots, identity, margin } = terms;
    let roots = roots.as_ref().map(|_| ", by a CA of its own".to_owned());
    let identity = identity.as_ref().map(|_| ", showing one of its own".to_owned());
    let margin = margin.map(|margin| match margin.as_secs() / 3600 {
        hours @ 0..48 => format!(", good for {hours} hours"),
        hours => format!(", good for {} days", hours / 24),
    });
    [roots, identity, margin].into_iter().flatten().collect()
}

/// What counts as a success.
fn expects(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Tcp => "that it is opened".to_owned(),
        CheckKind::Text(TextCheck { expect: Some(text), .. }) => format!("an answer with {text:?}"),
        CheckKind::Text(TextCheck { expect: None, .. }) => "any answer".to_owned(),
        CheckKind::Tls(_) => "a complete handshake".to_owned(),
        CheckKind::Http(HttpCheck { status, body, .. }) => {
            let range = |range: &std::ops::RangeInclusive<u16>| match (range.start(), range.end()) {
                (from, to) if from == to => from.to_string(),
                (from, to) => format!("{from}-{to}"),
            };
            let status: Vec<_> = status.iter().map(range).collect();
            let body =
                body.as_ref().map_or_else(String::new, |text| format!(", a body with {text:?}"));
            format!("status {}{body}", status.join(" or "))
        }
        CheckKind::Dns(DnsCheck { qtype, rcode, answer, .. }) => {
            let rcode = crate::model::FailureReason::Rcode(*rcode);
            let answer = answer.as_ref().map(|rdata| rdata_to_text(*qtype, rdata));
            let answer = answer.map_or_else(String::new, |text| format!(", a record with {text}"));
            format!("{rcode}{answer}")
        }
        CheckKind::Grpc(_) => "SERVING".to_owned(),
        CheckKind::Exec(_) => "exit status 0".to_owned(),
        CheckKind::Icmp => "the reply".to_owned(),
        CheckKind::Heartbeat(check) => format!("a report within {:?}", check.period),
        CheckKind::Fixed(verdict) => format!("nothing: it is {verdict}"),
        CheckKind::Calculated(formula) => formula.to_string(),
    }
}
