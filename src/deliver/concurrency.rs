//! How many requests may be in flight at a target: additive increase, multiplicative decrease. Pure.
//!
//! One limiter per cause: this one answers load. Failures are the breaker's and the backoff's business.

use std::time::Duration;

use tokio::time::Instant;

/// A round trip counts as slow beyond this multiple of its long average.
const SLOW: f64 = 1.5;

/// Differences of round trips below this are scheduling, not load.
const NOISE: Duration = Duration::from_millis(5);

/// Weight of a window in the long average: it follows a lasting change within some dozen windows.
const LONG_WEIGHT: f64 = 1.0 / 16.0;

/// See the module.
#[derive(Debug)]
pub struct Concurrency {
    limit: f64,
    max: f64,
    window: Tally,
    long_average: Option<f64>,
    /// Requests sent before this were under way at the last cut, and have been answered for by it.
    cut_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Tally {
    successes: u32,
    most_in_flight: usize,
    round_trips: f64,
}

impl Concurrency {
    /// Starts with one request at a time; never more than `max` at once.
    pub fn new(max: usize) -> Concurrency {
        Concurrency { limit: 1.0, max: max.max(1) as f64, window: Tally::default(), long_average: None, cut_at: None }
    }

    /// Most requests in flight in good times; at least 1.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// A request was taken after `round_trip`, with `in_flight` under way, itself included.
    pub fn succeeded(&mut self, round_trip: Duration, in_flight: usize) {
        self.window.successes += 1;
        self.window.most_in_flight = self.window.most_in_flight.max(in_flight);
        self.window.round_trips += round_trip.as_secs_f64();
        if f64::from(self.window.successes) >= self.limit.floor() {
            let window = std::mem::take(&mut self.window);
            self.end_of_window(&window);
        }
    }

    /// A request that was sent at `sent` was answered with "too much". One cut a round trip: the others that were under way
    /// met the same moment.
    pub fn throttled(&mut self, now: Instant, sent: Instant) {
        if self.cut_at.is_none_or(|cut| sent >= cut) {
            self.cut_at = Some(now);
            self.scale(0.5);
        }
    }

    fn end_of_window(&mut self, window: &Tally) {
        let average = window.round_trips / f64::from(window.successes.max(1));
        let long = *self.long_average.get_or_insert(average);
        self.long_average = Some(long + (average - long) * LONG_WEIGHT);
        if average > long * SLOW && average - long > NOISE.as_secs_f64() {
            self.scale(0.9);
        } else if window.most_in_flight as f64 * 2.0 >= self.limit.floor() {
            self.limit = (self.limit + 1.0).min(self.max);
        }
    }

    fn scale(&mut self, factor: f64) {
        self.limit = (self.limit * factor).max(1.0);
        self.window = Tally::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(20);

    fn grown(max: usize) -> Concurrency {
        let mut concurrency = Concurrency::new(max);
        for _ in 0..2000 {
            concurrency.succeeded(TRIP, concurrency.limit());
        }
        concurrency
    }

    /// Successes with all of the limit used, then with little of it.
    /// Guarantees a start at 1, one more a window up to the maximum, and no growth that nobody uses.
    #[test]
    fn grows_by_one_a_window_while_it_is_used() {
        let mut concurrency = Concurrency::new(32);
        assert_eq!(concurrency.limit(), 1);
        for limit in 2..6 {
            for _ in 0..concurrency.limit() {
                concurrency.succeeded(TRIP, concurrency.limit());
            }
            assert_eq!(concurrency.limit(), limit);
        }
        for _ in 0..100 {
            concurrency.succeeded(TRIP, 2);
        }
        assert_eq!(concurrency.limit(), 5);
        assert_eq!(grown(32).limit(), 32);
    }

    /// A burst of throttles from one moment, then another.
    /// Guarantees that each moment halves once, and that one request always may go.
    #[test]
    fn a_throttle_halves_once_a_round_trip() {
        let mut concurrency = grown(32);
        let start = Instant::now();
        for second in 1..10 {
            let now = start + second * Duration::from_secs(1);
            for _ in 0..16 {
                concurrency.throttled(now, now - TRIP);
            }
            assert_eq!(concurrency.limit(), (32 >> second).max(1));
        }
    }

    /// Round trips that double, and then stay so.
    /// Guarantees a step of a tenth down, and that a lasting change becomes the new measure instead of strangling the target.
    #[test]
    fn slow_answers_push_it_down_for_a_while() {
        let mut concurrency = grown(32);
        for _ in 0..32 {
            concurrency.succeeded(TRIP * 2, 32);
        }
        assert_eq!(concurrency.limit(), 28);
        for _ in 0..3000 {
            concurrency.succeeded(TRIP * 2, concurrency.limit());
        }
        assert_eq!(concurrency.limit(), 32);
    }
}
