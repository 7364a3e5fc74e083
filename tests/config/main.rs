//! Configuration and command line, through the real binary: messages, exit codes, and that nothing is touched.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod check;
mod connect;
mod environment;
mod examples;
mod mistakes;
mod probe;
mod runs;
mod usage;

use std::path::Path;
use std::process::{Command, Output};

/// The binary in a folder, with no environment of the tester's.
fn spillway(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.current_dir(folder).args(args).env_clear();
    command
}

/// What it says on standard output.
fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it says on standard error.
fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
