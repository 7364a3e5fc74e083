//! Failures that come again and again, for the log: each kind is told at most once in half a minute, with a count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Each kind of repeated failure is told at most once in this time.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// Holds back what was told a moment ago, and counts it. One of them stands for one kind of failure.
#[derive(Debug)]
pub struct Repeats {
    since: Instant,
    /// Milliseconds after `since` before which nothing is told.
    quiet_until: AtomicU64,
    happened: AtomicU64,
}

impl Default for Repeats {
    fn default() -> Repeats {
        Repeats { since: Instant::now(), quiet_until: AtomicU64::new(0), happened: AtomicU64::new(0) }
    }
}

impl Repeats {
    /// Whether to tell of a failure now: with the number of those that were held back since the last one told.
    pub fn tell(&self) -> Option<u64> {
        self.count().map(|count| count - 1)
    }

    /// The same, with the number of those since the last one told: this one, and those that were held back.
    pub fn count(&self) -> Option<u64> {
        self.happened.fetch_add(1, Relaxed);
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let quiet_until = self.quiet_until.load(Relaxed);
        if now < quiet_until {
            return None;
        }
        let next = now + REPEAT_AFTER.as_millis() as u64;
        let mine = self.quiet_until.compare_exchange(quiet_until, next, Relaxed, Relaxed).is_ok();
        mine.then(|| self.happened.swap(0, Relaxed).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A failure each second.
    /// Guarantees one line in half a minute, with the number of those held back.
    #[tokio::test(start_paused = true)]
    async fn one_in_half_a_minute_counts_the_others() {
        let (repeats, mut told) = (Repeats::default(), Vec::new());
        for _ in 0..100 {
            told.extend(repeats.tell());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [0, 29, 29, 29]);
    }

    /// A hundred a second, for two minutes.
    /// Guarantees one report each 30 s, and that the reports together count every one but those since the last.
    #[tokio::test(start_paused = true)]
    async fn one_report_in_thirty_seconds_counts_them_all() {
        let (repeats, mut reports) = (Repeats::default(), Vec::new());
        for _ in 0..12_000 {
            reports.extend(repeats.count());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(reports, [1, 3_000, 3_000, 3_000]);
    }
}
