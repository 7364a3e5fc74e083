//! What waits for the committing thread: a lock with two vectors that the thread swaps for empty ones.
//!
//! While the thread writes, others only push: it is woken when it sleeps, never otherwise.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::codec::parked::Parked;
use super::command::Command;
use super::error::AppendError;
use super::lanes::Fate;
use super::ledger::{DeadReason, DropReason};
use super::out::Hold;
use crate::batch::{Batch, Key, Signal};

/// A settle is written within this time.
const SETTLE_WITHIN: Duration = Duration::from_millis(100);
/// Or once so many of them wait.
const SETTLES_AT_ONCE: usize = 64;

/// A batch that waits for its commit.
#[derive(Debug)]
pub(super) struct Append {
    pub batch: Batch,
    /// CRC32C of its body.
    pub crc: u32,
    /// When it came in.
    pub at: tokio::time::Instant,
    /// Told once the batch is as durable as was promised.
    pub done: oneshot::Sender<Result<Key, AppendError>>,
}

/// A lease that ended in a way that is written.
#[derive(Debug)]
pub(super) struct End {
    pub signal: Signal,
    pub key: Key,
    /// Number of the lease.
    pub number: u64,
    pub how: How,
    /// What the batch takes of what delivery may hold, if it is written anew.
    pub _hold: Option<Hold>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum How {
    Delivered {
        rejected: u32,
    },
    Owed,
    Dead {
        reason: DeadReason,
        /// The dead letter, up to the body.
        head: Vec<u8>,
        body: Bytes,
    },
    Dropped(DropReason),
    /// Parts take its place: each with its key and the CRC32C of its body, in order.
    Split(Vec<(Key, Batch, u32)>),
    /// It is put out of the line.
    Park {
        /// Its record's header.
        head: Vec<u8>,
        body: Bytes,
        /// What the index will say of it.
        entry: Parked,
    },
}

impl How {
    /// Bytes of bodies that it writes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            How::Delivered { .. } | How::Owed | How::Dropped(_) => 0,
            How::Dead { body, .. } | How::Park { body, .. } => body.len(),
            How::Split(parts) => parts.iter().map(|(_, batch, _)| batch.body.len()).sum(),
        }
    }

    /// What it means to those behind it.
    pub(super) fn fate(&self) -> Fate {
        match self {
            How::Owed => Fate::BecomesOwed,
            How::Split(_) => Fate::Splits,
            How::Delivered { .. } | How::Dead { .. } | How::Dropped(_) | How::Park { .. } => Fate::Goes,
        }
    }
}

/// What made the committing thread go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// There is something to write.
    Work,
    /// Nothing, but the time that it asked for came.
    Time,
    /// Nothing more will come.
    Closing,
}

/// What the committing thread has fetched and is to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub appends: Vec<Append>,
    pub ends: Vec<End>,
    /// The first is under way.
    pub commands: VecDeque<Command>,
}

#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// For a committing thread that is none: something was handed in.
    #[cfg(test)]
    pub(super) bell: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    appends: Vec<Append>,
    ends: Vec<End>,
    commands: Vec<Command>,
    first_end: Option<Instant>,
    asleep: bool,
    /// Why nothing is taken any more.
    closed: Option<AppendError>,
    /// Whether the committing thread is to end.
    over: bool,
}

impl Inbox {
    pub(super) fn new() -> Inbox {
        Inbox {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            #[cfg(test)]
            bell: tokio::sync::Notify::new(),
        }
    }

    /// Hands in a batch.
    pub(super) fn append(&self, append: Append) -> Result<(), AppendError> {
        let mut waiting = self.lock();
        if let Some(error) = &waiting.closed {
            return Err(error.clone());
        }
        waiting.appends.push(append);
        self.wake_if_asleep(waiting);
        Ok(())
    }

    /// Hands in settles, which are written together. Once the inbox is closed they are lost: the batches are delivered again
    /// after the next open.
    pub(super) fn end(&self, ends: impl IntoIterator<Item = End>) {
        let mut waiting = self.lock();
        if waiting.closed.is_some() {
            return;
        }
        let before = waiting.ends.len();
        waiting.ends.extend(ends);
        let count = waiting.ends.len();
        if count == before {
            return;
        }
        waiting.first_end.get_or_insert_with(Instant::now);
        if before == 0 || count >= SETTLES_AT_ONCE {
            self.wake_if_asleep(waiting);
        }
    }

    /// Hands in a command. Refused with an error once the inbox is closed.
    pub(super) fn command(&self, command: Command) {
        let mut waiting = self.lock();
        if let Some(error) = &waiting.closed {
            let error = error.into();
            drop(waiting);
            return command.refuse(error);
        }
        waiting.commands.push(command);
        self.wake_if_asleep(waiting);
    }

    /// Takes nothing from now on. What was handed in before is still written; then the committing thread ends.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed.get_or_insert(AppendError::Closing);
        waiting.over = true;
        self.wake_if_asleep(waiting);
    }

    /// Takes nothing from now on and throws away what waits; those who wait for it are told why. The committing thread ends.
    pub(super) fn refuse(&self, error: &AppendError) {
        let mut waiting = self.lock();
        waiting.closed = Some(error.clone());
        waiting.over = true;
        waiting.ends.clear();
        let appends = std::mem::take(&mut waiting.appends);
        let commands = std::mem::take(&mut waiting.commands);
        self.wake_if_asleep(waiting);
        for command in commands {
            command.refuse(error.into());
        }
        for append in appends {
            let _ = append.done.send(Err(error.clone()));
        }
    }

    /// Takes batches and settles again, after [`refuse`](Inbox::refuse).
    pub(super) fn reopen(&self) {
        let mut waiting = self.lock();
        (waiting.closed, waiting.over, waiting.first_end) = (None, false, None);
    }

    /// For the committing thread: sleeps until there is something to do, and fetches it. There are no appends and no ends
    /// left in `work`; a command that is under way may be. Settles alone are let lie until they are due, so that they can
    /// ride on a batch.
    pub(super) fn fetch(&self, work: &mut Work, until: Option<Instant>) -> Wake {
        let mut waiting = self.lock();
        loop {
            let over = waiting.over;
            let due = waiting.first_end.map(|first| first + SETTLE_WITHIN).filter(|_| !waiting.ends.is_empty());
            let now = Instant::now();
            let ends_due = waiting.ends.len() >= SETTLES_AT_ONCE || due.is_some_and(|due| due <= now) || over;
            work.commands.extend(waiting.commands.drain(..));
            let commanded = !work.commands.is_empty() && !over;
            if !waiting.appends.is_empty() || (ends_due && !waiting.ends.is_empty()) || commanded {
                std::mem::swap(&mut waiting.appends, &mut work.appends);
                std::mem::swap(&mut waiting.ends, &mut work.ends);
                waiting.first_end = None;
                return Wake::Work;
            }
            if over {
                return Wake::Closing;
            }
            if until.is_some_and(|until| until <= now) {
                return Wake::Time;
            }
            waiting.asleep = true;
            waiting = match until.into_iter().chain(due).min() {
                Some(at) => self.wake.wait_timeout(waiting, at - now).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
            waiting.asleep = false;
        }
    }

    /// A wake-up is a system call, so it is made only where somebody sleeps.
    fn wake_if_asleep(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        #[cfg(test)]
        self.bell.notify_one();
        if asleep {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Inbox {
    /// Whether the committing thread fetched everything.
    pub(super) fn is_empty(&self) -> bool {
        let waiting = self.lock();
        waiting.appends.is_empty() && waiting.ends.is_empty()
    }

    /// Settles are due now.
    pub(super) fn hurry(&self) {
        let mut waiting = self.lock();
        waiting.first_end = waiting.first_end.and_then(|first| first.checked_sub(SETTLE_WITHIN));
        self.wake_if_asleep(waiting);
    }

    /// Whether it wrote everything, too, and sleeps.
    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.lock();
        waiting.appends.is_empty() && waiting.ends.is_empty() && waiting.commands.is_empty() && waiting.asleep
    }
}
