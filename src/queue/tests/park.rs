//! Suspects that are put out of the line.

use std::time::Duration;

use super::support::*;
use crate::batch::Signal;
use crate::queue::ledger::DeadReason;
use crate::queue::{Lane, Lease, Queue, Settlement, Taker, Verdict};

/// Metrics are a FIFO.
const SIGNAL: Signal = Signal::Metrics;

fn park() -> Settlement {
    Settlement::Park(story())
}

fn story() -> Verdict {
    Verdict {
        reason: DeadReason::Suspect,
        target: "hub".to_owned(),
        status: "HTTP 500".to_owned(),
        message: String::new(),
        attempts: 20,
        first_ms: 1,
        last_ms: 2,
    }
}

async fn next_fresh(queue: &Queue) -> Lease {
    queue.lease(SIGNAL, Lane::Fresh, Taker::Primary).await.unwrap()
}

/// Scenario: the first batch of a FIFO is parked; what is behind it is delivered; the process is killed and starts again; the
/// suspect is tried, comes back, is tried again and taken. Guarantee: it holds nothing back and pins no place of its signal; it is
/// queued all the time, by the books, a recount and the snapshot; it comes only where it is asked for.
#[tokio::test]
async fn a_parked_batch_stays_queued_and_holds_nothing_back() {
    let (queue, directory) = queue();
    for name in ["suspect", "behind"] {
        queue.append(named(SIGNAL, name)).await.unwrap();
    }
    let suspect = next_fresh(&queue).await;
    let id = suspect.id;
    queue.settle(suspect, park());
    let behind = next_fresh(&queue).await;
    queue.settle(behind, delivered());
    settled(&queue).await;
    assert_books(&queue).await;
    let books = queue.snapshot().signals[SIGNAL.index()].books;
    assert_eq!((books.queued, books.parked, books.parked_batches, books.parked_bytes), (1, 1, 1, 7));
    assert_eq!(books.low, books.next_seq, "nothing of its signal's records lives");
    kill(queue).await;

    let queue = Queue::open(&config(directory.path())).unwrap();
    assert_books(&queue).await;
    for lane in Lane::ALL {
        assert!(queue.lease(SIGNAL, lane, Taker::Primary).await.is_none());
    }
    let lease = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
    assert_eq!((name(&lease).as_str(), lease.id, lease.parked, lease.room_for_parts()), ("suspect", id, true, 1));
    queue.settle(lease, Settlement::Return { hold: Duration::ZERO });
    let lease = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
    assert_eq!(lease.attempts, 1);
    queue.settle(lease, delivered());
    settled(&queue).await;
    assert!(queue.lease_parked(SIGNAL, Taker::Primary).await.is_none());
    let books = queue.snapshot().signals[SIGNAL.index()].books;
    assert_eq!((books.delivered, books.queued, books.parked, books.parked_batches), (2, 0, 0, 0));
    assert_books(&queue).await;
    queue.append(named(SIGNAL, "next")).await.unwrap();
    assert_eq!(name(&next_fresh(&queue).await), "next");
}

/// Scenario: three suspects; each try comes back, once with a hold. Guarantee: one is out at a time, each gets its turn, a held
/// one is passed over.
#[tokio::test]
async fn suspects_are_tried_one_at_a_time_and_in_turn() {
    let (queue, _directory) = queue();
    for name in ["a", "b", "c"] {
        queue.append(named(SIGNAL, name)).await.unwrap();
    }
    for _ in 0..3 {
        let lease = next_fresh(&queue).await;
        queue.settle(lease, park());
        settled(&queue).await;
    }
    let mut tried = Vec::new();
    for turn in 0..7 {
        let lease = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
        assert!(queue.lease_parked(SIGNAL, Taker::Primary).await.is_none(), "one is out");
        tried.push(name(&lease));
        let hold = Duration::from_secs(if turn == 3 { 3600 } else { 0 });
        queue.settle(lease, Settlement::Return { hold });
    }
    assert_eq!(tried.concat(), "abcabcb");
}

/// Scenario: a batch that a fallback has is parked; another parked one is condemned, and one is to be split. Guarantee: the owed
/// one stays owed and goes to no fallback, also after a restart; a dead letter counts as dead; what a suspect does not allow
/// leaves it where it is.
#[tokio::test]
async fn a_parked_batch_ends_like_any_other() {
    let (queue, directory) = queue();
    for name in ["owed", "dies"] {
        queue.append(named(SIGNAL, name)).await.unwrap();
    }
    let lease = queue.lease(SIGNAL, Lane::Fresh, Taker::Fallback).await.unwrap();
    queue.settle(lease, Settlement::Owed);
    settled(&queue).await;
    let owed = queue.lease(SIGNAL, Lane::Backlog, Taker::Primary).await.unwrap();
    assert!(owed.owed);
    queue.settle_all([(owed, park()), (next_fresh(&queue).await, park())]);
    settled(&queue).await;
    assert_books(&queue).await;
    queue.close().await;

    let queue = Queue::open(&config(directory.path())).unwrap();
    let lease = queue.lease_parked(SIGNAL, Taker::Fallback).await.unwrap();
    assert_eq!(name(&lease), "dies", "a fallback has the other");
    queue.settle(lease, Settlement::Split(vec![]));
    assert!(queue.lease_parked(SIGNAL, Taker::Fallback).await.is_none(), "refused, and held for a while");
    let lease = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
    assert_eq!((name(&lease).as_str(), lease.owed), ("owed", true));
    queue.settle(lease, Settlement::Dead(story()));
    settled(&queue).await;
    assert_books(&queue).await;
    let books = queue.snapshot().signals[SIGNAL.index()].books;
    assert_eq!((books.queued, books.parked, books.owed, books.dead[DeadReason::Suspect as usize]), (1, 1, 0, 1));
}
