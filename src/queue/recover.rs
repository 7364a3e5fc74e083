//! What a store holds when it is opened, and the first write to it.
//!
//! That write is the probe, too: a store that does not take it, synced, is not open.

use super::clock::Clock;
use super::codec::{books as ledger, meta};
use super::error::StoreError;
use super::intervals::Intervals;
use super::lanes::Held;
use super::ledger::{DropReason, Ledger};
use super::losses::Losses;
use super::recount::{read_books, read_intervals, read_parked};
use super::salvage::watermark::{Watermark, came};
use super::store::{Engine, Family, keys};
use crate::batch::{Key, Signal};
use crate::config::Durability;

/// After an end without close under `interval` or `os`, sequence numbers go on this far ahead: some may have been given to
/// records that are gone, and more than this cannot fit into the logs that were not synced.
const SEQUENCE_GAP: u64 = 1 << 32;

/// What a store holds when it is opened.
pub(super) struct Recovered {
    pub store: u64,
    pub epoch: u32,
    pub books: [Ledger; 3],
    pub intervals: [Intervals; 3],
    pub parked: [Vec<(Key, Held)>; 3],
    pub dead: meta::Dead,
    /// Whether the store was closed by whoever had it before.
    pub clean: bool,
}

/// Reads what is needed to go on, whatever the length of the backlog, and raises the epoch, synced.
/// `watermark` is what was said of the store beside it, last.
pub(super) fn recover(
    engine: &dyn Engine,
    durability: Durability,
    clock: &Clock,
    watermark: Option<&Watermark>,
) -> Result<Recovered, StoreError> {
    let number = |key: &[u8]| -> Result<Option<u64>, StoreError> {
        let bytes = engine.get(Family::Meta, key)?;
        let number = bytes.map(|bytes| bytes.as_slice().try_into().map(u64::from_le_bytes));
        number.transpose().map_err(|_| StoreError::damaged("a number in the store's head means nothing"))
    };
    let store = number(keys::STORE)?.unwrap_or_else(rand::random);
    let epoch = number(keys::EPOCH)?.unwrap_or(0) + 1;
    let mark = watermark.filter(|mark| (mark.store, mark.epoch + 1) == (store, epoch));
    let run = match engine.get(Family::Meta, keys::RUN)? {
        Some(bytes) => meta::Run::decode(&bytes).map_err(|error| StoreError::damaged(error.to_string()))?,
        None => meta::Run::Closed,
    };
    let dead = match engine.get(Family::Meta, keys::DEAD)? {
        Some(bytes) => meta::Dead::decode(&bytes).map_err(|error| StoreError::damaged(error.to_string()))?,
        None => meta::Dead::default(),
    };
    let reading = engine.get(Family::Meta, keys::CLOCK)?.map(|bytes| meta::Reading::decode(&bytes)).transpose();
    clock.resume(reading.map_err(|error| StoreError::damaged(error.to_string()))?);
    let (mut books, mut intervals, mut parked) = <([Ledger; 3], [Intervals; 3], [Vec<_>; 3])>::default();
    let mut changes = engine.begin(1024);
    for signal in Signal::ALL {
        let index = signal.index();
        books[index] = read_books(engine, signal)?;
        intervals[index] = read_intervals(engine, signal)?;
        parked[index] = read_parked(engine, signal)?;
        if matches!(run, meta::Run::Open(Durability::Interval | Durability::Os)) {
            if let Some(mark) = mark {
                count_lost(&mut books[index], &mark.books[index], signal);
            }
            books[index].next_seq += SEQUENCE_GAP;
            if books[index].queued_batches == books[index].parked_batches {
                books[index].low = books[index].next_seq;
            }
            changes.set(Family::Meta, &keys::books(signal), &ledger::encode(&books[index]));
        }
    }
    changes.set(Family::Meta, keys::STORE, &store.to_le_bytes());
    changes.set(Family::Meta, keys::EPOCH, &epoch.to_le_bytes());
    changes.set(Family::Meta, keys::RUN, &meta::Run::Open(durability).encode());
    changes.set(Family::Meta, keys::CLOCK, &clock.reading().encode());
    changes.commit(true)?;
    let epoch = u32::try_from(epoch).map_err(|_| StoreError::failed("the store was opened too often"))?;
    let queued: u64 = books.iter().map(|books| books.queued_batches).sum();
    let clean = run == meta::Run::Closed;
    tracing::info!(epoch, queued, clean, "queue opened");
    Ok(Recovered { store, epoch, books, intervals, parked, dead, clean })
}

/// Books what a loss of power took: what came in by the mark and not by the books, as far as it was still queued by the
/// mark. What was delivered before it was lost is in neither account.
fn count_lost(books: &mut Ledger, mark: &Ledger, signal: Signal) {
    let lost = came(mark).saturating_sub(came(books)).min(mark.queued);
    if lost > 0 {
        let batches = mark.next_seq.saturating_sub(books.next_seq);
        Losses::default().dropped_many(books, signal, DropReason::LostUnsynced, batches, lost);
        books.accepted += lost;
    }
    books.next_seq = books.next_seq.max(mark.next_seq);
}
