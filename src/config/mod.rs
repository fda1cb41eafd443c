//! L2: what operators write, read into the model.
//!
//! Server and zone files are TOML. They are read to their ends whatever is wrong with them, and
//! every finding goes to one [`Report`] with its place and what would be right; keys that are not
//! known are errors, and so are keys that are planned but would do nothing yet. Nothing here opens a
//! file: texts are given, and zone files reach others of their directory through [`ZoneFiles`].
//!
//! | file | becomes |
//! |---|---|
//! | `windrose.toml` | [`ServerConfig`], by [`read_server`] |
//! | `zones/NAME.toml`, with the master file that it may name | a [`Zone`], by [`read_zones`] |
//! | `zones/NAME.zone` that no TOML file names | a [`Zone`] of static records |

mod authority;
mod branches;
mod check;
mod clash;
mod client_map;
mod document;
mod encrypted;
mod expect;
mod failback;
mod master;
mod names;
mod places;
mod pool;
mod reader;
mod region;
mod server;
mod steer;
mod text;
mod wheres;
mod zone;

use std::collections::HashSet;
use std::sync::Arc;

pub use self::encrypted::{Encrypted, Transport};
use self::reader::Keys;
pub use self::server::{
    Admin, Answers, Dns, Fixed, Geoip, Log, LogFormat, LogLevel, Probe, Reloadable, ServerConfig,
    State, Zones, is_server_text, read_server,
};
use crate::model::{Diagnostic, Name, Report, Severity, Span, Zone};

/// The zone directory, wherever it is.
pub trait ZoneFiles {
    /// What operators know it as; printed before the names of its files.
    fn directory(&self) -> &str;

    /// The names of the files that lie right in it, in any order.
    fn names(&self) -> Vec<String>;

    /// The text of one of its files. `name` is relative to the directory and never leads out of it
    /// by `..`.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn read(&self, name: &str) -> Result<Arc<str>, String>;
}

/// A file that defines a zone, and where it does.
struct Defined {
    apex: Name,
    span: Span,
    zone: Option<Zone>,
}

/// Reads every zone of the directory. All faults of all files go to `report`; when one of them is
/// an error, what is returned is not complete and must not be served.
pub fn read_zones(report: &mut Report, files: &dyn ZoneFiles) -> Vec<Zone> {
    let mut names = files.names();
    names.sort_unstable();
    let mut defined: Vec<Defined> = Vec::new();
    // Master files that belong to a TOML file: they are no zones of their own.
    let mut claimed: HashSet<String> = HashSet::new();
    for name in &names {
        let Some(stem) = name.strip_suffix(".toml") else { continue };
        let text = match files.read(name) {
            Ok(text) => text,
            Err(reason) => {
                report.push(unreadable(files, name, &reason));
                claimed.insert(format!("{stem}.zone"));
                continue;
            }
        };
        let source = report.add_source(shown(files, name), text);
        let Some(file) = zone::read(report, files, source, stem) else {
            claimed.insert(format!("{stem}.zone"));
            continue;
        };
        claimed.extend(file.records);
        if let Some((apex, span)) = file.apex {
            defined.push(Defined { apex, span, zone: file.zone });
        }
    }
    for name in names.iter().filter(|name| !claimed.contains(*name)) {
        if let Some(stem) = name.strip_suffix(".zone") {
            defined.extend(read_static(report, files, name, stem));
        }
    }
    judge_apexes(report, &mut defined);
    defined.into_iter().filter_map(|defined| defined.zone).collect()
}

fn unreadable(files: &dyn ZoneFiles, name: &str, reason: &str) -> Diagnostic {
    Diagnostic::error_without_place(format!("cannot read {}: {reason}", shown(files, name)))
}

/// A file's path as operators know it.
fn shown(files: &dyn ZoneFiles, name: &str) -> String {
    match files.directory() {
        "" => name.to_owned(),
        directory => format!("{}/{name}", directory.trim_end_matches('/')),
    }
}

/// A master file without a zone file: a zone of static records, called like the file.
fn read_static(
    report: &mut Report,
    files: &dyn ZoneFiles,
    name: &str,
    stem: &str,
) -> Option<Defined> {
    match text::name(stem, &Name::root()) {
        Ok(apex) => define_static(report, files, name, apex),
        Err(error) => {
            let source = report.add_source(shown(files, name), "");
            report.push(error.at(Span::new(source, 0..0)).hint("a file is called like its zone"));
            None
        }
    }
}

/// Reads the master file `name` as the zone `apex`, whatever the file is called. Findings go to
/// `report`; `None` when one of them is an error.
pub fn read_master(
    report: &mut Report,
    files: &dyn ZoneFiles,
    name: &str,
    apex: Name,
) -> Option<Zone> {
    define_static(report, files, name, apex)?.zone
}

fn define_static(
    report: &mut Report,
    files: &dyn ZoneFiles,
    name: &str,
    apex: Name,
) -> Option<Defined> {
    let errors = report.count(Severity::Error);
    let master = master::read(report, files, name, &apex, None)?;
    let mut names = master.names;
    if let Some(names) = &mut names {
        names.check(report, Some(master.start));
    }
    let is_sound = report.count(Severity::Error) == errors;
    let zone = names
        .filter(|_| is_sound)
        .map(|names| Zone { names: Arc::new(names.finish([])), ..Zone::empty(apex.clone()) });
    Some(Defined { apex, span: master.start, zone })
}

/// Drops and reports zones that two files define.
fn judge_apexes(report: &mut Report, defined: &mut Vec<Defined>) {
    defined.sort_by(|a, b| a.apex.cmp(&b.apex));
    for pair in defined.windows(2) {
        let [first, second] = pair else { continue };
        if first.apex == second.apex {
            let message = format!("zone `{}` is defined by two files", first.apex);
            let error = Diagnostic::error(second.span, message).also(first.span, "and by this one");
            let hint = "a zone file takes its master file by `records = \"FILE\"`";
            report.push(error.hint(hint));
        }
    }
    defined.dedup_by(|second, first| second.apex == first.apex);
}

/// Every key that the server file may have, as a path: `dns.listen`.
#[must_use]
pub fn server_keys() -> Vec<String> {
    paths(&server::KEYS)
}

/// Every key that a zone file may have, as a path in which `NAME` stands for the operator's names:
/// `pools.NAME.endpoints.weight`.
#[must_use]
pub fn zone_keys() -> Vec<String> {
    paths(&zone::KEYS)
}

fn paths(tables: &[&Keys]) -> Vec<String> {
    let path = |place: &str, key: &str| {
        if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
    };
    let of = |keys: &&Keys| {
        let place = keys.place;
        keys.known.iter().map(move |key| path(place, key)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(of).collect()
}
