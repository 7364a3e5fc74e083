//! Waiting for a condition, with a deadline.
//!
//! A deadline is there to end a test that would hang. What has to be quick is measured by the test itself.

use std::time::{Duration, Instant};

/// No wait is given up before: the machine may have other things to do, and a wait that ends well costs nothing.
pub(crate) const LEAST: Duration = Duration::from_secs(120);

/// Waits until `met` says so; panics with `what` when it has not within `patience`, or [`LEAST`] where that is longer.
pub(crate) async fn until(what: &str, patience: Duration, mut met: impl FnMut() -> bool) {
    let patience = patience.max(LEAST);
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
