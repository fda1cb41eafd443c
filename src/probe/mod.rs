//! Probing: one question to one target, and when the next one is due.
//!
//! [`Prober`] holds what all probes share, [`Probe`] is one target made ready, and [`Schedule`] runs
//! thousands of them. A probe ends as a [`ProbeOutcome`] and never as an error: what is wrong with
//! the target is a failure with its reason, what is wrong with our own machine a local error. What
//! outcomes mean is not known here: the schedule hands them to whoever started it and is told when to
//! ask again.

mod answer;
mod budget;
mod denied;
mod dns;
mod exec;
mod fault;
mod figures;
mod grpc;
mod heartbeats;
mod http;
mod icmp;
mod place;
mod plain;
mod rhythm;
mod room;
mod schedule;
mod tcp;
mod tls;
mod trace;
mod udp;
mod validity;
mod way;
mod wheel;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

pub use self::denied::Denied;
use self::fault::Fault;
pub use self::figures::{Figures, LAG_MILLIS, Reading};
pub use self::heartbeats::Heartbeats;
pub use self::icmp::refusal as icmp_refusal;
pub(crate) use self::place::{FIRST_ROUND, Place};
pub use self::rhythm::{Due, Plan, Rhythm};
pub use self::room::open_as_many_files_as_allowed;
pub use self::schedule::{Limits, Schedule};
use self::tls::Tls;
pub(crate) use self::tls::verified_by_the_machine as tls_verified_by_the_machine;
pub use self::trace::Account;
use self::trace::Trace;
use self::way::Way;
pub use self::way::lacking_sources;
use crate::clock::Clock;
use crate::config::Source;
use crate::model::check::{Carrier, TextCheck};
use crate::model::health::{LocalError, ProbeOutcome};
use crate::model::{CheckKind, FailureReason, Name, Target, TargetHost, Time};

/// By how much more than its timeout a probe may take: what is seen later was not looked at in time, and an
/// answer may have been there.
const LATE: Duration = Duration::from_millis(500);

/// Makes *ring* the process's provider of cryptography. To be called before any TLS is set up;
/// calling it again changes nothing.
pub fn install_crypto() {
    // An error says that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What all probes of this process share.
#[derive(Clone, Debug)]
pub struct Prober {
    clock: Clock,
    tls: Arc<tls::Configs>,
    /// Where the programs lie that checks may run; none may without.
    programs: Option<Arc<PathBuf>>,
    denied: Arc<Denied>,
    source: Source,
    heartbeats: Arc<Heartbeats>,
}

/// One target, ready to be probed again and again.
#[derive(Debug)]
pub struct Probe {
    prober: Prober,
    target: Target,
    http: http::Kept,
    /// Since when it is looked after.
    begun: Time,
    /// Why the last probe could not be made at all, so that it is said once and not each time.
    unable: Option<String>,
}

impl Prober {
    /// A prober that times its probes by `clock`. Calls [`install_crypto`].
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        install_crypto();
        Self {
            clock,
            tls: Arc::default(),
            programs: None,
            denied: Arc::default(),
            source: Source::default(),
            heartbeats: Arc::default(),
        }
    }

    /// The same, and it may run the programs that lie in `directory`, an absolute path.
    #[must_use]
    pub fn with_programs(self, directory: Option<PathBuf>) -> Self {
        Self { programs: directory.map(Arc::new), ..self }
    }

    /// The same, and it asks nothing at addresses that are `denied`.
    #[must_use]
    pub fn with_denied(self, denied: Denied) -> Self {
        Self { denied: Arc::new(denied), ..self }
    }

    /// The same, and it asks from `source`.
    #[must_use]
    pub fn with_source(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// The same, and it looks there for what endpoints report.
    #[must_use]
    pub fn with_heartbeats(self, heartbeats: Arc<Heartbeats>) -> Self {
        Self { heartbeats, ..self }
    }

    /// What it times its probes by.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Makes a target ready.
    #[must_use]
    pub fn prepare(&self, target: Target) -> Probe {
        let begun = self.clock.now();
        Probe { prober: self.clone(), target, http: http::Kept::default(), begun, unable: None }
    }
}

impl Probe {
    /// Probes the target once, within its timeout.
    pub async fn run(&mut self) -> ProbeOutcome {
        self.run_within(self.target.spec.timeout).await.0
    }

    /// Probes the target once, within `limit`. Tells the round trip as well, if it saw one.
    async fn run_within(&mut self, limit: Duration) -> (ProbeOutcome, Option<Duration>) {
        let mut trace = Trace::none(self.prober.clock);
        (self.run_noting(limit, &mut trace).await, trace.round_trip())
    }

    /// Probes the target once, within its timeout, and tells what it saw.
    pub async fn run_telling(&mut self) -> (ProbeOutcome, Account) {
        let mut trace = Trace::kept(self.prober.clock);
        let outcome = self.run_noting(self.target.spec.timeout, &mut trace).await;
        (outcome, trace.into_account().await)
    }

    async fn run_noting(&mut self, limit: Duration, trace: &mut Trace) -> ProbeOutcome {
        let outcome = self.run_straight(limit, trace).await;
        if !self.target.spec.invert {
            return outcome;
        }
        if let ProbeOutcome::Failure(reason) = outcome {
            trace.fact(|| format!("{reason}, as is wanted"));
        }
        outcome.inverted()
    }

    async fn run_straight(&mut self, limit: Duration, trace: &mut Trace) -> ProbeOutcome {
        let (clock, began) = (self.prober.clock, self.prober.clock.now());
        // What holds it is moved many times on its way to a task.
        match timeout(limit, Box::pin(self.attempt(trace))).await {
            Ok(Ok(took)) => match trace.flaw() {
                None => ProbeOutcome::Success(took),
                Some(flaw) => ProbeOutcome::Flawed(took, flaw),
            },
            Ok(Err(fault)) => {
                if let Fault::Unable(problem) = &fault {
                    trace.fact(|| problem.clone());
                }
                self.complain(&fault);
                fault.into()
            }
            Err(_) => match clock.now().since(began) > limit + LATE {
                true => ProbeOutcome::LocalError(LocalError::Late),
                false => ProbeOutcome::Failure(FailureReason::Timeout),
            },
        }
    }

    fn complain(&mut self, fault: &Fault) {
        let Fault::Unable(problem) = fault else { return };
        if self.unable.as_ref() != Some(problem) {
            tracing::error!("{} cannot be checked: {problem}", self.target);
            self.unable = Some(problem.clone());
        }
    }

    /// Tries the host's addresses in the resolver's order until one answers as it should.
    async fn attempt(&mut self, trace: &mut Trace) -> Result<Duration, Fault> {
        if let CheckKind::Heartbeat(check) = &self.target.spec.kind {
            let Prober { heartbeats, clock, .. } = &self.prober;
            heartbeats.judge(check, self.target.id(), self.begun, clock.now())?;
            return Ok(Duration::ZERO);
        }
        let port = self.target.spec.port;
        let name = match &self.target.host {
            TargetHost::Address(address) => {
                return self.attempt_at(SocketAddr::new(*address, port), trace).await;
            }
            TargetHost::Name(name) => name.clone(),
        };
        let mut fault = None;
        for address in Box::pin(addresses(&name, port)).await? {
            match Box::pin(self.attempt_at(address, trace)).await {
                Ok(took) => return Ok(took),
                Err(next) => fault = Some(next.after(fault)),
            }
        }
        Err(fault.unwrap_or(Fault::Failure(FailureReason::Resolve)))
    }

    async fn attempt_at(
        &mut self,
        address: SocketAddr,
        trace: &mut Trace,
    ) -> Result<Duration, Fault> {
        let started = trace.start(address);
        if let Some(reason) = self.prober.denied.reason(address) {
            return Err(Fault::Unable(format!("no probe goes to {address}: {reason}")));
        }
        let way = Way::new(address, self.prober.source);
        let tls = Tls { configs: &self.prober.tls, terms: self.target.spec.tls.as_ref() };
        // What is large and rare stands apart, so that plain probes take little room.
        match &self.target.spec.kind {
            CheckKind::Tcp => tcp::connect(way, trace).await.map(drop)?,
            CheckKind::Text(check @ TextCheck { over: Carrier::Tcp, .. }) => {
                Box::pin(tcp::probe(check, way, trace)).await?;
            }
            CheckKind::Text(check @ TextCheck { over: Carrier::Udp, .. }) => {
                Box::pin(udp::probe(check, way, trace)).await?;
            }
            CheckKind::Tls(check) => {
                Box::pin(tls::probe(tls, check, &self.target.host, way, trace)).await?;
            }
            CheckKind::Http(check) => {
                let ask = http::Ask { check, host: &self.target.host, way, tls };
                http::probe(ask, &mut self.http, trace).await?;
            }
            CheckKind::Dns(check) => Box::pin(dns::probe(check, way, trace)).await?,
            CheckKind::Grpc(check) => {
                Box::pin(grpc::probe(tls, check, &self.target.host, way, trace)).await?;
            }
            CheckKind::Icmp => {
                icmp::probe(way, self.target.spec.timeout, unforeseeable(), trace).await?;
            }
            CheckKind::Exec(check) => {
                let Some(directory) = &self.prober.programs else {
                    return Err(Fault::Unable("this process may run no programs".to_owned()));
                };
                let Target { host, spec } = &self.target;
                let ended =
                    Box::pin(exec::run((directory, check), spec, (host, way), trace)).await?;
                tracing::debug!("{} says: {}", self.target, ended.output().escape_ascii());
                ended.judge()?;
            }
            CheckKind::Heartbeat(_) | CheckKind::Fixed(_) | CheckKind::Calculated(_) => {
                return Err(Fault::Unable("nobody is asked".to_owned()));
            }
        }
        Ok(self.prober.clock.now().since(started))
    }
}

/// A number that nobody can foresee.
fn unforeseeable() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Where a host of this name is right now.
async fn addresses(name: &Name, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let name = name.to_string();
    // With its final dot a name would not be found in the machine's hosts file.
    match lookup_host((name.trim_end_matches('.'), port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) => Err(Fault::of_resolve()),
    }
}

#[cfg(test)]
mod tests;
