//! Batches that are delivered in parts.

use super::support::*;
use crate::batch::{Batch, Signal};
use crate::config::QueueConfig;
use crate::queue::{Lane, Lease, Queue, Settlement, Taker};

/// Metrics are a FIFO.
const SIGNAL: Signal = Signal::Metrics;

fn items(name: &str, items: u32) -> Batch {
    Batch { items, ..named(SIGNAL, name) }
}

fn split(parts: &[(&str, u32)]) -> Settlement {
    Settlement::Split(parts.iter().map(|(name, count)| items(name, *count)).collect())
}

async fn lease(queue: &Queue, taker: Taker) -> Option<Lease> {
    match queue.lease(SIGNAL, Lane::Backlog, taker).await {
        Some(lease) => Some(lease),
        None => queue.lease(SIGNAL, Lane::Fresh, taker).await,
    }
}

/// Delivers what is left, and says what came with how many items, in order.
async fn drain(queue: &Queue) -> Vec<(String, u32)> {
    let mut came = Vec::new();
    while let Some(lease) = lease(queue, Taker::Primary).await {
        came.push((name(&lease), lease.batch.items));
        queue.settle(lease, delivered());
    }
    settled(queue).await;
    came
}

/// Scenario: a batch in a FIFO is split while its neighbours wait, and its first part again; once before and once after a
/// restart. Guarantee: nobody overtakes, also not while the split is on its way to the disk; the parts come at the place of
/// the whole, in order, under names of their own; items are neither lost nor invented.
#[tokio::test]
async fn parts_take_the_place_of_the_whole() {
    for restart in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (mut queue, control) = watched(&config(directory.path()));
        for batch in [items("before", 1), items("whole", 10), items("behind", 1)] {
            queue.append(batch).await.unwrap();
        }
        let before = lease(&queue, Taker::Primary).await.unwrap();
        let whole = lease(&queue, Taker::Primary).await.unwrap();
        let (whole_id, room) = (whole.id, whole.room_for_parts());
        assert_eq!((name(&whole).as_str(), room), ("whole", 1 << 15));
        control.hold();
        queue.settle(whole, split(&[("left", 6), ("right", 4)]));
        assert!(lease(&queue, Taker::Primary).await.is_none(), "it is being split: nothing may overtake it");
        control.release();
        settled(&queue).await;
        let left = lease(&queue, Taker::Primary).await.unwrap();
        assert_eq!((name(&left).as_str(), left.attempts, left.room_for_parts()), ("left", 0, 1 << 14));
        assert!(left.id != whole_id && left.id.key > whole_id.key);
        queue.settle(left, split(&[("left.1", 1), ("left.2", 2), ("left.3", 3)]));
        settled(&queue).await;
        assert_books(&queue).await;
        let books = queue.snapshot().signals[SIGNAL.index()].books;
        assert_eq!((books.accepted, books.queued, books.queued_batches), (12, 12, 6));
        queue.settle(before, delivered());
        if restart {
            queue.close().await;
            queue = Queue::open(&config(directory.path())).unwrap();
        }
        let came = [("left.1", 1), ("left.2", 2), ("left.3", 3), ("right", 4), ("behind", 1)];
        assert_eq!(drain(&queue).await, came.map(|(name, items)| (name.to_owned(), items)), "restart: {restart}");
        assert_books(&queue).await;
        let books = queue.snapshot().signals[SIGNAL.index()].books;
        assert_eq!((books.delivered, books.queued, books.low), (12, 0, books.next_seq));
    }
}

/// Scenario: a batch that a fallback took is split by the primary, and the process is killed. Guarantee: each part is owed, and
/// goes to no fallback.
#[tokio::test]
async fn parts_of_what_is_owed_are_owed() {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { memory_limit: Some(16 << 20), ..config(directory.path()) };
    let queue = Queue::open(&config).unwrap();
    for batch in [items("whole", 3), items("behind", 1)] {
        queue.append(batch).await.unwrap();
    }
    queue.settle(lease(&queue, Taker::Fallback).await.unwrap(), Settlement::Owed);
    settled(&queue).await;
    let whole = lease(&queue, Taker::Primary).await.unwrap();
    assert!(whole.owed);
    queue.settle(whole, split(&[("left", 1), ("right", 2)]));
    settled(&queue).await;
    assert_books(&queue).await;
    kill(queue).await;

    let queue = Queue::open(&config).unwrap();
    assert_books(&queue).await;
    assert_eq!(queue.snapshot().signals[SIGNAL.index()].books.owed, 3);
    let to_fallback = lease(&queue, Taker::Fallback).await.unwrap();
    assert_eq!(name(&to_fallback), "behind");
    assert!(lease(&queue, Taker::Fallback).await.is_none());
    drop(to_fallback);
    assert_eq!(
        drain(&queue).await.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["left", "right", "behind"]
    );
    assert_eq!(queue.snapshot().signals[SIGNAL.index()].books.owed, 0);
}

/// Scenario: parts that are not the whole: an item too many, one too few, an empty part, another signal, a single part.
/// Guarantee: each is refused, the batch stays as it was and is left alone for a while, the books say nothing of it.
#[tokio::test]
async fn parts_that_are_not_the_whole_are_refused() {
    let (queue, _directory) = queue();
    let before = queue.append(items("whole", 3)).await.map(|_| queue.snapshot().signals[SIGNAL.index()].books).unwrap();
    let other = Batch { signal: Signal::Logs, ..items("other", 2) };
    let wrong = [
        split(&[("left", 2), ("right", 2)]),
        split(&[("left", 1), ("right", 1)]),
        split(&[("left", 3), ("right", 0)]),
        Settlement::Split(vec![items("left", 1), other]),
        split(&[("left", 3)]),
    ];
    for how in wrong {
        tokio::time::pause(); // so that time goes on where nothing else does
        queue.settle(next_of_both(&queue).await, how);
        assert!(
            lease(&queue, Taker::Primary).await.is_none() && queue.pending(SIGNAL, Taker::Primary).held_until.is_some()
        );
        tokio::time::advance(std::time::Duration::from_secs(6)).await;
        tokio::time::resume();
    }
    settled(&queue).await;
    assert_eq!(queue.snapshot().signals[SIGNAL.index()].books, before);
}

async fn next_of_both(queue: &Queue) -> Lease {
    lease(queue, Taker::Primary).await.unwrap()
}

/// Scenario: four leases end together, each in another way, while the committing thread is awake. Guarantee: one set of changes
/// holds them all, so no crash can part them.
#[tokio::test]
async fn leases_that_end_together_are_written_together() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, control) = watched(&config(directory.path()));
    let mut leases = Vec::new();
    for name in ["1", "2", "3", "4"] {
        queue.append(items(name, 2)).await.unwrap();
        leases.push(lease(&queue, Taker::Primary).await.unwrap());
    }
    let before = control.commits.load(std::sync::atomic::Ordering::SeqCst);
    let ways = [delivered(), Settlement::Owed, split(&[("a", 1), ("b", 1)]), Settlement::Delivered { rejected: 1 }];
    queue.settle_all(leases.into_iter().zip(ways));
    settled(&queue).await;
    assert_eq!(control.commits.load(std::sync::atomic::Ordering::SeqCst), before + 1);
    let books = queue.snapshot().signals[SIGNAL.index()].books;
    assert_eq!((books.delivered, books.rejected, books.owed, books.queued), (3, 1, 2, 4));
    assert_books(&queue).await;
}
