//! How fit a pool is to serve a rule, and how far one that was lost has come back.
//!
//! Both follow from the scene and from what the steer says that leads to the pool; nothing is remembered.
//! An endpoint that starts slowly grows as a pool does that ramps up, by what its pool says; so does one that
//! is no longer degraded, from half of its weight on.

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
        (true, true) if !own.answering.is_empty() => Fitness::Flapping,
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
/// What an endpoint gets of its weight while it is degraded, and at least for half of the time that it takes to
/// come back from that. Who is slow because he has too much to do is quick again once he has less: half
/// of it is no more than others can take over, and coming back takes so long that nobody goes to and fro.
const DEGRADED_SHARE: u16 = FULL_SHARE / 2;
/// In which time an endpoint that is no longer degraded has the whole of its weight again.
pub(super) const RECOVERY: Duration = Duration::from_secs(600);

impl Growth {
    const FULL: Self = Self { share: FULL_SHARE, left: None };

    /// What both leave.
    fn and(self, other: Self) -> Self {
        let share = u32::from(self.share) * u32::from(other.share) / u32::from(FULL_SHARE);
        let left = [self.left, other.left].into_iter().flatten().min();
        Self { share: u16::try_from(share).unwrap_or(FULL_SHARE), left }
    }

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
        self.start(id, now).and(self.pace(id, now))
    }

    /// How much of its weight an endpoint gets that may have come back of late.
    pub(super) fn start(&self, id: EndpointId, now: Time) -> Growth {
        match self.endpoint_past(id) {
            PoolPast::Back { since, .. } => Growth::of(now.since(since), self.slow_start),
            PoolPast::New | PoolPast::Whole | PoolPast::Lost { .. } => Growth::FULL,
        }
    }

    /// How much of its weight an endpoint gets that may be degraded, or has been of late.
    fn pace(&self, id: EndpointId, now: Time) -> Growth {
        match self.degraded.iter().find(|slow| slow.id == id).map(|slow| slow.ended) {
            None => Growth::FULL,
            Some(None) => Growth { share: DEGRADED_SHARE, left: None },
            Some(Some(ended)) => {
                let Growth { share, left } = Growth::of(now.since(ended), RECOVERY);
                Growth { share: share.max(DEGRADED_SHARE), left }
            }
        }
    }

    /// Whether all of its endpoints have the whole of their weights for sure.
    pub(super) fn is_whole(&self) -> bool {
        self.slow_start.is_zero() && self.degraded.is_empty()
    }

    /// In which time one of those that answers name gets more of its weight. One alone has all answers.
    pub(super) fn grows_in(&self, family: Family, now: Time) -> Option<Duration> {
        let candidates = self.family(family).candidates();
        let growing = candidates.iter().filter(|_| candidates.len() > 1);
        growing.filter_map(|id| self.growth(*id, now).left).min()
    }
}

/// Why an endpoint has less of its weight than others of its pool, in percent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lessened {
    /// It has come back and starts slowly.
    Starting(u16),
    /// It is degraded.
    Degraded(u16),
    /// It was degraded of late.
    Recovering(u16),
}

impl Scene {
    /// Whether an endpoint of `pool` has less of its weight than others that are named with it.
    pub(crate) fn lessened(&self, pool: PoolId, endpoint: EndpointId) -> Option<Lessened> {
        let (view, now) = (self.pool(pool), self.stage_time());
        let share = |id: EndpointId| view.growth(id, now).share;
        let own = share(endpoint);
        let others = view.family(Family::Either).candidates();
        if own == FULL_SHARE || others.iter().all(|id| share(*id) == own) {
            return None;
        }
        let percent = own / (FULL_SHARE / 100);
        Some(match view.degraded.iter().find(|slow| slow.id == endpoint) {
            Some(slow) if slow.ended.is_none() => Lessened::Degraded(percent),
            _ if view.start(endpoint, now).share < FULL_SHARE => Lessened::Starting(percent),
            _ => Lessened::Recovering(percent),
        })
    }
}
