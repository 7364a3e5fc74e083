//! How much memory each part of the queue may take, all of it derived from one limit.
//!
//! The shares grow with the limit up to a size beyond which they bring nothing, so that a large machine gives the queue no
//! more than it can use. They are sizes only: what keeps to them is elsewhere.

mod limit;

use crate::config::{QueueConfig, QueueSize};

const MIB: u64 = 1 << 20;

/// Bytes that each part may hold, the whole queue together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// What they were derived from: what the whole process may take.
    pub limit: u64,
    /// Changes that are in the write-ahead log and not yet in a file, those that are flushed among them.
    pub memtables: u64,
    /// Blocks of keys and of the index that were read.
    pub blocks: u64,
    /// Batches that were just committed, for the fresh lanes.
    pub ring: u64,
    /// Batches read ahead of the backlog lanes, all cursors together.
    pub read_ahead: u64,
    /// One group on its way to the disk, or one request if that is larger.
    pub group: u64,
    /// Batches out on leases, a third for each signal, and one more or two if those are larger.
    pub leased: u64,
    /// Write-ahead logs on disk. Opening after a crash reads all of them through the memtables.
    pub wal: u64,
}

impl Budget {
    /// The shares for a configuration, `queue.memory_limit: auto` resolved on this machine.
    pub fn of(config: &QueueConfig) -> Budget {
        let quota = match config.max_size {
            QueueSize::Bytes(bytes) => bytes,
            QueueSize::Share(_) => u64::MAX,
        };
        Budget::within(config.memory_limit.unwrap_or_else(limit::of_this_process), quota)
    }

    /// Bytes that one read fetches at most: two cursors a signal, each with up to one and a half times that.
    pub(super) fn slice(&self) -> u64 {
        self.read_ahead / 9
    }

    /// The shares of a limit. A small quota on disk takes smaller logs, which count against it, and no more memtables.
    pub(super) fn within(limit: u64, quota: u64) -> Budget {
        let wal = (quota / 8).clamp(8 * MIB, 128 * MIB);
        Budget {
            limit,
            memtables: (limit / 4).min(wal).clamp(8 * MIB, 64 * MIB),
            blocks: (limit / 32).clamp(2 * MIB, 8 * MIB),
            ring: (limit / 32).clamp(MIB, 8 * MIB),
            read_ahead: (limit / 16).clamp(2 * MIB, 16 * MIB),
            group: (limit / 32).clamp(MIB, 8 * MIB),
            leased: (limit / 8).clamp(3 * MIB, 32 * MIB),
            wal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_pod_gets_the_shares_that_the_documentation_names() {
        let budget = Budget::within(256 * MIB, 2 << 30);
        let Budget { limit: _, memtables, blocks, ring, read_ahead, group, leased, wal } = budget;
        let shares = [memtables, blocks, ring, read_ahead, group, leased, wal].map(|share| share / MIB);
        assert_eq!(shares, [64, 8, 8, 16, 8, 32, 128]);
        assert_eq!(Budget { limit: 256 * MIB, ..Budget::within(64 << 30, 2 << 30) }, budget, "no more than is of use");
    }

    #[test]
    fn a_smaller_limit_shrinks_every_share() {
        let (large, small) = (Budget::within(256 * MIB, 2 << 30), Budget::within(64 * MIB, 2 << 30));
        let shares = |budget: Budget| {
            let Budget { limit: _, memtables, blocks, ring, read_ahead, group, leased, wal: _ } = budget;
            [memtables, blocks, ring, read_ahead, group, leased]
        };
        assert!(shares(large).into_iter().zip(shares(small)).all(|(large, small)| small * 4 == large), "{small:?}");
    }
}
