//! A cursor over batches on disk, and what was read ahead of it.

use std::collections::VecDeque;
use std::ops::Range;

use tokio::time::Instant;

use super::ring::Stored;
use crate::batch::{Key, Signal};

/// Batches that one read fetches at most.
pub(in crate::queue) const SLICE_BATCHES: usize = 64;

/// Which of a signal's two cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Origin {
    /// Over what was never leased since the store was opened.
    Scan,
    /// Over what is owed to the primary.
    Owed,
}

/// A read to be done on the reading thread.
#[derive(Debug)]
pub(in crate::queue) struct Job {
    pub signal: Signal,
    pub origin: Origin,
    /// Where to look.
    pub range: Range<Key>,
    /// Keys in there that are leased, returned or being settled, in rising order.
    pub skip: Vec<Key>,
    /// Bytes to fetch at most; a single larger batch is fetched alone.
    pub bytes: u64,
    /// Its result counts only while the source still has this generation.
    pub generation: u64,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub(in crate::queue) struct Slice {
    /// The batches, in rising order.
    pub found: Vec<Stored>,
    /// Everything below this was looked at.
    pub reached: Key,
}

#[derive(Debug)]
pub(super) struct Source {
    /// The next key to read.
    pub(super) cursor: Key,
    ahead: VecDeque<Stored>,
    ahead_bytes: u64,
    /// Bytes that one read fetches at most.
    pub(super) slice: u64,
    /// Where the read that is going on ends.
    reading: Option<Key>,
    generation: u64,
    /// After a failed read: no other before this.
    pub(super) not_before: Option<Instant>,
}

impl Source {
    pub(super) fn new(cursor: Key, slice: u64) -> Source {
        Source { cursor, ahead: VecDeque::new(), ahead_bytes: 0, slice, reading: None, generation: 0, not_before: None }
    }

    /// The source that follows this one when the store is opened anew: what is still being read for this one is not for it.
    pub(super) fn successor(&self, cursor: Key) -> Source {
        Source { generation: self.generation + 1, ..Source::new(cursor, self.slice) }
    }

    /// The next batch, if it was read already.
    pub(super) fn next(&self) -> Option<&Stored> {
        self.ahead.front()
    }

    /// Its key.
    pub(super) fn front(&self) -> Option<Key> {
        self.next().map(|stored| stored.key)
    }

    pub(super) fn pop(&mut self) -> Option<Stored> {
        let stored = self.ahead.pop_front()?;
        self.ahead_bytes -= stored.batch.weight() as u64;
        Some(stored)
    }

    /// Whether so little is left that the next read should begin.
    pub(super) fn runs_low(&self) -> bool {
        self.reading.is_none() && self.ahead_bytes < self.slice / 2 && self.ahead.len() < SLICE_BATCHES / 2
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Notes that a read began and where it ends at the latest; the number goes with it.
    pub(super) fn begin(&mut self, end: Key) -> u64 {
        self.reading = Some(end);
        self.generation
    }

    /// Takes the result of a read, unless the cursor was set back meanwhile.
    pub(super) fn install(&mut self, generation: u64, slice: Slice) -> bool {
        if generation != self.generation {
            return false;
        }
        self.reading = None;
        self.cursor = slice.reached;
        self.ahead_bytes += slice.found.iter().map(|stored| stored.batch.weight() as u64).sum::<u64>();
        self.ahead.extend(slice.found);
        true
    }

    /// Notes that a read failed and when to try again.
    pub(super) fn failed(&mut self, generation: u64, not_before: Instant) {
        if generation == self.generation {
            self.reading = None;
            self.not_before = Some(not_before);
        }
    }

    /// Forgets what lies in a range, and disregards a read that may find some of it.
    pub(super) fn remove(&mut self, range: &Range<Key>) {
        while self.front().is_some_and(|front| range.contains(&front)) {
            self.pop();
        }
        if self.cursor < range.end && self.reading.take().is_some() {
            self.generation += 1;
        }
        if range.contains(&self.cursor) {
            self.cursor = range.end;
        }
    }

    /// Makes sure that a key which is about to appear on disk does not come of a read that is going on.
    pub(super) fn disregard(&mut self, key: Key) {
        if key >= self.cursor && self.reading.is_some_and(|end| key < end) {
            self.reading = None;
            self.generation += 1;
        }
    }

    /// Makes sure that a key which just became readable here is read (again): sets the cursor back to it, and disregards a
    /// read that is going on and may have passed it.
    pub(super) fn rewind(&mut self, key: Key) {
        if self.reading.is_some_and(|end| key < end) {
            self.reading = None;
            self.generation += 1;
        }
        if key < self.cursor {
            self.cursor = self.front().map_or(key, |front| front.min(key));
            self.ahead.clear();
            self.ahead_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(seqs: &[u64], reached: u64) -> Slice {
        let found = seqs.iter().map(|seq| Stored {
            key: Key::new(*seq),
            epoch: 1,
            batch: crate::queue::tests::batch(Signal::Logs, 1),
        });
        Slice { found: found.collect(), reached: Key::new(reached) }
    }

    /// Scenario: a batch becomes owed behind the cursor while a read is on its way. Guarantee: the read's result is
    /// disregarded, and the next one begins at the lowest batch that nobody got.
    #[test]
    fn a_cursor_that_is_set_back_forgets_what_it_read_ahead() {
        let mut source = Source::new(Key::new(1), 1 << 20);
        let generation = source.begin(Key::new(9));
        assert!(source.install(generation, slice(&[3, 5], 9)));
        let stale = source.begin(Key::new(20));
        source.rewind(Key::new(4));
        assert_eq!((source.front(), source.cursor), (None, Key::new(3)));
        assert!(!source.install(stale, slice(&[10], 20)));
    }

    /// Scenario: a batch becomes owed within the range that is being read. Guarantee: that range is read again.
    #[test]
    fn a_read_that_may_have_passed_a_batch_is_done_again() {
        let mut source = Source::new(Key::new(1), 1 << 20);
        let stale = source.begin(Key::new(20));
        source.rewind(Key::new(7));
        assert!(!source.install(stale, slice(&[10], 20)));
        assert_eq!(source.cursor, Key::new(1));
    }
}
