//! `poison-on-sync-failure`, and the way back.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use tempfile::TempDir;

use super::support::*;
use crate::batch::Signal;
use crate::config::{Durability, QueueConfig};
use crate::queue::ledger::DeadReason;
use crate::queue::snapshot::StoreState;
use crate::queue::{AppendError, Lane, Queue, QueueError, Settlement, Taker, Verdict};

/// A queue that syncs, on a watched store.
fn synced() -> (Queue, Arc<Control>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { durability: Durability::Fsync, ..config(directory.path()) };
    let (queue, control) = watched(&config);
    (queue, control, directory)
}

async fn reopened(queue: &Queue, times: u64) {
    until("the store is reopened", || {
        let seen = queue.snapshot();
        seen.store_reopens == times && seen.state == StoreState::Open
    })
    .await;
}

/// The names of all that can be leased; every lease is settled.
async fn drain(queue: &Queue) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((lease, name)) = next(queue, Signal::Logs, Lane::Backlog).await {
        queue.settle(lease, delivered());
        names.push(name);
    }
    settled(queue).await;
    names
}

/// Scenario: a write fails while others wait behind it, and the store can be opened again only later. Guarantee: none of them
/// is acknowledged, nor is anything handed out or written until then; nothing hangs; then it goes on by itself.
#[tokio::test]
async fn poison_on_sync_failure() {
    let (queue, control, _directory) = synced();
    queue.append(named(Signal::Logs, "safe")).await.unwrap();
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    control.hold();
    let appending: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.append(named(Signal::Logs, name)).await })
        })
        .into();
    until("a group is on its way", || queue.shared.inbox.is_empty()).await;
    control.unopenable.store(1, SeqCst);
    control.broken.store(true, SeqCst);
    control.release();
    for appending in appending {
        assert_eq!(appending.await.unwrap(), Err(AppendError::Poisoned));
    }
    control.broken.store(false, SeqCst);
    let commits = control.commits.load(SeqCst);
    until("the first reopen failed", || control.unopenable.load(SeqCst) == 0).await;
    assert_eq!(queue.append(named(Signal::Logs, "d")).await, Err(AppendError::Poisoned));
    assert_eq!(queue.admits(Signal::Traces), Err(AppendError::Poisoned));
    assert!(matches!(queue.snapshot().state, StoreState::Poisoned | StoreState::Recovering));
    assert!(matches!(queue.recount().await, Err(QueueError::Poisoned)));
    assert!(next(&queue, Signal::Logs, Lane::Fresh).await.is_none());
    assert!(next(&queue, Signal::Logs, Lane::Backlog).await.is_none());
    queue.settle(lease, delivered());
    assert_eq!(control.commits.load(SeqCst), commits, "nothing is written after a failed write");

    reopened(&queue, 1).await;
    queue.append(named(Signal::Logs, "later")).await.unwrap();
    assert_books(&queue).await;
    let names = drain(&queue).await;
    assert_eq!(names.first().map(String::as_str), Some("safe"), "its settle was not written: it comes again");
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: the store fails with batches in memory, leased, returned, owed, being settled. Guarantee: handles stay valid; what
/// is in memory is what the store holds; leases of before are late, and end nothing; names are new; the ring's bytes are exact.
#[tokio::test]
async fn what_is_in_memory_is_rebuilt_from_the_store() {
    let (queue, control, _directory) = synced();
    for name in ["leased", "returned", "owed", "settled", "fresh"] {
        queue.append(named(Signal::Logs, name)).await.unwrap();
    }
    let (leased, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    drop(next(&queue, Signal::Logs, Lane::Fresh).await.unwrap());
    let (owed, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(owed, crate::queue::Settlement::Owed);
    let (ended, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(ended, delivered());
    settled(&queue).await;
    let (number, epoch) = (leased.ticket.number, leased.id.epoch);

    control.broken.store(true, SeqCst);
    assert_eq!(queue.append(named(Signal::Logs, "never")).await, Err(AppendError::Poisoned));
    control.broken.store(false, SeqCst);
    reopened(&queue, 1).await;

    let late = queue.snapshot().late_settles;
    queue.settle(leased, delivered());
    until("the old lease is late", || queue.snapshot().late_settles > late).await;
    let depth = queue.snapshot().signals[Signal::Logs.index()].clone();
    assert_eq!((depth.books.queued, depth.books.owed, depth.books.delivered), (4, 1, 1));
    assert_eq!((depth.fresh_batches, depth.leased_batches), (0, 0));
    assert_eq!(queue.shared.ring_bytes.load(Relaxed), 0);
    queue.append(named(Signal::Logs, "new")).await.unwrap();
    assert_eq!(queue.shared.ring_bytes.load(Relaxed), 3);
    let (fresh, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    assert!(fresh.id.epoch > epoch && fresh.ticket.number > number);
    assert_eq!(queue.shared.ring_bytes.load(Relaxed), 0);
    drop(fresh);
    let mut names = drain(&queue).await;
    names.sort();
    assert_eq!(names, ["fresh", "leased", "new", "owed", "returned"]);
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: the store fails while a suspect is parked and a dead letter is held. Guarantee: both are there after the reopen, the
/// suspect out of the line as before.
#[tokio::test]
async fn suspects_and_dead_letters_outlive_a_failure() {
    let (queue, control, _directory) = synced();
    let story = |reason| Verdict {
        reason,
        target: "hub".to_owned(),
        status: "HTTP 500".to_owned(),
        message: String::new(),
        attempts: 20,
        first_ms: 1,
        last_ms: 2,
    };
    for (name, how) in [
        ("suspect", Settlement::Park(story(DeadReason::Suspect))),
        ("dead", Settlement::Dead(story(DeadReason::Refused))),
    ] {
        queue.append(named(Signal::Logs, name)).await.unwrap();
        let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        queue.settle(lease, how);
        settled(&queue).await;
    }
    let before = queue.snapshot();
    control.broken.store(true, SeqCst);
    assert_eq!(queue.append(named(Signal::Logs, "never")).await, Err(AppendError::Poisoned));
    control.broken.store(false, SeqCst);
    reopened(&queue, 1).await;
    let after = queue.snapshot();
    assert_eq!(after.dead_letters, before.dead_letters);
    assert_eq!(after.signals[Signal::Logs.index()].books, before.signals[Signal::Logs.index()].books);
    assert!(next(&queue, Signal::Logs, Lane::Backlog).await.is_none());
    let suspect = queue.lease_parked(Signal::Logs, Taker::Primary).await.unwrap();
    assert_eq!(name(&suspect), "suspect");
    queue.settle(suspect, delivered());
    settled(&queue).await;
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: somebody waits for data while the store fails and comes back. Guarantee: the waiter is woken, and finds it.
#[tokio::test]
async fn who_waits_for_data_is_woken_by_the_reopen() {
    let (queue, control, _directory) = synced();
    queue.append(named(Signal::Logs, "a")).await.unwrap();
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.ready(Signal::Logs).await;
    control.broken.store(true, SeqCst);
    assert!(queue.append(named(Signal::Traces, "b")).await.is_err());
    control.broken.store(false, SeqCst);
    let found = async {
        loop {
            queue.ready(Signal::Logs).await;
            if let Some((_, name)) = next(&queue, Signal::Logs, Lane::Backlog).await {
                break name;
            }
        }
    };
    assert_eq!(tokio::time::timeout(std::time::Duration::from_secs(20), found).await.unwrap(), "a");
    drop(lease);
    queue.close().await;
}

/// Scenario: the sync of settles fails, with no batch to tell. Guarantee: the queue is poisoned, and reopened.
#[tokio::test]
async fn a_failed_sync_of_settles_poisons_too() {
    let (queue, control, _directory) = synced();
    queue.append(named(Signal::Logs, "a")).await.unwrap();
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(lease, delivered());
    settled(&queue).await;
    control.broken.store(true, SeqCst);
    until("the queue is poisoned", || queue.snapshot().state != StoreState::Open).await;
    control.broken.store(false, SeqCst);
    reopened(&queue, 1).await;
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: a bug ends the committing thread in the middle of a group. Guarantee: as a failed write.
#[tokio::test]
async fn a_bug_in_a_thread_of_the_queue_is_as_a_failed_write() {
    let (queue, control, _directory) = synced();
    queue.append(named(Signal::Logs, "a")).await.unwrap();
    control.panics.store(true, SeqCst);
    assert_eq!(queue.append(named(Signal::Logs, "b")).await, Err(AppendError::Poisoned));
    reopened(&queue, 1).await;
    queue.append(named(Signal::Logs, "c")).await.unwrap();
    assert_books(&queue).await;
    assert_eq!(drain(&queue).await.first().map(String::as_str), Some("a"));
    queue.close().await;
}

/// Scenario: the store cannot be reopened, and the queue is closed meanwhile. Guarantee: it ends, and lets go of the directory.
#[tokio::test]
async fn a_queue_that_cannot_be_reopened_can_be_closed() {
    let (queue, control, directory) = synced();
    queue.append(named(Signal::Logs, "a")).await.unwrap();
    control.unopenable.store(u64::MAX, SeqCst);
    control.broken.store(true, SeqCst);
    assert!(queue.append(named(Signal::Logs, "b")).await.is_err());
    until("a reopen failed", || control.unopenable.load(SeqCst) < u64::MAX).await;
    queue.close().await;
    assert_eq!(queue.append(named(Signal::Logs, "c")).await, Err(AppendError::Closing));
    let queue = Queue::open(&config(directory.path())).unwrap();
    assert_eq!(drain(&queue).await.first().map(String::as_str), Some("a"));
}

/// Scenario: the volume is full when the store is opened, and there is a ballast file. Guarantee: the file is given up, the
/// store opens at once, and the file is made again.
#[tokio::test]
async fn the_ballast_makes_room_for_an_open() {
    let (queue, control, directory) = synced();
    let (ballast, witness) = (directory.path().join("ballast"), directory.path().join("witness"));
    std::fs::hard_link(&ballast, &witness).unwrap();
    control.unopenable.store(1, SeqCst);
    control.broken.store(true, SeqCst);
    assert!(queue.append(named(Signal::Logs, "a")).await.is_err());
    control.broken.store(false, SeqCst);
    reopened(&queue, 1).await;
    assert_eq!(std::fs::metadata(&witness).unwrap().nlink(), 1, "the ballast that there is now is a new one");
    assert!(ballast.exists());
    assert!(queue.lease(Signal::Traces, Lane::Fresh, Taker::Primary).await.is_none());
    queue.close().await;
}
