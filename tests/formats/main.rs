//! Stores as each release wrote them, kept here as archives: `FORMAT-closed` by a queue that was closed, `FORMAT-killed` as a kill
//! left it.
//!
//! Scenario: one of them is opened by today's code. Guarantee: its books are those it was left with and agree with a recount;
//! each batch comes out as it went in, with its debts; the dead letters can be read; what is appended comes behind.
//!
//! `SPILLWAY_WRITE_STORES=1 cargo test --test formats` writes the archives of today's format, where they are missing. They are
//! written when a format is released, and never again: a store of that format is out there.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use spillway::batch::{Batch, Encoding, Key, Signal};
use spillway::config::{Order, QueueConfig};
use spillway::queue::ledger::{DeadReason, DropReason, Ledger};
use spillway::queue::tools::Select;
use spillway::queue::{Lane, Lease, Queue, Settlement, Taker, Verdict};

const FORMAT: u32 = 1;
/// Batches of each signal, of 1, 2, 3 … items.
const BATCHES: u32 = 12;

#[tokio::test]
async fn a_store_of_every_format_opens() {
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    if std::env::var_os("SPILLWAY_WRITE_STORES").is_some() {
        for killed in [false, true] {
            write(&archives, killed).await;
        }
    }
    let mut seen = 0;
    for entry in fs::read_dir(&archives).unwrap() {
        let archive = entry.unwrap().path();
        if archive.extension().is_some_and(|extension| extension == "gz") {
            let unpacked = tempfile::tempdir().unwrap();
            tar(&["-xzf", archive.to_str().unwrap(), "-C", unpacked.path().to_str().unwrap()]);
            let queue = Queue::open(&config(&unpacked.path().join("queue"))).unwrap();
            println!("{}", archive.display());
            as_it_was_left(&queue).await;
            queue.close().await;
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * FORMAT, "two stores of each format");
}

async fn as_it_was_left(queue: &Queue) {
    for signal in Signal::ALL {
        let books = queue.snapshot().signals[signal.index()].books;
        let left = Ledger { queued_bytes: books.queued_bytes, parked_bytes: books.parked_bytes, ..left() };
        assert_eq!(Ledger { low: left.low, next_seq: left.next_seq, ..books }, left, "{signal}");
        assert_eq!(books.imbalance(), 0, "{signal}");

        let letters = queue.letters(signal, Key::new(0)).await.unwrap().found;
        let dead: Vec<_> = letters.iter().map(|letter| (letter.verdict.clone(), letter.batch.clone())).collect();
        assert_eq!(dead, [(verdict(DeadReason::Refused), Ok(batch(signal, 5)))]);

        let new = queue.append(batch(signal, 99)).await.unwrap();
        let behind = queue.list(Select { from: new, ..Select::all(signal) }, 9).await.unwrap().found;
        assert_eq!(behind.iter().map(|entry| entry.key).collect::<Vec<_>>(), [new], "{signal}");
        let mut came = BTreeMap::new();
        let begun = Instant::now();
        while queue.snapshot().signals[signal.index()].books.queued > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{signal}: some batches never come");
            let Some(lease) = lease(queue, signal).await else {
                tokio::task::yield_now().await; // after a kill the next one comes when this one is settled
                continue;
            };
            came.insert(lease.batch.body.clone(), (lease.batch.clone(), lease.owed, lease.parked));
            queue.settle(lease, Settlement::Delivered { rejected: 0 });
        }
        let whole = (3..=BATCHES).filter(|number| ![4, 5, 6].contains(number)).chain([99]).map(|n| batch(signal, n));
        let parts = [part(signal, 1), part(signal, 2)];
        let expected = whole.chain(parts).map(|batch| {
            let (owed, parked) = (batch == self::batch(signal, 3), batch == self::batch(signal, 7));
            (batch.body.clone(), (batch, owed, parked))
        });
        assert_eq!(came, expected.collect(), "{signal}");
    }
    for count in queue.recount().await.unwrap() {
        assert_eq!(count.imbalance(), 0, "{count:?}");
    }
}

/// The books of each signal, after what [`live`] does to it.
fn left() -> Ledger {
    let mut books = Ledger {
        accepted: u64::from(BATCHES * (BATCHES + 1) / 2),
        delivered: 1 + 1,
        rejected: 1,
        owed: 3,
        parked: 7,
        parked_batches: 1,
        queued_batches: u64::from(BATCHES) - 5 + 2,
        ..Ledger::default()
    };
    books.dead[DeadReason::Refused as usize] = 5;
    books.dropped[DropReason::EndpointError as usize] = 6;
    books.queued = books.accepted - 3 - 5 - 6;
    books
}

/// One of everything: delivered, delivered but for one item, owed, cut into parts, dead, dropped, parked, returned.
async fn live(queue: &Queue, signal: Signal) {
    for number in 1..=BATCHES {
        queue.append(batch(signal, number)).await.unwrap();
        let how = match number {
            1 => Settlement::Delivered { rejected: 0 },
            2 => Settlement::Delivered { rejected: 1 },
            3 => Settlement::Owed,
            4 => Settlement::Split(vec![part(signal, 1), part(signal, 2)]),
            5 => Settlement::Dead(verdict(DeadReason::Refused)),
            6 => Settlement::Dropped(DropReason::EndpointError),
            7 => Settlement::Park(verdict(DeadReason::Suspect)),
            8 => Settlement::Return { hold: Duration::from_secs(3600) },
            _ => continue,
        };
        queue.settle(queue.lease(signal, Lane::Fresh, Taker::Fallback).await.unwrap(), how);
    }
    let begun = Instant::now();
    while queue.snapshot().signals[signal.index()].books.parked == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the settles are not written");
        tokio::task::yield_now().await;
    }
}

async fn write(archives: &Path, killed: bool) {
    let archive = archives.join(format!("{FORMAT}-{}.tar.gz", if killed { "killed" } else { "closed" }));
    if archive.exists() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(&config(&home.path().join("queue"))).unwrap();
    for signal in Signal::ALL {
        live(&queue, signal).await;
    }
    if !killed {
        queue.close().await;
        // An open moves what the log holds into tables and blob files.
        queue = Queue::open(&config(&home.path().join("queue"))).unwrap();
        queue.close().await;
    }
    let (archive, home) = (archive.to_str().unwrap(), home.path().to_str().unwrap());
    tar(&["--exclude=LOG*", "--exclude=spillway.lock", "-czf", archive, "-C", home, "queue"]);
}

async fn lease(queue: &Queue, signal: Signal) -> Option<Lease> {
    for lane in Lane::ALL.into_iter().rev() {
        if let Some(lease) = queue.lease(signal, lane, Taker::Primary).await {
            return Some(lease);
        }
    }
    queue.lease_parked(signal, Taker::Primary).await
}

fn config(directory: &Path) -> QueueConfig {
    let mut config = QueueConfig { directory: directory.to_owned(), reserve: Some(0), ..QueueConfig::default() };
    for signal in &mut config.signals {
        signal.order = Order::FreshFirst; // so that new batches come before the parts of old ones
    }
    config.dead_letters.max_age = Duration::ZERO; // the archives are older than any letter may become
    config
}

fn batch(signal: Signal, number: u32) -> Batch {
    let body = format!("{signal} {number} ").repeat(number as usize);
    Batch {
        signal,
        encoding: Encoding::ALL[number as usize % 2],
        items: number,
        inflated_len: 10 * number,
        received_at_ms: 1_750_000_000_000 + u64::from(number),
        headers: [("x-tenant".into(), format!("tenant {number}").into())].into(),
        body: body.into(),
    }
}

/// A part of the batch with four items.
fn part(signal: Signal, number: u32) -> Batch {
    Batch { items: 2, body: format!("{signal} part {number}").into(), ..batch(signal, 4) }
}

fn verdict(reason: DeadReason) -> Verdict {
    Verdict {
        reason,
        target: "hub".to_owned(),
        status: "HTTP 400".to_owned(),
        message: "no such thing".to_owned(),
        attempts: 2,
        first_ms: 1_750_000_000_001,
        last_ms: 1_750_000_000_002,
    }
}

fn tar(arguments: &[&str]) {
    assert!(Command::new("tar").args(arguments).status().unwrap().success(), "tar {arguments:?}");
}
