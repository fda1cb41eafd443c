//! A client of one node: asks over UDP and TCP, and reads what comes back.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::PATIENCE;

pub(crate) const A: u16 = 1;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;

/// A query without any option.
pub(crate) fn query(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(id.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(qtype.to_be_bytes());
    packet.extend(1_u16.to_be_bytes());
    packet
}

/// The data of the answers in a reply, or the rcode when there are none.
pub(crate) fn said(reply: &[u8]) -> String {
    let message = Message::from_vec(reply).unwrap();
    let answers: Vec<_> = message.answers.iter().map(|record| record.data.to_string()).collect();
    if answers.is_empty() { message.metadata.response_code.to_string() } else { answers.join(" ") }
}

/// Asks over UDP; the reply, and whence it came.
pub(crate) async fn ask_udp(server: SocketAddr, query: &[u8]) -> (Vec<u8>, SocketAddr) {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).await.unwrap();
    socket.send_to(query, server).await.unwrap();
    let mut reply = vec![0; 4096];
    let received = timeout(PATIENCE, socket.recv_from(&mut reply)).await;
    let (len, from) = received.expect("a query is lost").unwrap();
    reply.truncate(len);
    (reply, from)
}

/// What a node says over UDP.
pub(crate) async fn ask(server: SocketAddr, name: &str, qtype: u16) -> String {
    said(&ask_udp(server, &query(7, name, qtype)).await.0)
}

/// A query as it stands in a stream.
pub(crate) fn framed(query: &[u8]) -> Vec<u8> {
    [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], query].concat()
}

/// The next reply of a stream; an error when it has ended.
pub(crate) async fn next_reply(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let reading = async {
        let len = stream.read_u16().await?;
        let mut reply = vec![0; len.into()];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    };
    timeout(PATIENCE, reading).await.expect("no reply and no end")
}

/// Asks on a connection that is open.
pub(crate) async fn ask_on(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    query: &[u8],
) -> io::Result<Vec<u8>> {
    stream.write_all(&framed(query)).await?;
    next_reply(stream).await
}

/// Asks over TCP on a connection of its own.
pub(crate) async fn ask_tcp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    ask_on(&mut stream, query).await.unwrap()
}
