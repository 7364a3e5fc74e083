//! Where batches go: gRPC, HTTP and file targets behind one trait, and their health probes.
//!
//! A target sends one batch once and says what came back. It knows no retry, no breaker, no chain and no queue.

#[cfg(test)]
mod classes;
mod credentials;
mod dial;
mod error;
mod file;
mod forms;
mod grpc;
mod headers;
mod http;
mod names;
mod network;
mod pool;
mod probe;
mod route;
mod tls;
mod trace;
mod untouched;
mod words;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::error::BuildError;
use self::file::FileTarget;
use self::network::Network;
pub use self::trace::Tracer;
use crate::batch::{Batch, BatchId, Signal};
use crate::config::{Protocol, TargetConfig, TargetKind};
use crate::otlp::answer::Answer;

/// A future that a target returns; boxed, since a chain holds targets of several kinds.
pub type Sending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A batch on its way.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// What is sent; its bytes go out as they are where the target takes their encoding.
    pub batch: Batch,
    /// Its name on the wire (`spillway-batch-id`).
    pub id: BatchId,
    /// And those of the others, where `batch` holds several that were merged, in order.
    pub along: Vec<BatchId>,
    /// Whether it is replayed backlog (`spillway-replay: 1`).
    pub replay: bool,
}

/// What a health probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The target answered, and takes data as far as a probe can tell.
    Up,
    /// It answered in a way that says neither (no health service, say).
    Unknown,
    /// It did not answer, or said that it is down; in a sentence.
    Down(String),
}

/// A named place to send to.
pub trait Target: Send + Sync + 'static {
    /// The name in the configuration.
    fn name(&self) -> &str;

    /// Whether a `file` target: it always accepts, so it is no sign of a network.
    fn is_file(&self) -> bool {
        false
    }

    /// Sends one batch once, within its timeout (base + size ÷ minimum rate). Cancelling the future gives the batch up.
    fn send<'a>(&'a self, shipment: &'a Shipment) -> Sending<'a, Answer>;

    /// Asks for the target's health without real data, within `health.timeout`.
    fn probe(&self) -> Sending<'_, Health>;

    /// Sends an empty export request of that signal with the real credentials: the last rung of the ladder of probes.
    fn send_empty(&self, signal: Signal) -> Sending<'_, Answer>;

    /// Round trip of the last exchange, if there was one.
    fn round_trip(&self) -> Option<Duration> {
        None
    }
}

/// Builds the target that `config` describes; reads its TLS files and credentials, and never connects.
///
/// `source_cluster` goes out as `x-source-cluster`; empty sends none. A target belongs to the tokio runtime in which it
/// first sends.
///
/// # Errors
/// A [`BuildError`] that names the key, the file where one is meant, and the reason.
pub fn build(config: &TargetConfig, source_cluster: &str) -> Result<Arc<dyn Target>, BuildError> {
    build_traced(config, source_cluster, None)
}

/// As [`build`], with spans of its requests, where there is a tracer.
///
/// # Errors
/// As [`build`].
pub fn build_traced(
    config: &TargetConfig,
    source_cluster: &str,
    tracer: Option<&Arc<Tracer>>,
) -> Result<Arc<dyn Target>, BuildError> {
    match &config.kind {
        TargetKind::Network(network) => match network.protocol {
            Protocol::OtlpGrpc => {
                let wire = grpc::Grpc::new(config, network)?;
                Ok(Arc::new(Network::new(config, network, source_cluster, wire)?.traced(config, network, tracer)?))
            }
            Protocol::OtlpHttp => {
                let wire = http::Http::new(config, network)?;
                Ok(Arc::new(Network::new(config, network, source_cluster, wire)?.traced(config, network, tracer)?))
            }
        },
        TargetKind::File(file) => Ok(Arc::new(FileTarget::new(config, file)?)),
    }
}
