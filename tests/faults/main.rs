//! What breaks below the gateway: processes killed, disks that fail or fill up, files damaged at rest. The real binary, a real
//! store, and an account kept outside of it.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::print_stderr, reason = "the seed of a test that fails is printed with it")]
#![allow(dead_code, reason = "the support is shared with other suites, which use more of it")]

mod damage_at_rest;
mod damaged_start;
mod disk_full;
mod errors;
mod fatal_batch;
mod held_lane;
mod idle;
mod inject;
mod kills;
mod pod;
mod queues;
mod read_only;
mod removals;
mod salvage;
#[path = "../support/sink.rs"]
mod sink;
#[path = "../support/skip.rs"]
mod skip;
mod small_memory;
mod space_apart;
mod space_back;
mod stalls;
#[path = "../support/mod.rs"]
mod support;
mod torn_log;
mod unsynced;
mod volume;

use support::gateway::Gateway;

/// One target, with patience short enough for a test.
fn to(hub: &str) -> String {
    format!(
        "targets:\n  \
           hub: {{protocol: otlp_grpc, endpoint: \"{hub}\", timeout: 2s, \
                 retry: {{initial_interval: 50ms, max_interval: 200ms}}, \
                 health: {{interval: 200ms, timeout: 2s, unhealthy_after: 2}}, \
                 breaker: {{open_for: 100ms, max_open_for: 200ms, half_open_successes: 1, ramp: 0s}}}}\n\
         chain: {{primary: hub}}\n"
    )
}

/// Asserts that a gateway still has, or delivered, all that was answered OK before: its ledger counts it, and the recount finds it.
fn assert_kept(gateway: &Gateway, acknowledged: u64, what: &str) {
    gateway.assert_balanced();
    let accepted = gateway.books("accepted");
    assert!(accepted >= acknowledged, "{what}: {accepted} of {acknowledged} items are left\n{}", gateway.log());
    for account in ["dead", "dropped", "rejected"] {
        assert_eq!(gateway.books(account), 0, "{what}: {account}\n{}", gateway.log());
    }
}

/// `usual`; where `SPILLWAY_TEST_COUNTS` asks for it `release`, or the number that it is, if that is less.
fn count(usual: usize, release: usize) -> usize {
    let asked = std::env::var("SPILLWAY_TEST_COUNTS");
    asked.map_or(usual, |asked| asked.parse().map_or(release, |number: usize| number.min(release)))
}

/// Logs and memtables as small as can be, so that a load of a few seconds flushes them.
const SMALL: &str = "max_size: 64MiB, memory_limit: 64MiB";
/// Bytes that make the requests of a load long enough for that.
const PADDING: usize = 16 << 10;
/// After a kill batches are sent one at a time for a while: not each point waits until the hub has everything.
const DRAIN_EVERY: usize = 10;
