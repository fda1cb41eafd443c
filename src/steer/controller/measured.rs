//! What reports say of the items at the moment of a step: how far each is from the goal, and how urgent that
//! is.

use super::{Aim, DEAD_BAND, GOAL, Item, MILLI, Settings, fresh_load};

/// Above this, under [`Aim::Below`], a step corrects all of the error: it works before the next one is due,
/// and there is no time for several.
const NEAR: i64 = 950;
/// After so many reports of overload in a row a larger step is allowed, and sooner.
const ALARM_REPORTS: u8 = 2;
/// Where everything is idle, noise must not look like a difference: errors are relative to this at
/// least.
const SCALE_MIN: i64 = 50;

/// How much of an error one step corrects, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A part of it, at the end of the epoch.
    None,
    /// All of it, at the end of the epoch.
    Near,
    /// All of it and a larger step, at the end of the report period.
    Alarm,
}

impl Urgency {
    pub(super) fn of(aim: Aim, item: &Item, load: i64) -> Self {
        if item.load.is_some_and(|load| load.highs >= ALARM_REPORTS) {
            Self::Alarm
        } else if aim == Aim::Below && load > NEAR {
            Self::Near
        } else {
            Self::None
        }
    }
}

/// What reports say of the items at the moment of a step.
pub(super) struct Measured {
    /// In 1/1000, what is compared; `None` of items that do not take part or whose report is stale.
    pub(super) loads: Vec<Option<i64>>,
    /// What each is compared with.
    goal: i64,
}

impl Measured {
    pub(super) fn of(settings: &Settings, items: &[Item]) -> Self {
        let value = |item: &Item| {
            let load = fresh_load(settings, item)?;
            Some(match settings.aim {
                Aim::Below | Aim::Equal => load.value.as_millis(),
                Aim::EqualPerWeight => load.value.as_millis() / u64::from(item.weight),
            })
        };
        let values: Vec<Option<u64>> = items.iter().map(value).collect();
        // Errors that all have tell nothing of any one of them.
        let errors = |item: &Item| fresh_load(settings, item).map(|load| load.errors.as_millis());
        let common = items.iter().filter_map(errors).min().unwrap_or(0);
        let own_errors = |item: &Item| errors(item).unwrap_or(0).saturating_sub(common);
        // Who fails fast looks idle, and must not make the others look busy.
        let honest = items.iter().zip(&values);
        let honest = honest.map(|(item, value)| value.filter(|_| own_errors(item) == 0));
        let mean = mean(settings.aim, items, &honest.collect::<Vec<_>>());
        let goal = match settings.aim {
            Aim::Below => mean.max(GOAL.as_millis()),
            Aim::Equal | Aim::EqualPerWeight => mean,
        };
        let loads = items.iter().zip(values).map(|(item, value)| {
            let as_load = errors_as_load(own_errors(item), goal);
            Some(i64::try_from(value?.max(as_load)).unwrap_or(i64::MAX))
        });
        Self { loads: loads.collect(), goal: i64::try_from(goal).unwrap_or(i64::MAX / MILLI) }
    }

    /// Whether `load` is so far from the goal that something must be done.
    pub(super) fn is_outside(&self, load: i64, aim: Aim, urgency: Urgency, band: u16) -> bool {
        let error = self.error(load);
        // Overload is never borne for the sake of calm, unless it is everybody's.
        let above = match urgency {
            Urgency::Alarm if load > MILLI && self.goal < MILLI => 0,
            Urgency::Alarm => DEAD_BAND,
            Urgency::None | Urgency::Near if aim == Aim::Below => DEAD_BAND,
            Urgency::None | Urgency::Near => band,
        };
        error < -i64::from(band) || error > i64::from(above)
    }

    /// How much a step that corrects all of an error takes beyond it, in 1/1000: the goal is not to be
    /// neared from above. Where that is the mean of many that are nearly full, what one is spared is
    /// too much for another.
    pub(super) fn margin(&self) -> i64 {
        (MILLI - self.goal).clamp(0, 2 * i64::from(DEAD_BAND)) / 2
    }

    /// How far `load` is from the goal, in 1/1000 of the goal: −1000 ..= 1000.
    pub(super) fn error(&self, load: i64) -> i64 {
        let (from, scale) = (load.saturating_sub(self.goal), self.goal.max(SCALE_MIN));
        (from.saturating_mul(MILLI) / scale).clamp(-MILLI, MILLI)
    }
}

/// A load that is above `goal` as far as errors (1/1000 of the budget) are above nothing; none without
/// errors.
fn errors_as_load(errors: u64, goal: u64) -> u64 {
    if errors == 0 {
        return 0;
    }
    let scale = goal.max(SCALE_MIN.unsigned_abs());
    scale.saturating_add(scale.saturating_mul(errors) / MILLI.unsigned_abs())
}

/// The mean of what is known, by capacity where that is known of all.
fn mean(aim: Aim, items: &[Item], values: &[Option<u64>]) -> u64 {
    let known = || items.iter().zip(values).filter_map(|(item, value)| Some((item, (*value)?)));
    let is_by_capacity = aim == Aim::Below && known().all(|(item, _)| item.capacity.is_some());
    let (mut total, mut weights) = (0_u128, 0_u128);
    for (item, value) in known() {
        let weight = match aim {
            Aim::Below if is_by_capacity => u128::from(item.capacity.unwrap_or(0)),
            Aim::Below | Aim::Equal => 1,
            Aim::EqualPerWeight => u128::from(item.weight),
        };
        total = total.saturating_add(u128::from(value).saturating_mul(weight));
        weights += weight;
    }
    u64::try_from(total / weights.max(1)).unwrap_or(u64::MAX)
}
