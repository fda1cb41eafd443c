//! What a node knows of its fleet, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::AdminState;
use crate::fleet::{Fleet, Told, VantageView, VoteView};
use crate::health::fleet::Presence;
use crate::model::{Name, Target, Time};

/// A node as one of its fleet.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FleetReport {
    /// Its name there.
    pub name: String,
    /// `together`, `holding`, `island`: what verdicts follow.
    pub link: String,
    /// Whether the engine is there.
    pub is_connected: bool,
    /// The hash of all that it has come to: equal on nodes that answer alike.
    pub state: String,
    /// The version of the zone files that the fleet has given; absent while the node's own are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<u64>,
    /// A later version that this node could not take over, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones_refused: Option<(u64, String)>,
    /// Frames of votes that were not believed, since the start.
    pub refused: u64,
    /// Everybody who is known, by name.
    pub vantages: Vec<VantageReport>,
    /// How far away regions are from groups, where zones go by that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub round_trips: Vec<RoundTripReport>,
}

/// How far away a region is from a group.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RoundTripReport {
    /// The group.
    pub group: String,
    /// The zone.
    pub zone: String,
    /// The region.
    pub region: String,
    /// A round trip, in milliseconds.
    pub ms: f64,
}

/// A vantage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VantageReport {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Whether it answers DNS, too.
    pub is_node: bool,
    /// `fresh`, `silent`, `gone`, or `impaired: WHY`.
    pub state: String,
    /// How long ago it was heard.
    pub age_secs: u64,
    /// How many targets it votes on.
    pub votes: usize,
    /// The hash of all that it has come to, of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Whether it was told of the same targets as this node.
    pub has_our_targets: bool,
}

/// What a vantage says of a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VoteReport {
    /// Whose it is.
    pub vantage: String,
    /// `up`, `degraded`, `down`, `init`.
    pub vote: String,
    /// How long ago it was heard.
    pub age_secs: u64,
    /// How long the last success took, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Why it is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it does not count: `silent`, `gone`, `impaired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_out: Option<String>,
}

pub(super) fn report(state: &AdminState) -> Option<FleetReport> {
    let (fleet, now) = (state.fleet.as_ref()?, state.clock.now());
    let Told { is_connected, zones, zones_refused, refused, words_hash: _ } = fleet.told();
    Some(FleetReport {
        name: fleet.name(),
        link: fleet.link(now).word().to_owned(),
        is_connected,
        state: hex(fleet.state_hash(state.intake.board())),
        zones,
        zones_refused,
        refused,
        vantages: fleet.vantages(now).into_iter().map(vantage).collect(),
        round_trips: state.current.load().round_trips().map(round_trip).collect(),
    })
}

fn round_trip((group, zone, region, took): (&str, &Name, &str, Duration)) -> RoundTripReport {
    let (group, zone, region) = (group.to_owned(), zone.to_string(), region.to_owned());
    RoundTripReport { group, zone, region, ms: took.as_secs_f64() * 1e3 }
}

fn vantage(view: VantageView) -> VantageReport {
    let state = match (view.presence, view.impaired) {
        (Presence::Gone, _) => "gone".to_owned(),
        (_, Some(why)) => format!("impaired: {why}"),
        (Presence::Silent, None) => "silent".to_owned(),
        (Presence::Fresh, None) => "fresh".to_owned(),
    };
    VantageReport {
        name: view.name,
        group: view.group,
        is_node: view.is_node,
        state,
        age_secs: view.age.as_secs(),
        votes: view.votes,
        hash: Some(view.state_hash).filter(|hash| *hash != 0).map(hex),
        has_our_targets: view.has_our_targets,
    }
}

/// What all say of a target; nothing without a fleet.
pub(super) fn votes(fleet: Option<&Fleet>, target: &Target, now: Time) -> Vec<VoteReport> {
    let vote = |view: VoteView| VoteReport {
        vantage: view.vantage,
        vote: view.vote.opinion.word().to_owned(),
        age_secs: view.age.as_secs(),
        took_ms: view
            .vote
            .round_trip
            .at_least()
            .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        reason: view.vote.grounds.map(|grounds| grounds.to_string()),
        is_out: view.is_out.map(str::to_owned),
    };
    let votes = fleet.map(|fleet| fleet.votes(target.id(), now)).unwrap_or_default();
    votes.into_iter().map(vote).collect()
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}
