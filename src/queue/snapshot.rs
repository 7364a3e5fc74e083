//! What the queue tells of itself: plain data for metrics and status.

use serde::Serialize;

use super::ledger::Ledger;
use crate::config::Durability;
use crate::tally::Distribution;

/// The queue at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Whether the store takes writes.
    pub state: StoreState,
    /// Each signal's part, by [`Signal::index`](crate::batch::Signal::index).
    pub signals: [Depth; 3],
    /// Quota in bytes: what `queue_bytes` is measured against.
    pub capacity_bytes: u64,
    /// Free bytes of the volume, if it could be asked.
    pub disk_free_bytes: Option<u64>,
    /// Time from the start of a group's write to its fsync's return.
    pub commit_duration: Distribution,
    /// Groups committed.
    pub commit_groups: u64,
    /// Records committed in those groups.
    pub commit_batches: u64,
    /// Stored bytes of those.
    pub commit_bytes: u64,
    /// Settles that named a lease which was no longer current.
    pub late_settles: u64,
    /// How often the store was opened anew after a failed write.
    pub store_reopens: u64,
    /// By how many milliseconds the system's clock was set lately: `max_age` is not applied for an hour.
    pub clock_step_ms: Option<i64>,
    /// What an OK survives.
    pub durability: Durability,
    /// Dead letters held: records and bytes.
    pub dead_letters: (u64, u64),
    /// Bytes of them beyond which nothing is condemned any more.
    pub dead_letters_capacity: u64,
    /// Dead letters removed for their age.
    pub dead_letters_expired: u64,
    /// Dead letters that could not be read when they were last looked through for their age.
    pub dead_letters_unread: u64,
}

/// One signal's queue at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Depth {
    /// The books.
    pub books: Ledger,
    /// Batches in memory, not leased.
    pub fresh_batches: u64,
    /// Items of those.
    pub fresh_items: u64,
    /// Bytes of those.
    pub fresh_bytes: u64,
    /// Batches out on a lease.
    pub leased_batches: u64,
    /// Items of those.
    pub leased_items: u64,
    /// Bytes of those. What is queued and neither fresh nor leased is backlog.
    pub leased_bytes: u64,
    /// Whether new batches are refused for want of space.
    pub refusing: bool,
    /// When the oldest batch that is still queued was received, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<u64>,
}

/// Whether the store takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// It takes writes.
    Open,
    /// The quota is reached: new requests are refused with a delay, draining goes on.
    Full,
    /// The intake is closed, so that the queue runs empty.
    Draining,
    /// A write or fsync failed: nothing is acknowledged until the store was reopened and verified.
    Poisoned,
    /// It is being opened anew after a failure.
    Recovering,
    /// It is being closed.
    Closing,
}

impl StoreState {
    /// Every state, for one-hot metrics.
    pub const ALL: [StoreState; 6] = [
        StoreState::Open,
        StoreState::Full,
        StoreState::Draining,
        StoreState::Poisoned,
        StoreState::Recovering,
        StoreState::Closing,
    ];

    /// The value of the `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            StoreState::Open => "open",
            StoreState::Full => "full",
            StoreState::Draining => "draining",
            StoreState::Poisoned => "poisoned",
            StoreState::Recovering => "recovering",
            StoreState::Closing => "closing",
        }
    }
}

/// An independent recount of one signal's queue from its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Recount {
    /// Records found.
    pub batches: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes of their bodies and headers.
    pub bytes: u64,
    /// Items of those that lie in an owed interval, or are parked as owed.
    pub owed: u64,
    /// Items of those that are parked.
    pub parked: u64,
    /// The books as the store had them in the same read view, so that both are of one instant whatever goes on meanwhile.
    pub books: Ledger,
}

impl Recount {
    /// Whether books and count say the same, batches and bytes included.
    pub fn agrees(&self) -> bool {
        self.imbalance() == 0 && (self.batches, self.bytes) == (self.books.queued_batches, self.books.queued_bytes)
    }

    /// Items by which books and count disagree, whichever way: 0, or a bug.
    pub fn imbalance(&self) -> u64 {
        let apart = self.books.imbalance().unsigned_abs();
        let apart = u64::try_from(apart).unwrap_or(u64::MAX);
        apart
            + self.books.queued.abs_diff(self.items)
            + self.books.owed.abs_diff(self.owed)
            + self.books.parked.abs_diff(self.parked)
    }
}
