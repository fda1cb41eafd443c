//! Asking the nodes, as resolvers do: over UDP, for addresses.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use windrose::clock::Clock;
use windrose::model::Time;

use crate::network::{NODES, SERVERS};
use crate::server::pause;

const PORT: u16 = 53;
/// What has no answer by then has none.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// How long is waited where somebody wants answers at once.
const AT_ONCE: Duration = Duration::from_millis(50);
/// How often is looked for answers.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// A socket, from which nodes are asked.
pub(crate) struct Asker {
    socket: UdpSocket,
    last: u16,
}

/// What a node says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) id: u16,
    /// The place of the node in [`SERVERS`].
    pub(crate) node: usize,
    /// Nothing when the response code is not 0.
    pub(crate) addresses: BTreeSet<Ipv4Addr>,
}

impl Asker {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, last: 0 })
    }

    /// Asks a node, by its place in [`SERVERS`], for the IPv4 addresses of a name; the number of the query.
    pub(crate) fn ask(&mut self, node: usize, name: &str) -> io::Result<u16> {
        self.last = self.last.wrapping_add(1);
        let server = SocketAddr::new(SERVERS[node].address().into(), PORT);
        self.socket.send_to(&query(self.last, name), server)?;
        Ok(self.last)
    }

    /// The next answer that has come, if any.
    pub(crate) fn hear(&mut self) -> io::Result<Option<Answer>> {
        let mut reply = [0; 1500];
        loop {
            let (len, from) = match self.socket.recv_from(&mut reply) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let node = SERVERS.iter().position(|node| from.ip() == node.address());
            let message = Message::from_vec(&reply[..len]);
            if let (Some(node), Ok(message)) = (node, message) {
                return Ok(Some(read(node, &message)));
            }
        }
    }

    /// The addresses that each node of the fleet has for a name; none where it has none, or does not answer at once.
    pub(crate) fn addresses(
        &mut self,
        name: &str,
    ) -> io::Result<[BTreeSet<Ipv4Addr>; NODES.len()]> {
        let mut asked = HashMap::new();
        for node in 0..NODES.len() {
            asked.insert(self.ask(node, name)?, node);
        }
        pause(AT_ONCE);
        let mut found = [const { BTreeSet::new() }; NODES.len()];
        while let Some(Answer { id, addresses, .. }) = self.hear()? {
            if let Some(node) = asked.remove(&id) {
                found[node] = addresses;
            }
        }
        Ok(found)
    }
}

fn read(node: usize, message: &Message) -> Answer {
    let is_fine = message.metadata.response_code == ResponseCode::NoError;
    let records = message.answers.iter().filter(|_| is_fine);
    let addresses = records.filter_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    });
    Answer { id: message.metadata.id, node, addresses: addresses.collect() }
}

/// A query for IPv4 addresses without any option.
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).expect("labels here are short"));
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

// ---- Asking all the time ----

/// A name that is asked for, and the addresses that it may have.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) name: String,
    pub(crate) addresses: Vec<Ipv4Addr>,
}

/// What came of asking for a while.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// Answers without an address.
    pub(crate) empty: u64,
    /// Answers with an address that is not expected.
    pub(crate) other: u64,
    /// How often an answer of a node was another than the last of the same node to the same question.
    pub(crate) changes: u64,
    /// How long each answer took.
    pub(crate) took: Vec<Duration>,
}

impl Seen {
    pub(crate) const fn lost(&self) -> u64 {
        self.asked - self.answered
    }
}

/// Both nodes of the fleet are asked for some names, by turns, as long as this is.
pub(crate) struct Watch {
    should_stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Seen>>,
}

impl Watch {
    /// Begins to ask, so many times a second.
    pub(crate) fn start(names: Vec<Expected>, rate: u32, clock: Clock) -> io::Result<Self> {
        let should_stop = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&should_stop);
        let asker = Asker::new()?;
        let thread = thread::spawn(move || watch(asker, &names, rate, clock, &stop));
        Ok(Self { should_stop, thread })
    }

    /// Asks no more; what came of it.
    pub(crate) fn stop(self) -> io::Result<Seen> {
        self.should_stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the clients panicked"))?
    }
}

fn watch(
    mut asker: Asker,
    names: &[Expected],
    rate: u32,
    clock: Clock,
    should_stop: &AtomicBool,
) -> io::Result<Seen> {
    let (mut seen, mut last) = (Seen::default(), HashMap::new());
    let mut open: HashMap<u16, (Time, usize)> = HashMap::new();
    let begun = clock.now();
    let mut end = None;
    loop {
        let now = clock.now();
        if should_stop.load(Ordering::Relaxed) {
            let end = *end.get_or_insert(now + LOST_AFTER);
            if open.is_empty() || now >= end {
                return Ok(seen);
            }
        }
        let due = now.since(begun).as_nanos() * u128::from(rate) / 1_000_000_000;
        while end.is_none() && u128::from(seen.asked) < due {
            let turn = usize::try_from(seen.asked).unwrap_or_default();
            let place = turn / NODES.len() % names.len();
            let id = asker.ask(turn % NODES.len(), &names[place].name)?;
            open.insert(id, (clock.now(), place));
            seen.asked += 1;
        }
        while let Some(Answer { id, node, addresses }) = asker.hear()? {
            let Some((sent, place)) = open.remove(&id) else { continue };
            let took = clock.now().since(sent);
            if took > LOST_AFTER {
                continue;
            }
            seen.answered += 1;
            seen.took.push(took);
            seen.empty += u64::from(addresses.is_empty());
            let is_other =
                addresses.iter().any(|address| !names[place].addresses.contains(address));
            seen.other += u64::from(is_other);
            let before = last.insert((node, place), addresses.clone());
            seen.changes += u64::from(before.is_some_and(|before| before != addresses));
        }
        pause(LOOK);
    }
}
