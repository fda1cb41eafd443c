//! The floor: sends each packet back, 16 octets longer, and reads nothing of it.
//!
//! It has windrose's own socket and windrose's own batches, so that what it costs is what the kernel takes
//! for the same packets, and what windrose costs above it is windrose's.

use std::io;
use std::net::SocketAddr;

use windrose::listen::socket::bind_both;

use crate::udp_batch::Batch;

/// What an answer has and its question has not: an address record behind a pointer.
pub(crate) const LONGER: usize = 16;
/// The octet of a header with the QR bit, and that bit.
const FLAGS: usize = 2;
const QR: u8 = 0x80;

/// Echoes until the process is ended.
pub(crate) fn serve(address: SocketAddr) -> io::Result<()> {
    let (sockets, _tcp) = bind_both(address, 1)?;
    let mut batch = Batch::new();
    loop {
        let count = match batch.receive(&sockets[0]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for n in 0..count {
            let (packets, mut replies) = batch.split();
            let Some((packet, _)) = packets.get(n) else { continue };
            let len = packet.len() + LONGER;
            let room = replies.room(n);
            if packet.len() <= FLAGS || len > room.len() {
                continue;
            }
            room[..packet.len()].copy_from_slice(packet);
            room[FLAGS] |= QR;
            batch.reply(n, len);
        }
        batch.send(&sockets[0]);
    }
}
