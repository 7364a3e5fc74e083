//! `poison-on-sync-failure`.

use std::sync::atomic::Ordering::SeqCst;

use super::support::*;
use crate::batch::Signal;
use crate::config::{Durability, QueueConfig};
use crate::queue::snapshot::StoreState;
use crate::queue::{AppendError, Lane, Queue, Taker};

/// Scenario: a write fails while others wait behind it, and the disk recovers at once. Guarantee: none of them is
/// acknowledged, nor is anything later; nothing hangs; what was acknowledged before is there after a restart.
#[tokio::test]
async fn poison_on_sync_failure() {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { durability: Durability::Fsync, ..config(directory.path()) };
    let (queue, control) = watched(&config);
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
    control.broken.store(true, SeqCst);
    control.release();
    for appending in appending {
        assert_eq!(appending.await.unwrap(), Err(AppendError::Poisoned));
    }
    control.broken.store(false, SeqCst);
    let commits = control.commits.load(SeqCst);
    assert_eq!(queue.append(named(Signal::Logs, "d")).await, Err(AppendError::Poisoned));
    assert_eq!(queue.admits(Signal::Traces), Err(AppendError::Poisoned));
    assert_eq!(queue.snapshot().state, StoreState::Poisoned);
    assert!(queue.lease(Signal::Logs, Lane::Fresh, Taker::Primary).await.is_none());
    assert!(queue.lease(Signal::Logs, Lane::Backlog, Taker::Primary).await.is_none());
    queue.settle(lease, delivered());
    queue.close().await;
    assert_eq!(control.commits.load(SeqCst), commits, "nothing is written after a failed write");

    let queue = Queue::open(&config).unwrap();
    let mut names = Vec::new();
    while let Some((lease, name)) = next(&queue, Signal::Logs, Lane::Backlog).await {
        names.push(name);
        std::mem::forget(lease);
    }
    assert_eq!(names[0], "safe");
    assert_books(&queue).await;
}

/// Scenario: the sync of settles fails, with no batch to tell. Guarantee: the queue is poisoned, the waiter for data is woken.
#[tokio::test]
async fn a_failed_sync_of_settles_poisons_too() {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { durability: Durability::Fsync, ..config(directory.path()) };
    let (queue, control) = watched(&config);
    queue.append(named(Signal::Logs, "a")).await.unwrap();
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.ready(Signal::Logs).await;
    queue.settle(lease, delivered());
    settled(&queue).await;
    control.broken.store(true, SeqCst);
    queue.ready(Signal::Logs).await;
    assert_eq!(queue.snapshot().state, StoreState::Poisoned);
    queue.close().await;
}
