//! One queue that lives through what happens to it, and is compared with the model at each step.
//!
//! Each settle is written before the next thing happens, so that what is seen does not depend on threads; only what is handed
//! in right before the end is open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tempfile::TempDir;

use super::super::support::{assert_books, batch, config, kill, until, verdict};
use super::plain::{Ended, Entry, Plain};
use super::{Op, Way};
use crate::batch::{Batch, Key, Signal};
use crate::config::{Durability, Order, QueueConfig};
use crate::queue::ledger::{DeadReason, DropReason, Ledger};
use crate::queue::simulation::{Crash, Disk};
use crate::queue::{Lane, Lease, Queue, Settlement, Taker, parts};

/// Traces are fresh-first, metrics a FIFO.
const SIGNALS: [Signal; 2] = [Signal::Traces, Signal::Metrics];

/// What a step showed, as far as it is the same on every store.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Nothing,
    Appended(Key),
    Leased(Option<(Key, Lane, bool, u32, u64)>),
    Books(Box<[Ledger; 3]>),
    /// What is left depends on what was written just before the end.
    Unsure,
}

pub(super) struct Life {
    directory: TempDir,
    /// In memory; `None` on RocksDB.
    disk: Option<Disk>,
    durability: Durability,
    queue: Option<Queue>,
    leases: Vec<Lease>,
    model: Plain,
    /// What the queue was since the last sync: what a loss of power may leave.
    moments: Vec<Plain>,
    /// What each name on the wire stands for, by its content.
    names: BTreeMap<(usize, u32, Key), u64>,
    keys: [BTreeSet<Key>; 3],
    batches: u64,
}

impl Life {
    pub(super) fn on_rocksdb(durability: Durability) -> Life {
        Life::new(None, durability)
    }

    pub(super) fn in_memory(durability: Durability) -> Life {
        Life::new(Some(Disk::new()), durability)
    }

    fn new(disk: Option<Disk>, durability: Durability) -> Life {
        // Where syncs cost nothing, if there is such a place: nobody cuts the power of this machine.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut life = Life {
            directory,
            disk,
            durability,
            queue: None,
            leases: Vec::new(),
            model: Plain::default(),
            moments: Vec::new(),
            names: BTreeMap::new(),
            keys: Default::default(),
            batches: 0,
        };
        life.open();
        life
    }

    fn open(&mut self) {
        let config = QueueConfig {
            memory_limit: Some(16 << 20),
            durability: self.durability,
            sync_interval: Duration::from_secs(3600),
            ..config(self.directory.path())
        };
        assert_eq!(config.signals[1].order, Order::Fifo);
        self.queue = Some(match &self.disk {
            Some(disk) => Queue::open_in_memory(&config, disk).unwrap(),
            None => Queue::open(&config).unwrap(),
        });
        self.queue().shared.careful.end(); // one batch at a time is tested elsewhere
        self.leases.clear();
        self.model.forget_leases();
        self.moments = vec![self.model.clone()];
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    pub(super) async fn step(&mut self, op: &Op) -> Seen {
        match op {
            Op::Append { signal, items, len } => self.append(SIGNALS[*signal], *items, *len).await,
            Op::Lease { signal, lane, taker } => {
                let lease = self.queue().lease(SIGNALS[*signal], *lane, *taker).await;
                self.leased(SIGNALS[*signal], lease, *taker)
            }
            Op::LeaseParked { signal, taker } => {
                let lease = self.queue().lease_parked(SIGNALS[*signal], *taker).await;
                self.leased(SIGNALS[*signal], lease, *taker)
            }
            Op::Age { signal } => {
                self.queue().age(SIGNALS[*signal], tokio::time::Instant::now() + Duration::from_secs(1));
                Seen::Nothing
            }
            Op::Settle { which, way } => {
                if !self.leases.is_empty() {
                    self.settle(which % self.leases.len(), *way);
                    self.written().await;
                }
                Seen::Nothing
            }
            Op::SettleAll { ways } => {
                let mut ends = Vec::new();
                for way in ways.iter().take(self.leases.len()) {
                    let lease = self.leases.swap_remove(0);
                    let (settlement, ended) = self.end_of(&lease, *way);
                    self.model.line(lease.batch.signal).end(lease.id.key, &ended);
                    ends.extend(settlement.map(|settlement| (lease, settlement)));
                }
                self.queue().settle_all(ends);
                self.written().await;
                Seen::Nothing
            }
            Op::Drop { signal, which } => self.drop_below(SIGNALS[*signal], *which).await,
            Op::Check => Seen::Books(Box::new(self.check().await)),
            Op::Reopen => {
                self.queue.take().unwrap().close().await;
                self.open();
                Seen::Books(Box::new(self.check().await))
            }
            Op::Kill { settles } => self.end(*settles, Crash::Process).await,
            Op::PowerLoss { seed, settles } => self.end(*settles, Crash::Power { seed: *seed }).await,
        }
    }

    /// Everything handed in was written: a moment that a loss of power may leave.
    async fn written(&mut self) {
        let inbox = &self.queue().shared.inbox;
        inbox.hurry();
        let mut spins = 0;
        while !inbox.is_idle() && spins < 10_000 {
            std::thread::yield_now();
            spins += 1;
        }
        until("the settles are written", || inbox.is_idle()).await;
        self.moments.push(self.model.clone());
    }

    fn content(&mut self, signal: Signal, items: u32, len: usize) -> Batch {
        self.batches += 1;
        let mut body = BytesMut::with_capacity(len + 8);
        body.put_u64(self.batches);
        body.resize(len + 8, 1);
        Batch { items, body: body.freeze(), ..batch(signal, 0) }
    }

    async fn append(&mut self, signal: Signal, items: u32, len: usize) -> Seen {
        let batch = self.content(signal, items, len);
        let weight = batch.weight() as u64;
        let key = self.queue().append(batch).await.unwrap();
        let keys = &mut self.keys[signal.index()];
        assert!(keys.last().is_none_or(|last| *last < key) && keys.insert(key), "{signal} {key} is not new");
        self.model.line(signal).append(key, items, weight);
        if self.durability == Durability::Fsync {
            self.moments.clear(); // it was synced, with all that was written before
        }
        self.moments.push(self.model.clone());
        Seen::Appended(key)
    }

    fn leased(&mut self, signal: Signal, lease: Option<Lease>, taker: Taker) -> Seen {
        let Some(lease) = lease else { return Seen::Leased(None) };
        let key = lease.id.key;
        let live = &mut self.model.line(signal).live;
        let overtaken = |entry: &Entry| !entry.leased && !entry.parked && (taker == Taker::Primary || !entry.owed);
        if signal == Signal::Metrics && !lease.parked {
            let overtaken = live.range(..key).find(|(_, entry)| overtaken(entry));
            assert_eq!(overtaken.map(|(key, _)| key), None, "overtaken by {key}");
        }
        let entry = live.get_mut(&key).unwrap_or_else(|| panic!("{signal} {key} is not queued"));
        assert!(!entry.leased, "{signal} {key} is out twice");
        assert!(!(lease.owed && taker == Taker::Fallback), "{signal} {key} went to two fallbacks");
        assert_eq!(
            (entry.items, entry.owed, entry.parked),
            (lease.batch.items, lease.owed, lease.parked),
            "{signal} {key}"
        );
        entry.leased = true;
        let content = u64::from_be_bytes(lease.batch.body[..8].try_into().unwrap());
        let named = *self.names.entry((signal.index(), lease.id.epoch, key)).or_insert(content);
        assert_eq!(named, content, "{} is the name of two batches", lease.id);
        let seen = (key, lease.lane, lease.owed, lease.attempts, content);
        self.leases.push(lease);
        Seen::Leased(Some(seen))
    }

    fn settle(&mut self, which: usize, way: Way) {
        let lease = self.leases.swap_remove(which);
        let (settlement, ended) = self.end_of(&lease, way);
        self.model.line(lease.batch.signal).end(lease.id.key, &ended);
        match settlement {
            Some(settlement) => self.queue().settle(lease, settlement),
            None => drop(lease),
        }
    }

    /// What to say of a lease that ends in a way, if it allows it; nothing where it is dropped.
    fn end_of(&mut self, lease: &Lease, way: Way) -> (Option<Settlement>, Ended) {
        let items = lease.batch.items;
        let (settlement, ended) = match way {
            Way::Rejected => (Settlement::Delivered { rejected: 1 }, Ended::Delivered { rejected: 1 }),
            Way::Dead => (Settlement::Dead(verdict(DeadReason::TooLarge)), Ended::Dead),
            Way::Dropped => (Settlement::Dropped(DropReason::EndpointError), Ended::Dropped),
            Way::Return => (Settlement::Return { hold: Duration::ZERO }, Ended::Back),
            Way::Forget => return (None, Ended::Back),
            Way::Owed if !lease.parked => (Settlement::Owed, Ended::Owed),
            Way::Park if !lease.parked => (Settlement::Park(verdict(DeadReason::TooLarge)), Ended::Parked),
            Way::Split(parts) if !lease.parked && items > 1 && lease.room_for_parts() > 4 => self.split(lease, parts),
            Way::Delivered | Way::Owed | Way::Park | Way::Split(_) => {
                (Settlement::Delivered { rejected: 0 }, Ended::Delivered { rejected: 0 })
            }
        };
        (Some(settlement), ended)
    }

    fn split(&mut self, lease: &Lease, into: usize) -> (Settlement, Ended) {
        let (signal, items, key) = (lease.batch.signal, lease.batch.items, lease.id.key);
        let into = into.min(items as usize) as u32;
        let sizes = (0..into).map(|part| if part == 0 { items - (into - 1) } else { 1 });
        let batches: Vec<Batch> = sizes.map(|size| self.content(signal, size, 10)).collect();
        let keys = parts::split(key, batches.len()).unwrap();
        let parts = keys.into_iter().zip(&batches).map(|(key, batch)| (key, batch.items, batch.weight() as u64));
        let ended = Ended::Split(parts.collect());
        (Settlement::Split(batches), ended)
    }

    async fn drop_below(&mut self, signal: Signal, which: usize) -> Seen {
        let live = &self.model.line(signal).live;
        let Some(below) = live.keys().nth(which % live.len().max(1)).copied() else { return Seen::Nothing };
        self.queue().drop_below(signal, below, DropReason::Purged).await.unwrap();
        let before = self.model.clone();
        self.model.line(signal).drop_below(below);
        if self.model != before {
            self.moments.clear(); // a drop that drops is synced
        }
        self.moments.push(self.model.clone());
        Seen::Nothing
    }

    /// The process ends, right after some settles; the next one finds what the model was at one moment.
    async fn end(&mut self, settles: usize, how: Crash) -> Seen {
        if how == Crash::Process || self.disk.is_none() {
            self.moments = vec![self.model.clone()];
        }
        for _ in 0..settles.min(self.leases.len()) {
            self.settle(0, Way::Delivered);
            self.moments.push(self.model.clone());
        }
        if let Some(disk) = &self.disk {
            disk.crash(how);
        }
        kill(self.queue.take().unwrap()).await;
        let mut moments = std::mem::take(&mut self.moments);
        self.open();
        let found = self.books();
        let last = moments.last().map(Plain::books);
        moments.retain(|moment| moment.books() == found);
        self.model = moments.pop().unwrap_or_else(|| panic!("{found:#?} was never so; at the end it was {last:#?}"));
        self.model.forget_leases();
        self.moments = vec![self.model.clone()];
        let found = self.check().await;
        if settles == 0 && how == Crash::Process { Seen::Books(Box::new(found)) } else { Seen::Unsure }
    }

    /// The books, without what the model does not predict. What a loss of power took and was counted is as if it had never been.
    fn books(&self) -> [Ledger; 3] {
        self.queue().snapshot().signals.map(|depth| {
            let mut books = Ledger { next_seq: 0, low: 0, ..depth.books };
            books.accepted -= std::mem::take(&mut books.dropped[DropReason::LostUnsynced as usize]);
            books
        })
    }

    /// The books balance, agree with a recount, and are what the model has.
    async fn check(&mut self) -> [Ledger; 3] {
        assert_books(self.queue()).await;
        assert_eq!(self.books(), self.model.books());
        for (line, depth) in self.model.lines.iter().zip(self.queue().snapshot().signals) {
            let below = line.live.iter().find(|(key, entry)| !entry.parked && key.seq < depth.books.low);
            assert_eq!(below, None, "lives below low, {}", depth.books.low);
        }
        if let Some(disk) = &self.disk {
            assert_eq!(disk.violations(), Vec::<String>::new());
        }
        self.books()
    }

    /// Everything that is left comes out, once; then nothing is queued and nothing lies below the end.
    pub(super) async fn drain(mut self) {
        while !self.leases.is_empty() {
            self.settle(0, Way::Delivered);
        }
        self.written().await;
        for signal in SIGNALS {
            loop {
                let mut lease = self.queue().lease(signal, Lane::Backlog, Taker::Primary).await;
                if lease.is_none() {
                    lease = self.queue().lease(signal, Lane::Fresh, Taker::Primary).await;
                }
                if lease.is_none() {
                    lease = self.queue().lease_parked(signal, Taker::Primary).await;
                }
                if self.leased(signal, lease, Taker::Primary) == Seen::Leased(None) {
                    break;
                }
                self.settle(0, Way::Delivered);
                self.written().await;
            }
        }
        self.check().await;
        for signal in SIGNALS {
            let left = self.model.line(signal).live.first_key_value();
            assert!(left.is_none(), "{signal} {left:?} never came");
            let books = self.queue().snapshot().signals[signal.index()].books;
            assert_eq!(books.low, books.next_seq, "{signal}");
        }
        self.queue.take().unwrap().close().await;
    }
}
