//! The integration tests: one binary, one module a subject.

mod allocations;
mod attacks;
mod binary;
mod cli;
mod config;
mod encrypted;
mod master;
mod master_cases;
mod node;
mod oracles;
mod probing;
mod reloading;
mod scenarios;
mod sockets;
mod tidy;
