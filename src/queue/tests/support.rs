//! A queue in a temporary directory, and a store that can be watched, held and broken.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use crate::batch::{Batch, Encoding, Signal};
use crate::config::{Durability, QueueConfig};
use crate::queue::clock::Machine;
use crate::queue::clock::testing::Hands;
use crate::queue::directory::Directory;
use crate::queue::error::StoreError;
use crate::queue::ledger::DeadReason;
use crate::queue::memory::Budget;
use crate::queue::store::rocks::Rocks;
use crate::queue::store::{Changes, Engine, Family, View, Visit};
use crate::queue::{Lane, Lease, Queue, Settlement, Taker, Verdict, open};

/// A condition that is waited for must come true within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A batch of one signal whose body has that many bytes.
pub(in crate::queue) fn batch(signal: Signal, len: usize) -> Batch {
    Batch {
        signal,
        encoding: Encoding::Identity,
        items: 1,
        inflated_len: len as u32,
        received_at_ms: 1_700_000_000_000,
        headers: [].into(),
        body: Bytes::from(vec![7; len]),
    }
}

/// A batch with a body that tells it apart.
pub(super) fn named(signal: Signal, name: &str) -> Batch {
    Batch { body: Bytes::copy_from_slice(name.as_bytes()), ..batch(signal, 1) }
}

pub(super) fn name(lease: &Lease) -> String {
    String::from_utf8(lease.batch.body.to_vec()).unwrap()
}

/// A configuration of that directory, without fsyncs, since what is tested here dies with the process at most, and with a
/// small reserve.
pub(super) fn config(directory: &Path) -> QueueConfig {
    let (directory, reserve) = (directory.to_owned(), Some(1 << 20));
    QueueConfig { directory, durability: Durability::Os, reserve, ..QueueConfig::default() }
}

/// A new queue, and the directory that goes with it.
pub(super) fn queue() -> (Queue, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Queue::open(&config(directory.path())).unwrap(), directory)
}

/// Opens a queue that was killed, for tests that are not about the care that this leads to.
pub(super) fn reopened(config: &QueueConfig) -> Queue {
    let queue = Queue::open(config).unwrap();
    queue.shared.careful.end();
    queue
}

/// Leases the next batch of a lane for the primary, and its name.
pub(super) async fn next(queue: &Queue, signal: Signal, lane: Lane) -> Option<(Lease, String)> {
    let lease = queue.lease(signal, lane, Taker::Primary).await?;
    let name = name(&lease);
    Some((lease, name))
}

pub(super) fn delivered() -> Settlement {
    Settlement::Delivered { rejected: 0 }
}

/// Waits until a condition holds.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

/// Waits until every settle so far was written.
pub(super) async fn settled(queue: &Queue) {
    until("the settles are written", || queue.shared.inbox.is_idle()).await;
}

/// Books that balance, and agree with a recount.
pub(super) async fn assert_books(queue: &Queue) {
    for (count, depth) in queue.recount().await.unwrap().into_iter().zip(queue.snapshot().signals) {
        assert_eq!(count.imbalance(), 0, "{count:?}");
        assert_eq!((count.batches, count.bytes), (count.books.queued_batches, count.books.queued_bytes));
        assert_eq!(count.books, depth.books);
    }
}

/// What a target said of a batch.
pub(in crate::queue) fn verdict(reason: DeadReason) -> Verdict {
    Verdict {
        reason,
        target: "hub".to_owned(),
        status: "HTTP 500".to_owned(),
        message: String::new(),
        attempts: 9,
        first_ms: 1,
        last_ms: 2,
    }
}

/// Ends a queue as kill -9 does: nothing more is written. What it holds is given up, so that it can be opened again.
pub(super) async fn kill(queue: Queue) {
    queue.shared.kill();
    queue.close().await;
}

/// A RocksDB whose commits can be counted, held back and made to fail.
pub(super) struct Watched {
    rocks: Rocks,
    pub(super) control: Arc<Control>,
}

#[derive(Default)]
pub(super) struct Control {
    /// Commits and syncs that ended, and how many of them were synced.
    pub(super) commits: AtomicU64,
    pub(super) synced: AtomicU64,
    /// Commits and syncs fail.
    pub(super) broken: AtomicBool,
    /// The next commit panics.
    pub(super) panics: AtomicBool,
    /// So many opens fail from now on.
    pub(super) unopenable: AtomicU64,
    /// The next open finds the store changed like that.
    pub(super) meddled: Mutex<Option<Meddle>>,
    held: Mutex<bool>,
    release: Condvar,
}

type Meddle = Box<dyn FnOnce(&mut dyn Changes) + Send>;

impl Control {
    /// Lets no commit end until it is released.
    pub(super) fn hold(&self) {
        *self.held.lock().unwrap() = true;
    }

    pub(super) fn release(&self) {
        *self.held.lock().unwrap() = false;
        self.release.notify_all();
    }

    fn pass(&self, synced: bool) -> Result<(), StoreError> {
        drop(self.release.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
        if self.broken.load(SeqCst) {
            return Err(no_space());
        }
        assert!(!self.panics.swap(false, SeqCst), "a bug, as a test wants it");
        self.commits.fetch_add(1, SeqCst);
        self.synced.fetch_add(u64::from(synced), SeqCst);
        Ok(())
    }
}

fn no_space() -> StoreError {
    StoreError::failed("IO error: No space left on device")
}

/// A queue on a watched store.
pub(super) fn watched(config: &QueueConfig) -> (Queue, Arc<Control>) {
    let directory = Directory::take(&config.directory).unwrap();
    let budget = Budget::of(config);
    let control = Arc::new(Control::default());
    let watching = Arc::clone(&control);
    let opener = move |directory: &Directory| -> Result<Arc<dyn Engine>, StoreError> {
        if watching.unopenable.try_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(no_space());
        }
        let rocks = Rocks::open(directory.store(), &budget)?;
        if let Some(meddle) = watching.meddled.lock().unwrap().take() {
            let mut changes = rocks.begin(64);
            meddle(changes.as_mut());
            changes.commit(true)?;
        }
        Ok(Arc::new(Watched { rocks, control: Arc::clone(&watching) }))
    };
    (Queue::new(open::start(config, &budget, directory, Box::new(opener), Box::new(Machine)).unwrap()), control)
}

/// A queue that reads the time off these hands.
pub(super) fn timed(config: &QueueConfig, hands: &Hands) -> Queue {
    let directory = Directory::take(&config.directory).unwrap();
    let budget = Budget::of(config);
    let opener = move |directory: &Directory| -> Result<Arc<dyn Engine>, StoreError> {
        Ok(Arc::new(Rocks::open(directory.store(), &budget)?))
    };
    Queue::new(open::start(config, &budget, directory, Box::new(opener), Box::new(hands.clone())).unwrap())
}

impl View for Watched {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.rocks.get(family, key)
    }

    fn walk(&self, family: Family, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.rocks.walk(family, from, to, visit)
    }
}

impl Engine for Watched {
    fn begin(&self, bytes: usize) -> Box<dyn Changes + '_> {
        Box::new(WatchedChanges { inner: self.rocks.begin(bytes), control: &self.control })
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.rocks.sync()?;
        self.control.pass(true)
    }

    fn view(&self) -> Box<dyn View + '_> {
        self.rocks.view()
    }

    fn reclaim(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        self.rocks.reclaim(family, from, to)
    }
}

struct WatchedChanges<'e> {
    inner: Box<dyn Changes + 'e>,
    control: &'e Control,
}

impl Changes for WatchedChanges<'_> {
    fn put(&mut self, family: Family, key: &[u8], head: &[u8], body: &[u8]) {
        self.inner.put(family, key, head, body);
    }

    fn take(&mut self, family: Family, key: &[u8]) {
        self.inner.take(family, key);
    }

    fn take_range(&mut self, family: Family, from: &[u8], to: &[u8]) {
        self.inner.take_range(family, from, to);
    }

    fn set(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.inner.set(family, key, value);
    }

    fn delete(&mut self, family: Family, key: &[u8]) {
        self.inner.delete(family, key);
    }

    fn commit(self: Box<Self>, sync: bool) -> Result<(), StoreError> {
        if self.control.broken.load(SeqCst) {
            return self.control.pass(sync);
        }
        self.inner.commit(sync)?;
        self.control.pass(sync)
    }
}
