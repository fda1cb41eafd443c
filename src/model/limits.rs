//! How many answers a client may get: response rate limits.

use std::ops::RangeInclusive;

use super::Prefix;

/// How many answers over UDP the clients of one prefix get. Of each kind so many a second; 0 means as many
/// as they ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Records and referrals.
    pub answers_per_sec: u32,
    /// That a name or a type is not there.
    pub negatives_per_sec: u32,
    /// Errors of all kinds.
    pub errors_per_sec: u32,
    /// For how many seconds what was not asked for is saved up.
    pub burst_secs: u32,
    /// One of so many answers beyond the limit is sent truncated; none when it is 0.
    pub slip: u8,
    /// Leading bits that make clients one, IPv4.
    pub v4_prefix: u8,
    /// The same, IPv6.
    pub v6_prefix: u8,
    /// Who is never limited.
    pub exempt: Vec<Prefix>,
}

impl Limits {
    /// What rates can be.
    pub const PER_SEC: RangeInclusive<u32> = 0..=100_000;
    /// For how long something can be saved up, in seconds.
    pub const BURST_SECS: RangeInclusive<u32> = 1..=60;
    /// What slips can be.
    pub const SLIP: RangeInclusive<u16> = 0..=10;
    /// What lengths of prefixes can be, IPv4 and IPv6.
    pub const V4_PREFIX: RangeInclusive<u16> = 1..=32;
    /// The same, IPv6: what is behind these bits is for whoever has the prefix to choose.
    pub const V6_PREFIX: RangeInclusive<u16> = 1..=64;
}

/// No limits; the rest is what BIND, NSD and Knot DNS have.
impl Default for Limits {
    fn default() -> Self {
        Self {
            answers_per_sec: 0,
            negatives_per_sec: 0,
            errors_per_sec: 0,
            burst_secs: 5,
            slip: 2,
            v4_prefix: 24,
            v6_prefix: 56,
            exempt: Vec::new(),
        }
    }
}
