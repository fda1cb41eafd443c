//! Fields from wire form to presentation form.
//!
//! Printing a field is also how its wire form is checked: what cannot be printed is not
//! well-formed.

use std::fmt::{Display, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::model::{Name, RecordType};

use super::parse::{CERT_TYPES, SCHEMES, is_tag};
use super::{Kind, address, bitmap, gateway, loc, services, svcb, text};

/// The wire form is not that of the field.
pub(super) struct Malformed;

/// Wire data that has not been read yet.
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[octet]| octet)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Octets behind their count.
    pub(super) fn counted(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u8()?;
        self.take(len.into())
    }

    pub(super) fn name(&mut self) -> Result<Name, Malformed> {
        let (name, len) = Name::from_wire(self.0).map_err(|_| Malformed)?;
        self.take(len)?;
        Ok(name)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// All that is left, which must be something.
    pub(super) fn some_rest(&mut self) -> Result<&'a [u8], Malformed> {
        if self.0.is_empty() { Err(Malformed) } else { Ok(self.rest()) }
    }
}

/// Words with a blank between.
#[derive(Default)]
pub(super) struct Printer {
    pub(super) text: String,
}

impl Printer {
    pub(super) fn word(&mut self, word: impl Display) {
        let blank = if self.text.is_empty() { "" } else { " " };
        write!(self.text, "{blank}{word}").expect("a String takes all");
    }
}

/// Prints one field (or the rest of them, as its kind says).
pub(super) fn field(
    kind: Kind,
    wire: &mut Wire<'_>,
    printer: &mut Printer,
) -> Result<(), Malformed> {
    match kind {
        Kind::CompressibleName | Kind::Name => printer.word(wire.name()?),
        Kind::U8 | Kind::Algorithm => printer.word(wire.u8()?),
        Kind::U16 => printer.word(wire.u16()?),
        Kind::U32 | Kind::Period => printer.word(wire.u32()?),
        Kind::U64 => printer.word(u64::from_be_bytes(wire.array()?)),
        Kind::Ipv4 => printer.word(Ipv4Addr::from(wire.array()?)),
        Kind::Ipv6 => printer.word(Ipv6Addr::from(wire.array()?)),
        Kind::CharString => printer.word(text::quoted(wire.counted()?)),
        Kind::OptionalCharString => {
            if !wire.0.is_empty() {
                printer.word(text::quoted(wire.counted()?));
            }
        }
        Kind::CharStrings => {
            printer.word(text::quoted(wire.counted()?));
            while !wire.0.is_empty() {
                printer.word(text::quoted(wire.counted()?));
            }
        }
        Kind::Text => printer.word(text::quoted(wire.rest())),
        Kind::Tag => {
            let tag = str::from_utf8(wire.counted()?).map_err(|_| Malformed)?;
            printer.word(is_tag(tag).then_some(tag).ok_or(Malformed)?);
        }
        Kind::Hex => printer.word(text::to_hex(wire.some_rest()?)),
        Kind::Base64 => printer.word(text::to_base64(wire.some_rest()?)),
        Kind::OptionalBase64 => {
            if !wire.0.is_empty() {
                printer.word(text::to_base64(wire.rest()));
            }
        }
        Kind::DashedBase64 => match wire.rest() {
            [] => printer.word("-"),
            data => printer.word(text::to_base64(data)),
        },
        Kind::Salt => match wire.counted()? {
            [] => printer.word("-"),
            salt => printer.word(text::to_hex(salt)),
        },
        Kind::Hash => match wire.counted()? {
            [] => return Err(Malformed),
            hash => printer.word(text::to_base32hex(hash)),
        },
        Kind::TypeBitmap => bitmap::print(wire, printer)?,
        Kind::Type => printer.word(RecordType(wire.u16()?)),
        Kind::CertType => mnemonic(wire.u16()?, CERT_TYPES, printer),
        Kind::Scheme => mnemonic(wire.u8()?.into(), SCHEMES, printer),
        Kind::Moment => printer.word(text::to_moment(wire.u32()?)),
        Kind::Locator64 => printer.word(address::locator64_text(wire.array()?)),
        Kind::Eui48 => printer.word(address::eui_text(&wire.array::<6>()?)),
        Kind::Eui64 => printer.word(address::eui_text(&wire.array::<8>()?)),
        Kind::Nsap => printer.word(format!("0x{}", text::to_hex(wire.some_rest()?))),
        Kind::Services => services::print(wire, printer)?,
        Kind::Loc => loc::print(wire, printer)?,
        Kind::AddressPrefixes => address::print_prefixes(wire, printer)?,
        Kind::IpsecGateway => gateway::print_ipsec(wire, printer)?,
        Kind::AmtRelay => gateway::print_amt(wire, printer)?,
        Kind::HostIdentity => gateway::print_hip(wire, printer)?,
        Kind::SvcParams => svcb::print(wire, printer)?,
    }
    Ok(())
}

fn mnemonic(number: u16, known: &[(&str, u16)], printer: &mut Printer) {
    match known.iter().find(|(_, known)| *known == number) {
        Some((mnemonic, _)) => printer.word(mnemonic),
        None => printer.word(number),
    }
}
