//! A file of the state directory: whole or not at all, and ours or not.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::StateError;
use crate::clock::Moment;

pub(super) const FORMAT: u32 = 1;
/// More than a million targets need; a larger file is not ours.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// A file may be from the future by as much as clocks are off.
const FUTURE_MAX: Duration = Duration::from_secs(60);

/// What such a file holds. Times are milliseconds since 1970 in UTC.
pub(super) trait Document: DeserializeOwned {
    /// When it was written.
    fn written(&self) -> Duration;

    /// What it says that the checksum is.
    fn stated_checksum(&self) -> &str;

    /// What the checksum is.
    ///
    /// # Errors
    /// When the content cannot be put into words.
    fn checksum(&self) -> serde_json::Result<String>;
}

/// What every version of such a file has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// Reads a file; `None` when there is none.
///
/// # Errors
/// What is wrong with it, in words that follow its name.
pub(super) fn load<D: Document>(path: &Path, now: Moment) -> Result<Option<D>, String> {
    match read(path) {
        Ok(text) => parse(&text, now).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(text)
    } else {
        let message = format!("longer than {FILE_BYTES_MAX} bytes");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    }
}

/// Reads what a file says.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse<D: Document>(text: &[u8], now: Moment) -> Result<D, String> {
    let broken = |error: serde_json::Error| format!("is torn or not ours: {error}");
    let AnyVersion { version } = serde_json::from_slice(text).map_err(broken)?;
    if version != FORMAT {
        return Err(format!("has format {version}, and this program reads format {FORMAT}"));
    }
    let document: D = serde_json::from_slice(text).map_err(broken)?;
    if document.stated_checksum() != document.checksum().map_err(broken)? {
        return Err("does not match its checksum".to_owned());
    }
    match document.written().checked_sub(now.unix) {
        Some(ahead) if ahead > FUTURE_MAX => {
            Err(format!("was written {ahead:.0?} in the future: was the clock set back?"))
        }
        _ => Ok(document),
    }
}

/// Replaces the file `name` in `dir`, which is made if it is not there. `what` is in it, for errors.
///
/// # Errors
/// What could not be done, where, and what the system said. The old file is left alone then.
pub(super) fn save(
    dir: &Path,
    name: &str,
    what: &'static str,
    text: serde_json::Result<Vec<u8>>,
) -> Result<(), StateError> {
    let temporary = dir.join(format!("{name}.new"));
    let at = |action, path: &Path| {
        let path: PathBuf = path.to_owned();
        move |source| StateError { action, what, path, source }
    };
    let text = text.map_err(io::Error::from).map_err(at("put into words", &temporary))?;
    fs::create_dir_all(dir).map_err(at("make the directory for", dir))?;
    write(&temporary, &text).map_err(at("write", &temporary))?;
    let path = dir.join(name);
    fs::rename(&temporary, &path).map_err(at("put in their place", &path))?;
    // The new name is on disk only when its directory is.
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(at("sync the directory of", dir))
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// FNV-1a of 64 bits over what `content` is as compact JSON, in hexadecimal.
pub(super) fn checksum(content: &impl serde::Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_vec(content)?;
    let fnv = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Ok(format!("{fnv:016x}"))
}
