//! Scenario: OTLP/JSON, plain and gzip, with what the specification tolerates.
//! Guarantee: it is answered in JSON and stored as protobuf that says the same.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use spillway::batch::{Encoding, Signal};

use crate::support::Gateway;
use crate::support::samples::encoded;

const REQUEST: &str = r#"{"resourceLogs": [{"resource": {"attributes": [{"key": "a", "value": {"stringValue": "b"}}]},
  "scopeLogs": [{"logRecords": [
    {"timeUnixNano": "1581452773000000789", "severityNumber": 9, "traceId": "5B8EFFF798038103D269B633813FC60C",
     "body": {"stringValue": "\ud83d\ude00"}, "somethingNew": {"of": ["any", "shape"]}},
    {"timeUnixNano": 5, "body": {"intValue": "9223372036854775807"}}]}]}]}"#;

#[tokio::test]
async fn json_is_stored_as_protobuf() {
    let gateway = Gateway::start().await;
    let mut http = gateway.http().await;
    for encoding in Encoding::ALL {
        let headers = [("content-type", "application/json; charset=utf-8"), ("content-encoding", encoding.as_str())];
        let answer = http.post("/v1/logs", &headers, &encoded(encoding, REQUEST.as_bytes())).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(answer.header("content-type"), "application/json");

        let batch = gateway.stored(Signal::Logs).await;
        // Not every target takes zstd here.
        let stored = if encoding == Encoding::Zstd { Encoding::Gzip } else { encoding };
        assert_eq!((batch.items, batch.encoding), (2, stored), "compressed where the client compressed");
        let mut plain = Vec::new();
        match stored {
            Encoding::Identity => plain.extend_from_slice(&batch.body),
            Encoding::Gzip => {
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&batch.body[..]), &mut plain).unwrap();
            }
            Encoding::Zstd => unreachable!(),
        }
        assert_eq!(batch.inflated_len as usize, plain.len());
        let stored = ExportLogsServiceRequest::decode(&plain[..]).unwrap();
        let records = &stored.resource_logs[0].scope_logs[0].log_records;
        assert_eq!(records[0].time_unix_nano, 1_581_452_773_000_000_789);
        assert_eq!(records[0].trace_id[..3], [0x5b, 0x8e, 0xff]);
        let values: Vec<_> = records.iter().map(|record| record.body.clone().unwrap().value.unwrap()).collect();
        assert_eq!(values, [Value::StringValue("😀".to_owned()), Value::IntValue(i64::MAX)]);
    }
}

/// JSON that breaks off, that is of another shape, and protobuf called JSON.
/// Guarantees 400 with a google.rpc.Status in JSON which says where.
#[tokio::test]
async fn bad_json_is_refused_in_json() {
    let gateway = Gateway::start().await;
    let mut http = gateway.http().await;
    for body in [&REQUEST.as_bytes()[..100], b"[]", b"\x0a\x02\x12\x00", b"{\"resourceLogs\": 7}", b""] {
        let answer = http.post("/v1/logs", &[("content-type", "application/json")], body).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, "application/json"));
        let error = answer.error();
        assert_eq!(error.code, 3);
        assert!(error.message.contains("line"), "{error:?}");
        assert!(error.violation.is_some());
    }
    assert_eq!(gateway.count("http", Signal::Logs, "malformed"), 5);
    assert!(gateway.stored_nothing().await);
}
