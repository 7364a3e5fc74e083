//! Several leases for one request.

use super::support::*;
use crate::batch::Signal;
use crate::queue::{Lane, Lease, Queue, Settlement, Taker};

async fn append(queue: &Queue, signal: Signal, names: &[&str]) {
    for name in names {
        queue.append(named(signal, name)).await.unwrap();
    }
}

/// The next of the lane, and with it what follows, up to a batch of that name.
async fn up_to(queue: &Queue, signal: Signal, lane: Lane, end: &str) -> Vec<Lease> {
    let Some(first) = queue.lease(signal, lane, Taker::Primary).await else { return Vec::new() };
    let takes = |_, batch: &crate::batch::Batch| batch.body != end.as_bytes();
    let along = queue.lease_along(&first, Taker::Primary, takes).await;
    [first].into_iter().chain(along).collect()
}

fn names(leases: &[Lease]) -> Vec<String> {
    leases.iter().map(name).collect()
}

/// Scenario: batches from disk and from memory are leased for one request, up to one that does not go with them; they come back
/// untried, and are leased and come back again as tried. Guarantee: they come in order, what is not taken keeps its place, untried
/// ones go together again, and tried ones alone.
#[tokio::test]
async fn they_come_in_order_and_go_back_in_order() {
    let (queue, directory) = queue();
    append(&queue, Signal::Metrics, &["1", "2", "3"]).await;
    queue.close().await;
    let queue = Queue::open(&config(directory.path())).unwrap();
    append(&queue, Signal::Metrics, &["4", "5", "6"]).await;
    queue.age(Signal::Metrics, tokio::time::Instant::now() + std::time::Duration::from_secs(1));
    append(&queue, Signal::Metrics, &["7", "8"]).await;

    let mut leases = up_to(&queue, Signal::Metrics, Lane::Backlog, "5").await;
    assert_eq!(names(&leases), ["1", "2", "3", "4"]);
    leases.iter_mut().for_each(Lease::was_not_tried);
    drop(leases);
    let leases = up_to(&queue, Signal::Metrics, Lane::Backlog, "3").await;
    assert_eq!(names(&leases), ["1", "2"]);
    drop(leases);
    for alone in ["1", "2"] {
        let (lease, name) = next(&queue, Signal::Metrics, Lane::Backlog).await.unwrap();
        assert_eq!((name.as_str(), lease.attempts), (alone, 1));
        assert_eq!(names(&queue.lease_along(&lease, Taker::Primary, |_, batch| batch.body == "2").await), [""; 0]);
        queue.settle(lease, delivered());
    }
    let leases = up_to(&queue, Signal::Metrics, Lane::Backlog, "").await;
    assert_eq!(names(&leases), ["3", "4", "5", "6"]);
    queue.settle_all(leases.into_iter().map(|lease| (lease, delivered())));
    let leases = up_to(&queue, Signal::Metrics, Lane::Fresh, "").await;
    assert_eq!(names(&leases), ["7", "8"]);
    queue.settle_all(leases.into_iter().map(|lease| (lease, Settlement::Owed)));
    settled(&queue).await;
    let books = queue.snapshot().signals[Signal::Metrics.index()].books;
    assert_eq!((books.delivered, books.owed), (6, 2));
    assert_books(&queue).await;
}

/// Scenario: the process is killed while a request with several batches is out. Guarantee: all of them come again, in order, and
/// first one at a time: one of them may be why it ended.
#[tokio::test]
async fn after_a_kill_they_come_again_one_by_one() {
    let (queue, directory) = queue();
    append(&queue, Signal::Logs, &["1", "2", "3"]).await;
    let out = up_to(&queue, Signal::Logs, Lane::Fresh, "").await;
    assert_eq!(names(&out), ["1", "2", "3"]);
    kill(queue).await;
    drop(out);
    let queue = Queue::open(&config(directory.path())).unwrap();
    for again in ["1", "2", "3"] {
        let alone = up_to(&queue, Signal::Logs, Lane::Backlog, "").await;
        assert_eq!(names(&alone), [again]);
        queue.settle_all(alone.into_iter().map(|lease| (lease, delivered())));
    }
    settled(&queue).await;
    assert_books(&queue).await;
}
