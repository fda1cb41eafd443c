//! What is wrong with a file, where, and what would be right.
//!
//! Readers of zone and server files put every finding into one [`Report`] and go on, so that the
//! operator sees all of them at once. A report prints itself as rustc does: message, place, the
//! offending text underlined, a hint. Finding faults is the readers' business.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A file of a [`Report`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId(u32);

impl SourceId {
    /// Its place among the files of its report.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// The file at that place.
    pub(crate) const fn of_number(number: u32) -> Self {
        Self(number)
    }
}

/// A stretch of text in a file of a [`Report`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// The first octet.
    pub start: u32,
    /// The octet behind the last.
    pub end: u32,
}

impl Span {
    /// A stretch of `source`. Offsets past 4 GiB are cut: no file that large is read.
    #[must_use]
    pub fn new(source: SourceId, range: Range<usize>) -> Self {
        let cut = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { source, start: cut(range.start), end: cut(range.end) }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The same stretch where its file is now.
    #[must_use]
    pub const fn moved(self, by: Moved) -> Self {
        Self { source: SourceId(self.source.0 + by.0), ..self }
    }
}

/// How far files moved when they were added to those of another report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved(u32);

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but probably does not say what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a fragment in lower case without a full stop.
    pub message: String,
    /// Where, with what to write below the underline (often empty). The first is the place itself;
    /// more are places that it clashes with.
    pub labels: Vec<(Span, String)>,
    /// What would be right.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    #[must_use]
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        let labels = vec![(span, String::new())];
        Self { severity: Severity::Error, message: message.into(), labels, hint: None }
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// An error of a file as a whole, or of none.
    #[must_use]
    pub fn error_without_place(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity: Severity::Error, message, labels: Vec::new(), hint: None }
    }

    /// A warning of a file as a whole, or of none.
    #[must_use]
    pub fn warning_without_place(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error_without_place(message) }
    }

    /// The same with `text` below the underline of its place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some((_, label)) = self.labels.first_mut() {
            *label = text.into();
        }
        self
    }

    /// The same with a second place that it clashes with.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same where its files are now.
    #[must_use]
    pub fn moved(mut self, by: Moved) -> Self {
        for (span, _) in &mut self.labels {
            *span = span.moved(by);
        }
        self
    }
}

/// One file's name, and its text while that is kept.
#[derive(PartialEq, Eq, Debug)]
struct Source {
    path: String,
    text: Option<Arc<str>>,
}

impl Source {
    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

/// Files that places lie in. A copy costs a pointer a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// The first file alone.
    #[must_use]
    pub fn first(&self) -> Self {
        Self(self.0.iter().take(1).map(Arc::clone).collect())
    }

    /// The same without their texts.
    #[must_use]
    pub fn bare(&self) -> Self {
        let bare =
            |source: &Arc<Source>| Arc::new(Source { path: source.path.clone(), text: None });
        Self(self.0.iter().map(bare).collect())
    }

    /// Octets of all texts that are kept.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.0.iter().map(|source| source.text().len()).sum()
    }

    fn of(&self, id: SourceId) -> &Source {
        &self.0[id.0 as usize]
    }

    fn next_id(&self) -> u32 {
        u32::try_from(self.0.len()).expect("fewer than 2^32 files are read")
    }
}

/// Files and what was found in them.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// A report without files or findings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. `path` is printed as given.
    pub fn add_source(&mut self, path: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        let id = SourceId(self.sources.next_id());
        self.sources.0.push(Arc::new(Source { path: path.into(), text: Some(text.into()) }));
        id
    }

    /// Adds a file whose text is not at hand: see [`complete`](Self::complete).
    pub fn add_path(&mut self, path: impl Into<String>) -> SourceId {
        let id = SourceId(self.sources.next_id());
        self.sources.0.push(Arc::new(Source { path: path.into(), text: None }));
        id
    }

    /// Adds files behind those that are there already, and says how far that moves them.
    pub fn add_sources(&mut self, sources: &Sources) -> Moved {
        let moved = Moved(self.sources.next_id());
        self.sources.0.extend_from_slice(&sources.0);
        moved
    }

    /// Adds the files and findings of another report, and says how far that moves its files.
    pub fn absorb(&mut self, other: &Self) -> Moved {
        let moved = self.add_sources(&other.sources);
        self.diagnostics.extend(other.diagnostics.iter().map(|found| found.clone().moved(moved)));
        moved
    }

    /// All files.
    #[must_use]
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The text of a file; empty when it is not kept.
    #[must_use]
    pub fn text(&self, source: SourceId) -> Arc<str> {
        self.sources.of(source).text.clone().unwrap_or_default()
    }

    /// The name of a file, as it was given.
    #[must_use]
    pub fn path(&self, source: SourceId) -> &str {
        &self.sources.of(source).path
    }

    /// Takes from `read`, which gets a file's name, the texts that findings point into and that are not
    /// kept. A file that cannot be read any more is shown without text.
    pub fn complete(&mut self, read: &mut dyn FnMut(&str) -> Option<Arc<str>>) {
        for (span, _) in self.diagnostics.iter().flat_map(|found| &found.labels) {
            let source = &mut self.sources.0[span.source.0 as usize];
            if source.text.is_none() {
                let text = read(&source.path).unwrap_or_default();
                *source = Arc::new(Source { path: source.path.clone(), text: Some(text) });
            }
        }
    }

    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// All findings, in the order in which they were made.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether any finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many findings are of that severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == severity).count()
    }

    /// Where a span starts: `path:line:column`, both counted from 1, columns in characters.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        let source = self.sources.of(span.source);
        let before = source.text();
        let before = before.get(..span.start as usize).unwrap_or(before);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("{}:{line}:{column}", source.path)
    }

    /// The findings as rustc would print them, with colours where `colour` is set.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            out.push_str(&self.render_one(&renderer, diagnostic));
            out.push_str("\n\n");
        }
        out
    }

    fn render_one(&self, renderer: &Renderer, diagnostic: &Diagnostic) -> String {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(diagnostic.message.as_str())
            .elements(self.snippets(&diagnostic.labels));
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[group]).to_string()
    }

    /// One snippet for each file that the labels name, the first label's file first.
    fn snippets<'a>(
        &'a self,
        labels: &'a [(Span, String)],
    ) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let mut files: Vec<SourceId> = Vec::new();
        for (span, _) in labels {
            if !files.contains(&span.source) {
                files.push(span.source);
            }
        }
        let snippet_of = |file: SourceId| {
            let source = self.sources.of(file);
            let annotations =
                labels.iter().enumerate().filter(|(_, (span, _))| span.source == file);
            // The renderer's work grows with the text that it gets, for each finding anew.
            let places = annotations.clone().map(|(_, (span, _))| span.range());
            let lines = lines_around(source.text(), places);
            let annotations = annotations.map(|(n, (span, text))| {
                let kind = if n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let place = clamp(source.text(), span.range());
                let annotation = kind.span(place.start - lines.start..place.end - lines.start);
                if text.is_empty() { annotation } else { annotation.label(text.as_str()) }
            });
            Snippet::source(&source.text()[lines.clone()])
                .line_start(source.text()[..lines.start].matches('\n').count() + 1)
                .path(source.path.as_str())
                .fold(true)
                .annotations(annotations)
        };
        files.into_iter().map(snippet_of).collect()
    }
}

/// From the start of the first line that a place touches to the end of the last.
fn lines_around(text: &str, places: impl Iterator<Item = Range<usize>>) -> Range<usize> {
    let hull = places
        .map(|place| clamp(text, place))
        .reduce(|hull, place| hull.start.min(place.start)..hull.end.max(place.end));
    let hull = hull.unwrap_or(0..0);
    let start = text[..hull.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[hull.end..].find('\n').map_or(text.len(), |at| hull.end + at);
    start..end
}

/// `range` cut to `text` and to whole characters, so that no place can make printing fail.
fn clamp(text: &str, range: Range<usize>) -> Range<usize> {
    let whole = |mut offset: usize| {
        offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = whole(range.start);
    start..whole(range.end).max(start)
}

/// Plain, without colours.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// The entry of `known` that `written` was probably meant to be: at most a third of it is wrong.
#[must_use]
pub fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let len = written.chars().count();
    let distance_max = len.div_ceil(3);
    known
        .into_iter()
        // Each character too many or too few is a difference by itself.
        .filter(|name| name.chars().count().abs_diff(len) <= distance_max)
        .map(|name| (edit_distance(written, name), name))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, removals, changes and swaps of neighbours that turn `a` into `b` (Damerau–Levenshtein,
/// optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best =
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_place_text_and_hint() {
        let mut report = Report::new();
        let source = report.add_source("zones/shop.toml", "a = 1\npools = [\"eu-wset\"]\n");
        report.push(
            Diagnostic::error(Span::new(source, 15..24), "steer `www` names pool `eu-wset`")
                .label("not defined")
                .hint("did you mean `eu-west`?"),
        );
        insta::assert_snapshot!(report, @r#"
        error: steer `www` names pool `eu-wset`
         --> zones/shop.toml:2:10
          |
        2 | pools = ["eu-wset"]
          |          ^^^^^^^^^ not defined
          |
          = hint: did you mean `eu-west`?
        "#);
        assert_eq!(report.place(Span::new(source, 15..24)), "zones/shop.toml:2:10");
    }

    #[test]
    fn places_in_a_long_file_show_their_own_lines_and_no_others() {
        let mut report = Report::new();
        let text: String = (1..=100_000).map(|n| format!("line {n}\n")).collect();
        let starts: Vec<_> = text.match_indices("line ").map(|(at, _)| at).collect();
        let source = report.add_source("long.zone", text);
        let span = |line: usize| Span::new(source, starts[line - 1]..starts[line - 1] + 4);
        report.push(Diagnostic::error(span(99_998), "twice").also(span(100_000), "and here"));
        insta::assert_snapshot!(report, @"
        error: twice
              --> long.zone:99998:1
               |
         99998 | line 99998
               | ^^^^
         99999 | line 99999
        100000 | line 100000
               | ---- and here
        ");
        // Each finding by itself: as many of them as one wants, in a file of any length.
        for line in 50_000..50_200 {
            report.push(Diagnostic::warning(span(line), "odd"));
        }
        let printed = report.to_string();
        assert!(printed.contains("--> long.zone:50199:1"));
        assert_eq!(printed.matches("line 5").count(), 200);
    }

    #[test]
    fn what_was_found_apart_shows_the_same_places_together() {
        let mut part = Report::new();
        let source = part.add_source("b.zone", "one\ntwo\n");
        let place = Span::new(source, 4..7);
        part.push(Diagnostic::warning(place, "odd"));
        let alone = part.to_string();
        let mut whole = Report::new();
        whole.add_source("a.zone", "x");
        let moved = whole.absorb(&part);
        assert_eq!(whole.to_string(), alone);
        assert_eq!(whole.place(place.moved(moved)), "b.zone:2:1");
    }

    #[test]
    fn a_text_is_read_when_something_is_to_be_shown_of_it() {
        let mut report = Report::new();
        let [_, second] = ["a.zone", "b.zone"].map(|path| report.add_path(path));
        let mut asked = Vec::new();
        let mut complete = |report: &mut Report| {
            report.complete(&mut |path| {
                asked.push(path.to_owned());
                Some("one\ntwo\n".into())
            });
        };
        complete(&mut report);
        report.push(Diagnostic::warning(Span::new(second, 4..7), "odd"));
        complete(&mut report);
        complete(&mut report);
        assert_eq!(asked, ["b.zone"]);
        assert!(report.to_string().contains("b.zone:2:1"), "{report}");
    }

    #[test]
    fn a_span_past_the_text_still_prints() {
        let mut report = Report::new();
        let source = report.add_source("x", "é");
        report.push(Diagnostic::warning(Span::new(source, 1..900), "odd"));
        assert!(report.to_string().starts_with("warning: odd"));
    }

    #[test]
    fn the_closest_name_is_found_only_when_it_is_close() {
        let known = ["eu-west", "us-east", "ap-south"];
        assert_eq!(closest("eu-wset", known), Some("eu-west"));
        assert_eq!(closest("us-eats", known), Some("us-east"));
        assert_eq!(closest("mars", known), None);
    }
}
