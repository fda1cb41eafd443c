//! Probes of real servers on the loopback address; what the tests of all kinds share.

mod account;
mod denied;
mod dns;
mod exec;
mod grpc;
mod icmp;
mod round_trips;
mod source;
mod text;
mod tls;

use std::num::NonZeroU8;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::model::CheckSpec;
use crate::model::check::TlsTerms;

pub(super) const PATIENT: Duration = Duration::from_secs(20);
const HURRIED: Duration = Duration::from_millis(50);

pub(super) fn target(host: TargetHost, port: u16, timeout: Duration, kind: CheckKind) -> Target {
    let (rise, fall) = (NonZeroU8::MIN, NonZeroU8::MIN);
    let interval = timeout;
    let spec = CheckSpec { interval, timeout, rise, fall, ..CheckSpec::new(kind, port) };
    Target { host, spec: Arc::new(spec) }
}

pub(super) fn target_at(address: SocketAddr, kind: CheckKind) -> Target {
    target(TargetHost::Address(address.ip()), address.port(), PATIENT, kind)
}

/// A check that goes by `terms`.
pub(super) fn by_terms(address: SocketAddr, check: CheckKind, terms: TlsTerms) -> Target {
    let mut target = target_at(address, check);
    Arc::make_mut(&mut target.spec).tls = Some(Arc::new(terms));
    target
}

pub(super) async fn probe_target(prober: &Prober, target: Target) -> ProbeOutcome {
    prober.prepare(target).run().await
}

/// Probes `address` once.
async fn probe_at(address: SocketAddr, kind: CheckKind) -> ProbeOutcome {
    probe_target(&Prober::new(Clock::start()), target_at(address, kind)).await
}

/// Probes `address` once, in no time to speak of.
async fn probe_hurried(address: SocketAddr, kind: CheckKind) -> ProbeOutcome {
    let host = TargetHost::Address(address.ip());
    probe_target(&Prober::new(Clock::start()), target(host, address.port(), HURRIED, kind)).await
}

pub(super) fn failure(reason: FailureReason) -> ProbeOutcome {
    ProbeOutcome::Failure(reason)
}

pub(super) fn is_success(outcome: ProbeOutcome) -> bool {
    matches!(outcome, ProbeOutcome::Success(took) if took > Duration::ZERO)
}

/// Nothing at all for a success, else the reason.
fn assert_outcome(outcome: ProbeOutcome, expected: Option<FailureReason>, case: &str) {
    match expected {
        None => assert!(is_success(outcome), "{case}: {outcome:?}"),
        Some(reason) => assert_eq!(outcome, failure(reason), "{case}"),
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A certificate for `www.example.test` that nobody vouches for but itself.
pub(super) fn self_signed() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(vec!["www.example.test".to_owned()]).unwrap()
}

/// A TLS server on a port of its own.
pub(super) async fn tls_listener(key: &CertifiedKey<KeyPair>) -> (TcpListener, TlsAcceptor) {
    let chain = vec![key.cert.der().clone()];
    let secret = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .unwrap();
    (listener().await.0, TlsAcceptor::from(Arc::new(config)))
}

/// A prober that trusts `roots` instead of what the machine trusts.
pub(super) fn prober_trusting(roots: Result<&CertificateDer<'static>, &str>) -> Prober {
    let prober = Prober::new(Clock::start());
    let config = roots.map_err(str::to_owned).map(|root| {
        let mut store = RootCertStore::empty();
        store.add(root.clone()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(store);
        super::tls::for_probes(config.with_no_client_auth())
    });
    prober.tls.verified.set(config).unwrap();
    prober
}
