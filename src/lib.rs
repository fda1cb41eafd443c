//! windrose: a global server load balancer that works through authoritative DNS.
//!
//! The modules stand in layers, and imports only point downwards (a test keeps it so):
//!
//! | layer | modules | what |
//! |---|---|---|
//! | L0 | [`model`] | the nouns: plain data |
//! | L1 | [`health`] | what the results of probes mean |
//! | L1 | [`steer`] | how a rule chooses |

pub mod model;
pub mod health;
pub mod steer;
