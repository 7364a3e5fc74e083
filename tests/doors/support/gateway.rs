//! The doors and their queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use spillway::batch::{Batch, Signal};
use spillway::config::{QueueConfig, QueueSize, ReceiverConfig};
use spillway::queue::{Lane, Queue, Settlement, Taker};
use spillway::receive::{Doors, Stats};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{grpc, http};

/// Doors that serve, until dropped.
pub(crate) struct Gateway {
    pub(crate) queue: Queue,
    pub(crate) stats: Arc<Stats>,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) serving: JoinHandle<()>,
    _directory: TempDir,
}

/// The defaults, on ports of loopback that the system chooses.
pub(crate) fn config() -> ReceiverConfig {
    let mut config = ReceiverConfig::default();
    config.grpc.as_mut().unwrap().endpoint = "127.0.0.1:0".to_owned();
    config.http.as_mut().unwrap().endpoint = "127.0.0.1:0".to_owned();
    config
}

impl Gateway {
    /// Doors with the defaults.
    pub(crate) async fn start() -> Gateway {
        Gateway::start_with(config()).await
    }

    /// Doors as configured.
    pub(crate) async fn start_with(config: ReceiverConfig) -> Gateway {
        Gateway::start_on(config, 1 << 30).await
    }

    /// Doors as configured, in front of a queue of at most `quota` bytes.
    pub(crate) async fn start_on(config: ReceiverConfig, quota: u64) -> Gateway {
        let directory = tempfile::tempdir().unwrap();
        let queue = QueueConfig {
            directory: directory.path().join("queue"),
            max_size: QueueSize::Bytes(quota),
            ..QueueConfig::default()
        };
        let queue = Queue::open(&queue).unwrap();
        let doors = Doors::bind(&config).await.unwrap();
        let (grpc, http) = (doors.grpc_address().unwrap(), doors.http_address().unwrap());
        let (stop, stopped) = watch::channel(false);
        let stats = Arc::new(Stats::new());
        let serving = tokio::spawn(doors.serve(queue.clone(), Arc::clone(&stats), stopped));
        Gateway { queue, stats, grpc, http, stop, serving, _directory: directory }
    }

    /// A client of the gRPC door.
    pub(crate) async fn grpc(&self) -> grpc::Client {
        grpc::Client::connect(self.grpc).await
    }

    /// A client of the HTTP door.
    pub(crate) async fn http(&self) -> http::Client {
        http::Client::connect(self.http).await
    }

    /// The next batch in the queue of `signal`, taken out of it. Panics when none comes.
    pub(crate) async fn stored(&self, signal: Signal) -> Batch {
        let found = timeout(Duration::from_secs(60), async {
            loop {
                if let Some(batch) = self.take(signal).await {
                    return batch;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        found.await.expect("nothing was stored")
    }

    /// Whether nothing is queued at all.
    pub(crate) async fn stored_nothing(&self) -> bool {
        for signal in Signal::ALL {
            if self.take(signal).await.is_some() {
                return false;
            }
        }
        true
    }

    async fn take(&self, signal: Signal) -> Option<Batch> {
        for lane in Lane::ALL {
            if let Some(lease) = self.queue.lease(signal, lane, Taker::Primary).await {
                let batch = lease.batch.clone();
                self.queue.settle(lease, Settlement::Delivered { rejected: 0 });
                return Some(batch);
            }
        }
        None
    }

    /// How many requests ended that way.
    pub(crate) fn count(&self, transport: &str, signal: Signal, outcome: &str) -> u64 {
        let requests = self.stats.snapshot().requests;
        let of = |r: &&spillway::receive::snapshot::Requests| {
            (r.transport, r.signal, r.outcome) == (transport, signal, outcome)
        };
        requests.iter().find(of).unwrap().count
    }

    /// How many connections the door turned away for that reason.
    pub(crate) fn turned_away(&self, door: &str, reason: &str) -> u64 {
        let counted = self.stats.snapshot().turned_away;
        counted.into_iter().find(|(at, why, _)| (*at, *why) == (door, reason)).unwrap().2
    }

    /// How often these files were read anew, and whether what they hold is in force.
    pub(crate) fn files(&self, of: &str) -> (u64, bool) {
        let found = self.stats.snapshot().files.into_iter().find(|(name, ..)| *name == of).unwrap();
        (found.1, found.2)
    }
}
