//! Clients that send one batch after the other, and remember which were acknowledged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::batch::{Batch, Encoding, Signal};
use crate::queue::Queue;

/// The body of the batch of that number: the number, and up to some kilobytes that follow from it.
pub(super) fn body(number: u64) -> Bytes {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(16 + (number * 7919 % 6007) as usize, number as u8);
    body.into()
}

/// The numbers in a request of one body, or of several behind one another; `None` where one was altered.
pub(super) fn numbers(mut request: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    while let Some(number) = request.first_chunk() {
        numbers.push(u64::from_be_bytes(*number));
        request = request.strip_prefix(body(*numbers.last()?).as_ref())?;
    }
    request.is_empty().then_some(numbers)
}

/// What clients sent and were told OK for, of all signals.
#[derive(Default)]
pub(super) struct Load {
    next: AtomicU64,
    acked: Mutex<[BTreeSet<u64>; 3]>,
}

impl Load {
    pub(super) fn acked(&self, signal: Signal) -> BTreeSet<u64> {
        self.acked.lock().unwrap()[signal.index()].clone()
    }

    /// The last number that was sent.
    pub(super) fn last(&self) -> u64 {
        self.next.load(Relaxed)
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
                let number = self.next.fetch_add(1, Relaxed) + 1;
                let body = body(number);
                let batch = Batch {
                    signal,
                    encoding: Encoding::Identity,
                    items: 1,
                    inflated_len: body.len() as u32,
                    received_at_ms: 1,
                    headers: Arc::from([]),
                    body,
                };
                if queue.append(batch).await.is_ok() {
                    self.acked.lock().unwrap()[signal.index()].insert(number);
                }
            }
        }
    }
}
