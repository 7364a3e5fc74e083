//! The one recorder that every removal of undelivered data goes through: the ledger counts it, and a log line says it.

use std::time::{Duration, Instant};

use super::ledger::{DeadReason, DropReason, Ledger};
use crate::batch::Signal;

/// A kind of loss is logged at most this often, with the sum since the last line.
const LOG_EVERY: Duration = Duration::from_secs(30);
/// Dead letters by reason, drops by reason, and what was owed.
const KINDS: usize = DeadReason::ALL.len() + DropReason::ALL.len() + 1;

/// What was removed but not said yet.
#[derive(Debug, Default)]
pub(super) struct Losses([[Loss; KINDS]; 3]);

#[derive(Debug, Default, Clone, Copy)]
struct Loss {
    items: u64,
    batches: u64,
    said: Option<Instant>,
}

impl Losses {
    /// Counts a batch as moved to the dead letters.
    pub(super) fn dead(&mut self, books: &mut Ledger, signal: Signal, reason: DeadReason, items: u64) {
        books.dead[reason as usize] += items;
        self.note(signal, reason as usize, [reason.as_str(), "batches moved to the dead letters"], 1, items);
    }

    /// Counts a batch as removed undelivered.
    pub(super) fn dropped(&mut self, books: &mut Ledger, signal: Signal, reason: DropReason, items: u64) {
        self.dropped_many(books, signal, reason, 1, items);
    }

    /// Counts batches as removed undelivered.
    pub(super) fn dropped_many(
        &mut self,
        books: &mut Ledger,
        signal: Signal,
        reason: DropReason,
        batches: u64,
        items: u64,
    ) {
        books.dropped[reason as usize] += items;
        let kind = DeadReason::ALL.len() + reason as usize;
        self.note(signal, kind, [reason.as_str(), "batches dropped undelivered"], batches, items);
    }

    /// Counts batches that a fallback has, and the primary will not get, as delivered.
    pub(super) fn released(&mut self, books: &mut Ledger, signal: Signal, batches: u64, items: u64) {
        books.delivered += items;
        books.owed_released += items;
        let words = ["owed", "batches released that a fallback has and the primary was still to get"];
        self.note(signal, KINDS - 1, words, batches, items);
    }

    fn note(&mut self, signal: Signal, kind: usize, [reason, what]: [&str; 2], batches: u64, items: u64) {
        if batches == 0 {
            return;
        }
        let loss = &mut self.0[signal.index()][kind];
        loss.items += items;
        loss.batches += batches;
        if loss.said.is_none_or(|said| said.elapsed() >= LOG_EVERY) {
            tracing::warn!(%signal, reason, batches = loss.batches, items = loss.items, "{what}");
            *loss = Loss { said: Some(Instant::now()), ..Loss::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_an_account_of_its_own() {
        let (mut losses, mut books) = (Losses::default(), Ledger::default());
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            losses.dropped(&mut books, Signal::Logs, reason, index as u64 + 1);
            assert_eq!(books.dropped[index], index as u64 + 1);
        }
        for (index, reason) in DeadReason::ALL.into_iter().enumerate() {
            losses.dead(&mut books, Signal::Logs, reason, index as u64 + 1);
            assert_eq!(books.dead[index], index as u64 + 1);
        }
    }
}
