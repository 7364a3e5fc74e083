//! Scenario: a real Prometheus scrapes a gateway whose hub is cut, then its fallback too, so that only a file takes what comes in; then
//! both are back. Rules of others that know only the conventional names are evaluated beside ours.
//! Guarantee: nothing fires before, the outage fires its alerts in their order, each goes through pending, and they end; the books
//! balance at each step, and the hub has every item in the end.
//!
//! The rules are the shipped ones in which a minute is a second (`prometheus::hurried`); nothing else is changed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::answer::Answer;

use crate::prometheus::{Prometheus, hurried};
use crate::shipped;
use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

/// What may fire on a machine that is slow or small, and says nothing of the outage.
const OF_THE_MACHINE: &str = "SpillwayCommitSlow|SpillwayCrossClusterSlow|SpillwayBufferFullIn12h|SpillwayBufferFullIn4h|HighCrossClusterLatency";

#[tokio::test(flavor = "multi_thread")]
async fn the_alerts_of_an_outage_fire_and_end() {
    let (mut hub, mut direct) = (Hub::start().await, Hub::start().await);
    let mut home = Home::new();
    home.queue = "max_size: 20GiB".to_owned();
    let gateway = home.start(&config(&hub, &direct, &home));
    let rules = [
        ("rules.yaml", hurried(&shipped::folder().join("rules.yaml"), 1)),
        ("hub-rules.yaml", hurried(&shipped::folder().join("hub-rules.yaml"), 1)),
        ("common.yaml", hurried(&shipped::root().join("tests/alerts/common-rules.yaml"), 1)),
    ];
    let Some(prometheus) = Prometheus::scraping(gateway.admin, &rules) else {
        crate::skip::aloud("prometheus is not installed (Debian's package prometheus)");
        return;
    };
    let load = Load::start(gateway.grpc, gateway.http, 5, Duration::from_millis(200));
    let mut story = Story { began: now(), steps: Vec::new() };

    // Twenty evaluations, more than the ranges of the quickest rules.
    until("a healthy while", seconds(60), || prometheus.holds("count_over_time(up[5m]) >= 20 and up == 1")).await;
    until("items at the hub", seconds(60), || hub.distinct() > 0).await;
    assert_eq!(firing(&prometheus, ""), BTreeMap::new(), "a healthy gateway fires nothing");
    common_rules_see_us(&gateway, &prometheus).await;
    story.step("healthy", &gateway, &prometheus);

    hub.take_away().await;
    let cut = now();
    until("the primary is told to be down", seconds(60), || is_firing(&prometheus, "SpillwayPrimaryDown", "warning"))
        .await;
    until("the fallback is told to stand in", seconds(60), || {
        is_firing(&prometheus, "SpillwayRunningOnFallback", "warning")
    })
    .await;
    assert!(!is_firing(&prometheus, "SpillwayPartitioned", "warning"), "the fallback takes everything");
    assert!(gateway.metric("spillway_owed_items", &[]) > 0.0, "what the fallback took is owed");
    assert!(direct.distinct() > 0);
    story.step("hub cut", &gateway, &prometheus);

    direct.take_away().await;
    until("the partition is told", seconds(60), || is_firing(&prometheus, "SpillwayPartitioned", "warning")).await;
    until("it is told to be critical", seconds(60), || is_firing(&prometheus, "SpillwayPartitioned", "critical")).await;
    let filled = file_bytes(&home);
    until("the file goes on filling", seconds(60), || file_bytes(&home) > filled).await;
    story.step("fallback cut", &gateway, &prometheus);

    hub.bring_back().await;
    direct.bring_back().await;
    until("the partition is over", seconds(60), || !prometheus.holds(r#"ALERTS{alertname="SpillwayPartitioned"}"#))
        .await;
    let acknowledged = load.stop().await;
    until("the primary is paid back", seconds(60), || gateway.books("queued") == 0).await;
    until("no alert is left", seconds(60), || firing(&prometheus, "").is_empty()).await;
    assert_eq!(hub.missing(&acknowledged), []);
    assert_eq!(gateway.books("dropped") + gateway.books("dead") + gateway.books("rejected"), 0);
    story.step("both back", &gateway, &prometheus);

    // What Prometheus wrote down meanwhile.
    let all = firing(&prometheus, "[1h]");
    let expected = ["SpillwayPartitioned", "SpillwayPrimaryDown", "SpillwayRunningOnFallback"];
    assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let times = |name: &str, state: &str, severity: &str| {
        let of =
            format!(r#"ALERTS{{alertname="{name}",alertstate="{state}",severity="{severity}",signal=~"|logs"}}[1h]"#);
        let series = prometheus.query(&of);
        series.first().unwrap_or_else(|| panic!("{name} was never {state} as {severity}")).span()
    };
    println!("seconds after the hub was cut, a minute of the shipped rules being a second here:");
    for (name, severity) in [
        ("SpillwayPrimaryDown", "warning"),
        ("SpillwayRunningOnFallback", "warning"),
        ("SpillwayPartitioned", "warning"),
        ("SpillwayPartitioned", "critical"),
    ] {
        let (pending, fired) = (times(name, "pending", severity), times(name, "firing", severity));
        let after = |at: f64| at - cut;
        println!(
            "  {name:<27} {severity:<9} pending {:>5.1}  firing {:>5.1}  last {:>5.1}",
            after(pending.0),
            after(fired.0),
            after(fired.1)
        );
        assert!(cut <= pending.0 && pending.0 < fired.0, "{name} was pending before it fired, and after the cut");
    }
    assert!(times("SpillwayPartitioned", "firing", "warning").0 < times("SpillwayPartitioned", "firing", "critical").0);
    assert!(times("SpillwayPrimaryDown", "firing", "warning").0 < times("SpillwayPartitioned", "firing", "warning").0);
    story.tell();
}

/// Hub and fallback over the network, and a file as the last resort, whose OK is owed to the hub as the fallback's is.
fn config(hub: &Hub, direct: &Hub, home: &Home) -> String {
    let pace = "timeout: 2s, retry: {initial_interval: 100ms, max_interval: 1s}, \
                health: {interval: 500ms, timeout: 2s, unhealthy_after: 2}, \
                breaker: {open_for: 300ms, max_open_for: 1s, half_open_successes: 2, ramp: 1s}";
    format!(
        "cluster: {{name: west}}\n\
         targets:\n  \
           hub: {{protocol: otlp_grpc, endpoint: \"{}\", cluster: central, {pace}}}\n  \
           direct: {{protocol: otlp_http, endpoint: \"{}\", cluster: backend, {pace}}}\n  \
           disk: {{protocol: file, path: {}/disk.jsonl}}\n\
         chain: {{primary: hub, fallback: [direct, disk], failover_after: 1s, min_stay: 1s}}\n",
        hub.url(),
        direct.url(),
        home.path().display(),
    )
}

/// Rules of others find their series, of the clusters that they are of.
async fn common_rules_see_us(gateway: &Gateway, prometheus: &Prometheus) {
    let p99 = "histogram_quantile(0.99, sum(rate(cross_cluster_request_duration_seconds_bucket[10s])) by (le, source_cluster, target_cluster)) >= 0";
    until("a p99 from west to central", seconds(60), || prometheus.holds(p99)).await;
    let found = prometheus.query(p99);
    assert_eq!(found.len(), 1, "of the fallback there is no rate yet");
    assert_eq!((found[0].label("source_cluster"), found[0].label("target_cluster")), ("west", "central"));

    // Of ten spans of the cluster east eight were called by others; of two of those the caller's context is lost.
    let request = calls();
    let client = Client::of(Transport::Http, gateway.http);
    let answer = client.send_body(Signal::Traces, Encoding::Gzip, &request).await;
    assert!(matches!(answer, Answer::Accepted { .. }), "{answer}");
    let ratio = "sum(spans_without_parent_context_total) by (cluster) / sum(spans_total) by (cluster)";
    until("the spans of east", seconds(60), || {
        prometheus.query(ratio).iter().any(|series| series.label("cluster") == "east" && series.value() == 0.2)
    })
    .await;
    let own = prometheus.query(r#"sum(spans_without_parent_context_total{cluster="west"}) by (cluster)"#);
    assert_eq!(
        own.iter().map(|series| series.value()).collect::<Vec<_>>(),
        [0.0],
        "spans of our own have lost nothing"
    );
    let all = gateway.get("/metrics").1;
    let sum = |name: &str| {
        let lines = all.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    assert_eq!(
        sum("spans_total{"),
        sum("spillway_received_items_total{signal=\"traces\"}"),
        "each span is of one cluster"
    );
}

/// Ten spans of the cluster east, numbered apart from the load's.
pub(crate) fn calls() -> Vec<u8> {
    let text = |key: &str, text: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) }),
        ..KeyValue::default()
    };
    let id = |id: i64| KeyValue {
        key: "test.item".to_owned(),
        value: Some(AnyValue { value: Some(Value::IntValue(id)) }),
        ..KeyValue::default()
    };
    let spans = (0..10).map(|n| Span {
        name: format!("call {n}"),
        kind: if n < 8 { 2 } else { 3 },
        parent_span_id: if n < 2 { Vec::new() } else { vec![1; 8] },
        attributes: vec![id((1 << 50) + n), text("cross_cluster.source", "west")],
        ..Span::default()
    });
    let resource = Some(Resource { attributes: vec![text("k8s.cluster.name", "east")], ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
    .encode_to_vec()
}

/// The alerts that fire, or within a range did, and how many series of each; but for those of the machine.
fn firing(prometheus: &Prometheus, range: &str) -> BTreeMap<String, usize> {
    let of = format!(r#"ALERTS{{alertstate="firing",alertname!~"{OF_THE_MACHINE}"}}{range}"#);
    let mut found = BTreeMap::new();
    for series in prometheus.query(&of) {
        *found.entry(series.label("alertname").to_owned()).or_default() += 1;
    }
    found
}

fn is_firing(prometheus: &Prometheus, name: &str, severity: &str) -> bool {
    prometheus.holds(&format!(r#"ALERTS{{alertname="{name}",alertstate="firing",severity="{severity}"}}"#))
}

/// Bytes that the file target wrote.
fn file_bytes(home: &Home) -> u64 {
    let files = std::fs::read_dir(home.path()).unwrap().map(|file| file.unwrap());
    let written = files.filter(|file| file.file_name().to_string_lossy().starts_with("disk"));
    written.map(|file| file.metadata().unwrap().len()).sum()
}

/// Seconds since the Unix epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The books at each step, to be told in the end.
struct Story {
    began: f64,
    steps: Vec<String>,
}

impl Story {
    fn step(&mut self, name: &str, gateway: &Gateway, prometheus: &Prometheus) {
        gateway.assert_balanced();
        let metrics = ["accepted", "queued", "owed", "delivered", "dropped"]
            .map(|account| format!("{account} {}", gateway.books(account)));
        let alerts: Vec<_> = firing(prometheus, "").into_keys().collect();
        self.steps.push(format!(
            "  {:>5.1} s  {name:<13} {}  firing: {}",
            now() - self.began,
            metrics.join(", "),
            alerts.join(", ")
        ));
    }

    fn tell(&self) {
        println!("the books, balanced at each step:");
        for step in &self.steps {
            println!("{step}");
        }
    }
}
