//! Telemetry with a number in each item, so that an oracle outside the gateway can tell one item from another.

use std::ops::Range;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use spillway::batch::Signal;

const ID: &str = "test.item";

/// A field that nobody knows.
const PADDING: u32 = 1000;

/// An export request with one item for each number; plain protobuf.
pub(crate) fn request(signal: Signal, ids: Range<u64>) -> Vec<u8> {
    match signal {
        Signal::Traces => {
            let spans = ids.map(|id| Span {
                trace_id: u128::from(id + 1).to_be_bytes().to_vec(),
                span_id: (id + 1).to_be_bytes().to_vec(),
                name: format!("span {id}"),
                attributes: vec![number(id)],
                ..Default::default()
            });
            let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..Default::default() }];
            let resource_spans = vec![ResourceSpans { scope_spans, ..Default::default() }];
            ExportTraceServiceRequest { resource_spans }.encode_to_vec()
        }
        Signal::Metrics => {
            let points = ids.map(|id| NumberDataPoint {
                attributes: vec![number(id)],
                time_unix_nano: id,
                value: Some(number_data_point::Value::AsInt(id.cast_signed())),
                ..Default::default()
            });
            let data = Some(Data::Gauge(Gauge { data_points: points.collect() }));
            let metrics = vec![Metric { name: "level".to_owned(), data, ..Default::default() }];
            let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
            let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
            ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
        }
        Signal::Logs => {
            let log_records = ids.map(|id| LogRecord {
                time_unix_nano: id,
                body: Some(AnyValue { value: Some(Value::StringValue(format!("record {id}"))) }),
                attributes: vec![number(id)],
                ..Default::default()
            });
            let scope_logs = vec![ScopeLogs { log_records: log_records.collect(), ..Default::default() }];
            let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
            ExportLogsServiceRequest { resource_logs }.encode_to_vec()
        }
    }
}

/// Makes a plain request longer by bytes that do not compress.
pub(crate) fn pad(request: &mut Vec<u8>, bytes: usize) {
    if bytes > 0 {
        let mut padding = vec![0; bytes];
        rand::fill(padding.as_mut_slice());
        prost::encoding::bytes::encode(PADDING, &padding, request);
    }
}

/// A plain request, or several in a row, as before it was padded.
pub(crate) fn without_padding(request: &[u8]) -> Vec<u8> {
    let (mut rest, mut plain) = (request, Vec::with_capacity(request.len()));
    while !rest.is_empty() {
        let field = rest;
        let (tag, kind) = decode_key(&mut rest).unwrap();
        skip_field(kind, tag, &mut rest, DecodeContext::default()).unwrap();
        if tag != PADDING {
            plain.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    plain
}

/// The numbers in a plain export request.
pub(crate) fn ids(signal: Signal, body: &[u8]) -> Vec<u64> {
    let attributes: Vec<Vec<KeyValue>> = match signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            scopes.flat_map(|scope| scope.spans).map(|span| span.attributes).collect()
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
            let points = scopes.flat_map(|scope| scope.metrics).flat_map(|metric| match metric.data {
                Some(Data::Gauge(gauge)) => gauge.data_points,
                _ => panic!("only gauges are sent"),
            });
            points.map(|point| point.attributes).collect()
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            scopes.flat_map(|scope| scope.log_records).map(|record| record.attributes).collect()
        }
    };
    attributes.into_iter().map(|attributes| id_of(&attributes)).collect()
}

fn id_of(attributes: &[KeyValue]) -> u64 {
    let value = attributes.iter().find(|attribute| attribute.key == ID).and_then(|attribute| attribute.value.as_ref());
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::IntValue(id)) => id.cast_unsigned(),
        other => panic!("an item without its number: {other:?}"),
    }
}

fn number(id: u64) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::IntValue(id.cast_signed())) });
    KeyValue { key: ID.to_owned(), value, ..Default::default() }
}
