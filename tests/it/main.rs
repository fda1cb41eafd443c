//! The integration tests: one binary, one module a subject.

mod binary;
mod config;
mod master;
mod node;
mod probing;
mod reloading;
mod sockets;
mod tidy;
