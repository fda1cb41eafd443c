//! The files that are served from: zone files and databases.
//!
//! Everything is read into memory, so that nothing that happens to a file later can reach what was made
//! of it. What files say is for `config` and `geo` to read; here is told which there are, and whether one
//! is still what it was.

mod databases;
mod zones;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

pub use databases::{DatabaseFile, database_files, open_databases};
pub use zones::{KnownZones, ZoneDirectory};

/// What the system says of a file. While that stays the same, so does what is in it, but for changes
/// right after it was looked at: see [`is_settled`](Self::is_settled).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    /// When its content was written, seconds and nanoseconds; anybody may set it.
    modified: (i64, i64),
    /// When anything of it was changed; nobody can set it.
    changed: (i64, i64),
}

impl Identity {
    /// That of the file with these data.
    #[must_use]
    pub fn of(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
            len: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }

    /// Whether whatever changes the file from `now` on (since 1970) makes another identity of it. Times of
    /// files move in steps, the kernel's of at most 10 ms, some file systems' of 2 s: within one, a file
    /// can be changed, looked at, and changed again without a trace.
    #[must_use]
    pub fn is_settled(&self, now: Duration) -> bool {
        let (secs, nanos) = self.changed;
        let step = if nanos == 0 { Duration::from_secs(2) } else { Duration::from_millis(100) };
        let since_epoch = u64::try_from(secs).ok().zip(u32::try_from(nanos).ok());
        // What is said to have changed before 1970 or in the future is beyond judging.
        since_epoch.is_some_and(|(secs, nanos)| Duration::new(secs, nanos) + step < now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_settled_when_its_time_has_moved_on() {
        let identity = |changed| {
            let (modified, len) = ((0, 0), 0);
            Identity { device: 1, inode: 1, len, modified, changed }
        };
        let now = Duration::from_secs(1000);
        let cases = [
            ((900, 1), true),
            ((999, 899_999_999), true),
            ((999, 900_000_000), false),
            ((999, 0), false),
            ((998, 0), false),
            ((997, 0), true),
            ((1001, 1), false),
            ((-1, 0), false),
            ((i64::MAX, 1), false),
        ];
        for (changed, is_settled) in cases {
            assert_eq!(identity(changed).is_settled(now), is_settled, "{changed:?}");
        }
    }
}
