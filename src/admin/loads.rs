//! Load: told, and shown with what it has come to.

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::{AdminState, Refusal};
use crate::feed::Push;
use crate::model::{Load, Name, Zone};
use crate::steer::{Split, SplitPart};

/// Something that is split by load.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SplitReport {
    /// The zone.
    pub zone: String,
    /// What is split: `steer www.example.com.`, `pool web-eu`, `pool web-eu by weight`.
    pub of: String,
    /// Its parts.
    pub parts: Vec<PartReport>,
}

/// One of the things that share.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PartReport {
    /// Its name.
    pub name: String,
    /// How much of all it gets, in percent; of those that are usable.
    pub share: f64,
    /// How much it would get by static weights.
    pub static_share: f64,
    /// Whether answers may name it.
    pub is_usable: bool,
    /// Its load: a part of its limit, or in the feed's unit. Absent before the first report.
    pub load: Option<f64>,
    /// Its errors, in parts of what is tolerated; 0 while that is not exceeded.
    pub errors: Option<f64>,
    /// Seconds since that was reported.
    pub age_secs: Option<u64>,
}

/// How many reports a push was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// One for each endpoint.
    pub reports: usize,
}

/// The route that changes something, for the guard.
pub(super) fn pushing() -> Router<AdminState> {
    Router::new().route("/v1/load", post(post_load))
}

/// The route that tells.
pub(super) fn telling() -> Router<AdminState> {
    Router::new().route("/v1/load", get(get_load))
}

async fn post_load(
    State(state): State<AdminState>,
    Json(push): Json<Push>,
) -> Result<Json<Told>, Refusal> {
    let snapshot = state.current.load_full();
    let zones = snapshot.zones().iter().map(|zone| -> &Zone { zone });
    let reports = push.reports(zones, state.clock.now());
    let reports = reports.map_err(|error| Refusal(error.to_string()))?;
    let taken = reports.iter().filter(|report| state.loads.note(report)).count();
    Ok(Json(Told { reports: taken }))
}

async fn get_load(State(state): State<AdminState>) -> Json<Vec<SplitReport>> {
    Json(report(&state))
}

pub(super) fn report(state: &AdminState) -> Vec<SplitReport> {
    let splits = state.loads.splits(&state.current.load(), state.clock.now());
    splits.into_iter().map(split_report).collect()
}

fn split_report((zone, Split { of, parts }): (Name, Split)) -> SplitReport {
    let usable = || parts.iter().filter(|part| part.is_usable);
    let sums = usable().fold((0, 0), |(now, without), part| {
        (now + u64::from(part.weights.0), without + u64::from(part.weights.1))
    });
    let percent = |weight: u32, sum: u64| {
        let millis = u64::from(weight) * 100_000 / sum.max(1);
        f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1000.0
    };
    let report = |SplitPart { name, weights, is_usable, load }: &SplitPart| PartReport {
        name: name.clone(),
        share: if *is_usable { percent(weights.0, sums.0) } else { 0.0 },
        static_share: if *is_usable { percent(weights.1, sums.1) } else { 0.0 },
        is_usable: *is_usable,
        load: load.map(|Load { value, .. }| value.to_f64()),
        errors: load.map(|Load { errors, .. }| errors.to_f64()),
        age_secs: load.map(|Load { age, .. }| age.as_secs()),
    };
    SplitReport { zone: zone.to_string(), of, parts: parts.iter().map(report).collect() }
}
