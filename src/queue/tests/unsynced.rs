//! What a loss of power takes where an OK does not wait for a sync.

use std::time::Duration;

use tokio::task::JoinSet;

use super::support::*;
use crate::batch::{Batch, Signal};
use crate::config::{Durability, QueueConfig};
use crate::queue::ledger::DropReason;
use crate::queue::salvage::watermark::Watermark;
use crate::queue::simulation::{Crash, Disk};
use crate::queue::{Lane, Queue};

/// Scenario: with `interval` and `os` power is lost at any place of what was written, after some batches were delivered and the
/// watermark beside the store was brought up to date, as the keeping thread does each second; then once more at once.
/// Guarantee: what was acknowledged by then is queued, or counted as lost, once; what had been delivered is not; the books
/// balance. A kill loses nothing and counts nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_power_took_is_counted() {
    let mut lives = JoinSet::new();
    for seed in 0..12 {
        lives.spawn(life(Durability::Interval, Crash::Power { seed }));
        lives.spawn(life(Durability::Os, Crash::Power { seed: seed + 100 }));
    }
    lives.spawn(life(Durability::Os, Crash::Process));
    let lost = lives.join_all().await;
    assert!(lost.contains(&12) && lost.iter().any(|lost| (1..12).contains(lost)), "nothing was ever lost: {lost:?}");
}

/// Items that were counted as lost.
async fn life(durability: Durability, how: Crash) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { durability, sync_interval: Duration::from_secs(3600), ..config(directory.path()) };
    let disk = Disk::new();
    let queue = Queue::open_in_memory(&config, &disk).unwrap();
    for _ in 0..6 {
        queue.append(Batch { items: 3, ..named(Signal::Logs, "x") }).await.unwrap();
    }
    for _ in 0..2 {
        let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        queue.settle(lease, delivered());
    }
    settled(&queue).await;
    let marked = || Watermark::read(directory.path()).unwrap().books[Signal::Logs.index()];
    until("the watermark follows", || marked().delivered == 6).await;
    let file = directory.path().join("spillway.watermark");
    let watermark = std::fs::read(&file).unwrap();
    disk.crash(how);
    kill(queue).await;
    let mut seen = None;
    for _ in 0..2 {
        std::fs::write(&file, &watermark).unwrap(); // as after a kill before it was written again
        let queue = Queue::open_in_memory(&config, &disk).unwrap();
        let books = queue.snapshot().signals[Signal::Logs.index()].books;
        assert_books(&queue).await;
        let dropped = books.dropped[DropReason::LostUnsynced as usize];
        assert_eq!(dropped, books.dropped_total());
        assert!(dropped <= 12, "six were delivered: {books:?}");
        assert!(dropped + books.queued + books.delivered >= 12, "some are in no account: {books:?}");
        assert_eq!(*seen.get_or_insert(dropped), dropped, "counted twice");
        disk.crash(Crash::Process);
        kill(queue).await;
    }
    let lost = seen.unwrap_or_default();
    assert!(lost == 0 || how != Crash::Process, "a kill loses nothing");
    lost
}
