//! What a vantage says when it has seen a first failure: look at these, too, and now.
//!
//! Whoever has a target in its share probes it at once, and not only when it would have been its turn. So the
//! time to a verdict is that of the first who sees a failure, and not that of the last who is needed. A call asks
//! for nothing else: it is no vote, it is lost with whoever is not there, and whoever is called calls nobody.
//!
//! ```text
//! octets   big-endian
//! 4        "WRC" and the version of this form, 1
//! 1 + n    name of the vantage      UTF-8, at most 64 octets
//! 8        when it was sent (ms since 1970)
//! 8 each   targets
//! 32       seal
//! ```

use std::collections::HashMap;
use std::time::Duration;

use super::frame::Reader;
use super::seal::{Keys, Purpose, SEAL_LEN};
use crate::model::{TargetId, Time, whole_millis};

/// Targets of one call. What fails beyond that at once is found by everybody's own probes.
pub const CALL_MAX: usize = 4000;
/// What was sent longer ago was recorded, or has waited until it means nothing.
const STALE: Duration = Duration::from_secs(10);
/// For a target that was called for, nobody is heard again within so long.
const GAP: Duration = Duration::from_secs(1);

/// When very many were called for, those of so long ago are forgotten.
const CROWDED: Duration = Duration::from_secs(60);

const MAGIC: [u8; 4] = *b"WRC\x01";

/// Targets to be looked at now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Who says so.
    pub vantage: String,
    /// When it was sent: since 1970.
    pub sent: Duration,
    /// Which.
    pub targets: Vec<TargetId>,
}

impl Call {
    /// As it is sent.
    #[must_use]
    pub fn seal(&self, keys: &Keys) -> Vec<u8> {
        let Self { vantage, sent, targets } = self;
        let mut out = Vec::with_capacity(80 + SEAL_LEN + targets.len() * 8);
        out.extend(MAGIC);
        super::frame::write_text(&mut out, vantage);
        out.extend(whole_millis(*sent).to_be_bytes());
        out.extend(targets.iter().take(CALL_MAX).flat_map(|target| target.0.to_be_bytes()));
        keys.seal(Purpose::Calls, out)
    }

    /// Reads what was sent; `None` when the seal is not the fleet's, or what is sealed is no call.
    #[must_use]
    pub fn open(keys: &Keys, sealed: &[u8]) -> Option<Self> {
        let longest = 128 + SEAL_LEN + CALL_MAX * 8;
        let body = Some(sealed).filter(|sealed| sealed.len() <= longest)?;
        let mut body = Reader(keys.open(Purpose::Calls, body)?);
        if body.take()? != MAGIC {
            return None;
        }
        let vantage = body.text()?;
        let sent = Duration::from_millis(u64::from_be_bytes(body.take()?));
        let (targets, rest) = body.0.as_chunks::<8>();
        let targets = targets.iter().map(|id| TargetId(u64::from_be_bytes(*id))).collect();
        rest.is_empty().then_some(Self { vantage, sent, targets })
    }

    /// Whether it still means something at `unix`, since 1970.
    #[must_use]
    pub fn is_recent(&self, unix: Duration) -> bool {
        self.sent.abs_diff(unix) < STALE
    }
}

/// For which targets was called, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Called(HashMap<TargetId, Time>);

impl Called {
    /// Those of `doubted`, each with its interval, for which to call now: at most once an interval.
    pub(super) fn take_due(
        &mut self,
        doubted: &[(TargetId, Duration)],
        now: Time,
    ) -> Vec<TargetId> {
        let is_due = |(target, interval): &&(TargetId, Duration)| {
            self.0.get(target).is_none_or(|at| now.since(*at) >= *interval)
        };
        let due: Vec<TargetId> =
            doubted.iter().filter(is_due).map(|(target, _)| *target).take(CALL_MAX).collect();
        self.note(&due, now);
        due
    }

    /// Those of `called` at which to look now.
    pub(super) fn take_called(&mut self, called: &[TargetId], now: Time) -> Vec<TargetId> {
        let is_due = |target: &&TargetId| self.0.get(target).is_none_or(|at| now.since(*at) >= GAP);
        let due: Vec<TargetId> = called.iter().filter(is_due).copied().collect();
        self.note(&due, now);
        due
    }

    fn note(&mut self, targets: &[TargetId], now: Time) {
        if self.0.len() > 2 * CALL_MAX {
            self.0.retain(|_, at| now.since(*at) < CROWDED);
        }
        self.0.extend(targets.iter().map(|target| (*target, now)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> Keys {
        Keys::new(&[[7; 32]], "windrose")
    }

    fn call(targets: usize) -> Call {
        Call {
            vantage: "fra-1".to_owned(),
            sent: Duration::from_secs(1_790_000_000),
            targets: (0..targets as u64).map(TargetId).collect(),
        }
    }

    #[test]
    fn a_call_reads_as_it_was_sealed_up_to_its_most() {
        for targets in [0, 1, CALL_MAX] {
            assert_eq!(Call::open(&keys(), &call(targets).seal(&keys())), Some(call(targets)));
        }
        let cut = Call::open(&keys(), &call(CALL_MAX + 1).seal(&keys()));
        assert_eq!(cut, Some(call(CALL_MAX)));
    }

    #[test]
    fn what_is_old_or_from_the_future_is_no_call() {
        let call = call(1);
        for (off, is_recent) in [(0, true), (9, true), (10, false), (3600, false)] {
            let off = Duration::from_secs(off);
            assert_eq!(call.is_recent(call.sent + off), is_recent, "{off:?} later");
            assert_eq!(call.is_recent(call.sent - off), is_recent, "{off:?} earlier");
        }
    }

    #[test]
    fn one_calls_once_an_interval_and_who_was_called_does_not_call() {
        let (mut called, at) = (Called::default(), Time::from_secs);
        let doubted =
            [(TargetId(1), Duration::from_secs(10)), (TargetId(2), Duration::from_secs(5))];
        assert_eq!(called.take_due(&doubted, at(100)), [TargetId(1), TargetId(2)]);
        assert_eq!(called.take_due(&doubted, at(105)), [TargetId(2)]);
        assert_eq!(called.take_called(&[TargetId(2), TargetId(3)], at(105)), [TargetId(3)]);
        assert_eq!(called.take_called(&[TargetId(2)], at(106)), [TargetId(2)]);
        let third = [(TargetId(3), Duration::from_secs(5))];
        assert_eq!(called.take_due(&third, at(106)), []);
    }

    proptest! {
        #[test]
        fn any_sealed_octets_are_a_call_or_nothing(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Call::open(&keys(), &keys().seal(Purpose::Calls, body));
        }
    }
}
