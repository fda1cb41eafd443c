//! The fleet's words and zone files on this machine's disk.
//!
//! ```text
//! STATE/fleet/words.json          what operators have said
//! STATE/fleet/zones-7-4c1f9a02.head     the head of version 7, sealed as it came
//! STATE/fleet/zones-7-4c1f9a02.bundle   and its bundle, by whose SHA-256 all three are called
//! STATE/fleet/zones-7-4c1f9a02/         its files
//! STATE/fleet/current                   a link to the version that is served
//! ```
//!
//! An engine that has lost data may come to another version 7: it lies beside the one that is served. Each file
//! is whole or not there. The last eight versions are kept; an engine that has lost its data gets
//! the last one back from here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::bundle::{Files, Head, unpack};
use super::words::Words;
use crate::health::fleet::{Keys, Purpose};

/// How many versions are kept.
pub const VERSIONS_KEPT: u64 = 8;

const WORDS: &str = "words.json";
const CURRENT: &str = "current";

/// What a version is called on the disk.
#[must_use]
pub fn name_of(head: &Head) -> String {
    let sha256 = head.sha256.get(..8).unwrap_or_default();
    format!("zones-{}-{sha256}", head.version)
}

/// The number of the version that is called so. Earlier releases called it by its number alone.
fn version_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("zones-")?;
    rest.split_once('-').map_or(rest, |(number, _)| number).parse().ok()
}

/// The directory in which a machine keeps what the fleet has told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// The one below the state directory `state`.
    #[must_use]
    pub fn below(state: &Path) -> Self {
        Self(state.join("fleet"))
    }

    /// The directory of the zone files that are served, if the fleet has given any.
    #[must_use]
    pub fn zones(&self) -> Option<PathBuf> {
        Some(self.0.join(CURRENT)).filter(|current| current.is_dir())
    }

    /// The number of the version that is served.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        version_of(&self.current()?)
    }

    /// What the version that is served is called here.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        let target = fs::read_link(self.0.join(CURRENT)).ok()?;
        let name = target.to_str().map(str::to_owned)?;
        version_of(&name).map(|_| name)
    }

    /// The head of the version that is served; of one whose head is torn, or of another key, no more than its
    /// number.
    #[must_use]
    pub fn served(&self, keys: &Keys) -> Option<Head> {
        let name = self.current()?;
        let nothing = Head::new(version_of(&name)?, &[], String::new(), String::new(), 0);
        let sealed = fs::read(self.0.join(format!("{name}.head"))).unwrap_or_default();
        Some(Head::open(keys, &nothing.key(), &sealed).unwrap_or(nothing))
    }

    // ---- Words ----

    /// The words, and what is wrong with their file, if anything is.
    #[must_use]
    pub fn words(&self, keys: &Keys) -> (Words, Option<String>) {
        let path = self.0.join(WORDS);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
            Err(error) => return (Words::default(), Some(format!("{}: {error}", path.display()))),
        };
        let body = keys.open(Purpose::Words, &text);
        match body.and_then(|body| serde_json::from_slice(body).ok()) {
            Some(words) => (words, None),
            None => {
                let what = "is torn, or of another key; what others say counts";
                (Words::default(), Some(format!("{} {what}", path.display())))
            }
        }
    }

    /// Writes the words down.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_words(&self, words: &Words, keys: &Keys) -> io::Result<()> {
        let text = serde_json::to_vec(words)?;
        self.write(WORDS, &keys.seal(Purpose::Words, text))
    }

    // ---- Zone files ----

    /// The head and the bundle of a version of such a name, as they came.
    ///
    /// # Errors
    /// What the system says.
    pub fn bundle(&self, name: &str) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let read = |ending: &str| fs::read(self.0.join(format!("{name}.{ending}")));
        Ok((read("head")?, read("bundle")?))
    }

    /// Puts a version down beside what is served, and gives the directory of its files.
    ///
    /// # Errors
    /// What is wrong with it, or what the system says.
    pub fn put(&self, head: &Head, sealed: &[u8], bundle: &[u8]) -> Result<PathBuf, String> {
        let files = unpack(bundle)?;
        let put = || -> io::Result<PathBuf> {
            let name = name_of(head);
            let directory = self.0.join(&name);
            // Of that name it is the same.
            if self.current().as_ref() != Some(&name) {
                // What a crash has left there is not to be mixed with this.
                match fs::remove_dir_all(&directory) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                write_files(&directory, &files)?;
            }
            self.write(&format!("{name}.bundle"), bundle)?;
            self.write(&format!("{name}.head"), sealed)?;
            Ok(directory)
        };
        put().map_err(|error| format!("cannot keep it in {}: {error}", self.0.display()))
    }

    /// Makes the version of such a name the one that is served from now on, or from the next load; `None` for
    /// none.
    ///
    /// # Errors
    /// What the system says.
    pub fn serve(&self, name: Option<&str>) -> io::Result<()> {
        let (new, current) = (self.0.join("current.new"), self.0.join(CURRENT));
        let Some(name) = name else {
            return fs::remove_file(current);
        };
        let _ = fs::remove_file(&new);
        symlink(name, &new)?;
        fs::rename(&new, &current)?;
        File::open(&self.0)?.sync_all()?;
        version_of(name).into_iter().for_each(|version| self.tidy(version));
        Ok(())
    }

    /// Removes versions that are too old to go back to, and the files of all but the two last.
    fn tidy(&self, version: u64) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
            let Some(number) = version_of(stem) else { continue };
            let kept = if ending.is_empty() { 2 } else { VERSIONS_KEPT };
            if number + kept <= version {
                // What cannot be removed is in nobody's way.
                let _ = match ending {
                    "" => fs::remove_dir_all(entry.path()),
                    _ => fs::remove_file(entry.path()),
                };
            }
        }
    }

    fn write(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let new = self.0.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&new, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}

/// Writes files below a directory that is not there yet.
///
/// # Errors
/// What the system says.
pub fn write_files(directory: &Path, files: &Files) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, octets) in files {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(path)?;
        file.write_all(octets)?;
        file.sync_all()?;
    }
    File::open(directory)?.sync_all()
}

/// All files below a directory, but for hidden ones.
///
/// # Errors
/// What the system says, and of what.
pub fn read_files(directory: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    let mut open = vec![(directory.to_owned(), String::new())];
    while let Some((path, prefix)) = open.pop() {
        let problem = |error: io::Error| format!("cannot read {}: {error}", path.display());
        for entry in fs::read_dir(&path).map_err(problem)? {
            let entry = entry.map_err(problem)?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(format!("{} is not called in UTF-8", entry.path().display()));
            };
            if name.starts_with('.') {
                continue;
            }
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            if path.is_dir() {
                open.push((path, format!("{name}/")));
            } else {
                let octets = fs::read(&path);
                let octets = octets.map_err(|e| format!("cannot read {}: {e}", path.display()))?;
                files.insert(name, octets);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::bundle::pack;
    use crate::testing::TempDir;

    #[test]
    fn versions_are_kept_used_and_tidied_away() {
        let place = TempDir::new();
        let shelf = Shelf::below(place.path());
        let keys = Keys::new(&[[1; 32]], "windrose");
        assert_eq!((shelf.zones(), shelf.version()), (None, None));
        let of_version = |version, text: &str| {
            let files = Files::from([("parts/a.zone".to_owned(), text.as_bytes().to_vec())]);
            let bundle = pack(&files).unwrap();
            let head = Head::new(version, &bundle, "ann".to_owned(), String::new(), 0);
            (head, bundle, files)
        };
        let mut names = Vec::new();
        for version in 1..=10 {
            let (head, bundle, files) = of_version(version, &format!("version {version}"));
            let directory = shelf.put(&head, &head.seal(&keys), &bundle).unwrap();
            assert_ne!(shelf.version(), Some(version), "it is put beside what is served");
            assert_eq!(read_files(&directory).unwrap(), files);
            names.push(name_of(&head));
            shelf.serve(names.last().map(String::as_str)).unwrap();
            assert_eq!(read_files(&shelf.zones().unwrap()).unwrap(), files);
        }
        assert_eq!(shelf.version(), Some(10));
        assert_eq!(shelf.served(&keys).unwrap().author, "ann");
        let elsewhere = shelf.served(&Keys::new(&[[2; 32]], "windrose")).unwrap();
        assert_eq!((elsewhere.version, elsewhere.author), (10, String::new()));
        assert!(shelf.bundle(&names[2]).is_ok() && shelf.bundle(&names[1]).is_err());
        assert!(place.path().join("fleet").join(&names[8]).is_dir());
        assert!(!place.path().join("fleet").join(&names[7]).exists());
        // Another of that number, and the same once more, leave alone what is served.
        let (served, bundle, files) = of_version(10, "version 10");
        let (other, other_bundle, _) = of_version(10, "other");
        shelf.put(&other, &other.seal(&keys), &other_bundle).unwrap();
        shelf.put(&served, &served.seal(&keys), &bundle).unwrap();
        assert_eq!(shelf.served(&keys), Some(served));
        assert_eq!(read_files(&shelf.zones().unwrap()).unwrap(), files);
        shelf.serve(None).unwrap();
        assert_eq!(shelf.zones(), None);
    }

    #[test]
    fn words_survive_and_torn_ones_are_told_of() {
        let place = TempDir::new();
        let shelf = Shelf::below(place.path());
        let keys = Keys::new(&[[1; 32]], "windrose");
        assert_eq!(shelf.words(&keys), (Words::default(), None));
        shelf.keep_words(&Words::default(), &keys).unwrap();
        assert_eq!(shelf.words(&keys), (Words::default(), None));
        fs::write(place.path().join("fleet/words.json"), "{}").unwrap();
        assert!(shelf.words(&keys).1.is_some());
    }
}
