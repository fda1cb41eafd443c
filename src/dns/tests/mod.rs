//! `handle` as its clients see it: transcripts and tables of duties. Any bytes at all: `tests/it/any_bytes.rs`.

mod attacks;
mod client_subnets;
mod duties;
mod limits;
mod server;
mod transcript;
