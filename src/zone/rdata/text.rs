//! How octets are written: escapes, hexadecimal, base 64, base 32, and moments.

use std::fmt::Write as _;

/// A `\` that is followed by neither a character nor three digits up to 255.
pub(super) struct EscapeError;

/// Appends `text` to `out` with its escapes (`\X`, `\DDD`) undone (RFC 1035 §5.1).
pub(super) fn unescape(text: &str, out: &mut Vec<u8>) -> Result<(), EscapeError> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let first = *rest.first().ok_or(EscapeError)?;
        if first.is_ascii_digit() {
            let digits = rest.get(..3).ok_or(EscapeError)?;
            let digits = str::from_utf8(digits).map_err(|_| EscapeError)?;
            out.push(super::parse::digits(digits).ok_or(EscapeError)?);
            rest = &rest[3..];
        } else {
            out.push(first);
            rest = &rest[1..];
        }
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// `octets` as a quoted string.
pub(super) fn quoted(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() + 2);
    text.push('"');
    for &byte in octets {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\{byte:03}").expect("a String takes all"),
        }
    }
    text.push('"');
    text
}

// ---- Hexadecimal ----

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Octets of two digits each; `None` when the text is anything else.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let octet = |pair: &[u8]| match pair {
        [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(octet).collect()
}

/// Upper case, as in RFC 4034's examples.
pub(super) fn to_hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        write!(text, "{octet:02X}").expect("a String takes all");
        text
    })
}

// ---- Base 64 (RFC 4648 §4) ----

const BASE64_ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Not base 64.
pub(super) struct Base64Error;

/// Decodes base 64 that comes in pieces.
#[derive(Default)]
pub(super) struct Base64 {
    bits: u32,
    /// Characters of the group at hand, padding included: 0..=4.
    count: u8,
    padding: u8,
}

impl Base64 {
    /// Appends what `text` adds to `out`.
    pub(super) fn push(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Base64Error> {
        for byte in text.bytes() {
            if byte == b'=' {
                // Only the last one or two of four characters can be padding.
                if self.count < 2 {
                    return Err(Base64Error);
                }
                self.padding += 1;
                self.bits <<= 6;
            } else if self.padding > 0 {
                return Err(Base64Error);
            } else {
                self.bits = self.bits << 6 | base64_digit(byte).ok_or(Base64Error)?;
            }
            self.count += 1;
            if self.count == 4 {
                self.close_group(out)?;
            }
        }
        Ok(())
    }

    fn close_group(&mut self, out: &mut Vec<u8>) -> Result<(), Base64Error> {
        let [_, octets @ ..] = self.bits.to_be_bytes();
        let (octets, unused) = octets.split_at(3 - usize::from(self.padding));
        if unused.iter().any(|&octet| octet != 0) {
            return Err(Base64Error);
        }
        out.extend_from_slice(octets);
        *self = Self { padding: self.padding, ..Self::default() };
        Ok(())
    }

    /// Whether the text may end here.
    pub(super) const fn is_complete(&self) -> bool {
        self.count == 0
    }
}

fn base64_digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// The octets of a whole text.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut decoder = Base64::default();
    decoder.push(text, &mut out).ok()?;
    decoder.is_complete().then_some(out)
}

pub(super) fn to_base64(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let octet = |index| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place > group.len() { '=' } else { BASE64_ALPHABET[digit].into() });
        }
    }
    text
}

// ---- Base 32 with extended hex alphabet (RFC 4648 §7), without padding ----

const BASE32_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// The octets of a text; `None` when it is not base 32, or empty.
pub(super) fn from_base32hex(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut bit_count) = (0_u32, 0_u32);
    for byte in text.bytes() {
        let digit = char::from(byte).to_digit(32)?;
        bits = bits << 5 | digit;
        bit_count += 5;
        if bit_count >= 8 {
            bit_count -= 8;
            let [.., octet] = (bits >> bit_count).to_be_bytes();
            out.push(octet);
        }
    }
    let unused = bits & ((1 << bit_count) - 1);
    let is_whole = bit_count < 5 && unused == 0 && !out.is_empty();
    is_whole.then_some(out)
}

pub(super) fn to_base32hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity((octets.len() * 8).div_ceil(5));
    let (mut bits, mut bit_count) = (0_u32, 0_u32);
    for &octet in octets {
        bits = bits << 8 | u32::from(octet);
        bit_count += 8;
        while bit_count >= 5 {
            bit_count -= 5;
            text.push(BASE32_ALPHABET[(bits >> bit_count & 31) as usize].into());
        }
    }
    if bit_count > 0 {
        text.push(BASE32_ALPHABET[(bits << (5 - bit_count) & 31) as usize].into());
    }
    text
}

// ---- Moments (RFC 4034 §3.2) ----

const DAY_SECS: u32 = 86_400;

/// `YYYYMMDDHHmmSS` up to the year 2106, or seconds since 1970.
pub(super) fn from_moment(text: &str) -> Option<u32> {
    if text.len() != 14 {
        return super::parse::digits(text);
    }
    let part =
        |range: std::ops::Range<usize>| -> Option<u32> { super::parse::digits(text.get(range)?) };
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..10)?, part(10..12)?, part(12..14)?);
    let is_date = (1970..=2106).contains(&year) && day >= 1 && day <= month_days(year, month)?;
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let months_before = (1..month).filter_map(|month| month_days(year, month)).sum::<u32>();
    let days = (1970..year).map(year_days).sum::<u32>() + months_before + day - 1;
    let secs = days.checked_mul(DAY_SECS)?;
    secs.checked_add(hour * 3600 + minute * 60 + second)
}

pub(super) fn to_moment(secs: u32) -> String {
    let (mut days, secs) = (secs / DAY_SECS, secs % DAY_SECS);
    let (mut year, mut month) = (1970, 1);
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    while let Some(len) = month_days(year, month).filter(|len| days >= *len) {
        days -= len;
        month += 1;
    }
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}{month:02}{:02}{hour:02}{minute:02}{second:02}", days + 1)
}

const fn year_days(year: u32) -> u32 {
    if is_leap(year) { 366 } else { 365 }
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn month_days(year: u32, month: u32) -> Option<u32> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap(year) { 29 } else { 28 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10.
    const VECTORS: [(&str, &str, &str); 6] = [
        ("f", "Zg==", "CO"),
        ("fo", "Zm8=", "CPNG"),
        ("foo", "Zm9v", "CPNMU"),
        ("foob", "Zm9vYg==", "CPNMUOG"),
        ("fooba", "Zm9vYmE=", "CPNMUOJ1"),
        ("foobar", "Zm9vYmFy", "CPNMUOJ1E8"),
    ];

    #[test]
    fn bases_are_those_of_rfc_4648() {
        for (plain, base64, base32) in VECTORS {
            assert_eq!(to_base64(plain.as_bytes()), base64);
            assert_eq!(from_base64(base64).as_deref(), Some(plain.as_bytes()));
            assert_eq!(to_base32hex(plain.as_bytes()), base32);
            assert_eq!(from_base32hex(base32).as_deref(), Some(plain.as_bytes()));
        }
        for broken in
            ["Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zg==Zg==", "Zm9=v", "Zm-v"]
        {
            assert_eq!(from_base64(broken), None, "{broken}");
        }
        for broken in ["", "C", "CP", "CPN", "CPNMUOJ1E", "CW"] {
            assert_eq!(from_base32hex(broken), None, "{broken}");
        }
    }

    #[test]
    fn moments_are_dates_or_seconds() {
        let cases = [
            (0, "19700101000000"),
            (951_782_400, "20000229000000"),
            (1_048_354_263, "20030322173103"),
            (u32::MAX, "21060207062815"),
        ];
        for (secs, date) in cases {
            assert_eq!(to_moment(secs), date);
            assert_eq!(from_moment(date), Some(secs));
            assert_eq!(from_moment(&secs.to_string()), Some(secs));
        }
        for broken in
            ["20230229000000", "20230100000000", "20230101240000", "21060207062816", "-1", ""]
        {
            assert_eq!(from_moment(broken), None, "{broken}");
        }
    }
}
