//! windrose: a global server load balancer that works through authoritative DNS.
//!
//! The modules stand in layers, and imports only point downwards (a test keeps it so):
//!
//! | layer | modules | what |
//! |---|---|---|
//! | L0 | [`model`] | the nouns: plain data |
//! | L1 | [`zone`] | static zone data: master files, checks |
//! | L1 | [`geo`] | where clients are: databases, classes, scopes |
//! | L1 | [`health`] | what the results of probes mean |
//! | L1 | [`steer`] | how a rule chooses |
//! | L2 | [`config`] | server and zone files, read with places |
//! | L2 | [`snapshot`] | what queries look at, compiled ahead |
//! | L2 | [`dns`] | one packet in, one answer out |
//! | L3 | [`clock`] | the only place that reads the machine's clocks |
//! | L3 | [`metrics`] | what is counted |
//! | L3 | [`listen`] | sockets: UDP threads, TCP |
//! | L3 | [`probe`] | asks targets, and knows when to ask again |
//! | L3 | [`intake`] | the one route of observations to the board |
//! | L3 | [`state`] | verdicts on disk, so that a restart forgets nothing |

// L0
pub mod model;

// L1
pub mod zone;
pub mod geo;
pub mod health;
pub mod steer;

// L2
pub mod config;
pub mod snapshot;
pub mod dns;

// L3
pub mod clock;
pub mod metrics;
pub mod listen;
pub mod probe;
pub mod intake;
pub mod state;

#[cfg(test)]
mod testing;
