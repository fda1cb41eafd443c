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
//! | L3 | [`memory`] | large tables in huge pages |
//! | L3 | [`turns`] | short turns on a processor |
//! | L3 | [`metrics`] | what is counted |
//! | L3 | [`listen`] | sockets: UDP threads, TCP; TLS, HTTPS, QUIC |
//! | L3 | [`probe`] | asks targets, and knows when to ask again |
//! | L3 | [`feed`] | live load: where it comes from, and what is known of it |
//! | L3 | [`alias`] | looks up the hosts that endpoints are aliases of |
//! | L3 | [`intake`] | the one route of observations, and of operators' words |
//! | L3 | [`stop`] | the end of a node, as those who serve hear of it |
//! | L3 | [`state`] | what is known, on disk, so that a restart forgets nothing |
//! | L3 | [`files`] | zone files and databases as they lie on disk |
//! | L3 | [`load`] | from files to a snapshot that may be served |
//! | L3 | [`fleet`] | many machines that share votes, words and zone files |
//! | L3 | [`conscience`] | asks this machine itself whether it may be believed |
//! | L3 | [`watch`] | tells when files have changed |
//! | L4 | [`admin`] | the admin endpoint |
//! | L4 | [`cli`] | the command line |
//! | L5 | [`publish`] | the one task that swaps snapshots |
//! | L5 | [`server`] | the running node |
//! | L5 | [`agent`] | the running vantage of a fleet |

// L0
pub mod model;

// L1
pub mod geo;
pub mod health;
pub mod steer;
pub mod zone;

// L2
pub mod config;
pub mod dns;
pub mod snapshot;

// L3
pub mod alias;
pub mod clock;
pub mod conscience;
pub mod feed;
pub mod files;
pub mod fleet;
pub mod intake;
pub mod listen;
pub mod load;
pub mod memory;
pub mod metrics;
pub mod probe;
pub mod state;
pub mod stop;
pub mod turns;
pub mod watch;

// L4
pub mod admin;
pub mod cli;

// L5
pub mod agent;
pub mod publish;
pub mod server;

#[cfg(test)]
mod testing;
