//! What the doors allow, as it is configured now: each request and each connection asks when it comes.
//!
//! Which doors there are, where they listen and who may come in is not here: that holds for as long as they serve.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderName;

use super::admission::Admission;
use super::body::Limits;
use super::connection::Manners;
use super::stats::Transport;
use crate::batch::{Encoding, Signal};
use crate::config::{GrpcConfig, HttpConfig, ReceiverConfig};

/// How long the body of a gRPC request may take. The HTTP door has a key for it, with this default.
const GRPC_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What both doors allow. May be changed while they serve.
#[derive(Debug)]
pub struct Rules {
    /// Bytes between socket and disk.
    pub(super) admission: Admission,
    allowed: RwLock<Arc<Allowed>>,
}

/// The rules of one moment.
#[derive(Debug)]
pub(super) struct Allowed {
    grpc: (Limits, Manners),
    http: (Limits, Manners),
    /// Connections of both doors together.
    pub(super) connections: u64,
    /// Client headers that stay with the batch.
    pub(super) kept: Box<[HeaderName]>,
    /// By [`Signal::index`].
    packing: [Encoding; 3],
}

impl Rules {
    pub(super) fn new(config: &ReceiverConfig) -> Rules {
        let admission = Admission::new(inflight(config));
        Rules { admission, allowed: RwLock::new(Arc::new(Allowed::of(config, [Encoding::Gzip; 3]))) }
    }

    /// Other rules from now on: for requests and connections that are still to come, and for the budget of bytes, which a
    /// smaller one reaches as requests end. Addresses, TLS and authentication are left as they are.
    ///
    /// `packing` is how bodies of each signal are compressed that were, and cannot stay as they came: gzip before it is told.
    pub fn change(&self, config: &ReceiverConfig, packing: [Encoding; 3]) {
        *self.allowed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Allowed::of(config, packing));
        self.admission.resize(inflight(config));
    }

    /// What holds now.
    pub(super) fn now(&self) -> Arc<Allowed> {
        Arc::clone(&self.allowed.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Allowed {
    /// What a request may be like.
    pub(super) fn limits(&self, transport: Transport) -> Limits {
        self.at(transport).0
    }

    /// What a connection has to be like.
    pub(super) fn manners(&self, transport: Transport) -> Manners {
        self.at(transport).1
    }

    /// How a body of that signal is compressed that was, and cannot stay as it came.
    pub(super) fn packing(&self, signal: Signal) -> Encoding {
        self.packing[signal.index()]
    }

    fn at(&self, transport: Transport) -> (Limits, Manners) {
        match transport {
            Transport::Grpc => self.grpc,
            Transport::Http => self.http,
        }
    }

    fn of(config: &ReceiverConfig, packing: [Encoding; 3]) -> Allowed {
        let kept = config.forward_headers.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        Allowed {
            grpc: at_grpc(&config.grpc.clone().unwrap_or_default()),
            http: at_http(&config.http.clone().unwrap_or_default()),
            connections: config.max_connections as u64,
            kept: kept.collect(),
            packing,
        }
    }
}

fn at_grpc(config: &GrpcConfig) -> (Limits, Manners) {
    let manners = Manners {
        max_age: unless_zero(config.max_connection_age),
        keepalive: unless_zero(config.keepalive),
        head_timeout: GRPC_READ_TIMEOUT,
    };
    (Limits { size: size(config.max_request), time: GRPC_READ_TIMEOUT }, manners)
}

/// Pings have a key at the gRPC door only; here connections end when they are idle for `read_timeout`.
fn at_http(config: &HttpConfig) -> (Limits, Manners) {
    let keepalive = Some(GrpcConfig::default().keepalive);
    let manners =
        Manners { max_age: unless_zero(config.max_connection_age), keepalive, head_timeout: config.read_timeout };
    (Limits { size: size(config.max_request), time: config.read_timeout }, manners)
}

/// Zero stands for none.
fn unless_zero(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}

fn inflight(config: &ReceiverConfig) -> usize {
    usize::try_from(config.max_inflight).unwrap_or(usize::MAX)
}

/// What a batch can tell of its length.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes.min(u32::MAX.into())).unwrap_or(usize::MAX)
}
