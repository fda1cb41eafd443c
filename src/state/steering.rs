//! What operators said, what pools went through and what load has come to, on disk: `steering.json`.
//!
//! Overrides and the freeze hold until they end or are taken back, however long a node was off; with the
//! freeze, the verdicts that answers kept to are written down. What pools went through is worth no more
//! than verdicts are: nobody knows what happened while nobody looked.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::file::{self, Document, FORMAT};
use super::{StateError, Watched};
use crate::clock::Moment;
use crate::intake::Held;
use crate::model::{
    Name, Override, OverrideKind, Overrides, Said, Subject, Target, TargetHealth, Time, Verdict,
    whole_millis,
};
use crate::steer::controller::{Controller, ONE, Standing};
use crate::steer::{PoolPast, SavedControl};

pub(super) const FILE_NAME: &str = "steering.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SteeringDocument {
    version: u32,
    written: u64,
    /// Of `content`.
    checksum: String,
    content: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    overrides: Vec<OverrideLine>,
    freeze: Option<SaidLine>,
    /// While answers are frozen: the verdicts that they keep to.
    held: Vec<HeldLine>,
    /// Pools that were lost, and endpoints of pools that start slowly.
    pools: Vec<PoolLine>,
    /// What follows load.
    #[serde(default)]
    controllers: Vec<ControllerLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideLine {
    zone: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    said: SaidLine,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidLine {
    author: String,
    reason: String,
    at: u64,
    until: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldLine {
    target: String,
    verdict: String,
    since: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolLine {
    zone: String,
    pool: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// Since when it has been lost, if it is and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    /// Since when it has been back, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    back: Option<u64>,
    /// Whether an operator has released it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_released: bool,
}

/// The controller of what is split by load.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControllerLine {
    zone: String,
    of: String,
    epoch: u64,
    tick: u64,
    demand: u64,
    parts: Vec<PartLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartLine {
    name: String,
    base: u32,
    trim: u32,
    is_usable: bool,
    silent_steps: u32,
    band: u16,
    lowered_in: u64,
    was_up: bool,
    /// Not in files of before it was looked at.
    #[serde(default)]
    is_at_rest: bool,
}

impl Document for SteeringDocument {
    fn written(&self) -> Duration {
        Duration::from_millis(self.written)
    }

    fn stated_checksum(&self) -> &str {
        &self.checksum
    }

    fn checksum(&self) -> serde_json::Result<String> {
        file::checksum(&self.content)
    }
}

/// A zone, a pool in it and perhaps an endpoint in that, by name.
type Place = (Name, String, Option<String>);

/// What an earlier life knew of steering.
#[derive(Debug, Default)]
pub struct Steering {
    /// What operators had said and what has not ended since.
    pub overrides: Overrides,
    held: HashMap<String, TargetHealth>,
    pools: HashMap<Place, PoolPast>,
    controllers: HashMap<Name, Vec<SavedControl>>,
}

impl Steering {
    /// What a pool had been through, or the endpoint of it that is named.
    #[must_use]
    pub fn past(&self, zone: &Name, pool: &str, endpoint: Option<&str>) -> PoolPast {
        let place = (zone.clone(), pool.to_owned(), endpoint.map(str::to_owned));
        self.pools.get(&place).copied().unwrap_or_default()
    }

    /// The controllers of what is split by load, by zone.
    #[must_use]
    pub fn loads(&self) -> HashMap<Name, Vec<SavedControl>> {
        self.controllers.clone()
    }

    /// What answers kept to while they were frozen, as far as `targets` go.
    #[must_use]
    pub fn held<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Held {
        let known = |target: &Target| Some((target.clone(), *self.held.get(&target.key())?));
        targets.into_iter().filter_map(known).collect()
    }
}

/// Reads what an earlier life left in `dir`, and what is wrong with it, for the log. What pools went
/// through is dropped when it was written down longer than `age_max` ago.
pub(super) fn load(dir: &Path, now: Moment, age_max: Duration) -> (Steering, Vec<String>) {
    let path = dir.join(FILE_NAME);
    let loaded = file::load::<SteeringDocument>(&path, now).and_then(|document| {
        let Some(document) = document else { return Ok(Default::default()) };
        let age = now.unix.saturating_sub(document.written());
        let mut steering = steering_of(document.content, now)?;
        let mut problems = Vec::new();
        let is_worth_something = !(steering.pools.is_empty() && steering.controllers.is_empty());
        if age > age_max && is_worth_something {
            steering.pools.clear();
            steering.controllers.clear();
            problems.push(format!(
                "{}: written {age:.0?} ago; what pools went through is forgotten, and weights that \
                 follow load start anew",
                path.display()
            ));
        }
        Ok((steering, problems))
    });
    loaded.unwrap_or_else(|what: String| {
        let what = format!("{}: {what}; overrides and pools start anew", path.display());
        (Steering::default(), vec![what])
    })
}

fn steering_of(content: Content, now: Moment) -> Result<Steering, String> {
    let Content { overrides, freeze, held, pools, controllers: lines } = content;
    let all = overrides.into_iter().map(|line| line.read(now)).collect::<Result<_, _>>()?;
    let overrides = Overrides { all, freeze: freeze.map(|line| line.read(now)) };
    let held = held.into_iter().map(|line| line.read(now)).collect::<Result<_, _>>()?;
    let pools = pools.into_iter().map(|line| line.read(now)).collect::<Result<_, _>>()?;
    let mut controllers: HashMap<Name, Vec<SavedControl>> = HashMap::new();
    for line in lines {
        controllers.entry(read_zone(&line.zone)?).or_default().push(line.read());
    }
    Ok(Steering { overrides, held, pools, controllers })
}

/// Writes down what operators have said, what pools went through and where controllers stand.
pub(super) fn save(dir: &Path, watched: &Watched, now: Moment) -> Result<(), StateError> {
    file::save(dir, FILE_NAME, "what operators say", encode(watched, now))
}

fn encode(watched: &Watched, now: Moment) -> serde_json::Result<Vec<u8>> {
    let (intake, snapshot) = (&watched.intake, watched.current.load());
    let (overrides, held) = (intake.overrides(), intake.held().unwrap_or_default());
    let held = held.iter().map(|(target, known)| HeldLine::new(target, *known, now));
    let mut held: Vec<HeldLine> = held.collect();
    held.sort_unstable_by(|a, b| a.target.cmp(&b.target));
    let pools = snapshot.pasts().filter_map(|(zone, pool, endpoint, past)| {
        let endpoint = endpoint.map(str::to_owned);
        PoolLine::new((zone.clone(), pool.to_owned(), endpoint), past, now)
    });
    let content = Content {
        overrides: overrides.all.iter().map(|one| OverrideLine::new(one, now)).collect(),
        freeze: overrides.freeze.as_ref().map(|said| SaidLine::new(said, now)),
        held,
        pools: pools.collect(),
        controllers: watched.loads.saved().into_iter().map(ControllerLine::new).collect(),
    };
    let (version, checksum) = (FORMAT, file::checksum(&content)?);
    let document = SteeringDocument { version, written: whole_millis(now.unix), checksum, content };
    serde_json::to_vec_pretty(&document)
}

// ---- Lines ----

impl OverrideLine {
    fn new(one: &Override, now: Moment) -> Self {
        let (region, pool, endpoint) = match one.what.clone() {
            Subject::Region(region) => (Some(region), None, None),
            Subject::Pool(pool) => (None, Some(pool), None),
            Subject::Endpoint { pool, endpoint } => (None, Some(pool), Some(endpoint)),
        };
        let (zone, kind) = (one.zone.to_string(), one.kind.word().to_owned());
        Self { zone, kind, region, pool, endpoint, said: SaidLine::new(&one.said, now) }
    }

    fn read(self, now: Moment) -> Result<Override, String> {
        let Self { zone, kind, region, pool, endpoint, said } = self;
        let what = match (region, pool, endpoint) {
            (Some(region), None, None) => Subject::Region(region),
            (None, Some(pool), None) => Subject::Pool(pool),
            (None, Some(pool), Some(endpoint)) => Subject::Endpoint { pool, endpoint },
            _ => return Err("an override is about nothing, or about two things".to_owned()),
        };
        let kind = OverrideKind::from_word(&kind)
            .ok_or_else(|| format!("`{kind}` is no kind of override"))?;
        Ok(Override { zone: read_zone(&zone)?, what, kind, said: said.read(now) })
    }
}

impl SaidLine {
    fn new(said: &Said, now: Moment) -> Self {
        let Said { author, reason, at, until } = said.clone();
        Self { author, reason, at: unix(at, now), until: until.map(|until| unix(until, now)) }
    }

    fn read(self, now: Moment) -> Said {
        let Self { author, reason, at, until } = self;
        let until = until.map(|until| now.time_at(Duration::from_millis(until)));
        Said { author, reason, at: past_time(at, now), until }
    }
}

impl HeldLine {
    fn new(target: &Target, known: TargetHealth, now: Moment) -> Self {
        let (target, verdict) = (target.key(), known.verdict.word().to_owned());
        Self { target, verdict, since: unix(known.since, now) }
    }

    fn read(self, now: Moment) -> Result<(String, TargetHealth), String> {
        let Self { target, verdict, since } = self;
        let verdict =
            Verdict::from_word(&verdict).ok_or_else(|| format!("`{verdict}` is not a verdict"))?;
        let since = past_time(since, now);
        Ok((target, TargetHealth { verdict, since, ..TargetHealth::UNCHECKED }))
    }
}

impl PoolLine {
    /// Nothing of what was never lost.
    fn new((zone, pool, endpoint): Place, past: PoolPast, now: Moment) -> Option<Self> {
        let (lost, back, is_released) = match past {
            PoolPast::New | PoolPast::Whole => return None,
            PoolPast::Lost { since } => (since, None, false),
            PoolPast::Back { since, is_released } => (None, Some(since), is_released),
        };
        let unix = |since: Option<Time>| since.map(|since| unix(since, now));
        let (zone, lost, back) = (zone.to_string(), unix(lost), unix(back));
        Some(Self { zone, pool, endpoint, lost, back, is_released })
    }

    fn read(self, now: Moment) -> Result<(Place, PoolPast), String> {
        let Self { zone, pool, endpoint, lost, back, is_released } = self;
        let past = match back {
            Some(since) => PoolPast::Back { since: past_time(since, now), is_released },
            None => PoolPast::Lost { since: lost.map(|since| past_time(since, now)) },
        };
        Ok(((read_zone(&zone)?, pool, endpoint), past))
    }
}

impl ControllerLine {
    fn new((zone, saved): (Name, SavedControl)) -> Self {
        let SavedControl { of, parts, controller } = saved;
        let Controller { epoch, tick, demand, standings } = controller;
        let parts = parts.into_iter().zip(standings).map(|(name, standing)| {
            let Standing {
                base,
                trim,
                is_usable,
                silent_steps,
                band,
                lowered_in,
                was_up,
                is_at_rest,
            } = standing;
            PartLine {
                name,
                base,
                trim,
                is_usable,
                silent_steps,
                band,
                lowered_in,
                was_up,
                is_at_rest,
            }
        });
        Self { zone: zone.to_string(), of, epoch, tick, demand, parts: parts.collect() }
    }

    fn read(self) -> SavedControl {
        let Self { zone: _, of, epoch, tick, demand, parts: lines } = self;
        let (mut parts, mut standings) = (Vec::new(), Vec::new());
        for line in lines {
            let PartLine {
                name,
                base,
                trim,
                is_usable,
                silent_steps,
                band,
                lowered_in,
                was_up,
                is_at_rest,
            } = line;
            parts.push(name);
            let (base, trim) = (base.min(ONE), trim.min(ONE));
            standings.push(Standing {
                base,
                trim,
                is_usable,
                silent_steps,
                band,
                lowered_in,
                was_up,
                is_at_rest,
            });
        }
        SavedControl { of, parts, controller: Controller { epoch, tick, demand, standings } }
    }
}

fn read_zone(zone: &str) -> Result<Name, String> {
    zone.parse().map_err(|_| format!("`{zone}` is no zone"))
}

fn unix(time: Time, now: Moment) -> u64 {
    whole_millis(now.unix_at(time))
}

/// A moment that has been, even if the clock was set back since.
fn past_time(unix: u64, now: Moment) -> Time {
    now.time_at(Duration::from_millis(unix)).min(now.time)
}
