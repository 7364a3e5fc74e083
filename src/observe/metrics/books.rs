//! Families of the books. Their terms are gauges read from the ledger, which outlives the process: a total that was not
//! synced may step back after a power loss, and a counter must not.

use super::family::{Family, Page};
use crate::batch::Signal;
use crate::observe::books::Audit;
use crate::queue::ledger::{DeadReason, DropReason, Ledger};
use crate::queue::snapshot::Snapshot;

static ITEMS: Family = Family::gauge(
    "spillway_books_items",
    &["signal", "account"],
    "The ledger: accepted + imported = queued + delivered + rejected + dead + dropped. Owed is a part of queued.",
);
static OWED: Family = Family::gauge(
    "spillway_owed_items",
    &["signal"],
    "Items that a fallback has and the primary is still to get; a part of queued.",
);
static OWED_RELEASED: Family = Family::gauge(
    "spillway_owed_released_items",
    &["signal"],
    "Items that a fallback has and the primary will not get, since they were removed; ever. A part of delivered.",
);
static DEAD: Family =
    Family::gauge("spillway_dead_items", &["signal", "reason"], "Items moved to the dead letters, ever.");
static DROPPED: Family =
    Family::gauge("spillway_dropped_items", &["signal", "reason"], "Items removed undelivered, ever.");
static IMBALANCE: Family = Family::gauge(
    "spillway_books_imbalance_items",
    &["signal"],
    "Items by which the ledger and the last independent recount of the queue's index differ; anything but 0 is a fault.",
);
static RECOUNTED: Family = Family::gauge(
    "spillway_books_recount_timestamp_seconds",
    &[],
    "When the queue's index was last recounted; 0 before the first time.",
);
static RECOUNT_FAILURES: Family =
    Family::counter("spillway_books_recount_failures_total", &[], "Recounts that could not be finished.");

pub(super) static FAMILIES: &[&Family] =
    &[&ITEMS, &OWED, &OWED_RELEASED, &DEAD, &DROPPED, &IMBALANCE, &RECOUNTED, &RECOUNT_FAILURES];

/// Writes the ledger and what the last recount said of it.
pub(super) fn fill(page: &mut Page, queue: &Snapshot, audit: &Audit) {
    for signal in Signal::ALL {
        let (books, name) = (&queue.signals[signal.index()].books, signal.as_str());
        for (account, items) in accounts(books) {
            page.count(&ITEMS, &[name, account], items);
        }
        page.count(&OWED, &[name], books.owed);
        page.count(&OWED_RELEASED, &[name], books.owed_released);
        for (reason, items) in DeadReason::ALL.into_iter().zip(books.dead) {
            page.count(&DEAD, &[name, reason.as_str()], items);
        }
        for (reason, items) in DropReason::ALL.into_iter().zip(books.dropped) {
            page.count(&DROPPED, &[name, reason.as_str()], items);
        }
        page.count(&IMBALANCE, &[name], audit.imbalance(signal, books));
    }
    page.timestamp(&RECOUNTED, &[], audit.last.as_ref().map(|last| last.at_ms));
    page.count(&RECOUNT_FAILURES, &[], audit.failures);
}

fn accounts(books: &Ledger) -> [(&'static str, u64); 8] {
    [
        ("accepted", books.accepted),
        ("imported", books.imported),
        ("queued", books.queued),
        ("owed", books.owed),
        ("delivered", books.delivered),
        ("rejected", books.rejected),
        ("dead", books.dead_total()),
        ("dropped", books.dropped_total()),
    ]
}
