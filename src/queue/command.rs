//! What is asked of the committing thread beside appends and settles: changes that somebody waits for.
//!
//! A command is carried out between groups, in steps that take some milliseconds each, so that it does not hold up the
//! intake. Each step is one synced set of changes after which the books balance; a command that is cut off by the end of
//! the process has done a part of its work and nothing by halves.

use tokio::sync::oneshot;

use super::codec::meta::Reading;
use super::error::QueueError;
use super::ledger::DropReason;
use super::tools::moves::{Import, Letters};
use crate::batch::{Key, Signal};

/// Where the outcome goes. Dropped without a word, it says that the store failed or is closing.
pub(super) type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// A change that somebody waits for.
#[derive(Debug)]
pub(super) enum Command {
    /// Removes all batches of a signal below a key, leased and owed ones included.
    Drop {
        signal: Signal,
        below: Key,
        reason: DropReason,
        /// What was removed so far.
        removed: Removed,
        reply: Reply<Removed>,
    },
    /// Brings in batches.
    Import(Import),
    /// Sends dead letters again, or removes them.
    Letters(Letters),
    /// Makes everything so far survive the loss of power.
    Sync(Reply<()>),
    /// Settles the oldest owed batches of a signal as delivered to the fallback that has them.
    Release {
        signal: Signal,
        /// Until so many bytes are released.
        bytes: u64,
        /// What was released so far.
        removed: Removed,
        reply: Reply<Removed>,
    },
    /// Keeps a value of delivery's, synced.
    Keep { value: Vec<u8>, reply: Reply<()> },
    /// Saves a reading of the clocks.
    SaveClock(Reading),
}

impl Command {
    /// Tells the one who waits that nothing, or nothing more, is done.
    pub(super) fn refuse(self, error: QueueError) {
        match self {
            Command::Import(import) => import.refuse(error),
            Command::Letters(letters) => drop(letters.reply.send(Err(error))),
            Command::Sync(reply) | Command::Keep { reply, .. } => {
                drop(reply.send(Err(error)));
            }
            Command::Drop { reply, .. } | Command::Release { reply, .. } => drop(reply.send(Err(error))),
            Command::SaveClock(_) => {}
        }
    }
}

/// What was removed, counted from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Removed {
    /// Batches.
    pub batches: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes of their bodies and kept headers.
    pub bytes: u64,
    /// Of those, batches that a fallback had already: settled as delivered to it, and not counted as dropped.
    pub owed_batches: u64,
    /// Items in them.
    pub owed: u64,
}

impl Removed {
    /// One batch.
    pub(super) fn one(items: u64, bytes: u64, is_owed: bool) -> Removed {
        let (owed_batches, owed) = if is_owed { (1, items) } else { (0, 0) };
        Removed { batches: 1, items, bytes, owed_batches, owed }
    }
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Removed) {
        self.batches += other.batches;
        self.items += other.items;
        self.bytes += other.bytes;
        self.owed_batches += other.owed_batches;
        self.owed += other.owed;
    }
}
