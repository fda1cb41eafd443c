//! The TLS check: a handshake comes to its end. And the TLS that checks of other kinds are made over.
//!
//! Whoever trusts the machine's roots shares one configuration, and no session is ever resumed: a resumed
//! one would not show the certificate again.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::Fault;
use super::tcp;
use super::trace::Trace;
use crate::model::TargetHost;
use crate::model::check::TlsCheck;

/// The TLS of all checks.
#[derive(Debug, Default)]
pub(super) struct Configs {
    /// That which trusts what the machine trusts, or why there is none. Made when first needed; a change of
    /// the machine's roots is seen after a restart.
    pub(super) verified: OnceLock<Result<ClientConfig, String>>,
    unverified: OnceLock<Result<ClientConfig, String>>,
}

impl Configs {
    /// TLS that offers the protocol `alpn`, or names none.
    pub(super) fn config(&self, verify: bool, alpn: Option<&str>) -> Result<ClientConfig, String> {
        let config = match verify {
            true => self.verified.get_or_init(verified_by_the_machine),
            false => self.unverified.get_or_init(unverified),
        };
        let mut config = config.clone()?;
        config.alpn_protocols = alpn.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

/// Makes a handshake with `host` at `address` and says goodbye.
pub(super) async fn probe(
    configs: &Configs,
    check: &TlsCheck,
    host: &TargetHost,
    address: SocketAddr,
    trace: &mut Trace,
) -> Result<(), Fault> {
    let mut stream = connect(configs, check, None, (host, address), trace).await?;
    // Our side is done before the server's (RFC 8446 §2): a reset would have it log a failed handshake.
    let _ = stream.shutdown().await;
    Ok(())
}

/// Opens a TLS connection to `host` at `address`.
pub(super) async fn connect(
    configs: &Configs,
    check: &TlsCheck,
    alpn: Option<&str>,
    (host, address): (&TargetHost, SocketAddr),
    trace: &mut Trace,
) -> Result<TlsStream<TcpStream>, Fault> {
    let config = configs.config(check.verify, alpn).map_err(Fault::Unable)?;
    let name = server_name(check, host, address).map_err(Fault::Unable)?;
    let stream = tcp::open(address, trace).await?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = connected.map_err(|error| Fault::of_handshake(&error, address))?;
    trace.step("TLS");
    if let Some(version) = stream.get_ref().1.protocol_version() {
        trace.fact(|| format!("{version:?}"));
    }
    Ok(stream)
}

/// Whose certificate is asked for.
fn server_name(
    check: &TlsCheck,
    host: &TargetHost,
    address: SocketAddr,
) -> Result<ServerName<'static>, String> {
    let name = match (&check.host, host) {
        (Some(host), _) => host.clone(),
        (None, TargetHost::Address(_)) => return Ok(address.ip().into()),
        (None, TargetHost::Name(name)) => name.to_string().trim_end_matches('.').to_owned(),
    };
    name.clone().try_into().map_err(|_| format!("`{name}` is no name of a TLS server"))
}

// ---- Whom it trusts ----

/// TLS that trusts what the machine trusts, or why there is none.
pub(super) fn verified_by_the_machine() -> Result<ClientConfig, String> {
    let verifier = Verifier::new(provider()).map_err(|error| {
        format!("no trusted roots: {error}; install CA certificates or set SSL_CERT_FILE")
    })?;
    let config = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(for_probes(config.with_no_client_auth()))
}

fn unverified() -> Result<ClientConfig, String> {
    let verifier = Arc::new(AnyCertificate(provider()));
    let config = builder()?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(for_probes(config.with_no_client_auth()))
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
