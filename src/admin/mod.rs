//! The admin endpoint: what a running node knows, and what operators say to it, over HTTP on a loopback
//! address.
//!
//! | route | gives |
//! |---|---|
//! | `GET /v1/status` | [`StatusReport`]: the snapshot's number, zones, every target with its verdict |
//! | `GET /v1/explain?name=&type=&client=&down=` | [`Explanation`] by live health; `down` lists by commas |
//! | `GET /v1/overrides` | [`OperatorsReport`]: overrides, freeze, pools that wait to fail back |
//! | `POST /v1/overrides` [`OverrideRequest`] | the [`OverrideReport`]s that it came to |
//! | `DELETE /v1/overrides?what=&zone=&kind=&author=` | those that were taken back |
//! | `PUT /v1/freeze` [`SaidRequest`] | the freeze as [`SaidReport`] |
//! | `DELETE /v1/freeze?author=` | [`OperatorsReport`] after it |
//! | `POST /v1/release` [`ReleaseRequest`] | the pool that waited, as [`WaitingReport`] |
//! | `GET /v1/load` | [`SplitReport`]s: what is split by load, and how |
//! | `POST /v1/load` [`Push`](crate::feed::Push) | takes a report of load: [`Told`] |
//! | `POST /v1/heartbeat` [`Heartbeat`] | [`HeartbeatTaken`]: an endpoint has reported; with its token, if it has one |
//! | `GET /metrics` | Prometheus text |
//!
//! It asks for no token but of endpoints that report, and is not for the open network: what it tells is no
//! secret to who may reach it, and what else changes something it takes on loopback addresses only. Errors are `{"error": "…"}` with a
//! fitting status.

mod fleet;
mod heartbeats;
mod loads;
mod operators;
mod status;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tracing::error;

pub use fleet::{FleetReport, RoundTripReport, VantageReport, VoteReport};
pub use heartbeats::{Heartbeat, HeartbeatTaken};
pub use loads::{PartReport, SplitReport, Told};
pub use operators::{
    AuthorQuery, OperatorsReport, OverrideReport, OverrideRequest, ReleaseRequest, SaidReport,
    SaidRequest, TakeBackQuery, WaitingReport,
};
pub use status::{AliasReport, CapacityReport, ProbingReport, StatusReport, TargetReport};

use crate::alias::Book;
use crate::clock::Clock;
use crate::feed::LoadBoard;
use crate::fleet::Fleet;
use crate::intake::Intake;
use crate::listen::Current;
use crate::metrics::Metrics;
use crate::model::{Name, Prefix, RecordType};
use crate::probe::Heartbeats;
use crate::snapshot::Snapshot;
use crate::snapshot::explain::{Explanation, Question, explain};

/// What the endpoint looks at.
#[derive(Clone, Debug)]
pub struct AdminState {
    /// The snapshot.
    pub current: Current,
    /// Health.
    pub intake: Arc<Intake>,
    /// Load.
    pub loads: Arc<LoadBoard>,
    /// What was found of the hosts of aliases.
    pub aliases: Arc<Book>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The fleet that this node is one of, if it is.
    pub fleet: Option<Fleet>,
    /// What endpoints report.
    pub heartbeats: Arc<Heartbeats>,
    /// The time, for ages.
    pub clock: Clock,
}

/// The endpoint.
#[derive(Clone, Debug)]
pub struct Admin {
    state: AdminState,
}

impl Admin {
    /// An endpoint that looks at `state`.
    #[must_use]
    pub const fn new(state: AdminState) -> Self {
        Self { state }
    }

    /// Serves until it is dropped.
    pub async fn serve(self, listener: TcpListener) {
        let is_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let router = Router::new()
            .route("/v1/status", get(get_status))
            .route("/v1/explain", get(get_explain))
            .route("/metrics", get(get_metrics))
            .merge(loads::telling())
            .merge(heartbeats::router(is_loopback))
            .merge(operators::router(is_loopback))
            .with_state(self.state);
        if let Err(error) = axum::serve(listener, router).await {
            error!("the admin endpoint ended: {error}");
        }
    }
}

async fn get_status(State(state): State<AdminState>) -> Json<StatusReport> {
    Json(status::report(&state))
}

async fn get_metrics(State(state): State<AdminState>) -> impl IntoResponse {
    let is_impaired = state.intake.board().self_state().is_impaired();
    state.metrics.impaired.store(is_impaired.into(), Ordering::Relaxed);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render())
}

/// The query of `/v1/explain`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The name asked for.
    pub name: String,
    /// The type; A when it is left out.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub qtype: Option<String>,
    /// The client: an address or a subnet.
    pub client: String,
    /// Regions, pools and endpoints to be taken for down, with commas between them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub down: String,
}

async fn get_explain(
    State(state): State<AdminState>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, Refusal> {
    let snapshot = state.current.load_full();
    answer_explain(&snapshot, &query).map(Json).map_err(Refusal)
}

/// Explains what `query` asks for.
///
/// # Errors
/// What is wrong with the query, in words.
pub fn answer_explain(snapshot: &Snapshot, query: &ExplainQuery) -> Result<Explanation, String> {
    let name: Name =
        query.name.parse().map_err(|error| format!("`{}` is not a name: {error}", query.name))?;
    let qtype = query.qtype.as_deref().unwrap_or("A");
    let qtype: RecordType = qtype.parse().map_err(|_| format!("`{qtype}` is not a record type"))?;
    let client: Prefix =
        query.client.parse().map_err(|error| format!("client `{}` is {error}", query.client))?;
    let mut down = Vec::new();
    for word in query.down.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        down.extend(snapshot.outages_named(&name, word)?);
    }
    let question = Question { name: &name, qtype, client, down: &down, random: 0 };
    Ok(explain(snapshot, &question))
}

/// A request that cannot be answered.
struct Refusal(String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(serde_json::json!({ "error": self.0 }));
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}
