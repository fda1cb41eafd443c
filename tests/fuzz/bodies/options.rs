//! A well-formed query with any EDNS options.
//!
//! The first octet says which way it comes, the second what is asked and whether the options are spliced
//! in as they are or made of pieces, the next two are the payload. A piece is a code, a length and data;
//! its length is always right, so that what the options hold is read, too.

use super::answer::{COOKIE, NSID, SUBNET, Way};
use super::packet::answer;
use super::wire;

/// Names below `example.test` and types: static, wildcard, alias, delegation, steered by all policies, and
/// nothing.
const QUESTIONS: [(&[u8], u8); 16] = [
    (b"\x03www", 1),
    (b"\x03www", 28),
    (b"\x05turns", 1),
    (b"\x05keyed", 1),
    (b"\x04many", 28),
    (b"\x03cdn", 16),
    (b"\x01x\x03app", 1),
    (b"\x06silent", 1),
    (b"\x06broken", 1),
    (b"\x05sorry", 1),
    (b"\x04huge", 16),
    (b"\x01a\x04wild", 15),
    (b"\x07steered", 1),
    (b"\x04host\x03sub", 1),
    (b"\x07nothing", 255),
    (b"", 252),
];

/// What the code of a piece stands for.
const CODES: [u16; 8] = [SUBNET, COOKIE, NSID, 15, 12, 11, SUBNET, 65_001];

/// Answers it.
pub fn check(data: &[u8]) {
    let Some(([way, what, payload @ ..], rest)) = data.split_first_chunk::<4>() else { return };
    let is_raw = what & 0x80 != 0;
    let mut options = if is_raw { rest.to_vec() } else { composed(rest) };
    options.truncate(60_000);
    let (name, qtype) = QUESTIONS[usize::from(what & 0xf)];
    let (version, dnssec_ok) = (u8::from(what & 0x70 == 0x70), (what & 0x10) << 3);

    let mut packet = vec![0xca, 0xfe, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name);
    packet.extend_from_slice(b"\x07example\x04test\x00");
    packet.extend_from_slice(&[0, qtype, 0, 1]);
    packet.extend_from_slice(&[0, 0, 41, payload[0], payload[1], 0, version, dnssec_ok, 0]);
    packet.extend_from_slice(&u16::try_from(options.len()).expect("cut").to_be_bytes());
    packet.extend_from_slice(&options);

    let rcode = answer(&packet, Way::of(*way));
    let is_good = wire::options(&options).is_some_and(|options| is_well_formed(&options));
    match (version, is_good) {
        (1, _) => assert_eq!(rcode, 16, "BADVERS whatever the options of a later version are"),
        (_, false) => assert_eq!(rcode, 1, "FORMERR: {options:?}"),
        (_, true) => assert_ne!(rcode, 1, "no FORMERR: {options:?}"),
    }
}

/// Pieces put together: an octet for the code, an octet for the length, so many octets of data.
fn composed(mut rest: &[u8]) -> Vec<u8> {
    let mut options = Vec::new();
    while let Some(([code, len], behind)) = rest.split_first_chunk::<2>() {
        let data = &behind[..behind.len().min(usize::from(*len))];
        options.extend_from_slice(&CODES[usize::from(code & 7)].to_be_bytes());
        options.extend_from_slice(&u16::try_from(data.len()).expect("an octet").to_be_bytes());
        options.extend_from_slice(data);
        rest = &behind[data.len()..];
    }
    options
}

/// Whether the RFCs want an answer. Of several options of one code the first counts.
fn is_well_formed(options: &[(u16, &[u8])]) -> bool {
    let first = |code| options.iter().find(|(known, _)| *known == code).map(|(_, data)| *data);
    first(SUBNET).is_none_or(is_subnet) && first(COOKIE).is_none_or(is_cookie)
}

/// RFC 7871 §6 and §7.1.2.
fn is_subnet(data: &[u8]) -> bool {
    let Some(([family_high, family, source, scope], address)) = data.split_first_chunk::<4>()
    else {
        return false;
    };
    let bits = |bit: usize| address[bit / 8] & (0x80 >> (bit % 8)) != 0;
    let source_max = match (family_high, family) {
        (0, 0) => 0,
        (0, 1) => 32,
        (0, 2) => 128,
        _ => return false,
    };
    *scope == 0
        && *source <= source_max
        && address.len() == usize::from(*source).div_ceil(8)
        && !(usize::from(*source)..8 * address.len()).any(bits)
}

/// RFC 7873 §4.
const fn is_cookie(data: &[u8]) -> bool {
    data.len() == 8 || (16 <= data.len() && data.len() <= 40)
}
