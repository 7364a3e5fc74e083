//! What delivery can hold at once.

use super::support::{assert_books, batch, config, delivered, until, verdict, watched};
use crate::batch::Signal;
use crate::queue::ledger::DeadReason;
use crate::queue::{Lane, Lease, Queue, Settlement, Taker};

const MIB: usize = 1 << 20;
const SIGNAL: Signal = Signal::Logs;

/// A queue whose signals may have one MiB out on leases each, with that many batches of that size.
async fn queue(count: usize, len: usize) -> (Queue, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.memory_limit = Some(24 << 20);
    let queue = Queue::open(&config).unwrap();
    for _ in 0..count {
        queue.append(batch(SIGNAL, len)).await.unwrap();
    }
    (queue, directory)
}

async fn lease(queue: &Queue) -> Option<Lease> {
    for lane in Lane::ALL {
        if let Some(lease) = queue.lease(SIGNAL, lane, Taker::Primary).await {
            return Some(lease);
        }
    }
    None
}

async fn lease_all(queue: &Queue) -> Vec<Lease> {
    let mut leases = Vec::new();
    while let Some(lease) = lease(queue).await {
        leases.push(lease);
    }
    leases
}

/// Scenario: a backlog of batches of a quarter of what a signal may have out, and of a taker that settles none of them.
/// Guarantee: it gets what it may have and no more; it is woken once one has ended, long before that is written; what other
/// signals get is not touched.
#[tokio::test]
async fn leases_are_bounded_in_bytes() {
    let (queue, _directory) = queue(12, MIB / 4).await;
    let mut leases = lease_all(&queue).await;
    assert_eq!(leases.len(), 4);
    let pending = queue.pending(SIGNAL, Taker::Primary);
    assert!(pending.laden && (pending.fresh || pending.backlog), "{pending:?}");
    queue.append(batch(Signal::Traces, 1)).await.unwrap();
    assert!(queue.lease(Signal::Traces, Lane::Fresh, Taker::Primary).await.is_some());
    while tokio::time::timeout(std::time::Duration::ZERO, queue.ready(SIGNAL)).await.is_ok() {} // of the appends
    queue.settle(leases.pop().unwrap(), delivered());
    queue.ready(SIGNAL).await;
    leases.extend(lease(&queue).await);
    assert_eq!((leases.len(), lease(&queue).await.is_none()), (4, true));
    leases.clear(); // given back
    let mut delivering = 0;
    while let Some(lease) = lease(&queue).await {
        queue.settle(lease, delivered());
        delivering += 1;
    }
    assert_eq!(delivering, 11);
    let queued = || queue.snapshot().signals[SIGNAL.index()].books.queued_batches;
    until("all are settled", || queued() == 0).await;
}

/// Scenario: batches that are each larger than what a signal may have out, from memory and from disk. Guarantee: two of them
/// go, so that one that is kept aside does not stop the other, and the rest follows.
#[tokio::test]
async fn batches_of_any_size_are_leased() {
    let (queue, _directory) = queue(5, 3 * MIB).await;
    for left in [2, 2, 1] {
        let leases = lease_all(&queue).await;
        assert_eq!(leases.len(), left);
        leases.into_iter().for_each(|lease| queue.settle(lease, delivered()));
    }
}

/// Scenario: a target condemns all that it gets while the disk stalls. Guarantee: what waits to be written as a dead letter is held
/// in memory, and counts so; once the disk goes on all are condemned.
#[tokio::test]
async fn what_is_to_be_written_anew_is_bounded_in_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.memory_limit = Some(24 << 20);
    let (queue, control) = watched(&config);
    for _ in 0..12 {
        queue.append(batch(SIGNAL, MIB / 4)).await.unwrap();
    }
    control.hold();
    let condemn = async || {
        let mut condemned = 0;
        while let Some(lease) = lease(&queue).await {
            queue.settle(lease, Settlement::Dead(verdict(DeadReason::Refused)));
            condemned += 1;
        }
        condemned
    };
    let mut condemned = condemn().await;
    assert!((4..=8).contains(&condemned), "{condemned}: four wait, four may be on their way to the disk");
    control.release();
    let dead = || queue.snapshot().dead_letters.0;
    while condemned < 12 {
        until("what was condemned is written", || dead() == condemned).await;
        condemned += condemn().await;
    }
    until("all are condemned", || dead() == 12).await;
    assert_books(&queue).await;
}
