//! The machine's clocks: the only place that reads them.
//!
//! Everything else takes a [`Time`] as an argument, or a [`Moment`] where wall-clock time must be
//! written down or read back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::Time;

/// What the clock shows when the process starts. Far from zero, so that moments before the start,
/// remembered from an earlier life, have a [`Time`] too.
const AT_START: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The monotonic clock of this process and the wall clock beside it. Copies show the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

/// One moment as both clocks show it. Translates between them, each time on the assumption that
/// the wall clock was not set in between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// On the monotonic clock.
    pub time: Time,
    /// On the wall clock: since 1970 in UTC.
    pub unix: Duration,
}

impl Clock {
    /// Starts the clock. A process does so once.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Now, on the monotonic clock.
    #[must_use]
    pub fn now(self) -> Time {
        self.started_at() + self.started.elapsed()
    }

    /// When it was started.
    #[must_use]
    pub fn started_at(self) -> Time {
        Time::ZERO + AT_START
    }

    /// Now, on the wall clock: since 1970 in UTC. Zero if the machine believes to be before that.
    #[must_use]
    pub fn unix_now(self) -> Duration {
        unix_now()
    }

    /// Now, on the wall clock, in the form of protocols: seconds since 1970 modulo 2³².
    #[must_use]
    pub fn unix_secs(self) -> u32 {
        u32::try_from(self.unix_now().as_secs() & u64::from(u32::MAX)).expect("32 bits")
    }

    /// Now, on both.
    #[must_use]
    pub fn moment(self) -> Moment {
        Moment { time: self.now(), unix: self.unix_now() }
    }
}

/// Now, on the wall clock: see [`Clock::unix_now`].
#[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
#[must_use]
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Moment {
    /// What the wall clock showed at `time`, or will show.
    #[must_use]
    pub fn unix_at(self, time: Time) -> Duration {
        if time > self.time {
            self.unix + time.since(self.time)
        } else {
            self.unix.saturating_sub(self.time.since(time))
        }
    }

    /// The time at which the wall clock showed `unix`; the zero of the clock if that was earlier.
    #[must_use]
    pub fn time_at(self, unix: Duration) -> Time {
        if unix > self.unix {
            return self.time + (unix - self.unix);
        }
        let ago = u64::try_from((self.unix - unix).as_nanos()).unwrap_or(u64::MAX);
        Time::from_nanos(self.time.as_nanos().saturating_sub(ago))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_run_backwards_and_starts_where_it_says() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.started_at() <= first);
        assert!(first <= clock.now());
        assert!(clock.unix_now() > Duration::from_secs(1_600_000_000));
    }

    #[test]
    fn moments_translate_there_and_back() {
        let moment =
            Moment { time: Time::from_secs(1000), unix: Duration::from_secs(1_700_000_000) };
        for secs in [0, 999, 1000, 1001, 5000] {
            let time = Time::from_secs(secs);
            assert_eq!(moment.time_at(moment.unix_at(time)), time);
        }
        assert_eq!(moment.unix_at(Time::from_secs(990)), Duration::from_secs(1_699_999_990));
        assert_eq!(moment.time_at(Duration::ZERO), Time::ZERO, "before the zero of the clock");
    }
}
