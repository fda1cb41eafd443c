//! The files that are served from: zone files and databases.
//!
//! Reads whole files into memory, so that nothing that happens to a file later can reach what was made
//! of it. What they say is for `config` and `geo` to read.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use flate2::read::GzDecoder;

use crate::config::ZoneFiles;
use crate::geo::Database;

/// The most that a compressed database may unpack to. The largest there are have about 1 GiB.
const UNPACKED_MAX: u64 = 4 << 30;
/// The database that comes with windrose. It steps back when another says where clients are.
const SHIPPED: &str = "windrose-city.mmdb.gz";

/// A directory of zone files.
#[derive(Debug)]
pub struct ZoneDirectory {
    path: PathBuf,
    /// As operators know it.
    shown: String,
}

impl ZoneDirectory {
    /// The directory at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), shown: path.display().to_string() }
    }

    /// Whether it can be read.
    ///
    /// # Errors
    /// Why not.
    pub fn probe(&self) -> io::Result<()> {
        fs::read_dir(&self.path).map(drop)
    }
}

impl ZoneFiles for ZoneDirectory {
    fn directory(&self) -> &str {
        &self.shown
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let files = entries.filter_map(Result::ok).filter(|entry| entry.path().is_file());
        files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let bytes = fs::read(self.path.join(name)).map_err(|error| error.to_string())?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
                Err(format!("line {} is not UTF-8", line + 1))
            }
        }
    }
}

/// One database file, as it was when it was looked at: two looks are equal when the file has not
/// changed in between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseFile {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
}

/// The database files to be read: those listed, or else all of the directory, in the order of their
/// names.
///
/// # Errors
/// Those that are not there, in words.
pub fn database_files(directory: &Path, listed: &[PathBuf]) -> (Vec<DatabaseFile>, Vec<String>) {
    let paths = if listed.is_empty() { databases_in(directory) } else { listed.to_vec() };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match fs::metadata(&path) {
            Ok(data) => {
                files.push(DatabaseFile { path, len: data.len(), modified: data.modified().ok() });
            }
            Err(error) => problems.push(format!("database {}: {error}", path.display())),
        }
    }
    (files, problems)
}

fn databases_in(directory: &Path) -> Vec<PathBuf> {
    // A directory that is not there holds no databases: clients are then told apart by subnet only.
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_database = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !name.starts_with('.') && (name.ends_with(".mmdb") || name.ends_with(".mmdb.gz"))
    };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_database).collect();
    // The unpacked form of the shipped database may lie beside it.
    paths.sort();
    paths
}

/// Opens databases. One that cannot be read is left out and said; the one that comes with windrose is
/// left out when another says where clients are.
#[must_use]
pub fn open_databases(files: &[DatabaseFile]) -> (Vec<Database>, Vec<String>) {
    let (mut databases, mut problems) = (Vec::new(), Vec::new());
    let is_shipped =
        |file: &&DatabaseFile| file.path.file_name().is_some_and(|name| name == SHIPPED);
    let (shipped, own): (Vec<_>, Vec<_>) = files.iter().partition(is_shipped);
    for file in own {
        match open_database(&file.path) {
            Ok(database) => databases.push(database),
            Err(problem) => problems.push(format!("database {}: {problem}", file.path.display())),
        }
    }
    if databases.iter().any(|database| database.info().has_country) {
        return (databases, problems);
    }
    for file in shipped {
        match open_database(&file.path) {
            Ok(database) => databases.push(database),
            Err(problem) => problems.push(format!("database {}: {problem}", file.path.display())),
        }
    }
    (databases, problems)
}

fn open_database(path: &Path) -> Result<Database, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let bytes = if path.extension().is_some_and(|extension| extension == "gz") {
        let mut unpacked = Vec::with_capacity(2 * bytes.len());
        let mut decoder = GzDecoder::new(&bytes[..]).take(UNPACKED_MAX);
        decoder.read_to_end(&mut unpacked).map_err(|error| format!("cannot unpack: {error}"))?;
        unpacked
    } else {
        bytes
    };
    let name =
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Database::open(&name, bytes).map_err(|error| error.to_string())
}
