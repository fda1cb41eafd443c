//! Round trips: until a connection was open, whatever is said over it, if anything is.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::model::check::{Connection, HttpCheck, TlsCheck};
use crate::model::health::LocalError;

/// Long enough for a connection over the loopback.
const LIMIT: Duration = Duration::from_millis(300);

/// Answers requests, over TLS if there is a key, or takes connections and says nothing.
async fn serve(
    key: Option<&CertifiedKey<KeyPair>>,
    is_silent: bool,
) -> (SocketAddr, JoinHandle<()>) {
    let (listener, acceptor) = match key {
        Some(key) => {
            let (listener, acceptor) = tls_listener(key).await;
            (listener, Some(acceptor))
        }
        None => (listener().await.0, None),
    };
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            match &acceptor {
                _ if is_silent => kept.push(stream),
                Some(acceptor) => {
                    let Ok(stream) = acceptor.accept(stream).await else { continue };
                    answer(stream).await;
                }
                None => answer(stream).await,
            }
        }
    });
    (address, served)
}

async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let mut request = [0; 2048];
    while stream.read(&mut request).await.is_ok_and(|len| len > 0) {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

fn http(tls: bool, connection: Connection) -> CheckKind {
    CheckKind::Http(HttpCheck {
        tls,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: None,
        headers: Vec::new(),
        status: vec![200..=299],
        body: None,
        verify: false,
        connection,
    })
}

/// Two probes of a target in a row.
async fn two_probes(
    address: SocketAddr,
    kind: &CheckKind,
    limit: Duration,
) -> [(ProbeOutcome, Option<Duration>); 2] {
    let mut probe = Prober::new(Clock::start()).prepare(target_at(address, kind.clone()));
    [probe.run_within(limit).await, probe.run_within(limit).await]
}

#[tokio::test]
async fn a_round_trip_is_as_long_as_the_connection_took_and_not_the_answer() {
    let key = self_signed();
    let tls = CheckKind::Tls(TlsCheck { host: None, verify: false });
    let fresh = |tls| http(tls, Connection::Fresh);
    let table = [
        (None, CheckKind::Tcp),
        (None, fresh(false)),
        (Some(&key), fresh(true)),
        (Some(&key), tls),
    ];
    for (key, kind) in table {
        let (address, _served) = serve(key, false).await;
        for (outcome, round_trip) in two_probes(address, &kind, PATIENT).await {
            let ProbeOutcome::Success(took) = outcome else { panic!("{kind:?}: {outcome:?}") };
            assert!(round_trip.is_some_and(|own| Duration::ZERO < own && own <= took), "{kind:?}");
        }
        if kind == CheckKind::Tcp {
            continue;
        }
        let (address, _served) = serve(None, true).await;
        let [(outcome, round_trip), _] = two_probes(address, &kind, LIMIT).await;
        assert_eq!(outcome, failure(FailureReason::Timeout), "{kind:?}");
        assert!(round_trip.is_some_and(|own| own < LIMIT), "{kind:?}: {round_trip:?}");
    }
}

#[tokio::test]
async fn where_no_connection_was_opened_there_is_no_round_trip() {
    let key = self_signed();
    for key in [None, Some(&key)] {
        let (address, _served) = serve(key, false).await;
        let kind = http(key.is_some(), Connection::Keepalive);
        let probes = two_probes(address, &kind, PATIENT).await;
        assert!(probes.iter().all(|(outcome, _)| is_success(*outcome)), "{probes:?}");
        assert_eq!(probes.map(|(_, round_trip)| round_trip.is_some()), [true, false], "{kind:?}");
    }
    let (listener, closed) = listener().await;
    drop(listener);
    for kind in [CheckKind::Tcp, http(false, Connection::Fresh), http(true, Connection::Fresh)] {
        let [(outcome, round_trip), _] = two_probes(closed, &kind, PATIENT).await;
        assert_eq!((outcome, round_trip), (failure(FailureReason::Refused), None), "{kind:?}");
    }
}

#[tokio::test]
async fn an_echo_is_a_round_trip() {
    let address = "127.0.0.1:0".parse().unwrap();
    let [(outcome, round_trip), _] = two_probes(address, &CheckKind::Icmp, PATIENT).await;
    match outcome {
        ProbeOutcome::Success(took) => assert!(round_trip.is_some_and(|own| own <= took)),
        // A machine without the right to send any.
        ProbeOutcome::LocalError(LocalError::Other) => assert_eq!(round_trip, None),
        other => panic!("{other:?}"),
    }
}
