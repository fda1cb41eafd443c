//! The TLS check: a handshake comes to its end. And the TLS that checks of other kinds are made over.
//!
//! Whoever goes by the same terms shares one configuration, and no session is ever resumed: a resumed one
//! would not show the certificate again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::Fault;
use super::tcp;
use super::trace::Trace;
use super::way::Way;
use crate::model::TargetHost;
use crate::model::check::{TlsCheck, TlsIdentity, TlsTerms};

/// The TLS of all checks.
#[derive(Debug, Default)]
pub(super) struct Configs {
    /// That which trusts what the machine trusts, or why there is none. Made when first needed; a change of
    /// the machine's roots is seen after a restart.
    pub(super) verified: OnceLock<Result<ClientConfig, String>>,
    unverified: OnceLock<Result<ClientConfig, String>>,
    /// Those of checks with roots or a certificate of their own, by whether they verify.
    special: Mutex<HashMap<(bool, Arc<TlsTerms>), Made>>,
}

/// A configuration, or why there is none.
type Made = Result<ClientConfig, String>;

impl Configs {
    fn special(&self, verify: bool, terms: &Arc<TlsTerms>) -> Made {
        let mut known = self.special.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(&(verify, Arc::clone(terms))) {
            return config.clone();
        }
        // Of checks that are gone nobody else has the terms any more.
        known.retain(|(_, terms), _| Arc::strong_count(terms) > 1);
        let config = special(verify, terms);
        known.insert((verify, Arc::clone(terms)), config.clone());
        config
    }
}

/// The TLS of one check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tls<'c> {
    pub(super) configs: &'c Configs,
    pub(super) terms: Option<&'c Arc<TlsTerms>>,
}

impl Tls<'_> {
    /// TLS that offers the protocol `alpn`, or names none.
    pub(super) fn config(self, verify: bool, alpn: Option<&str>) -> Result<ClientConfig, String> {
        let own = self.terms.filter(|terms| terms.roots.is_some() || terms.identity.is_some());
        let mut config = match (own, verify) {
            (Some(terms), _) => self.configs.special(verify, terms)?,
            (None, true) => self.configs.verified.get_or_init(verified_by_the_machine).clone()?,
            (None, false) => self.configs.unverified.get_or_init(unverified).clone()?,
        };
        config.alpn_protocols = alpn.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
        Ok(config)
    }

    /// For how long the target's certificate should be good.
    pub(super) fn margin(self) -> Option<Duration> {
        self.terms?.margin
    }
}

/// Makes a handshake with `host`, which is where `way` leads, and says goodbye.
pub(super) async fn probe(
    tls: Tls<'_>,
    check: &TlsCheck,
    host: &TargetHost,
    way: Way,
    trace: &mut Trace,
) -> Result<(), Fault> {
    let mut stream = connect(tls, check, None, (host, way), trace).await?;
    // Our side is done before the server's (RFC 8446 §2): a reset would have it log a failed handshake.
    let _ = stream.shutdown().await;
    Ok(())
}

/// Opens a TLS connection to `host`, which is where `way` leads.
pub(super) async fn connect(
    tls: Tls<'_>,
    check: &TlsCheck,
    alpn: Option<&str>,
    (host, way): (&TargetHost, Way),
    trace: &mut Trace,
) -> Result<TlsStream<TcpStream>, Fault> {
    let config = tls.config(check.verify, alpn).map_err(Fault::Unable)?;
    let name = server_name(check, host, way.to).map_err(Fault::Unable)?;
    let stream = tcp::open(way, trace).await?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = connected.map_err(|error| Fault::of_handshake(&error, way))?;
    trace.step("TLS");
    let session = stream.get_ref().1;
    if let Some(version) = session.protocol_version() {
        trace.fact(|| format!("{version:?}"));
    }
    look(&stream, tls, trace);
    Ok(stream)
}

/// Notes the certificates that `stream` began with.
pub(super) fn look(stream: &TlsStream<TcpStream>, tls: Tls<'_>, trace: &mut Trace) {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    trace.certificates(chain, tls.margin());
}

/// Whose certificate is asked for.
fn server_name(
    check: &TlsCheck,
    host: &TargetHost,
    address: SocketAddr,
) -> Result<ServerName<'static>, String> {
    let name = match (&check.host, host) {
        (Some(host), _) => without_port(host).to_owned(),
        (None, TargetHost::Address(_)) => return Ok(address.ip().into()),
        (None, TargetHost::Name(name)) => name.to_string().trim_end_matches('.').to_owned(),
    };
    name.clone().try_into().map_err(|_| format!("`{name}` is no name of a TLS server"))
}

/// A host as it was written, without a port, which no certificate names.
fn without_port(host: &str) -> &str {
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

// ---- Whom it trusts ----

/// TLS that trusts what the machine trusts, or why there is none.
pub(crate) fn verified_by_the_machine() -> Result<ClientConfig, String> {
    let verifier = Arc::new(of_the_machine()?);
    let config = builder()?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(for_probes(config.with_no_client_auth()))
}

fn of_the_machine() -> Result<Verifier, String> {
    Verifier::new(provider()).map_err(|error| {
        format!("no trusted roots: {error}; install CA certificates or set SSL_CERT_FILE")
    })
}

fn unverified() -> Result<ClientConfig, String> {
    let verifier = Arc::new(AnyCertificate(provider()));
    let config = builder()?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(for_probes(config.with_no_client_auth()))
}

/// TLS by the terms of a check.
fn special(verify: bool, terms: &TlsTerms) -> Result<ClientConfig, String> {
    let verifier: Arc<dyn ServerCertVerifier> = match (&terms.roots, verify) {
        (_, false) => Arc::new(AnyCertificate(provider())),
        (None, true) => Arc::new(of_the_machine()?),
        (Some(roots), true) => {
            let mut store = RootCertStore::empty();
            for root in roots {
                store.add(root.clone().into()).map_err(|error| error.to_string())?;
            }
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider());
            builder.build().map_err(|error| error.to_string())?
        }
    };
    let config = builder()?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(for_probes(match &terms.identity {
        None => config.with_no_client_auth(),
        Some(TlsIdentity { chain, key }) => {
            let chain = chain.iter().cloned().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::try_from(key.clone())?;
            config.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
        }
    }))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    let builder = ClientConfig::builder_with_provider(provider());
    builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())
}

/// A resumed session would not show the certificate again.
pub(super) fn for_probes(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

/// Takes any certificate, for checks that say `verify = false`; whoever shows it must have its key still.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
