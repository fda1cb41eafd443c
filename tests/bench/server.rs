//! Servers that run as children of a bench, and end when dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often a server that was asked to end is looked at before it is made to.
const END_TRIES: usize = 50;

/// A running server. All that it writes goes to one file.
pub(crate) struct Server {
    name: &'static str,
    pub(crate) child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it in `directory`.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        directory: &Path,
    ) -> io::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = fs::File::create(&log)?;
        command.current_dir(directory).stdin(Stdio::null());
        let child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { name, child, log })
    }

    /// Waits until `is_ready`, as long as the server lives and patience lasts.
    pub(crate) fn wait_until(&mut self, mut is_ready: impl FnMut() -> bool) -> io::Result<()> {
        for _ in 0..300 {
            if is_ready() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("ended with {status}")));
            }
            pause(Duration::from_millis(50));
        }
        Err(self.failed("does not answer"))
    }

    fn failed(&self, what: &str) -> io::Error {
        let log = self.log().unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(20).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        io::Error::other(format!("{} {what}:\n{}", self.name, end.join("\n")))
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The number of one that has ended already may be another's by now.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        }
        for _ in 0..END_TRIES {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            pause(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is not ready yet is looked at again after this.
#[expect(clippy::disallowed_methods, reason = "another process gives no event to wait for")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
