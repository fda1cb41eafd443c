//! `explain`: what a client is answered and why.

use std::io::{self, Write};

use super::table::Table;
use super::{Console, Exit, ExplainArguments, Failure, ask, check, write_json};
use crate::admin::{ExplainQuery, answer_explain};
use crate::load::Place;
use crate::model::Report;
use crate::snapshot::explain::{Decision, Explanation, Whereabouts};

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
    let (explanation, from) = match arguments.server {
        Some(server) => {
            (ask(console, place, server, "/v1/explain", &query)?, "the running node's health")
        }
        None => {
            let mut report = Report::new();
            let snapshot = check::read(place, None, &mut report).filter(|_| !report.has_errors());
            let Some(snapshot) = snapshot else {
                console.report(&report)?;
                return Ok(Exit::Wrong);
            };
            let explained = answer_explain(&snapshot, &query);
            let explained = explained.map_err(|words| Failure::Said(Exit::Usage, words))?;
            (explained, "the files alone: every endpoint up, but what is given as down")
        }
    };
    if arguments.json {
        return write_json(console, &explanation);
    }
    write_explanation(console.out, &explanation, from)?;
    Ok(Exit::Fine)
}

fn write_explanation(out: &mut dyn Write, explanation: &Explanation, from: &str) -> io::Result<()> {
    let Explanation { name, qtype, client, location, zone, found, decision, answer } = explanation;
    writeln!(out, "{name} {qtype} for {client}")?;
    writeln!(out, "  decided from  {from}")?;
    writeln!(out, "  client        {}", location_text(location))?;
    for (database, network) in &location.rows {
        writeln!(out, "                {network} of {database}")?;
    }
    let zone = zone.as_deref().map_or_else(String::new, |zone| format!(" in zone {zone}"));
    writeln!(out, "  name          {found}{zone}")?;
    if let Some(decision) = decision {
        write_decision(out, decision)?;
    }
    let ttl = decision.as_ref().map_or_else(String::new, |d| format!(" (TTL {} s)", d.ttl));
    match &answer[..] {
        [] => writeln!(out, "  answer        no records{ttl}"),
        [first, rest @ ..] => {
            writeln!(out, "  answer        {first}{ttl}")?;
            rest.iter().try_for_each(|record| writeln!(out, "                {record}"))
        }
    }
}

fn write_decision(out: &mut dyn Write, decision: &Decision) -> io::Result<()> {
    let Decision { policy, pick, class, clause, scope, pools, endpoints, why, .. } = decision;
    writeln!(out, "  rule          {policy} between pools, {pick} inside one")?;
    let clause = clause.map_or_else(String::new, |n| format!(", by `where` clause {n}"));
    writeln!(out, "  class         {class}{clause}; a client subnet gets scope /{scope} back")?;
    writeln!(out, "  pools         in this client's order:")?;
    let mut table = Table::new(&["", "POOL", "REGION", "KM", "WHY", "ENDPOINTS"]);
    for pool in pools {
        let verdicts: Vec<String> =
            pool.endpoints.iter().map(|(name, verdict)| format!("{name} {verdict}")).collect();
        table.row([
            if pool.is_kept { "->" } else { "" }.to_owned(),
            pool.pool.clone(),
            pool.region.clone(),
            pool.kilometres.map_or_else(|| "?".to_owned(), |km| km.to_string()),
            pool.reason.clone(),
            verdicts.join(", "),
        ]);
    }
    table.write(out, "    ")?;
    writeln!(out, "  because       {why}")?;
    for endpoint in endpoints {
        writeln!(out, "  endpoint      {}/{}: {}", endpoint.pool, endpoint.name, endpoint.verdict)?;
    }
    Ok(())
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
