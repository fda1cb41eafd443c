//! Where in a JSON document one value is: the part of JSONPath (RFC 9535) that leads to one place.
//!
//! Names and indexes, so `$.stats.load`, `$['in flight'][0]`, `$.rooms[-1].load`. What selects many values
//! (wildcards, slices, filters, `..`) is refused with a reason.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// A path to one value: a "singular query" (RFC 9535 §2.3.5.1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct JsonPath(Vec<Segment>);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Segment {
    /// A member of an object.
    Name(String),
    /// An element of an array; a negative one counts from its end.
    Index(i64),
}

/// Why a text is not such a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadJsonPath(String);

impl fmt::Display for BadJsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadJsonPath {}

impl JsonPath {
    /// The value at this place, if there is one.
    #[must_use]
    pub fn find<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(document, |value, segment| match segment {
            Segment::Name(name) => value.as_object()?.get(name),
            Segment::Index(index) => {
                let list = value.as_array()?;
                let from_start = match usize::try_from(*index) {
                    Ok(index) => index,
                    Err(_) => {
                        list.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
                    }
                };
                list.get(from_start)
            }
        })
    }
}

impl FromStr for JsonPath {
    type Err = BadJsonPath;

    fn from_str(text: &str) -> Result<Self, BadJsonPath> {
        let rest = text.strip_prefix('$').ok_or_else(|| bad("it must begin with `$`"))?;
        let mut reader = Reader { rest };
        let mut segments = Vec::new();
        while !reader.rest.is_empty() {
            segments.push(reader.segment()?);
        }
        Ok(Self(segments))
    }
}

fn bad(reason: impl Into<String>) -> BadJsonPath {
    BadJsonPath(reason.into())
}

fn many(what: &str) -> BadJsonPath {
    bad(format!("{what} may select many values: one place is needed"))
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn segment(&mut self) -> Result<Segment, BadJsonPath> {
        if self.rest.starts_with("..") {
            return Err(many("`..`"));
        }
        if self.take(".") {
            return self.member();
        }
        if self.take("[") {
            self.skip_blank();
            let selected = self.selected()?;
            self.skip_blank();
            return match self.rest.chars().next() {
                Some(']') => {
                    self.rest = &self.rest[1..];
                    Ok(selected)
                }
                Some(',') => Err(many("a list of selectors")),
                Some(':') => Err(many("a slice")),
                Some(other) => Err(bad(format!("`]` is missing before `{other}`"))),
                None => Err(bad("`]` is missing at the end")),
            };
        }
        let next = self.rest.chars().next().unwrap_or_default();
        Err(bad(format!("`.` or `[` is missing before `{next}`")))
    }

    /// What follows a dot: a name without blanks and signs.
    fn member(&mut self) -> Result<Segment, BadJsonPath> {
        if self.rest.starts_with('*') {
            return Err(many("`*`"));
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
        let len = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(len);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad(
                "a name is missing behind `.`; others than of letters, digits and `_`, \
                            and those that begin with a digit, are written `['name']`",
            ));
        }
        self.rest = rest;
        Ok(Segment::Name(name.to_owned()))
    }

    fn selected(&mut self) -> Result<Segment, BadJsonPath> {
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                self.rest = &self.rest[1..];
                self.quoted(quote).map(Segment::Name)
            }
            Some('-' | '0'..='9') => self.index().map(Segment::Index),
            Some('*') => Err(many("`*`")),
            Some('?') => Err(many("a filter")),
            Some(':') => Err(many("a slice")),
            _ => Err(bad("an index or a quoted name is missing behind `[`")),
        }
    }

    fn index(&mut self) -> Result<i64, BadJsonPath> {
        let is_part = |c: char| c.is_ascii_digit() || c == '-';
        let len = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(len);
        self.rest = rest;
        let index: Option<i64> = text.parse().ok();
        // RFC 9535 §2.3.3.1: no leading zeros, no minus zero, within what JSON numbers hold exactly.
        index
            .filter(|index| index.to_string() == text && index.unsigned_abs() < 1 << 53)
            .ok_or_else(|| bad(format!("`{text}` is not an index")))
    }

    fn quoted(&mut self, quote: char) -> Result<String, BadJsonPath> {
        let mut name = String::new();
        loop {
            match self.next().ok_or_else(|| bad(format!("{quote} is missing at the end")))? {
                '\\' => name.push(self.escaped(quote)?),
                c if c == quote => return Ok(name),
                c if c < ' ' => return Err(bad("control characters must be escaped")),
                c => name.push(c),
            }
        }
    }

    fn escaped(&mut self, quote: char) -> Result<char, BadJsonPath> {
        Ok(match self.next().ok_or_else(|| bad("something is missing behind `\\`"))? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.code_point(),
            c @ ('/' | '\\') => c,
            c if c == quote => c,
            c => return Err(bad(format!("`\\{c}` is no escape"))),
        })
    }

    fn code_point(&mut self) -> Result<char, BadJsonPath> {
        let high = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.take("\\u") {
            let low = self.hex()?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400);
            low.map(|low| 0x10000 + ((high - 0xd800) << 10) + low)
        } else {
            Some(high)
        };
        code.and_then(char::from_u32).ok_or_else(|| bad("half a pair of surrogates"))
    }

    fn hex(&mut self) -> Result<u32, BadJsonPath> {
        let digits = self.rest.get(..4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits =
            digits.ok_or_else(|| bad("`\\u` must be followed by four hexadecimal digits"))?;
        let code = u32::from_str_radix(digits, 16).map_err(|error| bad(error.to_string()))?;
        self.rest = &self.rest[4..];
        Ok(code)
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

/// The normalized path (RFC 9535 §2.7): `$['stats'][0]`.
impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Index(index) => write!(f, "[{index}]"),
            Segment::Name(name) => {
                f.write_str("['")?;
                name.chars().try_for_each(|c| fmt_char(f, c))?;
                f.write_str("']")
            }
        })
    }
}

fn fmt_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\'' | '\\' => write!(f, "\\{c}"),
        c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c)),
        c => write!(f, "{c}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_their_value() {
        let document = json!({
            "load": 0.5,
            "rooms": [{ "load": 1 }, { "load": 2 }],
            "in flight": { "a'b": 3, "ü": 4, "\u{1f600}": 5 },
        });
        for (path, value) in [
            ("$.load", json!(0.5)),
            ("$.rooms[0].load", json!(1)),
            ("$['rooms'][-1]['load']", json!(2)),
            ("$[ \"in flight\" ]['a\\'b']", json!(3)),
            ("$['in flight'].ü", json!(4)),
            ("$['in\\u0020flight']['\\ud83d\\ude00']", json!(5)),
            ("$", document.clone()),
        ] {
            let path: JsonPath = path.parse().unwrap();
            assert_eq!(path.find(&document), Some(&value), "{path}");
        }
        for path in ["$.none", "$.load.x", "$.rooms[2]", "$.rooms[-3]", "$.rooms.load", "$[0]"] {
            assert_eq!(path.parse::<JsonPath>().unwrap().find(&document), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_to_one_value_is_refused_with_a_reason() {
        for (path, reason) in [
            ("", "it must begin with `$`"),
            ("load", "it must begin with `$`"),
            ("$load", "`.` or `[` is missing before `l`"),
            ("$..load", "`..` may select many values: one place is needed"),
            ("$.*", "`*` may select many values: one place is needed"),
            ("$[*]", "`*` may select many values: one place is needed"),
            ("$[0,1]", "a list of selectors may select many values: one place is needed"),
            ("$[0:1]", "a slice may select many values: one place is needed"),
            ("$[:]", "a slice may select many values: one place is needed"),
            ("$[?@.a]", "a filter may select many values: one place is needed"),
            ("$[01]", "`01` is not an index"),
            ("$[-0]", "`-0` is not an index"),
            ("$[99999999999999999999]", "`99999999999999999999` is not an index"),
            ("$[a]", "an index or a quoted name is missing behind `[`"),
            ("$['a", "' is missing at the end"),
            ("$['a'", "`]` is missing at the end"),
            ("$['a'x", "`]` is missing before `x`"),
            ("$['\\x']", "`\\x` is no escape"),
            ("$['\\ud83d']", "half a pair of surrogates"),
            ("$['\\u12']", "`\\u` must be followed by four hexadecimal digits"),
        ] {
            assert_eq!(path.parse::<JsonPath>(), Err(bad(reason)), "{path}");
        }
        let error = "$.0".parse::<JsonPath>().unwrap_err().to_string();
        assert!(error.starts_with("a name is missing behind `.`"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_path_or_an_error_and_paths_print_as_they_are_read(
            text in prop_oneof![any::<String>(), r#"\$([.\[\]'"\\au0-9*:,? -]|\PC){0,12}"#]
        ) {
            if let Ok(path) = text.parse::<JsonPath>() {
                prop_assert_eq!(Ok(path.clone()), path.to_string().parse::<JsonPath>());
            }
        }
    }
}
