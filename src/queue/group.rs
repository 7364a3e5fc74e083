//! One group: appends and settles, and the books that they change, written as one set of changes.
//!
//! Pure bookkeeping between the inbox and the store. What it says in memory is said only once it was written
//! ([`Committed::publish`]).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::codec::{books as ledger, meta, parked::Parked, record, twin::Twin};
use super::error::StoreError;
use super::inbox::{End, How};
use super::intervals::{Edit, Intervals};
use super::lanes::{Held, Lanes, Stored};
use super::ledger::Ledger;
use super::losses::Losses;
use super::removal::Removal;
use super::shared::Shared;
use super::store::{Changes, Engine, Family, keys};
use super::tools::Letter;
use crate::batch::{Batch, Key, Signal};

/// A group in the making.
pub(super) struct Group<'e> {
    changes: Box<dyn Changes + 'e>,
    head: Vec<u8>,
    /// The queue's clock: by it the age of what is put is told.
    now_ms: u64,
    /// When the batches were taken that are split or parked: their age goes on.
    ages: BTreeMap<(Signal, Key), u64>,
    committed: Committed,
}

/// A group that was written.
pub(super) struct Committed {
    /// The books after it.
    pub books: [Ledger; 3],
    /// The dead letters after it.
    pub dead: meta::Dead,
    /// Bytes of dead letters that are gone.
    discarded: u64,
    signals: [Part; 3],
}

/// What a group did to one signal.
#[derive(Default)]
struct Part {
    touched: bool,
    /// Each with the moment it came in.
    stored: Vec<(Stored, Option<Instant>)>,
    ended: Vec<Key>,
    parked: Vec<(Key, Held)>,
    edits: Vec<Edit>,
    /// Bytes that left the line, and that left where suspects are kept.
    settled_bytes: u64,
    unparked_bytes: u64,
    staying: bool,
    /// Everything in here was removed,
    removed: Option<Range<Key>>,
    /// and these, which were parked.
    unparked: Vec<Key>,
}

impl<'e> Group<'e> {
    /// An empty group on top of the books as last committed.
    pub(super) fn new(changes: Box<dyn Changes + 'e>, books: [Ledger; 3], dead: meta::Dead, now_ms: u64) -> Group<'e> {
        let signals = Default::default();
        Group {
            changes,
            head: Vec::with_capacity(256),
            now_ms,
            ages: BTreeMap::new(),
            committed: Committed { books, dead, discarded: 0, signals },
        }
    }

    /// Adds a batch that a client sent at that moment.
    pub(super) fn append(&mut self, batch: Batch, crc: u32, epoch: u32, at: Instant) -> Key {
        self.committed.books[batch.signal.index()].accepted += u64::from(batch.items);
        self.enter(batch, crc, epoch, Some(at))
    }

    /// Adds a batch that a person brought in.
    pub(super) fn import(&mut self, batch: Batch, epoch: u32) {
        self.committed.books[batch.signal.index()].imported += u64::from(batch.items);
        let crc = crc32c::crc32c(&batch.body);
        self.enter(batch, crc, epoch, None);
    }

    /// Puts the batch of a dead letter back, and fails with a sentence when there is none, or it was never counted as dead.
    pub(super) fn revive(&mut self, letter: Letter, epoch: u32) -> Result<(), String> {
        let dead = &mut self.committed.books[letter.signal.index()].dead[letter.verdict.reason as usize];
        *dead = dead.checked_sub(letter.items).ok_or("the books know of no such dead letter")?;
        self.discard(&letter);
        let batch = letter.batch?;
        let crc = crc32c::crc32c(&batch.body);
        self.enter(batch, crc, epoch, None);
        Ok(())
    }

    /// Removes a dead letter. It stays counted as dead.
    pub(super) fn discard(&mut self, letter: &Letter) {
        self.committed.discarded += letter.bytes;
        let dead = &mut self.committed.dead;
        dead.batches = dead.batches.saturating_sub(1);
        // One that does not read any more has no bytes to take off: they are made good with the last one.
        dead.bytes = if dead.batches == 0 { 0 } else { dead.bytes.saturating_sub(letter.bytes) };
        self.changes.take(Family::Dead, keys::of(letter.signal, letter.key).as_ref());
        self.changes.set(Family::Meta, keys::DEAD, &dead.encode());
    }

    /// Puts a batch into its queue, under the next sequence number.
    fn enter(&mut self, batch: Batch, crc: u32, epoch: u32, at: Option<Instant>) -> Key {
        let signal = batch.signal;
        let books = &mut self.committed.books[signal.index()];
        let key = Key::new(books.next_seq);
        books.next_seq += 1;
        self.put(key, &batch, crc, epoch, self.now_ms);
        let part = &mut self.committed.signals[signal.index()];
        part.touched = true;
        part.stored.push((Stored { key, epoch, batch }, at));
        key
    }

    /// Writes record and twin of a batch that is queued now.
    fn put(&mut self, key: Key, batch: &Batch, crc: u32, epoch: u32, aged_from_ms: u64) {
        let signal = batch.signal;
        record::encode(batch, epoch, crc, &mut self.head);
        self.changes.put(Family::Records(signal), key.encode().as_ref(), &self.head, &batch.body);
        let twin = Twin::of(batch, crc, aged_from_ms);
        self.changes.put(Family::Index, keys::of(signal, key).as_ref(), &twin.encode(), &[]);
        let books = &mut self.committed.books[signal.index()];
        books.queued += u64::from(batch.items);
        books.queued_batches += 1;
        books.queued_bytes += batch.weight() as u64;
    }

    /// Looks up the ages that settles will ask for: a read, which they have no time for.
    pub(super) fn look_up_ages(&mut self, engine: &dyn Engine, ends: &[End]) {
        for End { signal, key, how, .. } in ends {
            if matches!(how, How::Split(_) | How::Park { .. })
                && let Ok(Some(entry)) = engine.get(Family::Index, keys::of(*signal, *key).as_ref())
                && let Ok(twin) = Twin::decode(&entry)
            {
                self.ages.insert((*signal, *key), twin.aged_from_ms);
            }
        }
    }

    /// Adds settles. Those of leases that are no longer current are counted and left out.
    pub(super) fn settle(
        &mut self,
        ends: &mut Vec<End>,
        shared: &Shared,
        intervals: &mut [Intervals; 3],
        losses: &mut Losses,
    ) {
        if ends.is_empty() {
            return;
        }
        for signal in Signal::ALL {
            if ends.iter().any(|end| end.signal == signal) {
                let mut lanes = shared.lanes(signal);
                let current = ends.iter().filter(|end| end.signal == signal).filter_map(|end| {
                    let held = lanes.begin_settle(end.key, end.number, end.how.fate());
                    shared.counts.late.add(u64::from(held.is_none()));
                    let held = held?;
                    if let How::Split(parts) = &end.how {
                        lanes.begin_parts(parts.iter().map(|(key, batch, _)| (*key, Held::of(batch, held.owed))));
                    }
                    Some((end, held))
                });
                let current: Vec<_> = current.collect();
                for (end, held) in &current {
                    self.end(end, *held, shared.epoch.load(Relaxed), losses);
                }
                self.keep_intervals(signal, &current, &mut lanes, &mut intervals[signal.index()]);
            }
        }
        ends.clear();
    }

    fn end(&mut self, end: &End, held: Held, epoch: u32, losses: &mut Losses) {
        let (signal, key, items) = (end.signal, end.key, u64::from(held.items));
        let aged_from_ms = self.ages.get(&(signal, key)).copied().unwrap_or(self.now_ms);
        let part = &mut self.committed.signals[signal.index()];
        part.touched = true;
        part.ended.push(key);
        let books = &mut self.committed.books[signal.index()];
        match &end.how {
            How::Owed => {
                part.staying = true;
                books.owed += if held.owed { 0 } else { items };
                return;
            }
            How::Delivered { rejected } => {
                let rejected = u64::from(*rejected).min(items);
                books.rejected += rejected;
                books.delivered += items - rejected;
            }
            How::Dead { reason, head, body } => {
                losses.dead(books, signal, *reason, items);
                self.committed.dead.batches += 1;
                self.committed.dead.bytes += held.weight;
                self.changes.put(Family::Dead, keys::of(signal, key).as_ref(), head, body);
                self.changes.set(Family::Meta, keys::DEAD, &self.committed.dead.encode());
            }
            How::Dropped(reason) => losses.dropped(books, signal, *reason, items),
            How::Split(parts) => {
                part.staying = true;
                part.ended.extend(parts.iter().map(|(key, ..)| *key));
                books.owed += if held.owed { items } else { 0 };
                for (part, batch, crc) in parts {
                    self.put(*part, batch, *crc, epoch, aged_from_ms);
                }
            }
            How::Park { head, body, entry } => {
                part.parked.push((key, Held { barred: entry.is_barred(), ..held }));
                books.parked += items;
                books.parked_batches += 1;
                books.parked_bytes += held.weight;
                self.changes.put(Family::Parked, keys::of(signal, key).as_ref(), head, body);
                let entry = Parked { twin: Twin { aged_from_ms, ..entry.twin }, ..entry.clone() };
                self.changes.put(Family::Index, keys::parked(signal, key).as_ref(), &entry.encode(), &[]);
                self.take(signal, key, held);
                return;
            }
        }
        let books = &mut self.committed.books[signal.index()];
        books.queued -= items;
        books.queued_batches -= 1;
        books.queued_bytes -= held.weight;
        books.owed -= if held.owed { items } else { 0 };
        if held.parked {
            books.parked -= items;
            books.parked_batches -= 1;
            books.parked_bytes -= held.weight;
        }
        self.take(signal, key, held);
    }

    /// Removes record and twin.
    fn take(&mut self, signal: Signal, key: Key, held: Held) {
        let part = &mut self.committed.signals[signal.index()];
        if held.parked {
            part.unparked_bytes += held.weight;
            self.changes.take(Family::Parked, keys::of(signal, key).as_ref());
            self.changes.take(Family::Index, keys::parked(signal, key).as_ref());
        } else {
            part.settled_bytes += held.weight;
            self.changes.take(Family::Records(signal), key.encode().as_ref());
            self.changes.take(Family::Index, keys::of(signal, key).as_ref());
        }
    }

    /// Owed intervals and the low position follow what ended.
    fn keep_intervals(&mut self, signal: Signal, ended: &[(&End, Held)], lanes: &mut Lanes, intervals: &mut Intervals) {
        let part = &mut self.committed.signals[signal.index()];
        let empty = |after: Key, before: Key| lanes.is_empty_between(after, before);
        for (end, held) in ended {
            match &end.how {
                How::Owed => intervals.insert(end.key, empty, &mut part.edits),
                How::Split(parts) => {
                    if let Some((last, ..)) = parts.last().filter(|_| held.owed) {
                        intervals.extend(end.key, *last, &mut part.edits);
                    }
                }
                _ if held.parked => {}
                _ => intervals.bridge(end.key, empty, &mut part.edits),
            }
        }
        let low = lanes.low();
        let books = &mut self.committed.books[signal.index()];
        // All bounds hold. One that an owed interval or a read under way gives may be loose, which must not outlast the last batch.
        let in_line = books.queued_batches - books.parked_batches;
        books.low = if in_line == 0 { books.next_seq } else { books.low.max(low.seq) };
        intervals.trim(Key::new(books.low), &mut part.edits);
        self.write_edits(signal);
    }

    fn write_edits(&mut self, signal: Signal) {
        for edit in &self.committed.signals[signal.index()].edits {
            match edit {
                Edit::Set(first, last) => {
                    self.changes.set(Family::Owed, keys::of(signal, *first).as_ref(), last.encode().as_ref());
                }
                Edit::Remove(first) => self.changes.delete(Family::Owed, keys::of(signal, *first).as_ref()),
            }
        }
    }

    /// Removes what lies in a range, as it was counted. Below the range nothing may be owed.
    pub(super) fn remove(&mut self, removal: &Removal, intervals: &mut Intervals, losses: &mut Losses) {
        let Removal { signal, range: Range { start, end }, parked, removed, reason } = removal;
        let (signal, start, end) = (*signal, *start, *end);
        let part = &mut self.committed.signals[signal.index()];
        part.touched = true;
        part.removed = Some(start..end);
        part.unparked_bytes += parked.iter().map(|(_, held)| held.weight).sum::<u64>();
        part.settled_bytes += removed.bytes - part.unparked_bytes;
        part.unparked = parked.iter().map(|(key, _)| *key).collect();
        intervals.cut(end, &mut part.edits);
        let books = &mut self.committed.books[signal.index()];
        losses.released(books, signal, removed.owed_batches, removed.owed);
        let (batches, items) = (removed.batches - removed.owed_batches, removed.items - removed.owed);
        losses.dropped_many(books, signal, *reason, batches, items);
        books.queued -= removed.items;
        books.queued_batches -= removed.batches;
        books.queued_bytes -= removed.bytes;
        books.owed -= removed.owed;
        for (key, held) in parked {
            books.parked -= u64::from(held.items);
            books.parked_batches -= 1;
            books.parked_bytes -= held.weight;
            self.changes.take(Family::Parked, keys::of(signal, *key).as_ref());
            self.changes.take(Family::Index, keys::parked(signal, *key).as_ref());
        }
        if start <= Key::new(books.low) {
            books.low = books.low.max(end.seq);
        }
        if start < end {
            self.changes.take_range(Family::Records(signal), start.encode().as_ref(), end.encode().as_ref());
            self.changes.take_range(Family::Index, keys::of(signal, start).as_ref(), keys::of(signal, end).as_ref());
        }
        self.write_edits(signal);
    }

    /// Writes it all, with the books of every signal that it touched.
    pub(super) fn commit(mut self, sync: bool) -> Result<Committed, StoreError> {
        for signal in Signal::ALL {
            if self.committed.signals[signal.index()].touched {
                let books = ledger::encode(&self.committed.books[signal.index()]);
                self.changes.set(Family::Meta, &keys::books(signal), &books);
            }
        }
        self.changes.commit(sync)?;
        Ok(self.committed)
    }
}

impl Committed {
    /// Says in memory what is on disk now: fills the rings, ends the leases, wakes who waits for batches.
    pub(super) fn publish(self, shared: &Shared) {
        shared.counts.dead_batches.store(self.dead.batches, Relaxed);
        shared.counts.dead_bytes.store(self.dead.bytes, Relaxed);
        shared.freed(Family::Dead, self.discarded);
        for (signal, part) in Signal::ALL.into_iter().zip(self.signals) {
            if !part.touched {
                continue;
            }
            let leasable = !part.stored.is_empty() || part.staying || part.removed.is_some();
            shared.freed(Family::Records(signal), part.settled_bytes);
            shared.freed(Family::Parked, part.unparked_bytes);
            let mut lanes = shared.lanes(signal);
            let books = self.books[signal.index()];
            shared.space.holds(signal, books.queued_bytes - books.parked_bytes);
            lanes.books = books;
            lanes.apply(&part.edits);
            if let Some(range) = part.removed {
                shared.ring_bytes.fetch_sub(lanes.remove(&range), Relaxed);
            }
            for key in part.unparked {
                lanes.unpark(key);
            }
            for key in part.ended {
                lanes.end_settle(key);
            }
            for (key, held) in part.parked {
                lanes.park(key, held);
            }
            for (stored, at) in part.stored {
                // Counted before it can be leased, and so be taken off the count again.
                shared.ring_bytes.fetch_add(stored.batch.weight() as u64, Relaxed);
                lanes.push(stored, at);
            }
            drop(lanes);
            if leasable {
                shared.ready[signal.index()].notify_one();
            }
        }
        shrink_rings(shared);
    }
}

/// Lets go of the oldest batches in memory until all rings together fit; the largest ring pays. Only the committing thread
/// fills rings, so they cannot grow meanwhile.
fn shrink_rings(shared: &Shared) {
    while shared.ring_bytes.load(Relaxed) > shared.ring_limit {
        let bytes = Signal::ALL.map(|signal| shared.lanes(signal).fresh().2);
        let largest = Signal::ALL.into_iter().max_by_key(|signal| bytes[signal.index()]);
        let Some(evicted) = largest.and_then(|signal| shared.lanes(signal).evict()) else {
            return; // the rest is being leased at this moment
        };
        shared.ring_bytes.fetch_sub(evicted, Relaxed);
    }
}
