//! The plain model: what is queued, and the accounts.

use std::collections::BTreeMap;

use crate::batch::{Key, Signal};
use crate::queue::ledger::{DeadReason, DropReason, Ledger};

/// All that is queued of each signal, and the accounts of what is not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plain {
    pub(super) lines: [Line; 3],
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Line {
    pub(super) live: BTreeMap<Key, Entry>,
    accounts: Ledger,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) items: u32,
    pub(super) weight: u64,
    pub(super) owed: bool,
    pub(super) parked: bool,
    pub(super) leased: bool,
}

/// How a lease ended, as the model sees it.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    Delivered { rejected: u32 },
    Dead,
    Dropped,
    Owed,
    Back,
    Parked,
    Split(Vec<(Key, u32, u64)>),
}

impl Plain {
    pub(super) fn line(&mut self, signal: Signal) -> &mut Line {
        &mut self.lines[signal.index()]
    }

    /// What was leased when the process ended is queued for the next one.
    pub(super) fn forget_leases(&mut self) {
        for entry in self.lines.iter_mut().flat_map(|line| line.live.values_mut()) {
            entry.leased = false;
        }
    }

    /// The books, as far as they are predicted: next sequence and low are not.
    pub(super) fn books(&self) -> [Ledger; 3] {
        std::array::from_fn(|signal| self.lines[signal].books())
    }
}

impl Line {
    pub(super) fn append(&mut self, key: Key, items: u32, weight: u64) {
        self.accounts.accepted += u64::from(items);
        self.live.insert(key, Entry { items, weight, owed: false, parked: false, leased: false });
    }

    /// Ends a lease; one of a batch that was dropped meanwhile changes nothing.
    pub(super) fn end(&mut self, key: Key, how: &Ended) {
        let Some(entry) = self.live.get_mut(&key) else { return };
        entry.leased = false;
        let (whole, items) = (*entry, u64::from(entry.items));
        match how {
            Ended::Back => return,
            Ended::Owed => return entry.owed = true,
            Ended::Parked => return entry.parked = true,
            Ended::Delivered { rejected } => {
                self.accounts.rejected += u64::from(*rejected);
                self.accounts.delivered += items - u64::from(*rejected);
            }
            Ended::Dead => self.accounts.dead[DeadReason::TooLarge as usize] += items,
            Ended::Dropped => self.accounts.dropped[DropReason::EndpointError as usize] += items,
            Ended::Split(parts) => {
                self.live.extend(
                    parts.iter().map(|(key, items, weight)| (*key, Entry { items: *items, weight: *weight, ..whole })),
                );
            }
        }
        self.live.remove(&key);
    }

    /// Removes what lies below a key. What a fallback has counts as delivered there.
    pub(super) fn drop_below(&mut self, below: Key) {
        let kept = self.live.split_off(&below);
        for entry in std::mem::replace(&mut self.live, kept).into_values() {
            let (books, items) = (&mut self.accounts, u64::from(entry.items));
            if entry.owed {
                books.delivered += items;
                books.owed_released += items;
            } else {
                books.dropped[DropReason::Purged as usize] += items;
            }
        }
    }

    fn books(&self) -> Ledger {
        let mut books = self.accounts;
        for entry in self.live.values() {
            let items = u64::from(entry.items);
            books.queued += items;
            books.queued_batches += 1;
            books.queued_bytes += entry.weight;
            books.owed += if entry.owed { items } else { 0 };
            if entry.parked {
                books.parked += items;
                books.parked_batches += 1;
                books.parked_bytes += entry.weight;
            }
        }
        books
    }
}
