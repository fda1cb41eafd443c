//! TLS handshakes.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::model::Name;
use crate::model::check::{Connection, HttpCheck, TlsCheck, TlsIdentity};
use crate::model::health::{Flaw, LocalError};

/// A margin that no certificate of ours comes close to but what ends by 2100.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

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

/// A server that takes one connection, by this configuration, and says whether the handshake was fine.
async fn serve_once(config: rustls::ServerConfig) -> (SocketAddr, JoinHandle<bool>) {
    let (listener, address) = listener().await;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { return false };
        // In TLS 1.3 clients that show nothing are turned away after their side is done.
        stream.read_to_end(&mut Vec::new()).await.is_ok()
    });
    (address, served)
}

#[tokio::test]
async fn a_ca_of_its_own_stands_in_the_place_of_the_machine_s() {
    let (key, stranger) = (self_signed(), self_signed());
    let invalid = Some(FailureReason::Certificate);
    for (root, trusted, expected) in [(&key, &stranger, None), (&stranger, &key, invalid)] {
        let (listener, acceptor) = tls_listener(&key).await;
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.is_ok()
        });
        let roots = Some(vec![root.cert.der().to_vec()]);
        let terms = TlsTerms { roots, ..TlsTerms::default() };
        let check = check(Some("www.example.test"), true);
        let prober = prober_trusting(Ok(trusted.cert.der()));
        let outcome = probe_target(&prober, by_terms(address, check, terms)).await;
        assert_outcome(outcome, expected, "");
        assert_eq!(served.await.unwrap(), expected.is_none());
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_it() {
    let (server, client) = (self_signed(), self_signed());
    let mut trusted = RootCertStore::empty();
    trusted.add(client.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(trusted),
        Arc::clone(&provider),
    );
    let verifier = verifier.build().unwrap();
    let secret = || PrivateKeyDer::try_from(server.signing_key.serialize_der()).unwrap();
    let config = || {
        rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            // In 1.2 the server's refusal is part of the handshake.
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_single_cert(vec![server.cert.der().clone()], secret())
            .unwrap()
    };
    let identity = TlsIdentity {
        chain: vec![client.cert.der().to_vec()],
        key: client.signing_key.serialize_der(),
    };
    for (identity, expected) in [(Some(identity), None), (None, Some(FailureReason::Tls))] {
        let (address, served) = serve_once(config()).await;
        let roots = Some(vec![server.cert.der().to_vec()]);
        let terms = TlsTerms { roots, identity, margin: None };
        let check = check(Some("www.example.test"), true);
        let prober = Prober::new(Clock::start());
        let outcome = probe_target(&prober, by_terms(address, check, terms)).await;
        assert_outcome(outcome, expected, "");
        assert_eq!(served.await.unwrap(), expected.is_none());
    }
}

fn https() -> CheckKind {
    CheckKind::Http(HttpCheck {
        tls: true,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: Some("www.example.test".to_owned()),
        verify: true,
        headers: Vec::new(),
        status: vec![200..=299],
        body: None,
        connection: Connection::Fresh,
    })
}

/// Answers one client of either kind, HTTP or none, and hangs up.
async fn answer_one(listener: TcpListener, acceptor: TlsAcceptor) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    let mut request = [0; 16];
    if stream.read(&mut request).await.unwrap_or_default() > 0 {
        let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_flaw_in_every_kind() {
    // rcgen's end in the year 4096.
    let key = self_signed();
    for check in [check(Some("www.example.test"), true), https()] {
        for (margin, is_flawed) in
            [(None, false), (Some(CENTURY), false), (Some(CENTURY * 100), true)]
        {
            let (listener, acceptor) = tls_listener(&key).await;
            let address = listener.local_addr().unwrap();
            let served = tokio::spawn(answer_one(listener, acceptor));
            let roots = Some(vec![key.cert.der().to_vec()]);
            let terms = TlsTerms { roots, identity: None, margin };
            let target = by_terms(address, check.clone(), terms);
            let mut probe = Prober::new(Clock::start()).prepare(target);
            let (outcome, account) = probe.run_telling().await;
            let is_as_told = match outcome {
                ProbeOutcome::Flawed(took, Flaw::CertificateEnds { place: 0, days }) => {
                    is_flawed && took > Duration::ZERO && days == u16::MAX
                }
                ProbeOutcome::Success(_) => !is_flawed,
                _ => false,
            };
            assert!(is_as_told, "{check:?} {margin:?}: {outcome:?}");
            let told = account.facts.iter().any(|fact| fact.starts_with("certificate good for "));
            assert!(told, "{:?}", account.facts);
            served.await.unwrap();
        }
    }
}

/// A root, and what a server shows whose certificate ends in the year 4096, and that of who vouches for it in 2100.
fn chain() -> (Vec<u8>, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = || KeyPair::generate().unwrap();
    let params = |name: &str, is_ca| {
        let mut params = CertificateParams::new(vec!["www.example.test".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = is_ca;
        params
    };
    let ca = || IsCa::Ca(BasicConstraints::Unconstrained);
    let (root, mut upper) = (params("Root", ca()), params("Upper", ca()));
    upper.not_after = date_time_ymd(2100, 1, 1);
    let [root_key, upper_key, own_key] = [key(), key(), key()];
    let upper_der = upper.signed_by(&upper_key, &Issuer::from_params(&root, &root_key)).unwrap();
    let own = params("www.example.test", IsCa::NoCa);
    let own_der = own.signed_by(&own_key, &Issuer::from_params(&upper, &upper_key)).unwrap();
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let secret = PrivateKeyDer::try_from(own_key.serialize_der()).unwrap();
    (root_der, vec![own_der.der().clone(), upper_der.der().clone()], secret)
}

#[tokio::test]
async fn a_certificate_that_vouches_counts_where_it_ends_first() {
    let (root, chain, secret) = chain();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    for check in [check(Some("www.example.test"), true), https()] {
        let (listener, address) = listener().await;
        let served = tokio::spawn(answer_one(listener, acceptor.clone()));
        let terms =
            TlsTerms { roots: Some(vec![root.clone()]), identity: None, margin: Some(CENTURY) };
        let mut probe = Prober::new(Clock::start()).prepare(by_terms(address, check, terms));
        let (outcome, account) = probe.run_telling().await;
        let ProbeOutcome::Flawed(_, flaw @ Flaw::CertificateEnds { place: 1, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(flaw.to_string().starts_with("certificate 2 of its chain ends in "), "{flaw}");
        let is_told =
            |fact: &String| fact.starts_with("certificate 2 of its chain (Upper) good for ");
        assert!(account.facts.iter().any(is_told), "{:?}", account.facts);
        served.await.unwrap();
    }
}
