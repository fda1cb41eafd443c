//! The clients: resolvers that ask the node over UDP and say from which subnet they ask.
//!
//! Messages are built and read by another implementation than ours, so that what the demo shows is
//! what any resolver would see.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::script::Place;
use super::story::Reply;

/// A reply that takes longer is lost; on the loopback it takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than a reply to one question takes.
const REPLY_BYTES_MAX: usize = 4096;

/// All clients, behind one socket.
#[derive(Debug)]
pub(super) struct Clients {
    socket: UdpSocket,
    name: Name,
    places: &'static [Place],
    /// Message id of the next query.
    next_id: u16,
}

impl Clients {
    /// Clients at `places` who ask the node at `server` for `name`.
    pub(super) async fn new(
        server: SocketAddr,
        name: &str,
        places: &'static [Place],
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(server).await?;
        let name = Name::from_ascii(name).map_err(io::Error::other)?;
        Ok(Self { socket, name, places, next_id: 0 })
    }

    /// Lets every client ask once, and returns what each was told.
    pub(super) async fn ask(&mut self) -> io::Result<Vec<Reply>> {
        let first = self.next_id;
        for place in self.places {
            self.socket.send(&query(self.next_id, &self.name, place)?).await?;
            self.next_id = self.next_id.wrapping_add(1);
        }
        let mut replies = vec![Reply::Lost; self.places.len()];
        // Whoever is left without a reply in time stays with `Lost`.
        let _ = timeout(PATIENCE, self.listen(first, &mut replies)).await;
        Ok(replies)
    }

    async fn listen(&self, first: u16, replies: &mut [Reply]) {
        let mut buffer = [0; REPLY_BYTES_MAX];
        while replies.contains(&Reply::Lost) {
            // An error tells that nobody listens there: there is nothing to wait for.
            let Ok(len) = self.socket.recv(&mut buffer).await else { return };
            let Ok(message) = Message::from_vec(&buffer[..len]) else { continue };
            // A reply to an earlier round is too late to count.
            let client = usize::from(message.metadata.id.wrapping_sub(first));
            if let Some(reply) = replies.get_mut(client) {
                *reply = reply_in(&message);
            }
        }
    }
}

fn query(id: u16, name: &Name, place: &Place) -> io::Result<Vec<u8>> {
    let [a, b, c] = place.subnet;
    let subnet = ClientSubnet::new(IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), 24, 0);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name.clone(), RecordType::A));
    message.set_edns(edns);
    message.to_vec().map_err(io::Error::other)
}

fn reply_in(message: &Message) -> Reply {
    if message.metadata.response_code != ResponseCode::NoError {
        return Reply::Empty;
    }
    let address = message.answers.iter().find_map(|record| match &record.data {
        RData::A(address) => Some((address.0, record.ttl)),
        _ => None,
    });
    match address {
        Some((address, ttl)) => Reply::Address { address, ttl },
        None => Reply::Empty,
    }
}
