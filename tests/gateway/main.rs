//! The whole gateway: the real binary, real sockets, a real store, and an account kept outside of it.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::print_stderr, reason = "the seed of a test that fails is printed with it")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod both_targets_dead;
mod bytes_unchanged;
mod dead_letters_kept;
mod demo;
mod dropped_stays_gone;
mod expired_stays_gone;
mod files;
mod hangs_on_one;
mod hub_killed;
mod identity;
mod kill_nine;
mod limits;
mod log_lines;
mod merged;
mod owed_kept;
mod refuses_to_start;
mod reload;
mod rotation;
mod self_told;
#[path = "../support/sink.rs"]
mod sink;
#[path = "../support/skip.rs"]
mod skip;
mod starts_alone;
mod stop_is_bounded;
#[path = "../support/mod.rs"]
mod support;
mod tagged_in_zstd;
#[path = "../support/tls.rs"]
mod tls;
mod too_large;
mod ways_out;

/// Patience of a target that is short enough for a test.
const PACE: &str = "timeout: 2s, retry: {initial_interval: 100ms, max_interval: 1s}, \
                    health: {interval: 500ms, timeout: 2s, unhealthy_after: 2}, \
                    breaker: {open_for: 300ms, max_open_for: 1s, half_open_successes: 2, ramp: 1s}";

/// A chain of hub and fallback.
fn chain(protocol: &str, hub: &str, fallback: &str, replay_to_primary: bool) -> String {
    format!(
        "targets:\n  \
           hub: {{protocol: {protocol}, endpoint: \"{hub}\", {PACE}}}\n  \
           fallback: {{protocol: {protocol}, endpoint: \"{fallback}\", {PACE}, replay_to_primary: {replay_to_primary}}}\n\
         chain: {{primary: hub, fallback: [fallback], failover_after: 1s, min_stay: 1s}}\n"
    )
}

/// A hub without a fallback.
fn alone(protocol: &str, hub: &str) -> String {
    format!("targets:\n  hub: {{protocol: {protocol}, endpoint: \"{hub}\", {PACE}}}\n")
}

/// What `spillway` says to these words, beside the gateway of a home. It has to end well.
fn spillway(home: &support::gateway::Home, words: &str) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_spillway"));
    let done = command.args(words.split(' ')).arg("--dir").arg(home.path().join("queue")).output().unwrap();
    assert!(done.status.success(), "{words}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}
