//! DNS over TLS (RFC 7858), HTTPS (RFC 8484) and QUIC (RFC 9250), carried by hickory-server.
//!
//! hickory does the handshakes, the streams and their timeouts; what is answered comes from
//! [`dns::handle`] as for every other transport. hickory sends no ready bytes, only messages that it
//! puts together itself, so `reply` takes each one apart again. That costs some microseconds, little
//! beside handshake and cipher.
//!
//! What is left to be wished of hickory 0.26.3: what it cannot read as a message it answers with FORMERR
//! by itself, uncounted. Connections are limited by their timeout and by the open files of the process
//! only. HTTPS is POST over HTTP/2, and of what it does not like it resets the stream. QUIC handshakes
//! are done one after the other, so that one which stalls holds up new clients for 5 seconds; a QUIC
//! connection ends after 100 queries.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Header, HeaderCounts};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tracing::error;

use super::certificate::Certificate;
use super::reply::Reply;
use super::{Current, socket};
use crate::clock::Clock;
use crate::config::Transport;
use crate::dns::{self, Arrival, Dice};
use crate::metrics::Counters;
use crate::stop::Stop;

/// A socket that is bound, for a transport.
#[derive(Debug)]
pub enum EncryptedSocket {
    /// For TLS.
    Tls(TcpListener),
    /// For HTTPS, with the path that is answered.
    Https(TcpListener, String),
    /// For QUIC.
    Quic(UdpSocket),
}

impl EncryptedSocket {
    /// Binds a socket.
    ///
    /// # Errors
    /// What the kernel says, with the address.
    pub fn bind(transport: &Transport, address: SocketAddr) -> io::Result<Self> {
        Ok(match transport {
            Transport::Tls => Self::Tls(socket::bind_tcp(address)?),
            Transport::Https { path } => Self::Https(socket::bind_tcp(address)?, path.clone()),
            Transport::Quic => Self::Quic(socket::bind_quic(address)?),
        })
    }

    /// The address that it has got.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tls(listener) | Self::Https(listener, _) => listener.local_addr(),
            Self::Quic(socket) => socket.local_addr(),
        }
    }
}

/// What every encrypted listener needs.
#[derive(Clone, Debug)]
pub struct EncryptedService {
    current: Current,
    clock: Clock,
    idle: Duration,
    stop: Stop,
}

impl EncryptedService {
    /// A service on snapshots of `current`, until the stop. A client may take `idle` for a handshake,
    /// and from one query to the next.
    #[must_use]
    pub const fn new(current: Current, clock: Clock, idle: Duration, stop: Stop) -> Self {
        Self { current, clock, idle, stop }
    }

    /// A listener on a socket, which shows `certificate` and has these dice.
    ///
    /// # Errors
    /// When the socket is not fit.
    pub fn listener(
        &self,
        socket: EncryptedSocket,
        certificate: Arc<Certificate>,
        counters: Arc<Counters>,
        dice: Dice,
    ) -> io::Result<EncryptedListener> {
        let mut server = Server::new(Answerer {
            current: Arc::clone(&self.current),
            clock: self.clock,
            counters,
            desk: Mutex::new(Desk { dice, out: vec![0; usize::from(u16::MAX)] }),
        });
        let address = socket.local_addr()?;
        match socket {
            EncryptedSocket::Tls(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                server.register_tls_listener(listener, self.idle, certificate)?;
            }
            EncryptedSocket::Https(listener, path) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                // No host name: the certificate settles who we are, whatever a client calls us.
                server.register_https_listener(listener, self.idle, certificate, None, path)?;
            }
            EncryptedSocket::Quic(socket) => {
                let socket = tokio::net::UdpSocket::from_std(socket)?;
                server.register_quic_listener(socket, self.idle, certificate)?;
            }
        }
        Ok(EncryptedListener { server, address, stop: self.stop.clone() })
    }
}

/// A listener on one socket.
pub struct EncryptedListener {
    server: Server<Answerer>,
    address: SocketAddr,
    stop: Stop,
}

impl EncryptedListener {
    /// Answers until the stop. What is under way then is cut off: hickory knows no other end.
    pub async fn run(mut self) {
        tokio::select! {
            ended = self.server.block_until_done() => {
                error!("the encrypted listener on {} has ended by itself: {ended:?}", self.address);
            }
            () = self.stop.come() => {
                // What went wrong has no consequence any more.
                let _ = self.server.shutdown_gracefully().await;
            }
        }
    }
}

/// What answers the requests of one listener.
struct Answerer {
    current: Current,
    clock: Clock,
    counters: Arc<Counters>,
    /// One answer at a time: it takes microseconds, and so turns go round all clients.
    desk: Mutex<Desk>,
}

struct Desk {
    dice: Dice,
    out: Vec<u8>,
}

impl Answerer {
    /// The reply, if there is one.
    fn answer(&self, request: &Request) -> Option<Reply> {
        // RFC 9250 §4.2.1: the message ID must be 0; a query with another breaks the protocol.
        if request.protocol() == Protocol::Quic && request.metadata.id != 0 {
            return None;
        }
        let client = request.src().ip();
        let arrival = Arrival { client, is_udp: false, unix_secs: self.clock.unix_secs() };
        let snapshot = self.current.load();
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let Desk { dice, out } = &mut *desk;
        let handled = catch_unwind(AssertUnwindSafe(|| {
            dns::handle(&snapshot, request.as_slice(), arrival, dice, out)
        }));
        let Ok(outcome) = handled else {
            self.counters.add_panic();
            return None;
        };
        self.counters.add(&outcome);
        if outcome.len == 0 {
            return None;
        }
        let reply = Reply::read(&out[..outcome.len]);
        if reply.is_err() {
            self.counters.add_unsent(1);
        }
        reply.ok()
    }
}

#[async_trait]
impl RequestHandler for Answerer {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut client: R,
    ) -> ResponseInfo {
        if let Some(reply) = self.answer(request) {
            let builder = MessageResponseBuilder::new(&reply.queries, reply.edns.as_ref());
            let message = builder.build(
                reply.metadata,
                &reply.answers,
                &reply.authorities,
                [],
                &reply.additionals,
            );
            // Whatever ends a connection is the client's affair.
            if let Ok(sent) = client.send_response(message).await {
                return sent;
            }
        }
        // Nothing was sent; hickory looks no further at this.
        Header { metadata: request.metadata, counts: HeaderCounts::default() }.into()
    }
}
