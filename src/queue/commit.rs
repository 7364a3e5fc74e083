//! The committing thread: the only writer of the store.
//!
//! It writes what arrived during the last fsync as one group, then tells the waiters. There is no linger timer: the fsync
//! is the timer. Settles ride on batches, or are written by themselves when they are due.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::codec::meta;
use super::command::Command;
use super::error::{QueueError, StoreError};
use super::group::Group;
use super::inbox::{Append, End, Wake, Work};
use super::intervals::Intervals;
use super::ledger::Ledger;
use super::losses::Losses;
use super::recover::Recovered;
use super::salvage::progress::Progress;
use super::shared::{Fuse, Shared};
use super::store::{Engine, Family, keys};
use crate::config::{Durability, QueueConfig};

/// A group holds at most this many batches: it bounds the time until its OKs.
const GROUP_BATCHES: usize = 256;
/// What was written without a sync is synced this long after, so that a settle is synced within a second: what a power
/// loss may bring back.
const SYNC_WITHIN: Duration = Duration::from_millis(850);

/// What the committing thread owns.
pub(super) struct Committer {
    pub engine: Arc<dyn Engine>,
    pub shared: Arc<Shared>,
    pub durability: Durability,
    pub sync_interval: Duration,
    /// As of the last commit.
    pub books: [Ledger; 3],
    pub intervals: [Intervals; 3],
    pub dead: meta::Dead,
    pub losses: Losses,
    /// When the first write was made that is not synced.
    pub unsynced: Option<Instant>,
    /// Bytes of bodies that a group holds at most, or one body.
    pub group: usize,
    /// Where the books are, for a salvage. A failure costs what that can say.
    pub progress: io::Result<Progress>,
}

impl Committer {
    /// Goes on from what was recovered; a group holds at most `group` bytes of bodies.
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        shared: Arc<Shared>,
        config: &QueueConfig,
        recovered: Recovered,
        group: u64,
    ) -> Committer {
        Committer {
            engine,
            shared,
            durability: config.durability,
            sync_interval: config.sync_interval,
            books: recovered.books,
            intervals: recovered.intervals,
            dead: recovered.dead,
            losses: Losses::default(),
            unsynced: None,
            group: usize::try_from(group).unwrap_or(usize::MAX),
            progress: Progress::open(&config.directory),
        }
    }

    /// Writes until the inbox is closed and empty, or the store fails.
    pub(super) fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _fuse = Fuse(&shared);
        let mut work = Work::default();
        loop {
            let wake = shared.inbox.fetch(&mut work, self.sync_due());
            let outcome = match wake {
                Wake::Work => self.work(&mut work),
                Wake::Time => self.sync(),
                Wake::Closing => break,
            };
            if let Err(error) = outcome {
                return shared.fail(&error); // whoever waits for one of the appends learns it from the closed channel
            }
        }
        for command in work.commands {
            command.refuse(if shared.is_poisoned() { QueueError::Poisoned } else { QueueError::Closed });
        }
    }

    /// Writes all groups, then goes a step further with the command that is under way.
    pub(super) fn work(&mut self, work: &mut Work) -> Result<(), StoreError> {
        self.write_all(&mut work.appends, &mut work.ends)?;
        if let Some(command) = work.commands.pop_front()
            && let Some(going_on) = self.carry_out(command)?
        {
            work.commands.push_front(going_on);
        }
        Ok(())
    }

    /// One step of a command, as one synced set of changes; the command again if it is not done.
    fn carry_out(&mut self, command: Command) -> Result<Option<Command>, StoreError> {
        match command {
            Command::Drop { signal, below, reason, mut removed, reply } => {
                let (step, done) = self.drop_some(signal, below, reason)?;
                removed += step;
                if !done {
                    return Ok(Some(Command::Drop { signal, below, reason, removed, reply }));
                }
                let _ = reply.send(Ok(removed));
            }
            Command::Import(import) => self.import(import)?,
            Command::Letters(letters) => return Ok(self.move_letters(letters)?.map(Command::Letters)),
            Command::Sync(reply) => {
                self.sync()?;
                let _ = reply.send(Ok(()));
            }
            Command::Release { signal, bytes, mut removed, reply } => {
                let (step, done) = self.release_some(signal, bytes.saturating_sub(removed.bytes))?;
                removed += step;
                if !done {
                    return Ok(Some(Command::Release { signal, bytes, removed, reply }));
                }
                let _ = reply.send(Ok(removed));
            }
            Command::Keep { value, reply } => {
                let mut changes = self.engine.begin(value.len() + 64);
                changes.set(Family::Meta, keys::KEPT, &value);
                changes.commit(true)?;
                self.unsynced = None;
                let _ = reply.send(Ok(()));
            }
            Command::SaveClock(reading) => {
                let mut changes = self.engine.begin(128);
                changes.set(Family::Meta, keys::CLOCK, &reading.encode());
                changes.commit(true)?;
                self.unsynced = None;
            }
        }
        Ok(None)
    }

    /// Marks the store as closed with nothing outstanding. Not to be called after a failed write.
    pub(super) fn seal(&self) -> Result<(), StoreError> {
        let mut changes = self.engine.begin(64);
        changes.set(Family::Meta, keys::RUN, &meta::Run::Closed.encode());
        changes.set(Family::Meta, keys::CLOCK, &self.shared.clock.reading().encode());
        changes.commit(true)
    }

    fn write_all(&mut self, appends: &mut Vec<Append>, ends: &mut Vec<End>) -> Result<(), StoreError> {
        while !appends.is_empty() || !ends.is_empty() {
            let sums = appends.iter().scan(0, |bytes, append| {
                *bytes += append.batch.body.len();
                Some(*bytes)
            });
            let fitting = sums.take(GROUP_BATCHES).take_while(|bytes| *bytes <= self.group).count();
            let group: Vec<Append> = appends.drain(..fitting.max(1).min(appends.len())).collect();
            let mut later = ends.split_off(self.fitting(ends));
            self.write(group, ends)?;
            ends.append(&mut later);
        }
        Ok(())
    }

    /// How many of these settles go into a group: those that write no bodies all go, whoever settled several together.
    fn fitting(&self, ends: &[End]) -> usize {
        let mut bytes = 0;
        let last = ends.iter().position(|end| {
            bytes += end.how.bytes();
            bytes >= self.group
        });
        last.map_or(ends.len(), |last| last + 1)
    }

    fn write(&mut self, appends: Vec<Append>, ends: &mut Vec<End>) -> Result<(), StoreError> {
        let engine = Arc::clone(&self.engine);
        let stored: usize = appends.iter().map(|append| append.batch.weight()).sum();
        let settled: usize = ends.iter().map(|end| end.how.bytes()).sum();
        let changes = engine.begin(stored + settled + 256 * (appends.len() + ends.len()) + 1024);
        let mut group = Group::new(changes, self.books, self.dead, self.shared.clock.now_ms());
        let mut waiters = Vec::with_capacity(appends.len());
        let epoch = self.shared.epoch.load(Relaxed);
        for Append { batch, crc, at, done } in appends {
            waiters.push((group.append(batch, crc, epoch, at), done));
        }
        group.look_up_ages(engine.as_ref(), ends);
        group.settle(ends, &self.shared, &mut self.intervals, &mut self.losses);
        let sync = self.durability == Durability::Fsync && !waiters.is_empty();
        let begun = Instant::now();
        let committed = group.commit(sync)?; // the waiters learn of an error from their closed channels
        if !waiters.is_empty() {
            self.shared.counts.commit_duration.observe(begun.elapsed());
            self.shared.counts.groups.add(1);
            self.shared.counts.batches.add(waiters.len() as u64);
            self.shared.counts.bytes.add(stored as u64);
        }
        match sync {
            true => self.unsynced = None,
            false => self.unsynced = self.unsynced.or(Some(begun)),
        }
        self.books = committed.books;
        if let (true, Ok(progress)) = (sync, &mut self.progress)
            && let Err(error) = progress.note(&self.shared, self.books)
        {
            tracing::warn!(%error, "how far the books are cannot be written down");
            self.progress = Err(error);
        }
        self.dead = committed.dead;
        committed.publish(&self.shared);
        for (key, done) in waiters {
            let _ = done.send(Ok(key));
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced = None;
        self.engine.sync()
    }

    /// When what was written must be synced at the latest.
    fn sync_due(&self) -> Option<Instant> {
        let within = match self.durability {
            Durability::Fsync => SYNC_WITHIN,
            Durability::Interval => self.sync_interval,
            Durability::Os => return None,
        };
        self.unsynced.map(|first| first + within)
    }
}
