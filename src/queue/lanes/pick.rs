//! Who is next: the order in which a signal's batches are handed out.
//!
//! `fresh_first`: the fresh part of the ring is open at any time, and first what came back of it; of the backlog, returned batches
//! come first, then what is late in memory, then owed ones and those that were never leased, the older of the two. `fifo`: strictly by
//! key over all of them, the ring last; a held batch holds everything behind it.

use tokio::time::Instant;

use super::source::{Job, Origin};
use super::{Ending, Fate, Grant, Held, Lanes, Stored};
use crate::batch::Key;
use crate::config::Order;
use crate::queue::lease::{Lane, Pending, Taker};

/// What to do to lease from a lane.
#[derive(Debug)]
pub(in crate::queue) enum Step {
    /// Here it is; and a read that should begin meanwhile.
    Grant(Grant, Option<Job>),
    /// It is leased under that number; its bytes are on disk.
    Fetch(Key, Held, u64),
    /// It is being read; look again when a read ended. Perhaps that read is still to begin.
    Wait(Option<Job>),
    /// There is nothing now.
    Nothing,
}

/// Which of the backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Pick {
    /// The one whose turn it is.
    Next,
    /// The one that was leased least often; with `order: fifo` there is no choice.
    LeastTried,
}

#[derive(Clone, Copy)]
enum Next {
    Returned(Key),
    Fresh,
    Late,
    Source(Origin),
}

impl Lanes {
    /// Leases the oldest fresh batch.
    pub(in crate::queue) fn lease_fresh(&mut self, taker: Taker, now: Instant) -> Step {
        self.next_fresh(taker, now).map_or(Step::Nothing, |next| self.lease_next(next, now))
    }

    fn next_fresh(&mut self, taker: Taker, now: Instant) -> Option<Next> {
        if self.order == Order::Fifo && self.backlog_before_fresh(taker) {
            return None;
        }
        let returned = self.returned.fresh(now).map(Next::Returned);
        returned.or_else(|| self.ring.has_fresh().then_some(Next::Fresh))
    }

    fn lease_from_ring(&mut self, lane: Lane) -> Step {
        let caught_up = self.scan.cursor >= self.ring_front() && self.scan.front().is_none();
        let popped = match lane {
            Lane::Fresh => self.ring.pop_fresh(),
            Lane::Backlog => self.ring.pop_late().map(|stored| (stored, None)),
        };
        let Some((stored, came_in)) = popped else { return Step::Nothing };
        if caught_up {
            self.scan.cursor = self.ring_front(); // or the scan would look for it on disk
        }
        let held = Held { came_in, ..Held::of(&stored.batch, false) };
        Step::Grant(self.grant(stored, held), None)
    }

    /// Leases the next batch of the backlog, or says what is lacking for that.
    pub(in crate::queue) fn lease_backlog(&mut self, taker: Taker, pick: Pick, now: Instant) -> Step {
        self.next_backlog(taker, pick, now).map_or(Step::Nothing, |next| self.lease_next(next, now))
    }

    /// Leases the next batch of that lane if `takes` it and nobody got it yet. Of one that was returned, `takes` is not asked before
    /// its bytes are read.
    pub(in crate::queue) fn lease_if(
        &mut self,
        (lane, taker): (Lane, Taker),
        now: Instant,
        takes: impl FnOnce(&Stored) -> bool,
    ) -> Step {
        let next = match lane {
            Lane::Fresh => self.next_fresh(taker, now),
            Lane::Backlog => self.next_backlog(taker, Pick::Next, now),
        };
        let Some(next) = next else { return Step::Nothing };
        let taken = match next {
            Next::Returned(key) => self.returned.is_untried(key),
            Next::Fresh => self.ring.front_fresh().is_some_and(takes),
            Next::Late => self.ring.front_late().is_some_and(takes),
            Next::Source(origin) => self.source(origin).next().is_none_or(takes),
        };
        if taken { self.lease_next(next, now) } else { Step::Nothing }
    }

    fn lease_next(&mut self, next: Next, now: Instant) -> Step {
        match next {
            Next::Returned(key) => match self.returned.remove(key) {
                Some(held) => Step::Fetch(key, held, self.lease(key, held)),
                None => Step::Nothing,
            },
            Next::Fresh => self.lease_from_ring(Lane::Fresh),
            Next::Late => self.lease_from_ring(Lane::Backlog),
            Next::Source(origin) => match self.source(origin).pop() {
                Some(stored) => {
                    let held = Held::of(&stored.batch, origin == Origin::Owed);
                    let grant = self.grant(stored, held);
                    // Large ones are read when they are asked for: ahead of that they would be memory beside what is leased.
                    let large = held.weight > self.source(origin).slice;
                    let ahead = if large { None } else { self.read_ahead(origin, now) };
                    Step::Grant(grant, ahead)
                }
                None => Step::Wait(self.read_ahead(origin, now)),
            },
        }
    }

    /// What that taker could lease now.
    pub(in crate::queue) fn pending(&mut self, taker: Taker, now: Instant) -> Pending {
        let backlog = self.next_backlog(taker, Pick::Next, now).is_some();
        let fresh = self.next_fresh(taker, now).is_some();
        let held_until = match self.order {
            Order::Fifo if backlog => None,
            Order::Fifo => self.returned.first_of(taker).and_then(|(_, not_before)| not_before),
            Order::FreshFirst => self.returned.next_ready(taker, now),
        };
        let unreadable =
            [self.scan.not_before, self.owed.not_before].into_iter().flatten().filter(|at| *at > now).min();
        let held_until = held_until.into_iter().chain(unreadable).filter(|at| *at > now).min();
        let out_bytes = self.ring.bytes() + self.leased_bytes;
        Pending {
            fresh,
            backlog,
            fresh_bytes: self.ring.bytes(),
            backlog_bytes: self.books.queued_bytes.saturating_sub(out_bytes),
            laden: false, // memory is not a matter of the lanes
            held_until,
        }
    }

    fn next_backlog(&mut self, taker: Taker, pick: Pick, now: Instant) -> Option<Next> {
        if self.order == Order::Fifo && self.waits(taker) {
            return None;
        }
        if self.order == Order::FreshFirst
            && pick == Pick::Next
            && let Some(key) = self.returned.ready(taker, now)
        {
            return Some(Next::Returned(key));
        }
        if self.order == Order::FreshFirst && self.ring.has_late() {
            return Some(Next::Late);
        }
        // Those of `fresh_first` are all held, or come last.
        let returned = if self.order == Order::Fifo { self.returned.first_of(taker) } else { None };
        let scan = self.next_of(Origin::Scan).map(|key| (key, Origin::Scan));
        let owed = if taker == Taker::Primary { self.next_of(Origin::Owed) } else { None };
        let owed = owed.map(|key| (key, Origin::Owed));
        let source = match (scan, owed) {
            (Some(scan), Some(owed)) => Some(if owed.0 < scan.0 { owed } else { scan }),
            (scan, owed) => scan.or(owed),
        };
        match (returned, source) {
            (Some((key, not_before)), source) if source.is_none_or(|(ahead, _)| key < ahead) => {
                not_before.is_none_or(|at| at <= now).then_some(Next::Returned(key))
            }
            (_, Some((_, origin))) if self.can_read(origin, now) => Some(Next::Source(origin)),
            _ if self.order == Order::FreshFirst => self.returned.least_tried(taker, now).map(Next::Returned),
            (None, None) => self.ring.has_late().then_some(Next::Late),
            _ => None,
        }
    }

    /// For a FIFO: whether anything is to be served before fresh data, were it held or unreadable.
    fn backlog_before_fresh(&mut self, taker: Taker) -> bool {
        let returned = self.returned.first_of(taker).is_some();
        let owed = taker == Taker::Primary && self.next_of(Origin::Owed).is_some();
        returned || owed || self.waits(taker) || self.next_of(Origin::Scan).is_some() || self.ring.has_late()
    }

    /// Whether a batch is about to be owed, or to be split: it will come before what that taker could get now.
    fn waits(&self, taker: Taker) -> bool {
        let blocks = |fate| match fate {
            Fate::Goes => false,
            Fate::BecomesOwed => taker == Taker::Primary,
            Fate::Splits => true,
        };
        self.leased.values().any(|leased| blocks(leased.fate))
            || self.ending.values().any(|ending| matches!(ending, Ending::Lease(fate) if blocks(*fate)))
    }

    /// Whether a source has a batch ready or may be read: not right after a read failed.
    fn can_read(&mut self, origin: Origin, now: Instant) -> bool {
        let source = self.source(origin);
        source.front().is_some() || source.not_before.is_none_or(|at| at <= now)
    }

    /// The read that should begin now, if any: one a source, while little is left of what was read ahead.
    fn read_ahead(&mut self, origin: Origin, now: Instant) -> Option<Job> {
        if !self.source(origin).runs_low() || self.source(origin).not_before.is_some_and(|at| at > now) {
            return None;
        }
        let range = self.unread(origin)?;
        let mut skip: Vec<Key> = self.leased.range(range.clone()).map(|(key, _)| *key).collect();
        skip.extend(self.ending.range(range.clone()).map(|(key, _)| *key));
        skip.extend(self.returned.keys_in(range.clone()));
        skip.sort_unstable();
        let bytes = self.source(origin).slice;
        let generation = self.source(origin).begin(range.end);
        Some(Job { signal: self.signal, origin, range, skip, bytes, generation })
    }
}
