//! The demo's client: sends numbered items to the gateway's door and notes which were answered OK.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::items;
use crate::batch::{Batch, BatchId, Encoding, Key, Signal};
use crate::otlp::answer::Answer;
use crate::otlp::inflate::Deflater;
use crate::tally::Counter;
use crate::target::{Shipment, Target};

/// Items in a request.
pub(super) const PER_REQUEST: u64 = 50;
/// Time between two requests: with [`PER_REQUEST`], 2 500 items a second.
const PACE: Duration = Duration::from_millis(20);

/// How many items the client sends in that time.
pub(super) fn items_in(time: Duration) -> u64 {
    PER_REQUEST * u64::try_from(time.as_millis() / PACE.as_millis()).unwrap_or(u64::MAX)
}

/// What the client knows.
#[derive(Default)]
pub(super) struct Sent {
    /// Items sent.
    pub(super) sent: Counter,
    /// Items whose request was not answered OK: they are the client's to send again.
    pub(super) refused: Counter,
    acknowledged: Mutex<HashSet<u64>>,
}

impl Sent {
    /// The items that were answered OK.
    pub(super) fn acknowledged(&self) -> HashSet<u64> {
        self.acknowledged.lock().expect("no holder of the lock panics").clone()
    }

    /// How many items were answered OK.
    pub(super) fn acknowledged_count(&self) -> u64 {
        self.acknowledged.lock().expect("no holder of the lock panics").len() as u64
    }
}

/// Sends until `stop` is set: traces and logs by turns, each request in gzip.
pub(super) fn start(door: Arc<dyn Target>, sent: Arc<Sent>, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = interval(PACE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = 0;
        while !*stop.borrow() {
            tick.tick().await;
            let ids = next..next + PER_REQUEST;
            next = ids.end;
            let signal = if (ids.start / PER_REQUEST).is_multiple_of(2) { Signal::Traces } else { Signal::Logs };
            sent.sent.add(PER_REQUEST);
            let shipment = shipment(signal, ids.clone());
            match door.send(&shipment).await {
                Answer::Accepted { .. } => {
                    sent.acknowledged.lock().expect("no holder of the lock panics").extend(ids);
                }
                _ => sent.refused.add(PER_REQUEST),
            }
        }
    })
}

fn shipment(signal: Signal, ids: std::ops::Range<u64>) -> Shipment {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let plain = items::request(signal, ids.clone(), u64::try_from(now.as_nanos()).unwrap_or_default());
    let key = Key::new(ids.start + 1);
    let batch = Batch {
        signal,
        encoding: Encoding::Gzip,
        items: u32::try_from(PER_REQUEST).expect("a small constant"),
        inflated_len: u32::try_from(plain.len()).expect("a few KiB"),
        received_at_ms: u64::try_from(now.as_millis()).unwrap_or_default(),
        headers: Arc::from([]),
        body: Deflater::new().gzip(&plain).into(),
    };
    Shipment { batch, id: BatchId { store: 0, epoch: 0, signal, key }, along: Vec::new(), replay: false }
}
