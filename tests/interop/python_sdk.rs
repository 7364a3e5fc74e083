//! Scenario: an application with the Python SDK sends over gRPC and over HTTP, and its gateway is killed in between.
//! Guarantee: each item whose export the SDK called a success arrives at the hub.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::gateway::Home;
use crate::tools;
use crate::wait::{seconds, until};

const COUNT: usize = 2000;

#[tokio::test]
async fn what_the_sdk_was_told_ok_for_arrives() {
    let Some(python) = tools::python() else { return };
    let home = Home::new();
    let file = home.path().join("out").join("telemetry.jsonl");
    let config = format!(
        "targets: {{disk: {{protocol: file, path: {}, rotation: {{max_megabytes: 1000}}}}}}\nchain: {{primary: disk}}\n",
        file.display()
    );
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut succeeded = BTreeSet::new();
    for protocol in ["grpc", "http"] {
        let gateway = home.start(&config);
        let endpoint = if protocol == "grpc" { gateway.grpc } else { gateway.http };
        let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python/client.py");
        let output = Command::new(&python)
            .arg(client)
            .args(["--protocol", protocol, "--endpoint", &format!("http://{endpoint}")])
            .args(["--count", &COUNT.to_string(), "--producer", protocol])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let told: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
        for signal in ["traces", "metrics", "logs"] {
            let ids = told[signal]["ok"].as_array().unwrap_or_else(|| panic!("{told}"));
            assert_eq!(ids.len(), COUNT, "{protocol}, {signal}: {} failed", told[signal]["failed"]);
            succeeded.extend(ids.iter().map(|id| format!("{signal} {}", id.as_str().unwrap())));
        }
        gateway.kill();
    }
    let gateway = home.start(&config);
    until("everything is delivered", seconds(30), || gateway.books("queued") == 0).await;
    gateway.assert_balanced();
    let arrived = fs::read_to_string(&file).unwrap().lines().flat_map(ids).collect::<BTreeSet<_>>();
    let missing: Vec<_> = succeeded.difference(&arrived).take(5).collect();
    assert!(missing.is_empty(), "{} of {}: {missing:?}", succeeded.difference(&arrived).count(), succeeded.len());
}

/// The numbers in a line of OTLP JSON, with their signal.
fn ids(line: &str) -> Vec<String> {
    let request: Value = serde_json::from_str(line).unwrap();
    let signals = [("resourceSpans", "traces"), ("resourceMetrics", "metrics"), ("resourceLogs", "logs")];
    let (_, signal) = signals.into_iter().find(|(key, _)| request.get(key).is_some()).unwrap();
    let mut found = Vec::new();
    let mut open = vec![&request];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(fields) if fields.get("key").is_some_and(|key| key == "spillway.test.id") => {
                found.push(format!("{signal} {}", fields["value"]["stringValue"].as_str().unwrap()));
            }
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
    found
}
