//! Tells when files have changed.
//!
//! Directories are watched and not files, because an editor or a deployment replaces a file by renaming
//! another over it, and the watch would stay with the old one. For the same reason the directories
//! above are watched: those below may be replaced as a whole. Of what happens there, only what bears
//! one of the names in question counts, so that a log that is written beside the server file is none.
//! Changes that come together are told once, when they have come to rest. Reading is no change, and the
//! kernel is not asked to tell of it: a load of ten thousand files would be told of each.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;
use tracing::warn;

/// Changes have come to rest when nothing more happens for so long.
const REST: Duration = Duration::from_millis(200);
/// But a directory that never rests is looked at after so many rests all the same.
const RESTS_MAX: u32 = 10;
/// Octets of events that are read at a time: some dozens.
const EVENTS_LEN: usize = 4096;
/// What is a change of a file, of a directory, or of which of them stands there.
const CHANGES: WatchMask = WatchMask::ATTRIB
    .union(WatchMask::MODIFY)
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::CREATE)
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);

/// Watches files; see [`changed`](Self::changed).
#[derive(Debug)]
pub struct FileWatch {
    /// `None` when the kernel has no more of them.
    inotify: Option<AsyncFd<Inotify>>,
    /// By which the kernel tells of which directory. Two may be one, by links.
    watches: Vec<(WatchDescriptor, PathBuf)>,
    directories: BTreeSet<PathBuf>,
    interest: Interest,
}

/// What matters.
#[derive(Debug)]
struct Interest {
    /// Everything in these.
    directories: Vec<PathBuf>,
    /// And what is called so, the directories among them.
    names: Vec<PathBuf>,
}

impl FileWatch {
    /// Watches all that lies right in `directories`, and `files`. None need be there yet. What cannot
    /// be watched is said and left out: SIGHUP serves it still. Must be called in a runtime.
    #[must_use]
    pub fn new(directories: &[PathBuf], files: &[PathBuf]) -> Self {
        let absolute = |paths: &[PathBuf]| -> Vec<PathBuf> {
            let path = |path: &PathBuf| std::path::absolute(Path::new(".").join(path));
            paths.iter().filter_map(|one| path(one).ok()).map(|path| tidied(&path)).collect()
        };
        let directories = absolute(directories);
        let names = [absolute(files), directories.clone()].concat();
        let above = names.iter().filter_map(|name| name.parent().map(ToOwned::to_owned));
        let all = directories.iter().cloned().chain(above).collect();
        let inotify = open();
        let inotify = inotify.inspect_err(|error| {
            warn!("cannot watch files ({error}): changes are read on SIGHUP only");
        });
        let interest = Interest { directories, names };
        let mut watch =
            Self { inotify: inotify.ok(), watches: Vec::new(), directories: all, interest };
        watch.arm(|directory, error| {
            warn!("cannot watch {}: {error}; changes are read on SIGHUP", directory.display());
        });
        watch
    }

    /// Returns when something has changed and come to rest; never when nothing can be watched.
    pub async fn changed(&mut self) {
        self.next_change().await;
        let rest = async { while timeout(REST, self.next_change()).await.is_ok() {} };
        // Whether it has come to rest or never does, it is time to look.
        let _ = timeout(REST * RESTS_MAX, rest).await;
        // Directories may have been replaced. Whoever is told now sees all that happened before this.
        self.arm(|_, _| {});
    }

    /// Waits for a change that matters.
    async fn next_change(&mut self) {
        let Self { inotify: Some(inotify), watches, interest, .. } = self else {
            return std::future::pending().await;
        };
        loop {
            let Ok(mut ready) = inotify.readable_mut().await else {
                return std::future::pending().await;
            };
            match take_events(ready.get_inner_mut(), watches, interest) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => {
                    warn!("cannot watch files any more ({error}): changes are read on SIGHUP");
                    self.inotify = None;
                    return std::future::pending().await;
                }
            }
        }
    }

    /// Watches what stands where the directories are now, and nothing else.
    fn arm(&mut self, complain: impl Fn(&Path, &io::Error)) {
        let Some(inotify) = &mut self.inotify else { return };
        let mut kernel = inotify.get_ref().watches();
        let before = std::mem::take(&mut self.watches);
        for directory in &self.directories {
            match kernel.add(directory, CHANGES) {
                Ok(watch) => self.watches.push((watch, directory.clone())),
                // The one above tells when it is there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => complain(directory, &error),
            }
        }
        for (old, _) in before {
            if self.watches.iter().all(|(watch, _)| *watch != old) {
                // The kernel has dropped it already if its directory is gone.
                let _ = kernel.remove(old);
            }
        }
    }
}

/// A queue of events that tells when there are some.
#[expect(unsafe_code, reason = "a descriptor that must stay open is not to be had safely")]
fn open() -> io::Result<AsyncFd<Inotify>> {
    // SAFETY: an `Inotify` keeps one descriptor open until it is dropped, and shows no other.
    Ok(unsafe { AsyncFd::register(Inotify::init()?) }?)
}

/// Takes the events that wait, or some of them; whether any of them matters.
fn take_events(
    inotify: &mut Inotify,
    watches: &[(WatchDescriptor, PathBuf)],
    interest: &Interest,
) -> io::Result<bool> {
    let mut buffer = [0; EVENTS_LEN];
    let mut matters = false;
    for event in inotify.read_events(&mut buffer)? {
        matters |= event.mask.contains(EventMask::Q_OVERFLOW) || {
            let mut own = watches.iter().filter(|(watch, _)| *watch == event.wd);
            own.any(|(_, directory)| interest.has(&path_of(directory, &event)))
        };
    }
    Ok(matters)
}

/// What an event of a watched directory is about.
fn path_of<S: AsRef<std::ffi::OsStr>>(directory: &Path, event: &Event<S>) -> PathBuf {
    match &event.name {
        Some(name) => directory.join(name.as_ref()),
        None => directory.to_owned(),
    }
}

/// Without its single dots: the paths of events are compared with those that were given.
fn tidied(path: &Path) -> PathBuf {
    path.components().collect()
}

impl Interest {
    fn has(&self, path: &Path) -> bool {
        // Kubernetes replaces mounted files by swapping a directory `..data` that links lead through.
        let is_swapped =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(".."));
        is_swapped
            || self.names.iter().any(|name| name == path)
            || self.directories.iter().any(|own| Some(own.as_path()) == path.parent())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn only_what_is_read_for_serving_counts() {
        let interest = Interest {
            directories: vec!["/etc/windrose/zones".into()],
            names: vec!["/etc/windrose/windrose.toml".into(), "/etc/windrose/zones".into()],
        };
        let cases = [
            ("/etc/windrose/zones/example.com.toml", true),
            ("/etc/windrose/zones", true),
            ("/etc/windrose/windrose.toml", true),
            ("/etc/windrose/..data", true),
            ("/etc/windrose/windrose.log", false),
            ("/etc/windrose/state", false),
            ("/etc/windrose/zones/deeper/file", false),
        ];
        for (path, expected) in cases {
            assert_eq!(interest.has(Path::new(path)), expected, "{path}");
        }
    }

    /// Whether something that matters has happened since the last time.
    fn has_happened(watch: &mut FileWatch) -> bool {
        let FileWatch { inotify: Some(inotify), watches, interest, .. } = watch else {
            panic!("the kernel has inotify")
        };
        let mut has_happened = false;
        loop {
            match take_events(inotify.get_mut(), watches, interest) {
                Ok(matters) => has_happened |= matters,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return has_happened;
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_is_told_and_what_is_read_is_not() {
        let place = TempDir::new();
        let (zones, server) = (place.path().join("zones"), place.path().join("windrose.toml"));
        let zone = zones.join("example.com.zone");
        let link = place.path().join("link");
        fs::create_dir(&zones).unwrap();
        fs::write(&zone, "before").unwrap();
        std::os::unix::fs::symlink(&zones, &link).unwrap();
        // One directory under two names.
        let mut watch = FileWatch::new(&[zones.clone(), link], std::slice::from_ref(&server));
        type Action<'a> = (&'a str, bool, &'a dyn Fn() -> io::Result<()>);
        let actions: [Action<'_>; 8] = [
            ("a zone is read", false, &|| fs::read(&zone).map(drop)),
            ("the directory is listed", false, &|| fs::read_dir(&zones).map(drop)),
            ("a zone is written", true, &|| fs::write(&zone, "after")),
            ("a log is written", false, &|| fs::write(place.path().join("log"), "x")),
            ("the server file comes", true, &|| fs::write(&server, "version = 1")),
            ("a zone goes", true, &|| fs::remove_file(&zone)),
            ("the directory goes", true, &|| fs::remove_dir(&zones)),
            ("the directory comes", true, &|| fs::create_dir(&zones)),
        ];
        for (what, matters, act) in actions {
            act().unwrap();
            assert_eq!(has_happened(&mut watch), matters, "{what}");
        }
        watch.arm(|path, error| panic!("{}: {error}", path.display()));
        fs::write(&zone, "in the new directory").unwrap();
        watch.changed().await;
        assert!(!has_happened(&mut watch));
    }
}
