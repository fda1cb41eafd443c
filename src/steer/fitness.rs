//! How fit a pool is to serve a rule, and how far one that was lost has come back.
//!
//! Both follow from the scene and from what the steer says that leads to the pool; nothing is remembered.

use std::time::Duration;

use super::draw::FULL_SHARE;
use super::scene::{Family, PoolPast, PoolViews};
use super::select::Fitness;
use crate::model::topology::Failback;
use crate::model::{Steer, Time};

/// How fit a pool is for a steer that leads to it; `None` when it does not have the family.
pub(super) fn fitness_of(
    view: &PoolViews,
    steer: &Steer,
    family: Family,
    now: Time,
    is_held: bool,
) -> Option<Fitness> {
    let own = view.family(family);
    if own.having.is_empty() {
        return None;
    }
    Some(match (own.alive.is_empty(), own.drained.is_empty()) {
        (true, true) if is_held && own.open.is_empty() => Fitness::Drained,
        (true, true) | (false, _) if is_held => Fitness::Good,
        (true, true) if own.open.is_empty() => Fitness::DeadAndDrained,
        (true, true) => Fitness::Dead,
        (true, false) => Fitness::Drained,
        (false, _) if !view.is_usable() => Fitness::TooFew,
        (false, _) if Stage::of(view.past, steer, now).is_held => Fitness::Returning,
        (false, _) => Fitness::Good,
    })
}

/// How far a pool has come back.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    /// Whether the steer does not use it yet.
    pub(super) is_held: bool,
    /// How much of its share it gets, of [`FULL_SHARE`].
    pub(super) share: u16,
    /// In which time that changes of itself.
    pub(super) left: Option<Duration>,
}

/// A ramp goes up in so many steps.
const RAMP_STEPS: u16 = 10;

impl Stage {
    pub(super) fn of(past: PoolPast, steer: &Steer, now: Time) -> Self {
        let full = Self { is_held: false, share: FULL_SHARE, left: None };
        let PoolPast::Back { since, is_released } = past else { return full };
        let gone = now.since(since);
        let hold = match steer.failback {
            _ if is_released => Duration::ZERO,
            Failback::Auto => Duration::ZERO,
            Failback::Delayed(hold) => hold,
            Failback::Manual => return Self { is_held: true, ..full },
        };
        if gone < hold {
            return Self { is_held: true, left: Some(hold - gone), ..full };
        }
        let (step, gone) = (steer.ramp / u32::from(RAMP_STEPS), gone - hold);
        if gone >= steer.ramp || step.is_zero() {
            return full;
        }
        let steps = gone.as_nanos() / step.as_nanos();
        let steps = u16::try_from(steps).unwrap_or(RAMP_STEPS).min(RAMP_STEPS - 1) + 1;
        let share = FULL_SHARE / RAMP_STEPS * steps;
        Self { is_held: false, share, left: Some((step * u32::from(steps)).saturating_sub(gone)) }
    }
}
