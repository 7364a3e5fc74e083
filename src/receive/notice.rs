//! Warnings that somebody has to act on, few enough to be read: at most one of a kind in 30 s, with a count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::refusal::Refusal;
use super::stats::Outcome;

/// At most one warning of a kind in this time.
const EVERY: Duration = Duration::from_secs(30);

/// Requests refused, by kind.
#[derive(Debug, Default)]
pub(super) struct Notices {
    malformed: Throttle,
    too_large: Throttle,
    unsupported: Throttle,
    unauthenticated: Throttle,
}

impl Notices {
    /// Says that a request was refused, where somebody has to change a client and it was not said just now.
    ///
    /// The text is ours: paths and offsets, never a value out of the body.
    pub(super) fn tell(&self, refusal: &Refusal) {
        tracing::debug!(%refusal, "request refused");
        let throttle = match refusal.outcome() {
            Outcome::Malformed => &self.malformed,
            Outcome::TooLarge => &self.too_large,
            Outcome::Unsupported => &self.unsupported,
            Outcome::Unauthenticated => &self.unauthenticated,
            _ => return,
        };
        if let Some(count) = throttle.count() {
            tracing::warn!(last = %refusal, count, "requests refused that their senders have to change");
        }
    }
}

/// What happened of one kind since it was last told.
#[derive(Debug)]
pub(super) struct Throttle {
    since: Instant,
    /// Milliseconds after `since` before which nothing is told.
    quiet_until: AtomicU64,
    happened: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle { since: Instant::now(), quiet_until: AtomicU64::new(0), happened: AtomicU64::new(0) }
    }
}

impl Throttle {
    /// Counts one; the number to tell when it is time to.
    pub(super) fn count(&self) -> Option<u64> {
        self.happened.fetch_add(1, Relaxed);
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let quiet_until = self.quiet_until.load(Relaxed);
        if now < quiet_until {
            return None;
        }
        let next = now + EVERY.as_millis() as u64;
        let mine = self.quiet_until.compare_exchange(quiet_until, next, Relaxed, Relaxed).is_ok();
        mine.then(|| self.happened.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred refusals a second, for two minutes.
    /// Guarantees one report each 30 s, and that the reports together count every refusal but those since the last.
    #[tokio::test(start_paused = true)]
    async fn one_report_in_thirty_seconds_counts_them_all() {
        let throttle = Throttle::default();
        let mut reports = Vec::new();
        for _ in 0..12_000 {
            reports.extend(throttle.count());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(reports, [1, 3_000, 3_000, 3_000]);
    }
}
