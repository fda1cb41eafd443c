//! Response rate limiting: an answer that is sent to a forged address hits whoever has that address.
//!
//! Each prefix of clients may have so many answers a second of each [`Class`]. What it did not ask for is
//! saved up for a while, because resolvers ask in bursts. Beyond the limit most answers are not sent; one
//! in a few is sent truncated, so that a resolver which asked itself comes again over TCP, where no
//! address is forged. TCP does not come here.
//!
//! All threads share [`Buckets`]: a rate is that of the node, however the ports of a client spread over
//! its threads. There are as many buckets as there are, whatever is asked from wherever: a prefix without
//! one takes the bucket in reach that is nearest to being full, and begins with a full one. So the worst
//! that a flood from many prefixes does is to let somebody have more; it never makes anybody have less.
//!
//! ```text
//! lines: [ bucket × 8 ]*     a cache line; which one, the hash of prefix and class says
//! bucket: tag 20 bits │ time 44 bits, in units of 2⁻²⁰ s, modulo 194 days
//! ```
//! The time is when the bucket will be full again (the generic cell rate algorithm, ITU-T I.371): an
//! answer moves it on by 1 / rate, and may not move it past the saving time from now.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::outcome::Kind;
use crate::model::limits::Limits;

/// Lines of buckets: 256 KiB of them.
const LINES: usize = 4096;
const WAYS: usize = 8;
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// A second, in units of a bucket's time.
const SECOND: u64 = 1 << 20;
/// How often a bucket is looked at anew because another thread has changed it meanwhile.
const TRIES: usize = 4;

/// What is limited together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Records and referrals.
    Answers,
    /// That something is not there.
    Negatives,
    /// Errors.
    Errors,
}

impl Class {
    pub(super) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Static | Kind::Steered | Kind::Referral => Self::Answers,
            Kind::NoData | Kind::NxDomain => Self::Negatives,
            Kind::NotOurs
            | Kind::Refused
            | Kind::ServFail
            | Kind::FormErr
            | Kind::NotImp
            | Kind::BadVers
            | Kind::Limited
            | Kind::Dropped => Self::Errors,
        }
    }

    const fn rate(self, limits: &Limits) -> u32 {
        match self {
            Self::Answers => limits.answers_per_sec,
            Self::Negatives => limits.negatives_per_sec,
            Self::Errors => limits.errors_per_sec,
        }
    }
}

/// What clients have had lately. Shared by all threads, of a size that does not change.
#[derive(Debug)]
pub struct Buckets {
    lines: Box<[Line]>,
    /// Nobody outside knows which prefixes share a line.
    seed: u64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; WAYS]);

impl Buckets {
    /// Full ones for everybody.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { lines: (0..LINES).map(|_| Line::default()).collect(), seed }
    }

    /// Takes an answer of that class for `client` out of its bucket; `false` when there is none left.
    #[inline]
    pub(super) fn take(
        &self,
        limits: &Limits,
        class: Class,
        client: IpAddr,
        unix_secs: u32,
    ) -> bool {
        let rate = class.rate(limits);
        rate == 0 || self.take_limited(limits, rate, class, client, unix_secs)
    }

    fn take_limited(
        &self,
        limits: &Limits,
        rate: u32,
        class: Class,
        client: IpAddr,
        unix_secs: u32,
    ) -> bool {
        let (prefix, family) = prefix_of(limits, client);
        let hash = hash(self.seed, prefix, 2 * class as u64 + family);
        #[expect(clippy::cast_possible_truncation, reason = "some bits of a hash")]
        let line = &self.lines[hash as usize % LINES];
        let tag = hash >> TIME_BITS;
        let now = (u64::from(unix_secs) * SECOND) & TIME_MASK;
        let (cost, savings) = (SECOND / u64::from(rate), u64::from(limits.burst_secs) * SECOND);
        // What was left by a clock that was set back, or by longer savings, is nobody's debt.
        let debt = |bucket: u64| match bucket.wrapping_sub(now) & TIME_MASK {
            debt if debt > savings => 0,
            debt => debt,
        };
        for _ in 0..TRIES {
            let (place, bucket) = line.find(tag, debt);
            let debt = cost + if bucket >> TIME_BITS == tag { debt(bucket) } else { 0 };
            if debt > savings {
                return false;
            }
            let new = tag << TIME_BITS | ((now + debt) & TIME_MASK);
            let order = Ordering::Relaxed;
            if place.compare_exchange(bucket, new, order, order).is_ok() {
                return true;
            }
        }
        // Others take from it just now; one answer more is no flood.
        true
    }
}

impl Line {
    /// The bucket with that tag, or else the one to take instead: that with the least debt.
    #[inline]
    fn find(&self, tag: u64, debt: impl Fn(u64) -> u64) -> (&AtomicU64, u64) {
        let buckets = || self.0.iter().map(|place| (place, place.load(Ordering::Relaxed)));
        let own = buckets().find(|(_, bucket)| bucket >> TIME_BITS == tag);
        let least = || buckets().min_by_key(|(_, bucket)| debt(*bucket));
        own.or_else(least).expect("a line has buckets")
    }
}

/// The prefix of a client as a number, and another for its family.
fn prefix_of(limits: &Limits, client: IpAddr) -> (u64, u64) {
    let (bits, len, family) = match client {
        IpAddr::V4(v4) => (u64::from(u32::from(v4)) << 32, limits.v4_prefix, 0),
        IpAddr::V6(v6) => {
            let [high @ .., _, _, _, _, _, _, _, _] = v6.octets();
            (u64::from_be_bytes(high), limits.v6_prefix, 1)
        }
    };
    let mask = u64::MAX.checked_shl(64 - u32::from(len)).unwrap_or(0);
    (bits & mask, family)
}

/// Two folded multiplications: who does not know the seed cannot tell which prefixes are alike.
fn hash(seed: u64, prefix: u64, class: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "folding the halves of a product")]
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let mixed = fold(prefix ^ seed, 0x9e37_79b9_7f4a_7c15);
    fold(mixed ^ seed.rotate_left(32) ^ class, 0xd6e8_feb8_6659_fd93)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn limits(answers_per_sec: u32, burst_secs: u32) -> Limits {
        Limits { answers_per_sec, burst_secs, ..Limits::default() }
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    /// How many of `count` answers at `secs` behind the start are there for a client.
    fn taken(buckets: &Buckets, limits: &Limits, client: IpAddr, secs: u32, count: u32) -> usize {
        let take = |_: &u32| buckets.take(limits, Class::Answers, client, NOW.wrapping_add(secs));
        (0..count).filter(take).count()
    }

    #[test]
    fn a_client_gets_its_rate_and_what_it_saved() {
        let (buckets, limits, client) = (Buckets::new(1), limits(10, 3), v4(0xc000_0201));
        // (seconds behind the start, asked, answered)
        let cases = [
            (0, 50, 30), // Three seconds' worth were saved.
            (1, 50, 10),
            (2, 5, 5),
            (3, 50, 15),
            (100, 50, 30),
            (40, 50, 30), // A clock that is set back makes no debt.
            (u32::MAX, 50, 30),
        ];
        for (secs, asked, answered) in cases {
            assert_eq!(taken(&buckets, &limits, client, secs, asked), answered, "at {secs} s");
        }
    }

    #[test]
    fn clients_of_one_prefix_share_and_others_do_not() {
        let v6 = |high: u64| IpAddr::from(Ipv6Addr::from(u128::from(high) << 64 | 7));
        let cases = [
            (v4(0xc000_0201), v4(0xc000_02ff), true),
            (v4(0xc000_0201), v4(0xc000_0301), false),
            (v6(0x2001_0db8_0000_0001), v6(0x2001_0db8_0000_00ff), true),
            (v6(0x2001_0db8_0000_0001), v6(0x2001_0db8_0000_0101), false),
            (v4(0x2001_0db8), v6(0x2001_0db8_0000_0000), false),
        ];
        for (one, other, is_shared) in cases {
            let (buckets, limits) = (Buckets::new(2), limits(1, 1));
            assert_eq!(taken(&buckets, &limits, one, 0, 5), 1);
            let left = if is_shared { 0 } else { 1 };
            assert_eq!(taken(&buckets, &limits, other, 0, 5), left, "{one} and {other}");
        }
    }

    #[test]
    fn classes_are_limited_each_for_itself() {
        let limits = Limits { errors_per_sec: 2, negatives_per_sec: 3, ..limits(1, 1) };
        let buckets = Buckets::new(3);
        let left = |class, count: u32| {
            let take = |_: &u32| buckets.take(&limits, class, v4(7), NOW);
            (0..count).filter(take).count()
        };
        assert_eq!(left(Class::Answers, 9), 1);
        assert_eq!(left(Class::Negatives, 9), 3);
        assert_eq!(left(Class::Errors, 9), 2);
        assert_eq!(taken(&buckets, &Limits::default(), v4(7), 0, 9), 9, "no rate, no limit");
    }

    #[test]
    fn a_flood_from_everywhere_frees_nobody_who_is_limited() {
        let (buckets, limits, client) = (Buckets::new(4), limits(2, 5), v4(0xc000_0201));
        assert_eq!(taken(&buckets, &limits, client, 0, 50), 10);
        for n in 0..500_000_u32 {
            buckets.take(&limits, Class::Answers, v4(n << 8), NOW);
        }
        assert_eq!(taken(&buckets, &limits, client, 0, 50), 0);
    }

    #[test]
    fn threads_together_hand_out_no_more_than_there_is() {
        let (buckets, limits) = (Buckets::new(5), limits(1000, 1));
        let all: usize = std::thread::scope(|scope| {
            let take = || taken(&buckets, &limits, v4(9), 0, 2000);
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // Each thread may have given up a few times.
        assert!((1000..1100).contains(&all), "{all}");
    }

    proptest! {
        #[test]
        fn who_stays_below_the_rate_is_never_limited_whatever_others_do(
            seed: u64,
            rate in 1_u32..200,
            burst in 1_u32..10,
            asked in prop::collection::vec((0_u32..4, 0_u32..=100), 1..30),
            flood in prop::collection::vec(any::<u32>(), 0..200),
        ) {
            let (buckets, limits, client) = (Buckets::new(seed), limits(rate, burst), v4(1));
            let mut secs = 0;
            for (pause, percent) in asked {
                secs += 1 + pause;
                for other in &flood {
                    let other = if other >> 8 == 0 { 1 << 8 } else { *other };
                    taken(&buckets, &limits, v4(other), secs, 3);
                }
                let count = rate * percent / 100;
                prop_assert_eq!(taken(&buckets, &limits, client, secs, count), count as usize);
            }
        }

        #[test]
        fn who_passes_the_rate_gets_no_more_than_it_and_the_savings(
            seed: u64,
            rate in 1_u32..200,
            burst in 1_u32..10,
            asked in prop::collection::vec(0_u32..2000, 1..30),
        ) {
            let (buckets, limits) = (Buckets::new(seed), limits(rate, burst));
            let seconds = u32::try_from(asked.len()).unwrap();
            let answered: usize = (0..)
                .zip(&asked)
                .map(|(secs, count)| taken(&buckets, &limits, v4(1), secs, *count))
                .sum();
            // Times are whole units, so that rates are a little higher than they say.
            let allowed = (rate * (seconds - 1 + burst)) as usize;
            prop_assert!(answered <= allowed + allowed / 1000 + 1);
        }
    }
}
