//! The named invariants.

use std::sync::atomic::Ordering::SeqCst;

use super::support::*;
use crate::batch::{Encoding, Signal};
use crate::config::Durability;
use crate::queue::ledger::{DeadReason, DropReason};
use crate::queue::{Lane, Queue, Settlement, Taker, Verdict};

fn verdict() -> Verdict {
    Verdict {
        reason: DeadReason::Refused,
        target: "hub".to_owned(),
        status: "HTTP 400".to_owned(),
        message: "no".to_owned(),
        attempts: 2,
        first_ms: 1,
        last_ms: 2,
    }
}

/// Scenario: the store is slow with a group. Guarantee: `ack-after-sync`: no OK before the synced write returned, and nothing
/// is handed out before it either.
#[tokio::test]
async fn ack_after_sync() {
    let directory = tempfile::tempdir().unwrap();
    let config = crate::config::QueueConfig { durability: Durability::Fsync, ..config(directory.path()) };
    let (queue, control) = watched(&config);
    let before = control.synced.load(SeqCst);
    control.hold();
    let appending = tokio::spawn({
        let queue = queue.clone();
        async move { queue.append(named(Signal::Logs, "a")).await }
    });
    until("the batch reached the committing thread", || queue.shared.inbox.is_empty()).await;
    tokio::task::yield_now().await;
    assert!(!appending.is_finished());
    assert!(queue.lease(Signal::Logs, Lane::Fresh, Taker::Primary).await.is_none());
    control.release();
    appending.await.unwrap().unwrap();
    assert_eq!(control.synced.load(SeqCst), before + 1);
    assert!(queue.lease(Signal::Logs, Lane::Fresh, Taker::Primary).await.is_some());
    queue.close().await;
}

/// Scenario: each way in which a lease can end, for a batch of three items. Guarantee: `settled-once`: the items are in
/// exactly one account, and the batch is not handed out again.
#[tokio::test]
async fn settled_once() {
    let (queue, _directory) = queue();
    let ends = [
        Settlement::Delivered { rejected: 0 },
        Settlement::Delivered { rejected: 1 },
        Settlement::Delivered { rejected: 9 },
        Settlement::Dead(verdict()),
        Settlement::Dropped(DropReason::StrictOtlp),
    ];
    for end in ends {
        queue.append(crate::batch::Batch { items: 3, ..named(Signal::Logs, "a") }).await.unwrap();
        let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        queue.settle(lease, end);
    }
    settled(&queue).await;
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.accepted, books.queued, books.delivered, books.rejected), (15, 0, 5, 4));
    assert_eq!(books.dead[DeadReason::Refused as usize], 3);
    assert_eq!(books.dropped[DropReason::StrictOtlp as usize], 3);
    assert_eq!(queue.snapshot().dead_letters, (1, 1));
    assert!(next(&queue, Signal::Logs, Lane::Fresh).await.is_none());
    assert!(next(&queue, Signal::Logs, Lane::Backlog).await.is_none());
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: many senders at once, on three signals. Guarantee: `books-balance`: each batch is in the books once and in the
/// index once, and groups were formed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_balance() {
    let directory = tempfile::tempdir().unwrap();
    let config = crate::config::QueueConfig { durability: Durability::Fsync, ..config(directory.path()) };
    let queue = Queue::open(&config).unwrap();
    let senders = (0..60).map(|sender| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                queue.append(batch(Signal::ALL[sender % 3], 1000)).await.unwrap();
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    let seen = queue.snapshot();
    assert!(seen.commit_groups < 300 && seen.commit_batches == 300, "{} groups", seen.commit_groups);
    for depth in seen.signals {
        assert_eq!((depth.books.accepted, depth.books.queued_batches, depth.books.queued_bytes), (100, 100, 100_000));
    }
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: a batch with everything that it can carry, read from memory and from disk. Guarantee: `bytes-unchanged`.
#[tokio::test]
async fn bytes_unchanged() {
    let (queue, directory) = queue();
    let sent = crate::batch::Batch {
        encoding: Encoding::Gzip,
        items: 42,
        inflated_len: 99_999,
        headers: [("x-tenant".into(), "a".into()), ("x-other".into(), "".into())].into(),
        ..named(Signal::Traces, "\u{0}any bytes\u{7f}")
    };
    queue.append(sent.clone()).await.unwrap();
    let (lease, _) = next(&queue, Signal::Traces, Lane::Fresh).await.unwrap();
    assert_eq!(lease.batch, sent);
    let id = lease.id;
    drop(lease);
    let (lease, _) = next(&queue, Signal::Traces, Lane::Backlog).await.unwrap();
    assert_eq!((&lease.batch, lease.id, lease.attempts), (&sent, id, 1));
    drop(lease);
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    let (lease, _) = next(&queue, Signal::Traces, Lane::Backlog).await.unwrap();
    assert_eq!((&lease.batch, lease.id), (&sent, id));
}

/// Scenario: the settle of the last batch has nothing to ride on. Guarantee: it is written all the same, and synced, without
/// another append.
#[tokio::test]
async fn a_settle_is_written_and_synced_when_nothing_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let config = crate::config::QueueConfig { durability: Durability::Fsync, ..config(directory.path()) };
    let (queue, control) = watched(&config);
    queue.append(named(Signal::Logs, "a")).await.unwrap();
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    let before = control.synced.load(SeqCst);
    queue.settle(lease, delivered());
    settled(&queue).await;
    assert_eq!(queue.snapshot().signals[Signal::Logs.index()].books.queued_batches, 0);
    until("the settle is synced", || control.synced.load(SeqCst) > before).await;
    queue.close().await;
}

/// Scenario: settles of a batch that is out on another lease, an earlier and a later one. Guarantee: they are ignored and
/// counted late.
#[tokio::test]
async fn a_late_settle_changes_nothing() {
    let (queue, _directory) = queue();
    for (settles, other) in [(1, -1), (2, 1)] {
        queue.append(named(Signal::Logs, "a")).await.unwrap();
        let (mut lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        lease.ticket.number = lease.ticket.number.wrapping_add_signed(other);
        queue.settle(lease, delivered());
        until("the late settle was noticed", || queue.snapshot().late_settles == settles).await;
    }
    assert_eq!(queue.snapshot().signals[Signal::Logs.index()].books.delivered, 0);
    assert_books(&queue).await;
    queue.close().await;
}

/// Scenario: the dead letters reach their cap. Guarantee: the queue says so, and evicts none.
#[tokio::test]
async fn a_full_store_of_dead_letters_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.dead_letters.max_size = 10;
    let queue = Queue::open(&config).unwrap();
    for full in [false, true] {
        assert_eq!(queue.dead_letters_full(), full);
        queue.append(batch(Signal::Logs, 10)).await.unwrap();
        let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
        queue.settle(lease, Settlement::Dead(verdict()));
        settled(&queue).await;
    }
    queue.close().await;
    let queue = Queue::open(&config).unwrap();
    assert!(queue.dead_letters_full());
    assert_eq!(queue.snapshot().dead_letters, (2, 20));
    assert_books(&queue).await;
}
