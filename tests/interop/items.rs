//! The numbers that SDK clients give their items, for the hub of the tests to count.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;
use spillway::batch::Signal;

/// The numbers in a plain export request: n of each `spillway.test.id` = `<producer>-<n>`.
pub(crate) fn ids(signal: Signal, request: &[u8]) -> Vec<u64> {
    let request = match signal {
        Signal::Traces => serde_json::to_value(ExportTraceServiceRequest::decode(request).unwrap()),
        Signal::Metrics => serde_json::to_value(ExportMetricsServiceRequest::decode(request).unwrap()),
        Signal::Logs => serde_json::to_value(ExportLogsServiceRequest::decode(request).unwrap()),
    };
    let mut found = Vec::new();
    let mut open = vec![request.unwrap()];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(fields) if fields.get("key").is_some_and(|key| key == "spillway.test.id") => {
                found.push(number(&fields["value"]["stringValue"]));
            }
            Value::Object(fields) => open.extend(fields.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    found
}

/// Of `<producer>-<n>` the n.
pub(crate) fn number(id: &Value) -> u64 {
    id.as_str().and_then(|id| id.rsplit('-').next()).unwrap().parse().unwrap()
}
