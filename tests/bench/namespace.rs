//! Runs the work of a bench in network, mount and process namespaces of its own, of which nothing is left when
//! it ends. Needs root.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use windrose::clock::Clock;

use crate::programs::find_program;
use crate::server::pause;
use crate::signal::stop_on_signal;

/// Starts this program anew with `arguments` inside, for `time_max` at most; whether it was content.
///
/// What it leaves running ends with it: its first process is killed when `unshare` dies. `directory` is made
/// before, and dropped behind it unless it is to be kept.
pub(crate) fn run_inside(
    arguments: impl IntoIterator<Item = OsString>,
    directory: &Path,
    keep: bool,
    time_max: Duration,
) -> io::Result<bool> {
    let stop = stop_on_signal()?;
    fs::create_dir_all(directory)?;
    let mut command = Command::new(find_program("unshare")?);
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(std::env::current_exe()?).args(arguments);
    let mut child = command.spawn()?;
    let clock = Clock::start();
    let start = clock.now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Ok(status);
        }
        let is_late = clock.now().since(start) > time_max;
        if is_late || stop.load(Ordering::Relaxed) {
            child.kill()?;
            child.wait()?;
            break Err(if is_late { "it took too long" } else { "interrupted" });
        }
        pause(Duration::from_millis(50));
    };
    if keep {
        eprintln!("kept: {}", directory.display());
    } else {
        fs::remove_dir_all(directory)?;
    }
    let status = status.map_err(io::Error::other)?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(io::Error::other(format!("inside of the namespace: {status}"))),
    }
}
