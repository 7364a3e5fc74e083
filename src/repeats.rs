//! Failures that come again and again, for the log: each kind is told at most once in half a minute, with a count.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Each kind of repeated failure is told at most once in this time.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// Holds back what was told a moment ago, and counts it. One of them stands for one kind of failure.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    held_back: u64,
}

impl Repeats {
    /// Whether to tell of a failure now: with the number of those that were held back since the last one told.
    pub fn tell(&self) -> Option<u64> {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.at.is_some_and(|at| now < at + REPEAT_AFTER) {
            told.held_back += 1;
            return None;
        }
        told.at = Some(now);
        Some(std::mem::take(&mut told.held_back))
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
}
