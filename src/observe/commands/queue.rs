//! Looks into the queue.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::wire::{Bundle, Counted, Import, Imported, Purge, Record, SignalStats, Stats};
use super::{Answer, Ask, Json, Open, Refusal};
use crate::batch::{Key, Signal};
use crate::observe::account::Account;
use crate::queue::Removed;
use crate::queue::ledger::DropReason;
use crate::queue::snapshot::{Depth, Recount};
use crate::queue::tools::{Checked, Entry, Page, Select, key_text};

#[derive(Deserialize)]
pub(super) struct Figures {
    /// Whether to count the index, which takes a while on a long backlog.
    #[serde(default)]
    recount: bool,
}

pub(super) async fn stats(Open(queue): Open, Ask(ask): Ask<Figures>) -> Answer<Stats> {
    let recount = match ask.recount {
        true => Some(queue.recount().await?),
        false => None,
    };
    let snapshot = queue.snapshot();
    let mut signals = BTreeMap::new();
    for signal in Signal::ALL {
        let (depth, index) = (&snapshot.signals[signal.index()], signal.index());
        let mut stats = signal_stats(depth, recount.as_ref().map(|counts| &counts[index]));
        if stats.oldest_ms.is_none() && stats.batches > 0 {
            // It is looked up now and then, and was not yet.
            let first = queue.list(Select::all(signal), 1).await?.found;
            stats.oldest_ms = first.first().map(|entry| entry.received_at_ms);
        }
        signals.insert(signal, stats);
    }
    let (dead_letters, dead_letters_bytes) = snapshot.dead_letters;
    Ok(Json(Stats {
        state: snapshot.state.as_str().to_owned(),
        disk_bytes: queue.disk_bytes(),
        capacity_bytes: snapshot.capacity_bytes,
        disk_free_bytes: snapshot.disk_free_bytes,
        dead_letters,
        dead_letters_bytes,
        signals,
    }))
}

fn signal_stats(depth: &Depth, recount: Option<&Recount>) -> SignalStats {
    SignalStats {
        batches: depth.books.queued_batches,
        bytes: depth.books.queued_bytes,
        leased_batches: depth.leased_batches,
        oldest_ms: depth.oldest_ms,
        books: Account::of(&depth.books),
        recount: recount.map(|count| Counted {
            batches: count.batches,
            items: count.items,
            bytes: count.bytes,
            imbalance: count.imbalance(),
        }),
    }
}

/// Keeps a list from being longer than it is asked for.
#[derive(Deserialize)]
pub(super) struct Limit {
    #[serde(default = "most")]
    limit: usize,
}

fn most() -> usize {
    usize::MAX
}

pub(super) async fn batches(
    Open(queue): Open,
    Ask(select): Ask<Select>,
    Ask(Limit { limit }): Ask<Limit>,
) -> Answer<Page<Entry>> {
    Ok(Json(queue.list(select, limit).await?))
}

pub(super) async fn records(Open(queue): Open, Ask(select): Ask<Select>) -> Answer<Page<Record>> {
    let Page { found, next } = queue.copies(select).await?;
    Ok(Json(Page { found: found.iter().map(Record::of).collect(), next }))
}

#[derive(Deserialize)]
pub(super) struct From {
    pub(super) signal: Signal,
    #[serde(default)]
    pub(super) parked: bool,
    #[serde(default = "beginning", with = "key_text")]
    pub(super) from: Key,
}

fn beginning() -> Key {
    Key::new(0)
}

pub(super) async fn verify(Open(queue): Open, Ask(From { signal, parked, from }): Ask<From>) -> Answer<Checked> {
    Ok(Json(queue.verify(signal, parked, from).await?))
}

pub(super) async fn purge(Open(queue): Open, Json(purge): Json<Purge>) -> Answer<Removed> {
    Ok(Json(queue.drop_below(purge.signal, purge.below, DropReason::Purged).await?))
}

pub(super) async fn import(Open(queue): Open, Json(Import { batches, mark }): Json<Import>) -> Answer<()> {
    let read = |bundle: Bundle| bundle.content.batch(bundle.signal).filter(|batch| batch.items > 0);
    let batches: Option<Vec<_>> = batches.into_iter().map(read).collect();
    let batches = batches.ok_or_else(|| Refusal::wrong("a body is no base64, or has no items"))?;
    queue.import(batches, mark).await?;
    Ok(Json(()))
}

#[derive(Deserialize)]
pub(super) struct Token {
    token: u64,
}

pub(super) async fn imported(Open(queue): Open, Ask(Token { token }): Ask<Token>) -> Answer<Imported> {
    Ok(Json(Imported { line: queue.imported(token).await? }))
}

pub(super) async fn sync(Open(queue): Open) -> Answer<()> {
    queue.sync().await?;
    Ok(Json(()))
}
