//! Scenario: a gateway with a heartbeat and with spans of its own, all of them sampled; a request goes through it.
//! Guarantee: the heartbeat reaches the primary, the spans their endpoint, both with the cluster's identity; the request carries the
//! context of one of these spans, and none is about the sending of spans; the books know of the request alone.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::alone;
use crate::sink::{Seen, Sink};
use crate::support::client::{Client, Transport};
use crate::support::gateway::Home;
use crate::support::items;
use crate::support::wait::{seconds, until};

const CLUSTER: &str = "aws-eu-west-1-prod-01";

fn says_whose(resource: Option<&Resource>) -> bool {
    let has = |key: &str, text: &str| {
        let value = Some(Value::StringValue(text.to_owned()));
        resource.is_some_and(|resource| {
            resource
                .attributes
                .iter()
                .any(|pair| pair.key == key && pair.value.as_ref().map(|any| &any.value) == Some(&value))
        })
    };
    has("service.name", "spillway") && has("k8s.cluster.name", CLUSTER)
}

fn heartbeats(seen: &[Seen]) -> usize {
    let metrics = seen.iter().filter(|seen| seen.path == Signal::Metrics.grpc_path() && seen.body.len() > 5);
    let requests = metrics.map(|seen| ExportMetricsServiceRequest::decode(seen.message().1).unwrap());
    let resources = requests.flat_map(|request| request.resource_metrics);
    resources
        .filter(|metrics| says_whose(metrics.resource.as_ref()) && beats(&metrics.scope_metrics[0].metrics[0]))
        .count()
}

/// The point itself says whose it is, for hubs that make no labels of what resources carry.
fn beats(metric: &Metric) -> bool {
    let Some(Data::Gauge(gauge)) = &metric.data else { return false };
    let [point] = &gauge.data_points[..] else { return false };
    let cluster = Some(Value::StringValue(CLUSTER.to_owned()));
    let named = |pair: &KeyValue| pair.key == "cluster" && pair.value.as_ref().map(|any| &any.value) == Some(&cluster);
    metric.name == "spillway.heartbeat"
        && point.value == Some(number_data_point::Value::AsInt(1))
        && point.attributes.iter().any(named)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_heartbeats_arrive() {
    let (hub, traces) = (Sink::start().await, Sink::start().await);
    let home = Home::new();
    let gateway = home.start(&format!(
        "{}cluster: {{name: {CLUSTER}}}\n\
         telemetry: {{heartbeat: 200ms, traces: {{endpoint: \"{}\", sample: 100%}}}}\n",
        alone("otlp_grpc", &hub.url()),
        traces.url()
    ));
    let client = Client::of(Transport::Grpc, gateway.grpc);
    let sent = client.send_body(Signal::Logs, Encoding::Identity, &items::request(Signal::Logs, 1..2)).await;
    assert_eq!(sent, Answer::accepted());
    until("the hub has a log and two heartbeats", seconds(60), || {
        let seen = hub.seen();
        seen.iter().any(|seen| seen.path == Signal::Logs.grpc_path() && seen.body.len() > 5) && heartbeats(&seen) >= 2
    })
    .await;
    let seen = hub.seen();
    let log = seen.iter().find(|seen| seen.path == Signal::Logs.grpc_path() && seen.body.len() > 5).unwrap();
    let context = log.header("traceparent").to_owned();

    let mut spans = Vec::new();
    until("the span of the log has come", seconds(60), || {
        spans = traces.seen();
        let requests = spans.iter().filter(|seen| seen.body.len() > 5);
        let requests = requests.map(|seen| ExportTraceServiceRequest::decode(seen.message().1).unwrap());
        requests.flat_map(|request| request.resource_spans).any(|spans| {
            assert!(says_whose(spans.resource.as_ref()));
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let mut spans = spans.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.any(|span| context == format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)))
        })
    })
    .await;
    assert!(spans.iter().all(|seen| seen.header("traceparent").is_empty()), "a span about spans");
    until("the log is settled", seconds(60), || gateway.books("queued") == 0).await;
    assert_eq!(gateway.books("accepted"), 1, "what is our own does not go through the queue");
    gateway.assert_balanced();
}
