//! The HTTP and HTTPS check: a request is answered as expected.
//!
//! Each probe opens a connection of its own, straight to the target's address whatever the host
//! name says: no proxy, no redirect followed, no cookie, no session resumed. So a success means that
//! a new client would be served, and that the certificate is good now.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::header::{CONNECTION, HOST, HeaderValue};
use reqwest::tls::TlsInfo;
use reqwest::{Client, ClientBuilder, Method, Response, Url};
use rustls::ClientConfig;

use super::answer::Answer;
use super::fault::Fault;
use super::tls::{self, Tls};
use super::trace::Trace;
use crate::model::check::HttpCheck;
use crate::model::{FailureReason, TargetHost};

/// The protocol as TLS names it.
const ALPN: &str = "http/1.1";

/// Who asks. Operators find it in their logs and exclude it from their statistics.
pub(super) const USER_AGENT: &str = concat!("windrose-check/", env!("CARGO_PKG_VERSION"));

/// A request to one address, ready to be sent.
#[derive(Debug)]
pub(super) struct Request<'a> {
    check: &'a HttpCheck,
    address: SocketAddr,
    method: Method,
    url: Url,
    host: HeaderValue,
}

impl<'a> Request<'a> {
    /// The request that `check` makes of `host` when that is at `address`.
    pub(super) fn new(
        check: &'a HttpCheck,
        host: &TargetHost,
        address: SocketAddr,
    ) -> Result<Self, Fault> {
        Self::try_new(check, host, address).map_err(Fault::Unable)
    }

    fn try_new(
        check: &'a HttpCheck,
        host: &TargetHost,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let (scheme, default_port) = if check.tls { ("https", 443) } else { ("http", 80) };
        let name = name(check.host.as_deref(), host);
        let host = match (&check.host, address.port()) {
            (Some(as_written), _) => as_written.clone(),
            (None, port) if port == default_port => name.clone(),
            (None, port) => format!("{name}:{port}"),
        };
        // Without TLS the name matters in the `Host` header only.
        let authority = if check.tls { name } else { bracketed(&address.ip().to_string()) };
        let path = &check.path;
        let mut url = Url::parse(&format!("{scheme}://{authority}{path}"))
            .map_err(|error| format!("host `{authority}` and path `{path}`: {error}"))?;
        url.set_port(Some(address.port())).map_err(|()| format!("`{url}` cannot have a port"))?;
        let method = Method::from_bytes(check.method.as_bytes());
        Ok(Self {
            check,
            address,
            method: method.map_err(|_| format!("`{}` is not an HTTP method", check.method))?,
            url,
            host: HeaderValue::from_str(&host)
                .map_err(|_| format!("`{host}` cannot stand in a Host header"))?,
        })
    }
}

/// What requests to `host` call it: as it was written, or else by what it is.
pub(super) fn name(written: Option<&str>, host: &TargetHost) -> String {
    match (written, host) {
        (Some(written), _) => bracketed(written),
        (None, TargetHost::Address(address)) => bracketed(&address.to_string()),
        (None, TargetHost::Name(name)) => name.to_string().trim_end_matches('.').to_owned(),
    }
}

/// An IPv6 address as it stands in an URL; anything else as it is.
fn bracketed(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
    }
}

/// Sends a request and judges the answer.
pub(super) async fn probe(
    client: &Client,
    request: Request<'_>,
    margin: Option<Duration>,
    trace: &mut Trace,
) -> Result<(), Fault> {
    let Request { check, address, method, url, host } = request;
    let fault = |error| Fault::of_request(&error, address, check.tls);
    let mut request = client.request(method, url).header(HOST, host).header(CONNECTION, "close");
    for (name, value) in &check.headers {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(fault)?;
    let status = response.status().as_u16();
    trace.step("answered");
    let session = response.extensions().get::<TlsInfo>();
    if let Some(certificate) = session.and_then(TlsInfo::peer_certificate) {
        trace.certificate(certificate, margin);
    }
    trace.fact(|| format!("status {status}"));
    if !check.status.iter().any(|range| range.contains(&status)) {
        trace.leave(response);
        return Err(Fault::Failure(FailureReason::Status(status)));
    }
    let Some(text) = &check.body else {
        trace.leave(response);
        return Ok(());
    };
    let mut answer = Answer::new(text);
    read(response, &mut answer, trace).await.map_err(fault)?;
    answer.judge(FailureReason::Body)
}

/// Reads no more of the body than is needed.
async fn read(
    mut response: Response,
    answer: &mut Answer<'_>,
    trace: &mut Trace,
) -> reqwest::Result<()> {
    while !answer.is_enough() {
        let Some(chunk) = response.chunk().await? else { break };
        trace.says(&chunk);
        answer.push(&chunk);
    }
    Ok(())
}

// ---- Clients ----

/// The clients that all probes share.
#[derive(Debug)]
pub(super) struct Clients {
    /// For plain HTTP: its requests go to addresses, so one client does for all targets.
    plain: Client,
}

/// The client of one HTTPS target. A client is bound to the address that its name leads to, so
/// each target has its own (about 4 KiB) and keeps it until the address changes.
#[derive(Debug, Default)]
pub(super) struct Kept(Option<(SocketAddr, Result<Client, Fault>)>);

impl Clients {
    pub(super) fn new() -> Self {
        let plain = builder().tls_danger_accept_invalid_certs(true).build();
        Self {
            plain: plain.expect("a client without roots, proxies and files has nothing to lack"),
        }
    }

    /// The client that `request` is to be sent by.
    pub(super) fn client(
        &self,
        tls: Tls<'_>,
        request: &Request<'_>,
        kept: &mut Kept,
    ) -> Result<Client, Fault> {
        if !request.check.tls {
            return Ok(self.plain.clone());
        }
        if let Some((address, client)) = &kept.0
            && *address == request.address
        {
            return client.clone();
        }
        let client = https(tls, request).map_err(Fault::Unable);
        kept.0 = Some((request.address, client.clone()));
        client
    }
}

fn https(tls: Tls<'_>, request: &Request<'_>) -> Result<Client, String> {
    let name = request.url.host_str().unwrap_or_default();
    let literal: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
    let builder = match literal {
        None => builder().resolve(name, request.address),
        Some(address) if address == request.address.ip() => builder(),
        Some(other) => {
            let at = request.address.ip();
            return Err(format!("a certificate for {other} cannot be asked for at {at}"));
        }
    };
    let config = tls.config(request.check.verify, Some(ALPN))?;
    let builder = builder.tls_backend_preconfigured(config).tls_info(true);
    builder.build().map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))
}

/// What probes of all kinds have in common.
fn builder() -> ClientBuilder {
    client_builder(USER_AGENT).pool_max_idle_per_host(0)
}

/// What all clients have in common that ask just what they were told to: straight to the host, once.
pub(crate) fn client_builder(user_agent: &str) -> ClientBuilder {
    Client::builder()
        .user_agent(user_agent)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
}

/// TLS for HTTP/1.1 that trusts what the machine trusts, or why there is none.
pub(crate) fn verified_by_the_machine() -> Result<ClientConfig, String> {
    let mut config = tls::verified_by_the_machine()?;
    config.alpn_protocols = vec![ALPN.into()];
    Ok(config)
}

#[cfg(test)]
mod tests;
