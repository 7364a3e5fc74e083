//! Scenario: rules of others, which know only the conventional names, beside ours in a real Prometheus; the way to the hub becomes slow, and
//! a proxy in front of the cluster east drops the context of calls; then both are mended.
//! Guarantee: each rule fires for the clusters that it is about, and for no other; before and after none does.

use std::collections::BTreeSet;
use std::time::Duration;

use spillway::batch::{Encoding, Signal};

use crate::outage::calls;
use crate::prometheus::{Prometheus, hurried};
use crate::proxy::{Fault, Proxy};
use crate::shipped;
use crate::support::client::{Client, Load, Transport};
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

/// Theirs, then ours.
const RULES: [&str; 4] =
    ["ContextPropagationFailure", "HighCrossClusterLatency", "SpillwayContextLost", "SpillwayCrossClusterSlow"];

#[tokio::test(flavor = "multi_thread")]
async fn common_rules_fire_when_they_should() {
    let hub = Hub::start().await;
    let way = Proxy::start(hub.address(), None).await;
    let home = Home::new();
    // Without probes, since they would call a way of six seconds down.
    let gateway = home.start(&format!(
        "cluster: {{name: west}}\n\
         targets: {{hub: {{protocol: otlp_http, endpoint: \"{}\", cluster: central, timeout: 30s, health: {{probe: off}}}}}}\n\
         chain: {{primary: hub}}\n",
        way.url()
    ));
    let rules = [
        ("hub-rules.yaml", hurried(&shipped::folder().join("hub-rules.yaml"), 1)),
        ("common.yaml", hurried(&shipped::root().join("tests/alerts/common-rules.yaml"), 1)),
    ];
    let Some(prometheus) = Prometheus::scraping(gateway.admin, &rules) else {
        return crate::skip::aloud("prometheus is not installed (Debian's package prometheus)");
    };
    let alerts = |state: &str| -> BTreeSet<String> {
        let found = prometheus.query(&format!(r#"ALERTS{{alertstate="{state}"}}"#));
        found.iter().map(|series| series.label("alertname").to_owned()).collect()
    };
    let load = Load::start(gateway.grpc, gateway.http, 5, Duration::from_millis(200));
    until("a healthy while", seconds(120), || prometheus.holds("count_over_time(up[5m]) >= 20 and up == 1")).await;
    let firing = alerts("firing");
    assert!(firing.iter().all(|name| name.contains("Latency") || name.contains("Slow")), "{firing:?}");

    way.set(Fault::Latency(Duration::from_millis(3_200))); // there, and back
    let client = Client::of(Transport::Http, gateway.http);
    let mut callers = tokio::time::interval(Duration::from_millis(200));
    let lost = calls();
    let all = BTreeSet::from(RULES.map(str::to_owned));
    let deadline = tokio::time::Instant::now() + seconds(180);
    while alerts("firing") != all {
        assert!(tokio::time::Instant::now() < deadline, "firing: {:?}", alerts("firing"));
        callers.tick().await;
        client.send_body(Signal::Traces, Encoding::Gzip, &lost).await;
    }
    let ours = r#"ALERTS{alertstate="firing",alertname=~"ContextPropagationFailure|SpillwayContextLost"}"#;
    let of: Vec<_> = prometheus.query(ours).iter().map(|series| series.label("cluster").to_owned()).collect();
    assert_eq!(of, ["east", "east"], "the cluster west lost no context");
    let slow = r#"ALERTS{alertstate="firing",alertname=~"HighCrossClusterLatency|SpillwayCrossClusterSlow"}"#;
    for series in prometheus.query(slow) {
        assert_eq!((series.label("source_cluster"), series.label("target_cluster")), ("west", "central"));
    }

    way.set(Fault::None);
    until("both are over", seconds(180), || {
        let firing = alerts("firing");
        firing.iter().all(|name| name.contains("Slow")) // 2.5 s at p99 may happen on a machine that is busy
    })
    .await;
    let acknowledged = load.stop().await;
    until("the hub has everything", seconds(120), || hub.missing(&acknowledged).is_empty()).await;
}
