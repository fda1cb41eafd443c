//! `drain`, `undrain`, `override`, `freeze`, `unfreeze`, `failback`: what operators say to a running node.
//!
//! Each prints what it came to and ends with 0; what the node refuses, because nothing is called so or
//! there is nothing to take back, ends with 1.

use std::env;

use super::{
    ByArguments, Call, Console, DrainArguments, Exit, FailbackArguments, Failure, ForcedVerdict,
    FreezeArguments, OverrideArguments, SaidArguments, SubjectArguments, UndrainArguments, age,
    call, write_json,
};
use crate::admin::{
    AuthorQuery, OperatorsReport, OverrideReport, OverrideRequest, ReleaseRequest, SaidReport,
    SaidRequest, TakeBackQuery, WaitingReport,
};
use crate::load::Place;
use crate::model::OverrideKind;

const OVERRIDES: &str = "/v1/overrides";
const FREEZE: &str = "/v1/freeze";
const RELEASE: &str = "/v1/release";

pub(super) fn drain(
    console: &mut Console<'_>,
    place: &Place,
    arguments: DrainArguments,
) -> Result<Exit, Failure> {
    let DrainArguments { subject, said, by } = arguments;
    say(console, place, subject, OverrideKind::Drain, said, &by)
}

pub(super) fn undrain(
    console: &mut Console<'_>,
    place: &Place,
    arguments: UndrainArguments,
) -> Result<Exit, Failure> {
    let UndrainArguments { subject, by } = arguments;
    take_back(console, place, subject, Some(OverrideKind::Drain), &by)
}

pub(super) fn override_verdict(
    console: &mut Console<'_>,
    place: &Place,
    arguments: OverrideArguments,
) -> Result<Exit, Failure> {
    let OverrideArguments { subject, verdict, said, by } = arguments;
    match verdict {
        ForcedVerdict::Up => say(console, place, subject, OverrideKind::ForceUp, said, &by),
        ForcedVerdict::Down => say(console, place, subject, OverrideKind::ForceDown, said, &by),
        ForcedVerdict::Clear if said.length.is_some() || !said.reason.is_empty() => {
            let words = "`--for` and `--reason` mean nothing to `clear`".to_owned();
            Err(Failure::Said(Exit::Usage, words))
        }
        ForcedVerdict::Clear => take_back(console, place, subject, None, &by),
    }
}

pub(super) fn freeze(
    console: &mut Console<'_>,
    place: &Place,
    arguments: FreezeArguments,
) -> Result<Exit, Failure> {
    let FreezeArguments { said: SaidArguments { length, reason }, by } = arguments;
    let for_secs = length.map(|length| length.as_secs());
    let request = SaidRequest { author: author(&by)?, reason, for_secs };
    let said: SaidReport = call(console, place, by.server, (Call::Put, FREEZE), &request)?;
    if by.json {
        return write_json(console, &said);
    }
    writeln!(console.out, "answers are frozen {}", said_text(&said))?;
    Ok(Exit::Fine)
}

pub(super) fn unfreeze(
    console: &mut Console<'_>,
    place: &Place,
    by: &ByArguments,
) -> Result<Exit, Failure> {
    let query = AuthorQuery { author: author(by)? };
    let report: OperatorsReport = call(console, place, by.server, (Call::Delete, FREEZE), &query)?;
    if by.json {
        return write_json(console, &report);
    }
    writeln!(console.out, "answers follow health again")?;
    Ok(Exit::Fine)
}

pub(super) fn failback(
    console: &mut Console<'_>,
    place: &Place,
    arguments: FailbackArguments,
) -> Result<Exit, Failure> {
    let FailbackArguments { pool, zone, by } = arguments;
    let request = ReleaseRequest { pool, zone, author: author(&by)? };
    let waited: WaitingReport = call(console, place, by.server, (Call::Post, RELEASE), &request)?;
    if by.json {
        return write_json(console, &waited);
    }
    let WaitingReport { zone, pool, usable_secs, steers } = waited;
    let names: Vec<String> = steers.into_iter().map(|(name, _)| name).collect();
    let (usable, names) = (age(usable_secs), names.join(", "));
    writeln!(console.out, "pool {pool} of {zone}, usable for {usable}, is used again by {names}")?;
    Ok(Exit::Fine)
}

fn say(
    console: &mut Console<'_>,
    place: &Place,
    subject: SubjectArguments,
    kind: OverrideKind,
    said: SaidArguments,
    by: &ByArguments,
) -> Result<Exit, Failure> {
    let SubjectArguments { what, zone } = subject;
    let SaidArguments { length, reason } = said;
    let for_secs = length.map(|length| length.as_secs());
    let (author, kind) = (author(by)?, kind.word().to_owned());
    let request = OverrideRequest { what, zone, kind, author, reason, for_secs };
    let said: Vec<OverrideReport> =
        call(console, place, by.server, (Call::Post, OVERRIDES), &request)?;
    if by.json {
        return write_json(console, &said);
    }
    for one in said {
        let probes = one.probes_say.as_deref().unwrap_or("nothing");
        let (done, text) = (done(&one.kind), said_text(&one.said));
        let OverrideReport { zone, what, .. } = &one;
        writeln!(console.out, "{what} of {zone} is {done} {text} (probes say {probes})")?;
    }
    Ok(Exit::Fine)
}

fn take_back(
    console: &mut Console<'_>,
    place: &Place,
    subject: SubjectArguments,
    kind: Option<OverrideKind>,
    by: &ByArguments,
) -> Result<Exit, Failure> {
    let SubjectArguments { what, zone } = subject;
    let kind = kind.map(|kind| kind.word().to_owned());
    let query = TakeBackQuery { what, zone, kind, author: author(by)? };
    let taken: Vec<OverrideReport> =
        call(console, place, by.server, (Call::Delete, OVERRIDES), &query)?;
    if by.json {
        return write_json(console, &taken);
    }
    for OverrideReport { zone, what, kind, probes_say, .. } in &taken {
        let probes = probes_say.as_deref().unwrap_or("nothing");
        let done = done(kind);
        writeln!(console.out, "{what} of {zone} is no longer {done} (probes say {probes})")?;
    }
    Ok(Exit::Fine)
}

fn author(by: &ByArguments) -> Result<String, Failure> {
    author_of(by.author.as_ref())
}

/// Who speaks: whoever is given, or who is logged in.
pub(super) fn author_of(given: Option<&String>) -> Result<String, Failure> {
    let logged_in =
        || ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    let author = given.cloned().or_else(logged_in).filter(|author| !author.is_empty());
    author.ok_or_else(|| Failure::Said(Exit::Usage, "say who you are: --author NAME".to_owned()))
}

/// What is done to something by a kind of override.
fn done(kind: &str) -> &str {
    OverrideKind::from_word(kind).map_or(kind, |kind| kind.done())
}

/// `by ann, for 30m: new kernel`
fn said_text(said: &SaidReport) -> String {
    let SaidReport { author, reason, ends_in_secs, .. } = said;
    let ends = ends_in_secs.map_or_else(String::new, |secs| format!(", for {}", age(secs)));
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("by {author}{ends}{reason}")
}
