//! The independent count: what the index holds, beside the books of the same instant.
//!
//! A figure computed from its own terms would prove nothing, so nothing in memory is asked.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::codec::parked::Parked;
use super::codec::{books, twin::Twin};
use super::error::StoreError;
use super::intervals::{Edit, Intervals};
use super::lanes::Held;
use super::ledger::Ledger;
use super::snapshot::Recount;
use super::store::{Engine, Family, View, keys};
use crate::batch::{Key, Signal};

/// Index entries counted in one step: a few milliseconds.
const STEP: usize = 8192;
/// Sequence numbers that one step passes: most of an old queue's are gone, and what is gone lately still has to be passed.
const REACH: u64 = 1 << 17;
/// A step that took less passed what was never there, as the gaps of unclean ends: the next one reaches twice as far.
const QUICK: Duration = Duration::from_millis(1);

type Reply = oneshot::Sender<Result<[Recount; 3], StoreError>>;

/// A count that is under way.
pub(super) struct Recounting<'e> {
    view: Box<dyn View + 'e>,
    counts: [Recount; 3],
    intervals: [Intervals; 3],
    signal: usize,
    /// Where to go on; nothing before a signal's books were read.
    next: Option<Key>,
    /// Sequence numbers that the next step passes.
    reach: u64,
    replies: Vec<Reply>,
}

impl<'e> Recounting<'e> {
    /// Takes a view of the store and reads the books in it.
    pub(super) fn begin(engine: &'e dyn Engine, reply: Reply) -> Recounting<'e> {
        Recounting {
            view: engine.view(),
            counts: Default::default(),
            intervals: Default::default(),
            signal: 0,
            next: None,
            reach: REACH,
            replies: vec![reply],
        }
    }

    /// Somebody else who wants to know. Gets the count of a view that is a little older than the question.
    pub(super) fn join(&mut self, reply: Reply) {
        self.replies.push(reply);
    }

    /// Counts a piece; `None` once it is done and said.
    /// A failure is shown to `met`, too.
    pub(super) fn step(mut self, met: impl FnOnce(&StoreError)) -> Option<Recounting<'e>> {
        match self.advance() {
            Ok(false) => Some(self),
            Ok(true) => {
                let counts = self.counts;
                self.say(&Ok(counts))
            }
            Err(error) => {
                met(&error);
                self.say(&Err(error))
            }
        }
    }

    fn say(self, outcome: &Result<[Recount; 3], StoreError>) -> Option<Recounting<'e>> {
        for reply in self.replies {
            let _ = reply.send(outcome.clone());
        }
        None
    }

    fn advance(&mut self) -> Result<bool, StoreError> {
        let Some(signal) = Signal::ALL.get(self.signal).copied() else {
            return Ok(true);
        };
        let count = &mut self.counts[self.signal];
        let owed = &mut self.intervals[self.signal];
        let from = match self.next {
            Some(from) => from,
            None => {
                count.books = read_books(self.view.as_ref(), signal)?;
                *owed = read_intervals(self.view.as_ref(), signal)?;
                for (_, held) in read_parked(self.view.as_ref(), signal)? {
                    let items = u64::from(held.items);
                    count.batches += 1;
                    count.items += items;
                    count.parked += items;
                    count.bytes += held.weight;
                    count.owed += if held.owed { items } else { 0 };
                }
                Key::new(0) // and not `low`: that would take its word for it
            }
        };
        let begun = Instant::now();
        let (mut left, mut next, mut garbled) = (STEP, None, Ok(()));
        let end = Key::new(u64::MAX); // and not `next_seq`, for the same reason
        let to = if from.seq < count.books.next_seq { Key::new(from.seq.saturating_add(self.reach)) } else { end };
        let (first, last) = (keys::of(signal, from), keys::of(signal, to));
        self.view.walk(Family::Index, first.as_ref(), last.as_ref(), &mut |key, value| {
            let Some((_, key)) = keys::parse(key) else {
                return ControlFlow::Continue(());
            };
            if left == 0 {
                next = Some(key);
                return ControlFlow::Break(());
            }
            left -= 1;
            match Twin::decode(value) {
                Ok(twin) => {
                    count.batches += 1;
                    count.items += u64::from(twin.items);
                    count.bytes += twin.weight;
                    count.owed += if owed.contains(key) { u64::from(twin.items) } else { 0 };
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    garbled = Err(StoreError::unreadable(format_args!("index entry {key}"), &error));
                    ControlFlow::Break(())
                }
            }
        })?;
        garbled?;
        self.reach = if begun.elapsed() < QUICK { self.reach.saturating_mul(2) } else { REACH };
        self.next = next.or(Some(to).filter(|to| *to < end));
        if self.next.is_none() {
            self.signal += 1;
        }
        Ok(false)
    }
}

/// Counts the whole index at once.
pub(super) fn recount(engine: &dyn Engine) -> Result<[Recount; 3], StoreError> {
    let (reply, mut outcome) = oneshot::channel();
    let mut counting = Some(Recounting::begin(engine, reply));
    while let Some(going_on) = counting {
        counting = going_on.step(|_| {});
    }
    outcome.try_recv().unwrap_or_else(|_| Err(StoreError::failed("the recount gave no answer")))
}

/// The books of a signal as they lie on disk; those of a new store where there are none.
pub(super) fn read_books(view: &dyn View, signal: Signal) -> Result<Ledger, StoreError> {
    match view.get(Family::Meta, &keys::books(signal))? {
        Some(bytes) => {
            books::decode(&bytes).map_err(|error| StoreError::unreadable(format_args!("books of {signal}"), &error))
        }
        None => Ok(Ledger { next_seq: 1, low: 1, ..Ledger::default() }),
    }
}

/// The owed intervals of a signal as they lie on disk.
pub(super) fn read_intervals(view: &dyn View, signal: Signal) -> Result<Intervals, StoreError> {
    let mut intervals = Intervals::default();
    let (from, to) = (keys::of(signal, Key::new(0)), keys::of(signal, Key::new(u64::MAX)));
    let mut garbled = Ok(());
    view.walk(
        Family::Owed,
        from.as_ref(),
        to.as_ref(),
        &mut |first, last| match (keys::parse(first), Key::decode(last)) {
            (Some((_, first)), Some(last)) => {
                intervals.apply(Edit::Set(first, last));
                ControlFlow::Continue(())
            }
            _ => {
                garbled = Err(StoreError::damaged(format!("an owed interval of {signal} means nothing")));
                ControlFlow::Break(())
            }
        },
    )?;
    garbled.map(|()| intervals)
}

/// What is parked of a signal, as it lies on disk.
pub(super) fn read_parked(view: &dyn View, signal: Signal) -> Result<Vec<(Key, Held)>, StoreError> {
    let mut parked = Vec::new();
    let (from, to) = (keys::parked(signal, Key::new(0)), keys::parked(signal, Key::new(u64::MAX)));
    let mut garbled = Ok(());
    view.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| match (
        keys::parse_parked(key),
        Parked::decode(value),
    ) {
        (Some((_, key)), Ok(entry)) => {
            parked.push((key, Held::parked(&entry)));
            ControlFlow::Continue(())
        }
        _ => {
            garbled = Err(StoreError::damaged(format!("an index entry of what is parked of {signal} means nothing")));
            ControlFlow::Break(())
        }
    })?;
    garbled.map(|()| parked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::store::memory::Disk;

    /// Scenario: unclean ends have left gaps of billions of sequence numbers. Guarantee: a recount passes them in some dozens of
    /// steps.
    #[test]
    fn gaps_are_passed_fast() {
        let disk = Disk::new();
        let engine = disk.engine();
        let mut changes = engine.begin(0);
        let old = Ledger { next_seq: 1 << 40, low: 1 << 40, ..Ledger::default() };
        for signal in Signal::ALL {
            changes.set(Family::Meta, &keys::books(signal), &books::encode(&old));
        }
        changes.commit(true).unwrap();
        let (reply, mut outcome) = oneshot::channel();
        let (mut counting, mut steps) = (Some(Recounting::begin(&engine, reply)), 0);
        while let Some(going_on) = counting {
            counting = going_on.step(|_| {});
            steps += 1;
            assert!(steps < 1000, "it does not end");
        }
        assert!(outcome.try_recv().unwrap().unwrap().iter().all(|count| count.imbalance() == 0));
    }
}
