//! Master files of the zone directory, read with places.

use std::sync::Arc;

use super::ZoneFiles;
use crate::model::{Diagnostic, Name, Report, Severity, Span};
use crate::zone::NamesBuilder;

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
    let text = match open(files, name) {
        Ok(text) => text,
        Err(reason) => {
            let message = format!("cannot read {}: {reason}", super::shown(files, name));
            report.push(match named_at {
                Some(span) => Diagnostic::error(span, message),
                None => Diagnostic::error_without_place(message),
            });
            return None;
        }
    };
    let source = report.add_source(super::shown(files, name), text);
    let errors = report.count(Severity::Error);
    let mut include = |report: &mut Report, name: &str| {
        open(files, name).map(|text| report.add_source(super::shown(files, name), text))
    };
    let mut names = NamesBuilder::new(apex);
    crate::zone::read(report, source, apex, &mut include, &mut |record| names.add(record));
    let is_sound = report.count(Severity::Error) == errors;
    Some(Master { start: Span::new(source, 0..0), names: is_sound.then_some(names) })
}

/// The text of a file inside the zone directory.
fn open(files: &dyn ZoneFiles, name: &str) -> Result<Arc<str>, String> {
    judge_path(name)?;
    files.read(name)
}

/// Files outside the zone directory are out of reach: a zone file may come from somebody who should
/// not see them.
fn judge_path(name: &str) -> Result<(), &'static str> {
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
