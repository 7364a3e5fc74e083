//! `Export*ServiceResponse`: the success that we send, and the partial success that a target may send.
//!
//! The three messages differ in name only: field 1 is the partial success, with the number of refused items in its
//! field 1 and a text in its field 2 (opentelemetry-proto, `collector/*/v1`).

use serde_json::Value;

use super::answer::Answer;
use super::media::Media;
use crate::batch::Signal;

/// The body of a full success: `partial_success` is left unset, as the specification demands.
pub const fn success(media: Media) -> &'static [u8] {
    match media {
        Media::Protobuf => b"",
        Media::Json => b"{}",
    }
}

/// What a target's success body says. A body that cannot be read is a plain success: the target has the data.
pub fn read_success(signal: Signal, media: Media, body: &[u8]) -> Answer {
    match media {
        Media::Protobuf => from_protobuf(body),
        Media::Json => from_json(signal, body),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

fn from_protobuf(body: &[u8]) -> Answer {
    let response: ExportResponse = prost::Message::decode(body).unwrap_or_default();
    let PartialSuccess { rejected, error_message } = response.partial_success.unwrap_or_default();
    // A negative count is nonsense, and nonsense rejects nothing.
    Answer::Accepted { rejected: u64::try_from(rejected).unwrap_or(0), message: error_message }
}

fn from_json(signal: Signal, body: &[u8]) -> Answer {
    let response: Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = &response["partialSuccess"];
    let rejected = &partial[rejected_key(signal)];
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok());
    let message = partial["errorMessage"].as_str().unwrap_or_default();
    Answer::Accepted { rejected: rejected.unwrap_or(0), message: message.to_owned() }
}

const fn rejected_key(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::{logs, metrics, trace};
    use prost::Message;

    use super::*;

    fn accepted(rejected: u64, message: &str) -> Answer {
        Answer::Accepted { rejected, message: message.to_owned() }
    }

    /// Partial successes of the three signals as the generated types write them.
    /// Guarantees that count and message are read, whatever the signal.
    #[test]
    fn partial_successes_are_read_from_protobuf() {
        let error_message = "too old".to_owned();
        let spans = trace::v1::ExportTraceServiceResponse {
            partial_success: Some(trace::v1::ExportTracePartialSuccess {
                rejected_spans: 7,
                error_message: error_message.clone(),
            }),
        };
        let points = metrics::v1::ExportMetricsServiceResponse {
            partial_success: Some(metrics::v1::ExportMetricsPartialSuccess {
                rejected_data_points: 8,
                error_message: error_message.clone(),
            }),
        };
        let records = logs::v1::ExportLogsServiceResponse {
            partial_success: Some(logs::v1::ExportLogsPartialSuccess { rejected_log_records: -9, error_message }),
        };
        for (signal, body, rejected) in [
            (Signal::Traces, spans.encode_to_vec(), 7),
            (Signal::Metrics, points.encode_to_vec(), 8),
            (Signal::Logs, records.encode_to_vec(), 0),
        ] {
            assert_eq!(read_success(signal, Media::Protobuf, &body), accepted(rejected, "too old"));
        }
    }

    /// The same in JSON, with the count as a string or a number.
    /// Guarantees that the key of the right signal is read, and no other.
    #[test]
    fn partial_successes_are_read_from_json() {
        let read = |signal, text: &str| read_success(signal, Media::Json, text.as_bytes());
        let text = r#"{"partialSuccess":{"rejectedSpans":"7","errorMessage":"too old"}}"#;
        assert_eq!(read(Signal::Traces, text), accepted(7, "too old"));
        assert_eq!(read(Signal::Logs, text), accepted(0, "too old"));
        assert_eq!(read(Signal::Metrics, r#"{"partialSuccess":{"rejectedDataPoints":8}}"#), accepted(8, ""));
    }

    /// Our own success, an empty body, and bodies that are no response at all.
    /// Guarantees that each counts as a plain success.
    #[test]
    fn anything_else_is_a_plain_success() {
        for media in [Media::Protobuf, Media::Json] {
            for body in [success(media), b"", b"null", b"<html>OK</html>", b"\xff\xff\xff", b"{\"partialSuccess\":3}"] {
                assert_eq!(read_success(Signal::Logs, media, body), Answer::accepted());
            }
        }
    }
}
