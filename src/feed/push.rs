//! Load that somebody tells us: a small agent beside the endpoint, or a script that knows a provider's API.
//!
//! ```json
//! { "zone": "example.com", "feed": "agents", "pool": "web-eu", "endpoint": "eu-1", "value": 850 }
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::feed::{FeedOf, FeedSource, FeedTarget, LoadReport};
use crate::model::topology::Pool;
use crate::model::{Name, PoolId, Time, Zone};

/// One report as it is told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// The zone's apex.
    pub zone: String,
    /// The feed, of kind `push`.
    pub feed: String,
    /// The pool, which names the feed.
    pub pool: String,
    /// The endpoint; every one of the pool when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What it measures, in the feed's unit: the feed's `limit` is full. For a feed with a `budget` the
    /// share of errors, 0 to 1.
    pub value: f64,
}

/// Why a report is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadPush {
    /// No such zone.
    Zone(String),
    /// No such pool in it.
    Pool(String),
    /// The pool does not name such a feed of kind `push`.
    Feed {
        /// The pool.
        pool: String,
        /// The feed.
        feed: String,
    },
    /// No such endpoint in the pool.
    Endpoint {
        /// The pool.
        pool: String,
        /// The endpoint.
        endpoint: String,
    },
    /// Negative, or no number.
    Value,
}

impl fmt::Display for BadPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone(zone) => write!(f, "there is no zone `{zone}`"),
            Self::Pool(pool) => write!(f, "the zone has no pool `{pool}`"),
            Self::Feed { pool, feed } => {
                write!(f, "pool `{pool}` has no feed `{feed}` of kind `push`")
            }
            Self::Endpoint { pool, endpoint } => {
                write!(f, "pool `{pool}` has no endpoint `{endpoint}`")
            }
            Self::Value => f.write_str("`value` must be a number of at least 0"),
        }
    }
}

impl std::error::Error for BadPush {}

impl Push {
    /// The reports that this is in the eyes of `zones`, received at `at`.
    ///
    /// # Errors
    /// The first thing that is not known there, or a value that is none.
    pub fn reports<'z>(
        &self,
        zones: impl IntoIterator<Item = &'z Zone>,
        at: Time,
    ) -> Result<Vec<LoadReport>, BadPush> {
        let apex: Option<Name> = self.zone.parse().ok();
        let mut zones = zones.into_iter();
        let zone = zones.find(|zone| Some(&zone.apex) == apex.as_ref());
        let zone = zone.ok_or_else(|| BadPush::Zone(self.zone.clone()))?;
        let index = zone.pools.iter().position(|pool| pool.name == self.pool);
        let index = index.ok_or_else(|| BadPush::Pool(self.pool.clone()))?;
        self.judge_feed(zone, &zone.pools[index])?;
        let targets = self.targets(zone, PoolId::new(index));
        if targets.is_empty() {
            let endpoint = self.endpoint.clone().unwrap_or_default();
            return Err(BadPush::Endpoint { pool: self.pool.clone(), endpoint });
        }
        let report = |target: FeedTarget| {
            let signal = target.spec.signal(self.value).ok_or(BadPush::Value)?;
            Ok(LoadReport { target, at, signal })
        };
        targets.into_iter().map(report).collect()
    }

    fn judge_feed(&self, zone: &Zone, pool: &Pool) -> Result<(), BadPush> {
        let mut feeds = pool.feeds.iter().map(|feed| &zone.feeds[feed.index()]);
        let is_known =
            feeds.any(|feed| feed.name == self.feed && feed.spec.source == FeedSource::Push);
        if is_known {
            return Ok(());
        }
        Err(BadPush::Feed { pool: self.pool.clone(), feed: self.feed.clone() })
    }

    fn targets(&self, zone: &Zone, pool: PoolId) -> Vec<FeedTarget> {
        let is_meant = |name: &str| self.endpoint.as_ref().is_none_or(|meant| meant == name);
        let endpoints = zone.endpoints_of(pool).filter(|(_, endpoint)| is_meant(&endpoint.name));
        let targets = endpoints.flat_map(|(id, _)| zone.feed_targets_of(id));
        targets
            .filter(|target| matches!(&target.of, FeedOf::Named { feed, .. } if *feed == self.feed))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::reports::Reports;
    use crate::testing;

    const ZONE: &str = "zone = 'example.com'\nnameservers = ['ns1.example.net.']\n\
        [regions.eu]\nlocation = [50, 10]\n\
        [feeds.agents]\nkind = 'push'\nlimit = 1000\n\
        [feeds.failures]\nkind = 'push'\nbudget = '1%'\n\
        [feeds.unused-here]\nkind = 'push'\n\
        [pools.web]\nregion = 'eu'\nfeed = ['agents', 'failures']\n\
        endpoints = [{ name = 'a', address = '192.0.2.1' }, { name = 'b', address = '192.0.2.2' }]\n\
        [pools.other]\nregion = 'eu'\nfeed = 'unused-here'\n\
        endpoints = [{ address = '192.0.2.1' }]\n\
        [steer.www]\npolicy = 'failover'\npools = ['web', 'other']\n";

    fn push(feed: &str, endpoint: Option<&str>, value: f64) -> Push {
        let [zone, feed, pool] = ["Example.com", feed, "web"].map(str::to_owned);
        Push { zone, feed, pool, endpoint: endpoint.map(str::to_owned), value }
    }

    #[test]
    fn what_is_told_of_an_endpoint_or_a_pool_is_what_reports_hold() {
        let zones = testing::zones(&[("example.com.toml", ZONE)]);
        let zone = &zones[0];
        let mut reports = Reports::default();
        let ids = || zone.endpoints_of(PoolId::new(0)).map(|(id, _)| id);
        reports.track(ids().flat_map(|id| zone.feed_targets_of(id)));
        let now = Time::from_secs(100);
        for told in [
            push("agents", None, 500.0),
            push("agents", Some("b"), 850.0),
            push("failures", Some("a"), 0.03),
        ] {
            for report in told.reports(zones.iter().map(|zone| &**zone), now).unwrap() {
                assert!(reports.note(&report));
            }
        }
        let loads: Vec<_> = ids()
            .map(|id| reports.load(zone.feed_targets_of(id), now).unwrap())
            .map(|load| (load.value.as_millis(), load.errors.as_millis()))
            .collect();
        assert_eq!(loads, [(500, 3000), (850, 0)]);
    }

    #[test]
    fn what_is_not_known_is_told_by_its_name() {
        let zones = testing::zones(&[("example.com.toml", ZONE)]);
        let error = |push: Push| {
            push.reports(zones.iter().map(|zone| &**zone), Time::ZERO).unwrap_err().to_string()
        };
        let good = push("agents", None, 1.0);
        for (push, reason) in [
            (Push { zone: "example.org".into(), ..good.clone() }, "there is no zone `example.org`"),
            (Push { pool: "wbe".into(), ..good.clone() }, "the zone has no pool `wbe`"),
            (push("unused-here", None, 1.0), "pool `web` has no feed `unused-here` of kind `push`"),
            (push("agents", Some("c"), 1.0), "pool `web` has no endpoint `c`"),
            (push("agents", None, -1.0), "`value` must be a number of at least 0"),
            (push("agents", None, f64::NAN), "`value` must be a number of at least 0"),
        ] {
            assert_eq!(error(push), reason);
        }
    }
}
