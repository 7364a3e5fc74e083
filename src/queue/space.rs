//! How full the queue is, who is refused for it, what is removed for it, and when a refused client should come back.
//!
//! Measured now and then: the bytes that the store takes on disk, dead letters apart, which have a quota of their own.
//! Between two measurements what is appended is added, and nothing is taken off. Reads no disk itself.
//!
//! | used, of the limit | what happens |
//! |---|---|
//! | up to 90 % | every signal takes what it needs, beyond its share too |
//! | from 90 % | what is owed is released; a signal above its share with `drop_oldest` loses its oldest, down to 85 % |
//! | from 95 % | a signal above its share with `backpressure` is refused, until 90 % |
//! | from 97 % | a signal within its share with `drop_oldest` loses its oldest, down to 95 % |
//! | 100 % | everybody is refused, until 95 % |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::limits::Limits;
use crate::batch::Signal;
use crate::config::{QueueSize, WhenFull};

/// What a signal above its share leaves to the others, and how far below its ceiling a refused signal is taken again, so
/// that it does not flap: shares of the limit.
const HEADROOM: f64 = 0.05;
/// Removing begins at the first share of the limit and ends at the second: what is owed, and signals above their share,
const TRIM: (f64, f64) = (0.90, 0.85);
/// and signals within their share.
const TRIM_WITHIN_SHARE: (f64, f64) = (0.97, 0.95);
/// Of its share of the limit, what `drop_oldest` leaves a signal whatever the disk says. Something else filling the volume
/// must not empty the queue.
const KEPT_OF_SHARE: f64 = 0.25;
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
    /// Free bytes of the volume that are to be left alone.
    pub reserved: u64,
    /// [`Space::appended`] just before the look began.
    pub appended: u64,
}

/// Why a batch has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Not now.
    Full { retry_after: Duration },
    /// It is larger than the whole quota, of so many bytes.
    TooLarge { quota: u64 },
}

#[derive(Debug)]
pub(super) struct Space {
    limits: Arc<Limits>,
    measured: AtomicU64,
    measured_at: AtomicU64,
    appended: AtomicU64,
    /// The quota as configured, in bytes of this volume.
    quota: AtomicU64,
    limit: AtomicU64,
    free: AtomicU64,
    /// Bytes a second that left lately.
    drain: AtomicU64,
    /// Bytes of live batches, by signal.
    live: [AtomicU64; 3],
    refusing: [AtomicBool; 3],
}

impl Space {
    /// An empty queue.
    pub(super) fn new(limits: Arc<Limits>) -> Space {
        Space {
            limits,
            measured: AtomicU64::new(0),
            measured_at: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            quota: AtomicU64::new(u64::MAX),
            limit: AtomicU64::new(u64::MAX),
            free: AtomicU64::new(u64::MAX),
            drain: AtomicU64::new(0),
            live: Default::default(),
            refusing: Default::default(),
        }
    }

    /// Takes room for so many bytes, or says why there is none. A batch that is refused for its own size alone does not
    /// make others be refused.
    pub(super) fn admit(&self, signal: Signal, bytes: u64) -> Result<(), NoRoom> {
        let (used, ceiling, quota) = (self.used(), self.ceiling(signal), self.quota.load(Relaxed));
        if bytes > quota {
            return Err(NoRoom::TooLarge { quota });
        }
        if !self.is_refusing(signal) && used.saturating_add(bytes) <= ceiling {
            self.appended.fetch_add(bytes, Relaxed);
            return Ok(());
        }
        if used > self.open_again(signal) {
            self.refusing[signal.index()].store(true, Relaxed);
        }
        Err(NoRoom::Full { retry_after: self.retry_after(signal) })
    }

    /// Whether a small batch would be admitted; otherwise, when to come back.
    pub(super) fn check(&self, signal: Signal) -> Result<(), Duration> {
        if self.is_refusing(signal) { Err(self.retry_after(signal)) } else { Ok(()) }
    }

    /// Whether it is time to remove something.
    pub(super) fn is_pressed(&self) -> bool {
        self.used() as f64 >= self.limit() as f64 * TRIM.0
    }

    /// Bytes of owed batches that are to be released.
    pub(super) fn owed_excess(&self) -> u64 {
        self.above(TRIM)
    }

    /// Bytes of a signal that are to be dropped: fixed by what is used now, before anything is removed, and bounded by what
    /// the signal holds.
    pub(super) fn drop_excess(&self, signal: Signal) -> u64 {
        let rule = self.limits.now().of_signal(signal);
        if rule.when_full != WhenFull::DropOldest {
            return 0;
        }
        let excess = self.above(if self.over_share(signal) > 0.0 { TRIM } else { TRIM_WITHIN_SHARE });
        let kept = (self.limit() as f64 * rule.share * KEPT_OF_SHARE) as u64;
        excess.min(self.live[signal.index()].load(Relaxed).saturating_sub(kept))
    }

    /// Bytes of a signal above its share; negative below.
    pub(super) fn over_share(&self, signal: Signal) -> f64 {
        let share = self.limits.now().of_signal(signal).share;
        self.live[signal.index()].load(Relaxed) as f64 - self.limit() as f64 * share
    }

    /// Notes the bytes of a signal's live batches.
    pub(super) fn holds(&self, signal: Signal, bytes: u64) {
        self.live[signal.index()].store(bytes, Relaxed);
    }

    /// All bytes admitted so far.
    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Relaxed)
    }

    /// Takes the result of a look at the disk, and bytes that left a second since the last one.
    pub(super) fn measured(&self, seen: Measurement, drained: u64) {
        let volume = seen.volume.unwrap_or(u64::MAX);
        let max = self.quota_of(volume);
        let free = seen.free.unwrap_or(u64::MAX);
        let room = seen.used.saturating_add(free.saturating_sub(seen.reserved));
        self.free.store(free, Relaxed);
        self.quota.store(max, Relaxed);
        self.limit.store(max.min(room), Relaxed);
        self.measured.store(seen.used, Relaxed);
        self.measured_at.store(seen.appended, Relaxed);
        self.drain.store((self.drain.load(Relaxed) + drained) / 2, Relaxed);
        for signal in Signal::ALL {
            if self.used() <= self.open_again(signal) {
                self.refusing[signal.index()].store(false, Relaxed);
            }
        }
    }

    /// The quota in bytes on a volume of that size.
    pub(super) fn quota_of(&self, volume: u64) -> u64 {
        match self.limits.now().max {
            QueueSize::Bytes(bytes) => bytes,
            QueueSize::Share(share) => (volume as f64 * share) as u64,
        }
    }

    /// Whether new batches of any signal are refused.
    pub(super) fn is_full(&self) -> bool {
        Signal::ALL.into_iter().any(|signal| self.is_refusing(signal))
    }

    /// Whether new batches of a signal are refused.
    pub(super) fn is_refusing(&self, signal: Signal) -> bool {
        self.refusing[signal.index()].load(Relaxed)
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

    /// Up to where a signal may fill the queue.
    fn ceiling(&self, signal: Signal) -> u64 {
        let waits = self.limits.now().of_signal(signal).when_full == WhenFull::Backpressure;
        match waits && self.over_share(signal) > 0.0 {
            true => self.of_limit(1.0 - HEADROOM),
            false => self.limit(),
        }
    }

    /// Below this a signal that was refused is taken again.
    fn open_again(&self, signal: Signal) -> u64 {
        self.ceiling(signal).saturating_sub(self.of_limit(HEADROOM))
    }

    /// What is in use above the second share of the limit, if it is above the first.
    fn above(&self, (from, to): (f64, f64)) -> u64 {
        match self.used() >= self.of_limit(from) {
            true => self.used().saturating_sub(self.of_limit(to)),
            false => 0,
        }
    }

    fn of_limit(&self, share: f64) -> u64 {
        (self.limit() as f64 * share) as u64
    }

    fn retry_after(&self, signal: Signal) -> Duration {
        let excess = self.used().saturating_sub(self.open_again(signal));
        let seconds = excess.div_ceil(self.drain.load(Relaxed).max(1));
        Duration::from_secs(seconds.clamp(*RETRY.start(), *RETRY.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{QueueConfig, SignalQueue};

    const FULL: fn(u64) -> Result<(), NoRoom> =
        |seconds| Err(NoRoom::Full { retry_after: Duration::from_secs(seconds) });

    fn space(max: QueueSize, change: impl Fn(&mut QueueConfig)) -> Space {
        let mut config = QueueConfig { max_size: max, ..QueueConfig::default() };
        change(&mut config);
        Space::new(Arc::new(Limits::new(&config)))
    }

    /// Three signals of which each may take 300, 300 and 400 of 1000 bytes.
    fn shared(change: impl Fn(&mut QueueConfig)) -> Space {
        let space = space(QueueSize::Bytes(1000), |config| {
            for (signal, share) in config.signals.iter_mut().zip([0.3, 0.3, 0.4]) {
                *signal = SignalQueue { share, ..signal.clone() };
            }
            change(config);
        });
        space.measured(seen(&space, 0), 0);
        space
    }

    fn seen(space: &Space, used: u64) -> Measurement {
        Measurement { used, free: Some(1 << 40), volume: Some(1 << 41), reserved: 0, appended: space.appended() }
    }

    /// Scenario: a queue fills up, is drained, and fills again. Guarantee: it refuses at the limit with a delay that fits
    /// the drain, and takes batches again by itself.
    #[test]
    fn a_full_queue_refuses_until_space_came_back() {
        let space = shared(|_| {});
        assert_eq!(space.admit(Signal::Logs, 970), Ok(()));
        assert_eq!(space.admit(Signal::Logs, 31), FULL(20));
        assert!(space.is_full() && space.check(Signal::Logs).is_err());
        space.measured(seen(&space, 980), 4);
        assert_eq!(space.admit(Signal::Logs, 1), FULL(15));
        space.measured(seen(&space, 1_000_000), 4);
        assert_eq!(space.admit(Signal::Logs, 1), FULL(30));
        space.measured(seen(&space, 950), 4);
        assert_eq!((space.check(Signal::Logs), space.admit(Signal::Logs, 50)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_volume_that_fills_up_counts_before_the_quota_does() {
        let fixed = space(QueueSize::Bytes(1 << 40), |_| {});
        let look = Measurement { used: 10, free: Some(150), volume: Some(1000), reserved: 100, appended: 0 };
        fixed.measured(look, 0);
        assert_eq!(fixed.limit(), 60);
        let share = space(QueueSize::Share(0.5), |_| {});
        share.measured(Measurement { free: Some(990), reserved: 0, ..look }, 0);
        assert_eq!(share.limit(), 500);
    }

    /// Scenario: logs borrow what nobody uses, and the queue fills. Guarantee: they are refused before a signal that is
    /// within its share, which still finds room.
    #[test]
    fn who_is_above_its_share_is_refused_first() {
        let space = shared(|_| {});
        space.measured(seen(&space, 948), 10);
        space.holds(Signal::Logs, 900);
        space.holds(Signal::Traces, 48);
        assert_eq!(space.admit(Signal::Logs, 10), FULL(10));
        assert_eq!((space.check(Signal::Metrics), space.check(Signal::Traces)), (Ok(()), Ok(())));
        assert_eq!(space.admit(Signal::Traces, 50), Ok(()));
        assert_eq!(space.admit(Signal::Traces, 5), FULL(10));
        space.measured(seen(&space, 940), 10);
        assert_eq!((space.check(Signal::Traces), space.check(Signal::Logs)), (Ok(()), FULL(6).map_err(delay)));
        space.measured(seen(&space, 900), 10);
        assert_eq!(space.check(Signal::Logs), Ok(()));
    }

    fn delay(no_room: NoRoom) -> Duration {
        match no_room {
            NoRoom::Full { retry_after } => retry_after,
            NoRoom::TooLarge { .. } => panic!("{no_room:?}"),
        }
    }

    /// Scenario: a request larger than the quota, and one that does not fit at the moment while small ones do. Guarantee:
    /// both are refused alone, the first for good.
    #[test]
    fn a_request_too_large_is_refused_alone() {
        let space = shared(|_| {});
        assert_eq!(space.admit(Signal::Logs, 1001), Err(NoRoom::TooLarge { quota: 1000 }));
        space.measured(seen(&space, 500), 0);
        assert_eq!(space.admit(Signal::Logs, 600), FULL(1));
        assert!(!space.is_full());
        assert_eq!(space.admit(Signal::Logs, 400), Ok(()));
    }

    /// Scenario: signals with `drop_oldest` above and within their share, and one without. Guarantee: the one above loses
    /// first and early enough that nobody is refused, never more than is too much, and never all; the others lose nothing.
    #[test]
    fn what_is_dropped_is_bounded() {
        let space = shared(|config| {
            config.when_full = WhenFull::DropOldest;
            config.signals[Signal::Metrics.index()].when_full = Some(WhenFull::Backpressure);
        });
        space.holds(Signal::Logs, 700);
        space.holds(Signal::Traces, 100);
        space.holds(Signal::Metrics, 100);
        let excess = || Signal::ALL.map(|signal| space.drop_excess(signal));
        space.measured(seen(&space, 899), 0);
        assert_eq!((space.is_pressed(), excess(), space.owed_excess()), (false, [0, 0, 0], 0));
        space.measured(seen(&space, 905), 0);
        assert_eq!((space.is_pressed(), excess(), space.owed_excess()), (true, [0, 0, 55], 55));
        assert_eq!(space.admit(Signal::Logs, 95), Ok(()), "it takes what comes");
        assert_eq!(excess(), [25, 0, 150], "of its share of 300, traces keep 75");
        space.measured(seen(&space, 1_000_000), 0);
        assert_eq!(excess(), [25, 0, 600], "the disk may say what it will: of its share of 400, logs keep 100");
    }
}
