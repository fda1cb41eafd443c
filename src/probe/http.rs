//! The HTTP and HTTPS check: a request is answered as expected.
//!
//! Each probe opens a connection of its own, straight to the target's address whatever the host
//! name says: no proxy, no redirect followed, no cookie, no session resumed. So a success means that
//! a new client would be served, and that the certificate is good now. A check may have most probes, or all,
//! go over the connection of the probe before ([`Connection`]), and mean as much less.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderValue, Method};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::answer::{ANSWER_OCTETS_MAX, Answer};
use super::fault::Fault;
use super::plain::{self, Response, Stream};
use super::tcp;
use super::tls::{self, Tls};
use super::trace::Trace;
use super::way::Way;
use crate::model::check::{Connection, HttpCheck, TlsCheck};
use crate::model::{FailureReason, TargetHost};

/// The protocol as TLS names it.
const ALPN: &str = "http/1.1";

/// Who asks. Operators find it in their logs and exclude it from their statistics.
pub(super) const USER_AGENT: &str = concat!("windrose-check/", env!("CARGO_PKG_VERSION"));

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
    *kept = Kept::default();
    once(ask, kept, trace).await
}

const fn is_of_answer(reason: FailureReason) -> bool {
    matches!(reason, FailureReason::Status(_) | FailureReason::Body)
}

async fn once(ask: Ask<'_>, kept: &mut Kept, trace: &mut Trace) -> Result<(), Fault> {
    let Ask { check, host, way, .. } = ask;
    // Whatever ends this on its way ends the connection, too.
    let uses = std::mem::take(&mut kept.uses);
    let request = request(check, host, way.to.port()).map_err(Fault::Unable)?;
    let stream = match kept.stream.take() {
        Some(Stream::Tls(stream)) => {
            // What it began with holds for as long as it does.
            tls::look(&stream, ask.tls, trace);
            Stream::Tls(stream)
        }
        Some(stream) => stream,
        None if check.tls => Stream::Tls(Box::pin(connect(ask, trace)).await?),
        None => Stream::Plain(tcp::connect(way, trace).await?),
    };
    let mut response = plain::send(&request, check.method == "HEAD", stream, way).await?;
    let judged = judge(check, &mut response, trace).await;
    let is_kept = check.connection != Connection::Fresh;
    if is_kept && judged.is_ok() {
        kept.keep(response, (way, uses + 1), trace).await;
    } else if check.body.is_none() || judged.as_ref().is_err_and(Fault::is_status) {
        trace.leave(response);
    }
    judged
}

/// Opens a connection over TLS.
async fn connect(
    Ask { check, host, way, tls }: Ask<'_>,
    trace: &mut Trace,
) -> Result<Box<TlsStream<TcpStream>>, Fault> {
    let check = TlsCheck { host: check.host.clone(), verify: check.verify };
    tls::connect(tls, &check, Some(ALPN), (host, way), trace).await.map(Box::new)
}

/// The request as it goes over the wire.
fn request(check: &HttpCheck, host: &TargetHost, port: u16) -> Result<Vec<u8>, String> {
    let HttpCheck { method, path, .. } = check;
    if Method::from_bytes(method.as_bytes()).is_err() {
        return Err(format!("`{method}` is not an HTTP method"));
    }
    let host = host_header(check, host, port);
    if HeaderValue::from_str(&host).is_err() {
        return Err(format!("`{host}` cannot stand in a Host header"));
    }
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

/// What stands in the `Host` header of requests to `host`.
fn host_header<'a>(check: &'a HttpCheck, host: &TargetHost, port: u16) -> Cow<'a, str> {
    match &check.host {
        Some(as_written) => as_written.into(),
        None if port == default_port(check.tls) => name(None, host).into(),
        None => format!("{}:{port}", name(None, host)).into(),
    }
}

const fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

/// Judges an answer; reads no more of the body than is needed.
async fn judge(check: &HttpCheck, response: &mut Response, trace: &mut Trace) -> Result<(), Fault> {
    let status = response.status;
    trace.step("answered");
    trace.fact(|| format!("status {status}"));
    if !check.status.iter().any(|range| range.contains(&status)) {
        return Err(Fault::Failure(FailureReason::Status(status)));
    }
    let Some(text) = &check.body else { return Ok(()) };
    let mut answer = Answer::new(text);
    while !answer.is_enough() {
        let Some(chunk) = response.chunk().await? else { break };
        trace.says(&chunk);
        answer.push(&chunk);
    }
    answer.judge(FailureReason::Body)
}

// ---- What is kept ----

/// What a target keeps from probe to probe.
#[derive(Debug, Default)]
pub(super) struct Kept {
    stream: Option<Stream>,
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

    /// Keeps the connection of an answer, if another request may follow on it.
    async fn keep(&mut self, mut response: Response, (way, uses): (Way, u16), trace: &mut Trace) {
        let mut room = ANSWER_OCTETS_MAX;
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if chunk.len() <= room => {
                    trace.says(&chunk);
                    room -= chunk.len();
                }
                // It has been judged already.
                Ok(Some(_)) | Err(_) => return,
            }
        }
        if let Some(stream) = response.into_connection() {
            *self = Self { stream: Some(stream), way: Some(way), uses };
        }
    }
}

#[cfg(test)]
mod tests;
