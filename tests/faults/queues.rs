//! Queues in this process, on a real store.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bytes::Bytes;
use spillway::batch::{Batch, Encoding, Signal};
use spillway::config::{QueueConfig, QueueSize};
use spillway::queue::{AppendError, Lane, Lease, Queue, Settlement, Taker};
use tempfile::TempDir;

use crate::support::wait::{seconds, until};

pub(crate) const MIB: u64 = 1 << 20;

/// A queue and where it lies.
pub(crate) struct Place {
    pub(crate) queue: Queue,
    config: QueueConfig,
    store: PathBuf,
    _folder: TempDir,
}

impl Place {
    /// A new one, with what differs from the defaults.
    pub(crate) fn new(differs: impl FnOnce(&mut QueueConfig)) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let mut config = QueueConfig { directory: folder.path().to_owned(), ..QueueConfig::default() };
        config.max_size = QueueSize::Bytes(64 << 30);
        differs(&mut config);
        let store = folder.path().join("store");
        Place { queue: Queue::open(&config).unwrap(), config, store, _folder: folder }
    }

    /// Closes it and opens it again: nothing waits to be written, or for its space to be given back.
    pub(crate) async fn reopen(&mut self) {
        self.queue.close().await;
        self.queue = Queue::open(&self.config).unwrap();
    }

    /// Bytes that the store takes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.store).unwrap().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
    }
}

/// Appends so many batches of logs, as a client does: one that is refused is sent again.
pub(crate) async fn append(queue: &Queue, count: u64, len: usize, in_flight: u64) {
    let senders = (0..in_flight).map(|sender| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for _ in (sender..count).step_by(in_flight as usize) {
                while let Err(refused) = queue.append(batch(len)).await {
                    assert!(matches!(refused, AppendError::Full { .. }), "{refused}");
                    until("there is room again", seconds(60), || queue.admits(Signal::Logs).is_ok()).await;
                }
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
}

/// Leases the next batch of logs, from wherever there is one.
pub(crate) async fn next(queue: &Queue) -> Lease {
    loop {
        for lane in Lane::ALL {
            if let Some(lease) = queue.lease(Signal::Logs, lane, Taker::Primary).await {
                return lease;
            }
        }
        tokio::time::timeout(seconds(60), queue.ready(Signal::Logs)).await.expect("there is a batch");
    }
}

/// Delivers so many batches of logs; `each` is told how many that makes.
pub(crate) async fn drain(queue: &Queue, count: u64, mut each: impl FnMut(u64)) {
    for taken in 1..=count {
        let lease = next(queue).await;
        queue.settle(lease, Settlement::Delivered { rejected: 0 });
        each(taken);
    }
}

fn batch(len: usize) -> Batch {
    Batch {
        signal: Signal::Logs,
        encoding: Encoding::Identity,
        items: 1,
        inflated_len: len as u32,
        received_at_ms: 1,
        headers: [].into(),
        body: Bytes::from(vec![7; len]),
    }
}

/// Whether the counts are those of a release.
pub(crate) fn release() -> bool {
    std::env::var_os("SPILLWAY_TEST_COUNTS").is_some()
}
