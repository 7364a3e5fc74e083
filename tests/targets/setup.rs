//! Configurations and batches that the scenarios share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spillway::batch::{Batch, BatchId, Encoding, Key, Signal};
use spillway::config::{
    FileConfig, MergeConfig, NetworkConfig, Protocol, TargetAuth, TargetConfig, TargetKind, TlsConfig,
};
use spillway::target::{Shipment, Target};

pub(crate) const BOTH: [Protocol; 2] = [Protocol::OtlpGrpc, Protocol::OtlpHttp];

/// A network target at a base URL, with the documented defaults but for a timeout that suits a test.
pub(crate) fn network(protocol: Protocol, url: &str) -> NetworkConfig {
    let endpoint = |signal: Signal| match protocol {
        Protocol::OtlpGrpc => url.to_owned(),
        Protocol::OtlpHttp => format!("{url}{}", signal.http_path()),
    };
    NetworkConfig {
        protocol,
        endpoints: Signal::ALL.map(endpoint),
        accepts: vec![Encoding::Gzip, Encoding::Zstd],
        timeout: Duration::from_secs(60),
        headers: Vec::new(),
        auth: TargetAuth::default(),
        proxy_url: None,
        tls: TlsConfig::default(),
        connections: 2,
        merge: MergeConfig::default(),
    }
}

/// A target of that kind.
pub(crate) fn config(kind: TargetKind) -> TargetConfig {
    TargetConfig::new("hub", kind)
}

/// A network target, built.
pub(crate) fn target(protocol: Protocol, url: &str) -> Arc<dyn Target> {
    build(network(protocol, url))
}

/// The same, as configured.
pub(crate) fn build(network: NetworkConfig) -> Arc<dyn Target> {
    spillway::target::build(&config(TargetKind::Network(network)), "").unwrap()
}

/// A file target without bounds that a test would meet.
pub(crate) fn file(path: &Path) -> FileConfig {
    FileConfig {
        path: path.to_owned(),
        max_file: 100 << 20,
        max_age: Duration::from_secs(7 * 86_400),
        max_total: 1 << 30,
    }
}

/// A file target, built.
pub(crate) fn file_target(file: FileConfig) -> Arc<dyn Target> {
    spillway::target::build(&config(TargetKind::File(file)), "").unwrap()
}

/// An export request with one item whose name is `name`; plain protobuf.
pub(crate) fn request(signal: Signal, name: &str) -> Vec<u8> {
    let name = name.to_owned();
    match signal {
        Signal::Traces => {
            let spans = vec![Span { name, trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() }];
            let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
            let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
            ExportTraceServiceRequest { resource_spans }.encode_to_vec()
        }
        Signal::Metrics => {
            let data_points = vec![NumberDataPoint { time_unix_nano: 5, ..NumberDataPoint::default() }];
            let metrics = vec![Metric { name, data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }];
            let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
            let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
            ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
        }
        Signal::Logs => {
            let log_records = vec![LogRecord { severity_text: name, ..LogRecord::default() }];
            let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
            let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
            ExportLogsServiceRequest { resource_logs }.encode_to_vec()
        }
    }
}

/// A batch on its way, stored in that encoding.
pub(crate) fn shipment(signal: Signal, encoding: Encoding, name: &str) -> Shipment {
    let plain = request(signal, name);
    let inflated_len = u32::try_from(plain.len()).unwrap();
    let body = spillway::otlp::inflate::Deflater::new().compress(encoding, &plain);
    Shipment {
        batch: Batch {
            signal,
            encoding,
            items: 1,
            inflated_len,
            received_at_ms: 1_795_251_600_000,
            headers: [].into(),
            body: body.into(),
        },
        id: BatchId { store: 0xab, epoch: 3, signal, key: Key::new(7) },
        along: Vec::new(),
        replay: false,
    }
}

/// A gzip batch of traces.
pub(crate) fn gzip() -> Shipment {
    shipment(Signal::Traces, Encoding::Gzip, "span")
}

/// A plain batch of traces.
pub(crate) fn plain() -> Shipment {
    shipment(Signal::Traces, Encoding::Identity, "span")
}
