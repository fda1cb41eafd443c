//! The TCP check: a connection can be opened.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::fault::Fault;

/// Opens a connection and throws it away.
pub(super) async fn probe(address: SocketAddr) -> Result<(), Fault> {
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|error| Fault::of_connect(&error, address))?;
    // Closing by reset leaves nothing in TIME_WAIT: thousands of targets a second would use up
    // the local ports otherwise. That it could not be asked for is no reason to fail.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    Ok(())
}
