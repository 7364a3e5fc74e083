//! A typical request: 1000 items of about 300 bytes, compressing to about a quarter.

use bytes::{BufMut, Bytes, BytesMut};
use libdeflater::{CompressionLvl, Compressor};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use spillway::batch::{Encoding, Signal};
use spillway::otlp::inflate::Deflater;

/// Items in a usual request.
pub(crate) const ITEMS: u64 = 1000;

/// Items in a small one, which is about 2 KiB of gzip: what an SDK sends by itself.
pub(crate) const FEW: u64 = 20;

/// A request as it travels.
#[derive(Clone)]
pub(crate) struct Payload {
    pub(crate) signal: Signal,
    pub(crate) encoding: Encoding,
    pub(crate) body: Bytes,
    /// The body behind the prefix of gRPC.
    pub(crate) framed: Bytes,
    pub(crate) items: u64,
}

impl Payload {
    /// The request of that signal with so many items; in gzip at the level that exporters use by default.
    pub(crate) fn new(signal: Signal, items: u64, encoding: Encoding) -> Payload {
        let plain = request(signal, items);
        let body: Bytes = match encoding {
            Encoding::Gzip => gzip(&plain),
            _ => Deflater::new().compress(encoding, &plain).into(),
        };
        let mut framed = BytesMut::with_capacity(body.len() + 5);
        framed.put_u8(1);
        framed.put_u32(u32::try_from(body.len()).expect("a usual request"));
        framed.extend_from_slice(&body);
        Payload { signal, encoding, body, framed: framed.freeze(), items }
    }
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut compressor = Compressor::new(CompressionLvl::new(6).expect("a valid level"));
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    let len = compressor.gzip_compress(plain, &mut out).expect("room for the bound");
    out.truncate(len);
    out.into()
}

/// A request of so many items, not compressed.
pub(crate) fn request(signal: Signal, items: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(7);
    let resource = Some(Resource {
        attributes: ["service.name", "k8s.pod.name", "k8s.namespace.name", "k8s.cluster.name"]
            .map(|key| attribute(key, "checkout-7d9f8b6c4-x2x9k"))
            .to_vec(),
        ..Default::default()
    });
    match signal {
        Signal::Logs => {
            let log_records = (0..items).map(|index| LogRecord {
                time_unix_nano: 1_700_000_000_000_000_000 + index * 1_000,
                observed_time_unix_nano: 1_700_000_000_000_000_000 + index * 1_000,
                severity_number: 9,
                severity_text: "INFO".to_owned(),
                body: Some(AnyValue {
                    value: Some(Value::StringValue(format!(
                        "GET /api/v1/carts/{:016x}/items completed in {} ms with status 200",
                        random.random::<u64>(),
                        random.random_range(1..900)
                    ))),
                }),
                attributes: attributes(&mut random),
                trace_id: random.random::<u128>().to_be_bytes().to_vec(),
                span_id: random.random::<u64>().to_be_bytes().to_vec(),
                ..Default::default()
            });
            let scope_logs = vec![ScopeLogs { log_records: log_records.collect(), ..Default::default() }];
            let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
            ExportLogsServiceRequest { resource_logs }.encode_to_vec()
        }
        Signal::Traces => {
            let spans = (0..items).map(|index| Span {
                trace_id: random.random::<u128>().to_be_bytes().to_vec(),
                span_id: random.random::<u64>().to_be_bytes().to_vec(),
                parent_span_id: random.random::<u64>().to_be_bytes().to_vec(),
                name: "GET /api/v1/carts/{id}/items".to_owned(),
                kind: 2,
                start_time_unix_nano: 1_700_000_000_000_000_000 + index * 1_000,
                end_time_unix_nano: 1_700_000_000_000_900_000 + index * 1_000,
                attributes: attributes(&mut random),
                ..Default::default()
            });
            let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..Default::default() }];
            let resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
            ExportTraceServiceRequest { resource_spans }.encode_to_vec()
        }
        Signal::Metrics => {
            let metrics = (0..items / 10).map(|index| {
                let data_points = (0..10).map(|_| NumberDataPoint {
                    attributes: attributes(&mut random),
                    start_time_unix_nano: 1_700_000_000_000_000_000,
                    time_unix_nano: 1_700_000_000_000_000_000 + index * 1_000,
                    value: Some(number_data_point::Value::AsDouble(random.random())),
                    ..Default::default()
                });
                let data = Some(Data::Sum(Sum {
                    data_points: data_points.collect(),
                    aggregation_temporality: 2,
                    is_monotonic: true,
                }));
                Metric {
                    name: format!("http.server.requests.{index}"),
                    unit: "1".to_owned(),
                    data,
                    ..Default::default()
                }
            });
            let scope_metrics = vec![ScopeMetrics { metrics: metrics.collect(), ..Default::default() }];
            let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }];
            ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
        }
    }
}

fn attributes(random: &mut StdRng) -> Vec<KeyValue> {
    let pick = |random: &mut StdRng, of: &[&str]| of[random.random_range(0..of.len())].to_owned();
    let path = format!("/api/v1/carts/{}", random.random_range(0..5000));
    vec![
        attribute("http.request.method", &pick(random, &["GET", "POST", "PUT"])),
        attribute("http.route", &path),
        attribute("server.address", &pick(random, &["cart.shop.svc", "user.shop.svc", "pay.shop.svc"])),
        attribute("network.protocol", "1.1"),
    ]
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}
