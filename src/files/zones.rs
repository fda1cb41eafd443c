//! The zone directory, and what is known of its files from the load before.
//!
//! A file that is still what it was when it was read need not be read again: [`KnownZones`] keeps what came
//! of it. "Still what it was" is said by [`Identity`], of the file and of all that it includes, and errs on
//! one side only: in doubt a file is read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::Identity;
use crate::clock::unix_now;
use crate::config::{ReadFile, ZoneFiles};
use crate::zone::{Pieces, TextError};

/// Octets of texts that are kept of a file for the sake of its warnings. Beyond, it is read anew.
const TEXT_LEN_MAX: usize = 1 << 20;

/// A directory of zone files, as one load sees it, with what is known from the load before.
#[derive(Debug)]
pub struct ZoneDirectory {
    path: PathBuf,
    /// As operators know it.
    shown: String,
    before: Arc<KnownZones>,
    /// When the load began, since 1970.
    now: Duration,
    /// What files were right before they were read; `None` for those of which that cannot be said.
    read: Mutex<HashMap<String, Option<Identity>>>,
    /// What the files of the directory were when it was listed, of those that are known.
    listed: OnceLock<Sorted<Identity>>,
    /// What other files are; `None` for those that are not there.
    seen: Mutex<HashMap<String, Option<Identity>>>,
}

impl ZoneDirectory {
    /// The directory at `path`, of which nothing is known.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self::after(path, Arc::default(), unix_now())
    }

    /// The directory at `path` with what is known `before` a load that begins at `now` (since 1970).
    #[must_use]
    pub fn after(path: &Path, before: Arc<KnownZones>, now: Duration) -> Self {
        Self {
            path: path.to_owned(),
            shown: path.display().to_string(),
            before: if before.directory == path { before } else { Arc::default() },
            now,
            read: Mutex::default(),
            listed: OnceLock::new(),
            seen: Mutex::default(),
        }
    }

    /// Whether it can be read.
    ///
    /// # Errors
    /// Why not.
    pub fn probe(&self) -> io::Result<()> {
        fs::read_dir(&self.path).map(drop)
    }

    /// Whether anything is known.
    #[must_use]
    pub fn knows_any(&self) -> bool {
        !self.before.files.is_empty()
    }

    /// What came of a file before, if it is still what it was then, with all that it includes.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<Arc<ReadFile>> {
        let known = self.before.files.get(name)?;
        let mut files = known.file.files().zip(&known.identities);
        let is_same = files.all(|(name, known)| self.look_at(name) == Some(*known));
        is_same.then(|| Arc::clone(&known.file))
    }

    /// What is known after a load of `files`, of which some may have been known before.
    #[must_use]
    pub fn known_after(&self, files: &[Arc<ReadFile>]) -> KnownZones {
        let known = files.iter().filter_map(|file| {
            let before = self.before.files.get(file.name());
            let before = before.filter(|before| Arc::ptr_eq(&before.file, file));
            let known = before.map(Arc::clone).or_else(|| self.known_now(file))?;
            Some((Arc::clone(file.name()), known))
        });
        KnownZones { directory: self.path.clone(), files: Sorted::new(known.collect()) }
    }

    /// A file that this load has read, if it may be known from now on.
    fn known_now(&self, file: &Arc<ReadFile>) -> Option<Arc<Known>> {
        let read = lock(&self.read);
        let identities = file.files().map(|name| *read.get(name)?).collect::<Option<_>>();
        let is_fit = file.zone().is_some() && file.text_len() <= TEXT_LEN_MAX;
        let identities = identities.filter(|_| is_fit)?;
        Some(Arc::new(Known { file: Arc::clone(file), identities }))
    }

    /// What a file is now, or was earlier in this load.
    fn look_at(&self, name: &str) -> Option<Identity> {
        if let Some(identity) = self.listed.get().and_then(|listed| listed.get(name)) {
            return Some(*identity);
        }
        let mut seen = lock(&self.seen);
        if let Some(identity) = seen.get(name) {
            return *identity;
        }
        let identity = fs::metadata(self.path.join(name)).ok().map(|data| Identity::of(&data));
        seen.insert(name.to_owned(), identity);
        identity
    }

    /// Notes what a file is that is about to be read.
    fn note(&self, name: &str, identity: Identity) {
        let settled = Some(identity).filter(|identity| identity.is_settled(self.now));
        let mut read = lock(&self.read);
        let noted = read.entry(name.to_owned()).or_insert(settled);
        // Read a second time, it must be the same, or it is not known which of them was used where.
        if *noted != settled {
            *noted = None;
        }
    }

    /// Opens a file, noting what it is then; also its length, 0 if that is not known.
    fn open_file(&self, name: &str) -> io::Result<(File, usize)> {
        let file = File::open(self.path.join(name))?;
        let data = file.metadata()?;
        self.note(name, Identity::of(&data));
        Ok((file, usize::try_from(data.len()).unwrap_or_default()))
    }

    fn read_octets(&self, name: &str) -> io::Result<Vec<u8>> {
        let (mut file, len) = self.open_file(name)?;
        let mut octets = Vec::with_capacity(len);
        file.read_to_end(&mut octets)?;
        Ok(octets)
    }
}

impl ZoneFiles for ZoneDirectory {
    fn directory(&self) -> &str {
        &self.shown
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let looks = self.knows_any();
        let mut listed = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let Ok(kind) = entry.file_type() else { continue };
            let Ok(name) = entry.file_name().into_string() else { continue };
            if kind.is_file() || (kind.is_symlink() && entry.path().is_file()) {
                // Beside the listing, looking at a file costs least.
                let data = if looks && kind.is_file() { entry.metadata().ok() } else { None };
                listed.push((name, data.map(|data| Identity::of(&data))));
            }
        }
        listed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let looked_at = |(name, identity): &(String, Option<Identity>)| {
            Some((Arc::from(name.as_str()), (*identity)?))
        };
        self.listed.get_or_init(|| Sorted::new(listed.iter().filter_map(looked_at).collect()));
        listed.into_iter().map(|(name, _)| name).collect()
    }

    fn read(&self, name: &str) -> Result<Arc<str>, String> {
        let octets = self.read_octets(name).map_err(|error| error.to_string())?;
        match std::str::from_utf8(&octets) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                let valid = &octets[..error.valid_up_to()];
                let line = valid.iter().filter(|octet| **octet == b'\n').count() + 1;
                Err(TextError::NotUtf8(line).to_string())
            }
        }
    }

    fn open(&self, name: &str) -> Result<Pieces, String> {
        let (file, len) = self.open_file(name).map_err(|error| error.to_string())?;
        Ok(Pieces::of(Box::new(file), len))
    }
}

/// What is noted stays true, whatever becomes of who notes it.
fn lock<T>(notes: &Mutex<T>) -> MutexGuard<'_, T> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of the files of a directory, by the name of each.
#[derive(Debug, Default)]
pub struct KnownZones {
    directory: PathBuf,
    files: Sorted<Arc<Known>>,
}

/// What came of one file.
#[derive(Debug)]
struct Known {
    file: Arc<ReadFile>,
    /// What its [`files`](ReadFile::files) were.
    identities: Box<[Identity]>,
}

/// Values by name, found at once when they are asked for in the order of names, as all of a directory are.
#[derive(Debug)]
struct Sorted<T> {
    entries: Vec<(Arc<str>, T)>,
    /// Behind the last one that was found.
    next: AtomicUsize,
}

impl<T> Sorted<T> {
    fn new(mut entries: Vec<(Arc<str>, T)>) -> Self {
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { entries, next: AtomicUsize::new(0) }
    }

    fn get(&self, name: &str) -> Option<&T> {
        let is_it = |at: &usize| self.entries.get(*at).is_some_and(|(own, _)| &**own == name);
        let next = Some(self.next.load(Relaxed)).filter(is_it);
        let search = || self.entries.binary_search_by(|(own, _)| (**own).cmp(name)).ok();
        let at = next.or_else(search)?;
        self.next.store(at + 1, Relaxed);
        Some(&self.entries[at].1)
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}
