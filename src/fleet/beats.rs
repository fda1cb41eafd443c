//! Reports of endpoints that came to one member, as it tells them to the others.
//!
//! ```text
//! "WRB\x01"  then for each target: its id (8 octets), milliseconds since 1970 (8), big-endian  then the seal
//! ```
//!
//! A member tells every second what came to it within the last seconds, so a frame that is lost costs nothing. Each
//! report has its own time: one that is told again, by whomever, changes nothing.

use std::time::Duration;

use crate::clock::Moment;
use crate::health::fleet::{Keys, Purpose};
use crate::model::{TargetId, Time, whole_nanos};
use crate::probe::Heartbeats;

const MAGIC: [u8; 4] = *b"WRB\x01";
/// Octets of a report.
const REPORT_LEN: usize = 16;
/// Reports in a frame: a broker takes a megabyte.
const REPORTS_MAX: usize = 4096;
/// For how long a report is told again.
const TOLD_FOR: Duration = Duration::from_secs(5);

/// What there is to tell now, in sealed frames.
pub(super) fn frames(heartbeats: &Heartbeats, keys: &Keys, now: Moment) -> Vec<Vec<u8>> {
    let since = Time::from_nanos(now.time.as_nanos().saturating_sub(whole_nanos(TOLD_FOR)));
    let own = heartbeats.own_since(since);
    let frame = |reports: &[(TargetId, Time)]| {
        let mut body = MAGIC.to_vec();
        for (target, at) in reports {
            let millis = u64::try_from(now.unix_at(*at).as_millis()).unwrap_or(u64::MAX);
            body.extend(target.0.to_be_bytes());
            body.extend(millis.to_be_bytes());
        }
        keys.seal(Purpose::Beats, body)
    };
    own.chunks(REPORTS_MAX).map(frame).collect()
}

/// Takes a frame in; whether it was one, and is believed.
pub(super) fn hear(heartbeats: &Heartbeats, keys: &Keys, frame: &[u8], now: Moment) -> bool {
    if !frame.starts_with(&MAGIC) {
        return false;
    }
    let body = keys.open(Purpose::Beats, frame).and_then(|body| body.strip_prefix(&MAGIC));
    let Some(reports) = body else { return false };
    for report in reports.as_chunks::<REPORT_LEN>().0 {
        let [a, b, c, d, e, f, g, h, millis @ ..] = *report;
        let target = TargetId(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        let at = now.time_at(Duration::from_millis(u64::from_be_bytes(millis)));
        heartbeats.hear(target, at, now.time);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same moment on machines whose own clocks began at different times.
    fn moment(time: u64, unix: u64) -> Moment {
        Moment { time: Time::from_secs(time), unix: Duration::from_secs(unix) }
    }

    #[test]
    fn what_came_to_one_member_is_known_to_the_others() {
        let keys = Keys::new(&[[1; 32]], "windrose");
        let (here, there) = (Heartbeats::default(), Heartbeats::default());
        let many = u64::try_from(REPORTS_MAX).unwrap() + 1;
        (0..many).for_each(|id| here.note(TargetId(id), Time::from_secs(1_000)));
        let frames = frames(&here, &keys, moment(1_002, 1_700_000_002));
        assert_eq!(frames.len(), 2);
        for frame in &frames {
            assert!(hear(&there, &keys, frame, moment(50_003, 1_700_000_003)));
        }
        for id in [0, many - 1] {
            assert_eq!(there.last(TargetId(id)), Some(Time::from_secs(50_000)));
        }
        assert!(there.own_since(Time::ZERO).is_empty(), "nobody passes on what others told");
    }

    #[test]
    fn what_is_old_is_told_no_more() {
        let keys = Keys::new(&[[1; 32]], "windrose");
        let heartbeats = Heartbeats::default();
        heartbeats.note(TargetId(1), Time::from_secs(1_000));
        assert_eq!(frames(&heartbeats, &keys, moment(1_005, 1_005)).len(), 1);
        assert_eq!(frames(&heartbeats, &keys, moment(1_006, 1_006)).len(), 0);
    }

    #[test]
    fn strangers_and_torn_frames_are_not_believed() {
        let (keys, others) = (Keys::new(&[[1; 32]], "a"), Keys::new(&[[2; 32]], "a"));
        let (here, there) = (Heartbeats::default(), Heartbeats::default());
        here.note(TargetId(1), Time::from_secs(10));
        let now = moment(10, 10);
        let frame = frames(&here, &keys, now).remove(0);
        assert!(!hear(&there, &others, &frame, now));
        for len in 0..frame.len() {
            assert!(!hear(&there, &keys, &frame[..len], now), "{len} octets");
        }
        assert_eq!(there.last(TargetId(1)), None);
    }
}
