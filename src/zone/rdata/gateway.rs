//! Records that name a gateway or a host in one of several ways: IPSECKEY (RFC 4025), AMTRELAY
//! (RFC 8777), HIP (RFC 8005).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::zone::lexer::{Fault, TokenKind};

use super::fields::Fields;
use super::print::{Malformed, Printer, Wire};
use super::{Kind, parse, text};

/// The bit beside AMTRELAY's gateway type: relay discovery is optional.
const DISCOVERY_OPTIONAL: u8 = 0x80;

/// What stands for no gateway in presentation form.
const NO_GATEWAY: &str = ".";

/// Gateway type, algorithm, gateway, key; the key may be missing (RFC 4025 §2.4: algorithm 0).
pub(super) fn read_ipsec(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let gateway_type = gateway_type(fields, "gateway type")?;
    out.push(gateway_type);
    out.push(parse::number(fields, "algorithm")?);
    read_gateway(fields, "gateway", gateway_type, out)?;
    parse::field(fields, ("key", Kind::OptionalBase64), out)
}

pub(super) fn print_ipsec(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    let (gateway_type, algorithm) = (wire.u8()?, wire.u8()?);
    printer.word(gateway_type);
    printer.word(algorithm);
    print_gateway(gateway_type, wire, printer)?;
    super::print::field(Kind::OptionalBase64, wire, printer)
}

/// Whether discovery is optional, relay type, relay.
pub(super) fn read_amt(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let optional = fields.parse("discovery bit", "`0` or `1`", |text| match text {
        "0" => Some(0),
        "1" => Some(DISCOVERY_OPTIONAL),
        _ => None,
    })?;
    let relay_type = gateway_type(fields, "relay type")?;
    out.push(optional | relay_type);
    read_gateway(fields, "relay", relay_type, out)
}

pub(super) fn print_amt(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    let octet = wire.u8()?;
    let relay_type = octet & !DISCOVERY_OPTIONAL;
    printer.word(octet / DISCOVERY_OPTIONAL);
    printer.word(relay_type);
    print_gateway(relay_type, wire, printer)
}

fn gateway_type(fields: &mut Fields<'_, '_>, name: &str) -> Result<u8, Fault> {
    let what = "0 for none, 1 for an IPv4 address, 2 for an IPv6 address, 3 for a name";
    fields.parse(name, what, |text| parse::digits(text).filter(|number| *number <= 3_u8))
}

fn read_gateway(
    fields: &mut Fields<'_, '_>,
    name: &'static str,
    gateway_type: u8,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    match gateway_type {
        1 => parse::field(fields, (name, Kind::Ipv4), out),
        2 => parse::field(fields, (name, Kind::Ipv6), out),
        3 => parse::field(fields, (name, Kind::Name), out),
        _ => fields.parse(name, "`.`: there is none", |text| (text == NO_GATEWAY).then_some(())),
    }
}

fn print_gateway(
    gateway_type: u8,
    wire: &mut Wire<'_>,
    printer: &mut Printer,
) -> Result<(), Malformed> {
    match gateway_type {
        0 => printer.word(NO_GATEWAY),
        1 => printer.word(Ipv4Addr::from(wire.array()?)),
        2 => printer.word(Ipv6Addr::from(wire.array()?)),
        3 => printer.word(wire.name()?),
        _ => return Err(Malformed),
    }
    Ok(())
}

/// Algorithm, identity tag in hexadecimal, key in base 64 without blanks, rendezvous servers.
pub(super) fn read_hip(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let algorithm: u8 = parse::number(fields, "algorithm")?;
    let (tag_len, tag) =
        fields.parse("identity tag", "hexadecimal of 1 to 255 octets", |text| {
            let tag = text::from_hex(text)?;
            Some((u8::try_from(tag.len()).ok().filter(|len| *len > 0)?, tag))
        })?;
    let (key_len, key) = fields.parse("key", "base 64 without blanks", |text| {
        let key = text::from_base64(text)?;
        Some((u16::try_from(key.len()).ok().filter(|len| *len > 0)?, key))
    })?;
    out.extend([tag_len, algorithm]);
    out.extend(key_len.to_be_bytes());
    out.extend(tag);
    out.extend(key);
    loop {
        let token = fields.lexer.token()?;
        if token.kind == TokenKind::End {
            return Ok(());
        }
        fields.lexer.unread(token);
        fields.name("rendezvous server", out)?;
    }
}

pub(super) fn print_hip(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    let (tag_len, algorithm, key_len) = (wire.u8()?, wire.u8()?, wire.u16()?);
    if tag_len == 0 || key_len == 0 {
        return Err(Malformed);
    }
    printer.word(algorithm);
    printer.word(text::to_hex(wire.take(tag_len.into())?));
    printer.word(text::to_base64(wire.take(key_len.into())?));
    while !wire.0.is_empty() {
        printer.word(wire.name()?);
    }
    Ok(())
}
