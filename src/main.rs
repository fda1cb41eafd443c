//! The `windrose` command: hands its arguments to the library and turns the outcome into an exit code.
//! Everything else is the library's.

use std::io;
use std::process::ExitCode;

use windrose::memory::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let exit = windrose::cli::run(std::env::args_os(), &mut io::stdout().lock(), &mut io::stderr());
    ExitCode::from(exit.code())
}
