//! How many probes there is room for: each under way takes a file descriptor.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Probe;

/// Has this process open as many files as it may: what a shell or a service manager leaves at 1024 for programs
/// that go by the numbers of descriptors. That it is not granted is no error.
pub fn open_as_many_files_as_allowed() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// How many probes may be under way: the other half of the descriptors is for whoever asks this machine.
pub(super) fn by_open_files() -> usize {
    of_files(getrlimit(Resource::Nofile).current)
}

/// Of so many files; any number when there is no limit.
fn of_files(files: Option<u64>) -> usize {
    let most = u64::from(Probe::IN_FLIGHT_MAX);
    let room = files.map_or(most, |files| (files / 2).clamp(1, most));
    usize::try_from(room).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_open_files_are_for_probes() {
        for (files, room) in
            [(Some(0), 1), (Some(1024), 512), (Some(1 << 20), 100_000), (None, 100_000)]
        {
            assert_eq!(of_files(files), room, "{files:?}");
        }
    }

    #[test]
    fn as_many_files_as_allowed_are_asked_for() {
        open_as_many_files_as_allowed();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert_eq!(by_open_files(), of_files(maximum));
    }
}
