//! TCP (RFC 7766): pipelined queries, answered in order, on connections that may not linger.
//!
//! A client that sends nothing, or half a query, is let go after a time. While a client does not read
//! its answers, nothing more is read from it. When there are as many connections as may be, the one
//! that was silent longest gives way to the new one (`seats`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::Current;
use super::seats::{Seat, Seats};
use crate::clock::Clock;
use crate::dns::{self, Arrival, Dice};
use crate::metrics::Counters;
use crate::stop::Stop;

/// Octets of a message's length (RFC 1035 §4.2.2).
const LENGTH_LEN: usize = 2;
/// Octets that are read at once: some dozens of pipelined queries.
const READ_MAX: usize = 8 << 10;
/// Octets of replies that are sent before more queries are answered: however many are pipelined, a
/// connection holds no more than this and one reply.
const REPLIES_MAX: usize = 64 << 10;
/// How long to wait after an accept that failed, so that a lack of descriptors costs no processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How connections are limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpLimits {
    /// Connections at one time, over all listeners.
    pub connections: usize,
    /// How long a client may take to send a whole query, or to read its answer.
    pub idle: Duration,
}

/// What every connection needs.
#[derive(Clone, Debug)]
pub struct TcpService {
    current: Current,
    clock: Clock,
    counters: Arc<Counters>,
    seats: Arc<Seats>,
    idle: Duration,
    stop: Stop,
}

impl TcpService {
    /// A service on snapshots of `current`, until the stop.
    #[must_use]
    pub fn new(
        current: Current,
        clock: Clock,
        counters: Arc<Counters>,
        limits: TcpLimits,
        stop: Stop,
    ) -> Self {
        let seats = Arc::new(Seats::new(limits.connections));
        Self { current, clock, counters, seats, idle: limits.idle, stop }
    }

    /// Accepts connections until the stop, and returns when the last of them has ended: each gets the
    /// answers to what it has asked. Dropping this cuts them off.
    pub async fn accept(self, listener: TcpListener, mut dice: impl FnMut() -> Dice) {
        let mut connections = JoinSet::new();
        let mut stop = self.stop.clone();
        let mut is_failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // Reaped as they end. A connection that panicked has said so and harms no other.
                Some(_) = connections.join_next() => continue,
                () = stop.come() => break,
            };
            match accepted {
                Ok((stream, client)) => {
                    is_failing = false;
                    connections.spawn(self.clone().attend(stream, client, dice()));
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!("cannot accept a TCP connection: {error}");
                    }
                    // It is descriptors that lack, most likely, and this frees one.
                    self.seats.clear_one();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Serves a connection until it ends or has to give way. Whatever ends it is the client's affair.
    async fn attend(self, stream: TcpStream, client: SocketAddr, dice: Dice) {
        let seat = self.seats.take();
        tokio::select! {
            _ = self.serve(stream, client, dice, &seat) => {}
            () = seat.lost() => {}
        }
    }

    async fn serve(
        &self,
        mut stream: TcpStream,
        client: SocketAddr,
        mut dice: Dice,
        seat: &Seat,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut conversation = Conversation::new();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                read = timeout(self.idle, conversation.read(&mut stream)) => read??,
                () = stop.come() => return Ok(()),
            }
            seat.heard();
            self.answer(&mut conversation, client.ip(), &mut dice);
            if !conversation.replies.is_empty() {
                timeout(self.idle, stream.write_all(&conversation.replies)).await??;
                conversation.replies.clear();
            }
        }
    }

    /// Answers whole queries that were read, as many as there is room for.
    fn answer(&self, conversation: &mut Conversation, client: IpAddr, dice: &mut Dice) {
        let snapshot = self.current.load();
        let arrival = Arrival { client, is_udp: false, unix_secs: self.clock.unix_secs() };
        let mut at = 0;
        while conversation.replies.len() < REPLIES_MAX
            && let Some(query) = whole_query(&conversation.received[at..])
        {
            at += LENGTH_LEN + query.len();
            let out = &mut conversation.out;
            let handled = catch_unwind(AssertUnwindSafe(|| {
                dns::handle(&snapshot, query, arrival, dice, out)
            }));
            let Ok(outcome) = handled else {
                self.counters.add_panic();
                continue;
            };
            self.counters.add(&outcome);
            if let Ok(len @ 1..) = u16::try_from(outcome.len) {
                conversation.replies.extend_from_slice(&len.to_be_bytes());
                conversation.replies.extend_from_slice(&conversation.out[..outcome.len]);
            }
        }
        conversation.received.drain(..at);
    }
}

/// The query at the start of what was received, if all of it is there.
fn whole_query(received: &[u8]) -> Option<&[u8]> {
    let (length, rest) = received.split_first_chunk::<LENGTH_LEN>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// One connection's buffers.
struct Conversation {
    received: Vec<u8>,
    replies: Vec<u8>,
    out: Vec<u8>,
}

impl Conversation {
    fn new() -> Self {
        Self { received: Vec::new(), replies: Vec::new(), out: vec![0; usize::from(u16::MAX)] }
    }

    /// Reads until at least one whole query is there. The end of the stream is an error.
    async fn read(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while whole_query(&self.received).is_none() {
            self.received.reserve(READ_MAX);
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}
