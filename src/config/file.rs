//! One file that defines a zone, read by itself.
//!
//! A [`ReadFile`] holds all that the file says and all that was found in it, and depends on nothing but
//! the texts of [`files`](ReadFile::files): while these stay the same, so does what came of them. What is
//! wrong between files is [`read_directory`](super::read_directory)'s business; keeping what was read, and
//! knowing what has changed, is the caller's.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ZoneFiles, master, name_of, shown, text, zone};
use crate::model::{Diagnostic, Name, Report, Span, Zone};
use crate::zone::Pieces;

/// What a file was found to say.
#[derive(Debug)]
pub struct ReadFile {
    name: Arc<str>,
    /// Other files that were read for it.
    others: Vec<String>,
    /// What was found in it, if anything, with the texts.
    pub(super) findings: Option<Report>,
    /// The apex and where in the file itself it was written, if it could be read.
    pub(super) apex: Option<(Name, Span)>,
    /// Master files that belong to it.
    pub(super) claims: Vec<String>,
    /// The zone; `None` when anything in it is an error.
    pub(super) zone: Option<Arc<Zone>>,
}

impl ReadFile {
    /// What it is called in its directory.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Every file that it was read from, by name: itself, then its master file and what is included.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.name).chain(self.others.iter().map(String::as_str))
    }

    /// Its zone, unless anything in it is an error.
    #[must_use]
    pub const fn zone(&self) -> Option<&Arc<Zone>> {
        self.zone.as_ref()
    }

    /// Octets of texts that it keeps for the sake of what was found in them.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.findings.as_ref().map_or(0, |findings| findings.sources().text_len())
    }

    /// Reads `NAME.toml` with its master file, or `NAME.zone` as a zone of static records.
    pub fn read(files: &dyn ZoneFiles, name: &str) -> Self {
        if let Some(stem) = name.strip_suffix(".toml") {
            return Self::read_zone(files, name, stem);
        }
        let stem = name.strip_suffix(".zone").unwrap_or(name);
        match text::name(stem, &Name::root()) {
            Ok(apex) => Self::read_static(files, name, apex),
            Err(error) => Self::fill(files, name, |_, _, report| {
                let source = report.add_source(shown(files, name), "");
                let error = error.at(Span::new(source, 0..0));
                report.push(error.hint("a file is called like its zone"));
            }),
        }
    }

    fn read_zone(files: &dyn ZoneFiles, name: &str, stem: &str) -> Self {
        Self::fill(files, name, |file, files, report| {
            // What is broken may have been meant to claim the file of its own name.
            file.claims = vec![format!("{stem}.zone")];
            match files.read(name) {
                Ok(text) => {
                    let source = report.add_source(shown(files, name), text);
                    if let Some(read) = zone::read(report, files, source, stem) {
                        file.apex = read.apex;
                        file.claims = Vec::from_iter(read.records);
                        file.zone = read.zone.map(Arc::new);
                    }
                }
                Err(reason) => {
                    let message = format!("cannot read {}: {reason}", shown(files, name));
                    report.push(Diagnostic::error_without_place(message));
                }
            }
        })
    }

    /// Reads a master file without a zone file as the zone `apex`.
    pub(super) fn read_static(files: &dyn ZoneFiles, name: &str, apex: Name) -> Self {
        Self::fill(files, name, |file, files, report| {
            let Some(master) = master::read(report, files, name, &apex, None) else { return };
            let mut names = master.names;
            if let Some(names) = &mut names {
                names.check(report, Some(master.start));
            }
            file.zone = names.filter(|_| !report.has_errors()).map(|names| {
                Arc::new(Zone { names: Arc::new(names.finish([])), ..Zone::empty(apex.clone()) })
            });
            file.apex = Some((apex, master.start));
        })
    }

    /// The file `name` as `read` fills it, which also makes a report, the file itself its first source.
    fn fill(
        files: &dyn ZoneFiles,
        name: &str,
        read: impl FnOnce(&mut Self, &dyn ZoneFiles, &mut Report),
    ) -> Self {
        let mut file = Self {
            name: name.into(),
            others: Vec::new(),
            findings: None,
            apex: None,
            claims: Vec::new(),
            zone: None,
        };
        let asked = Asked { files, main: name, others: RefCell::default() };
        let mut report = Report::new();
        read(&mut file, &asked, &mut report);
        report.complete(&mut |path| files.read(name_of(files, path)).ok());
        file.others = asked.others.into_inner().into_iter().collect();
        file.findings = Some(report).filter(|report| !report.diagnostics().is_empty());
        file
    }
}

/// Files, and which of them were asked for beside one.
struct Asked<'f> {
    files: &'f dyn ZoneFiles,
    main: &'f str,
    others: RefCell<BTreeSet<String>>,
}

impl Asked<'_> {
    fn note(&self, name: &str) {
        if name != self.main {
            self.others.borrow_mut().insert(name.to_owned());
        }
    }
}

impl ZoneFiles for Asked<'_> {
    fn directory(&self) -> &str {
        self.files.directory()
    }

    fn names(&self) -> Vec<String> {
        self.files.names()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        self.note(name);
        self.files.read(name)
    }

    fn open(&self, name: &str) -> Result<Pieces, String> {
        self.note(name);
        self.files.open(name)
    }
}
