//! L1: static zone data.
//!
//! [`master`] reads master files (RFC 1035 §5) into records, [`rdata`] turns record data from text
//! to wire form and back, [`mod@check`] finds what is wrong with a zone's records as a whole. Files are
//! opened by the caller; what is steered is not here.

mod canonical;
pub mod check;
mod generate;
mod lexer;
pub mod master;
pub mod rdata;
mod ttl;

pub use check::check;
pub use master::{Include, RecordRef, read, read_records};
pub use rdata::{compressible, rdata_to_text};
