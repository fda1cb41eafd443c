//! Domain names.
//!
//! A [`Name`] is a fully qualified name in uncompressed wire form (RFC 1035 §3.1), its case kept as
//! written. Names compare, hash and order as DNS says: ASCII case does not count (RFC 4343), and the
//! order is the canonical one of RFC 4034 §6.1, in which a name comes right before what lies below it.
//! Compression is not its business; that is `dns`.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Octets that a name may have in wire form, the root label included (RFC 1035 §3.1).
pub const NAME_LEN_MAX: usize = 255;
/// Octets that a label may have.
pub const LABEL_LEN_MAX: usize = 63;

/// A fully qualified domain name.
#[derive(Clone)]
pub struct Name {
    wire: Box<[u8]>,
}

/// Why a text or wire form is not a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// A label without octets (`a..b`).
    EmptyLabel,
    /// A label of more than 63 octets.
    LabelTooLong,
    /// A name of more than 255 octets.
    NameTooLong,
    /// A `\` that is followed by neither a character nor a number up to 255 in three digits.
    Escape,
    /// The wire form ends before the name does, or holds a compression pointer.
    Truncated,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyLabel => "a label is empty",
            Self::LabelTooLong => "a label is longer than 63 octets",
            Self::NameTooLong => "the name is longer than 255 octets",
            Self::Escape => "a `\\` must be followed by a character or three digits up to 255",
            Self::Truncated => "the name is cut off",
        })
    }
}

impl Name {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self { wire: Box::new([0]) }
    }

    /// Reads presentation form (RFC 1035 §5.1). A name without a dot at its end is completed with
    /// `origin`; `@` alone is `origin`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, origin: &Self) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        Self::parse_into(text, origin, &mut wire)?;
        Ok(Self { wire: wire.into() })
    }

    /// Reads presentation form as [`parse`](Self::parse) does and appends the wire form to `out`,
    /// so that a reader of many names allocates none of them.
    ///
    /// # Errors
    /// What is wrong with the text. What was appended until then means nothing.
    pub fn parse_into(text: &str, origin: &Self, out: &mut Vec<u8>) -> Result<(), NameError> {
        match text {
            "@" => out.extend_from_slice(&origin.wire),
            "." => out.push(0),
            _ => {
                let start = out.len();
                if !push_labels(text, out)? {
                    out.extend_from_slice(&origin.wire);
                }
                if out.len() - start > NAME_LEN_MAX {
                    return Err(NameError::NameTooLong);
                }
            }
        }
        Ok(())
    }

    /// Reads an uncompressed name at the start of `bytes`; returns it and the octets it took.
    ///
    /// # Errors
    /// When the name is too long, cut off, or compressed.
    pub fn from_wire(bytes: &[u8]) -> Result<(Self, usize), NameError> {
        let mut at = 0;
        loop {
            let len = usize::from(*bytes.get(at).ok_or(NameError::Truncated)?);
            if len > LABEL_LEN_MAX {
                return Err(NameError::Truncated);
            }
            at += 1 + len;
            if at > NAME_LEN_MAX {
                return Err(NameError::NameTooLong);
            }
            if len == 0 {
                let wire = bytes.get(..at).ok_or(NameError::Truncated)?;
                return Ok((Self { wire: wire.into() }, at));
            }
        }
    }

    /// The uncompressed wire form, case kept.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// The labels from the left, without the root's empty one.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        Labels { rest: &self.wire }
    }

    /// How many labels it has, the root's not counted.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether it is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.wire.len() == 1
    }

    /// Whether its first label is `*` (RFC 4592).
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// The name without its first label; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let len = usize::from(self.wire[0]);
        (len != 0).then(|| Self { wire: self.wire[1 + len..].into() })
    }

    /// Whether it is `ancestor` or lies below it.
    #[must_use]
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        let Some(start) = self.wire.len().checked_sub(ancestor.wire.len()) else { return false };
        let mut at = 0;
        while at < start {
            at += 1 + usize::from(self.wire[at]);
        }
        at == start && self.wire[start..].eq_ignore_ascii_case(&ancestor.wire)
    }

    /// The wildcard right below it: `*.self`; `None` when that would be too long.
    #[must_use]
    pub fn wildcard_below(&self) -> Option<Self> {
        let wire = [b"\x01*", &*self.wire].concat();
        (wire.len() <= NAME_LEN_MAX).then(|| Self { wire: wire.into() })
    }

    /// The same name in lower case.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        Self { wire: self.wire.to_ascii_lowercase().into() }
    }
}

struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.rest.split_first()?;
        if len == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(len));
        self.rest = rest;
        Some(label)
    }
}

/// Appends the labels of `text`, and the root's if there is a dot at the end; returns whether there
/// was.
fn push_labels(text: &str, out: &mut Vec<u8>) -> Result<bool, NameError> {
    let mut bytes = text.bytes();
    let mut is_absolute = false;
    let mut label_at = out.len();
    out.push(0);
    while let Some(byte) = bytes.next() {
        is_absolute = byte == b'.';
        match byte {
            b'.' => {
                close_label(label_at, out)?;
                label_at = out.len();
                out.push(0);
            }
            b'\\' => out.push(unescape(&mut bytes)?),
            _ => out.push(byte),
        }
    }
    if !is_absolute {
        close_label(label_at, out)?;
    }
    Ok(is_absolute)
}

/// Writes the length of the label that was begun at `label_at` and ends with `out`.
fn close_label(label_at: usize, out: &mut [u8]) -> Result<(), NameError> {
    match out.len() - label_at - 1 {
        0 => Err(NameError::EmptyLabel),
        len @ 1..=LABEL_LEN_MAX => {
            out[label_at] = u8::try_from(len).expect("a label has at most 63 octets");
            Ok(())
        }
        _ => Err(NameError::LabelTooLong),
    }
}

/// What follows a `\`: any character for itself, or three digits for an octet.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::Escape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::Escape)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::Escape)
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads presentation form; a name without a dot at its end is taken as complete.
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text, &Self::root())
    }
}

/// Presentation form with a dot at the end; what is not printable is escaped (RFC 1035 §5.1).
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_char('.');
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(byte))?;
                    }
                    b'!'..=b'~' => f.write_char(char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // Label lengths are below 64, so folding the case of `A`–`Z` never touches one.
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in &self.wire {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The canonical order of RFC 4034 §6.1: label by label from the right.
impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let mut own = LabelStarts::of(&self.wire);
        let mut others = LabelStarts::of(&other.wire);
        loop {
            let (own, other) = match (own.pop(&self.wire), others.pop(&other.wire)) {
                (None, None) => return Ordering::Equal,
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (Some(own), Some(other)) => (own, other),
            };
            let folded = own.iter().map(u8::to_ascii_lowercase);
            match folded.cmp(other.iter().map(u8::to_ascii_lowercase)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
    }
}

/// Where the labels of a name start, so that they can be walked from the right.
struct LabelStarts {
    starts: [u8; 127], // 255 octets hold no more labels than that.
    count: usize,
}

impl LabelStarts {
    fn of(wire: &[u8]) -> Self {
        let mut starts = Self { starts: [0; 127], count: 0 };
        let mut at = 0_u8;
        while wire[usize::from(at)] != 0 {
            starts.starts[starts.count] = at;
            starts.count += 1;
            at += 1 + wire[usize::from(at)];
        }
        starts
    }

    fn pop<'a>(&mut self, wire: &'a [u8]) -> Option<&'a [u8]> {
        self.count = self.count.checked_sub(1)?;
        let start = usize::from(self.starts[self.count]);
        let len = usize::from(wire[start]);
        Some(&wire[start + 1..start + 1 + len])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_parse_and_print() {
        let origin = name("example.com.");
        let cases = [
            ("www", "www.example.com."),
            ("www.", "www."),
            ("@", "example.com."),
            (".", "."),
            ("*.a", "*.a.example.com."),
            (r"a\.b", r"a\.b.example.com."),
            (r"a\032b", r"a\032b.example.com."),
            (r"\065", "A.example.com."),
            (r"tab\009.", r"tab\009."),
        ];
        for (text, printed) in cases {
            assert_eq!(Name::parse(text, &origin).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn broken_names_say_what_is_wrong() {
        let long_label = "a".repeat(64);
        let long_name = "abcdefg.".repeat(32);
        let cases = [
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("", NameError::EmptyLabel),
            (long_label.as_str(), NameError::LabelTooLong),
            (long_name.as_str(), NameError::NameTooLong),
            (r"a\", NameError::Escape),
            (r"a\25", NameError::Escape),
            (r"a\256", NameError::Escape),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_canonical_order_is_that_of_rfc_4034() {
        // RFC 4034 §6.1's own example.
        let ordered = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        for pair in ordered.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn case_does_not_count_and_ancestry_goes_by_label() {
        assert_eq!(name("WWW.Example.COM."), name("www.example.com."));
        assert!(name("a.b.example.com.").is_at_or_below(&name("B.example.com.")));
        assert!(name("example.com.").is_at_or_below(&name("example.com.")));
        assert!(!name("ab.example.com.").is_at_or_below(&name("b.example.com.")));
        assert!(!name("com.").is_at_or_below(&name("example.com.")));
        assert_eq!(name("a.b.").parent(), Some(name("b.")));
        assert_eq!(Name::root().parent(), None);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trips(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)
        ) {
            let mut wire = Vec::new();
            for label in &labels {
                wire.push(u8::try_from(label.len()).unwrap());
                wire.extend_from_slice(label);
            }
            wire.push(0);
            let (parsed, used) = Name::from_wire(&wire).unwrap();
            prop_assert_eq!(used, wire.len());
            let again: Name = parsed.to_string().parse().unwrap();
            prop_assert_eq!(again.as_wire(), &wire[..]);
        }

        #[test]
        fn any_octets_are_a_name_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok((parsed, used)) = Name::from_wire(&bytes) {
                prop_assert!(used <= NAME_LEN_MAX);
                prop_assert_eq!(parsed.as_wire(), &bytes[..used]);
            }
        }
    }
}
