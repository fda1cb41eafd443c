//! Weights that follow load, slowly: the one controller behind every load-driven policy and behind
//! pools with a capacity.
//!
//! What an answer says is obeyed by caches for a TTL, and what a report says is a period old. Whoever
//! reacts faster than that, or sends everybody to the least loaded, chases his own tail: with three
//! regions and a TTL of 30 s least-loaded-first swings by 1.4 times a region's capacity for ever
//! (Mitzenmacher 2000; `tests/it/closed_loop` shows it). So there is one step per
//! TTL + report period, at the same moments on all nodes, and it is small:
//!
//! ```text
//! factor = base × trim                          of the static weight, at most 1
//!
//! base   by capacity, where all capacities are known: what is in demand is poured into the items by
//!        their weights, up to 85 % of each; what does not fit goes to those with room (water-filling).
//!        At every step, and at once when an item fails or returns. Moves only when it has to by 1/16.
//! trim   by what is measured: trim −= 0.4 · trim · error, when the error is above 0.03,
//!        at most 0.12 down and 0.08 up. Above 0.95 of a limit all of the error and up to 0.03 more;
//!        after two reports above 1.0 already in the next report period, at most 0.25, and for any
//!        error: overload is not borne as long as others have room.
//!
//!        aim                error
//!        Below              load against 0.85, or against the mean where that is higher
//!        Equal              load against the mean of all
//!        EqualPerWeight     load per weight against the mean of all
//! ```
//!
//! With a delay of one step such a loop is stable up to a gain of 1. Reports are wrong by a few hundredths,
//! and so is the mean of them: whoever has come to rest within 0.03 begins anew only above 0.08, or noise
//! would move somebody every other hour for nothing. One resolver with very many users may be more than
//! the dead band is wide: whoever had to take back a step up needs a larger error from then on, or he
//! would go up and down for ever. Under `Below` both hold for steps up only.
//!
//! Errors beyond the budget count as overload, so that one that fails fast does not look idle. A factor
//! never falls below 1/64: who gets nothing could not show that it works again.
//!
//! Reports that stop freeze a factor; from 60 s on it goes back to 1, that is, to the static weights,
//! over five minutes.
//!
//! All in integers: nodes with the same reports have the same weights. What the reports are and when
//! they came is not known here (`feed`), nor who may be chosen at all (`select`).

mod fill;
mod measured;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::measured::{Measured, Urgency};
use crate::model::feed::{Load, Utilisation};
use crate::model::topology::WEIGHT_MAX;

/// 1.0 of what [`Controller::factors`] gives.
pub const FACTOR_ONE: u32 = 1024;
/// 1.0 of [`Standing`]'s numbers, which need finer steps than what they lead to.
pub const ONE: u32 = 1 << 20;
/// The least factor, in units of [`ONE`].
const FLOOR: u32 = ONE / 64;

/// Where items are held, as far as that can be chosen: hashing splits demand unevenly by some 8 %
/// when few resolvers ask for many users, so 0.95 would be too close.
pub const GOAL: Utilisation = Utilisation::from_millis(850);

/// Errors and gains are in 1/1000.
const MILLI: i64 = 1000;
const GAIN: i64 = 400;
const DEAD_BAND: u16 = 30;
/// What is within its band is at rest, and stays so up to this error: the dead band, and what reports of
/// the item and of the others may be wrong by.
const REST_BAND: u16 = 80;
/// How much an item's own dead band widens when a step up had to be taken back, how little it narrows
/// with two steps of one direction, and how wide it gets.
const BAND_WIDENS: u16 = 60;
const BAND_NARROWS: u16 = 10;
const BAND_MAX: u16 = 150;
const STEP_DOWN_MAX: i64 = 120;
const STEP_DOWN_MAX_IN_ALARM: i64 = 250;
const STEP_UP_MAX: i64 = 80;
/// A new base is taken when some item's would change by more than a sixteenth of [`ONE`]: less is the
/// trim's business, and the noise of reports must not move clients.
const BASE_BAND: u32 = ONE / 16;

/// A feed is stale after this many report periods.
const STALE_PERIODS: u32 = 3;
/// From this age on a stale factor goes back to 1 …
const DECAY_FROM: Duration = Duration::from_secs(60);
/// … and arrives so much later.
const DECAY_TIME: Duration = Duration::from_secs(300);

/// What the controller strives for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Aim {
    /// Static weights as long as nothing is loaded above [`GOAL`]: what `capacity` means.
    Below,
    /// Equal load: `least-connections` and its like, which leave the static weights to be 1 or 0.
    Equal,
    /// Equal load per static weight: `weighted-least-connections`.
    EqualPerWeight,
}

/// What a controller goes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// What it strives for.
    pub aim: Aim,
    /// How long answers are cached. Where caches are known to stretch it, the time after which nine of
    /// ten clients have followed a change.
    pub ttl: Duration,
    /// The time between two reports.
    pub period: Duration,
}

impl Settings {
    /// The time between two steps; never zero.
    #[must_use]
    pub fn step_time(&self) -> Duration {
        (self.ttl + self.period).max(Duration::from_millis(1))
    }

    fn is_fresh(&self, age: Duration) -> bool {
        age <= self.period * STALE_PERIODS
    }
}

/// One of the things among which demand is split: a pool of a rule, or an endpoint of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its static weight. One of 0 takes no part.
    pub weight: u32,
    /// Whether answers may name it now.
    pub is_usable: bool,
    /// How much is a load of 1.0, in the operator's unit. Without it, for any usable item, nothing is
    /// known of demand.
    pub capacity: Option<u32>,
    /// What was reported of it last; `None` before the first report.
    pub load: Option<Load>,
}

impl Item {
    fn takes_part(&self) -> bool {
        self.is_usable && self.weight > 0
    }
}

/// Where one item stands, in units of [`ONE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What its capacity leaves of its weight.
    pub base: u32,
    /// What its reports leave of that.
    pub trim: u32,
    /// Whether it took part when [`base`](Self::base) was worked out.
    pub is_usable: bool,
    /// Steps without any report since the start.
    pub silent_steps: u32,
    /// How far the load must be from the goal for a step while it moves, in 1/1000.
    pub band: u16,
    /// The number of the report period of its last step down, counted since 1970.
    pub lowered_in: u64,
    /// Whether the last step was one up.
    pub was_up: bool,
    /// Whether it was near enough to the goal at the end of the last epoch.
    pub is_at_rest: bool,
}

impl Standing {
    /// That of an item with its static weight.
    pub const STATIC: Self = Self {
        base: ONE,
        trim: ONE,
        is_usable: false,
        silent_steps: 0,
        band: DEAD_BAND,
        lowered_in: 0,
        was_up: false,
        is_at_rest: false,
    };

    /// One step against `error`, which is outside the dead band, in report period `tick`. When it is urgent
    /// it takes all of the error, and `margin` beyond.
    fn take_step(&mut self, error: i64, margin: i64, urgency: Urgency, trim_max: u32, tick: u64) {
        let down_max =
            if urgency == Urgency::Alarm { STEP_DOWN_MAX_IN_ALARM } else { STEP_DOWN_MAX };
        let part = match urgency {
            Urgency::None => error * GAIN / MILLI,
            Urgency::Near | Urgency::Alarm => error + margin,
        };
        let one = i64::from(ONE);
        let step = -i64::from(self.trim) * part / MILLI;
        let step = step.clamp(-one * down_max / MILLI, one * STEP_UP_MAX / MILLI);
        let trim = (i64::from(self.trim) + step).clamp(i64::from(FLOOR), i64::from(trim_max));
        let before = std::mem::replace(&mut self.trim, u32::try_from(trim).unwrap_or(ONE));
        if self.trim == before {
            return;
        }
        let is_up = self.trim > before;
        if is_up == self.was_up {
            self.band = self.band.saturating_sub(BAND_NARROWS).max(DEAD_BAND);
        } else if self.was_up {
            self.band = self.band.saturating_add(BAND_WIDENS).min(BAND_MAX);
        }
        self.was_up = is_up;
        if !is_up {
            self.lowered_in = tick;
        }
    }

    /// How far the load must be from the goal now for a step, in 1/1000.
    fn band_now(&self) -> u16 {
        if self.is_at_rest { self.band.max(REST_BAND) } else { self.band }
    }

    fn factor(self) -> u32 {
        let product = (u64::from(self.base) * u64::from(self.trim)) / u64::from(ONE);
        u32::try_from(product).map_or(ONE, |product| product.clamp(FLOOR, ONE))
    }
}

/// The controller of one set of items: a plain value, which may be stored and restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Controller {
    /// The number of the last step: time since 1970 in [`Settings::step_time`]s.
    pub epoch: u64,
    /// The number of the last report period: time since 1970 in [`Settings::period`]s.
    pub tick: u64,
    /// The total load in the unit of capacities, times 1000. Rises at once and falls by at most an
    /// eighth a step, so that clients on their way from a failed item to another are not forgotten.
    pub demand: u64,
    /// One for each item.
    pub standings: Vec<Standing>,
}

impl Controller {
    /// A controller of `len` items that all have their static weights.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { epoch: 0, tick: 0, demand: 0, standings: vec![Standing::STATIC; len] }
    }

    /// Takes a step if one is due at `unix` (since 1970, as all nodes know it), or if other items than
    /// before are usable. May be called at any time and as often as one likes. Returns whether any
    /// factor has changed.
    ///
    /// Items are those that it was made for, in the same order; what is beyond either end is ignored.
    pub fn step(&mut self, settings: &Settings, unix: Duration, items: &[Item]) -> bool {
        let before: Vec<u32> = self.factors().collect();
        let is_due = advance(&mut self.epoch, unix, settings.step_time());
        let is_tick = advance(&mut self.tick, unix, settings.period);
        let is_other = |(standing, item): (&Standing, &Item)| standing.is_usable != item.is_usable;
        if is_due {
            self.note_silence(items);
            self.note_demand(settings, items);
            self.decay(settings, items);
        }
        if is_due || is_tick {
            self.trim(settings, items, is_due);
        }
        if is_due || self.standings.iter().zip(items).any(is_other) {
            self.refill(settings, items);
        }
        !before.into_iter().eq(self.factors())
    }

    /// What is left of each item's static weight: 16 ..= [`FACTOR_ONE`].
    pub fn factors(&self) -> impl Iterator<Item = u32> {
        self.standings.iter().map(|standing| standing.factor() / (ONE / FACTOR_ONE))
    }

    /// The weights that answers go by: static weight × factor, in a unit in which none is above
    /// [`WEIGHT_MAX`] and small static weights keep their fractions. Only one of static weight 0 is 0.
    #[must_use]
    pub fn weights(&self, items: &[Item]) -> Vec<u32> {
        let largest = items.iter().map(|item| item.weight).max().unwrap_or(0).max(1);
        // From static weights alone: a unit that wandered with the factors would move clients.
        let unit = (WEIGHT_MAX / largest).clamp(1, FACTOR_ONE);
        let weights = items.iter().zip(&self.standings).map(|(item, standing)| {
            let whole = u64::from(item.weight.min(WEIGHT_MAX)) * u64::from(unit);
            let weight = whole * u64::from(standing.factor()) / u64::from(ONE);
            u32::try_from(weight).unwrap_or(WEIGHT_MAX).max(u32::from(item.weight > 0))
        });
        weights.collect()
    }

    // ---- Reports that are missing ----

    fn note_silence(&mut self, items: &[Item]) {
        for (standing, item) in self.standings.iter_mut().zip(items) {
            let is_silent = item.load.is_none();
            standing.silent_steps =
                if is_silent { standing.silent_steps.saturating_add(1) } else { 0 };
        }
    }

    /// Lets the factors of those that are silent for long go back to 1, linearly.
    fn decay(&mut self, settings: &Settings, items: &[Item]) {
        let step = settings.step_time();
        let is_any_fresh = items.iter().any(|item| fresh_load(settings, item).is_some());
        for (standing, item) in self.standings.iter_mut().zip(items) {
            let age = match item.load {
                Some(load) => load.age,
                None => step.saturating_mul(standing.silent_steps),
            };
            if settings.is_fresh(age) || age < DECAY_FROM {
                continue;
            }
            let left = (DECAY_FROM + DECAY_TIME).saturating_sub(age) + step;
            standing.trim = toward_one(standing.trim, step, left);
            // The base depends on all: as long as any reports, it is worked out anew.
            if !is_any_fresh {
                standing.base = toward_one(standing.base, step, left);
            }
        }
    }

    // ---- Capacity ----

    fn note_demand(&mut self, settings: &Settings, items: &[Item]) {
        let taking_part = || items.iter().filter(|item| item.takes_part());
        if !taking_part().any(|item| fresh_load(settings, item).is_some()) {
            return;
        }
        // One that is stale is supposed to go on as it was.
        let of = |item: &Item| Some(item.load?.value.of(item.capacity?));
        let add = |total: u64, load: Option<u64>| Some(total.saturating_add(load?));
        let Some(total) = taking_part().map(of).try_fold(0, add) else { return };
        self.demand = total.max(self.demand - self.demand / 8);
    }

    fn refill(&mut self, settings: &Settings, items: &[Item]) {
        let mut bases = self.filled(settings, items);
        let is_set_changed = self.note_usable(items);
        let is_far = |(base, standing): (&u32, &Standing)| {
            standing.is_usable && base.abs_diff(standing.base) > BASE_BAND
        };
        if !is_set_changed && !bases.iter().zip(&self.standings).any(is_far) {
            return;
        }
        for (standing, base) in self.standings.iter_mut().zip(&mut bases) {
            if standing.is_usable {
                standing.base = *base;
            }
        }
    }

    /// Remembers who is usable and returns whether that has changed.
    fn note_usable(&mut self, items: &[Item]) -> bool {
        let mut is_changed = false;
        for (standing, item) in self.standings.iter_mut().zip(items) {
            is_changed |= standing.is_usable != item.is_usable;
            standing.is_usable = item.is_usable;
        }
        if is_changed {
            self.standings.iter_mut().for_each(|standing| standing.is_at_rest = false);
        }
        is_changed
    }

    /// The bases that capacities lead to; those of now where too little is known.
    fn filled(&self, settings: &Settings, items: &[Item]) -> Vec<u32> {
        let now = || self.standings.iter().map(|standing| standing.base).collect();
        let is_any_fresh = items.iter().any(|item| fresh_load(settings, item).is_some());
        if !is_any_fresh || self.demand == 0 {
            return now();
        }
        let vessel = |item: &Item| {
            let weight = if item.takes_part() { item.weight } else { 0 };
            let capacity = if weight == 0 { 0 } else { item.capacity? };
            Some(fill::Vessel { weight, room: GOAL.of(capacity) })
        };
        let Some(vessels) = items.iter().map(vessel).collect::<Option<Vec<_>>>() else {
            return vec![ONE; self.standings.len()];
        };
        match settings.aim {
            Aim::Below => fill::shares(&vessels, self.demand),
            Aim::Equal => fill::shares(&vessels, u64::MAX),
            Aim::EqualPerWeight => now(),
        }
    }

    // ---- Measured load ----

    /// Steps of all that need one at the end of an epoch (`is_due`), or else of those in alarm only. Nobody
    /// steps before his last step down was seen to work.
    fn trim(&mut self, settings: &Settings, items: &[Item], is_due: bool) {
        let measured = Measured::of(settings, items);
        let ticks_min = settings.step_time().as_nanos() / settings.period.as_nanos().max(1);
        let ticks_min = u64::try_from(ticks_min).unwrap_or(u64::MAX);
        // Under `Below` 1 is the static weight, and more than that is nobody's.
        let trim_max = if settings.aim == Aim::Below { ONE } else { 2 * ONE };
        for ((standing, item), load) in self.standings.iter_mut().zip(items).zip(&measured.loads) {
            let Some(load) = *load else { continue };
            let urgency = Urgency::of(settings.aim, item, load);
            let is_seen = self.tick.abs_diff(standing.lowered_in) >= ticks_min;
            let band = standing.band_now();
            let is_wanted = measured.is_outside(load, settings.aim, urgency, band);
            if is_due {
                standing.is_at_rest = !is_wanted;
            }
            if is_seen && is_wanted && (is_due || urgency == Urgency::Alarm) {
                let (error, margin) = (measured.error(load), measured.margin());
                standing.take_step(error, margin, urgency, trim_max, self.tick);
            }
        }
        if settings.aim != Aim::Below {
            self.normalise();
        }
    }

    /// Brings the largest trim to [`ONE`]: where loads are made equal, only ratios matter.
    fn normalise(&mut self) {
        let largest = self.standings.iter().map(|standing| standing.trim).max().unwrap_or(ONE);
        for standing in &mut self.standings {
            let trim = u64::from(standing.trim) * u64::from(ONE) / u64::from(largest.max(1));
            standing.trim = u32::try_from(trim).map_or(ONE, |trim| trim.clamp(FLOOR, ONE));
        }
    }
}

/// Moves `number` on to that of the `length` in which `unix` is, and returns whether it is another one.
fn advance(number: &mut u64, unix: Duration, length: Duration) -> bool {
    let now = unix.as_nanos() / length.as_nanos().max(1);
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    // A clock that is put back by a little at a boundary must not make two steps of one.
    let is_other = now > *number || now.saturating_add(1) < *number;
    if is_other {
        *number = now;
    }
    is_other
}

/// The item's report, if it takes part and the report is not stale.
fn fresh_load(settings: &Settings, item: &Item) -> Option<Load> {
    item.load.filter(|load| item.takes_part() && settings.is_fresh(load.age))
}

/// `value` after `step` of the time that is `left` until it is [`ONE`].
fn toward_one(value: u32, step: Duration, left: Duration) -> u32 {
    let missing = u128::from(ONE.saturating_sub(value));
    let moved = missing * step.as_millis() / left.as_millis().max(1);
    value + u32::try_from(moved.min(missing)).unwrap_or(0)
}
