//! What a rule answers besides addresses: how records are made of the endpoints that are chosen.
//!
//! A [`Form`] is one type's. Which endpoints a record is made of is decided as for addresses, by the same
//! draw, so that all types name the same region; that a type exists never depends on client or health.

use std::sync::Arc;

use super::{EndpointId, RecordType};

/// How the records of one type are made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Form {
    /// The type; none that [`Steer`](super::Steer) answers by addresses.
    pub rtype: RecordType,
    /// The data.
    pub body: Body,
}

/// What the data of a form's records is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    /// A service and its parameters: SVCB and HTTPS (RFC 9460).
    Service(Service),
    /// Data that is ready.
    Ready(ReadyData),
}

/// The data for every endpoint that a rule may choose, by id, names in it uncompressed.
pub type ReadyData = Arc<[(EndpointId, Box<[u8]>)]>;

/// What SVCB and HTTPS records say besides which endpoint they mean.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Service {
    /// Parameters by key, no two of one key, none of them an address hint.
    pub params: Vec<ServiceParam>,
    /// Whether records give the endpoint's addresses as hints.
    pub has_hints: bool,
    /// How many choices a client is given besides the first: what would be answered if that were lost,
    /// and so on, at rising priorities.
    pub ladder: u8,
}

/// A parameter of a service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServiceParam {
    /// Its key (RFC 9460 §14.3.2).
    pub key: u16,
    /// Its value in wire form.
    pub value: Box<[u8]>,
}

/// The key of `ipv4hint`.
pub const IPV4HINT: u16 = 4;
/// The key of `ipv6hint`.
pub const IPV6HINT: u16 = 6;
/// The most rungs of a ladder.
pub const LADDER_MAX: u8 = 8;

impl Form {
    /// The service, if it is of that kind.
    #[must_use]
    pub const fn service(&self) -> Option<&Service> {
        match &self.body {
            Body::Service(service) => Some(service),
            Body::Ready(_) => None,
        }
    }
}
