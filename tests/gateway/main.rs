//! The whole gateway: the real binary, real sockets, a real store, and an account kept outside of it.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::print_stderr, reason = "the seed of a test that fails is printed with it")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod both_targets_dead;
mod bytes_unchanged;
mod demo;
mod hangs_on_one;
mod hub_killed;
mod kill_nine;
mod merged;
mod refuses_to_start;
mod reload;
mod rotation;
#[path = "../support/skip.rs"]
mod skip;
mod starts_alone;
mod stop_is_bounded;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls;
mod too_large;

/// A chain of hub and fallback with patience short enough for a test.
fn chain(protocol: &str, hub: &str, fallback: &str, replay_to_primary: bool) -> String {
    let pace = "timeout: 2s, retry: {initial_interval: 100ms, max_interval: 1s}, \
                health: {interval: 500ms, timeout: 500ms, unhealthy_after: 2}, \
                breaker: {open_for: 300ms, max_open_for: 1s, half_open_successes: 2, ramp: 1s}";
    format!(
        "targets:\n  \
           hub: {{protocol: {protocol}, endpoint: \"{hub}\", {pace}}}\n  \
           fallback: {{protocol: {protocol}, endpoint: \"{fallback}\", {pace}, replay_to_primary: {replay_to_primary}}}\n\
         chain: {{primary: hub, fallback: [fallback], failover_after: 1s, min_stay: 1s}}\n"
    )
}
