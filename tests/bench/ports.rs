//! Ports for servers that a bench starts.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// A port that is free for UDP and TCP, as far as anybody can tell.
pub(crate) fn free_port() -> io::Result<u16> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = udp.local_addr()?.port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}
