//! What the status says of each part.

use std::collections::BTreeMap;

use serde::Serialize;

use super::BySignal;
use crate::deliver::snapshot::BreakerState;
use crate::observe::account::Account;
use crate::observe::lanes::{Amount, Lanes};
use crate::queue::snapshot::StoreState;

/// One target.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// Name in the configuration.
    pub name: String,
    /// `primary` or `fallback`.
    pub role: &'static str,
    /// `network` or `file`.
    pub kind: &'static str,
    /// Cluster behind it.
    pub cluster: String,
    /// Whether it is up by its probes and its traffic.
    pub up: bool,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Signals whose endpoint is wrong there.
    pub misconfigured: Vec<&'static str>,
    /// Requests in flight.
    pub inflight: usize,
    /// Most requests in flight at the moment.
    pub concurrency: usize,
    /// Time until it is tried again; 0 when nothing is waited for.
    pub retry_in_seconds: f64,
    /// Time until its health is probed next; null where it is not probed.
    pub next_probe_in_seconds: Option<f64>,
    /// When it last accepted a request.
    pub last_success_ms: Option<u64>,
    /// Its last failure.
    pub last_error: Option<LastError>,
    /// Round trip of the last exchange.
    pub round_trip_seconds: Option<f64>,
    /// Items accepted since the start.
    pub delivered: BySignal<Delivered>,
    /// Items of those that a fallback had before.
    pub redelivered: BySignal<u64>,
    /// Items refused inside accepted requests.
    pub rejected: BySignal<u64>,
    /// Requests sent, by class of their outcome.
    pub attempts: BTreeMap<&'static str, u64>,
}

/// Items by the lane they came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Delivered {
    /// New ones.
    pub fresh: u64,
    /// Those that had waited.
    pub backlog: u64,
}

/// A failure and its time.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// When.
    pub at_ms: u64,
    /// One sentence.
    pub what: String,
}

/// The queue.
#[derive(Debug, Clone, Serialize)]
pub struct Queue {
    /// Whether the store takes writes.
    pub state: StoreState,
    /// Quota in bytes.
    pub capacity_bytes: u64,
    /// Bytes queued, all signals together.
    pub used_bytes: u64,
    /// Free bytes of the volume.
    pub disk_free_bytes: Option<u64>,
    /// Time until it is full at the growth of the last five minutes; null when it does not grow.
    pub full_in_seconds: Option<f64>,
    /// Time until it is empty at the pace of the last minute; null when it does not shrink.
    pub empty_in_seconds: Option<f64>,
    /// Each signal's part.
    pub signals: BySignal<QueueSignal>,
    /// Group commits since the start.
    pub commits: Commit,
    /// Refused batches that are kept for a person to look into.
    pub dead_letters: DeadLetters,
    /// Settles that named a lease which was no longer current, and were ignored.
    pub late_settles: u64,
    /// Times that the store was closed after a failure, opened anew and verified.
    pub store_reopens: u64,
}

/// One signal's queue.
#[derive(Debug, Clone, Serialize)]
pub struct QueueSignal {
    /// All that is queued.
    #[serde(flatten)]
    pub all: Amount,
    /// Where it lies.
    #[serde(flatten)]
    pub lanes: Lanes,
    /// Items that a fallback has and the primary is still to get.
    pub owed_items: u64,
    /// When the oldest was received.
    pub oldest_ms: Option<u64>,
    /// Items of backlog delivered a second.
    pub replay_items_per_second: f64,
    /// Time until the backlog is gone at the pace of the last minute; null when it does not shrink.
    pub replayed_in_seconds: Option<f64>,
}

/// Group commits.
#[derive(Debug, Clone, Serialize)]
pub struct Commit {
    /// Groups written and synced.
    pub groups: u64,
    /// Requests in them.
    pub batches: u64,
    /// Mean time of one; null before the first.
    pub mean_seconds: Option<f64>,
}

/// The store of refused batches.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetters {
    /// Held.
    pub batches: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// The doors, since the start.
#[derive(Debug, Clone, Serialize)]
pub struct Doors {
    /// Requests by what they were and how they ended.
    pub requests: Vec<Counted>,
    /// Items in requests that could be read.
    pub received_items: BySignal<u64>,
    /// Items in requests that were answered OK.
    pub accepted_items: BySignal<u64>,
    /// Items refused, by reason.
    pub refused_items: BTreeMap<String, u64>,
    /// Bytes as they came.
    pub wire_bytes: u64,
    /// The same bytes, inflated.
    pub inflated_bytes: u64,
    /// Bytes between socket and disk.
    pub inflight_bytes: u64,
    /// Open connections.
    pub connections: u64,
}

/// Requests of one kind that ended one way.
#[derive(Debug, Clone, Serialize)]
pub struct Counted {
    /// `grpc` or `http`.
    pub transport: &'static str,
    /// Which signal.
    pub signal: &'static str,
    /// How they ended.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
}

/// The books.
#[derive(Debug, Clone, Serialize)]
pub struct Books {
    /// Each signal's account, since the store was made.
    pub signals: BySignal<Audited>,
    /// Items by which ledger and recount differ, all signals together; anything but 0 is a fault.
    pub imbalance_items: u64,
    /// The last recount; null before the first.
    pub recount: Option<Recounted>,
    /// Why the last try of a recount failed; null when it did not.
    pub recount_error: Option<String>,
}

/// One signal's account, and whether it holds.
#[derive(Debug, Clone, Serialize)]
pub struct Audited {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// By how much this signal's books are off.
    pub imbalance_items: u64,
}

/// A recount of the queue's index.
#[derive(Debug, Clone, Serialize)]
pub struct Recounted {
    /// When.
    pub at_ms: u64,
    /// How long it took.
    pub took_seconds: f64,
    /// Items found.
    pub items: BySignal<u64>,
}
