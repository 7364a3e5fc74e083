//! `queue`: the write-ahead queue.

use std::path::PathBuf;
use std::time::Duration;

/// Where and how requests are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueConfig {
    /// Data directory; holds the store, its lock and the admin socket.
    pub directory: PathBuf,
    /// What an OK survives.
    pub durability: Durability,
    /// Interval of syncs with `durability: interval`.
    pub sync_interval: Duration,
    /// Quota of physical bytes.
    pub max_size: QueueSize,
    /// Size of the ballast file in bytes; `None` derives it.
    pub reserve: Option<u64>,
    /// Memory that memtables, ring and buffers share, in bytes; `None` derives it from the cgroup.
    pub memory_limit: Option<u64>,
    /// Age at which a batch is dropped; zero means never.
    pub max_age: Duration,
    /// What a full queue does.
    pub when_full: WhenFull,
    /// What differs for a signal, by [`Signal::index`](crate::batch::Signal::index).
    pub signals: [SignalQueue; 3],
    /// The store of refused batches.
    pub dead_letters: DeadLetterConfig,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            directory: PathBuf::from("/var/lib/spillway"),
            durability: Durability::Fsync,
            sync_interval: Duration::from_secs(1),
            max_size: QueueSize::Bytes(2 << 30),
            reserve: None,
            memory_limit: None,
            max_age: Duration::ZERO,
            when_full: WhenFull::Backpressure,
            signals: [SignalQueue::fresh_first(), SignalQueue::fifo(), SignalQueue::fresh_first()],
            dead_letters: DeadLetterConfig::default(),
        }
    }
}

/// What an OK survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: each group is fsynced before its OKs.
    Fsync,
    /// The end of the process; the loss of power takes at most `sync_interval`.
    Interval,
    /// The end of the process.
    Os,
}

impl Durability {
    /// Each of them, for one-hot metrics.
    pub const ALL: [Durability; 3] = [Durability::Fsync, Durability::Interval, Durability::Os];

    /// As it is written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Durability::Fsync => "fsync",
            Durability::Interval => "interval",
            Durability::Os => "os",
        }
    }
}

/// A quota.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum QueueSize {
    /// So many bytes.
    Bytes(u64),
    /// A share of the volume, in (0, 1].
    Share(f64),
}

/// What a full queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuses new requests with a delay.
    Backpressure,
    /// Drops the oldest batches, counted.
    DropOldest,
}

/// In which order a signal's batches are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// New data at once, the backlog beside it.
    FreshFirst,
    /// Strictly in the order of arrival, one request in flight.
    Fifo,
}

/// What differs for one signal; `None` takes the queue's value.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalQueue {
    /// Overrides `queue.max_age`.
    pub max_age: Option<Duration>,
    /// Overrides `queue.when_full`.
    pub when_full: Option<WhenFull>,
    /// Order of delivery.
    pub order: Order,
    /// Guaranteed share of the quota, in (0, 1]; a third each by default.
    pub share: f64,
}

impl SignalQueue {
    /// The default of traces and logs.
    pub const fn fresh_first() -> SignalQueue {
        SignalQueue { max_age: None, when_full: None, order: Order::FreshFirst, share: 1.0 / 3.0 }
    }

    /// The default of metrics: many backends refuse points that are out of order.
    pub const fn fifo() -> SignalQueue {
        SignalQueue { max_age: None, when_full: None, order: Order::Fifo, share: 1.0 / 3.0 }
    }
}

/// The store of refused batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterConfig {
    /// Bytes it may hold; when full, nothing more is condemned.
    pub max_size: u64,
    /// Age at which a dead letter is removed, counted.
    pub max_age: Duration,
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        DeadLetterConfig { max_size: 1 << 30, max_age: Duration::from_secs(7 * 86_400) }
    }
}
