//! The good client: asks at an even rate and judges every answer.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hickory_proto::op::Message;
use windrose::clock::Clock;
use windrose::model::Time;

use crate::packets;

/// Questions a second over UDP.
const RATE: u32 = 1_000;
/// An answer that takes longer is as good as none.
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions a second for large answers over TCP.
const RATE_HUGE: u32 = 100;
/// Records in such an answer.
const HUGE_RECORDS: usize = 3900;

/// What the client asks, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Via {
    /// An address over UDP.
    Udp,
    /// 3,900 addresses over TCP, on one connection.
    TcpHuge,
}

/// What the client got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    pub(crate) asked: usize,
    /// How long each right answer took, by length.
    pub(crate) latencies: Vec<Duration>,
}

/// A client at work.
pub(crate) struct GoodClient {
    should_stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Service>>,
}

impl GoodClient {
    pub(crate) fn start(server: SocketAddr, via: Via) -> io::Result<Self> {
        let should_stop = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&should_stop);
        let thread = thread::Builder::new().name("good-client".to_owned());
        let thread = match via {
            Via::Udp => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.connect(server)?;
                thread.spawn(move || ask_udp(&socket, &stop))?
            }
            Via::TcpHuge => {
                let stream = TcpStream::connect(server)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                thread.spawn(move || ask_tcp(stream, &stop))?
            }
        };
        Ok(Self { should_stop, thread })
    }

    /// Asks nothing more and waits for what is on its way.
    pub(crate) fn stop(self) -> io::Result<Service> {
        self.should_stop.store(true, Ordering::Relaxed);
        let mut service =
            self.thread.join().map_err(|_| io::Error::other("the good client panicked"))??;
        service.latencies.sort_unstable();
        Ok(service)
    }
}

/// Asks when it is time, whether answers come or not.
fn ask_udp(socket: &UdpSocket, should_stop: &AtomicBool) -> io::Result<Service> {
    let clock = Clock::start();
    socket.set_read_timeout(Some(Duration::from_micros(500)))?;
    let mut query = packets::query("www", 1);
    let mut sent_at: Vec<Time> = Vec::new();
    let mut service = Service::default();
    let begun = clock.now();
    loop {
        let elapsed = clock.now().since(begun);
        let is_over = should_stop.load(Ordering::Relaxed);
        let due = elapsed.as_micros() * u128::from(RATE) / 1_000_000;
        while !is_over && u128::try_from(sent_at.len()).unwrap_or(0) < due {
            let id = u16::try_from(sent_at.len() & 0xffff).unwrap_or(0);
            query[..2].copy_from_slice(&id.to_be_bytes());
            sent_at.push(clock.now());
            socket.send(&query)?;
        }
        let mut reply = [0; 512];
        match socket.recv(&mut reply) {
            Ok(len) => note(&reply[..len], &sent_at, clock.now(), &mut service),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let last = sent_at.last().copied().unwrap_or(begun);
                if is_over && clock.now().since(last) > PATIENCE {
                    service.asked = sent_at.len();
                    return Ok(service);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes an answer in, if it is the right one and in time.
fn note(reply: &[u8], sent_at: &[Time], now: Time, service: &mut Service) {
    let Some(id) = reply.first_chunk::<2>().map(|id| usize::from(u16::from_be_bytes(*id))) else {
        return;
    };
    let is_right = reply.get(3).is_some_and(|octet| octet & 0xf == 0)
        && reply.ends_with(&[192, 0, 2, 10])
        && Message::from_vec(reply).is_ok();
    if let Some(sent) = sent_at.get(id).filter(|_| is_right)
        && now.since(*sent) <= PATIENCE
    {
        service.latencies.push(now.since(*sent));
    }
}

/// Asks for a large answer, reads it, asks again.
fn ask_tcp(mut stream: TcpStream, should_stop: &AtomicBool) -> io::Result<Service> {
    let clock = Clock::start();
    stream.set_nodelay(true)?;
    let query = packets::query("huge", 1);
    let len = u16::try_from(query.len()).unwrap_or(0).to_be_bytes();
    let query = [&len[..], &query].concat();
    let mut service = Service::default();
    while !should_stop.load(Ordering::Relaxed) {
        service.asked += 1;
        let begun = clock.now();
        stream.write_all(&query)?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut reply)?;
        let took = clock.now().since(begun);
        if Message::from_vec(&reply).is_ok_and(|message| message.answers.len() == HUGE_RECORDS) {
            service.latencies.push(took);
        }
        thread::park_timeout((Duration::from_secs(1) / RATE_HUGE).saturating_sub(took));
    }
    Ok(service)
}
