//! The gRPC check: the standard health service says that a service is served.
//!
//! `grpc.health.v1.Health/Check` is one request of one field and one response of one field, so both are
//! written and read here by hand. See <https://github.com/grpc/grpc/blob/master/doc/health-checking.md> and
//! `PROTOCOL-HTTP2.md` beside it.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::fault::Fault;
use super::tls::Tls;
use super::trace::Trace;
use super::way::Way;
use super::{http as http_check, tcp, tls};
use crate::model::check::{GrpcCheck, TlsCheck};
use crate::model::{FailureReason, TargetHost};

const PATH: &str = "/grpc.health.v1.Health/Check";
/// The protocol as TLS names it.
const ALPN: &str = "h2";
/// Octets of a response: one small number in its frame, and whatever a later version adds.
const RESPONSE_LEN_MAX: usize = 4096;
/// Octets before each message: whether it is compressed, and its length.
const PREFIX_LEN: usize = 5;
/// What the response says of a service that is served.
const SERVING: u64 = 1;

/// Asks `host`, which is where `way` leads, once.
pub(super) async fn probe(
    tls: Tls<'_>,
    check: &GrpcCheck,
    host: &TargetHost,
    way: Way,
    trace: &mut Trace,
) -> Result<(), Fault> {
    let GrpcCheck { tls: over_tls, host: written, verify, service } = check;
    let name = http_check::name(written.as_deref(), host);
    let authority = match written {
        Some(_) => name,
        None => format!("{name}:{}", way.to.port()),
    };
    let scheme = if *over_tls { "https" } else { "http" };
    let request = Request::post(format!("{scheme}://{authority}{PATH}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, http_check::USER_AGENT)
        .body(());
    let request = request.map_err(|error| Fault::Unable(format!("host `{authority}`: {error}")))?;
    let body = encode(service);
    if *over_tls {
        let check = TlsCheck { host: written.clone(), verify: *verify };
        let stream = tls::connect(tls, &check, Some(ALPN), (host, way), trace).await?;
        exchange(stream, (request, body), way, trace).await
    } else {
        let stream = tcp::open(way, trace).await?;
        exchange(stream, (request, body), way, trace).await
    }
}

/// One request over a connection of its own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    (request, body): (Request<()>, Bytes),
    way: Way,
    trace: &mut Trace,
) -> Result<(), Fault> {
    let fault = |error| of_http2(&error, way);
    let (sender, connection) =
        Builder::new().enable_push(false).handshake(stream).await.map_err(fault)?;
    let asking = ask(sender, request, body, trace);
    tokio::pin!(asking);
    let asked = tokio::select! {
        asked = &mut asking => asked,
        ended = connection => match ended {
            Err(error) => Err(Ended::Broken(error)),
            Ok(()) => asking.await,
        },
    };
    asked.map_err(|ended| match ended {
        Ended::Broken(error) => fault(error),
        Ended::Failed(reason) => Fault::Failure(reason),
    })
}

/// Why there was no good answer.
enum Ended {
    /// The connection or the stream broke.
    Broken(h2::Error),
    /// It was answered, but not well.
    Failed(FailureReason),
}

impl From<h2::Error> for Ended {
    fn from(error: h2::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<FailureReason> for Ended {
    fn from(reason: FailureReason) -> Self {
        Self::Failed(reason)
    }
}

async fn ask(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
    trace: &mut Trace,
) -> Result<(), Ended> {
    let mut sender = sender.ready().await?;
    let (response, mut sending) = sender.send_request(request, false)?;
    sending.send_data(body, true)?;
    let response = response.await?;
    trace.step("answered");
    trace.fact(|| format!("status {}", response.status().as_u16()));
    judge_head(&response)?;
    let (head, mut body) = response.into_parts();
    let message = read(&mut body).await?;
    // Whoever has nothing to say puts the status into the head.
    let trailers = body.trailers().await?;
    judge_status(trailers.as_ref().unwrap_or(&head.headers))?;
    let status = decode(&message).ok_or(FailureReason::Protocol)?;
    match status {
        SERVING => Ok(()),
        other => Err(FailureReason::NotServing(u8::try_from(other).unwrap_or(u8::MAX)).into()),
    }
}

/// What is no gRPC server answers with what it would answer any browser.
fn judge_head(response: &Response<RecvStream>) -> Result<(), FailureReason> {
    let status = response.status().as_u16();
    let kind = response.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    match status {
        200 if kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) => Ok(()),
        200 => Err(FailureReason::Protocol),
        other => Err(FailureReason::Status(other)),
    }
}

fn judge_status(headers: &HeaderMap) -> Result<(), FailureReason> {
    let status = headers.get("grpc-status").and_then(|value| value.to_str().ok()?.parse().ok());
    match status.ok_or(FailureReason::Protocol)? {
        0 => Ok(()),
        status => Err(FailureReason::Grpc(status)),
    }
}

/// Reads the body to its end, which trailers follow.
async fn read(body: &mut RecvStream) -> Result<Vec<u8>, Ended> {
    let mut message = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        if message.len() + chunk.len() > RESPONSE_LEN_MAX {
            return Err(FailureReason::Protocol.into());
        }
        message.extend_from_slice(&chunk);
        body.flow_control().release_capacity(chunk.len())?;
    }
    Ok(message)
}

fn of_http2(error: &h2::Error, way: Way) -> Fault {
    let of_io = error.get_io().and_then(|error| Fault::of_causes(error, way));
    of_io.unwrap_or(Fault::Failure(FailureReason::Protocol))
}

// ---- Messages ----

/// `HealthCheckRequest { string service = 1; }` in its frame.
fn encode(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        write_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let len = u32::try_from(message.len()).expect("a service's name is short");
    let mut frame = vec![0];
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(&message);
    frame.into()
}

fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// The status of a framed `HealthCheckResponse { ServingStatus status = 1; }`; 0 when it is left out. `None`
/// when it is something else.
fn decode(frame: &[u8]) -> Option<u64> {
    let (prefix, mut message) = frame.split_at_checked(PREFIX_LEN)?;
    let len = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    // No compression was offered.
    if prefix[0] != 0 || usize::try_from(len) != Ok(message.len()) {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = read_varint(&mut message)?,
            // Fields of later versions.
            (_, 0) => drop(read_varint(&mut message)?),
            (_, 1) => drop(message.split_off(..8)?),
            (_, 2) => {
                let len = usize::try_from(read_varint(&mut message)?).ok()?;
                message.split_off(..len)?;
            }
            (_, 5) => drop(message.split_off(..4)?),
            _ => return None,
        }
    }
    Some(status)
}

fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let octet = *message.split_off_first()?;
        number |= u64::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_the_name_of_the_service_in_its_frame() {
        assert_eq!(encode(""), vec![0; 5]);
        assert_eq!(encode("a.B"), vec![0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = encode(&"x".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn a_response_is_a_status_among_fields_that_may_come() {
        for (frame, status) in [
            (&[0, 0, 0, 0, 0][..], Some(0)),
            (&[0, 0, 0, 0, 2, 8, 1], Some(1)),
            (&[0, 0, 0, 0, 3, 8, 0x80, 1], Some(128)),
            (&[0, 0, 0, 0, 6, 0x12, 2, b'o', b'k', 8, 2], Some(2)),
            // Compressed, cut, too long, a field without its octets, a number without its end.
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 2, 8], None),
            (&[0, 0, 0, 0, 2, 8, 1, 0], None),
            (&[0, 0, 0, 0, 2, 0x12, 9], None),
            (&[0, 0, 0, 0, 2, 8, 0x80], None),
            (&[0, 0], None),
        ] {
            assert_eq!(decode(frame), status, "{frame:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_to_an_end(frame in proptest::collection::vec(any::<u8>(), 0..40)) {
            decode(&frame);
        }

        #[test]
        fn numbers_come_back(number: u64) {
            let mut octets = Vec::new();
            write_varint(&mut octets, number);
            prop_assert_eq!(read_varint(&mut &octets[..]), Some(number));
        }
    }
}
