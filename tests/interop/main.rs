//! spillway between the programs that users put around it: a real OpenTelemetry Collector as spoke and as hub, and the
//! Python SDK as client. What is missing on a machine is skipped aloud.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod both_hubs_dead;
mod export_read_back;
mod file_read_back;
#[allow(dead_code, reason = "shared with the tests of the gateway, which use the rest")]
#[path = "../support/gateway.rs"]
mod gateway;
#[allow(dead_code, reason = "shared with the tests of the gateway, which use the rest")]
#[path = "../support/hub.rs"]
mod hub;
mod hub_killed;
mod items;
mod sdk_clients;
#[path = "../support/skip.rs"]
mod skip;
mod through_collectors;
#[allow(dead_code, reason = "shared with the tests of the alerts, which use the rest")]
mod tools;
#[path = "../support/wait.rs"]
mod wait;

/// Items of each signal.
const ITEMS: u64 = 200_000;
/// Most items of a signal that can be out on leases: 32 requests of at most 2000 items, a spoke's largest batch.
const LEASED: u64 = 32 * 2000;
