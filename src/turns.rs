//! Giving way, so that answers do not wait behind work that takes long.
//!
//! A thread that has a packet to answer and finds every processor taken may have to wait until somebody's
//! turn is over. Where answers are compiled beside, that was measured to be some four milliseconds, which is
//! longer than all else that an answer takes. So whoever compiles gives way by itself.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Time;

/// How long a thread works before it gives way.
const WORK: Duration = Duration::from_micros(500);

/// Has a thread give way now and then while it works for long.
#[derive(Debug)]
pub struct Pace {
    clock: Clock,
    since: Cell<Time>,
}

impl Pace {
    /// Of work that begins.
    #[must_use]
    pub fn start(clock: Clock) -> Self {
        Self { clock, since: Cell::new(clock.now()) }
    }

    /// Lets others have the processor if it is time. To be called often.
    pub fn breathe(&self) {
        if self.clock.now().since(self.since.get()) >= WORK {
            thread::yield_now();
            self.since.set(self.clock.now());
        }
    }
}
