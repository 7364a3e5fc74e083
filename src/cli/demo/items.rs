//! The demo's telemetry: log records and spans that carry a number each.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::batch::Signal;

const ID: &str = "demo.item";

/// An export request of that signal with one item for each number; protobuf bytes.
pub(super) fn request(signal: Signal, ids: std::ops::Range<u64>, now_nanos: u64) -> Vec<u8> {
    let resource = Some(Resource { attributes: vec![text("service.name", "demo")], ..Default::default() });
    let scope = Some(InstrumentationScope { name: "spillway.demo".to_owned(), ..Default::default() });
    if signal == Signal::Traces {
        let spans = ids.map(|id| Span {
            trace_id: u128::from(id + 1).to_be_bytes().to_vec(),
            span_id: (id + 1).to_be_bytes().to_vec(),
            name: "checkout".to_owned(),
            start_time_unix_nano: now_nanos,
            end_time_unix_nano: now_nanos + 1_000_000,
            attributes: vec![number(ID, id), text("http.route", "/cart/{id}")],
            ..Default::default()
        });
        let scope_spans = vec![ScopeSpans { scope, spans: spans.collect(), ..Default::default() }];
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
        return ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    }
    let log_records = ids.map(|id| LogRecord {
        time_unix_nano: now_nanos,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(format!("order {id} was placed"))) }),
        attributes: vec![number(ID, id)],
        ..Default::default()
    });
    let scope_logs = vec![ScopeLogs { scope, log_records: log_records.collect(), ..Default::default() }];
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// The numbers in an export request; `None` when it cannot be read.
pub(super) fn ids(signal: Signal, body: &[u8]) -> Option<Vec<u64>> {
    let attributes: Vec<Vec<KeyValue>> = match signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(body).ok()?;
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            scopes.flat_map(|scope| scope.spans).map(|span| span.attributes).collect()
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body).ok()?;
            let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            scopes.flat_map(|scope| scope.log_records).map(|record| record.attributes).collect()
        }
        Signal::Metrics => Vec::new(),
    };
    attributes.into_iter().map(|attributes| attributes.into_iter().find_map(id_of)).collect()
}

fn id_of(attribute: KeyValue) -> Option<u64> {
    match attribute.value?.value? {
        Value::IntValue(id) if attribute.key == ID => u64::try_from(id).ok(),
        _ => None,
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

fn number(key: &str, value: u64) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::IntValue(value.cast_signed())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}
