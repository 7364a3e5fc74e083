//! The walk against the generated decoder, and what it says of faults.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::otlp::origin::{CLUSTER, MOST, OTHER};
use crate::otlp::samples::{Request, cases, damage, fragment, signal};

/// Whose spans the generated decoder finds: cluster, spans, and those of them whose caller's context was lost.
fn origins(request: &Request) -> Vec<(&str, u32, u32)> {
    fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
        let mut pairs = attributes.iter().filter(|pair| pair.key == key);
        pairs.find_map(|pair| match &pair.value {
            Some(AnyValue { value: Some(Value::StringValue(text)) }) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
    }
    let Request::Traces(request) = request else { return Vec::new() };
    let mut found = Vec::<(&str, u32, u32)>::new();
    for of_resource in &request.resource_spans {
        let cluster = of_resource.resource.as_ref().and_then(|resource| text(&resource.attributes, CLUSTER));
        let lost = |span: &Span| {
            let called = matches!(span.kind, 2 | 5) && span.parent_span_id.is_empty();
            u32::from(called && text(&span.attributes, "cross_cluster.source").is_some())
        };
        for span in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let cluster = cluster.unwrap_or_default();
            match found.iter_mut().find(|(name, ..)| *name == cluster) {
                Some((_, spans, without)) => (*spans, *without) = (*spans + 1, *without + lost(span)),
                None => found.push((cluster, 1, lost(span))),
            }
        }
    }
    found
}

/// Compares verdict, count and origins with the generated decoder.
fn agrees(signal: Signal, bytes: &[u8]) -> Result<bool, TestCaseError> {
    match (skim(signal, bytes), Request::decode(signal, bytes)) {
        (Ok(found), Ok(request)) => {
            prop_assert_eq!(found.items as usize, request.items());
            let of = |origin: &Origin<'_>| (origin.cluster.to_owned(), origin.spans, origin.without_context);
            let decoded: Vec<_> =
                origins(&request).into_iter().map(|(name, n, lost)| (name.to_owned(), n, lost)).collect();
            prop_assert_eq!(found.origins.iter().map(of).collect::<Vec<_>>(), decoded);
        }
        (Err(malformed), Err(_)) => {
            let Place::Byte(offset) = malformed.place else { panic!("a place in bytes") };
            prop_assert!(offset < bytes.len());
            return Ok(false);
        }
        (found, decoded) => prop_assert!(false, "skim: {found:?}, decoder: {decoded:?}, {bytes:02x?}"),
    }
    Ok(true)
}

proptest! {
    #![proptest_config(cases(5_000))]

    /// Random requests with every field of the schema, whole and damaged in up to three ways.
    /// Guarantees the verdict and the count of the generated decoder.
    #[test]
    fn the_verdict_is_the_generated_decoders(signal in signal(), seed: u64, damages in vec(damage(), 0..=3)) {
        let mut bytes = Request::random(signal, seed).encode();
        prop_assert!(agrees(signal, &bytes)?);
        for damage in &damages {
            damage.apply(&mut bytes);
            agrees(signal, &bytes)?;
        }
    }

    /// Requests of one signal read as another, and noise.
    /// Guarantees the verdict of the generated decoder for bytes that never were such a request.
    #[test]
    fn foreign_bytes_get_the_same_verdict(signals in [signal(), signal()], seed: u64, noise in vec(fragment(), 0..9)) {
        agrees(signals[0], &Request::random(signals[1], seed).encode())?;
        agrees(signals[0], &noise.concat())?;
    }
}

/// A hundred thousand requests that were changed at random.
/// Guarantees the verdict and the count of the generated decoder.
#[test]
fn fuzz_the_walk() {
    let sound: Vec<_> = (0..60).map(|n| Request::random(Signal::ALL[n % 3], n as u64).encode()).collect();
    let (mut n, mut read) = (0, 0);
    crate::fuzzed::fuzz(&sound, |bytes| {
        n += 1;
        read += u32::from(agrees(Signal::ALL[n % 3], bytes).unwrap());
    });
    assert!(read > 1000 && n - read as usize > 1000, "{read} of {n} were requests: neither verdict is tested");
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(content);
    bytes
}

/// A logs request with one record that holds `record`.
fn log(record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record)))
}

/// A message of the common shapes for each signal: short and long strings, every type of value, packed lists, two-byte keys.
fn common_shapes() -> [(Signal, Vec<u8>); 4] {
    let pair = |value: &[u8]| [field(1, b"key"), field(2, value)].concat();
    let double = [0x21, 1, 2, 3, 4, 5, 6, 7, 8];
    let pairs =
        [&field(1, b"text")[..], &[0x18, 0xac, 0x02], &[0x10, 0x01], &double, &field(7, b"\xff"), &field(5, b"")]
            .map(|value| field(6, &pair(value)));
    let record = [&[0x10, 9][..], &field(3, b"INFO"), &field(5, &field(1, &[b'x'; 130])), &pairs.concat()].concat();
    let span = [&field(5, "é".as_bytes())[..], &[0x30, 2], &[0x85, 0x01, 1, 0, 0, 0], &field(15, &[0x18, 1])].concat();
    let source = [field(1, b"cross_cluster.source"), field(2, &field(1, b"x"))].concat();
    let called = [&[0x30, 2][..], &field(9, &source)].concat();
    let resource = field(1, &field(1, &[field(1, CLUSTER.as_bytes()), field(2, &field(1, b"y"))].concat()));
    let called = field(1, &[field(2, &field(2, &called)), resource].concat());
    let buckets = field(8, &field(2, &[0, 0xac, 0x02]));
    let histogram = field(9, &field(1, &[field(6, &[1; 16]), field(7, &[2; 8])].concat()));
    let metrics = [field(2, &histogram), field(2, &field(10, &field(1, &buckets)))].concat();
    [
        (Signal::Logs, log(&record)),
        (Signal::Traces, field(1, &field(2, &field(2, &span)))),
        (Signal::Traces, called),
        (Signal::Metrics, field(1, &field(2, &metrics))),
    ]
}

/// Those requests with each byte in turn replaced by every other value, left out, doubled, and cut off behind.
/// Guarantees that no shortcut of the walk takes what the generated decoder refuses, or the other way round.
#[test]
fn every_change_of_one_byte_gets_the_same_verdict() {
    for (signal, request) in common_shapes() {
        assert!(agrees(signal, &request).unwrap());
        for at in 0..request.len() {
            let mut changed = request.clone();
            for value in 0..=u8::MAX {
                changed[at] = value;
                agrees(signal, &changed).unwrap();
            }
            agrees(signal, &request[..at]).unwrap();
            agrees(signal, &[&request[..at], &request[at + 1..]].concat()).unwrap();
            agrees(signal, &[&request[..=at], &request[at..]].concat()).unwrap();
        }
    }
}

/// A pair whose key has a length of two bytes, made so that it looks like a short one to whoever reads only the first.
/// Guarantees that the shortcut for pairs is not fooled.
#[test]
fn a_long_key_is_not_taken_for_a_short_one() {
    let mut pair = vec![0x0a, 0x82, 0x01];
    pair.extend([b'k'; 129]);
    pair.extend([0x12, 2, 0x18, 5]);
    assert!(!agrees(Signal::Logs, &log(&field(6, &pair))).unwrap());
}

/// Bodies nested up to and past the limit, with known and unknown fields at the bottom.
/// Guarantees that the nesting limit is exactly that of the generated decoder.
#[test]
fn nesting_ends_where_the_generated_decoder_ends_it() {
    let bottoms: [&[u8]; 5] = [b"", b"\x0a\x01x", b"\xf8\x01\x00", b"\xf3\x01\xf4\x01", b"\x12\x00"];
    for list in [5, 6] {
        for levels in 0..60 {
            for bottom in bottoms {
                let nested = (0..levels).fold(bottom.to_vec(), |value, _| {
                    let element = if list == 5 { value } else { [b"\x0a\x01k", &*field(2, &value)].concat() };
                    field(list, &field(1, &element))
                });
                agrees(Signal::Logs, &log(&field(5, &nested))).unwrap();
                agrees(Signal::Logs, &log(&field(6, &field(2, &nested)))).unwrap();
            }
        }
    }
    let groups = |depth: usize| [[0xf3, 0x01].repeat(depth), [0xf4, 0x01].repeat(depth)].concat();
    for depth in 90..110 {
        agrees(Signal::Logs, &groups(depth)).unwrap();
        agrees(Signal::Logs, &log(&groups(depth))).unwrap();
    }
}

/// Metrics whose data are given twice, as one kind or as several.
/// Guarantees that points of a displaced kind are not counted, as the generated decoder drops them.
#[test]
fn the_last_kind_of_a_metric_counts() {
    let kinds = [5, 7, 9, 10, 11];
    let points = |kind, count| field(kind, &field(1, b"").repeat(count));
    for first in kinds {
        for second in kinds {
            for third in kinds {
                let metric = [points(first, 1), points(second, 2), points(third, 4)].concat();
                let request = field(1, &field(2, &[field(2, &metric), field(2, &points(5, 8))].concat()));
                assert!(agrees(Signal::Metrics, &request).unwrap());
            }
        }
    }
}

/// A call from another cluster, the server's and the consumer's side of it: with a parent and without, and with a source that is
/// empty, no text, or not there.
/// Guarantees that context counts as lost only where somebody called and does not stand above.
#[test]
fn context_is_lost_only_where_there_was_some() {
    let source = |value: &[u8]| field(9, &[field(1, b"cross_cluster.source"), field(2, value)].concat());
    let named = source(&field(1, b"aws-eu-west-1-prod-01"));
    for (kind, parent, attribute, lost) in [
        (2, &b""[..], &named, 1),
        (5, b"", &named, 1),
        (3, b"", &named, 0),
        (1, b"", &named, 0),
        (2, b"12345678", &named, 0),
        (2, b"", &source(&field(1, b"")), 0),
        (2, b"", &source(b"\x18\x01"), 0),
        (2, b"", &Vec::new(), 0),
    ] {
        let parent = if parent.is_empty() { Vec::new() } else { field(4, parent) };
        let span = [&parent[..], &[0x30, kind], attribute].concat();
        let request = field(1, &field(2, &field(2, &span)));
        assert!(agrees(Signal::Traces, &request).unwrap());
        let expected = Origin { cluster: "", spans: 1, without_context: lost };
        assert_eq!(skim(Signal::Traces, &request).unwrap().origins, [expected], "{kind} {parent:?} {attribute:?}");
    }
}

/// Spans of a hundred clusters in one request, each of them twice.
/// Guarantees that the first are told apart, that none is left out, and that the table is bounded.
#[test]
fn further_clusters_are_one() {
    let of = |n: usize| {
        let pair = [field(1, CLUSTER.as_bytes()), field(2, &field(1, format!("cluster-{n}").as_bytes()))].concat();
        field(1, &[field(1, &field(1, &pair)), field(2, &field(2, b""))].concat())
    };
    let request = (0..200).flat_map(|n| of(n % 100)).collect::<Vec<_>>();
    let found = skim(Signal::Traces, &request).unwrap().origins;
    assert_eq!(found.len(), MOST + 1);
    assert_eq!(found[63], Origin { cluster: "cluster-63", spans: 2, without_context: 0 });
    assert_eq!(found[MOST], Origin { cluster: OTHER, spans: 72, without_context: 0 });
}

/// Requests that are wrong in one place each.
/// Guarantees the sentence that the client's developer reads: the field, what is wrong, and where.
#[test]
fn a_fault_is_described_where_it_lies() {
    let sentence = |bytes: &[u8]| skim(Signal::Logs, bytes).unwrap_err().to_string();
    let records = [field(2, &field(3, b"INFO")), field(2, &field(5, &field(1, b"caf\xe9")))].concat();
    let request = [field(1, b""), field(1, &[field(1, b""), field(2, b""), field(2, &records)].concat())].concat();
    assert_eq!(
        sentence(&request),
        "resource_logs[1].scope_logs[1].log_records[1].body.string_value: is a string, but not valid UTF-8 from \
         its byte 3 on (at byte 22 of the uncompressed body)"
    );
    assert_eq!(
        sentence(&log(b"\x09\x01\x02")),
        "resource_logs[0].scope_logs[0].log_records[0].time_unix_nano: should be 8 bytes long, but only 2 are left \
         (at byte 6 of the uncompressed body)"
    );
    assert_eq!(
        sentence(&request[..20]),
        "resource_logs[1]: should be 24 bytes long, but only 16 are left (at byte 2 of the uncompressed body)"
    );
    assert_eq!(
        sentence(b"{\"resourceLogs\":[]}"),
        "the request: looks like JSON, but came as protobuf; the content type decides (at byte 0 of the uncompressed \
         body)"
    );
}
