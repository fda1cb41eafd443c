//! Sets of types in NSEC, NSEC3 and CSYNC (RFC 4034 §4.1.2).
//!
//! Types are grouped by their upper octet into windows; each window that has any is its number, a
//! count, and as many octets of bits as it needs.

use crate::model::RecordType;
use crate::zone::lexer::Fault;

use super::fields::Fields;
use super::print::{Malformed, Printer, Wire};

/// Octets that a window may have.
const WINDOW_LEN_MAX: usize = 32;

/// Reads types up to the end of the entry, in any order.
pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut types = Vec::new();
    while let Some(token) = fields.next()? {
        let rtype = fields.lexer.text(token).parse::<RecordType>();
        types.push(rtype.map_err(|_| fields.bad(token, "type", "record types like `A NS`"))?.0);
    }
    types.sort_unstable();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        push_window(window, out);
    }
    Ok(())
}

/// Appends a window of `types`, which are sorted, not empty, and have the upper octet in common.
fn push_window(types: &[u16], out: &mut Vec<u8>) {
    let [number, last] = types[types.len() - 1].to_be_bytes();
    let len = last / 8 + 1;
    out.extend([number, len]);
    let start = out.len();
    out.resize(start + usize::from(len), 0);
    for rtype in types {
        let [_, bit] = rtype.to_be_bytes();
        out[start + usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
}

pub(super) fn print(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    let mut number_min = 0_u16;
    while !wire.0.is_empty() {
        let number = wire.u8()?;
        let bits = wire.counted()?;
        let is_minimal = bits.last().is_some_and(|last| *last != 0);
        if u16::from(number) < number_min || !is_minimal || bits.len() > WINDOW_LEN_MAX {
            return Err(Malformed);
        }
        number_min = u16::from(number) + 1;
        for bit in 0..=u8::MAX {
            let octet = bits.get(usize::from(bit / 8)).copied().unwrap_or(0);
            if octet & 0x80 >> (bit % 8) != 0 {
                printer.word(RecordType(u16::from_be_bytes([number, bit])));
            }
        }
    }
    Ok(())
}
