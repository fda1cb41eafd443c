//! `handle` as its clients see it: transcripts, tables of duties, and any bytes at all.

mod any_bytes;
mod attacks;
mod client_subnets;
mod duties;
mod server;
mod transcript;
