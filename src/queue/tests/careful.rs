//! One batch at a time after an end without close, and what ends the process again and again.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::support::*;
use crate::batch::Signal;
use crate::queue::ledger::DeadReason;
use crate::queue::{Lane, Lease, Queue, Settlement, Taker, careful};

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

/// What is on its way, as it was written down.
fn out(queue: &Queue, directory: &Path) -> Vec<u64> {
    let suspects = careful::read(directory, queue.shared.store.load(Relaxed));
    suspects.iter().filter(|suspect| suspect.out).map(|suspect| suspect.key.seq).collect()
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
            settled(&queue).await;
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
            until("that is written", || out(&queue, directory.path()).is_empty()).await;
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

/// A queue of two suspects, and nothing else, that was killed.
async fn of_suspects() -> tempfile::TempDir {
    let (queue, directory) = queue();
    for name in ["fatal", "harmless"] {
        queue.append(named(SIGNAL, name)).await.unwrap();
        let lease = queue.lease(SIGNAL, Lane::Fresh, Taker::Primary).await.unwrap();
        queue.settle(lease, Settlement::Park(verdict(DeadReason::Suspect)));
        settled(&queue).await;
    }
    kill(queue).await;
    directory
}

/// Scenario: a parked batch ends the process each time that it is tried alone, between tries of another one that come back.
/// Guarantee: after three ends it is not tried again, over closes and kills, and stays queued; the other one is.
#[tokio::test]
async fn a_parked_batch_that_ends_the_process_three_times_is_left_alone() {
    let directory = of_suspects().await;
    for life in 0..3 {
        let queue = open(directory.path());
        let mut tried = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
        if name(&tried) == "harmless" {
            queue.settle(tried, Settlement::Return { hold: Duration::ZERO });
            tried = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
        }
        assert_eq!((name(&tried).as_str(), out(&queue, directory.path())), ("fatal", vec![1]), "life {life}");
        kill(queue).await;
    }
    for closed in [true, false, true] {
        let queue = open(directory.path());
        for _ in 0..3 {
            let tried = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
            assert_eq!((name(&tried).as_str(), out(&queue, directory.path())), ("harmless", vec![2]));
            queue.settle(tried, Settlement::Return { hold: Duration::ZERO });
            until("that is written", || out(&queue, directory.path()).is_empty()).await;
        }
        assert_eq!(queue.snapshot().signals[SIGNAL.index()].books.parked, 2);
        assert_books(&queue).await;
        if closed { queue.close().await } else { kill(queue).await }
    }
}

/// Scenario: a parked batch is out in two kills, then the queue is closed, then it is out in two more. Guarantee: a close forgets.
#[tokio::test]
async fn a_close_forgets_what_a_parked_batch_did() {
    let directory = of_suspects().await;
    for killed in [true, true, false, true, true] {
        let queue = open(directory.path());
        let tried = queue.lease_parked(SIGNAL, Taker::Primary).await.unwrap();
        assert_eq!(name(&tried), "fatal");
        if killed { kill(queue).await } else { queue.close().await }
    }
}

/// Scenario: the committing thread hangs in an fsync after a kill. Guarantee: batches are handed out all the same, one at a time, and
/// are written down: care waits for no disk.
#[tokio::test]
async fn care_waits_for_no_fsync() {
    let directory = killed(5).await;
    let (queue, control) = watched(&config(directory.path()));
    control.hold();
    for seq in 1..=5 {
        let lease = lease(&queue, SIGNAL).await.unwrap();
        assert_eq!(out(&queue, directory.path()), [seq]);
        queue.settle(lease, delivered());
    }
    control.release();
    settled(&queue).await;
    assert_books(&queue).await;
}
