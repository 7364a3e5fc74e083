//! The rules of OTLP/JSON, by an example each.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use spillway::batch::Signal;

use crate::answers::accepted;
use crate::peer::{Answer, Peer, Way};

/// Fields of a log record in JSON, and what they mean.
pub(crate) type Example = (&'static str, fn(LogRecord) -> bool);

pub(crate) const IDS: &[Example] = &[
    (r#""traceId":"5b8efff798038103d269b633813fc60c""#, |record| record.trace_id[..3] == [0x5b, 0x8e, 0xff]),
    (r#""spanId":"EEE19B7EC3C1B174""#, |record| record.span_id[..3] == [0xee, 0xe1, 0x9b]),
];
pub(crate) const BYTES: &[Example] =
    &[(r#""body":{"bytesValue":"+/8="}"#, |record| value(record) == Some(Value::BytesValue(vec![0xfb, 0xff])))];
pub(crate) const ENUMS: &[Example] = &[
    (r#""severityNumber":17"#, |record| record.severity_number == 17),
    (r#""severityNumber":"SEVERITY_NUMBER_ERROR""#, |record| record.severity_number == 17),
];
pub(crate) const UNKNOWN: &[Example] =
    &[(r#""later":{"a":[1,{"b":null}]},"severityText":"x""#, |record| record.severity_text == "x")];
pub(crate) const NAMES: &[Example] = &[(r#""time_unix_nano":"5","severityText":"x""#, |record| {
    (record.time_unix_nano, &*record.severity_text) == (0, "x")
})];
pub(crate) const INTEGERS: &[Example] = &[
    (r#""timeUnixNano":"1700000000000000001""#, |record| record.time_unix_nano == 1_700_000_000_000_000_001),
    (r#""timeUnixNano":1700000000000000001"#, |record| record.time_unix_nano == 1_700_000_000_000_000_001),
    (r#""body":{"intValue":"-9223372036854775808"}"#, |record| value(record) == Some(Value::IntValue(i64::MIN))),
    (r#""timeUnixNano":1e3"#, |record| record.time_unix_nano == 1000),
];
pub(crate) const DOUBLES: &[Example] = &[
    (
        r#""body":{"doubleValue":"NaN"}"#,
        |record| matches!(value(record), Some(Value::DoubleValue(nan)) if nan.is_nan()),
    ),
    (r#""body":{"doubleValue":"-Infinity"}"#, |record| value(record) == Some(Value::DoubleValue(f64::NEG_INFINITY))),
    (r#""body":{"doubleValue":5e-324}"#, |record| value(record) == Some(Value::DoubleValue(5e-324))),
];
pub(crate) const NULLS: &[Example] =
    &[(r#""body":null,"attributes":null,"timeUnixNano":null,"severityText":"x""#, |record| {
        record.severity_text == "x"
    })];
pub(crate) const TEXTS: &[Example] = &[(r#""body":{"stringValue":"\u00e9 \ud83d\ude00"}"#, |record| {
    value(record) == Some(Value::StringValue("é 😀".to_owned()))
})];

fn value(record: LogRecord) -> Option<Value> {
    record.body.and_then(|AnyValue { value }| value)
}

/// Each example is taken, and means what it should.
pub(crate) async fn means(peer: Peer, way: Way, examples: &'static [Example]) {
    for (fields, meant) in examples {
        let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#);
        accepted(way, &peer.send(way, Signal::Logs, json.as_bytes()).await);
        if let Some((_, stored)) = peer.taken(Signal::Logs).await {
            let mut request = ExportLogsServiceRequest::decode(&stored[..]).unwrap();
            let record = request.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0);
            assert!(meant(record.clone()), "{fields} became {record:?}");
        }
    }
}

/// Values within values, 100 000 deep.
pub(crate) async fn depth(peer: Peer, way: Way) {
    let depth = 20_000;
    let json = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{{}{}}}}}]}}]}}]}}"#,
        r#""arrayValue":{"values":[{"#.repeat(depth),
        "}]}".repeat(depth)
    );
    let Answer::Http(answer) = peer.send(way, Signal::Logs, json.as_bytes()).await else {
        unreachable!("JSON is HTTP")
    };
    assert_eq!(answer.status, 400);
}
