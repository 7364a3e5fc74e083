//! Scenario: files of a store that holds queued, owed, settled and dead batches, in logs, tables and blob files, are damaged
//! at random: bits flipped, sectors and pages zeroed, files cut, emptied or removed.
//! Guarantee: the queue opens and its books balance against a recount; what was not hit is delivered as it was; what is
//! missing is counted, and is no more than what the damage touched.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use spillway::batch::{Batch, Encoding, Signal};
use spillway::config::QueueConfig;
use spillway::queue::ledger::{DeadReason, DropReason, Ledger};
use spillway::queue::snapshot::StoreState;
use spillway::queue::{Lane, Lease, OpenError, Queue, Settlement, Taker, Verdict};

/// Trials side by side: most of their time they wait for a disk to sync.
const AT_ONCE: usize = 4;

/// What is true of a store.
#[derive(Default, Clone)]
struct Truth {
    /// Items of each batch by its body, and whether it is still queued.
    batches: HashMap<Vec<u8>, (u32, bool)>,
}

impl Truth {
    fn queued(&self) -> HashMap<&[u8], u32> {
        self.batches
            .iter()
            .filter(|(_, (_, queued))| *queued)
            .map(|(body, (items, _))| (body.as_slice(), *items))
            .collect()
    }
}

fn config(directory: &Path) -> QueueConfig {
    // A small reserve: its ballast is copied with each store.
    QueueConfig { directory: directory.to_owned(), reserve: Some(1 << 20), ..QueueConfig::default() }
}

/// Opens a queue. A process that another test is starting may have the lock's file until it runs.
fn open(directory: &Path) -> Result<Queue, OpenError> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match Queue::open(&config(directory)) {
            Err(OpenError::Locked { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

fn batch(signal: Signal, number: u32, random: &mut StdRng) -> Batch {
    let mut body = format!("{signal} {number:05} ").into_bytes();
    let len = random.random_range(50..6000);
    body.extend((0..len).map(|_| random.random::<u8>()));
    let items = random.random_range(1..6);
    let inflated_len = body.len() as u32;
    let headers = [("x-tenant".into(), format!("{number}").into())].into();
    Batch { signal, encoding: Encoding::Identity, items, inflated_len, received_at_ms: 1, headers, body: body.into() }
}

fn condemned(signal: Signal) -> Verdict {
    Verdict {
        reason: DeadReason::Refused,
        target: "hub".to_owned(),
        status: "400".to_owned(),
        message: format!("no {signal}"),
        attempts: 1,
        first_ms: 1,
        last_ms: 2,
    }
}

/// A stretch of a queue's life: batches come, some of them end.
async fn live(queue: &Queue, truth: &mut Truth, numbers: std::ops::Range<u32>, random: &mut StdRng) {
    for number in numbers {
        let batch = batch(Signal::ALL[number as usize % 3], number, random);
        truth.batches.insert(batch.body.to_vec(), (batch.items, true));
        queue.append(batch).await.unwrap();
        if random.random_range(0..10) < 4 {
            let signal = Signal::ALL[random.random_range(0..3)];
            let lane = Lane::ALL[random.random_range(0..2)];
            let Some(lease) = queue.lease(signal, lane, Taker::Primary).await else { continue };
            let how = match random.random_range(0..10) {
                0 => Settlement::Dead(condemned(signal)),
                1 | 2 => Settlement::Owed,
                _ => Settlement::Delivered { rejected: 0 },
            };
            if !matches!(how, Settlement::Owed) {
                truth.batches.get_mut(&lease.batch.body[..]).unwrap().1 = false;
            }
            queue.settle(lease, how);
        }
    }
}

/// A store with something of everything in it; closed, or as a kill would leave it.
async fn store(killed: bool) -> (tempfile::TempDir, Truth) {
    let (mut truth, mut random) = (Truth::default(), StdRng::seed_from_u64(u64::from(killed)));
    let directory = tempfile::tempdir().unwrap();
    for life in 0..3 {
        // Each open moves what the log holds into tables and blob files.
        let queue = open(directory.path()).unwrap();
        live(&queue, &mut truth, life * 150..(life + 1) * 150, &mut random).await;
        if killed && life == 2 {
            let settled = || {
                let snapshot = queue.snapshot();
                let queued: u64 = snapshot.signals.iter().map(|depth| depth.books.queued).sum();
                queued == truth.queued().values().map(|items| u64::from(*items)).sum::<u64>()
            };
            crate::support::wait::until("settles are written", crate::support::wait::seconds(10), settled).await;
            let copied = tempfile::tempdir().unwrap();
            copy(directory.path(), copied.path());
            queue.close().await;
            return (copied, truth);
        }
        queue.close().await;
    }
    (directory, truth)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => assert!(fs::copy(&from, &to).is_ok()),
        }
    }
}

/// The files of a store that may be damaged, by kind, so that each kind gets its turn.
fn files(directory: &Path) -> HashMap<String, Vec<PathBuf>> {
    let mut kinds = HashMap::<String, Vec<PathBuf>>::new();
    let inside = fs::read_dir(directory.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let outside = ["spillway.format", "spillway.watermark", "spillway.progress"].map(|name| directory.join(name));
    for path in inside.chain(outside) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let kind = match path.extension().and_then(|ending| ending.to_str()) {
            Some(kind @ ("sst" | "blob" | "log" | "format" | "watermark" | "progress")) => kind,
            _ => name.split('-').next().unwrap(),
        };
        if kind != "LOCK" && kind != "LOG" && !kind.starts_with("LOG.") {
            kinds.entry(kind.to_owned()).or_default().push(path);
        }
    }
    kinds
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    Flip,
    Sector,
    Page,
    Cut,
    Empty,
    Remove,
}

/// Damages a file; how many batches at most that may cost, as far as that can be said.
fn damage(path: &Path, how: Damage, random: &mut StdRng) -> usize {
    let mut bytes = fs::read(path).unwrap();
    let at = if bytes.is_empty() { 0 } else { random.random_range(0..bytes.len()) };
    let mut zero = |size: usize| {
        let from = at / size * size;
        let to = bytes.len().min(from + size);
        bytes[from..to].fill(0);
    };
    let limit = match how {
        Damage::Flip => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
            1
        }
        Damage::Sector => {
            zero(512);
            12
        }
        Damage::Page => {
            zero(4096);
            80
        }
        Damage::Cut => {
            bytes.truncate(at);
            usize::MAX
        }
        Damage::Empty => {
            bytes.clear();
            usize::MAX
        }
        Damage::Remove => {
            fs::remove_file(path).unwrap();
            return usize::MAX;
        }
    };
    fs::write(path, bytes).unwrap();
    limit
}

/// Everything that can be leased, settled as delivered.
async fn drain(queue: &Queue) -> Vec<(Batch, bool)> {
    let mut drained = Vec::new();
    for signal in Signal::ALL {
        loop {
            let lease: Lease = match queue.lease(signal, Lane::Backlog, Taker::Primary).await {
                Some(lease) => lease,
                None if queue.pending(signal, Taker::Primary).backlog => continue,
                None => break,
            };
            drained.push((lease.batch.clone(), lease.owed));
            queue.settle(lease, Settlement::Delivered { rejected: 0 });
        }
    }
    drained
}

async fn assert_books(queue: &Queue, what: &str) {
    for count in queue.recount().await.unwrap() {
        assert_eq!(count.imbalance(), 0, "{what}: {count:?}");
        assert_eq!((count.batches, count.bytes), (count.books.queued_batches, count.books.queued_bytes), "{what}");
    }
}

fn books(queue: &Queue) -> [Ledger; 3] {
    queue.snapshot().signals.map(|depth| depth.books)
}

/// Damages a copy of a store in one way and holds the queue to its guarantee.
async fn trial(store: &Path, truth: &Truth, closed: bool, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    copy(store, directory.path());
    let kinds = files(directory.path());
    let mut names: Vec<_> = kinds.keys().collect();
    names.sort();
    // The files that hold most of the data get half of the damages.
    let kind = if random.random() {
        ["blob", "log", "sst"].choose(&mut random).unwrap()
    } else {
        names.choose(&mut random).unwrap().as_str()
    };
    let mut of_kind = kinds[kind].clone();
    of_kind.sort();
    let path = of_kind.choose(&mut random).unwrap();
    let how = [Damage::Flip, Damage::Flip, Damage::Sector, Damage::Page, Damage::Cut, Damage::Empty, Damage::Remove];
    let how = *how.choose(&mut random).unwrap();
    let limit = damage(path, how, &mut random);
    let what = format!(
        "seed {seed}, {how:?} of {}, {}",
        path.file_name().unwrap().display(),
        if closed { "closed" } else { "killed" }
    );

    hold_to_it(directory.path(), truth, limit, kind == "format", &what).await;
}

/// Opens a damaged queue and holds it to its guarantee.
async fn hold_to_it(directory: &Path, truth: &Truth, limit: usize, may_be_newer: bool, what: &str) {
    let queue = match open(directory) {
        Ok(queue) => queue,
        Err(error) => {
            let chain = format!("{error}");
            assert!(may_be_newer && chain.contains("has format"), "{what}: {error:?}");
            return;
        }
    };
    // Damage that is met only while the store is read makes the queue salvage it and go on.
    let mut drained = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        drained.extend(drain(&queue).await);
        let snapshot = queue.snapshot();
        if snapshot.state == StoreState::Open && snapshot.signals.iter().all(|depth| depth.books.queued == 0) {
            break;
        }
        assert!(Instant::now() < deadline, "{what}: {snapshot:?}");
        tokio::task::yield_now().await;
    }
    assert_books(&queue, what).await;

    let queued = truth.queued();
    let mut came = HashSet::new();
    for (batch, _) in &drained {
        let (items, _) = truth.batches.get(&batch.body[..]).unwrap_or_else(|| panic!("{what}: an altered batch"));
        assert_eq!(*items, batch.items, "{what}");
        came.insert(&batch.body[..]);
    }
    let missing: Vec<_> = queued.iter().filter(|(body, _)| !came.contains(**body)).collect();
    assert!(missing.len() <= limit, "{what}: {} batches are missing", missing.len());
    let books = books(&queue);
    let counted: u64 = books
        .iter()
        .map(|books| books.dropped[DropReason::StoreDamage as usize] + books.dead[DeadReason::Corrupt as usize])
        .sum();
    let items: u64 = missing.iter().map(|(_, items)| u64::from(**items)).sum();
    assert!(counted >= items, "{what}: {items} items are missing, {counted} are counted");
    queue.close().await;
    let queue = open(directory).unwrap();
    assert_eq!(drain(&queue).await.len(), 0, "{what}: a settled batch came back");
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_hit_is_delivered_and_what_is_missing_is_counted() {
    let trials = std::env::var("SPILLWAY_TEST_COUNTS").map_or(100, |counts| counts.parse().unwrap_or(100_000));
    let first: u64 = std::env::var("SPILLWAY_TEST_SEED").map_or(0, |seed| seed.parse().unwrap());
    let stores = [store(false).await, store(true).await];
    let trials = futures_util::stream::iter(first..first + trials).map(|seed| {
        let (store, truth) = &stores[(seed % 2) as usize];
        let (path, truth) = (store.path().to_owned(), truth.clone());
        let trial = tokio::spawn(async move { trial(&path, &truth, seed % 2 == 0, seed).await });
        async move { trial.await.is_err().then_some(seed) }
    });
    let failed: Vec<u64> = trials.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    for (store, truth) in &stores {
        every_table(store.path(), truth).await;
    }
    assert!(failed.is_empty(), "SPILLWAY_TEST_SEED is one of {failed:?}");
}

/// Damages the first block of each table in turn: each holds keys that are read at other moments than those of the others.
async fn every_table(store: &Path, truth: &Truth) {
    let tables = files(store).remove("sst").unwrap();
    for table in tables {
        let directory = tempfile::tempdir().unwrap();
        copy(store, directory.path());
        let table = directory.path().join(table.strip_prefix(store).unwrap());
        let mut bytes = fs::read(&table).unwrap();
        bytes[20] ^= 1;
        fs::write(&table, bytes).unwrap();
        hold_to_it(directory.path(), truth, 0, false, &table.display().to_string()).await;
    }
}
