//! What one vantage says of one target.
//!
//! A [`Vote`] is the opinion that a vantage's own tracker has come to, after its own hysteresis, with what a
//! node wants to know beside it: why, how far away, and how soon it could be another. In a frame it is a row
//! of a fixed size, so that a second of an outage costs what a second of peace costs.

use std::time::Duration;

use crate::model::{FailureReason, TargetId, Verdict};

/// Octets of a row: target, opinion and round trip, haste, reason and its number.
pub(super) const ROW_LEN: usize = 8 + 1 + 1 + 3;
/// What `soon` counts in.
const SOON_STEP: Duration = Duration::from_millis(100);
/// What says that no change is on its way.
const NO_CHANGE: u8 = u8::MAX;

/// What a vantage holds of a target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Opinion {
    /// It has not looked yet.
    #[default]
    Init,
    /// It answers as it should.
    Up,
    /// It answers, but poorly.
    Degraded,
    /// It does not answer as it should.
    Down,
}

impl From<Verdict> for Opinion {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Unknown => Self::Init,
            Verdict::Up => Self::Up,
            Verdict::Degraded => Self::Degraded,
            Verdict::Down => Self::Down,
        }
    }
}

impl Opinion {
    /// The word in `status`: `init`, `up`, `degraded`, `down`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Init => 0,
            Self::Up => 1,
            Self::Degraded => 2,
            Self::Down => 3,
        }
    }

    const fn of_code(code: u8) -> Self {
        match code & 3 {
            1 => Self::Up,
            2 => Self::Degraded,
            3 => Self::Down,
            _ => Self::Init,
        }
    }
}

/// What one vantage says of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Vote {
    /// What it holds.
    pub opinion: Opinion,
    /// How long the last success took.
    pub round_trip: RoundTrip,
    /// The shortest time in which it could hold something else; `Duration::MAX` when nothing points there.
    /// Frames carry it in steps of 100 ms, rounded down.
    pub soon: Duration,
    /// Why it does not hold it for up, as far as this release knows such reasons.
    pub reason: Option<FailureReason>,
}

/// A round trip in 6 bits: quarters of an octave from 64 µs on. 0 says that it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoundTrip(u8);

impl RoundTrip {
    /// The bucket that a length of time falls into.
    #[must_use]
    pub fn of(took: Duration) -> Self {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(64);
        let octave = micros.ilog2() - 6;
        let quarter = (micros >> (octave + 4)) & 3;
        let bucket = u64::from(octave) * 4 + quarter + 1;
        Self(u8::try_from(bucket.min(63)).unwrap_or(63))
    }

    /// The shortest length of time in it; `None` when it is not known.
    #[must_use]
    pub fn at_least(self) -> Option<Duration> {
        let place = u32::from(self.0.checked_sub(1)?);
        let micros = u64::from(4 + place % 4) << (place / 4 + 4);
        Some(Duration::from_micros(micros))
    }
}

impl Vote {
    pub(super) fn write(&self, target: TargetId, row: &mut Vec<u8>) {
        let steps = self.soon.as_millis() / SOON_STEP.as_millis();
        let soon = match self.soon {
            Duration::MAX => NO_CHANGE,
            _ => u8::try_from(steps).unwrap_or(NO_CHANGE - 1).min(NO_CHANGE - 1),
        };
        let (reason, number) = self.reason.map_or((0, 0), code_of);
        row.extend(target.0.to_be_bytes());
        row.extend([self.opinion.code() << 6 | self.round_trip.0, soon, reason]);
        row.extend(number.to_be_bytes());
    }

    pub(super) fn read(row: &[u8; ROW_LEN]) -> (TargetId, Self) {
        let [a, b, c, d, e, f, g, h, state, soon, reason, high, low] = *row;
        let vote = Self {
            opinion: Opinion::of_code(state >> 6),
            round_trip: RoundTrip(state & 63),
            soon: match soon {
                NO_CHANGE => Duration::MAX,
                steps => SOON_STEP * u32::from(steps),
            },
            reason: reason_of(reason, u16::from_be_bytes([high, low])),
        };
        (TargetId(u64::from_be_bytes([a, b, c, d, e, f, g, h])), vote)
    }
}

// ---- Reasons ----

/// The number of a reason in frames, and the number that it is about. Never given to another reason.
fn code_of(reason: FailureReason) -> (u8, u16) {
    match reason {
        FailureReason::Timeout => (1, 0),
        FailureReason::Refused => (2, 0),
        FailureReason::Unreachable => (3, 0),
        FailureReason::Tls => (4, 0),
        FailureReason::Certificate => (5, 0),
        FailureReason::Status(code) => (6, code),
        FailureReason::Body => (7, 0),
        FailureReason::Answer => (8, 0),
        FailureReason::Rcode(code) => (9, code.into()),
        FailureReason::Grpc(code) => (10, code.into()),
        FailureReason::NotServing(code) => (11, code.into()),
        FailureReason::Exit(code) => (12, code.into()),
        FailureReason::Signal(number) => (13, number.into()),
        FailureReason::Protocol => (14, 0),
        FailureReason::Resolve => (15, 0),
        FailureReason::Success => (16, 0),
        FailureReason::Missing => (17, 0),
    }
}

/// What [`code_of`] has made a number of; `None` of what a newer release may know.
fn reason_of(code: u8, number: u16) -> Option<FailureReason> {
    let small = || u8::try_from(number).ok();
    Some(match code {
        1 => FailureReason::Timeout,
        2 => FailureReason::Refused,
        3 => FailureReason::Unreachable,
        4 => FailureReason::Tls,
        5 => FailureReason::Certificate,
        6 => FailureReason::Status(number),
        7 => FailureReason::Body,
        8 => FailureReason::Answer,
        9 => FailureReason::Rcode(small()?),
        10 => FailureReason::Grpc(small()?),
        11 => FailureReason::NotServing(small()?),
        12 => FailureReason::Exit(small()?),
        13 => FailureReason::Signal(small()?),
        14 => FailureReason::Protocol,
        15 => FailureReason::Resolve,
        16 => FailureReason::Success,
        17 => FailureReason::Missing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_as_it_was_written() {
        let reasons = (0..=20).flat_map(|code| [0, 5, 503].map(|number| reason_of(code, number)));
        for (n, reason) in (0_u32..).zip(reasons) {
            let opinions = [Opinion::Init, Opinion::Up, Opinion::Degraded, Opinion::Down];
            let vote = Vote {
                opinion: opinions[usize::try_from(n).unwrap() % 4],
                round_trip: RoundTrip::of(Duration::from_millis(n.into())),
                soon: if n % 3 == 0 { Duration::MAX } else { SOON_STEP * n },
                reason,
            };
            let mut row = Vec::new();
            vote.write(TargetId(n.into()), &mut row);
            let row = <&[u8; ROW_LEN]>::try_from(&row[..]).unwrap();
            assert_eq!(Vote::read(row), (TargetId(n.into()), vote));
        }
    }

    #[test]
    fn what_is_far_off_is_not_never() {
        let vote = Vote { soon: Duration::from_secs(3600), ..Vote::default() };
        let mut row = Vec::new();
        vote.write(TargetId(1), &mut row);
        let (_, read) = Vote::read(<&[u8; ROW_LEN]>::try_from(&row[..]).unwrap());
        assert_eq!(read.soon, Duration::from_millis(25_400));
    }

    #[test]
    fn round_trips_fall_into_buckets_a_fifth_wide() {
        assert_eq!(RoundTrip::default().at_least(), None);
        for micros in [1, 63, 64, 100, 1000, 12_345, 250_000, 2_000_000] {
            let took = Duration::from_micros(micros);
            let least = RoundTrip::of(took).at_least().unwrap();
            assert!(least <= took.max(Duration::from_micros(64)), "{micros} µs: {least:?}");
            assert!(took <= least * 5 / 4 + Duration::from_micros(16), "{micros} µs: {least:?}");
        }
        assert_eq!(RoundTrip::of(Duration::MAX), RoundTrip(63));
    }
}
