//! L1: static zone data.
//!
//! [`master`] reads master files (RFC 1035 §5) into records, [`rdata`] turns record data from text
//! to wire form and back. Files are
//! opened by the caller; what is steered is not here.

mod generate;
mod lexer;
pub mod master;
pub mod rdata;
mod ttl;

pub use master::{RecordRef, read, read_records};
pub use rdata::{compressible_names, rdata_to_text};
