//! Databases: which there are, and what is in them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::Identity;
use crate::geo::Database;

/// The most that a compressed database may unpack to. The largest there are have about 1 GiB.
const UNPACKED_MAX: u64 = 4 << 30;
/// The database that comes with windrose. It steps back when another says where clients are.
const SHIPPED: &str = "windrose-city.mmdb.gz";
/// It again, inside the program, so that `nearest` works from any directory.
const BUILT_IN: &[u8] = include_bytes!("../../geoip/windrose-city.mmdb.gz");
const BUILT_IN_NAME: &str = "windrose-city.mmdb.gz (built in)";

/// One database, as it was when it was looked at: two looks are equal when nothing has changed in
/// between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseFile {
    /// In a file.
    OnDisk {
        /// Where.
        path: PathBuf,
        /// What stood there.
        identity: Identity,
    },
    /// In the program.
    BuiltIn,
}

impl DatabaseFile {
    fn look_at(path: &Path) -> io::Result<Self> {
        let identity = Identity::of(&fs::metadata(path)?);
        Ok(Self::OnDisk { path: path.to_owned(), identity })
    }

    /// Whether it is a file, which an operator can change or take away.
    #[must_use]
    pub const fn is_on_disk(&self) -> bool {
        matches!(self, Self::OnDisk { .. })
    }

    /// Whether it came with windrose.
    fn is_shipped(&self) -> bool {
        match self {
            Self::OnDisk { path, .. } => path.file_name().is_some_and(|name| name == SHIPPED),
            Self::BuiltIn => true,
        }
    }

    fn open(&self) -> Result<Database, String> {
        match self {
            Self::OnDisk { path, .. } => {
                open_file(path).map_err(|problem| format!("database {}: {problem}", path.display()))
            }
            Self::BuiltIn => open_bytes(BUILT_IN_NAME, unpack(BUILT_IN)?),
        }
    }
}

/// The databases to be read: those listed, or else all of the directory, in the order of their names,
/// and the built-in one unless it lies there as a file.
///
/// # Errors
/// Those that are not there, in words.
pub fn database_files(directory: &Path, listed: &[PathBuf]) -> (Vec<DatabaseFile>, Vec<String>) {
    let paths = if listed.is_empty() { databases_in(directory) } else { listed.to_vec() };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match DatabaseFile::look_at(&path) {
            Ok(file) => files.push(file),
            Err(error) => problems.push(format!("database {}: {error}", path.display())),
        }
    }
    // Whoever lists databases wants these and no other.
    if listed.is_empty() && !files.iter().any(DatabaseFile::is_shipped) {
        files.push(DatabaseFile::BuiltIn);
    }
    (files, problems)
}

fn databases_in(directory: &Path) -> Vec<PathBuf> {
    // A directory that is not there holds no databases.
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_database = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !name.starts_with('.') && (name.ends_with(".mmdb") || name.ends_with(".mmdb.gz"))
    };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_database).collect();
    paths.sort();
    paths
}

/// Opens databases. One that cannot be read is left out and said; the one that comes with windrose is
/// left out when another says where clients are.
#[must_use]
pub fn open_databases(files: &[DatabaseFile]) -> (Vec<Database>, Vec<String>) {
    let (shipped, own): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.is_shipped());
    let (mut databases, mut problems): (Vec<Database>, _) = (Vec::new(), Vec::new());
    for file in own.into_iter().chain(shipped) {
        if file.is_shipped() && databases.iter().any(|database| database.info().has_country) {
            break;
        }
        match file.open() {
            Ok(database) => databases.push(database),
            Err(problem) => problems.push(problem),
        }
    }
    (databases, problems)
}

fn open_file(path: &Path) -> Result<Database, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let bytes = if is_packed { unpack(&bytes)? } else { bytes };
    let name =
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    open_bytes(&name, bytes)
}

fn open_bytes(name: &str, bytes: Vec<u8>) -> Result<Database, String> {
    Database::open(name, bytes).map_err(|error| error.to_string())
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::with_capacity(2 * packed.len());
    let mut decoder = GzDecoder::new(packed).take(UNPACKED_MAX);
    decoder.read_to_end(&mut unpacked).map_err(|error| format!("cannot unpack: {error}"))?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    fn names(files: &[DatabaseFile]) -> Vec<String> {
        let (databases, problems) = open_databases(files);
        assert_eq!(problems, [""; 0]);
        databases.iter().map(|database| database.info().name.to_string()).collect()
    }

    #[test]
    fn the_built_in_database_serves_where_no_other_lies() {
        let directory = TempDir::new();
        let (files, problems) = database_files(directory.path(), &[]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(names(&files), [BUILT_IN_NAME]);
        let (again, _) = database_files(&directory.path().join("missing"), &[]);
        assert_eq!(again, files, "nothing has changed");
    }

    #[test]
    fn a_shipped_file_stands_for_the_built_in_database() {
        let directory = TempDir::new();
        fs::write(directory.path().join(SHIPPED), BUILT_IN).unwrap();
        let (files, _) = database_files(directory.path(), &[]);
        assert_eq!(names(&files), [SHIPPED]);
    }

    #[test]
    fn an_own_database_puts_the_shipped_one_aside() {
        let directory = TempDir::new();
        let own = directory.path().join("own.mmdb");
        fs::write(&own, unpack(BUILT_IN).unwrap()).unwrap();
        fs::write(directory.path().join(SHIPPED), b"never opened").unwrap();
        let (files, _) = database_files(directory.path(), &[]);
        assert_eq!(names(&files), ["own.mmdb"]);
        let (listed, problems) = database_files(directory.path(), &[own, "no.mmdb".into()]);
        assert_eq!(listed.len(), 1);
        assert!(problems[0].starts_with("database no.mmdb: "), "{problems:?}");
    }
}
