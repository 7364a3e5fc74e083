//! Who is asked, and in which ways.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::inflate::Inflater;

use crate::support::gateway::config;
use crate::support::samples::encoded;
use crate::support::{Gateway, grpc, http};

/// Largest request of our own doors here: small, so that going over it is cheap.
const LIMIT: usize = 1 << 20;

/// How a request is written and carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Grpc,
    Protobuf,
    Json,
}

/// One of the nine ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) by: Carried,
    pub(crate) encoding: Encoding,
}

impl Way {
    pub(crate) const ALL: [Way; 9] = {
        let mut ways = [Way { by: Carried::Grpc, encoding: Encoding::Identity }; 9];
        let mut n = 0;
        while n < 9 {
            let by = [Carried::Grpc, Carried::Protobuf, Carried::Json][n / 3];
            ways[n] = Way { by, encoding: Encoding::ALL[n % 3] };
            n += 1;
        }
        ways
    };

    /// `Content-Type` over HTTP.
    pub(crate) const fn content_type(self) -> &'static str {
        match self.by {
            Carried::Grpc => "application/grpc",
            Carried::Protobuf => "application/x-protobuf",
            Carried::Json => "application/json",
        }
    }

    /// The headers that name what the body is, over HTTP.
    pub(crate) fn headers(self) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![("content-type", self.content_type())];
        if self.encoding != Encoding::Identity {
            headers.push(("content-encoding", self.encoding.as_str()));
        }
        headers
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.by, self.encoding.as_str())
    }
}

/// The server that is asked.
#[derive(Clone)]
pub(crate) struct Peer {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    /// Largest request that it takes, in bytes.
    pub(crate) limit: usize,
    /// Our own doors, to look behind.
    inside: Option<Arc<Gateway>>,
}

/// What came back.
pub(crate) enum Answer {
    Grpc(grpc::Answer),
    Http(http::Answer),
}

impl Peer {
    /// Doors of our own.
    pub(crate) async fn own() -> Peer {
        let mut config = config();
        config.grpc.as_mut().unwrap().max_request = LIMIT as u64;
        config.http.as_mut().unwrap().max_request = LIMIT as u64;
        let gateway = Arc::new(Gateway::start_with(config).await);
        Peer { grpc: Some(gateway.grpc), http: Some(gateway.http), limit: LIMIT, inside: Some(gateway) }
    }

    /// Another server.
    pub(crate) async fn other(grpc: Option<&str>, http: Option<&str>, limit: usize) -> Peer {
        let mut found = [None, None];
        for (place, found) in [grpc, http].into_iter().zip(&mut found) {
            if let Some(place) = place {
                *found = tokio::net::lookup_host(place).await.expect("HOST:PORT that resolves").next();
            }
        }
        Peer { grpc: found[0], http: found[1], limit, inside: None }
    }

    /// Whether it is asked that way.
    pub(crate) fn speaks(&self, way: Way) -> bool {
        if way.by == Carried::Grpc { self.grpc.is_some() } else { self.http.is_some() }
    }

    pub(crate) async fn grpc(&self) -> grpc::Client {
        grpc::Client::connect(self.grpc.unwrap()).await
    }

    pub(crate) async fn http(&self) -> http::Client {
        http::Client::connect(self.http.unwrap()).await
    }

    /// Sends a protobuf request that way.
    pub(crate) async fn export(&self, way: Way, signal: Signal, protobuf: &[u8]) -> Answer {
        match way.by {
            Carried::Json => self.send(way, signal, &to_json(signal, protobuf)).await,
            _ => self.send(way, signal, protobuf).await,
        }
    }

    /// Sends bytes that way, compressed as it says.
    pub(crate) async fn send(&self, way: Way, signal: Signal, plain: &[u8]) -> Answer {
        self.send_raw(way, signal, &encoded(way.encoding, plain)).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_raw(&self, way: Way, signal: Signal, body: &[u8]) -> Answer {
        match way.by {
            Carried::Grpc => Answer::Grpc(self.grpc().await.export(signal, way.encoding, body).await),
            _ => Answer::Http(self.http().await.post(signal.http_path(), &way.headers(), body).await),
        }
    }

    /// Number of items and plain protobuf of what was taken in, where we can look.
    pub(crate) async fn taken(&self, signal: Signal) -> Option<(u32, Vec<u8>)> {
        let batch = self.inside.as_ref()?.stored(signal).await;
        let mut inflater = Inflater::new();
        let plain = inflater.inflate(batch.encoding, &batch.body, batch.inflated_len as usize).unwrap();
        assert!(plain.single, "stored as one member");
        Some((batch.items, plain.bytes.to_vec()))
    }

    /// Nothing was taken in, as far as we can look.
    pub(crate) async fn took_nothing(&self) -> bool {
        match &self.inside {
            Some(gateway) => gateway.stored_nothing().await,
            None => true,
        }
    }
}

/// A request as OTLP/JSON, by the generated types.
pub(crate) fn to_json(signal: Signal, protobuf: &[u8]) -> Vec<u8> {
    match signal {
        Signal::Traces => serde_json::to_vec(&ExportTraceServiceRequest::decode(protobuf).unwrap()),
        Signal::Metrics => serde_json::to_vec(&ExportMetricsServiceRequest::decode(protobuf).unwrap()),
        Signal::Logs => serde_json::to_vec(&ExportLogsServiceRequest::decode(protobuf).unwrap()),
    }
    .unwrap()
}
