//! What `$GENERATE` makes: numbers, and text with numbers in it, as BIND has it.
//!
//! In a template, `$` is the number, and `${OFFSET,WIDTH,BASE}` the number plus an offset, filled
//! up with zeros to a width, in base `d`, `o`, `x`, `X`, or as nibbles (`n`, `N`) for reverse names
//! of IPv6. `$$` is a `$`; `\` protects what follows it.

use std::fmt::Write as _;

/// Digits that a number may be filled up to: a name has no room for more.
const WIDTH_MAX: usize = 255;

/// The numbers of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counter {
    start: i32,
    stop: i32,
    step: i32,
}

impl Counter {
    /// Reads `START-STOP` or `START-STOP/STEP`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, step) = text.split_once('/').unwrap_or((text, "1"));
        let (start, stop) = range.split_once('-')?;
        let number = |digits: &str| -> Option<i32> {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok())?
        };
        let counter = Self { start: number(start)?, stop: number(stop)?, step: number(step)? };
        (counter.start <= counter.stop && counter.step > 0).then_some(counter)
    }

    /// How many numbers there are.
    pub(super) fn count(self) -> u64 {
        u64::from(self.stop.abs_diff(self.start) / self.step.unsigned_abs()) + 1
    }

    /// The numbers, ascending.
    pub(super) fn numbers(self) -> impl Iterator<Item = i32> {
        let next = move |number: &i32| number.checked_add(self.step);
        std::iter::successors(Some(self.start), next).take_while(move |n| *n <= self.stop)
    }
}

/// Text with numbers to be put in.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Number { offset: i32, width: usize, base: Base },
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Decimal,
    Octal,
    Hex {
        is_upper: bool,
    },
    /// Hexadecimal digits from the last to the first, with dots between.
    Nibbles {
        is_upper: bool,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A message, when what stands in `${…}` cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\']) {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            let number = if rest.starts_with('\\') {
                let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                literal.push_str(&rest[..len]);
                rest = &rest[len..];
                continue;
            } else if let Some(behind) = rest.strip_prefix("$$") {
                literal.push('$');
                rest = behind;
                continue;
            } else if let Some(behind) = rest.strip_prefix("${") {
                let (modifier, behind) = behind.split_once('}').ok_or("`${` without `}`")?;
                rest = behind;
                number(modifier)
                    .ok_or_else(|| format!("`${{{modifier}}}` is not `${{OFFSET,WIDTH,BASE}}`"))?
            } else {
                rest = &rest[1..];
                Piece::Number { offset: 0, width: 0, base: Base::Decimal }
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(number);
        }
        literal.push_str(rest);
        pieces.push(Piece::Text(literal));
        Ok(Self { pieces })
    }

    /// Appends the text for `number` to `out`.
    ///
    /// # Errors
    /// A message, when a number with its offset is negative.
    pub(super) fn expand(&self, number: i32, out: &mut String) -> Result<(), String> {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Number { offset, width, base } => {
                    let sum = i64::from(number) + i64::from(*offset);
                    let value = u64::try_from(sum)
                        .map_err(|_| format!("{number} with the offset {offset} is negative"))?;
                    push_number(value, *width, *base, out);
                }
            }
        }
        Ok(())
    }
}

/// What stands between the braces.
fn number(modifier: &str) -> Option<Piece> {
    let mut parts = modifier.split(',').map(str::trim);
    let offset = parts.next()?.parse().ok()?;
    let width = parts.next().map_or(Some(0), |width| width.parse().ok())?;
    let base = match parts.next() {
        None | Some("d") => Base::Decimal,
        Some("o") => Base::Octal,
        Some("x") => Base::Hex { is_upper: false },
        Some("X") => Base::Hex { is_upper: true },
        Some("n") => Base::Nibbles { is_upper: false },
        Some("N") => Base::Nibbles { is_upper: true },
        Some(_) => return None,
    };
    let is_whole = parts.next().is_none() && width <= WIDTH_MAX;
    is_whole.then_some(Piece::Number { offset, width, base })
}

fn push_number(value: u64, width: usize, base: Base, out: &mut String) {
    match base {
        Base::Decimal => write!(out, "{value:0width$}"),
        Base::Octal => write!(out, "{value:0width$o}"),
        Base::Hex { is_upper: false } => write!(out, "{value:0width$x}"),
        Base::Hex { is_upper: true } => write!(out, "{value:0width$X}"),
        Base::Nibbles { is_upper } => {
            // The width counts the dots, of which an even one ends with another.
            let digits = width.div_ceil(2);
            let number =
                if is_upper { format!("{value:0digits$X}") } else { format!("{value:0digits$x}") };
            let nibbles: Vec<_> = number.chars().rev().map(String::from).collect();
            let end = if 2 * nibbles.len() == width { "." } else { "" };
            write!(out, "{}{end}", nibbles.join("."))
        }
    }
    .expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_what_they_yield() {
        for (text, numbers) in [
            ("0-0", vec![0]),
            ("1-3", vec![1, 2, 3]),
            ("1-10/4", vec![1, 5, 9]),
            ("2147483646-2147483647", vec![2_147_483_646, i32::MAX]),
            ("0-2147483647/2147483647", vec![0, i32::MAX]),
        ] {
            let counter = Counter::parse(text).unwrap();
            assert_eq!(counter.numbers().collect::<Vec<_>>(), numbers, "{text}");
            assert_eq!(counter.count(), numbers.len() as u64, "{text}");
        }
        for broken in ["", "1", "3-1", "1-3/0", "-1-3", "1-+3", "1-2147483648", "1-3/", "a-b"] {
            assert_eq!(Counter::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn templates_are_those_of_bind() {
        let cases = [
            ("a$b", "a26b"),
            ("$", "26"),
            ("a$$b", "a$b"),
            (r"a\$b", r"a\$b"),
            ("${0}", "26"),
            ("${-26,4}", "0000"),
            ("${ 1, 5, x }", "0001b"),
            ("${0,0,X}", "1A"),
            ("${0,0,o}", "32"),
            ("${0,3,n}", "a.1"),
            ("${0,2,n}", "a.1"),
            ("${0,4,N}", "A.1."),
            ("${0,5,n}", "a.1.0"),
        ];
        for (template, text) in cases {
            let mut out = String::new();
            Template::parse(template).unwrap().expand(26, &mut out).unwrap();
            assert_eq!(out, text, "{template}");
        }
    }
}
