//! The integration tests: one binary, one module a subject.

#[path = "../fuzz/bodies/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets reach it")]
mod bodies;

mod aliases;
mod allocations;
mod any_bytes;
mod attacks;
mod binary;
mod cli;
mod closed_loop;
mod config;
mod documents;
mod encrypted;
mod heartbeats;
mod loading;
mod master;
mod master_cases;
mod node;
mod operating;
mod oracles;
mod probing;
mod random;
mod reloading;
mod scenarios;
mod scopes;
mod simulation;
mod sockets;
mod tidy;
mod types;
mod units;
