//! What was removed undelivered, judged from outside: what went against what hubs have, what the books say, and the rules.

use std::collections::BTreeSet;
use std::time::Duration;

use super::load::numbers;
use super::oracle::Oracle;
use crate::batch::{Batch, Signal};
use crate::config::WhenFull;
use crate::queue::ledger::DropReason;
use crate::queue::stepping::{Gone, LOOK_EVERY};

/// A request that was under way may arrive so long after its batch was removed: a timeout and a bit.
const UNDER_WAY: Duration = Duration::from_secs(11);

/// A batch that grows too old may still arrive so long after: two looks, requests under way, a slow disk, a gateway that is away.
const LATE: Duration = Duration::from_secs(50 + 2 * LOOK_EVERY.as_secs());

impl Oracle<'_> {
    /// The items that were removed.
    pub(super) fn gone(&self, signal: Signal) -> BTreeSet<u64> {
        let gone = self.world.gone.lock().unwrap();
        gone.iter()
            .filter(|gone| gone.signal == signal)
            .flat_map(|gone| gone.batches.values())
            .flat_map(items_of)
            .collect()
    }

    /// Whatever was removed was too old or too much, is in the books by its reason, and stays away.
    pub(super) fn losses_are_counted(&self) {
        let gone = self.world.gone.lock().unwrap();
        for signal in Signal::ALL {
            let books = self.life.queue.snapshot().signals[signal.index()].books;
            let (mut dropped, mut released) = ([0; DropReason::ALL.len()], 0);
            for gone in gone.iter().filter(|gone| gone.signal == signal) {
                dropped[gone.reason as usize] += gone.dropped;
                released += gone.released;
            }
            let counted = (books.dropped, books.owed_released, books.rejected);
            assert_eq!(counted, (dropped, released, 0), "I1: {signal}\n{}", self.story());
        }
        gone.iter().for_each(|gone| self.is_fair(gone));
        self.nothing_is_too_old();
    }

    fn is_fair(&self, gone: &Gone) {
        let Gone { signal, reason, dropped, released, .. } = gone;
        let told = || format!("{signal} {reason:?} at {:?}\n{}", gone.at - self.world.start, self.story());
        let items: BTreeSet<u64> = gone.batches.values().flat_map(items_of).collect();
        assert_eq!(items.len() as u64, dropped + released, "I1: {}", told());
        let mut taken = BTreeSet::new();
        for took in self.world.peers.iter().flat_map(|peer| peer.took()).filter(|took| took.signal == *signal) {
            let back = self.world.start + took.at > gone.at + UNDER_WAY && items.contains(&took.item);
            assert!(!back, "{took:?} was removed before: {}", told());
            taken.insert(took.item);
        }
        assert!(
            items.difference(&taken).count() as u64 <= *dropped,
            "I1: released, and no fallback has it: {}",
            told()
        );
        let lost = gone.batches.iter().filter(|(_, batch)| items_of(batch).iter().all(|item| !taken.contains(item)));
        let last = lost.map(|(key, _)| *key).max();
        assert!(last.is_none_or(|last| gone.first_left.is_none_or(|left| last < left)), "not the oldest: {}", told());
        let age = self.world.fate.max_age[signal.index()].unwrap_or_default();
        match reason {
            DropReason::MaxAge => {
                let young = items.iter().find(|item| gone.at - self.world.load.sent(**item) < age);
                assert!(young.is_none(), "{young:?} was not older than {age:?}: {}", told());
            }
            _ if self.world.fate.when_full[signal.index()] == WhenFull::Backpressure => {
                assert_eq!(*dropped, 0, "dropped with backpressure: {}", told());
            }
            _ => {}
        }
    }

    fn nothing_is_too_old(&self) {
        for took in self.world.peers.iter().flat_map(|peer| peer.took()) {
            let Some(age) = self.world.fate.max_age[took.signal.index()] else { continue };
            let sent = self.world.load.sent(took.item);
            assert!(
                self.world.start + took.at < sent + age + LATE,
                "{took:?} came {:?} after it was sent, {age:?} allowed\n{}",
                self.world.start + took.at - sent,
                self.story()
            );
        }
    }
}

fn items_of(batch: &Batch) -> Vec<u64> {
    numbers(batch).unwrap()
}
