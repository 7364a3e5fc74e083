//! Removing the oldest batches of a signal, undelivered and counted: one step of `drop_oldest`, `max_age` or a purge.
//!
//! What is removed is counted from the index, so that the books are exact whatever a batch is doing at that moment. The
//! records go by range: a settle that is still to come finds no lease any more, and writes nothing.

use std::ops::{ControlFlow, Range};

use super::codec::twin::Twin;
use super::command::Removed;
use super::commit::Committer;
use super::error::StoreError;
use super::group::Group;
use super::intervals::Intervals;
use super::ledger::DropReason;
use super::store::{Engine, Family, keys};
use crate::batch::{Key, Signal};

/// Index entries that one step walks over: some milliseconds during which nothing else is written.
const STEP: u64 = 8192;

/// Batches that are to be removed.
pub(super) struct Removal {
    pub signal: Signal,
    /// All that lies below this,
    pub below: Key,
    pub reason: DropReason,
    /// which is so much.
    pub removed: Removed,
}

impl Committer {
    /// Removes what lies below a key, or the oldest part of it; and whether that was all.
    pub(super) fn drop_some(
        &mut self,
        signal: Signal,
        below: Key,
        reason: DropReason,
    ) -> Result<(Removed, bool), StoreError> {
        let index = signal.index();
        let books = &self.books[index];
        let below = below.min(Key::new(books.next_seq));
        let low = Key::new(books.low);
        let (removed, reached) = count(self.engine.as_ref(), signal, low..below, &self.intervals[index])?;
        if removed.batches > 0 {
            let mut group = Group::new(self.engine.begin(4096), self.books, self.dead);
            let removal = Removal { signal, below: reached, reason, removed };
            group.remove(&removal, &mut self.intervals[index], &mut self.losses);
            let committed = group.commit(true)?;
            self.unsynced = None;
            self.books = committed.books;
            committed.publish(&self.shared);
        }
        Ok((removed, reached >= below))
    }
}

/// Counts what the index holds in a range, [`STEP`] entries at most, and says how far it came.
fn count(
    engine: &dyn Engine,
    signal: Signal,
    range: Range<Key>,
    owed: &Intervals,
) -> Result<(Removed, Key), StoreError> {
    let (mut removed, mut reached, mut garbled) = (Removed::default(), range.end, Ok(()));
    let (from, to) = (keys::of(signal, range.start), keys::of(signal, range.end));
    engine.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| {
        let Some((_, key)) = keys::parse(key) else {
            return ControlFlow::Continue(());
        };
        if removed.batches == STEP {
            reached = key;
            return ControlFlow::Break(());
        }
        match Twin::decode(value) {
            Ok(twin) => {
                let items = u64::from(twin.items);
                let owed = if owed.contains(key) { items } else { 0 };
                removed += Removed { batches: 1, items, bytes: twin.weight, owed };
                ControlFlow::Continue(())
            }
            Err(error) => {
                garbled = Err(StoreError::corrupt(format!("index entry {key}: {error}")));
                ControlFlow::Break(())
            }
        }
    })?;
    garbled.map(|()| (removed, reached))
}
