//! Export requests to send.

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spillway::batch::{Encoding, Signal};
use std::io::Write;

/// A protobuf request of `signal` with that many items, each with `bytes` bytes of text.
pub(crate) fn request(signal: Signal, items: usize, bytes: usize) -> Vec<u8> {
    let text = |n: usize| format!("{n:07} {}", "lorem ipsum dolor sit amet ".repeat(bytes / 27));
    match signal {
        Signal::Traces => {
            let span = |n| Span { name: text(n), trace_id: vec![n as u8; 16], span_id: vec![7; 8], ..Span::default() };
            let spans = ScopeSpans { spans: (0..items).map(span).collect(), ..ScopeSpans::default() };
            let resource = ResourceSpans { scope_spans: vec![spans], ..ResourceSpans::default() };
            ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
        }
        Signal::Metrics => {
            let points = (0..items).map(|n| NumberDataPoint { time_unix_nano: n as u64, ..NumberDataPoint::default() });
            let data = Some(metric::Data::Gauge(Gauge { data_points: points.collect() }));
            let metric = Metric { name: text(0), data, ..Metric::default() };
            let metrics = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
            let resource = ResourceMetrics { scope_metrics: vec![metrics], ..ResourceMetrics::default() };
            ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
        }
        Signal::Logs => ExportLogsServiceRequest { resource_logs: vec![logs((0..items).map(text))] }.encode_to_vec(),
    }
}

fn logs(texts: impl Iterator<Item = String>) -> ResourceLogs {
    let record = |text| {
        let body = Some(AnyValue { value: Some(any_value::Value::StringValue(text)) });
        LogRecord { body, ..LogRecord::default() }
    };
    let records = ScopeLogs { log_records: texts.map(record).collect(), ..ScopeLogs::default() };
    ResourceLogs { scope_logs: vec![records], ..ResourceLogs::default() }
}

/// `plain` as `encoding` has it.
pub(crate) fn encoded(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => plain.to_vec(),
        Encoding::Gzip => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(plain).unwrap();
            gzip.finish().unwrap()
        }
        Encoding::Zstd => {
            let mut zstd = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
            zstd_safe::compress(&mut zstd, plain, 3).unwrap();
            zstd
        }
    }
}
