//! Processors and processes: who runs where, for how long it ran, and that it ends when we do.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// Where servers run, and where the load is made.
pub(crate) const SERVER_CPU: usize = 0;
pub(crate) const LOAD_CPU: usize = 1;

/// Keeps this thread, and all threads and processes that it starts from now on, on one processor.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).map_err(|error| {
        io::Error::other(format!("cannot run on processor {cpu}, but two are needed: {error}"))
    })
}

/// Has the process end when the thread that starts it does, however that comes about.
#[expect(unsafe_code, reason = "a child asks for it between fork and exec")]
pub(crate) fn end_with_us(command: &mut Command) {
    let ask = || {
        // SAFETY: takes numbers only.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: one system call and no memory, which is what may be done there.
    unsafe { command.pre_exec(ask) };
}

/// How long a process has been running, all its threads, those that have ended too.
#[expect(unsafe_code, reason = "std does not tell another process's processor time")]
pub(crate) fn processor_time(child: &Child) -> io::Result<Duration> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut clock = 0;
    // SAFETY: `clock` is valid and is written before the call returns.
    let status = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if status != 0 {
        return Err(io::Error::from_raw_os_error(status));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid and is written before the call returns.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let part = |number: i64| u64::try_from(number).map_err(io::Error::other);
    Ok(Duration::from_secs(part(time.tv_sec)?) + Duration::from_nanos(part(time.tv_nsec)?))
}
