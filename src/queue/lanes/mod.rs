//! Where each batch of one signal stands: in the ring, on disk, leased, returned, owed, or being settled.
//!
//! The positions of a queue, kept apart, since one cursor for all of them loses records:
//!
//! | position | what it says | lives |
//! |---|---|---|
//! | `scan` | below it everything was leased once since the store was opened | memory |
//! | ring front | from it on everything is in memory; reads from disk stop there, eviction raises it | memory |
//! | `returned` | leases that ended without a settle; served before the scan | memory |
//! | parked | suspects, out of the line: tried alone, now and then; they hold back nothing | memory, index |
//! | `low` | nothing live lies below it, the parked apart | ledger |
//!
//! A state machine under its caller's lock: it reads no disk, waits for nothing, and is told the time.

mod parked;
mod pick;
mod returned;
mod ring;
mod source;

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use tokio::time::Instant;

pub(super) use pick::{Pick, Step};
pub(super) use ring::Stored;
pub(super) use source::{Job, Origin, SLICE_BATCHES, Slice};

use self::parked::Parked;
use self::returned::Returned;
use self::ring::Ring;
use self::source::Source;
use super::codec::parked::Parked as Entry;
use super::codec::twin::Twin;
use super::intervals::{Edit, Intervals};
use super::lease::{Lane, Taker};
use super::ledger::Ledger;
use super::store::keys::after as after_key;
use super::tools::Standing;
use crate::batch::{Batch, Key, Signal};
use crate::config::Order;

/// What is remembered of a batch while its bytes are elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Its items.
    pub items: u32,
    /// Its weight in bytes.
    pub weight: u64,
    /// Whether a fallback has it.
    pub owed: bool,
    /// Leases that were returned so far.
    pub attempts: u32,
    /// Whether it lies out of the line.
    pub parked: bool,
    /// Whether it stays there until a person decides.
    pub barred: bool,
    /// When it came in, while it counts as fresh.
    pub came_in: Option<Instant>,
}

impl Ending {
    fn stays(self) -> bool {
        !matches!(self, Ending::Lease(Fate::Goes))
    }
}

impl Held {
    pub(super) fn new(items: u32, weight: u64, owed: bool) -> Held {
        Held { items, weight, owed, attempts: 0, parked: false, barred: false, came_in: None }
    }

    pub(super) fn of(batch: &Batch, owed: bool) -> Held {
        Held::new(batch.items, batch.weight() as u64, owed)
    }

    /// Which lane it belongs to.
    pub(super) fn lane(&self) -> Lane {
        if self.came_in.is_some() { Lane::Fresh } else { Lane::Backlog }
    }

    /// Of one that is parked, by its index entry.
    pub(super) fn parked(entry: &Entry) -> Held {
        let Twin { items, weight, .. } = entry.twin;
        Held { parked: true, barred: entry.is_barred(), ..Held::new(items, weight, entry.owed) }
    }
}

#[derive(Debug)]
struct Leased {
    held: Held,
    number: u64,
    fate: Fate,
}

/// What becomes of a batch whose lease ended in a way that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Fate {
    /// It leaves the line.
    Goes,
    /// It stays at its place, owed to the primary: that one is to get nothing behind it first, in a FIFO.
    BecomesOwed,
    /// Parts of it take its place: nobody is to get anything behind it first.
    Splits,
}

/// What is being written of a key.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// The end of a lease.
    Lease(Fate),
    /// A part that will stand there.
    Part(Held),
}

/// A batch that was just leased.
#[derive(Debug)]
pub(super) struct Grant {
    pub stored: Stored,
    pub held: Held,
    pub number: u64,
}

/// One signal's lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    signal: Signal,
    order: Order,
    /// The books as last committed.
    pub(super) books: Ledger,
    /// Where the ring begins while it is empty: the key after the last commit.
    end: Key,
    ring: Ring,
    scan: Source,
    owed: Source,
    intervals: Intervals,
    returned: Returned,
    leased: BTreeMap<Key, Leased>,
    leased_bytes: u64,
    leased_items: u64,
    /// Leases whose settle is being written, and the parts that take the place of some.
    ending: BTreeMap<Key, Ending>,
    parked: Parked,
    /// Up to here something was removed by range.
    removed_to: Key,
    next_number: u64,
}

impl Lanes {
    /// The lanes as a store leaves them: everything on disk, nothing leased. One read fetches `slice` bytes at most.
    pub(super) fn new(signal: Signal, order: Order, books: Ledger, intervals: Intervals, slice: u64) -> Lanes {
        let end = Key::new(books.next_seq);
        let low = if books.queued_batches == books.parked_batches { end } else { Key::new(books.low) };
        Lanes {
            signal,
            order,
            books,
            end,
            ring: Ring::default(),
            scan: Source::new(low, slice),
            owed: Source::new(low, slice),
            intervals,
            returned: Returned::default(),
            leased: BTreeMap::new(),
            leased_bytes: 0,
            leased_items: 0,
            ending: BTreeMap::new(),
            parked: Parked::default(),
            removed_to: low,
            next_number: 1,
        }
    }

    /// Begins anew on a store that was opened anew. Numbers of leases and of reads go on rising: those of before are late.
    pub(super) fn rebuild(&mut self, books: Ledger, intervals: Intervals) {
        let new = Lanes::new(self.signal, self.order, books, intervals, 0);
        let (scan, owed) = (self.scan.successor(new.scan.cursor), self.owed.successor(new.owed.cursor));
        *self = Lanes { scan, owed, next_number: self.next_number, ..new };
    }

    /// Adds a batch that was just committed, and came in at that moment or long ago; keys rise.
    pub(super) fn push(&mut self, stored: Stored, at: Option<Instant>) {
        self.end = Key::new(stored.key.seq + 1);
        self.ring.push(stored, at);
    }

    /// What came in before that moment counts as backlog from now on.
    pub(super) fn age(&mut self, before: Instant) {
        self.ring.age(before);
        self.returned.age(before);
    }

    /// Lets go of the oldest batch in memory; it is on disk, and backlog from now on. Its bytes, if there was one.
    pub(super) fn evict(&mut self) -> Option<u64> {
        self.skip_empty_scan();
        self.ring.pop().map(|stored| stored.batch.weight() as u64)
    }

    /// Ends a lease without a settle. `false` when it is no longer current.
    pub(super) fn give_back(&mut self, key: Key, number: u64, counts: bool, not_before: Option<Instant>) -> bool {
        if self.parked.give_back(key, number, counts, not_before) {
            return true;
        }
        let Some(mut held) = self.end_lease(key, number) else {
            return false;
        };
        held.attempts += u32::from(counts);
        held.came_in = held.came_in.filter(|_| !counts && self.order == Order::FreshFirst);
        self.returned.insert(key, held, not_before);
        true
    }

    /// Notes how a lease ended, ahead of [`begin_settle`](Lanes::begin_settle).
    pub(super) fn ended_as(&mut self, key: Key, number: u64, fate: Fate) {
        if let Some(leased) = self.leased.get_mut(&key).filter(|leased| leased.number == number) {
            leased.fate = fate;
        }
    }

    /// First half of a settle, before it is written: `None` when the lease is no longer current.
    pub(super) fn begin_settle(&mut self, key: Key, number: u64, fate: Fate) -> Option<Held> {
        if let Some(held) = self.parked.begin_settle(key, number) {
            return Some(held);
        }
        let held = self.end_lease(key, number)?;
        self.ending.insert(key, Ending::Lease(fate));
        Some(held)
    }

    /// The parts of a batch whose settle has begun: reads leave them alone from before they can be found on disk.
    pub(super) fn begin_parts(&mut self, parts: impl Iterator<Item = (Key, Held)>) {
        for (key, held) in parts {
            self.scan.disregard(key);
            self.owed.disregard(key);
            self.ending.insert(key, Ending::Part(held));
        }
    }

    /// Second half of a settle, once it was written; also for each part that it made.
    pub(super) fn end_settle(&mut self, key: Key) {
        match self.ending.remove(&key) {
            Some(Ending::Lease(Fate::BecomesOwed)) => self.owed.rewind(key),
            Some(Ending::Part(held)) => self.returned.insert(key, held, None),
            Some(Ending::Lease(Fate::Goes | Fate::Splits)) => {}
            None => self.parked.end_settle(key),
        }
    }

    /// Adds a batch to those that are parked.
    pub(super) fn park(&mut self, key: Key, held: Held) {
        self.parked.add(key, held);
    }

    /// Forgets a batch that was parked, and removed from disk since; a lease of it is not current any more.
    pub(super) fn unpark(&mut self, key: Key) {
        self.parked.remove(key);
    }

    /// Leases the parked batch that was left alone for longest, unless another is out; the number of the lease.
    pub(super) fn lease_parked(&mut self, taker: Taker, now: Instant) -> Option<(Key, Held, u64)> {
        let number = self.next_number;
        let (key, held) = self.parked.lease(taker, now, number)?;
        self.next_number += 1;
        Some((key, held, number))
    }

    /// Forgets what lies in a range, wherever it stands; leases of it are not current any more. Called once it was removed
    /// from disk, with the books and intervals that are left. Bytes that the ring lost.
    pub(super) fn remove(&mut self, range: &Range<Key>) -> u64 {
        let mut bytes = 0;
        while self.ring.front().is_some_and(|front| range.contains(&front))
            && let Some(stored) = self.ring.pop()
        {
            bytes += stored.batch.weight() as u64;
        }
        self.scan.remove(range);
        self.owed.remove(range);
        self.returned.remove_range(range);
        let gone: Vec<_> = self.leased.range(range.clone()).map(|(key, leased)| (*key, leased.number)).collect();
        for (key, number) in gone {
            self.end_lease(key, number);
        }
        self.removed_to = self.removed_to.max(range.end);
        bytes
    }

    /// Follows the committing thread's edits of the owed intervals, once they were written.
    pub(super) fn apply(&mut self, edits: &[Edit]) {
        for edit in edits {
            self.intervals.apply(*edit);
        }
    }

    /// Nothing live lies below this key once the settles that have begun are written.
    pub(super) fn low(&mut self) -> Key {
        let scan = self.next_of(Origin::Scan).unwrap_or(self.end);
        let owed = self.next_of(Origin::Owed).unwrap_or(self.end);
        let leased = self.leased.keys().next().copied().unwrap_or(self.end);
        let returned = self.returned.first().unwrap_or(self.end);
        let mut staying = self.ending.iter().filter(|(_, ending)| ending.stays()).map(|(key, _)| *key);
        let staying = staying.next().unwrap_or(self.end);
        self.ring_front().min(scan).min(owed).min(leased).min(returned).min(staying)
    }

    /// Whether nothing live but owed batches lies strictly between two keys, once the settles that have begun are written.
    pub(super) fn is_empty_between(&self, after: Key, before: Key) -> bool {
        if before == Key::new(after.seq + 1) && after.part == 0 {
            return true; // only parts could lie there, and a batch that is live whole has none
        }
        let unread = self.scan.front().unwrap_or(self.scan.cursor).min(self.ring_front());
        let open = (Bound::Excluded(after), Bound::Excluded(before));
        after < before
            && before <= unread
            && self.ending.range(open).all(|(_, ending)| !matches!(ending, Ending::Part(held) if !held.owed))
            && self.leased.range(open).all(|(_, leased)| leased.held.owed)
            && self.returned.only_owed_in(open)
    }

    /// Where a live batch stands.
    pub(super) fn standing(&self, key: Key, parked: bool) -> Standing {
        if self.leased.contains_key(&key) || self.ending.contains_key(&key) {
            Standing::Leased
        } else if parked {
            Standing::Parked
        } else if self.intervals.contains(key) {
            Standing::Owed
        } else {
            Standing::Queued
        }
    }

    /// Notes the result of a read; `false` when it is not wanted any more.
    pub(super) fn install(&mut self, origin: Origin, generation: u64, slice: Slice) -> bool {
        self.source(origin).install(generation, slice)
    }

    /// Notes that a read failed.
    pub(super) fn read_failed(&mut self, origin: Origin, generation: u64, not_before: Instant) {
        self.source(origin).failed(generation, not_before);
    }

    /// Batches, items and bytes in memory, not leased.
    pub(super) fn fresh(&self) -> (u64, u64, u64) {
        (self.ring.len() as u64, self.ring.items(), self.ring.bytes())
    }

    /// Batches, items and bytes out on a lease.
    pub(super) fn out(&self) -> (u64, u64, u64) {
        (self.leased.len() as u64, self.leased_items, self.leased_bytes)
    }

    /// Where a reclaim may stop: everything below was read or removed, so it is where the deletions are.
    pub(super) fn scanned(&self) -> Key {
        self.scan.cursor.min(self.ring_front()).max(self.removed_to)
    }

    fn ring_front(&self) -> Key {
        self.ring.front().unwrap_or(self.end)
    }

    fn source(&mut self, origin: Origin) -> &mut Source {
        match origin {
            Origin::Scan => &mut self.scan,
            Origin::Owed => &mut self.owed,
        }
    }

    /// Moves the scan on where nothing is left between it and the ring, so that no read is needed to find that out.
    fn skip_empty_scan(&mut self) {
        let ending = self.ending.values().filter(|ending| matches!(ending, Ending::Lease(_))).count(); // parts are no batches yet
        let in_memory = self.ring.len() + self.leased.len() + ending + self.returned.len();
        let in_line = self.books.queued_batches - self.books.parked_batches;
        if in_line == in_memory as u64 && !self.scan.is_reading() && self.scan.front().is_none() {
            self.scan.cursor = self.ring_front();
        }
    }

    /// What a source has still to read, apart from what it read ahead.
    fn unread(&mut self, origin: Origin) -> Option<Range<Key>> {
        self.skip_empty_scan();
        let end = self.ring_front();
        match origin {
            Origin::Scan => loop {
                let cursor = self.scan.cursor;
                if cursor >= end {
                    return None;
                }
                match self.intervals.at_or_after(cursor) {
                    Some((first, last)) if first <= cursor => self.scan.cursor = after_key(last),
                    Some((first, _)) => return Some(cursor..first.min(end)),
                    None => return Some(cursor..end),
                }
            },
            Origin::Owed => {
                let (first, last) = self.intervals.at_or_after(self.owed.cursor)?;
                Some(first.max(self.owed.cursor)..after_key(last))
            }
        }
    }

    /// Lower bound of the next batch of a source; `None` when it has none.
    fn next_of(&mut self, origin: Origin) -> Option<Key> {
        self.source(origin).front().or_else(|| self.unread(origin).map(|range| range.start))
    }

    fn grant(&mut self, stored: Stored, held: Held) -> Grant {
        let number = self.lease(stored.key, held);
        Grant { stored, held, number }
    }

    /// Notes a batch as leased, without handing it out; the number of the lease.
    pub(super) fn lease(&mut self, key: Key, held: Held) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.leased_bytes += held.weight;
        self.leased_items += u64::from(held.items);
        self.leased.insert(key, Leased { held, number, fate: Fate::Goes });
        number
    }

    /// Whether a lease holds.
    pub(super) fn is_out(&self, key: Key, number: u64) -> bool {
        self.leased.get(&key).is_some_and(|leased| leased.number == number)
    }

    fn end_lease(&mut self, key: Key, number: u64) -> Option<Held> {
        if self.leased.get(&key)?.number != number {
            return None;
        }
        let held = self.leased.remove(&key)?.held;
        self.leased_bytes -= held.weight;
        self.leased_items -= u64::from(held.items);
        Some(held)
    }
}

#[cfg(test)]
impl Lanes {
    /// How many intervals remember what is owed.
    pub(super) fn intervals(&self) -> usize {
        self.intervals.len()
    }
}
