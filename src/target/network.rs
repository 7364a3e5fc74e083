//! What both network protocols have in common: form of the body, headers, timeout, the second try with a plain body,
//! probes. What differs is a [`Wire`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::uri::PathAndQuery;
use tokio::time::Instant;

use super::dial::DialError;
use super::error::BuildError;
use super::forms::{self, Forms};
use super::headers::Headers;
use super::route::Endpoint;
use super::trace::{Traced, Tracer};
use super::{Health, Sending, Shipment, Target, probe};
use crate::batch::{Encoding, Signal};
use crate::config::{HealthConfig, NetworkConfig, TargetConfig};
use crate::otlp::answer::{Answer, Break};

/// The slowest link that a large request is given time for, in bytes a second: half a megabit, a poor uplink shared by
/// a few requests. A 20 MiB request may thus take five minutes, a usual one of 100 KiB 1.6 s more than the base.
const SLOWEST: u64 = 64 << 10;

/// One request, ready but for what its protocol adds.
pub(super) struct Call {
    pub(super) signal: Signal,
    pub(super) encoding: Encoding,
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    /// Longest wait for the whole exchange.
    pub(super) timeout: Duration,
}

/// A protocol: how one export request goes out and its answer comes back, and what else can be asked.
pub(super) trait Wire: Send + Sync + 'static {
    /// Sends one export request once. Ends within `call.timeout`; dropping the future gives it up.
    fn export(&self, call: Call) -> impl Future<Output = Answer> + Send;

    /// Connects anew, TLS included, and hangs up.
    fn connect(&self) -> impl Future<Output = Result<(), DialError>> + Send;

    /// GET of a path at the endpoint. Any 2xx is [`Answer::Accepted`].
    fn get(&self, path: &str, headers: HeaderMap, timeout: Duration) -> impl Future<Output = Answer> + Send;

    /// Asks a health service, where the protocol has one. `None` when it says neither.
    fn serving(&self, headers: HeaderMap, timeout: Duration) -> impl Future<Output = Option<bool>> + Send;
}

/// A target that is reached over a network.
pub(super) struct Network<W> {
    name: String,
    wire: W,
    forms: Forms,
    headers: Headers,
    timeout: Duration,
    health: HealthConfig,
    /// `None` where nothing is traced.
    traced: Option<Traced>,
    /// Round trip of the last exchange in microseconds; 0 before the first.
    round_trip: AtomicU64,
    /// Signal whose empty export is tried first by probes, by index: one that was accepted.
    probed: AtomicUsize,
}

impl<W: Wire> Network<W> {
    pub(super) fn new(
        config: &TargetConfig,
        network: &NetworkConfig,
        source_cluster: &str,
        wire: W,
    ) -> Result<Network<W>, BuildError> {
        let path = &config.health.path;
        if !path.is_empty() && (!path.starts_with('/') || PathAndQuery::try_from(path.as_str()).is_err()) {
            let reason = format!("{path:?}: expected a path such as /healthz");
            return Err(BuildError::value(&config.name, "health.path", reason));
        }
        Ok(Network {
            name: config.name.clone(),
            wire,
            forms: Forms::new(&network.accepts),
            headers: Headers::new(config, network, source_cluster)?,
            timeout: network.timeout,
            health: config.health.clone(),
            traced: None,
            round_trip: AtomicU64::new(0),
            probed: AtomicUsize::new(0),
        })
    }

    /// The same with spans of its requests, where there is a tracer.
    pub(super) fn traced(
        self,
        config: &TargetConfig,
        network: &NetworkConfig,
        tracer: Option<&Arc<Tracer>>,
    ) -> Result<Network<W>, BuildError> {
        let Some(tracer) = tracer else { return Ok(self) };
        let mut hosts = [const { String::new() }; 3];
        for signal in Signal::ALL {
            hosts[signal.index()] = Endpoint::parse(&config.name, "endpoint", network.endpoint(signal))?.host;
        }
        Ok(Network { traced: Some(Traced::new(Arc::clone(tracer), config, network, &hosts)), ..self })
    }

    pub(super) const fn wire(&self) -> &W {
        &self.wire
    }

    pub(super) const fn health(&self) -> &HealthConfig {
        &self.health
    }

    pub(super) fn bare_headers(&self) -> HeaderMap {
        self.headers.bare()
    }

    /// The signals in the order in which empty exports are tried.
    pub(super) fn probe_order(&self) -> [Signal; 3] {
        let mut order = Signal::ALL;
        order.rotate_left(self.probed.load(Relaxed));
        order
    }

    /// Remembers which signal's empty export was accepted.
    pub(super) fn note_probed(&self, signal: Signal) {
        self.probed.store(signal.index(), Relaxed);
    }

    async fn deliver(&self, shipment: &Shipment) -> Answer {
        let batch = &shipment.batch;
        let (encoding, body) = self.forms.outgoing(batch).await;
        let answer = self.export(shipment, encoding, body).await;
        if encoding == Encoding::Identity || !forms::may_blame_encoding(&answer) {
            return answer;
        }
        let Some(plain) = self.forms.made_over(batch, Encoding::Identity).await else { return answer };
        let second = self.export(shipment, Encoding::Identity, plain).await;
        if matches!(second, Answer::Accepted { .. }) {
            tracing::info!(target_name = self.name, signal = %batch.signal, refused = %answer,
                "takes no {} bodies: for a day it gets none", encoding.as_str());
            self.forms.learn(batch.signal, encoding);
        }
        second
    }

    async fn export(&self, shipment: &Shipment, encoding: Encoding, body: Bytes) -> Answer {
        let timeout = self.timeout + time_for(body.len());
        let mut headers = self.headers.of(shipment);
        let span = self.traced.as_ref().and_then(|traced| traced.begin(shipment));
        if let Some(span) = &span {
            span.mark(&mut headers);
        }
        let answer = self.timed(Call { signal: shipment.batch.signal, encoding, body, headers, timeout }).await;
        if let Some(span) = span {
            span.end(&answer);
        }
        answer
    }

    /// An empty export request, which every OTLP server has to take (OTLP specification, "Full Success").
    async fn export_empty(&self, signal: Signal) -> Answer {
        let headers = self.headers.bare();
        let call = Call { signal, encoding: Encoding::Identity, body: Bytes::new(), headers, timeout: self.timeout };
        self.timed(call).await
    }

    async fn timed(&self, call: Call) -> Answer {
        let start = Instant::now();
        let answer = self.wire.export(call).await;
        if !matches!(answer, Answer::Broken { .. }) {
            let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.round_trip.store(micros.max(1), Relaxed);
        }
        answer
    }
}

impl<W: Wire> Target for Network<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn send<'a>(&'a self, shipment: &'a Shipment) -> Sending<'a, Answer> {
        Box::pin(self.deliver(shipment))
    }

    fn probe(&self) -> Sending<'_, Health> {
        Box::pin(probe::climb(self))
    }

    fn send_empty(&self, signal: Signal) -> Sending<'_, Answer> {
        Box::pin(self.export_empty(signal))
    }

    fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip.load(Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }
}

/// What a body of `len` bytes may take on top of the base timeout.
const fn time_for(len: usize) -> Duration {
    Duration::from_millis(len as u64 * 1000 / SLOWEST)
}

/// The answer of an exchange that took too long.
pub(super) fn timed_out(timeout: Duration) -> Answer {
    Answer::Broken { at: Break::Timeout, message: format!("no answer within {timeout:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_gets_more_time() {
        assert_eq!(time_for(0), Duration::ZERO);
        assert_eq!(time_for(64 << 10), Duration::from_secs(1));
        assert_eq!(time_for(20 << 20), Duration::from_secs(320));
    }
}
