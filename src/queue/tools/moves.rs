//! What a person moves: batches brought in from a file, dead letters sent again or removed.
//!
//! Carried out by the committing thread, in steps of one synced set of changes each, after which the books balance:
//!
//! | what | books |
//! |---|---|
//! | import | imported + n, queued + n |
//! | a dead letter is sent again | dead − n, queued + n: it came in once and is to end once. It gets a new sequence number |
//! | a dead letter is removed | nothing: it was counted when it became one, and stays counted |

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Letter;
use crate::batch::{Batch, Key, Signal};
use crate::queue::Queue;
use crate::queue::clock::now_ms;
use crate::queue::command::{Command, Reply};
use crate::queue::commit::Committer;
use crate::queue::error::{QueueError, StoreError};
use crate::queue::group::Group;
use crate::queue::store::{Engine, Family, keys};

/// How far an import came, kept with the batches in one set of changes: whoever was cut off asks, and goes on behind it
/// without bringing in anything twice or leaving anything out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Names the import; chosen by whoever imports.
    pub token: u64,
    /// The last line that was taken before, as far as whoever imports knows. Where it is another, somebody else imports the same.
    pub after: Option<u64>,
    /// The last line that is taken with this, from 1.
    pub line: u64,
    /// Whether it was the last: nothing is kept then.
    pub done: bool,
}

/// Batches that are brought in together or not at all.
#[derive(Debug)]
pub(in crate::queue) struct Import {
    batches: Vec<Batch>,
    mark: Option<Mark>,
    reply: Reply<()>,
}

/// What is done with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Fate {
    Replay,
    Purge,
    /// Removed for its age.
    Expire,
}

/// Dead letters that are dealt with, and what was done so far.
#[derive(Debug)]
pub(in crate::queue) struct Letters {
    fate: Fate,
    /// Those still to come, the next one last.
    letters: Vec<(Signal, Key)>,
    moved: Moved,
    pub reply: Reply<Moved>,
}

/// What came of a command about dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moved {
    /// Letters sent again or removed.
    pub batches: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Those that were left, each with a sentence.
    pub left: Vec<Left>,
}

/// A dead letter that was left where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which queue it was in.
    pub signal: Signal,
    /// Its place there.
    #[serde(with = "super::key_text")]
    pub key: Key,
    /// Why.
    pub why: String,
}

impl Queue {
    /// Brings in batches, all or none of them, as if they were received now. Synced when it returns, whatever
    /// `queue.durability` says.
    pub async fn import(&self, batches: Vec<Batch>, mark: Option<Mark>) -> Result<(), QueueError> {
        for signal in Signal::ALL {
            let weights = batches.iter().filter(|batch| batch.signal == signal).map(|batch| batch.weight() as u64);
            match weights.sum() {
                0 => {}
                bytes => self.shared.make_room(signal, bytes).map_err(|error| QueueError::from(&error))?,
            }
        }
        self.ask(|reply| Command::Import(Import { batches, mark, reply })).await
    }

    /// The last line that an import took; `None` when it took none, or is done.
    pub async fn imported(&self, token: u64) -> Result<Option<u64>, QueueError> {
        self.look(move |engine, _| marked(engine, token)).await
    }

    /// Puts dead letters back into their queues, as batches received when they were.
    pub async fn replay_dead(&self, letters: Vec<(Signal, Key)>) -> Result<Moved, QueueError> {
        self.ask(|reply| Command::Letters(Letters::new(Fate::Replay, letters, reply))).await
    }

    /// Removes dead letters for good.
    pub async fn purge_dead(&self, letters: Vec<(Signal, Key)>) -> Result<Moved, QueueError> {
        self.ask(|reply| Command::Letters(Letters::new(Fate::Purge, letters, reply))).await
    }

    /// Writes and syncs every settle so far.
    pub async fn sync(&self) -> Result<(), QueueError> {
        self.ask(Command::Sync).await
    }

    pub(super) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, QueueError> {
        let (reply, outcome) = oneshot::channel();
        self.shared.inbox.command(command(reply));
        outcome.await.unwrap_or(Err(QueueError::Poisoned)) // the committing thread answers unless a write failed
    }
}

/// The last line of an import that was taken.
fn marked(engine: &dyn Engine, token: u64) -> Result<Option<u64>, StoreError> {
    let line = engine.get(Family::Meta, &keys::import(token))?;
    let line = line.map(|line| line.as_slice().try_into().map(u64::from_le_bytes)).transpose();
    line.map_err(|_| StoreError::corrupt("the mark of an import means nothing"))
}

impl Import {
    /// For whoever waits.
    pub(in crate::queue) fn refuse(self, error: QueueError) {
        let _ = self.reply.send(Err(error));
    }
}

impl Letters {
    pub(in crate::queue) fn new(fate: Fate, mut letters: Vec<(Signal, Key)>, reply: Reply<Moved>) -> Letters {
        letters.sort_unstable_by(|a, b| b.cmp(a));
        letters.dedup();
        Letters { fate, letters, moved: Moved::default(), reply }
    }
}

impl Committer {
    /// Brings in batches, as one set of changes.
    pub(in crate::queue) fn import(&mut self, import: Import) -> Result<(), StoreError> {
        let Import { batches, mark, reply } = import;
        let engine = Arc::clone(&self.engine);
        let refusal = mark.and_then(|mark| match marked(engine.as_ref(), mark.token) {
            Ok(line) => (line != mark.after).then_some(QueueError::Overtaken),
            Err(error) => Some(error.into()),
        });
        if let Some(error) = refusal {
            let _ = reply.send(Err(error));
            return Ok(());
        }
        let mut changes = engine.begin(batches.iter().map(|batch| batch.weight() + 256).sum::<usize>() + 1024);
        match mark {
            Some(Mark { token, done: true, .. }) => changes.delete(Family::Meta, &keys::import(token)),
            Some(Mark { token, line, .. }) => changes.set(Family::Meta, &keys::import(token), &line.to_le_bytes()),
            None => {}
        }
        let mut group = Group::new(changes, self.books, self.dead, self.shared.clock.now_ms());
        let (received_at_ms, epoch) = (now_ms(), self.shared.epoch.load(Relaxed));
        for batch in batches {
            group.import(Batch { received_at_ms, ..batch }, epoch);
        }
        self.write_synced(group)?;
        let _ = reply.send(Ok(()));
        Ok(())
    }

    /// Deals with dead letters, one group of them; what is left to do.
    pub(in crate::queue) fn move_letters(&mut self, mut work: Letters) -> Result<Option<Letters>, StoreError> {
        let engine = Arc::clone(&self.engine);
        let mut group = Group::new(engine.begin(4096), self.books, self.dead, self.shared.clock.now_ms());
        let mut bytes = 0;
        while bytes < self.group as u64
            && let Some((signal, key)) = work.letters.pop()
        {
            let why = match engine.get(Family::Dead, keys::of(signal, key).as_ref()) {
                Ok(None) => Some("there is no such dead letter".to_owned()),
                Err(error) if !error.is_corrupt() => Some(error.to_string()),
                lies => {
                    let value = lies.ok().flatten().unwrap_or_default(); // nothing where the store lost it
                    let letter = Letter::read(signal, key, &value);
                    let (letter_items, letter_bytes) = (letter.items, letter.bytes);
                    match self.move_letter(&mut group, work.fate, letter) {
                        Ok(()) => {
                            bytes += value.len() as u64;
                            work.moved.batches += 1;
                            work.moved.items += letter_items;
                            work.moved.bytes += letter_bytes;
                            None
                        }
                        Err(why) => Some(why),
                    }
                }
            };
            work.moved.left.extend(why.map(|why| Left { signal, key, why }));
        }
        self.write_synced(group)?;
        if !work.letters.is_empty() {
            return Ok(Some(work));
        }
        let Letters { fate, moved, reply, .. } = work;
        if moved.batches > 0 {
            let what = match fate {
                Fate::Replay => "sent again by hand",
                Fate::Purge => "removed by hand",
                Fate::Expire => "removed for their age",
            };
            tracing::warn!(batches = moved.batches, items = moved.items, "dead letters {what}");
        }
        let _ = reply.send(Ok(moved));
        Ok(None)
    }

    fn move_letter(&self, group: &mut Group<'_>, fate: Fate, letter: Letter) -> Result<(), String> {
        if fate != Fate::Replay {
            group.discard(&letter);
            return Ok(());
        }
        match &letter.batch {
            Ok(batch) if u64::from(batch.items) != letter.items => Err("its story tells of another batch".to_owned()),
            Ok(batch) => {
                let admitted = self.shared.make_room(batch.signal, batch.weight() as u64);
                admitted.map_err(|_| "the queue is full".to_owned())?;
                group.revive(letter, self.shared.epoch.load(Relaxed))
            }
            Err(damage) => Err(damage.clone()),
        }
    }

    fn write_synced(&mut self, group: Group<'_>) -> Result<(), StoreError> {
        let committed = group.commit(true)?;
        self.unsynced = None;
        (self.books, self.dead) = (committed.books, committed.dead);
        committed.publish(&self.shared);
        Ok(())
    }
}
