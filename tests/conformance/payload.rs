//! What may stand inside a request, in protobuf and JSON alike.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spillway::batch::Signal;

use crate::answers::accepted;
use crate::peer::{Carried, Peer, Way};

fn with(attributes: Vec<KeyValue>, span: Span) -> ExportTraceServiceRequest {
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "one".to_owned(), ..span };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
}

async fn arrives(peer: &Peer, way: Way, sent: &ExportTraceServiceRequest) {
    accepted(way, &peer.export(way, Signal::Traces, &sent.encode_to_vec()).await);
    if let Some((_, stored)) = peer.taken(Signal::Traces).await {
        assert_eq!(ExportTraceServiceRequest::decode(&stored[..]).unwrap(), *sent);
    }
}

fn pair(key: &str, value: Option<Value>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.map(|value| AnyValue { value: Some(value) }), key_strindex: 0 }
}

/// Fields of a later version, at every depth.
pub(crate) async fn unknown_fields(peer: Peer, way: Way) {
    if way.by == Carried::Json {
        let json = br#"{"resourceSpans":[{"later":{"a":[1]},"scopeSpans":[{"later":null,"spans":[{"name":"one","later":"x"}]}]}],"later":7}"#;
        accepted(way, &peer.send(way, Signal::Traces, json).await);
        if let Some((count, _)) = peer.taken(Signal::Traces).await {
            assert_eq!(count, 1);
        }
        return;
    }
    // Field 1000, of two wire types, in the request, the resource spans, the scope spans and the span.
    let later = [&[0xc0, 0x3e, 7][..], &[0xc2, 0x3e, 2, b'h', b'i']].concat();
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content, &later].concat();
    let span = [&field(5, b"one")[..], &later].concat();
    let request = field(1, &field(2, &field(2, &span)));
    accepted(way, &peer.send(way, Signal::Traces, &request).await);
    if let Some((count, stored)) = peer.taken(Signal::Traces).await {
        assert_eq!((count, stored == request), (1, true), "unknown fields are gone");
    }
}

/// Values of every kind: empty, bytes, mixed arrays, nested lists; a key twice.
pub(crate) async fn values(peer: Peer, way: Way) {
    let mixed =
        vec![Some(Value::IntValue(-1)), Some(Value::StringValue("x".to_owned())), Some(Value::BoolValue(false))];
    let mixed = ArrayValue { values: mixed.into_iter().map(|value| AnyValue { value }).collect() };
    let nested = KeyValueList { values: vec![pair("k", Some(Value::KvlistValue(KeyValueList::default())))] };
    let attributes = vec![
        pair("none", None),
        pair("", Some(Value::StringValue(String::new()))),
        pair("bytes", Some(Value::BytesValue(vec![0, 0xff, 0xfb]))),
        pair("mixed", Some(Value::ArrayValue(mixed))),
        pair("nested", Some(Value::KvlistValue(nested))),
        pair("double", Some(Value::DoubleValue(0.1))),
        pair("again", Some(Value::IntValue(1))),
        pair("again", Some(Value::IntValue(2))),
    ];
    arrives(&peer, way, &with(attributes, Span::default())).await;
}

/// Flag bits that have no meaning yet.
pub(crate) async fn flags(peer: Peer, way: Way) {
    for flags in [0x0000_0101, 0xffff_fc00, u32::MAX] {
        arrives(&peer, way, &with(Vec::new(), Span { flags, ..Span::default() })).await;
    }
}

/// References into a table of strings, which belong to profiles.
pub(crate) async fn strindex(peer: Peer, way: Way) {
    let key = KeyValue { key_strindex: 7, ..pair("", Some(Value::StringValueStrindex(9))) };
    arrives(&peer, way, &with(vec![key], Span::default())).await;
}
