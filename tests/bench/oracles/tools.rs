//! The programs that other servers check their master files with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::find_program;
use crate::records::{APEX, Reading, of_raw, ours};

/// The file that is judged.
pub(crate) const FILE: &str = "judged.zone";
/// Where a tool's own form of it is put.
const PRINTED: &str = "printed.zone";
const RAW: &str = "printed.raw";

/// Who judges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// BIND's `named-checkzone`.
    Bind,
    /// Knot DNS's `kzonecheck`.
    Knot,
    /// NSD's `nsd-checkzone`.
    Nsd,
}

/// What a tool says of a file.
pub(crate) enum Verdict {
    /// It is well, and these are its records, in each form that the tool writes; `None` when that form
    /// cannot be read.
    Accepted(Vec<(&'static str, Option<Reading>)>),
    /// It is not, in these words.
    Refused(String),
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Bind, Self::Knot, Self::Nsd];

    /// Its name in what is printed and in [`known`](crate::known).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Knot => "knot",
            Self::Nsd => "nsd",
        }
    }

    pub(crate) fn program(self) -> io::Result<PathBuf> {
        find_program(match self {
            Self::Bind => "named-checkzone",
            Self::Knot => "kzonecheck",
            Self::Nsd => "nsd-checkzone",
        })
    }

    /// What it says of [`FILE`] in `directory`.
    pub(crate) fn judge(self, directory: &Path) -> io::Result<Verdict> {
        let run = |arguments: &[&str]| -> io::Result<Result<Vec<u8>, String>> {
            let mut command = Command::new(self.program()?);
            let output = command.current_dir(directory).args(arguments).output()?;
            let words = [&*output.stderr, &output.stdout].concat();
            let words = || String::from_utf8_lossy(&words).into_owned();
            Ok(if output.status.success() { Ok(output.stdout) } else { Err(words()) })
        };
        // Names in the zone only are looked up, and whether they are those of hosts is not asked.
        let bind = ["-i", "local", "-k", "ignore", "-D"];
        let printed = match self {
            Self::Bind => run(&[&bind[..], &["-F", "raw", "-o", RAW, APEX, FILE]].concat())?,
            Self::Knot => run(&["-o", APEX, FILE])?,
            Self::Nsd => run(&["-p", APEX, FILE])?,
        };
        let printed = match printed {
            Ok(printed) => printed,
            Err(words) => return Ok(Verdict::Refused(words)),
        };
        let read_anew = || ours(directory, PRINTED);
        Ok(Verdict::Accepted(match self {
            Self::Bind => {
                let raw = of_raw(&fs::read(directory.join(RAW))?);
                let text = run(&[&bind[..], &["-q", "-o", PRINTED, APEX, FILE]].concat())?;
                vec![("raw form", raw), ("text", text.ok().and_then(|_| read_anew()))]
            }
            Self::Knot => Vec::new(),
            Self::Nsd => {
                fs::write(directory.join(PRINTED), printed)?;
                vec![("text", read_anew())]
            }
        }))
    }
}
