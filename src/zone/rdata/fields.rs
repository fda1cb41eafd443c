//! The fields of one record's data, in presentation form, one after the other.
//!
//! [`Fields`] hands out tokens and words the messages about them; what a field means is up to its
//! kind.

use crate::model::{Diagnostic, Name, RecordType};
use crate::zone::lexer::{Fault, Lexer, Token, TokenKind, shown};

/// What is left of an entry behind the type.
pub(in crate::zone) struct Fields<'f, 'a> {
    pub(in crate::zone) lexer: &'f mut Lexer<'a>,
    /// Completes relative names.
    pub(in crate::zone) origin: &'f Name,
    pub(in crate::zone) rtype: RecordType,
}

impl<'a> Fields<'_, 'a> {
    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Fault> {
        let token = self.lexer.token()?;
        Ok((token.kind != TokenKind::End).then_some(token))
    }

    /// The next token, which must be there: the field `name`, which is `what`.
    pub(super) fn required(&mut self, name: &str, what: &str) -> Result<Token, Fault> {
        let token = self.lexer.token()?;
        if token.kind == TokenKind::End { Err(self.missing(token, name, what)) } else { Ok(token) }
    }

    /// The next token's text, made a value by `read`.
    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, Fault> {
        let token = self.required(name, what)?;
        read(self.lexer.text(token)).ok_or_else(|| self.bad(token, name, what).into())
    }

    /// The next token as a name; appends its wire form to `out`.
    pub(super) fn name(&mut self, name: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        let token = self.required(name, "a name")?;
        Name::parse_into(self.lexer.text(token), self.origin, out)
            .map_err(|error| self.bad(token, name, "a name").label(error.to_string()).into())
    }

    /// Makes sure that nothing is left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        let Some(token) = self.next()? else { return Ok(()) };
        let text = shown(self.lexer.raw(token));
        let message = format!("{} record: {text} is one field too many", self.rtype);
        let fault = self.lexer.fault(token, message).label("expected the end of the record");
        Err(fault.hint("a comment begins with `;`; text with blanks stands in `\"`").into())
    }

    /// The error that `token` is not what the field `name` must be.
    #[cold]
    pub(super) fn bad(&self, token: Token, name: &str, what: &str) -> Diagnostic {
        let text = shown(self.lexer.raw(token));
        let message = format!("{} record: {text} is not a valid {name}", self.rtype);
        self.lexer.fault(token, message).label(format!("expected {what}"))
    }

    #[cold]
    fn missing(&self, end: Token, name: &str, what: &str) -> Fault {
        let message = format!("{} record: the {name} is missing", self.rtype);
        self.lexer.fault(end, message).label(format!("expected {what}")).into()
    }
}
