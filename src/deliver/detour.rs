//! How batches that a target does not take are passed where the order is strict (`order: fifo`).
//!
//! The one at the head is kept aside while one other goes to the same target: taken, the other is the witness; not taken, the target
//! is at fault. Either way the one kept aside goes next, so that order is broken by one batch at most, and only where a target
//! turned well in between. Where the other is bad, too, it comes to be kept aside as well, and a third one goes: else two bad batches
//! in a row would end the signal.

use std::collections::VecDeque;

use crate::queue::Lease;

/// Every so many refusals of the batch at the head another one is let past it: not at each, since a target that was sick and is
/// well again should get the head first in most cases. A breaker's trial is the exception, as each that fails costs minutes, and
/// costs them the other signals too.
pub const PASSED_EVERY: u32 = 3;

/// Most batches that are kept aside at a time: a client sends a bad one again and again, perhaps.
const MOST: usize = 8;

/// The batches that wait while others pass them, for one target.
#[derive(Debug, Default)]
pub struct Detour {
    /// The oldest first.
    aside: VecDeque<Lease>,
    turn: Turn,
}

/// Who goes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Who is first in the queue.
    #[default]
    Queue,
    /// The same, past those who are kept aside;
    Other,
    /// and it is on its way.
    OtherOut,
    /// The first of those who are kept aside;
    Aside,
    /// and it is on its way.
    AsideOut,
}

impl Detour {
    /// Whether batches are kept aside that a fallback has already.
    pub fn holds_owed(&self) -> bool {
        self.aside.iter().any(|lease| lease.owed)
    }

    /// Whether nobody waits, and nobody passes.
    pub fn is_straight(&self) -> bool {
        self.turn == Turn::Queue
    }

    /// Whether one more may be kept aside.
    pub fn has_room(&self) -> bool {
        self.aside.len() < MOST
    }

    /// Whether the batch that is on its way passes others.
    pub fn is_passing(&self) -> bool {
        self.turn == Turn::OtherOut
    }

    /// Keeps the batch aside that was on its way; another goes next.
    pub fn keep(&mut self, lease: Lease) {
        let place = self.aside.partition_point(|kept| kept.id.key < lease.id.key);
        self.aside.insert(place, lease);
        self.turn = Turn::Other;
    }

    /// The batch that has to go next, if one was kept aside and passed, and is still there.
    pub fn resume(&mut self) -> Option<Lease> {
        if self.turn != Turn::Aside {
            return None;
        }
        let lease = std::iter::from_fn(|| self.aside.pop_front()).find(|lease| !lease.is_removed());
        self.turn = if lease.is_some() { Turn::AsideOut } else { Turn::Queue };
        lease
    }

    /// The batch that was to go next may not go yet.
    pub fn put_back(&mut self, lease: Lease) {
        self.aside.push_front(lease);
        self.turn = Turn::Aside;
    }

    /// The other is on its way.
    pub fn set_out(&mut self) {
        if self.turn == Turn::Other {
            self.turn = Turn::OtherOut;
        }
    }

    /// The batch that was on its way went back to the queue: if it was kept aside before, it comes before the others.
    pub fn returned(&mut self) {
        if self.turn == Turn::AsideOut {
            self.give_back();
        }
    }

    /// What was on its way has ended, however.
    pub fn ended(&mut self) {
        self.turn = match self.turn {
            Turn::OtherOut | Turn::AsideOut if !self.aside.is_empty() => Turn::Aside,
            Turn::AsideOut => Turn::Queue,
            turn => turn,
        };
    }

    /// Back to the queue, whatever was kept aside.
    pub fn give_back(&mut self) {
        *self = Detour::default();
    }
}
