//! Endpoints that report that they live.
//!
//! An endpoint need not be on this machine: with the token that its check names it may report on any address of the
//! admin endpoint. Without a token reports are taken on loopback addresses only, like all that changes something.

use axum::Router;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{AdminState, Refusal, operators};
use crate::model::check::HeartbeatCheck;
use crate::model::{CheckKind, Name, Target};
use crate::snapshot::Snapshot;

/// Who reports. The body of `POST /v1/heartbeat`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The zone's apex.
    pub zone: String,
    /// The pool.
    pub pool: String,
    /// The endpoint.
    pub endpoint: String,
}

/// What a report was taken for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeartbeatTaken {
    /// Targets that have reported by it.
    pub targets: usize,
}

pub(super) fn router(is_loopback: bool) -> Router<AdminState> {
    let take = move |state, headers, body| take(is_loopback, state, headers, body);
    Router::new().route("/v1/heartbeat", post(take))
}

async fn take(
    is_loopback: bool,
    State(state): State<AdminState>,
    headers: HeaderMap,
    Json(heartbeat): Json<Heartbeat>,
) -> Response {
    let snapshot = state.current.load_full();
    let targets = match heartbeat.targets(&snapshot) {
        Ok(targets) => targets,
        Err(problem) => return Refusal(problem).into_response(),
    };
    let is_near = is_loopback && operators::is_for_an_address(&headers);
    let shown =
        headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let mut taken = 0;
    for (target, check) in &targets {
        let is_allowed = match &check.token {
            None => is_near,
            Some(token) => shown.is_some_and(|shown| is_same(shown, token.as_bytes())),
        };
        if is_allowed {
            state.heartbeats.note(target.id(), state.clock.now());
            taken += 1;
        }
    }
    if taken > 0 {
        return Json(HeartbeatTaken { targets: taken }).into_response();
    }
    let words = match targets.iter().any(|(_, check)| check.token.is_some()) {
        true => "the check wants another token: `Authorization: Bearer TOKEN`",
        false => "without a token reports are taken on a loopback address only, asked by address",
    };
    (StatusCode::FORBIDDEN, Json(serde_json::json!({ "error": words }))).into_response()
}

impl Heartbeat {
    /// The targets of the endpoint that are checked by reports; at least one.
    fn targets(&self, snapshot: &Snapshot) -> Result<Vec<(Target, HeartbeatCheck)>, String> {
        let Self { zone, pool, endpoint } = self;
        let apex: Option<Name> = zone.parse().ok();
        let found = snapshot.zones().iter().find(|known| Some(&known.apex) == apex.as_ref());
        let found = found.ok_or_else(|| format!("there is no zone `{zone}`"))?;
        let mut endpoints = (0..found.endpoints.len()).map(crate::model::EndpointId::new);
        let id = endpoints.find(|id| {
            let known = &found.endpoints[id.index()];
            known.name == *endpoint && found.pools[known.pool.index()].name == *pool
        });
        let id = id.ok_or_else(|| format!("zone `{zone}` has no endpoint `{pool}/{endpoint}`"))?;
        let of_target = |target: Target| match &target.spec.kind {
            CheckKind::Heartbeat(check) => Some((target.clone(), check.clone())),
            _ => None,
        };
        let targets: Vec<_> =
            found.targets_of(id).probed().into_iter().filter_map(of_target).collect();
        match targets.is_empty() {
            true => Err(format!("`{pool}/{endpoint}` has no check of kind `heartbeat`")),
            false => Ok(targets),
        }
    }
}

/// Whether two secrets are the same, in a time that tells nothing of where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    digest(&SHA256, one).as_ref() == digest(&SHA256, other).as_ref()
}
