//! Connections and texts, over TCP and UDP.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::*;
use crate::model::check::ExecCheck;
use crate::probe::answer::ANSWER_OCTETS_MAX;

fn says(over: Carrier, send: &str, expect: &str) -> CheckKind {
    let [send, expect] = [send, expect].map(|text| Some(text.to_owned()).filter(|t| !t.is_empty()));
    CheckKind::Text(TextCheck { over, send, expect })
}

/// Reads `request`, sends `answer` in pieces and hangs up; the handle tells whether it came so far.
async fn serve(request: &'static str, answer: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<()>) {
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; request.len()];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, request.as_bytes());
        for piece in answer {
            // A prober that has seen enough hangs up; that is its right.
            let _ = stream.write_all(&piece).await;
            let _ = stream.flush().await;
        }
        let _ = stream.shutdown().await;
    });
    (address, served)
}

#[tokio::test]
async fn tcp_checks_need_a_connection_and_no_more() {
    let (listener, address) = listener().await;
    assert!(is_success(probe_at(address, CheckKind::Tcp).await));
    drop(listener);
    assert_eq!(probe_at(address, CheckKind::Tcp).await, failure(FailureReason::Refused));
}

#[tokio::test]
async fn what_a_server_says_is_searched_for_the_text() {
    let banner = || vec![b"220 mail.exam".to_vec(), b"ple ESMTP\r\n".to_vec()];
    let late = |filler: usize| vec![vec![b'-'; filler], b"ready".to_vec()];
    let wrong = Some(FailureReason::Answer);
    for (request, answer, send, expect, expected) in [
        ("", banner(), "", "220 ", None),
        ("", banner(), "", "example", None),
        ("", banner(), "", "554 ", wrong),
        ("PING\r\n", vec![b"+PONG\r\n".to_vec()], "PING\r\n", "+PONG", None),
        ("PING\r\n", vec![b"-LOADING\r\n".to_vec()], "PING\r\n", "+PONG", wrong),
        // Without a text any answer will do, but none does not.
        ("PING\r\n", vec![b"?".to_vec()], "PING\r\n", "", None),
        ("PING\r\n", vec![], "PING\r\n", "", wrong),
        ("", late(ANSWER_OCTETS_MAX - 5), "", "ready", None),
        ("", late(ANSWER_OCTETS_MAX - 4), "", "ready", wrong),
    ] {
        let (address, served) = serve(request, answer).await;
        let outcome = probe_at(address, says(Carrier::Tcp, send, expect)).await;
        assert_outcome(outcome, expected, &format!("{send:?} {expect:?}"));
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent_has_failed() {
    let (_listener, address) = listener().await;
    let outcome = probe_hurried(address, says(Carrier::Tcp, "PING\r\n", "+PONG")).await;
    assert_eq!(outcome, failure(FailureReason::Timeout));
}

// ---- UDP ----

#[tokio::test]
async fn the_first_datagram_that_comes_back_is_the_answer() {
    for (answer, expect, expected) in [
        ("pong 7", "pong", None),
        ("pong 7", "", None),
        ("", "", None),
        ("", "pong", Some(FailureReason::Answer)),
        ("busy", "pong", Some(FailureReason::Answer)),
    ] {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let mut buffer = [0; 64];
            let (len, client) = server.recv_from(&mut buffer).await.unwrap();
            // What comes from elsewhere is nobody's answer.
            let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            stranger.send_to(b"nothing to do with it", client).await.unwrap();
            server.send_to(answer.as_bytes(), client).await.unwrap();
            buffer[..len].to_vec()
        });
        let outcome = probe_at(address, says(Carrier::Udp, "ping", expect)).await;
        assert_outcome(outcome, expected, &format!("{answer:?} under {expect:?}"));
        assert_eq!(served.await.unwrap(), b"ping");
    }
}

#[tokio::test]
async fn udp_silence_is_a_timeout_and_a_closed_port_a_refusal() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let check = || says(Carrier::Udp, "ping", "");
    assert_eq!(probe_hurried(address, check()).await, failure(FailureReason::Timeout));
    drop(server);
    assert_eq!(probe_at(address, check()).await, failure(FailureReason::Refused));
}

#[tokio::test]
async fn an_inverted_check_wants_what_others_do_not() {
    let (listener, address) = listener().await;
    let mut target = target_at(address, CheckKind::Tcp);
    Arc::make_mut(&mut target.spec).invert = true;
    let prober = Prober::new(Clock::start());
    let open = probe_target(&prober, target.clone()).await;
    assert_eq!(open, failure(FailureReason::Success));
    drop(listener);
    let (outcome, account) = prober.prepare(target.clone()).run_telling().await;
    assert_eq!(outcome, ProbeOutcome::Success(Duration::ZERO));
    assert_eq!(account.facts, ["refused, as is wanted"]);
    // What we cannot ask says nothing, whatever is wanted of it.
    Arc::make_mut(&mut target.spec).kind =
        CheckKind::Exec(ExecCheck { program: "absent".to_owned(), arguments: Vec::new() });
    let unable = probe_target(&prober, target).await;
    assert!(matches!(unable, ProbeOutcome::LocalError(_)), "{unable:?}");
}
