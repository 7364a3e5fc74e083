//! Where snapshots come from: closures, so that this part knows snapshots and not the parts that make them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use super::facts::now_ms;
use crate::queue::snapshot::Recount;
use crate::{deliver, queue, receive};

/// A recount under way: each signal's, or a sentence that says why there is none.
pub type Recounting = Pin<Box<dyn Future<Output = Result<[Recount; 3], String>> + Send>>;

/// The parts that are looked at. Each closure is called at every scrape and once a second, from a thread that may block.
pub struct Sources {
    /// The doors.
    pub doors: Box<dyn Fn() -> receive::snapshot::Snapshot + Send + Sync>,
    /// The queue.
    pub queue: Box<dyn Fn() -> queue::snapshot::Snapshot + Send + Sync>,
    /// Delivery.
    pub deliver: Box<dyn Fn() -> deliver::snapshot::Snapshot + Send + Sync>,
    /// What became of the configuration when it was read last.
    pub reload: Box<dyn Fn() -> Reload + Send + Sync>,
    /// An independent recount of the queue: slow, called every few minutes and on demand, never twice at once.
    pub recount: Box<dyn Fn() -> Recounting + Send + Sync>,
}

/// All snapshots, taken one after the other at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The doors.
    pub doors: receive::snapshot::Snapshot,
    /// The queue.
    pub queue: queue::snapshot::Snapshot,
    /// Delivery.
    pub deliver: deliver::snapshot::Snapshot,
    /// The configuration.
    pub reload: Reload,
}

/// What became of the configuration when it was read again last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reload {
    /// Whether what was read last is in force.
    pub successful: bool,
    /// When a reload last succeeded, in milliseconds since the Unix epoch; null for not since the start.
    pub success_ms: Option<u64>,
    /// Why the configuration that was read last is not in force.
    pub error: Option<String>,
    /// Keys that were changed since the start and hold from the next one on.
    pub restart_needed: Vec<String>,
}

impl Default for Reload {
    /// The configuration is that of the start.
    fn default() -> Self {
        Reload { successful: true, success_ms: None, error: None, restart_needed: Vec::new() }
    }
}

impl Sources {
    /// Takes all snapshots.
    pub(super) fn read(&self) -> Reading {
        Reading {
            at_ms: now_ms(),
            doors: (self.doors)(),
            queue: (self.queue)(),
            deliver: (self.deliver)(),
            reload: (self.reload)(),
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}
