//! Probes of real servers on the loopback address, written by hand so that they can misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::Clock;
use crate::model::health::{LocalError, ProbeOutcome};
use crate::model::{CheckKind, Name, Target};
use crate::probe::Prober;
use crate::probe::answer::ANSWER_OCTETS_MAX;
use crate::probe::tests::{
    self, PATIENT, failure, is_success, probe_target, prober_trusting, self_signed, tls_listener,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready";

fn check() -> HttpCheck {
    HttpCheck {
        tls: false,
        method: "GET".to_owned(),
        path: "/healthz?deep=1".to_owned(),
        host: Some("www.example.test".to_owned()),
        verify: true,
        headers: Vec::new(),
        status: vec![200..=299],
        body: None,
        connection: Connection::Fresh,
    }
}

fn target(host: TargetHost, port: u16, timeout: Duration, check: HttpCheck) -> Target {
    tests::target(host, port, timeout, CheckKind::Http(check))
}

fn target_at(address: SocketAddr, check: HttpCheck) -> Target {
    tests::target_at(address, CheckKind::Http(check))
}

async fn probe_at(address: SocketAddr, check: HttpCheck) -> ProbeOutcome {
    probe_target(&Prober::new(Clock::start()), target_at(address, check)).await
}

/// Reads a request to its empty line, answers, closes.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    // A prober that has seen enough hangs up; that is its right.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    String::from_utf8(request).unwrap()
}

/// A server that answers one connection; the handle gives the request that it read.
async fn serve(text: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let text = text.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, &text).await
    });
    (address, served)
}

#[tokio::test]
async fn the_request_goes_to_the_address_and_names_the_host() {
    let (address, served) = serve(OK).await;
    assert!(is_success(probe_at(address, check()).await));
    let request = served.await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: www.example.test\r\n"), "{request}");
    assert!(request.contains("\r\nconnection: close\r\n"), "{request}");
    assert!(request.contains("\r\nuser-agent: windrose-check/"), "{request}");
}

#[tokio::test]
async fn without_a_host_the_address_is_named() {
    let (address, served) = serve(OK).await;
    let check = HttpCheck { host: None, method: "HEAD".to_owned(), ..check() };
    assert!(is_success(probe_at(address, check).await));
    let request = served.await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("head "), "{request}");
    assert!(request.contains(&format!("\r\nhost: {address}\r\n")), "{request}");
}

#[tokio::test]
async fn answers_are_judged_by_status_and_body() {
    let body = |text: &str| Some(text.to_owned());
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n";
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nready";
    let in_pieces = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                     2\r\nre\r\n2\r\nad\r\n1\r\ny\r\n0\r\n\r\n";
    for (answer, check, expected) in [
        ("HTTP/1.1 503 Busy\r\n\r\n", check(), Some(FailureReason::Status(503))),
        (redirect, check(), Some(FailureReason::Status(302))),
        (redirect, HttpCheck { status: vec![200..=200, 302..=302], ..check() }, None),
        (OK, HttpCheck { body: body("ready"), ..check() }, None),
        (OK, HttpCheck { body: body("steady"), ..check() }, Some(FailureReason::Body)),
        (broken, HttpCheck { body: body("steady"), ..check() }, Some(FailureReason::Protocol)),
        (broken, HttpCheck { body: body("ready"), ..check() }, None),
        (in_pieces, HttpCheck { body: body("ready"), ..check() }, None),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n", check(), Some(FailureReason::Protocol)),
        ("", check(), Some(FailureReason::Protocol)),
    ] {
        let (address, served) = serve(answer).await;
        let outcome = probe_at(address, check.clone()).await;
        match expected {
            None => assert!(is_success(outcome), "{answer:?} under {check:?}: {outcome:?}"),
            Some(reason) => assert_eq!(outcome, failure(reason), "{answer:?} under {check:?}"),
        }
        served.await.unwrap();
    }
}

#[tokio::test]
async fn only_the_beginning_of_a_body_is_searched() {
    for (filler, is_found) in [(ANSWER_OCTETS_MAX - 5, true), (ANSWER_OCTETS_MAX - 4, false)] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", filler + 5);
        let (address, _served) = serve(head + &"-".repeat(filler) + "ready").await;
        let check = HttpCheck { body: Some("ready".to_owned()), ..check() };
        assert_eq!(is_success(probe_at(address, check).await), is_found, "after {filler} bytes");
    }
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_closed_port_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let prober = Prober::new(Clock::start());
    let hurried = |check| {
        let host = TargetHost::Address(address.ip());
        target(host, address.port(), Duration::from_millis(50), check)
    };
    let https = HttpCheck { tls: true, verify: false, ..check() };
    for check in [check(), https] {
        // Nobody accepts: the kernel does, and then nothing comes.
        let outcome = probe_target(&prober, hurried(check)).await;
        assert_eq!(outcome, failure(FailureReason::Timeout));
    }
    drop(listener);
    assert_eq!(probe_at(address, check()).await, failure(FailureReason::Refused));
}

#[tokio::test]
async fn host_names_are_resolved_and_every_address_is_tried() {
    let (address, served) = serve(OK).await;
    let named = |name: &str| {
        let host = TargetHost::Name(name.parse::<Name>().unwrap());
        target(host, address.port(), PATIENT, HttpCheck { host: None, ..check() })
    };
    let prober = Prober::new(Clock::start());
    // Where this is ::1 first, nobody listens there, and 127.0.0.1 comes next.
    assert!(is_success(probe_target(&prober, named("localhost.")).await));
    let request = served.await.unwrap().to_ascii_lowercase();
    let expected = format!("\r\nhost: localhost:{}\r\n", address.port());
    assert!(request.contains(&expected), "{request}");
}

#[tokio::test]
async fn checks_that_cannot_be_made_are_no_fault_of_the_target() {
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for check in [
        HttpCheck { method: "G E T".to_owned(), ..check() },
        HttpCheck { host: Some("line\nbreak".to_owned()), ..check() },
    ] {
        let outcome = probe_at(address, check.clone()).await;
        assert_eq!(outcome, ProbeOutcome::LocalError(LocalError::Other), "{check:?}");
    }
}

// ---- TLS ----

/// Answers one connection; the handle gives the name that was asked for, or nothing if the
/// handshake failed.
async fn serve_tls(key: &CertifiedKey<KeyPair>) -> (SocketAddr, JoinHandle<Option<String>>) {
    let (listener, acceptor) = tls_listener(key).await;
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.ok()?;
        let name = stream.get_ref().1.server_name().map(str::to_owned);
        answer(stream, OK.as_bytes()).await;
        name
    });
    (address, served)
}

#[tokio::test]
async fn certificates_are_verified_unless_the_check_says_otherwise() {
    let (key, stranger) = (self_signed(), self_signed());
    let https = HttpCheck { tls: true, body: Some("ready".to_owned()), ..check() };
    let unverified = HttpCheck { verify: false, ..https.clone() };
    let misnamed = HttpCheck { host: Some("other.example.test".to_owned()), ..https.clone() };
    let by_address = HttpCheck { host: None, ..https.clone() };
    let name = Some("www.example.test");
    for (root, check, expected, asked_for) in [
        (&key, https.clone(), None, name),
        (&stranger, https, Some(FailureReason::Certificate), None),
        (&stranger, unverified, None, name),
        (&key, misnamed, Some(FailureReason::Certificate), None),
        (&key, by_address, Some(FailureReason::Certificate), None),
    ] {
        let (address, served) = serve_tls(&key).await;
        let prober = prober_trusting(Ok(root.cert.der()));
        let outcome = probe_target(&prober, target_at(address, check.clone())).await;
        match expected {
            None => assert!(is_success(outcome), "{check:?}: {outcome:?}"),
            Some(reason) => assert_eq!(outcome, failure(reason), "{check:?}"),
        }
        assert_eq!(served.await.unwrap().as_deref(), asked_for, "{check:?}");
    }
}

#[tokio::test]
async fn every_probe_sees_the_certificate_anew() {
    let key = self_signed();
    let (listener, acceptor) = tls_listener(&key).await;
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut handshakes = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            handshakes.push(stream.get_ref().1.handshake_kind().unwrap());
            answer(stream, OK.as_bytes()).await;
        }
        handshakes
    });
    let https = HttpCheck { tls: true, body: Some("ready".to_owned()), ..check() };
    let mut probe = prober_trusting(Ok(key.cert.der())).prepare(target_at(address, https));
    for _ in 0..2 {
        assert!(is_success(probe.run().await));
    }
    assert_eq!(served.await.unwrap(), [rustls::HandshakeKind::Full; 2]);
}

#[tokio::test]
async fn an_answer_without_tls_is_a_failed_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await
    });
    let https = HttpCheck { tls: true, verify: false, ..check() };
    assert_eq!(probe_at(address, https).await, failure(FailureReason::Tls));
    served.await.unwrap().ok();
}

#[tokio::test]
async fn a_machine_without_trusted_roots_holds_it_against_nobody() {
    let (address, _served) = serve_tls(&self_signed()).await;
    let prober = prober_trusting(Err("no trusted roots"));
    let https = HttpCheck { tls: true, ..check() };
    let outcome = probe_target(&prober, target_at(address, https)).await;
    assert_eq!(outcome, ProbeOutcome::LocalError(LocalError::Other));
}

#[tokio::test]
async fn further_header_fields_are_sent_and_may_stand_for_our_own() {
    let (address, served) = serve(OK).await;
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![field("authorization", "Bearer 1"), field("user-agent", "me/1")];
    assert!(is_success(probe_at(address, HttpCheck { headers, ..check() }).await));
    let request = served.await.unwrap().to_ascii_lowercase();
    assert!(request.contains("\r\nauthorization: bearer 1\r\n"), "{request}");
    assert_eq!(request.matches("\r\nuser-agent: ").count(), 1, "{request}");
    assert!(request.contains("\r\nuser-agent: me/1\r\n"), "{request}");
}

// ---- Connections ----

/// Reads requests and answers each, up to `requests_max`, then hangs up; how many there were.
async fn answer_many(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    text: &str,
    requests_max: usize,
) -> usize {
    for count in 0..requests_max {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(octet) => request.push(octet),
                Err(_) => return count,
            }
        }
        stream.write_all(text.as_bytes()).await.unwrap();
    }
    requests_max
}

/// How many requests came over each connection when a target is probed `probes` times, by success each time.
async fn requests_by_connection(
    check: HttpCheck,
    text: &'static str,
    requests_max: usize,
    probes: usize,
) -> Vec<usize> {
    let key = self_signed();
    let (listener, acceptor) = tls_listener(&key).await;
    let address = listener.local_addr().unwrap();
    let is_over_tls = check.tls;
    let served = tokio::spawn(async move {
        let mut counts = Vec::new();
        while counts.iter().sum::<usize>() < probes {
            let (stream, _) = listener.accept().await.unwrap();
            counts.push(if is_over_tls {
                let stream = acceptor.accept(stream).await.unwrap();
                answer_many(stream, text, requests_max).await
            } else {
                answer_many(stream, text, requests_max).await
            });
        }
        counts
    });
    let mut probe = prober_trusting(Ok(key.cert.der())).prepare(target_at(address, check));
    for _ in 0..probes {
        let outcome = probe.run().await;
        assert!(is_success(outcome), "{outcome:?}");
    }
    drop(probe);
    served.await.unwrap()
}

#[tokio::test]
async fn the_policy_says_over_which_connections_probes_go() {
    for tls in [false, true] {
        let requests = |connection| {
            let check = HttpCheck { tls, connection, ..check() };
            requests_by_connection(check, OK, usize::MAX, 6)
        };
        assert_eq!(requests(Connection::Fresh).await, [1; 6]);
        assert_eq!(requests(Connection::Mixed(4)).await, [4, 2]);
        assert_eq!(requests(Connection::Keepalive).await, [6]);
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_up_is_asked_again_and_has_not_failed() {
    for tls in [false, true] {
        let check = HttpCheck { tls, connection: Connection::Keepalive, ..check() };
        assert_eq!(requests_by_connection(check, OK, 2, 5).await, [2, 2, 1]);
    }
}

#[tokio::test]
async fn a_connection_is_kept_only_behind_an_answer_that_has_an_end() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\n\r\n";
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nready";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nready";
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    for (text, expected) in
        [(chunked, vec![3]), (none, vec![3]), (closing, vec![1, 1, 1]), (old, vec![1, 1, 1])]
    {
        let check = HttpCheck { connection: Connection::Keepalive, ..check() };
        assert_eq!(requests_by_connection(check, text, usize::MAX, 3).await, expected, "{text}");
    }
}

#[tokio::test]
async fn an_answer_over_a_kept_connection_counts_and_a_dead_endpoint_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for text in [OK, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"] {
            answer_many(&mut stream, text, 1).await;
        }
    });
    let check = HttpCheck { connection: Connection::Keepalive, ..check() };
    let mut probe = Prober::new(Clock::start()).prepare(target_at(address, check));
    assert!(is_success(probe.run().await));
    assert_eq!(probe.run().await, failure(FailureReason::Status(503)));
    served.await.unwrap();
    assert_eq!(probe.run().await, failure(FailureReason::Refused));
}
