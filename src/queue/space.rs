//! How full the queue is, and when a refused client should come back.
//!
//! Measured now and then: the bytes that the store takes on disk, dead letters apart, which have a quota of their own.
//! Between two measurements what is appended is added, and nothing is taken off. Reads no disk itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::config::QueueSize;

/// A full queue takes batches again once it is below this share of the limit, so that it does not flap.
const OPEN_AGAIN: f64 = 0.95;
/// Bounds of what a refused client is told: shorter makes a storm, longer makes clients drop.
const RETRY: std::ops::RangeInclusive<u64> = 1..=30;

/// A look at the disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measurement {
    /// Bytes that the store takes, dead letters apart.
    pub used: u64,
    /// Free bytes of the volume; `None` when it could not be asked.
    pub free: Option<u64>,
    /// Size of the volume.
    pub volume: Option<u64>,
    /// [`Space::appended`] just before the look began.
    pub appended: u64,
}

#[derive(Debug)]
pub(super) struct Space {
    max: QueueSize,
    reserve: u64,
    measured: AtomicU64,
    measured_at: AtomicU64,
    appended: AtomicU64,
    limit: AtomicU64,
    free: AtomicU64,
    /// Bytes a second that were settled lately.
    drain: AtomicU64,
    full: AtomicBool,
}

impl Space {
    /// An empty queue; `reserve` bytes of the volume are left alone.
    pub(super) fn new(max: QueueSize, reserve: u64) -> Space {
        Space {
            max,
            reserve,
            measured: AtomicU64::new(0),
            measured_at: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            free: AtomicU64::new(u64::MAX),
            drain: AtomicU64::new(0),
            full: AtomicBool::new(false),
        }
    }

    /// Takes room for so many bytes, or says when to come back.
    pub(super) fn admit(&self, bytes: u64) -> Result<(), Duration> {
        if !self.full.load(Relaxed) && self.used() + bytes <= self.limit() {
            self.appended.fetch_add(bytes, Relaxed);
            return Ok(());
        }
        self.full.store(true, Relaxed);
        Err(self.retry_after())
    }

    /// Whether a small batch would be admitted.
    pub(super) fn check(&self) -> Result<(), Duration> {
        if self.full.load(Relaxed) { Err(self.retry_after()) } else { Ok(()) }
    }

    /// All bytes admitted so far.
    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Relaxed)
    }

    /// Takes the result of a look at the disk, and bytes settled a second since the last one.
    pub(super) fn measured(&self, seen: Measurement, drained: u64) {
        let volume = seen.volume.unwrap_or(u64::MAX);
        let max = match self.max {
            QueueSize::Bytes(bytes) => bytes,
            QueueSize::Share(share) => (volume as f64 * share) as u64,
        };
        let free = seen.free.unwrap_or(u64::MAX);
        let room = seen.used.saturating_add(free.saturating_sub(self.reserve.min(volume / 10)));
        self.free.store(free, Relaxed);
        self.limit.store(max.min(room), Relaxed);
        self.measured.store(seen.used, Relaxed);
        self.measured_at.store(seen.appended, Relaxed);
        self.drain.store((self.drain.load(Relaxed) + drained) / 2, Relaxed);
        if self.used() <= self.open_again() {
            self.full.store(false, Relaxed);
        }
    }

    /// Whether new batches are refused.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Bytes in use, at most.
    pub(super) fn used(&self) -> u64 {
        let since = self.appended.load(Relaxed).saturating_sub(self.measured_at.load(Relaxed));
        self.measured.load(Relaxed).saturating_add(since)
    }

    /// Bytes that may be in use.
    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Free bytes of the volume, if it could be asked.
    pub(super) fn free(&self) -> Option<u64> {
        Some(self.free.load(Relaxed)).filter(|free| *free != u64::MAX)
    }

    fn open_again(&self) -> u64 {
        (self.limit() as f64 * OPEN_AGAIN) as u64
    }

    fn retry_after(&self) -> Duration {
        let excess = self.used().saturating_sub(self.open_again());
        let seconds = excess.div_ceil(self.drain.load(Relaxed).max(1));
        Duration::from_secs(seconds.clamp(*RETRY.start(), *RETRY.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(space: &Space, used: u64) -> Measurement {
        Measurement { used, free: Some(1 << 40), volume: Some(1 << 41), appended: space.appended() }
    }

    /// Scenario: a queue fills up, is drained, and fills again. Guarantee: it refuses at the limit with a delay that fits
    /// the drain, and takes batches again by itself.
    #[test]
    fn a_full_queue_refuses_until_space_came_back() {
        let space = Space::new(QueueSize::Bytes(1000), 0);
        space.measured(seen(&space, 0), 0);
        assert_eq!(space.admit(900), Ok(()));
        assert_eq!(space.admit(101), Err(Duration::from_secs(1)));
        assert!(space.is_full() && space.check().is_err());
        space.measured(seen(&space, 980), 4);
        assert_eq!(space.admit(1), Err(Duration::from_secs(15)));
        space.measured(seen(&space, 1_000_000), 4);
        assert_eq!(space.admit(1), Err(Duration::from_secs(30)));
        space.measured(seen(&space, 950), 4);
        assert_eq!((space.check(), space.admit(50)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_volume_that_fills_up_counts_before_the_quota_does() {
        let space = Space::new(QueueSize::Bytes(1 << 40), 100);
        space.measured(Measurement { used: 10, free: Some(150), volume: Some(1000), appended: 0 }, 0);
        assert_eq!(space.limit(), 60);
        let share = Space::new(QueueSize::Share(0.5), 0);
        share.measured(Measurement { used: 10, free: Some(990), volume: Some(1000), appended: 0 }, 0);
        assert_eq!(share.limit(), 500);
    }
}
