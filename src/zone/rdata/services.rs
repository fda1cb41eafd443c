//! Well-known services (WKS, RFC 1035 §3.4.2): an address, a protocol, and the ports that answer there as
//! bits. Nobody should use it (RFC 1123 §2.2), but old zones have it.
//!
//! Ports and protocols are read as numbers or by the names that such zones use, and printed as numbers.

use crate::zone::lexer::Fault;

use super::fields::Fields;
use super::parse;
use super::print::{Malformed, Printer, Wire};

const PROTOCOLS: &[(&str, u16)] = &[("ICMP", 1), ("TCP", 6), ("UDP", 17)];
const PORTS: &[(&str, u16)] = &[
    ("ECHO", 7),
    ("DISCARD", 9),
    ("SYSTAT", 11),
    ("DAYTIME", 13),
    ("NETSTAT", 15),
    ("QOTD", 17),
    ("CHARGEN", 19),
    ("FTP-DATA", 20),
    ("FTP", 21),
    ("SSH", 22),
    ("TELNET", 23),
    ("SMTP", 25),
    ("TIME", 37),
    ("NAMESERVER", 42),
    ("WHOIS", 43),
    ("DOMAIN", 53),
    ("TFTP", 69),
    ("GOPHER", 70),
    ("FINGER", 79),
    ("HTTP", 80),
    ("HOSTNAME", 101),
    ("POP2", 109),
    ("POP3", 110),
    ("SUNRPC", 111),
    ("AUTH", 113),
    ("NNTP", 119),
    ("NTP", 123),
    ("IMAP", 143),
    ("SNMP", 161),
    ("HTTPS", 443),
];

/// Reads protocol and ports up to the end of the entry, in any order; there may be none.
pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let what = "a number up to 255, `TCP` or `UDP`";
    out.push(fields.parse("protocol", what, |text| parse::mnemonic(PROTOCOLS, text))?);
    let start = out.len();
    while let Some(token) = fields.next()? {
        let port: Option<u16> = parse::mnemonic(PORTS, fields.lexer.text(token));
        let what = "a number up to 65535, or a name like `SMTP`";
        let port = port.ok_or_else(|| fields.bad(token, "port", what))?;
        let at = start + usize::from(port / 8);
        out.resize(out.len().max(at + 1), 0);
        out[at] |= 0x80 >> (port % 8);
    }
    Ok(())
}

pub(super) fn print(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    printer.word(wire.u8()?);
    let bits = wire.rest();
    // The last octet has a bit set, or the text would not be read as the same octets.
    if bits.last() == Some(&0) || bits.len() > usize::from(u16::MAX / 8) + 1 {
        return Err(Malformed);
    }
    for port in 0..=u16::MAX {
        let octet = bits.get(usize::from(port / 8)).copied().unwrap_or(0);
        if octet & 0x80 >> (port % 8) != 0 {
            printer.word(port);
        }
    }
    Ok(())
}
