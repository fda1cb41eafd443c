//! The name of a zone, as its master file alone says it.
//!
//! A file that is served is called like its zone; one that is only looked at may be called anything. The
//! owner of its SOA is then the zone, as long as that owner is complete: as it stands, or by a
//! `$ORIGIN` that is. Nothing is judged here, and no other file is looked into.

use crate::model::{Name, SourceId};

use super::lexer::{Lexer, Token, TokenKind};
use super::master::{is_class_in, is_number_like};

/// What the zone in the master file `text` is called: the owner of its first SOA, even if the data of
/// that cannot be read; without an SOA, the first `$ORIGIN`. `None` when the file does not say.
#[must_use]
pub fn apex_of(text: &str, source: SourceId) -> Option<Name> {
    let mut lexer = Lexer::new(text, source);
    let mut first_origin = None;
    let mut origin: Option<Name> = None;
    let mut owner: Option<Name> = None;
    while let Some(is_indented) = lexer.next_entry() {
        let Ok(first) = lexer.token() else {
            lexer.skip_entry();
            continue;
        };
        if lexer.text(first).eq_ignore_ascii_case("$ORIGIN") {
            let name =
                lexer.token().ok().and_then(|token| complete(&lexer, token, origin.as_ref()));
            origin = name.or(origin);
            first_origin = first_origin.or_else(|| origin.clone());
        } else {
            if is_indented {
                lexer.unread(first);
            } else {
                owner = complete(&lexer, first, origin.as_ref());
            }
            if is_soa(&mut lexer) {
                return owner;
            }
        }
        lexer.skip_entry();
    }
    first_origin
}

/// The name that `token` is, if it needs no origin or there is one.
fn complete(lexer: &Lexer<'_>, token: Token, origin: Option<&Name>) -> Option<Name> {
    let text = lexer.text(token);
    if let Some(origin) = origin {
        return Name::parse(text, origin).ok();
    }
    // Completed with two different names, only a complete one stays the same.
    let root = Name::root();
    let other: Name = "origin.".parse().expect("a name");
    let name = Name::parse(text, &root).ok()?;
    (token.kind != TokenKind::End && Name::parse(text, &other).as_ref() == Ok(&name))
        .then_some(name)
}

/// Whether the record that goes on here is an SOA.
fn is_soa(lexer: &mut Lexer<'_>) -> bool {
    while let Ok(token) = lexer.token()
        && token.kind == TokenKind::Word
    {
        let text = lexer.text(token);
        if !is_number_like(text) && is_class_in(text).is_none() {
            return text.eq_ignore_ascii_case("SOA");
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Report;

    #[test]
    fn a_zone_is_called_as_its_soa_or_first_origin_is() {
        let cases = [
            ("example.com. 300 IN SOA ns1 admin 1 2 3 4 5\n", Some("example.com.")),
            ("$ORIGIN example.com.\n@ SOA ns1 admin ( 1\n2 3 4 5 )\n", Some("example.com.")),
            ("$ORIGIN example.com. ; it\n\n  300 SOA\n", None),
            ("$ORIGIN .\n$TTL 300\nexample.com IN SOA ns1 admin 1 2 3 4 5\n", Some("example.com.")),
            ("$ORIGIN com.\n$ORIGIN example\nwww A x\n@ 1h SOA broken\n", Some("example.com.")),
            ("x. A 192.0.2.1\n SOA ns1 admin 1 2 3 4 5\n", Some("x.")),
            ("$ORIGIN example.com.\nwww A 192.0.2.1\n$ORIGIN org.\n", Some("example.com.")),
            ("t TXT \"open\nexample.com. SOA (\n", Some("example.com.")),
            ("@ SOA ns1 admin 1 2 3 4 5\n", None),
            ("example.com SOA ns1 admin 1 2 3 4 5\n", None),
            ("$ORIGIN example\n@ SOA ns1 admin 1 2 3 4 5\n", None),
            (". SOA ns1. admin. 1 2 3 4 5\n", Some(".")),
            ("SOA is no owner\n", None),
            ("", None),
        ];
        for (text, apex) in cases {
            let source = Report::new().add_source("x", text);
            let found = apex_of(text, source).map(|name| name.to_string());
            assert_eq!(found.as_deref(), apex, "{text}");
        }
    }
}
