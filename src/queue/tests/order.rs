//! Who is next: lanes, holds, FIFO, the ring's overflow.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::support::*;
use crate::batch::Signal;
use crate::queue::{Lane, Lease, Queue, Settlement, Taker};

async fn append(queue: &Queue, signal: Signal, names: &[&str]) {
    for name in names {
        queue.append(named(signal, name)).await.unwrap();
    }
}

async fn drain(queue: &Queue, signal: Signal, lane: Lane) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((lease, name)) = next(queue, signal, lane).await {
        names.push(name);
        queue.settle(lease, delivered());
    }
    names
}

/// Scenario: a gateway restarts over a backlog, then takes new data. Guarantee: new data is fresh at once, the backlog comes
/// beside it, oldest first, and neither repeats the other.
#[tokio::test]
async fn fresh_and_backlog_are_two_lanes() {
    let (queue, directory) = queue();
    append(&queue, Signal::Logs, &["1", "2", "3"]).await;
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    append(&queue, Signal::Logs, &["4", "5"]).await;
    assert_eq!(next(&queue, Signal::Logs, Lane::Backlog).await.unwrap().1, "1");
    assert_eq!(next(&queue, Signal::Logs, Lane::Fresh).await.unwrap().1, "4");
    assert_eq!(drain(&queue, Signal::Logs, Lane::Fresh).await, ["5"]);
    assert_eq!(drain(&queue, Signal::Logs, Lane::Backlog).await, ["1", "4", "2", "3"], "returned ones come first");
    settled(&queue).await;
    assert_books(&queue).await;
}

/// Scenario: batches are leased from memory, some of them fresh, some too old to be. Guarantee: none of them counts as memory that
/// is taken any more, or what came in later would lie on disk alone.
#[tokio::test]
async fn what_leaves_memory_makes_room_there() {
    let (queue, _directory) = queue();
    append(&queue, Signal::Logs, &["1", "2"]).await;
    queue.age(Signal::Logs, tokio::time::Instant::now() + Duration::from_secs(1));
    append(&queue, Signal::Logs, &["3"]).await;
    assert_eq!(queue.shared.ring_bytes.load(Relaxed), 3);
    assert_eq!(drain(&queue, Signal::Logs, Lane::Fresh).await, ["3"]);
    assert_eq!(drain(&queue, Signal::Logs, Lane::Backlog).await, ["1", "2"]);
    assert_eq!(queue.shared.ring_bytes.load(Relaxed), 0);
}

/// A backlog on disk, then "4", too old to be fresh, then "5" and "6".
async fn with_a_late_one(signal: Signal) -> (Queue, tempfile::TempDir) {
    let (queue, directory) = queue();
    append(&queue, signal, &["1", "2", "3"]).await;
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    append(&queue, signal, &["4"]).await;
    queue.age(signal, tokio::time::Instant::now() + Duration::from_secs(1));
    append(&queue, signal, &["5", "6"]).await;
    (queue, directory)
}

fn untried(mut lease: Lease) {
    lease.was_not_tried();
    drop(lease);
}

/// Scenario: fresh batches come back, one untried, one tried; more comes in; then what came in before is too old to be fresh.
/// Guarantee: the untried one is the first of the fresh lane, until it is too old: then it is backlog, as the tried one is at once.
#[tokio::test]
async fn what_comes_back_untried_is_fresh_still() {
    let (queue, _directory) = queue();
    append(&queue, Signal::Logs, &["1", "2"]).await;
    drop(next(&queue, Signal::Logs, Lane::Fresh).await);
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    untried(lease);
    append(&queue, Signal::Logs, &["3", "4"]).await;
    let (lease, name) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    assert_eq!((name.as_str(), lease.lane, lease.attempts), ("2", Lane::Fresh, 0));
    let (other, name) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    assert_eq!(name, "3");
    queue.settle(other, delivered());
    untried(lease);
    queue.age(Signal::Logs, tokio::time::Instant::now() + Duration::from_secs(1));
    append(&queue, Signal::Logs, &["5"]).await;
    assert_eq!(drain(&queue, Signal::Logs, Lane::Fresh).await, ["5"]);
    assert_eq!(drain(&queue, Signal::Logs, Lane::Backlog).await, ["1", "2", "4"]);
    settled(&queue).await;
    assert_books(&queue).await;
}

/// Scenario: what lies in memory gets too old to be fresh, beside a backlog on disk and a batch that is returned; more comes in.
/// Guarantee: it is backlog then, after what was returned and before what lies on disk, while new data is fresh at once.
#[tokio::test]
async fn what_is_late_in_memory_is_backlog() {
    let (queue, _directory) = with_a_late_one(Signal::Logs).await;
    assert_eq!(drain(&queue, Signal::Logs, Lane::Fresh).await, ["5", "6"]);
    queue.age(Signal::Logs, tokio::time::Instant::now() + Duration::from_secs(1));
    append(&queue, Signal::Logs, &["7"]).await;
    let (back, name) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    assert_eq!(name, "7");
    drop(back);
    assert_eq!(drain(&queue, Signal::Logs, Lane::Backlog).await, ["7", "4", "1", "2", "3"]);
    settled(&queue).await;
    assert_books(&queue).await;
}

/// Scenario: the same in strict order.
/// Guarantee: it goes where it belongs, and what is fresh waits for it.
#[tokio::test]
async fn what_is_late_in_memory_keeps_its_place_in_strict_order() {
    let (queue, _directory) = with_a_late_one(Signal::Metrics).await;
    assert!(next(&queue, Signal::Metrics, Lane::Fresh).await.is_none(), "there is a backlog");
    assert_eq!(drain(&queue, Signal::Metrics, Lane::Backlog).await, ["1", "2", "3", "4"]);
    assert_eq!(drain(&queue, Signal::Metrics, Lane::Fresh).await, ["5", "6"]);
    settled(&queue).await;
    assert_books(&queue).await;
}

/// Scenario: more arrives than fits into memory, while fresh batches are leased in between. Guarantee: what was evicted
/// comes from disk, once, and what is leased does not come again.
#[tokio::test]
async fn what_overflows_memory_comes_from_disk_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = crate::config::QueueConfig { memory_limit: Some(16 << 20), ..config(directory.path()) };
    let queue = Queue::open(&config).unwrap();
    let (mut out, mut keys) = (Vec::new(), Vec::new());
    for round in 0..40 {
        keys.push(queue.append(batch(Signal::Traces, 100_000)).await.unwrap());
        if round % 7 == 3 {
            out.push(queue.lease(Signal::Traces, Lane::Fresh, Taker::Primary).await.unwrap());
        }
    }
    let seen = &queue.snapshot().signals[0];
    assert!(seen.fresh_bytes <= 1 << 20 && seen.fresh_batches > 5, "{seen:?}");
    let mut leased: Vec<_> = out.iter().map(|lease| lease.id.key).collect();
    for lane in Lane::ALL {
        while let Some(lease) = queue.lease(Signal::Traces, lane, Taker::Primary).await {
            leased.push(lease.id.key);
            queue.settle(lease, delivered());
        }
    }
    leased.sort();
    assert_eq!(leased, keys);
    for lease in out {
        queue.settle(lease, delivered());
    }
    settled(&queue).await;
    assert_books(&queue).await;
    assert_eq!(queue.snapshot().signals[0].books.low, 41);
}

/// Scenario: metrics (FIFO) over a restart, with a batch that is returned and held. Guarantee: strictly in the order of
/// arrival: nothing overtakes, the ring goes on exactly where the scan ends.
#[tokio::test(start_paused = true)]
async fn a_fifo_lets_nothing_overtake() {
    let (queue, directory) = queue();
    append(&queue, Signal::Metrics, &["1", "2", "3"]).await;
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    append(&queue, Signal::Metrics, &["4", "5"]).await;
    assert!(next(&queue, Signal::Metrics, Lane::Fresh).await.is_none(), "there is a backlog");
    let (lease, name) = next(&queue, Signal::Metrics, Lane::Backlog).await.unwrap();
    assert_eq!(name, "1");
    queue.settle(lease, Settlement::Return { hold: Duration::from_secs(60) });
    let pending = queue.pending(Signal::Metrics, Taker::Primary);
    assert!(!pending.fresh && !pending.backlog && pending.held_until.is_some(), "{pending:?}");
    assert!(next(&queue, Signal::Metrics, Lane::Backlog).await.is_none(), "the first in line is held");
    assert!(next(&queue, Signal::Metrics, Lane::Fresh).await.is_none());
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(queue.pending(Signal::Metrics, Taker::Primary).backlog);
    assert_eq!(drain(&queue, Signal::Metrics, Lane::Backlog).await, ["1", "2", "3"]);
    let pending = queue.pending(Signal::Metrics, Taker::Primary);
    assert!(pending.fresh && !pending.backlog, "{pending:?}");
    let (lease, name) = next(&queue, Signal::Metrics, Lane::Fresh).await.unwrap();
    assert_eq!(name, "4");
    drop(lease);
    assert!(next(&queue, Signal::Metrics, Lane::Fresh).await.is_none(), "4 is back and comes first");
    assert_eq!(drain(&queue, Signal::Metrics, Lane::Backlog).await, ["4"]);
    assert_eq!(drain(&queue, Signal::Metrics, Lane::Fresh).await, ["5"]);
}

/// Scenario: a batch is returned with a hold. Guarantee: it is left alone for that long while others pass it, and comes first
/// afterwards.
#[tokio::test(start_paused = true)]
async fn a_held_batch_waits_and_others_pass_it() {
    let (queue, _directory) = queue();
    append(&queue, Signal::Logs, &["1", "2", "3"]).await;
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(lease, Settlement::Return { hold: Duration::from_secs(5) });
    drop(next(&queue, Signal::Logs, Lane::Fresh).await.unwrap());
    let pending = queue.pending(Signal::Logs, Taker::Primary);
    assert!(pending.backlog && pending.fresh);
    assert_eq!(pending.held_until, Some(tokio::time::Instant::now() + Duration::from_secs(5)));
    assert_eq!(drain(&queue, Signal::Logs, Lane::Backlog).await, ["2"]);
    tokio::time::advance(Duration::from_secs(5)).await;
    let (lease, name) = next(&queue, Signal::Logs, Lane::Backlog).await.unwrap();
    assert_eq!((name.as_str(), lease.attempts), ("1", 1));
}

/// Scenario: somebody waits for data, and it comes; a lease is dropped. Guarantee: both wake the waiter.
#[tokio::test]
async fn arrivals_and_returns_wake_the_waiter() {
    let (queue, _directory) = queue();
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.ready(Signal::Logs).await }
    });
    append(&queue, Signal::Logs, &["1"]).await;
    waiting.await.unwrap();
    let lease = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    drop(lease);
    queue.ready(Signal::Logs).await;
}

/// Scenario: a caller gives up while a batch is read for it. Guarantee: the batch is there for the next one.
#[tokio::test]
async fn a_cancelled_lease_leases_nothing() {
    let (queue, _directory) = queue();
    append(&queue, Signal::Logs, &["1"]).await;
    drop(next(&queue, Signal::Logs, Lane::Fresh).await.unwrap());
    for _ in 0..100 {
        tokio::select! {
            biased;
            lease = queue.lease(Signal::Logs, Lane::Backlog, Taker::Primary) => drop(lease),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(drain(&queue, Signal::Logs, Lane::Backlog).await, ["1"]);
}
