//! `cluster`, `admin`, `shutdown` and `telemetry`: what concerns the process as a whole.

use std::path::PathBuf;
use std::time::Duration;

use super::read;
use super::targets::{TargetConfig, TargetKind};

/// Who this cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterConfig {
    /// `k8s.cluster.name` and `x-source-cluster`; empty turns both off.
    pub name: String,
    /// `cloud.region`.
    pub region: String,
    /// `deployment.environment.name`.
    pub environment: String,
    /// Further resource attributes.
    pub attributes: Vec<(String, String)>,
    /// What tagging does.
    pub action: TagAction,
}

/// What tagging does with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagAction {
    /// Adds what is lacking.
    #[default]
    Insert,
    /// Replaces other values too.
    Upsert,
    /// Nothing.
    Off,
}

/// The admin port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// `host:port`; port 0 lets the system choose.
    pub endpoint: String,
    /// File with the token that commands need; `None` leaves them to the socket.
    pub token_file: Option<PathBuf>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        AdminConfig { endpoint: "0.0.0.0:8890".to_owned(), token_file: None }
    }
}

/// How long stopping may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// Time for which the doors stay open and unready, so that load balancers notice.
    pub linger: Duration,
    /// Time after which the process ends, whatever still hangs.
    pub timeout: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        ShutdownConfig { linger: Duration::from_secs(5), timeout: Duration::from_secs(20) }
    }
}

/// Logs and self-tracing.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// A level, or levels per part as `info,deliver=debug`.
    pub log: String,
    /// Text or JSON.
    pub log_format: LogFormat,
    /// Interval of the heartbeat metric sent through the primary; `None` sends none.
    pub heartbeat: Option<Duration>,
    /// Where the gateway's own spans go; empty for nowhere.
    pub traces_endpoint: String,
    /// Share of requests that are traced, in [0, 1].
    pub traces_sample: f64,
}

impl TelemetryConfig {
    /// The target of the gateway's own spans; `None` where nothing is traced.
    pub fn traces_target(&self) -> Option<TargetConfig> {
        if self.traces_endpoint.is_empty() || self.traces_sample <= 0.0 {
            return None;
        }
        let network = read::traces_target(&self.traces_endpoint)?;
        Some(TargetConfig::new("telemetry.traces", TargetKind::Network(network)))
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        TelemetryConfig {
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            heartbeat: None,
            traces_endpoint: String::new(),
            traces_sample: 0.01,
        }
    }
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
