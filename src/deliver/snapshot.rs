//! What delivery tells of itself: plain data for metrics and status.

use std::time::Duration;

use serde::Serialize;

use super::by_hand::ByHand;
use crate::tally::Distribution;

/// Delivery at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Every target that a chain names, in the order of the configuration.
    pub targets: Vec<TargetView>,
    /// Each signal's chain, by [`Signal::index`](crate::batch::Signal::index).
    pub chains: [ChainView; 3],
    /// What a person ordered that holds until it is taken back.
    pub by_hand: ByHand,
    /// What happened, oldest first, bounded.
    pub timeline: Vec<Event>,
    /// Sends that repeat what a target may already have.
    pub duplicate_sends: u64,
}

/// One target at one moment.
#[derive(Debug, Clone)]
pub struct TargetView {
    /// Name in the configuration.
    pub name: String,
    /// Cluster behind it.
    pub cluster: String,
    /// Whether a `file` target.
    pub file: bool,
    /// Whether it is the primary of any signal.
    pub primary: bool,
    /// Health as probes and traffic have it.
    pub up: bool,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Signals for which its endpoint is wrong (401, 404 …), by index.
    pub misconfigured: [bool; 3],
    /// Requests in flight.
    pub inflight: usize,
    /// Most requests in flight at the moment.
    pub concurrency: usize,
    /// Time until something is tried again; zero when nothing is waited for.
    pub retry_delay: Duration,
    /// Time until its health is probed next, zero while a probe is under way; `None` where it is not probed. A probe that is
    /// due is left out while traffic shows more.
    pub next_probe: Option<Duration>,
    /// Milliseconds since the Unix epoch of the last accepted request.
    pub last_success_ms: Option<u64>,
    /// Last failure: milliseconds since the Unix epoch, and the sentence.
    pub last_error: Option<(u64, String)>,
    /// Round trip of the last exchange.
    pub round_trip: Option<Duration>,
    /// Items delivered, by signal and lane (fresh, backlog).
    pub delivered: [[u64; 2]; 3],
    /// Items delivered that a fallback had already, by signal.
    pub redelivered: [u64; 3],
    /// Items refused inside accepted requests, by signal.
    pub rejected: [u64; 3],
    /// Attempts by outcome class: every class, in the order of `otlp::class::Class::ALL`, 0 where there was none.
    pub attempts: Vec<(&'static str, u64)>,
    /// Time from send to answer.
    pub export_duration: Distribution,
}

/// State of a breaker, in the electrical sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Traffic flows.
    Closed,
    /// Nothing is sent.
    Open,
    /// One call at a time.
    HalfOpen,
    /// Traffic grows from 10 % to full.
    Ramping,
    /// Open by hand.
    ForcedOpen,
    /// Closed by hand.
    ForcedClosed,
}

impl BreakerState {
    /// Every state, for one-hot metrics.
    pub const ALL: [BreakerState; 6] = [
        BreakerState::Closed,
        BreakerState::Open,
        BreakerState::HalfOpen,
        BreakerState::Ramping,
        BreakerState::ForcedOpen,
        BreakerState::ForcedClosed,
    ];

    /// The value of the `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Ramping => "ramping",
            BreakerState::ForcedOpen => "forced_open",
            BreakerState::ForcedClosed => "forced_closed",
        }
    }
}

/// One signal's chain at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct ChainView {
    /// Target names, the primary first.
    pub targets: Vec<String>,
    /// Which of them gets the traffic.
    pub active: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub active_since_ms: u64,
    /// Since when no network target accepts, in milliseconds since the Unix epoch; `None` when one does.
    pub partitioned_since_ms: Option<u64>,
    /// Seconds of partition, the current one included.
    pub partition_seconds: f64,
    /// Moves from target to target, counted.
    pub failovers: Vec<Failover>,
    /// Bytes a second at which the backlog drained over the last half minute.
    pub replay_bytes_per_second: f64,
    /// Items a second of the same.
    pub replay_items_per_second: f64,
    /// Batches that were cut into parts, as too large for a target.
    pub split_batches: u64,
    /// Batches that were taken in one request with others.
    pub merged_batches: u64,
}

/// Moves between two targets for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failover {
    /// The target that was left.
    pub from: String,
    /// The target that was taken.
    pub to: String,
    /// One of [`Failover::REASONS`].
    pub reason: &'static str,
    /// How often.
    pub count: u64,
}

impl Failover {
    /// Every reason, for labels: the first three leave a target that fails, the others return or obey.
    pub const REASONS: [&'static str; 5] = ["failure", "throttle", "misconfigured", "recovered", "command"];
}

/// A change of state that a person would want to know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// One sentence.
    pub what: String,
}
