//! What `deliver` says to the queue: what it wants ([`Lane`], [`Taker`]), what it got ([`Lease`]), how it ended
//! ([`Settlement`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::careful::Pass;
use super::ledger::{DeadReason, DropReason};
use super::out::Hold;
use super::parts;
use super::shared::Shared;
use crate::batch::{Batch, BatchId, Key, Signal};

/// A batch that is out for delivery. Dropped without [`Queue::settle`](super::Queue::settle) it returns without a hold.
#[derive(Debug)]
pub struct Lease {
    /// What is to be delivered.
    pub batch: Batch,
    /// Its name on the wire.
    pub id: BatchId,
    /// Where it came from.
    pub lane: Lane,
    /// Whether a fallback has it already.
    pub owed: bool,
    /// Whether it is a suspect, leased by itself ([`Queue::lease_parked`](super::Queue::lease_parked)).
    pub parked: bool,
    /// Leases of it that were returned before this one, since the process started or since it became owed.
    pub attempts: u32,
    /// Its hold on the queue.
    pub(super) ticket: Ticket,
}

/// What a lease holds: a place in the books of its signal. Dropped, it gives the batch back.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) signal: Signal,
    pub(super) key: Key,
    pub(super) epoch: u32,
    pub(super) number: u64,
    /// What it lets delivery hold.
    pub(super) hold: Option<Hold>,
    /// The turn, while batches are handed out one at a time.
    pub(super) pass: Option<Pass>,
    /// Whether giving it back counts as an attempt: the batch was handed out.
    pub(super) counts: bool,
    /// Whether it was used up already.
    pub(super) spent: bool,
}

impl Lease {
    /// Into how many parts it can be split at most; 1 when it cannot be split any further.
    pub fn room_for_parts(&self) -> usize {
        if self.parked { 1 } else { parts::room(self.ticket.key) }
    }

    /// Bytes of the batch as it is stored.
    pub fn weight(&self) -> usize {
        usize::try_from(self.ticket.hold.as_ref().map_or(0, Hold::bytes)).unwrap_or(usize::MAX)
    }

    /// Whether the batch was removed from the queue meanwhile, for its age, say: it is not to be sent any more.
    pub fn is_removed(&self) -> bool {
        !self.ticket.shared.lanes(self.ticket.signal).is_out(self.ticket.key, self.ticket.number)
    }

    /// Given back it counts as if it had not been leased: whatever failed, it was not this batch. With `order: fresh_first` a fresh
    /// one is fresh still then, and the first of its lane.
    pub fn was_not_tried(&mut self) {
        self.ticket.counts = false;
    }
}

impl Ticket {
    /// Gives the batch back, not to be leased before then.
    pub(super) fn give_back(&mut self, not_before: Option<Instant>) {
        self.spent = true;
        if self.shared.lanes(self.signal).give_back(self.key, self.number, self.counts, not_before) {
            self.shared.ready[self.signal.index()].notify_one();
        } else {
            self.shared.counts.late.add(1);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.spent {
            self.give_back(None);
        }
    }
}

/// What one taker could lease of one signal at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    /// Whether the fresh lane has something. With `order: fifo` only once there is no backlog, held or not.
    pub fresh: bool,
    /// Whether the backlog lane has something that is not held.
    pub backlog: bool,
    /// Bytes in the fresh lane.
    pub fresh_bytes: u64,
    /// Bytes in the backlog lane, at most: held batches and, for a fallback too, owed ones included.
    pub backlog_bytes: u64,
    /// Whether as many bytes are out on leases as may be: what there is can be leased once one of them has ended.
    pub laden: bool,
    /// When the first held batch may be leased; with `order: fifo` only if it is the next in line.
    pub held_until: Option<Instant>,
}

/// Which end of the queue a lease comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Just committed, and still in memory or given back untried.
    Fresh,
    /// Older than fresh: returned first, then what is late in memory, then, oldest first, what is owed (for the primary) and what was
    /// never leased.
    Backlog,
}

impl Lane {
    /// Both lanes, in the order in which labels list them.
    pub const ALL: [Lane; 2] = [Lane::Fresh, Lane::Backlog];

    /// The value of the `lane` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Fresh => "fresh",
            Lane::Backlog => "backlog",
        }
    }
}

/// For whom a lease is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Taker {
    /// The primary: gets owed batches too.
    Primary,
    /// A fallback: is never given what another fallback already has.
    Fallback,
}

/// The story of a dead letter or of a suspect, kept beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// Why it was condemned; of a suspect, why it would be.
    pub reason: DeadReason,
    /// The target that condemned it; empty when the store did.
    pub target: String,
    /// The status as text, `HTTP 400` or `INVALID_ARGUMENT`.
    pub status: String,
    /// The target's words.
    pub message: String,
    /// How often it was sent there.
    pub attempts: u32,
    /// First refusal, in milliseconds since the Unix epoch.
    pub first_ms: u64,
    /// Last refusal, in milliseconds since the Unix epoch.
    pub last_ms: u64,
}

/// How a lease ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// A target has it for good; `rejected` of its items were refused inside the accepted request.
    Delivered {
        /// Items refused by a partial success, at most the batch's items.
        rejected: u32,
    },
    /// A fallback has it, and the primary is still to get it.
    Owed,
    /// Nobody has it: it goes back, to be served before the scan, not before the given time has passed.
    Return {
        /// Time to leave it alone; zero for none.
        hold: Duration,
    },
    /// Condemned: moved to the dead letters.
    Dead(Verdict),
    /// Removed undelivered, counted.
    Dropped(DropReason),
    /// Parts of it take its place in the line, leasable at once: two at least, in order, each with an item at least, all
    /// its items together and no others. [`Lease::room_for_parts`] says how many there may be.
    Split(Vec<Batch>),
    /// A suspect: put out of the line, to be tried alone now and then. It stays queued.
    Park(Verdict),
}
