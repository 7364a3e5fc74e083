//! The pace of repeats after failures: exponential, per target, with a server's delay as floor. The only file that names the
//! `backoff` crate; everybody else knows [`Backoff`].
//!
//! The crate counts the intervals. Jitter is ours, since the crate draws from a generator that cannot be seeded; and nothing
//! here ever gives up: only age and quota end a batch.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

use super::jitter::Jitter;
use crate::config::RetryConfig;

/// Waits that grow from failure to failure.
#[derive(Debug)]
pub struct Backoff {
    intervals: ExponentialBackoff,
    factor: f64,
    longest: Duration,
    jitter: Jitter,
    grown: bool,
}

impl Backoff {
    /// Starts at `initial_interval`; each wait is `multiplier` times the one before, up to `max_interval`, and drawn from
    /// `interval × (1 ± randomization_factor)`.
    pub fn new(config: &RetryConfig, jitter: Jitter) -> Backoff {
        let intervals = ExponentialBackoffBuilder::new()
            .with_initial_interval(config.initial_interval)
            .with_multiplier(config.multiplier.max(1.0))
            .with_max_interval(config.max_interval.max(config.initial_interval))
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        Backoff { intervals, factor: config.randomization_factor, longest: config.max_interval, jitter, grown: false }
    }

    /// The wait after another failure, never shorter than `floor`, which the server asked for.
    pub fn next(&mut self, floor: Option<Duration>) -> Duration {
        self.grown = true;
        let interval = self.intervals.next_backoff().unwrap_or(self.longest);
        self.jitter.around(interval, self.factor).max(floor.unwrap_or_default())
    }

    /// Back to the first wait, after a success.
    pub fn reset(&mut self) {
        if std::mem::take(&mut self.grown) {
            self.intervals.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RetryConfig {
        RetryConfig { max_interval: Duration::from_secs(2), ..RetryConfig::default() }
    }

    /// A row of failures without jitter, then a success.
    /// Guarantees 500 ms, × 1.5, the cap, and the first wait again after the success; it never ends.
    #[test]
    fn waits_grow_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new(&config(), Jitter::off());
        let waits: Vec<u128> = (0..6).map(|_| backoff.next(None).as_millis()).collect();
        assert_eq!(waits, [500, 750, 1125, 1687, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(None), Duration::from_millis(500));
        for _ in 0..10_000 {
            assert!(backoff.next(None) <= Duration::from_secs(2));
        }
    }

    /// Servers that ask for more and for less than the wait; waits with jitter.
    /// Guarantees that a server's delay is a floor, and that jitter makes use of its factor and stays within.
    #[test]
    fn a_servers_delay_is_a_floor() {
        let mut backoff = Backoff::new(&config(), Jitter::off());
        assert_eq!(backoff.next(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.next(Some(Duration::from_millis(1))), Duration::from_millis(750));
        let mut backoff = Backoff::new(&config(), Jitter::seeded(3));
        let waits: Vec<_> = (0..1000).map(|_| backoff.next(None)).skip(10).collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!((1000..1100).contains(&least.as_millis()), "{least:?}");
        assert!((2900..=3000).contains(&most.as_millis()), "{most:?}");
    }
}
