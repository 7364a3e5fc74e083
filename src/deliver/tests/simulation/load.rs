//! Clients that send one batch after the other, and remember which were acknowledged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use super::super::requests::{items, request};
use crate::batch::{Batch, Encoding, Signal};
use crate::queue::Queue;

/// Items of a batch at most: their numbers are those of the batch times this, and rising.
pub(super) const MOST: u64 = 64;

/// Bytes of the item of that number.
fn size(item: u64) -> usize {
    (item * 7919 % 3001) as usize
}

/// The batch of that number: mostly a small one, now and then one that has to be cut for some hubs.
pub(super) fn batch(signal: Signal, number: u64) -> Batch {
    let items = match number {
        number if number.is_multiple_of(97) => MOST,
        number if number.is_multiple_of(13) => 8,
        _ => 1,
    };
    let first = number * MOST;
    let sizes: Vec<usize> = (first..first + items).map(size).collect();
    request(signal, Encoding::Identity, first, &sizes)
}

/// The numbers of the items in a request, of one batch, of several or of a part; `None` where one was altered.
pub(super) fn numbers(request: &Batch) -> Option<Vec<u64>> {
    let items = items(request);
    let whole = items.len() == request.items as usize && items.iter().all(|(number, bytes)| *bytes == size(*number));
    whole.then(|| items.into_iter().map(|(number, _)| number).collect())
}

/// What clients sent, and when, and were told OK for, of all signals: the numbers of its items.
#[derive(Default)]
pub(super) struct Load {
    sent: Mutex<Vec<Instant>>,
    acked: Mutex<[BTreeSet<u64>; 3]>,
}

impl Load {
    pub(super) fn acked(&self, signal: Signal) -> BTreeSet<u64> {
        self.acked.lock().unwrap()[signal.index()].clone()
    }

    /// The last batch that was sent.
    pub(super) fn last(&self) -> u64 {
        self.sent.lock().unwrap().len() as u64
    }

    /// When that item was sent.
    pub(super) fn sent(&self, item: u64) -> Instant {
        self.sent.lock().unwrap()[(item / MOST - 1) as usize]
    }

    /// One client, until then. While there is no gateway it sends nothing; what is not acknowledged it forgets.
    pub(super) async fn client(
        self: Arc<Load>,
        signal: Signal,
        gateway: Arc<Mutex<Option<Queue>>>,
        seed: u64,
        until: Instant,
    ) {
        let mut random = SmallRng::seed_from_u64(seed);
        while Instant::now() < until {
            sleep(Duration::from_millis(random.random_range(1000..6000))).await;
            let burst = if random.random_bool(0.02) { 40 } else { 1 };
            for _ in 0..burst {
                let Some(queue) = gateway.lock().unwrap().clone() else { break };
                self.sent.lock().unwrap().push(Instant::now());
                let number = self.last();
                let batch = batch(signal, number);
                let items = number * MOST..number * MOST + u64::from(batch.items);
                if queue.append(batch).await.is_ok() {
                    self.acked.lock().unwrap()[signal.index()].extend(items);
                }
            }
        }
    }
}
