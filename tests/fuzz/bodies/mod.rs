//! What must hold whatever comes in: one body for each fuzz target, each a function of octets that panics
//! at a find.
//!
//! The fuzz targets run them on what a fuzzer makes, and `tests/it/any_bytes.rs` on the seeds and on what
//! proptest makes, so that `cargo test` needs no fuzzer to keep them true.

pub mod answer;
pub mod master;
pub mod options;
pub mod packet;
pub mod toml;
mod wire;
mod zones;
