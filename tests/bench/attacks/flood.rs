//! Attackers: send packets by turns at a rate, and count what comes back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use windrose::clock::Clock;

/// How long to wait for the last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
const RECEIVE_BUFFER: usize = 4 << 20;

/// Where a flood comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Any port.
    Any,
    /// This one, which takes a privilege.
    Port(u16),
}

/// Packets over UDP.
pub(crate) struct Flood {
    pub(crate) packets: Vec<Vec<u8>>,
    /// So many a second, or as many as the machine can.
    pub(crate) rate: u32,
    pub(crate) source: Source,
}

impl Flood {
    /// Sends for so long; how many were sent and how many answers came.
    pub(crate) fn run(&self, server: SocketAddr, lasts: Duration) -> io::Result<(u64, u64)> {
        let total = lasts.as_millis() * u128::from(self.rate) / 1000;
        self.run_until(server, u64::try_from(total).unwrap_or(u64::MAX))
    }

    /// Sends so many.
    pub(crate) fn run_until(&self, server: SocketAddr, total: u64) -> io::Result<(u64, u64)> {
        let port = match self.source {
            Source::Any => 0,
            Source::Port(port) => port,
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        socket.connect(server)?;
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(LAST_ANSWERS))?;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let answers = scope.spawn(|| count_answers(&socket, &is_over));
            let sent = self.send(&socket, total);
            is_over.store(true, Ordering::Relaxed);
            let answered =
                answers.join().map_err(|_| io::Error::other("the counter panicked"))??;
            Ok((sent?, answered))
        })
    }

    fn send(&self, socket: &UdpSocket, total: u64) -> io::Result<u64> {
        let clock = Clock::start();
        let begun = clock.now();
        let mut packets = self.packets.clone();
        let mut sent = 0_u64;
        while sent < total {
            let elapsed = clock.now().since(begun).as_micros();
            let due = u64::try_from(elapsed * u128::from(self.rate) / 1_000_000).unwrap_or(total);
            while sent < due.min(total) {
                let turn = usize::try_from(sent).unwrap_or(0) % packets.len();
                let packet = &mut packets[turn];
                if let Some(id) = packet.first_chunk_mut() {
                    *id = u16::try_from(sent & 0xffff).unwrap_or(0).to_be_bytes();
                }
                socket.send(packet)?;
                sent += 1;
            }
            thread::park_timeout(Duration::from_micros(200));
        }
        Ok(sent)
    }
}

/// Counts until nothing has come for a while after the end.
fn count_answers(socket: &UdpSocket, is_over: &AtomicBool) -> io::Result<u64> {
    let mut count = 0;
    let mut reply = [0; 4096];
    loop {
        match socket.recv(&mut reply) {
            Ok(_) => count += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if is_over.load(Ordering::Relaxed) {
                    return Ok(count);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sends one message again and again over a connection, waiting for each answer; how many were sent and
/// answered.
pub(crate) fn over_tcp(
    server: SocketAddr,
    message: &[u8],
    lasts: Duration,
) -> io::Result<(u64, u64)> {
    let clock = Clock::start();
    let len = u16::try_from(message.len()).map_err(|_| io::Error::other("too long for TCP"))?;
    let framed = [&len.to_be_bytes()[..], message].concat();
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut sent, mut answered) = (0, 0);
    let begun = clock.now();
    while clock.now().since(begun) < lasts {
        stream.write_all(&framed)?;
        sent += 1;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes(len))])?;
        answered += 1;
    }
    Ok((sent, answered))
}
