//! Clients of DNS over TLS, HTTPS and QUIC, each on a connection of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::node::PATIENCE;
use crate::node::client::{ask_on, framed};

/// The name that certificates are for.
pub(crate) const NAME: &str = "dns.example.net";
const DNS_MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");

/// Trusts one certificate and no other.
#[derive(Clone)]
pub(crate) struct Client(ClientConfig);

impl Client {
    pub(crate) fn trusting(certificate: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(config)
    }

    fn config(&self, protocol: &[u8]) -> ClientConfig {
        let mut config = self.0.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    /// A connection over TLS; an error when the handshake fails.
    pub(crate) async fn connect_tls(&self, server: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(server).await?;
        let name = ServerName::try_from(NAME).unwrap();
        let connector = TlsConnector::from(Arc::new(self.config(b"dot")));
        timeout(PATIENCE, connector.connect(name, stream)).await.expect("no handshake")
    }

    pub(crate) async fn ask_tls(&self, server: SocketAddr, query: &[u8]) -> Vec<u8> {
        ask_on(&mut self.connect_tls(server).await.unwrap(), query).await.unwrap()
    }

    fn http(&self, server: SocketAddr) -> reqwest::Client {
        let headers = HeaderMap::from_iter([(ACCEPT, DNS_MESSAGE), (CONTENT_TYPE, DNS_MESSAGE)]);
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.config(b"h2"))
            .http2_prior_knowledge()
            .default_headers(headers)
            .resolve(NAME, server)
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .unwrap()
    }

    /// POSTs a query to `path`.
    pub(crate) async fn post(
        &self,
        server: SocketAddr,
        path: &str,
        query: &[u8],
    ) -> reqwest::Result<Vec<u8>> {
        let url = format!("https://{NAME}:{}{path}", server.port());
        let response = self.http(server).post(url).body(query.to_vec()).send().await?;
        assert_eq!(response.headers()[CONTENT_TYPE], DNS_MESSAGE);
        Ok(response.bytes().await?.to_vec())
    }

    /// GETs `path`, with the query in it.
    pub(crate) async fn get(&self, server: SocketAddr, path: &str) -> reqwest::Result<Vec<u8>> {
        let url = format!("https://{NAME}:{}{path}", server.port());
        let response = self.http(server).get(url).send().await?;
        Ok(response.bytes().await?.to_vec())
    }

    /// A connection over QUIC. It lives as long as its endpoint.
    pub(crate) async fn connect_quic(
        &self,
        server: SocketAddr,
    ) -> (quinn::Endpoint, quinn::Connection) {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let endpoint = quinn::Endpoint::client(any).unwrap();
        let crypto = QuicClientConfig::try_from(self.config(b"doq")).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, server, NAME).unwrap();
        let connection = timeout(PATIENCE, connecting).await.expect("no handshake").unwrap();
        (endpoint, connection)
    }

    pub(crate) async fn ask_quic(&self, server: SocketAddr, query: &[u8]) -> Vec<u8> {
        let (_endpoint, connection) = self.connect_quic(server).await;
        let reply = ask_quic_on(&connection, query).await;
        reply.get(2..).expect("a reply").to_vec()
    }
}

/// What comes back on a stream of its own: a reply with its length, or nothing.
pub(crate) async fn ask_quic_on(connection: &quinn::Connection, query: &[u8]) -> Vec<u8> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&framed(query)).await.unwrap();
    send.finish().unwrap();
    let reply = timeout(PATIENCE, receive.read_to_end(1 << 17)).await.expect("no reply, no end");
    reply.unwrap_or_default()
}
