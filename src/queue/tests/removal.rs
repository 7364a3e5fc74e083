//! Batches that are removed undelivered, wherever they stand at that moment.

use super::support::*;
use crate::batch::{Batch, Key, Signal};
use crate::queue::ledger::{DropReason, Ledger};
use crate::queue::{Lane, Queue, QueueError, Removed, Settlement, Taker};

fn books(queue: &Queue, signal: Signal) -> Ledger {
    queue.snapshot().signals[signal.index()].books
}

async fn rest(queue: &Queue, signal: Signal) -> Vec<String> {
    let mut names = Vec::new();
    for lane in [Lane::Backlog, Lane::Fresh] {
        while let Some((lease, name)) = next(queue, signal, lane).await {
            names.push(name);
            queue.settle(lease, delivered());
        }
    }
    names
}

/// Scenario: a backlog of which one batch is leased, one returned with a hold, one owed, some read ahead and some in memory
/// is dropped up to the middle of what is in memory. Guarantee: exactly those are gone and counted, settles of them are late,
/// the others are delivered once, and it is so after a kill.
#[tokio::test]
async fn what_is_dropped_is_gone_wherever_it_stood() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let queue = Queue::open(&config).unwrap();
    for name in ["1", "2", "3", "4"] {
        queue.append(Batch { items: 3, ..named(Signal::Logs, name) }).await.unwrap();
    }
    queue.close().await;
    let queue = Queue::open(&config).unwrap();
    for name in ["5", "6", "7"] {
        queue.append(Batch { items: 3, ..named(Signal::Logs, name) }).await.unwrap();
    }
    let owed = queue.lease(Signal::Logs, Lane::Backlog, Taker::Fallback).await.unwrap();
    let leased = queue.lease(Signal::Logs, Lane::Backlog, Taker::Fallback).await.unwrap();
    let returned = queue.lease(Signal::Logs, Lane::Backlog, Taker::Fallback).await.unwrap();
    queue.settle(owed, Settlement::Owed);
    queue.settle(returned, Settlement::Return { hold: std::time::Duration::from_secs(60) });
    settled(&queue).await;
    let removed = queue.drop_below(Signal::Logs, Key::new(6), DropReason::Purged).await.unwrap();
    assert_eq!(removed, Removed { batches: 5, items: 15, bytes: 5, owed_batches: 1, owed: 3 });
    queue.settle(leased, delivered());
    settled(&queue).await;
    assert_eq!(queue.snapshot().late_settles, 1);
    let now = books(&queue, Signal::Logs);
    assert_eq!((now.queued, now.owed, now.low), (6, 0, 6));
    assert_eq!((now.delivered, now.owed_released), (3, 3), "what a fallback has is not lost");
    assert_eq!(now.dropped[DropReason::Purged as usize], 12);
    assert_books(&queue).await;
    kill(queue).await;

    let queue = Queue::open(&config).unwrap();
    assert_books(&queue).await;
    assert_eq!(rest(&queue, Signal::Logs).await, ["6", "7"]);
    settled(&queue).await;
    assert_books(&queue).await;
    assert_eq!(books(&queue, Signal::Logs).imbalance(), 0);
    queue.close().await;
}

/// Scenario: in a FIFO, a batch that was just settled as owed is dropped before that is written. Guarantee: what is behind it
/// is served.
#[tokio::test]
async fn a_fifo_goes_on_behind_what_was_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, control) = watched(&config(directory.path()));
    for name in ["1", "2", "3"] {
        queue.append(named(Signal::Metrics, name)).await.unwrap();
    }
    let first = queue.lease(Signal::Metrics, Lane::Fresh, Taker::Fallback).await.unwrap();
    control.hold();
    let dropping = tokio::spawn({
        let queue = queue.clone();
        async move { queue.drop_below(Signal::Metrics, Key::new(2), DropReason::Purged).await }
    });
    until("the drop is on its way", || queue.shared.inbox.is_empty()).await;
    queue.settle(first, Settlement::Owed);
    control.release();
    assert_eq!(dropping.await.unwrap().unwrap().batches, 1);
    settled(&queue).await;
    assert_eq!(rest(&queue, Signal::Metrics).await, ["2", "3"]);
    settled(&queue).await;
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: all of a signal is dropped while others have batches, with an owed interval over the cut. Guarantee: the
/// others are untouched; of the interval the part behind the cut is still owed.
#[tokio::test]
async fn a_drop_keeps_to_its_signal_and_its_range() {
    let (queue, directory) = queue();
    for signal in Signal::ALL {
        for name in ["1", "2", "3", "4"] {
            queue.append(named(signal, name)).await.unwrap();
            let lease = queue.lease(signal, Lane::Fresh, Taker::Fallback).await.unwrap();
            queue.settle(lease, Settlement::Owed);
        }
    }
    settled(&queue).await;
    let all = queue.drop_below(Signal::Traces, Key::new(u64::MAX), DropReason::Purged).await.unwrap();
    let half = queue.drop_below(Signal::Logs, Key::new(3), DropReason::Purged).await.unwrap();
    assert_eq!((all.batches, all.owed, half.batches, half.owed), (4, 4, 2, 2));
    assert_books(&queue).await;
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    assert_books(&queue).await;
    assert!(queue.lease(Signal::Logs, Lane::Backlog, Taker::Fallback).await.is_none(), "the rest is still owed");
    queue.append(named(Signal::Traces, "5")).await.unwrap();
    assert_eq!(rest(&queue, Signal::Traces).await, ["5"]);
    assert_eq!(rest(&queue, Signal::Metrics).await, ["1", "2", "3", "4"]);
    assert_eq!(rest(&queue, Signal::Logs).await, ["3", "4"]);
    settled(&queue).await;
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: a store that is closed, and one that failed. Guarantee: who asks for a drop is told so.
#[tokio::test]
async fn a_queue_that_cannot_write_refuses_commands() {
    let drop_all = async |queue: &Queue| queue.drop_below(Signal::Logs, Key::new(9), DropReason::Purged).await;
    let (queue, _directory) = queue();
    queue.close().await;
    assert!(matches!(drop_all(&queue).await, Err(QueueError::Closed)));
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let (queue, control) = watched(&config);
    queue.append(named(Signal::Logs, "1")).await.unwrap();
    control.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(matches!(drop_all(&queue).await, Err(QueueError::Poisoned)));
    assert!(matches!(drop_all(&queue).await, Err(QueueError::Poisoned)));
    queue.close().await;
}
