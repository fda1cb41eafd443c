//! The TCP check: a connection can be opened, and what is said through it is answered.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answer::Answer;
use super::fault::Fault;
use crate::model::FailureReason;
use crate::model::check::TextCheck;

/// Opens a connection.
pub(super) async fn open(address: SocketAddr) -> Result<TcpStream, Fault> {
    TcpStream::connect(address).await.map_err(|error| Fault::of_socket(&error, address))
}

/// Opens a connection that is closed by reset when it is dropped.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, Fault> {
    let stream = open(address).await?;
    // Closing by reset leaves nothing in TIME_WAIT: thousands of targets a second would use up
    // the local ports otherwise. That it could not be asked for is no reason to fail.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    Ok(stream)
}

/// Opens a connection, says what is to be said and reads until the answer is as expected.
pub(super) async fn probe(check: &TextCheck, address: SocketAddr) -> Result<(), Fault> {
    let fault = |error| Fault::of_socket(&error, address);
    let mut stream = connect(address).await?;
    if let Some(text) = &check.send {
        stream.write_all(text.as_bytes()).await.map_err(fault)?;
    }
    let mut answer = Answer::new(check.expect.as_deref().unwrap_or_default());
    let mut buffer = [0; 1024];
    while !answer.is_enough() {
        match stream.read(&mut buffer).await.map_err(fault)? {
            0 => break,
            len => answer.push(&buffer[..len]),
        }
    }
    answer.judge(FailureReason::Answer)
}
