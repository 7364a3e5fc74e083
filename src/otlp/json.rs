//! OTLP/JSON in and out.

use opentelemetry_proto::tonic::collector::{logs, metrics, trace};
use prost::Message;

use super::malformed::{Malformed, Place};
use crate::batch::Signal;

/// Reads an OTLP/JSON export request and returns it as protobuf.
///
/// # Errors
/// [`Malformed`] with line and column.
pub fn from_json(signal: Signal, text: &[u8]) -> Result<Vec<u8>, Malformed> {
    let read = match signal {
        Signal::Traces => {
            serde_json::from_slice::<trace::v1::ExportTraceServiceRequest>(text).map(|r| r.encode_to_vec())
        }
        Signal::Metrics => {
            serde_json::from_slice::<metrics::v1::ExportMetricsServiceRequest>(text).map(|r| r.encode_to_vec())
        }
        Signal::Logs => serde_json::from_slice::<logs::v1::ExportLogsServiceRequest>(text).map(|r| r.encode_to_vec()),
    };
    read.map_err(|error| Malformed {
        path: String::new(),
        what: error.to_string(),
        place: Place::Text { line: error.line(), column: error.column() },
    })
}

/// Appends an uncompressed protobuf export request to `out` as one line of OTLP/JSON, with its line feed, as the
/// collector's file exporter writes it and its otlpjsonfile receiver reads it. On error `out` is as before.
///
/// # Errors
/// [`Malformed`] when `protobuf` is no export request of `signal`.
pub fn write_json_line(signal: Signal, protobuf: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let malformed =
        |error: prost::DecodeError| Malformed { path: String::new(), what: error.to_string(), place: Place::Byte(0) };
    let line = match signal {
        Signal::Traces => {
            serde_json::to_vec(&trace::v1::ExportTraceServiceRequest::decode(protobuf).map_err(malformed)?)
        }
        Signal::Metrics => {
            serde_json::to_vec(&metrics::v1::ExportMetricsServiceRequest::decode(protobuf).map_err(malformed)?)
        }
        Signal::Logs => serde_json::to_vec(&logs::v1::ExportLogsServiceRequest::decode(protobuf).map_err(malformed)?),
    };
    out.extend_from_slice(&line.unwrap_or_default());
    out.push(b'\n');
    Ok(())
}
