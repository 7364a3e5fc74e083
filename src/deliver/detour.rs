//! How a refused batch is passed where the order is strict (`order: fifo`).
//!
//! It is kept aside while one other goes to the same target: taken, the other is the witness; not taken, the target is at fault.
//! Either way the one kept aside goes next, so that order is broken by one batch at most, and only where a target turned well in
//! between.

use crate::queue::Lease;

/// Every so many refusals of the batch at the head another one is let past it: not at each, since a target that was sick and is
/// well again should get the head first in most cases. A breaker's trial is the exception, as each that fails costs minutes, and
/// costs them the other signals too.
pub const PASSED_EVERY: u32 = 3;

/// Where the batch at the head is, for one target.
#[derive(Debug, Default)]
pub enum Detour {
    /// In the queue.
    #[default]
    None,
    /// Kept aside until another is found to go first.
    Aside(Lease),
    /// Kept aside while the other is in flight.
    Passed(Lease),
    /// To go next.
    Retry(Lease),
}

impl Detour {
    /// Whether a batch is kept aside.
    pub fn is_some(&self) -> bool {
        !matches!(self, Detour::None)
    }

    /// The batch that has to go next, if one was kept aside and passed.
    pub fn resume(&mut self) -> Option<Lease> {
        match std::mem::take(self) {
            Detour::Retry(lease) => Some(lease),
            other => {
                *self = other;
                None
            }
        }
    }

    /// The other is on its way.
    pub fn set_out(&mut self) {
        *self = match std::mem::take(self) {
            Detour::Aside(lease) => Detour::Passed(lease),
            other => other,
        };
    }

    /// The other has ended, however.
    pub fn passed(&mut self) {
        *self = match std::mem::take(self) {
            Detour::Passed(lease) => Detour::Retry(lease),
            other => other,
        };
    }

    /// Back to the queue, whatever was kept aside.
    pub fn give_back(&mut self) {
        *self = Detour::None;
    }
}
