//! TCP (RFC 7766): pipelined queries, answered in order, on connections that may not linger.
//!
//! So many connections at most; a client that sends nothing, or half a query, is let go after a time.
//! While a client does not read its answers, nothing more is read from it.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::Current;
use crate::dns::{self, Arrival, Dice};
use crate::metrics::Counters;

/// Octets of a message's length (RFC 1035 §4.2.2).
const LENGTH_LEN: usize = 2;
/// Octets that are read at once: some dozens of pipelined queries.
const READ_MAX: usize = 8 << 10;
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
    counters: Arc<Counters>,
    slots: Arc<Semaphore>,
    idle: Duration,
}

impl TcpService {
    /// A service on snapshots of `current`.
    #[must_use]
    pub fn new(current: Current, counters: Arc<Counters>, limits: TcpLimits) -> Self {
        let slots = Arc::new(Semaphore::new(limits.connections));
        Self { current, counters, slots, idle: limits.idle }
    }

    /// Accepts connections until it is dropped.
    pub async fn accept(self, listener: TcpListener, mut seed: impl FnMut() -> u64) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, client)) => {
                    let (service, dice) = (self.clone(), Dice::new(seed()));
                    tokio::spawn(async move {
                        // Whatever ends a connection is the client's affair.
                        let _ = service.serve(stream, client, dice).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a TCP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(
        &self,
        mut stream: TcpStream,
        client: SocketAddr,
        mut dice: Dice,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let arrival = Arrival { client: client.ip(), is_udp: false, unix_secs: 0 };
        let mut conversation = Conversation::new();
        loop {
            timeout(self.idle, conversation.read(&mut stream)).await??;
            self.answer(&mut conversation, arrival, &mut dice);
            if !conversation.replies.is_empty() {
                timeout(self.idle, stream.write_all(&conversation.replies)).await??;
                conversation.replies.clear();
            }
        }
    }

    /// Answers every whole query that was read.
    fn answer(&self, conversation: &mut Conversation, arrival: Arrival, dice: &mut Dice) {
        let snapshot = self.current.load();
        let mut at = 0;
        while let Some(query) = whole_query(&conversation.received[at..]) {
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
