//! `explain`: what a client is answered and why.

use std::io::{self, Write};

use super::table::Table;
use super::{Console, Exit, ExplainArguments, Failure, ask, check, write_json};
use crate::admin::{ExplainQuery, answer_explain};
use crate::load::Place;
use crate::model::Report;
use crate::snapshot::explain::{Decision, EndpointNamed, Explanation, PoolFate, Whereabouts};

pub(super) fn run(
    console: &mut Console<'_>,
    place: &Place,
    arguments: &ExplainArguments,
) -> Result<Exit, Failure> {
    let query = ExplainQuery {
        name: arguments.name.clone(),
        qtype: Some(arguments.qtype.clone()),
        client: arguments.client.clone(),
        down: arguments.down.join(","),
    };
    let explanation = match arguments.server {
        Some(server) => ask(console, place, server, "/v1/explain", &query)?,
        None => {
            let mut report = Report::new();
            let snapshot = check::read(place, &mut report).filter(|_| !report.has_errors());
            let Some(snapshot) = snapshot else {
                console.report(&report)?;
                return Ok(Exit::Wrong);
            };
            let explained = answer_explain(&snapshot, &query);
            explained.map_err(|words| Failure::Said(Exit::Usage, words))?
        }
    };
    if arguments.json {
        return write_json(console, &explanation);
    }
    write_explanation(console.out, &explanation, &health_text(arguments))?;
    Ok(Exit::Fine)
}

/// Whose verdicts the decision was made by.
fn health_text(arguments: &ExplainArguments) -> String {
    let down = match &arguments.down[..] {
        [] => String::new(),
        down => format!(", but {} down", down.join(", ")),
    };
    match arguments.server {
        Some(_) => format!("as the running node knows it{down}"),
        None => format!("every endpoint up{down} (--server asks a running node)"),
    }
}

/// The answer and its reason first, then what they come from.
fn write_explanation(
    out: &mut dyn Write,
    explanation: &Explanation,
    health: &str,
) -> io::Result<()> {
    let Explanation { name, qtype, client, location, zone, found, result, decision, answer } =
        explanation;
    writeln!(out, "{name} {qtype} for {}\n", without_host_length(client))?;
    let ttl = decision.as_ref().map_or_else(String::new, |d| format!(", TTL {} s", d.ttl));
    let answer = if answer.is_empty() { result.clone() } else { answer.join(", ") };
    write_fact(out, "answer", &format!("{answer}{ttl}"))?;
    if let Some(Decision { endpoints, shares, why, .. }) = decision {
        let one = |e: &EndpointNamed| format!("{}/{} ({})", e.pool, e.name, e.verdict);
        let endpoints: Vec<String> = endpoints.iter().map(one).collect();
        if !endpoints.is_empty() {
            write_fact(out, "endpoint", &endpoints.join(", "))?;
        }
        write_fact(out, "because", why)?;
        if !shares.is_empty() {
            let one = |(endpoint, share): &(String, f64)| format!("{endpoint} {share:.1}%");
            let shares: Vec<String> = shares.iter().map(one).collect();
            write_fact(out, "shares", &shares.join(", "))?;
        }
    }
    writeln!(out)?;
    write_fact(out, "client", &location_text(location))?;
    for (database, network) in &location.rows {
        write_fact(out, "", &format!("by {network} of {database}"))?;
    }
    let zone = zone.as_deref().map_or_else(String::new, |zone| format!(" in zone {zone}"));
    write_fact(out, "name", &format!("{found}{zone}"))?;
    let Some(decision) = decision else { return Ok(()) };
    let Decision { policy, pick, steers, class, named_by, scope, ttl, ttl_by, .. } = decision;
    write_fact(out, "rule", &format!("{policy} between pools, {pick} inside one"))?;
    if !steers.is_empty() {
        write_fact(out, "", &format!("with the steers {} among them", steers.join(", ")))?;
    }
    let named = named_by.as_ref().map_or_else(String::new, |what| format!(", by {what}"));
    write_fact(out, "class", &format!("{class}{named}; answers have scope /{scope}"))?;
    write_fact(out, "ttl", &format!("{ttl} s: {ttl_by}"))?;
    write_fact(out, "health", health)?;
    if let Some(frozen) = &decision.frozen {
        write_fact(out, "", &format!("frozen {frozen}"))?;
    }
    if let Some(observed) = &decision.observed {
        let text = format!("not acted on (observe-only); else {} would answer", list(observed));
        write_fact(out, "", &text)?;
    }
    if !decision.next.is_empty() {
        write_fact(out, "next", &format!("{}, if these were lost", list(&decision.next)))?;
    }
    if !decision.ladder.is_empty() {
        let rungs: Vec<String> = decision.ladder.iter().map(|pools| list(pools)).collect();
        let text = format!("then {}, for clients to go on by themselves", rungs.join(", then "));
        write_fact(out, "ladder", &text)?;
    }
    writeln!(out)?;
    write_pools(out, &decision.pools)
}

fn write_fact(out: &mut dyn Write, what: &str, text: &str) -> io::Result<()> {
    writeln!(out, "  {what:<8} {text}")
}

fn list(pools: &[String]) -> String {
    if pools.is_empty() { "nothing".to_owned() } else { pools.join(", ") }
}

/// Pools in the order of the client's preference, with a mark at those that answer.
fn write_pools(out: &mut dyn Write, pools: &[PoolFate]) -> io::Result<()> {
    let mut table = Table::new(&["", "POOL", "REGION", "    KM", "ENDPOINTS", "WHY"]);
    for pool in pools {
        let verdicts: Vec<String> =
            pool.endpoints.iter().map(|(name, verdict)| format!("{name} {verdict}")).collect();
        let kilometres = pool.kilometres.map_or_else(|| "-".to_owned(), |km| km.to_string());
        table.row([
            if pool.is_kept { "->" } else { "" }.to_owned(),
            pool.path.iter().chain([&pool.pool]).cloned().collect::<Vec<_>>().join(" > "),
            pool.region.clone(),
            format!("{kilometres:>6}"),
            verdicts.join(", "),
            pool.reason.clone(),
        ]);
    }
    table.write(out, "  ")
}

/// A client as it was given: an address alone is no subnet.
fn without_host_length(client: &str) -> &str {
    match client.split_once('/') {
        Some((address, "32")) if !address.contains(':') => address,
        Some((address, "128")) => address,
        _ => client,
    }
}

/// `GB, EU, at 51.83 -0.50, AS64500`.
pub(super) fn location_text(location: &Whereabouts) -> String {
    let Whereabouts { continent, country, coordinates, asn, .. } = location;
    let coordinates = coordinates.map(|(lat, lon)| format!("at {lat:.2} {lon:.2}"));
    let known =
        [country.clone(), continent.clone(), coordinates, asn.map(|asn| format!("AS{asn}"))];
    let known: Vec<String> = known.into_iter().flatten().collect();
    if known.is_empty() { "nowhere that a database knows".to_owned() } else { known.join(", ") }
}
