//! Tagged requests against the generated decoder.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;

use super::*;
use crate::batch::Signal;
use crate::otlp::samples::{Request, cases, signal};

const TAGS: [(&str, &str); 3] = [("k8s.cluster.name", "aws-eu-west-1-prod-01"), ("cloud.region", "eu"), ("none", "")];

fn pair(key: &str, value: Option<any_value::Value>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.map(|value| AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Some(any_value::Value::StringValue(value.to_owned())))
}

/// What an attribute may already be.
fn found() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![Just("k8s.cluster.name"), Just("cloud.region"), Just("other")];
    let one = (key, 0..6_u8).prop_map(|(key, kind)| match kind {
        0 => text(key, ""),
        1 => pair(key, None),
        2 => pair(key, Some(any_value::Value::IntValue(7))),
        3 => text(key, "eu"),
        4 => text(key, "aws-eu-west-1-prod-01"),
        _ => text(key, "another"),
    });
    proptest::collection::vec(one, 0..4)
}

/// The same by means of the decoded form: the model.
fn tag(resource: &mut Option<Resource>, upsert: bool) {
    let attributes = &mut resource.get_or_insert_default().attributes;
    for (key, value) in TAGS.into_iter().filter(|(_, value)| !value.is_empty()) {
        let empty = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
            None => true,
            Some(any_value::Value::StringValue(text)) => text.is_empty(),
            Some(_) => false,
        };
        let goes = |pair: &KeyValue| pair.key == key && (empty(pair) || (upsert && *pair != text(key, value)));
        attributes.retain(|pair| !goes(pair));
    }
    for (key, value) in TAGS.into_iter().filter(|(_, value)| !value.is_empty()) {
        if !attributes.iter().any(|pair| pair.key == key) {
            attributes.push(text(key, value));
        }
    }
}

fn resources(request: &mut Request) -> Vec<&mut Option<Resource>> {
    match request {
        Request::Traces(request) => request.resource_spans.iter_mut().map(|one| &mut one.resource).collect(),
        Request::Metrics(request) => request.resource_metrics.iter_mut().map(|one| &mut one.resource).collect(),
        Request::Logs(request) => request.resource_logs.iter_mut().map(|one| &mut one.resource).collect(),
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// Random requests, whose resources are missing or have some of the attributes already, empty ones, others, and some twice.
    /// Guarantees what the model says, that a second time changes nothing, and that what changes nothing is told apart.
    #[test]
    fn every_resource_is_tagged(signal in signal(), seed: u64, upsert: bool, found in found()) {
        let mut request = Request::random(signal, seed);
        for resource in resources(&mut request).into_iter().flatten() {
            resource.attributes.extend(found.clone());
        }
        let bytes = request.encode();
        let tags = Tags::new(TAGS, upsert);
        let tagged = tags.apply(&bytes);
        let mut expected = request.clone();
        resources(&mut expected).into_iter().for_each(|resource| tag(resource, upsert));
        prop_assert_eq!(tagged.is_none(), expected == request);
        let tagged = tagged.unwrap_or(bytes);
        prop_assert_eq!(&Request::decode(signal, &tagged).unwrap(), &expected);
        prop_assert!(tags.apply(&tagged).is_none());
        prop_assert!(Tags::default().apply(&tagged).is_none());
    }

    /// Noise. Guarantees that nothing makes it panic.
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tags::new(TAGS, true).apply(&bytes);
    }
}

/// A resource in two pieces, with fields that nobody knows at every level.
/// Guarantees that it goes on in one piece, with one tag of each, and all else stays as it was.
#[test]
fn a_resource_in_pieces_is_one() {
    let unknown = message(900, b"of the future");
    let attribute = message(ONE, &[message(KEY, b"cloud.region"), message(VALUE, &message(STRING, b"us"))].concat());
    let first = message(ONE, &[unknown.clone(), attribute.clone()].concat());
    let (second, scope) = (message(ONE, &unknown), message(2, b""));
    let request = [message(ONE, &[first, scope.clone(), second].concat()), unknown.clone()].concat();
    let tags = Tags::new(TAGS, false);
    let name = &tags.tags[0].field;
    let whole = message(ONE, &[unknown.clone(), attribute, unknown.clone(), name.clone()].concat());
    let expected = [message(ONE, &[whole, scope].concat()), unknown].concat();
    assert_eq!(tags.apply(&request), Some(expected));
    assert_eq!(crate::otlp::skim::skim(Signal::Logs, &request).unwrap().items, 0);
}
