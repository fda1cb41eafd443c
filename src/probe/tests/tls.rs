//! TLS handshakes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::model::Name;
use crate::model::check::TlsCheck;
use crate::model::health::LocalError;

fn check(host: Option<&str>, verify: bool) -> CheckKind {
    CheckKind::Tls(TlsCheck { host: host.map(str::to_owned), verify })
}

#[tokio::test]
async fn a_handshake_shows_the_certificate_for_the_name() {
    let (key, stranger) = (self_signed(), self_signed());
    let name = Some("www.example.test");
    let invalid = Some(FailureReason::Certificate);
    for (root, check, expected, asked_for) in [
        (&key, check(name, true), None, name),
        (&stranger, check(name, true), invalid, None),
        (&key, check(Some("other.example.test"), true), invalid, None),
        (&stranger, check(name, false), None, name),
        // An address is verified as such, and never asked for by SNI (RFC 6066 §3).
        (&key, check(None, true), invalid, None),
        (&key, check(None, false), None, None),
    ] {
        let (listener, acceptor) = tls_listener(&key).await;
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.ok()?;
            stream.get_ref().1.server_name().map(str::to_owned)
        });
        let prober = prober_trusting(Ok(root.cert.der()));
        let case = format!("{check:?}");
        let outcome = probe_target(&prober, target_at(address, check)).await;
        assert_outcome(outcome, expected, &case);
        assert_eq!(served.await.unwrap().as_deref(), asked_for, "{case}");
    }
}

#[tokio::test]
async fn a_host_s_own_name_is_asked_for() {
    let key = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (listener, acceptor) = tls_listener(&key).await;
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        stream.get_ref().1.server_name().map(str::to_owned)
    });
    let host = TargetHost::Name("localhost.".parse::<Name>().unwrap());
    let prober = prober_trusting(Ok(key.cert.der()));
    let outcome = probe_target(&prober, target(host, port, PATIENT, check(None, true))).await;
    assert!(is_success(outcome), "{outcome:?}");
    assert_eq!(served.await.unwrap().as_deref(), Some("localhost"));
}

#[tokio::test]
async fn a_server_without_tls_or_without_a_word_has_failed() {
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
        listener
    });
    assert_eq!(probe_at(address, check(None, false)).await, failure(FailureReason::Tls));
    let hung_up = probe_at(address, check(None, false)).await;
    let expected = [FailureReason::Tls, FailureReason::Refused].map(failure);
    assert!(expected.contains(&hung_up), "{hung_up:?}");
    let listener = served.await.unwrap();
    assert_eq!(probe_hurried(address, check(None, false)).await, failure(FailureReason::Timeout));
    drop(listener);
    assert_eq!(probe_at(address, check(None, false)).await, failure(FailureReason::Refused));
}

#[tokio::test]
async fn without_trusted_roots_nobody_is_to_blame() {
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let prober = prober_trusting(Err("no trusted roots"));
    let outcome = probe_target(&prober, target_at(address, check(None, true))).await;
    assert_eq!(outcome, ProbeOutcome::LocalError(LocalError::Other));
}
