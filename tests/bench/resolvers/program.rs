//! Tools that are run here, and whose output is read.

use std::io;
use std::process::{Command, Stdio};

use crate::programs::find_program;

/// How long a tool may take.
const TOOL_SECS_MAX: &str = "120";

/// Runs a tool; all that it writes, errors behind the rest, and whether it was content.
pub(crate) fn run(program: &str, arguments: &[&str]) -> io::Result<(String, bool)> {
    let mut command = Command::new("timeout");
    command.arg(TOOL_SECS_MAX).arg(find_program(program)?).args(arguments);
    let output = command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").output()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    Ok((text, output.status.success()))
}
