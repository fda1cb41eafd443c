//! Tells when files have changed.
//!
//! Directories are watched and not files, because an editor or a deployment replaces a file by renaming
//! another over it, and the watch would stay with the old one. Changes that come together are told once,
//! when they have come to rest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

/// Changes have come to rest when nothing more happens for so long.
const REST: Duration = Duration::from_millis(200);
/// But a directory that never rests is looked at after so many rests all the same.
const RESTS_MAX: usize = 10;

/// Watches directories; see [`changed`](Self::changed).
#[derive(Debug)]
pub struct FileWatch {
    events: mpsc::Receiver<()>,
    /// Watching ends when it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl FileWatch {
    /// Watches what lies in `directories`. One that cannot be watched is said and left out: SIGHUP
    /// serves it still.
    #[must_use]
    pub fn new(directories: &[PathBuf]) -> Self {
        let (sender, events) = mpsc::channel(1);
        let handler = move |event: notify::Result<Event>| {
            let is_change = event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
            if is_change {
                // A full channel says already what is to be said.
                let _ = sender.try_send(());
            }
        };
        let mut watcher = match notify::recommended_watcher(handler) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!("cannot watch files ({error}): changes are read on SIGHUP only");
                None
            }
        };
        if let Some(watcher) = &mut watcher {
            for directory in directories {
                watch(watcher, directory);
            }
        }
        Self { events, _watcher: watcher }
    }

    /// Returns when something has changed and come to rest; never when nothing can be watched.
    pub async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        for _ in 0..RESTS_MAX {
            if timeout(REST, self.events.recv()).await.is_err() {
                return;
            }
        }
    }
}

fn watch(watcher: &mut RecommendedWatcher, directory: &Path) {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
        warn!("cannot watch {}: {error}; changes are read on SIGHUP", directory.display());
    }
}
