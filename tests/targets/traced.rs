//! Scenario: targets with a tracer: one that takes, one that refuses, one that hangs up; a client's own context; none sampled.
//! Guarantee: a sampled request carries the context of a CLIENT span that tells where it went and what came of it; others carry what
//! the client sent.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use spillway::batch::{Encoding, Signal};
use spillway::config::{Protocol, TargetKind};
use spillway::otlp::answer::Answer;
use spillway::target::{Shipment, Tracer, build_traced};

use crate::setup::{BOTH, config, network, shipment};
use crate::sink::{Reply, Sink};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A shipment whose client had a span of its own.
fn within_a_trace() -> Shipment {
    let mut shipment = shipment(Signal::Logs, Encoding::Gzip, "one");
    let context = format!("00-{TRACE}-b7ad6b7169203331-01");
    shipment.batch.headers = [("traceparent".into(), context.into())].into();
    shipment
}

/// Sends one to a sink that answers so, and gives the `traceparent` that arrived and the span.
async fn sent(protocol: Protocol, sample: f64, reply: Reply, shipment: &Shipment) -> (Answer, String, Option<Span>) {
    let sink = Sink::start().await;
    sink.always(reply);
    let mut hub = config(TargetKind::Network(network(protocol, &sink.url())));
    hub.cluster = "central".to_owned();
    let (tracer, mut spans) = Tracer::new(sample, "edge");
    let answer = build_traced(&hub, "edge", Some(&tracer)).unwrap().send(shipment).await;
    let seen = sink.seen().pop().unwrap();
    (answer, seen.header("traceparent").to_owned(), spans.try_recv().ok())
}

fn value(span: &Span, key: &str) -> Option<Value> {
    span.attributes.iter().find(|pair| pair.key == key)?.value.clone()?.value
}

fn text(text: &str) -> Option<Value> {
    Some(Value::StringValue(text.to_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_sampled_request_carries_its_span() {
    for (protocol, signal) in BOTH.into_iter().flat_map(|protocol| Signal::ALL.map(|signal| (protocol, signal))) {
        let one = shipment(signal, Encoding::Gzip, "one");
        let (answer, context, span) = sent(protocol, 1.0, Reply::accept(), &one).await;
        let span = span.unwrap();
        assert_eq!((answer, span.kind, &span.status), (Answer::accepted(), 3, &None));
        assert_eq!(context, format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)));
        assert!(span.parent_span_id.is_empty() && span.start_time_unix_nano <= span.end_time_unix_nano);
        assert_eq!(value(&span, "cross_cluster.source"), text("edge"));
        assert_eq!(value(&span, "cross_cluster.target"), text("central"));
        assert_eq!(value(&span, "server.address"), text("127.0.0.1"));
        let (name, status) = match protocol {
            Protocol::OtlpGrpc => ("cross-cluster.grpc.Export", ("rpc.grpc.status_code", 0)),
            Protocol::OtlpHttp => ("cross-cluster.central", ("http.response.status_code", 200)),
        };
        assert_eq!((span.name.as_str(), value(&span, status.0)), (name, Some(Value::IntValue(status.1))));
        assert_eq!(value(&span, "spillway.signal"), text(signal.as_str()));
        let called = ["rpc.system", "rpc.service", "rpc.method", "url.path"].map(|key| value(&span, key));
        let service = signal.grpc_path()[1..].strip_suffix("/Export").unwrap();
        assert_eq!(
            called,
            match protocol {
                Protocol::OtlpGrpc => [text("grpc"), text(service), text("Export"), None],
                Protocol::OtlpHttp => [None, None, None, text(signal.http_path())],
            }
        );
    }
}

#[tokio::test]
async fn a_clients_trace_goes_on() {
    for protocol in BOTH {
        let (_, context, span) = sent(protocol, 1.0, Reply::accept(), &within_a_trace()).await;
        let span = span.unwrap();
        assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), "b7ad6b7169203331".to_owned()));
        assert_eq!(context, format!("00-{TRACE}-{}-01", hex(&span.span_id)));

        let (_, context, span) = sent(protocol, 0.0, Reply::accept(), &within_a_trace()).await;
        assert_eq!((context, span), (format!("00-{TRACE}-b7ad6b7169203331-01"), None), "not sampled");
    }
}

#[tokio::test]
async fn an_error_is_recorded() {
    let one = shipment(Signal::Logs, Encoding::Identity, "one");
    for (protocol, reply, status) in [
        (Protocol::OtlpGrpc, Reply::grpc(14, "away"), Some(("rpc.grpc.status_code", 14))),
        (Protocol::OtlpHttp, Reply::http(503), Some(("http.response.status_code", 503))),
        (Protocol::OtlpHttp, Reply::Cut, None),
    ] {
        let (answer, _, span) = sent(protocol, 1.0, reply, &one).await;
        let span = span.unwrap();
        assert_eq!(
            span.status.as_ref().map(|status| (status.code, status.message.clone())),
            Some((2, answer.to_string()))
        );
        assert_eq!(span.events[0].name, "exception");
        if let Some((key, code)) = status {
            assert_eq!(value(&span, key), Some(Value::IntValue(code)));
        }
    }
}
