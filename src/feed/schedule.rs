//! When each document is fetched, and what is read from it.
//!
//! Feeds that look at the same URL share its document: one task fetches it, each feed reads it. A task never
//! has two fetches on their way, and all tasks together no more than so many. They are spread over their
//! interval as probes are.
//!
//! What goes wrong is logged when it begins, when it changes and when it is over, not each time.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::fetch::Fetcher;
use super::reading::{Reader, read_json};
use crate::clock::Clock;
use crate::model::feed::{FeedOf, FeedSource, FeedTarget, LoadReport, Scrape};
use crate::model::{TargetHost, Time};
use crate::probe::{FIRST_ROUND, Place};

/// Fetches documents, each at its own time. Dropping it ends all fetching at once.
#[derive(Debug)]
pub struct Schedule {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    running: HashMap<Document, Running>,
}

#[derive(Debug)]
struct Running {
    targets: HashSet<FeedTarget>,
    task: AbortHandle,
}

struct Shared {
    clock: Clock,
    fetcher: Fetcher,
    in_flight: Semaphore,
    report: Box<dyn Fn(LoadReport) + Send + Sync>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

/// What is fetched, and how often.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Document {
    url: String,
    is_verified: bool,
    interval: Duration,
    timeout: Duration,
}

impl Document {
    /// The document that `target` is read from; `None` when it is not read from any.
    fn of(target: &FeedTarget) -> Option<Self> {
        let (FeedSource::Prometheus { scrape, .. } | FeedSource::Json { scrape, .. }) =
            &target.spec.source
        else {
            return None;
        };
        let Scrape { url, verify } = scrape;
        let nowhere = TargetHost::Name(crate::model::Name::root());
        let host = match &target.of {
            FeedOf::Host(host) => host,
            FeedOf::All => &nowhere,
            FeedOf::Named { .. } => return None,
        };
        Some(Self {
            url: url.at(host),
            is_verified: url.is_https() && *verify,
            interval: target.spec.interval,
            timeout: target.spec.timeout,
        })
    }
}

impl Schedule {
    /// A schedule of nothing. At most `in_flight_max` fetches run at once. `report` is called with each
    /// signal that was read; it must not block.
    #[must_use]
    pub fn new(
        clock: Clock,
        fetcher: Fetcher,
        in_flight_max: usize,
        report: impl Fn(LoadReport) + Send + Sync + 'static,
    ) -> Self {
        let in_flight = Semaphore::new(in_flight_max.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Shared { clock, fetcher, in_flight, report: Box::new(report) };
        Self { shared: Arc::new(shared), tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// Makes `targets` the ones that are read; those that are not read from documents are passed over.
    /// Documents whose feeds stay keep their rhythm. Must be called inside a tokio runtime.
    pub fn set_targets(&mut self, targets: impl IntoIterator<Item = FeedTarget>) {
        let mut wanted: HashMap<Document, HashSet<FeedTarget>> = HashMap::new();
        for target in targets {
            if let Some(document) = Document::of(&target) {
                wanted.entry(document).or_default().insert(target);
            }
        }
        self.reap();
        self.running.retain(|document, running| {
            let is_wanted = wanted.get(document) == Some(&running.targets);
            if !is_wanted {
                running.task.abort();
            }
            is_wanted
        });
        for (document, targets) in wanted {
            if !self.running.contains_key(&document) {
                let feeds = targets.iter().cloned().map(ReadFeed::new).collect();
                let task = keep_fetching(self.shared.clone(), document.clone(), feeds);
                let task = self.tasks.spawn(task);
                self.running.insert(document, Running { targets, task });
            }
        }
    }

    /// Ends all fetching and returns when nothing runs any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Forgets tasks that have ended. None does but by a panic; its document then starts afresh.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!("the reader of a feed panicked: {error}");
            }
        }
        self.running.retain(|_, running| !running.task.is_finished());
    }
}

async fn keep_fetching(shared: Arc<Shared>, document: Document, mut feeds: Vec<ReadFeed>) {
    let clock = shared.clock;
    let place = Place::of(&document.url, document.interval);
    let mut fetched = Trouble::default();
    sleep(place.first_delay(FIRST_ROUND)).await;
    loop {
        let turn = shared.in_flight.acquire().await;
        let started = clock.now();
        let fetch = shared.fetcher.fetch(&document.url, document.is_verified);
        let body = match timeout(document.timeout, fetch).await {
            Ok(body) => body.map_err(|error| error.to_string()),
            Err(_) => Err("timeout".to_owned()),
        };
        drop(turn);
        if let Some(body) = fetched.judge(&document.url, body) {
            let at = clock.now();
            let read = feeds.iter_mut().filter_map(|feed| feed.read(&document.url, &body, at));
            read.for_each(&shared.report);
        }
        let next = place.next_start(started, document.interval);
        sleep(next.since(clock.now())).await;
    }
}

/// One feed that is read from a document.
struct ReadFeed {
    target: FeedTarget,
    reader: Reader,
    trouble: Trouble,
}

impl ReadFeed {
    fn new(target: FeedTarget) -> Self {
        Self { target, reader: Reader::default(), trouble: Trouble::default() }
    }

    fn read(&mut self, url: &str, body: &[u8], at: Time) -> Option<LoadReport> {
        let value = match &self.target.spec.source {
            FeedSource::Prometheus { query, .. } => {
                self.reader.read(query, &String::from_utf8_lossy(body), at)
            }
            FeedSource::Json { path, .. } => read_json(body, path).map(Some),
            FeedSource::Push | FeedSource::ResponseTime => return None,
        };
        let signal = value.map_err(|error| error.to_string()).and_then(|value| {
            let signal = |value| {
                let signal = self.target.spec.signal(value);
                signal.ok_or_else(|| format!("{value} is no load"))
            };
            value.map(signal).transpose()
        });
        let signal = self.trouble.judge(url, signal)??;
        Some(LoadReport { target: self.target.clone(), at, signal })
    }
}

/// What was wrong the last time.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    /// Logs what is new of a result, and returns what is good of it.
    fn judge<T>(&mut self, url: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => {
                if self.0.take().is_some() {
                    tracing::info!("load from {url} can be read again");
                }
                Some(value)
            }
            Err(reason) => {
                if self.0.as_ref() != Some(&reason) {
                    tracing::warn!("load from {url} cannot be read: {reason}");
                    self.0 = Some(reason);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
