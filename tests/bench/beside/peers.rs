//! Windrose beside its peers, by their own bench: a directory with a program `bench` that starts servers,
//! loads them by turns, and writes what it measured as lines of JSON.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::figures::{Rounds, by_server, read_raw};
use crate::process::end_with_us;
use crate::programs::find_program;
use crate::table::WINDROSE;
use crate::work::{Holding, Work};
use crate::world::{Directory, database_of};

/// The program of the bench.
const BENCH: &str = "bench";
/// What a run or a build leaves in the bench's directory, which is nothing of it.
const LEFT_BEHIND: [&str; 2] = ["target", "__pycache__"];

/// A copy of the peers' bench. Nothing is ever written where it came from.
pub(crate) struct Bench {
    directory: Directory,
    /// Where its load generator is built, once for many runs.
    target: PathBuf,
    windrose: PathBuf,
    nice: i32,
}

impl Bench {
    /// Copies the bench out of `from`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn copy(from: &Path, windrose: &Path, nice: i32) -> io::Result<Self> {
        let directory = Directory::new()?;
        copy_tree(from, &directory.path().join("bench")).map_err(|error| {
            io::Error::other(format!("{} cannot be copied: {error}", from.display()))
        })?;
        // Beside this program, so that it goes away with all else that cargo has built.
        let target = std::env::current_exe()?.with_file_name("beside-peers");
        Ok(Self { directory, target, windrose: windrose.to_path_buf(), nice })
    }

    /// Measures one kind of work in so many rounds of a second, beside all of its servers that are
    /// installed, or those of `against`.
    ///
    /// # Errors
    /// When the bench fails, which has said why on stderr, or windrose does not answer as it should.
    pub(crate) fn measure(
        &self,
        work: Work,
        rounds: usize,
        against: &[String],
    ) -> io::Result<Vec<Rounds>> {
        let raw = self.directory.path().join("raw");
        let mut command = Command::new(self.directory.path().join("bench").join(BENCH));
        match work.holding() {
            Holding::Static { zones, names } => {
                command.args(["static", "--zones", &zones.to_string()]);
                command.args(["--names", &names.to_string()]);
            }
            Holding::Steered { .. } if work == Work::Steered => {
                command.arg("gslb");
            }
            Holding::Steered { networks } => {
                let database = self.directory.path().join("made.mmdb");
                fs::write(&database, database_of(networks).file)?;
                command.args(["gslb", "--mmdb"]).arg(database);
            }
        }
        command.args(["--only", &servers(work, against).join(",")]);
        command.args(["--time", "1", "--rounds", &rounds.to_string()]);
        command.args(["--nice", &self.nice.to_string(), "--raw"]).arg(&raw);
        command.env("WINDROSE", &self.windrose).env("CARGO_TARGET_DIR", &self.target);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        end_with_us(&mut command);
        eprintln!("{}:", work.name());
        let status = command.status()?;
        if !status.success() {
            return Err(io::Error::other(format!("the peers' bench ended with {status}")));
        }
        let lines = fs::read_to_string(&raw)?;
        // Lines are added to what is there.
        fs::remove_file(&raw)?;
        let measured = by_server(read_raw(&lines).map_err(io::Error::other)?);
        let own = measured.iter().find(|rounds| rounds.server == WINDROSE);
        let own = own.ok_or_else(|| io::Error::other("windrose was not measured"))?;
        let wrong = own.figures.iter().find(|figures| !figures.shares.is_like(&work.right()));
        match wrong {
            Some(figures) => Err(io::Error::other(format!(
                "answers are {:?}, not {:?}",
                figures.shares,
                work.right()
            ))),
            None => Ok(measured),
        }
    }
}

/// The servers to measure: the echo, windrose, and peers.
fn servers(work: Work, against: &[String]) -> Vec<&'static str> {
    let is_wanted = |name: &str| match against {
        [] => is_installed(name),
        wanted => wanted.iter().any(|wanted| wanted == name),
    };
    let peers = work.bars().iter().map(|(name, _)| *name).filter(|name| *name != "echo");
    ["echo", WINDROSE].into_iter().chain(peers.filter(|name| is_wanted(name))).collect()
}

/// Whether a peer's program is on this machine.
fn is_installed(peer: &str) -> bool {
    let program = match peer {
        "knot" => "knotd",
        "bind" => "named",
        "pdns" => "pdns_server",
        same => same,
    };
    find_program(program).is_ok()
}

/// Copies files and directories with their rights.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_BEHIND.iter().any(|left| name == *left) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// Whether a bench is in a directory.
pub(crate) fn is_there(directory: &Path) -> bool {
    directory.join(BENCH).is_file()
}
