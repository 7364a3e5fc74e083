//! Several batches for one request: those that follow the first one in its lane.

use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::lanes::{Step, Stored};
use super::reader::Errand;
use super::{Lease, Queue, Taker};
use crate::batch::{Batch, BatchId};

impl Queue {
    /// The batches behind `first` in its lane, in order, as far as `takes` each of them, nobody got it yet, and it can be had without
    /// waiting for the disk. Meant to go out in one request with it. Each of them is a lease like any other.
    ///
    /// None while batches are handed out one at a time.
    pub async fn lease_along(
        &self,
        first: &Lease,
        taker: Taker,
        mut takes: impl FnMut(BatchId, &Batch) -> bool,
    ) -> Vec<Lease> {
        let (signal, lane) = (first.id.signal, first.lane);
        let store = self.shared.store.load(Relaxed);
        let id = |stored: &Stored| BatchId { store, epoch: stored.epoch, signal, key: stored.key };
        let mut along = Vec::new();
        while self.shared.is_open() && !self.shared.careful.is_active() && !self.shared.out.is_full(signal) {
            let now = Instant::now();
            let wanted = |stored: &Stored| takes(id(stored), &stored.batch);
            match self.take(signal, |lanes| lanes.lease_if((lane, taker), now, wanted)) {
                Step::Grant(grant, ahead) => {
                    self.send(ahead.map(Errand::Slice));
                    along.push(self.hand_out(signal, grant));
                }
                Step::Fetch(key, held, number) => {
                    let Some(mut lease) = self.fetch(signal, key, held, number).await else { break };
                    if !takes(lease.id, &lease.batch) {
                        lease.was_not_tried();
                        break;
                    }
                    along.push(lease);
                }
                Step::Wait(job) => {
                    self.send(job.map(Errand::Slice)); // for the next request
                    break;
                }
                Step::Nothing => break,
            }
        }
        along
    }
}
