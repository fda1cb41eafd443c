//! What is known of the hosts that endpoints are aliases of.
//!
//! An alias is answered by the addresses of its host, not by its name. Whoever looks hosts up says what was
//! found and until when that may be told; what is not found yet, or no more, is not made up here.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Name, Time};

/// The most addresses of a family that an alias is answered by.
pub const ADDRESSES_MAX: usize = 8;

/// What is known of each host. One that is not there was never found, or too long ago.
pub type Aliases = HashMap<Name, Arc<Found>>;

/// The addresses of a host, each family in order, so that all nodes answer alike.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Found {
    /// Its IPv4 addresses, at most [`ADDRESSES_MAX`].
    pub v4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses, at most [`ADDRESSES_MAX`].
    pub v6: Vec<Ipv6Addr>,
    /// Beyond this no answer with them is to live; `None` when there are none.
    pub until: Option<Time>,
    /// Whether they should have been looked up again by now, which has failed (RFC 8767).
    pub is_stale: bool,
}

/// What of an alias bears on whether its endpoint can be answered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AliasHealth {
    /// Nobody looks hosts up here: it is taken for found, in both families.
    #[default]
    Assumed,
    /// Its host was never found, or too long ago.
    Unknown,
    /// It was found.
    Found {
        /// Whether it has IPv4 addresses.
        v4: bool,
        /// Whether it has IPv6 addresses.
        v6: bool,
        /// As in [`Found::until`].
        until: Option<Time>,
    },
}

impl AliasHealth {
    /// What is known of `host`; `aliases` is `None` where nobody looks hosts up.
    #[must_use]
    pub fn of(host: &Name, aliases: Option<&Aliases>) -> Self {
        let Some(aliases) = aliases else { return Self::Assumed };
        match aliases.get(host).map(|found| &**found) {
            None => Self::Unknown,
            Some(Found { v4, v6, until, .. }) => {
                Self::Found { v4: !v4.is_empty(), v6: !v6.is_empty(), until: *until }
            }
        }
    }
}
