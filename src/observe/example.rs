//! Snapshots for tests: a gateway that just started, with the chain hub → direct → disk.
//!
//! The unit tests of `observe` and its scenarios in `tests/observe` share this file; whoever includes it has a `spillway`.

use std::time::Duration;

use super::spillway::config::Durability;
use super::spillway::deliver::snapshot::{BreakerState, ChainView, TargetView};
use super::spillway::queue::ledger::Ledger;
use super::spillway::queue::snapshot::{Depth, StoreState};
use super::spillway::receive::snapshot::Spans;
use super::spillway::tally::{Distribution, Histogram};
use super::spillway::{deliver, queue, receive};

/// As many buckets as a real histogram has.
fn nothing() -> Distribution {
    Histogram::new(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
        .distribution()
}

/// Doors that nobody came to.
pub(super) fn doors() -> receive::snapshot::Snapshot {
    receive::snapshot::Snapshot {
        requests: Vec::new(),
        received_items: [0; 3],
        received_bytes: (0, 0),
        accepted_items: [0; 3],
        refused_items: Vec::new(),
        ack_duration: nothing(),
        admission_wait: nothing(),
        inflight_bytes: 0,
        connections: 0,
        turned_away: Vec::new(),
        files: Vec::new(),
        spans: ["home", "other"].map(|name| Spans { cluster: name.to_owned(), spans: 0, without_context: 0 }).to_vec(),
    }
}

/// An empty queue of 10 GiB.
pub(super) fn queue() -> queue::snapshot::Snapshot {
    let depth = || Depth {
        books: Ledger::default(),
        fresh_batches: 0,
        fresh_items: 0,
        fresh_bytes: 0,
        leased_batches: 0,
        leased_items: 0,
        leased_bytes: 0,
        refusing: false,
        oldest_ms: None,
    };
    queue::snapshot::Snapshot {
        state: StoreState::Open,
        signals: [depth(), depth(), depth()],
        capacity_bytes: 10 << 30,
        disk_free_bytes: Some(0),
        commit_duration: nothing(),
        commit_groups: 0,
        commit_batches: 0,
        commit_bytes: 0,
        late_settles: 0,
        store_reopens: 0,
        clock_step_ms: None,
        durability: Durability::Fsync,
        dead_letters: (0, 0),
        dead_letters_capacity: 1 << 30,
        dead_letters_expired: 0,
        dead_letters_unread: 0,
    }
}

/// A target that is up and was never used.
pub(super) fn target(name: &str, primary: bool, file: bool) -> TargetView {
    let classes = ["ok", "transient", "throttle", "too_large", "refused", "endpoint", "unlisted"];
    TargetView {
        name: name.to_owned(),
        cluster: String::new(),
        file,
        primary,
        up: true,
        breaker: BreakerState::Closed,
        misconfigured: [false; 3],
        inflight: 0,
        concurrency: 1,
        retry_delay: Duration::ZERO,
        next_probe: None,
        last_success_ms: None,
        last_error: None,
        round_trip: None,
        delivered: [[0; 2]; 3],
        redelivered: [0; 3],
        rejected: [0; 3],
        attempts: classes.map(|class| (class, 0)).to_vec(),
        export_duration: nothing(),
    }
}

/// A chain that goes to the first of these targets.
pub(super) fn chain(targets: &[&str]) -> ChainView {
    ChainView {
        targets: targets.iter().map(|&name| name.to_owned()).collect(),
        active: targets[0].to_owned(),
        active_since_ms: 0,
        partitioned_since_ms: None,
        partition_seconds: 0.0,
        failovers: Vec::new(),
        replay_bytes_per_second: 0.0,
        replay_items_per_second: 0.0,
        split_batches: 0,
        merged_batches: 0,
    }
}

/// Delivery of every signal to hub, then direct, then disk.
pub(super) fn deliver() -> deliver::snapshot::Snapshot {
    let names = ["hub", "direct", "disk"];
    deliver::snapshot::Snapshot {
        targets: vec![target("hub", true, false), target("direct", false, false), target("disk", false, true)],
        chains: [chain(&names), chain(&names), chain(&names)],
        by_hand: Default::default(),
        timeline: Vec::new(),
        duplicate_sends: 0,
    }
}
