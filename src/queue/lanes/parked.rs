//! Suspects, out of the line: each is tried alone, and after a try all others come first.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Held;
use crate::batch::Key;
use crate::queue::lease::Taker;

#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: BTreeMap<Key, Waiting>,
    out: Option<Out>,
    tries: u64,
}

#[derive(Debug)]
struct Waiting {
    held: Held,
    /// How many tries, of whichever batch, there had been when this one was left alone.
    since: u64,
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Out {
    key: Key,
    held: Held,
    number: u64,
    /// Its settle is being written.
    ending: bool,
}

impl Parked {
    pub(super) fn add(&mut self, key: Key, held: Held) {
        let held = Held { parked: true, attempts: 0, came_in: None, ..held };
        self.waiting.insert(key, Waiting { held, since: self.tries, not_before: None });
    }

    pub(super) fn lease(&mut self, taker: Taker, now: Instant, number: u64) -> Option<(Key, Held)> {
        if self.out.is_some() {
            return None;
        }
        let may_go = |waiting: &Waiting| {
            !waiting.held.barred
                && waiting.not_before.is_none_or(|at| at <= now)
                && (taker == Taker::Primary || !waiting.held.owed)
        };
        let ready = self.waiting.iter().filter(|(_, waiting)| may_go(waiting));
        let key = ready.min_by_key(|(_, waiting)| waiting.since).map(|(key, _)| *key)?;
        let held = self.waiting.remove(&key)?.held;
        self.tries += 1;
        self.out = Some(Out { key, held, number, ending: false });
        Some((key, held))
    }

    pub(super) fn give_back(&mut self, key: Key, number: u64, counts: bool, not_before: Option<Instant>) -> bool {
        let Some(out) = self.out.take_if(|out| out.key == key && out.number == number && !out.ending) else {
            return false;
        };
        let held = Held { attempts: out.held.attempts + u32::from(counts), ..out.held };
        self.waiting.insert(key, Waiting { held, since: self.tries, not_before });
        true
    }

    /// Forgets a batch; a lease of it is not current any more.
    pub(super) fn remove(&mut self, key: Key) {
        self.waiting.remove(&key);
        self.out.take_if(|out| out.key == key);
    }

    pub(super) fn begin_settle(&mut self, key: Key, number: u64) -> Option<Held> {
        let out = self.out.as_mut().filter(|out| out.key == key && out.number == number && !out.ending)?;
        out.ending = true;
        Some(out.held)
    }

    pub(super) fn end_settle(&mut self, key: Key) {
        self.out.take_if(|out| out.key == key && out.ending);
    }
}
