//! The owner of the store: one life of it after another, for as long as the process runs.
//!
//! A failed write says nothing about what is on disk, so nothing more is written through that handle. The store is closed,
//! opened anew, tried with a synced write and recounted; then what is in memory is rebuilt from it and all goes on. The
//! directory's lock is held over the gap. The owner is the committing thread itself: between two lives nobody writes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::directory::Directory;
use super::error::StoreError;
use super::life::{Life, spawn};
use super::memory::Budget;
use super::open::Opener;
use super::recount::recount;
use super::recover::{Recovered, recover};
use super::salvage;
use super::salvage::watermark::Watermark;
use super::shared::Shared;
use super::store::Engine;
use crate::batch::Signal;
use crate::config::QueueConfig;

/// A store whose disk answers is closed within this time. After it, a line in the log says that it hangs.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);
/// Pauses before a reopen, each twice the one before; the first reopen follows at once.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// A store that lasted so long was well again: its next failure is a first one.
const STEADY: Duration = Duration::from_secs(1);

/// What the owning thread has.
pub(super) struct Owner {
    shared: Arc<Shared>,
    config: QueueConfig,
    budget: Budget,
    directory: Directory,
    opener: Opener,
    /// Before the next reopen.
    pause: Duration,
}

impl Owner {
    /// Opens the store and starts the thread. What it returns becomes true once the store is closed and the lock is free.
    pub(super) fn start(
        shared: Arc<Shared>,
        config: &QueueConfig,
        budget: Budget,
        directory: Directory,
        opener: Opener,
    ) -> Result<watch::Receiver<bool>, StoreError> {
        let config = config.clone();
        let mut owner = Owner { shared, config, budget, directory, opener, pause: Duration::ZERO };
        let (engine, recovered) = owner.open()?;
        let (clean, books) = (recovered.clean, recovered.books);
        owner.shared.careful.recover(&owner.config.directory, &recovered);
        let life = owner.begin(engine, recovered)?;
        if !clean {
            owner.shared.careful.begin(&books);
        }
        owner.shared.opened();
        let (ended, closed) = watch::channel(false);
        spawn("queue-commit", move || {
            owner.run(life);
            drop(owner); // and with it the lock, last
            ended.send_replace(true);
        })?;
        Ok(closed)
    }

    fn run(&mut self, mut life: Life) {
        loop {
            let begun = Instant::now();
            life.run();
            if !self.shared.is_poisoned()
                && let Err(error) = life.seal()
            {
                tracing::error!(%error, "the last settles could not be synced: they may be delivered again");
            }
            if let Some(damage) = self.shared.take_damage() {
                salvage::request(&self.directory, &damage);
            }
            close(life);
            if begun.elapsed() >= STEADY {
                self.pause = Duration::ZERO;
            }
            match self.reopen() {
                Some(next) => life = next,
                None => return,
            }
        }
    }

    /// Opens the store anew, however long that takes; `None` once the queue is to be closed.
    fn reopen(&mut self) -> Option<Life> {
        let failed = Instant::now();
        loop {
            self.shared.pulse.begin();
            if self.shared.is_closing() || !self.shared.pulse.pause(self.pause) || self.shared.is_closing() {
                return None;
            }
            self.pause = (self.pause * 2).clamp(PAUSES[0], PAUSES[1]);
            self.shared.recovering();
            tracing::info!("the store is being reopened");
            let attempt = panic::catch_unwind(AssertUnwindSafe(|| self.open_verified()));
            match attempt.unwrap_or_else(|_| Err(StoreError::failed("a bug stopped it"))) {
                Ok(life) => {
                    self.shared.counts.reopens.add(1);
                    self.shared.opened();
                    let after = failed.elapsed().as_millis();
                    tracing::warn!(after_ms = after, "the store was reopened and verified: batches are taken again");
                    return Some(life);
                }
                Err(error) => {
                    self.shared.not_opened();
                    salvage::request(&self.directory, &error);
                    let pause = self.pause.as_secs();
                    tracing::error!(%error, "the store cannot be reopened: nothing is taken; next try in {pause} s");
                }
            }
        }
    }

    fn open_verified(&mut self) -> Result<Life, StoreError> {
        let (engine, mut recovered) = self.open()?;
        if self.differs(engine.as_ref())? {
            salvage::settle(engine.as_ref(), "after a reopen books and index do not agree")?;
            recovered = self.recover(engine.as_ref())?;
        }
        self.say_missing(&recovered);
        self.begin(engine, recovered)
    }

    /// Opens the store and writes to it. On a full volume the ballast makes room for that; a head that means nothing is made
    /// anew.
    fn open(&mut self) -> Result<(Arc<dyn Engine>, Recovered), StoreError> {
        match self.try_open() {
            Err(error) if error.is_out_of_space() && self.directory.drop_ballast() => {
                tracing::warn!(%error, "the volume is full: the ballast file was removed to open the store");
                self.try_open()
            }
            Err(error) if error.is_damaged() => {
                salvage::request(&self.directory, &error);
                self.try_open()
            }
            opened => opened,
        }
    }

    fn try_open(&mut self) -> Result<(Arc<dyn Engine>, Recovered), StoreError> {
        let engine = (self.opener)(&self.directory)?;
        let recovered = self.recover(engine.as_ref())?;
        Ok((engine, recovered))
    }

    fn recover(&self, engine: &dyn Engine) -> Result<Recovered, StoreError> {
        let watermark = Watermark::read(&self.config.directory);
        recover(engine, self.config.durability, &self.shared.clock, watermark.as_ref())
    }

    /// Whether the books as they lie on disk differ from a count of what lies there.
    fn differs(&self, engine: &dyn Engine) -> Result<bool, StoreError> {
        let mut differs = false;
        for (signal, count) in Signal::ALL.into_iter().zip(recount(engine)?) {
            if !count.agrees() {
                differs = true;
                tracing::error!(%signal, items = count.imbalance(), "after the reopen the books do not balance: {count:?}");
            }
        }
        Ok(differs)
    }

    /// Says what was acknowledged and is neither there nor counted.
    fn say_missing(&self, recovered: &Recovered) {
        for signal in Signal::ALL {
            let acknowledged = self.shared.lanes(signal).books.accepted;
            let missing = acknowledged.saturating_sub(recovered.books[signal.index()].accepted);
            if missing > 0 {
                tracing::error!(%signal, items = missing, "after the reopen acknowledged items are missing");
            }
        }
    }

    fn begin(&self, engine: Arc<dyn Engine>, mut recovered: Recovered) -> Result<Life, StoreError> {
        self.shared.careful.bar(&mut recovered);
        Life::begin(Arc::clone(&self.shared), &self.config, &self.budget, self.directory.store(), engine, recovered)
    }
}

/// Closes a store. On a stalled disk that may last; nobody opens it until it is done.
fn close(life: Life) {
    let begun = Instant::now();
    let (ended, end) = mpsc::channel();
    let closing = spawn("queue-close", move || {
        drop(life);
        let _ = ended.send(());
    });
    if closing.is_err() {
        return; // it was closed right here then
    }
    if end.recv_timeout(CLOSE_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
        tracing::error!("the store does not close: its disk hangs; nothing is taken until it does");
        let _ = end.recv();
        tracing::warn!(after_s = begun.elapsed().as_secs(), "the store is closed at last");
    }
}
