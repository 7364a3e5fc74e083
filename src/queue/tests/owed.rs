//! `owed-is-paid`: what a fallback took and owes.

use super::support::*;
use crate::batch::Signal;
use crate::queue::{Lane, Queue, Settlement, Taker};

fn owed(queue: &Queue) -> u64 {
    queue.snapshot().signals[Signal::Logs.index()].books.owed
}

async fn fallback_takes(queue: &Queue, lane: Lane) -> usize {
    let mut count = 0;
    while let Some(lease) = queue.lease(Signal::Logs, lane, Taker::Fallback).await {
        assert!(!lease.owed);
        queue.settle(lease, Settlement::Owed);
        count += 1;
    }
    settled(queue).await;
    count
}

/// Scenario: a fallback takes batches over two lives of the gateway, then the primary returns. Guarantee: no fallback gets
/// them again, the primary gets each of them once, and they are out of the books only then.
#[tokio::test]
async fn owed_is_paid() {
    let (queue, directory) = queue();
    for name in ["1", "2", "3"] {
        queue.append(named(Signal::Logs, name)).await.unwrap();
    }
    assert_eq!(fallback_takes(&queue, Lane::Fresh).await, 3);
    assert_eq!(owed(&queue), 3);
    assert_eq!(fallback_takes(&queue, Lane::Backlog).await, 0);
    assert!(!queue.pending(Signal::Logs, Taker::Fallback).backlog);
    assert_books(&queue).await;
    queue.close().await;

    let queue = Queue::open(&config(directory.path())).unwrap();
    queue.append(named(Signal::Logs, "4")).await.unwrap();
    assert_eq!(fallback_takes(&queue, Lane::Backlog).await, 0);
    assert_eq!(fallback_takes(&queue, Lane::Fresh).await, 1);
    assert_books(&queue).await;
    let mut paid = Vec::new();
    while let Some((lease, name)) = next(&queue, Signal::Logs, Lane::Backlog).await {
        assert!(lease.owed);
        paid.push(name);
        queue.settle(lease, delivered());
    }
    assert_eq!(paid, ["1", "2", "3", "4"]);
    settled(&queue).await;
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.owed, books.queued, books.delivered, books.low), (0, 0, 4, 5));
    assert_books(&queue).await;
}

/// Scenario: the primary refuses an owed batch for now. Guarantee: it stays owed: the primary gets it again, a fallback never.
#[tokio::test]
async fn a_returned_owed_batch_stays_owed() {
    let (queue, _directory) = queue();
    queue.append(named(Signal::Logs, "1")).await.unwrap();
    assert_eq!(fallback_takes(&queue, Lane::Fresh).await, 1);
    let (lease, _) = next(&queue, Signal::Logs, Lane::Backlog).await.unwrap();
    drop(lease);
    assert!(queue.lease(Signal::Logs, Lane::Backlog, Taker::Fallback).await.is_none());
    let (lease, _) = next(&queue, Signal::Logs, Lane::Backlog).await.unwrap();
    assert!(lease.owed && lease.attempts == 1);
    queue.settle(lease, Settlement::Owed);
    settled(&queue).await;
    assert_eq!(owed(&queue), 1);
    let (lease, _) = next(&queue, Signal::Logs, Lane::Backlog).await.unwrap();
    queue.settle(lease, delivered());
    settled(&queue).await;
    assert_eq!(owed(&queue), 0);
    assert_books(&queue).await;
}

/// Scenario: while the primary drains what is owed, a fallback ends an old lease as owed, behind the primary's cursor.
/// Guarantee: the primary gets that one too.
#[tokio::test]
async fn a_late_debt_is_paid_too() {
    let (queue, _directory) = queue();
    for name in ["1", "2", "3", "4"] {
        queue.append(named(Signal::Logs, name)).await.unwrap();
    }
    let slow = queue.lease(Signal::Logs, Lane::Fresh, Taker::Fallback).await.unwrap();
    assert_eq!(fallback_takes(&queue, Lane::Fresh).await, 3);
    let (first, name) = next(&queue, Signal::Logs, Lane::Backlog).await.unwrap();
    assert_eq!(name, "2");
    queue.settle(slow, Settlement::Owed);
    queue.settle(first, delivered());
    settled(&queue).await;
    let mut rest = Vec::new();
    while let Some((lease, name)) = next(&queue, Signal::Logs, Lane::Backlog).await {
        rest.push(name);
        queue.settle(lease, delivered());
    }
    assert_eq!(rest, ["1", "3", "4"]);
    settled(&queue).await;
    assert_books(&queue).await;
}

/// Scenario: a fallback that keeps data owed and a final one take turns, batch by batch. Guarantee: what is remembered of it
/// does not grow with the number of batches, and a restart knows it all the same.
#[tokio::test]
async fn a_patchwork_of_debts_stays_small() {
    let (queue, directory) = queue();
    for _ in 0..300 {
        queue.append(batch(Signal::Logs, 10)).await.unwrap();
    }
    let mut turn = 0;
    while let Some(lease) = queue.lease(Signal::Logs, Lane::Fresh, Taker::Fallback).await {
        queue.settle(lease, if turn % 2 == 0 { Settlement::Owed } else { delivered() });
        turn += 1;
    }
    settled(&queue).await;
    assert_eq!((turn, owed(&queue)), (300, 150));
    assert_eq!(queue.shared.lanes(Signal::Logs).intervals(), 1);
    assert_books(&queue).await;
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    assert_eq!(fallback_takes(&queue, Lane::Backlog).await, 0);
    assert_eq!(queue.shared.lanes(Signal::Logs).intervals(), 1);
    assert_books(&queue).await;
}
