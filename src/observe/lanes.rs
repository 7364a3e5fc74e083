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

/// The places of what is queued. Together they are all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Lanes {
    /// Just committed, in memory.
    pub fresh: Amount,
    /// On disk, older than fresh; what is owed to the primary included.
    pub backlog: Amount,
    /// Out for delivery.
    pub leased: Amount,
    /// Suspects, out of the line: tried alone, now and then.
    pub parked: Amount,
}

impl Lanes {
    /// Splits what is queued. Backlog is what neither of the others is.
    pub fn of(depth: &Depth) -> Lanes {
        let fresh = Amount { batches: depth.fresh_batches, items: depth.fresh_items, bytes: depth.fresh_bytes };
        let leased = Amount { batches: depth.leased_batches, items: depth.leased_items, bytes: depth.leased_bytes };
        let books = &depth.books;
        let parked = Amount { batches: books.parked_batches, items: books.parked, bytes: books.parked_bytes };
        let rest = |all: u64, others: [u64; 3]| others.into_iter().fold(all, u64::saturating_sub);
        let backlog = Amount {
            batches: rest(books.queued_batches, [fresh.batches, leased.batches, parked.batches]),
            items: rest(books.queued, [fresh.items, leased.items, parked.items]),
            bytes: rest(books.queued_bytes, [fresh.bytes, leased.bytes, parked.bytes]),
        };
        Lanes { fresh, backlog, leased, parked }
    }
}
