//! What the queue's handle and its three threads share.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::Notify;

use super::error::AppendError;
use super::inbox::Inbox;
use super::lanes::Lanes;
use super::reader::Errand;
use super::snapshot::StoreState;
use super::space::Space;
use crate::batch::Signal;
use crate::tally::{Counter, Histogram};

/// Upper bounds in seconds: an fsync takes from 0.1 ms on flash to seconds on a sick volume.
pub(super) const COMMIT_BOUNDS: &[f64] =
    &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

#[derive(Debug)]
pub(super) struct Shared {
    /// Random id of the store and how often it was opened.
    pub store: u64,
    pub epoch: u32,
    pub inbox: Inbox,
    lanes: [Mutex<Lanes>; 3],
    /// By signal: something became leasable.
    pub ready: [Notify; 3],
    /// By signal: a read ended.
    pub read: [Notify; 3],
    pub reader: mpsc::Sender<Errand>,
    pub space: Space,
    phase: AtomicU8,
    pub counts: Counts,
    /// Bytes in all rings, and how many there may be.
    pub ring_bytes: AtomicU64,
    pub ring_limit: u64,
    /// Bytes of dead letters that may be held.
    pub dead_limit: u64,
    pub pulse: Pulse,
}

/// What is counted beside the ledgers.
#[derive(Debug)]
pub(super) struct Counts {
    pub commit_duration: Histogram,
    pub groups: Counter,
    pub batches: Counter,
    pub late: Counter,
    /// Bytes settled, by signal.
    pub settled_bytes: [Counter; 3],
    pub dead_batches: AtomicU64,
    pub dead_bytes: AtomicU64,
    /// When the oldest batch was received, by signal; 0 for none.
    pub oldest_ms: [AtomicU64; 3],
}

const OPEN: u8 = 0;
const POISONED: u8 = 1;
const CLOSING: u8 = 2;

impl Shared {
    /// Everything but the lanes is empty.
    pub(super) fn new(
        identity: (u64, u32),
        lanes: [Lanes; 3],
        space: Space,
        reader: mpsc::Sender<Errand>,
        ring_limit: u64,
        dead_limit: u64,
    ) -> Shared {
        Shared {
            store: identity.0,
            epoch: identity.1,
            inbox: Inbox::new(),
            lanes: lanes.map(Mutex::new),
            ready: [const { Notify::const_new() }; 3],
            read: [const { Notify::const_new() }; 3],
            reader,
            space,
            phase: AtomicU8::new(OPEN),
            counts: Counts {
                commit_duration: Histogram::new(COMMIT_BOUNDS),
                groups: Counter::default(),
                batches: Counter::default(),
                late: Counter::default(),
                settled_bytes: Default::default(),
                dead_batches: AtomicU64::new(0),
                dead_bytes: AtomicU64::new(0),
                oldest_ms: Default::default(),
            },
            ring_bytes: AtomicU64::new(0),
            ring_limit,
            dead_limit,
            pulse: Pulse::default(),
        }
    }

    /// The lanes of a signal. Held for moments only, never across a wait or a read.
    pub(super) fn lanes(&self, signal: Signal) -> MutexGuard<'_, Lanes> {
        self.lanes[signal.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether leases are given and settles are written.
    pub(super) fn is_open(&self) -> bool {
        self.phase.load(Relaxed) == OPEN
    }

    /// Whether the store takes writes.
    pub(super) fn state(&self) -> StoreState {
        match self.phase.load(Relaxed) {
            POISONED => StoreState::Poisoned,
            CLOSING => StoreState::Closing,
            _ if self.space.is_full() => StoreState::Full,
            _ => StoreState::Open,
        }
    }

    /// Why nothing is taken, if that is so.
    pub(super) fn admits(&self) -> Result<(), AppendError> {
        match self.phase.load(Relaxed) {
            OPEN => self.space.check().map_err(|retry_after| AppendError::Full { retry_after }),
            POISONED => Err(AppendError::Poisoned),
            _ => Err(AppendError::Closing),
        }
    }

    /// Nothing is acknowledged, leased or written from now on: a write failed, and what is on disk is not known.
    pub(super) fn poison(&self, why: &dyn std::fmt::Display) {
        if self.phase.compare_exchange(OPEN, POISONED, Relaxed, Relaxed).is_ok() {
            tracing::error!(error = %why, "the store failed: nothing is taken or handed out until spillway is started again");
        }
        self.inbox.refuse(&AppendError::Poisoned);
        self.wake_all();
    }

    /// Begins the end: nothing new is taken or leased, what was handed in is still written.
    pub(super) fn close(&self) {
        let _ = self.phase.compare_exchange(OPEN, CLOSING, Relaxed, Relaxed);
        self.inbox.close();
        self.wake_all();
    }

    fn wake_all(&self) {
        for signal in Signal::ALL {
            self.ready[signal.index()].notify_one();
            self.read[signal.index()].notify_waiters();
        }
    }
}

/// Poisons the queue when the thread that holds it panics, so that nobody waits for that thread for ever.
pub(super) struct Fuse<'s>(pub(super) &'s Shared);

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(&"a thread of the queue ended by a bug");
        }
    }
}

/// A pause that can be cut short for good.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    over: Mutex<bool>,
    wake: Condvar,
}

impl Pulse {
    /// Waits for that long; `false` once it is over.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(over, pause, |over| !*over);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Ends all pauses.
    pub(super) fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }
}
