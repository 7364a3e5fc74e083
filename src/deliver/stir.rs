//! How the signals' loops hear that something changed at a target: nobody polls.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::batch::Signal;

/// Wakes the loops. A loop that is busy finds the wake-up when it next waits.
#[derive(Debug, Default)]
pub struct Stir {
    epoch: AtomicU64,
    loops: [Notify; 3],
}

impl Stir {
    /// A target's condition changed: every chain decides anew.
    pub fn all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.loops.iter().for_each(Notify::notify_one);
    }

    /// A slot was freed for which that signal waits.
    pub fn one(&self, signal: Signal) {
        self.loops[signal.index()].notify_one();
    }

    /// Rises with each change of a condition.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Completes when that signal's loop was woken since the last call.
    pub async fn woken(&self, signal: Signal) {
        self.loops[signal.index()].notified().await;
    }
}
