//! Dead letters, to be looked into.

use std::ops::ControlFlow;

use super::{Page, SLICE_BATCHES, SLICE_BYTES};
use crate::batch::{Batch, Key, Signal};
use crate::queue::Queue;
use crate::queue::codec::letter::{self, Story};
use crate::queue::codec::record;
use crate::queue::error::{QueueError, StoreError};
use crate::queue::lease::Verdict;
use crate::queue::store::{Family, View, keys};

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Which queue it was in.
    pub signal: Signal,
    /// Its place there.
    pub key: Key,
    /// Why it lies here.
    pub verdict: Verdict,
    /// Items that it is booked with.
    pub items: u64,
    /// Bytes that it is booked with.
    pub bytes: u64,
    /// The batch, or why its bytes cannot be read.
    pub batch: Result<Batch, String>,
}

impl Letter {
    /// Reads what was written when the batch was condemned. Where the letter itself is damaged that is all it says, so that
    /// it can be removed.
    pub(super) fn read(signal: Signal, key: Key, value: &[u8]) -> Letter {
        let (Story { verdict, items, weight, .. }, rest) = match letter::decode(value) {
            Ok(letter) => letter,
            Err(garbled) => (Story::lost(&garbled.to_string(), 0, None, None), &[][..]),
        };
        let batch = match rest {
            [] => Err("the store lost its bytes".to_owned()),
            rest => record::decode(rest.to_vec()).map(|(batch, _)| batch).map_err(|(garbled, _)| garbled.to_string()),
        };
        let booked = batch.as_ref().map_or((0, 0), |batch| (u64::from(batch.items), batch.weight() as u64));
        let (items, bytes) = (items.unwrap_or(booked.0), weight.unwrap_or(booked.1));
        Letter { signal, key, verdict, items, bytes, batch }
    }
}

impl Queue {
    /// A slice of the dead letters of a signal from a key on, of at most 64 and about 2 MiB; oldest first.
    pub async fn letters(&self, signal: Signal, from: Key) -> Result<Page<Letter>, QueueError> {
        self.look(move |engine, _| {
            let (mut found, mut bytes, mut next) = (Vec::new(), 0, None);
            walk(engine, signal, from, &mut |key, value| {
                bytes += value.len() as u64;
                if found.len() == SLICE_BATCHES || (bytes > SLICE_BYTES && !found.is_empty()) {
                    next = Some(key);
                    return ControlFlow::Break(());
                }
                found.push(Letter::read(signal, key, value));
                ControlFlow::Continue(())
            })?;
            Ok(Page { found, next })
        })
        .await
    }
}

/// Walks the dead letters of a signal from a key on. One whose bytes the store has lost is shown without any, and is no end of
/// the walk.
pub(in crate::queue) fn walk(
    view: &dyn View,
    signal: Signal,
    mut from: Key,
    visit: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    loop {
        let walked = walk_between(view, signal, from, END, &mut |key, value| {
            from = keys::after(key);
            visit(key, value)
        });
        match walked {
            Err(error) if error.is_corrupt() => {
                let lost = first_lost(view, signal, from)?;
                if visit(lost, &[]) == ControlFlow::Break(()) {
                    return Ok(());
                }
                from = keys::after(lost);
            }
            outcome => return outcome,
        }
    }
}

/// Behind every key.
const END: Key = Key { seq: u64::MAX, part: u16::MAX };

/// The first dead letter from a key on, which the store does not read, nor say where it stands: it is found by walks that end
/// before it and walks that do not.
fn first_lost(view: &dyn View, signal: Signal, from: Key) -> Result<Key, StoreError> {
    let place = |key: Key| u128::from(key.seq) << 16 | u128::from(key.part);
    let key = |place: u128| Key { seq: (place >> 16) as u64, part: place as u16 };
    let (mut before, mut behind) = (place(from), place(END));
    while behind - before > 1 {
        let middle = u128::midpoint(before, behind);
        match walk_between(view, signal, from, key(middle), &mut |_, _| ControlFlow::Continue(())) {
            Ok(()) => before = middle,
            Err(error) if error.is_corrupt() => behind = middle,
            Err(error) => return Err(error),
        }
    }
    Ok(key(before))
}

fn walk_between(
    view: &dyn View,
    signal: Signal,
    from: Key,
    to: Key,
    visit: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let (from, to) = (keys::of(signal, from), keys::of(signal, to));
    view.walk(Family::Dead, from.as_ref(), to.as_ref(), &mut |key, value| match keys::parse(key) {
        Some((_, key)) => visit(key, value),
        None => ControlFlow::Continue(()),
    })
}
