//! What is known, on disk, so that a restart forgets nothing.
//!
//! Four files, each replaced as a whole: written beside its place, synced, renamed. `verdicts.json` holds
//! what probes came to, `steering.json` what operators said and what pools went through, `aliases.json` where
//! the hosts of aliases were, `demand.json` what clients asked for. A torn, foreign or stale file costs what it would have told and nothing else:
//! loading never fails, it says what is wrong. A disk that is full or read-only is complained about once, not each second,
//! and stops nothing.

mod aliases;
mod demand;
mod file;
mod steering;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, pin};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::alias::{Book, KnownHost};
use crate::clock::{Clock, Moment};
use crate::feed::LoadBoard;
use crate::health::{Remembered, TargetStatus};
use crate::intake::Intake;
use crate::listen::Current;
use crate::model::{Name, Target, Verdict, whole_millis};
pub use demand::Demanded;
use file::{Document, FORMAT};
pub use steering::Steering;

/// How old a verdict may be before it is worth nothing, unless told otherwise.
pub const AGE_MAX: Duration = Duration::from_secs(3600);

const FILE_NAME: &str = "verdicts.json";

/// The file. Times are milliseconds since 1970 in UTC.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerdictsDocument {
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
    /// In microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usual: Option<u64>,
}

impl Document for VerdictsDocument {
    fn written(&self) -> Duration {
        Duration::from_millis(self.written)
    }

    fn stated_checksum(&self) -> &str {
        &self.checksum
    }

    fn checksum(&self) -> serde_json::Result<String> {
        file::checksum(&self.verdicts)
    }
}

/// What was on disk.
#[derive(Debug, Default)]
pub struct Recalled {
    verdicts: HashMap<String, Remembered>,
    /// What operators had said and what pools had been through.
    pub steering: Steering,
    /// What was found of the hosts of aliases.
    pub aliases: HashMap<Name, KnownHost>,
    /// What clients asked for.
    pub demanded: Demanded,
}

impl Recalled {
    /// What is remembered of a target.
    #[must_use]
    pub fn of(&self, target: &Target) -> Option<Remembered> {
        self.verdicts.get(&target.key()).copied()
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

/// What could not be written.
#[derive(Debug)]
pub struct StateError {
    action: &'static str,
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, what, path, source } = self;
        write!(f, "cannot {action} {what}: {}: {source}", path.display())
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

// ---- Loading ----

/// Reads what an earlier life left in `dir`, and what is wrong with it: one sentence each, for the log.
/// That there is nothing is nothing wrong. Verdicts that no result has borne on for `age_max` are
/// dropped, and so is what pools went through and clients asked for when that was written down longer ago.
#[must_use]
pub fn load(dir: &Path, now: Moment, age_max: Duration) -> (Recalled, Vec<String>) {
    let (verdicts, mut problems) = load_verdicts(dir, now, age_max);
    let (steering, others) = steering::load(dir, now, age_max);
    problems.extend(others);
    let (aliases, others) = aliases::load(dir, now);
    problems.extend(others);
    let (demanded, others) = demand::load(dir, now, age_max);
    problems.extend(others);
    (Recalled { verdicts, steering, aliases, demanded }, problems)
}

fn load_verdicts(
    dir: &Path,
    now: Moment,
    age_max: Duration,
) -> (HashMap<String, Remembered>, Vec<String>) {
    let path = dir.join(FILE_NAME);
    let problem = |what: String| {
        let what = format!("{}: {what}; its targets start unknown", path.display());
        (HashMap::new(), vec![what])
    };
    let lines = match file::load::<VerdictsDocument>(&path, now) {
        Ok(document) => document.map(|document| document.verdicts).unwrap_or_default(),
        Err(what) => return problem(what),
    };
    let count = lines.len();
    let mut verdicts = HashMap::new();
    let mut stale = 0;
    for Line { target, verdict, since, seen, usual } in lines {
        let Some(verdict) = Verdict::from_word(&verdict) else {
            return problem(format!("`{verdict}` is not a verdict"));
        };
        let (since, seen) = (Duration::from_millis(since), Duration::from_millis(seen));
        if now.unix.saturating_sub(seen) > age_max {
            stale += 1;
            continue;
        }
        let time = |unix| now.time_at(unix).min(now.time);
        let usual = usual.map(Duration::from_micros);
        let remembered = Remembered { verdict, since: time(since), seen: time(seen), usual };
        verdicts.insert(target, remembered);
    }
    let mut problems = Vec::new();
    if stale > 0 {
        let path = path.display();
        problems.push(format!(
            "{path}: {stale} of {count} verdicts are older than {age_max:?}; those targets start unknown"
        ));
    }
    (verdicts, problems)
}

// ---- Saving ----

/// Writes the verdicts of `statuses` to `dir`, which is made if it is not there. Either all of them
/// are on disk afterwards or the file is what it was before.
///
/// # Errors
/// What could not be done, where, and what the system said. The old file is left alone then.
pub fn save(dir: &Path, statuses: &[TargetStatus], now: Moment) -> Result<(), StateError> {
    file::save(dir, FILE_NAME, "verdicts", encode(statuses, now))
}

fn encode(statuses: &[TargetStatus], now: Moment) -> serde_json::Result<Vec<u8>> {
    let mut verdicts: Vec<Line> = statuses.iter().filter_map(|status| line(status, now)).collect();
    verdicts.sort_unstable_by(|a, b| a.target.cmp(&b.target));
    let (version, checksum) = (FORMAT, file::checksum(&verdicts)?);
    let document =
        VerdictsDocument { version, written: whole_millis(now.unix), checksum, verdicts };
    serde_json::to_vec_pretty(&document)
}

/// Nothing of a target of which nothing is known.
fn line(status: &TargetStatus, now: Moment) -> Option<Line> {
    let verdict = status.health.verdict;
    let seen = status.seen?;
    (verdict != Verdict::Unknown).then(|| Line {
        target: status.target.key(),
        verdict: verdict.word().to_owned(),
        since: whole_millis(now.unix_at(status.health.since)),
        seen: whole_millis(now.unix_at(seen)),
        usual: status.usual.map(|usual| u64::try_from(usual.as_micros()).unwrap_or(u64::MAX)),
    })
}

// ---- Keeping it written ----

/// Where everything is that is worth writing down.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Verdicts, and what operators say.
    pub intake: Arc<Intake>,
    /// The controllers that follow load.
    pub loads: Arc<LoadBoard>,
    /// What pools went through, and what clients ask for.
    pub current: Current,
    /// What was found of the hosts of aliases.
    pub aliases: Arc<Book>,
}

/// Keeps the file up to date while the program runs.
#[derive(Debug)]
pub struct StateWriter {
    dir: PathBuf,
    clock: Clock,
    watched: Watched,
    /// Changes that come closer together than this are written at once.
    gap: Duration,
    /// Without any change it is written so often nevertheless: to say that nothing changed.
    refresh: Duration,
    /// What went wrong last time.
    trouble: Option<String>,
}

impl StateWriter {
    /// Keeps what is `watched` in `dir`: written at most once a second, and at least so often that after a
    /// crash nothing is close to `age_max`.
    #[must_use]
    pub fn new(dir: PathBuf, clock: Clock, watched: Watched, age_max: Duration) -> Self {
        let gap = Duration::from_secs(1);
        let refresh = (age_max / 4).max(gap);
        Self { dir, clock, watched, gap, refresh, trouble: None }
    }

    /// Runs until `stop` comes, and writes a last time then. No change that came before `stop` is
    /// lost.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin::pin!(stop);
        let mut changes = self.watched.intake.transitions();
        let mut moves = self.watched.aliases.moved();
        loop {
            let is_over = tokio::select! {
                () = &mut stop => true,
                changed = changes.changed() => changed.is_err(),
                moved = moves.changed() => moved.is_err(),
                () = sleep(self.refresh) => false,
            };
            let is_over = is_over
                || tokio::select! {
                    () = &mut stop => true,
                    () = sleep(self.gap) => false,
                };
            // What changes from here on is written next time.
            changes.mark_unchanged();
            moves.mark_unchanged();
            self.write().await;
            if is_over {
                return;
            }
        }
    }

    async fn write(&mut self) {
        let (dir, now) = (self.dir.clone(), self.clock.moment());
        let watched = self.watched.clone();
        let saved = tokio::task::spawn_blocking(move || {
            let verdicts = save(&dir, &watched.intake.board().entries(), now);
            let steering = steering::save(&dir, &watched, now);
            let demand = demand::save(&dir, &watched.current.load(), now);
            let aliases = aliases::save(&dir, watched.aliases.known(), now);
            demand.and(aliases).and(steering).and(verdicts)
        });
        let saved = saved.await;
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
            None => tracing::info!("the state is written to {} again", self.dir.display()),
        }
        self.trouble = trouble;
    }
}

#[cfg(test)]
mod tests;
