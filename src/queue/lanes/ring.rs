//! The newest batches of a signal, still in memory: the fresh lane.

use std::collections::VecDeque;

use crate::batch::{Batch, Key};

/// A batch with its place and the epoch in which it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Stored {
    /// Its place.
    pub key: Key,
    /// Epoch in which it was appended.
    pub epoch: u32,
    /// Itself.
    pub batch: Batch,
}

/// What was committed last and neither leased nor evicted, oldest in front, in unbroken order up to the last commit.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Stored>,
    bytes: u64,
    items: u64,
}

impl Ring {
    pub(super) fn push(&mut self, stored: Stored) {
        self.bytes += stored.batch.weight() as u64;
        self.items += u64::from(stored.batch.items);
        self.entries.push_back(stored);
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<Stored> {
        let stored = self.entries.pop_front()?;
        self.bytes -= stored.batch.weight() as u64;
        self.items -= u64::from(stored.batch.items);
        Some(stored)
    }

    /// Key of the oldest.
    pub(super) fn front(&self) -> Option<Key> {
        self.entries.front().map(|stored| stored.key)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn items(&self) -> u64 {
        self.items
    }
}
