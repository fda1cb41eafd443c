//! The words of operators: taken, taken back, listed.
//!
//! What is asked for is judged by the snapshot of the moment and then handed to the intake, which logs
//! it; answers follow within a moment. Whoever asks must say who they are.

use std::collections::HashSet;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header::HOST};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use serde::{Deserialize, Serialize};

use super::{AdminState, Refusal, loads};
use crate::intake::Intake;
use crate::model::{
    EndpointId, Name, Override, OverrideKind, Said, Subject, Target, Time, Verdict, Zone,
};
use crate::snapshot::Snapshot;
use crate::snapshot::subjects::{WaitingPool, one_zone_unless_region};

/// More words at once than operators keep in mind; whoever needs more has a program that has run wild.
const OVERRIDES_MAX: usize = 1000;
/// The longest name and reason, in characters: they stand in logs and tables.
const AUTHOR_MAX: usize = 64;
const REASON_MAX: usize = 300;
/// What is meant to last longer had better have no end than one that nobody remembers.
const LASTING_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

// ---- What is asked and answered ----

/// A word to be taken. The body of `POST /v1/overrides`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// A region, a pool, an endpoint or `POOL/ENDPOINT`; `pool:NAME` where a region is called so, too.
    pub what: String,
    /// The zone; may be left out where one zone only has such a pool or endpoint. A region is meant in
    /// all zones then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// `drain`, `force-up` or `force-down`.
    pub kind: String,
    /// Who says so.
    pub author: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For how many seconds; for ever when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_secs: Option<u64>,
}

/// Who says something, why, and for how long. The body of `PUT /v1/freeze`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaidRequest {
    /// Who says so.
    pub author: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For how many seconds; for ever when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_secs: Option<u64>,
}

/// What is to be taken back. The query of `DELETE /v1/overrides`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeBackQuery {
    /// As in [`OverrideRequest::what`].
    pub what: String,
    /// As in [`OverrideRequest::zone`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Only if it is of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Who takes it back.
    pub author: String,
}

/// Who ends the freeze. The query of `DELETE /v1/freeze`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorQuery {
    /// Who.
    pub author: String,
}

/// A pool to be used again. The body of `POST /v1/release`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The pool.
    pub pool: String,
    /// Its zone, where several have a pool of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Who releases it.
    pub author: String,
}

/// What operators say at the moment, and what waits for them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OperatorsReport {
    /// The freeze, if answers are frozen.
    pub freeze: Option<SaidReport>,
    /// What is said over verdicts, in the order said.
    pub overrides: Vec<OverrideReport>,
    /// Pools that are usable again and wait.
    pub waiting: Vec<WaitingReport>,
}

/// A word over verdicts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OverrideReport {
    /// The zone.
    pub zone: String,
    /// What it is about: `region eu-west`, `pool web-eu`, `endpoint web-eu/eu-1`.
    pub what: String,
    /// `drain`, `force-up` or `force-down`.
    pub kind: String,
    /// Who, why, since when and until when.
    #[serde(flatten)]
    pub said: SaidReport,
    /// What probes say: `2 up, 1 down`; absent when the zone has no such thing any more.
    pub probes_say: Option<String>,
}

/// Who said something, why, since when and until when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SaidReport {
    /// Who.
    pub author: String,
    /// Why; may be empty.
    pub reason: String,
    /// Seconds since it was said.
    pub age_secs: u64,
    /// Seconds until it ends by itself, if it does.
    pub ends_in_secs: Option<u64>,
}

/// A pool that waits to fail back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WaitingReport {
    /// The zone.
    pub zone: String,
    /// The pool.
    pub pool: String,
    /// Seconds since it became usable again.
    pub usable_secs: u64,
    /// The names that do not use it yet, and for how many seconds more; absent for those that wait for
    /// `windrose failback`.
    pub steers: Vec<(String, Option<u64>)>,
}

// ---- Routes ----

/// The routes. Those that change something are open to this machine alone.
pub(super) fn router(is_loopback: bool) -> Router<AdminState> {
    Router::new()
        .route("/v1/overrides", post(post_override).delete(delete_override))
        .route("/v1/freeze", put(put_freeze).delete(delete_freeze))
        .route("/v1/release", post(post_release))
        .merge(loads::pushing())
        .route_layer(middleware::from_fn_with_state(is_loopback, guard))
        .route("/v1/overrides", get(get_overrides))
}

/// Keeps out other machines, for which there are no tokens yet, and pages in browsers of this one: a
/// name in `Host` may be anybody's that leads here (DNS rebinding).
async fn guard(State(is_loopback): State<bool>, request: Request, next: Next) -> Response {
    let refuse = |words: &str| {
        (StatusCode::FORBIDDEN, Json(serde_json::json!({ "error": words }))).into_response()
    };
    if !is_loopback {
        return refuse("changes are taken on a loopback address only: see `[admin] listen`");
    }
    if !is_for_an_address(request.headers()) {
        return refuse("changes are taken by address only, such as http://127.0.0.1:5380");
    }
    next.run(request).await
}

pub(super) fn is_for_an_address(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let is_address = |host: &str| {
        host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() || host == "localhost"
    };
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    host.parse::<std::net::SocketAddr>().is_ok() || is_address(host) || is_address(bare)
}

async fn get_overrides(State(state): State<AdminState>) -> Json<OperatorsReport> {
    Json(report(&state))
}

async fn post_override(
    State(state): State<AdminState>,
    Json(request): Json<OverrideRequest>,
) -> Result<Json<Vec<OverrideReport>>, Refusal> {
    let (snapshot, now) = (state.current.load_full(), state.clock.now());
    let words = judge(&snapshot, &state.intake, &request, now).map_err(Refusal)?;
    let told = words.iter().map(|word| override_report(&state, &snapshot, word, now)).collect();
    words.into_iter().for_each(|word| state.intake.say(word));
    Ok(Json(told))
}

async fn delete_override(
    State(state): State<AdminState>,
    Query(query): Query<TakeBackQuery>,
) -> Result<Json<Vec<OverrideReport>>, Refusal> {
    let (snapshot, now) = (state.current.load_full(), state.clock.now());
    let taken = take_back(&state.intake, &query).map_err(Refusal)?;
    Ok(Json(taken.iter().map(|word| override_report(&state, &snapshot, word, now)).collect()))
}

async fn put_freeze(
    State(state): State<AdminState>,
    Json(request): Json<SaidRequest>,
) -> Result<Json<SaidReport>, Refusal> {
    let now = state.clock.now();
    let SaidRequest { author, reason, for_secs } = &request;
    let said = said(author, reason, *for_secs, now).map_err(Refusal)?;
    let told = said_report(&said, now);
    state.intake.freeze(said);
    Ok(Json(told))
}

async fn delete_freeze(
    State(state): State<AdminState>,
    Query(query): Query<AuthorQuery>,
) -> Result<Json<OperatorsReport>, Refusal> {
    let author = author(&query.author).map_err(Refusal)?;
    if !state.intake.unfreeze(author) {
        return Err(Refusal("answers are not frozen".to_owned()));
    }
    Ok(Json(report(&state)))
}

async fn post_release(
    State(state): State<AdminState>,
    Json(request): Json<ReleaseRequest>,
) -> Result<Json<WaitingReport>, Refusal> {
    let (snapshot, now) = (state.current.load_full(), state.clock.now());
    let author = author(&request.author).map_err(Refusal)?;
    let waiting = waiting_pool(&snapshot, &request, now).map_err(Refusal)?;
    state.intake.release(&waiting.zone, &waiting.pool, author);
    Ok(Json(waiting_report(&waiting, now)))
}

// ---- Judging ----

fn zone_name(zone: Option<&String>) -> Result<Option<Name>, String> {
    let parse = |zone: &String| {
        zone.parse().map_err(|error| format!("`{zone}` is not the name of a zone: {error}"))
    };
    zone.map(parse).transpose()
}

fn author(author: &str) -> Result<&str, String> {
    let author = author.trim();
    match author.chars().count() {
        0 => Err("an author is wanted: who says so?".to_owned()),
        1..=AUTHOR_MAX if !author.contains(char::is_control) => Ok(author),
        _ => Err(format!("an author is at most {AUTHOR_MAX} characters on one line")),
    }
}

fn said(by: &str, reason: &str, for_secs: Option<u64>, now: Time) -> Result<Said, String> {
    let reason = reason.trim();
    if reason.chars().count() > REASON_MAX || reason.contains(char::is_control) {
        return Err(format!("a reason is at most {REASON_MAX} characters on one line"));
    }
    let length = for_secs.map(Duration::from_secs);
    if length.is_some_and(|length| length.is_zero() || length > LASTING_MAX) {
        let days = LASTING_MAX.as_secs() / 86400;
        return Err(format!("it may last from a second to {days} days, or have no end"));
    }
    let author = author(by)?.to_owned();
    let until = length.map(|length| now + length);
    Ok(Said { author, reason: reason.to_owned(), at: now, until })
}

fn kind(word: &str) -> Result<OverrideKind, String> {
    let known = OverrideKind::ALL.map(OverrideKind::word).join(", ");
    OverrideKind::from_word(word)
        .ok_or_else(|| format!("`{word}` is no kind of override: known are {known}"))
}

/// The words that a request comes to, one for each zone.
fn judge(
    snapshot: &Snapshot,
    intake: &Intake,
    request: &OverrideRequest,
    now: Time,
) -> Result<Vec<Override>, String> {
    let OverrideRequest { what, zone, kind: word, author, reason, for_secs } = request;
    let (kind, said) = (kind(word)?, said(author, reason, *for_secs, now)?);
    let zone = zone_name(zone.as_ref())?;
    let subjects = snapshot.subjects_named(zone.as_ref(), what)?;
    if intake.overrides().all.len() + subjects.len() > OVERRIDES_MAX {
        return Err(format!("there are {OVERRIDES_MAX} overrides already: take some back first"));
    }
    let word = |(zone, what)| Override { zone, what, kind, said: said.clone() };
    Ok(subjects.into_iter().map(word).collect())
}

/// Takes back what a query means, whether or not the zones still have such a thing.
fn take_back(intake: &Intake, query: &TakeBackQuery) -> Result<Vec<Override>, String> {
    let author = author(&query.author)?;
    let kind = query.kind.as_deref().map(kind).transpose()?;
    let zone = zone_name(query.zone.as_ref())?;
    let overrides = intake.overrides();
    let is_meant = |one: &&Override| {
        one.what.is_called(&query.what) && zone.as_ref().is_none_or(|zone| one.zone == *zone)
    };
    let mut meant: Vec<&Override> = overrides.all.iter().filter(is_meant).collect();
    // Of a region and a pool of one name in a zone, the region is meant.
    meant.sort_by(|a, b| (&a.zone, &a.what).cmp(&(&b.zone, &b.what)));
    meant.dedup_by(|a, b| a.zone == b.zone);
    if let Some(kind) = kind
        && let Some(other) = meant.iter().find(|one| one.kind != kind)
    {
        let Override { what, kind: other, said, .. } = other;
        return Err(format!("{what} is not {}, but {} {said}", kind.done(), other.done()));
    }
    if meant.is_empty() {
        let all = overrides.all.iter().map(|one| format!("{} of {}", one.what, one.zone));
        let all: Vec<String> = all.collect();
        let all = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        return Err(format!("nothing is said of `{}`; something is of {all}", query.what));
    }
    let names: Vec<_> = meant.iter().map(|one| (one.zone.clone(), one.what.clone())).collect();
    one_zone_unless_region(&query.what, &names)?;
    let taken = names.iter().filter_map(|(zone, what)| intake.take_back(zone, what, kind, author));
    Ok(taken.collect())
}

fn waiting_pool(
    snapshot: &Snapshot,
    request: &ReleaseRequest,
    now: Time,
) -> Result<WaitingPool, String> {
    let word = &request.pool;
    let zone = zone_name(request.zone.as_ref())?;
    let is_prefixed = word.contains(':');
    let called = if is_prefixed { word.clone() } else { format!("pool:{word}") };
    let [(zone, subject)] = &snapshot.subjects_named(zone.as_ref(), &called)?[..] else {
        return Err(format!("`{word}` is in several zones: say which"));
    };
    let Subject::Pool(pool) = subject else { return Err(format!("{subject} is no pool")) };
    let waiting = snapshot.waiting(now).into_iter();
    let mut own = waiting.filter(|waiting| waiting.zone == *zone && waiting.pool == *pool);
    own.next().ok_or_else(|| format!("pool {pool} of {zone} does not wait to fail back"))
}

// ---- Telling ----

/// What operators say at the moment, and what waits for them.
pub(super) fn report(state: &AdminState) -> OperatorsReport {
    let (snapshot, now) = (state.current.load_full(), state.clock.now());
    let overrides = state.intake.overrides();
    let in_force = overrides.in_force(now);
    OperatorsReport {
        freeze: overrides.freeze_at(now).map(|said| said_report(said, now)),
        overrides: in_force.map(|word| override_report(state, &snapshot, word, now)).collect(),
        waiting: snapshot.waiting(now).iter().map(|pool| waiting_report(pool, now)).collect(),
    }
}

fn override_report(
    state: &AdminState,
    snapshot: &Snapshot,
    word: &Override,
    now: Time,
) -> OverrideReport {
    let zone = snapshot.zones().iter().find(|zone| zone.apex == word.zone);
    OverrideReport {
        zone: word.zone.to_string(),
        what: word.what.to_string(),
        kind: word.kind.word().to_owned(),
        said: said_report(&word.said, now),
        probes_say: zone.and_then(|zone| probes_say(&state.intake, zone, &word.what)),
    }
}

fn said_report(said: &Said, now: Time) -> SaidReport {
    let Said { author, reason, at, until } = said.clone();
    let ends_in_secs = until.map(|until| until.since(now).as_secs());
    SaidReport { author, reason, age_secs: now.since(at).as_secs(), ends_in_secs }
}

fn waiting_report(waiting: &WaitingPool, now: Time) -> WaitingReport {
    let steer = |(owner, left): &(Name, Option<Duration>)| {
        (owner.to_string(), left.map(|left| left.as_secs()))
    };
    WaitingReport {
        zone: waiting.zone.to_string(),
        pool: waiting.pool.clone(),
        usable_secs: now.since(waiting.since).as_secs(),
        steers: waiting.steers.iter().map(steer).collect(),
    }
}

/// The real verdicts of what operators say something of: `2 up, 1 down`, target by target.
fn probes_say(intake: &Intake, zone: &Zone, what: &Subject) -> Option<String> {
    let subject = what.find(zone)?;
    let own = (0..zone.endpoints.len()).map(EndpointId::new).filter(|id| zone.is_hit(*id, subject));
    let targets: HashSet<Target> =
        own.flat_map(|id| zone.targets_of(id).iter().cloned().collect::<Vec<_>>()).collect();
    let verdicts: Vec<Verdict> =
        targets.iter().map(|target| intake.board().health(target).verdict).collect();
    let count = |verdict: Verdict| {
        let count = verdicts.iter().filter(|own| **own == verdict).count();
        (count > 0).then(|| format!("{count} {verdict}"))
    };
    let all = [Verdict::Up, Verdict::Degraded, Verdict::Down, Verdict::Unknown];
    let counts: Vec<String> = all.into_iter().filter_map(count).collect();
    Some(if counts.is_empty() { "not checked".to_owned() } else { counts.join(", ") })
}
