//! The quota, and space that comes back.

use std::time::Duration;

use super::support::*;
use crate::batch::Signal;
use crate::config::{QueueConfig, QueueSize};
use crate::queue::snapshot::StoreState;
use crate::queue::{AppendError, Lane, Queue, Taker};

/// Scenario: an outage fills the quota, then the backlog drains. Guarantee: new batches are refused with a delay of 1 to 30 s,
/// draining goes on, the directory shrinks, and batches are taken again by themselves.
#[tokio::test]
async fn a_full_queue_drains_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let config = QueueConfig { max_size: QueueSize::Bytes(48 << 20), ..config(directory.path()) };
    let queue = Queue::open(&config).unwrap();
    let refused = loop {
        match queue.append(batch(Signal::Logs, 1 << 20)).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let AppendError::Full { retry_after } = refused else { panic!("{refused}") };
    assert!((Duration::from_secs(1)..=Duration::from_secs(30)).contains(&retry_after));
    assert_eq!(queue.snapshot().state, StoreState::Full);
    assert!(queue.admits(Signal::Logs).is_err());
    assert_eq!(queue.admits(Signal::Traces), Ok(()), "it is within its share");
    let queued = queue.snapshot().signals[Signal::Logs.index()].books.queued_batches;
    assert!(queued >= 24, "{queued} MiB fit into 48 MiB");
    for lane in [Lane::Backlog, Lane::Fresh] {
        while let Some(lease) = queue.lease(Signal::Logs, lane, Taker::Primary).await {
            queue.settle(lease, delivered());
        }
    }
    until("the queue takes batches again", || queue.admits(Signal::Logs).is_ok()).await;
    queue.append(batch(Signal::Logs, 1 << 20)).await.unwrap();
    assert_books(&queue).await;
    let store = directory.path().join("store");
    until("the space came back", || crate::queue::keeper::bytes_in(&store).unwrap() < 16 << 20).await;
    queue.close().await;
}
