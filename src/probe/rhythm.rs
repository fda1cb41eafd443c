//! When one target is probed next, by one vantage.
//!
//! A [`Rhythm`] knows which probes of its target are under way and has one plan at most: what is due next, and
//! when. Each probe that starts or ends makes another plan, and those before are void. It reads no clock and
//! starts nothing: whoever does tells it, and looks after room and [reserve](super::budget).
//!
//! ```text
//! a probe starts   beside is wanted, and room for it     beside, so long after this one
//!                  else                                  nothing
//! a probe ends     none is under way, sooner than usual  extra
//!                  none is under way                     ordinary
//!                  others are, sooner than usual,
//!                    and more are wanted beside          beside
//!                  else                                  nothing: those under way will tell
//! a call           none is under way                     extra, now
//! ```

use std::time::Duration;

use super::place::Place;
use crate::clock::Moment;
use crate::model::health::{Beside, Pace, Turn};
use crate::model::{Target, Time};

/// What is due for a target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Due {
    /// Its ordinary probe.
    Ordinary,
    /// One that comes sooner.
    Extra,
    /// One beside those under way.
    Beside,
}

/// What is due next, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What.
    pub what: Due,
    /// When.
    pub at: Time,
    /// Those with a lower number are void.
    pub number: u32,
}

/// When one target is probed next.
#[derive(Clone, Debug)]
pub struct Rhythm {
    turn: Turn,
    place: Place,
    plan: Plan,
    last_start: Time,
    under_way: u32,
    beside: Option<Beside>,
    /// How long a probe may take.
    timeout: Duration,
}

impl Rhythm {
    /// The rhythm of a target that is new at `now`: its first probe comes within `round`, or an interval if
    /// that is shorter.
    #[must_use]
    pub fn new(target: &Target, turn: Turn, now: Moment, round: Duration) -> Self {
        let place = Place::staggered(target, turn, now);
        let at = now.time + place.first_delay(round);
        Self {
            turn,
            place,
            plan: Plan { what: Due::Ordinary, at, number: 0 },
            last_start: at,
            under_way: 0,
            beside: None,
            timeout: target.spec.timeout,
        }
    }

    /// What is due next; what was when nothing is.
    #[must_use]
    pub const fn plan(&self) -> Plan {
        self.plan
    }

    /// Whether a plan of such a number still means something.
    #[must_use]
    pub const fn is_current(&self, number: u32) -> bool {
        self.plan.number == number
    }

    /// Gives it another turn among the vantages that watch the target: it goes over to that with its next
    /// ordinary probe.
    pub fn set_turn(&mut self, target: &Target, turn: Turn, now: Moment) {
        if self.turn != turn {
            (self.turn, self.place) = (turn, Place::staggered(target, turn, now));
        }
    }

    /// Somebody calls for a look at `now`.
    pub fn hasten(&mut self, now: Time) -> Option<Plan> {
        (self.under_way == 0 && self.plan.at > now).then(|| self.make(Due::Extra, now))
    }

    /// There is no reserve for what was due: it is left to the ordinary probe.
    pub fn leave_to_ordinary(&mut self, now: Time) -> Plan {
        let at = self.place.next_start(self.last_start, self.place.interval).max(now);
        self.make(Due::Ordinary, at)
    }

    /// A probe starts.
    pub fn start(&mut self, now: Time) -> Option<Plan> {
        self.last_start = now;
        self.under_way += 1;
        let beside = self.beside.filter(|beside| self.under_way < beside.most)?;
        let gap = if self.under_way == 1 { beside.after } else { beside.gap };
        (gap < self.timeout).then(|| self.make(Due::Beside, now + gap))
    }

    /// A probe has ended, and the target goes on as was `told`, or as usual if nothing was.
    pub fn end(&mut self, told: Option<Pace>) -> Option<Plan> {
        self.under_way -= 1;
        let interval = self.place.interval;
        let Pace { next, beside } = told.unwrap_or(Pace { next: interval, beside: None });
        self.beside = beside;
        let is_sooner = next < interval;
        let what = match (self.under_way, beside) {
            (0, _) if is_sooner => Some(Due::Extra),
            (0, _) => Some(Due::Ordinary),
            // One that has failed is confirmed by those under way, and by others if more are needed.
            (under_way, Some(Beside { most, .. })) if is_sooner && under_way < most => {
                Some(Due::Beside)
            }
            (_, _) => None,
        };
        let at = self.place.next_start(self.last_start, next);
        match what {
            Some(what) => Some(self.make(what, at)),
            None => {
                self.plan.number = self.plan.number.wrapping_add(1);
                None
            }
        }
    }

    fn make(&mut self, what: Due, at: Time) -> Plan {
        self.plan = Plan { what, at, number: self.plan.number.wrapping_add(1) };
        self.plan
    }
}

#[cfg(test)]
mod tests;
