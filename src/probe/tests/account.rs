//! What probes tell of what they saw.

use std::os::unix::fs::symlink;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::model::check::{Connection, ExecCheck, HttpCheck, TlsCheck};
use crate::testing::TempDir;

async fn tell(prober: &Prober, target: Target) -> (ProbeOutcome, Account) {
    prober.prepare(target).run_telling().await
}

fn steps(account: &Account) -> Vec<&str> {
    assert!(account.steps.is_sorted_by_key(|(_, after)| after), "{account:?}");
    account.steps.iter().map(|(what, _)| *what).collect()
}

#[tokio::test]
async fn a_bad_status_is_told_with_the_body_that_explains_it() {
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\nno disk\n";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let check = HttpCheck {
        tls: false,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: None,
        verify: true,
        headers: Vec::new(),
        status: vec![200..=299],
        body: None,
        connection: Connection::Fresh,
    };
    let prober = Prober::new(Clock::start());
    let (outcome, account) = tell(&prober, target_at(address, CheckKind::Http(check))).await;
    assert_eq!(outcome, failure(FailureReason::Status(503)));
    assert_eq!(
        (&*account.said, &account.facts[..]),
        (&b"no disk\n"[..], &["status 503".to_owned()][..])
    );
    let told = vec!["connected", "answered"];
    assert_eq!((steps(&account), account.address), (told, Some(address)));
    served.await.unwrap();
}

#[tokio::test]
async fn a_handshake_is_told_step_by_step() {
    let key = self_signed();
    let (listener, acceptor) = tls_listener(&key).await;
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_ok()
    });
    let check = CheckKind::Tls(TlsCheck { host: None, verify: false });
    let (outcome, account) = tell(&Prober::new(Clock::start()), target_at(address, check)).await;
    assert!(is_success(outcome), "{outcome:?}");
    assert_eq!(steps(&account), ["connected", "TLS"]);
    let [version, good_for] = &account.facts[..] else { panic!("{:?}", account.facts) };
    assert_eq!(version, "TLSv1_3");
    assert!(good_for.starts_with("certificate good for "), "{good_for}");
    assert!(served.await.unwrap());
}

#[tokio::test]
async fn what_a_program_said_before_its_time_was_up_is_told() {
    let directory = TempDir::new();
    symlink("/bin/sh", directory.path().join("shell")).unwrap();
    let prober = Prober::new(Clock::start()).with_programs(Some(directory.path().to_owned()));
    let host = || TargetHost::Address("192.0.2.1".parse().unwrap());
    let runs = |program: &str, script: &str| {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        CheckKind::Exec(ExecCheck { program: program.to_owned(), arguments })
    };
    let ends = runs("shell", "echo lag 7 s; echo too much >&2; exit 2");
    let (outcome, account) = tell(&prober, target(host(), 80, PATIENT, ends)).await;
    assert_eq!(outcome, failure(FailureReason::Exit(2)));
    assert_eq!((steps(&account), &*account.said), (vec!["ended"], &b"lag 7 s\ntoo much\n"[..]));

    // As long as a shell may take to start on a busy machine.
    let limit = Duration::from_secs(2);
    let hangs = runs("shell", "echo asking; while :; do :; done");
    let (outcome, account) = tell(&prober, target(host(), 80, limit, hangs)).await;
    assert_eq!(outcome, failure(FailureReason::Timeout));
    assert_eq!((steps(&account), &*account.said), (vec![], &b"asking\n"[..]));

    let (_, account) = tell(&prober, target(host(), 80, PATIENT, runs("absent", ""))).await;
    let [fact] = &account.facts[..] else { panic!("{account:?}") };
    assert!(fact.ends_with("absent: No such file or directory (os error 2)"), "{fact}");
}
