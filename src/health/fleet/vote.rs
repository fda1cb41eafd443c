//! What one vantage says of one target.
//!
//! A [`Vote`] is the opinion that a vantage's own tracker has come to, after its own hysteresis, with what a
//! node wants to know beside it: why, how far away, and how soon it could be another. In a frame it is a row
//! of a fixed size, so that a frame of an outage is as long as one of peace.

use std::time::Duration;

use std::fmt;

use crate::model::health::Flaw;
use crate::model::{FailureReason, TargetId, Verdict};

/// Octets of a row: target, opinion and round trip, haste, grounds and their number.
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
    /// Why it does not hold it for up, as far as this release knows such grounds.
    pub grounds: Option<Grounds>,
}

/// Why a vantage does not hold a target for up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grounds {
    /// It does not answer as it should.
    Failed(FailureReason),
    /// It answers slowly.
    Slow,
    /// Something is wrong with it.
    Flawed(Flaw),
    /// It answers, and is held back because it comes and goes.
    HeldBack,
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => reason.fmt(f),
            Self::Slow => f.write_str("slow"),
            Self::Flawed(flaw) => flaw.fmt(f),
            Self::HeldBack => f.write_str("flapping"),
        }
    }
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
        let (grounds, number) = self.grounds.map_or((0, 0), code_of);
        row.extend(target.0.to_be_bytes());
        row.extend([self.opinion.code() << 6 | self.round_trip.0, soon, grounds]);
        row.extend(number.to_be_bytes());
    }

    pub(super) fn read(row: &[u8; ROW_LEN]) -> (TargetId, Self) {
        let [a, b, c, d, e, f, g, h, state, soon, grounds, high, low] = *row;
        let vote = Self {
            opinion: Opinion::of_code(state >> 6),
            round_trip: RoundTrip(state & 63),
            soon: match soon {
                NO_CHANGE => Duration::MAX,
                steps => SOON_STEP * u32::from(steps),
            },
            grounds: grounds_of(grounds, u16::from_be_bytes([high, low])),
        };
        (TargetId(u64::from_be_bytes([a, b, c, d, e, f, g, h])), vote)
    }
}

// ---- Grounds ----

/// The first number of what is no failure; a release that knows none of them reads no grounds.
const SLOW: u8 = 64;
const CERTIFICATE_ENDS: u8 = 65;
const CERTIFICATE_OVER: u8 = 66;
const HELD_BACK: u8 = 67;
/// Bits of a number that tell days: no check wants a certificate to be good for longer than 366.
const DAY_BITS: u32 = 9;

/// The number of grounds in frames, and the number that they are about. Never given to others.
fn code_of(grounds: Grounds) -> (u8, u16) {
    match grounds {
        Grounds::Failed(reason) => code_of_failure(reason),
        Grounds::Slow => (SLOW, 0),
        Grounds::HeldBack => (HELD_BACK, 0),
        Grounds::Flawed(Flaw::CertificateEnds { place, days }) => {
            let (place, days) = (u16::from(place.min(127)), days.min((1 << DAY_BITS) - 1));
            (CERTIFICATE_ENDS, place << DAY_BITS | days)
        }
        Grounds::Flawed(Flaw::CertificateOver { place }) => (CERTIFICATE_OVER, place.into()),
    }
}

/// What [`code_of`] has made a number of; `None` of what a newer release may know.
fn grounds_of(code: u8, number: u16) -> Option<Grounds> {
    let place = |number| u8::try_from(number).ok();
    Some(match code {
        SLOW => Grounds::Slow,
        HELD_BACK => Grounds::HeldBack,
        CERTIFICATE_ENDS => {
            let (place, days) = (place(number >> DAY_BITS)?, number & ((1 << DAY_BITS) - 1));
            Grounds::Flawed(Flaw::CertificateEnds { place, days })
        }
        CERTIFICATE_OVER => Grounds::Flawed(Flaw::CertificateOver { place: place(number)? }),
        _ => Grounds::Failed(failure_of(code, number)?),
    })
}

fn code_of_failure(reason: FailureReason) -> (u8, u16) {
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

fn failure_of(code: u8, number: u16) -> Option<FailureReason> {
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
        let all = (0..=70).flat_map(|code| [0, 5, 503].map(|number| grounds_of(code, number)));
        for (n, grounds) in (0_u32..).zip(all) {
            let opinions = [Opinion::Init, Opinion::Up, Opinion::Degraded, Opinion::Down];
            let vote = Vote {
                opinion: opinions[usize::try_from(n).unwrap() % 4],
                round_trip: RoundTrip::of(Duration::from_millis(n.into())),
                soon: if n % 3 == 0 { Duration::MAX } else { SOON_STEP * n },
                grounds,
            };
            let mut row = Vec::new();
            vote.write(TargetId(n.into()), &mut row);
            let row = <&[u8; ROW_LEN]>::try_from(&row[..]).unwrap();
            assert_eq!(Vote::read(row), (TargetId(n.into()), vote));
        }
    }

    #[test]
    fn rows_of_other_releases_are_read() {
        let row = |grounds: [u8; 3]| {
            let mut row = [0, 0, 0, 0, 0, 0, 0, 7, 0b1100_0000, 255, 0, 0, 0];
            row[10..].copy_from_slice(&grounds);
            Vote::read(&row)
        };
        let failed = Vote { opinion: Opinion::Down, soon: Duration::MAX, ..Vote::default() };
        let status = Grounds::Failed(FailureReason::Status(503));
        // As the first release wrote it, and what one that is to come may write.
        let known = Vote { grounds: Some(status), ..failed };
        assert_eq!(row([6, 0x01, 0xf7]), (TargetId(7), known));
        assert_eq!(row([200, 1, 2]), (TargetId(7), failed));
    }

    #[test]
    fn days_and_places_of_certificates_are_cut_and_never_mixed() {
        let through = |flaw| {
            let (code, number) = code_of(Grounds::Flawed(flaw));
            grounds_of(code, number).unwrap().to_string()
        };
        let ends = |place, days| through(Flaw::CertificateEnds { place, days });
        assert_eq!(ends(0, 9), "certificate ends in 9 days");
        assert_eq!(ends(2, 366), "certificate 3 of its chain ends in 366 days");
        assert_eq!(ends(255, u16::MAX), "certificate 128 of its chain ends in 511 days");
        assert_eq!(
            through(Flaw::CertificateOver { place: 1 }),
            "certificate 2 of its chain has ended"
        );
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
