//! Opening and closing: the order in which things are made, recovered, and ended.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use super::codec::{books as ledger, meta};
use super::commit::Committer;
use super::directory::Directory;
use super::error::{OpenError, StoreError};
use super::intervals::Intervals;
use super::keeper::Keeper;
use super::lanes::{Held, Lanes};
use super::ledger::Ledger;
use super::losses::Losses;
use super::memory::Budget;
use super::reader::{self, Errand};
use super::recount::{read_books, read_intervals, read_parked};
use super::salvage;
use super::shared::Shared;
use super::snapshot::StoreState;
use super::space::Space;
use super::store::memory::Disk;
use super::store::{Engine, Family, keys};
use crate::batch::{Key, Signal};
use crate::config::{Durability, QueueConfig};

/// What is left free on the volume beyond logs and memtables when `queue.reserve` says nothing.
const RESERVE: u64 = 128 << 20;
/// After an end without close under `interval` or `os`, sequence numbers go on this far ahead: some may have been given to
/// records that are gone, and more than this cannot fit into the logs that were not synced.
const SEQUENCE_GAP: u64 = 1 << 32;

/// A queue that runs.
pub(super) struct Opened {
    pub shared: Arc<Shared>,
    /// Becomes true, or ends, once the threads have ended, the store is closed and the lock is free.
    pub closed: watch::Receiver<bool>,
}

/// Takes the directory and opens the store in it.
pub(super) fn open(config: &QueueConfig) -> Result<Opened, OpenError> {
    let directory = Directory::take(&config.directory)?;
    let path = directory.store().to_owned();
    let budget = Budget::of(config);
    let opened =
        salvage::open(&directory, &budget).and_then(|engine| start(config, &budget, directory, Arc::new(engine)));
    opened.map_err(|source| OpenError::Store { path, source })
}

/// Takes the directory's lock and opens a store in memory.
pub(super) fn open_in_memory(config: &QueueConfig, disk: &Disk) -> Result<Opened, OpenError> {
    let directory = Directory::take(&config.directory)?;
    let opened = start(config, &Budget::of(config), directory, Arc::new(disk.engine()));
    opened.map_err(|source| OpenError::Store { path: config.directory.clone(), source })
}

/// Recovers what a store holds and starts the threads on it.
pub(super) fn start(
    config: &QueueConfig,
    budget: &Budget,
    directory: Directory,
    engine: Arc<dyn Engine>,
) -> Result<Opened, StoreError> {
    let Recovered { store, epoch, books, intervals, parked, dead } = recover(engine.as_ref(), config.durability)?;
    let (errands, errands_in) = mpsc::channel();
    let lanes = Signal::ALL.map(|signal| {
        let index = signal.index();
        let order = config.signals[index].order;
        let mut lanes = Lanes::new(signal, order, books[index], intervals[index].clone(), budget.slice());
        for (key, held) in &parked[index] {
            lanes.park(*key, *held);
        }
        lanes
    });
    let reserve = config.reserve.unwrap_or(budget.wal + budget.memtables + RESERVE);
    let space = Space::new(config.max_size, reserve);
    let shared =
        Arc::new(Shared::new((store, epoch), lanes, space, errands, budget.ring, config.dead_letters.max_size));
    shared.counts.dead_batches.store(dead.batches, Relaxed);
    shared.counts.dead_bytes.store(dead.bytes, Relaxed);
    let mut keeper = Keeper::new(Arc::clone(&engine), Arc::clone(&shared), directory.store().to_owned());
    keeper.measure();

    let reader = {
        let (engine, shared) = (Arc::clone(&engine), Arc::clone(&shared));
        spawn("queue-read", move || reader::run(engine.as_ref(), &shared, &errands_in))?
    };
    let keeper = spawn("queue-keep", move || keeper.run())?;
    let committer = Committer {
        engine,
        shared: Arc::clone(&shared),
        durability: config.durability,
        sync_interval: config.sync_interval,
        books,
        intervals,
        dead,
        losses: Losses::default(),
        unsynced: None,
        group: usize::try_from(budget.group).unwrap_or(usize::MAX),
    };
    let (ended, closed) = watch::channel(false);
    spawn("queue-commit", move || {
        run_to_the_end(committer, [reader, keeper]);
        drop(directory); // the lock goes last
        ended.send_replace(true);
    })?;
    Ok(Opened { shared, closed })
}

/// The committing thread's life: it outlives the others, so that the store is closed when it ends.
fn run_to_the_end(mut committer: Committer, others: [JoinHandle<()>; 2]) {
    let shared = Arc::clone(&committer.shared);
    // A bug in there has poisoned the queue; the others are to be ended all the same.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| committer.run()));
    shared.pulse.end();
    let _ = shared.reader.send(Errand::Stop);
    for other in others {
        let _ = other.join(); // a panic in there has poisoned the queue already
    }
    if shared.state() == StoreState::Closing
        && let Err(error) = committer.seal()
    {
        tracing::error!(%error, "the last settles could not be synced: they may be delivered again");
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(|error| StoreError::failed(format!("thread {name} cannot be started: {error}")))
}

/// What a store holds when it is opened.
struct Recovered {
    store: u64,
    epoch: u32,
    books: [Ledger; 3],
    intervals: [Intervals; 3],
    parked: [Vec<(Key, Held)>; 3],
    dead: meta::Dead,
}

/// Reads what is needed to go on, whatever the length of the backlog, and raises the epoch, synced.
fn recover(engine: &dyn Engine, durability: Durability) -> Result<Recovered, StoreError> {
    let number = |key: &[u8]| -> Result<Option<u64>, StoreError> {
        let bytes = engine.get(Family::Meta, key)?;
        let number = bytes.map(|bytes| bytes.as_slice().try_into().map(u64::from_le_bytes));
        number.transpose().map_err(|_| StoreError::damaged("a number in the store's head means nothing"))
    };
    let store = number(keys::STORE)?.unwrap_or_else(rand::random);
    let epoch = number(keys::EPOCH)?.unwrap_or(0) + 1;
    let run = match engine.get(Family::Meta, keys::RUN)? {
        Some(bytes) => meta::Run::decode(&bytes).map_err(|error| StoreError::damaged(error.to_string()))?,
        None => meta::Run::Closed,
    };
    let dead = match engine.get(Family::Meta, keys::DEAD)? {
        Some(bytes) => meta::Dead::decode(&bytes).map_err(|error| StoreError::damaged(error.to_string()))?,
        None => meta::Dead::default(),
    };
    let (mut books, mut intervals, mut parked) = <([Ledger; 3], [Intervals; 3], [Vec<_>; 3])>::default();
    let mut changes = engine.begin(1024);
    for signal in Signal::ALL {
        let index = signal.index();
        books[index] = read_books(engine, signal)?;
        intervals[index] = read_intervals(engine, signal)?;
        parked[index] = read_parked(engine, signal)?;
        if matches!(run, meta::Run::Open(Durability::Interval | Durability::Os)) {
            books[index].next_seq += SEQUENCE_GAP;
            if books[index].queued_batches == books[index].parked_batches {
                books[index].low = books[index].next_seq;
            }
            changes.set(Family::Meta, &keys::books(signal), &ledger::encode(&books[index]));
        }
    }
    changes.set(Family::Meta, keys::STORE, &store.to_le_bytes());
    changes.set(Family::Meta, keys::EPOCH, &epoch.to_le_bytes());
    changes.set(Family::Meta, keys::RUN, &meta::Run::Open(durability).encode());
    changes.commit(true)?;
    let epoch = u32::try_from(epoch).map_err(|_| StoreError::failed("the store was opened too often"))?;
    let queued: u64 = books.iter().map(|books| books.queued_batches).sum();
    let clean = run == meta::Run::Closed;
    tracing::info!(epoch, queued, clean, "queue opened");
    Ok(Recovered { store, epoch, books, intervals, parked, dead })
}
