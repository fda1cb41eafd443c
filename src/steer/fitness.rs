//! How fit a pool is to serve a rule, and how far one that was lost has come back.
//!
//! Both follow from the scene and from what the steer says that leads to the pool; nothing is remembered.
//! An endpoint that starts slowly grows as a pool does that ramps up, by what its pool says.

use std::time::Duration;

use super::draw::FULL_SHARE;
use super::scene::{Family, PoolPast, PoolViews, Scene};
use super::select::Fitness;
use crate::model::topology::Failback;
use crate::model::{EndpointId, PoolId, Steer, Time};

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

/// How much something gets that is coming back, and in which time that changes.
#[derive(Clone, Copy)]
pub(super) struct Growth {
    /// Of [`FULL_SHARE`].
    pub(super) share: u16,
    pub(super) left: Option<Duration>,
}

/// What grows does so in so many steps.
const STEPS: u16 = 10;

impl Growth {
    const FULL: Self = Self { share: FULL_SHARE, left: None };

    /// Of what began to grow so long ago and takes `length` in all.
    fn of(gone: Duration, length: Duration) -> Self {
        let step = length / u32::from(STEPS);
        if gone >= length || step.is_zero() {
            return Self::FULL;
        }
        let steps = gone.as_nanos() / step.as_nanos();
        let steps = u16::try_from(steps).unwrap_or(STEPS).min(STEPS - 1) + 1;
        let left = (step * u32::from(steps)).saturating_sub(gone);
        Self { share: FULL_SHARE / STEPS * steps, left: Some(left) }
    }
}

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
        let Growth { share, left } = Growth::of(gone - hold, steer.ramp);
        Self { is_held: false, share, left }
    }
}

impl PoolViews {
    /// How much of its weight an endpoint gets.
    pub(super) fn growth(&self, id: EndpointId, now: Time) -> Growth {
        match self.endpoint_past(id) {
            PoolPast::Back { since, .. } => Growth::of(now.since(since), self.slow_start),
            PoolPast::New | PoolPast::Whole | PoolPast::Lost { .. } => Growth::FULL,
        }
    }

    /// In which time one of those that answers name gets more of its weight. One alone has all answers.
    pub(super) fn grows_in(&self, family: Family, now: Time) -> Option<Duration> {
        let candidates = self.family(family).candidates();
        let growing = candidates.iter().filter(|_| candidates.len() > 1);
        growing.filter_map(|id| self.growth(*id, now).left).min()
    }
}

impl Scene {
    /// How much of its weight an endpoint of `pool` gets, in percent.
    pub(crate) fn percent_of(&self, pool: PoolId, endpoint: EndpointId) -> u16 {
        self.pool(pool).growth(endpoint, self.stage_time()).share / (FULL_SHARE / 100)
    }
}
