//! Real export requests, for tests that cut and join them.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::batch::{Batch, Encoding, Signal};
use crate::otlp::inflate::{Deflater, Inflater};

/// A request with items of so many bytes each (a little more in fact), numbered from `first` on.
pub(super) fn request(signal: Signal, encoding: Encoding, first: u64, sizes: &[usize]) -> Batch {
    let numbered = sizes.iter().zip(first..);
    let plain = match signal {
        Signal::Traces => {
            let span = |(size, number): (&usize, u64)| Span {
                start_time_unix_nano: number,
                name: "x".repeat(*size),
                ..Span::default()
            };
            let scope = ScopeSpans { spans: numbered.map(span).collect(), ..ScopeSpans::default() };
            let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
            ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
        }
        Signal::Logs => {
            let record = |(size, number): (&usize, u64)| LogRecord {
                time_unix_nano: number,
                severity_text: "x".repeat(*size),
                ..LogRecord::default()
            };
            let scope = ScopeLogs { log_records: numbered.map(record).collect(), ..ScopeLogs::default() };
            let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
            ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
        }
        Signal::Metrics => {
            let point = |(size, number): (&usize, u64)| {
                let point = NumberDataPoint { time_unix_nano: number, ..NumberDataPoint::default() };
                let data = Some(metric::Data::Gauge(Gauge { data_points: vec![point] }));
                Metric { description: "x".repeat(*size), data, ..Metric::default() }
            };
            let scope = ScopeMetrics { metrics: numbered.map(point).collect(), ..ScopeMetrics::default() };
            let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
            ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
        }
    };
    Batch {
        signal,
        encoding,
        items: sizes.len() as u32,
        inflated_len: plain.len() as u32,
        received_at_ms: 1,
        headers: [].into(),
        body: Deflater::new().compress(encoding, &plain).into(),
    }
}

/// The numbers of a request's items, in order.
pub(super) fn numbers(batch: &Batch) -> Vec<u64> {
    items(batch).into_iter().map(|(number, _)| number).collect()
}

/// The numbers of a request's items and their bytes, in order.
pub(super) fn items(batch: &Batch) -> Vec<(u64, usize)> {
    let mut inflater = Inflater::new();
    let plain = inflater.inflate(batch.encoding, &batch.body, batch.inflated_len as usize).unwrap().bytes;
    match batch.signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(plain).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            let spans = scopes.flat_map(|scope| scope.spans);
            spans.map(|span| (span.start_time_unix_nano, span.name.len())).collect()
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(plain).unwrap();
            let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            let records = scopes.flat_map(|scope| scope.log_records);
            records.map(|record| (record.time_unix_nano, record.severity_text.len())).collect()
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(plain).unwrap();
            let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
            let metrics = scopes.flat_map(|scope| scope.metrics);
            let points = metrics.flat_map(|metric| match metric.data {
                Some(metric::Data::Gauge(gauge)) => {
                    let size = metric.description.len();
                    gauge.data_points.into_iter().map(|point| (point.time_unix_nano, size)).collect()
                }
                _ => Vec::new(),
            });
            points.collect()
        }
    }
}
