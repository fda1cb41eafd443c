//! Programs: links to `/bin/sh` that are told what to do, as nothing that was just written can be run safely
//! while other tests start processes.

use std::os::unix::fs::symlink;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::model::Name;
use crate::model::check::ExecCheck;
use crate::model::health::LocalError;
use crate::testing::TempDir;

fn shell(script: &str) -> CheckKind {
    let arguments = vec!["-c".to_owned(), script.to_owned()];
    CheckKind::Exec(ExecCheck { program: "shell".to_owned(), arguments })
}

/// A directory with a shell in it, and who may run it.
fn prober() -> (TempDir, Prober) {
    let directory = TempDir::new();
    symlink("/bin/sh", directory.path().join("shell")).unwrap();
    let prober = Prober::new(Clock::start()).with_programs(Some(directory.path().to_owned()));
    (directory, prober)
}

async fn run(script: &str, port: u16) -> ProbeOutcome {
    let (_directory, prober) = prober();
    let host = TargetHost::Address("192.0.2.1".parse().unwrap());
    probe_target(&prober, target(host, port, PATIENT, shell(script))).await
}

#[tokio::test]
async fn a_program_s_status_is_its_verdict() {
    let noise = "yes | head -c 300000; exit 4";
    for (script, expected) in [
        ("exit 0", None),
        ("exit 3", Some(FailureReason::Exit(3))),
        ("kill -TERM $$", Some(FailureReason::Signal(15))),
        // More than a pipe holds, and no output at all.
        (noise, Some(FailureReason::Exit(4))),
        ("exec >&- 2>&-; exit 5", Some(FailureReason::Exit(5))),
        // There is nothing to read.
        ("cat", None),
    ] {
        assert_outcome(run(script, 80).await, expected, script);
    }
}

#[tokio::test]
async fn a_program_is_told_the_target_and_nothing_else() {
    let script = "[ \"$(env | cut -d= -f1 | grep -v -e PWD -e SHLVL -e ^_ | sort | tr '\\n' ' ')\" = \
                  'PATH WINDROSE_ADDRESS WINDROSE_HOST WINDROSE_PORT WINDROSE_TIMEOUT_MS ' ] || exit 1; \
                  [ \"$WINDROSE_ADDRESS $WINDROSE_PORT\" = '192.0.2.1 80' ] || exit 2; \
                  [ \"$WINDROSE_HOST $WINDROSE_TIMEOUT_MS\" = '192.0.2.1 20000' ] || exit 3; \
                  [ \"$(pwd)\" = / ] || exit 4";
    assert_outcome(run(script, 80).await, None, "an address with a port");
    assert_outcome(run("[ -z \"$WINDROSE_PORT\" ]", 0).await, None, "no port");

    let (_directory, prober) = prober();
    let host = TargetHost::Name("localhost.".parse::<Name>().unwrap());
    let script = "[ \"$WINDROSE_HOST\" = localhost ] && [ -n \"$WINDROSE_ADDRESS\" ]";
    let outcome = probe_target(&prober, target(host, 80, PATIENT, shell(script))).await;
    assert_outcome(outcome, None, "a host by name");
}

/// A script whose child holds a connection to `listener` open, and which goes on with `then`.
fn with_child(listener: &TcpListener, then: &str) -> CheckKind {
    let port = listener.local_addr().unwrap().port().to_string();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/$0; (read -r <&3) & {then}");
    let arguments = vec!["-c".to_owned(), script, port];
    CheckKind::Exec(ExecCheck { program: "bash".to_owned(), arguments })
}

/// Waits until the connection is closed, as it is when nobody is left to hold it.
async fn is_closed(mut stream: TcpStream) {
    // By reset or not.
    let mut rest = Vec::new();
    let closing = stream.read_to_end(&mut rest);
    let _ = timeout(PATIENT, closing).await.expect("every process has ended");
}

#[tokio::test]
async fn no_process_of_a_program_outlives_its_probe() {
    let (directory, prober) = prober();
    symlink("/bin/bash", directory.path().join("bash")).unwrap();
    let (listener, _) = listener().await;
    let prepare = |then: &str| {
        let host = TargetHost::Address("192.0.2.1".parse().unwrap());
        prober.prepare(target(host, 80, PATIENT, with_child(&listener, then)))
    };

    // It ends, and leaves a child behind.
    let outcome = prepare("exit 0").run().await;
    assert!(is_success(outcome), "{outcome:?}");
    is_closed(listener.accept().await.unwrap().0).await;

    // It does not end, until its probe is given up.
    let mut probe = prepare("wait");
    let stream = tokio::select! {
        outcome = probe.run() => panic!("{outcome:?}"),
        accepted = listener.accept() => accepted.unwrap().0,
    };
    is_closed(stream).await;
}

#[tokio::test]
async fn a_program_that_does_not_end_has_failed() {
    let (_directory, prober) = prober();
    let host = TargetHost::Address("192.0.2.1".parse().unwrap());
    let endless = shell("while :; do :; done");
    let outcome = probe_target(&prober, target(host, 80, HURRIED, endless)).await;
    assert_eq!(outcome, failure(FailureReason::Timeout));
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_no_fault_of_the_target() {
    let (_directory, prober) = prober();
    let host = TargetHost::Address("192.0.2.1".parse().unwrap());
    let absent = ExecCheck { program: "absent".to_owned(), arguments: Vec::new() };
    let local = ProbeOutcome::LocalError(LocalError::Other);
    for (prober, kind) in [
        (prober, CheckKind::Exec(absent)),
        // Nobody said that it may run programs.
        (Prober::new(Clock::start()), shell("exit 0")),
    ] {
        let outcome = probe_target(&prober, target(host.clone(), 80, PATIENT, kind)).await;
        assert_eq!(outcome, local);
    }
}
