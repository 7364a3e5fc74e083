//! The configuration: one typed section per part, and the whole of them.
//!
//! A part receives its own section and never [`Config`]. Defaults are those of `config/reference.yaml`.

pub mod chain;
mod collector;
mod environment;
mod files;
pub mod load;
pub mod logfilter;
pub mod mistake;
mod nearest;
mod overrides;
pub mod process;
pub mod queue;
mod read;
mod reader;
pub mod receivers;
mod render;
mod rules;
pub mod secret;
mod show;
mod substitute;
pub mod targets;
mod tree;
mod volume;
mod yaml;

pub use chain::{ChainConfig, ReplayConfig, ReplayRate, SignalChain};
pub use load::{Loaded, Override, Source};
pub use mistake::{Mistake, Mistakes, Place};
pub use process::{AdminConfig, ClusterConfig, LogFormat, ShutdownConfig, TagAction, TelemetryConfig};
pub use queue::{DeadLetterConfig, Durability, Order, QueueConfig, QueueSize, SignalQueue, WhenFull};
pub use receivers::{DoorAuth, DoorTls, GrpcConfig, HttpConfig, ReceiverConfig, TlsVersion};
pub use secret::Secret;
pub use targets::{
    BreakerConfig, EndpointError, FileConfig, HealthConfig, MergeConfig, NetworkConfig, Probe, Protocol, RetryConfig,
    TargetAuth, TargetConfig, TargetKind, TlsConfig,
};

use crate::batch::{Encoding, Signal};

/// The whole configuration of a gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who this cluster is.
    pub cluster: ClusterConfig,
    /// The doors.
    pub receivers: ReceiverConfig,
    /// The write-ahead queue.
    pub queue: QueueConfig,
    /// Every place that a chain may name, in the order of the file.
    pub targets: Vec<TargetConfig>,
    /// Who gets the data.
    pub chain: ChainConfig,
    /// The pace of the backlog.
    pub replay: ReplayConfig,
    /// The admin port.
    pub admin: AdminConfig,
    /// How long stopping may take.
    pub shutdown: ShutdownConfig,
    /// Logs and self-tracing.
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// How the bodies of each signal, by [`Signal::index`], are compressed that cannot stay as they came: in zstd, which takes less
    /// than half of gzip's time, where all targets of its chain take that, and in gzip where one does not.
    pub fn packing(&self) -> [Encoding; 3] {
        Signal::ALL.map(|signal| {
            let in_chain = |target: &&TargetConfig| self.chain.of(signal).names().any(|name| name == target.name);
            match self.targets.iter().filter(in_chain).all(|target| target.takes(Encoding::Zstd)) {
                true => Encoding::Zstd,
                false => Encoding::Gzip,
            }
        })
    }
}

#[cfg(test)]
mod load_tests;
