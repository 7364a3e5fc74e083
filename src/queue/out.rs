//! What is out on leases, in bytes: a bound on what delivery can hold in memory.
//!
//! Counted for as long as a lease lives, whatever became of the batch in the books meanwhile; and where the end of a lease writes
//! the batch anew, until that is about to be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use super::shared::Shared;
use crate::batch::Signal;

/// Leases that are given whatever they weigh: a batch that is kept aside must not stop the one that is to witness against it.
const ANYWAY: u64 = 2;

/// Of the whole queue; each signal has a third, so that none waits for another.
#[derive(Debug)]
pub(super) struct Out {
    share: u64,
    signals: [Held; 3],
}

#[derive(Debug, Default)]
struct Held {
    bytes: AtomicU64,
    leases: AtomicU64,
    /// Somebody was refused.
    missed: AtomicBool,
}

impl Out {
    /// With room for so many bytes.
    pub(super) fn new(limit: u64) -> Out {
        Out { share: limit / 3, signals: Default::default() }
    }

    /// Whether no lease of a signal is to be given now. Who hears that is woken once there is room again.
    pub(super) fn is_full(&self, signal: Signal) -> bool {
        let held = &self.signals[signal.index()];
        let full = || held.bytes.load(SeqCst) >= self.share && held.leases.load(SeqCst) >= ANYWAY;
        full() && {
            held.missed.store(true, SeqCst);
            full() // what ended before it was noted that somebody waits wakes nobody
        }
    }

    fn begin(&self, signal: Signal, bytes: u64) {
        let held = &self.signals[signal.index()];
        held.bytes.fetch_add(bytes, SeqCst);
        held.leases.fetch_add(1, SeqCst);
    }

    /// Whether somebody was refused meanwhile, who is to look again.
    fn end(&self, signal: Signal, bytes: u64) -> bool {
        let held = &self.signals[signal.index()];
        held.bytes.fetch_sub(bytes, SeqCst);
        held.leases.fetch_sub(1, SeqCst);
        held.missed.load(SeqCst) && held.missed.swap(false, SeqCst)
    }
}

/// What one batch takes of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    shared: Arc<Shared>,
    signal: Signal,
    bytes: u64,
}

impl Hold {
    pub(super) fn new(shared: &Arc<Shared>, signal: Signal, bytes: u64) -> Hold {
        shared.out.begin(signal, bytes);
        Hold { shared: Arc::clone(shared), signal, bytes }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.shared.out.end(self.signal, self.bytes) {
            self.shared.ready[self.signal.index()].notify_one();
        }
    }
}
