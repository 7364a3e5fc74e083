//! Scenario: a gateway that nobody talked to yet is scraped.
//! Guarantee: every family is there with every value of its labels, and reads 0 unless 0 would be a lie.

use std::collections::BTreeSet;

use spillway::queue::ledger::{DeadReason, DropReason};
use spillway::receive::snapshot::{FILES, Requests, TURNED_AWAY};

use crate::exposition::{self, values};
use crate::support::Gateway;

/// Families that do not start at 0: facts about the process and its limits, and states of which one holds.
const NOT_ZERO: [&str; 15] = [
    "process_",
    "spillway_active_target",
    "spillway_breaker_state",
    "spillway_build_info",
    "spillway_concurrency_limit",
    "spillway_config_last_reload_successful",
    "spillway_disk_free_bytes",
    "spillway_dead_letter_capacity_bytes",
    "spillway_door_files_in_force",
    "spillway_queue_capacity_bytes",
    "spillway_queue_durability",
    "spillway_queue_full_eta_seconds",
    "spillway_replay_eta_seconds",
    "spillway_store_state",
    "spillway_target_up",
];

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

#[tokio::test]
async fn every_family_starts_at_zero() {
    let gateway = Gateway::running().await;
    let samples = exposition::read(&gateway.get("/metrics").await.body);
    let off: Vec<_> = samples
        .iter()
        .filter(|sample| sample.value != 0.0 && !NOT_ZERO.iter().any(|name| sample.name.starts_with(name)))
        .map(|sample| &sample.name)
        .collect();
    assert!(off.is_empty(), "not at 0: {off:?}");
    let one_hot = |name: &str| samples.iter().filter(|s| s.name == name).map(|s| s.value).sum::<f64>();
    assert_eq!(one_hot("spillway_store_state"), 1.0);
    assert_eq!(one_hot("spillway_breaker_state"), 3.0, "one a target");
    assert_eq!(one_hot("spillway_active_target"), 3.0, "one a signal");
}

#[tokio::test]
async fn every_label_value_is_there_from_the_start() {
    let gateway = Gateway::running().await;
    let samples = exposition::read(&gateway.get("/metrics").await.body);
    let signals = set(&["traces", "metrics", "logs"]);
    let targets = set(&["hub", "direct", "disk"]);
    for family in samples.iter().map(|sample| sample.name.as_str()).collect::<BTreeSet<_>>() {
        for (label, all) in [("signal", &signals), ("target", &targets)] {
            let there = values(&samples, family, label);
            assert!(there.is_empty() || there == *all, "{family}{{{label}}} has only {there:?}");
        }
    }
    let dead: Vec<_> = DeadReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let dropped: Vec<_> = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
    for (family, label, all) in [
        ("spillway_received_requests_total", "transport", &Requests::TRANSPORTS[..]),
        ("spillway_received_requests_total", "outcome", &Requests::OUTCOMES[..]),
        ("spillway_received_bytes_total", "stage", &["wire", "inflated"][..]),
        ("spillway_refused_items_total", "reason", Requests::REFUSALS),
        ("spillway_turned_away_connections_total", "reason", &TURNED_AWAY[..]),
        ("spillway_door_files_in_force", "files", &FILES[..]),
        ("spillway_queue_lane_items", "lane", &["fresh", "backlog"][..]),
        ("spillway_store_state", "state", &["open", "full", "draining", "poisoned", "recovering", "closing"][..]),
        ("spillway_delivered_items_total", "lane", &["fresh", "backlog"][..]),
        ("spillway_dead_items", "reason", &dead),
        ("spillway_dropped_items", "reason", &dropped),
        (
            "spillway_books_items",
            "account",
            &["accepted", "imported", "queued", "owed", "delivered", "rejected", "dead", "dropped"][..],
        ),
        (
            "spillway_breaker_state",
            "state",
            &["closed", "open", "half_open", "ramping", "forced_open", "forced_closed"][..],
        ),
        ("spillway_target_up", "role", &["primary", "fallback"][..]),
        ("spillway_failovers_total", "reason", &["failure", "throttle", "misconfigured", "recovered", "command"][..]),
    ] {
        assert_eq!(values(&samples, family, label), set(all), "{family}{{{label}}}");
    }
    let moves = samples.iter().filter(|sample| sample.name == "spillway_failovers_total").count();
    assert_eq!(moves, 3 * 6 * 5, "signals, ordered pairs of three targets, reasons");
}
