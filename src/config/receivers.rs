//! `receivers.otlp`: the doors.

use std::path::PathBuf;
use std::time::Duration;

/// The doors and what they admit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// OTLP/gRPC; `None` when only the other protocol is listed.
    pub grpc: Option<GrpcConfig>,
    /// OTLP/HTTP; `None` when only the other protocol is listed.
    pub http: Option<HttpConfig>,
    /// Who may come in.
    pub auth: DoorAuth,
    /// Bytes of requests between socket and disk, all clients together.
    pub max_inflight: u64,
    /// Open connections, both doors together.
    pub max_connections: usize,
    /// Client headers kept with the batch and sent on, in lower case.
    pub forward_headers: Vec<String>,
    /// Whether `forward_headers` may name headers that carry credentials.
    pub allow_credentials: bool,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        ReceiverConfig {
            grpc: Some(GrpcConfig::default()),
            http: Some(HttpConfig::default()),
            auth: DoorAuth::default(),
            max_inflight: 32 << 20,
            max_connections: 10_000,
            forward_headers: Vec::new(),
            allow_credentials: false,
        }
    }
}

/// The OTLP/gRPC door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcConfig {
    /// `host:port`; port 0 lets the system choose.
    pub endpoint: String,
    /// Largest request in bytes, on the wire and again inflated.
    pub max_request: u64,
    /// After which a connection is asked to renew itself (GOAWAY), so that load balancers spread anew.
    pub max_connection_age: Duration,
    /// Interval of HTTP/2 pings on a silent connection.
    pub keepalive: Duration,
    /// TLS; `None` for plain text.
    pub tls: Option<DoorTls>,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        GrpcConfig {
            endpoint: "0.0.0.0:4317".to_owned(),
            max_request: 64 << 20,
            max_connection_age: Duration::from_secs(300),
            keepalive: Duration::from_secs(30),
            tls: None,
        }
    }
}

/// The OTLP/HTTP door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// `host:port`; port 0 lets the system choose.
    pub endpoint: String,
    /// Largest request in bytes, on the wire and again inflated.
    pub max_request: u64,
    /// After which a connection is asked to renew itself (`Connection: close`, or GOAWAY).
    pub max_connection_age: Duration,
    /// How long head and body of a request may take.
    pub read_timeout: Duration,
    /// TLS; `None` for plain text.
    pub tls: Option<DoorTls>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            endpoint: "0.0.0.0:4318".to_owned(),
            max_request: 64 << 20,
            max_connection_age: Duration::from_secs(300),
            read_timeout: Duration::from_secs(30),
            tls: None,
        }
    }
}

/// TLS at a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorTls {
    /// PEM chain.
    pub cert_file: PathBuf,
    /// PEM key.
    pub key_file: PathBuf,
    /// PEM roots that client certificates must descend from; `None` asks for none.
    pub client_ca_file: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// A version of TLS. Older ones are broken, and not spoken at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// 1.2
    #[default]
    V12,
    /// 1.3
    V13,
}

impl TlsVersion {
    /// Both, with their names.
    pub const ALL: [(&'static str, TlsVersion); 2] = [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        TlsVersion::ALL[self as usize].0
    }
}

/// Credentials of which clients must show one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoorAuth {
    /// File with bearer tokens, one a line.
    pub bearer_token_file: Option<PathBuf>,
    /// File with `user:password` pairs, one a line.
    pub basic_file: Option<PathBuf>,
}
