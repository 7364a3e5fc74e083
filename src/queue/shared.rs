//! What the queue's handle and its three threads share.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::Notify;

use super::careful::Careful;
use super::clock::Clock;
use super::error::{AppendError, StoreError};
use super::inbox::Inbox;
use super::intake::Intake;
use super::intervals::Intervals;
use super::lanes::Lanes;
use super::ledger::Ledger;
use super::limits::Limits;
use super::memory::Budget;
use super::out::Out;
use super::reader::Errand;
use super::reclaim::Reclaims;
use super::recover::Recovered;
use super::snapshot::StoreState;
use super::space::{NoRoom, Space};
use super::store::Family;
use crate::batch::Signal;
use crate::config::{Durability, QueueConfig};
use crate::repeats::Repeats;
use crate::tally::{Counter, Histogram};

/// Upper bounds in seconds: an fsync takes from 0.1 ms on flash to seconds on a sick volume.
pub(super) const COMMIT_BOUNDS: &[f64] =
    &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

#[derive(Debug)]
pub(super) struct Shared {
    /// Random id of the store and how often it was opened.
    pub store: AtomicU64,
    pub epoch: AtomicU32,
    pub inbox: Inbox,
    lanes: [Mutex<Lanes>; 3],
    /// By signal: something became leasable.
    pub ready: [Notify; 3],
    /// By signal: a read ended.
    pub read: [Notify; 3],
    /// To the reading thread of this life of the store.
    reader: Mutex<mpsc::Sender<Errand>>,
    pub limits: Arc<Limits>,
    pub space: Space,
    pub intake: Intake,
    pub clock: Clock,
    phase: AtomicU8,
    closing: AtomicBool,
    /// Damage that was met in the store, until it is opened anew.
    damage: Mutex<Option<StoreError>>,
    pub counts: Counts,
    /// Bytes in all rings, and how many there may be.
    pub ring_bytes: AtomicU64,
    pub ring_limit: u64,
    /// What an OK survives.
    pub durability: Durability,
    pub out: Out,
    pub careful: Careful,
    pub pulse: Pulse,
    pub reclaims: Reclaims,
    pub unread: Unread,
}

/// What could not be read, for the log.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Of the backlog.
    pub slices: Repeats,
    pub batches: Repeats,
}

/// What is counted beside the ledgers.
#[derive(Debug)]
pub(super) struct Counts {
    pub commit_duration: Histogram,
    pub groups: Counter,
    pub batches: Counter,
    /// Stored bytes of those.
    pub bytes: Counter,
    pub late: Counter,
    /// Times that the store was opened anew after a failure.
    pub reopens: Counter,
    /// Bytes that left a family, by [`Family::index`]: settled, parked, dead letters that are gone.
    pub freed_bytes: [Counter; Family::ALL.len()],
    pub dead_batches: AtomicU64,
    pub dead_bytes: AtomicU64,
    /// Dead letters removed for their age.
    pub expired_letters: Counter,
    /// Dead letters that the last look through could not read.
    pub unread_letters: AtomicU64,
    /// When the oldest batch was received, by signal; 0 for none.
    pub oldest_ms: [AtomicU64; 3],
}

const OPEN: u8 = 0;
const POISONED: u8 = 1;
const RECOVERING: u8 = 2;

impl Shared {
    /// Of a store that is not open yet.
    pub(super) fn new(config: &QueueConfig, clock: Clock, budget: &Budget) -> Shared {
        let lanes = Signal::ALL.map(|signal| {
            let order = config.signals[signal.index()].order;
            Lanes::new(signal, order, Ledger::default(), Intervals::default(), budget.slice())
        });
        let limits = Arc::new(Limits::new(config));
        Shared {
            store: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            inbox: Inbox::new(),
            lanes: lanes.map(Mutex::new),
            ready: [const { Notify::const_new() }; 3],
            read: [const { Notify::const_new() }; 3],
            reader: Mutex::new(mpsc::channel().0),
            space: Space::new(Arc::clone(&limits)),
            limits,
            intake: Intake::new(),
            clock,
            phase: AtomicU8::new(RECOVERING),
            closing: AtomicBool::new(false),
            damage: Mutex::default(),
            counts: Counts {
                commit_duration: Histogram::new(COMMIT_BOUNDS),
                groups: Counter::default(),
                batches: Counter::default(),
                bytes: Counter::default(),
                late: Counter::default(),
                reopens: Counter::default(),
                freed_bytes: Default::default(),
                dead_batches: AtomicU64::new(0),
                dead_bytes: AtomicU64::new(0),
                expired_letters: Counter::default(),
                unread_letters: AtomicU64::new(0),
                oldest_ms: Default::default(),
            },
            ring_bytes: AtomicU64::new(0),
            ring_limit: budget.ring,
            durability: config.durability,
            out: Out::new(budget.leased),
            careful: Careful::default(),
            pulse: Pulse::default(),
            reclaims: Reclaims::new(),
            unread: Default::default(),
        }
    }

    /// The lanes of a signal. Held for moments only, never across a wait or a read.
    pub(super) fn lanes(&self, signal: Signal) -> MutexGuard<'_, Lanes> {
        self.lanes[signal.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something to read. Dropped between two lives of the store, so that whoever waits for it looks again.
    pub(super) fn read_soon(&self, errand: Errand) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = reader.send(errand); // fails while no store is open
        #[cfg(test)]
        self.inbox.bell.notify_one();
    }

    /// Takes over what a store holds that was just opened, in place: handles stay valid, leases of before are late.
    pub(super) fn rebuild(&self, recovered: &Recovered, reader: mpsc::Sender<Errand>) {
        self.store.store(recovered.store, Relaxed);
        self.epoch.store(recovered.epoch, Relaxed);
        self.counts.dead_batches.store(recovered.dead.batches, Relaxed);
        self.counts.dead_bytes.store(recovered.dead.bytes, Relaxed);
        for signal in Signal::ALL {
            let index = signal.index();
            let books = &recovered.books[index];
            self.space.holds(signal, books.queued_bytes - books.parked_bytes);
            let mut lanes = self.lanes(signal);
            self.ring_bytes.fetch_sub(lanes.fresh().2, Relaxed);
            lanes.rebuild(recovered.books[index], recovered.intervals[index].clone());
            for (key, held) in &recovered.parked[index] {
                lanes.park(*key, *held);
            }
        }
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = reader;
        self.pulse.begin();
    }

    /// The store is being opened.
    pub(super) fn recovering(&self) {
        self.phase.store(RECOVERING, Relaxed);
    }

    /// It could not be opened.
    pub(super) fn not_opened(&self) {
        self.phase.store(POISONED, Relaxed);
    }

    /// Batches are taken and handed out from now on.
    pub(super) fn opened(&self) {
        self.inbox.reopen();
        if self.phase.compare_exchange(RECOVERING, OPEN, Relaxed, Relaxed).is_err() {
            self.inbox.refuse(&AppendError::Poisoned); // one of its threads failed at once
        }
        if self.is_closing() {
            self.inbox.close(); // asked for meanwhile, and undone by the line above
        }
        self.wake_all();
    }

    /// Whether leases are given and settles are written.
    pub(super) fn is_open(&self) -> bool {
        self.phase.load(Relaxed) == OPEN && !self.is_closing()
    }

    /// Whether the end was asked for.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Whether a write failed, or a thread, and the store was not reopened since.
    pub(super) fn is_poisoned(&self) -> bool {
        self.phase.load(Relaxed) != OPEN
    }

    /// Whether the store takes writes.
    pub(super) fn state(&self) -> StoreState {
        match self.phase.load(Relaxed) {
            _ if self.is_closing() => StoreState::Closing,
            POISONED => StoreState::Poisoned,
            RECOVERING => StoreState::Recovering,
            _ if self.intake.is_closed() => StoreState::Draining,
            _ if self.space.is_full() => StoreState::Full,
            _ => StoreState::Open,
        }
    }

    /// Why nothing is taken, if that is so.
    pub(super) fn admits(&self, signal: Signal) -> Result<(), AppendError> {
        match self.phase.load(Relaxed) {
            _ if self.is_closing() => Err(AppendError::Closing),
            OPEN if self.intake.is_closed() => Err(AppendError::Draining),
            OPEN => self.space.check(signal).map_err(|retry_after| AppendError::Full { retry_after }),
            _ => Err(AppendError::Poisoned),
        }
    }

    /// Takes room for a batch of so many bytes.
    pub(super) fn make_room(&self, signal: Signal, bytes: u64) -> Result<(), AppendError> {
        let was_pressed = self.space.is_pressed();
        let outcome = self.space.admit(signal, bytes);
        if !was_pressed && self.space.is_pressed() {
            self.pulse.hurry(); // what can be removed is removed before anybody is refused
        }
        outcome.map_err(|no_room| match no_room {
            NoRoom::Full { retry_after } => AppendError::Full { retry_after },
            NoRoom::TooLarge { quota } => AppendError::TooLarge { quota },
        })
    }

    /// Nothing is acknowledged, leased or written until the store was reopened: a write failed, and what is on disk is not
    /// known.
    pub(super) fn poison(&self, why: &dyn std::fmt::Display) {
        if self.phase.swap(POISONED, Relaxed) != POISONED {
            tracing::error!(error = %why, "the store failed: nothing is taken or handed out until it was reopened and verified");
        }
        self.inbox.refuse(&AppendError::Poisoned);
        self.wake_all();
    }

    /// The same for an error of the store. One that says that the store is damaged is kept for whoever opens it next.
    pub(super) fn fail(&self, error: &StoreError) {
        if error.is_damaged() {
            *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
        self.poison(error);
    }

    /// The damage that was met, if any.
    pub(super) fn take_damage(&self) -> Option<StoreError> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Begins the end: nothing new is taken or leased, what was handed in is still written.
    pub(super) fn close(&self) {
        self.closing.store(true, Relaxed);
        self.inbox.close();
        self.pulse.end();
        self.wake_all();
    }

    fn wake_all(&self) {
        for signal in Signal::ALL {
            self.ready[signal.index()].notify_one();
            self.read[signal.index()].notify_waiters();
        }
        self.reclaims.wake();
    }
}

#[cfg(test)]
impl Shared {
    /// Ends the queue as kill -9 does: nothing more is written.
    pub(super) fn kill(&self) {
        self.closing.store(true, Relaxed);
        self.poison(&"killed by a test");
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

/// A pause that can be cut short, once or for as long as one likes.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beat: Mutex<Beat>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Beat {
    over: bool,
    /// The pause that is going on, or the next one, is to end.
    hurried: bool,
    /// A pause is going on.
    resting: bool,
}

impl Pulse {
    /// Waits for that long, or until somebody hurries; `false` once it is over.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let mut beat = self.beat();
        beat.resting = true;
        let waited = self.wake.wait_timeout_while(beat, pause, |beat| !beat.over && !beat.hurried);
        let mut beat = waited.unwrap_or_else(PoisonError::into_inner).0;
        (beat.hurried, beat.resting) = (false, false);
        !beat.over
    }

    /// Whether a pause goes on that is not about to end.
    #[cfg(test)]
    pub(super) fn is_resting(&self) -> bool {
        let beat = self.beat();
        beat.resting && !beat.hurried
    }

    /// Cuts the pause short that goes on, or else the next one.
    pub(super) fn hurry(&self) {
        self.beat().hurried = true;
        self.wake.notify_all();
    }

    /// Lets pauses last again.
    pub(super) fn begin(&self) {
        self.beat().over = false;
    }

    /// Ends all pauses, those to come too.
    pub(super) fn end(&self) {
        self.beat().over = true;
        self.wake.notify_all();
    }

    fn beat(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
