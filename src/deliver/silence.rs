//! Since when a target has given no sign of success: what `failover_after` and `throttle_patience` are measured from.
//!
//! Pure. It counts from the *send* time of the first request that failed or is unanswered with no success since, so that a black
//! hole is noticed as early as a refused connection.

use tokio::time::Instant;

/// The record of one stream of requests to one target. Its memory is one instant a request in flight.
#[derive(Debug, Default)]
pub struct Silence {
    flying: Vec<Instant>,
    last_success: Option<Instant>,
    failed: Option<Instant>,
    throttled: Option<Instant>,
}

/// How a request ended, as far as silence is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The target took it.
    Success,
    /// The target failed.
    Failure,
    /// The target lives, and has enough.
    Throttled,
    /// Answered, or given up by us: neither success nor failure.
    Neither,
}

impl Silence {
    /// A request goes out.
    pub fn sent(&mut self, now: Instant) {
        self.flying.push(now);
    }

    /// The request that went out at `sent` has ended.
    pub fn ended(&mut self, now: Instant, sent: Instant, how: Ended) {
        if let Some(index) = self.flying.iter().position(|flying| *flying == sent) {
            self.flying.swap_remove(index);
        }
        match how {
            Ended::Success => {
                self.last_success = Some(now);
                (self.failed, self.throttled) = (None, None);
            }
            Ended::Failure => {
                let from = self.last_success.map_or(sent, |success| sent.max(success));
                self.failed = Some(self.failed.map_or(from, |failed| failed.min(from)));
            }
            Ended::Throttled => self.throttled = Some(self.throttled.unwrap_or(now)),
            Ended::Neither => {}
        }
    }

    /// Send time of the first failed or unanswered request with no success since; `None` when all is well.
    pub fn since(&self) -> Option<Instant> {
        let unanswered = self.flying.iter().min().map(|sent| self.last_success.map_or(*sent, |last| last.max(*sent)));
        self.failed.into_iter().chain(unanswered).min()
    }

    /// Since when every answer was a throttle, failures aside.
    pub fn throttled_since(&self) -> Option<Instant> {
        self.throttled
    }

    /// Forgets what went wrong: other evidence says that the target is well.
    pub fn forgive(&mut self) {
        (self.failed, self.throttled) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A request that nobody answers, beside others that fail and succeed.
    /// Guarantees that silence runs from the send time, or from the last success after it.
    #[test]
    fn silence_runs_from_the_send_time() {
        let start = Instant::now();
        let mut silence = Silence::default();
        assert_eq!(silence.since(), None);
        silence.sent(start);
        assert_eq!(silence.since(), Some(start));
        silence.sent(start + SECOND);
        silence.ended(start + 3 * SECOND, start + SECOND, Ended::Success);
        assert_eq!(silence.since(), Some(start + 3 * SECOND), "the hung one has seen a success since");
        silence.ended(start + 10 * SECOND, start, Ended::Failure);
        assert_eq!(silence.since(), Some(start + 3 * SECOND));
        silence.sent(start + 11 * SECOND);
        silence.ended(start + 12 * SECOND, start + 11 * SECOND, Ended::Success);
        assert_eq!(silence.since(), None);
    }

    /// Throttles, then a success.
    /// Guarantees that a throttled target is not silent, and how long it has been throttling.
    #[test]
    fn a_throttle_is_no_silence() {
        let start = Instant::now();
        let mut silence = Silence::default();
        for second in 0..5 {
            silence.sent(start + second * SECOND);
            silence.ended(start + second * SECOND, start + second * SECOND, Ended::Throttled);
        }
        assert_eq!((silence.since(), silence.throttled_since()), (None, Some(start)));
        silence.sent(start);
        silence.ended(start, start, Ended::Success);
        assert_eq!(silence.throttled_since(), None);
    }
}
