//! Senders and a consumer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use spillway::batch::{Batch, Encoding, Signal};
use spillway::queue::{Lane, Queue, Settlement, Taker};

fn batch(len: usize) -> Batch {
    Batch {
        signal: Signal::Logs,
        encoding: Encoding::Identity,
        items: 1000,
        inflated_len: len as u32,
        received_at_ms: 1,
        headers: [].into(),
        body: Bytes::from(vec![7; len]),
    }
}

/// Appends so many bytes, with so many requests in flight; bytes a second.
pub(crate) async fn produce(queue: &Queue, bytes: u64, len: usize, in_flight: usize) -> f64 {
    let count = (bytes / len as u64) as usize;
    let begun = Instant::now();
    let senders = (0..in_flight).map(|sender| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for _ in (sender..count).step_by(in_flight) {
                queue.append(batch(len)).await.expect("the batch is taken");
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("a sender ends");
    }
    bytes as f64 / begun.elapsed().as_secs_f64()
}

/// Appends, and leases and settles what came meanwhile; bytes a second that were appended.
pub(crate) async fn through(queue: &Queue, bytes: u64, len: usize, in_flight: usize) -> f64 {
    let mut consumer = tokio::spawn(consume(queue.clone(), Lane::Fresh, bytes / len as u64, |_| ()));
    let speed = produce(queue, bytes, len, in_flight).await;
    // What was not taken before it left memory is backlog now, and of no interest here.
    if tokio::time::timeout(Duration::from_millis(200), &mut consumer).await.is_err() {
        println!("    the consumer was too slow to take everything from memory");
        consumer.abort();
    }
    speed
}

/// Appends at a steady pace, whether or not earlier requests were answered; the times to OK in seconds.
pub(crate) async fn paced(queue: &Queue, count: u32, len: usize, pause: Duration) -> Vec<f64> {
    let consumer = tokio::spawn(consume(queue.clone(), Lane::Fresh, u64::from(count), |_| ()));
    let begun = Instant::now();
    let mut sent = Vec::new();
    for number in 0..count {
        let due = begun + pause * number;
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            // The runtime's timer has a grain of a millisecond, which would send requests in bunches.
            std::thread::sleep(early);
        }
        let queue = queue.clone();
        let batch = batch(len);
        sent.push(tokio::spawn(async move {
            let begun = Instant::now();
            queue.append(batch).await.expect("the batch is taken");
            begun.elapsed().as_secs_f64()
        }));
    }
    let mut times = Vec::with_capacity(sent.len());
    for sent in sent {
        times.push(sent.await.expect("a sender ends"));
    }
    consumer.abort();
    times
}

/// Leases and settles so many batches of a lane; `each` is told how many that makes.
pub(crate) async fn consume(queue: Queue, lane: Lane, count: u64, mut each: impl FnMut(u64)) {
    let mut taken = 0;
    while taken < count {
        while let Some(lease) = queue.lease(Signal::Logs, lane, Taker::Primary).await {
            queue.settle(lease, Settlement::Delivered { rejected: 0 });
            taken += 1;
            each(taken);
        }
        if taken < count {
            queue.ready(Signal::Logs).await;
        }
    }
}
