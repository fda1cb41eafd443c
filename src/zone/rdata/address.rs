//! Addresses that are neither IPv4 nor IPv6 alone: EUI-48 and EUI-64 (RFC 7043), the locators of
//! ILNP (RFC 6742), NSAP (RFC 1706), and lists of prefixes (APL, RFC 3123).

use std::net::IpAddr;

use crate::zone::lexer::Fault;

use super::fields::Fields;
use super::print::{Malformed, Printer, Wire};
use super::{parse, text};

/// `N` groups of two hexadecimal digits with `-` between.
pub(super) fn eui<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut octets = [0; N];
    let mut groups = text.split('-');
    for octet in &mut octets {
        let group = text::from_hex(groups.next()?)?;
        let [value] = group[..] else { return None };
        *octet = value;
    }
    groups.next().is_none().then_some(octets)
}

pub(super) fn eui_text(octets: &[u8]) -> String {
    let groups: Vec<_> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    groups.join("-")
}

/// Four groups of one to four hexadecimal digits with `:` between.
pub(super) fn locator64(text: &str) -> Option<[u8; 8]> {
    let mut octets = [0; 8];
    let mut groups = text.split(':');
    for pair in octets.chunks_exact_mut(2) {
        let group = groups.next()?;
        let is_group = group.len() <= 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = is_group.then(|| u16::from_str_radix(group, 16).ok())??;
        pair.copy_from_slice(&value.to_be_bytes());
    }
    groups.next().is_none().then_some(octets)
}

pub(super) fn locator64_text(octets: [u8; 8]) -> String {
    let groups: Vec<_> =
        octets.chunks_exact(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
    groups.join(":")
}

/// `0x`, then hexadecimal digits with dots between.
pub(super) fn nsap(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    text::from_hex(&digits.replace('.', "")).filter(|octets| !octets.is_empty())
}

// ---- Lists of prefixes (RFC 3123) ----

/// Address families of the registry.
const FAMILY_IPV4: u16 = 1;
const FAMILY_IPV6: u16 = 2;
/// The bit beside the count that negates an item.
const NEGATION: u8 = 0x80;

/// Reads items like `!1:192.0.2.0/24` up to the end of the entry; there may be none.
pub(super) fn read_prefixes(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    while let Some(token) = fields.next()? {
        let what = "items like `1:192.0.2.0/24` or `!2:2001:db8::/32`";
        let item = item(fields.lexer.text(token));
        let (negation, family, address, len) =
            item.ok_or_else(|| fields.bad(token, "item", what))?;
        let octets = significant_octets(address);
        let count = u8::try_from(octets.len()).expect("an address has at most 16 octets");
        out.extend(family.to_be_bytes());
        out.extend([len, negation | count]);
        out.extend(octets);
    }
    Ok(())
}

fn item(text: &str) -> Option<(u8, u16, IpAddr, u8)> {
    let (negation, text) = text.strip_prefix('!').map_or((0, text), |text| (NEGATION, text));
    let (family, text) = text.split_once(':')?;
    let (address, len) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let len_max = if address.is_ipv4() { 32 } else { 128 };
    let len = parse::digits(len).filter(|len| *len <= len_max)?;
    let family = parse::digits(family).filter(|family| *family == family_of(address))?;
    Some((negation, family, address, len))
}

const fn family_of(address: IpAddr) -> u16 {
    if address.is_ipv4() { FAMILY_IPV4 } else { FAMILY_IPV6 }
}

/// An address without the zero octets at its end.
fn significant_octets(address: IpAddr) -> Vec<u8> {
    let mut octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let len = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    octets.truncate(len);
    octets
}

pub(super) fn print_prefixes(wire: &mut Wire<'_>, printer: &mut Printer) -> Result<(), Malformed> {
    while !wire.0.is_empty() {
        let (family, len, count) = (wire.u16()?, wire.u8()?, wire.u8()?);
        let octets = wire.take(usize::from(count & !NEGATION))?;
        let (address, len_max) = match family {
            FAMILY_IPV4 => (IpAddr::from(padded::<4>(octets)?), 32),
            FAMILY_IPV6 => (IpAddr::from(padded::<16>(octets)?), 128),
            _ => return Err(Malformed),
        };
        if len > len_max || octets.last() == Some(&0) {
            return Err(Malformed);
        }
        let negation = if count & NEGATION == 0 { "" } else { "!" };
        printer.word(format_args!("{negation}{family}:{address}/{len}"));
    }
    Ok(())
}

/// `octets` with zeros behind them.
fn padded<const N: usize>(octets: &[u8]) -> Result<[u8; N], Malformed> {
    let mut address = [0; N];
    address.get_mut(..octets.len()).ok_or(Malformed)?.copy_from_slice(octets);
    Ok(address)
}
