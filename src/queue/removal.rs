//! Removing the oldest batches of a signal, counted: a step of `drop_oldest`, `max_age`, a purge, or a release of what is owed.
//!
//! What a fallback has already is not lost with it: it is settled as delivered there, and the rest is dropped. What is parked
//! goes with what stands in line. All is counted from the index, so that the books are exact whatever a batch is doing at
//! that moment; a settle that is still to come finds no lease any more, and writes nothing.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::codec::parked::Parked;
use super::codec::twin::Twin;
use super::command::Removed;
use super::commit::Committer;
use super::error::StoreError;
use super::group::Group;
use super::intervals::Intervals;
use super::lanes::Held;
use super::ledger::DropReason;
use super::store::{Engine, Family, keys};
use crate::batch::{Key, Signal};

/// Index entries that one step walks over: some milliseconds during which nothing else is written.
const STEP: u64 = 8192;

/// Batches that are to be removed.
pub(super) struct Removal {
    pub signal: Signal,
    /// All that lies in here,
    pub range: Range<Key>,
    /// and these, which are parked,
    pub parked: Vec<(Key, Held)>,
    /// which is so much.
    pub removed: Removed,
    /// Why it goes.
    pub reason: DropReason,
}

impl Committer {
    /// Removes what lies below a key, or the oldest part of it; and whether that was all.
    pub(super) fn drop_some(
        &mut self,
        signal: Signal,
        below: Key,
        reason: DropReason,
    ) -> Result<(Removed, bool), StoreError> {
        let books = &self.books[signal.index()];
        let low = Key::new(books.low);
        let below = below.min(Key::new(books.next_seq));
        let parked = match books.parked_batches {
            0 => Vec::new(),
            _ => parked_below(self.engine.as_ref(), signal, below, |_| true)?,
        };
        let all_parked = (parked.len() as u64) < STEP;
        let range = low..below.max(low);
        let end = range.end;
        let (removed, reached) = self.remove(signal, range, parked, u64::MAX, reason)?;
        Ok((removed, reached >= end && all_parked))
    }

    /// Releases owed batches until that many bytes are released, or a part of that; and whether that was all. Suspects go first,
    /// which the primary did not take when it could, then the oldest.
    pub(super) fn release_some(&mut self, signal: Signal, bytes: u64) -> Result<(Removed, bool), StoreError> {
        let mut parked = Vec::new();
        if self.books[signal.index()].parked_batches > 0 {
            let mut left = bytes;
            parked = parked_below(self.engine.as_ref(), signal, Key::new(u64::MAX), |held| {
                let goes = held.owed && left > 0;
                left = left.saturating_sub(if goes { held.weight } else { 0 });
                goes
            })?;
        }
        let range = match self.intervals[signal.index()].at_or_after(Key::new(0)) {
            _ if !parked.is_empty() => Key::new(0)..Key::new(0),
            Some((first, last)) => first..keys::after(last),
            None => return Ok((Removed::default(), true)),
        };
        let (removed, _) = self.remove(signal, range, parked, bytes, DropReason::QueueFull)?;
        Ok((removed, removed.bytes >= bytes))
    }

    /// Removes what is parked, and the beginning of a range until that many bytes are removed; and how far it came.
    fn remove(
        &mut self,
        signal: Signal,
        range: Range<Key>,
        parked: Vec<(Key, Held)>,
        bytes: u64,
        reason: DropReason,
    ) -> Result<(Removed, Key), StoreError> {
        let index = signal.index();
        let (mut removed, reached) = count(self.engine.as_ref(), signal, &range, bytes, &self.intervals[index])?;
        for (_, held) in &parked {
            removed += Removed::one(u64::from(held.items), held.weight, held.owed);
        }
        let removal = Removal { signal, range: range.start..reached, parked, removed, reason };
        if removal.range.is_empty() && removal.parked.is_empty() {
            return Ok((removed, reached));
        }
        let engine = Arc::clone(&self.engine);
        let mut group = Group::new(engine.begin(4096), self.books, self.dead, self.shared.clock.now_ms());
        group.remove(&removal, &mut self.intervals[index], &mut self.losses);
        let committed = group.commit(true)?;
        self.unsynced = None;
        self.books = committed.books;
        committed.publish(&self.shared);
        Ok((removed, reached))
    }
}

/// Counts what the index holds in a range, [`STEP`] entries or that many bytes at most, and says how far it came.
fn count(
    engine: &dyn Engine,
    signal: Signal,
    range: &Range<Key>,
    bytes: u64,
    owed: &Intervals,
) -> Result<(Removed, Key), StoreError> {
    let (mut removed, mut reached, mut garbled) = (Removed::default(), range.end, Ok(()));
    let (from, to) = (keys::of(signal, range.start), keys::of(signal, range.end));
    engine.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| {
        let Some((_, key)) = keys::parse(key) else {
            return ControlFlow::Continue(());
        };
        if removed.batches == STEP || removed.bytes >= bytes {
            reached = key;
            return ControlFlow::Break(());
        }
        match Twin::decode(value) {
            Ok(twin) => {
                removed += Removed::one(u64::from(twin.items), twin.weight, owed.contains(key));
                ControlFlow::Continue(())
            }
            Err(error) => {
                garbled = Err(StoreError::unreadable(format_args!("index entry {key}"), &error));
                ControlFlow::Break(())
            }
        }
    })?;
    garbled.map(|()| (removed, reached))
}

/// What is parked below a key and goes, [`STEP`] batches at most, the oldest first.
fn parked_below(
    engine: &dyn Engine,
    signal: Signal,
    below: Key,
    mut goes: impl FnMut(&Held) -> bool,
) -> Result<Vec<(Key, Held)>, StoreError> {
    let (mut found, mut garbled) = (Vec::new(), Ok(()));
    let (from, to) = (keys::parked(signal, Key::new(0)), keys::parked(signal, below));
    engine.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| {
        let Some((_, key)) = keys::parse_parked(key) else {
            return ControlFlow::Continue(());
        };
        match Parked::decode(value) {
            Ok(entry) => {
                let held = Held::parked(&entry);
                if goes(&held) {
                    found.push((key, held));
                }
            }
            Err(error) => garbled = Err(StoreError::unreadable(format_args!("index entry {key}"), &error)),
        }
        match garbled.is_err() || found.len() as u64 == STEP {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    garbled.map(|()| found)
}
