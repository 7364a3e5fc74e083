//! Every rule of OTLP/JSON by an example, and both directions against the generated types.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric, number_data_point};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::batch::Signal;
use crate::otlp::samples::{Request, cases, damage, signal};

/// The log record with these fields in JSON.
fn record(fields: &str) -> LogRecord {
    let text = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#);
    let bytes = from_json(Signal::Logs, text.as_bytes()).unwrap_or_else(|error| panic!("{fields}: {error}"));
    let mut request = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
    request.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0)
}

/// The value of a body with these fields in JSON.
fn body(fields: &str) -> Option<Value> {
    record(&format!(r#""body":{{{fields}}}"#)).body.unwrap().value
}

/// The metric with these fields in JSON.
fn metric(fields: &str) -> Metric {
    let text = format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{{fields}}}]}}]}}]}}"#);
    let bytes = from_json(Signal::Metrics, text.as_bytes()).unwrap_or_else(|error| panic!("{fields}: {error}"));
    let mut request = ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
    request.resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0)
}

/// The sentence about a log record with these fields.
fn sentence(fields: &str) -> String {
    let text = format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{}},{{\"logRecords\":[{{}},\n{{{fields}}}]}}]}}]}}");
    from_json(Signal::Logs, text.as_bytes()).expect_err(fields).to_string()
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

proptest! {
    #![proptest_config(cases(3_000))]

    /// Random requests with every field of the schema, and requests that arrive in odd but valid wire forms.
    /// Guarantees that nothing which the generated decoder sees is lost or changed on the way to JSON and back.
    #[test]
    fn a_request_survives_the_way_there_and_back(signal in signal(), seed: u64, damages in vec(damage(), 0..=2)) {
        let mut bytes = Request::random(signal, seed).encode();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        let mut line = b"before\n".to_vec();
        let Ok(request) = Request::decode(signal, &bytes) else {
            prop_assert!(write_json_line(signal, &bytes, &mut line).is_err());
            prop_assert_eq!(line, b"before\n");
            return Ok(());
        };
        write_json_line(signal, &bytes, &mut line).unwrap();
        let line = line.strip_prefix(b"before\n").unwrap().strip_suffix(b"\n").unwrap();
        prop_assert!(!line.contains(&b'\n'));
        match from_json(signal, line) {
            // Compared as text, in which NaN equals itself.
            Ok(back) => prop_assert_eq!(format!("{request:?}"), format!("{:?}", Request::decode(signal, &back).unwrap())),
            // Damage may change the length of an id, which protobuf tolerates and JSON does not.
            Err(error) => prop_assert!(!damages.is_empty() && error.what.contains(" id of "), "{}", error),
        }
    }

    /// Texts cut and changed at any place.
    /// Guarantees that whatever comes out is a sound request, that an error lies inside the text, and that none panics.
    #[test]
    fn damaged_text_is_read_or_refused(signal in signal(), seed: u64, damages in vec(damage(), 1..=3)) {
        let mut line = Vec::new();
        write_json_line(signal, &Request::random(signal, seed).encode(), &mut line).unwrap();
        damages.iter().for_each(|damage| damage.apply(&mut line));
        if let Ok(bytes) = from_json(signal, &line) {
            prop_assert!(Request::decode(signal, &bytes).is_ok());
        }
    }
}

/// A hundred thousand texts that were changed at random.
/// Guarantees that what is read is a request, with as many items as the generated types find in it, and that nothing panics.
#[test]
fn fuzz_json() {
    let text = |n: usize| {
        let (signal, mut line) = (Signal::ALL[n % 3], Vec::new());
        write_json_line(signal, &Request::random(signal, n as u64).encode(), &mut line).unwrap();
        line
    };
    let sound: Vec<_> = (0..60).map(text).collect();
    let (mut n, mut read) = (0, 0);
    crate::fuzzed::fuzz(&sound, |bytes| {
        n += 1;
        let signal = Signal::ALL[n % 3];
        if let Ok(protobuf) = from_json(signal, bytes) {
            let request = Request::decode(signal, &protobuf).expect("what was read is a request");
            let found = crate::otlp::skim::skim(signal, &protobuf).expect("what was read is a request");
            assert_eq!(found.items as usize, request.items());
            read += 1;
        }
    });
    assert!(read > 1000 && n - read > 1000, "{read} of {n} were requests: neither verdict is tested");
}

/// Trace and span ids in lower, upper and mixed case, empty, and null.
/// Guarantees that they are read as hexadecimal, not as base64.
#[test]
fn ids_are_hexadecimal() {
    for id in
        ["5b8efff798038103d269b633813fc60c", "5B8EFFF798038103D269B633813FC60C", "5b8eFFF798038103d269B633813fc60C"]
    {
        let record = record(&format!(r#""traceId":"{id}","spanId":"eee19b7ec3c1b174""#));
        assert_eq!(record.trace_id, 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c_u128.to_be_bytes());
        assert_eq!(record.span_id, 0xeee1_9b7e_c3c1_b174_u64.to_be_bytes());
    }
    assert_eq!(record(r#""traceId":"","spanId":null"#), LogRecord::default());
}

/// 64-bit integers as strings and as numbers, beyond 2^53, with exponents, and at the ends of their range.
/// Guarantees that each is exact.
#[test]
fn integers_are_strings_or_numbers() {
    for (json, value) in [
        ("\"1700000000000000001\"", 1_700_000_000_000_000_001),
        ("1700000000000000001", 1_700_000_000_000_000_001),
        ("18446744073709551615", u64::MAX),
        ("\"18446744073709551615\"", u64::MAX),
        ("1e3", 1000),
        ("\"1e3\"", 1000),
        ("5.0", 5),
        ("\"5.0\"", 5),
        ("-0", 0),
        ("null", 0),
    ] {
        assert_eq!(record(&format!(r#""timeUnixNano":{json}"#)).time_unix_nano, value, "{json}");
    }
    for (json, value) in [("\"-9223372036854775808\"", i64::MIN), ("-9223372036854775808", i64::MIN), ("0", 0)] {
        assert_eq!(body(&format!(r#""intValue":{json}"#)), Some(Value::IntValue(value)), "{json}");
    }
    assert_eq!(record(r#""flags":"1023","droppedAttributesCount":4294967295"#).flags, 1023);
}

/// Doubles as numbers and strings, with all digits, and the three that are no numbers.
/// Guarantees that each is exact to its last bit, in every place where a double may stand.
#[test]
fn doubles_are_numbers_or_words() {
    for (json, value) in [
        ("0.1", 0.1),
        ("1", 1.0),
        ("-3", -3.0),
        ("\"2.5\"", 2.5),
        ("1e-7", 1e-7),
        ("0.30000000000000004", 0.300_000_000_000_000_04),
        ("123456789.12345679", 123_456_789.123_456_79),
        ("5e-324", 5e-324),
        ("\"Infinity\"", f64::INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
    ] {
        assert_eq!(body(&format!(r#""doubleValue":{json}"#)), Some(Value::DoubleValue(value)), "{json}");
    }
    assert!(matches!(body(r#""doubleValue":"NaN""#), Some(Value::DoubleValue(value)) if value.is_nan()));

    let Some(metric::Data::Gauge(gauge)) =
        metric(r#""gauge":{"dataPoints":[{"asDouble":"NaN"},{"asDouble":7},{"asInt":"-7"},{"asInt":7}]}"#).data
    else {
        panic!("a gauge")
    };
    let values: Vec<_> = gauge.data_points.iter().map(|point| point.value.unwrap()).collect();
    use number_data_point::Value::{AsDouble, AsInt};
    assert!(matches!(values[..], [AsDouble(nan), AsDouble(7.0), AsInt(-7), AsInt(7)] if nan.is_nan()));

    let Some(metric::Data::Histogram(histogram)) = metric(
        r#""histogram":{"dataPoints":[{"count":"3","sum":"NaN","min":0,"bucketCounts":["1",2],
           "explicitBounds":[1,"2.5","Infinity"]}]}"#,
    )
    .data
    else {
        panic!("a histogram")
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.min, point.max), (3, Some(0.0), None));
    assert!(point.sum.unwrap().is_nan());
    assert_eq!((&*point.bucket_counts, &*point.explicit_bounds), (&[1, 2][..], &[1.0, 2.5, f64::INFINITY][..]));
}

/// Enums as numbers, also unknown ones, and by name.
/// Guarantees that all are taken.
#[test]
fn enums_are_numbers_and_may_be_names() {
    for (json, value) in [("17", 17), ("\"SEVERITY_NUMBER_ERROR\"", 17), ("\"17\"", 17), ("99", 99), ("null", 0)] {
        assert_eq!(record(&format!(r#""severityNumber":{json}"#)).severity_number, value, "{json}");
    }
    let sum = metric(r#""sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","isMonotonic":true}"#);
    assert!(matches!(sum.data, Some(metric::Data::Sum(sum)) if sum.aggregation_temporality == 1 && sum.is_monotonic));
}

/// Unknown keys of every shape at every depth, also inside values and beside a oneof; names that are not lowerCamelCase.
/// Guarantees that they are ignored, and that what stands beside them is not.
#[test]
fn unknown_keys_are_ignored() {
    let unknown = r#""later":{"a":[1,{"b":null}],"c":"\ud83d\ude00"}"#;
    let json = format!(
        r#""time_unix_nano":"5",{unknown},"severityText":"INFO","body":{{{unknown},"stringValue":"x"}},
           "attributes":[{{"key":"k",{unknown},"value":{{"arrayValue":{{{unknown},"values":[{{"boolValue":true,{unknown}}}]}}}}}}]"#
    );
    let array = ArrayValue { values: vec![AnyValue { value: Some(Value::BoolValue(true)) }] };
    let value = Some(AnyValue { value: Some(Value::ArrayValue(array)) });
    assert_eq!(
        record(&json),
        LogRecord {
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue { value: text("x") }),
            attributes: vec![KeyValue { key: "k".to_owned(), value, key_strindex: 0 }],
            ..LogRecord::default()
        }
    );
    let gauge = metric(&format!(r#"{unknown},"gauge":{{{unknown},"dataPoints":[{{{unknown},"asInt":1}}]}}"#));
    let point = NumberDataPoint { value: Some(number_data_point::Value::AsInt(1)), ..NumberDataPoint::default() };
    assert!(matches!(gauge.data, Some(metric::Data::Gauge(gauge)) if gauge.data_points == [point]));
    assert_eq!(from_json(Signal::Traces, format!("{{{unknown}}}").as_bytes()).unwrap(), b"");
}

/// `null` for every kind of field, and in a list of values.
/// Guarantees that it is the same as leaving the field out, and that a list keeps its length.
#[test]
fn null_leaves_a_field_unset() {
    let nulls = r#""timeUnixNano":null,"severityNumber":null,"severityText":null,"body":null,"attributes":null,
        "droppedAttributesCount":null,"flags":null,"traceId":null,"spanId":null,"eventName":null"#;
    assert_eq!(record(nulls), LogRecord::default());
    assert_eq!(body(r#""stringValue":null"#), None);
    assert_eq!(body(""), None);
    assert_eq!(metric(r#""name":null,"gauge":null"#), Metric::default());
    let array = ArrayValue { values: vec![AnyValue { value: None }, AnyValue { value: text("x") }] };
    assert_eq!(body(r#""arrayValue":{"values":[null,{"stringValue":"x"}]}"#), Some(Value::ArrayValue(array)));
}

/// Attribute values of every type, nested and empty, and bytes in each alphabet of base64.
/// Guarantees that each arrives as what it is.
#[test]
fn values_of_every_type() {
    let pair = |key: &str, value| KeyValue { key: key.to_owned(), value, key_strindex: 0 };
    let list = KeyValueList { values: vec![pair("", None), pair("k", Some(AnyValue { value: None }))] };
    for (json, value) in [
        (r#""stringValue":"""#, text("")),
        (r#""stringValue":"é \ud83d\ude00 \u0000 \/""#, text("é 😀 \0 /")),
        (r#""boolValue":false"#, Some(Value::BoolValue(false))),
        (r#""kvlistValue":{"values":[{},{"key":"k","value":{}}]}"#, Some(Value::KvlistValue(list))),
        (r#""arrayValue":{}"#, Some(Value::ArrayValue(ArrayValue::default()))),
        (r#""bytesValue":"+/8=""#, Some(Value::BytesValue(vec![0xfb, 0xff]))),
        (r#""bytesValue":"-_8""#, Some(Value::BytesValue(vec![0xfb, 0xff]))),
        (r#""bytesValue":"""#, Some(Value::BytesValue(vec![]))),
        (r#""stringValueStrindex":3"#, Some(Value::StringValueStrindex(3))),
    ] {
        assert_eq!(body(json), value, "{json}");
    }
}

/// Lists nested to either side of the limit.
/// Guarantees that depth is refused with a sentence, not with a stack overflow, and that forty levels are fine.
#[test]
fn nesting_has_a_limit() {
    let nested = |levels| {
        let open = r#""arrayValue":{"values":[{"#.repeat(levels);
        format!(r#""body":{{{open}{}}}"#, "}]}".repeat(levels))
    };
    assert!(record(&nested(39)).body.is_some());
    assert!(sentence(&nested(41)).contains("recursion limit exceeded"));
    assert!(sentence(&nested(100_000)).contains("recursion limit exceeded"));
}

/// Texts that are wrong in one place each.
/// Guarantees the sentence that the client's developer reads: the field, what is wrong, line and column.
#[test]
fn a_fault_is_described_where_it_lies() {
    let path = "resourceLogs[0].scopeLogs[1].logRecords[1]";
    for (fields, field, what) in [
        (
            r#""timeUnixNano":"soon""#,
            ".timeUnixNano",
            "invalid value: string \"soon\", expected an unsigned 64-bit integer, as a string or a number (at line 2, column 22)",
        ),
        (
            r#""timeUnixNano":-1"#,
            ".timeUnixNano",
            "-1 is out of range, expected an unsigned 64-bit integer, as a string or a number (at line 2, column 18)",
        ),
        (
            r#""timeUnixNano":1.5"#,
            ".timeUnixNano",
            "invalid type: floating point `1.5`, expected an unsigned 64-bit integer, as a string or a number (at line 2, column 19)",
        ),
        (
            r#""flags":4294967296"#,
            ".flags",
            "4294967296 is out of range, expected an unsigned 32-bit integer (at line 2, column 19)",
        ),
        (
            r#""traceId":"abc""#,
            ".traceId",
            "invalid value: string \"abc\", expected a trace id of 32 hexadecimal digits (at line 2, column 16)",
        ),
        (
            r#""spanId":"eee19b7ec3c1b17x""#,
            ".spanId",
            "invalid value: string \"eee19b7ec3c1b17x\", expected a span id of 16 hexadecimal digits (at line 2, column 28)",
        ),
        (r#""severityText":5"#, ".severityText", "invalid type: number `5`, expected a string (at line 2, column 17)"),
        (
            r#""severityNumber":"LOUD""#,
            ".severityNumber",
            "invalid value: string \"LOUD\", expected the number of an enum value (at line 2, column 24)",
        ),
        (r#""body":"text""#, ".body", "invalid value: string \"text\", expected an object (at line 2, column 14)"),
        (
            r#""body":{"doubleValue":"inf"}"#,
            ".body.doubleValue",
            "invalid value: string \"inf\", expected a number, \"NaN\", \"Infinity\" or \"-Infinity\" (at line 2, column 28)",
        ),
        (
            r#""body":{"bytesValue":"§"}"#,
            ".body.bytesValue",
            "invalid value: string \"§\", expected a string in base64 (at line 2, column 26)",
        ),
        (r#""attributes":{}"#, ".attributes", "invalid type: map, expected a list (at line 2, column 16)"),
        (
            r#""attributes":[{},{"key":[]}]"#,
            ".attributes[1].key",
            "invalid type: sequence, expected a string (at line 2, column 27)",
        ),
        (r#""attributes":[,]"#, ".attributes[0]", "expected value (at line 2, column 16)"),
        (r#""body":{} "#, "", "expected `,` or `}` (at line 2, column 12)"),
    ] {
        let fields = if field.is_empty() { &format!("{fields}x") } else { fields };
        assert_eq!(sentence(fields), format!("{path}{field}: {what}"));
    }
    for (text, what) in [
        ("", "the request: EOF while parsing a value (at line 1, column 0)"),
        ("[]", "the request: invalid type: sequence, expected an object (at line 1, column 0)"),
        ("null", "the request: invalid type: null, expected an object (at line 1, column 4)"),
        ("{} {}", "the request: trailing characters (at line 1, column 4)"),
        (
            "{\"resourceLogs\":[{\"schemaUrl\":\"\u{1}\"}]}",
            "resourceLogs[0].schemaUrl: control character (\\u0000-\\u001F) found while parsing a string (at line 1, column 32)",
        ),
    ] {
        assert_eq!(from_json(Signal::Logs, text.as_bytes()).unwrap_err().to_string(), what);
    }
}

/// Fields in unusual order and in pieces, as protobuf allows them: lists interleaved, numbers given twice or packed and not,
/// messages in two parts, and a oneof that changes its mind.
/// Guarantees that JSON says what the generated decoder sees.
#[test]
fn odd_wire_forms_are_put_in_order() {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let string = |value: &[u8]| field(1, value);
    let list = |value: &[u8]| field(5, &field(1, &string(value)));
    let pair = |key: &[u8]| field(6, &field(1, key));
    let record = [
        &pair(b"a")[..],
        &[0x10, 9],
        &field(5, &string(b"displaced")),
        &pair(b"b"),
        &[0x10, 0],
        &field(5, &list(b"x")),
        &field(3, b"late"),
        &field(5, &list(b"y")),
        &pair(b"c"),
    ]
    .concat();
    let gauge = |value: u8| field(5, &field(1, &[0x19, value, 0, 0, 0, 0, 0, 0, 0]));
    let point = [&field(6, &[1, 0, 0, 0, 0, 0, 0, 0])[..], &[0x31, 2, 0, 0, 0, 0, 0, 0, 0]].concat();
    let metrics = [
        field(2, &[gauge(1), field(7, &[0x18, 1]), gauge(2), gauge(3)].concat()),
        field(2, &field(9, &field(1, &point))),
    ]
    .concat();
    for (signal, request) in
        [(Signal::Logs, field(1, &field(2, &field(2, &record)))), (Signal::Metrics, field(1, &field(2, &metrics)))]
    {
        let mut line = Vec::new();
        write_json_line(signal, &request, &mut line).unwrap();
        let back = from_json(signal, &line).unwrap();
        let text = String::from_utf8(line).unwrap();
        assert_eq!(Request::decode(signal, &back), Request::decode(signal, &request), "{text}");
        let keys = ["severityText", "attributes", "body", "arrayValue", "gauge", "bucketCounts"];
        assert!(keys.iter().all(|key| text.matches(key).count() <= 1), "{text}");
    }
}

/// A small request of each signal.
/// Guarantees the line as the collector's file exporter spells it: camel case, hexadecimal ids, strings for 64 bits.
#[test]
fn a_line_is_spelled_as_the_collector_spells_it() {
    for (signal, line) in [
        (
            Signal::Logs,
            concat!(
                r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"#,
                r#""scopeLogs":[{"scope":{"name":"lib"},"logRecords":[{"timeUnixNano":"1700000000000000001","severityNumber":9,"#,
                r#""body":{"intValue":"-5"},"flags":1,"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}"#,
            ),
        ),
        (
            Signal::Traces,
            concat!(
                r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET","kind":2,"events":[{"name":"e","attributes":"#,
                r#"[{"key":"b","value":{"bytesValue":"AAE="}}]}],"status":{"code":2},"flags":257}]}]}]}"#,
            ),
        ),
        (
            Signal::Metrics,
            concat!(
                r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{"asInt":"0"},{"asDouble":0.5}],"#,
                r#""aggregationTemporality":2,"isMonotonic":true}},{"exponentialHistogram":{"dataPoints":[{"count":"2","sum":0.0,"#,
                r#""scale":-3,"positive":{"offset":1,"bucketCounts":["0","2"]},"negative":{}}]}}]}]}]}"#,
            ),
        ),
    ] {
        let mut written = Vec::new();
        write_json_line(signal, &from_json(signal, line.as_bytes()).unwrap(), &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), format!("{line}\n"));
    }
}
