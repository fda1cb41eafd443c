//! Datagrams: the UDP check, and the socket that it shares with DNS.

use tokio::net::UdpSocket;

use super::answer::{ANSWER_OCTETS_MAX, Answer};
use super::fault::Fault;
use super::trace::Trace;
use super::way::Way;
use crate::model::FailureReason;
use crate::model::check::TextCheck;

/// A socket that talks with one address alone, from a port of its own, so that no late answer to an earlier
/// probe can reach it.
#[derive(Debug)]
pub(super) struct Talk {
    socket: UdpSocket,
    way: Way,
    buffer: Vec<u8>,
}

impl Talk {
    pub(super) async fn over(way: Way) -> Result<Self, Fault> {
        let bound = UdpSocket::bind(way.local()).await;
        let socket = bound.map_err(|error| Fault::of_bind(&error, way))?;
        let connected = socket.connect(way.to).await;
        connected.map_err(|error| Fault::of_socket(&error, way))?;
        Ok(Self { socket, way, buffer: vec![0; ANSWER_OCTETS_MAX] })
    }

    pub(super) async fn send(&self, datagram: &[u8]) -> Result<(), Fault> {
        let sent = self.socket.send(datagram).await;
        sent.map(drop).map_err(|error| Fault::of_socket(&error, self.way))
    }

    /// The next datagram. "Port unreachable" arrives here, as a connection refused.
    pub(super) async fn receive(&mut self) -> Result<&[u8], Fault> {
        let received = self.socket.recv(&mut self.buffer).await;
        let len = received.map_err(|error| Fault::of_socket(&error, self.way))?;
        Ok(&self.buffer[..len])
    }
}

/// Sends one datagram and judges the first that comes back.
pub(super) async fn probe(check: &TextCheck, way: Way, trace: &mut Trace) -> Result<(), Fault> {
    let mut talk = Talk::over(way).await?;
    talk.send(check.send.as_deref().unwrap_or_default().as_bytes()).await?;
    let datagram = talk.receive().await?;
    trace.step("answered");
    trace.says(datagram);
    // An empty one is an answer, too, where any is.
    if datagram.is_empty() && check.expect.is_none() {
        return Ok(());
    }
    let mut answer = Answer::new(check.expect.as_deref().unwrap_or_default());
    answer.push(datagram);
    answer.judge(FailureReason::Answer)
}
