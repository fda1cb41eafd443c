//! What a probe sees on its way: flaws for the verdict, the round trip for whoever compares regions, the rest for
//! whoever wants to know more than how it ended.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::plain::Response;
use super::validity;
use crate::clock::Clock;
use crate::model::Time;
use crate::model::health::Flaw;

/// How much of what a target says is kept.
const SAID_OCTETS_MAX: usize = 512;
/// How long the beginning of a body is waited for that the check did not ask for.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// What one probe saw.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What was done, and how long after the start of the attempt: `connected`, `answered`. Only of the last
    /// address, if there were several.
    pub steps: Vec<(&'static str, Duration)>,
    /// The address that was asked last.
    pub address: Option<SocketAddr>,
    /// In words: `status 200`.
    pub facts: Vec<String>,
    /// The beginning of what the target, or the program, said.
    pub said: Vec<u8>,
}

/// Where probes note what they see. Of the schedule's nothing is kept but flaws and the round trip.
#[derive(Debug)]
pub(super) struct Trace {
    clock: Clock,
    started: Time,
    account: Option<Account>,
    /// What is wrong with the target, although it answers.
    flaw: Option<Flaw>,
    round_trip: Option<Duration>,
    /// An answer whose body nobody has looked at.
    rest: Option<Response>,
}

impl Trace {
    /// Keeps nothing.
    pub(super) const fn none(clock: Clock) -> Self {
        let started = Time::ZERO;
        Self { clock, started, account: None, flaw: None, round_trip: None, rest: None }
    }

    pub(super) fn kept(clock: Clock) -> Self {
        let account = Some(Account::default());
        Self { account, started: clock.now(), ..Self::none(clock) }
    }

    /// What was noted. Looks at the body of an answer that has been judged without, now that nothing can come
    /// of it any more.
    pub(super) async fn into_account(mut self) -> Account {
        if let Some(mut response) = self.rest.take()
            && let Ok(Ok(Some(chunk))) = timeout(BODY_PATIENCE, response.chunk()).await
        {
            self.says(&chunk);
        }
        self.account.unwrap_or_default()
    }

    /// Takes an answer whose body does not matter.
    pub(super) fn leave(&mut self, response: Response) {
        self.rest = self.account.is_some().then_some(response);
    }

    /// Another address is asked from now on: nothing of those before counts.
    pub(super) fn start(&mut self, address: SocketAddr) -> Time {
        self.started = self.clock.now();
        (self.flaw, self.round_trip, self.rest) = (None, None, None);
        if let Some(account) = &mut self.account {
            *account = Account { address: Some(address), ..Account::default() };
        }
        self.started
    }

    /// The moment, from which a [round trip](Self::round_trip_since) may take its time.
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// What was sent at `since` is answered by the target's machine, not by what runs there.
    pub(super) fn round_trip_since(&mut self, since: Time) {
        self.round_trip = Some(self.clock.now().since(since));
    }

    /// How long a round trip to the last address took, if that was seen.
    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Something is done.
    pub(super) fn step(&mut self, what: &'static str) {
        if let Some(account) = &mut self.account {
            account.steps.push((what, self.clock.now().since(self.started)));
        }
    }

    pub(super) fn fact(&mut self, fact: impl FnOnce() -> String) {
        if let Some(account) = &mut self.account {
            account.facts.push(fact());
        }
    }

    /// The target has shown these certificates, its own first; they should be good for `margin`.
    pub(super) fn certificates(&mut self, chain: &[CertificateDer<'_>], margin: Option<Duration>) {
        let now = self.clock.unix_now();
        self.flaw = margin.and_then(|margin| validity::judge(chain, margin, now));
        if self.account.is_none() {
            return;
        }
        for (place, certificate) in chain.iter().enumerate() {
            let Some(read) = validity::Certificate::read(certificate) else { continue };
            let Some(left) = read.not_after.checked_sub(now) else { continue };
            let days = left.as_secs() / 86_400;
            let name = read.common_name().map_or_else(String::new, |name| format!(" ({name})"));
            let which = match place {
                0 => "certificate".to_owned(),
                _ => format!("certificate {} of its chain{name}", place + 1),
            };
            self.fact(|| format!("{which} good for {days} days"));
        }
    }

    /// What is wrong with the target, although it answers.
    pub(super) const fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    pub(super) fn says(&mut self, octets: &[u8]) {
        if let Some(Account { said, .. }) = &mut self.account {
            let room = SAID_OCTETS_MAX - said.len();
            said.extend_from_slice(&octets[..octets.len().min(room)]);
        }
    }
}
