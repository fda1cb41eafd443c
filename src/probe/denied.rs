//! Where no probe goes.
//!
//! Whoever writes zone files decides what a node asks, from the node's own place in the network. So some
//! addresses are asked by no probe unless the server file says so: those at which clouds tell machines
//! their secrets, those of nobody or of many, and this node's own listeners. What stands in a zone file is
//! judged when it is loaded; what a host name leads to after it was looked up, and the address that was
//! judged is the one that is asked.

use std::net::SocketAddr;

use crate::config::ServerConfig;
use crate::model::Prefix;

/// Where no probe goes; nowhere by default.
#[derive(Clone, Default, Debug)]
pub struct Denied {
    prefixes: Vec<Prefix>,
    /// Where this node listens.
    own: Vec<SocketAddr>,
}

impl Denied {
    /// What a server file denies.
    #[must_use]
    pub fn new(config: &ServerConfig) -> Self {
        let fixed = &config.fixed;
        let encrypted = fixed.dns.encrypted.iter().flat_map(|table| &table.listen);
        let own = fixed.dns.listen.iter().chain(encrypted).chain(&fixed.admin.listen);
        Self { prefixes: fixed.probe.deny.clone(), own: own.copied().collect() }
    }

    /// Why no probe goes to `address`, if none does.
    #[must_use]
    pub fn reason(&self, address: SocketAddr) -> Option<String> {
        let ip = address.ip().to_canonical();
        if let Some(prefix) = self.prefixes.iter().find(|prefix| prefix.contains(ip)) {
            return Some(format!("`[probe] deny` of the server file has {prefix}"));
        }
        // Whoever listens everywhere is met at every address of the machine, of which we know these.
        let is_own = |own: &SocketAddr| {
            own.port() == address.port()
                && (own.ip() == ip || (own.ip().is_unspecified() && ip.is_loopback()))
        };
        let is_own = address.port() != 0 && self.own.iter().any(is_own);
        is_own.then(|| "this server itself listens there".to_owned())
    }
}
