//! Master files of the zone directory, read with places and without holding their texts.

use super::ZoneFiles;
use crate::model::{Diagnostic, Name, Report, Severity, Span};
use crate::zone::{NamesBuilder, Pieces, RecordRef};

/// A master file that could be opened.
pub(super) struct Master {
    /// Its first octet.
    pub(super) start: Span,
    /// What it holds; `None` when anything in it is an error.
    pub(super) names: Option<NamesBuilder>,
}

/// Reads the master file `name` of the zone `apex`, with all that it includes. `named_at` is where
/// it was named, if it was. `None` when it could not be opened.
pub(super) fn read(
    report: &mut Report,
    files: &dyn ZoneFiles,
    name: &str,
    apex: &Name,
    named_at: Option<Span>,
) -> Option<Master> {
    let errors = report.count(Severity::Error);
    let mut include = |report: &mut Report, name: &str| {
        let text = open(files, name)?;
        Ok((report.add_path(super::shown(files, name)), text))
    };
    let mut names = None;
    let mut read = |text: Pieces| {
        let names = names.insert(NamesBuilder::for_text(apex, text.len_left()));
        let source = report.add_path(super::shown(files, name));
        let mut sink = |record: RecordRef<'_>| names.add(record);
        let read = crate::zone::read(report, (source, text), apex, &mut include, &mut sink);
        read.map(|()| source).map_err(|error| error.to_string())
    };
    match open(files, name).and_then(&mut read) {
        Ok(source) => {
            let is_sound = report.count(Severity::Error) == errors;
            Some(Master { start: Span::new(source, 0..0), names: names.filter(|_| is_sound) })
        }
        Err(reason) => {
            let message = format!("cannot read {}: {reason}", super::shown(files, name));
            report.push(match named_at {
                Some(span) => Diagnostic::error(span, message),
                None => Diagnostic::error_without_place(message),
            });
            None
        }
    }
}

/// A file inside the zone directory.
fn open(files: &dyn ZoneFiles, name: &str) -> Result<Pieces, String> {
    judge_path(name)?;
    files.open(name)
}

/// Files outside the zone directory are out of reach: a zone file may come from somebody who should
/// not see them.
pub(super) fn judge_path(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("the name is empty"),
        _ if name.starts_with(['/', '\\']) || name.contains(':') => {
            Err("a path is relative to the zone directory")
        }
        _ if name.split(['/', '\\']).any(|part| part == "..") => {
            Err("a path must stay inside the zone directory")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_zone_directory() {
        for path in ["example.com.zone", "parts/mx.inc", "a..b", "./x"] {
            assert_eq!(judge_path(path), Ok(()), "{path}");
        }
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a\\..\\x", "C:x", ".."] {
            assert!(judge_path(path).is_err(), "{path}");
        }
    }
}
