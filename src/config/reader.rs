//! Typed reading of a TOML document that goes on after an error.
//!
//! [`Table`] and [`Value`] are views of a parsed document that know their place. Every getter
//! either returns what was asked for or records one finding and returns nothing, so that one pass
//! over a file meets all of its errors. A [`Table`] is opened with the [`Keys`] it may have; keys
//! beside those are findings at once. What the values mean is left to the readers of sections.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::Findings;
use super::text;
use crate::model::diagnostic::closest;
use crate::model::{Diagnostic, Name, Span};

/// The keys of one kind of table.
pub(super) struct Keys {
    /// Where such a table stands: `pools.NAME.endpoints`; empty for the document itself.
    pub(super) place: &'static str,
    /// What it may have.
    pub(super) known: &'static [&'static str],
    /// What is planned, so that it deserves another message than a slip of the pen.
    pub(super) unbuilt: &'static [&'static str],
}

/// A key and where it was written.
#[derive(Clone, Copy)]
pub(super) struct Key<'d> {
    /// The key.
    pub(super) text: &'d str,
    /// Its place.
    pub(super) span: Span,
}

/// A table of the document.
pub(super) struct Table<'d> {
    /// What messages call it: ``pool `web-eu` ``.
    pub(super) what: String,
    /// Its header, or all of an inline table.
    pub(super) span: Span,
    keys: &'static Keys,
    node: &'d DeTable<'d>,
    findings: &'d Findings,
}

impl<'d> Table<'d> {
    /// The document itself.
    pub(super) fn root(
        document: &'d DeTable<'d>,
        what: &str,
        keys: &'static Keys,
        findings: &'d Findings,
    ) -> Self {
        Self::open(document, what.to_owned(), findings.span(0..0), keys, findings)
    }

    fn open(
        node: &'d DeTable<'d>,
        what: String,
        span: Span,
        keys: &'static Keys,
        findings: &'d Findings,
    ) -> Self {
        let table = Self { what, span, keys, node, findings };
        for key in table.own_keys() {
            table.judge_key(key);
        }
        table
    }

    /// Where it stands in the file: `dns.tls`.
    pub(super) const fn place(&self) -> &'static str {
        self.keys.place
    }

    /// Records `key` if this table may not have it.
    fn judge_key(&self, key: Key<'_>) {
        let Key { text, span } = key;
        if self.keys.known.contains(&text) {
            return;
        }
        let found = if self.keys.unbuilt.contains(&text) {
            Diagnostic::error(span, format!("`{text}` is not built yet"))
                .hint("it is planned, but would do nothing today: remove it")
        } else {
            Diagnostic::error(span, format!("{} has an unknown key `{text}`", self.what))
                .hint(suggest(text, self.keys.known))
        };
        self.findings.push(found);
    }

    /// Whether an unknown key was probably meant to be `key`. That has been reported already, so the
    /// want of `key` is only its consequence.
    pub(super) fn is_misspelt(&self, key: &str) -> bool {
        self.own_keys().iter().any(|own| self.meant(own.text) == Some(key))
    }

    /// The known key that an unknown one was probably meant to be.
    fn meant(&self, written: &str) -> Option<&'static str> {
        let known = self.keys.known;
        if known.contains(&written) { None } else { meant(written, known.iter().copied()) }
    }

    /// Its keys in the order of the file.
    fn own_keys(&self) -> Vec<Key<'d>> {
        let key = |key: &'d Spanned<_>| key_at(key, self.findings);
        let mut keys: Vec<_> = self.node.iter().map(|(name, _)| key(name)).collect();
        keys.sort_by_key(|key| key.span.start);
        keys
    }

    /// The value of `key`, if it was written.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'d>> {
        debug_assert!(self.keys.known.contains(&key), "`{key}` is missing in the known keys");
        self.node.get(key).map(|node| Value::new(key, node, self.findings))
    }

    /// The value of `key`, which must be written. `example` is shown when it is not.
    pub(super) fn require(&self, key: &'static str, example: &str) -> Option<Value<'d>> {
        let value = self.get(key);
        if value.is_none() && !self.is_misspelt(key) {
            let message = format!("{} has no `{key}`", self.what);
            let missing = Diagnostic::error(self.span, message);
            self.findings.push(missing.hint(format!("add `{key} = {example}`")));
        }
        value
    }

    /// Overwrites `default` with what `read` makes of the value of `key`, if that was written.
    pub(super) fn read_into<T>(
        &self,
        key: &'static str,
        default: &mut T,
        read: impl FnOnce(Value<'d>) -> Option<T>,
    ) {
        if let Some(value) = self.get(key).and_then(read) {
            *default = value;
        }
    }

    /// The table below `key`, if it was written.
    pub(super) fn table(&self, key: &'static str, keys: &'static Keys) -> Option<Self> {
        let what = match self.keys.place {
            "" => format!("`[{key}]`"),
            _ => format!("`{key}` of {}", self.what),
        };
        self.get(key)?.table(what, keys)
    }

    /// The entries of the table below `key`, whose keys are names of the operator's, in the order of
    /// the file. `shape` shows what it should look like.
    pub(super) fn named(&self, key: &'static str, shape: &str) -> Vec<(Key<'d>, Value<'d>)> {
        self.get(key).map(|value| value.named(shape)).unwrap_or_default()
    }

    /// An error at the table as a whole; not recorded yet.
    pub(super) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.span, message)
    }

    /// Records a finding.
    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }

    /// Whether any error was found in the file so far.
    pub(super) fn has_errors(&self) -> bool {
        self.findings.has_errors()
    }
}

fn key_at<'d>(key: &'d Spanned<DeString<'d>>, findings: &Findings) -> Key<'d> {
    Key { text: key.get_ref(), span: findings.span(key.span()) }
}

/// The word of `known` that `written` was probably meant to be: one that is close to it, or the only
/// one that it begins or that begins it.
pub(super) fn meant<'a>(
    written: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    const PREFIX_LEN_MIN: usize = 3;
    let is_near = |word: &&str| {
        let short = word.len().min(written.len());
        short >= PREFIX_LEN_MIN && word.as_bytes()[..short] == written.as_bytes()[..short]
    };
    closest(written, known.clone()).or_else(|| {
        let mut near = known.filter(is_near);
        near.next().filter(|_| near.next().is_none())
    })
}

/// "Did you mean", or everything that could have been meant.
pub(super) fn suggest(written: &str, known: &[&str]) -> String {
    match meant(written, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known are {}", list_words(known.iter().copied())),
    }
}

/// `` `a`, `b`, `c` ``.
pub(super) fn list_words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// A value of the document.
#[derive(Clone, Copy)]
pub(super) struct Value<'d> {
    /// Its key, or that of the list that holds it.
    pub(super) key: &'d str,
    /// Its place.
    pub(super) span: Span,
    /// Whether it is one of a list.
    is_item: bool,
    node: &'d DeValue<'d>,
    findings: &'d Findings,
}

impl<'d> Value<'d> {
    fn new(key: &'d str, node: &'d Spanned<DeValue<'d>>, findings: &'d Findings) -> Self {
        let (span, node) = (findings.span(node.span()), node.get_ref());
        Self { key, span, is_item: false, node, findings }
    }

    /// The same with findings at `span`.
    pub(super) fn at(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// An error at this value; not recorded yet.
    pub(super) fn error(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.span, message)
    }

    /// A warning at this value; not recorded yet.
    pub(super) fn warning(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(self.span, message)
    }

    /// Records a finding.
    pub(super) fn push(self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }

    /// An error at this value, which must be something else; not recorded yet.
    fn must_be(self, expected: &str) -> Diagnostic {
        let each = if self.is_item { "each of " } else { "" };
        self.error(format!("{each}`{}` must be {expected}", self.key))
    }

    /// Records that this value must be of another type.
    pub(super) fn wrong_type(self, expected: &str) {
        self.push(self.must_be(expected).label(self.found()));
    }

    /// What type it is, in words.
    fn found(self) -> String {
        let found = self.node.type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        format!("found {article} {found}")
    }

    /// The text of a string; `None` for any other type, without a finding.
    pub(super) fn as_text(self) -> Option<&'d str> {
        self.node.as_str()
    }

    /// The values of a list; `None` for any other type, without a finding.
    pub(super) fn as_list(self) -> Option<Vec<Self>> {
        let item = |node| Self { is_item: true, ..Self::new(self.key, node, self.findings) };
        self.node.as_array().map(|list| list.iter().map(item).collect())
    }

    /// Whether it is a table.
    pub(super) const fn is_table(self) -> bool {
        matches!(self.node, DeValue::Table(_))
    }

    /// Whether it is an integer.
    pub(super) fn is_integer(self) -> bool {
        self.node.is_integer()
    }

    /// A string; `expected` says of what sort.
    pub(super) fn text(self, expected: &str) -> Option<&'d str> {
        let text = self.as_text();
        if text.is_none() {
            self.wrong_type(expected);
        }
        text
    }

    /// A string that `parse` understands, or says why not.
    pub(super) fn parsed<T, E: ToString>(
        self,
        expected: &str,
        parse: impl FnOnce(&'d str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.text(expected)?) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.push(self.must_be(expected).label(reason.to_string()));
                None
            }
        }
    }

    /// Whether it is this string; a finding if it is something else entirely is left to the next reader.
    pub(super) fn is_text(self, word: &str) -> bool {
        self.node.as_str() == Some(word)
    }

    /// `true` or `false`.
    pub(super) fn boolean(self) -> Option<bool> {
        let boolean = self.node.as_bool();
        if boolean.is_none() {
            self.wrong_type("`true` or `false`");
        }
        boolean
    }

    /// An integer in `range`.
    pub(super) fn integer(self, range: RangeInclusive<u32>) -> Option<u32> {
        let expected = match (range.start(), range.end()) {
            (from, &u32::MAX) => format!("an integer of at least {from}"),
            (from, to) => format!("an integer from {from} to {to}"),
        };
        let Some(integer) = self.node.as_integer() else {
            self.wrong_type(&expected);
            return None;
        };
        let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = value.and_then(|value| u32::try_from(value).ok());
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.push(self.must_be(&expected).label("out of range"));
        }
        value
    }

    /// [`integer`](Self::integer) for values of one octet.
    pub(super) fn small(self, range: RangeInclusive<u8>) -> Option<u8> {
        let value = self.integer(u32::from(*range.start())..=u32::from(*range.end()))?;
        u8::try_from(value).ok()
    }

    /// [`integer`](Self::integer) for values that may be negative.
    pub(super) fn signed(self, range: RangeInclusive<i8>) -> Option<i8> {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        let Some(integer) = self.node.as_integer() else {
            self.wrong_type(&expected);
            return None;
        };
        let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = value.and_then(|value| i8::try_from(value).ok());
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.push(self.must_be(&expected).label("out of range"));
        }
        value
    }

    /// [`integer`](Self::integer) for values of two octets.
    pub(super) fn short(self, range: RangeInclusive<u16>) -> Option<u16> {
        let value = self.integer(u32::from(*range.start())..=u32::from(*range.end()))?;
        u16::try_from(value).ok()
    }

    /// An integer or a fraction; `None` for any other type, without a finding.
    pub(super) fn as_number(self) -> Option<f64> {
        match self.node {
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        }
    }

    /// A length of time in `range`.
    pub(super) fn duration(self, range: RangeInclusive<Duration>) -> Option<Duration> {
        const EXPECTED: &str = "a length of time such as `\"10s\"`";
        if let DeValue::Integer(integer) = self.node {
            let error = self.must_be(EXPECTED).label("found an integer");
            let hint = format!("a unit is missing: did you mean `\"{}s\"`?", integer.as_str());
            self.push(error.hint(hint));
            return None;
        }
        let duration = self.parsed(EXPECTED, text::duration)?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let (from, to) = (text::show(*range.start()), text::show(*range.end()));
        self.push(self.error(format!("`{}` must lie between {from} and {to}", self.key)));
        None
    }

    /// The entries of a table whose keys are names, in the order of the file; `shape` is an example.
    pub(super) fn named(self, shape: &str) -> Vec<(Key<'d>, Self)> {
        let DeValue::Table(node) = self.node else {
            self.wrong_type(&format!("a table such as `{shape}`"));
            return Vec::new();
        };
        let entry = |(name, node): (&'d Spanned<_>, &'d Spanned<_>)| {
            let name = key_at(name, self.findings);
            (name, Value::new(name.text, node, self.findings))
        };
        let mut entries: Vec<_> = node.iter().map(entry).collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// A length of time in whole seconds, in `range`.
    pub(super) fn seconds(self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let duration = self.duration(range)?;
        if duration.subsec_nanos() == 0 {
            return Some(duration);
        }
        self.push(self.error(format!("`{}` must be whole seconds", self.key)));
        None
    }

    /// One of `words`. Those of `unbuilt` get their own message.
    pub(super) fn choice<T: Copy>(self, words: &[(&str, T)], unbuilt: &[&str]) -> Option<T> {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let written = self.text(&format!("one of {}", list_words(known.iter().copied())))?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*meaning);
        }
        let known_list = list_words(known.iter().copied());
        if unbuilt.contains(&written) {
            let message = format!("`{} = \"{written}\"` is not built yet", self.key);
            self.push(self.error(message).hint(format!("today there are {known_list}")));
        } else {
            let message = format!("`{written}` is not a `{}`", self.key);
            self.push(self.error(message).hint(suggest(written, &known)));
        }
        None
    }

    /// A domain name; one without a dot at its end is completed with `origin`.
    pub(super) fn name(self, origin: &Name) -> Option<Name> {
        let text = self.text("a domain name")?;
        text::name(text, origin).map_err(|error| self.push(error.at(self.span))).ok()
    }

    /// A list of `what`.
    pub(super) fn list(self, what: &str) -> Vec<Self> {
        self.as_list().unwrap_or_else(|| {
            let error = self.must_be(&format!("a list of {what}")).label(self.found());
            self.push(match self.as_text() {
                Some(text) => error.hint(format!("write `{} = [\"{text}\"]`", self.key)),
                None => error,
            });
            Vec::new()
        })
    }

    /// A table that messages call `what`.
    pub(super) fn table(self, what: String, keys: &'static Keys) -> Option<Table<'d>> {
        let DeValue::Table(node) = self.node else {
            self.wrong_type("a table");
            return None;
        };
        Some(Table::open(node, what, self.span, keys, self.findings))
    }

    /// A list of tables; `what` names one of them by its number, counted from 1.
    pub(super) fn tables(
        self,
        header: &str,
        keys: &'static Keys,
        what: impl Fn(usize) -> String,
    ) -> Vec<Table<'d>> {
        let Some(list) = self.as_list() else {
            self.wrong_type(&format!("a list of tables: `{header}`"));
            return Vec::new();
        };
        let tables = list.into_iter().enumerate();
        tables.filter_map(|(index, value)| value.table(what(index + 1), keys)).collect()
    }
}
