//! The write-ahead queue: a durable FIFO per signal on RocksDB.
//!
//! `receive` appends, `deliver` leases and settles; neither knows of the other. The queue knows no network, no retry, no
//! target type and no breaker.

pub mod error;
pub mod lease;
pub mod ledger;
pub mod snapshot;

pub use error::{AppendError, OpenError, QueueError, StoreError};
pub use lease::{Lane, Lease, Pending, Settlement, Taker, Verdict};

use crate::batch::{Batch, Key, Signal};
use crate::config::QueueConfig;
use snapshot::{Recount, Snapshot};

/// A cheap handle on the queue; the queue lives until [`Queue::close`].
#[derive(Debug, Clone)]
pub struct Queue {
    shared: std::sync::Arc<()>,
}

#[expect(clippy::unused_async, clippy::needless_pass_by_value, reason = "signatures first; the bodies follow")]
impl Queue {
    /// Takes the directory's lock, opens the store and recovers. Blocking; the queue's threads belong to the queue.
    pub fn open(config: &QueueConfig) -> Result<Queue, OpenError> {
        let _ = config;
        Ok(Queue { shared: std::sync::Arc::new(()) })
    }

    /// Adds a batch; returns once its group is as durable as `queue.durability` says.
    ///
    /// Cancelling the future does not take the batch back: it may be committed all the same.
    pub async fn append(&self, batch: Batch) -> Result<Key, AppendError> {
        let _ = batch;
        Err(AppendError::Closing)
    }

    /// Whether a batch of that signal would be taken now: the cheap check at the door, before a body is read.
    pub fn admits(&self, signal: Signal) -> Result<(), AppendError> {
        let _ = signal;
        Err(AppendError::Closing)
    }

    /// The next batch of a lane for that taker, or `None` when there is none now.
    ///
    /// Fresh batches come from memory at once; backlog is read off the runtime's threads, ahead of time where possible.
    pub async fn lease(&self, signal: Signal, lane: Lane, taker: Taker) -> Option<Lease> {
        let _ = (signal, lane, taker);
        None
    }

    /// Ends a lease. Never blocks: it is written by the committing thread within 100 ms or 64 settles, synced within 1 s.
    pub fn settle(&self, lease: Lease, how: Settlement) {
        let _ = (lease, how);
    }

    /// What could be leased by that taker now.
    pub fn pending(&self, signal: Signal, taker: Taker) -> Pending {
        let _ = (signal, taker);
        Pending::default()
    }

    /// Completes when something of that signal became leasable since the last call. Meant for one waiter a signal.
    /// The end of a hold does not wake it: see [`Pending::held_until`].
    pub async fn ready(&self, signal: Signal) {
        let _ = signal;
        std::future::pending::<()>().await;
    }

    /// Whether the dead letters have reached `queue.dead_letters.max_size`: nothing may be condemned then.
    pub fn dead_letters_full(&self) -> bool {
        false
    }

    /// The queue as it stands.
    pub fn snapshot(&self) -> Snapshot {
        let _ = &self.shared;
        unreachable!()
    }

    /// Counts the index anew, by [`Signal::index`], off the runtime's threads. Slow on a long backlog.
    pub async fn recount(&self) -> Result<[Recount; 3], QueueError> {
        Err(QueueError::Closed)
    }

    /// Writes and syncs outstanding settles, closes the store and releases the lock. Later calls find it closed.
    pub async fn close(&self) {}
}
