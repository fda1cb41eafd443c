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

mod aliases;
mod authority;
mod branches;
mod by_load;
mod capacity;
mod check;
mod check_formula;
mod check_kinds;
mod check_tls;
mod clash;
mod client_map;
mod document;
mod encrypted;
mod expect;
mod failback;
mod feed;
mod file;
mod fleet;
mod forms;
mod master;
mod names;
mod places;
mod pool;
mod probe;
mod reader;
mod region;
mod rtt;
mod server;
mod slow_start;
mod steer;
mod template;
mod text;
mod wheres;
mod zone;

use std::collections::HashSet;
use std::sync::Arc;

pub use self::encrypted::{Encrypted, Transport};
pub use self::file::ReadFile;
pub use self::fleet::{Fleet, FleetTls, Login};
pub use self::probe::{Anchor, Probe, Source};
use self::reader::Keys;
pub use self::server::{
    Admin, Alias, Answers, Dns, Fixed, Geoip, Log, LogFormat, LogLevel, Reloadable, ServerConfig,
    State, Zones, is_server_text, read_server,
};
pub use self::text::duration as parse_duration;
use crate::model::{Diagnostic, Name, Report, Span, Zone};
use crate::zone::Pieces;

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

    /// The same text in pieces, for files that may be larger than anybody wants to hold.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn open(&self, name: &str) -> Result<Pieces, String> {
        self.read(name).map(Pieces::of_text)
    }
}

/// Every zone of a directory, and the files that they were read from.
#[derive(Debug, Default)]
pub struct ReadZones {
    /// The zones, in the order of their names.
    pub zones: Vec<Arc<Zone>>,
    /// Every file that defines a zone or tries to.
    pub files: Vec<Arc<ReadFile>>,
}

/// Reads every zone of the directory. All faults of all files go to `report`; when one of them is
/// an error, what is returned is not complete and must not be served.
pub fn read_zones(report: &mut Report, files: &dyn ZoneFiles) -> Vec<Arc<Zone>> {
    let read = |name: &&str| Arc::new(ReadFile::read(files, name));
    read_directory(report, files, &|names| names.iter().map(read).collect()).zones
}

/// Reads every zone of the directory as [`read_zones`] does, but has `read` give the files of these names,
/// one by one in their order: as [`ReadFile::read`] reads them, or has read them, if none of their texts
/// has changed since.
pub fn read_directory(
    report: &mut Report,
    files: &dyn ZoneFiles,
    read: &dyn Fn(&[&str]) -> Vec<Arc<ReadFile>>,
) -> ReadZones {
    let mut names = files.names();
    names.sort_unstable();
    let ending_in = |ending: &'static str| names.iter().filter(move |name| name.ends_with(ending));
    let zone_files: Vec<&str> = ending_in(".toml").map(String::as_str).collect();
    let mut read_files = read(&zone_files);
    // Master files that belong to a TOML file: they are no zones of their own.
    let claims = read_files.iter().flat_map(|file| &file.claims).map(String::as_str);
    let claimed: HashSet<&str> = claims.collect();
    let free = ending_in(".zone").map(String::as_str).filter(|name| !claimed.contains(name));
    let statics = read(&free.collect::<Vec<_>>());
    read_files.extend(statics);
    let zones = assemble(report, files, &read_files);
    report.complete(&mut |path| files.read(name_of(files, path)).ok());
    ReadZones { zones, files: read_files }
}

/// The zones of all files, in the order of their names. Findings go to `report`, and so does what is
/// wrong between files: zones that two of them define.
fn assemble(report: &mut Report, files: &dyn ZoneFiles, read: &[Arc<ReadFile>]) -> Vec<Arc<Zone>> {
    let mut defined = Vec::with_capacity(read.len());
    for file in read {
        let moved = file.findings.as_ref().map(|findings| report.absorb(findings));
        defined.extend(file.apex.as_ref().map(|(apex, span)| (apex, *span, moved, file)));
    }
    defined.sort_by_key(|(apex, ..)| *apex);
    for pair in defined.windows(2) {
        let [first, second] = pair else { continue };
        if first.0 == second.0 {
            let [first_place, second_place] = [first, second].map(|(_, span, moved, file)| {
                // What nothing was found in is not among the files of the report yet.
                match moved {
                    Some(moved) => span.moved(*moved),
                    None => Span { source: report.add_path(shown(files, file.name())), ..*span },
                }
            });
            let message = format!("zone `{}` is defined by two files", first.0);
            let error = Diagnostic::error(second_place, message);
            let error = error.also(first_place, "and by this one");
            let hint = "a zone file takes its master file by `records = \"FILE\"`";
            report.push(error.hint(hint));
        }
    }
    defined.dedup_by(|second, first| second.0 == first.0);
    let zones = defined.iter().filter_map(|(.., file)| file.zone.as_ref());
    let loops = aliases::find_loops(&zones.collect::<Vec<_>>());
    for (apex, message) in loops {
        let place = defined.iter().find(|(own, ..)| **own == apex);
        let Some((_, span, moved, file)) = place else { continue };
        let place = match moved {
            Some(moved) => span.moved(*moved),
            None => Span { source: report.add_path(shown(files, file.name())), ..*span },
        };
        report.push(Diagnostic::error(place, message).hint(aliases::HINT));
    }
    defined.into_iter().filter_map(|(.., file)| file.zone.clone()).collect()
}

/// A file's path as operators know it.
fn shown(files: &dyn ZoneFiles, name: &str) -> String {
    match files.directory() {
        "" => name.to_owned(),
        directory => format!("{}/{name}", directory.trim_end_matches('/')),
    }
}

/// The name of the file whose path is [`shown`] so.
fn name_of<'p>(files: &dyn ZoneFiles, path: &'p str) -> &'p str {
    let directory = files.directory().trim_end_matches('/');
    path.strip_prefix(directory).map_or(path, |name| name.trim_start_matches('/'))
}

/// Reads the master file `name` as the zone `apex`, whatever the file is called. Findings go to
/// `report`; `None` when one of them is an error.
pub fn read_master(
    report: &mut Report,
    files: &dyn ZoneFiles,
    name: &str,
    apex: Name,
) -> Option<Arc<Zone>> {
    let file = ReadFile::read_static(files, name, apex);
    file.findings.iter().for_each(|findings| {
        report.absorb(findings);
    });
    file.zone
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
