//! Whether the doors' batches are taken: closed while a queue is drained.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::Queue;

/// Closed for a time, or for good.
#[derive(Debug)]
pub(super) struct Intake {
    began: Instant,
    /// Milliseconds after `began`; 0 while it is open.
    closed_until: AtomicU64,
}

impl Intake {
    /// It is open.
    pub(super) fn new() -> Intake {
        Intake { began: Instant::now(), closed_until: AtomicU64::new(0) }
    }

    pub(super) fn is_closed(&self) -> bool {
        let until = self.closed_until.load(Relaxed);
        until > 0 && u128::from(until) > self.began.elapsed().as_millis()
    }
}

impl Queue {
    /// Refuses batches from the doors for so long, or until the queue is closed. What is handed in by a person is taken.
    pub fn close_intake(&self, duration: Option<Duration>) {
        let intake = &self.shared.intake;
        let until = duration.map(|duration| (intake.began.elapsed() + duration).as_millis());
        let until = until.and_then(|until| u64::try_from(until).ok()).unwrap_or(u64::MAX);
        if !intake.is_closed() {
            tracing::info!("the intake is closed: the queue is drained");
        }
        intake.closed_until.store(until, Relaxed);
    }

    /// Takes batches from the doors again.
    pub fn open_intake(&self) {
        if self.shared.intake.closed_until.swap(0, Relaxed) > 0 {
            tracing::info!("the intake is open again");
        }
    }
}
