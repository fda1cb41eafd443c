//! UDP: one thread a socket, no runtime, nothing shared on the way but the snapshot.
//!
//! A thread loads the snapshot once for a batch, answers all of it, sends all of it, then adds what it
//! did to its own counters. Between batches, and a few times a second when there are none, it looks
//! whether it should stop. A panic in one packet is counted and costs that packet only.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tracing::{debug, error, warn};

use super::Current;
use super::udp_batch::{BATCH, Batch, REPLY_MAX};
use crate::clock::Clock;
use crate::dns::{Arrival, Buckets, Dice, Outcome, Read};
use crate::metrics::Counters;
use crate::snapshot::Snapshot;
use crate::turns::ask_for_short_turns;

/// How long a thread waits for packets before it looks whether it should stop.
const LOOK_UP: Duration = Duration::from_millis(200);
/// Batches that are answered after the stop, if they are there already. Clients that go on asking must
/// not keep a thread from ending.
const LAST_BATCHES: usize = 256;
/// How long to wait after an error that nobody expects, so that a lasting one costs no processor.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Threads that answer on UDP sockets until they are told to stop.
#[derive(Debug)]
pub struct UdpThreads {
    should_stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl UdpThreads {
    /// Starts one thread for each socket. No reply is longer than `payload_max` octets. With `is_pinned`
    /// each stays on one processor. `dice` gives each
    /// its own random numbers; `buckets` are everybody's.
    ///
    /// # Errors
    /// When a socket cannot be set up or a thread not started.
    pub fn start(
        sockets: Vec<UdpSocket>,
        (payload_max, is_pinned): (u16, bool),
        current: &Current,
        clock: Clock,
        counters: &mut dyn FnMut() -> Arc<Counters>,
        dice: &mut dyn FnMut() -> Dice,
        buckets: &Arc<Buckets>,
    ) -> io::Result<Self> {
        let should_stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::with_capacity(sockets.len());
        for (n, socket) in sockets.into_iter().enumerate() {
            socket.set_read_timeout(Some(LOOK_UP))?;
            let mut worker = Worker {
                socket,
                payload_max: usize::from(payload_max).min(REPLY_MAX),
                current: Arc::clone(current),
                clock,
                counters: counters(),
                dice: dice().seated(n),
                buckets: Arc::clone(buckets),
                batch: Batch::new(),
                is_failing: false,
            };
            let should_stop = Arc::clone(&should_stop);
            let thread = thread::Builder::new().name(format!("udp-{n}"));
            let thread = thread.spawn(move || {
                if is_pinned {
                    pin(n);
                }
                if let Err(error) = ask_for_short_turns() {
                    debug!("UDP thread {n} waits for full turns of others: {error}");
                }
                worker.run(&should_stop);
            });
            threads.push(thread?);
        }
        Ok(Self { should_stop, threads })
    }

    /// Answers what is already there, then ends all threads. Blocks until they have ended.
    pub fn stop(self) {
        self.should_stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // A thread that panicked outside a packet has said so on stderr; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// Keeps the thread on the `n`th processor of those that it may use, counted round and round.
fn pin(n: usize) {
    let pinned = sched_getaffinity(None).and_then(|may| {
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| may.is_set(*cpu)).collect();
        let mut one = CpuSet::new();
        usable.get(n % usable.len().max(1)).into_iter().for_each(|cpu| one.set(*cpu));
        sched_setaffinity(None, &one)
    });
    if let Err(error) = pinned {
        warn!("cannot pin UDP thread {n} to a processor: {error}");
    }
}

/// Whether a port is one that no client asks from: a packet from it was forged, to set two servers on
/// each other. Port 0 cannot be answered at all. Behind the others stand services of old that answer
/// whatever they get, and most of what they say reads as a query: daytime, quotes and characters are text,
/// which has no QR bit and an operation that nobody implements. So an error to one would be answered for
/// ever. BIND drops the same ports but 17; NSD, Knot and gdnsd answer all but port 0.
const fn never_asks(port: u16) -> bool {
    // echo, daytime, quote of the day, character generator, time
    matches!(port, 0 | 7 | 13 | 17 | 19 | 37)
}

/// The timeout, a signal, or an ICMP error for an earlier reply: nothing to do about any of them.
fn is_expected(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}

struct Worker {
    socket: UdpSocket,
    payload_max: usize,
    current: Current,
    clock: Clock,
    counters: Arc<Counters>,
    dice: Dice,
    /// Those of all threads.
    buckets: Arc<Buckets>,
    batch: Batch,
    /// The socket's trouble has been said; once is enough.
    is_failing: bool,
}

/// A packet that was read, and who sent it.
type Asked<'a> = Option<(Read<'a>, IpAddr)>;

/// Reads a packet, unless nobody who asks can have sent it.
#[inline]
fn read<'a>(
    snapshot: &'a Snapshot,
    (packet, client): (&'a [u8], SocketAddr),
    counters: &Counters,
) -> Asked<'a> {
    if never_asks(client.port()) {
        counters.add_alone(&Outcome::dropped());
        return None;
    }
    let read = catch_unwind(AssertUnwindSafe(|| Read::new(snapshot, packet)));
    if read.is_err() {
        counters.add_panic();
    }
    Some((read.ok()?, client.ip()))
}

/// Has what all packets of a batch ask for come into the caches side by side.
fn fetch_all(snapshot: &Snapshot, asked: &mut [Asked<'_>]) {
    asked.iter().flatten().for_each(|(read, _)| read.fetch_slot());
    asked.iter_mut().flatten().for_each(|(read, _)| read.fetch_record());
    if snapshot.has_classes() {
        asked.iter().flatten().for_each(|(read, client)| read.fetch_class(*client));
    }
}

impl Worker {
    fn run(&mut self, should_stop: &AtomicBool) {
        while !should_stop.load(Ordering::Relaxed) {
            match self.batch.receive(&self.socket) {
                Ok(count) => {
                    self.is_failing = false;
                    self.answer(count);
                }
                Err(error) if is_expected(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        error!("cannot receive queries over UDP: {error}");
                    }
                    thread::park_timeout(ERROR_PAUSE);
                }
            }
        }
        self.answer_the_rest();
    }

    /// Answers what has arrived before the stop.
    fn answer_the_rest(&mut self) {
        if self.socket.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..LAST_BATCHES {
            match self.batch.receive(&self.socket) {
                Ok(count) => self.answer(count),
                Err(_) => return,
            }
        }
    }

    /// Answers the first `count` packets of the batch: reads all of them and lets what they ask for be
    /// fetched while the others are read.
    fn answer(&mut self, count: usize) {
        let snapshot = self.current.load();
        let unix_secs = self.clock.unix_secs();
        let (packets, mut replies) = self.batch.split();
        let counters = &self.counters;
        let mut asked: [Asked<'_>; BATCH] = std::array::from_fn(|n| {
            if n < count { read(&snapshot, packets.get(n)?, counters) } else { None }
        });
        // What a fetch could stumble over, the answer will too, and there it is counted.
        let _ = catch_unwind(AssertUnwindSafe(|| fetch_all(&snapshot, &mut asked[..count])));
        let mut lens = [0; BATCH];
        for (n, asked) in asked[..count].iter().enumerate() {
            let Some((read, client)) = asked else { continue };
            let arrival = Arrival { client: *client, is_udp: true, unix_secs };
            let out = &mut replies.room(n)[..self.payload_max];
            let (dice, buckets) = (&mut self.dice, &self.buckets);
            let answer = || {
                let answered = read.answer(arrival, dice, out);
                read.limit(answered, buckets, arrival, dice, out)
            };
            match catch_unwind(AssertUnwindSafe(answer)) {
                Ok(outcome) => {
                    self.counters.add_alone(&outcome);
                    lens[n] = outcome.len;
                }
                Err(_) => self.counters.add_panic(),
            }
        }
        for (n, len) in lens[..count].iter().enumerate().filter(|(_, len)| **len > 0) {
            self.batch.reply(n, *len);
        }
        let lost = self.batch.send(&self.socket);
        self.counters.add_unsent(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_services_that_answer_everything_are_not_answered() {
        let met: Vec<u16> = (0..=u16::MAX).filter(|port| never_asks(*port)).collect();
        // 53 is where old resolvers ask from, and 464 and others are somebody's.
        assert_eq!(met, [0, 7, 13, 17, 19, 37]);
    }

    #[test]
    fn a_pinned_thread_stays_on_one_processor_that_it_may_use() {
        let may = sched_getaffinity(None).unwrap();
        let pinned = |n| {
            thread::spawn(move || {
                pin(n);
                sched_getaffinity(None).unwrap()
            })
        };
        let count = usize::try_from(may.count()).unwrap();
        let sets: Vec<CpuSet> = (0..=count).map(|n| pinned(n).join().unwrap()).collect();
        assert!(sets.iter().all(|set| set.count() == 1));
        assert_eq!(sets[0], sets[count], "they are counted round");
        assert!((0..CpuSet::MAX_CPU).all(|cpu| !sets[0].is_set(cpu) || may.is_set(cpu)));
    }
}
