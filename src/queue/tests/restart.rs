//! What a new process finds.

use std::sync::atomic::Ordering::Relaxed;

use super::support::*;
use crate::batch::Signal;
use crate::config::{Durability, QueueConfig};
use crate::queue::memory::Budget;
use crate::queue::store::rocks::Rocks;
use crate::queue::store::{Engine, Family};
use crate::queue::{AppendError, Lane, OpenError, Queue, Settlement};

/// Scenario: kill -9 with one batch settled, one leased, one untouched. Guarantee: nothing acknowledged is gone; at most what
/// was leased comes again.
#[tokio::test]
async fn a_kill_loses_nothing_and_repeats_only_what_was_leased() {
    let (queue, directory) = queue();
    for name in ["settled", "leased", "untouched"] {
        queue.append(named(Signal::Logs, name)).await.unwrap();
    }
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(lease, delivered());
    settled(&queue).await;
    let leased = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    kill(queue).await;
    drop(leased);

    let queue = reopened(&config(directory.path()));
    assert_books(&queue).await;
    let mut names = Vec::new();
    while let Some((lease, name)) = next(&queue, Signal::Logs, Lane::Backlog).await {
        names.push(name);
        std::mem::forget(lease);
    }
    assert_eq!(names, ["leased", "untouched"]);
}

/// Scenario: a queue is opened again and again, ended cleanly and not. Guarantee: the epoch rises each time, the store's id
/// stays, no key is given twice, whatever was promised.
#[tokio::test]
async fn no_name_is_given_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (mut keys, mut epochs, mut stores) = (Vec::new(), Vec::new(), Vec::new());
    for life in 0..6 {
        let durability = [Durability::Fsync, Durability::Interval, Durability::Os][life % 3];
        let queue = Queue::open(&QueueConfig { durability, ..config(directory.path()) }).unwrap();
        keys.push(queue.append(named(Signal::Logs, "a")).await.unwrap());
        epochs.push(queue.shared.epoch.load(Relaxed));
        stores.push(queue.shared.store.load(Relaxed));
        if life % 2 == 0 { queue.close().await } else { kill(queue).await }
    }
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
    assert_eq!(epochs, [1, 2, 3, 4, 5, 6]);
    assert!(stores.iter().all(|store| *store == stores[0]));
}

/// Scenario: two queues on one directory. Guarantee: the second is refused with the lock's path; after the first is closed it
/// opens.
#[tokio::test]
async fn one_directory_has_one_queue() {
    let (queue, directory) = queue();
    let refused = Queue::open(&config(directory.path())).unwrap_err();
    assert!(matches!(&refused, OpenError::Locked { lock, .. } if lock.ends_with("spillway.lock")), "{refused}");
    queue.close().await;
    Queue::open(&config(directory.path())).unwrap();
}

/// Scenario: a queue is closed under its users. Guarantee: later calls are answered, none hangs; what was settled before is
/// settled.
#[tokio::test]
async fn a_closed_queue_answers() {
    let (queue, directory) = queue();
    for name in ["1", "2", "3"] {
        queue.append(named(Signal::Logs, name)).await.unwrap();
    }
    let (lease, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    let (late, _) = next(&queue, Signal::Logs, Lane::Fresh).await.unwrap();
    queue.settle(lease, delivered());
    queue.close().await;
    assert_eq!(queue.append(named(Signal::Logs, "4")).await, Err(AppendError::Closing));
    assert_eq!(queue.admits(Signal::Logs), Err(AppendError::Closing));
    for lane in Lane::ALL {
        assert!(next(&queue, Signal::Logs, lane).await.is_none());
    }
    assert!(queue.recount().await.is_err());
    queue.settle(late, delivered());
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.delivered, books.queued), (1, 2));
}

/// Scenario: one stored body has a flipped bit, another is gone. Guarantee: the walk goes on, each costs one batch, booked
/// as dead{corrupt}, and the books still agree with a recount.
#[tokio::test]
async fn a_corrupt_record_costs_one_batch() {
    let (queue, directory) = queue();
    let mut keys = Vec::new();
    for name in ["1", "flipped", "gone", "4"] {
        keys.push(queue.append(named(Signal::Logs, name)).await.unwrap());
    }
    queue.close().await;
    {
        let budget = Budget::of(&config(directory.path()));
        let rocks = Rocks::open(&directory.path().join("store"), &budget).unwrap();
        let family = Family::Records(Signal::Logs);
        let mut value = crate::queue::store::View::get(&rocks, family, keys[1].encode().as_ref()).unwrap().unwrap();
        *value.last_mut().unwrap() ^= 1;
        let mut changes = rocks.begin(100);
        changes.set(family, keys[1].encode().as_ref(), &value);
        changes.delete(family, keys[2].encode().as_ref());
        changes.commit(false).unwrap();
    }
    let queue = Queue::open(&config(directory.path())).unwrap();
    let mut names = Vec::new();
    while let Some((lease, name)) = next(&queue, Signal::Logs, Lane::Backlog).await {
        names.push(name);
        queue.settle(lease, delivered());
    }
    assert_eq!(names, ["1", "4"]);
    settled(&queue).await;
    let books = queue.snapshot().signals[Signal::Logs.index()].books;
    assert_eq!((books.delivered, books.dead_total(), books.queued), (2, 2, 0));
    assert_eq!(books.dead[crate::queue::ledger::DeadReason::Corrupt as usize], 2);
    assert_books(&queue).await;
}

/// Scenario: settles of all kinds, then a clean restart. Guarantee: what was returned is there, what ended is not.
#[tokio::test]
async fn a_return_survives_a_restart_as_queued() {
    let (queue, directory) = queue();
    queue.append(named(Signal::Traces, "1")).await.unwrap();
    let (lease, _) = next(&queue, Signal::Traces, Lane::Fresh).await.unwrap();
    queue.settle(lease, Settlement::Return { hold: std::time::Duration::from_secs(3600) });
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    let (lease, name) = next(&queue, Signal::Traces, Lane::Backlog).await.unwrap();
    assert_eq!((name.as_str(), lease.attempts), ("1", 0));
}
