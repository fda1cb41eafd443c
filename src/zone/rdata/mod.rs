//! Record data: from presentation form to wire form and back.
//!
//! Every type is a row of `layout`: its fields' names and kinds. Reading (`read`), printing
//! (`to_text`) and checking wire data walk the same row, so they cannot disagree. Kinds that more
//! than one type has are in `parse` and `print`; the odd ones have a file each. Owners, TTLs
//! and files are the business of `master`.

mod address;
mod bitmap;
mod fields;
mod gateway;
mod loc;
mod parse;
mod print;
mod services;
mod svcb;
mod text;

use crate::model::{Diagnostic, Name, RecordType, Span};

use super::lexer::{Fault, Lexer, TokenKind};
pub(super) use fields::Fields;
use print::{Malformed, Printer, Wire};

/// Octets that the data of a record may have.
const RDATA_LEN_MAX: usize = 65_535;

/// A field of a type: what it is called in messages, and what it is.
type Field = (&'static str, Kind);

/// What a field is in both forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A name that messages may compress (RFC 3597 §4).
    CompressibleName,
    /// One that they may not.
    Name,
    U8,
    U16,
    U32,
    U64,
    /// Seconds in 32 bits, with units allowed.
    Period,
    Ipv4,
    Ipv6,
    /// At most 255 octets behind their count.
    CharString,
    /// One, or none at the end.
    OptionalCharString,
    /// At least one, up to the end.
    CharStrings,
    /// The rest of the data as one string.
    Text,
    /// The tag of CAA (RFC 8659 §4.1): letters and digits.
    Tag,
    /// The rest in hexadecimal; at least one octet.
    Hex,
    /// The rest in base 64; at least one octet.
    Base64,
    /// The rest in base 64; perhaps nothing.
    OptionalBase64,
    /// The rest in base 64; `-` for nothing.
    DashedBase64,
    /// Hexadecimal behind a count; `-` for none (RFC 5155 §3.3).
    Salt,
    /// Base 32 with extended hex behind a count (RFC 5155 §3.3).
    Hash,
    /// The rest as types (RFC 4034 §4.1.2).
    TypeBitmap,
    /// A type in 16 bits.
    Type,
    /// A DNSSEC algorithm: a number or mnemonic in 8 bits.
    Algorithm,
    /// A kind of certificate: a number or mnemonic in 16 bits.
    CertType,
    /// A scheme of DSYNC: a number or mnemonic in 8 bits.
    Scheme,
    /// A moment in 32 bits (RFC 4034 §3.2).
    Moment,
    /// Four groups of 16 bits (RFC 6742 §2.1).
    Locator64,
    Eui48,
    Eui64,
    /// `0x` and hexadecimal with dots between (RFC 1706).
    Nsap,
    /// All of WKS behind its address.
    Services,
    /// All of LOC.
    Loc,
    /// All of APL.
    AddressPrefixes,
    /// All of IPSECKEY behind its precedence.
    IpsecGateway,
    /// All of AMTRELAY behind its precedence.
    AmtRelay,
    /// All of HIP.
    HostIdentity,
    /// The rest as service parameters (RFC 9460 §2.1).
    SvcParams,
}

/// The fields of a type, in the order of both forms; `None` for a type that is only known as `\#`.
const fn layout(rtype: RecordType) -> Option<&'static [Field]> {
    use Kind::*;
    Some(match rtype {
        RecordType::A => &[("address", Ipv4)],
        RecordType::AAAA => &[("address", Ipv6)],
        RecordType::NS
        | RecordType::MD
        | RecordType::MF
        | RecordType::CNAME
        | RecordType::MB
        | RecordType::MG
        | RecordType::MR
        | RecordType::PTR => &[("target", CompressibleName)],
        RecordType::DNAME | RecordType::NSAP_PTR => &[("target", Name)],
        RecordType::SOA => &[
            ("primary server", CompressibleName),
            ("mailbox", CompressibleName),
            ("serial", U32),
            ("refresh time", Period),
            ("retry time", Period),
            ("expire time", Period),
            ("minimum", Period),
        ],
        RecordType::WKS => &[("address", Ipv4), ("services", Services)],
        RecordType::HINFO => &[("CPU", CharString), ("operating system", CharString)],
        RecordType::MINFO => {
            &[("mailbox", CompressibleName), ("mailbox for errors", CompressibleName)]
        }
        RecordType::MX => &[("preference", U16), ("exchange", CompressibleName)],
        RecordType::TXT
        | RecordType::SPF
        | RecordType::NINFO
        | RecordType::AVC
        | RecordType::WALLET
        | RecordType::RESINFO
        | RecordType::CLA => &[("text", CharStrings)],
        RecordType::RP => &[("mailbox", Name), ("name with text", Name)],
        RecordType::AFSDB => &[("subtype", U16), ("host", Name)],
        RecordType::RT => &[("preference", U16), ("host", Name)],
        RecordType::KX => &[("preference", U16), ("exchanger", Name)],
        RecordType::LP => &[("preference", U16), ("target", Name)],
        RecordType::PX => &[("preference", U16), ("RFC 822 name", Name), ("X.400 name", Name)],
        RecordType::X25 => &[("address", CharString)],
        RecordType::ISDN => &[("address", CharString), ("subaddress", OptionalCharString)],
        RecordType::NSAP => &[("address", Nsap)],
        RecordType::GPOS => {
            &[("longitude", CharString), ("latitude", CharString), ("altitude", CharString)]
        }
        RecordType::LOC => &[("location", Loc)],
        RecordType::EID | RecordType::NIMLOC => &[("data", Hex)],
        RecordType::SRV => &[("priority", U16), ("weight", U16), ("port", U16), ("target", Name)],
        RecordType::NAPTR => &[
            ("order", U16),
            ("preference", U16),
            ("flags", CharString),
            ("services", CharString),
            ("regular expression", CharString),
            ("replacement", Name),
        ],
        RecordType::CERT => &[
            ("type", CertType),
            ("key tag", U16),
            ("algorithm", Algorithm),
            ("certificate", Base64),
        ],
        RecordType::APL => &[("prefixes", AddressPrefixes)],
        RecordType::DS | RecordType::CDS | RecordType::DLV | RecordType::TA => {
            &[("key tag", U16), ("algorithm", Algorithm), ("digest type", U8), ("digest", Hex)]
        }
        RecordType::SSHFP => &[("algorithm", U8), ("fingerprint type", U8), ("fingerprint", Hex)],
        RecordType::IPSECKEY => &[("precedence", U8), ("gateway", IpsecGateway)],
        RecordType::AMTRELAY => &[("precedence", U8), ("relay", AmtRelay)],
        RecordType::SIG | RecordType::RRSIG => &[
            ("type covered", Type),
            ("algorithm", Algorithm),
            ("label count", U8),
            ("original TTL", Period),
            ("expiration", Moment),
            ("inception", Moment),
            ("key tag", U16),
            ("signer", Name),
            ("signature", Base64),
        ],
        RecordType::NSEC => &[("next name", Name), ("types", TypeBitmap)],
        RecordType::KEY | RecordType::RKEY => {
            &[("flags", U16), ("protocol", U8), ("algorithm", Algorithm), ("key", OptionalBase64)]
        }
        RecordType::DNSKEY | RecordType::CDNSKEY => {
            &[("flags", U16), ("protocol", U8), ("algorithm", Algorithm), ("key", Base64)]
        }
        RecordType::DHCID | RecordType::OPENPGPKEY | RecordType::HHIT | RecordType::BRID => {
            &[("data", Base64)]
        }
        RecordType::NSEC3 => &[
            ("hash algorithm", U8),
            ("flags", U8),
            ("iterations", U16),
            ("salt", Salt),
            ("next hash", Hash),
            ("types", TypeBitmap),
        ],
        RecordType::NSEC3PARAM => {
            &[("hash algorithm", U8), ("flags", U8), ("iterations", U16), ("salt", Salt)]
        }
        RecordType::TLSA | RecordType::SMIMEA => {
            &[("usage", U8), ("selector", U8), ("matching type", U8), ("certificate data", Hex)]
        }
        RecordType::HIP => &[("host identity", HostIdentity)],
        RecordType::TALINK => &[("previous name", Name), ("next name", Name)],
        RecordType::CSYNC => &[("serial", U32), ("flags", U16), ("types", TypeBitmap)],
        RecordType::ZONEMD => {
            &[("serial", U32), ("scheme", U8), ("hash algorithm", U8), ("digest", Hex)]
        }
        RecordType::SVCB | RecordType::HTTPS => {
            &[("priority", U16), ("target", Name), ("parameters", SvcParams)]
        }
        RecordType::DSYNC => &[("type", Type), ("scheme", Scheme), ("port", U16), ("target", Name)],
        RecordType::NID => &[("preference", U16), ("node id", Locator64)],
        RecordType::L32 => &[("preference", U16), ("locator", Ipv4)],
        RecordType::L64 => &[("preference", U16), ("locator", Locator64)],
        RecordType::EUI48 => &[("address", Eui48)],
        RecordType::EUI64 => &[("address", Eui64)],
        RecordType::URI => &[("priority", U16), ("weight", U16), ("target", Text)],
        RecordType::IPN => &[("node number", U64)],
        RecordType::DOA => &[
            ("enterprise", U32),
            ("type", U32),
            ("location", U8),
            ("media type", CharString),
            ("data", DashedBase64),
        ],
        RecordType::SINK => {
            &[("meaning", U8), ("coding", U8), ("subcoding", U8), ("data", OptionalBase64)]
        }
        RecordType::CAA => &[("flags", U8), ("tag", Tag), ("value", Text)],
        _ => return None,
    })
}

/// Reads the data of a record of type `fields.rtype` up to the end of the entry; appends its wire
/// form to `out`, which is empty.
pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let first = fields.lexer.token()?;
    if first.kind == TokenKind::Word && fields.lexer.text(first) == r"\#" {
        return parse::generic(fields, first, out);
    }
    let Some(layout) = layout(fields.rtype) else {
        let message = format!("data of type {} has no text form here", fields.rtype);
        let fault = fields.lexer.fault(first, message).label("expected `\\# LENGTH HEX`");
        return Err(fault.hint("write the octets in hexadecimal as RFC 3597 §5 says").into());
    };
    fields.lexer.unread(first);
    for &field in layout {
        parse::field(fields, field, out)?;
    }
    fields.end()?;
    if out.len() > RDATA_LEN_MAX {
        let message = format!("the data has {} octets; a record holds 65,535", out.len());
        return Err(fields.lexer.fault(first, message).into());
    }
    Ok(())
}

/// The wire form of data that stands by itself in a line of presentation form. Relative names in it are
/// completed with `origin`.
///
/// # Errors
/// What is wrong with it, at `place`.
pub fn rdata_from_text(
    rtype: RecordType,
    text: &str,
    origin: &Name,
    place: Span,
) -> Result<Vec<u8>, Box<Diagnostic>> {
    let mut lexer = Lexer::of_generated(text, place);
    let mut out = Vec::new();
    read(&mut Fields { lexer: &mut lexer, origin, rtype }, &mut out)?;
    match lexer.next_entry() {
        None => Ok(out),
        Some(_) => {
            let message = format!("{rtype} record: the data goes on in another line");
            Err(Diagnostic::error(place, message).into())
        }
    }
}

/// The presentation form of `rdata`; `\# LENGTH HEX` (RFC 3597 §5) when the type has none here or
/// the data is not well-formed.
#[must_use]
pub fn rdata_to_text(rtype: RecordType, rdata: &[u8]) -> String {
    match layout(rtype).map(|layout| to_text(layout, rdata)) {
        Some(Ok(text)) => text,
        Some(Err(_)) | None if rdata.is_empty() => r"\# 0".into(),
        Some(Err(_)) | None => format!(r"\# {} {}", rdata.len(), text::to_hex(rdata)),
    }
}

/// Checks that `rdata` is the wire form of such a record; anything is when the type has no text
/// form here.
///
/// # Errors
/// What the first field is called that is not well-formed.
pub fn check_wire(rtype: RecordType, rdata: &[u8]) -> Result<(), &'static str> {
    layout(rtype).map_or(Ok(()), |layout| to_text(layout, rdata).map(drop))
}

/// Prints all fields, or says which one is malformed.
fn to_text(layout: &[Field], rdata: &[u8]) -> Result<String, &'static str> {
    let mut wire = Wire(rdata);
    let mut printer = Printer::default();
    for &(name, kind) in layout {
        print::field(kind, &mut wire, &mut printer).map_err(|Malformed| name)?;
    }
    let (last, _) = layout[layout.len() - 1];
    if wire.0.is_empty() { Ok(printer.text) } else { Err(last) }
}

/// Octets before the first name that a message may compress in rdata of that type, and how many such
/// names follow one another. Only the types of RFC 1035 have any (RFC 3597 §4).
#[must_use]
pub fn compressible(rtype: RecordType) -> (usize, usize) {
    let fields = layout(rtype).unwrap_or_default();
    let numbers = fields.iter().take_while(|(_, kind)| *kind == Kind::U16).count();
    let names = fields[numbers..].iter();
    match names.take_while(|(_, kind)| *kind == Kind::CompressibleName).count() {
        0 => (0, 0),
        names => (2 * numbers, names),
    }
}

/// Mnemonics of the types whose data has a text form here, for hints.
pub(super) fn types_with_text() -> impl Iterator<Item = &'static str> {
    RecordType::named().filter(|(_, rtype)| layout(*rtype).is_some()).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_with_a_text_form_has_a_mnemonic_to_hint_at() {
        let all = (0..=u16::MAX).map(RecordType).filter(|rtype| layout(*rtype).is_some());
        let all: Vec<_> = all.map(|rtype| rtype.to_string()).collect();
        assert_eq!(types_with_text().collect::<Vec<_>>(), all);
    }
}
