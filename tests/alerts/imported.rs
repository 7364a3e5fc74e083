//! Scenario: the dashboard is imported into a real Grafana as its form for imports does it, and found by it as a file; behind it is
//! a Prometheus that scrapes a gateway under load whose primary was away for a while.
//! Guarantee: Grafana keeps it as it is, its variables have values, every query of a panel and of an annotation is answered through its
//! data source without an error, and none is empty but those of faults that did not happen.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::grafana::{Grafana, SOURCE};
use crate::prometheus::Prometheus;
use crate::shipped;
use crate::support::client::Load;
use crate::support::gateway::Home;
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};

/// What is empty as long as nothing is lost, refused, cut, dead, misconfigured or about to be full: each other query has an answer.
const QUIET: [&str; 9] = [
    "Waiting to try again B",
    "Time to come A",
    "Not taken in A",
    "Sent again B",
    "Sent again C",
    "Dropped A",
    "Dead and rejected A",
    "Dead and rejected B",
    "Store B",
];

#[tokio::test(flavor = "multi_thread")]
async fn grafana_takes_it_and_each_panel_is_answered() {
    let Some(grafana) = Grafana::home() else { return };
    let text = std::fs::read_to_string(shipped::root().join("deploy/grafana/spillway.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut file = dashboard.clone();
    (file["uid"], file["title"]) = (json!("from-a-file"), json!("from a file"));

    let (mut hub, home) = (Hub::start().await, Home::new());
    let gateway = home.start(&format!(
        "cluster: {{name: west}}\n\
         targets:\n  \
           hub: {{protocol: otlp_grpc, endpoint: \"{}\", cluster: central, timeout: 2s,\n    \
             retry: {{initial_interval: 100ms, max_interval: 1s}}, health: {{interval: 500ms, timeout: 2s, unhealthy_after: 2}},\n    \
             breaker: {{open_for: 300ms, max_open_for: 1s, half_open_successes: 2, ramp: 1s}}}}\n  \
           disk: {{protocol: file, path: {}/disk.jsonl}}\n\
         chain: {{primary: hub, fallback: [disk], failover_after: 1s, min_stay: 1s}}\n",
        hub.url(),
        home.path().display(),
    ));
    let Some(prometheus) = Prometheus::scraping(gateway.admin, &[]) else {
        crate::skip::aloud("prometheus is not installed (Debian's package prometheus)");
        return;
    };
    let grafana = Grafana::start(&grafana, prometheus.address, &file);
    println!("Grafana {}", grafana.version());

    // The form sends the file as it is, and asks for what it names as its inputs: there is none.
    assert!(dashboard.get("__inputs").is_none());
    let import = json!({"dashboard": dashboard, "overwrite": false, "folderUid": "", "inputs": []});
    assert_eq!(grafana.ask("POST", "/api/dashboards/import", &import)["imported"], true);
    for (uid, of_a_file, sent) in [("spillway", false, &dashboard), ("from-a-file", true, &file)] {
        let mut kept = grafana.dashboard(uid);
        assert_eq!(kept["meta"]["provisioned"], of_a_file, "{uid}");
        let mut sent = sent.clone();
        for number in ["id", "version"] {
            sent[number] = Value::Null;
            kept["dashboard"][number] = Value::Null;
        }
        assert_eq!(kept["dashboard"], sent, "{uid}");
    }

    let load = Load::start(gateway.grpc, gateway.http, 5, Duration::from_millis(200));
    let fresh = "rate(spillway_delivered_items_total{target=\"hub\",lane=\"fresh\"}[4s]) > 0";
    until("a primary that takes items is seen", seconds(60), || prometheus.holds(fresh)).await;
    hub.take_away().await;
    until("a failover is seen", seconds(60), || prometheus.holds("increase(spillway_failovers_total[1m]) > 0")).await;
    until("nothing for the primary is seen", seconds(60), || !prometheus.holds(fresh)).await;
    hub.bring_back().await;
    until("the primary that is back is seen", seconds(60), || prometheus.holds(fresh)).await;

    // The variables, as the dashboard's own queries for them are asked.
    let sources = grafana.ask("GET", "/api/datasources", &Value::Null);
    assert_eq!(sources[0]["type"], dashboard["templating"]["list"][0]["query"]);
    let definition = dashboard["templating"]["list"][1]["definition"].as_str().unwrap();
    assert_eq!(definition, "label_values(spillway_build_info, instance)");
    let instances = grafana.resource("label/instance/values?match[]=spillway_build_info");
    assert_eq!(instances, json!([gateway.admin.to_string()]));

    let mut silent = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let name = format!("{} {}", panel["title"].as_str().unwrap(), target["refId"].as_str().unwrap());
            if answered(&grafana, target, instances[0].as_str().unwrap(), &name) == 0 {
                silent.push(name);
            }
        }
    }
    println!("empty: {silent:?}");
    let unexpected: Vec<_> = silent.iter().filter(|name| !QUIET.contains(&name.as_str())).collect();
    assert!(unexpected.is_empty(), "these show nothing: {unexpected:?}");
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        let name = annotation["name"].as_str().unwrap();
        assert!(answered(&grafana, annotation, ".*", name) > 0, "{name} show nothing");
    }
    load.stop().await;
}

/// Asks what a panel asks, for the last minutes: how many values there are.
fn answered(grafana: &Grafana, target: &Value, instance: &str, name: &str) -> usize {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut query = target.clone();
    // What the page fills in before it asks.
    query["refId"] = json!("A");
    let expression = target["expr"].as_str().unwrap().replace("$instance", instance);
    // Some Grafanas say nothing of what Prometheus refuses, but hand its answer on where it is asked as it is.
    let plain: String =
        expression.replace("$__rate_interval", "1m").bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert!(grafana.resource(&format!("query?query={plain}"))["result"].is_array(), "{name}");
    query["expr"] = json!(expression);
    query["datasource"] = json!({"type": "prometheus", "uid": SOURCE});
    query["range"] = json!(target["instant"] != true);
    (query["intervalMs"], query["maxDataPoints"]) = (json!(1000), json!(900));
    let asked = json!({"queries": [query], "from": (now - 300_000).to_string(), "to": now.to_string()});
    let answer = &grafana.ask("POST", "/api/ds/query", &asked)["results"]["A"];
    assert!(answer["error"].is_null(), "{name}: {}", answer["error"]);
    let frames = answer["frames"].as_array().unwrap();
    frames.iter().map(|frame| frame["data"]["values"][0].as_array().map_or(0, Vec::len)).sum()
}
