//! `targets`: named places to send to.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use crate::batch::{Encoding, Signal};

/// One target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetConfig {
    /// Its name: the key in `targets`.
    pub name: String,
    /// Where it is and how to reach it.
    pub kind: TargetKind,
    /// Cluster behind it: `x-target-cluster` and the `target_cluster` label.
    pub cluster: String,
    /// Whether the primary still gets what this target took as a fallback.
    pub replay_to_primary: bool,
    /// Pace of repeats after failures.
    pub retry: RetryConfig,
    /// Probes.
    pub health: HealthConfig,
    /// The circuit breaker.
    pub breaker: BreakerConfig,
    /// Most requests in flight.
    pub max_concurrency: usize,
    /// How long throttling is borne before traffic moves to the next target.
    pub throttle_patience: Duration,
    /// After which an accepted empty probe is witness enough against a refused batch.
    pub refusal_patience: Duration,
    /// What becomes of batches when the endpoint itself is wrong (401, 403, 404 …).
    pub on_endpoint_error: EndpointError,
    /// Whether the specification's "do not retry" is taken literally: such batches are dropped, counted.
    pub strict_otlp: bool,
}

impl TargetConfig {
    /// A target with the documented defaults.
    pub fn new(name: impl Into<String>, kind: TargetKind) -> TargetConfig {
        TargetConfig {
            name: name.into(),
            kind,
            cluster: String::new(),
            replay_to_primary: true,
            retry: RetryConfig::default(),
            health: HealthConfig::default(),
            breaker: BreakerConfig::default(),
            max_concurrency: 32,
            throttle_patience: Duration::from_secs(120),
            refusal_patience: Duration::from_secs(600),
            on_endpoint_error: EndpointError::Hold,
            strict_otlp: false,
        }
    }

    /// How a body is compressed that is made for this target alone.
    pub fn packing(&self) -> Encoding {
        if self.takes(Encoding::Zstd) { Encoding::Zstd } else { Encoding::Gzip }
    }

    /// Whether bodies go out in that encoding as they are. For a file they are read in any case.
    pub fn takes(&self, encoding: Encoding) -> bool {
        match &self.kind {
            TargetKind::Network(network) => network.accepts.contains(&encoding),
            TargetKind::File(_) => true,
        }
    }
}

/// Network target or file.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful are made at start, and none moves on a hot path")]
pub enum TargetKind {
    /// OTLP over a network.
    Network(NetworkConfig),
    /// OTLP JSON lines in a file.
    File(FileConfig),
}

/// A target that is reached over a network.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// gRPC or HTTP.
    pub protocol: Protocol,
    /// `http://` or `https://` URL of each signal, by [`Signal::index`]: for gRPC scheme, host and port; for HTTP with the path.
    pub endpoints: [String; 3],
    /// Encodings the target takes; bodies in others are sent plain, or recompressed to the first of these.
    pub accepts: Vec<Encoding>,
    /// Base of the timeout of a request.
    pub timeout: Duration,
    /// Static headers, names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// Credentials from files.
    pub auth: TargetAuth,
    /// Proxy; `None` takes HTTPS_PROXY and NO_PROXY.
    pub proxy_url: Option<String>,
    /// TLS towards the target.
    pub tls: TlsConfig,
    /// Parallel connections.
    pub connections: usize,
    /// Merging of small requests.
    pub merge: MergeConfig,
}

impl NetworkConfig {
    /// A network target with the documented defaults. `endpoints` as in the field.
    pub fn new(protocol: Protocol, endpoints: [String; 3]) -> NetworkConfig {
        NetworkConfig {
            protocol,
            endpoints,
            accepts: vec![Encoding::Gzip],
            timeout: Duration::from_secs(10),
            headers: Vec::new(),
            auth: TargetAuth::default(),
            proxy_url: None,
            tls: TlsConfig::default(),
            connections: 2,
            merge: MergeConfig::default(),
        }
    }

    /// URL for a signal.
    pub fn endpoint(&self, signal: Signal) -> &str {
        &self.endpoints[signal.index()]
    }
}

/// Wire protocol of a network target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `otlp_grpc`
    OtlpGrpc,
    /// `otlp_http`, protobuf bodies
    OtlpHttp,
}

/// A `file` target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// The file that is written; rotated files lie beside it.
    pub path: PathBuf,
    /// Size at which it is rotated, in bytes.
    pub max_file: u64,
    /// Age at which it is rotated.
    pub max_age: Duration,
    /// Bytes of all its files together; the oldest rotated ones are removed beyond it.
    pub max_total: u64,
}

impl FileConfig {
    /// A file target with the documented defaults.
    pub fn new(path: impl Into<PathBuf>) -> FileConfig {
        FileConfig {
            path: path.into(),
            max_file: 100 << 20,
            max_age: Duration::from_secs(7 * 86_400),
            max_total: 1 << 30,
        }
    }
}

/// TLS towards a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// Plain text, also for `host:port` without a scheme.
    pub insecure: bool,
    /// PEM roots in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM chain shown to the target.
    pub cert_file: Option<PathBuf>,
    /// PEM key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// Name to expect in the certificate in place of the host.
    pub server_name_override: Option<String>,
    /// No verification at all.
    pub insecure_skip_verify: bool,
}

/// Credentials shown to a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetAuth {
    /// File with a bearer token, read again when it changes.
    pub bearer_token_file: Option<PathBuf>,
    /// File with `user:password`, read again when it changes.
    pub basic_file: Option<PathBuf>,
}

/// Exponential backoff per target.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryConfig {
    /// First wait.
    pub initial_interval: Duration,
    /// Factor from wait to wait.
    pub multiplier: f64,
    /// Longest wait.
    pub max_interval: Duration,
    /// Jitter: a wait is drawn from `interval × (1 ± factor)`.
    pub randomization_factor: f64,
    /// Further statuses that are transient here: HTTP numbers or gRPC names.
    pub extra_retryable: Vec<String>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig {
            initial_interval: Duration::from_millis(500),
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            randomization_factor: 0.5,
            extra_retryable: Vec::new(),
        }
    }
}

/// Which probe is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The ladder: connect, GET, gRPC health, empty export.
    Auto,
    /// TCP and TLS connect alone.
    Connect,
    /// Nothing; real traffic is the only witness.
    Off,
}

/// Health probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// Which probe is sent.
    pub probe: Probe,
    /// Path of an HTTP GET; empty for none.
    pub path: String,
    /// Time between probes, ± 20 %.
    pub interval: Duration,
    /// Longest wait for one.
    pub timeout: Duration,
    /// Failures in a row that make it down.
    pub unhealthy_after: u32,
    /// Successes in a row that make it up.
    pub healthy_after: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        HealthConfig {
            probe: Probe::Auto,
            path: String::new(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            unhealthy_after: 3,
            healthy_after: 2,
        }
    }
}

/// The circuit breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerConfig {
    /// Failures in a row that open it.
    pub consecutive_failures: u32,
    /// Share of failed calls in the window that opens it, in (0, 1].
    pub failure_ratio: f64,
    /// The window of the share.
    pub window: Duration,
    /// Calls the window must hold before the share counts.
    pub min_calls: u32,
    /// First time open.
    pub open_for: Duration,
    /// Longest time open.
    pub max_open_for: Duration,
    /// Successes in a row that close it.
    pub half_open_successes: u32,
    /// Time from 10 % to full concurrency.
    pub ramp: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        BreakerConfig {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            window: Duration::from_secs(30),
            min_calls: 10,
            open_for: Duration::from_secs(5),
            max_open_for: Duration::from_secs(300),
            half_open_successes: 3,
            ramp: Duration::from_secs(60),
        }
    }
}

/// Merging of small requests at drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeConfig {
    /// Requests below this many bytes are merged.
    pub below: u64,
    /// A merged request is at most this large, in bytes.
    pub up_to: u64,
}

impl Default for MergeConfig {
    fn default() -> Self {
        MergeConfig { below: 32 << 10, up_to: 1 << 20 }
    }
}

/// What becomes of a batch when the endpoint itself is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointError {
    /// Kept: a rotated token must not empty the buffer.
    Hold,
    /// Moved to the dead letters.
    Dead,
    /// Removed, counted.
    Drop,
}
