//! The books after damage: counted anew from what is there, and the difference booked.
//!
//! A set of changes that is gone cuts both ways. Its appends are lost: *queued* is less than the ledger says, and the
//! difference is dropped with reason `store_damage`. Its settles are lost, too: those batches are live again, will be
//! delivered again, and are taken out of the accounts that counted them. Both may have happened at once, so what is known to
//! be missing is never netted against what came back.

use std::ops::ControlFlow;

use super::note::Note;
use super::wal::Gap;
use super::watermark::{Watermark, came};
use crate::batch::{Key, Signal};
use crate::queue::codec::{books as codec, meta, twin::Twin};
use crate::queue::error::StoreError;
use crate::queue::intervals::{Edit, Intervals};
use crate::queue::ledger::{DropReason, Ledger};
use crate::queue::losses::Losses;
use crate::queue::recount::{read_books, read_intervals, read_parked};
use crate::queue::store::{Engine, Family, View, keys};

/// Sequence numbers go on this far ahead: some may have been given to batches of which nothing is left.
const SEQUENCE_GAP: u64 = 1 << 32;
/// The salvage that the books are already right about.
pub(super) const SALVAGED: &[u8] = b"salvaged";

/// What a count of one signal's index found.
#[derive(Debug, Default)]
struct Count {
    batches: u64,
    items: u64,
    bytes: u64,
    owed: u64,
    parked: (u64, u64, u64),
    first: Option<u64>,
    last: Option<u64>,
    in_gaps: u64,
}

/// Brings the books into line with what is there, as one synced set of changes. `missing` are items, by signal, that are
/// known to be gone apart from the note's gaps.
pub(super) fn reckon(
    engine: &dyn Engine,
    note: &Note,
    watermark: Option<&Watermark>,
    missing: [u64; 3],
) -> Result<(), StoreError> {
    if engine.get(Family::Meta, SALVAGED)?.is_some_and(|id| id == note.id.to_le_bytes()) {
        return Ok(()); // it was killed between the books and the note
    }
    let mut changes = engine.begin(4096);
    for signal in Signal::ALL {
        let index = signal.index();
        let mut books = read_books(engine, signal)?;
        let mut lost_end = None;
        if let Some(mark) = watermark.map(|watermark| watermark.books[index])
            && came(&mark) > came(&books)
        {
            // What the store's own ledger does not know of came last and is gone.
            let (from, to) = (books.next_seq, mark.next_seq);
            lost_end = Some(Gap { signal, from, to, items: came(&mark) - came(&books) });
            books = Ledger { next_seq: to.max(from), ..mark };
        }
        let owed = tidy_intervals(&read_intervals(engine, signal)?);
        let gaps: Vec<Gap> = note.gaps.iter().filter(|gap| gap.signal == signal).copied().chain(lost_end).collect();
        let count = count(engine, signal, &owed, &gaps)?;
        let known = gaps.iter().map(|gap| gap.items).sum::<u64>().saturating_sub(count.in_gaps) + missing[index];
        let before = books;
        settle(&mut books, &count, known, signal);
        changes.set(Family::Meta, &keys::books(signal), &codec::encode(&books));
        rewrite_intervals(engine, changes.as_mut(), signal, &owed)?;
        say(signal, note, &before, &books, &gaps);
    }
    if let Some(dead) = dead(engine) {
        changes.set(Family::Meta, keys::DEAD, &dead.encode());
    }
    changes.set(Family::Meta, SALVAGED, &note.id.to_le_bytes());
    changes.commit(true)
}

/// The arithmetic: what is there is queued, what is known to be missing is dropped, what came back was never settled.
fn settle(books: &mut Ledger, count: &Count, known: u64, signal: Signal) {
    let lost = books.queued.saturating_sub(count.items).max(known);
    let mut back = lost + count.items - books.queued; // no less than 0: `lost` is at least the difference
    (books.queued, books.queued_batches, books.queued_bytes) = (count.items, count.batches, count.bytes);
    (books.parked, books.parked_batches, books.parked_bytes) = count.parked;
    books.owed = count.owed;
    if lost > 0 {
        Losses::default().dropped(books, signal, DropReason::StoreDamage, lost);
    }
    let damage = DropReason::StoreDamage as usize;
    let dropped = books.dropped.iter_mut().enumerate().filter(|(reason, _)| *reason != damage).map(|(_, items)| items);
    let accounts = [&mut books.delivered, &mut books.rejected].into_iter().chain(&mut books.dead).chain(dropped);
    for account in accounts {
        let taken = back.min(*account);
        *account -= taken;
        back -= taken;
    }
    books.accepted += back; // more is there than was ever counted: the last ledgers are gone
    // A ledger that does not add up by itself was written by a bug: what is in no account is lost.
    let apart = u64::try_from(books.imbalance().unsigned_abs()).unwrap_or(u64::MAX);
    match books.imbalance() {
        0 => {}
        ..0 => books.accepted += apart,
        1.. => Losses::default().dropped(books, signal, DropReason::StoreDamage, apart),
    }
    books.next_seq = books.next_seq.max(count.last.map_or(1, |last| last + 1)) + SEQUENCE_GAP;
    books.low = count.first.unwrap_or(books.next_seq);
}

fn count(view: &dyn View, signal: Signal, owed: &Intervals, gaps: &[Gap]) -> Result<Count, StoreError> {
    let (mut count, mut garbled) = (Count::default(), Ok(()));
    for (key, held) in read_parked(view, signal)? {
        let items = u64::from(held.items);
        let (parked_items, batches, bytes) = count.parked;
        count.parked = (parked_items + items, batches + 1, bytes + held.weight);
        count.batches += 1;
        count.items += items;
        count.bytes += held.weight;
        count.owed += if held.owed { items } else { 0 };
        count.last = count.last.max(Some(key.seq));
        count.in_gaps += if in_gap(gaps, key) { items } else { 0 };
    }
    let (from, to) = (keys::of(signal, Key::new(0)), keys::of(signal, Key::new(u64::MAX)));
    view.walk(Family::Index, from.as_ref(), to.as_ref(), &mut |key, value| {
        let (Some((_, key)), Ok(twin)) = (keys::parse(key), Twin::decode(value)) else {
            garbled = Err(StoreError::damaged("an index entry means nothing"));
            return ControlFlow::Break(());
        };
        let items = u64::from(twin.items);
        count.batches += 1;
        count.items += items;
        count.bytes += twin.weight;
        count.owed += if owed.contains(key) { items } else { 0 };
        count.first = count.first.or(Some(key.seq));
        count.last = count.last.max(Some(key.seq));
        count.in_gaps += if in_gap(gaps, key) { items } else { 0 };
        ControlFlow::Continue(())
    })?;
    garbled.map(|()| count)
}

fn in_gap(gaps: &[Gap], key: Key) -> bool {
    gaps.iter().any(|gap| (gap.from..gap.to).contains(&key.seq))
}

/// Edits that are gone may have left intervals across each other: they become one.
fn tidy_intervals(found: &Intervals) -> Intervals {
    let mut tidy = Intervals::default();
    let mut last = None::<(Key, Key)>;
    for (first, end) in found.iter() {
        let joined = match last {
            Some((start, before)) if first <= before => (start, end.max(before)),
            _ => (first, end),
        };
        tidy.apply(Edit::Set(joined.0, joined.1));
        last = Some(joined);
    }
    tidy
}

fn rewrite_intervals(
    view: &dyn View,
    changes: &mut dyn crate::queue::store::Changes,
    signal: Signal,
    tidy: &Intervals,
) -> Result<(), StoreError> {
    let found = read_intervals(view, signal)?;
    if found != *tidy {
        for (first, _) in found.iter() {
            changes.delete(Family::Owed, keys::of(signal, first).as_ref());
        }
        for (first, last) in tidy.iter() {
            changes.set(Family::Owed, keys::of(signal, first).as_ref(), last.encode().as_ref());
        }
    }
    Ok(())
}

/// Dead letters held; `None` where they cannot be counted, and the last word on them stands.
fn dead(view: &dyn View) -> Option<meta::Dead> {
    let mut dead = meta::Dead::default();
    let (from, to) = (keys::of(Signal::Traces, Key::new(0)), [u8::MAX]);
    view.walk(Family::Dead, from.as_ref(), &to, &mut |_, letter| {
        dead.batches += 1;
        dead.bytes += letter.len() as u64;
        ControlFlow::Continue(())
    })
    .ok()?;
    Some(dead)
}

fn say(signal: Signal, note: &Note, before: &Ledger, after: &Ledger, gaps: &[Gap]) {
    let damage = DropReason::StoreDamage as usize;
    let ranges: Vec<_> = gaps.iter().map(|gap| format!("{}..{}", gap.from, gap.to)).collect();
    tracing::error!(
        %signal,
        damage = note.why,
        sequences = ranges.join(", "),
        lost_items = after.dropped[damage] - before.dropped[damage],
        queued_before = before.queued,
        queued = after.queued,
        delivered_before = before.delivered,
        delivered = after.delivered,
        "the queue's books after damage"
    );
}
