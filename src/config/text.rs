//! The little languages inside strings: lengths of time, status codes, shares, names.
//!
//! Pure readers that say in words what is wrong with a text; places are added by `reader`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::topology::MinHealthy;
use crate::model::{Diagnostic, Name, Span};

/// Units of time from the longest, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `10s`, `500ms`, `1m30s`, `2h`, `7d`: whole numbers with units, the longest first.
///
/// # Errors
/// What is wrong with it, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units_left = &UNITS[..];
    loop {
        let (digits, tail) = rest.split_at(count_while(rest, |c| c.is_ascii_digit()));
        let (unit, tail) = tail.split_at(count_while(tail, |c| c.is_ascii_alphabetic()));
        if digits.is_empty() {
            return Err("a whole number is missing".to_owned());
        }
        if unit.is_empty() {
            return Err(match tail.chars().next() {
                None if digits == text => format!("a unit is missing: did you mean `{text}s`?"),
                None => format!("a unit is missing behind `{digits}`"),
                Some(odd) => format!("`{odd}` is neither a digit nor a unit"),
            });
        }
        let Some(position) = UNITS.iter().position(|(known, _)| *known == unit) else {
            return Err(format!("unknown unit `{unit}`: known are d, h, m, s and ms"));
        };
        if UNITS.len() - position > units_left.len() {
            return Err(format!("`{unit}` must stand before shorter units, and once"));
        }
        units_left = &UNITS[position + 1..];
        let part = digits.parse().ok().and_then(|count: u64| count.checked_mul(UNITS[position].1));
        total = part.and_then(|part| total.checked_add(part)).ok_or("too long")?;
        rest = tail;
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

/// How many octets at the start of `text` are characters of that kind.
fn count_while(text: &str, is_kind: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_kind(c)).unwrap_or(text.len())
}

/// Prints a length of time as [`duration`] reads it, whole milliseconds only.
pub(super) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (unit, millis) in UNITS {
        if rest >= millis {
            out.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Reads `200`, `2xx` or `200-204`: status codes of HTTP.
pub(super) fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let code = |text: &str| {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let code: u16 = if is_code { text.parse().unwrap_or(0) } else { 0 };
        if (100..=599).contains(&code) {
            Ok(code)
        } else {
            Err(format!("`{text}` is not a status code: those are 100 to 599"))
        }
    };
    if let Some(hundreds) = text.strip_suffix("xx") {
        let first = code(&format!("{hundreds}00"))?;
        return Ok(first..=first + 99);
    }
    match text.split_once('-') {
        None => code(text).map(|code| code..=code),
        Some((first, last)) => {
            let range = code(first)?..=code(last)?;
            if range.is_empty() { Err("it ends before it starts".to_owned()) } else { Ok(range) }
        }
    }
}

/// Reads `50%`.
pub(super) fn percent(text: &str) -> Result<MinHealthy, &'static str> {
    let digits =
        text.strip_suffix('%').ok_or("a count is written without quotes, a share with %")?;
    let share = digits.parse().ok().filter(|share| (1..=100).contains(share));
    share.map(MinHealthy::Percent).ok_or("a share is a whole number from 1% to 100%")
}

/// Reads `1%` or `0.5%`, at most half, as so many of a thousand.
pub(super) fn per_mille(text: &str) -> Result<u16, &'static str> {
    const SHAPE: &str = "a share from 0.1% to 50%, in steps of 0.1%";
    let number = text.strip_suffix('%').ok_or("a share is written with %")?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    if tenth.len() != 1 || !number.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
        return Err(SHAPE);
    }
    let whole: u16 = whole.parse().map_err(|_| SHAPE)?;
    let tenth: u16 = tenth.parse().map_err(|_| SHAPE)?;
    let share = whole.checked_mul(10).and_then(|whole| whole.checked_add(tenth));
    share.filter(|share| (1..=500).contains(share)).ok_or(SHAPE)
}

/// What is wrong with a name, and perhaps what would be right.
#[derive(Debug)]
pub(super) struct BadName {
    message: String,
    hint: Option<String>,
}

impl BadName {
    /// The finding at `span`.
    pub(super) fn at(self, span: Span) -> Diagnostic {
        let error = Diagnostic::error(span, self.message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Reads a domain name; one without a dot at its end is completed with `origin`.
pub(super) fn name(text: &str, origin: &Name) -> Result<Name, BadName> {
    if !text.is_ascii() {
        let hint = "write it in its ASCII form: labels that begin with `xn--` (IDNA)".to_owned();
        return Err(BadName { message: format!("`{text}` is not ASCII"), hint: Some(hint) });
    }
    if text.contains(|c: char| c.is_ascii_whitespace() || c == '/') {
        let message = format!("`{text}` is not a domain name");
        return Err(BadName { message, hint: None });
    }
    let message = |error| format!("`{text}` is not a domain name: {error}");
    Name::parse(text, origin).map_err(|error| BadName { message: message(error), hint: None })
}

/// Why `word` cannot be the name of a region, check, pool or endpoint. Such names stand in metrics,
/// paths and `pool:NAME`, so they are of letters, digits, `-`, `_` and `.`.
pub(super) fn word(word: &str) -> Result<&str, &'static str> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match word {
        "" => Err("it is empty"),
        _ if word.len() > 63 => Err("it is longer than 63 characters"),
        _ if word.chars().all(is_fit) => Ok(word),
        _ => Err("only ASCII letters, digits, `-`, `_` and `.` may stand in it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_parse_and_print() {
        let cases = [
            ("10s", 10_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn broken_lengths_of_time_say_what_is_wrong() {
        let cases = [
            ("10", "a unit is missing: did you mean `10s`?"),
            ("0", "a unit is missing: did you mean `0s`?"),
            ("1h30", "a unit is missing behind `30`"),
            ("", "a whole number is missing"),
            ("s", "a whole number is missing"),
            ("-1s", "a whole number is missing"),
            ("1.5s", "`.` is neither a digit nor a unit"),
            ("10 s", "` ` is neither a digit nor a unit"),
            ("10sec", "unknown unit `sec`: known are d, h, m, s and ms"),
            ("30s1m", "`m` must stand before shorter units, and once"),
            ("1s1s", "`s` must stand before shorter units, and once"),
            ("99999999999999999999s", "too long"),
            ("9999999999999999d", "too long"),
        ];
        for (text, reason) in cases {
            assert_eq!(duration(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn status_codes_are_single_hundreds_or_ranges() {
        assert_eq!(status("2xx"), Ok(200..=299));
        assert_eq!(status("301"), Ok(301..=301));
        assert_eq!(status("200-204"), Ok(200..=204));
        for text in ["6xx", "0xx", "20", "2000", "204-200", "2x", "xx", "ok", "", "200-", "+99"] {
            assert!(status(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percents() {
        assert_eq!(percent("50%"), Ok(MinHealthy::Percent(50)));
        for text in ["0%", "101%", "50", "%", "half", "1.5%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
