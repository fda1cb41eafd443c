//! `push` and `pull`: the zone files of a fleet.
//!
//! What is pushed is checked here as every node will check it, and shown before it is published. A version is
//! never changed: the way back is a later version with earlier files.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use serde::Serialize;

use super::write_json;
use super::{Console, Exit, Failure, PullArguments, PushArguments, counted, operate, read_server};
use crate::clock::unix_now;
use crate::fleet::Settings;
use crate::fleet::bundle::{Files, HEADS, Head, PIECES, pack, pieces, unpack};
use crate::fleet::changes::Changes;
use crate::fleet::nats::Bucket;
use crate::fleet::shelf::{VERSIONS_KEPT, read_files, write_files};
use crate::load::{Place, judge_zones};

/// Names that are listed; more are counted.
const NAMES_SHOWN: usize = 40;

/// What was pushed, or would be, for programs.
#[derive(Serialize)]
struct PushReport<'p> {
    version: u64,
    is_published: bool,
    back_to: Option<u64>,
    files: &'p [(String, &'static str)],
    names: &'p [(String, &'static str)],
}

fn wrong(words: String) -> Failure {
    Failure::Said(Exit::Wrong, words)
}

/// What the engine keeps of versions.
struct Store {
    settings: Settings,
    bucket: Bucket,
    heads: BTreeMap<u64, Head>,
}

impl Store {
    async fn visit(settings: Settings) -> Result<Self, Failure> {
        let unreachable = |words| Failure::Said(Exit::Unreachable, words);
        let bucket = settings.broker.visit().await.map_err(unreachable)?;
        let mut heads = BTreeMap::new();
        for key in bucket.keys().await.map_err(wrong)? {
            if !key.starts_with(HEADS) {
                continue;
            }
            let Some(sealed) = bucket.get(&key).await.map_err(wrong)? else { continue };
            let head = Head::open(&settings.keys, &key, &sealed);
            let head =
                head.map_err(|problem| wrong(format!("{key} is not believed: {problem}")))?;
            heads.insert(head.version, head);
        }
        Ok(Self { settings, bucket, heads })
    }

    fn newest(&self) -> Option<&Head> {
        self.heads.values().next_back()
    }

    async fn files(&self, head: &Head) -> Result<Files, Failure> {
        let mut parts = BTreeMap::new();
        for name in &head.pieces {
            let piece = self.bucket.get(&format!("{PIECES}{name}")).await.map_err(wrong)?;
            parts.extend(piece.map(|piece| (name.clone(), piece)));
        }
        let bundle = head.join(|name| parts.get(name).cloned());
        let files = bundle.and_then(|bundle| unpack(&bundle));
        files.map_err(|problem| wrong(format!("version {}: {problem}", head.version)))
    }

    /// Publishes a version: pieces first, so that whoever sees the head finds them.
    async fn publish(&self, head: &Head, bundle: &[u8]) -> Result<(), Failure> {
        for (name, piece) in pieces(bundle) {
            let key = format!("{PIECES}{name}");
            self.bucket.put(&key, piece.to_vec()).await.map_err(wrong)?;
        }
        let sealed = head.seal(&self.settings.keys);
        if self.bucket.create(&head.key(), sealed).await.map_err(wrong)? {
            Ok(())
        } else {
            let version = head.version;
            Err(wrong(format!(
                "somebody has pushed version {version} meanwhile: look and push again"
            )))
        }
    }

    /// Drops versions that nobody goes back to any more, and pieces that no version needs.
    async fn tidy(&self, newest: &Head) -> Result<(), Failure> {
        let is_old = |version: u64| version + VERSIONS_KEPT <= newest.version;
        let kept = self.heads.values().filter(|head| !is_old(head.version)).chain([newest]);
        let needed: HashSet<String> =
            kept.flat_map(|head| &head.pieces).map(|name| format!("{PIECES}{name}")).collect();
        for head in self.heads.values().filter(|head| is_old(head.version)) {
            self.bucket.drop_key(&head.key()).await.map_err(wrong)?;
        }
        for key in self.bucket.keys().await.map_err(wrong)? {
            if key.starts_with(PIECES) && !needed.contains(&key) {
                self.bucket.drop_key(&key).await.map_err(wrong)?;
            }
        }
        Ok(())
    }
}

fn settings(console: &mut Console<'_>, place: &Place) -> Result<Settings, Failure> {
    let config = read_server(console, place)?;
    let settings = Settings::read(place, &config, false).map_err(wrong)?;
    let missing = "the server file has no [fleet]: there is nobody to share zone files with";
    settings.ok_or_else(|| Failure::Said(Exit::Usage, missing.to_owned()))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

// ---- Push ----

pub(super) fn push(
    console: &mut Console<'_>,
    place: &Place,
    arguments: PushArguments,
) -> Result<Exit, Failure> {
    let settings = settings(console, place)?;
    let author = operate::author_of(arguments.author.as_ref())?;
    let runtime = runtime()?;
    let store = match (&arguments.directory, arguments.rollback) {
        // What is wrong here needs no engine to be told.
        (Some(directory), _) => {
            judge(console, place, directory)?;
            runtime.block_on(Store::visit(settings))?
        }
        (None, Some(_)) => runtime.block_on(Store::visit(settings))?,
        (None, None) => {
            let words = "say what to push: a directory, or `--rollback`".to_owned();
            return Err(Failure::Said(Exit::Usage, words));
        }
    };
    let newest = store.newest();
    let (files, back_to) = match &arguments.directory {
        Some(directory) => (read_files(directory).map_err(wrong)?, None),
        None => {
            let head = way_back(&store, arguments.rollback.flatten())?;
            let files = runtime.block_on(store.files(head))?;
            judge_elsewhere(console, place, &files)?;
            (files, Some(head.version))
        }
    };
    let before = match newest {
        Some(head) => runtime.block_on(store.files(head))?,
        None => Files::new(),
    };
    let changes = Changes::between(&before, &files);
    let version = newest.map_or(1, |head| head.version + 1);
    if changes.is_empty() && newest.is_some() {
        writeln!(console.err, "nothing has changed since version {}", version - 1)?;
        return Ok(Exit::Fine);
    }
    if !arguments.json {
        write_changes(console.out, &changes)?;
    }
    let is_published = !arguments.dry_run && confirm(console, arguments.yes, version)?;
    if is_published {
        let bundle = pack(&files).map_err(wrong)?;
        let at = u64::try_from(unix_now().as_millis()).unwrap_or(u64::MAX);
        let head = Head::new(version, &bundle, author, arguments.reason, at);
        let head = Head { back_to, ..head };
        runtime.block_on(store.publish(&head, &bundle))?;
        // What is left behind is in nobody's way.
        if let Err(Failure::Said(_, problem)) = runtime.block_on(store.tidy(&head)) {
            writeln!(console.err, "old versions could not be dropped: {problem}")?;
        }
    }
    if arguments.json {
        let Changes { files, names } = &changes;
        write_json(console, &PushReport { version, is_published, back_to, files, names })?;
    } else if is_published {
        let of = back_to.map_or_else(String::new, |of| format!(", with the files of version {of}"));
        writeln!(console.out, "version {version} is published{of}; `status` tells who serves it")?;
    } else {
        writeln!(console.out, "nothing is published; this would be version {version}")?;
    }
    Ok(Exit::Fine)
}

/// The version to go back to: the one given, or the last with other files.
fn way_back(store: &Store, wanted: Option<u64>) -> Result<&Head, Failure> {
    let Some(newest) = store.newest() else {
        return Err(wrong("nothing was pushed yet, so there is no way back".to_owned()));
    };
    let found = match wanted {
        Some(version) => store.heads.get(&version),
        None => store.heads.values().rev().find(|head| head.sha256 != newest.sha256),
    };
    found.ok_or_else(|| {
        let kept: Vec<String> = store.heads.keys().map(u64::to_string).collect();
        let wanted =
            wanted.map_or_else(|| "earlier version".to_owned(), |v| format!("version {v}"));
        wrong(format!("there is no {wanted} any more; kept are {}", kept.join(", ")))
    })
}

fn judge(console: &mut Console<'_>, place: &Place, directory: &Path) -> Result<(), Failure> {
    match judge_zones(place, directory) {
        Ok(_) => Ok(()),
        Err(report) => {
            console.report(&report)?;
            Err(wrong("the zone files have errors; nothing is pushed".to_owned()))
        }
    }
}

/// Judges files that lie nowhere.
fn judge_elsewhere(console: &mut Console<'_>, place: &Place, files: &Files) -> Result<(), Failure> {
    let directory = Scratch(env::temp_dir().join(format!("windrose-push-{}", process::id())));
    write_files(&directory.0, files)?;
    judge(console, place, &directory.0)
}

/// A directory that goes away.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write_changes(out: &mut dyn Write, changes: &Changes) -> io::Result<()> {
    for (file, how) in &changes.files {
        writeln!(out, "{how:<8} {file}")?;
    }
    let names = &changes.names;
    writeln!(out, "{} may be answered otherwise", counted(names.len(), "name"))?;
    for (name, how) in names.iter().take(NAMES_SHOWN) {
        writeln!(out, "  {how:<8} {name}")?;
    }
    if names.len() > NAMES_SHOWN {
        writeln!(out, "  and {} more", names.len() - NAMES_SHOWN)?;
    }
    Ok(())
}

fn confirm(console: &mut Console<'_>, is_given: bool, version: u64) -> Result<bool, Failure> {
    if is_given {
        return Ok(true);
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let words = "nobody is there to be asked: say `--yes`, or `--dry-run`".to_owned();
        return Err(Failure::Said(Exit::Usage, words));
    }
    write!(console.err, "publish this as version {version}? [y/N] ")?;
    console.err.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

// ---- Pull ----

pub(super) fn pull(
    console: &mut Console<'_>,
    place: &Place,
    arguments: &PullArguments,
) -> Result<Exit, Failure> {
    let settings = settings(console, place)?;
    let directory = &arguments.directory;
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        let words = format!("{} is not empty; nothing is written over", directory.display());
        return Err(Failure::Said(Exit::Usage, words));
    }
    let runtime = runtime()?;
    let store = runtime.block_on(Store::visit(settings))?;
    let Some(head) = store.newest() else {
        return Err(wrong("nothing was pushed yet".to_owned()));
    };
    let files = runtime.block_on(store.files(head))?;
    write_files(directory, &files)
        .map_err(|error| wrong(format!("cannot write to {}: {error}", directory.display())))?;
    let Head { version, author, .. } = head;
    let count = counted(files.len(), "file");
    writeln!(console.out, "version {version} by {author}: {count} in {}", directory.display())?;
    Ok(Exit::Fine)
}
