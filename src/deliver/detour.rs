//! How a refused batch is passed where the order is strict (`order: fifo`).
//!
//! It is kept aside while one other goes to the same target: taken, the other is the witness; not taken, the target is at fault.
//! Either way the one kept aside goes next, so that order is broken by one batch at most, and only where a target turned well in
//! between.

use crate::queue::Lease;

/// Every so many refusals of the batch at the head another one is let past it. Not at each: a target that was sick and is well
/// again should get the head first in most cases.
pub const PASSED_EVERY: u32 = 3;

/// Where the batch at the head is.
#[derive(Debug, Default)]
pub enum Detour {
    /// In the queue.
    #[default]
    None,
    /// Kept aside from the target at that position, until another is found to go first.
    Aside(usize, Lease),
    /// Kept aside while the other is in flight.
    Passed(usize, Lease),
    /// To go next.
    Retry(usize, Lease),
}

impl Detour {
    /// The batch that has to go next to the target at `position`, if one was kept aside. One that was kept from another target is
    /// given back to the queue.
    pub fn resume(&mut self, position: usize) -> Option<Lease> {
        match std::mem::take(self) {
            Detour::Retry(from, lease) if from == position => return Some(lease),
            Detour::Aside(from, lease) if from == position => *self = Detour::Aside(from, lease),
            _ => {}
        }
        None
    }

    /// The other is on its way.
    pub fn set_out(&mut self) {
        *self = match std::mem::take(self) {
            Detour::Aside(position, lease) => Detour::Passed(position, lease),
            other => other,
        };
    }

    /// The other has ended, however.
    pub fn passed(&mut self) {
        *self = match std::mem::take(self) {
            Detour::Passed(position, lease) => Detour::Retry(position, lease),
            other => other,
        };
    }

    /// Back to the queue, whatever was kept aside.
    pub fn give_back(&mut self) {
        *self = Detour::None;
    }
}
