//! What tests of several modules need: zones from their text, a log that can be read, and a directory
//! that goes away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{self, ZoneFiles};
use crate::model::{Report, Severity, Zone};

/// Everything that this thread logs, as lines of `LEVEL target: message fields`.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Starts to read along, until the guard is dropped.
    pub(crate) fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .without_time()
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// An empty directory of its own, removed when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("windrose-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The zones of a directory that holds these files: name and text of each. Nothing in them is wrong.
pub(crate) fn zones(files: &[(&str, &str)]) -> Vec<Arc<Zone>> {
    struct Files<'a>(&'a [(&'a str, &'a str)]);

    impl ZoneFiles for Files<'_> {
        fn directory(&self) -> &str {
            ""
        }

        fn names(&self) -> Vec<String> {
            self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
        }

        fn read(&self, name: &str) -> Result<Arc<str>, String> {
            let file = self.0.iter().find(|(known, _)| *known == name);
            file.map(|(_, text)| (*text).into()).ok_or_else(|| "no such file".to_owned())
        }
    }

    let mut report = Report::new();
    let zones = config::read_zones(&mut report, &Files(files));
    assert_eq!(report.count(Severity::Error), 0, "{report}");
    zones
}
