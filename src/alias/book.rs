//! What was found of every host, for whoever compiles answers.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::entry::{Entry, KnownHost};
use super::resolver::Answered;
use crate::metrics::Metrics;
use crate::model::{Aliases, Found, Name, Time};

/// What was found of every host.
#[derive(Debug)]
pub struct Book {
    metrics: Arc<Metrics>,
    pages: Mutex<Pages>,
    changed: watch::Sender<()>,
    /// Signals that a host is elsewhere.
    moved: watch::Sender<()>,
    /// How many hosts nobody has looked up.
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: HashMap<Name, Entry>,
    found: Arc<Aliases>,
}

/// What is known of a host, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostStatus {
    /// Which.
    pub host: Name,
    /// What was found of it, if anything.
    pub found: Option<Arc<Found>>,
    /// Why it could not be looked up the last time, if it could not.
    pub trouble: Option<String>,
}

impl Book {
    /// A book of no hosts, which counts failures in `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            pages: Mutex::default(),
            changed: watch::Sender::default(),
            moved: watch::Sender::default(),
            waiting: watch::Sender::default(),
        }
    }

    /// What is known of all hosts now.
    pub fn aliases(&self) -> Arc<Aliases> {
        Arc::clone(&self.pages().found)
    }

    /// Signals that something else is known than was.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Signals that a host has other addresses than it had. Comes less often than [`changed`](Self::changed),
    /// which tells of each new TTL.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// What is known of every host that something is known of, for a later life.
    #[must_use]
    pub fn known(&self) -> Vec<(Name, KnownHost)> {
        let pages = self.pages();
        let known = pages.entries.iter().filter(|(_, entry)| !entry.known.is_empty());
        known.map(|(host, entry)| (host.clone(), entry.known.clone())).collect()
    }

    /// Gives hosts that nobody has looked up yet what an earlier life knew of them, as far as that is worth
    /// something, and returns how many there were. Nobody waits for them any more.
    pub fn restore(&self, recalled: &HashMap<Name, KnownHost>, now: Time) -> usize {
        let mut pages = self.pages();
        let Pages { entries, found } = &mut *pages;
        let mut restored = 0;
        for (host, entry) in entries.iter_mut().filter(|(_, entry)| !entry.is_looked_at) {
            let Some(known) = recalled.get(host) else { continue };
            entry.known = known.clone().worth_at(now);
            let Some(told) = entry.found(now) else { continue };
            entry.is_looked_at = true;
            Arc::make_mut(found).insert(host.clone(), Arc::new(told));
            restored += 1;
        }
        self.count_waiting(&pages);
        restored
    }

    /// What is known of every host, for people.
    #[must_use]
    pub fn statuses(&self) -> Vec<HostStatus> {
        let pages = self.pages();
        let status = |(host, entry): (&Name, &Entry)| HostStatus {
            host: host.clone(),
            found: pages.found.get(host).cloned(),
            trouble: entry.trouble.clone(),
        };
        pages.entries.iter().map(status).collect()
    }

    /// Returns when every host was looked up once, whatever came of it. Give it a deadline.
    pub async fn first_round(&self) {
        let mut waiting = self.waiting.subscribe();
        let over = waiting.wait_for(|waiting| *waiting == 0).await;
        over.map(drop).expect("`self` holds the sender");
    }

    /// How many hosts nobody has looked up yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Forgets all hosts but these.
    pub fn use_hosts(&self, hosts: &HashSet<Name>) {
        let mut pages = self.pages();
        pages.entries.retain(|host, _| hosts.contains(host));
        for host in hosts {
            pages.entries.entry(host.clone()).or_default();
        }
        if pages.found.keys().any(|host| !hosts.contains(host)) {
            Arc::make_mut(&mut pages.found).retain(|host, _| hosts.contains(host));
        }
        self.count_waiting(&pages);
    }

    /// Takes in what a look-up came to, and says after how long the next is due; `None` when nobody
    /// wants to know any more.
    pub fn note(
        &self,
        host: &Name,
        v4: Answered<Ipv4Addr>,
        v6: Answered<Ipv6Addr>,
        now: Time,
    ) -> Option<Duration> {
        let mut pages = self.pages();
        let Pages { entries, found } = &mut *pages;
        let entry = entries.get_mut(host)?;
        let before = entry.trouble.take();
        let pause = entry.note(v4, v6, now);
        let next = entry.found(now).map(Arc::new);
        tell(host, found.get(host), next.as_ref(), before.as_ref(), entry.trouble.as_ref());
        if entry.trouble.is_some() {
            self.metrics.alias_failures.fetch_add(1, Ordering::Relaxed);
        }
        if found.get(host) != next.as_ref() {
            let addresses = |found: Option<&Arc<Found>>| {
                found.map(|found| (found.v4.clone(), found.v6.clone()))
            };
            if addresses(found.get(host)) != addresses(next.as_ref()) {
                self.moved.send_replace(());
            }
            let found = Arc::make_mut(found);
            match next {
                Some(next) => drop(found.insert(host.clone(), next)),
                None => drop(found.remove(host)),
            }
            self.changed.send_replace(());
        }
        self.count_waiting(&pages);
        Some(pause)
    }

    fn count_waiting(&self, pages: &Pages) {
        let waiting = pages.entries.values().filter(|entry| !entry.is_looked_at).count();
        self.waiting.send_if_modified(|before| std::mem::replace(before, waiting) != waiting);
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs what has become otherwise.
fn tell(
    host: &Name,
    before: Option<&Arc<Found>>,
    now: Option<&Arc<Found>>,
    old_trouble: Option<&String>,
    trouble: Option<&String>,
) {
    match (old_trouble, trouble) {
        (None, Some(reason)) if now.is_some() => {
            tracing::warn!("{host} cannot be looked up: {reason}; its last addresses stay");
        }
        (None, Some(reason)) => {
            tracing::warn!("{host} cannot be looked up: {reason}; its aliases are not answered");
        }
        (Some(_), None) => tracing::info!("{host} can be looked up again"),
        (None, None) | (Some(_), Some(_)) => {}
    }
    let text = |found: Option<&Arc<Found>>| {
        let Some(found) = found else { return "not known".to_owned() };
        let v4 = found.v4.iter().map(ToString::to_string);
        let all: Vec<String> = v4.chain(found.v6.iter().map(ToString::to_string)).collect();
        if all.is_empty() { "nowhere".to_owned() } else { all.join(" and ") }
    };
    let (old, new) = (text(before), text(now));
    match before {
        _ if old == new => {}
        // Good news of a start.
        None => tracing::debug!("{host} is at {new}"),
        Some(_) => tracing::info!("{host} is at {new} now, and was at {old}"),
    }
}
