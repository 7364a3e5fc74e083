//! Logs that are written over older ones.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use super::support::*;
use crate::batch::Signal;
use crate::config::QueueConfig;
use crate::queue::salvage::wal;
use crate::queue::{Lane, Queue, Settlement};

/// The fourth part of so many batches is left in the queue, the rest is delivered.
const STEP: usize = 40;

fn small(directory: &Path) -> QueueConfig {
    QueueConfig { memory_limit: Some(32 << 20), ..config(directory) }
}

/// A directory as a kill leaves it while the log in use is written over an older one, the names of what is
/// queued in it, and how many came in.
async fn killed() -> (tempfile::TempDir, Vec<String>, u64) {
    let directory = tempfile::tempdir().unwrap();
    let queue = Queue::open(&small(directory.path())).unwrap();
    let mut queued = Vec::new();
    for step in 0..100 {
        for number in 0..STEP {
            let body = format!("batch {:05} {}", step * STEP + number, "x".repeat(40_000));
            queue.append(named(Signal::Logs, &body)).await.unwrap();
            let (lease, name) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
            match number % 4 {
                0 => {
                    queued.push(name);
                    queue.settle(lease, Settlement::Return { hold: Duration::from_secs(86_400) });
                }
                _ => queue.settle(lease, delivered()),
            }
        }
        settled(&queue).await;
        let copied = copy_at_rest(directory.path());
        if let Some(copy) = copied.filter(|copy| is_written_over(copy.path())) {
            return (copy, queued, ((step + 1) * STEP) as u64);
        }
    }
    panic!("no log is written over");
}

/// A copy, unless a flush went on meanwhile. It has to be of the living: a close cuts the log off behind its end.
fn copy_at_rest(from: &Path) -> Option<tempfile::TempDir> {
    let listing = || -> io::Result<Vec<_>> {
        let entries = fs::read_dir(from.join("store"))?;
        entries.map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?.len())))).collect()
    };
    let before = listing().ok()?;
    let to = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to.path()).output().unwrap();
    (copied.status.success() && listing().ok()? == before).then_some(to)
}

/// Whether the log in use has much of its own and ends before its file does, and an older one waits for its turn.
fn is_written_over(directory: &Path) -> bool {
    let store = directory.join("store");
    let (logs, all) = (wal::logs(&store).unwrap(), wal::files(&store, "log").unwrap());
    let leftovers = wal::scan(&store).unwrap().leftovers;
    let last = leftovers.last().is_some_and(|(log, end)| Some(log) == logs.last() && *end > 100_000);
    last && logs.len() < all.len()
}

async fn names(queue: &Queue) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((lease, name)) = next(queue, Signal::Logs, Lane::Backlog).await {
        names.push(name);
        queue.settle(lease, delivered());
    }
    names
}

/// Scenario: a kill while logs are written over older ones. Guarantee: what was queued is, nothing that the older logs hold comes
/// back, nothing is taken for damage, and RocksDB sees the ends of the logs only.
#[tokio::test]
async fn what_an_older_log_left_is_neither_damage_nor_replayed() {
    let (directory, queued, came) = killed().await;
    let scan = wal::scan(&directory.path().join("store")).unwrap();
    let queue = reopened(&small(directory.path()));
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.accepted, books.queued, books.dropped_total()), (came, queued.len() as u64, 0));
    assert_books(&queue).await;
    assert!(names(&queue).await == queued);
    assert!(!directory.path().join("damaged-1").exists());
    queue.close().await;
    assert!(scan.leftovers.iter().all(|(log, end)| fs::metadata(log).map_or(true, |log| log.len() <= *end)));
}

/// Scenario: the same, and a bit is flipped in such a log, with more of its own behind it. Guarantee: that batch is counted as
/// dropped, or comes back if its settle was hit; nothing else is lost.
#[tokio::test]
async fn damage_in_a_log_over_an_older_one_is_met_as_in_any_other() {
    let (directory, queued, came) = killed().await;
    let (log, _) = wal::scan(&directory.path().join("store")).unwrap().leftovers.pop().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&log, bytes).unwrap();
    let queue = reopened(&small(directory.path()));
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_books(&queue).await;
    assert_eq!(books.accepted, came);
    assert!(directory.path().join("damaged-1").is_dir());
    let left = names(&queue).await;
    let lost = queued.iter().filter(|name| !left.contains(name)).count();
    assert!(lost <= 1 && books.dropped_total() <= 1, "{lost} {books:?}");
    assert!(left.len() <= queued.len() + 1);
}
