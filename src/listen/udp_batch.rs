//! Batched socket calls: `recvmmsg` and `sendmmsg` over buffers that are set up once.
//!
//! The one place with unsafe code on the query path. It promises that every slice it hands out was
//! filled by the kernel, and that a reply leaves from the address that was asked: the control message
//! with the packet info of the query goes back with the reply, but for the interface.

#![expect(unsafe_code, reason = "recvmmsg and sendmmsg have no safe interface without allocation")]

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

/// Packets of one batch. 8 to 32 cost the same; more spoil the cache.
pub(super) const BATCH: usize = 32;
/// Octets that a query may have. None needs more than 512, but options may grow.
const QUERY_MAX: usize = 4096;
/// Octets that a reply over UDP may have, whatever the server file says.
pub(super) const REPLY_MAX: usize = 4096;
/// Octets between the buffers of a batch: no power of two, or the first lines of all of them would fight
/// for the same few places in the cache.
const STRIDE: usize = 4096 + 3 * 64;
/// Octets of a control message with an `in6_pktinfo`, the larger of the two.
const CONTROL_MAX: usize = 64;

/// Buffers for one batch in both directions.
pub(super) struct Batch {
    buffers: Box<Buffers>,
    /// The message headers point into `buffers`, which never moves or grows.
    receive: Box<[libc::mmsghdr; BATCH]>,
    send: Box<[libc::mmsghdr; BATCH]>,
    /// Replies ready to be sent.
    ready: usize,
}

struct Buffers {
    queries: [[u8; STRIDE]; BATCH],
    replies: [[u8; STRIDE]; BATCH],
    clients: [libc::sockaddr_storage; BATCH],
    controls: [[u64; CONTROL_MAX / 8]; BATCH],
    receive_parts: [libc::iovec; BATCH],
    send_parts: [libc::iovec; BATCH],
}

/// The packets of a batch.
pub(super) struct Packets<'a> {
    headers: &'a [libc::mmsghdr; BATCH],
    queries: &'a [[u8; STRIDE]; BATCH],
    clients: &'a [libc::sockaddr_storage; BATCH],
}

impl<'a> Packets<'a> {
    /// The `n`th packet and who sent it. `None` for one that is larger than any query or whose sender is
    /// not an IP address.
    pub(super) fn get(&self, n: usize) -> Option<(&'a [u8], SocketAddr)> {
        let message = &self.headers[n];
        if message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let client = socket_address(&self.clients[n])?;
        let len = usize::try_from(message.msg_len).ok()?;
        Some((&self.queries[n][..len], client))
    }
}

/// Room for the replies of a batch.
pub(super) struct Replies<'a>(&'a mut [[u8; STRIDE]; BATCH]);

impl Replies<'_> {
    /// Room for the `n`th reply.
    pub(super) fn room(&mut self, n: usize) -> &mut [u8] {
        &mut self.0[n][..REPLY_MAX]
    }
}

// SAFETY: the raw pointers lead into boxes that the batch owns alone.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: every field is integers, arrays of them, or pointers that may be null.
        let mut buffers: Box<Buffers> = unsafe { Box::<Buffers>::new_zeroed().assume_init() };
        // SAFETY: as above.
        let (mut receive, mut send) = unsafe {
            (
                Box::new(zeroed::<[libc::mmsghdr; BATCH]>()),
                Box::new(zeroed::<[libc::mmsghdr; BATCH]>()),
            )
        };
        for n in 0..BATCH {
            buffers.receive_parts[n] = libc::iovec {
                iov_base: buffers.queries[n].as_mut_ptr().cast(),
                iov_len: QUERY_MAX,
            };
            let header = &mut receive[n].msg_hdr;
            header.msg_name = (&raw mut buffers.clients[n]).cast();
            header.msg_iov = &raw mut buffers.receive_parts[n];
            header.msg_iovlen = 1;
            header.msg_control = buffers.controls[n].as_mut_ptr().cast();
            send[n].msg_hdr.msg_iov = &raw mut buffers.send_parts[n];
            send[n].msg_hdr.msg_iovlen = 1;
        }
        Self { buffers, receive, send, ready: 0 }
    }

    /// Waits for packets, as long as the socket's timeout says, and takes up to [`BATCH`] that are
    /// there; returns how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for message in self.receive.iter_mut() {
            message.msg_hdr.msg_namelen = size_as(size_of::<libc::sockaddr_storage>());
            message.msg_hdr.msg_controllen = CONTROL_MAX;
            message.msg_hdr.msg_flags = 0;
        }
        // SAFETY: BATCH headers, each with pointers to buffers of the lengths that it states.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.receive.as_mut_ptr(),
                size_as(BATCH),
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// The packets that were received, and room for their replies.
    pub(super) fn split(&mut self) -> (Packets<'_>, Replies<'_>) {
        let Buffers { queries, replies, clients, .. } = &mut *self.buffers;
        (Packets { headers: &self.receive, queries, clients }, Replies(replies))
    }

    /// Marks the first `len` octets of the `n`th packet's room as its reply.
    pub(super) fn reply(&mut self, n: usize, len: usize) {
        forget_interface(&mut self.receive[n].msg_hdr);
        self.buffers.send_parts[self.ready] = libc::iovec {
            iov_base: self.buffers.replies[n].as_mut_ptr().cast(),
            iov_len: len.min(REPLY_MAX),
        };
        let (from, to) = (&self.receive[n].msg_hdr, &mut self.send[self.ready].msg_hdr);
        to.msg_name = from.msg_name;
        to.msg_namelen = from.msg_namelen;
        to.msg_control = from.msg_control;
        to.msg_controllen = from.msg_controllen;
        self.ready += 1;
    }

    /// Sends all replies; returns how many the kernel did not take. Never waits: a client whose
    /// reply is dropped asks again, and waiting would keep the others.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> usize {
        let (mut sent, mut lost) = (0, 0);
        while sent < self.ready {
            let rest = &mut self.send[sent..self.ready];
            // SAFETY: `rest` holds headers whose pointers lead to replies and clients of this batch.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    size_as(rest.len()),
                    libc::MSG_DONTWAIT,
                )
            };
            match usize::try_from(count) {
                Ok(count) if count > 0 => sent += count,
                // The first one was not taken: leave it out and go on with the next.
                _ => {
                    sent += 1;
                    lost += 1;
                }
            }
        }
        self.ready = 0;
        lost
    }
}

/// Lets a reply take the route to its client. Sent back as it came, the packet info would force it out
/// by the interface that the query came in by, where there may be no way back. Link-local clients lose
/// nothing: their address names the interface.
fn forget_interface(header: &mut libc::msghdr) {
    // SAFETY: the kernel has filled the control buffer as far as the header says, the macros' functions
    // stay within that, and each type is the one that level and kind stand for. Reads and writes need
    // no alignment.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        if control.is_null() {
            return;
        }
        let data = libc::CMSG_DATA(control);
        match ((*control).cmsg_level, (*control).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info = data.cast::<libc::in_pktinfo>();
                (&raw mut (*info).ipi_ifindex).write_unaligned(0);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info = data.cast::<libc::in6_pktinfo>();
                (&raw mut (*info).ipi6_ifindex).write_unaligned(0);
            }
            _ => {}
        }
    }
}

fn size_as<T: TryFrom<usize>>(size: usize) -> T {
    T::try_from(size).unwrap_or_else(|_| unreachable!("sizes of a batch are small"))
}

fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let bytes: *const libc::sockaddr_storage = storage;
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage, which is large enough for any, holds this.
            let v4 = unsafe { &*bytes.cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(address), u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*bytes.cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddr::new(IpAddr::V6(address), u16::from_be(v6.sin6_port)))
        }
        _ => None,
    }
}
