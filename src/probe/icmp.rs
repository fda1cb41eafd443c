//! The ICMP check: an echo request is answered.
//!
//! Datagram sockets, which need no right but a group that `net.ipv4.ping_group_range` names (IPv6 goes by it,
//! too), or else raw sockets, which need `CAP_NET_RAW`. Each probe opens a socket of its own, for its time
//! only, and connects it: so the kernel hands it what comes from the target and nothing else, and what routers
//! say of the way there ("unreachable") arrives as an error of this probe. A socket that all probes share
//! would be told so, too, but not of which target.

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::fault::Fault;
use super::trace::Trace;
use super::way::Way;
use crate::listen::socket::set_option;
use crate::model::FailureReason;

/// Requests in a probe, spread over its timeout: a network may lose one.
const TRIES: u16 = 2;
/// Octets before the payload.
const HEADER_LEN: usize = 8;
/// The payload's beginning, for whoever looks at the wire; a number that nobody can foresee follows.
const MARK: &[u8; 8] = b"windrose";
/// Octets of a request.
const ECHO_LEN: usize = HEADER_LEN + MARK.len() + size_of::<u64>();
/// Octets of an IPv4 header without options.
const IPV4_HEADER_LEN: usize = 20;
/// What is read of a packet: a reply behind the longest IPv4 header.
const PACKET_LEN_MAX: usize = 60 + ECHO_LEN;

/// Asks where `way` leads until it is answered; `limit` is the time that all tries share, and `nonce` what tells their
/// replies from those to others.
pub(super) async fn probe(
    way: Way,
    limit: Duration,
    nonce: u64,
    trace: &mut Trace,
) -> Result<(), Fault> {
    let line = Line::open(way)?;
    let echo = Echo { is_v6: way.to.is_ipv6(), nonce };
    for sequence in 0..TRIES {
        let began = trace.now();
        line.send(&echo.request(sequence))?;
        if let Ok(answered) = timeout(limit / u32::from(TRIES), line.wait_for(&echo)).await {
            answered?;
            trace.step("answered");
            // A later reply may be to an earlier request.
            if sequence == 0 {
                trace.round_trip_since(began);
            } else {
                trace.fact(|| "the first request was not answered".to_owned());
            }
            return Ok(());
        }
    }
    Err(Fault::Failure(FailureReason::Timeout))
}

/// A socket that sends to one address, and receives from it alone.
struct Line {
    /// Not of UDP; but to tokio one socket of datagrams is like another.
    socket: UdpSocket,
    way: Way,
    /// Whether packets come with their IP headers.
    has_header: bool,
}

impl Line {
    fn open(way: Way) -> Result<Self, Fault> {
        let (socket, is_raw) = open(way)?;
        way.bind(&socket)?;
        // Errors that may pass are kept from sockets unless they are asked for, and "host unreachable" is one.
        let (level, option) = match way.to {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        let connected = set_option(&socket, level, option, 1)
            .and_then(|()| socket.set_nonblocking(true))
            .and_then(|()| socket.connect(&way.to.into()))
            .and_then(|()| UdpSocket::from_std(socket.into()));
        let socket = connected.map_err(|error| Fault::of_socket(&error, way))?;
        Ok(Self { socket, way, has_header: is_raw && way.to.is_ipv4() })
    }

    fn send(&self, request: &[u8]) -> Result<(), Fault> {
        match SockRef::from(&self.socket).send(request) {
            // A full queue loses a request, as any network may.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop).map_err(|error| Fault::of_socket(&error, self.way)),
        }
    }

    /// Waits for the reply, or for somebody to say that there will be none.
    async fn wait_for(&self, echo: &Echo) -> Result<(), Fault> {
        let mut packet = [0; PACKET_LEN_MAX];
        loop {
            let ready = self.socket.ready(Interest::READABLE | Interest::ERROR).await;
            let ready = ready.map_err(|error| Fault::of_socket(&error, self.way))?;
            // Asked for both at once, tokio would find neither.
            let is_packet = ready.is_readable();
            let interest = if is_packet { Interest::READABLE } else { Interest::ERROR };
            let mut read = || (&*SockRef::from(&self.socket)).read(&mut packet);
            match self.socket.try_io(interest, &mut read) {
                Ok(len) if echo.is_reply(self.message(&packet[..len])) => return Ok(()),
                // Somebody else's reply, or our own request on its way over the loopback.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock || is_advice(&error) => {}
                Err(error) => return Err(fault_of(&error, self.way)),
            }
        }
    }

    /// The ICMP message of a packet.
    fn message<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        if self.has_header { behind_ipv4_header(packet) } else { packet }
    }
}

/// What is said of a process that may send no ICMP.
const REFUSAL: &str = "this process may send no ICMP: its group is not in net.ipv4.ping_group_range, and it has no CAP_NET_RAW";

/// Why this process may send no ICMP, if it may not.
#[must_use]
pub fn refusal() -> Option<&'static str> {
    let opened = open(Way { to: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), from: None });
    matches!(opened, Err(Fault::Unable(_))).then_some(REFUSAL)
}

/// A socket, and whether it is a raw one.
fn open(way: Way) -> Result<(Socket, bool), Fault> {
    let (domain, protocol) = match way.to {
        SocketAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        SocketAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let fault = |error| Fault::of_socket(&error, way);
    match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => return Ok((socket, false)),
        Err(error) if is_refusal(&error) => {}
        Err(error) => return Err(fault(error)),
    }
    match Socket::new(domain, Type::RAW, Some(protocol)) {
        Ok(socket) => Ok((socket, true)),
        Err(error) if is_refusal(&error) => Err(Fault::Unable(REFUSAL.to_owned())),
        Err(error) => Err(fault(error)),
    }
}

/// Whether a kind of socket is not for us, or unknown to this kernel.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [libc::EACCES, libc::EPERM, libc::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|code| refusals.contains(&code))
}

/// Whether it only says that there is a better way, or that requests come too fast.
fn is_advice(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EREMOTEIO)
}

/// What came instead of a reply. Whatever the reason that a router gives, there is no way there.
fn fault_of(error: &io::Error, way: Way) -> Fault {
    let unreachable = [
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::ECONNREFUSED,
        libc::ENOPROTOOPT,
        libc::EACCES,
    ];
    match error.raw_os_error() {
        Some(code) if unreachable.contains(&code) => Fault::Failure(FailureReason::Unreachable),
        _ => Fault::of_socket(error, way),
    }
}

// ---- Messages ----

/// The requests of one probe (RFC 792, RFC 4443 §4).
struct Echo {
    is_v6: bool,
    nonce: u64,
}

impl Echo {
    /// The request of that number. A datagram socket puts an identifier of its own into it.
    fn request(&self, sequence: u16) -> [u8; ECHO_LEN] {
        let mut message = [0; ECHO_LEN];
        message[0] = if self.is_v6 { 128 } else { 8 };
        message[4..6].copy_from_slice(&self.nonce.to_be_bytes()[..2]);
        message[6..8].copy_from_slice(&sequence.to_be_bytes());
        message[8..16].copy_from_slice(MARK);
        message[16..].copy_from_slice(&self.nonce.to_be_bytes());
        // Over IPv6 the kernel makes it, as it goes over the addresses as well.
        if !self.is_v6 {
            let sum = checksum(&message).to_be_bytes();
            message[2..4].copy_from_slice(&sum);
        }
        message
    }

    /// Whether a message replies to any of them. Nobody who has not seen one knows the nonce.
    fn is_reply(&self, message: &[u8]) -> bool {
        let is_echo_reply = message.starts_with(&[if self.is_v6 { 129 } else { 0 }, 0]);
        let Some((sequence, payload)) = message.get(6..).and_then(<[u8]>::split_first_chunk) else {
            return false;
        };
        is_echo_reply
            && u16::from_be_bytes(*sequence) < TRIES
            && payload.strip_prefix(MARK) == Some(&self.nonce.to_be_bytes()[..])
    }
}

/// What follows the header; nothing where there is no whole one.
fn behind_ipv4_header(packet: &[u8]) -> &[u8] {
    let len = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    if len < IPV4_HEADER_LEN { &[] } else { packet.get(len..).unwrap_or_default() }
}

/// The internet checksum (RFC 1071) of an even number of octets.
fn checksum(message: &[u8]) -> u16 {
    let words = message.as_chunks().0.iter();
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    // Two carries at most: a message is short.
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).expect("folded to 16 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO: Echo = Echo { is_v6: false, nonce: 0x0102_0304_0506_0708 };

    /// What a target makes of a request.
    fn reply(echo: &Echo, sequence: u16) -> Vec<u8> {
        let mut message = echo.request(sequence).to_vec();
        message[0] = if echo.is_v6 { 129 } else { 0 };
        message
    }

    #[test]
    fn a_request_is_one_that_every_target_understands() {
        let request = ECHO.request(1);
        assert_eq!(request[..2], [8, 0]);
        assert_eq!(request[4..8], [1, 2, 0, 1]);
        assert_eq!(&request[8..], b"windrose\x01\x02\x03\x04\x05\x06\x07\x08");
        assert_eq!(checksum(&request), 0, "a sum over all of it, itself included, is zero");
        let v6 = Echo { is_v6: true, ..ECHO }.request(0);
        assert_eq!(v6[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn only_a_reply_to_one_of_our_own_requests_counts() {
        for echo in [ECHO, Echo { is_v6: true, ..ECHO }] {
            assert!(echo.is_reply(&reply(&echo, 0)) && echo.is_reply(&reply(&echo, 1)));
            // A socket of the datagram kind writes its own identifier.
            let mut renamed = reply(&echo, 0);
            renamed[4..6].copy_from_slice(&[0xff, 0xff]);
            assert!(echo.is_reply(&renamed));

            assert!(!echo.is_reply(&echo.request(0)), "our own request, seen on the loopback");
            assert!(!echo.is_reply(&reply(&echo, TRIES)));
            let other = Echo { nonce: ECHO.nonce + 1, ..echo };
            assert!(!other.is_reply(&reply(&echo, 0)));
            let whole = reply(&echo, 0);
            for len in 0..whole.len() {
                assert!(!echo.is_reply(&whole[..len]), "cut to {len} octets");
            }
            assert!(!echo.is_reply(&[whole, vec![0]].concat()));
        }
    }

    #[test]
    fn an_ipv4_header_may_have_options() {
        let behind = |first: u8, len: usize| behind_ipv4_header(&vec![first; len]).len();
        assert_eq!(behind(0x45, 28), 8);
        assert_eq!(behind(0x4f, 64), 4);
        for (first, len) in [(0x45, 20), (0x45, 19), (0x44, 28), (0x4f, 59), (0, 0)] {
            assert_eq!(behind(first, len), 0, "{first:#x} of {len}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_to_an_end(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(!ECHO.is_reply(behind_ipv4_header(&packet)));
            prop_assert!(!ECHO.is_reply(&packet));
        }
    }
}
