//! Warnings about requests that clients will not send better by themselves, few enough to be read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::refusal::Refusal;
use super::stats::Outcome;

/// At most one warning of a kind in this time.
const EVERY: Duration = Duration::from_secs(30);

/// What was refused of each kind since the last warning.
#[derive(Debug)]
pub(super) struct Notices {
    since: Instant,
    malformed: Kind,
    too_large: Kind,
    unsupported: Kind,
}

#[derive(Debug, Default)]
struct Kind {
    /// Milliseconds after [`Notices::since`] before which nothing is said.
    quiet_until: AtomicU64,
    refused: AtomicU64,
}

impl Default for Notices {
    fn default() -> Notices {
        Notices {
            since: Instant::now(),
            malformed: Kind::default(),
            too_large: Kind::default(),
            unsupported: Kind::default(),
        }
    }
}

impl Notices {
    /// Says that a request was refused, where somebody has to change a client and it was not said just now.
    ///
    /// The text is ours: paths and offsets, never a value out of the body.
    pub(super) fn tell(&self, refusal: &Refusal) {
        tracing::debug!(%refusal, "request refused");
        let kind = match refusal.outcome() {
            Outcome::Malformed => &self.malformed,
            Outcome::TooLarge => &self.too_large,
            Outcome::Unsupported => &self.unsupported,
            _ => return,
        };
        if let Some(count) = kind.count(self.since.elapsed()) {
            tracing::warn!(last = %refusal, count, "requests refused that their senders have to change");
        }
    }
}

impl Kind {
    /// Counts one; the number to report when it is time for a report.
    fn count(&self, now: Duration) -> Option<u64> {
        self.refused.fetch_add(1, Relaxed);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let quiet_until = self.quiet_until.load(Relaxed);
        if now < quiet_until {
            return None;
        }
        let next = now + EVERY.as_millis() as u64;
        let mine = self.quiet_until.compare_exchange(quiet_until, next, Relaxed, Relaxed).is_ok();
        mine.then(|| self.refused.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand refusals a second, for two minutes.
    /// Guarantees one report each 30 s, and that the reports together count every refusal but those since the last.
    #[test]
    fn one_report_in_thirty_seconds_counts_them_all() {
        let kind = Kind::default();
        let reports: Vec<_> = (0..120_000).filter_map(|ms| kind.count(Duration::from_millis(ms))).collect();
        assert_eq!(reports, [1, 30_000, 30_000, 30_000]);
    }
}
