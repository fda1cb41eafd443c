//! The HTTP and HTTPS check: a request is answered as expected.
//!
//! Each probe opens a connection of its own, straight to the target's address whatever the host
//! name says: no proxy, no redirect followed, no cookie, no session resumed. So a success means that
//! a new client would be served, and that the certificate is good now. A check may have most probes, or all,
//! go over the connection of the probe before ([`Connection`]), and mean as much less.

use std::net::IpAddr;

use bytes::Bytes;
use reqwest::header::{CONNECTION, HOST, HeaderValue};
use reqwest::tls::TlsInfo;
use reqwest::{Client, ClientBuilder, Method, Response, Url};
use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::answer::{ANSWER_OCTETS_MAX, Answer};
use super::fault::Fault;
use super::plain;
use super::tls::{self, Tls};
use super::trace::Trace;
use super::way::Way;
use crate::model::check::{Connection, HttpCheck};
use crate::model::{FailureReason, TargetHost};

/// The protocol as TLS names it.
const ALPN: &str = "http/1.1";

/// Who asks. Operators find it in their logs and exclude it from their statistics.
pub(super) const USER_AGENT: &str = concat!("windrose-check/", env!("CARGO_PKG_VERSION"));

/// A request over TLS, one way, ready to be sent.
#[derive(Debug)]
pub(super) struct Request<'a> {
    check: &'a HttpCheck,
    way: Way,
    method: Method,
    url: Url,
    host: HeaderValue,
}

impl<'a> Request<'a> {
    /// The request that `check` makes of `host`, which is where `way` leads.
    pub(super) fn new(check: &'a HttpCheck, host: &TargetHost, way: Way) -> Result<Self, Fault> {
        Self::try_new(check, host, way).map_err(Fault::Unable)
    }

    fn try_new(check: &'a HttpCheck, host: &TargetHost, way: Way) -> Result<Self, String> {
        let (authority, path) = (name(check.host.as_deref(), host), &check.path);
        let mut url = Url::parse(&format!("https://{authority}{path}"))
            .map_err(|error| format!("host `{authority}` and path `{path}`: {error}"))?;
        url.set_port(Some(way.to.port())).map_err(|()| format!("`{url}` cannot have a port"))?;
        let method = Method::from_bytes(check.method.as_bytes());
        Ok(Self {
            check,
            way,
            method: method.map_err(|_| format!("`{}` is not an HTTP method", check.method))?,
            url,
            host: host_header(check, host, way.to.port())
                .map_err(|host| format!("`{host}` cannot stand in a Host header"))?,
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

/// What a probe asks, and where.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) check: &'a HttpCheck,
    pub(super) host: &'a TargetHost,
    pub(super) way: Way,
    pub(super) tls: Tls<'a>,
}

/// Makes the check, over the connection of the probe before where the policy is so.
///
/// Endpoints close connections that are idle, which is nobody's failure: what goes wrong there before an answer has
/// come is tried once more over a new one.
pub(super) async fn probe(ask: Ask<'_>, kept: &mut Kept, trace: &mut Trace) -> Result<(), Fault> {
    if kept.may_be_used(ask) {
        trace.fact(|| "over the connection of before".to_owned());
        match once(ask, kept, trace).await {
            Err(Fault::Failure(reason)) if !is_of_answer(reason) => {
                trace.fact(|| format!("{reason}, and so over a new one"));
            }
            judged => return judged,
        }
    }
    kept.forget(ask.check.connection);
    once(ask, kept, trace).await
}

const fn is_of_answer(reason: FailureReason) -> bool {
    matches!(reason, FailureReason::Status(_) | FailureReason::Body)
}

async fn once(ask: Ask<'_>, kept: &mut Kept, trace: &mut Trace) -> Result<(), Fault> {
    let Ask { check, host, way, .. } = ask;
    // Whatever ends this on its way ends the connection, too.
    let uses = std::mem::take(&mut kept.uses);
    let mut answered = if check.tls {
        Box::pin(send_over_tls(ask, kept, trace)).await?
    } else {
        let request = plain_request(check, host, way.to.port()).map_err(Fault::Unable)?;
        let (is_head, stream) = (check.method == "HEAD", kept.stream.take());
        Answered::Plain(plain::send(&request, is_head, stream, way, trace).await?)
    };
    let judged = judge(check, &mut answered, trace).await;
    let is_kept = check.connection != Connection::Fresh;
    if is_kept && judged.is_ok() {
        kept.keep(answered, (way, uses + 1), trace).await;
    } else if check.body.is_none() || judged.as_ref().is_err_and(Fault::is_status) {
        trace.leave(answered);
    }
    judged
}

/// The request as it goes over the wire.
fn plain_request(check: &HttpCheck, host: &TargetHost, port: u16) -> Result<Vec<u8>, String> {
    let HttpCheck { method, path, .. } = check;
    if Method::from_bytes(method.as_bytes()).is_err() {
        return Err(format!("`{method}` is not an HTTP method"));
    }
    let host = host_header(check, host, port);
    let host = host.map_err(|host| format!("`{host}` cannot stand in a Host header"))?;
    let mut request = Vec::with_capacity(192);
    request.extend_from_slice(method.as_bytes());
    request.push(b' ');
    for octet in path.bytes().take_while(|octet| *octet != b'#') {
        match octet {
            b'!'..=b'~' => request.push(octet),
            _ => request.extend_from_slice(format!("%{octet:02X}").as_bytes()),
        }
    }
    request.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(b"\r\n");
    let connection = match check.connection {
        Connection::Fresh => "close",
        Connection::Mixed(_) | Connection::Keepalive => "keep-alive",
    };
    let ours = [("user-agent", USER_AGENT), ("accept", "*/*"), ("connection", connection)];
    let theirs = check.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let has = |name: &str| check.headers.iter().any(|(own, _)| own == name);
    for (name, value) in ours.into_iter().filter(|(name, _)| !has(name)).chain(theirs) {
        for part in [name, ": ", value, "\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
    }
    if method == "POST" {
        request.extend_from_slice(b"Content-Length: 0\r\n");
    }
    request.extend_from_slice(b"\r\n");
    Ok(request)
}

/// The `Host` header of requests to `host`; the text, if it cannot be one.
fn host_header(check: &HttpCheck, host: &TargetHost, port: u16) -> Result<HeaderValue, String> {
    let name = name(check.host.as_deref(), host);
    let text = match &check.host {
        Some(as_written) => as_written.clone(),
        None if port == default_port(check.tls) => name,
        None => format!("{name}:{port}"),
    };
    HeaderValue::from_str(&text).map_err(|_| text)
}

const fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

/// Sends the request over TLS.
async fn send_over_tls(
    ask: Ask<'_>,
    kept: &mut Kept,
    trace: &mut Trace,
) -> Result<Answered, Fault> {
    let request = Request::new(ask.check, ask.host, ask.way)?;
    let client = kept.client(ask.tls, &request)?;
    let Request { check, way, method, url, host } = request;
    let mut request = client.request(method, url).header(HOST, host);
    if check.connection == Connection::Fresh {
        request = request.header(CONNECTION, "close");
    }
    for (name, value) in &check.headers {
        request = request.header(name, value);
    }
    let sent = request.send().await;
    let response = sent.map_err(|error| Fault::of_request(&error, way, true))?;
    let session = response.extensions().get::<TlsInfo>();
    if let Some(certificate) = session.and_then(TlsInfo::peer_certificate) {
        trace.certificate(certificate, ask.tls.margin());
    }
    Ok(Answered::Https(response, way))
}

/// An answer whose head was read.
#[derive(Debug)]
pub(super) enum Answered {
    Plain(plain::Response),
    Https(Response, Way),
}

impl Answered {
    fn status(&self) -> u16 {
        match self {
            Self::Plain(response) => response.status,
            Self::Https(response, _) => response.status().as_u16(),
        }
    }

    /// What comes next of the body; nothing at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Plain(response) => Ok(response.chunk().await?.map(Bytes::from)),
            Self::Https(response, way) => {
                let way = *way;
                response.chunk().await.map_err(|error| Fault::of_request(&error, way, true))
            }
        }
    }
}

/// Judges an answer; reads no more of the body than is needed.
async fn judge(check: &HttpCheck, answered: &mut Answered, trace: &mut Trace) -> Result<(), Fault> {
    let status = answered.status();
    trace.step("answered");
    trace.fact(|| format!("status {status}"));
    if !check.status.iter().any(|range| range.contains(&status)) {
        return Err(Fault::Failure(FailureReason::Status(status)));
    }
    let Some(text) = &check.body else { return Ok(()) };
    let mut answer = Answer::new(text);
    while !answer.is_enough() {
        let Some(chunk) = answered.chunk().await? else { break };
        trace.says(&chunk);
        answer.push(&chunk);
    }
    answer.judge(FailureReason::Body)
}

// ---- What is kept ----

/// What a target keeps from probe to probe.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The client of an HTTPS target. It is bound to the address that its name leads to, so each target has
    /// its own (about 4 KiB) and keeps it until the address changes.
    client: Option<(Way, Result<Client, Fault>)>,
    /// The connection to a plain HTTP target; those over TLS are the client's.
    stream: Option<TcpStream>,
    /// Where the connection leads, and how many requests it has had; none where there is none.
    way: Option<Way>,
    uses: u16,
}

impl Kept {
    /// Whether the next probe goes over the connection that is there.
    fn may_be_used(&self, ask: Ask<'_>) -> bool {
        let uses_max = match ask.check.connection {
            Connection::Fresh => 0,
            Connection::Mixed(of) => of,
            Connection::Keepalive => u16::MAX,
        };
        (1..uses_max).contains(&self.uses) && self.way == Some(ask.way)
    }

    /// Whatever connection is there ends.
    fn forget(&mut self, connection: Connection) {
        let client = self.client.take();
        *self = Self::default();
        // The client of `fresh` has none.
        if connection == Connection::Fresh {
            self.client = client;
        }
    }

    /// Keeps the connection of an answer, if another request may follow on it.
    async fn keep(&mut self, mut answered: Answered, (way, uses): (Way, u16), trace: &mut Trace) {
        let mut room = ANSWER_OCTETS_MAX;
        loop {
            match answered.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if chunk.len() <= room => {
                    trace.says(&chunk);
                    room -= chunk.len();
                }
                // It has been judged already.
                Ok(Some(_)) | Err(_) => return,
            }
        }
        if let Answered::Plain(response) = answered {
            let Some(stream) = response.into_connection() else { return };
            self.stream = Some(stream);
        }
        (self.way, self.uses) = (Some(way), uses);
    }

    /// The client that `request` is to be sent by.
    fn client(&mut self, tls: Tls<'_>, request: &Request<'_>) -> Result<Client, Fault> {
        if let Some((way, client)) = &self.client
            && *way == request.way
        {
            return client.clone();
        }
        let client = https(tls, request).map_err(Fault::Unable);
        self.client = Some((request.way, client.clone()));
        client
    }
}

fn https(tls: Tls<'_>, request: &Request<'_>) -> Result<Client, String> {
    let name = request.url.host_str().unwrap_or_default();
    let literal: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
    let Way { to, from } = request.way;
    let builder = match literal {
        None => builder(request.check.connection).resolve(name, to),
        Some(address) if address == to.ip() => builder(request.check.connection),
        Some(other) => {
            let at = to.ip();
            return Err(format!("a certificate for {other} cannot be asked for at {at}"));
        }
    };
    let config = tls.config(request.check.verify, Some(ALPN))?;
    let builder = builder.tls_backend_preconfigured(config).tls_info(true).local_address(from);
    builder.build().map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))
}

fn builder(connection: Connection) -> ClientBuilder {
    let idle_max = usize::from(connection != Connection::Fresh);
    client_builder(USER_AGENT).pool_max_idle_per_host(idle_max).pool_idle_timeout(None)
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
