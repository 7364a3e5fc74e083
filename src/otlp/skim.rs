//! One checked walk over the wire format of an export request.

use opentelemetry_proto::tonic::collector::{logs, metrics, trace};
use prost::Message;

use super::malformed::{Malformed, Place};
use crate::batch::Signal;

/// What the walk found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skim {
    /// Spans, data points or log records.
    pub items: u32,
}

/// Checks `bytes` as an uncompressed `Export*ServiceRequest` of `signal` and counts its items.
///
/// # Errors
/// [`Malformed`] when the bytes are no such message.
pub fn skim(signal: Signal, bytes: &[u8]) -> Result<Skim, Malformed> {
    let malformed =
        |error: prost::DecodeError| Malformed { path: String::new(), what: error.to_string(), place: Place::Byte(0) };
    let items = match signal {
        Signal::Traces => trace::v1::ExportTraceServiceRequest::decode(bytes)
            .map_err(malformed)?
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .map(|scope| scope.spans.len())
            .sum::<usize>(),
        Signal::Metrics => metrics::v1::ExportMetricsServiceRequest::decode(bytes)
            .map_err(malformed)?
            .resource_metrics
            .iter()
            .flat_map(|resource| &resource.scope_metrics)
            .map(|scope| scope.metrics.len())
            .sum(),
        Signal::Logs => logs::v1::ExportLogsServiceRequest::decode(bytes)
            .map_err(malformed)?
            .resource_logs
            .iter()
            .flat_map(|resource| &resource.scope_logs)
            .map(|scope| scope.log_records.len())
            .sum(),
    };
    Ok(Skim { items: u32::try_from(items).unwrap_or(u32::MAX) })
}
