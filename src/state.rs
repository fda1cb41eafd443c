//! Verdicts on disk, so that a restart forgets nothing.
//!
//! One file, `verdicts.json`, replaced as a whole: written beside its place, synced, renamed. A torn,
//! foreign or stale file costs what it would have told and nothing else: loading never fails, it
//! says what is wrong. A disk that is full or read-only is complained about once, not each second,
//! and stops nothing.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, pin};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::clock::{Clock, Moment};
use crate::health::{Remembered, TargetStatus};
use crate::intake::Intake;
use crate::model::check::HttpCheck;
use crate::model::{CheckKind, CheckSpec, Target, Verdict};

/// How old a verdict may be before it is worth nothing, unless told otherwise.
pub const AGE_MAX: Duration = Duration::from_secs(3600);

const FILE_NAME: &str = "verdicts.json";
const FORMAT: u32 = 1;
/// More than a million targets need; a larger file is not ours.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// A file may be from the future by as much as clocks are off.
const FUTURE_MAX: Duration = Duration::from_secs(60);

/// The file. Times are milliseconds since 1970 in UTC.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    written: u64,
    /// Of `verdicts` as compact JSON: FNV-1a of 64 bits, in hexadecimal.
    checksum: String,
    verdicts: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    target: String,
    verdict: String,
    since: u64,
    seen: u64,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// What was on disk.
#[derive(Debug, Default)]
pub struct Recalled {
    verdicts: HashMap<String, Remembered>,
}

impl Recalled {
    /// What is remembered of a target.
    #[must_use]
    pub fn of(&self, target: &Target) -> Option<Remembered> {
        self.verdicts.get(&key(target)).copied()
    }

    /// How many verdicts are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }
}

/// Verdicts that could not be written.
#[derive(Debug)]
pub struct StateError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.path.display(), self.source)
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

// ---- Loading ----

/// Reads the verdicts that an earlier life left in `dir`, and what is wrong with them: one sentence
/// each, for the log. That there are none is nothing wrong. Verdicts that no result has borne on for
/// `age_max` are dropped.
#[must_use]
pub fn load(dir: &Path, now: Moment, age_max: Duration) -> (Recalled, Vec<String>) {
    let path = dir.join(FILE_NAME);
    let problem = |what: String| {
        let what = format!("{}: {what}; its targets start unknown", path.display());
        (Recalled::default(), vec![what])
    };
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
        Err(error) => return problem(format!("cannot be read: {error}")),
    };
    let lines = match parse(&text, now) {
        Ok(lines) => lines,
        Err(what) => return problem(what),
    };
    let count = lines.len();
    let mut verdicts = HashMap::new();
    let mut stale = 0;
    for Line { target, verdict, since, seen } in lines {
        let Some(verdict) = Verdict::from_word(&verdict) else {
            return problem(format!("`{verdict}` is not a verdict"));
        };
        let (since, seen) = (Duration::from_millis(since), Duration::from_millis(seen));
        if now.unix.saturating_sub(seen) > age_max {
            stale += 1;
            continue;
        }
        let time = |unix| now.time_at(unix).min(now.time);
        let remembered = Remembered { verdict, since: time(since), seen: time(seen) };
        verdicts.insert(target, remembered);
    }
    let mut problems = Vec::new();
    if stale > 0 {
        let path = path.display();
        problems.push(format!(
            "{path}: {stale} of {count} verdicts are older than {age_max:?}; those targets start unknown"
        ));
    }
    (Recalled { verdicts }, problems)
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

fn parse(text: &[u8], now: Moment) -> Result<Vec<Line>, String> {
    let broken = |error: serde_json::Error| format!("is torn or not ours: {error}");
    let AnyVersion { version } = serde_json::from_slice(text).map_err(broken)?;
    if version != FORMAT {
        return Err(format!("has format {version}, and this program reads format {FORMAT}"));
    }
    let document: Document = serde_json::from_slice(text).map_err(broken)?;
    if document.checksum != checksum(&document.verdicts).map_err(broken)? {
        return Err("does not match its checksum".to_owned());
    }
    let written = Duration::from_millis(document.written);
    match written.checked_sub(now.unix) {
        Some(ahead) if ahead > FUTURE_MAX => {
            Err(format!("was written {ahead:.0?} in the future: was the clock set back?"))
        }
        _ => Ok(document.verdicts),
    }
}

// ---- Saving ----

/// Writes the verdicts of `statuses` to `dir`, which is made if it is not there. Either all of them
/// are on disk afterwards or the file is what it was before.
///
/// # Errors
/// What could not be done, where, and what the system said. The old file is left alone then.
pub fn save(dir: &Path, statuses: &[TargetStatus], now: Moment) -> Result<(), StateError> {
    let temporary = dir.join(format!("{FILE_NAME}.new"));
    let at = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StateError { action, path, source }
    };
    let text = encode(statuses, now)
        .map_err(io::Error::from)
        .map_err(at("put verdicts into words for", &temporary))?;
    fs::create_dir_all(dir).map_err(at("make the directory", dir))?;
    write(&temporary, &text).map_err(at("write verdicts to", &temporary))?;
    let path = dir.join(FILE_NAME);
    fs::rename(&temporary, &path).map_err(at("replace", &path))?;
    // The new name is on disk only when its directory is.
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(at("sync the directory", dir))
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn encode(statuses: &[TargetStatus], now: Moment) -> serde_json::Result<Vec<u8>> {
    let mut verdicts: Vec<Line> = statuses.iter().filter_map(|status| line(status, now)).collect();
    verdicts.sort_unstable_by(|a, b| a.target.cmp(&b.target));
    let checksum = checksum(&verdicts)?;
    let document = Document { version: FORMAT, written: millis(now.unix), checksum, verdicts };
    serde_json::to_vec_pretty(&document)
}

/// Nothing of a target of which nothing is known.
fn line(status: &TargetStatus, now: Moment) -> Option<Line> {
    let verdict = status.health.verdict;
    let seen = status.seen?;
    (verdict != Verdict::Unknown).then(|| Line {
        target: key(&status.target),
        verdict: verdict.word().to_owned(),
        since: millis(now.unix_at(status.health.since)),
        seen: millis(now.unix_at(seen)),
    })
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn checksum(verdicts: &[Line]) -> serde_json::Result<String> {
    let text = serde_json::to_vec(verdicts)?;
    let fnv = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Ok(format!("{fnv:016x}"))
}

/// A target in one line, the same in every release that keeps the format: other targets, or the
/// same host under another check, have other lines.
fn key(target: &Target) -> String {
    let CheckSpec { kind, port, interval, timeout, rise, fall } = &*target.spec;
    let (word, host) = (kind.word(), &target.host);
    let (interval, timeout) = (interval.as_nanos(), timeout.as_nanos());
    let common = format!(
        "{word} {host} port={port} interval={interval}ns timeout={timeout}ns rise={rise} fall={fall}"
    );
    let http = match kind {
        CheckKind::Tcp => return common,
        CheckKind::Http(http) => http,
    };
    // `word` says whether it is over TLS.
    let HttpCheck { tls: _, method, path, host, verify, status, body } = http;
    // Quoted and escaped, so that no text can pass for another field.
    let quoted = |text: &Option<String>| text.as_ref().map(|text| format!("{text:?}"));
    let host = quoted(host).unwrap_or_default();
    let body = quoted(body).unwrap_or_default();
    let status: Vec<String> =
        status.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
    let status = status.join(",");
    format!(
        "{common} method={method:?} path={path:?} host={host} verify={verify} status={status} body={body}"
    )
}

// ---- Keeping it written ----

/// Keeps the file up to date while the program runs.
#[derive(Debug)]
pub struct StateWriter {
    dir: PathBuf,
    clock: Clock,
    intake: Arc<Intake>,
    /// Changes that come closer together than this are written at once.
    gap: Duration,
    /// Without any change it is written so often nevertheless: to say that nothing changed.
    refresh: Duration,
    /// What went wrong last time.
    trouble: Option<String>,
}

impl StateWriter {
    /// Keeps what `intake` knows in `dir`: written at most once a second, and at least so often that
    /// after a crash nothing is close to `age_max`.
    #[must_use]
    pub fn new(dir: PathBuf, clock: Clock, intake: Arc<Intake>, age_max: Duration) -> Self {
        let gap = Duration::from_secs(1);
        let refresh = (age_max / 4).max(gap);
        Self { dir, clock, intake, gap, refresh, trouble: None }
    }

    /// Runs until `stop` comes, and writes a last time then. No change that came before `stop` is
    /// lost.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin::pin!(stop);
        let mut changes = self.intake.transitions();
        loop {
            let is_over = tokio::select! {
                () = &mut stop => true,
                changed = changes.changed() => changed.is_err(),
                () = sleep(self.refresh) => false,
            };
            let is_over = is_over
                || tokio::select! {
                    () = &mut stop => true,
                    () = sleep(self.gap) => false,
                };
            // What changes from here on is written next time.
            changes.mark_unchanged();
            self.write().await;
            if is_over {
                return;
            }
        }
    }

    async fn write(&mut self) {
        let (dir, now) = (self.dir.clone(), self.clock.moment());
        let statuses = self.intake.board().entries();
        let saved = tokio::task::spawn_blocking(move || save(&dir, &statuses, now)).await;
        match saved {
            Ok(saved) => self.note(saved.map_err(|error| error.to_string())),
            Err(panic) => self.note(Err(panic.to_string())),
        }
    }

    /// Says what is wrong once, and once that it is over.
    fn note(&mut self, saved: Result<(), String>) {
        let trouble = saved.err();
        if trouble == self.trouble {
            return;
        }
        match &trouble {
            Some(error) => {
                tracing::warn!("{error}; a restart would start from what was written before");
            }
            None => tracing::info!("verdicts are written to {} again", self.dir.display()),
        }
        self.trouble = trouble;
    }
}

#[cfg(test)]
mod tests;
