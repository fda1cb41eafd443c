//! From where to where a probe goes.
//!
//! On a machine with several addresses an operator may say which of them probes come from (`[probe] source`):
//! the one that firewalls let through, or that leads over the network that clients come by. An address that
//! the machine does not have is no target's fault.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::Socket;

use super::fault::Fault;
use crate::config::Source;
use crate::listen::socket::set_option;

/// From where to where a probe goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// Where the target is.
    pub(super) to: SocketAddr,
    /// The address of this machine that it is asked from; one of the system's choice where there is none.
    pub(super) from: Option<IpAddr>,
}

impl Way {
    /// The way to `to` that `source` has it take.
    pub(super) fn new(to: SocketAddr, source: Source) -> Self {
        Self { to, from: source.towards(to.ip()) }
    }

    /// What a socket of our own is bound to, which picks its port.
    pub(super) fn local(self) -> SocketAddr {
        let any = match self.to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        SocketAddr::new(self.from.unwrap_or(any), 0)
    }

    /// Has a new socket send from where it should.
    pub(super) fn bind(self, socket: &Socket) -> Result<(), Fault> {
        if self.from.is_none() {
            return Ok(());
        }
        // The port is chosen when it is connected, so that one serves for many targets. A kernel that does not
        // know the option chooses it now.
        let _ = set_option(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        socket.bind(&self.local().into()).map_err(|error| Fault::of_bind(&error, self))
    }

    /// Whether our own machine knows it. If it does, "unreachable" was said by somebody on that way.
    /// Connecting a datagram socket asks the routing table and sends nothing.
    pub(super) fn is_known(self) -> bool {
        UdpSocket::bind(self.local()).and_then(|socket| socket.connect(self.to)).is_ok()
    }

    /// What is said of a machine without the address that this way begins at.
    pub(super) fn lacking(self, error: &io::Error) -> Option<String> {
        self.from.filter(|_| error.raw_os_error() == Some(libc::EADDRNOTAVAIL)).map(lacking)
    }
}

fn lacking(address: IpAddr) -> String {
    format!("this machine does not have the address {address}, which `[probe] source` names")
}

/// What is said of a machine that does not have the addresses that `source` names; nothing when it does.
#[must_use]
pub fn lacking_sources(source: Source) -> Vec<String> {
    let is_lacking = |address: &IpAddr| {
        let bound = UdpSocket::bind((*address, 0));
        bound.is_err_and(|error| error.raw_os_error() == Some(libc::EADDRNOTAVAIL))
    };
    source.addresses().filter(is_lacking).map(lacking).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(to: &str, from: &str) -> Way {
        let from: IpAddr = from.parse().unwrap();
        Way { to: to.parse().unwrap(), from: Some(from) }
    }

    #[test]
    fn a_way_is_known_from_where_it_begins() {
        assert!(way("127.0.0.1:9", "127.0.0.2").is_known());
        // What is sent from the loopback never leaves the machine.
        assert!(!way("192.0.2.1:9", "127.0.0.2").is_known());
        assert!(!way("127.0.0.1:9", "192.0.2.1").is_known());
    }

    #[test]
    fn a_machine_says_which_addresses_it_does_not_have() {
        let source = |v4: [u8; 4]| Source { v4: Some(v4.into()), v6: None };
        assert_eq!(lacking_sources(source([127, 0, 0, 2])), [""; 0]);
        let said = "this machine does not have the address 192.0.2.1, which `[probe] source` names";
        assert_eq!(lacking_sources(source([192, 0, 2, 1])), [said]);
    }
}
