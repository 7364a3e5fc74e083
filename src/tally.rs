//! Counters and histograms without names: parts count in them, `observe` gives them names and labels.
//!
//! So no part but `observe` knows the metrics library, and counting costs one relaxed atomic.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A distribution of durations over fixed upper bounds in seconds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

/// What a [`Histogram`] held at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bound in seconds and the number of observations up to it (cumulative, as Prometheus wants them).
    pub buckets: Vec<(f64, u64)>,
    /// Number of all observations, those above the last bound included.
    pub count: u64,
    /// Sum of all observations in seconds.
    pub sum: f64,
}

impl Distribution {
    /// Adds what another histogram of the same bounds held.
    pub fn add(&mut self, other: &Distribution) {
        for (sum, (_, count)) in self.buckets.iter_mut().zip(&other.buckets) {
            sum.1 += count;
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

impl Histogram {
    /// An empty histogram; `bounds` in seconds, rising.
    pub fn new(bounds: &'static [f64]) -> Histogram {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, buckets, sum_micros: AtomicU64::new(0) }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What it holds now.
    pub fn distribution(&self) -> Distribution {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Relaxed);
            if let Some(bound) = self.bounds.get(index) {
                buckets.push((*bound, count));
            }
        }
        Distribution { buckets, count, sum: self.sum_micros.load(Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_hold_their_upper_bound() {
        let histogram = Histogram::new(&[0.001, 0.1]);
        for millis in [1, 50, 5000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let seen = histogram.distribution();
        assert_eq!(seen.buckets, [(0.001, 1), (0.1, 2)]);
        assert_eq!(seen.count, 3);
        assert!((seen.sum - 5.051).abs() < 1e-6);
        let mut twice = seen.clone();
        twice.add(&seen);
        assert_eq!((twice.buckets, twice.count), (vec![(0.001, 2), (0.1, 4)], 6));
    }
}
