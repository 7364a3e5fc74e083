//! Dead letters, to be looked into.

use std::ops::ControlFlow;

use super::{Page, SLICE_BATCHES, SLICE_BYTES, Select};
use crate::batch::{Batch, Key, Signal};
use crate::queue::Queue;
use crate::queue::codec::letter::{self, Story};
use crate::queue::codec::record;
use crate::queue::error::QueueError;
use crate::queue::lease::Verdict;
use crate::queue::store::{Family, keys};

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
            let (from, to) = (keys::of(signal, from), keys::of(signal, Select::all(signal).to));
            let (mut found, mut bytes, mut next) = (Vec::new(), 0, None);
            engine.walk(Family::Dead, from.as_ref(), to.as_ref(), &mut |key, value| {
                let Some((_, key)) = keys::parse(key) else {
                    return ControlFlow::Continue(());
                };
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
