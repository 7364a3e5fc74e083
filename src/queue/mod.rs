//! The write-ahead queue: a durable FIFO per signal on RocksDB.
//!
//! `receive` appends, `deliver` leases and settles; neither knows of the other. The queue knows no network, no retry, no
//! target type and no breaker.
//!
//! ```text
//!  append ─┐                       ┌─ lease (fresh)
//!          ├► inbox ► commit ► ring┤
//!  settle ─┘            │          └─ evicted ─► disk ─► reader ─► lease (backlog)
//!                       ▼
//!                 one WriteBatch: records, index twins, ledgers, owed intervals
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | `lease`, `ledger`, `snapshot`, `error` | what others say to the queue and hear from it |
//! | `inbox`, `commit`, `group`, `command`, `removal` | the committing thread, the only writer; a group is one set of changes |
//! | `lanes/` | where each batch stands, and who is next |
//! | `along` | several leases for one request |
//! | `settle`, `parts`, `letters` | how a lease ended, as it will be written |
//! | `reader`, `recount` | reads from disk, off the runtime's threads |
//! | `limits`, `keeper`, `space`, `reclaim`, `ballast` | quota, giving space back, reserve |
//! | `trim`, `clock`, `intake` | what is removed for space or age; what is taken |
//! | `tools/` | what a person asks: lists, copies, checks, dead letters, imports |
//! | `open`, `recover`, `life`, `owner`, `directory` | open, recover, close, reopen after a failure, lock |
//! | `careful` | the batch that kills the process: found out |
//! | `memory/`, `out` | how much each part may hold, from the limit of the process; what delivery holds |
//! | `salvage/` | damaged files: found out, mended, accounted for |
//! | `codec/`, `store/` | bytes on disk; the store, RocksDB named there alone |

pub mod error;
pub mod lease;
pub mod ledger;
pub mod memory;
pub mod snapshot;
pub mod tools;

/// A store in memory, to try the queue and what stands on it through crashes and losses of power. Part of the library, not of
/// its tests alone, since tests of the whole gateway are crates of their own and see nothing else.
pub mod simulation {
    pub use super::store::memory::{Crash, Disk};
}

mod along;
mod ballast;
mod careful;
mod clock;
mod codec;
mod command;
mod commit;
mod directory;
mod group;
mod inbox;
mod intake;
mod intervals;
mod keeper;
mod lanes;
mod letters;
mod life;
mod limits;
mod losses;
mod open;
mod out;
mod owner;
mod parts;
mod reader;
mod reclaim;
mod recount;
mod recover;
mod removal;
mod salvage;
mod settle;
mod shared;
mod space;
#[cfg(test)]
pub(crate) mod stepping;
mod store;
mod trim;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

pub use command::Removed;
pub use error::{AppendError, OpenError, QueueError, StoreError};
pub use lease::{Lane, Lease, Pending, Settlement, Taker, Verdict};

use self::careful::{Careful, Pass, Turn};
use self::command::Command;
use self::inbox::{Append, End};
use self::lanes::{Grant, Held, Lanes, Pick, Stored};
use self::lease::Ticket;
use self::ledger::DropReason;
use self::open::Opened;
use self::out::Hold;
use self::reader::{Errand, Missing};
use self::shared::Shared;
use self::snapshot::{Depth, Recount, Snapshot};
use crate::batch::{Batch, BatchId, Key, Signal};
use crate::config::QueueConfig;

/// After a failed read of one batch it is left alone for this long.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The last handle that is dropped without [`Queue::close`] waits so long: RocksDB's threads must not outlive the process's
/// exit handlers, or they abort it.
const DROPPED_WITHIN: Duration = Duration::from_secs(2);

/// A cheap handle on the queue. The queue closes by itself when its last handle is dropped; to know when it is closed, call
/// [`Queue::close`].
#[derive(Debug, Clone)]
pub struct Queue {
    shared: Arc<Shared>,
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    closed: watch::Receiver<bool>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.shared.is_closing() {
            return; // somebody waited for it, and may have given up
        }
        self.shared.close();
        let since = std::time::Instant::now();
        while self.closed.has_changed().is_ok_and(|closed| !closed) && since.elapsed() < DROPPED_WITHIN {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Queue {
    /// Takes the directory's lock, opens the store and recovers. Blocking; the queue's threads belong to the queue.
    ///
    /// Sets the process's umask to 077: what lies in the queue is for this user alone.
    pub fn open(config: &QueueConfig) -> Result<Queue, OpenError> {
        open::open(config).map(Queue::new)
    }

    /// Whether there is a queue in that directory, or may be one that this user cannot see.
    pub fn exists(directory: &Path) -> bool {
        directory::is_used(directory)
    }

    /// Opens a queue whose store is on a [`Disk`](simulation::Disk) in memory; of its directory it takes the lock alone.
    pub fn open_in_memory(config: &QueueConfig, disk: &simulation::Disk) -> Result<Queue, OpenError> {
        open::open_in_memory(config, disk).map(Queue::new)
    }

    fn new(opened: Opened) -> Queue {
        let Opened { shared, closed } = opened;
        Queue { shared: Arc::clone(&shared), owner: Arc::new(Owner { shared, closed }) }
    }

    /// Adds a batch; returns once its group is as durable as `queue.durability` says.
    ///
    /// Cancelling the future does not take the batch back: it may be committed all the same.
    pub async fn append(&self, batch: Batch) -> Result<Key, AppendError> {
        self.shared.admits(batch.signal)?;
        self.shared.make_room(batch.signal, batch.weight() as u64)?;
        let crc = crc32c::crc32c(&batch.body);
        let (done, outcome) = oneshot::channel();
        self.shared.inbox.append(Append { batch, crc, at: Instant::now(), done })?;
        outcome.await.unwrap_or(Err(AppendError::Poisoned)) // the committing thread answers unless a write failed
    }

    /// Whether a batch of that signal would be taken now: the cheap check at the door, before a body is read.
    pub fn admits(&self, signal: Signal) -> Result<(), AppendError> {
        self.shared.admits(signal)
    }

    /// The next batch of a lane for that taker, or `None` when there is none now, or delivery holds as many bytes as it may
    /// ([`Pending::laden`]).
    ///
    /// Fresh batches come from memory at once; backlog is read off the runtime's threads, ahead of time where possible.
    /// Cancelling the future leases nothing.
    pub async fn lease(&self, signal: Signal, lane: Lane, taker: Taker) -> Option<Lease> {
        self.lease_one(signal, lane, taker, Pick::Next).await
    }

    /// The same from the backlog, and of that the batch that was leased least often, where the order leaves a choice.
    pub async fn lease_least_tried(&self, signal: Signal, taker: Taker) -> Option<Lease> {
        self.lease_one(signal, Lane::Backlog, taker, Pick::LeastTried).await
    }

    async fn lease_one(&self, signal: Signal, lane: Lane, taker: Taker, pick: Pick) -> Option<Lease> {
        loop {
            let turn = Careful::turn(&self.shared, Instant::now());
            let pass = match turn {
                Turn::Free => return self.lease_now(signal, lane, taker, pick).await,
                Turn::Others => return None,
                Turn::Mine(pass) => pass,
            };
            let lease = self.lease_now(signal, lane, taker, pick).await?;
            if let Some(lease) = self.carefully(lease, pass).await {
                return Some(lease);
            }
        }
    }

    /// Writes down that a batch is about to go out. `None` for one that ended the process too often: it is parked.
    async fn carefully(&self, mut lease: Lease, mut pass: Pass) -> Option<Lease> {
        let (signal, key) = (lease.ticket.signal, lease.ticket.key);
        let ends = pass.ends(signal, key);
        if ends >= careful::FATAL {
            tracing::error!(
                %signal, batch = %lease.id, ends,
                "each time that this batch was on its way the process ended: it is parked, and not tried again by itself"
            );
            lease.ticket.pass = Some(pass);
            self.settle(lease, Settlement::Park(letters::fatal(ends)));
            return None;
        }
        pass.write_down(signal, key).await;
        lease.ticket.pass = Some(pass);
        Some(lease)
    }

    async fn lease_now(&self, signal: Signal, lane: Lane, taker: Taker, pick: Pick) -> Option<Lease> {
        match lane {
            _ if self.shared.out.is_full(signal) => None,
            Lane::Fresh => self.lease_from(signal, |lanes, now| lanes.lease_fresh(taker, now)).await,
            Lane::Backlog => self.lease_from(signal, |lanes, now| lanes.lease_backlog(taker, pick, now)).await,
        }
    }

    /// Takes something from a signal's lanes. What that takes out of memory does not count there any more.
    fn take<T>(&self, signal: Signal, take: impl FnOnce(&mut Lanes) -> T) -> T {
        let mut lanes = self.shared.lanes(signal);
        let before = lanes.fresh().2;
        let taken = take(&mut lanes);
        self.shared.ring_bytes.fetch_sub(before - lanes.fresh().2, Relaxed); // while nobody else empties the ring
        taken
    }

    async fn lease_from(&self, signal: Signal, step: impl Fn(&mut Lanes, Instant) -> lanes::Step) -> Option<Lease> {
        loop {
            let mut read = std::pin::pin!(self.shared.read[signal.index()].notified());
            read.as_mut().enable(); // before the look, so that no read ends unnoticed in between
            if !self.shared.is_open() {
                return None;
            }
            let next = self.take(signal, |lanes| step(lanes, Instant::now()));
            match next {
                lanes::Step::Nothing => return None,
                lanes::Step::Grant(grant, ahead) => {
                    self.send(ahead.map(Errand::Slice));
                    return Some(self.hand_out(signal, grant));
                }
                lanes::Step::Wait(job) => {
                    self.send(job.map(Errand::Slice));
                    read.await;
                }
                lanes::Step::Fetch(key, held, number) => {
                    if let Some(lease) = self.fetch(signal, key, held, number).await {
                        return Some(lease);
                    }
                }
            }
        }
    }

    /// Reads a batch that was leased without its bytes. Cancelled, it gives the batch back.
    async fn fetch(&self, signal: Signal, key: Key, held: Held, number: u64) -> Option<Lease> {
        let mut ticket = self.ticket(signal, key, number, held.weight);
        let (reply, outcome) = oneshot::channel();
        self.send(Some(Errand::One { signal, key, parked: held.parked, reply }));
        match outcome.await {
            Ok(Ok(stored)) => {
                ticket.epoch = stored.epoch;
                Some(lease_of(stored, held, ticket))
            }
            Ok(Err(Missing::Corrupt { why, bytes })) => {
                ticket.spent = true;
                let (how, hold) = (letters::corrupt(&why, bytes, &held), ticket.hold.take());
                self.shared.inbox.end([End { signal, key, number, how, _hold: hold }]);
                None
            }
            Ok(Err(Missing::Failed(error))) => {
                if let Some(held_back) = self.shared.unread.batches.tell() {
                    tracing::error!(%signal, %key, %error, held_back, "a batch cannot be read; trying every 5 s");
                }
                ticket.give_back(Some(Instant::now() + AFTER_FAILURE));
                None
            }
            Err(_) => None, // the store is closing
        }
    }

    fn hand_out(&self, signal: Signal, grant: Grant) -> Lease {
        let Grant { stored, held, number } = grant;
        let mut ticket = self.ticket(signal, stored.key, number, held.weight);
        ticket.epoch = stored.epoch;
        lease_of(stored, held, ticket)
    }

    fn ticket(&self, signal: Signal, key: Key, number: u64, weight: u64) -> Ticket {
        Ticket {
            shared: Arc::clone(&self.shared),
            signal,
            key,
            epoch: 0,
            number,
            hold: Some(Hold::new(&self.shared, signal, weight)),
            pass: None,
            counts: false,
            spent: false,
        }
    }

    fn send(&self, errand: Option<Errand>) {
        if let Some(errand) = errand {
            self.shared.read_soon(errand);
        }
    }

    /// The parked batch of a signal that was left alone for longest. One at a time: `None` while another is out. Meant to be
    /// asked for now and then, and to be sent alone; it ends as delivered, dead, dropped or returned.
    pub async fn lease_parked(&self, signal: Signal, taker: Taker) -> Option<Lease> {
        if !self.shared.is_open() || self.shared.careful.is_active() {
            return None;
        }
        let (key, held, number) = self.shared.lanes(signal).lease_parked(taker, Instant::now())?;
        let mut lease = self.fetch(signal, key, held, number).await?;
        let mut pass = Careful::alone(&self.shared);
        pass.write_down(signal, key).await;
        lease.ticket.pass = Some(pass);
        Some(lease)
    }

    /// What could be leased by that taker now.
    pub fn pending(&self, signal: Signal, taker: Taker) -> Pending {
        if !self.shared.is_open() {
            return Pending::default();
        }
        let now = Instant::now();
        let careful = self.shared.careful.taken(&self.shared, now);
        let pending = self.shared.lanes(signal).pending(taker, now);
        let laden = self.shared.out.is_full(signal) || careful.is_some();
        let held_until = pending.held_until.into_iter().chain(careful).min();
        Pending { laden, held_until, ..pending }
    }

    /// What came in before that moment is backlog from now on, though it may still be in memory.
    pub fn age(&self, signal: Signal, before: Instant) {
        self.shared.lanes(signal).age(before);
    }

    /// Completes when something of that signal became leasable since the last call. Meant for one waiter a signal.
    /// The end of a hold does not wake it: see [`Pending::held_until`].
    pub async fn ready(&self, signal: Signal) {
        self.shared.ready[signal.index()].notified().await;
    }

    /// Whether the dead letters have reached `queue.dead_letters.max_size`: nothing may be condemned then.
    pub fn dead_letters_full(&self) -> bool {
        self.shared.counts.dead_bytes.load(Relaxed) >= self.shared.limits.now().letters.max_size
    }

    /// Takes other limits, in force within a second or two: quota, shares, reserve, `when_full`, `max_age`, and those of
    /// the dead letters. Of the rest of the configuration nothing is looked at.
    pub fn change_limits(&self, config: &QueueConfig) {
        self.shared.limits.change(config);
    }

    /// The queue as it stands.
    pub fn snapshot(&self) -> Snapshot {
        let (counts, space) = (&self.shared.counts, &self.shared.space);
        Snapshot {
            state: self.shared.state(),
            signals: Signal::ALL.map(|signal| self.depth(signal)),
            capacity_bytes: space.limit(),
            disk_free_bytes: space.free(),
            commit_duration: counts.commit_duration.distribution(),
            commit_groups: counts.groups.get(),
            commit_batches: counts.batches.get(),
            commit_bytes: counts.bytes.get(),
            late_settles: counts.late.get(),
            store_reopens: counts.reopens.get(),
            clock_step_ms: self.shared.clock.suspended(),
            durability: self.shared.durability,
            dead_letters: (counts.dead_batches.load(Relaxed), counts.dead_bytes.load(Relaxed)),
            dead_letters_capacity: self.shared.limits.now().letters.max_size,
            dead_letters_expired: counts.expired_letters.get(),
            dead_letters_unread: counts.unread_letters.load(Relaxed),
        }
    }

    fn depth(&self, signal: Signal) -> Depth {
        let lanes = self.shared.lanes(signal);
        let (fresh_batches, fresh_items, fresh_bytes) = lanes.fresh();
        let (leased_batches, leased_items, leased_bytes) = lanes.out();
        let oldest = self.shared.counts.oldest_ms[signal.index()].load(Relaxed);
        Depth {
            books: lanes.books,
            fresh_batches,
            fresh_items,
            fresh_bytes,
            leased_batches,
            leased_items,
            leased_bytes,
            refusing: self.shared.space.is_refusing(signal),
            oldest_ms: Some(oldest).filter(|oldest| *oldest > 0 && lanes.books.queued_batches > 0),
        }
    }

    /// Counts the index anew, by [`Signal::index`], off the runtime's threads. Slow on a long backlog.
    pub async fn recount(&self) -> Result<[Recount; 3], QueueError> {
        let unanswered = || if self.shared.is_closing() { QueueError::Closed } else { QueueError::Poisoned };
        if !self.shared.is_open() {
            return Err(unanswered());
        }
        let (reply, outcome) = oneshot::channel();
        self.send(Some(Errand::Recount(reply)));
        Ok(outcome.await.map_err(|_| unanswered())??)
    }

    /// Removes all batches of a signal below a key, leased and owed ones included, in synced steps. A settle of one of them
    /// that is still to come changes nothing.
    pub async fn drop_below(&self, signal: Signal, below: Key, reason: DropReason) -> Result<Removed, QueueError> {
        let (reply, outcome) = oneshot::channel();
        self.shared.inbox.command(Command::Drop { signal, below, reason, removed: Removed::default(), reply });
        outcome.await.unwrap_or(Err(QueueError::Poisoned)) // the committing thread answers unless a write failed
    }

    /// Writes and syncs outstanding settles, closes the store and releases the lock. Later calls find it closed.
    pub async fn close(&self) {
        self.shared.close();
        let _ = self.owner.closed.clone().wait_for(|closed| *closed).await;
    }
}

fn lease_of(stored: Stored, held: Held, mut ticket: Ticket) -> Lease {
    ticket.counts = true;
    let id = BatchId {
        store: ticket.shared.store.load(Relaxed),
        epoch: stored.epoch,
        signal: ticket.signal,
        key: stored.key,
    };
    let Held { owed, parked, attempts, .. } = held;
    Lease { batch: stored.batch, id, lane: held.lane(), owed, parked, attempts, ticket }
}

#[cfg(test)]
mod tests;
