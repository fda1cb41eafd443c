//! Tells when files have changed.
//!
//! Directories are watched and not files, because an editor or a deployment replaces a file by renaming
//! another over it, and the watch would stay with the old one. For the same reason the directories
//! above are watched: those below may be replaced as a whole. Of what happens there, only what bears
//! one of the names in question counts, so that a log that is written beside the server file is none.
//! Changes that come together are told once, when they have come to rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

/// Changes have come to rest when nothing more happens for so long.
const REST: Duration = Duration::from_millis(200);
/// But a directory that never rests is looked at after so many rests all the same.
const RESTS_MAX: usize = 10;

/// Watches files; see [`changed`](Self::changed).
#[derive(Debug)]
pub struct FileWatch {
    events: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
}

/// What matters.
struct Interest {
    /// Everything in these.
    directories: Vec<PathBuf>,
    /// And what is called so, the directories among them.
    names: Vec<PathBuf>,
}

impl FileWatch {
    /// Watches all that lies right in `directories`, and `files`. None need be there yet. What cannot
    /// be watched is said and left out: SIGHUP serves it still.
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
        let interest = Interest { directories, names };
        let (sender, events) = mpsc::channel(1);
        let handler = move |event: notify::Result<Event>| {
            if event.map_or(true, |event| interest.concerns(&event)) {
                // A full channel says already what is to be said.
                let _ = sender.try_send(());
            }
        };
        let watcher = match notify::recommended_watcher(handler) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!("cannot watch files ({error}): changes are read on SIGHUP only");
                None
            }
        };
        let mut watch = Self { events, watcher, directories: all };
        watch.arm(|directory, error| {
            warn!("cannot watch {}: {error}; changes are read on SIGHUP", directory.display());
        });
        watch
    }

    /// Returns when something has changed and come to rest; never when nothing can be watched.
    pub async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        for _ in 0..RESTS_MAX {
            if timeout(REST, self.events.recv()).await.is_err() {
                break;
            }
        }
        // Directories may have been replaced. Whoever is told now sees all that happened before this.
        self.arm(|_, _| {});
    }

    /// Watches what stands where the directories are now.
    fn arm(&mut self, complain: impl Fn(&Path, &notify::Error)) {
        let Some(watcher) = &mut self.watcher else { return };
        for directory in &self.directories {
            // An error says that it was not watched, which is all that is wanted.
            let _ = watcher.unwatch(directory);
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive)
                && !is_absence(&error)
            {
                complain(directory, &error);
            }
        }
    }
}

/// Without its single dots: the watcher tells of paths as they were given, and they are compared.
fn tidied(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The directory is not there; the one above tells when it is.
fn is_absence(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

impl Interest {
    fn concerns(&self, event: &Event) -> bool {
        let is_reading = matches!(event.kind, EventKind::Access(_));
        // An event without paths says that events were lost.
        !is_reading && (event.paths.is_empty() || event.paths.iter().any(|path| self.has(path)))
    }

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
    use notify::event::{AccessKind, CreateKind};

    use super::*;

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
            let event = Event::new(EventKind::Create(CreateKind::Any)).add_path(path.into());
            assert_eq!(interest.concerns(&event), expected, "{path}");
            let event = Event::new(EventKind::Access(AccessKind::Any)).add_path(path.into());
            assert!(!interest.concerns(&event), "{path} was only read");
        }
        assert!(interest.concerns(&Event::new(EventKind::Other)), "events were lost");
    }
}
