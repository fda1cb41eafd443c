//! Master files (RFC 1035 §5): from text to records.
//!
//! [`read`] hands every record to a sink as soon as it is read, so that a zone of any size can be
//! compiled without being held as a list. It finds all errors of a file at once: after an error it
//! goes on with the next entry. Records are read one by one; whether they make a zone is
//! [`check`](super::check())'s business. Files are opened by the caller's `include`, which is where
//! `$INCLUDE` is kept inside the zone directory.
//!
//! Beyond RFC 1035: `$TTL` (RFC 2308 §4), `$GENERATE` and TTL units as BIND has them, generic types
//! and data (RFC 3597 §5), UTF-8 in strings. The TTL of a record that states none:
//!
//! | there is | TTL | |
//! |---|---|---|
//! | a `$TTL` above | that one | RFC 2308 §4 |
//! | a record with a TTL above | that one | RFC 1035 §5.1; warned about |
//! | only the SOA, being read | its minimum | RFC 1035 §3.3.13; warned about |
//! | none of these | | an error |

use crate::model::diagnostic::closest;
use crate::model::{Diagnostic, Name, Record, RecordType, Report, SourceId, Span};

use super::generate::{Counter, Template};
use super::lexer::{Fault, Lexer, Token, TokenKind, shown};
use super::pieces::{Pieces, TextError};
use super::rdata::{self, Fields};
use super::ttl::{self, TTL_MAX};

/// How deep files may include one another.
const DEPTH_MAX: usize = 8;
/// How many files one zone may include: two files that include a third many times each must not
/// make reading endless.
const INCLUDES_MAX: usize = 4096;
/// How many records `$GENERATE` may make in one zone.
const GENERATED_MAX: u64 = 1 << 22;
/// After so many errors reading stops: the file is something else.
const ERRORS_MAX: usize = 200;
/// Assumed after a missing TTL has been reported, so that it is reported once.
const TTL_ASSUMED: u32 = 3600;

const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];

/// One record, borrowed from the reader.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// The name it belongs to.
    pub owner: &'a Name,
    /// Its type.
    pub rtype: RecordType,
    /// Time to live in seconds, at most 2³¹ − 1.
    pub ttl: u32,
    /// Its data in wire form, names uncompressed.
    pub rdata: &'a [u8],
    /// Where it is written; its first line, when it has several.
    pub span: Span,
}

impl<'a> From<&'a Record> for RecordRef<'a> {
    fn from(record: &'a Record) -> Self {
        let Record { owner, rtype, ttl, rdata, span } = record;
        Self { owner, rtype: *rtype, ttl: *ttl, rdata, span: *span }
    }
}

impl RecordRef<'_> {
    /// A copy that can be kept.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record {
            owner: self.owner.clone(),
            rtype: self.rtype,
            ttl: self.ttl,
            rdata: self.rdata.into(),
            span: self.span,
        }
    }
}

/// Opens the file of an `$INCLUDE`, whose path is given as written, and adds it to the report; or
/// says why not.
pub type Open<'r> = dyn FnMut(&mut Report, &str) -> Result<(SourceId, Pieces), String> + 'r;

/// The same for files whose texts the report has.
pub type Include<'r> = dyn FnMut(&mut Report, &str) -> Result<SourceId, String> + 'r;

/// Reads the master file `source`, whose text is `text`, and what it includes. Relative names are
/// completed with `origin` until a `$ORIGIN`. Every record goes to `sink`, every finding to `report`;
/// records next to errors are still delivered.
///
/// # Errors
/// Why the file cannot be read to its end. What it includes and cannot be read is a finding.
pub fn read(
    report: &mut Report,
    (source, text): (SourceId, Pieces),
    origin: &Name,
    include: &mut Open<'_>,
    sink: &mut dyn FnMut(RecordRef<'_>),
) -> Result<(), TextError> {
    let mut reader = Reader {
        report,
        include,
        sink,
        origin: origin.clone(),
        owner: None,
        ttl_default: None,
        ttl_last: None,
        is_ttl_warned: false,
        files: Vec::new(),
        includes: 0,
        generated: 0,
        errors: 0,
        wire: Vec::new(),
    };
    reader.file(source, text)
}

/// Reads files as [`read`] does, whose texts the report has, and returns the records as a list.
pub fn read_records(
    report: &mut Report,
    source: SourceId,
    origin: &Name,
    include: &mut Include<'_>,
) -> Vec<Record> {
    let mut records = Vec::new();
    let pieces = |report: &Report, source| (source, Pieces::of_text(report.text(source)));
    let file = pieces(report, source);
    let mut open = |report: &mut Report, path: &str| {
        include(report, path).map(|source| pieces(report, source))
    };
    let mut sink = |record: RecordRef<'_>| records.push(record.to_record());
    read(report, file, origin, &mut open, &mut sink).expect("a text in memory is whole");
    records
}

struct Reader<'r, 'i> {
    report: &'r mut Report,
    include: &'r mut Open<'i>,
    sink: &'r mut dyn FnMut(RecordRef<'_>),
    /// `$ORIGIN`.
    origin: Name,
    /// The owner of lines that begin with a blank.
    owner: Option<Name>,
    /// `$TTL`.
    ttl_default: Option<u32>,
    /// The last TTL that a record stated.
    ttl_last: Option<u32>,
    is_ttl_warned: bool,
    /// The files being read, each included by the one before.
    files: Vec<SourceId>,
    includes: usize,
    generated: u64,
    errors: usize,
    /// Kept between records for its memory.
    wire: Vec<u8>,
}

impl Reader<'_, '_> {
    fn file(&mut self, source: SourceId, mut text: Pieces) -> Result<(), TextError> {
        self.files.push(source);
        while let Some((piece, start)) = text.next_piece()? {
            let mut lexer = Lexer::of_piece(piece, source, start);
            while self.errors < ERRORS_MAX
                && let Some(is_indented) = lexer.next_entry()
            {
                if let Err(fault) = self.entry(&mut lexer, is_indented) {
                    let fault = lexer.skip_entry().unwrap_or(fault);
                    self.error(*fault);
                }
            }
        }
        self.files.pop();
        Ok(())
    }

    #[cold]
    fn error(&mut self, fault: Diagnostic) {
        self.errors += 1;
        let place = fault.labels.first().map(|(span, _)| *span);
        self.report.push(fault);
        if let Some(place) = place.filter(|_| self.errors == ERRORS_MAX) {
            let message = format!("{ERRORS_MAX} errors: reading stops here");
            self.report.push(Diagnostic::error(place, message));
        }
    }

    /// Reads one entry: a directive or a record.
    fn entry(&mut self, lexer: &mut Lexer<'_>, is_indented: bool) -> Result<(), Fault> {
        let first = lexer.token()?;
        match first.kind {
            TokenKind::End => Ok(()),
            TokenKind::Word if lexer.text(first).starts_with('$') => self.directive(lexer, first),
            TokenKind::Word | TokenKind::Quoted => {
                if is_indented {
                    lexer.unread(first);
                } else {
                    self.set_owner(lexer, first)?;
                }
                self.record(lexer, first.start, is_indented)
            }
        }
    }

    // ---- Records ----

    fn set_owner(&mut self, lexer: &Lexer<'_>, token: Token) -> Result<(), Fault> {
        let text = lexer.text(token);
        self.wire.clear();
        Name::parse_into(text, &self.origin, &mut self.wire).map_err(|error| {
            let message = format!("{} is not a valid owner name", shown(text));
            lexer.fault(token, message).label(error.to_string())
        })?;
        if self.owner.as_ref().is_none_or(|owner| owner.as_wire() != self.wire) {
            let (owner, _) = Name::from_wire(&self.wire).expect("parsed names are well-formed");
            self.owner = Some(owner);
        }
        Ok(())
    }

    /// Reads a record behind its owner. It began at `start`.
    fn record(
        &mut self,
        lexer: &mut Lexer<'_>,
        start: usize,
        is_indented: bool,
    ) -> Result<(), Fault> {
        let (ttl_stated, rtype) = header(lexer, is_indented)?;
        if self.owner.is_none() {
            let fault = Diagnostic::error(lexer.entry_span(start), "the record has no owner");
            let fault = fault.label("a line that begins with a blank takes the owner above it");
            return Err(fault
                .hint("write the owner at the start of the line, `@` for the apex")
                .into());
        }
        self.wire.clear();
        let origin = &self.origin;
        rdata::read(&mut Fields { lexer: &mut *lexer, origin, rtype }, &mut self.wire)?;
        let span = lexer.entry_span(start);
        let ttl = match ttl_stated {
            Some(ttl) => *self.ttl_last.insert(ttl),
            None => self.ttl_default.map_or_else(|| self.ttl_without_default(rtype, span), Ok)?,
        };
        let owner = self.owner.as_ref().expect("looked at above");
        (self.sink)(RecordRef { owner, rtype, ttl, rdata: &self.wire, span });
        Ok(())
    }

    /// The TTL of a record that states none below no `$TTL`; its data is in `self.wire`.
    fn ttl_without_default(&mut self, rtype: RecordType, span: Span) -> Result<u32, Fault> {
        let (ttl, origin) = if let Some(ttl) = self.ttl_last {
            (ttl, "the last one stated above")
        } else if let (RecordType::SOA, Some(minimum)) = (rtype, self.wire.last_chunk()) {
            (u32::from_be_bytes(*minimum).min(TTL_MAX), "the SOA's minimum")
        } else {
            self.ttl_last = Some(TTL_ASSUMED);
            self.is_ttl_warned = true;
            let fault = Diagnostic::error(span, "the record has no TTL");
            let fault = fault.label("neither it nor a `$TTL` or a record above states one");
            return Err(fault.hint("put a line `$TTL 3600` at the top of the file").into());
        };
        self.ttl_last = Some(ttl);
        if !std::mem::replace(&mut self.is_ttl_warned, true) {
            let warning = Diagnostic::warning(span, "a record without TTL, and no `$TTL` above");
            let label = format!("takes {ttl} seconds, {origin}, as do all like it below");
            self.report.push(
                warning
                    .label(label)
                    .hint(format!("put a line `$TTL {ttl}` at the top of the file")),
            );
        }
        Ok(ttl)
    }

    // ---- Directives ----

    fn directive(&mut self, lexer: &mut Lexer<'_>, directive: Token) -> Result<(), Fault> {
        let text = lexer.text(directive);
        let known = DIRECTIVES.iter().find(|known| known.eq_ignore_ascii_case(text));
        match known.copied() {
            Some("$ORIGIN") => self.origin_directive(lexer),
            Some("$TTL") => self.ttl_directive(lexer),
            Some("$INCLUDE") => self.include_directive(lexer, directive),
            Some(_) => self.generate_directive(lexer, directive),
            None => {
                let message = format!("there is no directive {}", shown(text));
                let fault = lexer.fault(directive, message);
                Err(match nearest(text, DIRECTIVES) {
                    Some(near) => fault.hint(format!("did you mean `{near}`?")),
                    None => fault.hint(r"an owner that begins with `$` is written `\$…`"),
                }
                .into())
            }
        }
    }

    fn origin_directive(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let token = required(lexer, "$ORIGIN", "a name")?;
        let origin = name(lexer, token, &self.origin)?;
        end(lexer, "$ORIGIN")?;
        self.origin = origin;
        Ok(())
    }

    fn ttl_directive(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let token = required(lexer, "$TTL", "seconds, or a period like `1h30m`")?;
        let ttl = ttl_of(lexer, token)?;
        end(lexer, "$TTL")?;
        self.ttl_default = Some(ttl);
        Ok(())
    }

    /// `$INCLUDE FILE [ORIGIN]`. Origin and owner are afterwards what they were before (RFC 1035
    /// §5.1); a `$TTL` in the file goes on to hold, for it is meant for all that follows (RFC 2308
    /// §4).
    fn include_directive(&mut self, lexer: &mut Lexer<'_>, directive: Token) -> Result<(), Fault> {
        let file = required(lexer, "$INCLUDE", "a file name")?;
        let origin_token = lexer.token()?;
        let origin = match origin_token.kind {
            TokenKind::End => self.origin.clone(),
            TokenKind::Word | TokenKind::Quoted => name(lexer, origin_token, &self.origin)?,
        };
        end(lexer, "$INCLUDE")?;
        let path = lexer.text(file);
        self.includes += 1;
        if self.files.len() > DEPTH_MAX {
            let message = format!("files include one another more than {DEPTH_MAX} deep");
            return Err(lexer.fault(file, message).into());
        }
        if self.includes > INCLUDES_MAX {
            let message = format!("more than {INCLUDES_MAX} files are included");
            return Err(lexer.fault(directive, message).into());
        }
        let refused = |reason: String| {
            lexer.fault(file, format!("{} cannot be included", shown(path))).label(reason)
        };
        let (source, text) = (self.include)(self.report, path).map_err(refused)?;
        let is_same = |other: &SourceId| self.report.path(*other) == self.report.path(source);
        if self.files.iter().any(is_same) {
            let fault = lexer.fault(file, format!("{} includes itself", shown(path)));
            return Err(fault.label("this file is being read already").into());
        }
        let outer = (std::mem::replace(&mut self.origin, origin), self.owner.clone());
        let depth = self.files.len();
        let outcome = self.file(source, text);
        self.files.truncate(depth);
        (self.origin, self.owner) = outer;
        outcome.map_err(|error| refused(error.to_string()).into())
    }

    /// `$GENERATE RANGE OWNER [TTL] [CLASS] TYPE DATA`: one record for each number of the range.
    fn generate_directive(&mut self, lexer: &mut Lexer<'_>, directive: Token) -> Result<(), Fault> {
        let range = required(lexer, "$GENERATE", "a range like `1-100` or `0-254/2`")?;
        let Some(counter) = Counter::parse(lexer.text(range)) else {
            let message = format!("{} is not a range", shown(lexer.text(range)));
            let fault = lexer.fault(range, message);
            return Err(fault.label("expected `START-STOP` or `START-STOP/STEP`").into());
        };
        let line = generated_line(lexer)?;
        let place = lexer.entry_span(directive.start);
        let template = Template::parse(&line).map_err(|error| {
            Diagnostic::error(place, error).hint("a `$` that is no counter is written `\\$`")
        })?;
        self.generated += counter.count();
        if self.generated > GENERATED_MAX {
            let message = format!("$GENERATE would make {} records", self.generated);
            let label = format!("at most {GENERATED_MAX} are made in one zone");
            return Err(lexer.fault(range, message).label(label).into());
        }
        let owner = self.owner.clone();
        let outcome = self.generate(counter, &template, place);
        self.owner = owner;
        outcome
    }

    fn generate(
        &mut self,
        counter: Counter,
        template: &Template,
        place: Span,
    ) -> Result<(), Fault> {
        let mut text = String::new();
        for number in counter.numbers() {
            text.clear();
            template.expand(number, &mut text).map_err(|error| Diagnostic::error(place, error))?;
            let mut lexer = Lexer::of_generated(&text, place);
            let mut record = || {
                let owner = lexer.token()?;
                self.set_owner(&lexer, owner)?;
                self.record(&mut lexer, owner.start, false)
            };
            record().map_err(|fault| {
                let expansion = format!("for {number}, this is {}", shown(&text));
                fault.also(place, expansion)
            })?;
        }
        Ok(())
    }
}

// ---- Parts of entries ----

/// Reads TTL and class, in any order and each perhaps missing, and the type.
fn header(lexer: &mut Lexer<'_>, is_indented: bool) -> Result<(Option<u32>, RecordType), Fault> {
    let mut ttl = None;
    let mut has_class = false;
    loop {
        let token = lexer.token()?;
        let text = lexer.text(token);
        if token.kind == TokenKind::End {
            let fault = lexer.fault(token, "the record ends before its type");
            return Err(fault.label("expected a record type like `A`").into());
        }
        if ttl.is_none() && is_number_like(text) {
            ttl = Some(ttl_of(lexer, token)?);
        } else if let Some(is_in) = is_class_in(text).filter(|_| !has_class) {
            has_class = true;
            if !is_in {
                let message = format!("class {} is not served", shown(text));
                return Err(lexer.fault(token, message).label("expected `IN`").into());
            }
        } else {
            return Ok((ttl, rtype(lexer, token, is_indented)?));
        }
    }
}

fn rtype(lexer: &Lexer<'_>, token: Token, is_indented: bool) -> Result<RecordType, Fault> {
    let text = lexer.text(token);
    match text.parse::<RecordType>() {
        Ok(rtype) if rtype.is_meta() => {
            let fault = lexer.fault(token, format!("{rtype} cannot stand in a zone"));
            Err(fault.label("this type only occurs in messages").into())
        }
        Ok(rtype) => Ok(rtype),
        Err(_) => Err(unknown_type(lexer, token, is_indented)),
    }
}

#[cold]
fn unknown_type(lexer: &Lexer<'_>, token: Token, is_indented: bool) -> Fault {
    let text = lexer.text(token);
    let message = format!("{} is no record type", shown(text));
    let fault = lexer.fault(token, message).label("expected a TTL, a class or a type");
    let near = nearest(text, rdata::types_with_text());
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if is_indented => {
            "a line that begins with a blank takes the owner above it; is this one an owner?".into()
        }
        None => "a type that is not known here is written `TYPE65280`, its data `\\# …`".into(),
    };
    fault.hint(hint).into()
}

/// The entry of `known` that `written` was probably meant to be. Long words are not looked at:
/// comparing takes time in proportion to their length.
fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LEN_MAX: usize = 16;
    let written = (written.len() <= LEN_MAX).then(|| written.to_ascii_uppercase())?;
    closest(&written, known)
}

pub(super) fn is_number_like(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether the text is the class `IN`; `None` when it is no class.
pub(super) fn is_class_in(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("IN") {
        return Some(true);
    }
    if ["CH", "CS", "HS"].iter().any(|class| text.eq_ignore_ascii_case(class)) {
        return Some(false);
    }
    let (word, number) = text.split_at_checked(5)?;
    let number: u16 = word.eq_ignore_ascii_case("CLASS").then(|| number.parse().ok())??;
    Some(number == 1)
}

fn ttl_of(lexer: &Lexer<'_>, token: Token) -> Result<u32, Fault> {
    let text = lexer.text(token);
    let Some(secs) = ttl::parse(text) else {
        let fault = lexer.fault(token, format!("{} is not a TTL", shown(text)));
        return Err(fault.label("expected seconds, or a period like `1h30m`").into());
    };
    u32::try_from(secs).ok().filter(|ttl| *ttl <= TTL_MAX).ok_or_else(|| {
        let fault = lexer.fault(token, format!("the TTL {} is too long", shown(text)));
        fault.label(format!("expected at most {TTL_MAX} seconds")).into()
    })
}

fn required(lexer: &mut Lexer<'_>, directive: &str, what: &str) -> Result<Token, Fault> {
    let token = lexer.token()?;
    if token.kind == TokenKind::End {
        let fault = lexer.fault(token, format!("{directive} lacks its argument"));
        return Err(fault.label(format!("expected {what}")).into());
    }
    Ok(token)
}

fn end(lexer: &mut Lexer<'_>, directive: &str) -> Result<(), Fault> {
    let token = lexer.token()?;
    if token.kind == TokenKind::End {
        return Ok(());
    }
    let message = format!("{} is one argument too many", shown(lexer.raw(token)));
    Err(lexer.fault(token, message).label(format!("expected the end of {directive}")).into())
}

fn name(lexer: &Lexer<'_>, token: Token, origin: &Name) -> Result<Name, Fault> {
    let text = lexer.text(token);
    Name::parse(text, origin).map_err(|error| {
        let message = format!("{} is not a valid name", shown(text));
        lexer.fault(token, message).label(error.to_string()).into()
    })
}

/// The rest of a `$GENERATE` as one line: a record with counters in it. Data that is one quoted
/// string stands for what is in it, as in BIND.
fn generated_line(lexer: &mut Lexer<'_>) -> Result<String, Fault> {
    let owner = required(lexer, "$GENERATE", "an owner name, which can have `$` in it")?;
    let mut line = lexer.raw(owner).to_owned();
    loop {
        let token = required(lexer, "$GENERATE", "a record type")?;
        let text = lexer.raw(token);
        line.extend([" ", text]);
        if !is_number_like(text) && is_class_in(text).is_none() {
            break;
        }
    }
    let mut token = required(lexer, "$GENERATE", "the data, which can have `$` in it")?;
    let first = token;
    let header_len = line.len();
    let mut count = 0;
    while token.kind != TokenKind::End {
        line.extend([" ", lexer.raw(token)]);
        count += 1;
        token = lexer.token()?;
    }
    if count == 1 && first.kind == TokenKind::Quoted {
        line.truncate(header_len);
        line.extend([" ", lexer.text(first)]);
    }
    Ok(line)
}
