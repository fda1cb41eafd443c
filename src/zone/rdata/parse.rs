//! Fields from presentation form to wire form.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::model::RecordType;
use crate::zone::lexer::{Fault, Token};
use crate::zone::ttl;

use super::fields::Fields;
use super::text::{self, Base64};
use super::{Field, Kind, address, bitmap, check_wire, gateway, loc, services, svcb};

/// Octets that a character string may have (RFC 1035 §3.3).
const CHAR_STRING_LEN_MAX: usize = 255;

/// DNSSEC algorithms (RFC 4034 §A.1 and the registry).
const ALGORITHMS: &[(&str, u16)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3DSA", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("NSEC3RSASHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECCGOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];
/// Kinds of certificate (RFC 4398 §2.1).
pub(super) const CERT_TYPES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];
/// Schemes of DSYNC (RFC 9859 §2.2).
pub(super) const SCHEMES: &[(&str, u16)] = &[("NOTIFY", 1)];

/// Reads one field (or the rest of them, as its kind says) and appends its wire form to `out`.
pub(super) fn field(
    fields: &mut Fields<'_, '_>,
    (name, kind): Field,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    match kind {
        Kind::CompressibleName | Kind::Name => fields.name(name, out)?,
        Kind::U8 => out.push(number(fields, name)?),
        Kind::U16 => out.extend(number::<u16>(fields, name)?.to_be_bytes()),
        Kind::U32 => out.extend(number::<u32>(fields, name)?.to_be_bytes()),
        Kind::U64 => {
            let read = |text: &str| text.parse().ok().filter(|_: &u64| !text.starts_with('+'));
            let number = fields.parse(name, "a number up to 18446744073709551615", read)?;
            out.extend(number.to_be_bytes());
        }
        Kind::Period => {
            let read = |text: &str| u32::try_from(ttl::parse(text)?).ok();
            let secs = fields.parse(name, "seconds, or a period like `1h30m`", read)?;
            out.extend(secs.to_be_bytes());
        }
        Kind::Ipv4 => {
            let what = "an IPv4 address: four numbers up to 255 with dots between";
            let address = fields.parse(name, what, |text| text.parse::<Ipv4Addr>().ok())?;
            out.extend(address.octets());
        }
        Kind::Ipv6 => {
            let read = |text: &str| text.parse::<Ipv6Addr>().ok();
            out.extend(fields.parse(name, "an IPv6 address, like `2001:db8::1`", read)?.octets());
        }
        Kind::CharString => {
            let token = fields.required(name, "a string")?;
            char_string(fields, token, name, out)?;
        }
        Kind::OptionalCharString => {
            if let Some(token) = fields.next()? {
                char_string(fields, token, name, out)?;
            }
        }
        Kind::CharStrings => char_strings(fields, name, out)?,
        Kind::Text => {
            let what = "a string, in quotes when it has a blank or `;` in it";
            let token = fields.required(name, what)?;
            unescape(fields, token, name, out)?;
        }
        Kind::Tag => {
            let tag =
                fields.parse(name, "letters and digits", |text| is_tag(text).then_some(text))?;
            out.push(u8::try_from(tag.len()).expect("a tag has at most 255 octets"));
            out.extend(tag.as_bytes());
        }
        Kind::Hex => hex(fields, name, out)?,
        Kind::Base64 => base64(fields, name, out)?,
        Kind::OptionalBase64 => {
            if let Some(token) = fields.next()? {
                fields.lexer.unread(token);
                base64(fields, name, out)?;
            }
        }
        Kind::DashedBase64 => {
            let token = fields.required(name, "base 64, or `-` for nothing")?;
            if fields.lexer.raw(token) != "-" {
                fields.lexer.unread(token);
                base64(fields, name, out)?;
            }
        }
        Kind::Salt => {
            let what = "hexadecimal of at most 255 octets, or `-`";
            let salt = fields.parse(name, what, |text| match text {
                "-" => Some((0, Vec::new())),
                _ => text::from_hex(text).and_then(counted),
            });
            push_counted(salt?, out);
        }
        Kind::Hash => {
            let what = "base 32 with the extended hex alphabet, without padding";
            let read = |text: &str| text::from_base32hex(text).and_then(counted);
            push_counted(fields.parse(name, what, read)?, out);
        }
        Kind::TypeBitmap => bitmap::read(fields, out)?,
        Kind::Type => {
            let read = |text: &str| text.parse::<RecordType>().ok();
            out.extend(fields.parse(name, "a record type", read)?.0.to_be_bytes());
        }
        Kind::Algorithm => {
            let what = "a number up to 255, or a mnemonic like `ECDSAP256SHA256`";
            out.push(fields.parse(name, what, |text| mnemonic(ALGORITHMS, text))?);
        }
        Kind::CertType => {
            let what = "a number up to 65535, or a mnemonic like `PKIX`";
            let read = |text: &str| mnemonic::<u16>(CERT_TYPES, text);
            out.extend(fields.parse(name, what, read)?.to_be_bytes());
        }
        Kind::Scheme => {
            let what = "a number up to 255, or `NOTIFY`";
            out.push(fields.parse(name, what, |text| mnemonic(SCHEMES, text))?);
        }
        Kind::Moment => {
            let what = "a time as `YYYYMMDDHHmmSS`, or seconds since 1970";
            out.extend(fields.parse(name, what, text::from_moment)?.to_be_bytes());
        }
        Kind::Locator64 => {
            let what = "four groups of up to four hexadecimal digits with `:` between";
            out.extend(fields.parse(name, what, address::locator64)?);
        }
        Kind::Eui48 => {
            let what = "six groups of two hexadecimal digits with `-` between";
            out.extend(fields.parse(name, what, address::eui::<6>)?);
        }
        Kind::Eui64 => {
            let what = "eight groups of two hexadecimal digits with `-` between";
            out.extend(fields.parse(name, what, address::eui::<8>)?);
        }
        Kind::Nsap => {
            let what = "`0x` and hexadecimal digits, dots allowed between";
            out.extend(fields.parse(name, what, address::nsap)?);
        }
        Kind::Services => services::read(fields, out)?,
        Kind::Loc => loc::read(fields, out)?,
        Kind::AddressPrefixes => address::read_prefixes(fields, out)?,
        Kind::IpsecGateway => gateway::read_ipsec(fields, out)?,
        Kind::AmtRelay => gateway::read_amt(fields, out)?,
        Kind::HostIdentity => gateway::read_hip(fields, out)?,
        Kind::SvcParams => svcb::read(fields, out)?,
    }
    Ok(())
}

/// Reads `\# LENGTH HEX` (RFC 3597 §5), whose `marker` has been read.
pub(super) fn generic(
    fields: &mut Fields<'_, '_>,
    marker: Token,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let len: u16 = number(fields, "length")?;
    let first = fields.next()?;
    if let Some(first) = first {
        fields.lexer.unread(first);
        hex(fields, "data", out)?;
    }
    let place = first.unwrap_or(marker);
    if out.len() != usize::from(len) {
        let message = format!(r"`\#` announces {len} octets, but {} follow", out.len());
        return Err(fields.lexer.fault(place, message).into());
    }
    check_wire(fields.rtype, out).map_err(|field| {
        let message = format!("these octets are no data of type {}", fields.rtype);
        fields.lexer.fault(place, message).label(format!("the {field} is not well-formed")).into()
    })
}

/// Digits alone; no sign.
pub(super) fn digits<T: TryFrom<u32>>(text: &str) -> Option<T> {
    let is_number = text.starts_with(|first: char| first.is_ascii_digit());
    T::try_from(is_number.then(|| text.parse().ok())??).ok()
}

pub(super) fn number<T: TryFrom<u32>>(fields: &mut Fields<'_, '_>, name: &str) -> Result<T, Fault> {
    let what = match size_of::<T>() {
        1 => "a number up to 255",
        2 => "a number up to 65535",
        _ => "a number up to 4294967295",
    };
    fields.parse(name, what, digits)
}

pub(super) fn mnemonic<T: TryFrom<u16> + TryFrom<u32>>(
    known: &[(&str, u16)],
    text: &str,
) -> Option<T> {
    let named = known.iter().find(|(mnemonic, _)| mnemonic.eq_ignore_ascii_case(text));
    named.map_or_else(|| digits(text), |(_, number)| T::try_from(*number).ok())
}

pub(super) fn is_tag(text: &str) -> bool {
    (1..=CHAR_STRING_LEN_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Appends `token`'s text without its escapes.
fn unescape(
    fields: &Fields<'_, '_>,
    token: Token,
    name: &str,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    text::unescape(fields.lexer.text(token), out).map_err(|text::EscapeError| {
        let what = r"a character or three digits up to 255 behind each `\`";
        fields.bad(token, name, what).into()
    })
}

fn char_string(
    fields: &Fields<'_, '_>,
    token: Token,
    name: &str,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let count_at = out.len();
    out.push(0);
    unescape(fields, token, name, out)?;
    let len = out.len() - count_at - 1;
    out[count_at] = u8::try_from(len).map_err(|_| {
        let message = format!("{} record: a string of {len} octets", fields.rtype);
        let fault = fields.lexer.fault(token, message).label("expected at most 255");
        fault.hint("split it: `\"first part\" \"second part\"`")
    })?;
    Ok(())
}

fn char_strings(fields: &mut Fields<'_, '_>, name: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let first = fields.required(name, "at least one string")?;
    char_string(fields, first, name, out)?;
    while let Some(token) = fields.next()? {
        char_string(fields, token, name, out)?;
    }
    Ok(())
}

/// `octets` with their count, which must be below 256.
fn counted(octets: Vec<u8>) -> Option<(u8, Vec<u8>)> {
    Some((u8::try_from(octets.len()).ok()?, octets))
}

fn push_counted((count, octets): (u8, Vec<u8>), out: &mut Vec<u8>) {
    out.push(count);
    out.extend(octets);
}

/// The rest in hexadecimal; blanks may stand anywhere, even between the digits of an octet.
fn hex(fields: &mut Fields<'_, '_>, name: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    const WHAT: &str = "hexadecimal digits, two an octet";
    let start = out.len();
    let mut token = fields.required(name, WHAT)?;
    let mut half = None;
    loop {
        for byte in fields.lexer.text(token).bytes() {
            let digit = text::hex_digit(byte).ok_or_else(|| fields.bad(token, name, WHAT))?;
            half = match half {
                Some(high) => {
                    out.push(high << 4 | digit);
                    None
                }
                None => Some(digit),
            };
        }
        match fields.next()? {
            Some(next) => token = next,
            None if half.is_some() || out.len() == start => {
                let fault = fields.bad(token, name, WHAT);
                return Err(fault.label("expected an even number of hexadecimal digits").into());
            }
            None => return Ok(()),
        }
    }
}

/// The rest in base 64; blanks may stand anywhere.
fn base64(fields: &mut Fields<'_, '_>, name: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    const WHAT: &str = "base 64";
    let start = out.len();
    let mut token = fields.required(name, WHAT)?;
    let mut decoder = Base64::default();
    loop {
        if decoder.push(fields.lexer.text(token), out).is_err() {
            return Err(fields.bad(token, name, WHAT).into());
        }
        match fields.next()? {
            Some(next) => token = next,
            None if !decoder.is_complete() || out.len() == start => {
                let fault = fields.bad(token, name, WHAT);
                return Err(fault
                    .label("the base 64 is cut off: `=` at its end is missing")
                    .into());
            }
            None => return Ok(()),
        }
    }
}
