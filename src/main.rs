//! The `windrose` command: parses arguments, runs the command, turns an error into one line and an
//! exit code. Everything else is the library's.

fn main() {}
