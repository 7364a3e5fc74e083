//! One signal's books as they are told, in the status and by the commands alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::queue::ledger::{DeadReason, DropReason, Ledger};

/// One signal's books, in items: accepted + imported = queued + delivered + rejected + dead + dropped.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// Answered OK.
    pub accepted: u64,
    /// Brought in by hand.
    pub imported: u64,
    /// Not settled yet.
    pub queued: u64,
    /// The part of `queued` that a fallback has.
    pub owed: u64,
    /// Settled as delivered.
    pub delivered: u64,
    /// Refused inside accepted requests.
    pub rejected: u64,
    /// Moved to the dead letters, by reason, those since removed included; what was replayed is not.
    pub dead: BTreeMap<String, u64>,
    /// Removed undelivered, by reason.
    pub dropped: BTreeMap<String, u64>,
}

impl Account {
    /// What a ledger says.
    pub(super) fn of(books: &Ledger) -> Account {
        Account {
            accepted: books.accepted,
            imported: books.imported,
            queued: books.queued,
            owed: books.owed,
            delivered: books.delivered,
            rejected: books.rejected,
            dead: happened(DeadReason::ALL.map(DeadReason::as_str).into_iter().zip(books.dead)),
            dropped: happened(DropReason::ALL.map(DropReason::as_str).into_iter().zip(books.dropped)),
        }
    }
}

/// The counts that are not 0, by reason.
pub(super) fn happened(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.to_owned(), count)).collect()
}
