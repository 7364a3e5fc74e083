//! Doors on loopback in front of a queue in a temporary directory, and clients that say exactly what they are told to.

pub(crate) mod gateway;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod samples;
pub(crate) mod tls;

use std::time::Duration;

pub(crate) use gateway::Gateway;

/// Waits until `condition` holds; panics when it does not within a minute.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
