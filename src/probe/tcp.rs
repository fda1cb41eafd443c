//! The TCP check: a connection can be opened, and what is said through it is answered.

use std::io;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::answer::Answer;
use super::fault::Fault;
use super::trace::Trace;
use super::way::Way;
use crate::model::FailureReason;
use crate::model::check::TextCheck;

/// Opens a connection.
pub(super) async fn open(way: Way, trace: &mut Trace) -> Result<TcpStream, Fault> {
    let fault = |error: io::Error| Fault::of_socket(&error, way);
    let socket = Socket::new(Domain::for_address(way.to), Type::STREAM.nonblocking(), None);
    let socket = socket.map_err(fault)?;
    way.bind(&socket)?;
    let began = trace.now();
    let opened = TcpSocket::from_std_stream(socket.into()).connect(way.to).await;
    let stream = opened.map_err(fault)?;
    trace.round_trip_since(began);
    trace.step("connected");
    Ok(stream)
}

/// Opens a connection that is closed by reset when it is dropped.
pub(super) async fn connect(way: Way, trace: &mut Trace) -> Result<TcpStream, Fault> {
    let stream = open(way, trace).await?;
    // Closing by reset leaves nothing in TIME_WAIT: thousands of targets a second would use up
    // the local ports otherwise. That it could not be asked for is no reason to fail.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    Ok(stream)
}

/// Opens a connection, says what is to be said and reads until the answer is as expected.
pub(super) async fn probe(check: &TextCheck, way: Way, trace: &mut Trace) -> Result<(), Fault> {
    let fault = |error| Fault::of_socket(&error, way);
    let mut stream = connect(way, trace).await?;
    if let Some(text) = &check.send {
        stream.write_all(text.as_bytes()).await.map_err(fault)?;
    }
    let mut answer = Answer::new(check.expect.as_deref().unwrap_or_default());
    let mut buffer = [0; 1024];
    let mut is_first = true;
    while !answer.is_enough() {
        let len = stream.read(&mut buffer).await.map_err(fault)?;
        if len == 0 {
            break;
        }
        if std::mem::take(&mut is_first) {
            trace.step("answered");
        }
        trace.says(&buffer[..len]);
        answer.push(&buffer[..len]);
    }
    answer.judge(FailureReason::Answer)
}
