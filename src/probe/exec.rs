//! The check by a program of the operator's: it ends with success.
//!
//! The program is run as it is, without a shell, and knows nothing of us but what it is told: an environment
//! of its own, nothing to read, a process group of its own. No process of that group outlives the probe,
//! however it ends: by itself, at the timeout, or with us.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::fault::Fault;
use super::trace::Trace;
use super::way::Way;
use crate::model::check::ExecCheck;
use crate::model::{CheckSpec, FailureReason, TargetHost};

/// How much of what a program says is kept; the rest is read and forgotten.
const OUTPUT_OCTETS_MAX: usize = 1024;
/// How long the last words of a program that has ended may take to arrive: only when somebody outside of its
/// process group holds its output open.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Where programs find others.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How a program ended, and the beginning of what it said.
#[derive(Debug)]
pub(super) struct Ended {
    status: ExitStatus,
    output: Vec<u8>,
}

/// Runs the program of `check`, which lies in `directory`, about `host`, which is where `way` leads.
pub(super) async fn run(
    (directory, check): (&Path, &ExecCheck),
    spec: &CheckSpec,
    (host, way): (&TargetHost, Way),
    trace: &mut Trace,
) -> Result<Ended, Fault> {
    let path = directory.join(&check.program);
    let unable = |error: io::Error| Fault::of_program(&error, &path);
    let (reader, writer) = io::pipe().map_err(unable)?;
    let mut command = Command::new(&path);
    command
        .args(&check.arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("WINDROSE_ADDRESS", way.to.ip().to_string())
        .env("WINDROSE_HOST", host.to_string().trim_end_matches('.'))
        .env("WINDROSE_TIMEOUT_MS", spec.timeout.as_millis().to_string())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(unable)?)
        .stderr(writer)
        // So that it is waited for when the probe is dropped.
        .kill_on_drop(true);
    if way.to.port() != 0 {
        command.env("WINDROSE_PORT", way.to.port().to_string());
    }
    if let Some(source) = way.from {
        command.env("WINDROSE_SOURCE", source.to_string());
    }
    let mut child = command.spawn().map_err(unable)?;
    // It holds the other end of the pipe, which would never be closed.
    drop(command);
    let mut group = Group::of(&child);
    let mut reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(unable)?;
    let mut output = Vec::new();
    let status = {
        let reading = read_beginning(&mut reader, &mut output, trace);
        tokio::pin!(reading);
        tokio::select! {
            status = child.wait() => {
                group.kill();
                let _ = timeout(LAST_WORDS, reading).await;
                status
            }
            // It may close its output long before it ends.
            () = &mut reading => child.wait().await,
        }
    };
    trace.step("ended");
    Ok(Ended { status: status.map_err(unable)?, output })
}

impl Ended {
    /// The beginning of what the program said, on stdout and stderr.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Status 0 is success.
    pub(super) fn judge(&self) -> Result<(), Fault> {
        let octet = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
        Err(Fault::Failure(match (self.status.code(), self.status.signal()) {
            (Some(0), _) => return Ok(()),
            (Some(code), _) => FailureReason::Exit(octet(code)),
            (None, signal) => FailureReason::Signal(octet(signal.unwrap_or_default())),
        }))
    }
}

/// Reads to the end and keeps the beginning.
async fn read_beginning(reader: &mut pipe::Receiver, kept: &mut Vec<u8>, trace: &mut Trace) {
    let mut buffer = [0; OUTPUT_OCTETS_MAX];
    while let Ok(len @ 1..) = reader.read(&mut buffer).await {
        trace.says(&buffer[..len]);
        let room = OUTPUT_OCTETS_MAX - kept.len();
        kept.extend_from_slice(&buffer[..len.min(room)]);
    }
}

/// The process group that a program leads.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Ends all of its processes, once: its number is another's some day. That there are none any more is well.
    fn kill(&mut self) {
        let _ = self.0.take().map(|leader| kill_process_group(leader, Signal::KILL));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
