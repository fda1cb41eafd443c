//! DNS queries.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, MX};
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::*;
use crate::model::RecordType;
use crate::model::check::DnsCheck;

fn check(qtype: RecordType, rcode: u8, answer: Option<&[u8]>) -> CheckKind {
    let qname = "www.example.test.".parse().unwrap();
    let over = Carrier::Udp;
    CheckKind::Dns(DnsCheck { qname, qtype, over, rcode, answer: answer.map(Into::into) })
}

/// Answers one query with the messages that `answers` makes of it.
async fn serve(
    answers: impl FnOnce(Message) -> Vec<Vec<u8>> + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (len, client) = server.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..len]).unwrap();
        assert!(query.metadata.recursion_desired && query.edns.is_none());
        for answer in answers(query) {
            server.send_to(&answer, client).await.unwrap();
        }
    });
    (address, served)
}

/// A response to `query` with this code and these data.
fn response(query: &Message, rcode: ResponseCode, data: &[RData]) -> Message {
    let mut response = query.clone();
    response.metadata.message_type = MessageType::Response;
    response.metadata.response_code = rcode;
    let owner = query.queries[0].name().clone();
    let records = data.iter().map(|data| Record::from_rdata(owner.clone(), 60, data.clone()));
    response.add_answers(records);
    response
}

#[tokio::test]
async fn answers_are_judged_by_rcode_and_data() {
    use ResponseCode::{NXDomain, NoError, ServFail};
    let a = |last: u8| RData::A(A::new(192, 0, 2, last));
    let mx = || RData::MX(MX::new(10, "MAIL.example.test.".parse().unwrap()));
    let mx_rdata = b"\x00\x0a\x04mail\x07example\x04test\x00";
    let one: Option<&[u8]> = Some(&[192, 0, 2, 1]);
    let address = |rcode, answer| check(RecordType::A, rcode, answer);
    for (rcode, data, check, expected) in [
        (NoError, vec![a(1)], address(0, None), None),
        (NoError, vec![], address(0, None), None),
        (ServFail, vec![], address(0, None), Some(FailureReason::Rcode(2))),
        (NXDomain, vec![], address(3, None), None),
        (NoError, vec![], address(3, None), Some(FailureReason::Rcode(0))),
        (NoError, vec![a(2), a(1)], address(0, one), None),
        (NoError, vec![a(2)], address(0, one), Some(FailureReason::Answer)),
        (NoError, vec![], address(0, one), Some(FailureReason::Answer)),
        (NoError, vec![mx()], check(RecordType::MX, 0, Some(mx_rdata)), None),
        (
            NoError,
            vec![a(1)],
            check(RecordType::MX, 0, Some(mx_rdata)),
            Some(FailureReason::Answer),
        ),
    ] {
        let case = format!("{rcode} {data:?} under {check:?}");
        let answer = move |query| vec![response(&query, rcode, &data).to_vec().unwrap()];
        let (address, served) = serve(answer).await;
        assert_outcome(probe_at(address, check).await, expected, &case);
        served.await.unwrap();
    }
}

#[tokio::test]
async fn what_answers_another_query_is_passed_over() {
    let (address, served) = serve(|query| {
        let mut other = response(&query, ResponseCode::ServFail, &[]);
        other.metadata.id = !query.metadata.id;
        let good = response(&query, ResponseCode::NoError, &[]);
        vec![b"?".to_vec(), other.to_vec().unwrap(), good.to_vec().unwrap()]
    })
    .await;
    assert!(is_success(probe_at(address, check(RecordType::A, 0, None)).await));
    served.await.unwrap();
}

#[tokio::test]
async fn what_is_no_answer_to_the_query_breaks_the_protocol() {
    let cut = |query: Message| query.to_vec().unwrap()[..14].to_vec();
    let echo = |query: Message| query.to_vec().unwrap();
    let unasked = |query: Message| {
        let mut other = response(&query, ResponseCode::NoError, &[]);
        other.queries[0].set_name("other.example.test.".parse().unwrap());
        other.to_vec().unwrap()
    };
    for answer in [cut, echo, unasked] {
        let (address, served) = serve(move |query| vec![answer(query)]).await;
        let outcome = probe_at(address, check(RecordType::A, 0, None)).await;
        assert_eq!(outcome, failure(FailureReason::Protocol));
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_need_not_repeat_a_question_that_it_refuses() {
    let (address, served) = serve(|query| {
        let mut refusal = response(&query, ResponseCode::Refused, &[]);
        refusal.queries.clear();
        vec![refusal.to_vec().unwrap()]
    })
    .await;
    let outcome = probe_at(address, check(RecordType::A, 0, None)).await;
    assert_eq!(outcome, failure(FailureReason::Rcode(5)));
    served.await.unwrap();
}

#[tokio::test]
async fn a_name_server_that_is_not_there_refuses() {
    let address = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = probe_at(address, check(RecordType::A, 0, None)).await;
    assert_eq!(outcome, failure(FailureReason::Refused));
}

/// Answers one query over UDP, truncated, and then one over TCP on the same port.
async fn serve_both(
    by_tcp: impl FnOnce(Message) -> Vec<u8> + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let (listener, address, server) = loop {
        let (listener, address) = listener().await;
        // The kernel chose a port that is free for TCP; now and then it is not for UDP.
        if let Ok(server) = UdpSocket::bind(address).await {
            break (listener, address, server);
        }
    };
    let served = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (len, client) = server.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..len]).unwrap();
        let mut cut = response(&query, ResponseCode::NoError, &[]);
        cut.metadata.truncation = true;
        server.send_to(&cut.to_vec().unwrap(), client).await.unwrap();
        let query = take_by_tcp(&listener).await;
        reply_by_tcp(query, by_tcp).await;
    });
    (address, served)
}

async fn take_by_tcp(listener: &TcpListener) -> (Message, TcpStream) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let len = stream.read_u16().await.unwrap();
    let mut query = vec![0; len.into()];
    stream.read_exact(&mut query).await.unwrap();
    (Message::from_vec(&query).unwrap(), stream)
}

async fn reply_by_tcp(
    (query, mut stream): (Message, TcpStream),
    answer: impl FnOnce(Message) -> Vec<u8>,
) {
    stream.write_all(&answer(query)).await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_u8().await;
}

/// A message as it goes over TCP.
fn framed(message: &Message) -> Vec<u8> {
    let octets = message.to_vec().unwrap();
    [&u16::try_from(octets.len()).unwrap().to_be_bytes()[..], &octets].concat()
}

#[tokio::test]
async fn what_is_truncated_is_asked_for_over_tcp() {
    let one = [RData::A(A::new(192, 0, 2, 1))];
    let whole = move |query| framed(&response(&query, ResponseCode::NoError, &one));
    let (address, served) = serve_both(whole).await;
    let wanted = check(RecordType::A, 0, Some(&[192, 0, 2, 1]));
    assert!(is_success(probe_at(address, wanted).await));
    served.await.unwrap();

    let other = |query: Message| {
        let mut other = response(&query, ResponseCode::NoError, &[]);
        other.metadata.id = !query.metadata.id;
        framed(&other)
    };
    let short = |query: Message| framed(&query)[..20].to_vec();
    for answer in [other, short] {
        let (address, served) = serve_both(answer).await;
        let outcome = probe_at(address, check(RecordType::A, 0, None)).await;
        assert_eq!(outcome, failure(FailureReason::Protocol));
        served.await.unwrap();
    }
}

#[tokio::test]
async fn tcp_alone_is_asked_where_the_check_says_so() {
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let query = take_by_tcp(&listener).await;
        reply_by_tcp(query, |query| framed(&response(&query, ResponseCode::NoError, &[]))).await;
    });
    let CheckKind::Dns(check) = check(RecordType::A, 0, None) else { unreachable!() };
    let by_tcp = CheckKind::Dns(DnsCheck { over: Carrier::Tcp, ..check });
    assert!(is_success(probe_at(address, by_tcp.clone()).await));
    served.await.unwrap();
    // Nobody listens any more.
    assert_eq!(probe_at(address, by_tcp).await, failure(FailureReason::Refused));
}
