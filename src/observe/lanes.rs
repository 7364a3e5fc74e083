//! How much of a signal's queue lies where: the sums that metrics, status and headline share.

use serde::Serialize;

use crate::queue::snapshot::Depth;

/// Requests, items and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// Requests.
    pub batches: u64,
    /// Spans, data points or log records.
    pub items: u64,
    /// Stored bytes: bodies, as compressed as they came, and kept headers.
    pub bytes: u64,
}

/// The three places of what is queued. Together they are all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Lanes {
    /// Just committed, in memory.
    pub fresh: Amount,
    /// On disk, older than fresh; what is owed to the primary included.
    pub backlog: Amount,
    /// Out for delivery.
    pub leased: Amount,
}

impl Lanes {
    /// Splits what is queued. Backlog is what neither of the others is.
    pub fn of(depth: &Depth) -> Lanes {
        let fresh = Amount { batches: depth.fresh_batches, items: depth.fresh_items, bytes: depth.fresh_bytes };
        let leased = Amount { batches: depth.leased_batches, items: depth.leased_items, bytes: depth.leased_bytes };
        let rest = |all: u64, fresh: u64, leased: u64| all.saturating_sub(fresh).saturating_sub(leased);
        let backlog = Amount {
            batches: rest(depth.books.queued_batches, fresh.batches, leased.batches),
            items: rest(depth.books.queued, fresh.items, leased.items),
            bytes: rest(depth.books.queued_bytes, fresh.bytes, leased.bytes),
        };
        Lanes { fresh, backlog, leased }
    }
}
