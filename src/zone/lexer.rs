//! The tokens of a master file (RFC 1035 §5.1).
//!
//! A [`Lexer`] cuts a text into entries (a line, or several inside parentheses) and entries into
//! tokens: words, quoted strings, and the end of the entry. It borrows from the text and allocates
//! nothing. Blanks, comments and parentheses are dealt with here; escapes are only stepped over,
//! because what they mean depends on the field.
//!
//! A parenthesis cannot stand inside another. No server writes such files, and it is what lets a
//! forgotten `)` be found at the next `(` instead of at the end of the file.

use crate::model::{Diagnostic, SourceId, Span};

/// A finding that ends an entry.
pub(super) type Fault = Box<Diagnostic>;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    /// A run of characters without blanks.
    Word,
    /// What stands between two quotation marks.
    Quoted,
    /// The end of the entry.
    End,
}

/// One token: where it stands in the text, quotation marks included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads one text, token by token.
pub(super) struct Lexer<'a> {
    text: &'a str,
    source: SourceId,
    /// Where in the file the text starts.
    start: usize,
    /// Where everything in the text is said to be, when `$GENERATE` has made it.
    place: Option<Span>,
    at: usize,
    /// The open parenthesis.
    open: Option<usize>,
    /// The parenthesis that turned out not to be closed; [`Lexer::skip_entry`] goes on behind it.
    unclosed: Option<usize>,
    /// Where the last token ended.
    token_end: usize,
    unread: Option<Token>,
}

/// Octets that end a run of plain word characters.
const IS_SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let special = b" \t\r\n;()\"\\";
    let mut index = 0;
    while index < special.len() {
        table[special[index] as usize] = true;
        index += 1;
    }
    table
};

impl<'a> Lexer<'a> {
    /// Reads a file. A byte order mark at its start and DOS's end-of-file mark are passed over.
    pub(super) fn new(text: &'a str, source: SourceId) -> Self {
        Self::of_piece(text, source, 0)
    }

    /// Reads the [piece](super::pieces) of a file that starts at `start`.
    pub(super) fn of_piece(text: &'a str, source: SourceId, start: usize) -> Self {
        let text = text.strip_suffix('\x1A').unwrap_or(text);
        let has_mark = start == 0 && text.starts_with('\u{FEFF}');
        let at = if has_mark { '\u{FEFF}'.len_utf8() } else { 0 };
        Self {
            text,
            source,
            start,
            place: None,
            at,
            open: None,
            unclosed: None,
            token_end: at,
            unread: None,
        }
    }

    /// Reads text that stands in no file; its findings are placed at `place`.
    pub(super) fn of_generated(text: &'a str, place: Span) -> Self {
        Self { place: Some(place), ..Self::new(text, place.source) }
    }

    /// Moves to the next entry, past empty lines and comments; returns whether it is indented, or
    /// `None` at the end of the text.
    pub(super) fn next_entry(&mut self) -> Option<bool> {
        let bytes = self.text.as_bytes();
        loop {
            let is_indented = matches!(bytes.get(self.at)?, b' ' | b'\t' | b'\r');
            while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\r')) {
                self.at += 1;
            }
            match bytes.get(self.at)? {
                b'\n' => self.at += 1,
                b';' => self.skip_comment(),
                _ => return Some(is_indented),
            }
        }
    }

    /// The next token of the entry. At its end, [`TokenKind::End`] again and again.
    ///
    /// # Errors
    /// A string that is not closed, or a parenthesis without its other half.
    pub(super) fn token(&mut self) -> Result<Token, Fault> {
        self.token_of(|lexer| Ok(lexer.word()))
    }

    /// The next token, where a word may have a quoted string behind an `=` (RFC 9460 §2.1).
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub(super) fn parameter(&mut self) -> Result<Token, Fault> {
        self.token_of(|lexer| {
            let word = lexer.word();
            let bytes = lexer.text.as_bytes();
            if bytes[word.end - 1] != b'=' || bytes.get(word.end) != Some(&b'"') {
                return Ok(word);
            }
            let quoted = lexer.quoted()?;
            Ok(Token { end: quoted.end, ..word })
        })
    }

    /// Puts `token` back: it is the next one again.
    pub(super) fn unread(&mut self, token: Token) {
        self.unread = Some(token);
    }

    fn token_of(
        &mut self,
        word: impl FnOnce(&mut Self) -> Result<Token, Fault>,
    ) -> Result<Token, Fault> {
        if let Some(token) = self.unread.take() {
            return Ok(token);
        }
        self.skip_blanks()?;
        let token = match self.text.as_bytes().get(self.at) {
            None | Some(b'\n') => {
                let end = self.token_end;
                return Ok(Token { kind: TokenKind::End, start: end, end });
            }
            Some(b'"') => self.quoted()?,
            Some(_) => word(self)?,
        };
        self.token_end = token.end;
        Ok(token)
    }

    /// Moves to the next token or the end of the entry.
    fn skip_blanks(&mut self) -> Result<(), Fault> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' if self.open.is_some() => self.at += 1,
                b';' => self.skip_comment(),
                b'(' => {
                    if let Some(outer) = self.open {
                        return Err(self.nested_parenthesis(outer));
                    }
                    self.open = Some(self.at);
                    self.at += 1;
                }
                b')' => {
                    self.at += 1;
                    if self.open.take().is_none() {
                        return Err(self.stray_parenthesis());
                    }
                }
                _ => return Ok(()),
            }
        }
        self.open.map_or(Ok(()), |open| Err(self.unclosed_parenthesis(open)))
    }

    fn skip_comment(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    fn word(&mut self) -> Token {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            if !IS_SPECIAL[usize::from(byte)] {
                self.at += 1;
            } else if byte == b'\\' {
                self.skip_escape();
            } else {
                break;
            }
        }
        Token { kind: TokenKind::Word, start, end: self.at }
    }

    fn quoted(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Token { kind: TokenKind::Quoted, start, end: self.at });
                }
                Some(b'\\') => self.skip_escape(),
                Some(b'\n') | None => return Err(self.unclosed_string(start)),
                Some(_) => self.at += 1,
            }
        }
    }

    /// Moves past a `\` and what it protects. A line end is never protected.
    fn skip_escape(&mut self) {
        self.at += match self.text.as_bytes().get(self.at + 1) {
            Some(b'\n') | None => 1,
            Some(_) => 2,
        };
    }

    /// Moves to the end of an entry that has a fault. Returns the fault that explains that one: a
    /// parenthesis that is not closed, so that the lines below were taken for part of the entry.
    pub(super) fn skip_entry(&mut self) -> Option<Fault> {
        self.unread = None;
        let mut explanation = None;
        while self.unclosed.is_none() {
            match self.token() {
                Ok(Token { kind: TokenKind::End, .. }) => return None,
                Ok(_) => {}
                Err(fault) => explanation = self.unclosed.is_some().then_some(fault),
            }
        }
        self.open = None;
        if let Some(open) = self.unclosed.take() {
            self.at = next_unindented_line(self.text.as_bytes(), open);
        }
        explanation
    }

    // ---- Texts and places ----

    /// What a token says: its text, without the quotation marks of a quoted string.
    pub(super) fn text(&self, token: Token) -> &'a str {
        match token.kind {
            TokenKind::Word => &self.text[token.start..token.end],
            TokenKind::Quoted => &self.text[token.start + 1..token.end - 1],
            TokenKind::End => "",
        }
    }

    /// A token as it is written, quotation marks included.
    pub(super) fn raw(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    /// Where a token is.
    pub(super) fn span(&self, token: Token) -> Span {
        self.span_of(token.start, token.end)
    }

    /// Where the entry is that began at `start` and has been read up to here: its first line.
    pub(super) fn entry_span(&self, start: usize) -> Span {
        let entry = &self.text.as_bytes()[start..self.token_end.max(start)];
        let len = entry.iter().position(|&byte| byte == b'\n').unwrap_or(entry.len());
        self.span_of(start, start + len)
    }

    fn span_of(&self, start: usize, end: usize) -> Span {
        let own = || Span::new(self.source, self.start + start..self.start + end);
        self.place.unwrap_or_else(own)
    }

    // ---- Faults ----

    /// An error at `token`.
    #[cold]
    pub(super) fn fault(&self, token: Token, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.span(token), message)
    }

    #[cold]
    fn unclosed_string(&self, start: usize) -> Fault {
        let line = self.text[start..self.at].trim_end();
        Diagnostic::error(self.span_of(start, start + line.len()), "the string is not closed")
            .label("opened here; the line ends without a second `\"`")
            .hint("write a quotation mark inside a string as `\\\"`, a line end as `\\010`")
            .into()
    }

    #[cold]
    fn unclosed_parenthesis(&mut self, open: usize) -> Fault {
        self.unclosed = Some(open);
        Diagnostic::error(self.span_of(open, open + 1), "the parenthesis is not closed")
            .label("opened here; the file ends without a `)`")
            .hint("close it behind the record's last field")
            .into()
    }

    #[cold]
    fn nested_parenthesis(&mut self, outer: usize) -> Fault {
        self.unclosed = Some(outer);
        Diagnostic::error(self.span_of(outer, outer + 1), "the parenthesis is not closed")
            .label("opened here")
            .also(self.span_of(self.at, self.at + 1), "the next one is opened before a `)`")
            .hint("close it behind the record's last field")
            .into()
    }

    #[cold]
    fn stray_parenthesis(&self) -> Fault {
        Diagnostic::error(self.span_of(self.at - 1, self.at), "`)` without `(`")
            .hint("remove it, or open a parenthesis on the record's first line")
            .into()
    }
}

/// The start of the first line below `from` that looks like one of another entry.
pub(super) fn next_unindented_line(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        let Some(len) = bytes[at..].iter().position(|&byte| byte == b'\n') else {
            return bytes.len();
        };
        at += len + 1;
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b')') => {}
            Some(_) | None => return at,
        }
    }
}

/// `text` for a message, cut when it is long.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 48;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
