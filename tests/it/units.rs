//! What the systemd units refuse, the program does without.
//!
//! The filter of system calls of a unit is laid over the program itself, and kills it at the first call that the
//! unit would refuse.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use libc::{c_long, sock_filter, sock_fprog};

use super::binary::{Program, ask, served, serving};
use super::node::Files;

/// Those of systemd's `@privileged` and `@resources` that x86-64 and ARM both have (`systemd-analyze syscall-filter`).
const REFUSED: [(&str, c_long); 40] = [
    ("acct", libc::SYS_acct),
    ("adjtimex", libc::SYS_adjtimex),
    ("bpf", libc::SYS_bpf),
    ("capset", libc::SYS_capset),
    ("chroot", libc::SYS_chroot),
    ("clock_adjtime", libc::SYS_clock_adjtime),
    ("clock_settime", libc::SYS_clock_settime),
    ("delete_module", libc::SYS_delete_module),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("fanotify_mark", libc::SYS_fanotify_mark),
    ("fchown", libc::SYS_fchown),
    ("fchownat", libc::SYS_fchownat),
    ("finit_module", libc::SYS_finit_module),
    ("init_module", libc::SYS_init_module),
    ("ioprio_set", libc::SYS_ioprio_set),
    ("mbind", libc::SYS_mbind),
    ("migrate_pages", libc::SYS_migrate_pages),
    ("move_pages", libc::SYS_move_pages),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("pivot_root", libc::SYS_pivot_root),
    ("quotactl", libc::SYS_quotactl),
    ("reboot", libc::SYS_reboot),
    ("sched_setaffinity", libc::SYS_sched_setaffinity),
    ("sched_setattr", libc::SYS_sched_setattr),
    ("sched_setparam", libc::SYS_sched_setparam),
    ("sched_setscheduler", libc::SYS_sched_setscheduler),
    ("set_mempolicy", libc::SYS_set_mempolicy),
    ("setdomainname", libc::SYS_setdomainname),
    ("setfsuid", libc::SYS_setfsuid),
    ("setgroups", libc::SYS_setgroups),
    ("sethostname", libc::SYS_sethostname),
    ("setpriority", libc::SYS_setpriority),
    ("setresuid", libc::SYS_setresuid),
    ("setreuid", libc::SYS_setreuid),
    ("setrlimit", libc::SYS_setrlimit),
    ("settimeofday", libc::SYS_settimeofday),
    ("setuid", libc::SYS_setuid),
    ("swapoff", libc::SYS_swapoff),
    ("swapon", libc::SYS_swapon),
    ("vhangup", libc::SYS_vhangup),
];

/// A unit of `deploy/`.
struct Unit(String);

impl Unit {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
        Self(fs::read_to_string(path).unwrap())
    }

    fn values<'a>(&'a self, key: &str) -> Vec<&'a str> {
        let value = |line: &'a str| line.split_once('=').filter(|(name, _)| *name == key);
        self.0.lines().filter_map(value).map(|(_, value)| value).collect()
    }

    /// The system calls that it allows by name, beyond those of services.
    fn allowed(&self) -> Vec<&str> {
        let filters = self.values("SystemCallFilter");
        assert_eq!(&filters[..2], ["@system-service", "~@privileged @resources"]);
        filters[2..].iter().flat_map(|filter| filter.split(' ')).collect()
    }

    /// Kills a program at the first call that this unit refuses.
    #[expect(unsafe_code, reason = "there is no safe way to act between fork and exec")]
    fn confine(&self, command: &mut Command) {
        let allowed = self.allowed();
        let step = |code, jf, k| sock_filter { code, jt: 0, jf, k };
        let (load, skip_unless, end) = (0x20, 0x15, 0x06);
        let mut steps = vec![step(load, 0, 0)];
        for (_, number) in REFUSED.iter().filter(|(name, _)| !allowed.contains(name)) {
            steps.push(step(skip_unless, 1, u32::try_from(*number).unwrap()));
            steps.push(step(end, 0, libc::SECCOMP_RET_KILL_PROCESS));
        }
        steps.push(step(end, 0, libc::SECCOMP_RET_ALLOW));
        let apply = move || {
            let len = u16::try_from(steps.len()).unwrap();
            let filter = sock_fprog { len, filter: steps.as_ptr().cast_mut() };
            let mode = libc::SECCOMP_MODE_FILTER;
            // SAFETY: the kernel reads `len` steps, which outlive the call.
            let is_set = unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                    && libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) == 0
            };
            is_set.then_some(()).ok_or_else(io::Error::last_os_error)
        };
        // SAFETY: between fork and exec it makes two system calls, and takes no memory and no lock.
        unsafe { command.pre_exec(apply) };
    }
}

const UNITS: [&str; 3] =
    ["windrose.service", "windrose-probe.service", "fleet/nats-server.service.conf"];

#[test]
fn a_node_does_without_what_its_unit_refuses() {
    let (files, _endpoints) = served();
    let server = fs::read_to_string(files.path("windrose.toml")).unwrap();
    files.write("windrose.toml", server.replace("threads = 1", "threads = 2\npin-threads = true"));
    let mut command = serving(&files);
    Unit::read(UNITS[0]).confine(&mut command);
    let mut program = Program::start_by(command);
    assert_eq!(ask(program.address(), "www.example.com"), "192.0.2.1");
    program.signal("HUP");
    program.says("reloaded: ");
    program.signal("TERM");
    let (status, rest) = program.end();
    assert_eq!(status.code(), Some(0), "{rest}");
}

#[test]
fn a_vantage_does_without_what_its_unit_refuses() {
    let fleet = "[fleet]\nservers = ['nats://127.0.0.1:9']\nname = 'fra-1'\nkey-file = 'key'\n";
    let files = Files::new(fleet);
    files.write("key", "5a".repeat(32));
    let mut command = Command::new(env!("CARGO_BIN_EXE_windrose"));
    command.arg("--config").arg(files.path("windrose.toml")).args(["probe", "--agent"]);
    Unit::read(UNITS[1]).confine(&mut command);
    let mut program = Program::start_by(command);
    program.says("vantage fra-1 knows 0 targets");
    program.signal("TERM");
    let (status, rest) = program.end();
    assert_eq!(status.code(), Some(0), "{rest}");
}

/// Otherwise the first call that nobody thought of ends the service, again and again.
#[test]
fn what_a_unit_refuses_is_an_error_and_no_end() {
    for name in UNITS {
        let unit = Unit::read(name);
        assert_eq!(unit.values("SystemCallErrorNumber"), ["EPERM"], "{name}");
        assert_eq!(unit.values("Restart"), ["always"], "{name}");
        assert_eq!(unit.values("StartLimitIntervalSec"), ["0"], "{name}");
    }
}
