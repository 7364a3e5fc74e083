//! What is counted of one target.

use crate::batch::Signal;
use crate::otlp::class::Class;
use crate::queue::Lane;
use crate::tally::{Counter, Histogram};

/// Bounds of the time from send to answer, in seconds: a local hub to the longest usual timeout.
const EXPORT_BOUNDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Counters of one target; items unless a field says otherwise.
#[derive(Debug)]
pub struct Counts {
    /// Delivered, by signal and lane.
    pub delivered: [[Counter; 2]; 3],
    /// Delivered although a fallback had them already, by signal.
    pub redelivered: [Counter; 3],
    /// Refused inside accepted requests, by signal.
    pub rejected: [Counter; 3],
    /// Attempts by class of the answer.
    attempts: [Counter; Class::ALL.len()],
    /// Time from send to answer.
    pub export_duration: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            delivered: Default::default(),
            redelivered: Default::default(),
            rejected: Default::default(),
            attempts: Default::default(),
            export_duration: Histogram::new(EXPORT_BOUNDS),
        }
    }
}

impl Counts {
    /// Counts one answer.
    pub fn attempt(&self, class: Class) {
        self.attempts[class as usize].add(1);
    }

    /// Counts a batch that the target took: `rejected` of its `items` were refused inside.
    pub fn took(&self, signal: Signal, lane: Lane, owed: bool, items: u32, rejected: u32) {
        let taken = u64::from(items.saturating_sub(rejected));
        self.delivered[signal.index()][lane as usize].add(taken);
        self.rejected[signal.index()].add(rejected.into());
        if owed {
            self.redelivered[signal.index()].add(taken);
        }
    }

    /// Attempts by class, every class, in the order of [`Class::ALL`].
    pub fn attempts(&self) -> Vec<(&'static str, u64)> {
        Class::ALL.iter().map(|class| (class.as_str(), self.attempts[*class as usize].get())).collect()
    }
}
