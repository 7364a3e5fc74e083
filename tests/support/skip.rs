//! What cannot run on this machine is skipped aloud, and counted by `tests/run`.

use std::io::Write;

/// Says that a test is skipped and why, past the harness, which keeps quiet about tests that end well.
pub(crate) fn aloud(what: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}");
}
