//! What does not change while the process lives.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who this gateway is and where it listens.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Version of the crate.
    pub version: &'static str,
    /// Commit it was built from, `unknown` where the build was not told (`SPILLWAY_COMMIT`).
    pub commit: &'static str,
    /// Name of the cluster; empty when it has none.
    pub cluster: String,
    /// When the process started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Where the OTLP/gRPC door listens.
    pub grpc: Option<SocketAddr>,
    /// Where the OTLP/HTTP door listens.
    pub http: Option<SocketAddr>,
    /// Where the admin port listens.
    pub admin: Option<SocketAddr>,
}

impl Facts {
    /// Facts of a process that starts now. The addresses are filled in once they are bound.
    pub fn new(cluster: &str) -> Facts {
        Facts {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SPILLWAY_COMMIT").unwrap_or("unknown"),
            cluster: cluster.to_owned(),
            started_ms: now_ms(),
            grpc: None,
            http: None,
            admin: None,
        }
    }
}

/// Milliseconds since the Unix epoch; 0 when the clock stands before it.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
