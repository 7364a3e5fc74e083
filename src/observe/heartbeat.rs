//! Whether the runtime still turns: a task stamps the time once a second, `/livez` looks how old the stamp is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Time between beats.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Silence after which the runtime is taken for dead. Long, since a restart interrupts everything: a stall of the disk or of
/// the machine must not lead to one.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(60);

/// The last beat, readable from any thread.
#[derive(Debug)]
pub(super) struct Heartbeat {
    start: Instant,
    last_ms: AtomicU64,
}

impl Heartbeat {
    /// A heart that beat at `start`.
    pub(super) fn new(start: Instant) -> Heartbeat {
        Heartbeat { start, last_ms: AtomicU64::new(0) }
    }

    /// Beats.
    pub(super) fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.start);
        self.last_ms.store(u64::try_from(since.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Time since the last beat.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start).saturating_sub(Duration::from_millis(self.last_ms.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a heart that beats, and then does not.
    /// Guarantee: silence counts from the last beat, or from the start before the first.
    #[test]
    fn silence_counts_from_the_last_beat() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let heartbeat = Heartbeat::new(start);
        assert_eq!(heartbeat.silence(after(70)), Duration::from_secs(70));
        heartbeat.beat(after(70));
        assert_eq!(heartbeat.silence(after(71)), Duration::from_secs(1));
        assert!(heartbeat.silence(after(131)) > DEAD_AFTER);
    }
}
