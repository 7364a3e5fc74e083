//! One batch at a time after an end without close, and what ends the process again and again.

use std::path::Path;
use std::time::Duration;

use super::support::*;
use crate::batch::Signal;
use crate::queue::{Lane, Lease, Queue, Settlement, Taker};

const SIGNAL: Signal = Signal::Logs;

/// A queue of some batches of logs and one of traces, that was killed.
async fn killed(batches: u32) -> tempfile::TempDir {
    let (queue, directory) = queue();
    queue.append(named(Signal::Traces, "trace")).await.unwrap();
    for number in 0..batches {
        queue.append(named(SIGNAL, &format!("{number:02}"))).await.unwrap();
    }
    kill(queue).await;
    directory
}

fn open(directory: &Path) -> Queue {
    Queue::open(&config(directory)).unwrap()
}

async fn lease(queue: &Queue, signal: Signal) -> Option<Lease> {
    queue.lease(signal, Lane::Backlog, Taker::Primary).await
}

async fn deliver(queue: &Queue) -> String {
    let lease = lease(queue, SIGNAL).await.unwrap();
    let name = name(&lease);
    queue.settle(lease, delivered());
    name
}

/// Scenario: the process is killed each time that one batch is on its way. Guarantee: at the fourth start it is parked, all others
/// are delivered, and it does not come again by itself, now or after a restart; the books balance all the while.
#[tokio::test]
async fn a_batch_that_ends_the_process_three_times_is_put_aside() {
    let directory = killed(6).await;
    for life in 0..3 {
        let queue = open(directory.path());
        if life == 0 {
            assert_eq!(deliver(&queue).await, "00");
        }
        let fatal = lease(&queue, SIGNAL).await.unwrap();
        assert_eq!(name(&fatal), "01", "life {life}");
        assert!(lease(&queue, SIGNAL).await.is_none() && lease(&queue, Signal::Traces).await.is_none());
        let pending = queue.pending(Signal::Traces, Taker::Primary);
        assert!(pending.laden && pending.held_until.is_some(), "{pending:?}");
        kill(queue).await;
    }
    let queue = open(directory.path());
    for expected in ["02", "03", "04", "05"] {
        assert_eq!(deliver(&queue).await, expected);
    }
    queue.settle(lease(&queue, Signal::Traces).await.unwrap(), delivered());
    assert!(lease(&queue, SIGNAL).await.is_none());
    settled(&queue).await;
    assert_books(&queue).await;
    let books = queue.snapshot().signals[SIGNAL.index()].books;
    assert_eq!((books.queued, books.parked, books.delivered), (1, 1, 5));
    assert!(queue.lease_parked(SIGNAL, Taker::Primary).await.is_none());
    queue.close().await;

    let queue = open(directory.path());
    assert!(queue.lease_parked(SIGNAL, Taker::Primary).await.is_none());
    assert_books(&queue).await;
    assert_eq!(queue.snapshot().signals[SIGNAL.index()].books.parked, 1);
}

/// Scenario: a batch is on its way in two kills, comes back in others, and is delivered in the end. Guarantee: what came back
/// before a kill is not blamed, and what is delivered is no suspect.
#[tokio::test]
async fn what_was_not_on_its_way_is_not_blamed() {
    let directory = killed(3).await;
    for life in 0..6 {
        let queue = open(directory.path());
        let first = lease(&queue, SIGNAL).await.unwrap();
        assert_eq!(name(&first), "00", "life {life}");
        if life >= 2 {
            queue.settle(first, Settlement::Return { hold: Duration::ZERO });
            until("that is written", || queue.shared.inbox.is_idle()).await;
        }
        kill(queue).await;
    }
    let queue = open(directory.path());
    assert_eq!([deliver(&queue).await, deliver(&queue).await, deliver(&queue).await], ["00", "01", "02"]);
}

/// Scenario: starts after a kill and after a close. Guarantee: after a kill one batch at a time, until those of before are settled;
/// after a close never.
#[tokio::test]
async fn care_ends_with_what_was_queued() {
    let directory = killed(3).await;
    let queue = open(directory.path());
    queue.append(named(Signal::Traces, "new")).await.unwrap();
    let waits = queue.lease(Signal::Traces, Lane::Fresh, Taker::Primary).await.unwrap();
    assert!(lease(&queue, SIGNAL).await.is_none());
    drop(waits);
    for _ in 0..3 {
        deliver(&queue).await;
    }
    for _ in 0..2 {
        queue.settle(lease(&queue, Signal::Traces).await.unwrap(), delivered());
    }
    let mut out = Vec::new();
    for number in 0..3 {
        queue.append(named(SIGNAL, &format!("new {number}"))).await.unwrap();
        out.extend(queue.lease(SIGNAL, Lane::Fresh, Taker::Primary).await);
    }
    assert_eq!(out.len(), 3);
    drop(out);
    queue.close().await;

    let queue = open(directory.path());
    let pair = (lease(&queue, SIGNAL).await, lease(&queue, SIGNAL).await);
    assert!(pair.0.is_some() && pair.1.is_some());
}

/// Scenario: after a kill a batch is on its way for longer than ten seconds. Guarantee: the others wait no longer than that, and
/// whoever waits is told until when.
#[tokio::test]
async fn care_ends_after_ten_seconds() {
    let directory = killed(3).await;
    let queue = open(directory.path());
    let slow = lease(&queue, SIGNAL).await.unwrap();
    let pending = queue.pending(SIGNAL, Taker::Primary);
    let until = pending.held_until.unwrap();
    assert!(pending.laden && lease(&queue, SIGNAL).await.is_none());
    tokio::time::pause();
    tokio::time::advance(until.duration_since(tokio::time::Instant::now())).await;
    tokio::time::resume();
    assert!(!queue.pending(SIGNAL, Taker::Primary).laden);
    assert!(lease(&queue, SIGNAL).await.is_some() && lease(&queue, Signal::Traces).await.is_some());
    drop(slow);
}
