//! `check`: reads all files and says everything that is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{CheckArguments, Console, Exit, Failure, counted, write_json};
use crate::config::{ServerConfig, ZoneFiles, is_server_text};
use crate::files::ZoneDirectory;
use crate::load::{self, Place};
use crate::model::{Diagnostic, Name, Report, Severity, Zone};
use crate::snapshot::Snapshot;
use crate::zone::{self, Pieces};

pub(super) fn run(
    console: &mut Console<'_>,
    place: &Place,
    arguments: &CheckArguments,
) -> Result<Exit, Failure> {
    let mut report = Report::new();
    let CheckArguments { path, origin, .. } = arguments;
    if origin.is_some() && !path.as_deref().is_some_and(is_master_file) {
        let words = "`--origin` says which zone a master file is; there is none here".to_owned();
        return Err(Failure::Said(Exit::Usage, words));
    }
    let snapshot = read_all(place, path.as_deref(), origin.as_ref(), &mut report);
    if arguments.json {
        write_json(console, &findings(&report))?;
    } else {
        console.report(&report)?;
        summarise(console, snapshot.as_ref(), &report)?;
    }
    Ok(if report.has_errors() { Exit::Wrong } else { Exit::Fine })
}

/// Everything that `serve` would read; of a server file when `path` is one, else only the zones there.
fn read_all(
    place: &Place,
    path: Option<&Path>,
    origin: Option<&Name>,
    report: &mut Report,
) -> Option<Snapshot> {
    let Some(path) = path else {
        let config = load::read_server(place, report)?;
        load::load_certificates(place, &config, report);
        let directory = place.resolve(&config.reloadable.zones.directory);
        return read_zones(place, &config, &directory, report);
    };
    if is_server_file(path) {
        return read_all(&Place::new(Some(path.to_owned())), None, None, report);
    }
    // Without certificates: whoever checks zones somewhere else has no keys there.
    let config = load::read_server(place, report)?;
    if is_master_file(path) {
        return read_master(place, &config, path, origin, report);
    }
    read_zones(place, &config, path, report)
}

/// Loads the zones of a place to look at and not to serve.
pub(super) fn read(place: &Place, report: &mut Report) -> Option<Snapshot> {
    let config = load::read_server(place, report)?;
    read_zones(place, &config, &place.resolve(&config.reloadable.zones.directory), report)
}

/// A zone file or a directory of them, with all databases, whether a rule asks for them or not.
fn read_zones(
    place: &Place,
    config: &ServerConfig,
    path: &Path,
    report: &mut Report,
) -> Option<Snapshot> {
    let mut geo_of = |zones: &[Arc<Zone>], report: &mut Report| {
        if zones.is_empty() {
            report.push(no_zone(path));
        }
        load::judge_programs(place, config, zones, report);
        load::judge_targets(config, zones, report);
        load::load_geo(place, config, None, report)
    };
    let loaded = if path.is_file() {
        load::load_files(&OneFile::new(path), &mut geo_of, report)
    } else {
        load::load_zones(path, &mut geo_of, report)
    };
    loaded.map(|(snapshot, _)| snapshot)
}

/// A master file by itself, whatever it is called.
fn read_master(
    place: &Place,
    config: &ServerConfig,
    path: &Path,
    origin: Option<&Name>,
    report: &mut Report,
) -> Option<Snapshot> {
    let file = OneFile::new(path);
    let Some(apex) = origin.cloned().or_else(|| apex_of(path)) else {
        report.push(no_zone(path));
        return None;
    };
    let zone = crate::config::read_master(report, &file, &file.name, apex);
    let mut geo_of =
        |_: &[Arc<Zone>], report: &mut Report| load::load_geo(place, config, None, report);
    load::compile(Vec::from_iter(zone), None, &mut geo_of, report).map(|(snapshot, _)| snapshot)
}

/// The zone that a master file is: as its text says, else as `serve` would take it.
fn apex_of(path: &Path) -> Option<Name> {
    let text = std::fs::read_to_string(path).ok()?;
    let source = Report::new().add_source("", "");
    zone::apex_of(&text, source).or_else(|| {
        let is_zone = path.extension().is_some_and(|extension| extension == "zone");
        let stem = path.file_stem().filter(|_| is_zone)?.to_str()?;
        Name::parse(stem, &Name::root()).ok()
    })
}

/// Any file but a zone or server file.
fn is_master_file(path: &Path) -> bool {
    path.is_file() && path.extension().is_none_or(|extension| extension != "toml")
}

/// A file that holds no zone cannot be what was meant; a directory may be empty still.
fn no_zone(path: &Path) -> Diagnostic {
    let (severity, what, hint) = if path.is_file() {
        let hint = "if it is a master file, say of which zone: `--origin example.com`";
        (Severity::Error, format!("{} is no zone file", path.display()), hint)
    } else {
        let hint = "a zone file is called like its zone: `example.com.toml` or `example.com.zone`";
        (Severity::Warning, format!("there are no zone files in {}", path.display()), hint)
    };
    Diagnostic { severity, ..Diagnostic::error_without_place(what).hint(hint) }
}

fn is_server_file(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| is_server_text(&text))
}

/// A zone file by itself: the directory it lies in, as if nothing else defined a zone there.
struct OneFile {
    directory: ZoneDirectory,
    name: String,
}

impl OneFile {
    fn new(path: &Path) -> Self {
        let directory = path.parent().map(PathBuf::from).unwrap_or_default();
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Self { directory: ZoneDirectory::new(&directory), name }
    }
}

impl ZoneFiles for OneFile {
    fn directory(&self) -> &str {
        self.directory.directory()
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        self.directory.read(name)
    }

    fn open(&self, name: &str) -> Result<Pieces, String> {
        self.directory.open(name)
    }
}

/// A finding for programs.
#[derive(Serialize)]
struct Finding<'a> {
    severity: &'static str,
    message: &'a str,
    /// `file:line:column`, when the finding has a place.
    place: Option<String>,
    hint: Option<&'a str>,
}

fn findings(report: &Report) -> Vec<Finding<'_>> {
    let one = |diagnostic: &Diagnostic| -> (_, _) {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        (severity, diagnostic.labels.first().map(|(span, _)| report.place(*span)))
    };
    let all = report.diagnostics().iter();
    all.map(|diagnostic| {
        let (severity, place) = one(diagnostic);
        let hint = diagnostic.hint.as_deref();
        Finding { severity, message: &diagnostic.message, place, hint }
    })
    .collect()
}

fn summarise(
    console: &mut Console<'_>,
    snapshot: Option<&Snapshot>,
    report: &Report,
) -> Result<(), Failure> {
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let found = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
    match snapshot {
        Some(snapshot) if errors == 0 => {
            let zones = snapshot.zones();
            let sum =
                |of: &dyn Fn(&Zone) -> usize| zones.iter().map(|zone| of(zone)).sum::<usize>();
            writeln!(
                console.out,
                "ok: {}, {}, {}, {}, {}, {} met; {found}",
                counted(zones.len(), "zone"),
                counted(sum(&|zone| zone.names.record_count()), "record"),
                counted(sum(&|zone| zone.steers.len()), "steered name"),
                counted(sum(&|zone| zone.pools.len()), "pool"),
                counted(snapshot.targets().len(), "target"),
                counted(sum(&|zone| zone.expectations.len()), "expectation"),
            )?;
        }
        _ => writeln!(console.out, "not ok: {found}")?,
    }
    Ok(())
}
