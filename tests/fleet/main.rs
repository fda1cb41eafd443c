//! A fleet over a real engine: nodes and vantages in this process, and a `nats-server` beside it.
//!
//! Debian's package of that name is what is tested with. Where it is missing every test here fails and says
//! so; `cargo test` alone leaves this binary out, so that it needs nothing installed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bucket;
mod engine;
mod heartbeats;
#[allow(dead_code, reason = "shared with the tests of one node")]
#[path = "../it/node/mod.rs"]
mod node;
mod round_trips;
mod strangers;
mod votes;
mod words;
mod world;
mod zones;
