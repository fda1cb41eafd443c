//! The hosts that endpoints are aliases of, looked up in the background.
//!
//! ```text
//!   Lookups ── one task a host ──▶ Resolver ──▶ resolvers
//!      └─▶ Book ─▶ Aliases ─▶ snapshot         (signals when something else was found)
//! ```
//!
//! A host is looked up again before what was found of it ends, so that no answer ever waits. While that
//! fails, what was found last goes on to be told, with short TTLs (RFC 8767). What answers make of it is
//! not known here.

mod book;
mod entry;
mod resolver;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

pub use book::{Book, HostStatus};
pub use entry::{Known, KnownHost};
pub use resolver::{Answered, Resolver};

use crate::clock::Clock;
use crate::model::Name;

/// Look-ups that may be under way at once: each is two questions.
const IN_FLIGHT_MAX: usize = 64;

/// Looks hosts up, each at its own time. Dropping it ends that at once.
#[derive(Debug)]
pub struct Lookups {
    book: Arc<Book>,
    resolver: Arc<Resolver>,
    clock: Clock,
    in_flight: Arc<Semaphore>,
    tasks: JoinSet<()>,
    running: HashMap<Name, AbortHandle>,
}

impl Lookups {
    /// Look-ups of nothing, whose outcomes go to `book`.
    #[must_use]
    pub fn new(book: Arc<Book>, resolver: Resolver, clock: Clock) -> Self {
        Self {
            book,
            resolver: Arc::new(resolver),
            clock,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            tasks: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Where outcomes are.
    #[must_use]
    pub const fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Makes `hosts` the ones that are looked up. Those that stay keep what was found of them. Must be
    /// called inside a tokio runtime.
    pub fn set_hosts(&mut self, hosts: &HashSet<Name>) {
        self.reap();
        self.running.retain(|host, task| {
            let stays = hosts.contains(host);
            if !stays {
                task.abort();
            }
            stays
        });
        self.book.use_hosts(hosts);
        for host in hosts {
            if !self.running.contains_key(host) {
                let task = self.tasks.spawn(keep_looking(
                    Arc::clone(&self.book),
                    Arc::clone(&self.resolver),
                    self.clock,
                    Arc::clone(&self.in_flight),
                    host.clone(),
                ));
                self.running.insert(host.clone(), task);
            }
        }
    }

    /// Forgets tasks that have ended. None does but by a panic; its host is then begun with afresh.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!("a look-up panicked: {error}");
            }
        }
        self.running.retain(|_, task| !task.is_finished());
    }
}

async fn keep_looking(
    book: Arc<Book>,
    resolver: Arc<Resolver>,
    clock: Clock,
    in_flight: Arc<Semaphore>,
    host: Name,
) {
    loop {
        let turn = in_flight.acquire().await;
        let (v4, v6) = tokio::join!(resolver.v4(&host), resolver.v6(&host));
        drop(turn);
        let Some(pause) = book.note(&host, v4, v6, clock.now()) else { return };
        sleep(pause).await;
    }
}
