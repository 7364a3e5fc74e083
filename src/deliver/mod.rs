//! Delivery: chain, breaker, backoff, lanes and the loop that joins them.
//!
//! It leases from the queue, sends through targets, classifies what came back and settles. It never sees a client.

pub mod backoff;
pub mod breaker;
pub mod chain;
pub mod concurrency;
pub mod health;
pub mod jitter;
pub mod lanes;
pub mod pace;
pub mod silence;
pub mod snapshot;
pub mod window;
pub mod witness;

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ChainConfig, Order, ReplayConfig, TargetConfig};
use crate::queue::Queue;
use crate::target::Target;

/// Delivery at work: one task a signal, one prober a target. Nothing moves until [`Deliver::start`], all ends with
/// [`Deliver::stop`].
pub struct Deliver {}

#[expect(clippy::unused_async, clippy::needless_pass_by_value, reason = "signatures first; the bodies follow")]
impl Deliver {
    /// Starts delivering; call it inside a tokio runtime. `orders` is by [`Signal::index`](crate::batch::Signal::index).
    pub fn start(
        chain: ChainConfig,
        replay: ReplayConfig,
        orders: [Order; 3],
        targets: Vec<(TargetConfig, Arc<dyn Target>)>,
        queue: Queue,
    ) -> Deliver {
        let _ = (chain, replay, orders, targets, queue);
        Deliver {}
    }

    /// What goes on now.
    pub fn snapshot(&self) -> snapshot::Snapshot {
        unreachable!("signatures first")
    }

    /// Ends delivery: no new leases; what is in flight may end within `patience`, the rest is returned to the queue.
    pub async fn stop(&self, patience: Duration) {
        let _ = patience;
    }
}
