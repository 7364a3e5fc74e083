//! Scenario: two gateways send their heartbeats through a real OpenTelemetry Collector that a real Prometheus scrapes. One gateway is
//! killed and started again; then the collector goes away, and comes back.
//! Guarantee: the cluster that is silent is named, pending and then firing, and nobody else; a hub that is away is told as that, and
//! of no cluster; each alert ends with the next heartbeat.

use crate::prometheus::{Prometheus, hurried};
use crate::shipped;
use crate::support::gateway::{Gateway, Home};
use crate::support::wait::{seconds, until};
use crate::tools::{self, Collector};

/// A gateway of that cluster.
fn gateway(home: &Home, cluster: &str, hub: &Collector) -> Gateway {
    home.start(&format!(
        "cluster: {{name: {cluster}}}\n\
         targets: {{hub: {{protocol: otlp_grpc, endpoint: \"http://{}\", \
                          health: {{interval: 500ms, timeout: 2s}}, breaker: {{open_for: 300ms, max_open_for: 1s}}}}}}\n\
         chain: {{primary: hub}}\n\
         telemetry: {{heartbeat: 200ms}}\n",
        hub.grpc
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_falls_silent_is_named() {
    let Some(programs) = tools::programs() else { return };
    let (mut hub, metrics) = Collector::heard(&programs);
    let rules = [("hub-rules.yaml", hurried(&shipped::folder().join("hub-rules.yaml"), 2))];
    let Some(prometheus) = Prometheus::scraping(metrics, &rules) else {
        return crate::skip::aloud("prometheus is not installed (Debian's package prometheus)");
    };
    let (west_home, east_home) = (Home::new(), Home::new());
    let _east = gateway(&east_home, "east", &hub);
    let west = gateway(&west_home, "west", &hub);
    let is = |name: &str, state: &str, labels: &str| {
        prometheus.holds(&format!(r#"ALERTS{{alertname="{name}",alertstate="{state}"{labels}}}"#))
    };
    // More than the rule looks back, under the name and the label that it asks for.
    for cluster in ["west", "east"] {
        let heard = format!(r#"count_over_time(spillway_heartbeat{{cluster="{cluster}"}}[10s]) >= 12"#);
        until("heartbeats of both", seconds(120), || prometheus.holds(&heard)).await;
    }
    assert!(!prometheus.holds("ALERTS"), "two gateways that are heard of fire nothing");

    west.kill();
    until("the silence is noticed", seconds(120), || is("SpillwayClusterSilent", "pending", r#",cluster="west""#))
        .await;
    until("the silence is told", seconds(120), || is("SpillwayClusterSilent", "firing", r#",cluster="west""#)).await;
    assert!(
        !prometheus.holds(r#"ALERTS{alertname="SpillwayClusterSilent",cluster!="west"}"#),
        "the other one is heard of"
    );
    let west = gateway(&west_home, "west", &hub);
    until("it is over with a heartbeat", seconds(120), || !prometheus.holds("ALERTS")).await;

    hub.kill();
    until("the hub is told to be down", seconds(120), || is("SpillwayHubDown", "firing", "")).await;
    hub.restart();
    until("it is over with the first heartbeats", seconds(120), || !prometheus.holds("ALERTS")).await;
    drop(west);

    let fired = prometheus.query(r#"count_over_time(ALERTS{alertstate="firing"}[1h])"#);
    let mut fired: Vec<_> = fired.iter().map(|series| (series.label("alertname"), series.label("cluster"))).collect();
    fired.sort_unstable();
    assert_eq!(fired, [("SpillwayClusterSilent", "west"), ("SpillwayHubDown", "")], "nothing else ever fired");
}
