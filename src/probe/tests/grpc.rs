//! gRPC health services.

use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use h2::server::SendResponse;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::model::check::GrpcCheck;
use crate::model::health::Flaw;

/// What a server answers: HTTP status and content type, messages, and the status in the trailers; or in the
/// head when there are no messages.
#[derive(Clone)]
struct Answer {
    status: u16,
    content_type: &'static str,
    messages: Vec<&'static [u8]>,
    grpc_status: &'static str,
}

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

fn answer(messages: &[&'static [u8]], grpc_status: &'static str) -> Answer {
    let content_type = "application/grpc+proto";
    Answer { status: 200, content_type, messages: messages.to_vec(), grpc_status }
}

fn check(service: &str) -> GrpcCheck {
    GrpcCheck { tls: false, host: None, verify: true, service: service.to_owned() }
}

/// What was asked: the request, and its body.
type Asked = (Request<()>, Vec<u8>);

async fn serve_on(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) -> Asked {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut response) = connection.accept().await.unwrap().unwrap();
    let (head, mut body) = request.into_parts();
    let exchange = async move {
        let mut asked = Vec::new();
        while let Some(chunk) = body.data().await {
            asked.extend_from_slice(&chunk.unwrap());
        }
        respond(&mut response, &answer);
        asked
    };
    tokio::pin!(exchange);
    let asked = tokio::select! {
        asked = &mut exchange => asked,
        _ = connection.accept() => exchange.await,
    };
    // Until the client has what it wants and hangs up.
    while connection.accept().await.is_some_and(|next| next.is_ok()) {}
    (Request::from_parts(head, ()), asked)
}

fn respond(response: &mut SendResponse<Bytes>, answer: &Answer) {
    let head =
        Response::builder().status(answer.status).header("content-type", answer.content_type);
    let status = ("grpc-status", answer.grpc_status);
    if answer.messages.is_empty() {
        let head = head.header(status.0, status.1).body(()).unwrap();
        response.send_response(head, true).unwrap();
        return;
    }
    let mut sending = response.send_response(head.body(()).unwrap(), false).unwrap();
    for &message in &answer.messages {
        sending.send_data(Bytes::from_static(message), false).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert(status.0, status.1.parse().unwrap());
    sending.send_trailers(trailers).unwrap();
}

async fn serve(answer: Answer) -> (SocketAddr, JoinHandle<Asked>) {
    let (listener, address) = listener().await;
    let served =
        tokio::spawn(async move { serve_on(listener.accept().await.unwrap().0, answer).await });
    (address, served)
}

#[tokio::test]
async fn a_service_is_asked_about_by_name() {
    let (address, served) = serve(answer(&[SERVING], "0")).await;
    let outcome = probe_at(address, CheckKind::Grpc(check("shop.Cart"))).await;
    assert!(is_success(outcome), "{outcome:?}");
    let (request, body) = served.await.unwrap();
    assert_eq!(request.method(), "POST");
    let uri = format!("http://{address}/grpc.health.v1.Health/Check");
    assert_eq!(request.uri().to_string(), uri);
    let header = |name| request.headers()[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("te")), ("application/grpc", "trailers"));
    assert_eq!(body, b"\x00\x00\x00\x00\x0b\x0a\x09shop.Cart");
}

#[tokio::test]
async fn answers_are_judged_by_both_statuses_and_health() {
    let page = Answer { content_type: "text/html", ..answer(&[b"welcome"], "0") };
    for (answer, expected) in [
        (answer(&[SERVING], "0"), None),
        // In pieces.
        (answer(&[&SERVING[..3], &SERVING[3..]], "0"), None),
        (answer(&[&[0, 0, 0, 0, 2, 8, 2]], "0"), Some(FailureReason::NotServing(2))),
        (answer(&[&[0, 0, 0, 0, 0]], "0"), Some(FailureReason::NotServing(0))),
        // A service that is not known, and a server without this one.
        (answer(&[], "5"), Some(FailureReason::Grpc(5))),
        (answer(&[], "12"), Some(FailureReason::Grpc(12))),
        (answer(&[SERVING], "14"), Some(FailureReason::Grpc(14))),
        (answer(&[SERVING], "fine"), Some(FailureReason::Protocol)),
        (answer(&[], "0"), Some(FailureReason::Protocol)),
        (answer(&[&[0; 5000]], "0"), Some(FailureReason::Protocol)),
        (page.clone(), Some(FailureReason::Protocol)),
        (Answer { status: 503, ..page }, Some(FailureReason::Status(503))),
    ] {
        let case = format!("{:?} {}", answer.messages, answer.grpc_status);
        let (address, served) = serve(answer).await;
        let outcome = probe_at(address, CheckKind::Grpc(check(""))).await;
        assert_outcome(outcome, expected, &case);
        served.await.unwrap();
    }
}

#[tokio::test]
async fn over_tls_the_certificate_is_verified_and_http2_offered() {
    let (key, stranger) = (self_signed(), self_signed());
    let over_tls = |verify| GrpcCheck {
        tls: true,
        host: Some("www.example.test".to_owned()),
        verify,
        ..check("")
    };
    for (root, verify, expected) in [
        (&key, true, None),
        (&stranger, true, Some(FailureReason::Certificate)),
        (&stranger, false, None),
    ] {
        let (listener, acceptor) = tls_listener(&key).await;
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.ok()?;
            Some(serve_on(stream, answer(&[SERVING], "0")).await)
        });
        let prober = prober_trusting(Ok(root.cert.der()));
        let target = target_at(address, CheckKind::Grpc(over_tls(verify)));
        assert_outcome(probe_target(&prober, target).await, expected, "over TLS");
        let asked = served.await.unwrap().map(|(request, _)| request.uri().to_string());
        let uri = "https://www.example.test/grpc.health.v1.Health/Check".to_owned();
        assert_eq!(asked, Some(uri).filter(|_| expected.is_none()));
    }
}

#[tokio::test]
async fn over_tls_a_certificate_that_ends_soon_is_a_flaw() {
    // rcgen's end in the year 4096.
    let key = self_signed();
    let century = Duration::from_secs(100 * 365 * 86_400);
    for (margin, is_flawed) in [(century, false), (century * 100, true)] {
        let (listener, acceptor) = tls_listener(&key).await;
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            serve_on(stream, answer(&[SERVING], "0")).await
        });
        let host = Some("www.example.test".to_owned());
        let check = CheckKind::Grpc(GrpcCheck { tls: true, host, ..check("") });
        let roots = Some(vec![key.cert.der().to_vec()]);
        let terms = TlsTerms { roots, identity: None, margin: Some(margin) };
        let prober = Prober::new(Clock::start());
        let outcome = probe_target(&prober, by_terms(address, check, terms)).await;
        match outcome {
            ProbeOutcome::Flawed(_, Flaw::CertificateEnds { .. }) => assert!(is_flawed),
            other => assert!(!is_flawed && is_success(other), "{other:?}"),
        }
        served.await.unwrap();
    }
}

#[tokio::test]
async fn what_speaks_no_http2_breaks_the_protocol() {
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
        listener
    });
    let kind = || CheckKind::Grpc(check(""));
    assert_eq!(probe_at(address, kind()).await, failure(FailureReason::Protocol));
    let listener = served.await.unwrap();
    assert_eq!(probe_hurried(address, kind()).await, failure(FailureReason::Timeout));
    drop(listener);
    assert_eq!(probe_at(address, kind()).await, failure(FailureReason::Refused));
}
