//! When space is to be given back, and how far a drain may run ahead of that.
//!
//! What is settled frees space only once the keeping thread had the store flushed and compacted, which takes several fsyncs. A
//! drain from memory or from a fast disk is faster than those, so the reading thread waits here for the keeping one.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::store::Family;
use crate::batch::Signal;

const MIB: u64 = 1 << 20;

/// Each time so many bytes of a family were freed, the disk is looked at.
pub(super) const LOOK: u64 = 32 * MIB;
/// A reclaim is due once so many bytes of a family were freed while the store is wasteful, and
const ENOUGH: u64 = 48 * MIB;
/// so many bytes and an eighth of what is queued may be settled from the begin of one reclaim to the end of the next. For the rest the
/// reader waits, this long at most.
const AHEAD: u64 = 96 * MIB;
const PATIENCE: Duration = Duration::from_secs(1);
/// The store is wasteful when it takes more than an eighth and this above what is queued. This is the write-ahead log, mostly:
/// while what comes is settled at once, there is nothing to give back.
const SLACK: u64 = 128 * MIB;
/// A reclaim is due after this time while something is freed and half the quota is in use, too.
const SOON: Duration = Duration::from_secs(10);

/// How far each family was reclaimed.
#[derive(Debug)]
pub(super) struct Reclaims {
    last: Mutex<[Last; Family::ALL.len()]>,
    ended: Condvar,
}

/// When the last reclaim of a family began, and how much of it was freed by then.
#[derive(Debug, Clone, Copy)]
struct Last {
    at: Instant,
    freed: u64,
}

impl Reclaims {
    /// Of a queue of which nothing was freed yet.
    pub(super) fn new() -> Reclaims {
        let never = Last { at: Instant::now(), freed: 0 };
        Reclaims { last: Mutex::new([never; Family::ALL.len()]), ended: Condvar::new() }
    }

    /// Lets who waits look again.
    pub(super) fn wake(&self) {
        self.ended.notify_all();
    }
}

impl Shared {
    /// Counts what left a family, and has the disk looked at now and then.
    pub(super) fn freed(&self, family: Family, bytes: u64) {
        let counter = &self.counts.freed_bytes[family.index()];
        let before = counter.get() / LOOK;
        counter.add(bytes);
        if counter.get() / LOOK > before {
            self.pulse.hurry();
        }
    }

    /// Whether space of a family is to be given back now.
    pub(super) fn reclaim_is_due(&self, family: Family) -> bool {
        let last = self.reclaims.last.lock().unwrap_or_else(PoisonError::into_inner)[family.index()];
        let freed = self.counts.freed_bytes[family.index()].get() - last.freed;
        let waited = last.at.elapsed() >= SOON;
        let half = self.space.used() > self.space.limit() / 2;
        (freed >= ENOUGH && self.is_wasteful())
            || (self.space.is_full() && (freed > 0 || waited))
            || (freed > 0 && half && waited)
    }

    /// Notes that space of a family was given back, begun when so much of it was freed.
    pub(super) fn reclaimed(&self, family: Family, at: Instant, freed: u64) {
        self.reclaims.last.lock().unwrap_or_else(PoisonError::into_inner)[family.index()] = Last { at, freed };
        self.reclaims.wake();
    }

    /// Waits while the drain of a signal is too far ahead of the reclaim.
    pub(super) fn await_reclaim(&self, signal: Signal) {
        let last = self.reclaims.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at anew each time: a reclaim that ended meanwhile may have begun after this wait did.
        let place = Family::Records(signal).index();
        let freed = &self.counts.freed_bytes[place];
        let much = AHEAD + self.queued() / 8;
        let ahead = |last: &mut [Last; Family::ALL.len()]| freed.get() - last[place].freed >= much && self.is_open();
        if self.is_wasteful() {
            drop(self.reclaims.ended.wait_timeout_while(last, PATIENCE, ahead));
        }
    }

    fn is_wasteful(&self) -> bool {
        let queued = self.queued();
        self.space.used() > queued + queued / 8 + SLACK
    }

    fn queued(&self) -> u64 {
        Signal::ALL.map(|signal| self.lanes(signal).books.queued_bytes).iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::config::QueueConfig;
    use crate::queue::clock::{Clock, Machine};
    use crate::queue::memory::Budget;
    use crate::queue::space::Measurement;

    /// Scenario: a drain waits, more is settled meanwhile, and a reclaim ends that began after all of it; at many moments of the
    /// wait. Guarantee: the wait ends, as one of which the reclaim is ahead.
    #[test]
    fn a_reclaim_may_begin_after_the_wait_for_it() {
        let config = QueueConfig::default();
        let shared = Arc::new(Shared::new(&config, Clock::new(Box::new(Machine)), &Budget::of(&config)));
        shared.opened();
        shared.space.measured(Measurement { used: 1 << 40, ..Measurement::default() }, 0);
        let family = Family::Records(Signal::Logs);
        let freed = &shared.counts.freed_bytes[family.index()];
        for round in 0..200 {
            freed.add(2 * AHEAD);
            let waiting = thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.await_reclaim(Signal::Logs)
            });
            (0..round).for_each(|_| thread::yield_now());
            freed.add(1);
            shared.reclaimed(family, Instant::now(), freed.get());
            waiting.join().expect("it does not count below nothing");
        }
    }
}
