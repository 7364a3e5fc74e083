//! Random lives of a queue, against a plain model of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use tempfile::TempDir;

use super::support::*;
use crate::batch::{Batch, Key, Signal};
use crate::config::{Order, QueueConfig};
use crate::queue::ledger::{DeadReason, DropReason, Ledger};
use crate::queue::{Lane, Lease, Queue, Settlement, Taker, Verdict};

/// Traces are fresh-first, metrics a FIFO.
const SIGNALS: [Signal; 2] = [Signal::Traces, Signal::Metrics];

#[derive(Debug, Clone)]
enum Op {
    Append { signal: usize, items: u32, len: usize },
    Lease { signal: usize, lane: Lane, taker: Taker },
    Settle { which: usize, how: usize },
    Check,
    Reopen,
    Kill { settled_first: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let taker = prop_oneof![3 => Just(Taker::Primary), 2 => Just(Taker::Fallback)];
    let lane = prop_oneof![Just(Lane::Fresh), Just(Lane::Backlog)];
    let len = prop_oneof![4 => 0usize..100, 1 => 50_000usize..400_000];
    prop_oneof![
        30 => (0usize..2, 1u32..5, len).prop_map(|(signal, items, len)| Op::Append { signal, items, len }),
        30 => (0usize..2, lane, taker).prop_map(|(signal, lane, taker)| Op::Lease { signal, lane, taker }),
        30 => (0usize..40, 0usize..12).prop_map(|(which, how)| Op::Settle { which, how }),
        4 => Just(Op::Check),
        2 => Just(Op::Reopen),
        2 => any::<bool>().prop_map(|settled_first| Op::Kill { settled_first }),
    ]
}

/// Where the model has a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Queued,
    Leased,
    /// Settled, but the process was killed before anybody saw the write: it may be there again.
    Unsure,
    /// Taken by a fallback, likewise: it may be owed, or queued.
    MaybeOwed,
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    items: u64,
    place: Place,
    owed: bool,
}

struct Life {
    directory: TempDir,
    queue: Option<Queue>,
    leases: Vec<Lease>,
    model: [BTreeMap<Key, Entry>; 3],
    /// Keys whose settle may not be written yet.
    unseen: Vec<(Signal, Key)>,
    accounts: [Ledger; 3],
    /// A kill left it open whether some settles were written: the accounts cannot be predicted any more.
    unsure: bool,
}

impl Life {
    fn new() -> Life {
        let directory = tempfile::tempdir().unwrap();
        let mut life = Life {
            directory,
            queue: None,
            leases: Vec::new(),
            model: Default::default(),
            unseen: Vec::new(),
            accounts: Default::default(),
            unsure: false,
        };
        life.open();
        life
    }

    fn open(&mut self) {
        let config = QueueConfig { memory_limit: Some(16 << 20), ..config(self.directory.path()) };
        assert_eq!(config.signals[1].order, Order::Fifo);
        self.queue = Some(Queue::open(&config).unwrap());
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Append { signal, items, len } => self.append(SIGNALS[signal], items, len).await,
            Op::Lease { signal, lane, taker } => {
                self.lease(SIGNALS[signal], lane, taker).await;
            }
            Op::Settle { which, how } => self.settle(which, how),
            Op::Check => self.check().await,
            Op::Reopen => {
                self.check().await;
                self.forget_leases();
                self.queue.take().unwrap().close().await;
                self.open();
                self.check().await;
            }
            Op::Kill { settled_first } => {
                if settled_first {
                    self.check().await;
                }
                for (signal, key) in std::mem::take(&mut self.unseen) {
                    self.unsure = true;
                    let entry = self.model[signal.index()].get_mut(&key).unwrap();
                    entry.place = if entry.place == Place::Gone { Place::Unsure } else { Place::MaybeOwed };
                }
                kill(self.queue.take().unwrap()).await;
                self.forget_leases();
                self.open();
                self.check().await;
            }
        }
    }

    /// What was leased when the process ended is queued for the next one.
    fn forget_leases(&mut self) {
        for lease in self.leases.drain(..) {
            self.model[lease.batch.signal.index()].get_mut(&lease.id.key).unwrap().place = Place::Queued;
        }
    }

    async fn append(&mut self, signal: Signal, items: u32, len: usize) {
        let mut body = BytesMut::with_capacity(len + 8);
        body.put_u64(self.accounts[signal.index()].accepted);
        body.resize(len + 8, 1);
        let batch = Batch { items, body: body.freeze(), ..batch(signal, 0) };
        let key = self.queue().append(batch).await.unwrap();
        let entry = Entry { items: u64::from(items), place: Place::Queued, owed: false };
        assert!(self.model[signal.index()].last_key_value().is_none_or(|(last, _)| *last < key), "{key} is not new");
        self.model[signal.index()].insert(key, entry);
        self.accounts[signal.index()].accepted += u64::from(items);
    }

    async fn lease(&mut self, signal: Signal, lane: Lane, taker: Taker) -> bool {
        let Some(lease) = self.queue().lease(signal, lane, taker).await else {
            return false;
        };
        let key = lease.id.key;
        let model = &mut self.model[signal.index()];
        let mut before = model.range(..key).filter(|(_, entry)| entry.place == Place::Queued);
        if signal == Signal::Metrics {
            let overtaken = before.find(|(_, entry)| taker == Taker::Primary || !entry.owed);
            assert_eq!(overtaken.map(|(key, _)| key), None, "overtaken by {key}");
        }
        let entry = model.get_mut(&key).unwrap_or_else(|| panic!("{signal} {key} was never appended"));
        assert!(matches!(entry.place, Place::Queued | Place::Unsure | Place::MaybeOwed), "{signal} {key} is {entry:?}");
        match entry.place {
            Place::MaybeOwed => entry.owed = lease.owed,
            _ => assert_eq!(entry.owed, lease.owed, "{signal} {key}"),
        }
        assert!(!(lease.owed && taker == Taker::Fallback), "{signal} {key} went to two fallbacks");
        assert_eq!(entry.items, u64::from(lease.batch.items));
        entry.place = Place::Leased;
        self.leases.push(lease);
        true
    }

    fn settle(&mut self, which: usize, how: usize) {
        if self.leases.is_empty() {
            return;
        }
        let lease = self.leases.swap_remove(which % self.leases.len());
        let (signal, key) = (lease.batch.signal, lease.id.key);
        let entry = self.model[signal.index()].get_mut(&key).unwrap();
        let (items, account) = (entry.items, &mut self.accounts[signal.index()]);
        entry.place = Place::Gone;
        match how {
            0..4 => {
                account.delivered += items;
                self.queue.as_ref().unwrap().settle(lease, delivered());
            }
            4 => {
                account.rejected += 1;
                account.delivered += items - 1;
                self.queue.as_ref().unwrap().settle(lease, Settlement::Delivered { rejected: 1 });
            }
            5 => {
                account.dead[DeadReason::TooLarge as usize] += items;
                self.queue.as_ref().unwrap().settle(lease, Settlement::Dead(verdict()));
            }
            6 => {
                account.dropped[DropReason::EndpointError as usize] += items;
                self.queue.as_ref().unwrap().settle(lease, Settlement::Dropped(DropReason::EndpointError));
            }
            7..10 => {
                (entry.place, entry.owed) = (Place::Queued, true);
                self.queue.as_ref().unwrap().settle(lease, Settlement::Owed);
            }
            10 => {
                entry.place = Place::Queued;
                self.queue.as_ref().unwrap().settle(lease, Settlement::Return { hold: Duration::ZERO });
                return;
            }
            _ => {
                entry.place = Place::Queued;
                return drop(lease);
            }
        }
        self.unseen.push((signal, key));
    }

    /// The books balance, agree with a recount, and are what the model has.
    async fn check(&mut self) {
        settled(self.queue()).await;
        self.unseen.clear();
        assert_books(self.queue()).await;
        if self.unsure {
            return;
        }
        for (signal, depth) in Signal::ALL.into_iter().zip(self.queue().snapshot().signals) {
            let live = || self.model[signal.index()].iter().filter(|(_, entry)| entry.place != Place::Gone);
            let expected = Ledger {
                next_seq: depth.books.next_seq,
                low: depth.books.low,
                queued: live().map(|(_, entry)| entry.items).sum(),
                queued_batches: live().count() as u64,
                queued_bytes: depth.books.queued_bytes,
                owed: live().filter(|(_, entry)| entry.owed).map(|(_, entry)| entry.items).sum(),
                ..self.accounts[signal.index()]
            };
            assert_eq!(depth.books, expected, "{signal}");
            assert!(live().all(|(key, _)| key.seq >= depth.books.low), "{signal}: something lives below low");
        }
    }

    /// Everything that is left comes out, once; then nothing is queued and nothing lies below the end.
    async fn drain(mut self) {
        self.check().await;
        while !self.leases.is_empty() {
            self.settle(0, 0);
        }
        self.check().await;
        for signal in SIGNALS {
            loop {
                let backlog = self.lease(signal, Lane::Backlog, Taker::Primary).await;
                if !backlog && !self.lease(signal, Lane::Fresh, Taker::Primary).await {
                    break;
                }
                self.settle(0, 0);
            }
        }
        self.check().await;
        for signal in SIGNALS {
            let left = self.model[signal.index()].iter().find(|(_, entry)| entry.place == Place::Queued);
            assert!(left.is_none(), "{signal} {left:?} never came");
            let books = self.queue().snapshot().signals[signal.index()].books;
            assert_eq!((books.queued, books.owed, books.queued_batches, books.queued_bytes), (0, 0, 0, 0));
            assert_eq!(books.low, books.next_seq, "{signal}");
        }
        self.queue.take().unwrap().close().await;
    }
}

fn verdict() -> Verdict {
    Verdict {
        reason: DeadReason::TooLarge,
        target: "hub".to_owned(),
        status: "HTTP 413".to_owned(),
        message: String::new(),
        attempts: 1,
        first_ms: 0,
        last_ms: 0,
    }
}

/// `SPILLWAY_CASES` asks for more lives than CI has time for.
fn cases() -> u32 {
    std::env::var("SPILLWAY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Scenario: any sequence of appends, leases for either taker, settles of each kind, returns, restarts and kills.
    /// Guarantee: `settled-once`, `books-balance`, `owed-is-paid`, the order of a FIFO; nothing comes twice but what was leased
    /// or settled unseen at a kill.
    #[test]
    fn a_queue_does_what_its_model_does(ops in prop::collection::vec(op(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut life = Life::new();
            for op in ops {
                life.step(op).await;
            }
            life.drain().await;
        });
    }
}
