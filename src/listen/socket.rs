//! Sockets, bound and set up before anything else starts.
//!
//! Binding early means that a taken port or a missing right is said at once, with the address, and
//! that rights can be dropped before the first packet is read.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

/// Octets of a UDP socket's receive buffer: some 4,000 queries. The kernel's usual 208 KiB lose
/// queries in every stall of a few milliseconds.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Octets of a UDP socket's send buffer.
const SEND_BUFFER: usize = 1 << 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Ports of the kernel's choice that are tried before there is none free for UDP and TCP.
const PORT_TRIES: usize = 16;

/// Binds `count` UDP sockets to one address; the kernel spreads clients over them (SO_REUSEPORT).
///
/// # Errors
/// What the kernel says, with the address.
fn bind_udp(address: SocketAddr, count: usize) -> io::Result<Vec<UdpSocket>> {
    (0..count).map(|_| bind_one_udp(address)).collect()
}

fn bind_one_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    set_common(&socket, address)?;
    // A limit below what we ask for is the system's choice: it costs queries in bursts, no more.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    if address.ip().is_unspecified() {
        // A wildcard socket must answer from the address that was asked.
        let (level, option) = match address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        };
        set_option(&socket, level, option, 1)?;
    }
    // Path MTUs that somebody may have forged make no fragments of replies (RFC 9715 §3.1). A kernel that
    // does not know the option does as it always did.
    let (level, option, value) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        SocketAddr::V6(_) => {
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
        }
    };
    let _ = set_option(&socket, level, option, value);
    socket.bind(&address.into()).map_err(|error| at(error, "UDP", address))?;
    Ok(socket.into())
}

/// Binds UDP and TCP to the same address and port.
///
/// TCP comes first. UDP shares its port with any process of the same user (SO_REUSEPORT), TCP with
/// nobody: a windrose that is started twice ends here, before it has taken queries from the first.
///
/// # Errors
/// What the kernel says, with the address.
pub fn bind_both(address: SocketAddr, count: usize) -> io::Result<(Vec<UdpSocket>, TcpListener)> {
    for _ in 1..PORT_TRIES {
        let tcp = bind_tcp(address)?;
        match bind_udp(tcp.local_addr()?, count) {
            // The kernel chose a port that is free for TCP only.
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            udp => return Ok((udp?, tcp)),
        }
    }
    let tcp = bind_tcp(address)?;
    Ok((bind_udp(tcp.local_addr()?, count)?, tcp))
}

/// Binds a UDP socket for QUIC. It is shared with nobody, so that an address in use is an error, and
/// packet info is for QUIC to set up.
///
/// # Errors
/// What the kernel says, with the address.
pub fn bind_quic(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    set_common(&socket, address)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).map_err(|error| at(error, "UDP", address))?;
    Ok(socket.into())
}

/// Binds a TCP listener.
///
/// # Errors
/// What the kernel says, with the address.
pub fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    set_common(&socket, address)?;
    // Connections inherit it: a reply in two writes must not wait for the client to acknowledge one.
    socket.set_tcp_nodelay(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).map_err(|error| at(error, "TCP", address))?;
    socket.listen(BACKLOG).map_err(|error| at(error, "TCP", address))?;
    Ok(socket.into())
}

fn set_common(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        // [::] and 0.0.0.0 are two sockets: one for both would show IPv4 clients as mapped.
        socket.set_only_v6(true)?;
    }
    Ok(())
}

fn at(error: io::Error, transport: &str, address: SocketAddr) -> io::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => " (another server has this port)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
        io::ErrorKind::AddrNotAvailable => " (no interface has this address)",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot listen on {transport} {address}: {error}{hint}"))
}

/// Sets an option that is an integer.
#[expect(unsafe_code, reason = "setsockopt for options that socket2 does not know")]
pub(crate) fn set_option(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of_val(&value)).expect("four octets");
    // SAFETY: the descriptor is open for the whole call, and the option's value is `len` octets of
    // an initialised integer.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
