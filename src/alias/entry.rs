//! What is known of one host, and when it is to be looked up again.
//!
//! ```text
//! looked up                           told until             looked up again
//! found for a TTL                     the TTL ends           a tenth of it, but at least 10 s, before that
//! found, then not to be looked up     30 s from now          after 10 s, for three days
//! never found                         nothing is told        after 2 s
//! ```
//!
//! That a host is not there, or has no address of a family, is an answer like any other: then what was
//! found before is not told any more (RFC 8767 §4). It never reads the clock.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::resolver::Answered;
use crate::model::alias::ADDRESSES_MAX;
use crate::model::{Found, Time};

/// No host is asked for more often than such a TTL would have it, nor less often than in an hour.
const TTL_MIN: Duration = Duration::from_secs(5);
const TTL_MAX: Duration = Duration::from_secs(3600);
/// So long before what is known ends it is looked up again, unless that is most of its life.
const LEAD: Duration = Duration::from_secs(10);
/// What is out of date is told for so long at once, and for so long in all (RFC 8767 §4, §5).
const STALE_TTL: Duration = Duration::from_secs(30);
const STALE_MAX: Duration = Duration::from_secs(3 * 86_400);
/// After so long it is tried again where that has failed, and where nothing is known at all.
const RETRY: Duration = Duration::from_secs(10);
const RETRY_UNKNOWN: Duration = Duration::from_secs(2);

/// What is known of one host.
#[derive(Default, Debug)]
pub(super) struct Entry {
    pub(super) known: KnownHost,
    /// Whether it was looked up, whatever came of it.
    pub(super) is_looked_at: bool,
    /// Why it could not be the last time.
    pub(super) trouble: Option<String>,
}

/// What a host was answered to have, a family that never was answered left out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KnownHost {
    /// Of IPv4.
    pub v4: Option<Known<Ipv4Addr>>,
    /// Of IPv6.
    pub v6: Option<Known<Ipv6Addr>>,
}

/// What one family was answered to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known<T> {
    /// In order, each once, and not too many.
    pub addresses: Vec<T>,
    /// When the TTL of that ends.
    pub ends: Time,
}

impl KnownHost {
    /// What of it is still worth something at `now`, after a restart.
    #[must_use]
    pub fn worth_at(mut self, now: Time) -> Self {
        self.v4 = self.v4.filter(|known| !is_over(known, now));
        self.v6 = self.v6.filter(|known| !is_over(known, now));
        self
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

impl Entry {
    /// Takes in what two questions came to at `now`, and says after how long the next are due.
    pub(super) fn note(
        &mut self,
        v4: Answered<Ipv4Addr>,
        v6: Answered<Ipv6Addr>,
        now: Time,
    ) -> Duration {
        self.is_looked_at = true;
        let failed = [note(&mut self.known.v4, v4, now), note(&mut self.known.v6, v6, now)];
        self.trouble = failed.into_iter().flatten().next();
        let KnownHost { v4, v6 } = &self.known;
        let ends = v4.as_ref().map(|known| known.ends);
        let ends = ends.into_iter().chain(v6.as_ref().map(|known| known.ends)).min();
        match ends {
            None => RETRY_UNKNOWN,
            Some(_) if self.trouble.is_some() => RETRY,
            Some(ends) => {
                let left = ends.since(now);
                left - (left / 10).max(LEAD).min(left / 2)
            }
        }
    }

    /// What is to be told of it from `now` on.
    pub(super) fn found(&self, now: Time) -> Option<Found> {
        if self.known.is_empty() {
            return None;
        }
        let KnownHost { v4, v6 } = &self.known;
        let mut found = Found::default();
        let mut told = |ends: Time| {
            let until = if ends > now { ends } else { now + STALE_TTL };
            found.is_stale |= ends <= now;
            found.until = Some(found.until.map_or(until, |sooner| sooner.min(until)));
        };
        for ends in [ends_of(v4.as_ref()), ends_of(v6.as_ref())].into_iter().flatten() {
            told(ends);
        }
        found.v4 = v4.as_ref().map(|known| known.addresses.clone()).unwrap_or_default();
        found.v6 = v6.as_ref().map(|known| known.addresses.clone()).unwrap_or_default();
        Some(found)
    }
}

/// When that there are these addresses ends; of none nothing is told that could.
fn ends_of<T>(known: Option<&Known<T>>) -> Option<Time> {
    known.filter(|known| !known.addresses.is_empty()).map(|known| known.ends)
}

/// Whether it is too old to be told of at all.
fn is_over<T>(known: &Known<T>, now: Time) -> bool {
    known.ends + STALE_MAX <= now
}

/// Takes in what one question came to; why it failed, if it did.
fn note<T: Ord>(known: &mut Option<Known<T>>, answered: Answered<T>, now: Time) -> Option<String> {
    match answered {
        Ok((mut addresses, ttl)) => {
            addresses.sort_unstable();
            addresses.dedup();
            addresses.truncate(ADDRESSES_MAX);
            *known = Some(Known { addresses, ends: now + ttl.clamp(TTL_MIN, TTL_MAX) });
            None
        }
        Err(reason) => {
            if known.as_ref().is_some_and(|known| is_over(known, now)) {
                *known = None;
            }
            Some(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn at(secs: u64) -> Time {
        Time::from_secs(secs)
    }

    fn v4(last: impl IntoIterator<Item = u8>, ttl: u64) -> Answered<Ipv4Addr> {
        let addresses = last.into_iter().map(|last| Ipv4Addr::new(192, 0, 2, last));
        Ok((addresses.collect(), secs(ttl)))
    }

    const FAILS: &str = "request timed out";

    fn fails<T>() -> Answered<T> {
        Err(FAILS.to_owned())
    }

    /// The last octets of what is told, until when, and whether it is out of date.
    fn told(entry: &Entry, now: u64) -> Option<(Vec<u8>, Option<u64>, bool)> {
        let found = entry.found(at(now))?;
        let last = found.v4.iter().map(|address| address.octets()[3]).collect();
        let until = found.until.map(|until| until.since(Time::ZERO).as_secs());
        Some((last, until, found.is_stale))
    }

    #[test]
    fn a_host_is_looked_up_again_before_what_is_known_of_it_ends() {
        for (ttl, pause) in [(300, 270), (60, 50), (30, 20), (8, 4), (0, 2), (86_400, 3240)] {
            let mut entry = Entry::default();
            let next = entry.note(v4([1], ttl), Ok((vec![], secs(86_400))), at(100));
            assert_eq!(next.as_secs(), pause, "TTL {ttl}");
        }
    }

    #[test]
    fn what_fails_leaves_what_was_found_last_for_three_days() {
        let mut entry = Entry::default();
        assert_eq!(entry.note(fails(), fails(), at(0)), RETRY_UNKNOWN);
        assert_eq!((told(&entry, 0), entry.is_looked_at), (None, true));
        entry.note(v4([1], 60), Ok((vec![], secs(30))), at(10));
        assert_eq!(told(&entry, 10), Some((vec![1], Some(70), false)));
        assert_eq!(entry.trouble, None);
        assert_eq!(entry.note(fails(), fails(), at(60)), RETRY);
        assert_eq!(told(&entry, 60), Some((vec![1], Some(70), false)), "it has not ended yet");
        assert_eq!(entry.trouble.as_deref(), Some(FAILS));
        entry.note(fails(), fails(), at(70));
        assert_eq!(told(&entry, 70), Some((vec![1], Some(100), true)));
        entry.note(fails(), fails(), at(69 + 3 * 86_400));
        assert!(told(&entry, 69 + 3 * 86_400).is_some());
        entry.note(fails(), fails(), at(70 + 3 * 86_400));
        assert_eq!(told(&entry, 70 + 3 * 86_400), None);
    }

    #[test]
    fn that_a_host_is_not_there_is_an_answer() {
        let mut entry = Entry::default();
        entry.note(v4([1], 60), Ok((vec![], secs(30))), at(0));
        entry.note(Ok((vec![], secs(30))), Ok((vec![], secs(30))), at(50));
        assert_eq!(told(&entry, 50), Some((vec![], None, false)));
    }

    #[test]
    fn all_nodes_answer_alike_whatever_order_they_were_told() {
        let mut entry = Entry::default();
        entry.note(v4([3, 1, 2, 3, 9, 8, 7, 6, 5, 4], 60), fails(), at(0));
        assert_eq!(told(&entry, 0).unwrap().0, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
