//! Our reader of master files beside the tools of BIND, NSD and Knot DNS: the same files, the same verdict,
//! the same records?
//!
//! ```sh
//! cargo run --example oracles
//! ```
//!
//! Needs `named-checkzone`, `nsd-checkzone` and `kzonecheck` (Debian: bind9-utils, nsd, knot-dnssecutils); a
//! tool that is not installed is left out. Every fragment of `tests/it/master_cases.rs` is put below an
//! apex, and every file of `tests/data/master` is taken as it is. What a tool accepts as we do is compared
//! record by record: BIND's raw form octet by octet, and what BIND and NSD print is read by us anew. Prints
//! how often each agreed; exit code 1 when one did not, for no reason that [`known::KNOWN`] gives.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its table and its talk")]

#[path = "../../it/oracles/judge.rs"]
mod judge;
mod known;
#[path = "../../it/master_cases.rs"]
mod master_cases;
#[path = "../programs.rs"]
mod programs;
mod records;
mod tools;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge::{Exceptions, Stance};
use master_cases::{APEX_DATA, DOUBTFUL, IN_ORDER, fragments};
use records::{Reading, ours};
use tools::{Tool, Verdict};

fn main() -> ExitCode {
    let directory = std::env::temp_dir().join(format!("oracles-{}", std::process::id()));
    let result = run(&directory);
    let _ = fs::remove_dir_all(&directory);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// What BIND would be busy with for an hour; we make no more than four million records of a line.
const ENDLESS: &str = "! $GENERATE 0-2147483647 ";

/// A master file to be judged.
struct Case {
    name: String,
    text: String,
}

/// Compares everything; whether nothing unexplained is left.
fn run(directory: &Path) -> io::Result<bool> {
    let (cases, parts) = (cases()?, directory.join("parts"));
    fs::create_dir_all(&parts)?;
    fs::copy(corpus().join("parts/hosts.inc"), parts.join("hosts.inc"))?;
    for (name, text) in
        [("sub.zone", "$TTL 60\nwww A 192.0.2.80\n"), ("loop.zone", "$INCLUDE loop.zone\n")]
    {
        fs::write(directory.join(name), text)?;
    }
    let mut exceptions = Exceptions::new(known::KNOWN);
    let mut differences = Vec::new();
    println!(
        "{:<8} {:>6} {:>6} {:>8} {:>8} {:>8}",
        "tool", "cases", "same", "refuses", "accepts", "differs"
    );
    for tool in Tool::ALL {
        if tool.program().is_err() {
            println!("{:<8} not installed", tool.name());
            continue;
        }
        let mut tally = [0; 4];
        for case in &cases {
            let (stance, detail) = judge_case(tool, case, directory)?;
            tally[stance as usize] += 1;
            if !exceptions.allow(tool.name(), &case.name, stance) {
                differences.push(format!("{} {stance:?}: {}{detail}", tool.name(), case.name));
            }
        }
        let [same, refuses, accepts, differs] = tally;
        let count = cases.len();
        println!("{:<8} {count:>6} {same:>6} {refuses:>8} {accepts:>8} {differs:>8}", tool.name());
    }
    for (tool, name, why) in exceptions.unmet() {
        println!("not met: {tool}: {name} ({why})");
    }
    for difference in &differences {
        println!("\n{difference}");
    }
    Ok(differences.is_empty())
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/master")
}

fn cases() -> io::Result<Vec<Case>> {
    let below_apex =
        |(name, text): (String, String)| Case { name, text: APEX_DATA.to_owned() + &text };
    let fragments = fragments().into_iter().filter(|(name, _)| !name.starts_with(ENDLESS));
    let doubtful = DOUBTFUL.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let in_order = [("a zone in order".to_owned(), IN_ORDER.to_owned())];
    let mut cases: Vec<Case> = fragments.chain(doubtful).chain(in_order).map(below_apex).collect();
    for entry in fs::read_dir(corpus())? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            cases.push(Case { name, text: fs::read_to_string(path)? });
        }
    }
    Ok(cases)
}

/// How `tool` stands to us about a case; what differs, for people.
fn judge_case(tool: Tool, case: &Case, directory: &Path) -> io::Result<(Stance, String)> {
    fs::write(directory.join(tools::FILE), &case.text)?;
    let reading = ours(directory, tools::FILE);
    let verdict = tool.judge(directory)?;
    Ok(match (reading, verdict) {
        (None, Verdict::Refused(_)) => (Stance::Same, String::new()),
        (None, Verdict::Accepted(_)) => (Stance::Accepts, String::new()),
        (Some(_), Verdict::Refused(words)) => (Stance::Refuses, format!("\n{words}")),
        (Some(reading), Verdict::Accepted(forms)) => {
            let differing = forms.into_iter().find(|(_, theirs)| theirs.as_ref() != Some(&reading));
            match differing {
                None => (Stance::Same, String::new()),
                Some((form, theirs)) => (Stance::Differs, difference(form, &reading, theirs)),
            }
        }
    })
}

fn difference(form: &str, ours: &Reading, theirs: Option<Reading>) -> String {
    let Some(theirs) = theirs else { return format!("\n  its {form} cannot be read") };
    let lines = |sign: char, these: &Reading, those: &Reading| {
        let lines =
            these.difference(those).map(|record| format!("\n  {sign} {form}: {record:02x?}"));
        lines.collect::<String>()
    };
    lines('-', ours, &theirs) + &lines('+', &theirs, ours)
}
