//! The newest batches of a signal, still in memory: the fresh lane, and what was too old for it.

use std::collections::VecDeque;

use tokio::time::Instant;

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

/// What was committed last and neither leased nor evicted, in unbroken order up to the last commit but for fresh batches that were
/// leased before late ones.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Backlog that is still in memory, oldest in front,
    late: VecDeque<Stored>,
    /// and what counts as fresh, which is younger, with the moment it came in; `None`: long ago.
    fresh: VecDeque<(Stored, Option<Instant>)>,
    bytes: u64,
    items: u64,
}

impl Ring {
    pub(super) fn push(&mut self, stored: Stored, at: Option<Instant>) {
        self.bytes += stored.batch.weight() as u64;
        self.items += u64::from(stored.batch.items);
        self.fresh.push_back((stored, at));
    }

    /// What came in before that moment is late from now on.
    pub(super) fn age(&mut self, before: Instant) {
        while let Some((stored, _)) = self.fresh.pop_front_if(|(_, at)| at.is_none_or(|at| at < before)) {
            self.late.push_back(stored);
        }
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<Stored> {
        self.pop_late().or_else(|| self.pop_fresh().map(|(stored, _)| stored))
    }

    /// Takes the oldest that is late.
    pub(super) fn pop_late(&mut self) -> Option<Stored> {
        let stored = self.late.pop_front();
        self.less(stored)
    }

    /// Takes the oldest that is fresh, and tells when that came in.
    pub(super) fn pop_fresh(&mut self) -> Option<(Stored, Option<Instant>)> {
        let (stored, at) = self.fresh.pop_front()?;
        self.less(Some(stored)).map(|stored| (stored, at))
    }

    /// The oldest that is late.
    pub(super) fn front_late(&self) -> Option<&Stored> {
        self.late.front()
    }

    /// The oldest that is fresh.
    pub(super) fn front_fresh(&self) -> Option<&Stored> {
        self.fresh.front().map(|(stored, _)| stored)
    }

    fn less(&mut self, stored: Option<Stored>) -> Option<Stored> {
        let batch = &stored.as_ref()?.batch;
        self.bytes -= batch.weight() as u64;
        self.items -= u64::from(batch.items);
        stored
    }

    /// Key of the oldest.
    pub(super) fn front(&self) -> Option<Key> {
        self.late.front().or(self.fresh.front().map(|(stored, _)| stored)).map(|stored| stored.key)
    }

    pub(super) fn len(&self) -> usize {
        self.late.len() + self.fresh.len()
    }

    pub(super) fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn items(&self) -> u64 {
        self.items
    }
}
