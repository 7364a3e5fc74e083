//! What can go wrong, one enum per operation.

use std::path::PathBuf;
use std::time::Duration;

use super::codec::Garbled;

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The quota is reached.
    #[error("the queue is full; try again in {} s", retry_after.as_secs())]
    Full {
        /// When to try again: excess over drain rate, from 1 to 30 s, in whole seconds.
        retry_after: Duration,
    },
    /// The queue is being drained: what is in it is delivered, nothing is added.
    #[error("the queue is being drained")]
    Draining,
    /// The batch alone is larger than the whole quota: it will never be taken.
    #[error("the batch is larger than the whole queue of {quota} bytes")]
    TooLarge {
        /// The quota in bytes.
        quota: u64,
    },
    /// A write or fsync failed; nothing is acknowledged until the store was opened anew and verified.
    #[error("the store failed and takes no writes")]
    Poisoned,
    /// The queue is being closed.
    #[error("the queue is closing")]
    Closing,
}

/// Why a queue could not be opened. Nothing on disk was changed when one is returned.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error("{} is held by {holder}: two gateways must not share a queue directory", lock.display())]
    Locked {
        /// Path of `spillway.lock`.
        lock: PathBuf,
        /// The process inside, `process 4711`, or `another process` when the file does not say.
        holder: String,
    },
    /// The directory cannot be used.
    #[error("queue directory {}: {problem}; {remedy}", path.display())]
    Directory {
        /// The directory, or the file in it that gave the trouble.
        path: PathBuf,
        /// What went wrong.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The store in it cannot be opened.
    #[error("store {} cannot be opened", path.display())]
    Store {
        /// Directory of the store.
        path: PathBuf,
        /// The store's words.
        source: StoreError,
    },
    /// The store was written by a newer release.
    #[error("store {} has format {found}, this release reads up to {known}: run the newer release again", path.display())]
    NewerFormat {
        /// Directory of the store.
        path: PathBuf,
        /// Format on disk.
        found: u32,
        /// Newest format this release knows.
        known: u32,
    },
}

/// Why a question to the queue has no answer, or a wish was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue is closed, or closing.
    #[error("the queue is closed")]
    Closed,
    /// A write or fsync failed; nothing is changed until the store was opened anew.
    #[error("the store failed and takes no writes")]
    Poisoned,
    /// The quota is reached.
    #[error("the queue is full; try again in {} s", retry_after.as_secs())]
    Full {
        /// When to try again.
        retry_after: Duration,
    },
    /// It is larger than the whole quota.
    #[error("it is larger than the whole queue of {quota} bytes")]
    TooLarge {
        /// The quota in bytes.
        quota: u64,
    },
    /// The import of a file is further than whoever imports thinks.
    #[error("somebody else brings in the same file")]
    Overtaken,
    /// The store could not be read.
    #[error("the store could not be read")]
    Store(#[from] StoreError),
}

impl From<&AppendError> for QueueError {
    fn from(error: &AppendError) -> QueueError {
        match error {
            AppendError::Poisoned => QueueError::Poisoned,
            AppendError::Full { retry_after } => QueueError::Full { retry_after: *retry_after },
            AppendError::TooLarge { quota } => QueueError::TooLarge { quota: *quota },
            AppendError::Closing | AppendError::Draining => QueueError::Closed,
        }
    }
}

/// The store's own words: RocksDB's message, or what did not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StoreError {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed,
    Corrupt,
    Damaged,
}

impl StoreError {
    /// Something failed that may work another time.
    pub(super) fn failed(text: impl Into<String>) -> StoreError {
        StoreError { text: text.into(), kind: Kind::Failed }
    }

    /// One value on disk is not what was written.
    pub(super) fn corrupt(text: impl Into<String>) -> StoreError {
        StoreError { text: text.into(), kind: Kind::Corrupt }
    }

    /// The store itself is not what was written: it has to be salvaged.
    pub(super) fn damaged(text: impl Into<String>) -> StoreError {
        StoreError { text: text.into(), kind: Kind::Damaged }
    }

    /// What was to be `what` does not read: damage, unless a newer release wrote it.
    pub(super) fn unreadable(what: impl std::fmt::Display, why: &Garbled) -> StoreError {
        match *why == Garbled::NEWER {
            true => StoreError::failed(format!("{what}: {why}: run that release again")),
            false => StoreError::damaged(format!("{what}: {why}")),
        }
    }

    /// Whether one value on disk is not what was written.
    pub fn is_corrupt(&self) -> bool {
        self.kind == Kind::Corrupt
    }

    /// Whether the store itself is not what was written.
    pub fn is_damaged(&self) -> bool {
        self.kind == Kind::Damaged
    }

    /// Whether the volume had no room for it, by the system's words that RocksDB repeats (ENOSPC, EDQUOT).
    pub fn is_out_of_space(&self) -> bool {
        self.text.contains("No space left on device") || self.text.contains("Disk quota exceeded")
    }
}
