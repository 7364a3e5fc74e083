//! Doors that are open to anybody: clients that mean harm, or know no better, against the real binary. Each costs what it may and
//! no more, and honest clients beside it get their OK.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::print_stderr, reason = "figures are printed with the test that measured them")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod bombs;
mod dribble;
mod heads;
mod honest;
mod idle;
mod nesting;
mod raw;
mod renewal;
mod resets;
mod secrets;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/mod.rs"]
mod support;
mod unread;

/// A gateway whose hub is away: what is accepted stays in its queue.
const NOWHERE: &str = "targets: {hub: {endpoint: \"http://127.0.0.1:1\", protocol: otlp_grpc}}\n";

/// One count for every run of the tests, and one for a release.
fn count(usual: usize, release: usize) -> usize {
    if std::env::var("SPILLWAY_TEST_COUNTS").is_ok_and(|counts| counts == "release") { release } else { usual }
}
