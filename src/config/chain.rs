//! `chain` and `replay`: who gets the data, and at which pace the backlog follows.

use std::time::Duration;

use crate::batch::Signal;

/// The chain of each signal, and when it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainConfig {
    /// Target names by [`Signal::index`]: the primary first, then the fallbacks in order.
    pub signals: [SignalChain; 3],
    /// Time without a success after which traffic leaves a target.
    pub failover_after: Duration,
    /// Shortest stay on a fallback.
    pub min_stay: Duration,
    /// Whether fallbacks get fresh data alone, or the backlog too.
    pub fallback_takes_backlog: bool,
}

impl ChainConfig {
    /// The chain of a signal.
    pub fn of(&self, signal: Signal) -> &SignalChain {
        &self.signals[signal.index()]
    }
}

/// The ordered targets of one signal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignalChain {
    /// Name of the primary.
    pub primary: String,
    /// Names of the fallbacks, in order; may be empty.
    pub fallback: Vec<String>,
}

impl SignalChain {
    /// All of them, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.primary).chain(&self.fallback).map(String::as_str)
    }
}

/// The pace of the backlog.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayConfig {
    /// Bytes a second.
    pub rate: ReplayRate,
    /// Share of bytes that fresh data gets while a backlog drains, in (0, 1).
    pub fresh_share: f64,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        ReplayConfig { rate: ReplayRate::Auto, fresh_share: 0.9 }
    }
}

/// How fast the backlog may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayRate {
    /// Twice the mean intake of the last hour, at least a floor.
    Auto,
    /// So many bytes a second.
    BytesPerSecond(u64),
}
