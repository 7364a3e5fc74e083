//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// Waits until `met` says so; panics with `what` when it has not within `patience`.
pub(crate) async fn until(what: &str, patience: Duration, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !met() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `seconds` as a duration.
pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
