//! One TOML document: its syntax, and what was found in it.
//!
//! Syntax errors are the TOML parser's, in our words; what the document means is left to `reader`
//! and the readers of sections above it.

use std::cell::RefCell;
use std::ops::Range;

use toml::de::DeTable;

use crate::model::{Diagnostic, Report, Severity, SourceId, Span};

/// What was found in one file so far. It is handed round as a shared reference because every view
/// of the document records into it.
pub(super) struct Findings {
    source: SourceId,
    list: RefCell<Vec<Diagnostic>>,
}

impl Findings {
    /// Of `source`, none so far.
    pub(super) const fn new(source: SourceId) -> Self {
        Self { source, list: RefCell::new(Vec::new()) }
    }

    /// Adds one.
    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.list.borrow_mut().push(diagnostic);
    }

    /// Moves them to `report` in the order of the file.
    pub(super) fn finish(self, report: &mut Report) {
        let mut list = self.list.into_inner();
        list.sort_by_key(|found| found.labels.first().map_or(0, |(span, _)| span.start));
        list.into_iter().for_each(|found| report.push(found));
    }

    /// Whether one of them is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.list.borrow().iter().any(|found| found.severity == Severity::Error)
    }

    /// A stretch of the file.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.source, range)
    }
}

/// Parses `text`. `None` when its syntax is so broken that reading on would only find consequences;
/// keys written twice are findings too, but the document can still be read.
pub(super) fn parse<'t>(text: &'t str, findings: &Findings) -> Option<DeTable<'t>> {
    let (document, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let mut last_line = None;
    let mut is_readable = true;
    for error in &errors {
        let range = error.span().unwrap_or(0..0);
        let line = text[..range.start].matches('\n').count();
        // What follows the first error of a line is nearly always its consequence.
        if last_line.replace(line) == Some(line) {
            continue;
        }
        let span = findings.span(range.clone());
        if error.message() == "duplicate key" {
            let key = &text[range];
            findings.push(Diagnostic::error(span, format!("`{key}` is written twice")));
        } else {
            is_readable = false;
            findings.push(syntax_error(span, error.message(), &text[range]));
        }
    }
    is_readable.then(|| document.into_inner())
}

/// A finding in our words of what the TOML parser says about `found`.
fn syntax_error(span: Span, message: &str, found: &str) -> Diagnostic {
    let (message, expected) = match message.split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (message, None),
    };
    let error = Diagnostic::error(span, message);
    match (message, expected) {
        ("string values must be quoted", _) => error.hint(format!("write `\"{found}\"`")),
        ("missing comma between array elements", _) => {
            error.hint("is a `]` missing at the end of the list before this?")
        }
        (_, Some(expected)) => error.label(format!("expected {expected}")),
        (_, None) => error,
    }
}
