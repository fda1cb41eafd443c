//! A master file in pieces: texts of any length, read without holding them.
//!
//! A piece ends where an entry ends, so that each can be read by itself. Where that is depends on
//! parentheses, strings and comments, which are told apart here as the [lexer](super::lexer) does it, and
//! no further. An entry is held as a whole, however long it is.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use super::lexer::next_unindented_line;

/// Octets that are read at a time.
const PIECE_LEN: usize = 256 << 10;

/// The pieces of one text.
pub struct Pieces {
    from: Box<dyn Read>,
    /// Octets that are still to come, if that is known.
    left: Option<usize>,
    is_ended: bool,
    /// Octets that are read at a time.
    step: usize,
    /// What was read and is not behind us: so much of the buffer.
    filled: usize,
    buffer: Vec<u8>,
    /// How much of that is the piece that was given last.
    given: usize,
    /// Where in the text the buffer starts, and how many lines end before that.
    start: usize,
    lines: usize,
}

/// Why a text cannot be read to its end.
#[derive(Debug)]
pub enum TextError {
    /// The file cannot be read.
    Io(io::Error),
    /// This line, counted from 1, is not UTF-8.
    NotUtf8(usize),
}

impl From<io::Error> for TextError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotUtf8(line) => write!(f, "line {line} is not UTF-8"),
        }
    }
}

impl Pieces {
    /// The pieces of the text that `from` gives, of `len` octets. What is not of any length has 0.
    #[must_use]
    pub fn of(from: Box<dyn Read>, len: usize) -> Self {
        Self::in_steps(from, len, PIECE_LEN)
    }

    /// The pieces of a text that is held anyway.
    #[must_use]
    pub fn of_text(text: Arc<str>) -> Self {
        let len = text.len();
        Self::of(Box::new(io::Cursor::new(Arc::<[u8]>::from(text))), len)
    }

    /// Octets that are still to come, 0 if that is not known.
    #[must_use]
    pub fn len_left(&self) -> usize {
        self.left.unwrap_or_default()
    }

    fn in_steps(from: Box<dyn Read>, len: usize, step: usize) -> Self {
        let left = Some(len).filter(|len| *len > 0);
        let (buffer, filled, given, start, lines) = (Vec::new(), 0, 0, 0, 0);
        Self { from, left, is_ended: false, step, filled, buffer, given, start, lines }
    }

    /// The next piece and where in the text it starts; `None` at the end.
    pub(super) fn next_piece(&mut self) -> Result<Option<(&str, usize)>, TextError> {
        self.lines += count_lines(&self.buffer[..self.given]);
        self.start += self.given;
        self.buffer.copy_within(self.given..self.filled, 0);
        self.filled -= self.given;
        self.given = 0;
        while self.given == 0 && !self.is_ended {
            // An entry that is longer than what is there is looked at again when there is twice as much.
            self.fill(self.filled.max(self.step))?;
            self.given = whole_len(&self.buffer[..self.filled]);
        }
        if self.is_ended {
            self.given = self.filled;
        }
        match str::from_utf8(&self.buffer[..self.given]) {
            Ok(piece) => Ok(Some((piece, self.start)).filter(|(piece, _)| !piece.is_empty())),
            Err(error) => {
                let valid = &self.buffer[..error.valid_up_to()];
                Err(TextError::NotUtf8(self.lines + count_lines(valid) + 1))
            }
        }
    }

    /// Reads so many octets more, or what is left.
    fn fill(&mut self, more: usize) -> io::Result<()> {
        let end = self.filled + self.left.map_or(more, |left| left.min(more));
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while self.filled < end && !self.is_ended {
            match self.from.read(&mut self.buffer[self.filled..end]) {
                Ok(0) => self.is_ended = true,
                Ok(count) => {
                    self.filled += count;
                    self.left = self.left.map(|left| left - count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.is_ended |= self.left == Some(0);
        Ok(())
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("start", &self.start).finish_non_exhaustive()
    }
}

/// How many octets at the start of `text`, of which more may follow, are whole entries.
fn whole_len(text: &[u8]) -> usize {
    let lines = text.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
    // Without parentheses an entry is a line, and most of most files is without.
    if !text[..lines].contains(&b'(') {
        return lines;
    }
    let (mut at, mut whole, mut open) = (0, 0, None);
    // What is behind here explains a fault before it.
    let mut whole_min = 0;
    while let Some(octet) = text.get(at) {
        at += 1;
        match octet {
            b'\n' if open.is_none() && at > whole_min => whole = at,
            b'\\' => at += usize::from(text.get(at).is_some_and(|&octet| octet != b'\n')),
            b';' => at += line_len(&text[at..]),
            b'"' => at += quoted_len(&text[at..]),
            b'(' => match open {
                None => open = Some(at - 1),
                // The outer one was not closed: the lexer goes on below it.
                Some(outer) => {
                    whole_min = whole_min.max(at);
                    open = None;
                    at = next_unindented_line(text, outer);
                    if at == text.len() {
                        return whole;
                    }
                }
            },
            b')' => open = None,
            _ => {}
        }
    }
    whole
}

fn count_lines(text: &[u8]) -> usize {
    text.iter().filter(|octet| **octet == b'\n').count()
}

/// Octets before the end of the line.
fn line_len(text: &[u8]) -> usize {
    text.iter().position(|&octet| octet == b'\n').unwrap_or(text.len())
}

/// Octets of a string with the mark that closes it, or before the end of the line.
fn quoted_len(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match (text.get(at), text.get(at + 1)) {
            (Some(b'"'), _) => return at + 1,
            (Some(b'\n') | None, _) => return at,
            (Some(b'\\'), Some(next)) if *next != b'\n' => at += 2,
            (Some(_), _) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Name, Report};
    use crate::zone::{RecordRef, read};

    /// All records of a text with their places, and all findings, when it is read in such steps.
    fn read_in(text: &str, step: usize) -> (Vec<String>, String) {
        let mut report = Report::new();
        let source = report.add_source("x.zone", text);
        let octets = io::Cursor::new(text.as_bytes().to_vec());
        let pieces = Pieces::in_steps(Box::new(octets), text.len(), step);
        let mut records = Vec::new();
        let mut sink = |record: RecordRef<'_>| records.push(format!("{record:?}"));
        let mut include = |_: &mut Report, _: &str| Err("there is nothing else".to_owned());
        let origin: Name = "test.".parse().unwrap();
        read(&mut report, (source, pieces), &origin, &mut include, &mut sink).unwrap();
        (records, report.to_string())
    }

    /// Lines of which some belong together, and some never find their end.
    fn text() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec![
            "a A 192.0.2.1",
            "  A 192.0.2.2",
            "b TXT (one",
            "two) ; (",
            "  two )",
            "(",
            ")",
            "\"",
            "c TXT \"x (\" (",
            "  \"y\\\"\" z )",
            "d TXT \\( \\\"",
            "; \" (",
            "e TXT \"open (",
            "é A (",
            "$TTL 1h",
            "$ORIGIN (",
            "f.g. SOA a b ( 1 2 3",
            "  4 5 )",
            "",
            "\\",
            "h TXT x\\",
            "i A 1",
        ]);
        prop::collection::vec(line, 0..14).prop_map(|lines| lines.join("\n"))
    }

    proptest! {
        #[test]
        fn a_text_in_pieces_says_what_it_says_as_a_whole(text in text(), step in 1_usize..40) {
            prop_assert_eq!(read_in(&text, step), read_in(&text, PIECE_LEN));
        }
    }

    /// Gives its octets, and then an error.
    struct Torn(io::Cursor<&'static [u8]>);

    impl Read for Torn {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("torn")),
                count => Ok(count),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_to_its_end_says_why() {
        let cases: [(&'static [u8], bool, &str); 3] = [
            (b"a A 192.0.2.1\nb A 192.0.2.1\n", true, "torn"),
            (b"a TXT x\n\nb TXT \xff\n", false, "line 3 is not UTF-8"),
            (b"a TXT x\nb TXT y\nc TXT \xc3\n\xa9\n", false, "line 3 is not UTF-8"),
        ];
        for (octets, is_torn, reason) in cases {
            for step in 1..40 {
                let whole = io::Cursor::new(octets);
                let from: Box<dyn Read> =
                    if is_torn { Box::new(Torn(whole)) } else { Box::new(whole) };
                let mut pieces = Pieces::in_steps(from, 0, step);
                let error = loop {
                    match pieces.next_piece() {
                        Ok(piece) => assert!(piece.is_some(), "{reason}"),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.to_string(), reason, "{step}");
            }
        }
    }
}
