//! Clients: a thread that asks at an even rate from three places, for both families, and judges every
//! answer.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use socket2::SockRef;
use tokio::sync::mpsc;
use windrose::clock::Clock;
use windrose::model::Time;

use crate::world::{PLACES, region_of};

/// How long an answer may take before it counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// The longest wait between two looks at what is due.
const LOOK_UP: Duration = Duration::from_millis(1);
const RECEIVE_BUFFER: usize = 4 << 20;

/// One kind of client: a place and a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stream {
    pub(crate) place: usize,
    pub(crate) is_v6: bool,
}

const STREAMS: usize = 2 * PLACES.len();

fn stream(number: usize) -> Stream {
    Stream { place: number / 2 % PLACES.len(), is_v6: number % 2 == 1 }
}

/// A stream's answers lead to another region from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) at: Time,
    pub(crate) stream: Stream,
    pub(crate) region: usize,
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    /// Answers that should not have been given, by what is wrong with them.
    pub(crate) bad: BTreeMap<&'static str, u64>,
    /// In microseconds.
    pub(crate) latencies: Vec<u32>,
    /// The longest time without any answer.
    pub(crate) gap: Duration,
}

/// Which regions clients of each place may be sent to, one bit each.
#[derive(Debug, Default)]
pub(crate) struct Allowed([AtomicU8; PLACES.len()]);

impl Allowed {
    pub(crate) fn set(&self, place: usize, regions: &[usize]) {
        let bits = regions.iter().fold(0, |bits, region| bits | 1 << region);
        self.0[place].store(bits, Ordering::SeqCst);
    }

    fn has(&self, place: usize, region: usize) -> bool {
        self.0[place].load(Ordering::SeqCst) >> region & 1 == 1
    }
}

/// A load on its way.
pub(crate) struct Load {
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) changes: mpsc::UnboundedReceiver<Change>,
    should_stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Totals>>,
}

impl Load {
    /// Asks `server` so many times a second.
    pub(crate) fn start(server: SocketAddr, rate: u32, clock: Clock) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(LOOK_UP))?;
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        let allowed = Arc::new(Allowed::default());
        for (n, place) in PLACES.iter().enumerate() {
            allowed.set(n, &[place.home]);
        }
        let should_stop = Arc::new(AtomicBool::new(false));
        let (sender, changes) = mpsc::unbounded_channel();
        let clients = Clients {
            socket,
            clock,
            started: clock.now(),
            rate,
            waiting: vec![None; usize::from(u16::MAX) + 1],
            regions: [None; STREAMS],
            last: clock.now(),
            allowed: Arc::clone(&allowed),
            changes: sender,
            totals: Totals::default(),
        };
        let stop = Arc::clone(&should_stop);
        let thread = thread::Builder::new().name("clients".to_owned());
        let thread = thread.spawn(move || clients.run(&stop))?;
        Ok(Self { allowed, changes, should_stop, thread })
    }

    /// Asks nothing more, waits for what is on its way, and tells what came of it all. Blocks.
    pub(crate) fn stop(self) -> io::Result<Totals> {
        self.should_stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the clients panicked"))?
    }
}

struct Clients {
    socket: UdpSocket,
    clock: Clock,
    started: Time,
    rate: u32,
    /// By the query's number: when it was sent, and the number of its stream.
    waiting: Vec<Option<(Time, usize)>>,
    regions: [Option<usize>; STREAMS],
    /// When the last answer came.
    last: Time,
    allowed: Arc<Allowed>,
    changes: mpsc::UnboundedSender<Change>,
    totals: Totals,
}

impl Clients {
    fn run(mut self, should_stop: &AtomicBool) -> io::Result<Totals> {
        let mut reply = [0; 4096];
        while !should_stop.load(Ordering::Relaxed) {
            let elapsed = self.clock.now().since(self.started);
            let due = elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
            while u128::from(self.totals.sent) < due {
                self.ask()?;
            }
            self.hear(&mut reply)?;
        }
        let end = self.clock.now() + LOST_AFTER;
        while self.waiting.iter().any(Option::is_some) && self.clock.now() < end {
            self.hear(&mut reply)?;
        }
        let late = self.waiting.iter().flatten().count();
        self.totals.lost += u64::try_from(late).unwrap_or(u64::MAX);
        Ok(self.totals)
    }

    fn ask(&mut self) -> io::Result<()> {
        let id = (self.totals.sent & 0xFFFF) as usize;
        let number = usize::try_from(self.totals.sent).unwrap_or_default() % STREAMS;
        if self.waiting[id].replace((self.clock.now(), number)).is_some() {
            self.totals.lost += 1;
        }
        self.totals.sent += 1;
        self.socket.send(&query(u16::try_from(id).unwrap_or_default(), stream(number)))?;
        Ok(())
    }

    /// Takes one answer, if there is one before [`LOOK_UP`].
    fn hear(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let len = match self.socket.recv(buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Err(fault) = self.take(&buffer[..len]) {
            *self.totals.bad.entry(fault).or_default() += 1;
        }
        Ok(())
    }

    /// Takes an answer in; an error says what is wrong with it.
    fn take(&mut self, answer: &[u8]) -> Result<(), &'static str> {
        let now = self.clock.now();
        self.totals.gap = self.totals.gap.max(now.since(self.last));
        self.last = now;
        let message = Message::from_vec(answer).map_err(|_| "malformed")?;
        let asked = self.waiting[usize::from(message.metadata.id)].take();
        let (sent, number) = asked.ok_or("unasked")?;
        self.totals.answered += 1;
        let micros = now.since(sent).as_micros();
        self.totals.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
        let region = self.judge(&message, stream(number))?;
        if self.regions[number].replace(region) != Some(region) {
            // Whoever listened may have gone.
            let _ = self.changes.send(Change { at: now, stream: stream(number), region });
        }
        Ok(())
    }

    /// The region that an answer leads to, or what is wrong with it.
    fn judge(&self, message: &Message, stream: Stream) -> Result<usize, &'static str> {
        match message.metadata.response_code {
            ResponseCode::NoError => {}
            ResponseCode::ServFail => return Err("SERVFAIL"),
            _ => return Err("another rcode"),
        }
        let mut found = None;
        for record in &message.answers {
            let address: IpAddr = match (&record.data, stream.is_v6) {
                (RData::A(a), false) => a.0.into(),
                (RData::AAAA(aaaa), true) => aaaa.0.into(),
                _ => return Err("wrong family"),
            };
            let region = region_of(address).ok_or("foreign address")?;
            if found.is_some_and(|found| found != region) {
                return Err("mixed regions");
            }
            found = Some(region);
        }
        let region = found.ok_or("empty")?;
        if self.allowed.has(stream.place, region) { Ok(region) } else { Err("wrong region") }
    }
}

/// `www.example.com`, A or AAAA, with the place's /24 as client subnet (RFC 7871).
fn query(id: u16, stream: Stream) -> Vec<u8> {
    const AFTER_ID: [u8; 10] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    const NAME: &[u8] = b"\x03www\x07example\x03com\x00";
    // Root, OPT, 1232 octets, no flags, 11 octets of options: ECS, 7 octets, IPv4, /24, scope 0.
    const OPT: [u8; 19] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0];
    let qtype = if stream.is_v6 { 28 } else { 1 };
    let question = [0, qtype, 0, 1];
    [&id.to_be_bytes()[..], &AFTER_ID, NAME, &question, &OPT, &PLACES[stream.place].subnet].concat()
}
