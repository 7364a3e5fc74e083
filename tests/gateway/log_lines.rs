//! Scenario: a hub that a secret is shown to refuses hundreds of requests, goes away and comes back; the log is JSON in one run and
//! text in the next, with a level of its own for one part.
//! Guarantee: each line is one event; a kind of failure is told at most once in 30 s, with its target, signal and batch; a change of
//! state is one line; no header's value and no data is in it.

use serde_json::Value;
use spillway::batch::Signal;

use crate::PACE;
use crate::support::client::{Client, Transport};
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::{Hub, Mood};
use crate::support::wait::{seconds, until};

/// Refuses, dies, returns; 60 requests come in meanwhile.
async fn outage(gateway: &Gateway, hub: &mut Hub) {
    let client = Client::of(Transport::Grpc, gateway.grpc);
    hub.answer(Mood::Refuse(503, 14));
    for batch in 0..20 {
        for signal in Signal::ALL {
            assert!(client.send(signal, batch * 10..batch * 10 + 10).await);
        }
    }
    until("it is partitioned", seconds(60), || gateway.metric("spillway_partition_active", &[]) == 3.0).await;
    hub.take_away().await;
    let unreachable = || gateway.get("/status").1.contains("refused (os error");
    until("the hub is seen to be gone", seconds(60), unreachable).await;
    hub.answer(Mood::Accept);
    hub.bring_back().await;
    until("all is delivered", seconds(60), || gateway.books("queued") == 0).await;
    until("it is over", seconds(60), || gateway.metric("spillway_partition_active", &[]) == 0.0).await;
}

fn config(hub: &Hub, telemetry: &str) -> String {
    format!(
        "targets: {{hub: {{protocol: otlp_http, endpoint: \"{}\", headers: {{x-tenant: s3cret-value}}, {PACE}}}}}\n\
         chain: {{primary: hub, failover_after: 1s}}\n\
         telemetry: {{{telemetry}}}\n",
        hub.url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_an_event_and_repeats_are_counted() {
    let mut hub = Hub::start().await;
    let home = Home::new();
    let gateway = home.start(&config(&hub, "log: \"info,receive=debug\", log_format: json"));
    outage(&gateway, &mut hub).await;
    let log = gateway.log();
    assert!(gateway.stop().success());

    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    // The log of a test of less than 30 s has each kind of failure once for each target.
    let told = |class: &str| lines.iter().filter(|line| line["class"] == class).collect::<Vec<_>>();
    let span = |kind: &[&Value]| {
        let at = |line: &Value| line["timestamp"].as_str().unwrap()[17..19].parse::<i64>().unwrap();
        let minute = |line: &Value| line["timestamp"].as_str().unwrap()[14..16].parse::<i64>().unwrap();
        kind.windows(2)
            .map(|pair| (minute(pair[1]) - minute(pair[0])).rem_euclid(60) * 60 + at(pair[1]) - at(pair[0]))
            .min()
    };
    let failures = told("transient");
    assert!(!failures.is_empty(), "{log}");
    for line in &failures {
        let signal = Signal::ALL.into_iter().find(|signal| line["signal"] == signal.to_string());
        let batch = line["batch"].as_str().and_then(|batch| batch.parse::<u64>().ok());
        assert!(line["target_name"] == "hub" && signal.is_some() && batch.is_some(), "whose failure was it? {line}");
    }
    assert!(span(&failures).is_none_or(|seconds| seconds >= 29), "{failures:?}");
    for signal in Signal::ALL {
        let count = |change: &str| {
            let change = format!("{signal}: {change}");
            lines.iter().filter(|line| line["message"].as_str().unwrap().starts_with(&change)).count()
        };
        let (began, ended) = (count("partitioned, no network target accepts"), count("partition ended after"));
        assert!(began >= 1 && began == ended, "each change is one line: {began} {ended}\n{log}");
    }

    let gateway = home.start(&config(&hub, "log: warn, log_format: text"));
    assert!(gateway.stop().success());
    let log = home.logged();
    let text: Vec<&str> = log.lines().skip_while(|line| line.starts_with('{')).collect();
    assert!(text.iter().all(|line| !line.contains(" INFO ")), "at warn there is nothing of info: {text:?}");
    for secret in ["s3cret-value", "x-tenant", "resourceSpans", "resource_spans"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
