//! What a node knows of health, as data.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::AdminState;
use super::fleet::{self, FleetReport, VoteReport};
use super::loads::{self, SplitReport};
use super::operators::{self, OperatorsReport};
use crate::alias::HostStatus;
use crate::health::{CalculatedStatus, TargetStatus};
use crate::model::health::ProbeOutcome;
use crate::model::{CheckKind, Time, Verdict, Zone};
use crate::probe::Reading;
use crate::snapshot::Snapshot;
use crate::steer::capacity::PoolLoad;

/// A node's state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusReport {
    /// The version of the program.
    pub version: String,
    /// The number of the snapshot.
    pub generation: u64,
    /// Apexes of the zones that are served.
    pub zones: Vec<String>,
    /// Reloads that were refused since the start.
    pub reloads_refused: u64,
    /// Why this vantage does not trust itself, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impaired: Option<String>,
    /// The fleet that the node is one of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetReport>,
    /// What operators say, and what waits for them.
    #[serde(flatten)]
    pub operators: OperatorsReport,
    /// What is split by load, and how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<SplitReport>,
    /// What comes to pools with a capacity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacities: Vec<CapacityReport>,
    /// The hosts that endpoints are aliases of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<AliasReport>,
    /// What the schedule of probes does, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<ProbingReport>,
    /// Every target in use, by its text.
    pub targets: Vec<TargetReport>,
}

/// What the schedule of probes does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProbingReport {
    /// Ordinary probes a second that the targets ask for.
    pub ordinary_per_sec: f64,
    /// Probes a second that may come on top, to confirm failures and watch recoveries.
    pub reserve_per_sec: f64,
    /// Probes under way.
    pub in_flight: u64,
    /// Probes that may be.
    #[serde(default)]
    pub room: u64,
    /// Probes that are due, and wait for room.
    pub waiting: u64,
    /// Extra probes that were left to the ordinary ones, since the start.
    pub dropped: u64,
    /// 99 of 100 probes started within so many milliseconds of their time; absent if that is no bound.
    pub lag_p99_millis: Option<u64>,
}

impl ProbingReport {
    fn new(reading: &Reading) -> Self {
        Self {
            ordinary_per_sec: reading.ordinary,
            reserve_per_sec: reading.reserve,
            in_flight: reading.in_flight,
            room: reading.room,
            waiting: reading.waiting,
            dropped: reading.dropped,
            lag_p99_millis: reading.lag_since(&Reading::default(), 0.99),
        }
    }
}

/// What comes to a pool with a capacity, in its unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CapacityReport {
    /// The zone.
    pub zone: String,
    /// The pool.
    pub pool: String,
    /// What it gets by the shares of the moment.
    pub gets: u64,
    /// What it has room for: 85 % of what of it is alive.
    pub room: u64,
    /// In percent, what errors leave of the room that it would have; absent where there are no more than it may
    /// have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_leave: Option<u32>,
    /// Whether it gets more since nobody else has any room.
    pub is_overloaded: bool,
}

/// What is known of a host that endpoints are aliases of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AliasReport {
    /// The host.
    pub host: String,
    /// Endpoints that are aliases of it: `ZONE POOL/ENDPOINT`.
    pub endpoints: Vec<String>,
    /// Its addresses, as they are told; `None` while nothing is known of it.
    pub addresses: Option<Vec<String>>,
    /// For how many seconds more they may be told; absent when there are none.
    pub ends_in_secs: Option<u64>,
    /// Whether they should have been looked up again by now.
    pub is_stale: bool,
    /// Why it could not be looked up the last time, if it could not.
    pub trouble: Option<String>,
}

/// What is known of a target.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TargetReport {
    /// The target: `https 192.0.2.10:443 /healthz`.
    pub target: String,
    /// Endpoints that ask for it: `ZONE POOL/ENDPOINT`.
    pub endpoints: Vec<String>,
    /// `up`, `degraded`, `down`, `unknown`.
    pub verdict: String,
    /// The groups of vantages that do not reach it, though others do: it is down for the clients near them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down_from: Vec<String>,
    /// Seconds since the verdict came to be.
    pub age_secs: u64,
    /// Seconds since a probe last bore on it; absent before the first.
    pub seen_secs: Option<u64>,
    /// How the last probe ended: `12.3 ms`, `timeout`.
    pub last: Option<String>,
    /// Why it is degraded, by this machine's own probes or else by votes: `slow`, `certificate ends in 9 days`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded_by: Vec<String>,
    /// What speaks against the verdict so far: `1 failure remembered`.
    pub doubts: Option<String>,
    /// Whether the verdict comes from an earlier run and nothing has confirmed it yet.
    pub is_restored: bool,
    /// What vantages of the fleet say of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<VoteReport>,
}

pub(super) fn report(state: &AdminState) -> StatusReport {
    let snapshot = state.current.load();
    let now = state.clock.now();
    let owners = snapshot.owners_of_targets();
    let mut targets: Vec<TargetReport> = state
        .intake
        .board()
        .entries()
        .into_iter()
        .map(|status| {
            let endpoints = owners.get(&status.target).cloned().unwrap_or_default();
            let votes = fleet::votes(state.fleet.as_ref(), &status.target, now);
            let mut report = target_report(&status, endpoints, now);
            if status.health.verdict == Verdict::Degraded && report.degraded_by.is_empty() {
                report.degraded_by = degraded_by_votes(&votes);
            }
            TargetReport { votes, ..report }
        })
        .collect();
    targets.extend(state.intake.board().calculated().into_iter().map(|status| {
        let endpoints = owners.get(&status.target).cloned().unwrap_or_default();
        calculated_report(status, endpoints, now)
    }));
    targets.sort_by(|a, b| a.endpoints.cmp(&b.endpoints).then_with(|| a.target.cmp(&b.target)));
    StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: snapshot.generation(),
        zones: snapshot.zones().iter().map(|zone| zone.apex.to_string()).collect(),
        reloads_refused: state.metrics.reloads_refused.load(Ordering::Relaxed),
        impaired: state.intake.board().self_state().impairment().map(|why| why.to_string()),
        fleet: fleet::report(state),
        operators: operators::report(state),
        loads: loads::report(state),
        capacities: snapshot.pool_loads().map(capacity_report).collect(),
        aliases: alias_reports(state, &snapshot, now),
        probing: state.metrics.probing.get().map(|figures| ProbingReport::new(&figures.read())),
        targets,
    }
}

fn capacity_report((zone, load): (&Zone, PoolLoad)) -> CapacityReport {
    CapacityReport {
        zone: zone.apex.to_string(),
        pool: zone.pools[load.pool.index()].name.clone(),
        gets: load.load / 1000,
        room: load.room / 1000,
        errors_leave: Some(load.sound_percent).filter(|percent| *percent < 100),
        is_overloaded: load.is_overloaded,
    }
}

fn alias_reports(state: &AdminState, snapshot: &Snapshot, now: Time) -> Vec<AliasReport> {
    let mut owners = snapshot.owners_of_aliases();
    let mut report = |HostStatus { host, found, trouble }| {
        let addresses = found.as_ref().map(|found| {
            let v4 = found.v4.iter().map(ToString::to_string);
            v4.chain(found.v6.iter().map(ToString::to_string)).collect()
        });
        AliasReport {
            endpoints: owners.remove(&host).unwrap_or_default(),
            host: host.to_string(),
            addresses,
            ends_in_secs: found.as_ref().and_then(|found| Some(found.until?.since(now).as_secs())),
            is_stale: found.is_some_and(|found| found.is_stale),
            trouble,
        }
    };
    let mut reports: Vec<AliasReport> =
        state.aliases.statuses().into_iter().map(&mut report).collect();
    reports.sort_unstable_by(|a, b| a.host.cmp(&b.host));
    reports
}

fn target_report(status: &TargetStatus, endpoints: Vec<String>, now: Time) -> TargetReport {
    let is_told = matches!(status.target.spec.kind, CheckKind::Heartbeat(_));
    let last = status.last.map(|(_, outcome)| match outcome {
        ProbeOutcome::Success(_) if is_told => "reported".to_owned(),
        ProbeOutcome::Success(took) => format!("{:.1} ms", took.as_secs_f64() * 1e3),
        ProbeOutcome::Flawed(took, flaw) => format!("{:.1} ms, {flaw}", took.as_secs_f64() * 1e3),
        ProbeOutcome::Failure(reason) => reason.to_string(),
        ProbeOutcome::LocalError(error) => format!("not probed: {error}"),
    });
    TargetReport {
        target: status.target.to_string(),
        endpoints,
        verdict: status.health.verdict.to_string(),
        down_from: status.down_from.clone(),
        age_secs: now.since(status.health.since).as_secs(),
        seen_secs: status.seen.map(|seen| now.since(seen).as_secs()),
        last,
        degraded_by: degraded_by(status),
        doubts: doubts(status, now),
        is_restored: status.is_restored,
        votes: Vec::new(),
    }
}

/// What is known of a target that nobody probes: what it is made of stands in the place of a probe.
fn calculated_report(status: CalculatedStatus, endpoints: Vec<String>, now: Time) -> TargetReport {
    let CalculatedStatus { target, health, evidence } = status;
    TargetReport {
        target: target.to_string(),
        endpoints,
        verdict: health.verdict.to_string(),
        down_from: Vec::new(),
        age_secs: now.since(health.since).as_secs(),
        seen_secs: None,
        last: Some(evidence),
        degraded_by: Vec::new(),
        doubts: None,
        is_restored: false,
        votes: Vec::new(),
    }
}

/// Why a target is degraded.
fn degraded_by(status: &TargetStatus) -> Vec<String> {
    let slow = status.is_slow.then(|| match status.usual {
        Some(usual) => format!("slow, usually {:.1} ms", usual.as_secs_f64() * 1e3),
        None => "slow".to_owned(),
    });
    slow.into_iter().chain(status.flaw.map(|flaw| flaw.to_string())).collect()
}

/// The same as votes have it, each reason once.
fn degraded_by_votes(votes: &[VoteReport]) -> Vec<String> {
    let counts = |vote: &&VoteReport| vote.vote == "degraded" && vote.is_out.is_none();
    let mut reasons: Vec<String> =
        votes.iter().filter(counts).filter_map(|vote| vote.reason.clone()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

/// What speaks against a verdict, or keeps it.
fn doubts(status: &TargetStatus, now: Time) -> Option<String> {
    let counted = |count: u32, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let off_pace = match status.health.verdict {
        Verdict::Degraded => counted(status.off_pace, "quick answer", "quick answers in a row"),
        _ => counted(status.off_pace, "slow answer", "slow answers in a row"),
    };
    let held = status
        .held_until
        .filter(|until| *until > now)
        .map(|until| format!("held back for flapping, {} s more", until.since(now).as_secs()));
    let doubts = [
        counted(status.failures, "failure remembered", "failures remembered"),
        counted(status.successes, "success in a row", "successes in a row"),
        off_pace,
        held,
    ];
    let doubts: Vec<String> = doubts.into_iter().flatten().collect();
    (!doubts.is_empty()).then(|| doubts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_that_count_say_why_a_target_is_degraded() {
        let vote = |vote: &str, reason: Option<&str>, is_out: Option<&str>| VoteReport {
            vantage: "fra".to_owned(),
            vote: vote.to_owned(),
            age_secs: 0,
            took_ms: None,
            reason: reason.map(str::to_owned),
            is_out: is_out.map(str::to_owned),
        };
        let votes = [
            vote("degraded", Some("slow"), None),
            vote("degraded", Some("certificate ends in 9 days"), None),
            vote("degraded", Some("slow"), None),
            vote("degraded", Some("certificate has ended"), Some("gone")),
            vote("down", Some("timeout"), None),
            // From a release that does not tell.
            vote("degraded", None, None),
            vote("up", None, None),
        ];
        assert_eq!(degraded_by_votes(&votes), ["certificate ends in 9 days", "slow"]);
        assert_eq!(degraded_by_votes(&votes[4..]), [""; 0]);
    }
}
