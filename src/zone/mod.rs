//! L1: static zone data.
//!
//! [`master`] reads master files (RFC 1035 §5) into records, [`rdata`] turns record data from text
//! to wire form and back, [`NamesBuilder`] makes them into the names of a zone and finds what is wrong
//! with them as a whole, and [`apex_of`] says what a file's zone is called. Files are opened by the
//! caller; what is steered is not here.

mod apex;
mod build;
pub mod check;
mod generate;
mod image;
mod lexer;
pub mod master;
mod pieces;
mod places;
pub mod rdata;
mod ttl;

pub use apex::apex_of;
pub use build::NamesBuilder;
pub(crate) use build::RECORD_OVERHEAD;
pub(crate) use check::RRSET_OCTETS_MAX;
pub use check::check;
pub use image::records;
pub(crate) use image::unfold;
pub use master::{Include, Open, RecordRef, read, read_records};
pub use pieces::{Pieces, TextError};
pub use rdata::{compressible, rdata_from_text, rdata_to_text};
